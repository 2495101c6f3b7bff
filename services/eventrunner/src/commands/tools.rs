//! Small commands: `healthcheck`, `completions`, `openapi`, `docs`.

use std::{fs, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{
    cli::{Cli, reference},
    client::http_client,
    config,
    exit::{Code, Failure, Result},
    output::{note, print},
};

/// Ask a process whether it is healthy: exit code 0 or 1, for containers without curl
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner healthcheck
  eventrunner healthcheck http://127.0.0.1:9600/healthz/live")]
pub(crate) struct Healthcheck {
    /// What to ask
    #[arg(default_value = "http://127.0.0.1:9600/healthz/ready", env = "EVENTRUNNER_HEALTHCHECK_URL")]
    url: String,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

pub(crate) async fn healthcheck(args: Healthcheck) -> Result<()> {
    let http = http_client(Duration::from_secs(args.timeout))?;
    let failed = |reason: String| Failure::new(Code::Failed, format!("{} {reason}", args.url));
    let answer = http
        .get(&args.url)
        .send()
        .await
        .map_err(|e| failed(format!("does not answer: {}", crate::client::error::root(&e))))?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    if status.is_success() { print(&body) } else { Err(failed(format!("answered {status}: {body}"))) }
}

/// Print completions for a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner completions bash > ~/.local/share/bash-completion/completions/eventrunner
  eventrunner completions zsh > \"${fpath[1]}/_eventrunner\"")]
pub(crate) struct Completions {
    shell: Shell,
}

pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "eventrunner", &mut text);
    print(String::from_utf8_lossy(&text).trim_end())
}

/// The OpenAPI 3.1 document of ingest-http and api, indented.
pub(crate) fn openapi_text() -> Result<String> {
    let mut whole = api::openapi();
    let mut doors = ingest_http::openapi();
    api::complete_parameters(&mut doors);
    whole.merge(doors);
    whole.info.title = "EventRunner".to_owned();
    whole.info.description = Some(
        "Events in (`/v1`, served by ingest-http on port 8080) and out (`/api/v1`, served by api on port 8081).".to_owned(),
    );
    whole.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let text = serde_json::to_string_pretty(&whole);
    Ok(text.map_err(|e| Failure::failed(format!("the document cannot be written: {e}")))? + "\n")
}

pub(crate) fn openapi() -> Result<()> {
    print(openapi_text()?.trim_end())
}

/// Write the generated pages of the documentation
#[derive(Debug, Clone, Args)]
pub(crate) struct Docs {
    /// The folder they are written to
    #[arg(default_value = "docs")]
    folder: PathBuf,
    /// Write nothing; fail if a page is stale
    #[arg(long)]
    check: bool,
}

/// Each generated page with its text.
pub(crate) fn pages() -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("cli.md", reference::markdown()),
        ("configuration.md", config::reference::markdown()?),
        ("config.schema.json", config::reference::schema_text()?),
        ("openapi.json", openapi_text()?),
        ("../deploy/ory/namespaces.keto.ts", keto_namespaces()),
    ])
}

/// The namespaces file of Ory Keto.
fn keto_namespaces() -> String {
    "// Made of the table of roles; do not edit. Again: eventrunner docs\n".to_owned()
        + &relations::product_schema().to_keto()
}

pub(crate) fn docs(args: &Docs) -> Result<()> {
    let mut stale = Vec::new();
    for (name, text) in pages()? {
        let path = args.folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        stale.push(name);
        if !args.check {
            fs::write(&path, text).map_err(|e| Failure::file("cannot write", &path, &e))?;
            note(&format!("wrote {}", path.display()));
        }
    }
    if args.check && !stale.is_empty() {
        return Err(
            Failure::failed(format!("stale: {}", stale.join(", "))).hint("make them again: eventrunner docs")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_fresh() {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
        let stale: Vec<&str> = pages()
            .unwrap()
            .into_iter()
            .filter(|(name, text)| fs::read_to_string(folder.join(name)).ok().as_deref() != Some(text))
            .map(|(name, _)| name)
            .collect();
        assert!(stale.is_empty(), "stale: {stale:?}; make them again: cargo run -p eventrunner -- docs");
    }
}
