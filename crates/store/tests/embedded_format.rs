//! A folder written by the first released version opens, entry by entry as it was then.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, sync::Arc};

use fjall::{Database, KeyspaceCreateOptions};
use model::{Batch, CloudEvent, Durability, Group, Stamp, TenantId};
use store::{
    EventQuery, METER_BYTES, METER_EVENTS, Order, UsageQuery,
    embedded::{Embedded, Options},
};

/// What version 0.1.0 left of [`batch`]: keyspace, key and value, in hexadecimal. One of the two identities is in a file
/// already, the other in the log.
#[rustfmt::skip]
const FORMAT_1: &[(&str, &str, &str)] = &[
    ("ids", "e3320b73763a26edd1e4e7c4ec0e09b0", "03010000000000000000"),
    ("log", "0000000000000000", "1e1fd642747bcfa2ce9cc71b98cae3ac03000000000000000000"),
    ("index", "42456461636d6500800000000000512a", "000000000000000000000000000003ff"),
    ("index", "42456d61636d65008000000001c88e98", "000000000000000000000000000003ff"),
    ("index", "42556461636d6500800000000000512a", "000000000000000100000000000003ff"),
    ("index", "42556d61636d65008000000001c88e98", "000000000000000100000000000003ff"),
    ("index", "4861636d65000000000000000000", "0280a0d1c7cdb1b006000145972ae40123aac25400"),
    ("index", "4d686173682d6b6579", "7f52cd89c565fa76ca5f7ca15fd448b1"),
    ("index", "4d6e6578742d626c6f636b", "0000000000010002"),
    ("index", "4d7461696c00000003", "0000000000000001"),
    ("index", "4d746f74616c73", "00000000000000020000000000000002"),
    ("index", "5261636d6500000562797465738000000001c88e98", "0000000000000042"),
    ("index", "5261636d650000066576656e74738000000001c88e98", "0000000000000002"),
    ("index", "540000000300000000", "00020461636d6500005000000102"),
    ("data", "4561636d65000000000000000000", "00f0d6a1bcf8b2b00601540a0461636d65120474696c6c2080d0e8e3e69898032a3730302d30616637363531393136636434336464383434386562323131633830333139632d623761643662373136393230333333312d30313204687474700103071428053c020000002b0a013112052f73686f701a0473616c6532106170706c69636174696f6e2f6a736f6e52077b226e223a317d0000012b0a013212052f73686f701a0473616c6532106170706c69636174696f6e2f6a736f6e52077b226e223a317d"),
    ("data", "5561636d65000000000000000001", "0280a0d1c7cdb1b006000003052f73686f70066576656e74730562797465730080a0d1c7cdb1b00600013102010102210080a0d1c7cdb1b0060001320201010221"),
];

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn batch() -> Arc<Batch> {
    let stamp = Stamp {
        tenant: acme(),
        system: "till".parse().unwrap(),
        source: None,
        customer: None,
        received_at_us: 1_795_255_200_000_000,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        protocol: "http".into(),
    };
    let event =
        |id: &str| CloudEvent::builder(id.to_owned(), "/shop", "sale").text("application/json", "{\"n\":1}");
    let events = ["1", "2"].map(|id| event(id).build().unwrap()).into();
    Arc::new(Batch {
        partition: 3,
        sequence: 5,
        stored_at_us: 30,
        raw_sequence: 7,
        raw_stored_at_us: 10,
        normalized_at_us: 20,
        groups: vec![Group { stamp: Arc::new(stamp), events }],
        streamed: vec![40, 41],
        metered: Vec::new(),
    })
}

async fn open(folder: &Path) -> Embedded {
    Embedded::open(folder, Durability::Process, Options::default()).await.unwrap()
}

/// Prints the entries of a store of today: `cargo test -p eventrunner-store --test embedded_format -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "prints what a new format's fixture is made of"]
async fn entries() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = open(folder.path()).await;
    embedded.stores().sink.write(batch()).await.unwrap();
    embedded.close().await;
    let db = Database::builder(folder.path().join("db")).open().unwrap();
    for name in ["ids", "log", "index", "data"] {
        for entry in db.keyspace(name, KeyspaceCreateOptions::default).unwrap().iter() {
            let (key, value) = entry.into_inner().unwrap();
            println!("    ({name:?}, \"{}\", \"{}\"),", hex(&key), hex(&value));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_version_0_1_0_opens_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    {
        let db = Database::builder(folder.path().join("db")).open().unwrap();
        for name in ["ids", "log", "index", "data"] {
            let keyspace = db.keyspace(name, KeyspaceCreateOptions::default).unwrap();
            for (_, key, value) in FORMAT_1.iter().filter(|(keyspace, ..)| *keyspace == name) {
                keyspace.insert(unhex(key), unhex(value)).unwrap();
            }
        }
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    fs::write(folder.path().join("format"), "1\n").unwrap();
    let embedded = open(folder.path()).await;
    let stores = embedded.stores();
    let query = EventQuery { order: Order::OldestFirst, ..EventQuery::default() };
    let page = stores.events.page(&acme(), &query).await.unwrap();
    let written = batch();
    assert_eq!(
        page.events.iter().map(|e| &e.event).collect::<Vec<_>>(),
        written.groups[0].events.iter().collect::<Vec<_>>()
    );
    assert!(page.events.iter().all(|e| e.stamp == written.groups[0].stamp && e.place.raw_sequence == 7));
    let tail = stores.events.tail(3, 0, 10).await.unwrap();
    assert_eq!((tail.len(), &tail[0].streamed), (1, &vec![40, 41]));
    // Known by their identities still, and metered once.
    stores.sink.write(batch()).await.unwrap();
    assert_eq!(stores.events.count(&acme(), &EventQuery::default()).await.unwrap(), 2);
    for (meter, want) in
        [(METER_EVENTS, 2), (METER_BYTES, 2 * u64::try_from(written.groups[0].events[0].size()).unwrap())]
    {
        assert_eq!(stores.usage.sum(&acme(), meter, &UsageQuery::default()).await.unwrap()[0].value, want);
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("format")).unwrap(),
        "1\n",
        "that version can go on with it"
    );
    // Not once something was taken away, which it would take for damage.
    assert!(stores.erasure.erase_data(&acme(), "/shop", "1").await.unwrap());
    assert_eq!(fs::read_to_string(folder.path().join("format")).unwrap(), "2\n");
    stores.erasure.erase_tenant(&acme()).await.unwrap();
    assert_eq!(stores.events.count(&acme(), &EventQuery::default()).await.unwrap(), 0);
    embedded.close().await;
    drop(open(folder.path()).await);
}

#[tokio::test]
async fn an_unknown_format_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (says, todo) in [
        ("3", "or a newer one"),
        ("99999", "knows up to 2"),
        ("one", "backup"),
        ("", "backup"),
        ("0", "newer"),
    ] {
        fs::write(folder.path().join("format"), says).unwrap();
        let refused =
            Embedded::open(folder.path(), Durability::Process, Options::default()).await.unwrap_err();
        assert!(refused.to_string().contains(todo), "{says}: {refused}");
    }
}
