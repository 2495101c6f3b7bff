//! `eventrunner nats`: what a broker of one's own is set up with.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

use clap::{Args, Subcommand};

use crate::{
    exit::{Failure, Result},
    output::note,
    up::{broker::epoch_seconds, operator},
};

/// The broker's accounts: the fleet's own, and those of tenants that read their streams with NATS clients
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner nats init --folder accounts --node-folder /data/nats/accounts
  eventrunner tenants nats-credentials acme --file orders.creds     # then, for a tenant's clients")]
pub(crate) struct Nats {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Make an operator: what nats-server includes, what the fleet logs in with, and the seed that `api` signs with
    Init(InitArgs),
}

#[derive(Debug, Clone, Args)]
struct InitArgs {
    /// Where operator.seed, fleet.creds and accounts.conf go. An operator.seed that is there is kept, and the others are written anew
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Where each node of the broker keeps what it is told of accounts
    #[arg(long, value_name = "FOLDER", default_value = "/data/nats/accounts")]
    node_folder: PathBuf,
}

pub(crate) fn run(Nats { verb: Verb::Init(args) }: Nats) -> Result<()> {
    let folder = &args.folder;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| Failure::file("cannot make", folder, &e))?;
    let (operator, _) = operator::of_folder(folder)?;
    let accounts = folder.join("accounts.conf");
    fs::write(&accounts, operator.broker_config(&args.node_folder, epoch_seconds()))
        .map_err(|e| Failure::file("cannot write", &accounts, &e))?;
    note(&format!(
        "{}: accounts.conf for nats-server to include, fleet.creds for the fleet to log in with, operator.seed for api",
        folder.display()
    ));
    Ok(())
}
