//! What can go wrong, each with its code.

use model::ErrorCode;
use runtime::problem::Problem;

/// Why the service could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option has an impossible value.
    #[error("{0}")]
    Options(String),
    /// The listener cannot be had, or broke.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
    /// Argon2 does not take what it is given.
    #[error("passwords cannot be hashed: {0}")]
    Passwords(#[from] identity::HashError),
    /// The OpenAPI document that was built in cannot be read as tools.
    #[error("the tools of MCP cannot be made: {0}")]
    Tools(#[from] serde_json::Error),
    /// The gRPC descriptors that were built in cannot be read.
    #[error("gRPC reflection cannot be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A store's failure, as the caller sees it.
pub(crate) fn of_store(error: store::Error) -> Problem {
    match error {
        store::Error::BadCursor(reason) => {
            Problem::new(ErrorCode::InvalidArgument, "the cursor is not valid").field("query:cursor", reason)
        }
        store::Error::Invalid(reason) => Problem::new(ErrorCode::InvalidArgument, reason),
        store::Error::Unavailable(_) | store::Error::Full(_) | store::Error::Open(_) => {
            Problem::unavailable("the store does not answer", error)
        }
        store::Error::Corrupt(_) => Problem::internal(error),
    }
}

/// A failure of the broker, as the caller sees it.
pub(crate) fn of_broker(error: impl std::fmt::Display) -> Problem {
    Problem::unavailable("the broker does not answer", error)
}

/// The catalog's refusal or failure, as the caller sees it. `expected`: the caller said at which revision it must be.
pub(crate) fn of_catalog(error: catalog::Error, expected: bool) -> Problem {
    let code = match &error {
        catalog::Error::Stale { .. } if expected => ErrorCode::PreconditionFailed,
        catalog::Error::Unavailable(reason) => {
            return Problem::unavailable("the catalog does not answer", reason);
        }
        catalog::Error::Unreadable { .. } => return Problem::internal(error),
        _ => error.code(),
    };
    if error.fields().is_empty() {
        return Problem::new(code, error.to_string());
    }
    let problem = Problem::new(code, "the resource breaks rules");
    error.fields().iter().fold(problem, |p, field| p.field(&*field.pointer, &*field.detail))
}

pub(crate) fn not_found(what: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::NotFound, what)
}
