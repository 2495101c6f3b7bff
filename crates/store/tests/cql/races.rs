//! Several adapters, as several processes have them, write events of the same identities at once.

use std::{collections::BTreeMap, sync::Arc};

use model::{Batch, CloudEvent, Micros, TenantId};
use store::{
    EventQuery, EventStore as _, Stores, UsageRecord, Written,
    cql::{Cql, Options},
    records_of,
};

use crate::{
    cassandra, narrow, open_with,
    world::{NOON, World, builder, oldest_first, walk},
};

/// Usage as a store keeps it that knows records by tenant, id and time: what is void does not count, whichever came first.
#[derive(Debug, Default)]
struct Usage(BTreeMap<(String, Micros), (Option<UsageRecord>, bool)>);

impl Usage {
    fn add(&mut self, batch: &Batch, written: &Written) {
        for record in records_of(batch, written) {
            let known = self.0.entry((record.id.to_string(), record.at_us)).or_default();
            if record.is_void() {
                known.1 = true;
            } else {
                known.0 = Some(record);
            }
        }
    }

    /// What counts, by id.
    fn counted(&self) -> BTreeMap<String, Vec<Micros>> {
        let mut counted: BTreeMap<String, Vec<Micros>> = BTreeMap::new();
        for ((id, at), (record, void)) in &self.0 {
            if record.is_some() && !void {
                counted.entry(id.clone()).or_default().push(*at);
            }
        }
        counted
    }
}

const IDENTITIES: u32 = 40;

/// The event that the `n`th batch has of an identity: each is another.
fn of(n: i64, id: u32) -> CloudEvent {
    builder(id).subject(format!("from {n}")).build().unwrap()
}

/// The `n`th batch: received earlier the higher `n`, so that the first written is seldom the one that stays.
fn batch(world: &World, tenant: &TenantId, n: i64) -> Arc<Batch> {
    let mut batch =
        Arc::unwrap_or_clone(world.batch(tenant, NOON - n, (0..IDENTITIES).map(|id| of(n, id)).collect()));
    batch.partition = u32::try_from(n % 4).unwrap();
    Arc::new(batch)
}

async fn race(writers: [Options; 3], batches: i64, deliveries: usize) {
    let world = World::new();
    let tenant = world.tenant("t");
    let mut adapters = Vec::new();
    for options in writers {
        adapters.push(open_with(options).await);
    }
    let batches: Vec<_> = (0..batches).map(|n| batch(&world, &tenant, n)).collect();
    let mut writes = Vec::new();
    for delivery in 0..deliveries {
        for (n, batch) in batches.iter().enumerate() {
            let (cql, batch) = (adapters[(n + delivery) % adapters.len()].clone(), Arc::clone(batch));
            writes.push(tokio::spawn(async move { (Arc::clone(&batch), cql.write(batch).await) }));
        }
    }
    let mut usage = Usage::default();
    for write in writes {
        let (batch, written) = write.await.unwrap();
        usage.add(&batch, &written.unwrap());
    }
    check(&open_with(cassandra::options()).await, &tenant, &usage, i64::try_from(batches.len()).unwrap() - 1)
        .await;
}

/// Of each identity exactly the first received is there, and exactly it is counted.
async fn check(reader: &Cql, tenant: &TenantId, usage: &Usage, first: i64) {
    let stores = stores(reader);
    let kept = walk(&stores, tenant, &oldest_first()).await;
    let mut ids: Vec<u32> = kept.iter().map(|e| e.event.id().parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..IDENTITIES).collect::<Vec<_>>(), "each identity once");
    for stored in &kept {
        let id: u32 = stored.event.id().parse().unwrap();
        assert_eq!((stored.stamp.received_at_us, &stored.event), (NOON - first, &of(first, id)));
        assert_eq!(reader.get(tenant, "/shop", &id.to_string()).await.unwrap().as_ref(), Some(stored));
    }
    assert_eq!(reader.count(tenant, &EventQuery::default()).await.unwrap(), u64::from(IDENTITIES));
    let counted = usage.counted();
    assert_eq!(counted.len(), kept.len());
    assert!(counted.values().all(|at| *at == [NOON - first]), "{counted:?}");
}

/// Only for [`walk`], which reads events.
fn stores(cql: &Cql) -> Stores {
    #[derive(Debug)]
    struct None;
    #[async_trait::async_trait]
    impl store::UsageStore for None {
        async fn write(&self, _: Vec<UsageRecord>) -> Result<(), store::Error> {
            unreachable!()
        }
        async fn aggregate(
            &self,
            _: &TenantId,
            _: &str,
            _: store::Aggregation,
            _: &store::UsageQuery,
        ) -> Result<Vec<store::UsageBucket>, store::Error> {
            unreachable!()
        }
        async fn grouped(
            &self,
            _: &TenantId,
            _: &str,
            _: store::Aggregation,
            _: store::Grouping,
            _: &store::UsageQuery,
        ) -> Result<Vec<store::GroupUsage>, store::Error> {
            unreachable!()
        }
        async fn list(&self, _: &TenantId, _: &store::UsageQuery) -> Result<store::UsagePage, store::Error> {
            unreachable!()
        }
    }
    Stores::separate(Arc::new(cql.clone()), Arc::new(None), Arc::new(cql.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_received_stays_and_is_counted() {
    race([cassandra::options(), cassandra::options(), cassandra::options()], 12, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_twice_at_once_by_several() {
    race([cassandra::options(), cassandra::options(), cassandra::options()], 6, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_disagree_about_the_partition() {
    let seconds = Options { partition_rows_max: 1, partition_bytes_max: 1, ..cassandra::options() };
    race([cassandra::options(), narrow(), seconds], 6, 3).await;
}
