//! The processes that answer on the broker: which there are, of one version or several, ready, with the same time, with room.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bus::Bus;
use futures::StreamExt as _;
use model::{Clock as _, Micros, SystemClock};

use super::Finding;
use crate::presence::{Ask, Presence, SUBJECT};

/// How long everybody has to answer; whoever looks at schemas takes longest.
const PATIENCE: Duration = Duration::from_secs(5);
/// After the last answer, nobody else is expected.
const SILENCE: Duration = Duration::from_millis(700);
/// By which clocks may differ: erasing goes by time, and signatures and tokens are judged by it.
const SKEW_US_MAX: Micros = 500_000;
const GIB: u64 = 1 << 30;
/// Without them events do not go their way.
const NEEDED: [&str; 3] = ["normalizer", "engine", "api"];

/// A process and what its clock is off.
struct Seen {
    presence: Presence,
    skew_us: Micros,
}

pub(super) async fn look(bus: &Bus) -> Vec<Finding> {
    const CHECK: &str = "services";
    let seen = match ask(bus).await {
        Ok(seen) => seen,
        Err(reason) => {
            return vec![Finding::fail(CHECK, reason, "does the login see the fleet's own subjects?")];
        }
    };
    if seen.is_empty() {
        let advice = "is the fleet up? processes of a version before this check do not answer";
        return vec![Finding::warn(CHECK, "none answers on the broker", advice)];
    }
    let mut findings = vec![there(&seen)];
    findings.extend(seen.iter().filter_map(ready));
    findings.push(clocks(&seen));
    findings.extend(seen.iter().filter_map(room));
    findings.extend(schemas(&seen));
    findings
}

async fn ask(bus: &Bus) -> Result<Vec<Seen>, String> {
    let client = bus.client();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|e| e.to_string())?;
    let body = serde_json::to_vec(&Ask { schemas: true }).map_err(|e| e.to_string())?;
    let (began, asked_us) = (Instant::now(), SystemClock.now());
    client.publish_with_reply(SUBJECT, inbox, body.into()).await.map_err(|e| e.to_string())?;
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        // Whoever knows the stores asks them first.
        let complete = seen.iter().any(|seen| ["api", "up"].contains(&seen.presence.service.as_str()));
        let left = PATIENCE.saturating_sub(began.elapsed());
        let wait = if complete { left.min(SILENCE) } else { left };
        let Ok(Some(answer)) = tokio::time::timeout(wait, answers.next()).await else { return Ok(seen) };
        if answer.status.is_some() {
            return Ok(seen);
        }
        let now_us = SystemClock.now();
        if let Ok(presence) = serde_json::from_slice::<Presence>(&answer.payload) {
            seen.push(Seen { skew_us: skew(presence.now_us, asked_us, now_us), presence });
        }
    }
}

/// By how much a clock is off at least: it was read somewhen between the question and the answer.
fn skew(theirs_us: Micros, asked_us: Micros, answered_us: Micros) -> Micros {
    if theirs_us < asked_us { theirs_us - asked_us } else { (theirs_us - answered_us).max(0) }
}

fn there(seen: &[Seen]) -> Finding {
    const CHECK: &str = "services";
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Seen { presence, .. } in seen {
        *counts.entry(&presence.service).or_default() += 1;
        versions.entry(&presence.version).or_default().push(name(presence));
    }
    let list: Vec<_> = counts.iter().map(|(service, count)| format!("{service} {count}")).collect();
    let missing: Vec<_> = NEEDED.iter().filter(|service| !counts.contains_key(*service)).copied().collect();
    if !counts.contains_key("up") && !missing.is_empty() {
        let detail = format!("{}; no {} answers", list.join(", "), missing.join(" and no "));
        return Finding::warn(CHECK, detail, "start what is missing: events wait for it");
    }
    if versions.len() > 1 {
        let told: Vec<_> =
            versions.iter().map(|(version, who)| format!("{version}: {}", who.join(", "))).collect();
        return Finding::warn(
            CHECK,
            format!("of several versions: {}", told.join("; ")),
            "during a rolling upgrade that is as it should be",
        );
    }
    let version = versions.keys().next().copied().unwrap_or_default();
    Finding::ok(CHECK, format!("{}, version {version}", list.join(", ")))
}

