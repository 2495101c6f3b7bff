//! The processes of `up --processes`: does each run, is it ready, which partitions are its own.

use std::time::Duration;

use super::{Finding, Patient};
use crate::{
    client::{error::root, http_client},
    readiness::Readiness,
    up::processes::roster::{Fleet, Member},
};

const PATIENCE: Duration = Duration::from_secs(5);
const CHECK: &str = "process";

/// Nothing if the fleet is one process.
pub(super) async fn look(patient: &Patient) -> Vec<Finding> {
    let Some(fleet) = Fleet::running(patient.context.data_dir()) else { return Vec::new() };
    let Ok(http) = http_client(PATIENCE) else { return Vec::new() };
    let mut findings = Vec::new();
    for member in fleet.processes {
        findings.push(process(&member, &http).await);
    }
    findings
}

async fn process(member: &Member, http: &reqwest::Client) -> Finding {
    let Member { name, restarts, .. } = member;
    let advice = format!("its log: {}", member.log.display());
    let Some(pid) = member.pid else {
        return Finding::fail(
            CHECK,
            format!("{name} does not run; it was started again {restarts} times"),
            advice,
        );
    };
    // The monitoring of nats-server has no more than this path.
    let is_broker = member.service == "nats-server";
    let path = if is_broker { "/healthz" } else { "/healthz/ready" };
    let mut detail = format!("{name} (process {pid})");
    let answer = match http.get(format!("{}{path}", member.admin_url)).send().await {
        Ok(answer) => answer,
        Err(error) => {
            return Finding::fail(CHECK, format!("{detail} does not answer: {}", root(&error)), advice);
        }
    };
    if !answer.status().is_success() {
        let body = answer.text().await.unwrap_or_default();
        let reasons = serde_json::from_str::<Readiness>(&body).map(|r| r.hindrances().join("; "));
        return Finding::fail(CHECK, format!("{detail} is not ready: {}", reasons.unwrap_or(body)), advice);
    }
    if let Some(partitions) = partitions(member, http).await {
        detail.push_str(&partitions);
    }
    match restarts {
        0 => Finding::ok(CHECK, detail),
        _ => Finding::warn(CHECK, format!("{detail}, started again {restarts} times"), advice),
    }
}

/// What it says of its partitions, if it is one that has any.
async fn partitions(member: &Member, http: &reqwest::Client) -> Option<String> {
    if !matches!(member.service.as_str(), "normalizer" | "engine") {
        return None;
    }
    let text = http.get(format!("{}/metrics", member.admin_url)).send().await.ok()?.text().await.ok()?;
    let owned = owned(&text, &member.service);
    let list: Vec<String> = owned.iter().map(u32::to_string).collect();
    Some(if list.is_empty() {
        ", no partitions".to_owned()
    } else {
        format!(", partitions {}", list.join(" "))
    })
}

/// The partitions of a stage that are a process's own, from its metrics.
fn owned(metrics: &str, stage: &str) -> Vec<u32> {
    let samples =
        metrics.lines().filter_map(|line| line.strip_prefix("eventrunner_consumer_held_partitions{"));
    let mut owned: Vec<u32> = samples
        .filter(|sample| sample.ends_with("} 1") && sample.contains(&format!("stage=\"{stage}\"")))
        .filter_map(|sample| sample.split_once("partition=\"")?.1.split('"').next()?.parse().ok())
        .collect();
    owned.sort_unstable();
    owned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_partitions_are_read_from_metrics() {
        let text = "# TYPE eventrunner_consumer_held_partitions gauge\n\
            eventrunner_consumer_held_partitions{partition=\"10\",stage=\"engine\"} 1\n\
            eventrunner_consumer_held_partitions{partition=\"2\",stage=\"engine\"} 1\n\
            eventrunner_consumer_held_partitions{partition=\"3\",stage=\"engine\"} 0\n\
            eventrunner_consumer_held_partitions{partition=\"4\",stage=\"meter\"} 1\n\
            eventrunner_consumer_owned_partitions{stage=\"engine\"} 2\n";
        assert_eq!(owned(text, "engine"), [2, 10]);
    }
}
