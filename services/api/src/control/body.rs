//! The JSON of a request: read with its limits, and every wrong member named by its place.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use model::ErrorCode;
use runtime::problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::{Call, Managed, managed};

/// Media type of whole resources.
pub(crate) const JSON: &str = "application/json";
/// Media type of changes (RFC 7396).
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

impl Call {
    /// The body, which must be of that media type.
    ///
    /// # Errors
    /// 415 for another one, 413, 408 or 400 if it does not come as it should.
    pub(crate) async fn body(&self, media_type: &'static str) -> Result<Bytes, Problem> {
        check_media_type(&self.headers, media_type)?;
        self.any_body().await
    }

    /// The body, whatever it is.
    ///
    /// # Errors
    /// 413, 408 or 400 if it does not come as it should.
    pub(crate) async fn any_body(&self) -> Result<Bytes, Problem> {
        let options = &self.app.options;
        let timeout = options.http.body_read_timeout();
        runtime::http::read_body(self.take_body(), options.resource_bytes_max, timeout).await
    }
}

/// Insists that the body of a request is of that media type.
///
/// # Errors
/// 415 for another one.
pub(crate) fn check_media_type(headers: &HeaderMap, media_type: &'static str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(media_type) {
        return Ok(());
    }
    let problem = Problem::new(ErrorCode::UnsupportedMediaType, format!("send it as {media_type}"))
        .field("header:content-type", format!("must be {media_type}"));
    let accept = if media_type == MERGE_PATCH { "accept-patch" } else { "accept" };
    let (name, value) = (http::HeaderName::from_static(accept), HeaderValue::from_static(media_type));
    Err(problem.header(name, value))
}

/// A JSON object.
///
/// # Errors
/// If it is none.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::new(ErrorCode::InvalidArgument, "the body is no JSON object")
            .field("", "must be an object")),
        Err(error) => Err(Problem::new(ErrorCode::Malformed, format!("the body is not JSON: {error}"))),
    }
}

/// Takes out of what a caller sent what only the fleet sets. It must be what the caller was told, or nothing.
///
/// # Errors
/// If it is anything else.
pub(crate) fn take_read_only<R: Managed>(
    given: &mut Value,
    known: &Value,
    id_too: bool,
) -> Result<(), Problem> {
    let id = format!("/{}", R::ID);
    let id = id_too.then_some(&*id);
    let mut faults = Vec::new();
    for pointer in managed::READ_ONLY.iter().chain(R::READ_ONLY).copied().chain(id) {
        let Some(value) = take(given, pointer) else { continue };
        if known.pointer(pointer) != Some(&value) {
            faults.push(pointer.to_owned());
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let problem = Problem::new(ErrorCode::InvalidArgument, "what only the fleet sets cannot be changed");
    Err(faults.into_iter().fold(problem, |p, pointer| p.field(pointer, "cannot be set; leave it out")))
}

fn take(value: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, member) = pointer.rsplit_once('/')?;
    value.pointer_mut(parent)?.as_object_mut()?.remove(member)
}

/// The value as what it must be.
///
/// # Errors
/// The first place where it is something else.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer: String = error.path().iter().map(segment).collect();
        Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
            .field(pointer, error.into_inner().to_string())
    })
}

fn segment(segment: &Segment) -> String {
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    }
}
