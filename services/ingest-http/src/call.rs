//! What the endpoints share: who calls, how much they may send, and the answer.

use std::{sync::Arc, time::Instant};

use auth::{AuthError, Publisher, Publishers, quota::Quotas};
use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bus::Accept;
use bytes::Bytes;
use catalog::{Sealer, Snapshot};
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};
use model::{
    Clock, CustomerId, ErrorCode, SourceId, SystemId, Text,
    resource::{self, Tenant},
};
use proto::hops;
use runtime::{
    metrics::{InFlight, Metric},
    otlp::{self, RequestSpan},
    problem::Problem,
    trace::TraceContext,
};

use crate::{
    Options, body,
    decode::{self, Context, Form, Limits},
    metrics::Metrics,
    quota::Told,
    refuse,
    service::Snapshots,
    source_cache::SourceCache,
};

/// What every request is served with.
pub(crate) struct Door {
    pub(crate) options: Options,
    pub(crate) accept: Arc<dyn Accept>,
    pub(crate) snapshots: Snapshots,
    pub(crate) publishers: Publishers,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) new_id: fn() -> Text,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) sources: SourceCache,
    pub(crate) metrics: Metrics,
}

/// One request on its way through the door.
pub(crate) struct Call<'a> {
    pub(crate) door: &'a Door,
    pub(crate) snapshot: Arc<Snapshot>,
    trace: TraceContext,
    /// Of the few that are sampled.
    span: Option<RequestSpan>,
    started: Instant,
    _in_flight: InFlight,
    tenant: Option<(Arc<Tenant>, resource::Limits)>,
    told: Option<Told>,
    form: Form,
    webhook: bool,
    events: usize,
}

impl<'a> Call<'a> {
    pub(crate) fn begin(door: &'a Door, trace: TraceContext) -> Self {
        Self {
            door,
            snapshot: (door.snapshots)(),
            trace,
            span: None,
            started: Instant::now(),
            _in_flight: door.metrics.begin(),
            tenant: None,
            told: None,
            form: Form::Raw,
            webhook: false,
            events: 0,
        }
    }

    /// By which route it came.
    pub(crate) fn routed(&mut self, parts: &Parts, route: &str) {
        self.span = RequestSpan::of(&parts.extensions).cloned();
        if let Some(span) = &self.span {
            span.routed("ingest-http", &parts.method, Some(route));
        }
    }

    pub(crate) fn webhook(mut self) -> Self {
        self.webhook = true;
        self
    }

    /// The caller, by API key or token.
    ///
    /// # Errors
    /// 401 without a good one, 403 if it may not publish or its tenant is disabled.
    pub(crate) async fn caller(&mut self, headers: &HeaderMap) -> Result<Publisher, Problem> {
        self.identified(headers).await.map_err(|error| refuse::unauthorized(&error))
    }

    /// The same, with the reason of a refusal.
    ///
    /// # Errors
    /// What is wrong with the credentials, or what the caller lacks.
    pub(crate) async fn identified(&mut self, headers: &HeaderMap) -> Result<Publisher, AuthError> {
        let presented = auth::credentials(headers)?.ok_or(AuthError::Missing)?;
        let door = self.door;
        let mut publisher = door.publishers.identify(&self.snapshot, presented).await?;
        self.admit(&publisher.tenant)?;
        door.publishers.admit(&mut publisher, &*door.clock).await?;
        Ok(publisher)
    }

    /// The system that sends.
    ///
    /// # Errors
    /// 400 if a token comes without one, or with one that is none.
    pub(crate) fn system(&self, caller: &Publisher, headers: &HeaderMap) -> Result<SystemId, Problem> {
        caller.system(&self.snapshot, headers).map_err(|e| refuse::no_system(&e))
    }

    /// From here on the request is this tenant's.
    ///
    /// # Errors
    /// If the tenant is disabled.
    pub(crate) fn admit(&mut self, tenant: &Arc<Tenant>) -> Result<(), AuthError> {
        self.tenant = Some((Arc::clone(tenant), self.snapshot.limits(tenant)));
        if let Some(span) = &self.span {
            span.set("eventrunner.tenant", &**tenant.id.as_text());
        }
        if tenant.disabled {
            return Err(AuthError::TenantDisabled(tenant.id.clone()));
        }
        Ok(())
    }

    /// The body as it arrived.
    ///
    /// # Errors
    /// 413, 408, or 400 if it breaks off.
    pub(crate) async fn body(&self, body: Body) -> Result<Bytes, Problem> {
        let options = &self.door.options;
        let body = runtime::http::read_body(body, options.body_bytes_max, options.server.body_read_timeout())
            .await?;
        self.door.metrics.received(body.len());
        Ok(body)
    }

