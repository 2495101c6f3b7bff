//! What each fault is answered with.

use auth::{AuthError, NoSystem, SYSTEM_HEADER, quota::Exceeded};
use bus::AcceptError;
use model::ErrorCode;
use proto::v1;
use runtime::{grpc, problem::Problem, trace::TraceContext};
use tonic::{Code, Status};

use crate::decode::Bad;

/// Characters of an attribute's name that are shown: a name may be anything, of any length.
const NAME_CHARS_MAX: usize = 64;
/// Characters of what is wrong with a field: it may quote what came.
const DETAIL_CHARS_MAX: usize = 200;

/// The path of an attribute below `prefix`, as the message's fields are called.
fn field(prefix: &str, attribute: &str) -> String {
    match attribute {
        "" => prefix.to_owned(),
        "specversion" => format!("{prefix}.spec_version"),
        name => format!("{prefix}.{}", name.chars().take(NAME_CHARS_MAX).collect::<String>()),
    }
}

/// One event that is refused; `prefix` is where it stands, such as `events[3]`.
pub(crate) fn event(prefix: &str, bad: &Bad) -> Problem {
    let shown = |text: String| text.chars().take(DETAIL_CHARS_MAX).collect::<String>();
    match bad {
        Bad::Invalid(error) => Problem::new(ErrorCode::InvalidEvent, "the event is not a valid CloudEvent")
            .field(field(prefix, &error.attribute), shown(error.problem.clone())),
        Bad::Large(error) => Problem::new(ErrorCode::TooLarge, "the event is too large")
            .field(field(prefix, &error.attribute), shown(error.to_string())),
    }
}

pub(crate) fn event_missing() -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "there is no event").field("event", "is required")
}

pub(crate) fn too_many(events: usize, events_max: u32) -> Problem {
    let detail =
        format!("{events} events are more than the {events_max} one message may hold; none was accepted");
    Problem::new(ErrorCode::TooLarge, detail).field("events", "are too many")
}

pub(crate) fn unauthorized(error: &AuthError) -> Problem {
    match error {
        AuthError::Undecided(cause) => Problem::unavailable(error.to_string(), cause),
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

pub(crate) fn too_late() -> Problem {
    Problem::new(
        ErrorCode::RequestTimeout,
        "the deadline passed; events of this call may have been kept: try again with the same event ids",
    )
}

pub(crate) fn stopping() -> Problem {
    Problem::new(
        ErrorCode::Unavailable,
        "this server is stopping; what it accepted has been answered: connect again",
    )
}

pub(crate) fn idle() -> Problem {
    Problem::new(
        ErrorCode::RequestTimeout,
        "the stream brought nothing for too long; open it again when there is something",
    )
}

/// The same as one event's result.
pub(crate) fn publish_error(problem: &Problem) -> v1::PublishError {
    let violations = problem
        .errors
        .iter()
        .map(|e| v1::FieldViolation { field: e.pointer.clone(), description: e.detail.clone() });
    v1::PublishError {
        status: problem.code.grpc_code(),
        code: problem.code.as_str().to_owned(),
        message: problem.public_detail().to_owned(),
        violations: violations.collect(),
    }
}

/// A status that did not come from us, but from the protocol below, in our words: tonic calls what a caller framed,
/// compressed or encoded wrongly an internal error, which it is not.
pub(crate) fn explain(status: &Status, trace: &TraceContext) -> Status {
    let code = match status.code() {
        Code::Internal | Code::InvalidArgument => ErrorCode::Malformed,
        // Also what tonic says when the inflated message is over the limit.
        Code::OutOfRange | Code::ResourceExhausted => ErrorCode::TooLarge,
        Code::DeadlineExceeded => ErrorCode::RequestTimeout,
        // An unknown method or compression keeps tonic's own answer, with its headers.
        _ => return status.clone(),
    };
    grpc::status(&Problem::new(code, status.message()), trace)
}

#[cfg(test)]
mod tests {
    use model::InvalidEvent;

    use super::*;

    #[test]
    fn fields_are_named_as_in_the_message() {
        let of = |attribute: &str| {
            let bad = Bad::Invalid(InvalidEvent::new(attribute.to_owned(), "x".repeat(1_000)));
            let error = publish_error(&event("events[3]", &bad));
            assert_eq!((error.status, &*error.code), (3, "invalid_event"));
            assert_eq!(error.violations[0].description.len(), DETAIL_CHARS_MAX);
            error.violations[0].field.clone()
        };
        assert_eq!(of("source"), "events[3].source");
        assert_eq!(of("specversion"), "events[3].spec_version");
        assert_eq!(of(""), "events[3]");
        assert_eq!(of(&"é".repeat(1_000)).chars().count(), "events[3].".len() + NAME_CHARS_MAX);
    }
}
