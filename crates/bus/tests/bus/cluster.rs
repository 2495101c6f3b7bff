//! A broker of three nodes, whose copies of a consumer must know what was handed out when one of them begins to lead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use testkit::{NatsOptions, free_port};
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// Three nodes that know each other.
fn cluster() -> [NatsServer; 3] {
    let ports = [free_port(), free_port(), free_port()];
    let routes = ports.map(|port| format!("\"nats://127.0.0.1:{port}\"")).join(", ");
    ports.map(|port| {
        let extra = format!(
            "server_name: \"n{port}\"\ncluster {{ name: three, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
        );
        NatsServer::start_with(NatsOptions { extra, ..Default::default() })
    })
}

/// Publishes a message with one event each, numbered on, as long as it is let.
async fn publish(bus: Bus, going: Arc<AtomicBool>, sent: Arc<AtomicUsize>) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    for id in 0.. {
        tick.tick().await;
        while !going.load(Ordering::Relaxed) {
            tick.tick().await;
        }
        let group = hops::RawGroup { stamp: Some(stamp()), items: vec![item(id)] };
        let batch = hops::RawBatch { groups: vec![group] };
        bus.client().publish("raw.0", batch.encode_to_vec().into()).await.unwrap();
        sent.store(id + 1, Ordering::Relaxed);
    }
}

/// The one that takes a partition over has the consumer begin again while messages come in. Then another node leads the
/// consumer, and the owner dies with all that it was handed.
#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_is_known_to_whoever_leads_next() {
    const ROUNDS: usize = 6;
    let nodes = cluster();
    let url = nodes.each_ref().map(NatsServer::url).join(",");
    let options = Options { url, request_timeout_ms: 2_000, ..Default::default() };
    let bus = Bus::connect(&options).await.unwrap();
    let layout = TopologyOptions { replicas: 3, durability: Durability::Replicated, ..topology_options() };
    wait_until("the layout is made", LONG, async || topology::ensure(&bus, &layout).await.is_ok()).await;
    let (going, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let publisher = publish(bus.clone(), Arc::clone(&going), Arc::clone(&sent));
    let _publisher = AbortOnDropHandle::new(tokio::spawn(publisher));
    let seen = Seen::default();
    let by = |name| -> Vec<usize> {
        seen.lock().unwrap().iter().filter(|(who, ..)| *who == name).map(|(.., id)| *id).collect()
    };
    for _ in 0..ROUNDS {
        let before = by("dies").len();
        let dies = replica(&bus, "dies", &seen, 0).await;
        going.store(true, Ordering::Relaxed);
        wait_until("messages are begun", LONG, async || by("dies").len() >= before + 4).await;
        let next = bus.client().request("$JS.API.CONSUMER.LEADER.STEPDOWN.RAW.p0", "".into()).await;
        next.unwrap();
        dies.context.shutdown().abort();
        going.store(false, Ordering::Relaxed);
        let works = replica(&bus, "works", &seen, 100_000).await;
        wait_until("every message was worked", LONG, async || {
            by("works").len() >= sent.load(Ordering::Relaxed)
        })
        .await;
        works.stop().await;
    }
    assert_eq!(by("works"), (0..sent.load(Ordering::Relaxed)).collect::<Vec<_>>());
}
