//! One test's world: a broker, a store, two tenants with keys, and the service on a free port.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{Deps, Options, Service};
use async_nats::HeaderMap;
use auth::{Authority, OwnTokenOptions, TokenOptions, Tokens};
use bus::{
    Bus, TopologyOptions,
    accounts::{Accounts, Operator, Options as AccountOptions},
    topology,
};
use catalog::{Catalog, Sealer, SealingKey, Snapshot};
use identity::IssuerOptions;
use model::{
    Batch, CloudEvent, Durability, Group, Micros, Stamp, TenantId, nats,
    resource::{Meter, Scope, Tenant},
};
use reqwest::{Method, Response};
use runtime::{config::Millis, health::Health, http::ServerOptions, lifecycle::Shutdown};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::embedded::Embedded;
use tempfile::TempDir;
use testkit::{NatsOptions, NatsServer};
use tokio::task::JoinHandle;

pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub(crate) const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
/// 2026-11-21T10:00:00Z.
pub(crate) const TEN: Micros = 1_795_255_200_000_000;
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) bus: Bus,
    pub(crate) catalog: Catalog,
    pub(crate) stores: store::Stores,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: JoinHandle<Result<(), api::Error>>,
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) keys: Keys,
    pub(crate) hasher: identity::Hasher,
    /// How the broker's accounts are signed.
    pub(crate) signing: AccountOptions,
    embedded: Embedded,
    _folder: TempDir,
}

/// The keys there are.
#[derive(Default)]
pub(crate) struct Keys {
    /// acme's, with the scopes read and write.
    pub(crate) acme: String,
    /// acme's, by scope.
    pub(crate) reader: String,
    pub(crate) writer: String,
    pub(crate) publisher: String,
    /// globex's, with all scopes.
    pub(crate) globex: String,
    /// Of a disabled tenant.
    pub(crate) disabled: String,
}

pub(crate) fn tenant(id: &str, disabled: bool) -> Tenant {
    serde_json::from_value(json!({"id": id, "disabled": disabled})).unwrap()
}

fn key(snapshot: Snapshot, tenant: &str, scopes: &[Scope]) -> (Snapshot, String) {
    let new = auth::NewKey {
        tenant: tenant.parse().unwrap(),
        system: "shop".parse().unwrap(),
        name: String::new(),
        scopes: scopes.to_vec(),
        created_at: String::new(),
    };
    let (key, shown) = auth::generate(&mut rand::rng(), new);
    (snapshot.with(key), shown.expose_secret().to_owned())
}

pub(crate) fn tenants() -> Snapshot {
    Snapshot::default().with(tenant("acme", false)).with(tenant("globex", false)).with(tenant("gone", true))
}

fn keys() -> (Snapshot, Keys) {
    use Scope::{Publish, Read, Write};
    let (snapshot, acme) = key(tenants(), "acme", &[Read, Write]);
    let (snapshot, reader) = key(snapshot, "acme", &[Read]);
    let (snapshot, writer) = key(snapshot, "acme", &[Write]);
    let (snapshot, publisher) = key(snapshot, "acme", &[Publish]);
    let (snapshot, globex) = key(snapshot, "globex", &[Publish, Read, Write]);
    let (snapshot, disabled) = key(snapshot, "gone", &[Publish, Read, Write]);
    (snapshot, Keys { acme, reader, writer, publisher, globex, disabled })
}

/// Two meters of acme's own, and one of globex's.
fn own_meters() -> Vec<Meter> {
    let all = serde_json::json!([
        {"tenant": "acme", "id": "turnover", "aggregation": "sum", "value": "/amount", "scale": 2},
        {"tenant": "acme", "id": "buyers", "aggregation": "unique", "value": "/buyer"},
        {"tenant": "globex", "id": "theirs", "aggregation": "count"},
    ]);
    serde_json::from_value(all).unwrap()
}

/// The same in every test, so that a second replica of the service opens what the first sealed.
pub(crate) fn sealer() -> Arc<Sealer> {
    Arc::new(Sealer::new(SealingKey::from_bytes([7; 32])))
}

