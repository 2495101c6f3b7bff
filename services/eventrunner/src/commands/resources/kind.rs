//! What the command line knows of a kind of resource: its words, its place in the API, its columns and flags.

use clap::{ArgMatches, Command};
use model::FLEET;
use serde_json::{Map, Value};

use super::{Flag, Verb, limits, verb::COMMON};
use crate::{
    client::segment,
    exit::{Code, Failure, Result},
    output::{Column, Output},
};

/// Where resources of a kind stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// They are the fleet's.
    Fleet,
    /// They are a tenant's.
    Tenant,
    /// A tenant's, or the fleet's where their id is written `fleet/<id>`.
    Either,
}

/// What ids of a kind are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    /// Chosen by who makes one: a-z, 0-9 and '-'.
    Slug,
    /// Chosen by who makes one, any text, in the member `name`.
    Name,
    /// Chosen by the fleet.
    Given,
}

/// Adds flags to a verb.
pub(crate) type Adds = fn(Command) -> Command;

/// Fills a resource from flags that are no plain members.
pub(crate) type Fill = fn(Verb, &ArgMatches, &mut Map<String, Value>) -> Result<()>;

/// A verb of one kind only.
#[derive(Clone, Copy)]
pub(crate) struct Extra {
    pub(crate) name: &'static str,
    pub(crate) command: fn() -> Command,
    pub(crate) run: fn(ArgMatches, Output) -> Running,
}

/// What an extra verb does.
pub(crate) type Running = std::pin::Pin<Box<dyn Future<Output = Result<Code>>>>;

/// A kind of resource.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// As documents call it: `event-type`.
    pub(crate) name: &'static str,
    /// The command, and the last part of the path of its list: `event-types`.
    pub(crate) noun: &'static str,
    pub(crate) about: &'static str,
    pub(crate) examples: &'static str,
    pub(crate) place: Place,
    pub(crate) id: Id,
    flags: &'static [Flag],
    has_limits: bool,
    pub(crate) columns: &'static [Column],
    /// Other flags than those, and what becomes of them.
    pub(crate) other_flags: Option<(Adds, Fill)>,
    pub(crate) extras: &'static [Extra],
}

impl Kind {
    /// One that is a tenant's, with an id that is chosen.
    pub(super) const fn new(name: &'static str, noun: &'static str, about: &'static str) -> Self {
        Self {
            name,
            noun,
            about,
            examples: "",
            place: Place::Tenant,
            id: Id::Slug,
            flags: &[],
            has_limits: false,
            columns: &[],
            other_flags: None,
            extras: &[],
        }
    }

    pub(super) const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    pub(super) const fn ids(self, id: Id) -> Self {
        Self { id, ..self }
    }

    pub(super) const fn examples(self, examples: &'static str) -> Self {
        Self { examples, ..self }
    }

    pub(super) const fn flags(self, flags: &'static [Flag]) -> Self {
        Self { flags, ..self }
    }

    /// With the flags of limits.
    pub(super) const fn limits(self) -> Self {
        Self { has_limits: true, ..self }
    }

    pub(super) const fn columns(self, columns: &'static [Column]) -> Self {
        Self { columns, ..self }
    }

    pub(super) const fn other_flags(self, add: Adds, fill: Fill) -> Self {
        Self { other_flags: Some((add, fill)), ..self }
    }

    pub(super) const fn extras(self, extras: &'static [Extra]) -> Self {
        Self { extras, ..self }
    }

    /// Its members as flags.
    pub(super) fn flags_of(&self) -> impl Iterator<Item = &'static Flag> {
        let limits = if self.has_limits { limits::FLAGS } else { &[] };
        self.flags.iter().chain(limits).chain(&COMMON)
    }

    /// The member that holds the id.
    pub(crate) const fn id_member(&self) -> &'static str {
        if matches!(self.id, Id::Name) { "name" } else { "id" }
    }

    /// The member of a page that holds the list.
    pub(crate) fn list_member(&self) -> String {
        self.noun.replace('-', "_")
    }

    /// Whether one of that id would be the fleet's.
    pub(crate) fn is_fleets(&self, id: &str) -> bool {
        match self.place {
            Place::Fleet => true,
            Place::Tenant => false,
            Place::Either => id.starts_with(relations::FLEETS),
        }
    }

    /// The id as the API has it.
    pub(crate) fn plain_id<'a>(&self, id: &'a str) -> &'a str {
        match self.place {
            Place::Either => id.strip_prefix(relations::FLEETS).unwrap_or(id),
            _ => id,
        }
    }

    /// The path of a list: a tenant's, or the fleet's.
    pub(crate) fn list_path(&self, tenant: Option<&str>) -> String {
        match (self.place, tenant) {
            (Place::Fleet, _) => format!("/api/v1/{}", self.noun),
            (_, Some(tenant)) => format!("/api/v1/tenants/{}/{}", segment(tenant), self.noun),
            (_, None) => format!("/api/v1/fleet/{}", self.noun),
        }
    }

    /// The path of one.
    pub(crate) fn path(&self, tenant: Option<&str>, id: &str) -> String {
        format!("{}/{}", self.list_path(tenant), segment(self.plain_id(id)))
    }

    /// Whether an id could be one.
    pub(crate) fn check_id(&self, id: &str) -> Result<()> {
        let plain = self.plain_id(id);
        match self.id {
            Id::Slug => plain.parse::<model::SystemId>().map(drop).map_err(|e| {
                let owner = FLEET.as_str();
                let text = e.to_string();
                Failure::usage(if plain == owner { format!("{owner} is no id") } else { text })
            }),
            Id::Name | Id::Given if plain.is_empty() => Err(Failure::usage("an id must not be empty")),
            Id::Name | Id::Given => Ok(()),
        }
    }
}
