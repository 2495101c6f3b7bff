//! Deleting what a set had before and has no more.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::{
    SET_LABEL,
    document::{Document, Name, kind_at},
    facts,
    lease::Held,
    report::{Action, Change, Report, diff},
    state::{AT_ONCE, Found, name_of, read_labelled},
    work::settle,
};
use crate::{
    commands::resources::{Client, KINDS, Place, Precondition},
    exit::{Failure, Result},
    output::note,
};

/// Tenants that are looked through for what was once applied there.
const TENANTS_MAX: usize = 1_000;

pub(super) async fn run(
    client: &Client,
    set: &str,
    documents: &[Document],
    held: &mut Held,
    report: &mut Report,
) -> Result<()> {
    let gone = gone(client, set, documents).await?;
    if report.is_dry() {
        for (name, found) in gone.iter().rev() {
            let mut is = found.body.clone();
            facts::strip(&mut is, &facts::of(kind_at(name.rank)?)?.read_only);
            let diff = Some(diff(name, Some(&is), None)?);
            report.add(name, Change { diff, ..Change::new(Action::Deleted, name) })?;
        }
        return Ok(());
    }
    held.take_all(gone.iter().map(|(name, _)| name.tenant.as_deref())).await?;
    // What names others goes before them.
    let ranks: BTreeSet<usize> = gone.iter().map(|(name, _)| name.rank).collect();
    for rank in ranks.into_iter().rev() {
        held.check()?;
        if kind_at(rank)?.noun == "tenants" {
            let tenants = gone.iter().filter(|(name, _)| name.rank == rank).map(|(name, _)| &*name.id);
            held.end_of(&tenants.collect()).await;
        }
        let of_rank = gone.iter().filter(|(name, _)| name.rank == rank);
        let deleted = of_rank.map(|(name, found)| async move { (name, delete(client, name, found).await) });
        let mut deleted = futures::stream::iter(deleted).buffer_unordered(AT_ONCE);
        while let Some((name, outcome)) = deleted.next().await {
            let failed = |failure: Failure| Change::failed(name, failure.message);
            let change = outcome.map_or_else(failed, |()| Change::new(Action::Deleted, name));
            report.add(name, change)?;
        }
    }
    settle(report)
}

async fn delete(client: &Client, name: &Name, found: &Found) -> Result<()> {
    let at = (name.tenant.as_deref(), &*found.id);
    let precondition = Precondition::Revision(found.revision);
    client.delete(kind_at(name.rank)?, at, precondition, &[]).await
}

/// What has the set's label and is in no document.
async fn gone(client: &Client, set: &str, documents: &[Document]) -> Result<Vec<(Name, Found)>> {
    let mut tenants: BTreeSet<String> = documents.iter().filter_map(|d| d.name.tenant.clone()).collect();
    let all = client.tenants().await?;
    if all.len() <= TENANTS_MAX {
        tenants.extend(all);
    } else {
        note(&format!("more than {TENANTS_MAX} tenants: only those of the documents are looked through"));
    }
    let mut places = BTreeSet::new();
    for (rank, kind) in KINDS.iter().enumerate() {
        if kind.place != Place::Tenant {
            places.insert((rank, None));
        }
        if kind.place != Place::Fleet {
            places.extend(tenants.iter().map(|tenant| (rank, Some(tenant.clone()))));
        }
    }
    let wanted: BTreeSet<&Name> = documents.iter().map(|document| &document.name).collect();
    let mut gone = BTreeMap::new();
    for (place, found) in read_labelled(client, places, &format!("{SET_LABEL}={set}")).await? {
        for found in found {
            let name = name_of(&place, &found)?;
            if !wanted.contains(&name) {
                gone.insert((name, found.id.clone()), found);
            }
        }
    }
    Ok(gone.into_iter().map(|((name, _), found)| (name, found)).collect())
}
