//! Every statement, in one list: a test runs each against a real server, and another that each but those on whole
//! tables names its whole partition key.
//!
//! `{ks}` stands for the keyspace. What a statement binds has the names and the order of its markers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use scylla::{
    client::{execution_profile::ExecutionProfileHandle, session::Session},
    statement::prepared::PreparedStatement,
};

use super::failure;
use crate::Error;

/// Whether a statement reads (and may be asked of two replicas at once) or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $kind:ident $text:literal;)+) => {
        /// A statement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Cql {
            $($(#[$doc])* $name,)+
        }

        /// Each with its kind and text, in the order of [`Cql`].
        pub(super) const ALL: &[(Cql, Kind, &str)] = &[$((Cql::$name, Kind::$kind, $text),)+];
    };
}

statements! {
    /// Whether this user may write at all: takes away what no tenant can have.
    Probe = Write "DELETE FROM {ks}.events_by_id WHERE tenant = '' AND source = '' AND id = ''";

    // -- candidates: which event has an identity --
    InsertCandidate = Write
        "INSERT INTO {ks}.events_by_id (tenant, source, id, received_at, stream_partition, stream_sequence, idx, \
         stored_at, level, shard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
    Candidates = Read
        "SELECT received_at, stream_partition, stream_sequence, idx, stored_at, level, shard, erased \
         FROM {ks}.events_by_id WHERE tenant = ? AND source = ? AND id = ?";

    // -- events --
    InsertEvent = Write
        "INSERT INTO {ks}.events (tenant, level, window, shard, received_at, stream_partition, stream_sequence, idx, \
         type, source, subject, id, envelope, receipt, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         USING TTL ?";
    /// Says that an event gave way to another with its identity. A later insert of its row does not take that back.
    Supersede = Write
        "UPDATE {ks}.events USING TTL ? SET superseded = true WHERE tenant = ? AND level = ? AND window = ? \
         AND shard = ? AND received_at = ? AND stream_partition = ? AND stream_sequence = ? AND idx = ?";
    Event = Read
        "SELECT received_at, stream_partition, stream_sequence, idx, type, source, subject, id, envelope, receipt, \
         data, superseded, erased FROM {ks}.events WHERE tenant = ? AND level = ? AND window = ? AND shard = ? \
         AND received_at = ? AND stream_partition = ? AND stream_sequence = ? AND idx = ?";
    /// Rows of a partition between two keys, both left out, the earliest first.
    EventsUp = Read
        "SELECT received_at, stream_partition, stream_sequence, idx, type, source, subject, id, envelope, receipt, \
         data, superseded, erased FROM {ks}.events WHERE tenant = ? AND level = ? AND window = ? AND shard = ? \
         AND (received_at, stream_partition, stream_sequence, idx) > (?, ?, ?, ?) \
         AND (received_at, stream_partition, stream_sequence, idx) < (?, ?, ?, ?) \
         ORDER BY received_at ASC, stream_partition ASC, stream_sequence ASC, idx ASC LIMIT ?";
    /// The same, the latest first.
    EventsDown = Read
        "SELECT received_at, stream_partition, stream_sequence, idx, type, source, subject, id, envelope, receipt, \
         data, superseded, erased FROM {ks}.events WHERE tenant = ? AND level = ? AND window = ? AND shard = ? \
         AND (received_at, stream_partition, stream_sequence, idx) > (?, ?, ?, ?) \
         AND (received_at, stream_partition, stream_sequence, idx) < (?, ?, ?, ?) \
         ORDER BY received_at DESC, stream_partition DESC, stream_sequence DESC, idx DESC LIMIT ?";
    /// What counting needs of the rows between two keys.
    Count = Read
        "SELECT type, source, subject, superseded FROM {ks}.events \
         WHERE tenant = ? AND level = ? AND window = ? AND shard = ? \
         AND (received_at, stream_partition, stream_sequence, idx) > (?, ?, ?, ?) \
         AND (received_at, stream_partition, stream_sequence, idx) < (?, ?, ?, ?)";

    /// Whose candidates belong to the rows of a partition.
    Identities = Read
        "SELECT received_at, stream_partition, stream_sequence, idx, source, id FROM {ks}.events \
         WHERE tenant = ? AND level = ? AND window = ? AND shard = ?";
    /// When the rows of a partition were written.
    Written = Read
        "SELECT WRITETIME(envelope) FROM {ks}.events WHERE tenant = ? AND level = ? AND window = ? AND shard = ?";

    // -- taking away. A timestamp says what is taken: what was written before it. --
    DeleteIdentity = Write
        "DELETE FROM {ks}.events_by_id USING TIMESTAMP ? WHERE tenant = ? AND source = ? AND id = ?";
    DeleteCandidate = Write
        "DELETE FROM {ks}.events_by_id USING TIMESTAMP ? WHERE tenant = ? AND source = ? AND id = ? \
         AND received_at = ? AND stream_partition = ? AND stream_sequence = ? AND idx = ?";
    DeleteEvents = Write
        "DELETE FROM {ks}.events USING TIMESTAMP ? WHERE tenant = ? AND level = ? AND window = ? AND shard = ?";
    DeleteBuckets = Write
        "DELETE FROM {ks}.event_buckets USING TIMESTAMP ? WHERE tenant = ? AND day = ? AND level = ? \
         AND window >= ? AND window <= ?";
    DeleteDay = Write
        "DELETE FROM {ks}.event_days USING TIMESTAMP ? WHERE tenant = ? AND day = ? AND level = ?";
    /// Whoever delivers the event again is to leave its data out.
    EraseCandidate = Write
        "UPDATE {ks}.events_by_id USING TTL ? SET erased = true WHERE tenant = ? AND source = ? AND id = ? \
         AND received_at = ? AND stream_partition = ? AND stream_sequence = ? AND idx = ? AND stored_at = ? \
         AND level = ? AND shard = ?";
    EraseMark = Write
        "UPDATE {ks}.events USING TTL ? SET erased = true WHERE tenant = ? AND level = ? AND window = ? \
         AND shard = ? AND received_at = ? AND stream_partition = ? AND stream_sequence = ? AND idx = ?";
    EraseData = Write
        "DELETE data FROM {ks}.events USING TIMESTAMP ? WHERE tenant = ? AND level = ? AND window = ? \
         AND shard = ? AND received_at = ? AND stream_partition = ? AND stream_sequence = ? AND idx = ?";
    /// Tells every writer that what it knows of a tenant's partitions is about to be taken away.
    InsertErasure = Write
        "INSERT INTO {ks}.erasures (day, erased_at, tenant) VALUES (?, ?, ?) USING TTL ?";
    Erasures = Read
        "SELECT erased_at, tenant FROM {ks}.erasures WHERE day = ? AND erased_at >= ?";

    // -- which partitions there are --
    InsertDay = Write "INSERT INTO {ks}.event_days (tenant, day, level) VALUES (?, ?, ?) USING TTL ?";
    DaysUp = Read
        "SELECT day, level FROM {ks}.event_days WHERE tenant = ? AND day >= ? AND day <= ? \
         ORDER BY day ASC, level ASC LIMIT ?";
    DaysDown = Read
        "SELECT day, level FROM {ks}.event_days WHERE tenant = ? AND day >= ? AND day <= ? \
         ORDER BY day DESC, level DESC LIMIT ?";
    InsertBucket = Write
        "INSERT INTO {ks}.event_buckets (tenant, day, level, window, shard) VALUES (?, ?, ?, ?, ?) USING TTL ?";
    BucketsUp = Read
        "SELECT window, shard FROM {ks}.event_buckets WHERE tenant = ? AND day = ? AND level = ? \
         AND window >= ? AND window <= ? ORDER BY window ASC, shard ASC LIMIT ?";
    BucketsDown = Read
        "SELECT window, shard FROM {ks}.event_buckets WHERE tenant = ? AND day = ? AND level = ? \
         AND window >= ? AND window <= ? ORDER BY window DESC, shard DESC LIMIT ?";
    Fill = Read
        "SELECT fill FROM {ks}.event_buckets WHERE tenant = ? AND day = ? AND level = ? AND window = ? AND shard = ?";
    SetFill = Write
        "UPDATE {ks}.event_buckets USING TTL ? SET fill = ? WHERE tenant = ? AND day = ? AND level = ? \
         AND window = ? AND shard = ?";

    // -- the tail of each partition of the stream --
    InsertTail = Write
        "INSERT INTO {ks}.stream_tail (stream_partition, minute, written_at, stream_sequence, places) \
         VALUES (?, ?, ?, ?, ?) USING TTL ?";
    InsertTailMinute = Write
        "INSERT INTO {ks}.stream_tail_minutes (stream_partition, minute) VALUES (?, ?) USING TTL ?";
    TailMinutes = Read
        "SELECT minute FROM {ks}.stream_tail_minutes WHERE stream_partition = ? AND minute <= ?";
    TailKeys = Read
        "SELECT written_at, stream_sequence FROM {ks}.stream_tail WHERE stream_partition = ? AND minute = ?";
    Tail = Read
        "SELECT places FROM {ks}.stream_tail WHERE stream_partition = ? AND minute = ? \
         AND (written_at, stream_sequence) <= (?, ?) LIMIT ?";
}

