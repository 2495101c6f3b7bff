//! `eventrunner demo`: what `eventrunner up` does for a newcomer, on a fleet that something else starts.

use clap::Args;

use super::catalog::Opened;
use crate::{
    context::ConnectArgs,
    exit::{Failure, Result},
    output::{Output, note, print},
    up::{
        demo::{self, Urls},
        first_curl, folder,
    },
};

/// Make a tenant to try a new fleet with, and keys for it, and print the first request
///
/// Speaks to the broker, as there is no key yet; the streams must be there. The keys and the addresses go to the context file of
/// the data folder, where the other commands find them. Run again, it keeps the key it made. Where somebody else has made
/// tenants it makes none.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner migrate && eventrunner demo --nats-url nats://nats:4222 --url http://ingest-http:8080 --api-url http://api:8081")]
pub(crate) struct Demo {
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Demo, output: Output) -> Result<()> {
    let folder = args.connect.data_dir.clone().map_or_else(folder::default_path, Ok)?;
    std::fs::create_dir_all(&folder).map_err(|e| Failure::file("cannot make", &folder, &e))?;
    let opened = Opened::open(&args.connect).await?;
    let context = &opened.context;
    let urls = Urls {
        url: context.url.clone(),
        api_url: context.api_url.clone(),
        nats_url: context.nats_url.clone(),
        nats_credentials_file: context.nats_credentials_file.clone(),
        nats_ca_file: context.nats_ca_file.clone(),
        admin_url: context.admin_url.clone(),
        nats_monitor_url: None,
    };
    let made = demo::prepare(&opened.catalog, &folder, &urls, None).await;
    let Some(credentials) = made? else {
        opened.close().await;
        note("there are tenants already; make a key for one with: eventrunner keys create");
        return Ok(());
    };
    print(&format!(
        "Send an event, as tenant {}:\n\n{}",
        credentials.tenant,
        first_curl(&urls, &credentials, output)
    ))?;
    opened.close().await;
    Ok(())
}
