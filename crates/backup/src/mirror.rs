//! A fleet's streams as mirrors on the broker of another region, and the mirrors as streams when that region takes over (ADR 21).
//!
//! A mirror keeps sequences, times and headers. What it cannot keep is put into its metadata and given back when it is promoted:
//! its subjects, and of a queue that it refuses when it is full. (A mirror of a queue does not learn what was acked; [`Trimmer`] tells it.)

use std::{collections::BTreeMap, time::Duration};

use bus::{Bus, topology};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    Error,
    wire::{Api, StreamInfo, domain_prefix},
};

/// Where a mirror's subjects and its other settings of the origin are kept.
const ORIGIN: &str = "eventrunner.origin";
/// How long the origin may take to answer. It is far away, or gone.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Of the settings of a stream, those that a mirror cannot have or must have otherwise.
const SET_ASIDE: [&str; 4] = ["subjects", "discard", "max_age", "placement"];
/// What the mirror of a queue keeps at most: whoever trims it was away for as long.
const QUEUE_AGE: Duration = Duration::from_secs(24 * 3_600);

/// A mirror beside its origin.
#[derive(Debug, Clone, Serialize)]
pub struct Mirrored {
    /// The stream.
    pub name: String,
    /// Its last sequence here.
    pub last_seq: u64,
    /// Its last sequence there, if the origin answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_last_seq: Option<u64>,
    /// Messages it is behind: by the origin's word, or by what it knew last.
    pub lag: u64,
    /// Since the origin was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<i64>,
    /// Why it gets nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Makes a mirror of every stream that a domain's disk holds, each with that many copies here. Gives those that were made; what is a mirror already
/// stays. (What is in memory belongs to the processes there.)
///
/// # Errors
/// If the domain does not answer, or there is a stream of that name here.
pub async fn set_up(bus: &Bus, domain: &str, replicas: usize) -> Result<Vec<String>, Error> {
    let (here, there) = (Api::new(bus), Api::of_domain(bus, domain).patient(ORIGIN_TIMEOUT));
    let origins = there.streams().await?;
    if origins.iter().all(|stream| stream.name() != topology::RAW) {
        return Err(Error::Mismatch(format!(
            "the domain {domain} holds no fleet: it has no stream {}",
            topology::RAW
        )));
    }
    let mut made = Vec::new();
    for origin in origins.iter().filter(|stream| !stream.is_in_memory()) {
        let name = origin.name();
        match here.stream(name).await? {
            Some(stream) if stream.is_mirror() => continue,
            Some(_) => {
                return Err(Error::InUse(format!(
                    "there is a stream {name} here, which is no mirror: this broker has a fleet of its own"
                )));
            }
            None => {}
        }
        here.ask::<Value>(&format!("STREAM.CREATE.{name}"), &mirror_of(origin, domain, replicas)).await?;
        made.push(name.to_owned());
    }
    Ok(made)
}

/// The configuration of a stream's mirror.
fn mirror_of(origin: &StreamInfo, domain: &str, replicas: usize) -> Value {
    let mut config = origin.config.as_object().cloned().unwrap_or_default();
    let mut aside = Map::new();
    for name in SET_ASIDE {
        aside.extend(config.remove(name).map(|value| (name.to_owned(), value)));
    }
    if origin.is_queue() {
        // Full, it must not stand still.
        config.insert("discard".to_owned(), "old".into());
        config.insert("max_age".to_owned(), json!(QUEUE_AGE.as_nanos()));
    } else {
        for name in ["discard", "max_age"] {
            config.extend(aside.get(name).map(|value| (name.to_owned(), value.clone())));
        }
    }
    config.insert("num_replicas".to_owned(), replicas.into());
    let external = json!({"api": domain_prefix(domain), "deliver": ""});
    config.insert("mirror".to_owned(), json!({"name": origin.name(), "external": external}));
    let mut metadata = metadata_of(&config);
    metadata.insert(ORIGIN.to_owned(), Value::Object(aside).to_string().into());
    config.insert("metadata".to_owned(), metadata.into());
    Value::Object(config)
}

/// Without the broker's own.
fn metadata_of(config: &Map<String, Value>) -> Map<String, Value> {
    let mut metadata = config.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    metadata.retain(|name, _| !name.starts_with("_nats."));
    metadata
}

/// The stream that a mirror becomes; none if it is no mirror of ours.
fn promoted(mirror: &StreamInfo) -> Option<Value> {
    let mut config = mirror.config.as_object()?.clone();
    config.remove("mirror")?;
    let mut metadata = metadata_of(&config);
    let aside = metadata.remove(ORIGIN)?;
    let aside: Map<String, Value> = serde_json::from_str(aside.as_str()?).ok()?;
    config.extend(aside.into_iter().filter(|(name, _)| name != "placement"));
    config.insert("metadata".to_owned(), metadata.into());
    Some(Value::Object(config))
}

/// The domain that a mirror is of.
fn domain_of(mirror: &StreamInfo) -> Option<&str> {
    let api = mirror.config.pointer("/mirror/external/api")?.as_str()?;
    api.strip_prefix("$JS.")?.strip_suffix(".API")
}

async fn mirrors(bus: &Bus) -> Result<Vec<StreamInfo>, Error> {
    let mut streams = Api::new(bus).streams().await?;
    streams.retain(StreamInfo::is_mirror);
    Ok(streams)
}

/// Every mirror, and how far it is behind.
///
/// # Errors
/// If the broker here does not answer. An origin that does not is no error.
pub async fn status(bus: &Bus) -> Result<Vec<Mirrored>, Error> {
    // In this order: what comes in between is not taken for being behind.
    let domain = mirrors(bus).await?.iter().find_map(domain_of).map(str::to_owned);
    let origins = match domain {
        Some(domain) => {
            Api::of_domain(bus, &domain).patient(ORIGIN_TIMEOUT).streams().await.unwrap_or_default()
        }
        None => Vec::new(),
    };
    let told = |mirror: StreamInfo| {
        let origin = origins.iter().find(|origin| origin.name() == mirror.name());
        let origin_last_seq = origin.map(|origin| origin.state.last_seq);
        let state = mirror.mirror.as_ref();
        let known = state.map_or(0, |state| state.lag);
        let said = |error: &Value| {
            error.get("description").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned)
        };
        Mirrored {
            name: mirror.name().to_owned(),
            last_seq: mirror.state.last_seq,
            origin_last_seq,
            lag: origin_last_seq.map_or(known, |last| last.saturating_sub(mirror.state.last_seq)),
            silent_ms: state
                .map(|state| state.active)
                .filter(|active| *active >= 0)
                .map(|active| active / 1_000_000),
            error: state.and_then(|state| state.error.as_ref()).map(said),
        }
    };
    Ok(mirrors(bus).await?.into_iter().map(told).collect())
}

