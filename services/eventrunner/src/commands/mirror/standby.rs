//! `eventrunner mirror run`: what the origin's engine stores is stored here, too, from the mirror of `EVENTS`; and the mirrors of queues
//! forget what the origin has worked off, so that whoever takes over works on no more than what was under way.
//!
//! Tenant streams are mirrors of their own: nothing is published here. What is stored twice is stored once.

use std::{sync::Arc, time::Duration};

use backup::{Api, Held, StreamInfo, mirror};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bus::{Bus, topology};
use bytes::Bytes;
use catalog::Catalog;
use futures::{StreamExt as _, stream};
use model::{Batch, Micros, parse_rfc3339};
use prost::Message as _;
use proto::hops;
use serde::Serialize;
use store::migration::Mode;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    commands::archive,
    config::ConfigArgs,
    exit::{Failure, Result},
    output::{Output, item, note},
    services, stores,
};

/// Between two rounds that found nothing new.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the queues' mirrors are told what was worked off.
const TRIM: Duration = Duration::from_secs(1);
/// Messages of one round, and how many of them are written at a time.
const ROUND: (usize, usize) = (256, 16);
/// How long the mirror of the catalog may take to tell what it holds.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(30);

/// What was done.
#[derive(Debug, Default, Clone, Serialize)]
struct Done {
    /// Messages of `EVENTS`.
    messages: u64,
    events: u64,
    /// Messages that the origin worked off before the mirror had them: what was in them is not stored here.
    missed: u64,
    promoted: bool,
}

pub(super) async fn run(config: &ConfigArgs, with_stores: bool, output: Output) -> Result<()> {
    let config = config.load([])?;
    let bus = services::connect(&config.nats).await?;
    let stores = if with_stores {
        // `eventrunner migrate` is for the streams of a fleet's own.
        stores::migrate(&config, Mode::Apply).await?;
        Some(archive::open(&config).await?)
    } else {
        None
    };
    let mut standby = match &stores {
        Some(open) => Some(Standby::begin(&bus, open.stores()).await?),
        None => None,
    };
    let worked = standby_until_told(&bus, standby.as_mut()).await;
    if let Some(stores) = stores {
        stores.close().await;
    }
    bus.close().await;
    let promoted = worked?;
    let done = Done { promoted, ..standby.map(|standby| standby.done).unwrap_or_default() };
    if done.missed > 0 {
        note(&format!(
            "{} messages were worked off there before they were mirrored: restore the stores of a newer backup, with --only events,usage",
            done.missed
        ));
    }
    output.one(&item(&done)?)
}

/// Ends when the mirrors are promoted, or on a signal. Whether they are promoted.
async fn standby_until_told(bus: &Bus, mut standby: Option<&mut Standby>) -> Result<bool> {
    let failed = |e: std::io::Error| Failure::failed(format!("signals cannot be heard: {e}"));
    let (mut term, mut int) =
        (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?);
    let mut trim = tokio::time::interval(TRIM);
    let mut trimmer = mirror::Trimmer::default();
    note("stands by; stop it with Ctrl-C, or promote the mirrors");
    loop {
        let stored = async {
            match &mut standby {
                Some(standby) => standby.round(bus).await,
                None => Ok(0),
            }
        };
        let stored = stored.await;
        let pause = match &stored {
            Ok(0) => PAUSE,
            Ok(_) => Duration::ZERO,
            Err(failure) => {
                note(&format!("waits: {}", failure.message));
                TRIM
            }
        };
        // Without stores there is nothing to be kept for.
        let kept = (topology::EVENTS, standby.as_ref().map_or(u64::MAX - 1, |standby| standby.position));
        tokio::select! {
            _ = term.recv() => return Ok(false),
            _ = int.recv() => return Ok(false),
            _ = trim.tick() => match trimmer.trim(bus, kept).await {
                Ok(true) => {}
                Ok(false) => return Ok(true),
                Err(error) => note(&format!("waits: {error}")),
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The stores here, and how far they are.
struct Standby {
    stores: store::Stores,
    catalog: Catalog,
    /// The last sequence of `EVENTS` that is stored, with all before it.
    position: u64,
    done: Done,
}

impl Standby {
    async fn begin(bus: &Bus, stores: store::Stores) -> Result<Self> {
        let open = Catalog::open(bus.jetstream().clone(), catalog::Options::default());
        let late = |_| Failure::unavailable("the mirror of the catalog cannot be read in time");
        let catalog = tokio::time::timeout(CATALOG_TIMEOUT, open).await.map_err(late)?;
        let events = Api::new(bus).stream(topology::EVENTS).await?;
        let events = events.filter(StreamInfo::is_mirror).ok_or_else(|| {
            Failure::config(format!("{} is no mirror here", topology::EVENTS))
                .hint("make the mirrors first: eventrunner mirror setup --from DOMAIN")
        })?;
        // Whatever was stored before is there: writing it again changes nothing.
        let position = events.state.first_seq.saturating_sub(1);
        Ok(Self { stores, catalog, position, done: Done::default() })
    }

    /// Stores what has come. How many messages it was.
    async fn round(&mut self, bus: &Bus) -> Result<usize> {
        let mut batches = Vec::new();
        let mut next = self.position + 1;
        let mut missed = 0;
        while batches.len() < ROUND.0 {
            let Some(message) = Api::new(bus).message(topology::EVENTS, next).await? else { break };
            missed += message.seq - next;
            next = message.seq + 1;
            let mut batch = decode(&message)?;
            engine::measure(&self.catalog.snapshot(), &mut batch);
            batches.push(Arc::new(batch));
        }
        let (messages, events) = (batches.len(), batches.iter().map(|batch| batch.len()).sum::<usize>());
        let mut writes = stream::iter(batches.into_iter().filter(|batch| !batch.is_empty()))
            .map(|batch| self.stores.sink.write(batch))
            .buffered(ROUND.1);
        while let Some(written) = writes.next().await {
            written.map_err(|e| Failure::unavailable(format!("the stores do not take events: {e}")))?;
        }
        drop(writes);
        self.position = next - 1;
        self.done.messages += u64::try_from(messages).unwrap_or_default();
        self.done.events += u64::try_from(events).unwrap_or_default();
        self.done.missed += missed;
        Ok(messages)
    }
}

fn decode(message: &Held) -> Result<Batch> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::data(format!("message {} of {} is not understood: {e}", message.seq, topology::EVENTS))
    };
    let partition = message.subject.rsplit('.').next().and_then(|number| number.parse().ok());
    let partition = partition.ok_or_else(|| wrong(&message.subject))?;
    let bytes = Bytes::from(BASE64_STANDARD.decode(&message.data).map_err(|e| wrong(&e))?);
    let wire = hops::EventBatch::decode(bytes).map_err(|e| wrong(&e))?;
    let stored_at_us: Micros = parse_rfc3339(&message.time).map_err(|e| wrong(&e))?;
    proto::batch_from_wire(wire, partition, message.seq, stored_at_us).map_err(|e| wrong(&e))
}
