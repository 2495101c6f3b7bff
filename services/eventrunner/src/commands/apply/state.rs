//! What there is of the kinds and in the places that documents speak of.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use model::ErrorCode;
use serde_json::{Map, Value};

use super::document::{Document, Name, kind_at};
use crate::{
    commands::resources::{Client, Id, Kind},
    exit::{Failure, Result},
    output::Item,
};

/// Requests at once.
pub(super) const AT_ONCE: usize = 8;

/// A resource that is there.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) revision: u64,
    pub(super) body: Map<String, Value>,
}

/// All that is there, and the names of what is deleted and not purged.
#[derive(Debug, Default)]
pub(super) struct State {
    live: BTreeMap<Name, Vec<Found>>,
    deleted: BTreeSet<Name>,
}

/// A kind in one place.
pub(super) type Place = (usize, Option<String>);

/// What was found where.
pub(super) type FoundAt = (Place, Vec<Found>);

impl State {
    /// Reads what the documents speak of.
    pub(super) async fn read(client: &Client, documents: &[Document]) -> Result<Self> {
        let places: BTreeSet<Place> =
            documents.iter().map(|d| (d.name.rank, d.name.tenant.clone())).collect();
        let mut state = Self::default();
        for (place, items) in read_all(client, places.clone(), &[]).await? {
            for found in items {
                state.live.entry(name_of(&place, &found)?).or_default().push(found);
            }
        }
        let missing: BTreeSet<Place> = documents
            .iter()
            .filter(|d| !state.live.contains_key(&d.name))
            .map(|d| (d.name.rank, d.name.tenant.clone()))
            .collect();
        for (place, items) in read_all(client, missing, &[("deleted", "true".to_owned())]).await? {
            for found in items {
                state.deleted.insert(name_of(&place, &found)?);
            }
        }
        Ok(state)
    }

    /// The one of that name, if it is there.
    pub(super) fn live(&self, name: &Name) -> Result<Option<&Found>> {
        match self.live.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([one]) => Ok(Some(one)),
            Some(_) => Err(Failure::data(format!("there are several of that name: {name}"))),
        }
    }

    /// Whether it was deleted, so that it can be brought back. What the fleet chooses ids for is made anew.
    pub(super) fn is_deleted(&self, name: &Name) -> Result<bool> {
        Ok(kind_at(name.rank)?.id != Id::Given && self.deleted.contains(name))
    }
}

/// Every one of some kinds in some places. What stands in a tenant that is not there is none.
pub(super) async fn read_all(
    client: &Client,
    places: BTreeSet<Place>,
    query: &[(&str, String)],
) -> Result<Vec<FoundAt>> {
    let read = |place: Place| async move {
        let kind = kind_at(place.0)?;
        let items = match client.list(kind, place.1.as_deref(), query, usize::MAX).await {
            Err(failure) if failure.error == Some(ErrorCode::NotFound) => Vec::new(),
            items => items?,
        };
        let found = items.iter().map(|item| found(kind, item)).collect::<Result<Vec<_>>>()?;
        Ok((place, found))
    };
    futures::stream::iter(places).map(read).buffer_unordered(AT_ONCE).try_collect().await
}

/// The same with a label, if one is given. Where the caller may not read a kind, there is none for it.
pub(super) async fn read_labelled(
    client: &Client,
    places: BTreeSet<Place>,
    label: &str,
) -> Result<Vec<FoundAt>> {
    let query = if label.is_empty() { Vec::new() } else { vec![("label", label.to_owned())] };
    let query = &query;
    let read = |place: Place| async move {
        match read_all(client, std::iter::once(place).collect(), query).await {
            Err(failure) if failure.error == Some(ErrorCode::Forbidden) => Ok(Vec::new()),
            read => read,
        }
    };
    let read: Vec<_> =
        futures::stream::iter(places).map(read).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

fn found(kind: &Kind, item: &Item) -> Result<Found> {
    let not_ours = || Failure::failed("the API answered something that is no resource");
    let body: Map<String, Value> = serde_json::from_str(item.get()).map_err(|_| not_ours())?;
    let id = body.get(kind.id_member()).and_then(Value::as_str).ok_or_else(not_ours)?.to_owned();
    let revision = body.get("revision").and_then(Value::as_u64).unwrap_or_default();
    Ok(Found { id, revision, body })
}

/// As documents call it.
pub(super) fn name_of((rank, tenant): &Place, found: &Found) -> Result<Name> {
    let kind = kind_at(*rank)?;
    let id = match kind.id {
        Id::Given => found.body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ if tenant.is_none() && kind.place == crate::commands::resources::Place::Either => {
            format!("{}{}", relations::FLEETS, found.id)
        }
        _ => found.id.clone(),
    };
    Ok(Name { rank: *rank, tenant: tenant.clone(), id })
}
