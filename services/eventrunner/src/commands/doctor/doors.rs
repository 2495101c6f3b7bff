//! The services: do they answer, are they ready, is our key good, do the clocks agree.

use std::time::Duration;

use model::{Clock as _, SystemClock};
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::{Finding, Patient};
use crate::{
    client::{Api, error::root, http_client},
    readiness::Readiness,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds by which clocks may differ; the answer's own has no fractions.
const SKEW_SECONDS_MAX: i64 = 3;

pub(super) async fn look(patient: &Patient) -> Vec<Finding> {
    let mut findings = vec![ingest(patient).await];
    findings.extend(health(patient).await);
    findings.push(fleet(patient).await);
    findings.extend(key(patient).await);
    findings
}

async fn ingest(patient: &Patient) -> Finding {
    const CHECK: &str = "ingest-http";
    let url = format!("{}/v1/events", patient.context.url);
    let Ok(http) = http_client(PATIENCE) else { return Finding::fail(CHECK, "no HTTP client", "") };
    match http.get(&url).send().await {
        // Only POST is answered there: this is how the door says that it is one.
        Ok(answer) if answer.status() == StatusCode::METHOD_NOT_ALLOWED => {
            Finding::ok(CHECK, patient.context.url.clone())
        }
        Ok(answer) => Finding::fail(
            CHECK,
            format!("{url} answered {}", answer.status()),
            "is --url the address of ingest-http?",
        ),
        Err(error) => Finding::fail(CHECK, format!("{url}: {}", root(&error)), patient.context.start_hint()),
    }
}

#[derive(Deserialize)]
struct Health {
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    status: String,
    reason: Option<String>,
}

async fn health(patient: &Patient) -> Vec<Finding> {
    let url = format!("{}/.well-known/health", patient.context.api_url);
    let Ok(http) = http_client(PATIENCE) else { return Vec::new() };
    let answer = match http.get(&url).send().await {
        Ok(answer) => answer,
        Err(error) => {
            return vec![Finding::fail(
                "api",
                format!("{url}: {}", root(&error)),
                patient.context.start_hint(),
            )];
        }
    };
    let date = answer.headers().get(header::DATE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let Ok(health) = answer.json::<Health>().await else {
        return vec![Finding::fail(
            "api",
            format!("{url} answered something else"),
            "is --api-url the address of the API?",
        )];
    };
    let mut findings = vec![Finding::ok("api", patient.context.api_url.clone())];
    for Dependency { name, kind, status, reason } in health.dependencies {
        let named = match name.as_str() {
            "event_store" => "event store",
            "usage_store" => "usage store",
            "authorizer" => "authorizer",
            // Looked at from here already, but the API has its own way to them.
            _ if status == "UP" => continue,
            _ => "api",
        };
        findings.push(if status == "UP" {
            Finding::ok(named, kind.map_or_else(|| "answers".to_owned(), |kind| format!("{kind}: answers")))
        } else {
            let reason = reason.unwrap_or_else(|| "is down".to_owned());
            Finding::fail(named, format!("{name}: {reason}"), "the API waits for it; see its logs")
        });
    }
    findings.extend(date.as_deref().and_then(clock));
    findings
}

fn clock(date: &str) -> Option<Finding> {
    let theirs = OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok()?.unix_timestamp();
    let ours = SystemClock.now().div_euclid(1_000_000);
    let skew = (theirs - ours).abs();
    Some(if skew <= SKEW_SECONDS_MAX {
        Finding::ok("clock", "this machine's and the API's agree")
    } else {
        Finding::warn(
            "clock",
            format!("this machine's and the API's are {skew} s apart"),
            "signatures and times depend on them: use NTP",
        )
    })
}

async fn fleet(patient: &Patient) -> Finding {
    const CHECK: &str = "readiness";
    let url = format!("{}/healthz/ready", patient.admin_url);
    let advice = "give the admin address with --admin-url";
    let Ok(http) = http_client(PATIENCE) else { return Finding::fail(CHECK, "no HTTP client", "") };
    let answer = match http.get(&url).send().await {
        Ok(answer) => answer.json::<Readiness>().await,
        Err(error) => Err(error),
    };
    match answer {
        Err(error) => Finding::warn(CHECK, format!("not known: {url}: {}", root(&error)), advice),
        Ok(readiness) => match readiness.hindrances() {
            none if none.is_empty() => Finding::ok(CHECK, readiness.names().join(", ")),
            some => Finding::fail(CHECK, some.join("; "), "see the logs of what is not ready"),
        },
    }
}

async fn key(patient: &Patient) -> Option<Finding> {
    patient.context.key().ok()?;
    let api = Api::new(patient.context.clone()).ok()?;
    let request = api.request(Method::GET, "/api/v1/events").ok()?.query(&[("limit", "1")]).timeout(PATIENCE);
    Some(match api.answer(request).await {
        Ok(_) => Finding::ok("key", "may read"),
        Err(failure) => Finding::warn(
            "key",
            failure.message.replace('\n', " "),
            "eventrunner keys list shows which there are",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Status;

    #[test]
    fn clocks_are_compared() {
        assert_eq!(clock("Fri, 21 Nov 2014 10:00:00 GMT").unwrap().status, Status::Warn);
        let now = OffsetDateTime::now_utc().format(&Rfc2822).unwrap().replace("+0000", "GMT");
        assert_eq!(clock(&now).unwrap().status, Status::Ok);
        assert!(clock("yesterday").is_none());
    }
}
