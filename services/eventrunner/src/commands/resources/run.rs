//! Doing what a verb says.

use std::path::PathBuf;

use clap::{ArgMatches, FromArgMatches as _};
use model::ErrorCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Client, Id, Kind, Place, Precondition, Verb, flag};
use crate::{
    context::ConnectArgs,
    exit::{Failure, Result},
    output::{Format, Item, Output, item, note, print},
};

pub(super) async fn run(kind: &'static Kind, verb: Verb, matches: ArgMatches, output: Output) -> Result<()> {
    match verb {
        Verb::Create => create(kind, &matches, output).await,
        Verb::List => list(kind, &matches, output).await,
        Verb::Get => {
            let id = id(kind, &matches)?;
            let client = open(&matches)?;
            let tenant = client.owner(kind, id)?;
            output.one(&client.get(kind, tenant.as_deref(), id).await?)
        }
        Verb::Replace | Verb::Patch => change(kind, verb, &matches, output).await,
        Verb::Delete => {
            let id = id(kind, &matches)?;
            let client = open(&matches)?;
            let tenant = client.owner(kind, id)?;
            client.delete(kind, (tenant.as_deref(), id), precondition(&matches), &[]).await?;
            note(&format!("{} {id} deleted", kind.name));
            Ok(())
        }
        Verb::Undelete => {
            let id = id(kind, &matches)?;
            let client = open(&matches)?;
            let tenant = client.owner(kind, id)?;
            output.one(&client.undelete(kind, (tenant.as_deref(), id), precondition(&matches), &[]).await?)
        }
    }
}

fn open(matches: &ArgMatches) -> Result<Client> {
    Client::open(&connect(matches)?)
}

/// How to reach the fleet.
pub(crate) fn connect(matches: &ArgMatches) -> Result<ConnectArgs> {
    ConnectArgs::from_arg_matches(matches).map_err(|e| Failure::usage(e.to_string()))
}

fn id<'a>(kind: &Kind, matches: &'a ArgMatches) -> Result<&'a str> {
    let id = matches.get_one::<String>("id").map(String::as_str).unwrap_or_default();
    kind.check_id(id)?;
    Ok(id)
}

fn precondition(matches: &ArgMatches) -> Precondition {
    matches
        .get_one::<u64>("revision")
        .map_or(Precondition::Nothing, |revision| Precondition::Revision(*revision))
}

/// The members that were given, in a file and by flags.
fn members(kind: &Kind, verb: Verb, matches: &ArgMatches) -> Result<Map<String, Value>> {
    let mut members = match matches.get_one::<PathBuf>("file") {
        None => Map::new(),
        Some(path) => match flag::read_value(path)? {
            Value::Object(members) => members,
            _ => return Err(Failure::data(format!("{} holds no object", path.display()))),
        },
    };
    for flag in kind.flags_of() {
        flag.put(verb, matches, &mut members)?;
    }
    if let Some((_, fill)) = kind.other_flags {
        fill(verb, matches, &mut members)?;
    }
    Ok(members)
}

async fn create(kind: &'static Kind, matches: &ArgMatches, output: Output) -> Result<()> {
    let mut body = members(kind, Verb::Create, matches)?;
    if kind.id == Id::Given {
        return create_given(kind, &body, matches, output).await;
    }
    let member = kind.id_member();
    let given = matches.get_one::<String>("id").map(String::as_str);
    let in_file = body.get(member).and_then(Value::as_str);
    let Some(id) = given.or(in_file).map(ToOwned::to_owned) else {
        return Err(Failure::usage(format!("give its {member}, here or in the file")));
    };
    kind.check_id(&id)?;
    let client = open(matches)?;
    let tenant = client.owner(kind, &id)?;
    body.insert(member.to_owned(), kind.plain_id(&id).into());
    let made = if matches.get_flag("replace") {
        write_over(&client, kind, (tenant.as_deref(), &id), &body).await?
    } else {
        let made = client.create(kind, tenant.as_deref(), &body, &[]).await;
        made.map_err(|failure| match failure.error {
            Some(ErrorCode::Conflict) => failure.hint("write over it with --replace"),
            _ => failure,
        })?
    };
    output.one(&made)?;
    super::special::after_create(kind, &client, &made);
    Ok(())
}

