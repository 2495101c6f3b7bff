//! A tenant's dead letters in the stream `DEAD`. Every way in checks the subject, so that no other tenant's
//! letter is ever read, redriven or deleted.

use std::future::IntoFuture as _;

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishAckFuture, stream::RawMessageErrorKind},
};
use bus::{dead, topology::DEAD};
use model::{ErrorCode, Micros, TenantId, Text};
use prost::Message as _;
use proto::hops;
use runtime::{
    metrics::{self, Metric},
    problem::Problem,
};

use crate::{
    app::App,
    error::{not_found, of_broker},
    follow::{Follow, Position, Selection, micros},
    params::Params,
};

/// Letters read from the broker at once.
const PULL_LETTERS: usize = 100;

/// Which letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) stage: Option<Text>,
    pub(crate) code: Option<Text>,
    pub(crate) source: Option<Text>,
    pub(crate) since_us: Option<Micros>,
    pub(crate) until_us: Option<Micros>,
}

/// One letter in its place.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// Its sequence in `DEAD`.
    pub(crate) id: u64,
    /// When the broker stored it.
    pub(crate) stored_at_us: Micros,
    pub(crate) letter: hops::DeadLetter,
}

/// Some letters, oldest first, and after which id to go on.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) letters: Vec<Letter>,
    pub(crate) next: Option<u64>,
}

impl Filter {
    /// Takes `stage`, `code`, `source`, `since` and `until` from the query.
    pub(crate) fn take(params: &mut Params) -> Self {
        let word = |v: &str| {
            let good = !v.is_empty()
                && v.len() <= 64
                && v.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            if good { Ok(Text::from(v)) } else { Err("must be a word".to_owned()) }
        };
        let stage = params.read("stage", word);
        let code = params.read("code", word);
        let source = params.one("source");
        let (since_us, until_us) = params.range();
        Self { stage, code, source, since_us, until_us }
    }

