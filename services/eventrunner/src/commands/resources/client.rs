//! Resources over the API.

use reqwest::{Method, RequestBuilder, header};
use serde_json::{Map, Value, value::RawValue};

use super::Kind;
use crate::{
    client::{Api, PAGE_ITEMS_MAX},
    context::{ConnectArgs, Context},
    exit::{Failure, Result},
    output::Item,
};

/// Media type of changes (RFC 7396).
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The API, as who manages resources sees it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    api: Api,
}

impl Client {
    pub(crate) fn open(connect: &ConnectArgs) -> Result<Self> {
        Ok(Self { api: Api::managing(Context::load(connect)?)? })
    }

    pub(crate) fn context(&self) -> &Context {
        self.api.context()
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Whose a resource of that kind and id is: none, the fleet's.
    pub(crate) fn owner(&self, kind: &Kind, id: &str) -> Result<Option<String>> {
        if kind.is_fleets(id) { Ok(None) } else { self.context().tenant().map(Some) }
    }

    pub(crate) async fn get(&self, kind: &Kind, tenant: Option<&str>, id: &str) -> Result<Item> {
        self.api.get(&kind.path(tenant, id), &[]).await
    }

    pub(crate) async fn create(
        &self,
        kind: &Kind,
        tenant: Option<&str>,
        body: &Map<String, Value>,
        query: &[(&str, &str)],
    ) -> Result<Item> {
        let request = self.request(Method::POST, &kind.list_path(tenant), query)?;
        self.api.json(request.json(body)).await
    }

    /// Makes it what the body says, as a whole. `must_be`: it must be there.
    pub(crate) async fn replace(
        &self,
        kind: &Kind,
        at: (Option<&str>, &str),
        body: &Map<String, Value>,
        precondition: Precondition,
        query: &[(&str, &str)],
    ) -> Result<Item> {
        let request = self.request(Method::PUT, &kind.path(at.0, at.1), query)?;
        self.api.json(precondition.on(request).json(body)).await
    }

    pub(crate) async fn patch(
        &self,
        kind: &Kind,
        at: (Option<&str>, &str),
        patch: &Map<String, Value>,
        precondition: Precondition,
        query: &[(&str, &str)],
    ) -> Result<Item> {
        let request = self.request(Method::PATCH, &kind.path(at.0, at.1), query)?;
        let text = serde_json::to_vec(patch)
            .map_err(|e| Failure::failed(format!("cannot be shown as JSON: {e}")))?;
        let request = precondition.on(request).header(header::CONTENT_TYPE, MERGE_PATCH).body(text);
        self.api.json(request).await
    }

    pub(crate) async fn delete(
        &self,
        kind: &Kind,
        at: (Option<&str>, &str),
        precondition: Precondition,
        query: &[(&str, &str)],
    ) -> Result<()> {
        let request = self.request(Method::DELETE, &kind.path(at.0, at.1), query)?;
        self.api.done(precondition.on(request)).await
    }

    pub(crate) async fn undelete(
        &self,
        kind: &Kind,
        at: (Option<&str>, &str),
        precondition: Precondition,
        query: &[(&str, &str)],
    ) -> Result<Item> {
        let path = format!("{}/undelete", kind.path(at.0, at.1));
        self.api.json(precondition.on(self.request(Method::POST, &path, query)?)).await
    }

    /// Every one of a list, page by page, or so many.
    pub(crate) async fn list(
        &self,
        kind: &Kind,
        tenant: Option<&str>,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<Item>> {
        let (path, member) = (kind.list_path(tenant), kind.list_member());
        let mut items: Vec<Item> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let wanted = limit.saturating_sub(items.len()).min(PAGE_ITEMS_MAX);
            let mut request = self.api.request(Method::GET, &path)?.query(query).query(&[("limit", wanted)]);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let mut page: std::collections::BTreeMap<String, Box<RawValue>> = self.api.json(request).await?;
            let not_ours = || Failure::failed(format!("{path} answered something that is no list"));
            let list = page.remove(&member).ok_or_else(not_ours)?;
            items.extend(serde_json::from_str::<Vec<Item>>(list.get()).map_err(|_| not_ours())?);
            cursor = page.get("next_cursor").and_then(|c| serde_json::from_str(c.get()).ok());
            if items.len() >= limit || cursor.is_none() {
                items.truncate(limit);
                return Ok(items);
            }
        }
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Result<RequestBuilder> {
        let request = self.api.request(method, path)?;
        Ok(if query.is_empty() { request } else { request.query(query) })
    }
}

/// What must hold of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    Nothing,
    /// It is there.
    Exists,
    /// It is not there.
    Absent,
    /// It is at that revision.
    Revision(u64),
}

impl Precondition {
    fn on(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nothing => request,
            Self::Exists => request.header(header::IF_MATCH, "*"),
            Self::Absent => request.header(header::IF_NONE_MATCH, "*"),
            Self::Revision(revision) => request.header(header::IF_MATCH, format!("\"{revision}\"")),
        }
    }
}
