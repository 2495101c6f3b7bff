//! What `up` says: a line for each service, then what to do next.

use std::{net::SocketAddr, time::Duration};

use secrecy::ExposeSecret as _;

use super::{
    demo::{Credentials, Urls},
    fleet::Fleet,
    folder,
    plan::Plan,
    processes::{self, Member},
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
    /// Whether what was sent can be read back: the engine and the API may have been left out.
    readable: bool,
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
            broker: plan.broker.as_ref().map(|broker| broker.program.version.clone()),
            nats_url: plan.config.nats.shown_url(),
            readable: plan.processes.as_ref().is_none_or(processes::Plan::is_whole),
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
        let name = self.paint.text(Style::Green, &format!("{name:<14}"));
        let address = format!("{address:<28}");
        print(format!("  {name}  {address}  {}", self.paint.text(Style::Dim, rest)).trim_end())
    }

    /// A line for each node, or one for a broker of somebody else's.
    pub(super) fn broker(&self, pids: &[u32]) -> Result<()> {
        let Some(version) = &self.broker else { return self.line("nats-server", &self.nats_url, "yours") };
        let urls = self.nats_url.split(',');
        urls.zip(pids)
            .try_for_each(|(url, pid)| self.line("nats-server", url, &format!("{version}, process id {pid}")))
    }

    /// A line for each process.
    pub(super) fn processes(&self, members: &[Member], admin: SocketAddr) -> Result<()> {
        for member in members.iter().filter(|member| member.service != "nats-server") {
            let scheme = if member.service == "ingest-grpc" { "" } else { "http://" };
            let address = member.address.as_ref().map(|address| format!("{scheme}{address}"));
            let pid = member.pid.map_or_else(|| "not running".to_owned(), |pid| format!("process id {pid}"));
            let rest = format!("{pid}, admin {}", member.admin_url);
            self.line(&member.name, &address.unwrap_or_default(), &rest)?;
        }
        self.line(
            "admin",
            &format!("http://{admin}"),
            "/metrics, /healthz/ready of all; logs/ and fleet.json in the data folder",
        )
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
        let id = new_id();
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
        let whole = ["tail --since 1h", "events list", &receipt, "usage", "doctor"];
        for next in if self.readable { &whole[..] } else { &whole[4..] } {
            let (verb, rest) = next.split_once(' ').unwrap_or((next, ""));
            print(format!("  {program} {verb} {rest}").trim_end().to_owned().as_str())?;
        }
        if !flags.is_empty() {
            print(&format!("\neach with{flags}, or with EVENTRUNNER_DATA_DIR set"))?;
        }
        print("\nCtrl-C stops the fleet; its data is kept.")
    }
}

impl Banner {
    /// Told once, as the password is kept nowhere.
    pub(super) fn superuser(&self, urls: &Urls, superuser: &api::Superuser) -> Result<()> {
        let Self { program, flags, .. } = self;
        let password = self.paint.text(Style::Bold, superuser.one_time_password.expose_secret());
        print(&format!(
            "\nSuperuser {}, one-time password {password}: good for setting another, at {}/api/v1/login\n\
             If it gets lost: {program} users bootstrap{flags}",
            superuser.id, urls.api_url
        ))
    }
}

/// A new one each time: an event that was sent before would be kept only once.
fn new_id() -> String {
    format!("hello-{:04x}", rand::random::<u16>())
}

/// The first request to a fleet, for who has just been made known to it.
pub(crate) fn first_curl(urls: &Urls, credentials: &Credentials, output: Output) -> String {
    output.paint().text(Style::Bold, &curl(&urls.url, &credentials.key, &new_id()))
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
