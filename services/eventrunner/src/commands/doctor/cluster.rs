//! The broker as a cluster: its nodes, the copies of the streams, the consumers of the queues, how full and how old these are.

use std::{collections::BTreeMap, time::Duration};

use backup::{Api, ConsumerInfo, Error, Last, StreamInfo};
use bus::{Bus, topology};
use model::{Clock as _, Micros, SystemClock, parse_rfc3339};
use serde_json::Value;

use super::Finding;
use crate::client::{error::root, http_client};

const PATIENCE: Duration = Duration::from_secs(5);
/// Before a certificate ends one wants to have another.
const CERTIFICATE_DAYS: i64 = 14;
/// Of a limit, from which it is worth a word.
const FULL_PERCENT: u64 = 80;
/// From which work that waits is old.
const OLD_US: Micros = 60 * 1_000_000;
const HOUR_US: Micros = 3_600 * 1_000_000;
const DAY_US: Micros = 24 * HOUR_US;

/// What each node tells of itself and of the cluster.
pub(super) async fn nodes(monitors: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for monitor in monitors.split(',').map(|monitor| monitor.trim().trim_end_matches('/')) {
        // One that does not answer is told with durability, which only monitoring knows.
        let Ok(varz) = get(&format!("{monitor}/varz")).await else { continue };
        findings.extend(certificates(&varz, SystemClock.now()));
        if let Ok(jsz) = get(&format!("{monitor}/jsz")).await {
            findings.extend(meta(&jsz, varz["server_name"].as_str().unwrap_or_default()));
            findings.extend(storage(&jsz));
        }
    }
    findings
}

async fn get(url: &str) -> Result<Value, String> {
    let http = http_client(PATIENCE).map_err(|failure| failure.message)?;
    let answer = http.get(url).send().await.map_err(|e| root(&e))?;
    answer.json().await.map_err(|e| root(&e))
}

/// Those a node shows: to clients, to other nodes, to other clusters.
fn certificates(varz: &Value, now_us: Micros) -> Vec<Finding> {
    let server = varz["server_name"].as_str().unwrap_or("the broker");
    let shown = [("clients", ""), ("nodes", "/cluster"), ("gateways", "/gateway"), ("leaf nodes", "/leaf")];
    let finding = |(whom, place): (&str, &str)| {
        let ends = varz.pointer(&format!("{place}/tls_cert_not_after"))?.as_str()?;
        let days = (parse_rfc3339(ends).ok()? - now_us).div_euclid(DAY_US);
        let detail = format!("{server} for {whom}: ends {ends}, in {days} days");
        Some(match days {
            ..0 => Finding::fail("certificate", detail, "it has ended: nobody who checks connects; renew it"),
            0..CERTIFICATE_DAYS => Finding::warn("certificate", detail, "renew it"),
            _ => Finding::ok("certificate", detail),
        })
    };
    shown.into_iter().filter_map(finding).collect()
}

/// The group of nodes that knows where each stream is. Of the others only the one that leads knows how they are.
fn meta(jsz: &Value, node: &str) -> Option<Finding> {
    const CHECK: &str = "cluster";
    let meta = jsz.get("meta_cluster")?;
    let size = meta["cluster_size"].as_u64().unwrap_or_default();
    let Some(leader) = meta["leader"].as_str().filter(|leader| !leader.is_empty()) else {
        let detail = format!("of {size} nodes none leads");
        return Some(Finding::fail(
            CHECK,
            detail,
            "a majority must be up: streams can neither be made nor moved",
        ));
    };
    let replicas =
        meta["replicas"].as_array().filter(|_| node == leader).map(Vec::as_slice).unwrap_or_default();
    let is = |peer: &Value, what: &str| peer[what].as_bool().unwrap_or_default();
    let away: Vec<_> = replicas
        .iter()
        .filter(|peer| is(peer, "offline") || !is(peer, "current"))
        .filter_map(|peer| peer["name"].as_str())
        .collect();
    Some(if away.is_empty() {
        Finding::ok(CHECK, format!("{size} nodes, led by {leader}"))
    } else {
        let detail = format!("{size} nodes, led by {leader}; away or behind: {}", away.join(", "));
        Finding::fail(
            CHECK,
            detail,
            "start them again; while one is away the loss of another stops the streams",
        )
    })
}

