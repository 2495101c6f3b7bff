//! What can go wrong: when a mapping is compiled, and when it is applied.

use std::fmt;

use model::{ErrorCode, InvalidEvent};

/// Why a source's mapping cannot be used: every problem found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidMapping {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl InvalidMapping {
    /// The code callers see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

impl fmt::Display for InvalidMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", problem.pointer, problem.detail)?;
        }
        Ok(())
    }
}

/// One problem of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the source resource, a JSON pointer such as `/mapping/type`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Problem {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a request cannot become a CloudEvent: an expression gave a value that CloudEvents forbids there.
/// Only a mapping can cause it; the normalizer dead-letters the event with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct Unmappable {
    /// The expression at fault, a JSON pointer into the source resource such as `/mapping/time`.
    pub pointer: String,
    /// Which rule its value breaks.
    pub detail: String,
}

impl Unmappable {
    /// The code callers see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidEvent
    }
}

impl From<InvalidEvent> for Unmappable {
    fn from(error: InvalidEvent) -> Self {
        let pointer = match &*error.attribute {
            core @ ("id" | "source" | "type" | "subject" | "time" | "dataschema") => {
                format!("/mapping/{core}")
            }
            "partitionkey" => "/mapping/partition_key".to_owned(),
            extension => format!("/mapping/extensions/{extension}"),
        };
        Self { pointer, detail: error.problem }
    }
}
