//! A stage: one service's work on all partitions of a stream.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use model::Micros;
use runtime::{health::Component, lifecycle::Context};
use tokio::task::{JoinError, JoinSet};

use crate::{
    Bus, Error,
    members::{Members, MembersOptions},
    publish::Queue,
    reader::{Counts, OnProgress, Reader, ReaderOptions, Worker},
};

/// What a stage is.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The service's name, in health, metrics and among the members.
    pub name: &'static str,
    /// The stream it reads.
    pub stream: &'static str,
    /// The topology's partitions.
    pub partitions: u32,
    /// How partitions are read.
    pub reader: ReaderOptions,
    /// How replicas share them.
    pub members: MembersOptions,
}

impl Stage {
    /// Joins the other replicas and starts to read the partitions that fall to this one, in tasks of `context`.
    /// Readiness beyond the start is the workers' to report.
    ///
    /// # Errors
    /// If the other replicas cannot be met.
    pub async fn start<W: Worker>(
        self,
        bus: &Bus,
        context: &Context,
        health: &Component,
        worker: impl Fn(u32) -> W,
    ) -> Result<(), Error> {
        let members = Members::join(bus, self.name, self.partitions, &self.members).await?;
        let on_progress = oldest_of_all(health.clone());
        let mut readers = JoinSet::new();
        for partition in 0..self.partitions {
            let reader = Reader {
                bus: bus.clone(),
                stream: self.stream,
                partition,
                options: self.reader.clone(),
                counts: Counts::new(self.name, partition),
                on_progress: Arc::clone(&on_progress),
                queue: Queue::default(),
                worker: worker(partition),
            };
            let stop = context.shutdown().clone();
            let owned = members.owned();
            readers.spawn(async move {
                tokio::select! {
                    () = reader.run(owned, stop.draining.clone()) => {}
                    () = stop.aborting.cancelled() => {}
                }
            });
        }
        health.started();
        health.ready(true, "");
        let draining = context.shutdown().draining.clone();
        context.spawn_critical(self.name, async move {
            // The others are told first: their requests wait at the broker when a partition is given free.
            let mut leave = pin!(async {
                draining.cancelled().await;
                members.leave().await;
            });
            let mut left = false;
            loop {
                tokio::select! {
                    () = &mut leave, if !left => left = true,
                    ended = readers.join_next() => match ended {
                        Some(ended) => ended?,
                        None => break,
                    }
                }
            }
            if draining.is_cancelled() && !left {
                leave.await;
            }
            Ok::<(), JoinError>(())
        });
        Ok(())
    }
}

/// Each partition reports its oldest work; the component shows the oldest of all.
fn oldest_of_all(health: Component) -> OnProgress {
    let oldest: Mutex<HashMap<u32, Micros>> = Mutex::default();
    Arc::new(move |partition, at| {
        let mut oldest = oldest.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Some(at) => oldest.insert(partition, at),
            None => oldest.remove(&partition),
        };
        health.oldest_work(oldest.values().min().copied());
    })
}
