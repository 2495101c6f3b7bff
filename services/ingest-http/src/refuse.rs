//! What each fault is answered with.

use auth::{AuthError, NoSystem, SYSTEM_HEADER, quota::Exceeded};
use bus::AcceptError;
use http::{
    HeaderValue,
    header::{AUTHORIZATION, HeaderName},
};
use model::{BatchError, DecodeError, ErrorCode, InvalidEvent, OverLimit, http::Mode};
use runtime::problem::Problem;

/// Characters of an attribute's name that are shown: a name may be anything, of any length.
const NAME_CHARS_MAX: usize = 64;

/// What every refusal of several events says.
pub(crate) const NOTHING_ACCEPTED: &str =
    "a request is accepted whole or not at all; none of its events was accepted";

/// The pointer to an attribute: into the body, or to a header in binary mode.
pub(crate) fn pointer(mode: Mode, prefix: &str, attribute: &str) -> String {
    let name: String = attribute.chars().take(NAME_CHARS_MAX).collect();
    if mode == Mode::Binary {
        return match &*name {
            "" => "headers".to_owned(),
            "datacontenttype" => "header:content-type".to_owned(),
            name => format!("header:ce-{name}"),
        };
    }
    // RFC 6901, section 3.
    let name = name.replace('~', "~0").replace('/', "~1");
    if name.is_empty() { prefix.to_owned() } else { format!("{prefix}/{name}") }
}

/// One event that breaks a rule.
pub(crate) fn invalid(mode: Mode, error: &InvalidEvent) -> Problem {
    Problem::new(ErrorCode::InvalidEvent, "the event is not a valid CloudEvent")
        .field(pointer(mode, "", &error.attribute), error.problem.clone())
}

pub(crate) fn undecodable(mode: Mode, error: DecodeError) -> Problem {
    match error {
        DecodeError::Malformed(detail) => Problem::new(ErrorCode::Malformed, detail),
        DecodeError::Invalid(error) => invalid(mode, &error),
    }
}

pub(crate) fn batch(mode: Mode, error: BatchError) -> Problem {
    match error {
        BatchError::Malformed(detail) => Problem::new(ErrorCode::Malformed, detail),
        BatchError::TooMany { items_max } => too_many(items_max),
        BatchError::Items(items) => {
            let detail = format!("{} events are not valid CloudEvents; {NOTHING_ACCEPTED}", items.len());
            items.into_iter().fold(Problem::new(ErrorCode::InvalidEvent, detail), |problem, item| {
                let prefix = format!("/{}", item.index);
                problem.field(pointer(mode, &prefix, &item.error.attribute), item.error.problem)
            })
        }
    }
}

pub(crate) fn too_many(items_max: usize) -> Problem {
    Problem::new(
        ErrorCode::TooLarge,
        format!("the request holds more than {items_max} events; {NOTHING_ACCEPTED}"),
    )
}

pub(crate) fn over_limit(mode: Mode, prefix: &str, error: &OverLimit) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("an event is too large; {NOTHING_ACCEPTED}"))
        .field(pointer(mode, prefix, &error.attribute), error.to_string())
}

pub(crate) fn unauthorized(error: &AuthError) -> Problem {
    match error {
        AuthError::Undecided(cause) => Problem::unavailable(error.to_string(), cause),
        AuthError::Missing => Problem::new(error.code(), error.to_string())
            .field(format!("header:{AUTHORIZATION}"), "is missing"),
        error => Problem::new(error.code(), error.to_string()),
    }
}

pub(crate) fn no_system(error: &NoSystem) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "it is not said which system sends")
        .field(format!("header:{SYSTEM_HEADER}"), error.to_string())
}

/// Waiting does not help a batch over the burst: that is a size.
pub(crate) fn exceeded(error: &Exceeded) -> Problem {
    match error {
        Exceeded::Later { .. } => {
            Problem::new(ErrorCode::RateLimited, error.to_string()).retry_after(error.retry_after_s())
        }
        Exceeded::Never { .. } => Problem::new(ErrorCode::TooLarge, error.to_string()),
    }
}

/// The broker's refusal. What it said is for the operator.
pub(crate) fn not_accepted(error: &AcceptError) -> Problem {
    match error {
        AcceptError::TooLarge { .. } => Problem::new(error.code(), error.to_string()),
        AcceptError::Full(_) => {
            Problem::unavailable("the fleet is behind; try again with the same event ids", error)
                .retry_after(2)
        }
        AcceptError::Unavailable(_) => Problem::unavailable(
            "the events are not known to be kept; try again with the same event ids",
            error,
        ),
    }
}

/// 415, with what would have been read.
pub(crate) fn unknown_format() -> Problem {
    Problem::new(
        ErrorCode::UnsupportedMediaType,
        "this CloudEvents format is not read here; send JSON (UTF-8) or protobuf",
    )
    .field("header:content-type", "is not supported")
    .header(
        HeaderName::from_static("accept-post"),
        HeaderValue::from_static(
            "application/cloudevents+json, application/cloudevents-batch+json, \
             application/cloudevents+protobuf, application/cloudevents-batch+protobuf, \
             application/x-ndjson, */*",
        ),
    )
}
