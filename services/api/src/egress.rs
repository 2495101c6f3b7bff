//! What tenants read as it comes, metered: the bytes of events that streams hand to their connections.
//!
//! Invariant: what is counted is in the usage store once, an interval later. Every interval's count of a tenant is one record with
//! an id and a time of its own, which is written again, the same, until the store has it; at a graceful stop the rest is written too.
//! What a process that dies has not written yet is lost, to the tenant's favour: one interval's, or, while the store is away, what
//! came since. Nothing grows meanwhile but the numbers.
//! What tenants' NATS clients read is counted by the broker, see [`clients`].

pub(crate) mod clients;
mod entry;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bus::Backoff;
use catalog::Catalog;
use model::{Clock, Micros, SystemClock, TenantId, Text};
use store::{METER_EGRESS_BYTES, Origin, UsageRecord, UsageStore};
use tokio_util::sync::CancellationToken;

/// The bytes of each tenant that were not written yet.
#[derive(Debug, Default)]
pub(crate) struct Egress(Mutex<HashMap<TenantId, Arc<AtomicU64>>>);

/// Where a stream counts.
#[derive(Debug, Clone)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Egress {
    /// Where streams of a tenant count.
    pub(crate) fn counter(&self, tenant: &TenantId) -> Counter {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Counter(Arc::clone(counts.entry(tenant.clone()).or_default()))
    }

    /// What was counted since the last time. Tenants without streams are forgotten.
    fn take(&self) -> Vec<(TenantId, u64)> {
        let mut taken = Vec::new();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|tenant, count| {
            // Before the count is read: who is gone counts no more.
            let is_held = Arc::strong_count(count) > 1;
            let bytes = count.swap(0, Relaxed);
            if bytes > 0 {
                taken.push((tenant.clone(), bytes));
            }
            is_held
        });
        taken
    }
}

/// Writes what was counted.
pub(crate) struct Writer {
    egress: Arc<Egress>,
    usage: Arc<dyn UsageStore>,
    catalog: Catalog,
    interval: Duration,
    /// For one answer of the store, and for all that is written at a stop.
    patience: Duration,
    /// A name of its own for each life of a process.
    replica: String,
    number: u64,
    pending: Vec<UsageRecord>,
}

impl Writer {
    pub(crate) fn new(
        egress: Arc<Egress>,
        usage: Arc<dyn UsageStore>,
        catalog: Catalog,
        interval: Duration,
        patience: Duration,
    ) -> Self {
        let replica = format!("{:016x}", rand::random::<u64>());
        Self { egress, usage, catalog, interval, patience, replica, number: 0, pending: Vec::new() }
    }

