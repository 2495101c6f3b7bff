//! The catalog against a real nats-server.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use catalog::{Catalog, Check, Entry, Error, FieldError, Options, Snapshot};
use model::{
    Clock as _, ErrorCode, SystemClock, TenantId,
    resource::{ApiKey, Customer, EventType, Source, System, Tenant},
};
use serde_json::json;
use testkit::NatsServer as Nats;

fn tenant(id: &str) -> Tenant {
    serde_json::from_value(json!({ "id": id })).unwrap()
}

fn system(tenant: &str, id: &str) -> System {
    serde_json::from_value(json!({ "tenant": tenant, "id": id })).unwrap()
}

fn key(tenant: &str, id: &str) -> ApiKey {
    serde_json::from_value(json!({
        "tenant": tenant, "system": "shop", "id": id, "hash": "0".repeat(64), "scopes": ["publish"],
    }))
    .unwrap()
}

fn id(tenant: &str) -> TenantId {
    tenant.parse().unwrap()
}

/// Waits for a condition of the snapshot; fails loudly instead of hanging.
async fn until(catalog: &Catalog, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let mut changes = catalog.changes();
    let wait = changes.wait_for(|_| holds(&catalog.snapshot()));
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "never: {what}");
}

async fn opened(nats: &Nats) -> (jetstream::Context, Catalog) {
    let js = nats.jetstream().await;
    catalog::ensure_bucket(&js, &Options::default(), 1).await.unwrap();
    catalog::ensure_bucket(&js, &Options::default(), 1).await.unwrap();
    let catalog = Catalog::open(js.clone(), Options::default()).await;
    (js, catalog)
}

/// With tenant `acme` and its system `shop`.
async fn furnished(nats: &Nats) -> (jetstream::Context, Catalog) {
    let (js, catalog) = opened(nats).await;
    catalog.create(&tenant("acme")).await.unwrap();
    catalog.create(&system("acme", "shop")).await.unwrap();
    (js, catalog)
}