fn storage(jsz: &Value) -> Option<Finding> {
    let (used, most) = (jsz["storage"].as_u64()?, jsz.pointer("/config/max_storage")?.as_u64()?);
    let percent = used.saturating_mul(100).checked_div(most)?;
    let detail = format!("{} of {} MB that the broker may use are used", used >> 20, most >> 20);
    (percent >= FULL_PERCENT).then(|| Finding::warn("storage", detail, "raise max_file_store, or make room"))
}

/// The streams and their consumers.
pub(super) async fn streams(bus: &Bus, partitions: u32) -> Vec<Finding> {
    let looked = async {
        let api = Api::new(bus);
        let streams = api.streams().await?;
        let mut findings = copies(&streams);
        findings.extend(streams.iter().filter_map(mirror));
        for stream in streams.iter().filter(|stream| stream.is_queue() && !stream.is_mirror()) {
            findings.extend(fill(stream));
            findings.extend(age(stream, SystemClock.now()));
            findings.extend(consumers(stream.name(), &api.consumers(stream.name()).await?, partitions));
        }
        // A fleet from before there was such a bucket has none.
        if let Ok(Some(last)) = Last::read(bus).await {
            findings.extend(last_backup(&last, SystemClock.now()));
        }
        Ok::<_, Error>(findings)
    };
    looked
        .await
        .unwrap_or_else(|error| vec![Finding::fail("streams", error.to_string(), "see the broker's log")])
}

/// How old it may be is what the alert goes by; here it is told.
fn last_backup(last: &Last, now_us: Micros) -> Option<Finding> {
    let hours = (now_us - parse_rfc3339(&last.began_at).ok()?).div_euclid(HOUR_US);
    let (began_at, mb) = (&last.began_at, last.bytes >> 20);
    Some(Finding::ok("backup", format!("the last whole one began {began_at}, {hours} hours ago; {mb} MB")))
}

/// That each stream is led, and each copy has all.
fn copies(streams: &[StreamInfo]) -> Vec<Finding> {
    const CHECK: &str = "copies";
    let (mut findings, mut behind, mut most) = (Vec::new(), BTreeMap::<&str, Behind>::new(), 1);
    for stream in streams {
        let Some(cluster) = stream.cluster.as_ref().filter(|cluster| cluster.name.is_some()) else {
            continue;
        };
        let wanted = stream.config["num_replicas"].as_u64().unwrap_or(1);
        let (name, others) = (stream.name(), u64::try_from(cluster.replicas.len()).unwrap_or_default());
        most = most.max(wanted);
        if cluster.leader.as_deref().is_none_or(str::is_empty) {
            findings.push(Finding::fail(
                CHECK,
                format!("{name} has no leader"),
                "a majority of its nodes must be up",
            ));
            continue;
        }
        if others + 1 < wanted {
            let detail = format!("{name} has {} of {wanted} copies", others + 1);
            findings.push(Finding::warn(CHECK, detail, "are there as many nodes?"));
        }
        for peer in cluster.replicas.iter().filter(|peer| peer.offline || !peer.current) {
            let known = behind.entry(&peer.name).or_default();
            known.streams += 1;
            known.lag = known.lag.max(peer.lag);
            known.is_away |= peer.offline;
        }
    }
    findings.extend(behind.into_iter().map(|(peer, Behind { streams, lag, is_away })| {
        let away = if is_away { "away, and " } else { "" };
        let detail = format!("{peer} is {away}behind in {streams} streams, by {lag} at most");
        Finding::warn(CHECK, detail, "is that node up? it catches up by itself")
    }));
    if findings.is_empty() && most > 1 {
        let detail = format!("{} streams, up to {most} copies, all of them in step", streams.len());
        findings.push(Finding::ok(CHECK, detail));
    }
    findings
}

