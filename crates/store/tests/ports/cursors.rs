//! Walks by cursor are whole and in order.

use std::{collections::HashSet, sync::Arc};

use model::Text;
use store::{Cursor, Error, EventQuery, Order, Stores, UsageQuery};

use super::world::{NOON, SECOND, World, builder, events, ids, oldest_first, reparsed, walk};

pub(crate) async fn both_orders_walk_all_in_order(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let mut wrote = Vec::new();
    // Transactions of one event and of several blocks.
    for (n, size) in (0..).zip([1, 300, 2, 1, 128, 129, 1]) {
        let first = u32::try_from(wrote.len()).unwrap();
        wrote.extend((first..first + size).map(|id| id.to_string()));
        let at = NOON + n * SECOND;
        stores.sink.write(world.batch(&tenant, at, events(first..first + size))).await.unwrap();
    }
    for limit in [0, 1, 7, 128, 1_000] {
        let oldest = EventQuery { limit, ..oldest_first() };
        assert_eq!(ids(stores, &tenant, &oldest).await, wrote, "limit {limit}");
        let newest = EventQuery { limit, ..EventQuery::default() };
        let mut reversed = ids(stores, &tenant, &newest).await;
        reversed.reverse();
        assert_eq!(reversed, wrote, "limit {limit}");
    }
}

pub(crate) async fn a_walk_under_writes_neither_skips_nor_repeats(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    for n in 0..10u32 {
        stores.sink.write(world.batch(&tenant, NOON, events(n * 30..n * 30 + 30))).await.unwrap();
    }
    let writer = {
        let stores = stores.clone();
        let batches: Vec<_> =
            (10..40u32).map(|n| world.batch(&tenant, NOON + 1, events(n * 30 - 10..n * 30 + 30))).collect();
        tokio::spawn(async move {
            for batch in batches {
                stores.sink.write(batch).await.unwrap();
            }
        })
    };
    let mut walks = 0;
    while walks < 3 || !writer.is_finished() {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let query = EventQuery { order, limit: 23, ..EventQuery::default() };
            let all = ids(stores, &tenant, &query).await;
            let set: HashSet<_> = all.iter().cloned().collect();
            assert_eq!(set.len(), all.len(), "{order:?}: repeats");
            for id in 0..300u32 {
                assert!(set.contains(&id.to_string()), "{order:?}: skips {id}");
            }
        }
        walks += 1;
    }
    writer.await.unwrap();
    assert_eq!(ids(stores, &tenant, &oldest_first()).await.len(), 1_200);
}

pub(crate) async fn walks_with_filters(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let of = |n: u32| {
        let event = builder(n).subject(if n.is_multiple_of(97) { "rare" } else { "common" });
        event.build().unwrap()
    };
    for n in 0..10 {
        stores
            .sink
            .write(world.batch(&tenant, NOON, (n * 100..n * 100 + 100).map(of).collect()))
            .await
            .unwrap();
    }
    let rare = |order| EventQuery {
        subjects: vec![Text::from_static("rare")],
        order,
        limit: 3,
        ..EventQuery::default()
    };
    let want: Vec<_> = (0..1_000).step_by(97).map(|n: u32| n.to_string()).collect();
    assert_eq!(ids(stores, &tenant, &rare(Order::OldestFirst)).await, want);
    let newest = ids(stores, &tenant, &rare(Order::NewestFirst)).await;
    assert_eq!(newest, want.into_iter().rev().collect::<Vec<_>>());
}

pub(crate) async fn a_page_holds_at_most_its_limit(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    stores.sink.write(world.batch(&tenant, NOON, events(0..250))).await.unwrap();
    for limit in [0, 1, 99, 250, 251] {
        let query = EventQuery { limit, ..oldest_first() };
        let page = stores.events.page(&tenant, &query).await.unwrap();
        let most = if limit == 0 { 100 } else { usize::try_from(limit).unwrap() };
        assert!(!page.events.is_empty() && page.events.len() <= most, "limit {limit}");
        assert!(page.events.len() == 250 || page.next.is_some(), "limit {limit}");
    }
    // Nothing is left after the last: a client that follows cursors knows that it is done.
    let last = walk(stores, &tenant, &EventQuery { limit: 250, ..oldest_first() }).await;
    assert_eq!(last.len(), 250);
}

pub(crate) async fn foreign_cursors_are_refused(stores: &Stores, world: &World) {
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    for tenant in [&tenant, &other] {
        stores.sink.write(world.batch(tenant, NOON, events(0..20))).await.unwrap();
    }
    let query = EventQuery { limit: 5, ..EventQuery::default() };
    let good = stores.events.page(&tenant, &query).await.unwrap().next.unwrap();
    let usage = UsageQuery { limit: 5, ..UsageQuery::default() };
    let good_usage = stores.usage.list(&tenant, &usage).await.unwrap().next.unwrap();
    let bad = ["x", "0", "AAAAAAAAAAAAAAAAAAAAAA", "~~~~", &good.0[1..], &format!("{}A", good.0)];
    let bad = bad.into_iter().map(|c| Arc::new(c.parse::<Cursor>().unwrap()));
    for cursor in bad {
        let query = EventQuery { cursor: Some((*cursor).clone()), ..query.clone() };
        let page = stores.events.page(&tenant, &query).await;
        assert!(matches!(page, Err(Error::BadCursor(_))), "{cursor}: {page:?}");
        let usage = UsageQuery { cursor: Some((*cursor).clone()), ..usage.clone() };
        let list = stores.usage.list(&tenant, &usage).await;
        assert!(matches!(list, Err(Error::BadCursor(_))), "{cursor}: {list:?}");
    }
    for cursor in ["", "a b", "ä", "a/b", &"x".repeat(513)] {
        assert!(matches!(cursor.parse::<Cursor>(), Err(Error::BadCursor(_))), "{cursor}");
    }
    // Another tenant's is refused too, or leads nowhere but into one's own events.
    let query = EventQuery { cursor: Some(reparsed(&good)), limit: 100, ..EventQuery::default() };
    if let Ok(page) = stores.events.page(&other, &query).await {
        assert!(page.events.iter().all(|e| e.stamp.tenant == other));
    }
    let usage = UsageQuery { cursor: Some(reparsed(&good_usage)), limit: 100, ..UsageQuery::default() };
    if let Ok(page) = stores.usage.list(&other, &usage).await {
        assert!(page.records.iter().all(|r| r.tenant == other));
    }
}
