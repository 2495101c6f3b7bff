//! The broker: reachable, recent, with JetStream, set as durable as promised; the streams and the catalog in it.

use std::time::Duration;

use bus::{Bus, topology};
use catalog::Catalog;

use super::{Finding, Patient, cluster, services};
use crate::{
    durability::{Syncing, syncing},
    up::broker::is_recent_enough,
};

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to find a node that answers: each that hangs takes five seconds.
const CONNECT_PATIENCE: Duration = Duration::from_secs(12);
/// What the doors need to take events of the largest size.
const PAYLOAD_BYTES_MIN: usize = 8 << 20;
/// Packed messages that may wait before it is worth a word.
const BACKLOG: u64 = 1_000;

pub(super) async fn look(patient: &Patient) -> Vec<Finding> {
    let options = patient.context.nats();
    let url = &options.shown_url();
    let bus = match tokio::time::timeout(CONNECT_PATIENCE, Bus::connect(&options)).await {
        Ok(Ok(bus)) => bus,
        Ok(Err(error)) => return vec![Finding::fail("broker", error.to_string(), away(url))],
        Err(_) => return vec![Finding::fail("broker", format!("{url} does not answer"), away(url))],
    };
    let info = bus.client().server_info();
    let mut findings = vec![if is_recent_enough(&info.version) {
        Finding::ok("broker", format!("{url}, nats-server {}", info.version))
    } else {
        Finding::fail("broker", format!("nats-server {} is too old", info.version), "2.14 or newer is needed")
    }];
    if info.max_payload < PAYLOAD_BYTES_MIN {
        let detail = format!("messages of {} KB are the largest it takes", info.max_payload >> 10);
        findings.push(Finding::warn(
            "broker",
            detail,
            "larger events are refused with 413: set max_payload: 8MB",
        ));
    }
    let account = bus.jetstream().query_account().await;
    match account {
        Ok(account) => findings.push(Finding::ok(
            "jetstream",
            format!(
                "{} streams, {} consumers, {} MB",
                account.streams,
                account.consumers,
                account.storage >> 20
            ),
        )),
        Err(error) => {
            findings.push(Finding::fail(
                "jetstream",
                error.to_string(),
                "switch it on in the broker's configuration: jetstream {}",
            ));
            return findings;
        }
    }
    for monitor in patient.nats_monitor.split(',') {
        findings.push(durability(monitor.trim()).await);
    }
    findings.extend(cluster::nodes(&patient.nats_monitor).await);
    findings.extend(streams(&bus).await);
    findings.push(catalog(&bus).await);
    findings.extend(services::look(&bus).await);
    bus.close().await;
    findings
}

fn away(url: &str) -> String {
    format!("is it running? eventrunner up; or give its address with --nats-url, instead of {url}")
}

async fn durability(monitor: &str) -> Finding {
    const CHECK: &str = "durability";
    match syncing(monitor).await {
        Syncing::Always => {
            Finding::ok(CHECK, "disk: the broker syncs each message before it acknowledges it")
        }
        Syncing::Sometimes => Finding::warn(
            CHECK,
            "process: the broker syncs on its own schedule, so a power cut may take what was accepted last",
            "for durability disk, set sync_interval: always",
        ),
        Syncing::Unknown(reason) => Finding::warn(
            CHECK,
            format!("not known: {reason}"),
            "give the broker's monitoring address with --nats-monitor",
        ),
    }
}

async fn streams(bus: &Bus) -> Vec<Finding> {
    let migrate = "make them: eventrunner migrate, or eventrunner up";
    let partitions = match topology::existing(bus).await {
        Ok(Some(topology)) => topology.partitions,
        Ok(None) => return vec![Finding::fail("streams", "are not made yet", migrate)],
        Err(error) => return vec![Finding::fail("streams", error.to_string(), migrate)],
    };
    let mut findings = vec![Finding::ok("streams", format!("{partitions} partitions"))];
    findings.extend(cluster::streams(bus, partitions).await);
    for (name, reader) in [(topology::RAW, "normalizer"), (topology::EVENTS, "engine")] {
        match bus.jetstream().get_stream(name).await {
            Ok(stream) => {
                let state = &stream.cached_info().state;
                findings.push(if state.messages > BACKLOG {
                    Finding::warn(
                        name,
                        format!("{} messages wait", state.messages),
                        format!("does the {reader} run, and do its dependencies?"),
                    )
                } else {
                    Finding::ok(name, format!("{} messages wait", state.messages))
                });
            }
            Err(error) => findings.push(Finding::fail(name, error.to_string(), migrate)),
        }
    }
    if let Ok(stream) = bus.jetstream().get_stream(topology::DEAD).await {
        let letters = stream.cached_info().state.messages;
        findings.push(if letters == 0 {
            Finding::ok("dead letters", "none")
        } else {
            Finding::warn(
                "dead letters",
                format!("{letters} of all tenants"),
                "look at them: eventrunner dead-letters list",
            )
        });
    }
    findings
}

async fn catalog(bus: &Bus) -> Finding {
    let open = Catalog::open(bus.jetstream().clone(), catalog::Options::default());
    let Ok(catalog) = tokio::time::timeout(PATIENCE, open).await else {
        return Finding::fail("catalog", "is not there", "make it: eventrunner migrate, or eventrunner up");
    };
    let (status, tenants) = (catalog.status(), catalog.snapshot().tenants().count());
    if status.skipped > 0 {
        let detail = format!("{} entries cannot be read", status.skipped);
        return Finding::fail("catalog", detail, "the services' logs name them; write them again");
    }
    if tenants == 0 {
        return Finding::warn("catalog", "there is no tenant", "make one: eventrunner tenants create");
    }
    Finding::ok("catalog", format!("{tenants} tenants"))
}
