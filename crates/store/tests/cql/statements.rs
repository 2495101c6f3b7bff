//! Every statement runs against the real server, and none asks more than one partition.

use std::{sync::Arc, time::Duration};

use store::{Erasure as _, EventQuery, EventStore as _, Order, cql::Cql};

use crate::{
    kept_for, narrow,
    world::{HOUR, NOON, World, event, events, oldest_first},
};

/// Makes the store say everything it can say.
async fn use_everything(cql: &Cql, world: &World) {
    let tenant = world.tenant("t");
    for n in 0..30u32 {
        let mut batch =
            Arc::unwrap_or_clone(world.batch(&tenant, NOON + i64::from(n), events(n * 5..n * 5 + 5)));
        batch.streamed = vec![1, 2, 3, 4, 5];
        cql.write(Arc::new(batch)).await.unwrap();
    }
    // Received before what was written before: that one gives way.
    let written = cql.write(world.batch(&tenant, NOON - HOUR, vec![event(7)])).await.unwrap();
    assert_eq!(written.given_way.len(), 1);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let page = cql.page(&tenant, &EventQuery { order, ..EventQuery::default() }).await.unwrap();
        assert_eq!(page.events.len(), 100);
    }
    assert_eq!(cql.count(&tenant, &EventQuery::default()).await.unwrap(), 150);
    assert!(cql.get(&tenant, "/shop", "3").await.unwrap().is_some());
    assert!(!cql.tail(3, 0, 2).await.unwrap().is_empty());
    assert!(cql.erase_data(&tenant, "/shop", "3").await.unwrap());
    cql.write(world.batch(&tenant, NOON - 40 * HOUR, vec![event("old")])).await.unwrap();
    cql.expire(&tenant, NOON - 10 * HOUR).await.unwrap();
    cql.erase_tenant(&tenant).await.unwrap();
    assert!(cql.page(&tenant, &oldest_first()).await.unwrap().events.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_runs_against_the_server() {
    let cql = Cql::open(narrow(), kept_for(Duration::from_secs(3_650 * 86_400))).await.unwrap();
    use_everything(&cql, &World::new()).await;
    let never: Vec<_> = cql.statements().into_iter().filter(|s| s.uses == 0).collect();
    assert!(never.is_empty(), "use these in `use_everything`: {never:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_scans_or_filters() {
    let cql = crate::open().await;
    let all = cql.statements();
    assert!(all.len() > 20);
    for statement in all {
        assert!(statement.names_its_partition, "not the whole partition key: {}", statement.text);
        assert!(!statement.text.to_ascii_uppercase().contains("ALLOW FILTERING"), "{}", statement.text);
        assert!(!statement.text.contains('*'), "{}", statement.text);
    }
}
