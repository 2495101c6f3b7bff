//! The seed's words for refusals.

use model::ErrorCode;
use runtime::problem::{FieldError, Problem};
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal, as the seed's clients read it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeedFailure)]
pub(crate) struct Failure {
    error: Message,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeedMessage)]
struct Message {
    /// In the seed's words where it had any.
    message: String,
    /// The error code.
    #[schema(example = "not_found")]
    code: String,
    /// In ours, where they say more.
    #[schema(nullable = false)]
    detail: Option<String>,
    /// The trace of the request, for support.
    #[schema(nullable = false)]
    trace_id: Option<String>,
}

/// What the seed says to who may not, unless an endpoint says it otherwise.
const FORBIDDEN: &str = "Forbidden: Insufficient permissions";

/// A problem in the seed's envelope and words; `own` are the endpoint's for a code.
pub(super) fn told(problem: Problem, own: &[(ErrorCode, &str)]) -> Problem {
    let message = match own.iter().find(|(code, _)| *code == problem.code) {
        Some((_, words)) => (*words).to_owned(),
        None => match problem.code {
            ErrorCode::Forbidden => FORBIDDEN.to_owned(),
            ErrorCode::Malformed | ErrorCode::InvalidArgument => parameters(&problem),
            _ => problem.detail.clone(),
        },
    };
    problem.in_envelope(message)
}

/// Of a tenant that is not the caller's, whether there is such a one or not.
pub(super) fn told_of_tenant(problem: Problem) -> Problem {
    let problem = match problem.code {
        ErrorCode::NotFound => {
            let words = "You don't have access to this tenant";
            return Problem::new(ErrorCode::Forbidden, problem.detail).in_envelope(words);
        }
        _ => problem,
    };
    told(problem, &[])
}

const MISSING: &str = "is required";

/// The refusal of a body without a member.
pub(super) fn missing(name: &str) -> Problem {
    wrong(name, MISSING)
}

/// The refusal of a body with a member that cannot be.
pub(super) fn wrong(name: &str, detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
        .field(format!("/{name}"), detail)
}

/// What is missing, or else what is wrong.
fn parameters(problem: &Problem) -> String {
    let name = |error: &FieldError| match error.pointer.trim_start_matches("query:").trim_start_matches('/') {
        "" => "body".to_owned(),
        name => name.to_owned(),
    };
    let missing: Vec<String> = problem.errors.iter().filter(|e| e.detail == MISSING).map(name).collect();
    if !missing.is_empty() {
        return format!("Missing parameter(s): {}", missing.join(", "));
    }
    let wrong: Vec<String> = problem.errors.iter().map(|e| format!("{} ({})", name(e), e.detail)).collect();
    match wrong.as_slice() {
        [] => format!("Invalid parameter(s): {}", problem.detail),
        wrong => format!("Invalid parameter(s): {}", wrong.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_words() {
        let problem = |code, detail: &str| Problem::new(code, detail);
        let invalid = || problem(ErrorCode::InvalidArgument, "no");
        let own = &[(ErrorCode::Unauthenticated, "Invalid credentials")][..];
        for (problem, own, words) in [
            (problem(ErrorCode::Forbidden, "the key lacks a scope"), own, FORBIDDEN),
            (problem(ErrorCode::Unauthenticated, "no key"), own, "Invalid credentials"),
            (problem(ErrorCode::Unauthenticated, "no key"), &[], "no key"),
            (problem(ErrorCode::Conflict, "there is one"), own, "there is one"),
            (problem(ErrorCode::Malformed, "no JSON"), own, "Invalid parameter(s): no JSON"),
            (missing("email"), own, "Missing parameter(s): email"),
            (missing("email").field("/roles/0", "no role"), own, "Missing parameter(s): email"),
            (invalid().field("/roles/0", "no role"), own, "Invalid parameter(s): roles/0 (no role)"),
            (invalid().field("query:x", "unknown"), own, "Invalid parameter(s): x (unknown)"),
            (invalid().field("", "must be an object"), own, "Invalid parameter(s): body (must be an object)"),
        ] {
            let expected = problem.clone().in_envelope(words);
            assert_eq!(told(problem, own), expected, "{words}");
        }
    }
}
