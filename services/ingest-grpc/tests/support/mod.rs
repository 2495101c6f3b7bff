//! A gRPC door with a broker and a catalog of the test's own.

#![allow(dead_code, clippy::allow_attributes, clippy::expect_used, reason = "each test uses a part of it")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use auth::{Authority, NewKey, Publishers, TokenOptions, Tokens};
use bus::{Accept, AcceptError, Appended, Item, Placed};
use catalog::{Catalog, Snapshot};
use ingest_grpc::{Dependencies, Options, Service, Snapshots};
use model::{
    CloudEvent,
    resource::{ApiKey, Scope, Tenant},
};
use proto::{cloudevents as ce, hops, v1::event_ingest_service_client::EventIngestServiceClient};
use runtime::{http::ServerOptions, lifecycle::Shutdown};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// What a test waits for at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Takes events down in the order they come, and acknowledges as the test says.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) received: Mutex<Vec<(hops::Stamp, Vec<Placed>)>>,
    count: watch::Sender<usize>,
    /// One permit for each acknowledgement.
    pub(crate) acks: Arc<Semaphore>,
    /// One permit for each request it has room for.
    pub(crate) room: Semaphore,
    pub(crate) failure: Mutex<Option<AcceptError>>,
}

#[async_trait]
impl Accept for Broker {
    async fn append(&self, stamp: hops::Stamp, items: Vec<Placed>) -> Result<Appended, AcceptError> {
        self.room.acquire().await.unwrap().forget();
        self.received.lock().unwrap().push((stamp, items));
        self.count.send_modify(|n| *n += 1);
        let (acks, failure) = (self.acks.clone(), self.failure.lock().unwrap().clone());
        Ok(Box::pin(async move {
            acks.acquire().await.unwrap().forget();
            failure.map_or(Ok(()), Err)
        }))
    }
}

impl Broker {
    /// Waits until so many requests have come.
    pub(crate) async fn has(&self, requests: usize) {
        let mut count = self.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(|n| *n >= requests)).await;
        assert!(waited.is_ok(), "{} of {requests} requests came", *self.count.borrow());
    }

    pub(crate) fn requests(&self) -> usize {
        *self.count.borrow()
    }

    /// From now on, or until taken back, nothing is acknowledged.
    pub(crate) fn hold(&self) {
        self.acks.forget_permits(usize::MAX);
    }

    /// The events, in the order they came.
    pub(crate) fn events(&self) -> Vec<CloudEvent> {
        let received = self.received.lock().unwrap();
        let items = received.iter().flat_map(|(_, items)| items);
        items
            .map(|placed| match placed.item.clone() {
                Item::Normal(event) => CloudEvent::try_from(event).unwrap(),
                other => panic!("not an event: {other:?}"),
            })
            .collect()
    }
}

/// The door under test, with tenant `acme`.
pub(crate) struct Fleet {
    pub(crate) addr: SocketAddr,
    pub(crate) broker: Arc<Broker>,
    pub(crate) catalog: Catalog,
    pub(crate) shutdown: Shutdown,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) running: JoinHandle<std::io::Result<()>>,
    /// May publish.
    pub(crate) key: String,
    pub(crate) stored: ApiKey,
}

pub(crate) fn tenant(limits: &serde_json::Value) -> Tenant {
    serde_json::from_value(json!({"id": "acme", "limits": limits})).unwrap()
}

pub(crate) fn new_key(scopes: &[Scope]) -> (ApiKey, String) {
    let new = NewKey {
        tenant: "acme".parse().unwrap(),
        system: "shop".parse().unwrap(),
        name: String::new(),
        scopes: scopes.to_vec(),
        created_at: "2026-11-21T10:00:00Z".into(),
    };
    let (stored, shown) = auth::generate(&mut rand::rng(), new);
    (stored, shown.expose_secret().to_owned())
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default(), &json!({})).await
    }

    pub(crate) async fn with(options: Options, limits: &serde_json::Value) -> Self {
        Self::believing(options, limits, vec![]).await
    }

    /// With tokens of these issuers.
    pub(crate) async fn believing(
        options: Options,
        limits: &serde_json::Value,
        issuers: Vec<identity::IssuerOptions>,
    ) -> Self {
        let broker = Arc::new(Broker {
            received: Mutex::default(),
            count: watch::Sender::new(0),
            acks: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            room: Semaphore::new(Semaphore::MAX_PERMITS),
            failure: Mutex::default(),
        });
        let (stored, key) = new_key(&[Scope::Publish]);
        let stored = ApiKey { customer: Some("jane".parse().unwrap()), ..stored };
        let catalog = Catalog::fixed(Snapshot::default().with(tenant(limits)).with(stored.clone()));
        let shutdown = Shutdown::new();
        let (ready, is_ready) = watch::channel(true);
        let snapshots: Snapshots = {
            let catalog = catalog.clone();
            Arc::new(move || catalog.snapshot())
        };
        testkit::install_tls();
        let tokens =
            Tokens::new(TokenOptions { issuers, ..TokenOptions::default() }, Arc::new(model::SystemClock))
                .unwrap();
        let authority = Authority::embedded(Arc::clone(&snapshots));
        let dependencies = Dependencies {
            ready: is_ready,
            publishers: Publishers::new(Arc::new(tokens), authority),
            ..Dependencies::new(broker.clone(), snapshots)
        };
        let options = Options {
            server: ServerOptions { listen: "127.0.0.1:0".parse().unwrap(), ..options.server },
            ..options
        };
        let service = Service::build(options, dependencies).await.unwrap();
        let addr = service.local_addr();
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self { addr, broker, catalog, shutdown, ready, running, key, stored }
    }

    /// Changes the catalog: the tenant as given, and the key, or none.
    pub(crate) fn change(&self, tenant: Tenant, key: Option<ApiKey>) {
        let mut snapshot = Snapshot::default().with(tenant);
        // Beyond the revision before.
        for n in 0..=self.catalog.snapshot().revision() {
            snapshot = snapshot.with(new_system(n));
        }
        self.catalog.replace(match key {
            Some(key) => snapshot.with(key),
            None => snapshot,
        });
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> EventIngestServiceClient<InterceptedService<Channel, Key>> {
        self.client_with(&self.key).await
    }

    pub(crate) async fn client_with(
        &self,
        key: &str,
    ) -> EventIngestServiceClient<InterceptedService<Channel, Key>> {
        let key = Key(format!("Bearer {key}").parse().unwrap());
        EventIngestServiceClient::with_interceptor(self.channel().await, key)
    }

    /// Drains, and waits for the end.
    pub(crate) async fn stop(self) {
        self.shutdown.drain();
        tokio::time::timeout(PATIENCE, self.running).await.expect("it stops").unwrap().unwrap();
    }
}

fn new_system(n: u64) -> model::resource::System {
    serde_json::from_value(json!({"tenant": "acme", "id": format!("s{n}")})).unwrap()
}

/// Puts an API key into each call.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) MetadataValue<Ascii>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub(crate) fn event(id: &str) -> ce::CloudEvent {
    ce::CloudEvent {
        id: id.to_owned(),
        source: "/shop/till-3".to_owned(),
        spec_version: "1.0".to_owned(),
        r#type: "com.example.order.placed".to_owned(),
        ..ce::CloudEvent::default()
    }
}

pub(crate) fn attribute(event: &mut ce::CloudEvent, name: &str, attr: ce::cloud_event_attribute_value::Attr) {
    event.attributes.insert(name.to_owned(), ce::CloudEventAttributeValue { attr: Some(attr) });
}
