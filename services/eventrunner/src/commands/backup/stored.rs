//! What is stored, read through the fleet's own processes and written as lines.

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    time::Duration,
};

use ::backup::{Cut, Folder, Line, Stored, StoredPart, Writer};
use bus::Bus;
use bytes::Bytes;
use futures::StreamExt as _;
use model::{Micros, TenantId};
use serde::Deserialize;

use crate::{
    exit::{Failure, Result},
    store_reader::{self, Ask, ERROR, LAST, NEXT, PARTS},
};

/// How often a page is asked for, and how long after a try that failed.
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_secs(1);
/// Lines of the first page, whose size nobody knows, and the most of any.
const LINES: (u32, u32) = (64, 2_000);
/// Bytes between which a page is asked to be.
const PAGE_BYTES: (usize, usize) = (2 << 20, 8 << 20);
/// Of usage that far before the cut, each record is held against the events: by the door's clock, an event may be older than its
/// place in the broker.
const MARGIN_US: Micros = 60 * 1_000_000;
const LEVEL: i32 = 3;

/// The stores of a fleet.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) bus: &'a Bus,
    pub(super) folder: &'a Folder,
    pub(super) cut: Option<Cut>,
}

/// The events of a tenant about the cut and after it that are in the backup.
#[derive(Debug, Default)]
pub(super) struct Late {
    hasher: RandomState,
    events: HashSet<u64>,
}

impl Reader<'_> {
    /// A tenant's events up to the cut.
    pub(super) async fn events(&self, tenant: &TenantId, late: &mut Late) -> Result<StoredPart> {
        self.copy(Stored::Events, tenant, |line| {
            let look: EventLook<'_> = serde_json::from_str(line)?;
            let Some(cut) = self.cut else { return Ok(true) };
            if cut.is_beyond(look.place.events_sequence, look.place.events_stored_at_us) {
                return Ok(false);
            }
            if look.received_at_us >= cut.events_stored_at_us - MARGIN_US {
                late.add(&look.event);
            }
            Ok(true)
        })
        .await
    }

    /// A tenant's usage; what events used only of those that are in the backup. What is in the queues is metered when they are worked.
    pub(super) async fn usage(&self, tenant: &TenantId, late: &Late) -> Result<StoredPart> {
        self.copy(Stored::Usage, tenant, |line| {
            let look: UsageLook<'_> = serde_json::from_str(line)?;
            Ok(match (self.cut, look.origin) {
                (Some(cut), OriginLook::Event(event)) => {
                    look.at_us < cut.events_stored_at_us - MARGIN_US || late.has(&event)
                }
                _ => true,
            })
        })
        .await
    }

    async fn copy(
        &self,
        kind: Stored,
        tenant: &TenantId,
        mut keep: impl FnMut(&str) -> serde_json::Result<bool>,
    ) -> Result<StoredPart> {
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::failed(format!("what is stored of {tenant} cannot be copied: {e}"))
        };
        let name = match kind {
            Stored::Events => "events",
            Stored::Usage => "usage",
        };
        let file = self.folder.create(&format!("stores/{tenant}/{name}.ndjson.zst")).await?;
        let mut lines = Lines::new(file).map_err(|e| wrong(&e))?;
        let mut ask = Ask { kind, tenant: tenant.clone(), cursor: None, limit: LINES.0 };
        loop {
            let page = whole_page(self.bus, &ask).await?;
            for line in page.parts.iter().flat_map(|part| part.split(|byte| *byte == b'\n')) {
                let line = std::str::from_utf8(line).map_err(|e| wrong(&e))?;
                if !line.is_empty() && keep(line).map_err(|e| wrong(&e))? {
                    lines.add(line).map_err(|e| wrong(&e))?;
                }
            }
            lines.flush().await?;
            ask.limit = next_limit(ask.limit, page.parts.iter().map(Bytes::len).sum());
            ask.cursor = page.next;
            if ask.cursor.is_none() {
                let (records, file) = lines.finish().await?;
                return Ok(StoredPart { kind, tenant: tenant.clone(), records, file });
            }
        }
    }
}

/// More lines where they are small, fewer where they are large.
fn next_limit(limit: u32, bytes: usize) -> u32 {
    match bytes {
        few if few < PAGE_BYTES.0 => limit.saturating_mul(2).min(LINES.1),
        many if many > PAGE_BYTES.1 => (limit / 2).max(1),
        _ => limit,
    }
}

impl Late {
    fn add(&mut self, event: &IdLook<'_>) {
        self.events.insert(self.hasher.hash_one((&*event.source, &*event.id)));
    }

    fn has(&self, event: &IdLook<'_>) -> bool {
        self.events.contains(&self.hasher.hash_one((&*event.source, &*event.id)))
    }
}

/// Lines on their way into a file.
struct Lines {
    encoder: zstd::Encoder<'static, Vec<u8>>,
    file: Writer,
    records: u64,
}