    /// Writes every interval until `served`, which is when nobody counts any more; then the rest.
    pub(crate) async fn run(mut self, served: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let wait = async {
                if self.pending.is_empty() {
                    tokio::time::sleep(self.interval).await;
                } else {
                    backoff.wait().await;
                }
            };
            tokio::select! {
                biased;
                () = served.cancelled() => break,
                () = wait => {}
            }
            if self.write().await {
                backoff.reset();
            }
        }
        if tokio::time::timeout(self.patience, self.write_rest()).await.is_err() {
            let bytes: u64 = self.pending.iter().filter_map(|r| r.value_of(METER_EGRESS_BYTES)).sum();
            tracing::warn!(bytes, "stopping with bytes read by tenants that are not metered");
        }
    }

    async fn write_rest(&mut self) {
        let mut backoff = Backoff::default();
        // What waits is written before what came after it.
        while !self.pending.is_empty() && !self.write().await {
            backoff.wait().await;
        }
        while !self.write().await {
            backoff.wait().await;
        }
    }

    /// Whether nothing is left of what there was.
    async fn write(&mut self) -> bool {
        let is_first = self.pending.is_empty();
        if is_first {
            self.pending = self.records(SystemClock.now());
        }
        // What comes to a tenant that is being erased would stay.
        let snapshot = self.catalog.snapshot();
        self.pending.retain(|record| snapshot.tenant(&record.tenant).is_some());
        if self.pending.is_empty() {
            return true;
        }
        let written = tokio::time::timeout(self.patience, self.usage.write(self.pending.clone())).await;
        match written {
            Ok(Ok(())) => self.pending.clear(),
            Ok(Err(error)) if is_first => {
                tracing::warn!(%error, "bytes read by tenants not metered yet, trying again");
            }
            Err(_) if is_first => tracing::warn!("the usage store does not answer, trying again"),
            _ => {}
        }
        self.pending.is_empty()
    }

    fn records(&mut self, at_us: Micros) -> Vec<UsageRecord> {
        let taken = self.egress.take();
        let record = |(tenant, bytes): (TenantId, u64)| {
            self.number += 1;
            let reference: Text = format!("{}/{}", self.replica, self.number).into();
            UsageRecord {
                tenant,
                id: format!("egress/{reference}").into(),
                at_us,
                origin: Origin::Other { kind: Text::from_static("egress"), reference },
                customer: None,
                event_type: None,
                meters: vec![(Text::from_static(METER_EGRESS_BYTES), bytes)],
            }
        };
        taken.into_iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::atomic::AtomicBool};

    use async_trait::async_trait;
    use catalog::Snapshot;
    use store::{Aggregation, Error, GroupUsage, Grouping, UsageBucket, UsagePage, UsageQuery};

    use super::*;

    /// Keeps records by their ids, and now and then keeps them without saying so.
    #[derive(Debug, Default)]
    struct Moody {
        kept: Mutex<BTreeMap<(TenantId, Text, Micros), u64>>,
        calls: AtomicU64,
        away: AtomicBool,
    }

    #[async_trait]
    impl UsageStore for Moody {
        async fn write(&self, records: Vec<UsageRecord>) -> Result<(), Error> {
            let call = self.calls.fetch_add(1, Relaxed);
            if self.away.load(Relaxed) {
                return Err(Error::Unavailable("away".into()));
            }
            for record in records {
                let value = record.value_of(METER_EGRESS_BYTES).unwrap();
                self.kept.lock().unwrap().insert((record.tenant, record.id, record.at_us), value);
            }
            if call.is_multiple_of(2) {
                Err(Error::Unavailable("the answer got lost".into()))
            } else {
                Ok(())
            }
        }

        async fn aggregate(
            &self,
            _: &TenantId,
            _: &str,
            _: Aggregation,
            _: &UsageQuery,
        ) -> Result<Vec<UsageBucket>, Error> {
            unreachable!()
        }

        async fn grouped(
            &self,
            _: &TenantId,
            _: &str,
            _: Aggregation,
            _: Grouping,
            _: &UsageQuery,
        ) -> Result<Vec<GroupUsage>, Error> {
            unreachable!()
        }

        async fn list(&self, _: &TenantId, _: &UsageQuery) -> Result<UsagePage, Error> {
            unreachable!()
        }
    }

    impl Moody {
        fn total(&self, tenant: &TenantId) -> u64 {
            let kept = self.kept.lock().unwrap();
            kept.iter().filter(|((of, _, _), _)| of == tenant).map(|(_, value)| value).sum()
        }
    }

    fn tenant(id: &str) -> TenantId {
        id.parse().unwrap()
    }

    fn start(store: &Arc<Moody>) -> (Arc<Egress>, CancellationToken, tokio::task::JoinHandle<()>) {
        let egress = Arc::new(Egress::default());
        let of = |id: &str| serde_json::from_value(serde_json::json!({ "id": id })).unwrap();
        let snapshot = Snapshot::default()
            .with::<model::resource::Tenant>(of("acme"))
            .with::<model::resource::Tenant>(of("globex"));
        let served = CancellationToken::new();
        let (interval, patience) = (Duration::from_millis(5), Duration::from_secs(2));
        let writer = Writer::new(
            Arc::clone(&egress),
            Arc::clone(store) as _,
            Catalog::fixed(snapshot),
            interval,
            patience,
        );
        let running = tokio::spawn(writer.run(served.clone()));
        (egress, served, running)
    }

    #[tokio::test]
    async fn every_byte_is_kept_once_whatever_the_store_says() {
        let store = Arc::new(Moody::default());
        let (egress, served, running) = start(&store);
        let (acme, globex) = (egress.counter(&tenant("acme")), egress.counter(&tenant("globex")));
        for n in 0..200 {
            acme.add(n);
            egress.counter(&tenant("acme")).add(1);
            globex.add(2);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        served.cancel();
        running.await.unwrap();
        assert_eq!(store.total(&tenant("acme")), (0..200).sum::<u64>() + 200);
        assert_eq!(store.total(&tenant("globex")), 400);
        assert!(store.kept.lock().unwrap().len() > 2, "it was written more than once");
    }

    #[tokio::test]
    async fn what_came_while_the_store_was_away_is_written_at_the_stop() {
        let store = Arc::new(Moody::default());
        store.away.store(true, Relaxed);
        let (egress, served, running) = start(&store);
        let counter = egress.counter(&tenant("acme"));
        counter.add(5);
        while store.calls.load(Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        counter.add(7);
        drop(counter);
        store.away.store(false, Relaxed);
        served.cancel();
        running.await.unwrap();
        assert_eq!(store.total(&tenant("acme")), 12);
    }

    #[tokio::test]
    async fn what_an_erased_tenant_read_is_not_written() {
        let store = Arc::new(Moody::default());
        let (egress, served, running) = start(&store);
        egress.counter(&tenant("erased")).add(5);
        egress.counter(&tenant("acme")).add(1);
        served.cancel();
        running.await.unwrap();
        assert_eq!((store.total(&tenant("erased")), store.total(&tenant("acme"))), (0, 1));
    }

    #[test]
    fn who_has_no_stream_is_forgotten() {
        let egress = Egress::default();
        let counter = egress.counter(&tenant("acme"));
        counter.add(3);
        assert_eq!(egress.take(), [(tenant("acme"), 3)]);
        assert_eq!(egress.0.lock().unwrap().len(), 1);
        counter.add(4);
        drop(counter);
        assert_eq!(egress.take(), [(tenant("acme"), 4)]);
        assert!(egress.0.lock().unwrap().is_empty());
    }
}
