//! From the stores into objects.

use std::io::Write as _;

use model::{Clock as _, Micros, SystemClock, TenantId, format_rfc3339};
use store::{EventQuery, Order, Stores, UsageQuery};

use super::{
    Summary,
    format::{self, Kind, MANIFEST, Manifest, Object},
    places::Place,
};
use crate::{
    commands::copy::{bar, of_store},
    exit::{Code, Failure, Result},
};

/// Lines of one object, before they are compressed: what an object takes in memory, about twice.
const OBJECT_BYTES: usize = 32 << 20;
const PAGE: u32 = 1_000;
const LEVEL: i32 = 3;

/// Writes an archive; its manifest last.
pub(super) async fn archive(
    stores: &Stores,
    tenant: &TenantId,
    (since_us, until_us): (Option<Micros>, Option<Micros>),
    place: &Place,
) -> Result<Summary> {
    if place.exists(MANIFEST).await? {
        let message = format!("{} holds an archive already", place.name());
        return Err(Failure::new(Code::CannotTake, message).hint("choose another folder"));
    }
    let now_us = SystemClock.now();
    // With an end, so that an archive of a tenant that goes on sending ends.
    let until_us = Some(until_us.unwrap_or(now_us));
    let bar = bar();
    let mut events = Objects::new(place, Kind::Events);
    let mut query =
        EventQuery { since_us, until_us, order: Order::OldestFirst, limit: PAGE, ..EventQuery::default() };
    loop {
        let page = stores.events.page(tenant, &query).await.map_err(of_store)?;
        for stored in &page.events {
            events.add(&format::event_line(stored)?).await?;
        }
        bar.inc(u64::try_from(page.events.len()).unwrap_or_default());
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let mut usage = Objects::new(place, Kind::Usage);
    let mut query = UsageQuery { since_us, until_us, limit: PAGE, ..UsageQuery::default() };
    loop {
        let page = stores.usage.list(tenant, &query).await.map_err(of_store)?;
        for record in &page.records {
            usage.add(&format::usage_line(record)?).await?;
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    let objects = [events.finish().await?, usage.finish().await?].concat();
    let manifest = Manifest::new(tenant.clone(), format_rfc3339(now_us), (since_us, until_us), objects);
    let json = serde_json::to_vec_pretty(&manifest).map_err(|e| Failure::failed(e.to_string()))?;
    place.create(MANIFEST, json.into()).await?;
    let Manifest { events, usage_records, .. } = manifest;
    Ok(Summary { tenant: tenant.clone(), events, usage_records })
}

/// Lines of one kind, gathered into objects.
struct Objects<'a> {
    place: &'a Place,
    kind: Kind,
    lines: Vec<u8>,
    records: u64,
    done: Vec<Object>,
}

impl<'a> Objects<'a> {
    fn new(place: &'a Place, kind: Kind) -> Self {
        Self { place, kind, lines: Vec::new(), records: 0, done: Vec::new() }
    }

    async fn add(&mut self, line: &str) -> Result<()> {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
        self.records += 1;
        if self.lines.len() >= OBJECT_BYTES { self.store().await } else { Ok(()) }
    }

    async fn finish(mut self) -> Result<Vec<Object>> {
        if self.records > 0 {
            self.store().await?;
        }
        Ok(self.done)
    }

    async fn store(&mut self) -> Result<()> {
        let stem = match self.kind {
            Kind::Events => "events",
            Kind::Usage => "usage",
        };
        let name = format!("{stem}-{:06}.ndjson.zst", self.done.len() + 1);
        let packed =
            pack(&self.lines).map_err(|e| Failure::failed(format!("{name} cannot be compressed: {e}")))?;
        self.done.push(Object::new(name.clone(), self.kind, self.records, &packed));
        self.place.put(&name, packed.into()).await?;
        self.lines.clear();
        self.records = 0;
        Ok(())
    }
}

fn pack(lines: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.write_all(lines)?;
    encoder.finish()
}
