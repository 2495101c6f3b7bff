//! What `up` says: a line for each service, then what to do next.

use std::{net::SocketAddr, time::Duration};

use super::{
    demo::{Credentials, Urls},
    fleet::Fleet,
    folder,
    plan::Plan,
};
use crate::{
    exit::Result,
    output::{Output, Paint, Style, note, print},
};

/// What `up` says, on stdout.
#[derive(Debug)]
pub(super) struct Banner {
    paint: Paint,
    /// How the program was called, with the folder if it is not the usual one.
    program: String,
    flags: String,
    head: String,
    broker: Option<String>,
    nats_url: String,
    lowered: Option<String>,
}

impl Banner {
    pub(super) fn new(plan: &Plan, output: Output) -> Self {
        let path = plan.folder.path();
        let usual = folder::default_path().ok().and_then(|p| p.canonicalize().ok());
        let flags = if usual.as_deref() == Some(path) {
            String::new()
        } else {
            format!(" --data-dir {}", quoted(&path.display().to_string()))
        };
        let topology = &plan.config.topology;
        let lowered = plan.lowered.then(|| {
            format!(
                "the disk is small: RAW and EVENTS hold {} MB each, tenant streams {} MB",
                topology.hop_bytes_max >> 20,
                topology.tenant_bytes_max >> 20
            )
        });
        Self {
            paint: output.paint(),
            program: std::env::args().next().map_or_else(|| "eventrunner".to_owned(), |p| quoted(&p)),
            flags,
            head: format!(
                "EventRunner {}, data in {}, durability {}",
                env!("CARGO_PKG_VERSION"),
                path.display(),
                topology.durability
            ),
            broker: plan.broker.as_ref().map(|(program, _)| program.version.clone()),
            nats_url: plan.config.nats.url.clone(),
            lowered,
        }
    }

    pub(super) fn head(&self) -> Result<()> {
        if let Some(lowered) = &self.lowered {
            note(lowered);
        }
        print(&format!("{}\n", self.paint.text(Style::Bold, &self.head)))
    }

    fn line(&self, name: &str, address: &str, rest: &str) -> Result<()> {
        let name = self.paint.text(Style::Green, &format!("{name:<12}"));
        let address = format!("{address:<28}");
        print(format!("  {name}  {address}  {}", self.paint.text(Style::Dim, rest)).trim_end())
    }

    pub(super) fn broker(&self, pid: Option<u32>) -> Result<()> {
        let rest = match (&self.broker, pid) {
            (Some(version), Some(pid)) => format!("{version}, process id {pid}"),
            _ => "yours".to_owned(),
        };
        self.line("nats-server", &self.nats_url, &rest)
    }

    pub(super) fn services(&self, fleet: &Fleet, admin: SocketAddr) -> Result<()> {
        let partitions = format!("{} partitions", fleet.partitions);
        self.line(
            "ingest-http",
            &format!("http://{}", fleet.addresses.http),
            "POST /v1/events, /v1/sources/{source}",
        )?;
        self.line("ingest-grpc", &fleet.addresses.grpc.to_string(), "eventrunner.v1.EventIngestService")?;
        self.line("normalizer", &partitions, "")?;
        self.line("engine", &partitions, "")?;
        self.line(
            "api",
            &format!("http://{}", fleet.addresses.api),
            "/api/v1, eventrunner.v1.SubscribeService",
        )?;
        self.line("admin", &format!("http://{admin}"), "/metrics, /healthz/ready")
    }

    pub(super) fn ready(&self, urls: &Urls, credentials: Option<&Credentials>, took: Duration) -> Result<()> {
        print(&format!("\nReady in {:.1} s.", took.as_secs_f64()))?;
        let Self { program, flags, .. } = self;
        // A new one each time: an event that was sent before would be kept only once.
        let id = format!("hello-{:04x}", rand::random::<u16>());
        let receipt = format!("events receipt /demo {id}");
        match credentials {
            Some(credentials) => {
                print(&format!("Send an event, as tenant {}:\n", credentials.tenant))?;
                print(&self.paint.text(Style::Bold, &curl(&urls.url, &credentials.key, &id)))?;
            }
            None => print(&format!(
                "The context has no key. Make one: {program} keys create{flags} --tenant TENANT --system SYSTEM"
            ))?,
        }
        print("\nThen, in another terminal:\n")?;
        for next in ["tail --since 1h", "events list", &receipt, "usage", "doctor"] {
            let (verb, rest) = next.split_once(' ').unwrap_or((next, ""));
            print(format!("  {program} {verb} {rest}").trim_end().to_owned().as_str())?;
        }
        if !flags.is_empty() {
            print(&format!("\neach with{flags}, or with EVENTRUNNER_DATA_DIR set"))?;
        }
        print("\nCtrl-C stops the fleet; its data is kept.")
    }
}

/// The first request: structured CloudEvents, so that all of the event is to be seen.
fn curl(url: &str, key: &str, id: &str) -> String {
    format!(
        "  curl -sS {url}/v1/events \\\n    -H 'Authorization: Bearer {key}' \\\n    \
         -H 'Content-Type: application/cloudevents+json' \\\n    \
         -d '{{\"specversion\": \"1.0\", \"id\": \"{id}\", \"source\": \"/demo\", \"type\": \"demo.hello\", \
         \"data\": {{\"hello\": \"world\"}}}}'"
    )
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_safe_to_paste() {
        assert_eq!(quoted("/usr/bin/eventrunner"), "/usr/bin/eventrunner");
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
        assert!(curl("http://127.0.0.1:8080", "er_x", "1").contains("-H 'Authorization: Bearer er_x' \\\n"));
    }
}
