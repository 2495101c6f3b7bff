//! Making each resource what its document says.

use std::{collections::BTreeSet, path::Path};

use futures::StreamExt as _;
use model::ErrorCode;
use serde_json::{Map, Value};

use super::{
    Apply, SET_LABEL,
    document::{Document, Name},
    facts, keys,
    lease::Held,
    report::{Action, Change, Report, diff},
    secrets,
    state::{AT_ONCE, Found, State},
};
use crate::{
    commands::resources::{Client, Id, Kind, Precondition},
    exit::{Code, Failure, Result},
    output::Item,
};

const DRY: &[(&str, &str)] = &[("dry_run", "true")];

/// Leaves out the secrets that stay, and puts the others in place of what refers to them.
pub(super) fn prepare(documents: &mut [Document], state: &State, all: bool) -> Result<()> {
    let mut missing = Vec::new();
    for document in documents {
        let pointers = &facts::of(document.kind()?)?.secrets;
        if let Some(found) = state.live(&document.name)?.filter(|_| !all) {
            for pointer in pointers {
                let wanted = facts::take(&mut document.body, pointer);
                let Some(wanted) = wanted else { continue };
                if !secrets::stay(&wanted, &found.body, pointer) {
                    crate::commands::resources::put(&mut document.body, pointer, wanted);
                }
            }
        }
        let folder = document.file.parent().unwrap_or_else(|| Path::new("."));
        let lacks = secrets::resolve(&mut document.body, pointers, folder);
        missing.extend(lacks.into_iter().map(|lack| format!("{}: {lack}", document.name)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::data(format!("nothing was applied; secrets are missing:\n{}", missing.join("\n"))))
}

/// Whether all went well so far.
pub(super) fn settle(report: &Report) -> Result<()> {
    match report.count(Action::Failed) {
        0 => Ok(()),
        failed => Err(Failure::data(format!("{failed} could not be applied"))
            .hint("what could be, was; mend it and apply again")),
    }
}

pub(super) struct Worker<'a> {
    client: &'a Client,
    args: &'a Apply,
    state: &'a State,
    /// What is not there yet.
    new: BTreeSet<&'a str>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        client: &'a Client,
        args: &'a Apply,
        state: &'a State,
        documents: &'a [Document],
    ) -> Self {
        let is_new = |document: &&Document| matches!(state.live(&document.name), Ok(None));
        let new = documents.iter().filter(is_new).map(|document| &*document.name.id).collect();
        Self { client, args, state, new }
    }

    /// Applies documents side by side. After a failure those that would follow are left.
    pub(super) async fn apply(
        &self,
        documents: impl Iterator<Item = &Document>,
        held: &Held,
        report: &mut Report,
    ) -> Result<()> {
        let works = documents.map(|document| async move {
            let outcome = match held.check() {
                Ok(()) => self.one(document).await,
                Err(lost) => Err(lost),
            };
            (document, outcome)
        });
        let mut works = futures::stream::iter(works).buffer_unordered(AT_ONCE);
        let mut fatal = None;
        while let Some((document, outcome)) = works.next().await {
            let change = match outcome {
                Ok(change) => change,
                Err(failure) => {
                    let change = Change::failed(&document.name, failure.message.clone());
                    // What has nothing to do with this one stops all.
                    if failure.code != Code::Data && failure.error != Some(ErrorCode::Forbidden) {
                        fatal.get_or_insert(failure);
                    }
                    change
                }
            };
            report.add(&document.name, change)?;
            if fatal.is_some() {
                break;
            }
        }
        // Those under way are done before anything is said of them.
        while let Some((document, outcome)) = works.next().await {
            if fatal.is_none() {
                break;
            }
            let failed = |failure: Failure| Change::failed(&document.name, failure.message);
            report.add(&document.name, outcome.unwrap_or_else(failed))?;
        }
        match fatal {
            Some(failure) => Err(failure),
            None if self.args.dry_run => Ok(()),
            None => settle(report),
        }
    }

    async fn one(&self, document: &Document) -> Result<Change> {
        let (kind, name) = (document.kind()?, &document.name);
        let found = self.state.live(name)?;
        let mut body = document.body.clone();
        if let Err(failure) = keys::resolve(self.client, &mut body).await
            && !self.args.dry_run
        {
            return Err(failure);
        }
        self.mark(&mut body, found)?;
        match found {
            Some(found) => self.update(kind, name, found, &body).await,
            None => self.make(kind, name, &body).await,
        }
    }

    /// Labels it as a part of the set.
    fn mark(&self, body: &mut Map<String, Value>, found: Option<&Found>) -> Result<()> {
        let of = |body: &Map<String, Value>| {
            body.get("labels")
                .and_then(|labels| labels.get(SET_LABEL))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let belongs = found.and_then(|found| of(&found.body));
        let set = match (&self.args.set, belongs) {
            (Some(set), Some(other)) if *set != other && !self.args.take_over => {
                return Err(Failure::data(format!("belongs to the set {other}; take it with --take-over")));
            }
            (Some(set), _) => set.clone(),
            (None, Some(other)) if of(body).is_none() => other,
            (None, _) => return Ok(()),
        };
        let labels = body.entry("labels").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(labels) = labels {
            labels.insert(SET_LABEL.to_owned(), set.into());
        }
        Ok(())
    }

    async fn update(
        &self,
        kind: &Kind,
        name: &Name,
        found: &Found,
        body: &Map<String, Value>,
    ) -> Result<Change> {
        let facts = facts::of(kind)?;
        let mut is = found.body.clone();
        facts::strip(&mut is, &facts.read_only);
        let whole = Value::Object(body.clone());
        let sends = facts.secrets.iter().any(|pointer| whole.pointer(pointer).is_some());
        if !sends && is == *body {
            return Ok(Change::new(Action::Unchanged, name));
        }
        let at = (name.tenant.as_deref(), &*found.id);
        let looked = self.client.replace(kind, at, body, Precondition::Exists, DRY).await;
        let would = match looked {
            Ok(would) => stripped(kind, &would)?,
            Err(failure) => match self.unchecked(name, body, failure) {
                Ok(detail) => {
                    let diff = Some(diff(name, Some(&is), Some(&shown(kind, body)?))?);
                    return Ok(Change { diff, detail: Some(detail), ..Change::new(Action::Updated, name) });
                }
                Err(failure) => return Err(failure),
            },
        };
        if !sends && would == is {
            return Ok(Change::new(Action::Unchanged, name));
        }
        let diff = Some(diff(name, Some(&is), Some(&would))?);
        let change = Change { diff, ..Change::new(Action::Updated, name) };
        if self.args.dry_run {
            return Ok(change);
        }
        let precondition = Precondition::Revision(found.revision);
        self.client.replace(kind, at, body, precondition, &[]).await?;
        Ok(change)
    }

    async fn make(&self, kind: &Kind, name: &Name, body: &Map<String, Value>) -> Result<Change> {
        let at = (name.tenant.as_deref(), &*name.id);
        let deleted = self.state.is_deleted(name)?;
        let action = if deleted { Action::Undeleted } else { Action::Created };
        if self.args.dry_run {
            let looked = match kind.id {
                Id::Given => self.client.create(kind, at.0, body, DRY).await,
                _ if deleted => {
                    Ok(serde_json::value::to_raw_value(body).map_err(|e| Failure::failed(e.to_string()))?)
                }
                _ => self.client.replace(kind, at, body, Precondition::Absent, DRY).await,
            };
            let (would, detail) = match looked {
                Ok(would) => (stripped(kind, &would)?, None),
                Err(failure) => (body.clone(), Some(self.unchecked(name, body, failure)?)),
            };
            let diff = Some(diff(name, None, Some(&shown(kind, &would)?))?);
            return Ok(Change { diff, detail, ..Change::new(action, name) });
        }
        if kind.id == Id::Given {
            let made = self.client.create(kind, at.0, body, &[]).await?;
            let made: Value = serde_json::from_str(made.get()).unwrap_or_default();
            let key = made.get("key").and_then(Value::as_str).map(str::to_owned);
            return Ok(Change { key, ..Change::new(action, name) });
        }
        if !deleted {
            match self.client.replace(kind, at, body, Precondition::Absent, &[]).await {
                Ok(_) => return Ok(Change::new(action, name)),
                // Of a tenant that was deleted, nobody could tell what else was.
                Err(failure) if failure.error == Some(ErrorCode::Conflict) => {}
                Err(failure) => return Err(failure),
            }
        }
        let back = self.client.undelete(kind, at, Precondition::Nothing, &[]).await?;
        let back: Value = serde_json::from_str(back.get()).unwrap_or_default();
        let revision = back.get("revision").and_then(Value::as_u64);
        let precondition = revision.map_or(Precondition::Exists, Precondition::Revision);
        self.client.replace(kind, at, body, precondition, &[]).await?;
        Ok(Change::new(Action::Undeleted, name))
    }

    /// Why it cannot be said yet whether it could be done: in a dry run, what it names may not be there yet.
    fn unchecked(&self, name: &Name, body: &Map<String, Value>, failure: Failure) -> Result<String> {
        let refused = matches!(failure.error, Some(ErrorCode::InvalidArgument | ErrorCode::NotFound));
        if self.args.dry_run && refused && !self.new.is_empty() {
            let own = ["id", "name"];
            let others =
                body.iter().filter(|(member, value)| !own.contains(&member.as_str()) || **value != name.id);
            let names_new = others.map(|(_, value)| value).any(|value| self.names_new(value));
            if names_new || failure.error == Some(ErrorCode::NotFound) {
                return Ok("cannot be checked before what it names is there".to_owned());
            }
        }
        Err(failure)
    }

    fn names_new(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => {
                self.new.contains(text.trim_start_matches("role:")) || text.contains("${key:")
            }
            Value::Array(values) => values.iter().any(|value| self.names_new(value)),
            Value::Object(members) => members.values().any(|value| self.names_new(value)),
            _ => false,
        }
    }
}

/// A resource of the API's, without what only the fleet sets.
fn stripped(kind: &Kind, item: &Item) -> Result<Map<String, Value>> {
    let mut body: Map<String, Value> = serde_json::from_str(item.get())
        .map_err(|_| Failure::failed("the API answered something that is no resource"))?;
    facts::strip(&mut body, &facts::of(kind)?.read_only);
    Ok(body)
}

/// A resource as it may be shown.
fn shown(kind: &Kind, body: &Map<String, Value>) -> Result<Map<String, Value>> {
    let mut body = body.clone();
    facts::strip(&mut body, &facts::of(kind)?.secrets);
    Ok(body)
}
