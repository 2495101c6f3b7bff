//! The lease of a set: two who apply the same set do it one after the other.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::ErrorCode;
use reqwest::{Method, header};
use serde::Deserialize;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    client::segment,
    commands::resources::Client,
    exit::{Code, Failure, Result},
    output::note,
};

/// How long it lasts after whoever held it has died.
const TTL_SECONDS: u32 = 15;
const LASTS: Duration = Duration::from_secs(TTL_SECONDS as u64);
const RENEW_EVERY: Duration = Duration::from_secs(4);
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Leases that are held, and renewed until this is dropped or ended.
pub(super) struct Held {
    client: Client,
    holder: String,
    set: Option<String>,
    /// How long whoever holds one is waited for.
    patience: Duration,
    leases: Vec<Lease>,
}

struct Lease {
    path: String,
    state: Arc<Mutex<State>>,
    renewing: AbortOnDropHandle<()>,
}

struct State {
    revision: u64,
    /// Before it was asked for the last time.
    renewed: Instant,
    /// Why it is not held any more.
    lost: Option<String>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct Told {
    revision: u64,
}

/// Where the lease of a set stands; what is in no set has one, too.
fn path(tenant: Option<&str>, set: Option<&str>) -> String {
    let name = set.map_or_else(|| "apply".to_owned(), |set| format!("apply-{}", segment(set)));
    match tenant {
        Some(tenant) => format!("/api/v1/tenants/{}/leases/{name}", segment(tenant)),
        None => format!("/api/v1/fleet/leases/{name}"),
    }
}

impl Held {
    pub(super) fn new(client: &Client, set: Option<&str>, patience: Duration) -> Self {
        let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
        let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
        let host = host.unwrap_or_else(|| "somewhere".to_owned());
        let holder = format!("{user}@{host}, process {}", std::process::id());
        let holder = holder.chars().filter(|c| !c.is_control()).take(200).collect();
        let set = set.map(ToOwned::to_owned);
        Self { client: client.clone(), holder, set, patience, leases: Vec::new() }
    }

    /// Takes the leases of the set in these places, but for those that are held: in one order, so that two never wait for each other.
    pub(super) async fn take_all(&mut self, places: impl Iterator<Item = Option<&str>>) -> Result<()> {
        for place in places.collect::<BTreeSet<_>>() {
            self.take(place).await?;
        }
        Ok(())
    }

    /// Takes one, waiting for whoever holds it. A tenant that is not there has none.
    async fn take(&mut self, tenant: Option<&str>) -> Result<()> {
        let path = path(tenant, self.set.as_deref());
        if self.leases.iter().any(|lease| lease.path == path) {
            return Ok(());
        }
        let began = Instant::now();
        let mut told = false;
        let (revision, renewed) = loop {
            let asked = Instant::now();
            match ask(&self.client, &path, &self.holder, None).await {
                Ok(revision) => break (revision, asked),
                Err(failure) if failure.error == Some(ErrorCode::NotFound) && tenant.is_some() => {
                    return Ok(());
                }
                Err(failure) if failure.error == Some(ErrorCode::Conflict) => {
                    if began.elapsed() >= self.patience {
                        let message = format!("somebody else applies this set: {}", failure.message);
                        return Err(Failure::new(Code::CannotTake, message)
                            .hint("nothing was changed; try again, or wait longer with --wait"));
                    }
                    if !told {
                        note(&format!("waiting: {}", failure.message));
                        told = true;
                    }
                    tokio::time::sleep(ASK_EVERY).await;
                }
                Err(failure) => return Err(failure),
            }
        };
        let state = Arc::new(Mutex::new(State { revision, renewed, lost: None }));
        let (client, holder) = (self.client.clone(), self.holder.clone());
        let renewing = tokio::spawn(renew(client, path.clone(), holder, Arc::clone(&state)));
        self.leases.push(Lease { path, state, renewing: AbortOnDropHandle::new(renewing) });
        Ok(())
    }

    /// Whether they are still held.
    pub(super) fn check(&self) -> Result<()> {
        for lease in &self.leases {
            let state = locked(&lease.state);
            let late =
                (state.renewed.elapsed() >= LASTS).then(|| "it could not be renewed in time".to_owned());
            if let Some(why) = state.lost.clone().or(late) {
                let message = format!("the set's lease was lost, so this stopped halfway: {why}");
                return Err(Failure::new(Code::CannotTake, message)
                    .hint("what is there now may be of two; apply again"));
            }
        }
        Ok(())
    }

    /// Ends those of tenants that are about to go: nobody could afterwards.
    pub(super) async fn end_of(&mut self, tenants: &BTreeSet<&str>) {
        let paths: BTreeSet<String> =
            tenants.iter().map(|tenant| path(Some(tenant), self.set.as_deref())).collect();
        let (ending, kept) =
            std::mem::take(&mut self.leases).into_iter().partition(|lease| paths.contains(&lease.path));
        self.leases = kept;
        end(&self.client, ending).await;
    }

    /// Ends them. What cannot be ended ends by itself.
    pub(super) async fn end(self) {
        end(&self.client, self.leases).await;
    }
}

async fn end(client: &Client, leases: Vec<Lease>) {
    for lease in leases {
        // Not while it is being renewed: the revision must be the last.
        lease.renewing.abort();
        let _ = lease.renewing.await;
        let revision = locked(&lease.state).revision;
        if let Ok(request) = client.api().request(Method::DELETE, &lease.path) {
            let request = request.header(header::IF_MATCH, format!("\"{revision}\""));
            let _ = client.api().done(request).await;
        }
    }
}

async fn ask(client: &Client, path: &str, holder: &str, revision: Option<u64>) -> Result<u64> {
    let request = client.api().request(Method::PUT, path)?;
    let request = request.json(&json!({"holder": holder, "ttl_seconds": TTL_SECONDS}));
    let request = match revision {
        Some(revision) => request.header(header::IF_MATCH, format!("\"{revision}\"")),
        None => request,
    };
    client.api().json::<Told>(request).await.map(|told| told.revision)
}

async fn renew(client: Client, path: String, holder: String, state: Arc<Mutex<State>>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let known = locked(&state).revision;
        let asked = Instant::now();
        let answer = ask(&client, &path, &holder, Some(known)).await;
        let mut state = locked(&state);
        match answer {
            Ok(revision) => {
                state.revision = revision;
                state.renewed = asked;
            }
            Err(failure) if failure.code == Code::Unavailable => {}
            Err(failure) => {
                state.lost = Some(failure.message);
                return;
            }
        }
    }
}