    /// Whether the subject alone decides.
    fn is_subject_only(&self) -> bool {
        let Self { stage: _, code, source, since_us, until_us } = self;
        code.is_none() && source.is_none() && since_us.is_none() && until_us.is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn subject(&self, tenant: &TenantId) -> String {
        dead::subject(self.stage.as_deref().unwrap_or("*"), tenant)
    }

    fn matches(&self, found: &Letter) -> bool {
        let among =
            |wanted: &Option<Text>, value: &[u8]| wanted.as_ref().is_none_or(|w| w.as_bytes() == value);
        among(&self.code, &found.letter.code)
            && among(&self.source, event_source(&found.letter))
            && self.since_us.is_none_or(|t| found.stored_at_us >= t)
    }
}

/// The `source` the event has or would have had.
fn event_source(letter: &hops::DeadLetter) -> &[u8] {
    use hops::raw_item::Item;
    match letter.item.as_ref().and_then(|i| i.item.as_ref()) {
        Some(Item::Event(event)) => &event.source,
        Some(Item::Raw(raw)) => &raw.event_source,
        None => &[],
    }
}

/// One page of a tenant's letters after an id.
pub(crate) async fn page(
    app: &App,
    tenant: &TenantId,
    filter: &Filter,
    after: u64,
    limit: usize,
) -> Result<Page, Problem> {
    let selection = Selection {
        stream: DEAD.to_owned(),
        subjects: vec![filter.subject(tenant)],
        headers_only: false,
        messages_max: limit.clamp(1, PULL_LETTERS),
        bytes_max: app.bus.message_bytes_max() * 2,
    };
    let position = match filter.since_us {
        Some(since_us) if after == 0 => Position::Since(since_us),
        _ => Position::After(after),
    };
    let mut page = Page::default();
    let read = async {
        let mut follow = Follow::open(&app.bus, selection, position).await.map_err(of_broker)?;
        let mut left = follow.pending_at_open();
        let mut scanned = 0;
        while left > 0 {
            if page.letters.len() >= limit || scanned >= app.options.letters_scan_max {
                return Ok(());
            }
            let item = follow.next().await;
            (left, scanned) = (item.pending, scanned + 1);
            // In the order of their times: nothing after this one is asked for.
            if filter.until_us.is_some_and(|until_us| item.stored_at_us >= until_us) {
                break;
            }
            page.next = Some(item.sequence);
            if let Some(letter) = decode(item.sequence, item.stored_at_us, item.message.payload)
                && filter.matches(&letter)
            {
                page.letters.push(letter);
            }
        }
        page.next = None;
        Ok(())
    };
    match tokio::time::timeout(app.options.store_timeout_ms.duration(), read).await {
        Ok(Ok(())) => Ok(page),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(of_broker("dead letters did not arrive in time")),
    }
}

/// The last id there is now.
pub(crate) async fn last_id(app: &App) -> Result<u64, Problem> {
    let stream = app.bus.jetstream().get_stream(DEAD).await.map_err(of_broker)?;
    Ok(stream.cached_info().state.last_sequence)
}

fn decode(id: u64, stored_at_us: Micros, payload: bytes::Bytes) -> Option<Letter> {
    match hops::DeadLetter::decode(payload) {
        Ok(letter) => Some(Letter { id, stored_at_us, letter }),
        Err(error) => {
            tracing::warn!(%error, sequence = id, "not a dead letter among the dead letters");
            None
        }
    }
}

/// One letter of the tenant's.
pub(crate) async fn get(app: &App, tenant: &TenantId, id: &str) -> Result<Letter, Problem> {
    let nothing = || not_found("there is no such dead letter");
    let sequence = id.parse().ok().filter(|n| *n > 0).ok_or_else(nothing)?;
    let stream = app.bus.jetstream().get_stream_no_info(DEAD).await.map_err(of_broker)?;
    let message = match stream.get_raw_message(sequence).await {
        Ok(message) => message,
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Err(nothing()),
        Err(error) => return Err(of_broker(error)),
    };
    let tenant_token = message.subject.rsplit('.').next();
    if tenant_token != Some(tenant.as_str()) {
        return Err(nothing());
    }
    decode(sequence, micros(message.time), message.payload).ok_or_else(nothing)
}

/// Deletes a letter that was read as the tenant's.
pub(crate) async fn delete(app: &App, letter: &Letter) -> Result<(), Problem> {
    forget(app, letter.id).await?;
    metrics::counter(Metric::DeadLettersPurged, &[]).inc();
    Ok(())
}

/// Deletes the tenant's letters that match, all of them where the broker can tell by the subject. Returns how many,
/// and whether there may be more.
pub(crate) async fn purge(app: &App, tenant: &TenantId, filter: &Filter) -> Result<(u64, bool), Problem> {
    let purged = metrics::counter(Metric::DeadLettersPurged, &[]);
    if filter.is_subject_only() {
        let stream = app.bus.jetstream().get_stream_no_info(DEAD).await.map_err(of_broker)?;
        let answer = stream.purge().filter(filter.subject(tenant)).await.map_err(of_broker)?;
        purged.inc_by(answer.purged);
        return Ok((answer.purged, false));
    }
    let (mut deleted, mut after) = (0, 0);
    while deleted < app.options.letters_change_max {
        let room = app.options.letters_change_max - deleted;
        let found = page(app, tenant, filter, after, room.min(PULL_LETTERS)).await?;
        for letter in &found.letters {
            forget(app, letter.id).await?;
            purged.inc();
        }
        deleted += found.letters.len();
        match found.next {
            Some(next) => after = next,
            None => return Ok((deleted as u64, false)),
        }
    }
    Ok((deleted as u64, true))
}

async fn forget(app: &App, id: u64) -> Result<(), Problem> {
    delete_message(app, DEAD, id).await
}

/// Takes a message out of a stream, its bytes written over.
pub(crate) async fn delete_message(app: &App, stream: &str, sequence: u64) -> Result<(), Problem> {
    use async_nats::jetstream::{ErrorCode, stream::DeleteMessageErrorKind};
    let stream = app.bus.jetstream().get_stream_no_info(stream).await.map_err(of_broker)?;
    match stream.delete_message(sequence).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            // Somebody else was quicker.
            DeleteMessageErrorKind::JetStream(e)
                if [ErrorCode::NO_MESSAGE_FOUND, ErrorCode::SEQUENCE_NOT_FOUND].contains(&e.error_code())
                    || e.code() == 404 =>
            {
                Ok(())
            }
            _ => Err(of_broker(error)),
        },
    }
}