/// What a node lacks.
#[derive(Debug, Default)]
struct Behind {
    streams: u64,
    lag: u64,
    is_away: bool,
}

fn mirror(stream: &StreamInfo) -> Option<Finding> {
    const CHECK: &str = "mirror";
    if !stream.is_mirror() {
        return None;
    }
    let (name, state) = (stream.name(), stream.mirror.as_ref());
    let lag = state.map_or(0, |state| state.lag);
    Some(match state {
        Some(state) if state.error.is_none() && state.active >= 0 && lag == 0 => {
            Finding::ok(CHECK, format!("{name} is in step"))
        }
        _ => {
            Finding::warn(CHECK, format!("{name} is {lag} messages behind"), "see: eventrunner mirror status")
        }
    })
}

/// Of a queue, which refuses when it is full.
fn fill(stream: &StreamInfo) -> Option<Finding> {
    let most = stream.config["max_bytes"].as_u64().filter(|most| *most > 0)?;
    let percent = stream.state.bytes.saturating_mul(100) / most;
    let detail = format!("{} is {percent} % full", stream.name());
    (percent >= FULL_PERCENT)
        .then(|| Finding::warn("full", detail, "what works it must catch up, or doors answer 503"))
}

fn age(stream: &StreamInfo, now_us: Micros) -> Option<Finding> {
    let oldest = parse_rfc3339(&stream.state.first_ts).ok().filter(|_| stream.state.messages > 0)?;
    let age_us = now_us - oldest;
    let detail = || format!("the oldest message of {} waits for {} s", stream.name(), age_us / 1_000_000);
    (age_us > OLD_US)
        .then(|| Finding::warn("age", detail(), "does what works it run, and do its dependencies?"))
}