/// Turns every mirror into the stream that it mirrors; `RAW` last, for which processes wait. May be run again. Unless forced, only
/// when no origin answers any more: two fleets that both take events are not made one again.
///
/// # Errors
/// If there is no mirror, an origin answers, or the broker refuses.
pub async fn promote(bus: &Bus, forced: bool) -> Result<Vec<String>, Error> {
    let mut mirrors = mirrors(bus).await?;
    mirrors.sort_by_key(|mirror| mirror.name() == topology::RAW);
    if mirrors.is_empty() {
        return Err(Error::Mismatch("there is no mirror on this broker".into()));
    }
    if let Some(domain) = mirrors.iter().find_map(domain_of).filter(|_| !forced)
        && Api::of_domain(bus, domain).patient(ORIGIN_TIMEOUT).streams().await.is_ok()
    {
        return Err(Error::InUse(format!(
            "the broker of the domain {domain} answers: its fleet may still take events"
        )));
    }
    let mut done = Vec::new();
    for mirror in &mirrors {
        let name = mirror.name();
        let config = promoted(mirror).ok_or_else(|| {
            Error::Mismatch(format!(
                "the mirror {name} was not made by `eventrunner mirror setup`: its subjects are not known"
            ))
        })?;
        Api::new(bus).ask::<Value>(&format!("STREAM.UPDATE.{name}"), &config).await?;
        done.push(name.to_owned());
    }
    Ok(done)
}

