//! Server-sent events (WHATWG HTML, section 9.2): a subscription as the body of an answer.

use std::convert::Infallible;

use auth::Caller;
use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, stream::BoxStream};
use model::{CloudEvent, json};
use runtime::{
    metrics::{self, IntCounter, Metric},
    problem::Problem,
};

use crate::{
    app::{App, StreamSlot},
    handing,
    history::{History, Position, Step},
    reader::Reader,
    subscription::Gap,
};

/// Events that are there already are sent together up to this size.
const CHUNK_BYTES: usize = 64 << 10;

/// A stream of events under way.
struct Sse {
    app: App,
    reader: Reader,
    steps: BoxStream<'static, Result<Step, Problem>>,
    /// The last position reached, and the last one the client has been told.
    position: Option<Position>,
    told: Option<Position>,
    sent: IntCounter,
    /// What the client gets first.
    opening: Option<Vec<u8>>,
    slot: StreamSlot,
}

/// The body: chunks of whole messages. It makes the next chunk when the last one has been taken, so that a slow
/// reader slows down reading at the broker and nothing gathers here.
pub(crate) fn body(
    app: App,
    caller: Caller,
    slot: StreamSlot,
    history: History,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let opening = opening(app.options.stream_retry_ms.0, &history);
    let sse = Sse {
        app,
        reader: Reader::new(caller),
        steps: history.steps,
        position: history.position.clone(),
        told: history.position,
        sent: metrics::counter(Metric::ApiStreamedEvents, &["sse"]),
        opening: Some(opening),
        slot,
    };
    futures::stream::unfold(sse, |mut sse| async {
        let chunk = sse.chunk().await?;
        Some((Ok(chunk.into()), sse))
    })
}

impl Sse {
    /// The next chunk; none when the stream is to end.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        let heartbeat = tokio::time::sleep(self.app.options.stream_heartbeat_ms.duration());
        tokio::pin!(heartbeat);
        let draining = self.app.draining.clone();
        let mut chunk = Vec::new();
        loop {
            let step = tokio::select! {
                biased;
                () = draining.cancelled() => return None,
                step = self.steps.next() => step?,
                () = &mut heartbeat => return self.heartbeat().await,
            };
            self.take(step, &mut chunk).await?;
            while chunk.len() < CHUNK_BYTES
                && let Some(step) = self.steps.next().now_or_never()
            {
                self.take(step?, &mut chunk).await?;
            }
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
    }

    /// None when the caller may no longer read.
    async fn take(&mut self, step: Result<Step, Problem>, chunk: &mut Vec<u8>) -> Option<()> {
        let Step { position, event, traceparent } = match step {
            Ok(step) => step,
            Err(problem) => {
                // The client comes back to where it was.
                tracing::warn!(detail = problem.detail, "a stream of events is interrupted");
                return None;
            }
        };
        if position.is_some() {
            self.position.clone_from(&position);
        }
        let Some(event) = event else {
            // The end of what is read at once from the store: only now there is a place to come back to.
            if let Some(Position::Stored(_)) = &position {
                self.told.clone_from(&self.position);
                chunk.extend(self.position.iter().flat_map(|p| format!("id: {p}\n\n").into_bytes()));
            }
            return Some(());
        };
        if !self.reader.is_admitted(&self.app).await {
            return None;
        }
        let span = handing::begin(&self.reader, "sse", traceparent.as_ref(), &event);
        let from = chunk.len();
        if span.is_some() {
            // A field that a reader of server-sent events passes over unless it looks for it.
            chunk.extend_from_slice(
                format!("traceparent: {}\n", handing::traceparent(span.as_ref())).as_bytes(),
            );
        }
        message(chunk, position.as_ref(), &event);
        self.slot.sent(chunk.len() - from);
        self.told.clone_from(&self.position);
        self.sent.inc();
        Some(())
    }

    /// Keeps the connection alive, and tells how far reading has come where other sources' events went by: a
    /// message without data only sets the last event id.
    async fn heartbeat(&mut self) -> Option<Vec<u8>> {
        if !self.reader.is_admitted(&self.app).await {
            return None;
        }
        let moved = self.position.clone().filter(|_| self.position != self.told);
        self.told.clone_from(&self.position);
        Some(moved.map_or_else(|| b":\n\n".to_vec(), |position| format!(":\nid: {position}\n\n").into()))
    }
}

/// When to come back, from where (so that a client that has not received anything yet misses nothing), and what
/// is missing.
fn opening(retry_ms: u64, history: &History) -> Vec<u8> {
    let mut text = format!("retry: {retry_ms}\n");
    if let Some(position) = &history.position {
        text.push_str(&format!("id: {position}\n"));
    }
    text.push('\n');
    if let Some(Gap { requested, first, last }) = history.gap {
        text.push_str(&format!(
            "event: gap\ndata: {{\"requested\":{requested},\"first\":{first},\"last\":{last}}}\n\n"
        ));
    }
    text.into()
}

fn message(out: &mut Vec<u8>, position: Option<&Position>, event: &CloudEvent) {
    if let Some(position) = position {
        out.extend_from_slice(format!("id: {position}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    let from = out.len();
    json::encode_into(event, out);
    // A line break in JSON text stands between tokens: inside a string it must be escaped.
    for byte in &mut out[from..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = CloudEvent::builder("1", "/s", "t")
            .text("application/json", "{\r\n  \"a\": \"x\\ny\"\n}")
            .build()
            .unwrap();
        let mut out = Vec::new();
        message(&mut out, Some(&Position::Streamed(7.into())), &event);
        let text = String::from_utf8(out).unwrap();
        let data = text.strip_prefix("id: 7\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        assert!(!data.contains(['\n', '\r']));
        let json: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(json["data"]["a"], "x\ny");
    }

    #[test]
    fn the_opening_tells_where_to_resume_and_what_is_missing() {
        let steps = || futures::stream::pending().boxed();
        let plain = History { position: Some(Position::Streamed(5.into())), gap: None, steps: steps() };
        assert_eq!(opening(2_000, &plain), b"retry: 2000\nid: 5\n\n");
        let gap = Gap { requested: 3, first: 10, last: 20 };
        let gap = History { position: None, gap: Some(gap), steps: steps() };
        let expected = "retry: 1\n\nevent: gap\ndata: {\"requested\":3,\"first\":10,\"last\":20}\n\n";
        assert_eq!(opening(1, &gap), expected.as_bytes());
    }
}
