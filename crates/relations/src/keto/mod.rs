//! Ory Keto as the authorizer: its read and its write API over gRPC.

mod convert;
mod retry;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use self::{
    retry::{Patience, is_disturbed},
    wire::{
        BatchCheckRequest, CheckRequest, DeleteRelationTuplesRequest, ExpandRequest,
        ListRelationTuplesRequest, RelationTupleDelta, TransactRelationTuplesRequest,
        check_service_client::CheckServiceClient, expand_service_client::ExpandServiceClient,
        read_service_client::ReadServiceClient, relation_tuple_delta::Action,
        write_service_client::WriteServiceClient,
    },
};
use crate::{
    Authorizer, Changes, Error, Listed, Page, Query, Schema, Tree,
    authorizer::{CHANGES_MAX, QUESTIONS_MAX, at_most},
    tuple::{Subject, SubjectSet, Tuple},
};

#[expect(unused_qualifications, unreachable_pub, reason = "generated")]
mod wire {
    tonic::include_proto!("ory.keto.relation_tuples.v1alpha2");
}

/// Questions in one call: what Keto takes unless `limit.max_batch_check_size` says otherwise.
const BATCH: usize = 10;

/// Tuples looked up at once before they are written.
const LOOKED_UP: usize = 16;

/// Where Keto is, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KetoOptions {
    /// The read API, such as `http://keto-read:4466`.
    pub read_url: String,
    /// The write API, such as `http://keto-write:4467`.
    pub write_url: String,
    /// How long one call may take, with all its repetitions.
    pub timeout: Duration,
    /// How long one attempt of a call may take.
    pub attempt_timeout: Duration,
}

impl KetoOptions {
    /// Two seconds a call, half a second an attempt: a request waits for its check, and a gateway before it waits no
    /// longer than some seconds.
    #[must_use]
    pub fn new(read_url: impl Into<String>, write_url: impl Into<String>) -> Self {
        Self {
            read_url: read_url.into(),
            write_url: write_url.into(),
            timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_millis(500),
        }
    }
}

/// An Ory Keto of version 0.14 or newer, whose namespaces are those of the schema ([`Schema::to_keto`]).
#[derive(Debug, Clone)]
pub struct Keto {
    schema: Arc<Schema>,
    read: Channel,
    write: Channel,
    patience: Patience,
}

impl Keto {
    /// Knows where Keto is; connects when first asked, and again whenever a connection is lost.
    ///
    /// # Errors
    /// If a URL is none.
    pub fn new(schema: Arc<Schema>, options: &KetoOptions) -> Result<Self, Error> {
        let channel = |url: &str| -> Result<Channel, Error> {
            let endpoint = Endpoint::from_shared(url.to_owned());
            let endpoint = endpoint.map_err(|_| Error::Refused(format!("{url:?} is not a URL")))?;
            Ok(endpoint.connect_timeout(options.attempt_timeout).connect_lazy())
        };
        let patience = Patience { whole: options.timeout, attempt: options.attempt_timeout };
        Ok(Self { schema, read: channel(&options.read_url)?, write: channel(&options.write_url)?, patience })
    }

    /// Whether exactly this tuple is there.
    async fn is_there(&self, tuple: &Tuple) -> Result<bool, Error> {
        let query = Query { subject: Some(tuple.subject.clone()), ..Query::in_set(&tuple.set()) };
        Ok(!self.list(&query, Page { cursor: None, limit: 1 }).await?.tuples.is_empty())
    }

    /// Those that are not there yet: Keto would keep a second copy of the others.
    async fn missing(&self, tuples: &BTreeSet<Tuple>) -> Result<Vec<Tuple>, Error> {
        let asked = stream::iter(tuples.iter().cloned())
            .map(|tuple| async move { Ok((!self.is_there(&tuple).await?).then_some(tuple)) });
        asked.buffered(LOOKED_UP).try_filter_map(|found| async move { Ok(found) }).try_collect().await
    }

    async fn check_batch(&self, questions: &[Tuple]) -> Result<Vec<bool>, Error> {
        let request = BatchCheckRequest { tuples: questions.iter().map(Into::into).collect(), max_depth: 0 };
        let asked = self.patience.call(request, |request| {
            let mut client = CheckServiceClient::new(self.read.clone());
            async move {
                let answer = client.batch_check(request).await?;
                // One of its questions may be disturbed alone; they are asked again together.
                let disturbed = answer.get_ref().results.iter().find(|result| is_disturbed(&result.error));
                disturbed.map_or(Ok(()), |result| Err(Status::aborted(&*result.error)))?;
                Ok(answer)
            }
        });
        let results = asked.await?.results;
        if results.len() != questions.len() {
            let (given, asked) = (results.len(), questions.len());
            return Err(Error::Answer(format!("{given} answers to {asked} questions")));
        }
        let answer = |result: wire::CheckResponseWithError| {
            if result.error.is_empty() { Ok(result.allowed) } else { Err(Error::Refused(result.error)) }
        };
        results.into_iter().map(answer).collect()
    }
}

