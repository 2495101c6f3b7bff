//! What can go wrong; trying again is right.

/// Something does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Billing(#[from] billing::Error),
    #[error(transparent)]
    Rating(#[from] rating::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the broker does not answer: {0}")]
    Broker(String),
    #[error(transparent)]
    Door(#[from] bus::AcceptError),
    #[error("an event cannot be made: {0}")]
    Event(String),
}

impl Error {
    pub(crate) fn broker(error: impl std::fmt::Display) -> Self {
        Self::Broker(error.to_string())
    }
}
