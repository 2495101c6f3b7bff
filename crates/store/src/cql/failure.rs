//! What the driver reports, in the store's words.

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};

use crate::Error;

/// The failure of a request.
pub(super) fn of(error: &ExecutionError) -> Error {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, message))
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(kind, message),
        }) => of_server(kind, message),
        ExecutionError::LastAttemptError(
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::CqlResultParseError(_),
        )
        | ExecutionError::BadQuery(_) => Error::Corrupt(error.to_string()),
        ExecutionError::EmptyPlan => {
            Error::Open("no node is known of the data centre in option datacenter of the CQL store".into())
        }
        _ => Error::Unavailable(error.to_string()),
    }
}

/// What the server says, by its code; by its words only where the code does not tell.
fn of_server(kind: &DbError, message: &str) -> Error {
    let said = format!("{kind}: {message}");
    match kind {
        DbError::Unauthorized => Error::Open(format!(
            "the CQL user may not do what the store must ({message}): grant it SELECT and MODIFY on the keyspace"
        )),
        DbError::AuthenticationError => wrong_credentials(message),
        DbError::Invalid if too_large(message) => {
            Error::Invalid(format!("the event is larger than the CQL server takes: {message}"))
        }
        DbError::Invalid if missing(message) => Error::Open(format!(
            "the keyspace is not as this program needs it ({message}): run `eventrunner migrate`"
        )),
        DbError::SyntaxError | DbError::Invalid | DbError::ProtocolError => Error::Corrupt(said),
        _ if full(message) => Error::Full(said),
        _ => Error::Unavailable(said),
    }
}

/// Cassandra: `max_mutation_size`; ScyllaDB: `batch_size_fail_threshold_in_kb`, commit log segment.
fn too_large(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("oversized")
        || message.contains("too large")
        || message.contains("maximum size")
        || message.contains("max size")
}

fn missing(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["unconfigured table", "does not exist", "undefined column", "unknown identifier", "undefined name"]
        .iter()
        .any(|words| message.contains(words))
}

fn full(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["no space left", "disk full", "disk is full", "critical disk utilization", "out of disk space"]
        .iter()
        .any(|words| message.contains(words))
}

fn wrong_credentials(message: &str) -> Error {
    Error::Open(format!(
        "the CQL server refuses the user or the password ({message}): see options user and password of the CQL store"
    ))
}

/// Why there is no session: for good, or to be tried again.
#[derive(Debug)]
pub(super) enum NoSession {
    /// Trying again leads to the same.
    Final(Error),
    /// Nobody answers, or not yet.
    NotYet(String),
}

pub(super) fn of_session(error: &NewSessionError) -> NoSession {
    match error {
        NewSessionError::EmptyKnownNodesList | NewSessionError::IllegalConfig(_) => {
            NoSession::Final(Error::Open(error.to_string()))
        }
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(pool)) => of_pool(pool),
        NewSessionError::UseKeyspaceError(UseKeyspaceError::RequestError(RequestAttemptError::DbError(
            kind,
            message,
        ))) => NoSession::Final(of_server(kind, message)),
        _ => match authentication(error) {
            Some(refused) => NoSession::Final(refused),
            None => NoSession::NotYet(error.to_string()),
        },
    }
}

fn of_pool(error: &ConnectionPoolError) -> NoSession {
    if let ConnectionPoolError::Broken {
        last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
    } = error
    {
        match &setup.error {
            ConnectionSetupRequestErrorKind::MissingAuthentication => {
                return NoSession::Final(wrong_credentials("it asks for a user and none is given"));
            }
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, message) => {
                return NoSession::Final(wrong_credentials(message));
            }
            _ => {}
        }
    }
    NoSession::NotYet(error.to_string())
}

/// The refusal somewhere in what led to an error.
fn authentication(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(DbError::AuthenticationError) = error.downcast_ref::<DbError>() {
            return Some(wrong_credentials(&error.to_string()));
        }
        cause = error.source();
    }
    None
}

/// What was read makes no sense.
pub(super) fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}
