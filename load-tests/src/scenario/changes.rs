//! How soon a change of the catalog takes effect: made through the API of one process, looked for at the others.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use oracle::Access;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::fleet::{Durability, FleetArgs, Own};

/// How long is looked for a change before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The tenant that is changed.
const TENANT: &str = "changing";
/// Who logs in and out.
const PERSON: &str = "walker";
const PASSWORD: &str = "in and out and in again";

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    fleet: FleetArgs,
    /// What "accepted" promises
    #[arg(long, value_enum, default_value_t = Durability::Process)]
    durability: Durability,
    /// Changes in all, of each sort the same number
    #[arg(long, default_value_t = 500)]
    changes: usize,
    /// The longest that 99 of 100 changes of any sort may take, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    ms_max: u64,
}

/// What is changed, and how it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// A key is made: the door takes events of it.
    KeyMade,
    /// A key is deleted: the door answers 401.
    KeyRevoked,
    /// A key's scopes are changed, and with them its roles: the door answers 403, or takes events again.
    RoleChanged,
    /// The tenant's plan is given a limit or loses it: the door answers 429, or takes events again.
    LimitChanged,
    /// A source's mapping is changed: events get another type.
    SourceChanged,
    /// A session is ended: the door answers 401 to its access token.
    SessionEnded,
    /// A key is deleted by which an OAuth client got a token: the door answers 401 to that.
    ClientRevoked,
}

impl Sort {
    const ALL: [Self; 7] = [
        Self::KeyMade,
        Self::KeyRevoked,
        Self::RoleChanged,
        Self::LimitChanged,
        Self::SourceChanged,
        Self::SessionEnded,
        Self::ClientRevoked,
    ];
}

