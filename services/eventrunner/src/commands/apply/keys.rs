//! Keys by their names: their ids are the fleet's to choose, so documents name them `${key:TENANT/NAME}`.

use serde_json::{Map, Value};

use super::state::read_all;
use crate::{
    commands::resources::{Client, KINDS},
    exit::{Failure, Result},
};

const BEGIN: &str = "key:${key:";

/// How a document names a key.
pub(super) fn reference(tenant: &str, name: &str) -> String {
    format!("{BEGIN}{tenant}/{name}}}")
}

/// Puts the id of a key in place of its name.
pub(super) async fn resolve(client: &Client, body: &mut Map<String, Value>) -> Result<()> {
    let Some(Value::String(actor)) = body.get_mut("actor") else { return Ok(()) };
    let Some(named) = actor.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(());
    };
    let (tenant, name) = named
        .split_once('/')
        .ok_or_else(|| Failure::data(format!("{actor}: write it as ${{key:TENANT/NAME}}")))?;
    let rank = KINDS.iter().position(|kind| kind.noun == "keys").unwrap_or_default();
    let places = std::iter::once((rank, Some(tenant.to_owned()))).collect();
    let keys = read_all(client, places, &[("q", name.to_owned())]).await?;
    let of_name = |found: &&super::state::Found| found.body.get("name").and_then(Value::as_str) == Some(name);
    let ids: Vec<String> = keys
        .iter()
        .flat_map(|(_, found)| found.iter().filter(of_name))
        .map(|found| found.id.clone())
        .collect();
    match &ids[..] {
        [id] => *actor = format!("key:{id}"),
        [] => return Err(Failure::data(format!("there is no key called {name:?} in {tenant}"))),
        _ => return Err(Failure::data(format!("there are several keys called {name:?} in {tenant}"))),
    }
    Ok(())
}