fn name(presence: &Presence) -> String {
    format!("{} at {} (process {})", presence.service, presence.host, presence.pid)
}

fn ready(Seen { presence, .. }: &Seen) -> Option<Finding> {
    let detail = || format!("{} is not ready: {}", name(presence), presence.hindrances.join("; "));
    (!presence.ready).then(|| Finding::fail("service", detail(), "see its logs, and what it waits for"))
}

fn clocks(seen: &[Seen]) -> Finding {
    let worst = seen.iter().max_by_key(|seen| seen.skew_us.abs());
    match worst.filter(|worst| worst.skew_us.abs() > SKEW_US_MAX) {
        None => Finding::ok("clocks", format!("{} agree with this machine's", seen.len())),
        Some(worst) => Finding::warn(
            "clocks",
            format!("that of {} is {} ms off this machine's", name(&worst.presence), worst.skew_us / 1_000),
            "signatures, tokens and erasing depend on them: use NTP",
        ),
    }
}

fn room(Seen { presence, .. }: &Seen) -> Option<Finding> {
    let free = presence.free_bytes?;
    Some(if free < GIB {
        let detail = format!("{} has {} MB left for its store", name(presence), free >> 20);
        Finding::warn("disk", detail, "make room: events wait in the broker when the store is full")
    } else {
        Finding::ok("disk", format!("{} GB free for the store", free / GIB))
    })
}

/// By store; each process that looked tells the same.
fn schemas(seen: &[Seen]) -> Vec<Finding> {
    let mut found = BTreeMap::new();
    for schema in seen.iter().flat_map(|seen| &seen.presence.schemas) {
        found.entry(schema.store.clone()).or_insert(schema);
    }
    let finding = |(store, schema): (String, &crate::presence::Schema)| match (&schema.error, schema.pending)
    {
        (Some(error), _) => {
            Finding::fail("schema", format!("{store}: {error}"), "are the stores there? see the API's logs")
        }
        (None, 0) => Finding::ok("schema", format!("{store}: as this fleet needs it")),
        (None, pending) => Finding::fail(
            "schema",
            format!("{store}: {pending} versions behind"),
            "bring it up: eventrunner migrate",
        ),
    };
    found.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Status;

    fn seen(service: &str, version: &str, skew_us: Micros) -> Seen {
        let presence = Presence {
            service: service.to_owned(),
            version: version.to_owned(),
            host: "h".to_owned(),
            pid: 7,
            ready: true,
            hindrances: Vec::new(),
            oldest_work_age_ms: 0,
            now_us: 0,
            free_bytes: None,
            schemas: Vec::new(),
        };
        Seen { presence, skew_us }
    }

    #[test]
    fn a_clock_is_off_by_what_the_way_does_not_explain() {
        for (theirs, off) in [(105, 0), (100, 0), (110, 0), (90, -10), (130, 20)] {
            assert_eq!(skew(theirs, 100, 110), off, "{theirs}");
        }
        assert_eq!(clocks(&[seen("api", "1", 400_000)]).status, Status::Ok);
        let off = clocks(&[seen("api", "1", 0), seen("engine", "1", -600_000)]);
        assert!(
            off.status == Status::Warn && off.detail.contains("engine at h (process 7) is -600 ms"),
            "{off:?}"
        );
    }

    #[test]
    fn missing_services_and_several_versions_are_told() {
        assert_eq!(there(&[seen("up", "1", 0)]).status, Status::Ok);
        let all = ["normalizer", "engine", "engine", "api"].map(|service| seen(service, "1", 0));
        assert_eq!(there(&all).detail, "api 1, engine 2, normalizer 1, version 1");
        let missing = there(&all[1..3]);
        assert!(missing.detail.ends_with("no normalizer and no api answers"), "{missing:?}");
        let mixed = there(&[seen("normalizer", "1", 0), seen("engine", "2", 0), seen("api", "1", 0)]);
        assert!(mixed.status == Status::Warn && mixed.detail.contains("2: engine at h"), "{mixed:?}");
    }
}