/// The times of one sort.
#[derive(Debug, Serialize)]
struct Times {
    sort: Sort,
    changes: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    form: &'static str,
    changes: usize,
    /// Over all sorts.
    p99_ms: f64,
    max_ms: f64,
    sorts: Vec<Times>,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    ensure!(
        options.fleet.context.is_none(),
        "only a fleet of this scenario's own is changed: leave --context out"
    );
    let (own, access) = Box::pin(Own::start(&options.fleet, options.durability)).await?;
    let operator = own.operator(&access)?;
    let world = World::furnish(access, operator).await?;
    let mut all = Histogram::<u64>::new(3)?;
    let mut sorts = Vec::new();
    // What is taken away is given back.
    let each = options.changes / Sort::ALL.len() / 2 * 2;
    for sort in Sort::ALL {
        let mut times = Histogram::<u64>::new(3)?;
        for number in 0..each {
            let took = world.change(sort, number).await.with_context(|| format!("{sort:?} {number}"))?;
            times.record(u64::try_from(took.as_micros())?)?;
        }
        all.add(&times)?;
        let one = Times {
            sort,
            changes: times.len(),
            p50_ms: ms(times.value_at_quantile(0.5)),
            p99_ms: ms(times.value_at_quantile(0.99)),
            max_ms: ms(times.max()),
        };
        println!("{sort:<14?} p50 {:>7} ms, p99 {:>7} ms, max {:>7} ms", one.p50_ms, one.p99_ms, one.max_ms);
        sorts.push(one);
    }
    own.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let holds = sorts.iter().all(|sort| sort.p99_ms <= options.ms_max as f64);
    let report = Report {
        scenario: "changes",
        form: options.fleet.form(),
        changes: usize::try_from(all.len())?,
        p99_ms: ms(all.value_at_quantile(0.99)),
        max_ms: ms(all.max()),
        sorts,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(holds && report.changes > 0)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ms(micros: u64) -> f64 {
    (micros as f64 / 100.0).round() / 10.0
}

/// The tenant that is changed, and who changes it.
struct World {
    http: reqwest::Client,
    access: Access,
    operator: String,
    /// A key of the tenant's that stays.
    key: String,
}

impl World {
    async fn furnish(access: Access, operator: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut world = Self { http, access, operator, key: String::new() };
        let tenant = format!("/tenants/{TENANT}");
        world.api(Method::POST, "/plans", json!({"id": "changing"})).await?;
        world.api(Method::POST, "/tenants", json!({"id": TENANT, "plan": "changing"})).await?;
        world.api(Method::POST, &format!("{tenant}/systems"), json!({"id": "shop"})).await?;
        let source = json!({"id": "raw", "system": "shop", "mapping": {"type": "begin"}});
        world.api(Method::POST, &format!("{tenant}/sources"), source).await?;
        world.key = world.make_key().await?.1;
        world.until(|| world.publish(&world.key), StatusCode::ACCEPTED).await?;
        world.api(Method::POST, "/users", json!({ "id": PERSON })).await?;
        let role = json!({"id": PERSON, "actor": format!("user:{PERSON}"), "role": "event_publisher"});
        world.api(Method::POST, &format!("{tenant}/role-bindings"), role).await?;
        let reset = world.api(Method::POST, &format!("/users/{PERSON}/password-resets"), Value::Null).await?;
        let set = json!({"token": reset["token"], "new_password": PASSWORD});
        world.api(Method::POST, "/password-resets/redeem", set).await?;
        Ok(world)
    }

    /// Asks the API as the operator; anything but a success is an error.
    async fn api(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let patch = method == Method::PATCH;
        let request = self.http.request(method, format!("{}/api/v1{path}", self.access.api_url));
        let media_type = if patch { "application/merge-patch+json" } else { "application/json" };
        let request = request.bearer_auth(&self.operator).header("content-type", media_type);
        let answer = request.body(body.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// Id and secret of a new key.
    async fn make_key(&self) -> anyhow::Result<(String, String)> {
        let body = json!({"system": "shop", "scopes": ["publish", "read"]});
        let made = self.api(Method::POST, &format!("/tenants/{TENANT}/keys"), body).await?;
        let text = |name: &str| made[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok((text("id")?, text("key")?))
    }

    /// What the door says to an event.
    async fn publish(&self, key: &str) -> anyhow::Result<StatusCode> {
        let event = json!({"specversion": "1.0", "id": rand::random::<u64>().to_string(), "source": "/s", "type": "t"});
        let request = self.http.post(format!("{}/v1/events", self.access.url)).bearer_auth(key);
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_string());
        // Of a key its own is taken.
        let request = request.header("eventrunner-system", "shop");
        Ok(request.send().await?.status())
    }

    /// Asks until the answer is that.
    async fn until<F: Future<Output = anyhow::Result<StatusCode>>>(
        &self,
        ask: impl Fn() -> F,
        expected: StatusCode,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let status = ask().await?;
            if status == expected {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "still {status} and not {expected}");
        }
    }

    /// Makes one change. How long it takes from the request to the effect.
    async fn change(&self, sort: Sort, number: usize) -> anyhow::Result<Duration> {
        let even = number.is_multiple_of(2);
        match sort {
            Sort::KeyMade => {
                let began = Instant::now();
                let (_, key) = self.make_key().await?;
                self.until(|| self.publish(&key), StatusCode::ACCEPTED).await?;
                Ok(began.elapsed())
            }
            Sort::KeyRevoked => {
                let (id, key) = self.make_key().await?;
                self.until(|| self.publish(&key), StatusCode::ACCEPTED).await?;
                let began = Instant::now();
                self.api(Method::DELETE, &format!("/tenants/{TENANT}/keys/{id}"), Value::Null).await?;
                self.until(|| self.publish(&key), StatusCode::UNAUTHORIZED).await?;
                Ok(began.elapsed())
            }
            Sort::RoleChanged => {
                let id = self.key.split('_').nth(1).context("a key has an id")?;
                let (scopes, expected) = if even {
                    (json!(["read"]), StatusCode::FORBIDDEN)
                } else {
                    (json!(["publish", "read"]), StatusCode::ACCEPTED)
                };
                self.patch_until(&format!("/tenants/{TENANT}/keys/{id}"), json!({"scopes": scopes}), expected)
                    .await
            }
            Sort::LimitChanged => {
                let (limits, expected) = if even {
                    (json!({"events_per_second": 1, "events_burst": 1}), StatusCode::TOO_MANY_REQUESTS)
                } else {
                    (json!({"events_per_second": null, "events_burst": null}), StatusCode::ACCEPTED)
                };
                self.patch_until("/plans/changing", json!({"limits": limits}), expected).await
            }
            Sort::SourceChanged => self.map_until(&format!("mapped-{number}")).await,
            Sort::SessionEnded => {
                let body = json!({"username": PERSON, "password": PASSWORD});
                let begun = self.api(Method::POST, "/login", body).await?;
                let token = begun["access_token"].as_str().context("no access token")?;
                self.until(|| self.publish(token), StatusCode::ACCEPTED).await?;
                let began = Instant::now();
                let request = self.http.post(format!("{}/api/v1/logout", self.access.api_url));
                request.bearer_auth(token).send().await?.error_for_status()?;
                self.until(|| self.publish(token), StatusCode::UNAUTHORIZED).await?;
                Ok(began.elapsed())
            }
            Sort::ClientRevoked => {
                let (id, key) = self.make_key().await?;
                let token = self.token_of(&id, &key).await?;
                self.until(|| self.publish(&token), StatusCode::ACCEPTED).await?;
                let began = Instant::now();
                self.api(Method::DELETE, &format!("/tenants/{TENANT}/keys/{id}"), Value::Null).await?;
                self.until(|| self.publish(&token), StatusCode::UNAUTHORIZED).await?;
                Ok(began.elapsed())
            }
        }
    }

    /// What a client gets for its key.
    async fn token_of(&self, id: &str, key: &str) -> anyhow::Result<String> {
        let request =
            self.http.post(format!("{}/oauth2/token", self.access.api_url)).basic_auth(id, Some(key));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body("grant_type=client_credentials").send().await?.error_for_status()?;
        let given: Value = answer.json().await?;
        given["access_token"].as_str().map(str::to_owned).context("no access token")
    }

    async fn patch_until(&self, path: &str, patch: Value, expected: StatusCode) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.api(Method::PATCH, path, patch).await?;
        self.until(|| self.publish(&self.key), expected).await?;
        Ok(began.elapsed())
    }

    /// Has events get that type, and waits until a stored one has it.
    async fn map_until(&self, ty: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let source = format!("/tenants/{TENANT}/sources/raw");
        self.api(Method::PATCH, &source, json!({"mapping": {"type": ty}})).await?;
        let door = format!("{}/v1/sources/{TENANT}.raw", self.access.url);
        let list = format!("{}/api/v1/events?type={ty}&limit=1", self.access.api_url);
        while began.elapsed() < PATIENCE {
            let sent = self.http.post(&door).bearer_auth(&self.key).body("{}").send().await?;
            let status = sent.status();
            ensure!(status == StatusCode::ACCEPTED, "the source's door answers {status}");
            let found: Value = self.http.get(&list).bearer_auth(&self.key).send().await?.json().await?;
            if found["events"].as_array().is_some_and(|events| !events.is_empty()) {
                return Ok(began.elapsed());
            }
        }
        bail!("no event of type {ty}")
    }
}