#[async_trait]
impl Authorizer for Keto {
    async fn check(&self, question: &Tuple) -> Result<bool, Error> {
        self.schema.check(question)?;
        let request = CheckRequest { tuple: Some(question.into()), max_depth: 0 };
        let asked = self.patience.call(request, |request| {
            let mut client = CheckServiceClient::new(self.read.clone());
            async move { client.check(request).await }
        });
        Ok(asked.await?.allowed)
    }

    async fn check_all(&self, questions: &[Tuple]) -> Result<Vec<bool>, Error> {
        at_most("questions", questions.len(), QUESTIONS_MAX)?;
        questions.iter().try_for_each(|question| self.schema.check(question))?;
        let mut answers = Vec::with_capacity(questions.len());
        for batch in questions.chunks(BATCH) {
            answers.extend(self.check_batch(batch).await?);
        }
        Ok(answers)
    }

    async fn list(&self, query: &Query, page: Page) -> Result<Listed, Error> {
        self.schema.check_query(query)?;
        let resumed = page.cursor.is_some();
        let request = ListRelationTuplesRequest {
            relation_query: Some(query.into()),
            page_size: i32::try_from(page.size()).unwrap_or(i32::MAX),
            page_token: page.cursor.unwrap_or_default(),
        };
        let asked = self.patience.call(request, |request| {
            let mut client = ReadServiceClient::new(self.read.clone());
            async move { client.list_relation_tuples(request).await }
        });
        let found = asked.await.map_err(|error| match error {
            Error::Refused(_) if resumed => Error::Cursor,
            error => error,
        })?;
        let tuples = found.relation_tuples.into_iter().map(Tuple::try_from).collect::<Result<_, _>>()?;
        Ok(Listed { tuples, next: Some(found.next_page_token).filter(|token| !token.is_empty()) })
    }

    async fn expand(&self, set: &SubjectSet, depth: u8) -> Result<Tree, Error> {
        self.schema.check_relation(&set.object.namespace, &set.relation)?;
        let subject = Subject::Set(set.clone());
        // Keto counts the set itself.
        let max_depth = i32::from(depth.max(1)) + 1;
        let request = ExpandRequest { subject: Some((&subject).into()), max_depth };
        let asked = self.patience.call(request, |request| {
            let mut client = ExpandServiceClient::new(self.read.clone());
            async move { client.expand(request).await }
        });
        match asked.await?.tree {
            Some(tree) => tree.try_into(),
            None => Ok(Tree { subject, children: vec![] }),
        }
    }

    /// Two writers of one tuple at once, or a write repeated because its answer was lost, leave it twice: lists show that,
    /// checks and deletions do not.
    async fn apply(&self, changes: Changes) -> Result<(), Error> {
        at_most("changes", changes.len(), CHANGES_MAX)?;
        changes.insert.iter().try_for_each(|tuple| self.schema.check(tuple))?;
        if changes.is_empty() {
            return Ok(());
        }
        let delta = |action: Action, tuple: &Tuple| RelationTupleDelta {
            action: action.into(),
            relation_tuple: Some(tuple.into()),
        };
        // Keto inserts first and deletes then, so what is in both is only inserted.
        let deletes = changes.delete.difference(&changes.insert).map(|tuple| delta(Action::Delete, tuple));
        let missing = self.missing(&changes.insert).await?;
        let inserts = missing.iter().map(|tuple| delta(Action::Insert, tuple));
        let request =
            TransactRelationTuplesRequest { relation_tuple_deltas: inserts.chain(deletes).collect() };
        let done = self.patience.call(request, |request| {
            let mut client = WriteServiceClient::new(self.write.clone());
            async move { client.transact_relation_tuples(request).await }
        });
        done.await.map(drop)
    }

    async fn delete_all(&self, query: &Query) -> Result<(), Error> {
        self.schema.check_query(query)?;
        let request = DeleteRelationTuplesRequest { relation_query: Some(query.into()) };
        let done = self.patience.call(request, |request| {
            let mut client = WriteServiceClient::new(self.write.clone());
            async move { client.delete_relation_tuples(request).await }
        });
        done.await.map(drop)
    }
}
