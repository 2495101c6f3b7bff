//! `tenants nats-credentials`: a credentials file for a tenant's NATS clients, and how it is used.

use std::path::PathBuf;

use bus::{accounts::DOMAIN, topology::tenant_stream};
use clap::{Args, Command, FromArgMatches as _};
use reqwest::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, Extra};
use crate::{
    client::segment,
    context::ConnectArgs,
    exit::{Code, Failure, Result},
    output::{Format, Output, item, note, print},
    up::operator::write_private,
};

pub(super) const NATS_CREDENTIALS: Extra = Extra {
    name: "nats-credentials",
    command: || {
        CredentialsArgs::augment_args(Command::new("nats-credentials")).about(
            "Make a credentials file with which NATS clients read its stream, and nothing else of the broker",
        )
    },
    run: |matches, output| {
        Box::pin(async move {
            let args =
                CredentialsArgs::from_arg_matches(&matches).map_err(|e| Failure::usage(e.to_string()))?;
            make(args, output).await.map(|()| Code::Done)
        })
    },
};

#[derive(Debug, Clone, Args)]
struct CredentialsArgs {
    /// Its id
    id: String,
    /// For people
    #[arg(long)]
    name: Option<String>,
    /// Where they begin: with the oldest that the stream holds, or with what comes from now on
    #[arg(long, value_parser = ["start", "new"], default_value = "start")]
    begin: String,
    /// File to write, readable by its owner only [default: stdout]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What a client has to be told.
#[derive(Serialize)]
struct Made {
    id: String,
    stream: String,
    consumer: String,
    /// The JetStream domain.
    domain: &'static str,
    /// Whose events come by a plain subscription, as long as it lasts.
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
}

async fn make(args: CredentialsArgs, output: Output) -> Result<()> {
    #[derive(Deserialize)]
    struct Tenant {
        placement: String,
    }
    #[derive(Deserialize)]
    struct Answer {
        id: String,
        credentials: String,
    }
    let client = Client::open(&args.connect)?;
    let tenant = segment(&args.id).to_string();
    let path = format!("/api/v1/tenants/{tenant}");
    let Tenant { placement } = client.api().json(client.api().request(Method::GET, &path)?).await?;
    let mut body = Map::from_iter([("begin".to_owned(), Value::from(args.begin))]);
    body.extend(args.name.map(|name| ("name".to_owned(), Value::from(name))));
    let request = client.api().request(Method::POST, &format!("{path}/nats-credentials"))?.json(&body);
    let Answer { id, credentials } = client.api().json(request).await?;
    let made = Made {
        stream: tenant_stream(&placement),
        consumer: format!("{}~{id}", args.id),
        domain: DOMAIN,
        subject: format!("tenant.{placement}.{}.>", args.id),
        id,
        credentials: args.file.is_none().then(|| credentials.clone()),
    };
    if let Some(file) = &args.file {
        write_private(file, &SecretString::from(&*credentials))?;
    }
    if output.format == Format::Table {
        if args.file.is_none() {
            print(credentials.trim_end())?;
        }
        note(&format!(
            "stream {}, consumer {}, JetStream domain {DOMAIN}; subject {}",
            made.stream, made.consumer, made.subject
        ));
        note(&format!(
            "take it back with: eventrunner nats-credentials delete {} --tenant {}",
            made.id, args.id
        ));
        return Ok(());
    }
    output.one(&item(&made)?)
}
