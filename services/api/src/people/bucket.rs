//! A KV bucket of what belongs to somebody and leaves it by age: sessions, and what is good once.

use std::{marker::PhantomData, time::Duration};

use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use bus::Bus;
use futures::TryStreamExt as _;
use model::UserId;
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use crate::error::of_broker;

/// What is kept, and the revision it was read at.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub(crate) revision: u64,
    pub(crate) kept: T,
}

/// The bucket, opened when it is first needed.
#[derive(Debug)]
pub(super) struct Bucket<T> {
    bus: Bus,
    name: &'static str,
    store: OnceCell<Store>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Bucket<T> {
    pub(super) fn new(bus: Bus, name: &'static str) -> Self {
        Self { bus, name, store: OnceCell::new(), of: PhantomData }
    }

    async fn store(&self) -> Result<&Store, Problem> {
        let open = || async { self.bus.jetstream().get_key_value(self.name).await.map_err(of_broker) };
        self.store.get_or_try_init(open).await
    }

    /// How long anything is kept.
    pub(super) async fn max_age(&self) -> Result<Duration, Problem> {
        Ok(self.store().await?.stream.cached_info().config.max_age)
    }

    /// Keeps something new.
    pub(super) async fn create(&self, key: String, kept: &T) -> Result<u64, Problem> {
        self.store().await?.create(key, encode(kept)?).await.map_err(of_broker)
    }

    /// Keeps something instead of what was read. False if somebody else was quicker.
    pub(super) async fn update(&self, key: String, kept: &T, revision: u64) -> Result<bool, Problem> {
        match self.store().await?.update(key, encode(kept)?, revision).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(of_broker(error)),
        }
    }

    /// What is there.
    pub(super) async fn find(&self, key: String) -> Result<Option<Found<T>>, Problem> {
        let entry = self.store().await?.entry(key).await.map_err(of_broker)?;
        let entry = entry.filter(|e| e.operation == Operation::Put);
        // What cannot be read is of another version, and nothing to this one.
        Ok(entry.and_then(|e| {
            let kept = serde_json::from_slice(&e.value).ok()?;
            Some(Found { revision: e.revision, kept })
        }))
    }

    /// Takes something out, without a trace.
    pub(super) async fn remove(&self, key: &str) -> Result<(), Problem> {
        let subject = self.subject(key);
        self.store().await?.stream.purge().filter(subject).await.map(drop).map_err(of_broker)
    }

    /// All that is under keys which begin so and have one part more. Meant for what there are few of.
    pub(super) async fn below(&self, owner: &str) -> Result<Vec<Found<T>>, Problem> {
        let stream = &self.store().await?.stream;
        let subjects = stream.info_with_subjects(self.subject(&format!("{owner}.*"))).await;
        let subjects = subjects.map_err(of_broker)?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.map_err(of_broker)?;
        let mut all = Vec::new();
        for (subject, _) in subjects {
            let id = subject.rsplit('.').next().unwrap_or_default();
            all.extend(self.find(format!("{owner}.{id}")).await?);
        }
        Ok(all)
    }

    fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.name)
    }
}

fn encode<T: Serialize>(kept: &T) -> Result<bytes::Bytes, Problem> {
    serde_json::to_vec(kept).map(Into::into).map_err(Problem::internal)
}

/// What others send must not become more than one part of a key. Every part has the form of an id.
pub(super) fn is_key_part(text: &str) -> bool {
    text.parse::<UserId>().is_ok()
}

/// A token as it is handed out: itself, and whose it is, by which it is found.
pub(super) fn handed_out(token: &SecretString, owner: &str) -> SecretString {
    format!("{}.{owner}", token.expose_secret()).into()
}
