//! `eventrunner keys`.

use auth::NewKey;
use clap::{Args, ValueEnum};
use model::{
    Clock as _, SystemClock, format_rfc3339,
    resource::{ApiKey, Scope},
};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{CommonArgs, Opened, Verb, delete, get, id, list, resource::Shown as _};
use crate::{
    context::ConnectArgs,
    exit::Result,
    output::{Format, Item, Output, item, note, print},
};

/// API keys: what producers and consumers authenticate with
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  KEY=$(eventrunner keys create --system shop --scope publish)
  eventrunner keys create --system demo --scope operate     # the fleet's first operator, for the API
  eventrunner keys list
  eventrunner keys delete 3k9d0xq2m7c1v5b8     # takes effect within a second")]
pub(crate) struct Keys {
    #[command(subcommand)]
    verb: Verb<Create>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeArg {
    /// Publish events
    Publish,
    /// Read events, streams, dead letters and usage
    Read,
    /// Redrive and purge dead letters
    Write,
    /// Read and change everything of its own tenant in the catalog, keys included
    Manage,
    /// The fleet's operator: tenants, and whatever is theirs in the catalog
    Operate,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// The system it is bound to
    #[arg(long)]
    system: String,
    /// For people
    #[arg(long, default_value = "")]
    name: String,
    /// What it may do; repeatable, or separated by commas
    #[arg(long = "scope", value_enum, value_delimiter = ',', default_values = ["publish", "read"])]
    scopes: Vec<ScopeArg>,
    /// The customer on whose behalf it is used
    #[arg(long)]
    customer: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(Keys { verb }: Keys, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<ApiKey>(args, output).await,
        Verb::Get(args) => get::<ApiKey>(args, output).await,
        Verb::Delete(args) => delete::<ApiKey>(args).await,
    }
}

#[derive(Serialize)]
struct Created<'a> {
    key: &'a str,
    resource: Item,
}

async fn create(args: Create, output: Output) -> Result<()> {
    let system = id(&args.system)?;
    let opened = Opened::open(&args.connect).await?;
    let mut scopes: Vec<Scope> = args.scopes.iter().map(|s| scope(*s)).collect();
    scopes.sort();
    scopes.dedup();
    let new = NewKey {
        tenant: opened.context.tenant()?,
        system,
        name: args.name,
        scopes,
        created_at: format_rfc3339(SystemClock.now()),
    };
    let (mut key, shown_once) = auth::generate(&mut rand::rng(), new);
    key.customer = args.customer.as_deref().map(id).transpose()?;
    key.meta = args.common.meta(key.meta);
    opened.catalog.create(&key).await?;
    let secret = shown_once.expose_secret();
    if output.format == Format::Table {
        note(&format!(
            "key {} of system {} of tenant {}; it is shown this once:",
            key.id, key.system, key.tenant
        ));
        print(secret)?;
    } else {
        output.one(&item(&Created { key: secret, resource: key.shown()? })?)?;
    }
    opened.close().await;
    Ok(())
}

const fn scope(scope: ScopeArg) -> Scope {
    match scope {
        ScopeArg::Publish => Scope::Publish,
        ScopeArg::Read => Scope::Read,
        ScopeArg::Write => Scope::Write,
        ScopeArg::Manage => Scope::Manage,
        ScopeArg::Operate => Scope::Operate,
    }
}
