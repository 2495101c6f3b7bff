//! Following a tenant's events with server-sent events.

use std::time::Duration;

use api::Options;
use futures::TryStreamExt as _;
use model::{Clock as _, SystemClock};
use rand::RngExt as _;
use serde_json::json;
use testkit::wait_until;

use crate::{
    sse::{Sse, event_ids},
    world::{PATIENCE, TEN, World, event, events, options, pointers, stamp, tenants},
};

#[tokio::test]
async fn events_come_in_order_whole_and_on_one_line() {
    let world = World::start().await;
    let mut stream = world.stream("", None).await;
    stream.until(|s| s.retry == Some(2_000) && s.last_event_id == "0").await;
    let pretty = model::CloudEvent::builder("é 1", "/a%20b", "com.example.order")
        .subject("s")
        .time("2026-11-21T10:00:00+02:00")
        .text("application/json", "{\n  \"n\": 1\n}")
        .build();
    let plain = model::CloudEvent::builder("2", "/s", "t").text("text/plain", "a\nb").build().unwrap();
    world.publish("acme", &[event("1", "/s", "t"), pretty.unwrap(), plain]).await;
    let messages = stream.take_messages(3).await;
    assert_eq!(messages.iter().map(|m| &*m.id).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(messages[2].json()["data"], "a\nb", "text can be read");
    assert!(messages.iter().all(|m| m.event.is_empty() && !m.data.contains('\n')));
    assert_eq!(
        messages[1].json(),
        json!({
            "specversion": "1.0", "id": "é 1", "source": "/a%20b", "type": "com.example.order", "subject": "s",
            "time": "2026-11-21T10:00:00+02:00", "datacontenttype": "application/json", "data": {"n": 1},
        })
    );
    world.close().await;
}

/// The stream holds only the last fifty of three hundred events; whoever starts earlier is given the others by the store.
#[tokio::test]
async fn what_the_stream_has_let_go_comes_from_the_store() {
    let world = World::start().await;
    let all = events(300);
    let ids = |range: std::ops::Range<usize>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    for (n, chunk) in all.chunks(10).take(25).enumerate() {
        world.store(stamp("acme", TEN + n as i64 * 1_000_000), chunk.to_vec()).await;
    }
    world.store(stamp("globex", TEN), vec![event("theirs", "/shop", "com.example.order")]).await;
    // On their way when the stream's first message was stored: in both.
    world.store(stamp("acme", SystemClock.now() - 1_000), all[250..].to_vec()).await;
    world.publish("acme", &all[250..]).await;
    let start = "?start=2026-11-21T10:00:05Z";
    let mut stream = world.stream(start, None).await;
    let mut seen = stream.take_messages(120).await;
    assert!(seen[110].id.starts_with("stored."), "{}", seen[110].id);
    seen.extend(stream.take_messages(130).await);
    assert_eq!(event_ids(&seen), ids(50..300), "each once, in order");
    world.publish("acme", &[event("300", "/shop", "com.example.order")]).await;
    let next = stream.next().await.unwrap();
    assert_eq!((&*next.event_id(), &*next.id), ("300", "51"), "from here on it is the stream");
    // Resumed in the middle of the old ones: no event is missed, and at most a page comes again.
    let mut again = world.stream(start, Some(&seen[110].id)).await;
    let resumed = event_ids(&again.take_messages(151).await);
    assert_eq!(resumed, ids(150..301));
    world.close().await;
}

/// Clients that come and go at random get every event once, in order.
#[tokio::test]
async fn resuming_neither_misses_nor_repeats() {
    let world = World::start_with(Options { stream_buffer_events: 7, ..options() }).await;
    let all = events(600);
    let first = world.stream("?start=new", None).await.last_id().await;
    let publishing = async {
        for chunk in all.chunks(20) {
            world.publish("acme", chunk).await;
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        let mut seen = Vec::new();
        let mut last = first;
        while seen.len() < all.len() {
            let mut stream = world.stream("?start=new", Some(&last)).await;
            let most = rand::rng().random_range(0..60).min(all.len() - seen.len());
            for message in stream.take_messages(most).await {
                seen.push(message.event_id());
            }
            if most > 0 {
                last = stream.last_event_id;
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(publishing, reading);
    assert_eq!(seen, (0..600).map(|n| n.to_string()).collect::<Vec<_>>());
    world.close().await;
}

#[tokio::test]
async fn starts_and_filters() {
    let world = World::start().await;
    world.publish("globex", &[event("theirs", "/a", "t1")]).await;
    world.publish("acme", &[event("1", "/a", "t1"), event("2", "/b", "t2"), event("3", "/a", "t2.x")]).await;
    let now = wait_past_now().await;
    world.publish("acme", &[event("4", "/b", "t1"), event("5", "/c", "t3")]).await;
    let cases: &[(String, &[&str])] = &[
        ("?start=0".into(), &["1", "2", "3", "4", "5"]),
        ("?start=3".into(), &["3", "4", "5"]),
        (format!("?start={now}"), &["4", "5"]),
        ("?start=1970-01-01T00:00:00Z".into(), &["1", "2", "3", "4", "5"]),
        ("?start=0&type=t2".into(), &["2"]),
        ("?start=0&type=t1&type=t2.x&type=t1".into(), &["1", "3", "4"]),
        ("?start=0&source=%2Fa".into(), &["1", "3"]),
        ("?start=0&source=%2Fb&source=%2Fc&type=t1&type=t3".into(), &["4", "5"]),
    ];
    for (query, expected) in cases {
        let mut stream = world.stream(query, None).await;
        let messages = stream.take_messages(expected.len()).await;
        assert_eq!(event_ids(&messages), *expected, "{query}");
        assert_eq!(stream.quiet().await, None, "{query}");
    }
    for (query, pointer) in
        [("?start=old", "query:start"), ("?type=", "query:type"), ("?from=1", "query:from")]
    {
        let response = world.try_stream(&world.keys.acme, query, None).await;
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(pointers(&response.json().await.unwrap()), [pointer]);
    }
    let response = world.try_stream(&world.keys.acme, "", Some("x")).await;
    assert_eq!(pointers(&response.json().await.unwrap()), ["header:last-event-id"]);
    world.close().await;
}

/// A client that only ever saw other sources' events go by resumes behind them.
#[tokio::test]
async fn the_position_moves_along_with_events_that_are_filtered_out() {
    let world = World::start().await;
    let mut stream = world.stream("?source=%2Fnever", None).await;
    world.publish("acme", &events(5)).await;
    stream.until(|s| s.last_event_id == "5").await;
    world.close().await;
}

#[tokio::test]
async fn what_the_stream_no_longer_holds_is_said() {
    let world = World::start().await;
    world.publish("acme", &events(20)).await;
    let held = world.bus.jetstream().get_stream("TENANT-default").await.unwrap();
    held.purge().sequence(11).await.unwrap();
    for (requested, expected_gap, first_event) in [(3, true, "10"), (10, false, "10"), (999, true, "10")] {
        let mut stream = world.stream("", Some(&requested.to_string())).await;
        let mut message = stream.next().await.unwrap();
        if expected_gap {
            assert_eq!(message.event, "gap");
            assert_eq!(message.json(), json!({"requested": requested, "first": 11, "last": 20}));
            message = stream.next().await.unwrap();
        }
        assert_eq!((&*message.event, &*message.event_id()), ("", first_event), "{requested}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_killed_broker_interrupts_and_nothing_is_missed_or_repeated() {
    let mut world = World::start().await;
    let mut early = world.stream("?start=new", None).await;
    let mut late = world.stream("?start=new", None).await;
    world.publish("acme", &events(50)).await;
    let before = early.take_messages(50).await;
    world.nats.kill();
    world.nats.restart();
    let more: Vec<_> = (50..90).map(|n| event(&n.to_string(), "/shop", "com.example.order")).collect();
    world.publish_insisting("acme", &more).await;
    let mut seen = event_ids(&before);
    seen.extend(event_ids(&early.take_messages(40).await));
    let all: Vec<String> = (0..90).map(|n| n.to_string()).collect();
    assert_eq!(seen, all);
    assert_eq!(event_ids(&late.take_messages(90).await), all, "one that had read nothing before");
    world.close().await;
}

/// 40 MB wait for a reader that does not read: they wait at the broker.
#[tokio::test]
async fn a_slow_reader_is_waited_for_at_the_broker() {
    let world = World::start().await;
    let big = "x".repeat(10_000);
    let event = |n: usize| {
        let id = n.to_string();
        model::CloudEvent::builder(id, "/s", "t").text("text/plain", big.clone()).build().unwrap()
    };
    const EVENTS: usize = 4_000;
    for from in (0..EVENTS).step_by(500) {
        world.publish("acme", &(from..from + 500).map(event).collect::<Vec<_>>()).await;
    }
    let mut stream = world.narrow_stream("?start=0").await;
    assert_eq!(stream.next().await.unwrap().event_id(), "0");
    let delivered = async || {
        let held = world.bus.jetstream().get_stream("TENANT-default").await.unwrap();
        let consumers: Vec<_> = held.consumers().try_collect().await.unwrap();
        consumers[0].delivered.stream_sequence
    };
    // It settles: what the sockets hold and one request's worth, no more.
    let mut last = (0, 0);
    wait_until("delivery stops", PATIENCE, async || {
        let now = delivered().await;
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        tokio::time::sleep(Duration::from_millis(20)).await;
        last.1 >= 25
    })
    .await;
    assert!(last.0 < 2_500, "{} of {EVENTS} events were taken for a reader that does not read", last.0);
    let rest = stream.take_messages(EVENTS - 1).await;
    assert_eq!(event_ids(&rest), (1..EVENTS).map(|n| n.to_string()).collect::<Vec<_>>());
    world.close().await;
}

#[tokio::test]
async fn a_tenant_has_so_many_streams_and_no_more() {
    let world = World::start_with(Options { streams_per_tenant_max: 2, ..options() }).await;
    let first = world.stream("", None).await;
    let _second = world.stream("", None).await;
    let refused = world.try_stream(&world.keys.acme, "", None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let theirs = world.try_stream(&world.keys.globex, "", None).await;
    assert_eq!(theirs.status(), 200, "another tenant's are its own");
    drop(first);
    wait_until("the place is free again", PATIENCE, async || {
        world.try_stream(&world.keys.acme, "", None).await.status() == 200
    })
    .await;
    world.close().await;
}

#[tokio::test]
async fn a_stream_that_is_left_leaves_nothing_behind() {
    let world = World::start().await;
    let mut stream = world.stream("", None).await;
    stream.until(|s| s.comments > 0).await;
    let held = world.bus.jetstream().get_stream("TENANT-default").await.unwrap();
    assert_eq!(held.get_info().await.unwrap().state.consumer_count, 1);
    drop(stream);
    wait_until("its consumer is gone", PATIENCE, async || {
        held.get_info().await.unwrap().state.consumer_count == 0
    })
    .await;
    world.close().await;
}

#[tokio::test]
async fn draining_ends_streams_cleanly() {
    let world = World::start().await;
    let mut stream = world.stream("", None).await;
    world.publish("acme", &events(1)).await;
    stream.take_messages(1).await;
    world.shutdown.drain();
    assert_eq!(stream.next().await, None);
    tokio::time::timeout(PATIENCE, world.running).await.expect("ends by itself").unwrap().unwrap();
}

#[tokio::test]
async fn a_revoked_key_reads_nothing_more() {
    let world = World::start().await;
    let mut busy = world.stream("", None).await;
    let mut idle = world.stream("?type=never", None).await;
    world.publish("acme", &events(1)).await;
    busy.take_messages(1).await;
    world.catalog.replace(tenants());
    world.publish("acme", &events(1)).await;
    assert_eq!(busy.next().await, None);
    assert_eq!(idle.next().await, None, "at the next heartbeat");
    world.close().await;
}

/// What is not an event in the stream does not stop its readers.
#[tokio::test]
async fn strangers_messages_are_passed_over() {
    let world = World::start().await;
    let mut stream = world.stream("", None).await;
    let sent = world.bus.jetstream().publish("tenant.default.acme.x", "junk".into()).await.unwrap();
    sent.await.unwrap();
    world.publish("acme", &[event("1", "/s", "t")]).await;
    assert_eq!(stream.next().await.unwrap().event_id(), "1");
    world.close().await;
}

/// A time after everything published so far, by the broker's clock, which is this machine's.
async fn wait_past_now() -> String {
    let now = SystemClock.now() + 1_000;
    assert!(now > TEN - 365 * 24 * 3_600_000_000);
    wait_until("a millisecond passes", PATIENCE, async || SystemClock.now() > now).await;
    model::format_rfc3339(now)
}

impl Sse {
    async fn last_id(mut self) -> String {
        self.until(|s| !s.last_event_id.is_empty()).await;
        self.last_event_id
    }

    /// What comes before two more heartbeats: nothing, if all has come.
    pub(crate) async fn quiet(&mut self) -> Option<String> {
        let comments = self.comments;
        let mut came = None;
        self.until_or(|s| s.comments >= comments + 2, |message| came = Some(message.event_id())).await;
        came
    }
}
