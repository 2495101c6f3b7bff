//! The whole HTTP door but its socket: content encodings, every mode, NDJSON, webhooks. What it answers and what it appends
//! always agree. The input is the number of a path, header lines, an empty line, and the body.
#![no_main]

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use axum::body::Body;
use bus::{Accept, AcceptError, Appended, Placed};
use catalog::{Sealer, SealingKey, Snapshot};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use ingest_http::{Dependencies, Options, Routes};
use libfuzzer_sys::fuzz_target;
use model::resource::{ApiKey, Source, Tenant};
use proto::hops;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

const KEY: &str = "er_aaaaaaaaaaaaaaaa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const PATHS: [&str; 4] = ["/v1/events", "/v1/sources/till", "/v1/sources/acme.hub", "/v1/sources/till?a=1&b=%20"];
const DECODED_BYTES_MAX: usize = 128 << 10;

/// A broker that counts.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl Accept for Counting {
    async fn append(&self, _: hops::Stamp, items: Vec<Placed>) -> Result<Appended, AcceptError> {
        self.0.fetch_add(items.len(), SeqCst);
        Ok(Box::pin(async { Ok(()) }))
    }
}

struct World {
    routes: Routes,
    broker: Arc<Counting>,
    runtime: tokio::runtime::Runtime,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    fn of<R: serde::de::DeserializeOwned>(value: serde_json::Value) -> R {
        serde_json::from_value(value).expect("a resource")
    }
    let hash: String = Sha256::digest(KEY).iter().map(|b| format!("{b:02x}")).collect();
    let sealer = Sealer::new(SealingKey::generate());
    let sealed = sealer.seal("source.acme.hub", &"secret".to_owned().into()).expect("it seals");
    let snapshot = Snapshot::default()
        .with::<Tenant>(of(serde_json::json!({"id": "acme", "limits": {"batch_events_max": 16}})))
        .with::<ApiKey>(of(serde_json::json!({"tenant": "acme", "system": "shop", "id": "aaaaaaaaaaaaaaaa",
            "hash": hash, "scopes": ["publish"]})))
        .with::<Source>(of(serde_json::json!({"tenant": "acme", "system": "shop", "id": "till",
            "mapping": {"id": ["${body.id}", "body-hash"], "partition_key": "${body.till}"}})))
        .with::<Source>(of(serde_json::json!({"tenant": "acme", "system": "hub", "id": "hub", "preset": "github",
            "verification": {"scheme": {"type": "github"}, "sealed_secrets": [sealed]}})));
    let snapshot = Arc::new(snapshot);
    let broker = Arc::new(Counting::default());
    let dependencies =
        Dependencies::new(broker.clone(), Arc::new(move || Arc::clone(&snapshot)), Arc::new(sealer));
    let options = Options { decoded_bytes_max: DECODED_BYTES_MAX, ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    World { routes: ingest_http::routes(&options, dependencies), broker, runtime }
});

fuzz_target!(|input: &[u8]| {
    let Some((path, input)) = input.split_first() else { return };
    let split = input.windows(2).position(|w| w == b"\n\n");
    let (head, body) = split.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let path = PATHS[usize::from(*path) % PATHS.len()];
    let mut request = Request::post(path).body(Body::from(body.to_vec())).expect("a request");
    // As `runtime::http::serve` does.
    request.extensions_mut().insert(runtime::trace::TraceContext::random());
    let headers = request.headers_mut();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {KEY}")).expect("a key"));
    for line in head.split(|b| *b == b'\n').take(64) {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && name != "authorization"
        {
            headers.append(name, value);
        }
    }
    let world = &*WORLD;
    let before = world.broker.0.load(SeqCst);
    let (status, answer) = world.runtime.block_on(async {
        let answer = world.routes.clone().oneshot(request).await.expect("it always answers");
        (answer.status(), answer.into_body().collect().await.expect("a whole answer").to_bytes())
    });
    let appended = world.broker.0.load(SeqCst) - before;
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    if status == StatusCode::ACCEPTED {
        assert_eq!(answer["events"].as_array().map(Vec::len), Some(appended), "{answer}");
    } else {
        assert_eq!(appended, 0, "refused and appended: {answer}");
        assert!(matches!(status.as_u16(), 400 | 401 | 413 | 415 | 422 | 429), "{answer}");
        assert!(answer["code"].is_string() && answer["status"] == status.as_u16(), "{answer}");
    }
});
