//! The door over TCP, on a catalog in memory and a broker that does as the test says.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use auth::{Authority, Publishers, TokenOptions, Tokens};
use bus::{Accept, AcceptError, Appended, Placed};
use catalog::{Resource, Sealer, SealingKey, Snapshot};
use hmac::{Hmac, KeyInit as _, Mac as _};
use identity::IssuerOptions;
use ingest_http::{Dependencies, Options, Service, Snapshots};
use model::{
    SystemClock,
    resource::{ApiKey, Plan, RoleBinding, Source, System, Tenant},
};
use proto::hops;
use runtime::{config::Millis, lifecycle::Shutdown};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A key of the tenant `acme`, system `shop`, that may publish.
pub(crate) const KEY: &str = "er_aaaaaaaaaaaaaaaa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The same, that may only read.
pub(crate) const READER: &str = "er_bbbbbbbbbbbbbbbb_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
/// Of the tenant `other`.
pub(crate) const OTHER: &str = "er_cccccccccccccccc_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA";
/// Of the tenant `gone`, which is disabled.
pub(crate) const GONE: &str = "er_dddddddddddddddd_DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDA";
/// Of the tenant `slow`: one event a second, three at once.
/// Of the tenant `heavy`, which may send 2000 bytes at once by its plan.
pub(crate) const HEAVY: &str = "er_hhhhhhhhhhhhhhhh_HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHA";
pub(crate) const SLOW: &str = "er_eeeeeeeeeeeeeeee_EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEA";
/// The signing secret of `acme.hub`.
pub(crate) const SECRET: &str = "It's a Secret to Everybody";

/// Events of `acme` may have so many bytes.
pub(crate) const EVENT_BYTES_MAX: usize = 2_000;
/// And so many may come at once.
pub(crate) const BATCH_EVENTS_MAX: usize = 5;

fn of<R: serde::de::DeserializeOwned>(value: Value) -> R {
    serde_json::from_value(value).unwrap()
}

fn key(tenant: &str, key: &str, scope: &str) -> ApiKey {
    let id = key.split('_').nth(1).unwrap();
    let hash = hex::encode(Sha256::digest(key));
    let customer = (key == KEY).then_some("jane");
    of(json!({
        "tenant": tenant, "system": "shop", "id": id, "hash": hash, "scopes": [scope], "customer": customer,
    }))
}

fn source(value: Value) -> Source {
    of(value)
}

fn put<R: Resource>(snapshot: Snapshot, resource: R) -> Snapshot {
    snapshot.with(resource)
}

fn catalog(sealer: &Sealer) -> Snapshot {
    let limits = json!({ "event_bytes_max": EVENT_BYTES_MAX, "batch_events_max": BATCH_EVENTS_MAX });
    let slow = json!({ "events_per_second": 1, "events_burst": 3 });
    let sealed = sealer.seal("source.acme.hub", &SECRET.to_owned().into()).unwrap();
    let stranger = Sealer::new(SealingKey::generate());
    let lost = stranger.seal("source.acme.lost", &SECRET.to_owned().into()).unwrap();
    let signed = |id: &str, sealed: &str| {
        source(json!({ "tenant": "acme", "system": "hub", "id": id, "preset": "github",
            "verification": { "scheme": { "type": "github" }, "sealed_secrets": [sealed] } }))
    };
    let mut snapshot = Snapshot::default();
    for tenant in [
        json!({ "id": "acme", "limits": limits }),
        json!({ "id": "other" }),
        json!({ "id": "gone", "disabled": true }),
        json!({ "id": "slow", "limits": slow }),
        json!({ "id": "heavy", "plan": "narrow" }),
    ] {
        snapshot = put(snapshot, of::<Tenant>(tenant));
    }
    let narrow = json!({ "id": "narrow", "limits": { "bytes_per_second": 1, "bytes_burst": 2_000 } });
    snapshot = put(snapshot, of::<Plan>(narrow));
    snapshot = put(snapshot, of::<System>(json!({ "tenant": "acme", "id": "shop" })));
    for key in [
        key("heavy", HEAVY, "publish"),
        key("acme", KEY, "publish"),
        key("acme", READER, "read"),
        key("other", OTHER, "publish"),
        key("gone", GONE, "publish"),
        key("slow", SLOW, "publish"),
    ] {
        snapshot = put(snapshot, key);
    }
    for source in [
        signed("hub", &sealed),
        signed("lost", &lost),
        source(json!({ "tenant": "acme", "system": "shop", "id": "till",
            "mapping": { "partition_key": "${body.till}" }, "keep_headers": ["x-till"] })),
        source(json!({ "tenant": "acme", "system": "shop", "id": "old", "mapping": { "type": "${" } })),
        source(json!({ "tenant": "gone", "system": "shop", "id": "till" })),
        source(json!({ "tenant": "slow", "system": "shop", "id": "till" })),
        source(json!({ "tenant": "heavy", "system": "shop", "id": "till" })),
    ] {
        snapshot = put(snapshot, source);
    }
    snapshot
}

