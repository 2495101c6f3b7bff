//! Errors as callers see them over gRPC: a status with google.rpc details.

use std::time::Duration;

use model::ErrorCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{problem::Problem, trace::TraceContext};

/// Domain of the reasons in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "eventrunner.dev";

/// Wrong fields listed in one status: details travel in a trailer, and clients limit those to 8 KiB.
const FIELD_ERRORS_MAX: usize = 16;

/// Characters of one field's detail.
const FIELD_DETAIL_MAX: usize = 200;

/// The status of a problem, with `ErrorInfo` (reason = the code), `BadRequest`, `RetryInfo` and `RequestInfo`
/// (request id = the trace id). Logs the operator's message, once.
#[must_use]
pub fn status(problem: &Problem, trace: &TraceContext) -> Status {
    let trace_id = trace.trace_id();
    problem.log(&trace_id);
    let mut details = ErrorDetails::new();
    details
        .set_error_info(problem.code.as_str(), DOMAIN, std::collections::HashMap::new())
        .set_request_info(trace_id, "");
    if !problem.errors.is_empty() {
        let violations = problem.errors.iter().take(FIELD_ERRORS_MAX).map(|e| {
            FieldViolation::new(
                e.pointer.as_str(),
                e.detail.chars().take(FIELD_DETAIL_MAX).collect::<String>(),
            )
        });
        details.set_bad_request(violations.collect::<Vec<_>>());
    }
    if let Some(seconds) = problem.retry_delay_seconds() {
        details.set_retry_info(Some(Duration::from_secs(seconds.into())));
    }
    Status::with_error_details(Code::from_i32(problem.code.grpc_code()), problem.public_detail(), details)
}

/// The code a status was made of, if it was made here.
#[must_use]
pub fn code(status: &Status) -> Option<ErrorCode> {
    let info = status.get_details_error_info()?;
    if info.domain == DOMAIN { ErrorCode::from_code(&info.reason) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_becomes_a_status_with_reason_and_trace() {
        for &expected in ErrorCode::ALL {
            let trace = TraceContext::random();
            let status = status(&Problem::new(expected, "what happened"), &trace);
            assert_eq!(status.code() as i32, expected.grpc_code());
            assert_eq!(code(&status), Some(expected));
            assert_eq!(status.get_details_request_info().unwrap().request_id, trace.trace_id());
            let retry = matches!(expected, ErrorCode::RateLimited | ErrorCode::Unavailable);
            assert_eq!(status.get_details_retry_info().is_some(), retry, "{expected}");
        }
    }

    #[test]
    fn fields_and_delay_are_details() {
        let mut problem = Problem::new(ErrorCode::RateLimited, "slow down").retry_after(7);
        for n in 0..40 {
            problem = problem.field(format!("/events/{n}"), "x".repeat(1_000));
        }
        let status = status(&problem, &TraceContext::random());
        assert_eq!(status.message(), "slow down");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!((violations.len(), &*violations[3].field), (FIELD_ERRORS_MAX, "/events/3"));
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
        assert!(status.details().len() < 8 * 1024 * 3 / 4, "fits a trailer in base64");
    }

    #[test]
    fn internal_faults_tell_nothing() {
        let status = status(&Problem::internal("password is 123"), &TraceContext::random());
        assert!(!status.message().contains("123"), "{}", status.message());
        assert!(!String::from_utf8_lossy(status.details()).contains("123"));
    }
}
