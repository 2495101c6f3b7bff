//! `docs/cli.md`, made from the tree.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::Cli;
use crate::exit::Code;

const HEAD: &str = "# Command line

<!-- Made by `eventrunner docs`; a test fails when it is stale. -->

One binary holds every service and the commands to use them. Data goes to stdout, everything else to stderr. Client
commands find a fleet by flags, then the environment (`EVENTRUNNER_URL`, `EVENTRUNNER_API_URL`, `EVENTRUNNER_KEY`, ...),
then a context: the one named by `--context`, the one in use (`eventrunner context use`), or the file that `eventrunner up` leaves in
its data folder. Tenants, keys and all other resources are managed over the HTTP API; each command that reads or changes them takes the
same verbs and flags ([control-plane.md](control-plane.md) is the same with `curl`).

## Exit codes

| code | meaning |
|---|---|
";

/// The page.
pub(crate) fn markdown() -> String {
    let mut text = String::from(HEAD);
    for (code, meaning) in Code::ALL {
        let _ = writeln!(text, "| {} | {meaning} |", *code as u8);
    }
    let mut root = Cli::command();
    root.build();
    let _ = write!(text, "\n## Options of every command\n\n");
    options(&mut text, root.get_arguments().filter(|arg| arg.is_global_set()));
    for command in root.get_subcommands().filter(|c| !c.is_hide_set()) {
        section(&mut text, command, "eventrunner", 2);
    }
    text
}

fn section(text: &mut String, command: &Command, parent: &str, depth: usize) {
    let name = format!("{parent} {}", command.get_name());
    let _ = write!(text, "\n{} {name}\n\n", "#".repeat(depth));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(text, "{}.\n", about.to_string().trim_end_matches('.'));
    }
    let verbs: Vec<&Command> = command.get_subcommands().filter(|c| !c.is_hide_set()).collect();
    if verbs.is_empty() {
        let positionals: Vec<String> = command.get_positionals().map(positional).collect();
        let _ = writeln!(
            text,
            "```\n{}\n```\n",
            format!("{name} [OPTIONS] {}", positionals.join(" ")).trim_end()
        );
        options(text, command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set()));
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let examples = examples.strip_prefix("Examples:\n").unwrap_or(&examples);
        let lines: Vec<&str> = examples.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let _ = writeln!(text, "\nExamples:\n\n```sh\n{}\n```", lines.join("\n"));
    }
    for verb in verbs {
        section(text, verb, &name, depth + 1);
    }
}

fn positional(arg: &Arg) -> String {
    let name = value_name(arg);
    let name =
        if arg.get_num_args().is_some_and(|n| n.max_values() > 1) { format!("{name}...") } else { name };
    if arg.is_required_set() { format!("<{name}>") } else { format!("[{name}]") }
}

fn value_name(arg: &Arg) -> String {
    let named = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    named.unwrap_or_else(|| arg.get_id().as_str().to_uppercase())
}

fn options<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let rows: Vec<String> =
        args.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())).map(row).collect();
    if !rows.is_empty() {
        let _ = writeln!(text, "| option | meaning |\n|---|---|\n{}", rows.join("\n"));
    }
}

fn row(arg: &Arg) -> String {
    let takes_value = arg.get_action().takes_values();
    let value = if takes_value { format!(" <{}>", value_name(arg)) } else { String::new() };
    let name = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        (Some(short), None) => format!("-{short}{value}"),
        (None, None) => positional(arg),
    };
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = if takes_value {
        arg.get_possible_values()
            .iter()
            .filter(|v| !v.is_hide_set())
            .map(|v| format!("`{}`", v.get_name()))
            .collect()
    } else {
        Vec::new()
    };
    if !values.is_empty() {
        let _ = write!(meaning, ": {}", values.join(", "));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if takes_value && !defaults.concat().is_empty() {
        let _ = write!(meaning, " (default `{}`)", defaults.join(","));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(meaning, " (or `{}`)", variable.to_string_lossy());
    }
    format!("| `{name}` | {} |", meaning.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound_and_every_part_of_it_is_explained() {
        let mut root = Cli::command();
        root.clone().debug_assert();
        root.build();
        explained(&root);
    }

    fn explained(command: &Command) {
        assert!(command.get_about().is_some(), "{} is not explained", command.get_name());
        for arg in command.get_arguments() {
            let silent = ["help", "version", "shell", "files"].contains(&arg.get_id().as_str());
            assert!(
                arg.get_help().is_some() || silent,
                "{} {} is not explained",
                command.get_name(),
                arg.get_id()
            );
        }
        command.get_subcommands().for_each(explained);
    }
}