/// Tells the mirrors of queues what their origins have worked off: up to there they forget.
///
/// What was worked off has been written to other streams before. So what the origin says counts here only when every mirror has what
/// its origin had at that time: else an event could be forgotten in `EVENTS` that has not come to its tenant's stream yet.
#[derive(Debug, Default)]
pub struct Trimmer(Option<Seen>);

/// What origins said at one time.
#[derive(Debug)]
struct Seen {
    /// Where each queue began.
    firsts: BTreeMap<String, u64>,
    /// Where each stream ended, a moment later.
    lasts: BTreeMap<String, u64>,
}

impl Trimmer {
    /// Does what can be done now; of one stream, no further than `kept`. Whether there are mirrors still.
    ///
    /// # Errors
    /// If the broker here does not answer. An origin that does not is no error: nothing is forgotten then.
    pub async fn trim(&mut self, bus: &Bus, kept: (&str, u64)) -> Result<bool, Error> {
        let mirrors = mirrors(bus).await?;
        if let Some(seen) = self.0.take_if(|seen| seen.is_here(&mirrors)) {
            seen.forget(bus, &mirrors, kept).await?;
        }
        if self.0.is_none()
            && let Some(domain) = mirrors.iter().find_map(domain_of)
        {
            self.0 = Seen::of(&Api::of_domain(bus, domain).patient(ORIGIN_TIMEOUT)).await.ok();
        }
        Ok(!mirrors.is_empty())
    }
}

impl Seen {
    async fn of(origin: &Api<'_>) -> Result<Self, Error> {
        let queues = origin.streams().await?;
        let firsts = queues.iter().filter(|stream| stream.is_queue());
        let firsts = firsts.map(|queue| (queue.name().to_owned(), queue.state.first_seq)).collect();
        let streams = origin.streams().await?;
        let lasts = streams.iter().map(|stream| (stream.name().to_owned(), stream.state.last_seq)).collect();
        Ok(Self { firsts, lasts })
    }

    fn is_here(&self, mirrors: &[StreamInfo]) -> bool {
        mirrors
            .iter()
            .all(|mirror| self.lasts.get(mirror.name()).is_none_or(|last| mirror.state.last_seq >= *last))
    }

    async fn forget(&self, bus: &Bus, mirrors: &[StreamInfo], kept: (&str, u64)) -> Result<(), Error> {
        for mirror in mirrors.iter().filter(|mirror| mirror.is_queue()) {
            let (name, mut first) =
                (mirror.name(), self.firsts.get(mirror.name()).copied().unwrap_or_default());
            if kept.0 == name {
                first = first.min(kept.1 + 1);
            }
            if mirror.state.messages > 0 && first > mirror.state.first_seq {
                Api::new(bus).ask::<Value>(&format!("STREAM.PURGE.{name}"), &json!({"seq": first})).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_becomes_again_what_it_was_made_of() {
        let state = json!({"messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0});
        let info = |config: &Value| -> StreamInfo {
            serde_json::from_value(json!({"config": config, "state": state})).unwrap()
        };
        for retention in ["workqueue", "limits"] {
            let config = json!({
                "name": "RAW", "subjects": ["raw.>"], "retention": retention, "discard": "new", "max_age": 0, "num_replicas": 3,
                "metadata": {"eventrunner.partitions": "4", "_nats.ver": "2.15.1"},
            });
            let mirror = mirror_of(&info(&config), "EAST", 1);
            assert_eq!(mirror["mirror"]["external"]["api"], "$JS.EAST.API");
            assert!(mirror.get("subjects").is_none());
            assert_eq!(mirror["discard"] == "old", retention == "workqueue");
            let mirror = info(&mirror);
            assert_eq!(domain_of(&mirror), Some("EAST"));
            let mut expected = config.clone();
            expected["num_replicas"] = 1.into();
            expected["metadata"].as_object_mut().unwrap().remove("_nats.ver");
            assert_eq!(promoted(&mirror), Some(expected));
        }
        assert_eq!(
            promoted(&info(&json!({"name": "RAW", "mirror": {"name": "RAW"}}))),
            None,
            "somebody else's"
        );
    }
}
