//! What the server's errors mean to a caller.

use std::{future::Future, time::Duration};

use clickhouse::error::Error as ClientError;

use crate::Error;

/// The longest part of a server's message that is passed on.
const MESSAGE_BYTES_MAX: usize = 400;

/// The server's own numbers (ClickHouse, `src/Common/ErrorCodes.cpp`).
pub(super) mod code {
    pub(crate) const BAD_ARGUMENTS: u32 = 36;
    pub(crate) const UNKNOWN_TABLE: u32 = 60;
    pub(crate) const UNKNOWN_DATABASE: u32 = 81;
    pub(crate) const READONLY: u32 = 164;
    pub(crate) const UNKNOWN_USER: u32 = 192;
    pub(crate) const WRONG_PASSWORD: u32 = 193;
    pub(crate) const REQUIRED_PASSWORD: u32 = 194;
    pub(crate) const NOT_ENOUGH_SPACE: u32 = 243;
    pub(crate) const ACCESS_DENIED: u32 = 497;
    pub(crate) const AUTHENTICATION_FAILED: u32 = 516;
}

/// The number in a server's answer: `Code: 60. DB::Exception: …`.
pub(super) fn code_of(error: &ClientError) -> Option<u32> {
    let ClientError::BadResponse(text) = error else { return None };
    let (_, rest) = text.split_once("Code: ")?;
    rest.split_once('.')?.0.parse().ok()
}

/// The server's message, or the client's, short and on one line.
pub(super) fn message_of(error: &ClientError) -> String {
    let text = match error {
        ClientError::BadResponse(text) => text.clone(),
        // The client's own words stop at "client error (Connect)".
        ClientError::Network(source) => {
            let mut text = source.to_string();
            let mut next = source.source();
            while let Some(source) = next {
                text = format!("{text}: {source}");
                next = source.source();
            }
            text
        }
        other => other.to_string(),
    };
    let line = text.lines().next().unwrap_or_default();
    let end = line.floor_char_boundary(MESSAGE_BYTES_MAX);
    line[..end].to_owned()
}

impl From<ClientError> for Error {
    /// Whatever the server refuses may be taken later: too many parts, its memory limit, a password being changed. Only
    /// what it answers in a form that is none of ours is broken.
    fn from(error: ClientError) -> Self {
        let message = message_of(&error);
        match &error {
            ClientError::BadResponse(text)
                if code_of(&error) == Some(code::NOT_ENOUGH_SPACE)
                    || text.contains("No space left on device") =>
            {
                Self::Full(format!("ClickHouse: {message}"))
            }
            ClientError::BadResponse(_)
            | ClientError::Network(_)
            | ClientError::TimedOut
            | ClientError::Unsupported(_) => Self::Unavailable(format!("ClickHouse: {message}")),
            _ => Self::Corrupt(format!("ClickHouse: {message}")),
        }
    }
}

/// Awaits an answer, not for ever.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(ClientError::TimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_what_a_caller_can_do() {
        let bad = |text: &str| Error::from(ClientError::BadResponse(text.into()));
        let full = [
            "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
            "Code: 75. DB::Exception: Cannot write to file, errno: 28, strerror: No space left on device.",
        ];
        for text in full {
            assert!(matches!(bad(text), Error::Full(_)), "{text}");
        }
        let unavailable = [
            "Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS)",
            "Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)",
            "<html>502 Bad Gateway</html>",
            "",
        ];
        for text in unavailable {
            assert!(matches!(bad(text), Error::Unavailable(_)), "{text}");
        }
        assert!(matches!(Error::from(ClientError::TimedOut), Error::Unavailable(_)));
        assert!(matches!(Error::from(ClientError::NotEnoughData), Error::Corrupt(_)));
    }

    #[test]
    fn messages_are_one_short_line() {
        let long = format!("Code: 1. {}\nsecond", "ä".repeat(MESSAGE_BYTES_MAX));
        let message = message_of(&ClientError::BadResponse(long));
        assert!(message.len() <= MESSAGE_BYTES_MAX && message.starts_with("Code: 1. ä"), "{message}");
    }
}
