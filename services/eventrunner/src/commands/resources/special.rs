//! What only some kinds have.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches as _};
use model::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, Extra, Kind, Verb, flag, run::connect};
use crate::{
    client::segment,
    commands::catalog::{EraseArgs, erase},
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result},
    output::{Column, Item, Output, item, note},
};

/// `tenants erase`.
pub(super) const ERASE: Extra = Extra {
    name: "erase",
    command: || {
        let about =
            "Take away everything there is of one: events, usage, streams, dead letters, catalog entries";
        EraseArgs::augment_args(Command::new("erase")).about(about)
    },
    run: |matches, output| {
        Box::pin(async move {
            let args = EraseArgs::from_arg_matches(&matches).map_err(|e| Failure::usage(e.to_string()))?;
            erase(args, output).await.map(|()| Code::Done)
        })
    },
};

fn with_id(name: &'static str, about: &'static str, help: &'static str) -> Command {
    let id = Arg::new("id").value_name("ID").required(true).help(help);
    ConnectArgs::augment_args(Command::new(name).about(about).arg(id))
}

fn given_id(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("id").map(String::as_str).unwrap_or_default()
}

/// `tenants limits`.
pub(super) const LIMITS: Extra = Extra {
    name: "limits",
    command: || {
        with_id("limits", "Show its limits: what holds, where it comes from, how much is used", "Its id")
    },
    run: |matches, output| {
        Box::pin(async move {
            let client = Client::open(&connect(&matches)?)?;
            let path = format!("/api/v1/tenants/{}/limits", segment(given_id(&matches)));
            listed(&client, &path, "limits", LIMIT_COLUMNS, output).await
        })
    },
};

const LIMIT_COLUMNS: &[Column] = &[
    Column("limit", "/name"),
    Column("value", "/value"),
    Column("from", "/origin"),
    Column("used", "/used"),
];

/// `event-types versions`.
pub(super) const VERSIONS: Extra = Extra {
    name: "versions",
    command: || with_id("versions", "Show the versions of its schema that are still known", "Its name"),
    run: |matches, output| {
        Box::pin(async move {
            let client = Client::open(&connect(&matches)?)?;
            let tenant: TenantId = client.context().tenant()?;
            let name = segment(given_id(&matches));
            let path = format!("/api/v1/tenants/{}/event-types/{name}/versions", segment(&tenant));
            listed(&client, &path, "versions", VERSION_COLUMNS, output).await
        })
    },
};

const VERSION_COLUMNS: &[Column] = &[
    Column("version", "/version"),
    Column("current", "/current"),
    Column("at", "/updated_at"),
    Column("schema", "/schema"),
];

/// Shows a list that comes whole.
async fn listed(
    client: &Client,
    path: &str,
    member: &str,
    columns: &[Column],
    output: Output,
) -> Result<Code> {
    let answer = client.api().get(path, &[]).await?;
    let mut answer: std::collections::BTreeMap<String, Item> = serde_json::from_str(answer.get())
        .map_err(|e| Failure::failed(format!("the answer is no JSON: {e}")))?;
    let items = answer.remove(member).map(|list| serde_json::from_str::<Vec<Item>>(list.get()));
    let items = items.and_then(std::result::Result::ok);
    let items = items.ok_or_else(|| Failure::failed(format!("{path} answered something that is no list")))?;
    output.list(columns, &items)?;
    Ok(Code::Done)
}

/// `roles check`.
pub(super) const CHECK: Extra = Extra {
    name: "check",
    command: || {
        CheckArgs::augment_args(Command::new("check"))
            .about("Ask whether somebody may do something, and why; exit code 0 if so, 1 if not")
    },
    run: |matches, output| {
        Box::pin(async move {
            let args = CheckArgs::from_arg_matches(&matches).map_err(|e| Failure::usage(e.to_string()))?;
            check(args, output).await
        })
    },
};

#[derive(Debug, Clone, Args)]
struct CheckArgs {
    /// Who: user:ID, key:ID, client:ID or service:NAME
    actor: String,
    /// What, such as publish:event
    permission: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What the API answers.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    allowed: bool,
    because: Vec<Value>,
}

