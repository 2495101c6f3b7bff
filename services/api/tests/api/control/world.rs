//! One test's world: a catalog with tenants, systems and keys, behind the service.

use std::sync::Arc;

use auth::{Authority, NewKey};
use catalog::Catalog;
use identity::IssuerOptions;
use model::resource::{Scope, System};
use reqwest::{Method, RequestBuilder, Response, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::world::{Keys, World, options, tenant};

pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// The keys, by what they may do.
pub(super) struct Managers {
    /// Fleet-wide; of the tenant `ops`.
    pub(super) operator: String,
    /// acme's, with `manage`, `publish` and `read`.
    pub(super) acme: String,
    /// globex's, the same.
    pub(super) globex: String,
    /// acme's, with everything but `manage` and `operate`.
    pub(super) small: String,
    /// Of the disabled tenant `gone`, with `manage`.
    pub(super) disabled: String,
}

pub(super) struct Control {
    pub(super) world: World,
    pub(super) keys: Managers,
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) etag: String,
    pub(super) headers: header::HeaderMap,
    pub(super) json: Value,
}

impl Told {
    pub(super) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        let etag = headers.get("etag").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        Self { status, etag, headers, json }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    /// Status and code of a refusal, and where it is at fault.
    pub(super) fn refusal(&self) -> (u16, &str, Vec<&str>) {
        (self.status, self.json["code"].as_str().unwrap_or_default(), crate::world::pointers(&self.json))
    }
}

async fn key(catalog: &Catalog, tenant: &str, scopes: &[Scope]) -> String {
    let new = NewKey {
        tenant: tenant.parse().unwrap(),
        system: "shop".parse().unwrap(),
        name: String::new(),
        scopes: scopes.to_vec(),
        created_at: String::new(),
    };
    let (key, shown) = auth::generate(&mut rand::rng(), new);
    catalog.create(&key).await.unwrap();
    shown.expose_secret().to_owned()
}

async fn furnish(catalog: &Catalog) -> Managers {
    use Scope::{Manage, Operate, Publish, Read, Write};
    for id in ["acme", "globex", "gone", "ops"] {
        catalog.create(&tenant(id, id == "gone")).await.unwrap();
        let system: System = serde_json::from_value(json!({"tenant": id, "id": "shop"})).unwrap();
        catalog.create(&system).await.unwrap();
    }
    Managers {
        operator: key(catalog, "ops", &[Operate]).await,
        acme: key(catalog, "acme", &[Manage, Publish, Read]).await,
        globex: key(catalog, "globex", &[Manage, Publish, Read]).await,
        small: key(catalog, "acme", &[Publish, Read, Write]).await,
        disabled: key(catalog, "gone", &[Manage]).await,
    }
}

impl Control {
    pub(super) async fn start() -> Self {
        Self::start_with(options()).await
    }

    pub(super) async fn start_with(options: api::Options) -> Self {
        Self::start_over(options, vec![], None).await
    }

    /// Believing tokens of these issuers.
    pub(super) async fn start_trusting(issuers: Vec<IssuerOptions>) -> Self {
        Self::start_over(options(), issuers, None).await
    }

    pub(super) async fn start_over(
        options: api::Options,
        issuers: Vec<IssuerOptions>,
        authority: Option<Authority>,
    ) -> Self {
        let mut keys = None;
        let world = World::start_over(options, Keys::default(), issuers, authority, async |bus| {
            let js = bus.jetstream();
            catalog::ensure_bucket(js, &catalog::Options::default(), 1).await.unwrap();
            let rules = Some(Arc::new(api::Rules) as Arc<dyn catalog::Check>);
            let catalog = Catalog::open_checked(js.clone(), catalog::Options::default(), rules).await;
            keys = Some(furnish(&catalog).await);
            catalog
        })
        .await;
        Self { world, keys: keys.unwrap() }
    }

    /// A request as somebody.
    pub(super) fn request(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        self.world.http.request(method, self.world.url(path)).bearer_auth(key)
    }

    /// A request of an operator's.
    pub(super) fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(&self.keys.operator, method, path)
    }

    /// A request of acme's manager.
    pub(super) fn manage(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(&self.keys.acme, method, &format!("/api/v1/tenants/acme{path}"))
    }

    pub(super) async fn get(&self, path: &str) -> Told {
        send(self.manage(Method::GET, path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Told {
        send(self.manage(Method::POST, path).json(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Told {
        send(self.manage(Method::PUT, path).json(body)).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Told {
        send(merge(self.manage(Method::PATCH, path), body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Told {
        send(self.manage(Method::DELETE, path)).await
    }

    /// A tenant's audit as an operator reads it: the data of its records.
    pub(super) async fn audit(&self, tenant: &str, query: &str) -> Vec<Value> {
        let path = format!("/api/v1/tenants/{tenant}/audit?limit=1000&{query}");
        let told = send(self.operate(Method::GET, &path)).await;
        assert_eq!(told.status, 200, "{told:?}");
        told.json["records"].as_array().unwrap().iter().map(|record| record["data"].clone()).collect()
    }

    pub(super) async fn close(self) {
        self.world.close().await;
    }
}

/// Whether an answer has no member that its schema of the OpenAPI document lacks, and all that it requires.
pub(super) fn assert_documented(schema: &str, answer: &Value) {
    assert_as_documented(schema, answer, true);
}

/// The same of an answer that is no resource, and may get members one day that are not known yet.
pub(super) fn assert_answered(schema: &str, answer: &Value) {
    assert_as_documented(schema, answer, false);
}

fn assert_as_documented(schema: &str, answer: &Value, closed: bool) {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let schema = &document["components"]["schemas"][schema];
    assert_eq!(schema["additionalProperties"] == false, closed, "{schema}");
    let properties = schema["properties"].as_object().unwrap();
    for (name, value) in answer.as_object().unwrap() {
        let property = properties.get(name).unwrap_or_else(|| panic!("{name} is not documented: {answer}"));
        assert_ne!(property["writeOnly"], true, "{name} is told: {answer}");
        let references = [property, &property["oneOf"][0], &property["allOf"][0]];
        let reference = references.into_iter().find_map(|p| p["$ref"].as_str());
        if let Some(name) = reference {
            assert_as_documented(name.rsplit('/').next().unwrap(), value, closed);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(answer.get(name.as_str().unwrap()).is_some(), "{name} is not answered: {answer}");
    }
}

pub(super) fn merge(request: RequestBuilder, patch: &Value) -> RequestBuilder {
    request.header("content-type", MERGE_PATCH).body(patch.to_string())
}

pub(super) async fn send(request: RequestBuilder) -> Told {
    Told::of(request.send().await.unwrap()).await
}