/// Options for tests: any port, quick heartbeats.
pub(crate) fn options() -> Options {
    let http = ServerOptions { drain_timeout_ms: Millis(5_000), ..ServerOptions::default() };
    Options { http, stream_heartbeat_ms: Millis(100), ..Options::default() }
}

fn embedded_authority(catalog: &Catalog) -> Authority {
    let catalog = catalog.clone();
    Authority::embedded(Arc::new(move || catalog.snapshot()))
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(options()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let (snapshot, keys) = keys();
        let snapshot = own_meters().into_iter().fold(snapshot, Snapshot::with);
        Self::start_over(options, keys, vec![], None, async |_| Catalog::fixed(snapshot)).await
    }

    /// With the catalog that is made for the broker, believing tokens of these issuers, and asking this authority or the embedded
    /// one.
    pub(crate) async fn start_over(
        options: Options,
        keys: Keys,
        issuers: Vec<IssuerOptions>,
        authority: Option<Authority>,
        catalog: impl AsyncFnOnce(&Bus) -> Catalog,
    ) -> Self {
        let folder = TempDir::with_prefix("eventrunner-api-").unwrap();
        let seed = Operator::generate().unwrap();
        let operator = Operator::from_seed(seed.expose_secret()).unwrap();
        let now = model::Clock::now(&model::SystemClock) / 1_000_000;
        let extra = operator.broker_config(&folder.path().join("accounts"), now);
        let nats =
            NatsServer::start_with(NatsOptions { sync_always: false, extra, ..NatsOptions::default() });
        let credentials = folder.path().join("fleet.creds");
        std::fs::write(&credentials, operator.fleet_credentials(now).expose_secret()).unwrap();
        let connect =
            bus::Options { url: nats.url(), credentials_file: Some(credentials), ..Default::default() };
        let bus = Bus::connect(&connect).await.unwrap();
        let accounts =
            AccountOptions { operator_seed: seed.expose_secret().into(), ..AccountOptions::default() };
        let layout = TopologyOptions { durability: Durability::Process, partitions: 2, ..Default::default() };
        let topology = topology::ensure(&bus, &layout).await.unwrap();
        let embedded = Embedded::open(folder.path().join("store"), Durability::Process, Default::default())
            .await
            .unwrap();
        let stores = embedded.stores();
        let catalog = catalog(&bus).await;
        testkit::install_tls();
        let tokens =
            Tokens::new(TokenOptions { issuers, ..TokenOptions::default() }, Arc::new(model::SystemClock))
                .unwrap();
        let tokens = tokens.with_own(Arc::new(OwnTokenOptions::default().tokens(&sealer()).unwrap()));
        let deps = Deps {
            accounts: Accounts::new(&bus, &accounts).unwrap(),
            bus: bus.clone(),
            topology,
            catalog: catalog.clone(),
            stores: stores.clone(),
            sealer: sealer(),
            tokens: Arc::new(tokens),
            authority: authority.unwrap_or_else(|| embedded_authority(&catalog)),
            health: Health::default(),
        };
        let service = Service::build(options, deps).await.unwrap();
        let (address, hasher) = (service.local_addr().unwrap(), service.hasher());
        let shutdown = Shutdown::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        let http = reqwest::Client::new();
        Self {
            nats,
            bus,
            catalog,
            stores,
            shutdown,
            running,
            address,
            http,
            keys,
            hasher,
            signing: accounts,
            embedded,
            _folder: folder,
        }
    }

    /// Another replica of the service.
    pub(crate) async fn second(&self, options: Options) -> (Shutdown, JoinHandle<Result<(), api::Error>>) {
        let tokens = Tokens::new(TokenOptions::default(), Arc::new(model::SystemClock)).unwrap();
        let deps = Deps {
            accounts: Accounts::new(&self.bus, &self.signing).unwrap(),
            bus: self.bus.clone(),
            topology: topology::existing(&self.bus).await.unwrap().unwrap(),
            catalog: self.catalog.clone(),
            stores: self.stores.clone(),
            sealer: sealer(),
            tokens: Arc::new(tokens),
            authority: embedded_authority(&self.catalog),
            health: Health::default(),
        };
        let service = Service::build(options, deps).await.unwrap();
        let shutdown = Shutdown::new();
        (shutdown.clone(), tokio::spawn(service.run(shutdown)))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request as acme.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Response {
        self.ask_as(&self.keys.acme, method, path).await
    }

    pub(crate) async fn ask_as(&self, key: &str, method: Method, path: &str) -> Response {
        self.http.request(method, self.url(path)).header("x-api-key", key).send().await.unwrap()
    }

    /// The JSON of an answer that must be 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.json(Method::GET, path).await
    }

    pub(crate) async fn json(&self, method: Method, path: &str) -> Value {
        let response = self.ask(method, path).await;
        let status = response.status();
        let body = response.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Stores and meters events as the engine does.
    pub(crate) async fn store(&self, stamp: Stamp, events: Vec<CloudEvent>) {
        let batch = Batch {
            partition: 1,
            sequence: 22,
            stored_at_us: stamp.received_at_us + 3,
            raw_sequence: 11,
            raw_stored_at_us: stamp.received_at_us + 1,
            normalized_at_us: stamp.received_at_us + 2,
            groups: vec![Group { stamp: Arc::new(stamp), events }],
            streamed: Vec::new(),
            metered: Vec::new(),
        };
        self.stores.sink.write(Arc::new(batch)).await.unwrap();
    }

    /// Publishes events to a tenant's stream as the engine does. Returns the last sequence.
    pub(crate) async fn publish(&self, tenant: &str, events: &[CloudEvent]) -> u64 {
        let tenant: TenantId = tenant.parse().unwrap();
        let mut acks = Vec::new();
        for event in events {
            let mut headers = HeaderMap::new();
            for (name, value) in nats::headers(event) {
                headers.insert(&*name, &*value);
            }
            let subject = model::tenant_subject("default", &tenant, event.ty());
            let sent =
                self.bus.jetstream().publish_with_headers(subject, headers, nats::payload(event)).await;
            acks.push(sent.unwrap());
        }
        let mut last = 0;
        for ack in acks {
            last = ack.await.unwrap().sequence;
        }
        last
    }

    /// The same through an outage of the broker: one after the other, as often as it takes.
    pub(crate) async fn publish_insisting(&self, tenant: &str, events: &[CloudEvent]) {
        let tenant: TenantId = tenant.parse().unwrap();
        for event in events {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", &**event.id());
            for (name, value) in nats::headers(event) {
                headers.insert(&*name, &*value);
            }
            let subject = model::tenant_subject("default", &tenant, event.ty());
            bus::Outgoing::send(&self.bus, subject, headers, nats::payload(event)).await.settled().await;
        }
    }

    pub(crate) async fn close(self) {
        self.shutdown.abort();
        self.running.await.unwrap().unwrap();
        self.embedded.close().await;
    }
}

pub(crate) fn stamp(tenant: &str, received_at_us: Micros) -> Stamp {
    Stamp {
        tenant: tenant.parse().unwrap(),
        system: "shop".parse().unwrap(),
        source: None,
        customer: None,
        received_at_us,
        traceparent: TRACEPARENT.into(),
        protocol: "http".into(),
    }
}

pub(crate) fn event(id: &str, source: &str, ty: &str) -> CloudEvent {
    let data = format!("{{\"id\": {id:?}}}");
    CloudEvent::builder(id.to_owned(), source.to_owned(), ty.to_owned())
        .text("application/json", data)
        .build()
        .unwrap()
}

/// Events `0..count` of one source and type.
pub(crate) fn events(count: usize) -> Vec<CloudEvent> {
    (0..count).map(|n| event(&n.to_string(), "/shop", "com.example.order")).collect()
}

/// The field errors of a problem.
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().into_iter().flatten().filter_map(|e| e["pointer"].as_str()).collect()
}