    /// Undoes the content encoding, reads the events, takes them from the quota, appends them, answers.
    ///
    /// # Errors
    /// The first that applies of all the door's refusals.
    pub(crate) async fn publish(&mut self, request: Arrived<'_>) -> Result<Response, Problem> {
        let door = self.door;
        let received_at_us = door.clock.now();
        let body = self.decoded(request.headers, request.body).await?;
        self.form = request.form.map_or_else(|| decode::form(request.headers), Ok)?;
        let (tenant, held) =
            self.tenant.clone().ok_or_else(|| Problem::internal("a call without a tenant"))?;
        let limits = Limits {
            event: door.options.event_limits(held.event_bytes_max),
            batch_events_max: usize::try_from(held.batch_events_max).unwrap_or(usize::MAX),
        };
        let snapshot = Arc::clone(&self.snapshot);
        let context = Context {
            shortcut: snapshot.shortcut(&tenant.id),
            mapping: request.mapping,
            new_id: door.new_id,
            query: request.query,
            received_at_us,
        };
        let items = decode::items(self.form, request.headers, body, limits, &context)?;
        self.events = items.len();
        if let Err(problem) = self.charge(&tenant, &held, items.len(), items.bytes()) {
            // Nothing that it brought waits with it.
            drop(items);
            if problem.code == ErrorCode::RateLimited {
                door.quotas.hold_back().await;
            }
            return Err(problem);
        }
        let (placed, answer) = items.finish(&self.trace.trace_id());
        // An empty batch is a batch (HTTP binding, section 3.3): there is nothing to append.
        if !placed.is_empty() {
            let stamp = hops::Stamp {
                tenant: tenant.id.as_text().as_bytes().clone(),
                system: request.system.as_text().as_bytes().clone(),
                source: request.source.map(|s| s.as_text().as_bytes().clone()).unwrap_or_default(),
                received_at_us,
                traceparent: self.trace.to_traceparent().into_bytes(),
                protocol: Bytes::from_static(b"http"),
                customer: request.customer.map(|c| c.as_text().as_bytes().clone()).unwrap_or_default(),
            };
            door.accept.accept(stamp, placed).await.map_err(|e| refuse::not_accepted(&e))?;
        }
        let mut response = Response::new(Body::from(answer));
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn decoded(&self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Problem> {
        let options = &self.door.options;
        let (encoding, limit) = (body::encoding(headers)?, options.decoded_bytes_max);
        if encoding == body::Encoding::Identity || body.len() <= options.decode_inline_bytes_max {
            return body::decode(body, encoding, limit);
        }
        let decode = move || body::decode(body, encoding, limit);
        tokio::task::spawn_blocking(decode).await.map_err(Problem::internal)?
    }

    fn charge(
        &mut self,
        tenant: &Tenant,
        limits: &resource::Limits,
        events: usize,
        bytes: usize,
    ) -> Result<(), Problem> {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        match self.door.quotas.check(&tenant.id, limits, events, bytes) {
            Ok(left) => {
                self.told = Told::left(left).or(self.told);
                Ok(())
            }
            Err(error) => {
                self.told = Some(Told::exceeded(&error));
                Err(refuse::exceeded(&error))
            }
        }
    }

    /// The answer, with what a limited tenant is told.
    pub(crate) fn end(mut self, result: Result<Response, Problem>) -> Response {
        let mode = self.form.label(self.webhook);
        let metrics = &self.door.metrics;
        let mut response = match result {
            Ok(response) => {
                metrics.accepted(mode, self.events);
                response
            }
            Err(problem) => {
                metrics.rejected(mode, self.events, problem.code);
                // A request that was refused before its events were counted costs one event, so that noise
                // is bounded as well. It may be over the quota without being answered 429.
                if let (None, Some((tenant, limits))) = (self.told, self.tenant.clone()) {
                    let _ = self.charge(&tenant, &limits, 1, 0);
                }
                problem.into_response()
            }
        };
        if let Some(told) = self.told {
            told.put(response.headers_mut());
        }
        let took = self.started.elapsed().as_secs_f64();
        metrics.took(took);
        if self.span.is_some() {
            otlp::exemplar(Metric::IngestRequestDuration, &["http"], took, &self.trace);
        }
        response
    }
}

/// A request whose caller is known.
pub(crate) struct Arrived<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a str,
    /// The form of its events, where the path says it and the headers do not.
    pub(crate) form: Option<Form>,
    /// As it arrived.
    pub(crate) body: Bytes,
    pub(crate) system: &'a SystemId,
    pub(crate) source: Option<&'a SourceId>,
    /// On whose behalf the key is used.
    pub(crate) customer: Option<&'a CustomerId>,
    pub(crate) mapping: &'a mapping::Mapping,
}
