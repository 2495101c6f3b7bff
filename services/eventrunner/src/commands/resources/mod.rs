//! `eventrunner systems|sources|keys|…`: every kind of resource over the HTTP API, from one table.

mod client;
mod flag;
mod kind;
mod limits;
mod nats_credentials;
mod run;
mod special;
mod table;
mod verb;
mod verification;

use clap::{ArgMatches, Command, FromArgMatches, Subcommand, error::ErrorKind};

pub(crate) use self::{
    client::{Client, Precondition},
    flag::{put, read_text},
    kind::{Extra, Id, Kind, Place},
    run::{connect, show_key},
    table::KINDS,
};
use self::{
    flag::{Flag, Form},
    verb::Verb,
};
use crate::{
    exit::{Code, Result},
    output::Output,
};

/// A noun of the table with one of its verbs.
#[derive(Clone)]
pub(crate) struct Resources {
    kind: &'static Kind,
    verb: Asked,
    matches: ArgMatches,
}

#[derive(Clone, Copy)]
enum Asked {
    Verb(Verb),
    Extra(Extra),
}

impl std::fmt::Debug for Resources {
    // What was given may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources").field("noun", &self.kind.noun).finish_non_exhaustive()
    }
}

impl FromArgMatches for Resources {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
        let (noun, matches) = matches.subcommand().ok_or_else(missing)?;
        let kind = KINDS.iter().find(|kind| kind.noun == noun).ok_or_else(missing)?;
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let verb = Verb::ALL.into_iter().find(|verb| verb.name() == name).map(Asked::Verb);
        let extra = || kind.extras.iter().find(|extra| extra.name == name).copied().map(Asked::Extra);
        let verb = verb.or_else(extra).ok_or_else(missing)?;
        Ok(Self { kind, verb, matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Resources {
    fn augment_subcommands(command: Command) -> Command {
        KINDS.iter().fold(command, |command, kind| command.subcommand(verb::noun(kind)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        KINDS.iter().any(|kind| kind.noun == name)
    }
}

/// Does it.
pub(crate) async fn run(asked: Resources, output: Output) -> Result<Code> {
    let Resources { kind, verb, matches } = asked;
    match verb {
        Asked::Verb(verb) => run::run(kind, verb, matches, output).await.map(|()| Code::Done),
        Asked::Extra(extra) => (extra.run)(matches, output).await,
    }
}
