//! Health of a process: three questions with three answers.
//!
//! - *startup*: has every component started?
//! - *ready*: can it do its work now? Off while the broker is away, and while draining.
//! - *live*: is the oldest unprocessed work young? Off only when work is stuck although everything it needs is
//!   there, because a restart helps nothing when the broker is away.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, response::IntoResponse, routing::get};
use http::StatusCode;
use model::{Clock, Micros, SystemClock};
use serde::Serialize;

use crate::metrics::{self, Metric};

/// Age of unprocessed work from which a process counts as stuck.
pub const WORK_AGE_MAX_DEFAULT: Duration = Duration::from_secs(60);

/// The health of a process. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    work_age_max_us: Micros,
    clock: Box<dyn Clock>,
    draining: AtomicBool,
    components: Mutex<Vec<State>>,
}

#[derive(Debug, Clone)]
struct State {
    name: Cow<'static, str>,
    started: bool,
    /// Why it is not ready; `None` when it is.
    hindrance: Option<Cow<'static, str>>,
    /// Since when it is ready.
    ready_since: Micros,
    oldest_work: Option<Micros>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Health").field(&*self.components()).finish()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new(WORK_AGE_MAX_DEFAULT)
    }
}

impl Health {
    /// No components yet; work older than `work_age_max` counts as stuck.
    #[must_use]
    pub fn new(work_age_max: Duration) -> Self {
        Self::with_clock(work_age_max, SystemClock)
    }

    /// The same with a clock of the caller's.
    #[must_use]
    pub fn with_clock(work_age_max: Duration, clock: impl Clock + 'static) -> Self {
        Self(Arc::new(Inner {
            work_age_max_us: Micros::try_from(work_age_max.as_micros()).unwrap_or(Micros::MAX),
            clock: Box::new(clock),
            draining: AtomicBool::new(false),
            components: Mutex::default(),
        }))
    }

    /// Adds a component: not started, not ready, no work.
    #[must_use]
    pub fn component(&self, name: impl Into<Cow<'static, str>>) -> Component {
        let mut components = self.components();
        components.push(State {
            name: name.into(),
            started: false,
            hindrance: Some("starting".into()),
            ready_since: 0,
            oldest_work: None,
        });
        Component { health: self.clone(), index: components.len() - 1 }
    }

    /// Readiness goes off for good: the process is stopping.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether every component has started.
    #[must_use]
    pub fn startup(&self) -> Report {
        self.report(|c| c.started)
    }

    /// Whether work may be sent here.
    #[must_use]
    pub fn ready(&self) -> Report {
        let mut report = self.report(|c| c.started && c.hindrance.is_none());
        if self.0.draining.load(Ordering::Relaxed) {
            report.ok = false;
            report.status = "draining";
        }
        report
    }

    /// Whether no work is stuck.
    #[must_use]
    pub fn live(&self) -> Report {
        let now = self.0.clock.now();
        self.report(|c| c.stuck_for(now) <= self.0.work_age_max_us)
    }

    /// `/healthz/{startup,live,ready}`: 200 or 503, with the same JSON in both cases.
    pub fn router(&self) -> Router {
        let route = |ask: fn(&Self) -> Report| {
            let health = self.clone();
            get(move || async move { ask(&health).into_response() })
        };
        Router::new()
            .route("/healthz/startup", route(Self::startup))
            .route("/healthz/live", route(Self::live))
            .route("/healthz/ready", route(Self::ready))
    }

    /// Which components are ready, in the metrics.
    pub(crate) fn show(&self) {
        for component in self.ready().components {
            let ready = metrics::gauge(Metric::ProcessReadyComponents, &[&component.name]);
            ready.set(if component.ok { 1.0 } else { 0.0 });
        }
    }

    fn report(&self, ok: impl Fn(&State) -> bool) -> Report {
        let now = self.0.clock.now();
        let components: Vec<_> = self.components().iter().map(|c| c.report(ok(c), now)).collect();
        let all = components.iter().all(|c| c.ok);
        Report { ok: all, status: if all { "ok" } else { "failing" }, components }
    }

    fn components(&self) -> MutexGuard<'_, Vec<State>> {
        // Each change is a single assignment, so a panic elsewhere leaves nothing half done.
        self.0.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// For how long the oldest work could have been done: an outage of what it needs does not count.
    fn stuck_for(&self, now: Micros) -> Micros {
        match (self.oldest_work, &self.hindrance) {
            (Some(oldest), None) => now - oldest.max(self.ready_since),
            _ => 0,
        }
    }

    fn report(&self, ok: bool, now: Micros) -> ComponentReport {
        ComponentReport {
            name: self.name.to_string(),
            ok,
            started: self.started,
            ready: self.hindrance.is_none(),
            reason: self.hindrance.as_deref().map(str::to_owned),
            oldest_work_age_ms: self.oldest_work.map(|at| (now - at).max(0) / 1_000),
        }
    }
}

/// One part of a process that has health of its own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    index: usize,
}

impl Component {
    /// It has started, once and for all.
    pub fn started(&self) {
        self.change(|c, _| c.started = true);
    }

    /// Whether it can do its work now, and if not, why (for the operator; ignored when ready).
    pub fn ready(&self, ready: bool, reason: impl Into<Cow<'static, str>>) {
        let reason = reason.into();
        self.change(|c, now| {
            if ready && c.hindrance.is_some() {
                c.ready_since = now;
            }
            c.hindrance = (!ready).then_some(reason);
        });
    }

    /// When the oldest work that is not done yet arrived; `None`: there is no work.
    pub fn oldest_work(&self, at: Option<Micros>) {
        self.change(|c, _| c.oldest_work = at);
    }

    /// Work was done: the oldest is as of now. For loops that only know that they move on.
    pub fn progress(&self) {
        self.change(|c, now| c.oldest_work = Some(now));
    }

    fn change(&self, change: impl FnOnce(&mut State, Micros)) {
        let now = self.health.0.clock.now();
        if let Some(state) = self.health.components().get_mut(self.index) {
            change(state, now);
        }
    }
}

/// The answer to one of the three questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Yes or no.
    #[serde(skip)]
    pub ok: bool,
    /// `ok`, `failing` or `draining`.
    pub status: &'static str,
    /// Each component's part in it.
    pub components: Vec<ComponentReport>,
}

/// One component's part in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentReport {
    /// Which one.
    pub name: String,
    /// Whether it answers the question with yes.
    pub ok: bool,
    /// Whether it has started.
    pub started: bool,
    /// Whether it can work now.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Age of its oldest unprocessed work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_work_age_ms: Option<i64>,
}

impl IntoResponse for Report {
    fn into_response(self) -> axum::response::Response {
        let status = if self.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}
