//! `eventrunner config`: what is in force, and whether it is right.

use clap::{Args, Subcommand};

use crate::{
    config::{ConfigArgs, reference},
    exit::{Failure, Result},
    output::{note, print},
};

/// The configuration of the services
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner config print --config eventrunner.toml
  EVENTRUNNER_TOPOLOGY__PARTITIONS=8 eventrunner config check
  eventrunner config schema > config.schema.json")]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Print what is in force, as TOML; secrets are redacted
    Print(PrintArgs),
    /// Check it; exit code 78 when it is wrong
    Check(ConfigArgs),
    /// Print its JSON Schema
    Schema,
}

#[derive(Debug, Clone, Args)]
struct PrintArgs {
    /// Only what differs from the defaults, with where it comes from
    #[arg(long)]
    changed: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(ConfigCommand { verb }: ConfigCommand) -> Result<()> {
    match verb {
        Verb::Print(args) if args.changed => changed(&args.config),
        Verb::Print(args) => print(text(&args.config.load([])?)?.trim_end()),
        Verb::Check(args) => {
            let config = args.load([])?;
            // What is only read when it is used: a wrong key should not be found at three in the morning.
            if config.sealing.key.is_set()
                || config.sealing.key_file.as_ref().is_some_and(|file| file.exists())
            {
                config.sealer()?;
            }
            note("the configuration is right");
            Ok(())
        }
        Verb::Schema => print(reference::schema_text()?.trim_end()),
    }
}

fn text(config: &crate::config::Config) -> Result<String> {
    runtime::config::print(config).map_err(|e| Failure::config(e.to_string()))
}

fn changed(args: &ConfigArgs) -> Result<()> {
    let loaded = args.load_with_origins([])?;
    let parse = |config| -> Result<toml::Table> {
        toml::from_str(&text(config)?).map_err(|e| Failure::failed(format!("cannot be printed: {e}")))
    };
    let (now, defaults) = (parse(&loaded.value)?, parse(&crate::config::Config::default())?);
    let mut lines = Vec::new();
    differences(&mut lines, "", &toml::Value::Table(now), Some(&toml::Value::Table(defaults)));
    for (key, value) in lines {
        print(&format!("{key} = {value}  # {}", loaded.origin(&key)))?;
    }
    Ok(())
}

fn differences(
    lines: &mut Vec<(String, toml::Value)>,
    prefix: &str,
    now: &toml::Value,
    default: Option<&toml::Value>,
) {
    match now {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                differences(lines, &key, value, default.and_then(|d| d.get(name)));
            }
        }
        value if Some(value) != default => lines.push((prefix.to_owned(), value.clone())),
        _ => {}
    }
}