/// What a redrive did.
#[derive(Debug, Default)]
pub(crate) struct Redriven {
    pub(crate) letters: u64,
    /// Letters may be left that match.
    pub(crate) more: bool,
    /// What ended it early.
    pub(crate) stopped: Option<Problem>,
}

/// Redrives the tenant's letters that match, oldest first. Letters that come back while it runs are left alone.
pub(crate) async fn redrive_all(app: &App, tenant: &TenantId, filter: &Filter) -> Result<Redriven, Problem> {
    let last = last_id(app).await?;
    let mut done = Redriven::default();
    let mut after = 0;
    loop {
        let room = app.options.letters_change_max - usize::try_from(done.letters).unwrap_or(usize::MAX);
        let mut found = page(app, tenant, filter, after, room.min(PULL_LETTERS)).await?;
        let scanned_all = found.next.is_none_or(|next| next > last);
        // One that holds no event would stop the others for ever.
        found.letters.retain(|found| found.id <= last && found.letter.item.is_some());
        let (redriven, stopped) = redrive(app, &found.letters).await;
        done.letters += redriven;
        if stopped.is_some() {
            (done.more, done.stopped) = (true, stopped);
            return Ok(done);
        }
        if scanned_all {
            return Ok(done);
        }
        if usize::try_from(done.letters).unwrap_or(usize::MAX) >= app.options.letters_change_max {
            done.more = true;
            return Ok(done);
        }
        after = found.next.unwrap_or(last);
    }
}

/// Appends letters to `RAW` again, in order, and deletes each whose append is acknowledged. Returns how many
/// were, and what ended it early.
pub(crate) async fn redrive(app: &App, letters: &[Letter]) -> (u64, Option<Problem>) {
    let mut sent = Vec::with_capacity(letters.len());
    let mut stopped = None;
    for letter in letters {
        match append(app, letter).await {
            Ok(ack) => sent.push((letter, ack)),
            Err(problem) => {
                stopped = Some(problem);
                break;
            }
        }
    }
    let mut redriven = 0;
    for (letter, ack) in sent {
        // Acknowledged twice is appended once: the broker knows the letter by its message id.
        if let Err(error) = ack.into_future().await {
            stopped = Some(of_broker(error));
            break;
        }
        redriven += 1;
        let stage = dead::text(&letter.letter.stage);
        metrics::counter(Metric::DeadLettersRedriven, &[&stage]).inc();
        if let Err(problem) = forget(app, letter.id).await {
            stopped = Some(problem);
            break;
        }
    }
    (redriven, stopped)
}

async fn append(app: &App, letter: &Letter) -> Result<PublishAckFuture, Problem> {
    let hops::DeadLetter { stamp, item, partition, at_us, .. } = &letter.letter;
    let (Some(stamp), Some(item)) = (stamp, item) else {
        return Err(Problem::new(ErrorCode::Unprocessable, "the letter holds no event"));
    };
    let group = hops::RawGroup { stamp: Some(stamp.clone()), items: vec![item.clone()] };
    let batch = hops::RawBatch { groups: vec![group] };
    // The letter's own partition keeps its order with what follows; after a change of the number any will do.
    let subject = format!("raw.{}", partition % app.topology.partitions.max(1));
    let mut headers = HeaderMap::new();
    // The time tells it from a letter of that sequence in a stream that was made anew.
    headers.insert("Nats-Msg-Id", format!("redrive.{}.{at_us}", letter.id).as_str());
    let payload = batch.encode_to_vec();
    let sending = app.bus.jetstream().publish_with_headers(subject, headers, payload.into());
    match tokio::time::timeout(app.options.store_timeout_ms.duration(), sending).await {
        Ok(sent) => sent.map_err(of_broker),
        Err(_) => Err(of_broker("the append could not be sent in time")),
    }
}
