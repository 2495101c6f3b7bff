//! What the methods share: who calls, how much they may send, and the way to the broker.

use std::{fmt, sync::Arc};

use auth::{AuthError, Publishers, quota::Quotas};
use bus::{Accept, Placed};
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use model::{
    Clock, CustomerId, Micros, SystemId,
    resource::{Limits, Tenant},
};
use proto::{cloudevents as ce, hops, v1};
use runtime::{problem::Problem, trace::TraceContext};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Options, Snapshots,
    decode::{self, Outcome, Sorted},
    metrics::Metrics,
    refuse,
};

/// What every call is served with.
pub(crate) struct Door {
    pub(crate) options: Options,
    pub(crate) accept: Arc<dyn Accept>,
    pub(crate) snapshots: Snapshots,
    pub(crate) publishers: Publishers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) metrics: Metrics,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("accept", &self.accept).finish_non_exhaustive()
    }
}

/// Who calls, as of a revision of the catalog.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: Arc<Tenant>,
    /// What it may use.
    pub(crate) limits: Limits,
    system: SystemId,
    customer: Option<CustomerId>,
    credentials: Arc<Credentials>,
    revision: u64,
    /// When it must be asked for again who it is.
    until: Option<Micros>,
}

/// What a call presents, for as long as it lasts.
#[derive(Debug)]
struct Credentials {
    presented: SecretString,
    /// Only what names a system.
    headers: HeaderMap,
}

impl Door {
    /// The caller, by API key or token.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a good one, `PERMISSION_DENIED` if it may not publish or its tenant is disabled.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let presented = auth::credentials(headers).and_then(|key| key.ok_or(AuthError::Missing));
        let presented = SecretString::from(presented.map_err(|e| refuse::unauthorized(&e))?);
        let system = headers.get(auth::SYSTEM_HEADER).cloned();
        let system = system.map(|system| (HeaderName::from_static(auth::SYSTEM_HEADER), system));
        self.authenticate(Arc::new(Credentials { presented, headers: system.into_iter().collect() })).await
    }

    /// The same caller as of now: a stream may last longer than its key or token.
    ///
    /// # Errors
    /// As [`Door::caller`].
    pub(crate) async fn renew(&self, caller: &mut Caller) -> Result<(), Problem> {
        let is_over = caller.until.is_some_and(|until| self.clock.now() >= until);
        if is_over || (self.snapshots)().revision() != caller.revision {
            *caller = self.authenticate(Arc::clone(&caller.credentials)).await?;
        }
        Ok(())
    }

    async fn authenticate(&self, credentials: Arc<Credentials>) -> Result<Caller, Problem> {
        let refused = |e| refuse::unauthorized(&e);
        let snapshot = (self.snapshots)();
        let presented = credentials.presented.expose_secret();
        let mut publisher = self.publishers.identify(&snapshot, presented).await.map_err(refused)?;
        self.publishers.admit(&mut publisher, &*self.clock).await.map_err(refused)?;
        let system = publisher.system(&snapshot, &credentials.headers).map_err(|e| refuse::no_system(&e))?;
        let (tenant, customer, until) = (publisher.tenant, publisher.customer, publisher.until);
        let limits = snapshot.limits(&tenant);
        Ok(Caller { tenant, limits, system, customer, credentials, revision: snapshot.revision(), until })
    }

    /// Checks several events and takes the good ones from the quota.
    ///
    /// # Errors
    /// If there are too many, or the quota is used up: nothing of the message is accepted then.
    pub(crate) fn sort(&self, caller: &Caller, wire: Vec<ce::CloudEvent>) -> Result<Sorted, Problem> {
        let tenant = &caller.tenant;
        let held = &caller.limits;
        let batch_max = held.batch_events_max;
        if wire.len() > usize::try_from(batch_max).unwrap_or(usize::MAX) {
            return Err(refuse::too_many(wire.len(), batch_max));
        }
        let limits = self.options.event_limits(held.event_bytes_max);
        let snapshot = (self.snapshots)();
        let sorted = decode::events(wire, &limits, snapshot.shortcut(&tenant.id));
        self.charge(caller, sorted.placed.len(), sorted.bytes)?;
        Ok(sorted)
    }

    /// Takes events from the tenant's quota.
    ///
    /// # Errors
    /// If it is used up.
    pub(crate) fn charge(&self, caller: &Caller, events: usize, bytes: usize) -> Result<(), Problem> {
        let Caller { tenant, limits, .. } = caller;
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        if events == 0 {
            // Refused events cost one together, so that noise is bounded as well; they are not refused for it.
            let _ = self.quotas.check(&tenant.id, limits, 1, 0);
            return Ok(());
        }
        let charged = self.quotas.check(&tenant.id, limits, events, bytes);
        charged.map(drop).map_err(|e| refuse::exceeded(&e))
    }

    /// What the door knows of the events of one message.
    pub(crate) fn stamp(&self, caller: &Caller, trace: &TraceContext) -> hops::Stamp {
        hops::Stamp {
            tenant: caller.tenant.id.as_text().as_bytes().clone(),
            system: caller.system.as_text().as_bytes().clone(),
            source: Bytes::new(),
            received_at_us: self.clock.now(),
            traceparent: trace.to_traceparent().into_bytes(),
            protocol: Bytes::from_static(b"grpc"),
            customer: caller.customer.as_ref().map(|c| c.as_text().as_bytes().clone()).unwrap_or_default(),
        }
    }

    /// Appends events; returns when the broker has acknowledged all of them.
    ///
    /// # Errors
    /// If any of them is not known to be kept.
    pub(crate) async fn append(&self, stamp: hops::Stamp, placed: Vec<Placed>) -> Result<(), Problem> {
        if placed.is_empty() {
            return Ok(());
        }
        self.accept.accept(stamp, placed).await.map_err(|e| refuse::not_accepted(&e))
    }

    /// The results of a message whose good events are kept.
    pub(crate) fn kept(&self, outcomes: Vec<Outcome>) -> Vec<v1::PublishResult> {
        let mut accepted = 0;
        let results: Vec<_> = (0..)
            .zip(outcomes)
            .map(|(index, outcome): (usize, _)| match outcome {
                Outcome::Good(named) => {
                    accepted += 1;
                    result(v1::publish_result::Outcome::Accepted(named))
                }
                Outcome::Bad(bad) => error(&refuse::event(&format!("events[{index}]"), &bad)),
            })
            .collect();
        self.metrics.events(accepted, results.len() - accepted);
        results
    }

    /// The results of a message whose good events are not known to be kept.
    pub(crate) fn not_kept(&self, outcomes: Vec<Outcome>, problem: &Problem) -> Vec<v1::PublishResult> {
        self.metrics.events(0, outcomes.len());
        (0..)
            .zip(outcomes)
            .map(|(index, outcome): (usize, _)| match outcome {
                Outcome::Good(_) => error(problem),
                Outcome::Bad(bad) => error(&refuse::event(&format!("events[{index}]"), &bad)),
            })
            .collect()
    }
}

fn result(outcome: v1::publish_result::Outcome) -> v1::PublishResult {
    v1::PublishResult { outcome: Some(outcome) }
}

/// An event's result that is an error.
pub(crate) fn error(problem: &Problem) -> v1::PublishResult {
    result(v1::publish_result::Outcome::Error(refuse::publish_error(problem)))
}