/// What the broker does.
#[derive(Debug, Clone)]
pub(crate) enum Broker {
    Acknowledges,
    Refuses(AcceptError),
}

/// A broker that keeps what it acknowledged.
#[derive(Debug)]
pub(crate) struct FakeBroker {
    does: Mutex<Broker>,
    kept: Mutex<Vec<(hops::Stamp, Vec<Placed>)>>,
}

#[async_trait::async_trait]
impl Accept for FakeBroker {
    async fn append(&self, stamp: hops::Stamp, items: Vec<Placed>) -> Result<Appended, AcceptError> {
        let does = self.does.lock().unwrap().clone();
        if matches!(does, Broker::Acknowledges) {
            self.kept.lock().unwrap().push((stamp, items));
        }
        Ok(Box::pin(async move {
            match does {
                Broker::Acknowledges => Ok(()),
                Broker::Refuses(error) => Err(error),
            }
        }))
    }
}

/// A door that listens, until dropped.
pub(crate) struct Door {
    addr: SocketAddr,
    broker: Arc<FakeBroker>,
    shutdown: Shutdown,
    _runtime: tokio::runtime::Runtime,
}

impl Door {
    pub(crate) fn open() -> Self {
        Self::open_to(vec![], vec![])
    }

    /// Believing tokens of these issuers, with these roles given to people and keys.
    pub(crate) fn open_to(issuers: Vec<IssuerOptions>, bindings: Vec<RoleBinding>) -> Self {
        let sealer = Arc::new(Sealer::new(SealingKey::generate()));
        let snapshot = Arc::new(bindings.into_iter().fold(catalog(&sealer), put));
        let broker = Arc::new(FakeBroker { does: Mutex::new(Broker::Acknowledges), kept: Mutex::default() });
        let snapshots: Snapshots = Arc::new(move || Arc::clone(&snapshot));
        testkit::install_tls();
        let tokens =
            Tokens::new(TokenOptions { issuers, ..TokenOptions::default() }, Arc::new(SystemClock)).unwrap();
        let publishers = Publishers::new(Arc::new(tokens), Authority::embedded(Arc::clone(&snapshots)));
        let dependencies =
            Dependencies { publishers, ..Dependencies::new(broker.clone(), snapshots, sealer) };
        let mut options = Options {
            body_bytes_max: 64 << 10,
            decoded_bytes_max: 128 << 10,
            attribute_bytes_max: 500,
            attributes_bytes_max: 1_000,
            extensions_max: 4,
            ..Options::default()
        };
        options.server.listen.set_port(0);
        options.server.body_read_timeout_ms = Millis(300);
        options.server.header_read_timeout_ms = Millis(300);
        let shutdown = Shutdown::new();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = runtime.block_on(Service::build(options, dependencies)).unwrap();
        let addr = service.local_addr();
        runtime.spawn(service.run(shutdown.clone()));
        Self { addr, broker, shutdown, _runtime: runtime }
    }

    pub(crate) fn broker(&self, does: Broker) {
        *self.broker.does.lock().unwrap() = does;
    }

    /// What was acknowledged since the last time.
    pub(crate) fn kept(&self) -> Vec<(hops::Stamp, Vec<Placed>)> {
        std::mem::take(&mut self.broker.kept.lock().unwrap())
    }

    /// Sends a request and reads the answer.
    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.send_bytes(&request.bytes())
    }

    /// Sends these bytes, nothing more, and reads the answer until the door closes.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A door that refuses early may close before it has read everything: its answer counts.
        let _ = socket.write_all(bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        Answer::parse(&answer)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

/// A request, as it will stand on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// `POST /v1/events` with a good key.
    pub(crate) fn publish() -> Self {
        Self::new("POST", "/v1/events").key(KEY)
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", format!("Bearer {key}"))
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A body with its content type.
    pub(crate) fn content(self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", media_type).body(body)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Signed as GitHub does.
    pub(crate) fn signed(self, secret: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(&self.body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        self.header("x-hub-signature-256", signature)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: door\r\nconnection: close\r\n", self.method, self.path)
                .into_bytes();
        let framed = self.headers.iter().any(|(n, _)| n == "content-length" || n == "transfer-encoding");
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if !framed {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: bytes.to_vec() };
        };
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
        let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        Self { status: status.unwrap_or(0), headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| &**v)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}
