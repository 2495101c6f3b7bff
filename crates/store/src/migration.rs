//! Changes of an external store's schema, one after the other.
//!
//! Rules for whoever adds one: versions count up without gaps and what was released never changes; every statement may run
//! again, and at the same time as itself, and ends at the same, because two runners may meet and one may die half way;
//! what the release before still reads is taken away one release later (expand, then contract).

/// One step of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The schema's version afterwards; the first is 1.
    pub version: u32,
    /// What it is for, in a few words.
    pub name: &'static str,
    /// In order.
    pub statements: &'static [&'static str],
}

/// What to do about steps that have not been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Say whether there are any.
    Check,
    /// Say what would be run.
    DryRun,
    /// Run them.
    Apply,
}

/// Where a schema stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The version found; 0 when there is no schema.
    pub current: u32,
    /// The version this program works with.
    pub target: u32,
    /// The statements that are missing, in order; with [`Mode::Apply`] those that were run.
    pub pending: Vec<String>,
}
