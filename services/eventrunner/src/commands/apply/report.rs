//! What was done, or would be.

use serde::Serialize;
use serde_json::{Map, Value};
use similar::TextDiff;

use super::document::{Name, kind_at};
use crate::{
    exit::Result,
    output::{Format, Output, item, note, print, yaml},
};

/// What became of a resource, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Created,
    Undeleted,
    Updated,
    Deleted,
    Unchanged,
    Failed,
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Undeleted => "undeleted",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// One resource's.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) action: Action,
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diff: Option<String>,
    /// Why it failed, or could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// A key that was made; told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

impl Change {
    pub(super) fn new(action: Action, name: &Name) -> Self {
        let kind = kind_at(name.rank).map(|kind| kind.name).unwrap_or_default();
        let (tenant, id) = (name.tenant.clone(), name.id.clone());
        Self { action, kind, tenant, id, diff: None, detail: None, key: None }
    }

    pub(super) fn failed(name: &Name, detail: String) -> Self {
        Self { detail: Some(detail), ..Self::new(Action::Failed, name) }
    }
}

/// All that was done.
#[derive(Debug)]
pub(super) struct Report {
    output: Output,
    dry: bool,
    changes: Vec<Change>,
    unchanged: usize,
}

/// As one document.
#[derive(Serialize)]
struct Whole<'a> {
    dry_run: bool,
    created: usize,
    undeleted: usize,
    updated: usize,
    deleted: usize,
    unchanged: usize,
    failed: usize,
    changes: &'a [Change],
}

impl Report {
    pub(super) fn new(output: Output, dry: bool) -> Self {
        Self { output, dry, changes: Vec::new(), unchanged: 0 }
    }

    /// Whether nothing is done.
    pub(super) const fn is_dry(&self) -> bool {
        self.dry
    }

    /// Takes a change and, for people, tells of it at once.
    pub(super) fn add(&mut self, name: &Name, change: Change) -> Result<()> {
        if change.action == Action::Unchanged && change.detail.is_none() {
            self.unchanged += 1;
            return Ok(());
        }
        if self.output.format == Format::Table {
            let word = change.action.word();
            match &change.diff {
                Some(diff) if self.dry => print(diff.trim_end())?,
                _ if change.action == Action::Failed => {}
                _ => print(&format!("{word} {name}"))?,
            }
            if let Some(key) = &change.key {
                note(&format!("{name}; the key is shown this once:"));
                print(key)?;
            }
        }
        if let Some(detail) = &change.detail {
            note(&format!("{name}: {detail}"));
        }
        if self.output.format == Format::Jsonl {
            print(item(&change)?.get())?;
        }
        self.changes.push(change);
        Ok(())
    }

    pub(super) fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }

    /// Tells of all of it.
    pub(super) fn end(&self) -> Result<()> {
        use Action::{Created, Deleted, Failed, Unchanged, Undeleted, Updated};
        let unchanged = self.unchanged + self.count(Unchanged);
        match self.output.format {
            Format::Table => {
                let would = if self.dry { "nothing was done; it would be: " } else { "" };
                let mut parts: Vec<String> = [Created, Undeleted, Updated, Deleted, Failed]
                    .into_iter()
                    .filter(|action| self.count(*action) > 0)
                    .map(|action| format!("{} {}", self.count(action), action.word()))
                    .collect();
                parts.push(format!("{unchanged} unchanged"));
                note(&format!("{would}{}", parts.join(", ")));
                Ok(())
            }
            Format::Jsonl => Ok(()),
            Format::Json | Format::Yaml => self.output.one(&item(&Whole {
                dry_run: self.dry,
                created: self.count(Created),
                undeleted: self.count(Undeleted),
                updated: self.count(Updated),
                deleted: self.count(Deleted),
                unchanged,
                failed: self.count(Failed),
                changes: &self.changes,
            })?),
        }
    }
}

/// What differs between what there is and what is wished, line by line.
pub(super) fn diff(
    name: &Name,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
) -> Result<String> {
    let text =
        |resource: Option<&Map<String, Value>>| resource.map(yaml).transpose().map(Option::unwrap_or_default);
    let (before, after) = (text(old)?, text(new)?);
    let title =
        |there: bool, what: &str| if there { format!("{what} {name}") } else { "/dev/null".to_owned() };
    let diff = TextDiff::from_lines(&before, &after);
    let (a, b) = (title(old.is_some(), "is"), title(new.is_some(), "would be"));
    Ok(diff.unified_diff().header(&a, &b).to_string())
}
