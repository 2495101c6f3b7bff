//! What a refusal or a silence means to the person at the terminal.

use std::fmt::Write as _;

use model::ErrorCode;
use reqwest::Response;
use serde::Deserialize;

use crate::{
    context::Context,
    exit::{Code, Failure, code_of},
};

/// A problem document (RFC 9457), as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) code: String,
    pub(crate) trace_id: String,
    pub(crate) errors: Vec<Field>,
}

/// A field at fault.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Field {
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

/// A server that answered otherwise than with success.
pub(crate) async fn refused(answer: Response) -> Failure {
    let status = answer.status();
    let url = answer.url().clone();
    let bytes = answer.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) if !problem.code.is_empty() => failure(&problem),
        _ => {
            let code = match status.as_u16() {
                401 | 403 => Code::NoPermission,
                404 => Code::NotFound,
                429 | 502..=504 => Code::Unavailable,
                _ => Code::Failed,
            };
            Failure::new(code, format!("{url} answered {status}, and not as EventRunner does"))
                .hint("is this its address? see --url, --api-url and EVENTRUNNER_URL, EVENTRUNNER_API_URL")
        }
    }
}

/// What a problem document says.
pub(crate) fn failure(problem: &Problem) -> Failure {
    let mut message = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
    for field in &problem.errors {
        let _ = write!(message, "\n{}: {}", field.pointer, field.detail);
    }
    let _ = write!(message, "\n({}", problem.code);
    if !problem.trace_id.is_empty() {
        let _ = write!(message, ", trace {}", problem.trace_id);
    }
    message.push(')');
    let error = ErrorCode::from_code(&problem.code);
    let code = error.map_or(Code::Failed, code_of);
    let failure = Failure::new(code, message).refused(error);
    match code {
        Code::NoPermission => {
            failure.hint("the API key decides: see --key, EVENTRUNNER_KEY, `eventrunner keys list`")
        }
        _ => failure,
    }
}

/// A server that did not answer.
pub(crate) fn unreachable(context: &Context, error: &reqwest::Error) -> Failure {
    let url = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    if error.is_builder() {
        return Failure::usage(format!("the address cannot be used: {}", root(error)));
    }
    let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
    Failure::unavailable(format!("{url} {what}: {}", root(error))).hint(context.start_hint())
}

/// The innermost cause: the client's own words only say that something failed.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_how_to_find_it() {
        let problem: Problem = serde_json::from_str(
            r#"{"type": "x", "title": "The event is not a valid CloudEvent", "status": 400, "code": "invalid_event",
                "detail": "2 events are invalid", "trace_id": "abc", "errors": [{"pointer": "/3/id", "detail": "is missing"}]}"#,
        )
        .unwrap();
        let failure = failure(&problem);
        assert_eq!(failure.code, Code::Data);
        assert_eq!(failure.message, "2 events are invalid\n/3/id: is missing\n(invalid_event, trace abc)");
    }

    #[test]
    fn every_code_has_an_exit_code_of_its_kind() {
        for (code, exit) in [
            (ErrorCode::Unauthenticated, Code::NoPermission),
            (ErrorCode::Forbidden, Code::NoPermission),
            (ErrorCode::NotFound, Code::NotFound),
            (ErrorCode::RateLimited, Code::Unavailable),
            (ErrorCode::Unavailable, Code::Unavailable),
            (ErrorCode::TooLarge, Code::Data),
            (ErrorCode::Internal, Code::Failed),
        ] {
            assert_eq!(code_of(code), exit, "{code}");
        }
    }
}
