//! The verbs that every kind has, as the command line knows them.

use clap::{Arg, ArgAction, Args as _, Command, value_parser};

use super::{Flag, Id, Kind, Place};
use crate::context::ConnectArgs;

/// What can be done with resources of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    List,
    Get,
    Replace,
    Patch,
    Delete,
    Undelete,
}

impl Verb {
    pub(crate) const ALL: [Self; 7] =
        [Self::Create, Self::List, Self::Get, Self::Replace, Self::Patch, Self::Delete, Self::Undelete];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Get => "get",
            Self::Replace => "replace",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
        }
    }

    const fn alias(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("add"),
            Self::List => Some("ls"),
            Self::Patch => Some("update"),
            Self::Delete => Some("rm"),
            Self::Get | Self::Replace | Self::Undelete => None,
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Create => "Create one, or with --replace make it what is given",
            Self::List => "List them",
            Self::Get => "Show one",
            Self::Replace => {
                "Make one what is given, as a whole; what is left out gets its default, but for secrets, which stay"
            }
            Self::Patch => "Change what is given and leave the rest as it is",
            Self::Delete => "Delete one; it can be undeleted until it is purged",
            Self::Undelete => "Bring back one that was deleted",
        }
    }

    /// Whether the whole resource is written.
    pub(crate) const fn is_whole(self) -> bool {
        matches!(self, Self::Create | Self::Replace)
    }

    /// Whether a resource or a part of one is written.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Replace | Self::Patch)
    }
}

/// A kind with its verbs.
pub(super) fn noun(kind: &'static Kind) -> Command {
    let command =
        Command::new(kind.noun).about(kind.about).subcommand_required(true).arg_required_else_help(true);
    let command = if kind.examples.is_empty() {
        command
    } else {
        command.after_help(format!("Examples:\n{}", kind.examples))
    };
    let command = Verb::ALL.iter().fold(command, |command, verb| command.subcommand(one(kind, *verb)));
    kind.extras.iter().fold(command, |command, extra| command.subcommand((extra.command)()))
}

fn one(kind: &'static Kind, verb: Verb) -> Command {
    let mut command = Command::new(verb.name()).about(verb.about());
    if let Some(alias) = verb.alias() {
        command = command.visible_alias(alias);
    }
    if verb != Verb::List && !(verb == Verb::Create && kind.id == Id::Given) {
        command = command.arg(id(kind, verb));
    }
    if verb.writes() {
        command = written(kind, verb, command);
    }
    match verb {
        Verb::List => command = listed(kind, command),
        Verb::Create if kind.id != Id::Given => {
            let help = "Write over the one there is, and bring it back if it was deleted";
            command = command.arg(switch("replace", help));
        }
        Verb::Replace | Verb::Patch | Verb::Delete | Verb::Undelete => {
            let help = "Only if it is still at that revision";
            command = command.arg(
                Arg::new("revision")
                    .long("revision")
                    .value_name("N")
                    .value_parser(value_parser!(u64))
                    .help(help),
            );
        }
        Verb::Create | Verb::Get => {}
    }
    ConnectArgs::augment_args(command)
}

fn id(kind: &Kind, verb: Verb) -> Arg {
    let help = match kind.place {
        Place::Either => "Its id; fleet/ID for one of the fleet's",
        _ if kind.id == Id::Name => "Its name",
        _ => "Its id",
    };
    let arg = Arg::new("id").value_name(if kind.id == Id::Name { "NAME" } else { "ID" }).help(help);
    // A file may say it.
    if verb == Verb::Create { arg.required_unless_present("file") } else { arg.required(true) }
}

fn written(kind: &'static Kind, verb: Verb, mut command: Command) -> Command {
    for flag in kind.flags_of() {
        command = command.arg(flag.arg(verb));
    }
    if let Some((add, _)) = kind.other_flags {
        command = add(command);
    }
    let help = "File with the members, JSON, or YAML if its name says so; - for stdin. Flags go before it";
    command = command.arg(
        Arg::new("file")
            .long("file")
            .short('f')
            .value_name("FILE")
            .value_parser(value_parser!(std::path::PathBuf))
            .help(help),
    );
    if verb == Verb::Patch {
        let help = "Take a member away: its name, or a JSON pointer such as /labels/team; repeatable";
        command = command
            .arg(Arg::new("unset").long("unset").value_name("MEMBER").action(ArgAction::Append).help(help));
    }
    command
}

fn listed(kind: &Kind, command: Command) -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let all = match kind.place {
        Place::Fleet => None,
        Place::Tenant => Some("Of all tenants"),
        Place::Either => Some("Of the fleet and of all tenants"),
    };
    let labels = "Only with such a label: NAME, !NAME, NAME=VALUE or NAME!=VALUE; repeatable, all must hold";
    let mut command = command
        .arg(text("label", "TEST", labels).short('l').action(ArgAction::Append))
        .arg(text("query", "TEXT", "Only with this text in id, name or description").short('q'))
        .arg(
            text(
                "sort",
                "MEMBER",
                "id, name, created_at or updated_at; with - before it the other way round",
            )
            .allow_hyphen_values(true),
        )
        .arg(switch("deleted", "Those that are deleted and not purged, instead"))
        .arg(
            text("limit", "N", "Most to show [default: all]")
                .short('n')
                .value_parser(value_parser!(u32).range(1..)),
        );
    if let Some(help) = all {
        command = command.arg(switch("all-tenants", help).short('A'));
    } else if kind.noun == "tenants" {
        // Always so; kept for who writes it.
        command = command.arg(switch("all-tenants", "Of all tenants").short('A').hide(true));
    }
    if kind.place == Place::Either {
        command = command.arg(switch("fleet", "The fleet's own").conflicts_with("all-tenants"));
    }
    command
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// What every resource has.
pub(super) const COMMON: [Flag; 2] = [
    Flag::text("description", "/description", "For people: what it is for"),
    Flag::new("label", "/labels", super::Form::Pairs, "Label such as team=tills; repeatable"),
];
