//! Documents with numbers that have no gap, kept by the broker.
//!
//! A document's number is its sequence in the stream. The broker gives the sequence and stores the document in one step, so
//! that no crash leaves a number without a document, or a document without its number; and nothing leaves the stream.
//! Who writes says which document of the account was the last one it knows: of two that write at once, one is told that
//! others came first.

use std::{future::IntoFuture as _, marker::PhantomData};

use async_nats::jetstream::{
    context::PublishErrorKind,
    message::{PublishMessage, StreamMessage},
    stream::{RawMessageErrorKind, Stream},
};
use bus::Bus;
use model::{BillingAccountId, TenantId};
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// One document in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered<T> {
    /// From 1, without gaps over all tenants.
    pub number: u64,
    /// What it says.
    pub document: T,
}

/// The documents of one kind.
#[derive(Debug, Clone)]
pub struct Series<T> {
    bus: Bus,
    stream: &'static str,
    /// What subjects begin with.
    word: &'static str,
    documents: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Series<T> {
    pub(crate) fn new(bus: Bus, stream: &'static str, word: &'static str) -> Self {
        Self { bus, stream, word, documents: PhantomData }
    }

    async fn handle(&self) -> Result<Stream<()>, Error> {
        let handle = self.bus.jetstream().get_stream_no_info(self.stream).await;
        handle.map_err(|e| Error::unavailable(&e))
    }

    /// Adds a document, if `after` is still the account's last one (0: it has none). Gives its number; none if others
    /// came first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it is not known to be kept: look for it before it is made again.
    pub async fn append(
        &self,
        tenant: &TenantId,
        account: &BillingAccountId,
        document: &T,
        after: u64,
    ) -> Result<Option<u64>, Error> {
        let payload = serde_json::to_vec(document).map_err(|e| Error::Document(e.to_string()))?;
        let message = PublishMessage::build()
            .payload(payload.into())
            .expected_stream(self.stream)
            .expected_last_subject_sequence(after);
        let subject = format!("{}.{tenant}.{account}", self.word);
        let sent = self.bus.jetstream().send_publish(subject, message).await;
        let sent = sent.map_err(|e| Error::unavailable(&e))?;
        match sent.into_future().await {
            Ok(ack) => Ok(Some(ack.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(Error::unavailable(&error)),
        }
    }

    /// A tenant's document of that number.
    ///
    /// # Errors
    /// If the broker does not answer, or what it holds cannot be read.
    pub async fn get(&self, tenant: &TenantId, number: u64) -> Result<Option<Numbered<T>>, Error> {
        if number == 0 {
            // The broker would take it for a request without one.
            return Ok(None);
        }
        let found = self.handle().await?.get_raw_message(number).await;
        match found {
            Ok(message) if self.owner(&message) == Some(tenant.as_str()) => read(message).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Error::unavailable(&error)),
        }
    }

    /// All of an account's documents, ascending.
    ///
    /// # Errors
    /// As [`Series::get`].
    pub async fn of_account(
        &self,
        tenant: &TenantId,
        account: &BillingAccountId,
    ) -> Result<Vec<Numbered<T>>, Error> {
        self.read(&format!("{}.{tenant}.{account}", self.word), 0, usize::MAX).await
    }

    /// A tenant's documents after a number, ascending, at most so many.
    ///
    /// # Errors
    /// As [`Series::get`].
    pub async fn page(&self, tenant: &TenantId, after: u64, limit: usize) -> Result<Vec<Numbered<T>>, Error> {
        self.read(&format!("{}.{tenant}.*", self.word), after, limit).await
    }

    async fn read(&self, subject: &str, mut after: u64, limit: usize) -> Result<Vec<Numbered<T>>, Error> {
        let handle = self.handle().await?;
        let mut documents = Vec::new();
        while documents.len() < limit {
            match handle.get_first_raw_message_by_subject(subject, after + 1).await {
                Ok(message) => {
                    after = message.sequence;
                    documents.push(read(message)?);
                }
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(Error::unavailable(&error)),
            }
        }
        Ok(documents)
    }

    fn owner<'a>(&self, message: &'a StreamMessage) -> Option<&'a str> {
        message.subject.strip_prefix(self.word)?.strip_prefix('.')?.split('.').next()
    }
}

fn read<T: DeserializeOwned>(message: StreamMessage) -> Result<Numbered<T>, Error> {
    let StreamMessage { sequence: number, payload, subject, .. } = message;
    let document = serde_json::from_slice(&payload)
        .map_err(|e| Error::Document(format!("number {number} of {subject} cannot be read: {e}")))?;
    Ok(Numbered { number, document })
}
