//! A request of somebody who needs no permission: a stranger who logs in, or a person who sees to what is their own.

use std::sync::{Arc, Mutex, PoisonError};

use auth::AuthError;
use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::{HeaderMap, request::Parts};
use identity::{Access, Holder, Purpose};
use model::{ErrorCode, FLEET, resource::User};
use runtime::{http::Peer, problem::Problem, trace::TraceContext};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Thing, Verb,
    audit::{Actor, Asked},
    body,
    call::refuse,
};
use crate::{app::App, params::Params, people::browser::ByCookie};

/// Bytes of a body: names, passwords, tokens.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The request, and who asks, as far as anybody knows.
pub(crate) struct Visit {
    pub(crate) app: App,
    pub(crate) asked: Asked,
    pub(crate) headers: HeaderMap,
    /// Whether its credentials came in a cookie.
    pub(crate) by_cookie: bool,
    query: String,
    // Behind a lock because a body cannot be shared.
    body: Mutex<Option<Body>>,
}

/// A person in a session.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) user: Arc<User>,
    pub(crate) access: Access,
}

impl Person {
    /// The session that the request is of.
    pub(crate) fn session(&self) -> &str {
        match &self.access.grant.holder {
            Holder::User { session } => session,
            Holder::Client => "",
        }
    }

    /// Insists that they need not set another password first.
    ///
    /// # Errors
    /// 403 if they must.
    pub(crate) fn may_act(&self) -> Result<(), Problem> {
        if self.user.must_change_password || self.access.grant.purpose == Purpose::SetPassword {
            let needed = AuthError::PasswordNeeded;
            return Err(Problem::new(needed.code(), needed.to_string()));
        }
        Ok(())
    }
}

impl Visit {
    /// Of a stranger.
    pub(crate) fn of_stranger(app: App, verb: Verb, thing: Thing, request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let asked = Asked::of(&app, verb, thing, &parts);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let by_cookie = parts.extensions.get::<ByCookie>().is_some();
        Self { app, asked, headers: parts.headers, by_cookie, query, body: Mutex::new(Some(body)) }
    }

    /// Of a person, or the record of why not.
    ///
    /// # Errors
    /// 401 for who is nobody, 403 for who is no person with a session here.
    pub(crate) async fn of_person(
        app: App,
        verb: Verb,
        thing: Thing,
        request: Request,
    ) -> Result<(Self, Person), Problem> {
        let mut visit = Self::of_stranger(app, verb, thing, request);
        let found = visit.app.person(&visit.headers).await;
        match found {
            Ok(person) => {
                visit.know(&person.user);
                Ok((visit, person))
            }
            Err(error) => {
                // A key's holder, say, is somebody all the same.
                if let Ok(caller) = visit.app.authenticate(&visit.headers).await {
                    visit.asked.actor = Some((&caller).into());
                }
                let problem = Problem::new(error.code(), error.to_string());
                let unjudged = problem.code == ErrorCode::Unavailable;
                Err(if unjudged { problem } else { refuse(&visit.app, &visit.asked, problem).await })
            }
        }
    }

    /// Who it is: what they do with what is their own is the fleet's to know.
    pub(crate) fn know(&mut self, user: &User) {
        self.asked.actor = Some(Actor::of_user(user, self.app.tokens.issuer()));
        self.asked.tenant = Some(FLEET.clone());
    }

    /// The query.
    pub(crate) fn params(&self) -> Params {
        Params::parse(&self.query)
    }

    /// The body, as what it must be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) async fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        body::check_media_type(&self.headers, body::JSON)?;
        body::read(Value::Object(body::object(&self.bytes().await?)?))
    }

    /// The body, as it is.
    ///
    /// # Errors
    /// If it is too large or does not come.
    pub(crate) async fn bytes(&self) -> Result<Bytes, Problem> {
        let timeout = self.app.options.http.body_read_timeout();
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        runtime::http::read_body(body, BODY_BYTES_MAX, timeout).await
    }

    /// The end of it: a refusal is recorded before it is answered.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn finish(&self, outcome: Result<Response, Problem>) -> Result<Response, Problem> {
        match outcome {
            Err(problem) if !matches!(problem.code, ErrorCode::Internal | ErrorCode::Unavailable) => {
                Err(refuse(&self.app, &self.asked, problem).await)
            }
            other => other,
        }
    }
}

impl Asked {
    /// What a request asks; of whose thing, and of which, is not known yet.
    pub(crate) fn of(app: &App, verb: Verb, thing: Thing, parts: &Parts) -> Self {
        Self {
            verb,
            thing,
            tenant: None,
            id: None,
            actor: None,
            at_us: app.clock.now(),
            address: parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string()),
            trace_id: parts.extensions.get::<TraceContext>().map(TraceContext::trace_id),
        }
    }
}

impl App {
    /// The person of a request, if it is one of a session here; also one who must set another password first.
    pub(crate) async fn person(&self, headers: &HeaderMap) -> Result<Person, AuthError> {
        let presented = auth::credentials(headers)?.ok_or(AuthError::Missing)?;
        let snapshot = self.catalog.snapshot();
        match self.tokens.own(presented, self.clock.now()) {
            Some(access) => {
                let access = access?;
                if access.grant.holder == Holder::Client {
                    return auth::client(&snapshot, &access).and(Err(AuthError::NoPerson));
                }
                let user = auth::people::person(&snapshot, &access)?;
                Ok(Person { user, access })
            }
            None => self.authenticate(headers).await.and(Err(AuthError::NoPerson)),
        }
    }
}