impl Lines {
    fn new(file: Writer) -> std::io::Result<Self> {
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { encoder, file, records: 0 })
    }

    fn add(&mut self, line: &str) -> std::io::Result<()> {
        self.records += 1;
        self.encoder.write_all(line.as_bytes())?;
        self.encoder.write_all(b"\n")
    }

    async fn flush(&mut self) -> Result<()> {
        let packed = std::mem::take(self.encoder.get_mut());
        Ok(self.file.write(&packed).await?)
    }

    async fn finish(self) -> Result<(u64, ::backup::Digested)> {
        let Self { encoder, mut file, records } = self;
        let rest =
            encoder.finish().map_err(|e| Failure::failed(format!("lines cannot be compressed: {e}")))?;
        file.write(&rest).await?;
        Ok((records, file.finish().await?))
    }
}

struct Page {
    parts: Vec<Bytes>,
    next: Option<String>,
    is_whole: bool,
}

/// Asks again where a part of the answer was lost on the way.
async fn whole_page(bus: &Bus, ask: &Ask) -> Result<Page> {
    for _ in 1..TRIES {
        let line = Line::of(bus);
        match page(bus, ask, &line).await {
            Err(_) if line.was_cut() => {}
            Ok(page) if !page.is_whole => {}
            asked => return asked,
        }
        tokio::time::sleep(AGAIN).await;
    }
    page(bus, ask, &Line::of(bus)).await.and_then(|page| match page.is_whole {
        true => Ok(page),
        false => Err(Failure::unavailable(
            "what is stored cannot be read: parts of the answers are lost on the way",
        )),
    })
}

async fn page(bus: &Bus, ask: &Ask, line: &Line) -> Result<Page> {
    let gone = |reason: &str| {
        Failure::unavailable(format!("nobody answers for the stores: {reason}"))
            .hint("a process with them must run: `api`, or `eventrunner up`; or leave them out with --only")
    };
    let client = bus.client();
    let inbox = client.new_inbox();
    let mut answer = client.subscribe(inbox.clone()).await.map_err(|e| gone(&e.to_string()))?;
    let body = serde_json::to_vec(ask).map_err(|e| gone(&e.to_string()))?;
    client
        .publish_with_reply(store_reader::SUBJECT, inbox, body.into())
        .await
        .map_err(|e| gone(&e.to_string()))?;
    let mut parts = Vec::new();
    loop {
        let part = line.wait("a page of what is stored", answer.next()).await?;
        let part = part.ok_or_else(|| gone("the connection was closed"))?;
        if part.status.is_some() {
            return Err(gone("there is no such process"));
        }
        let said = |name: &str| part.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
        if let Some(error) = said(ERROR) {
            return Err(Failure::unavailable(format!("the stores cannot be read: {error}")));
        }
        parts.push(part.payload.clone());
        if said(LAST).is_some() {
            // A fleet of the version before does not say it.
            let is_whole = said(PARTS).is_none_or(|count| count == parts.len().to_string());
            return Ok(Page { parts, next: said(NEXT), is_whole });
        }
    }
}

/// An archived event, as far as it is looked at here.
#[derive(Deserialize)]
struct EventLook<'a> {
    received_at_us: Micros,
    place: PlaceLook,
    #[serde(borrow)]
    event: IdLook<'a>,
}

#[derive(Deserialize)]
struct PlaceLook {
    events_sequence: u64,
    events_stored_at_us: Micros,
}

#[derive(Deserialize)]
struct IdLook<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct UsageLook<'a> {
    at_us: Micros,
    #[serde(borrow)]
    origin: OriginLook<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OriginLook<'a> {
    #[serde(borrow)]
    Event(IdLook<'a>),
    Other(serde::de::IgnoredAny),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_as_large_as_they_may() {
        assert_eq!(next_limit(64, 10), 128);
        assert_eq!(next_limit(1_500, 10), 2_000);
        assert_eq!(next_limit(64, 4 << 20), 64);
        assert_eq!((next_limit(64, 9 << 20), next_limit(1, 9 << 20)), (32, 1));
    }

    #[test]
    fn lines_of_an_archive_are_looked_at() {
        let line = r#"{"received_at_us":5,"system":"s","traceparent":"t","protocol":"http","place":{"partition":1,"raw_sequence":2,"raw_stored_at_us":3,"normalized_at_us":4,"events_sequence":7,"events_stored_at_us":8,"index":0,"stored_at_us":9},"event":{"specversion":"1.0","id":"a\"b","source":"/s","type":"t","data":{"id":[1]}}}"#;
        let look: EventLook<'_> = serde_json::from_str(line).unwrap();
        assert_eq!((look.place.events_sequence, &*look.event.id), (7, "a\"b"));
        let mut late = Late::default();
        late.add(&look.event);
        let used = r#"{"id":"/s a\"b","at_us":5,"origin":{"event":{"source":"/s","id":"a\"b"}},"meters":[["events",1]]}"#;
        let used: UsageLook<'_> = serde_json::from_str(used).unwrap();
        let OriginLook::Event(event) = used.origin else { panic!("an event") };
        assert!(late.has(&event));
        let other = r#"{"id":"x","at_us":5,"origin":{"other":{"kind":"k","reference":"r"}},"meters":[]}"#;
        assert!(matches!(serde_json::from_str::<UsageLook<'_>>(other).unwrap().origin, OriginLook::Other(_)));
    }
}
