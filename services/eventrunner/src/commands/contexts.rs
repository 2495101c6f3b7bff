//! `eventrunner context`: the fleets that client commands use, by name.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use runtime::config::without_passwords;
use serde::Serialize;

use super::resources::read_text;
use crate::{
    context::{
        self, ConnectArgs, Context, File, LOCAL,
        named::{self, Contexts},
    },
    exit::{Failure, Result},
    output::{Column, Output, item, note},
    up::folder,
};

/// Contexts: the fleets that client commands use, each with its addresses and key, by name
///
/// They are kept in ${XDG_CONFIG_HOME:-~/.config}/eventrunner/contexts.toml, which only its owner may read. The fleet that
/// `eventrunner up` runs on this machine is the context `local`, kept in its data folder; it is used where no other one is chosen.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner context set production --api-url https://events.example.com --key-file operator.key --tenant acme
  eventrunner context use production
  eventrunner context list
  eventrunner systems list --context local      # this once
  eventrunner context use local")]
pub(crate) struct ContextCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List them
    #[command(visible_alias = "ls")]
    List,
    /// Use one where none is named
    Use(NameArgs),
    /// Show one, without its keys
    Show(ShowArgs),
    /// Make one, or change what is given of it
    Set(SetArgs),
    /// Forget one
    #[command(visible_alias = "rm")]
    Delete(NameArgs),
}

#[derive(Debug, Clone, Args)]
struct NameArgs {
    /// Its name
    name: String,
}

#[derive(Debug, Clone, Args)]
struct ShowArgs {
    /// Its name [default: the one in use]
    name: Option<String>,
}

#[derive(Debug, Clone, Args)]
struct SetArgs {
    /// Its name
    name: String,
    /// Address of ingest-http, where events are published
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Address of the API
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Address of the broker
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// NATS credentials file, where the broker wants one
    #[arg(long, value_name = "FILE")]
    nats_credentials: Option<PathBuf>,
    /// PEM file of the certificate authorities that vouch for the broker
    #[arg(long, value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// The tenant, where a command needs one
    #[arg(long, short = 't', value_name = "TENANT")]
    tenant: Option<String>,
    /// File with the API key, or - for stdin
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// File with another key, with which resources are managed, or - for stdin
    #[arg(long, value_name = "FILE")]
    operator_key_file: Option<PathBuf>,
    /// Use it from now on
    #[arg(long = "use")]
    then_use: bool,
}

/// A context as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nats_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    has_key: bool,
    has_operator_key: bool,
    file: PathBuf,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name"),
    Column("current", "/current"),
    Column("api", "/api_url"),
    Column("tenant", "/tenant"),
    Column("key", "/has_key"),
    Column("operator key", "/has_operator_key"),
];

pub(crate) fn run(ContextCommand { verb }: ContextCommand, output: Output) -> Result<()> {
    match verb {
        Verb::List => {
            let contexts = Contexts::read()?;
            let mut items = vec![item(&local(&contexts)?)?];
            for (name, file) in &contexts.contexts {
                items.push(item(&shown(name, file, &contexts, named::path().unwrap_or_default()))?);
            }
            output.list(COLUMNS, &items)
        }
        Verb::Use(NameArgs { name }) => use_one(&name),
        Verb::Show(ShowArgs { name }) => {
            let contexts = Contexts::read()?;
            let name = name.or_else(|| contexts.current.clone()).unwrap_or_else(|| LOCAL.to_owned());
            let one = if name == LOCAL {
                local(&contexts)?
            } else {
                shown(&name, contexts.named(&name)?, &contexts, named::path().unwrap_or_default())
            };
            output.one(&item(&one)?)
        }
        Verb::Set(args) => set(args),
        Verb::Delete(NameArgs { name }) => {
            Contexts::change(|contexts| {
                contexts.named(&name)?;
                contexts.contexts.remove(&name);
                contexts.current.take_if(|current| *current == name);
                Ok(())
            })?;
            note(&format!("context {name} is forgotten"));
            Ok(())
        }
    }
}

fn shown(name: &str, file: &File, contexts: &Contexts, path: PathBuf) -> Shown {
    let current = contexts.current.as_deref().unwrap_or(LOCAL);
    Shown {
        name: name.to_owned(),
        current: current == name,
        api_url: file.api_url.clone(),
        url: file.url.clone(),
        nats_url: file.nats_url.as_deref().map(without_passwords),
        tenant: file.tenant.clone(),
        has_key: file.key.is_some(),
        has_operator_key: file.operator_key.is_some(),
        file: path,
    }
}

/// The one of the data folder, whether there is one or not.
fn local(contexts: &Contexts) -> Result<Shown> {
    let path = folder::default_path()?.join(context::FILE);
    let file = File::read(&path)?.unwrap_or_default();
    Ok(shown(LOCAL, &file, contexts, path))
}

fn use_one(name: &str) -> Result<()> {
    Contexts::change(|contexts| {
        if name == LOCAL {
            contexts.current = None;
        } else {
            contexts.named(name)?;
            contexts.current = Some(name.to_owned());
        }
        Ok(())
    })?;
    note(&format!("using {name}"));
    for variable in ["EVENTRUNNER_CONTEXT", "EVENTRUNNER_DATA_DIR"] {
        if std::env::var_os(variable).is_some() {
            note(&format!("but here {variable} is set, which goes before it"));
        }
    }
    Ok(())
}

fn set(args: SetArgs) -> Result<()> {
    named::check(&args.name)?;
    let key = |path: Option<PathBuf>| {
        path.map(|path| read_text(&path).map(|text| text.trim().to_owned())).transpose()
    };
    let (key, operator_key) = (key(args.key_file)?, key(args.operator_key_file)?);
    if [&key, &operator_key].into_iter().flatten().any(String::is_empty) {
        return Err(Failure::usage("a key must not be empty"));
    }
    let given =
        ConnectArgs { url: args.url.clone(), api_url: args.api_url.clone(), ..ConnectArgs::default() };
    Context::check(&given)?;
    let name = args.name.clone();
    Contexts::change(|contexts| {
        let old = contexts.contexts.remove(&name).unwrap_or_default();
        let file = File {
            url: args.url.or(old.url),
            api_url: args.api_url.or(old.api_url),
            nats_url: args.nats_url.or(old.nats_url),
            nats_credentials_file: args.nats_credentials.or(old.nats_credentials_file),
            nats_ca_file: args.nats_ca.or(old.nats_ca_file),
            tenant: args.tenant.or(old.tenant),
            key: key.or(old.key),
            operator_key: operator_key.or(old.operator_key),
            ..old
        };
        contexts.contexts.insert(name.clone(), file);
        Ok(())
    })?;
    note(&format!("context {} is kept", args.name));
    if args.then_use { use_one(&args.name) } else { Ok(()) }
}