/// Makes it what the body says, whether it is there, was, or never.
async fn write_over(
    client: &Client,
    kind: &Kind,
    at: (Option<&str>, &str),
    body: &Map<String, Value>,
) -> Result<Item> {
    match client.replace(kind, at, body, Precondition::Nothing, &[]).await {
        Err(failure) if failure.error == Some(ErrorCode::Conflict) => {
            client.undelete(kind, at, Precondition::Nothing, &[]).await?;
            client.replace(kind, at, body, Precondition::Nothing, &[]).await
        }
        other => other,
    }
}

/// What is shown of one whose secret is told once.
#[derive(Serialize)]
pub(crate) struct Created<'a> {
    pub(crate) key: &'a str,
    pub(crate) resource: &'a Value,
}

async fn create_given(
    kind: &'static Kind,
    body: &Map<String, Value>,
    matches: &ArgMatches,
    output: Output,
) -> Result<()> {
    let connect = connect(matches)?;
    if super::special::is_first_key(kind, body, matches, &connect)? {
        return super::super::catalog::first_key(&connect, body, output).await;
    }
    let client = Client::open(&connect)?;
    let tenant = client.owner(kind, "")?;
    let made = client.create(kind, tenant.as_deref(), body, &[]).await?;
    let mut made: Value = serde_json::from_str(made.get())
        .map_err(|e| Failure::failed(format!("the answer is no JSON: {e}")))?;
    let secret = made.as_object_mut().and_then(|made| made.remove("key"));
    show_key(secret.as_ref().and_then(Value::as_str).unwrap_or_default(), &made, output)
}

/// Shows a key: for people alone on stdout.
pub(crate) fn show_key(key: &str, resource: &Value, output: Output) -> Result<()> {
    if output.format != Format::Table {
        return output.one(&item(&Created { key, resource })?);
    }
    let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
    note(&format!(
        "key {} of system {} of tenant {}; it is shown this once:",
        text("id"),
        text("system"),
        text("tenant")
    ));
    print(key)
}

async fn change(kind: &'static Kind, verb: Verb, matches: &ArgMatches, output: Output) -> Result<()> {
    let id = id(kind, matches)?;
    let mut members = members(kind, verb, matches)?;
    for name in matches.try_get_many::<String>("unset").ok().flatten().into_iter().flatten() {
        flag::put(&mut members, name, Value::Null);
    }
    let client = open(matches)?;
    let tenant = client.owner(kind, id)?;
    let (at, precondition) = ((tenant.as_deref(), id), precondition(matches));
    let changed = if verb == Verb::Patch {
        client.patch(kind, at, &members, precondition, &[]).await?
    } else {
        let precondition =
            if precondition == Precondition::Nothing { Precondition::Exists } else { precondition };
        client.replace(kind, at, &members, precondition, &[]).await?
    };
    output.one(&changed)
}

async fn list(kind: &'static Kind, matches: &ArgMatches, output: Output) -> Result<()> {
    let client = open(matches)?;
    let mut query: Vec<(&str, String)> = Vec::new();
    for (name, parameter) in [("label", "label"), ("query", "q"), ("sort", "sort")] {
        let given = matches.get_many::<String>(name).into_iter().flatten();
        query.extend(given.map(|value| (parameter, value.clone())));
    }
    if matches.get_flag("deleted") {
        query.push(("deleted", "true".to_owned()));
    }
    let limit =
        matches.get_one::<u32>("limit").map_or(usize::MAX, |n| usize::try_from(*n).unwrap_or(usize::MAX));
    let mut items: Vec<Item> = Vec::new();
    for place in places(kind, &client, matches).await? {
        let left = limit - items.len();
        if left > 0 {
            items.extend(client.list(kind, place.as_deref(), &query, left).await?);
        }
    }
    output.list(kind.columns, &items)
}

/// Whose are listed: none, the fleet's.
async fn places(kind: &Kind, client: &Client, matches: &ArgMatches) -> Result<Vec<Option<String>>> {
    let is_set = |name: &str| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    if kind.place == Place::Fleet || is_set("fleet") {
        return Ok(vec![None]);
    }
    if !is_set("all-tenants") {
        return Ok(vec![Some(client.context().tenant()?)]);
    }
    let fleets = (kind.place == Place::Either).then_some(None);
    let tenants = client.tenants().await?;
    Ok(fleets.into_iter().chain(tenants.into_iter().map(Some)).collect())
}