async fn prepare(
    session: &Session,
    text: String,
    profile: ExecutionProfileHandle,
) -> Result<PreparedStatement, Error> {
    let mut prepared = session.prepare(text).await.map_err(|e| failure::of(&e.into()))?;
    // All of them: whatever is inserted is derived from its key, and a mark set twice is set.
    prepared.set_is_idempotent(true);
    prepared.set_execution_profile_handle(Some(profile));
    Ok(prepared)
}

/// Every statement prepared, with how often each was asked for.
#[derive(Debug)]
pub(super) struct Prepared {
    statements: Vec<PreparedStatement>,
    uses: Vec<AtomicU64>,
}

impl Prepared {
    pub(super) async fn new(
        session: &Session,
        keyspace: &str,
        read: &ExecutionProfileHandle,
        write: &ExecutionProfileHandle,
    ) -> Result<Self, Error> {
        let preparing: Vec<_> = ALL
            .iter()
            .map(|(_, kind, text)| {
                let profile = match kind {
                    Kind::Read => read,
                    Kind::Write => write,
                };
                prepare(session, text.replace("{ks}", keyspace), profile.clone())
            })
            .collect();
        let statements = stream::iter(preparing).buffered(8).try_collect().await?;
        let uses = ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Self { statements, uses })
    }

    pub(super) fn get(&self, cql: Cql) -> &PreparedStatement {
        let at = cql as usize;
        self.uses[at].fetch_add(1, Relaxed);
        &self.statements[at]
    }

    /// Each statement's text and how often it was asked for.
    pub(super) fn uses(&self) -> impl Iterator<Item = (&'static str, &PreparedStatement, u64)> {
        let counted = self.statements.iter().zip(&self.uses);
        ALL.iter().zip(counted).map(|((_, _, text), (prepared, uses))| (*text, prepared, uses.load(Relaxed)))
    }
}