/// That each partition of a queue has a consumer, and somebody who asks it for messages.
fn consumers(queue: &str, consumers: &[ConsumerInfo], partitions: u32) -> Vec<Finding> {
    const CHECK: &str = "consumers";
    if ![topology::RAW, topology::EVENTS, topology::USAGE].contains(&queue) {
        return Vec::new();
    }
    let missing: Vec<_> = (0..partitions)
        .map(topology::consumer_name)
        .filter(|name| consumers.iter().all(|consumer| consumer.name != *name))
        .collect();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let detail = format!("{queue} has none called {}", missing.join(", "));
        findings.push(Finding::fail(CHECK, detail, "make them: eventrunner migrate"));
    }
    for consumer in consumers {
        let name = &consumer.name;
        let is_alone = consumer.num_pending > 0 && consumer.num_waiting == 0 && consumer.num_ack_pending == 0;
        let leaderless = consumer
            .cluster
            .as_ref()
            .is_some_and(|c| c.name.is_some() && c.leader.as_deref().is_none_or(str::is_empty));
        if consumer.paused {
            let detail = format!("{name} of {queue} is paused");
            findings.push(Finding::warn(
                CHECK,
                detail,
                "a backup does that for moments; else: nats consumer resume",
            ));
        } else if leaderless {
            let detail = format!("{name} of {queue} has no leader");
            findings.push(Finding::fail(CHECK, detail, "a majority of its nodes must be up"));
        } else if is_alone {
            let detail = format!(
                "{} messages wait at {name} of {queue}, and nobody asks for them",
                consumer.num_pending
            );
            findings.push(Finding::warn(
                CHECK,
                detail,
                "is there a replica for each partition? see services",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{queue}: one for each of {partitions} partitions")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::doctor::Status;

    fn stream(more: &Value) -> StreamInfo {
        let mut info = json!({
            "config": {"name": "RAW", "retention": "workqueue", "storage": "file", "num_replicas": 3, "max_bytes": 100},
            "state": {"messages": 1, "bytes": 10, "first_seq": 1, "last_seq": 1, "first_ts": "2026-11-29T10:00:00Z"},
        });
        for (name, value) in more.as_object().unwrap() {
            info[name] = value.clone();
        }
        serde_json::from_value(info).unwrap()
    }

    #[test]
    fn copies_that_are_away_or_behind_are_named() {
        let peer =
            |name, current, offline| json!({"name": name, "current": current, "offline": offline, "lag": 4});
        let cluster = |leader, peers: &[Value]| {
            stream(&json!({"cluster": {"name": "c", "leader": leader, "replicas": peers}}))
        };
        let whole = [peer("n2", true, false), peer("n3", true, false)];
        assert_eq!(copies(&[cluster("n1", &whole)])[0].status, Status::Ok);
        let away = copies(&[cluster("n1", &[peer("n2", true, false), peer("n3", false, true)])]);
        assert!(
            away[0].status == Status::Warn
                && away[0].detail == "n3 is away, and behind in 1 streams, by 4 at most",
            "{away:?}"
        );
        assert!(copies(&[cluster("", &whole)])[0].detail.contains("no leader"));
        assert!(copies(&[cluster("n1", &whole[..1])])[0].detail.contains("2 of 3 copies"));
        assert!(copies(&[stream(&json!({}))]).is_empty(), "one that stands alone has no copies to speak of");
    }

    #[test]
    fn queues_that_are_full_or_old_are_named() {
        let state = |bytes| json!({"state": {"messages": 1, "bytes": bytes, "first_seq": 1, "last_seq": 1, "first_ts": "2026-11-29T10:00:00Z"}});
        assert!(fill(&stream(&state(79))).is_none());
        assert!(fill(&stream(&state(80))).unwrap().detail.contains("80 % full"));
        let at = parse_rfc3339("2026-11-29T10:00:00Z").unwrap();
        assert!(age(&stream(&state(1)), at + OLD_US).is_none());
        assert!(age(&stream(&state(1)), at + 90_000_000).unwrap().detail.contains("90 s"));
    }

    #[test]
    fn partitions_without_a_consumer_or_anybody_who_asks_are_named() {
        let consumer = |name: &str, waiting: u64, pending: u64| -> ConsumerInfo {
            serde_json::from_value(json!({"name": name, "num_waiting": waiting, "num_pending": pending}))
                .unwrap()
        };
        let well = [consumer("p0", 1, 5), consumer("p1", 0, 0)];
        assert_eq!(consumers("RAW", &well, 2)[0].status, Status::Ok);
        assert!(consumers("RAW", &well, 3)[0].detail.contains("none called p2"));
        let alone = consumers("EVENTS", &[consumer("p0", 0, 5)], 1);
        assert!(alone[0].status == Status::Warn && alone[0].detail.contains("nobody asks"), "{alone:?}");
    }

    #[test]
    fn certificates_are_told_before_they_end() {
        let now = parse_rfc3339("2026-11-29T10:00:00Z").unwrap();
        let varz = |ends: &str| json!({"server_name": "n1", "cluster": {"tls_cert_not_after": ends}});
        for (ends, status) in [
            ("2027-11-29T10:00:00Z", Status::Ok),
            ("2026-12-05T10:00:00Z", Status::Warn),
            ("2026-11-28T10:00:00Z", Status::Fail),
        ] {
            let found = certificates(&varz(ends), now);
            assert!(found.len() == 1 && found[0].status == status, "{ends}: {found:?}");
        }
        assert!(certificates(&json!({}), now).is_empty());
    }

    #[test]
    fn a_cluster_without_a_leader_or_with_a_node_away_fails() {
        let jsz = |leader: &str, offline: bool| {
            let peer = json!({"name": "n2", "current": !offline, "offline": offline});
            json!({"meta_cluster": {"leader": leader, "cluster_size": 3, "replicas": [peer]}})
        };
        assert_eq!(meta(&jsz("n1", false), "n1").unwrap().status, Status::Ok);
        assert!(meta(&jsz("n1", true), "n1").unwrap().detail.contains("n2"));
        assert_eq!(meta(&jsz("n1", true), "n3").unwrap().status, Status::Ok, "n3 does not know");
        assert_eq!(meta(&jsz("", false), "n1").unwrap().status, Status::Fail);
        assert!(meta(&json!({}), "n1").is_none());
    }
}