async fn put_raw(js: &jetstream::Context, key: &str, value: &str) -> u64 {
    js.get_key_value("catalog").await.unwrap().put(key, value.to_owned().into()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_are_created_read_changed_listed_and_deleted() {
    let nats = Nats::start();
    let (_, catalog) = furnished(&nats).await;

    let created = catalog.create(&key("acme", "k1")).await.unwrap().revision;
    assert!(catalog.snapshot().key("k1").is_some(), "one reads one's own writes");
    let exists = catalog.create(&key("acme", "k1")).await.unwrap_err();
    assert!(matches!(exists, Error::Exists { .. }) && exists.code() == ErrorCode::Conflict, "{exists}");

    let got = catalog.get::<ApiKey>(&id("acme"), "k1").await.unwrap();
    assert_eq!((got.revision, &*got.value.hash), (created, &*key("acme", "k1").hash));
    assert!(!got.value.meta.created_at.is_empty() && got.value.meta.created_at == got.value.meta.updated_at);
    let renamed = ApiKey { name: "till 3".to_owned(), ..got.value };
    let changed = catalog.put(&renamed, Some(created)).await.unwrap();
    assert!(changed.value.meta.created_at == renamed.meta.created_at);
    assert!(changed.value.meta.updated_at > renamed.meta.updated_at);
    let changed = changed.revision;
    let stale = catalog.put(&renamed, Some(created)).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }) && stale.code() == ErrorCode::Conflict, "{stale}");
    assert_eq!(catalog.snapshot().key("k1").unwrap().name, "till 3");

    let listed: Vec<Entry<ApiKey>> = catalog.list(Some(&id("acme")));
    assert_eq!(
        listed.iter().map(|e| (e.revision, &*e.value.name)).collect::<Vec<_>>(),
        [(changed, "till 3")]
    );
    assert!(catalog.list::<ApiKey>(Some(&id("other"))).is_empty());

    let stale = catalog.delete::<ApiKey>(&id("acme"), "k1", Some(created)).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "{stale}");
    catalog.delete::<ApiKey>(&id("acme"), "k1", None).await.unwrap();
    assert!(catalog.snapshot().key("k1").is_none());
    for gone in [
        catalog.delete::<ApiKey>(&id("acme"), "k1", None).await.unwrap_err(),
        catalog.get::<ApiKey>(&id("acme"), "k1").await.unwrap_err(),
    ] {
        assert!(matches!(gone, Error::NotFound { .. }) && gone.code() == ErrorCode::NotFound, "{gone}");
    }
    let kept = catalog.create(&key("acme", "k1")).await.unwrap_err();
    assert!(matches!(kept, Error::Deleted { .. }) && kept.code() == ErrorCode::Conflict, "{kept}");
    catalog.put(&key("acme", "k1"), None).await.unwrap();
    assert!(catalog.snapshot().key("k1").is_some(), "unless one writes over it");

    let event_type: EventType =
        serde_json::from_value(json!({"tenant": "acme", "system": "shop", "name": "com.x/é *>"})).unwrap();
    let written = catalog.create(&event_type).await.unwrap().value;
    assert_eq!(**catalog.snapshot().event_type(&id("acme"), "com.x/é *>").unwrap(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_a_rule_is_refused_with_its_field() {
    struct NoSchemas;
    impl Check for NoSchemas {
        fn event_type(&self, event_type: &EventType) -> Vec<FieldError> {
            event_type.schema.iter().map(|_| FieldError::new("/schema", "does not compile")).collect()
        }
    }
    let nats = Nats::start();
    let (js, _) = furnished(&nats).await;
    let catalog = Catalog::open_checked(js, Options::default(), Some(Arc::new(NoSchemas))).await;
    let source = |tenant: &str, system: &str| -> Source {
        serde_json::from_value(json!({"tenant": tenant, "system": system, "id": "d"})).unwrap()
    };
    let schema: EventType =
        serde_json::from_value(json!({"tenant": "acme", "system": "shop", "name": "t", "schema": {}}))
            .unwrap();
    let put = async |key: ApiKey| catalog.put(&key, None).await.map(drop);
    let cases = [
        ("/tenant", catalog.create(&source("nobody", "shop")).await.map(drop)),
        ("/system", catalog.create(&source("acme", "none")).await.map(drop)),
        ("/tenant", catalog.create(&system("nobody", "shop")).await.map(drop)),
        ("/system", put(ApiKey { system: "none".parse().unwrap(), ..key("acme", "k") }).await),
        ("/customer", put(ApiKey { customer: Some("none".parse().unwrap()), ..key("acme", "k") }).await),
        ("/scopes", put(ApiKey { scopes: vec![], ..key("acme", "k") }).await),
        (
            "/placement",
            catalog.create(&Tenant { placement: "a.b".to_owned(), ..tenant("b") }).await.map(drop),
        ),
        (
            "/retention_days",
            catalog.create(&Tenant { retention_days: 36_501, ..tenant("b") }).await.map(drop),
        ),
        ("/schema", catalog.create(&schema).await.map(drop)),
    ];
    for (pointer, outcome) in cases {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert_eq!(error.fields().iter().map(|f| &*f.pointer).collect::<Vec<_>>(), [pointer], "{error}");
    }

    catalog.create(&source("acme", "shop")).await.unwrap();
    catalog.create(&key("acme", "k1")).await.unwrap();
    let in_use = catalog.delete::<System>(&id("acme"), "shop", None).await.unwrap_err();
    assert_eq!(
        in_use.to_string(),
        "system \"shop\" still has 1 source (\"d\"), 1 key (\"k1\"); delete them first"
    );
    assert_eq!(in_use.code(), ErrorCode::Unprocessable);
    let shop = catalog.get::<System>(&id("acme"), "shop").await;
    assert!(shop.is_ok() && catalog.snapshot().list::<System>(None).len() == 1, "and it is still there");
    catalog.create(&tenant("evil")).await.unwrap();
    catalog.create(&system("evil", "shop")).await.unwrap();
    let taken = catalog.create(&key("evil", "k1")).await.unwrap_err();
    assert_eq!(taken.fields().first().map(|f| &*f.pointer), Some("/id"), "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_program_wrote_is_read() {
    let nats = Nats::start();
    let (js, catalog) = opened(&nats).await;
    let entries = [
        (
            "tenant.acme.acme",
            json!({"id": "acme", "retention_days": 7, "limits": {"events_burst": 3, "later": 1}}),
        ),
        ("system.acme.shop", json!({"tenant": "acme", "id": "shop", "later": [1]})),
        (
            "source.acme.gh",
            json!({"tenant": "acme", "system": "shop", "id": "gh", "later": {}, "verification":
                {"later": 1, "scheme": {"type": "github", "later": 1}, "sealed_secrets": ["v1.k.".to_owned() + &"A".repeat(60)]}}),
        ),
        ("event-type.acme.dA", json!({"tenant": "acme", "system": "shop", "name": "t", "later": null})),
        (
            "key.acme.k1",
            json!({"tenant": "acme", "system": "shop", "id": "k1", "hash": "0".repeat(64), "scopes": ["read"], "later": 1}),
        ),
    ];
    let mut last = 0;
    for (key, value) in entries {
        last = put_raw(&js, key, &value.to_string()).await;
    }
    catalog.caught_up(last).await;
    let snapshot = catalog.snapshot();
    assert_eq!(catalog.status().skipped, 0);
    let acme = snapshot.tenant(&id("acme")).unwrap();
    assert_eq!(
        (acme.limits.events_burst, acme.retention()),
        (Some(3), Some(Duration::from_secs(7 * 86_400)))
    );
    assert!(snapshot.source(&id("acme"), &"gh".parse().unwrap()).is_some());
    assert!(snapshot.event_type(&id("acme"), "t").is_some() && snapshot.key("k1").is_some());
    // And the other way round: what says nothing of the new is written without it.
    let written = serde_json::to_string(&tenant("b")).unwrap();
    assert!(["retention", "plan", "tenant_stream"].iter().all(|new| !written.contains(new)), "{written}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_can_be_undeleted_until_it_is_purged() {
    let nats = Nats::start();
    let (js, catalog) = furnished(&nats).await;
    let acme = id("acme");
    let customer: Customer =
        serde_json::from_value(json!({"tenant": "acme", "id": "jane", "labels": {"team": "tills"}})).unwrap();
    catalog.create(&customer).await.unwrap();
    let keyed = ApiKey { customer: Some("jane".parse().unwrap()), ..key("acme", "k1") };
    let created = catalog.create(&keyed).await.unwrap();
    let held = catalog.delete::<Customer>(&acme, "jane", None).await.unwrap_err();
    assert_eq!(held.to_string(), r#"customer "jane" still has 1 key ("k1"); delete them first"#);

    // Another process, which has heard of neither deletion when it begins.
    let there = Catalog::open(nats.jetstream().await, Options::default()).await;
    let left = catalog.delete::<ApiKey>(&acme, "k1", Some(created.revision)).await.unwrap();
    catalog.delete::<Customer>(&acme, "jane", None).await.unwrap();
    until(&there, "both are gone", |s| {
        s.key("k1").is_none() && s.deleted::<Customer>(&acme, "jane").is_some()
    })
    .await;
    // A program that knows nothing of deleted resources cannot read the entry as one.
    let raw = js.get_key_value("catalog").await.unwrap().get("key.acme.k1").await.unwrap().unwrap();
    assert!(serde_json::from_slice::<ApiKey>(&raw).is_err());
    let deleted = there.get_deleted::<ApiKey>(&acme, "k1").await.unwrap();
    assert_eq!((deleted.revision, &deleted.value.resource), (left, &created.value));

    let dangling = catalog.undelete::<ApiKey>(&acme, "k1", None).await.unwrap_err();
    assert_eq!(dangling.fields()[0].pointer, "/customer", "{dangling}");
    let back = catalog.undelete::<Customer>(&acme, "jane", None).await.unwrap();
    assert_eq!((&*back.value.meta.labels["team"], back.value.meta.created_at.is_empty()), ("tills", false));
    let stale = catalog.undelete::<ApiKey>(&acme, "k1", Some(left - 1)).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "{stale}");
    catalog.undelete::<ApiKey>(&acme, "k1", Some(left)).await.unwrap();
    assert_eq!(catalog.snapshot().key("k1").unwrap().hash, created.value.hash);
    assert!(catalog.undelete::<ApiKey>(&acme, "k1", None).await.is_err(), "it is not deleted any more");

    // Anew, to be purged.
    catalog.delete::<ApiKey>(&acme, "k1", None).await.unwrap();
    assert_eq!(catalog.purge_deleted(SystemClock.now()).await.unwrap(), 0, "it is kept for some time");
    let later = SystemClock.now() + 31 * 86_400 * 1_000_000;
    assert_eq!(catalog.purge_deleted(later).await.unwrap(), 1);
    until(&there, "nothing is left", |s| s.deleted::<ApiKey>(&acme, "k1").is_none()).await;
    assert!(catalog.undelete::<ApiKey>(&acme, "k1", None).await.is_err());
    catalog.create(&key("acme", "k1")).await.unwrap();
}

/// Whoever names a system and whoever deletes it at the same time: never is a key left with a system that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_never_dangles_whoever_is_quicker() {
    let nats = Nats::start();
    let (_, here) = furnished(&nats).await;
    let there = Catalog::open(nats.jetstream().await, Options::default()).await;
    let acme = id("acme");
    let (mut named, mut deleted) = (0, 0);
    for n in 0..60 {
        let (system_id, key_id) = (format!("s{n}"), format!("k{n}"));
        here.create(&system("acme", &system_id)).await.unwrap();
        until(&there, "the system", |s| s.system(&acme, &system_id.parse().unwrap()).is_some()).await;
        let key = ApiKey { system: system_id.parse().unwrap(), ..key("acme", &key_id) };
        let (name, delete) = tokio::join!(there.create(&key), here.delete::<System>(&acme, &system_id, None));
        let (is_named, is_deleted) = (name.is_ok(), delete.is_ok());
        assert!(!(is_named && is_deleted), "{name:?} {delete:?}");
        named += u32::from(is_named);
        deleted += u32::from(is_deleted);
        let key_there = here.get::<ApiKey>(&acme, &key_id).await.is_ok();
        let system_there = here.get::<System>(&acme, &system_id).await.is_ok();
        assert!(system_there || !key_there, "{name:?} {delete:?}");
    }
    println!("named {named}, deleted {deleted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_gone_everywhere_within_a_second() {
    let nats = Nats::start();
    let (_, here) = furnished(&nats).await;
    here.create(&key("acme", "k1")).await.unwrap();
    let there = Catalog::open(nats.jetstream().await, Options::default()).await;
    assert!(there.snapshot().key("k1").is_some());
    let began = Instant::now();
    here.delete::<ApiKey>(&id("acme"), "k1", None).await.unwrap();
    until(&there, "the key is gone", |s| s.key("k1").is_none()).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_survived_and_nothing_missed() {
    let mut nats = Nats::start();
    let (_, catalog) = furnished(&nats).await;
    catalog.create(&key("acme", "k1")).await.unwrap();
    catalog.create(&key("acme", "k2")).await.unwrap();
    let before = catalog.snapshot();

    nats.kill();
    let mut wait = tokio::time::interval(Duration::from_millis(20));
    while catalog.fresh(Duration::from_millis(500)).is_ok() {
        wait.tick().await;
    }
    assert!(catalog.snapshot().key("k1").is_some(), "the last snapshot stays while the broker is away");

    nats.restart();
    // Another process is quicker, and changes things before we are back.
    let js = nats.jetstream().await;
    let store = js.get_key_value("catalog").await.unwrap();
    store.delete("key.acme.k1").await.unwrap();
    put_raw(&js, "tenant.late.late", r#"{"id": "late"}"#).await;
    let began = Instant::now();
    until(&catalog, "the change is seen", |s| s.key("k1").is_none() && s.tenant(&id("late")).is_some()).await;
    println!("caught up {:?} after the broker came back", began.elapsed());
    assert!(catalog.fresh(Duration::from_secs(5)).is_ok());
    assert!(catalog.status().loads >= 2);
    assert_eq!(catalog.status().fault, None);
    let after = catalog.snapshot();
    assert!(
        Arc::ptr_eq(before.key("k2").unwrap(), after.key("k2").unwrap()),
        "what did not change is the same value, so that caches by pointer hold"
    );
    catalog.create(&key("acme", "k3")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_is_noticed_and_caught_up_with() {
    let nats = Nats::start();
    let (_, catalog) = furnished(&nats).await;
    nats.pause();
    let mut wait = tokio::time::interval(Duration::from_millis(20));
    while catalog.status().fault.is_none() {
        wait.tick().await;
    }
    let stale = catalog.fresh(Duration::from_secs(1)).unwrap_err();
    assert!(stale.contains("no heartbeat"), "{stale}");
    nats.resume();
    let other = Catalog::open(nats.jetstream().await, Options::default()).await;
    other.create(&key("acme", "k1")).await.unwrap();
    until(&catalog, "the key", |s| s.key("k1").is_some()).await;
    assert!(catalog.fresh(Duration::from_secs(1)).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_made_anew_is_read_anew() {
    let nats = Nats::start();
    let (js, catalog) = furnished(&nats).await;
    js.delete_key_value("catalog").await.unwrap();
    catalog::ensure_bucket(&js, &Options::default(), 1).await.unwrap();
    put_raw(&js, "tenant.other.other", r#"{"id": "other"}"#).await;
    until(&catalog, "the new bucket", |s| {
        s.tenant(&id("other")).is_some() && s.tenant(&id("acme")).is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_waits_for_the_bucket() {
    let nats = Nats::start();
    let js = nats.jetstream().await;
    let opening = tokio::spawn(Catalog::open(js.clone(), Options::default()));
    catalog::ensure_bucket(&js, &Options::default(), 1).await.unwrap();
    let catalog = tokio::time::timeout(Duration::from_secs(20), opening).await.unwrap().unwrap();
    assert_eq!(catalog.status().revision, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_left_out_and_counted() {
    let nats = Nats::start();
    let (js, catalog) = furnished(&nats).await;
    let good = serde_json::to_string(&key("acme", "k1")).unwrap();
    put_raw(&js, "key.acme.k1", &good).await;
    until(&catalog, "the good key", |s| s.key("k1").is_some()).await;
    let last = [
        put_raw(&js, "key.acme.k1", "{").await,
        put_raw(&js, "tenant.x.x", r#"{"id": "x", "disabled": "blue"}"#).await,
        put_raw(&js, "key.evil.k2", &good.replace("k1", "k2")).await,
        put_raw(&js, "nonsense", "1").await,
    ];
    catalog.caught_up(*last.last().unwrap()).await;
    assert!(catalog.snapshot().key("k1").is_none(), "an unreadable key does not keep its old scopes");
    assert!(catalog.snapshot().key("k2").is_none(), "an entry of one tenant under another's key");
    assert_eq!(catalog.status().skipped, 4);
    assert!(catalog.snapshot().tenant(&id("acme")).is_some());
    let anew = Catalog::open(js.clone(), Options::default()).await;
    assert_eq!(anew.status().skipped, 4);
    let mended = put_raw(&js, "key.acme.k1", &good).await;
    catalog.caught_up(mended).await;
    assert!(catalog.snapshot().key("k1").is_some());
    assert_eq!(catalog.status().skipped, 3);
}

/// Prints what it costs; `cargo test --release -- --ignored --nocapture cost`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn cost_at_100_000_entries() {
    let nats = Nats::start();
    let (js, catalog) = furnished(&nats).await;
    let template = serde_json::to_string(&key("acme", "template")).unwrap();
    let mut acks = Vec::new();
    let began = Instant::now();
    for n in 0..100_000 {
        let value = template.replace("template", &format!("k{n}"));
        acks.push(js.publish(format!("$KV.catalog.key.acme.k{n}"), value.into()).await.unwrap());
        if acks.len() == 1_000 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    until(&catalog, "all keys", |s| s.key("k99999").is_some()).await;
    println!("100,000 writes followed in {:?}", began.elapsed());
    let began = Instant::now();
    let anew = Catalog::open(js, Options::default()).await;
    println!("read from nothing in {:?}", began.elapsed());
    let began = Instant::now();
    for n in 0..100 {
        let changed = ApiKey { name: n.to_string(), ..key("acme", "k7") };
        anew.put(&changed, None).await.unwrap();
    }
    println!("a change, written and seen: {:?}", began.elapsed() / 100);
    let snapshot = (*anew.snapshot()).clone();
    let began = Instant::now();
    for n in 0..100 {
        std::hint::black_box(snapshot.clone().with(key("acme", &format!("new{n}"))));
    }
    println!("one changed snapshot, one tenant with all: {:?}", began.elapsed() / 100);
}