const CHECK_COLUMNS: &[Column] = &[
    Column("scope", "/scope"),
    Column("binding", "/binding"),
    Column("fleet-wide", "/fleet_wide"),
    Column("actor", "/actor"),
    Column("role", "/role"),
];

async fn check(args: CheckArgs, output: Output) -> Result<Code> {
    let client = Client::open(&args.connect)?;
    let tenant: TenantId = client.context().tenant()?;
    let path = format!("/api/v1/tenants/{}/permissions", segment(&tenant));
    let query = [("actor", args.actor), ("permission", args.permission)];
    let request = client.api().request(reqwest::Method::GET, &path)?.query(&query);
    let answer: Answer = client.api().json(request).await?;
    let items = answer.because.iter().map(item).collect::<Result<Vec<_>>>()?;
    output.list(CHECK_COLUMNS, &items)?;
    Ok(if answer.allowed { Code::Done } else { Code::Failed })
}

/// Who makes the first key has none to make it with.
pub(super) fn first_key_flag(command: Command) -> Command {
    let help = "Make it on the broker, where the fleet has no key yet that could make others; its tenant and system, too, if they \
                are not there";
    command.arg(Arg::new("on-broker").long("on-broker").action(ArgAction::SetTrue).help(help))
}

/// Whether a key is to be made on the broker: when that is said, or an operator's is wished and there is none to make it with.
pub(super) fn is_first_key(
    kind: &Kind,
    body: &Map<String, Value>,
    matches: &ArgMatches,
    connect: &ConnectArgs,
) -> Result<bool> {
    if kind.noun != "keys" {
        return Ok(false);
    }
    let scopes = body.get("scopes").and_then(Value::as_array);
    let operates = scopes.is_some_and(|scopes| scopes.iter().any(|scope| scope == "operate"));
    Ok(matches.get_flag("on-broker") || (operates && Context::load(connect)?.managing_key().is_err()))
}

/// Headers of an action that are secret.
pub(super) fn secret_header_flag(command: Command) -> Command {
    let help = "Header whose value is secret, and the file that holds it; repeatable";
    command.arg(
        Arg::new("secret-header-file")
            .long("secret-header-file")
            .value_name("NAME=FILE")
            .action(ArgAction::Append)
            .help(help),
    )
}

/// Fills in what an action is done by: there is one way so far.
pub(super) fn fill_target(verb: Verb, matches: &ArgMatches, members: &mut Map<String, Value>) -> Result<()> {
    for given in matches.get_many::<String>("secret-header-file").into_iter().flatten() {
        let (name, path) =
            given.split_once('=').ok_or_else(|| Failure::usage("write --secret-header-file as name=file"))?;
        let text = flag::read_text(&path.into())?;
        let pointer = format!("/target/secret_headers/{name}");
        flag::put(members, &pointer, text.trim_end_matches(['\r', '\n']).into());
    }
    if let (true, Some(Value::Object(target))) = (verb.is_whole(), members.get_mut("target")) {
        target.entry("type").or_insert_with(|| "webhook".into());
    }
    Ok(())
}

/// What to do with what was made.
pub(super) fn after_create(kind: &Kind, client: &Client, made: &Item) {
    let made: Value = serde_json::from_str(made.get()).unwrap_or_default();
    let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
    if kind.noun == "sources" {
        let verified = made.get("verification").is_some_and(Value::is_object);
        let verified = if verified { "" } else { ", with an API key of the tenant" };
        let url = &client.context().url;
        note(&format!("post to {url}/v1/sources/{}.{}{verified}", text("tenant"), text("id")));
    }
}

impl Client {
    /// Every tenant that the caller may see, by id.
    pub(crate) async fn tenants(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Tenant {
            id: String,
        }
        let kind = super::KINDS.iter().find(|kind| kind.noun == "tenants");
        let kind = kind.ok_or_else(|| Failure::failed("the table of kinds has no tenants"))?;
        let tenants = self.list(kind, None, &[], usize::MAX).await?;
        let id = |tenant: &Item| serde_json::from_str::<Tenant>(tenant.get()).map(|tenant| tenant.id);
        let ids: std::result::Result<Vec<_>, _> = tenants.iter().map(id).collect();
        ids.map_err(|e| Failure::failed(format!("the answer is no tenant: {e}")))
    }
}
