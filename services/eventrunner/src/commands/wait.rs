//! `eventrunner wait`: until a resource is there, is as it should be, or is gone, or until the fleet is ready.

use std::time::{Duration, Instant};

use clap::Args;
use model::ErrorCode;
use serde_json::Value;

use super::resources::{Client, Id, KINDS, Kind};
use crate::{
    client::http_client,
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result},
    output::{Item, Output},
};

/// Before it is looked again: soon at first, a moment later each time.
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(1);
/// How long the API may take to say how it is.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Wait until a resource is there, is at a revision, has a value or is gone; or until the fleet is ready
///
/// While the API does not answer it waits on. Exit code 75 if the time is over.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner wait fleet --timeout 120
  eventrunner wait source hub --tenant acme
  eventrunner wait tenant acme --member /plan=gold
  eventrunner wait event-type com.acme.sale --revision 17
  eventrunner wait subscription orders --gone")]
pub(crate) struct Wait {
    /// Of which kind: source, event-type, ...; or fleet: until the API and what it depends on are ready
    kind: String,
    /// Its id; fleet/ID for one of the fleet's
    id: Option<String>,
    /// Until it is at that revision or a later one
    #[arg(long, value_name = "N", conflicts_with = "gone")]
    revision: Option<u64>,
    /// Until this member has this value, such as /plan=gold or /version=2; repeatable
    #[arg(long = "member", value_name = "POINTER=VALUE", value_parser = member, conflicts_with = "gone")]
    members: Vec<(String, String)>,
    /// Until it is not there
    #[arg(long)]
    gone: bool,
    /// How long at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

fn member(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((pointer, value)) if pointer.starts_with('/') => Ok((pointer.to_owned(), value.to_owned())),
        _ => Err("write it as /member=value".to_owned()),
    }
}

/// What was seen.
enum Seen {
    Done(Option<Item>),
    /// Not yet: why.
    Not(String),
}

pub(crate) async fn run(args: Wait, output: Output) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut again = AGAIN_MIN;
    let watched = Watched::new(&args)?;
    loop {
        let why = match watched.look().await {
            Ok(Seen::Done(None)) => return Ok(()),
            Ok(Seen::Done(Some(item))) => return output.one(&item),
            Ok(Seen::Not(why)) => why,
            Err(failure) if failure.code == Code::Unavailable => failure.message,
            Err(failure) => return Err(failure),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::new(Code::Undrained, format!("not within {} s: {why}", args.timeout)));
        }
        tokio::time::sleep(again.min(left)).await;
        again = (again * 2).min(AGAIN_MAX);
    }
}

enum Watched<'a> {
    Fleet { http: reqwest::Client, url: String },
    One { client: Box<Client>, kind: &'static Kind, tenant: Option<String>, id: &'a str, args: &'a Wait },
}

impl<'a> Watched<'a> {
    fn new(args: &'a Wait) -> Result<Self> {
        if args.kind == "fleet" {
            let context = Context::load(&args.connect)?;
            let url = format!("{}/.well-known/health", context.api_url);
            return Ok(Self::Fleet { http: http_client(HEALTH_TIMEOUT)?, url });
        }
        let known = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let kind = KINDS.iter().find(|kind| kind.name == args.kind || kind.noun == args.kind);
        let kind = kind.ok_or_else(|| {
            Failure::usage(format!("there is no kind {:?}", args.kind)).hint(format!("fleet, {}", known()))
        })?;
        let id = args.id.as_deref().ok_or_else(|| Failure::usage(format!("which {}?", kind.name)))?;
        if kind.id != Id::Given {
            kind.check_id(id)?;
        }
        let client = Client::open(&args.connect)?;
        let tenant = client.owner(kind, id)?;
        Ok(Self::One { client: Box::new(client), kind, tenant, id, args })
    }

    async fn look(&self) -> Result<Seen> {
        match self {
            Self::Fleet { http, url } => Ok(match http.get(url).send().await {
                Ok(answer) if answer.status().is_success() => Seen::Done(None),
                Ok(answer) => Seen::Not(format!("{url} answered {}", answer.status())),
                Err(error) => Seen::Not(crate::client::error::root(&error)),
            }),
            Self::One { client, kind, tenant, id, args } => {
                let name = format!("{} {id}", kind.name);
                match client.get(kind, tenant.as_deref(), id).await {
                    Err(failure) if failure.error == Some(ErrorCode::NotFound) && args.gone => {
                        Ok(Seen::Done(None))
                    }
                    Err(failure) if failure.error == Some(ErrorCode::NotFound) => {
                        Ok(Seen::Not(format!("there is no {name}")))
                    }
                    Err(failure) => Err(failure),
                    Ok(_) if args.gone => Ok(Seen::Not(format!("{name} is there"))),
                    Ok(item) => Ok(match differs(&item, args) {
                        None => Seen::Done(Some(item)),
                        Some(why) => Seen::Not(format!("{name}: {why}")),
                    }),
                }
            }
        }
    }
}

/// Where it is not as it should be.
fn differs(item: &Item, args: &Wait) -> Option<String> {
    let is: Value = serde_json::from_str(item.get()).unwrap_or_default();
    let revision = is.get("revision").and_then(Value::as_u64).unwrap_or_default();
    if args.revision.is_some_and(|wanted| revision < wanted) {
        return Some(format!("it is at revision {revision}"));
    }
    args.members.iter().find_map(|(pointer, wanted)| {
        let has = is.pointer(pointer);
        let same = match has {
            Some(Value::String(text)) => text == wanted,
            Some(value) => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *value),
            None => wanted.is_empty(),
        };
        let shown = has.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        (!same).then(|| format!("{pointer} is {shown}"))
    })
}
