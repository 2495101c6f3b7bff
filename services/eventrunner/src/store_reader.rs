//! Reads the stores for `eventrunner backup`, through the broker: the embedded one belongs to the process that runs, and the
//! addresses and passwords of external ones are known to it.
//!
//! A page is asked for on a subject of the fleet's own account, to which nobody else may publish. The answer is its lines, as in an archive,
//! in as many messages as they need; the last one says where the next page begins.

use ::backup::Stored;
use async_nats::{HeaderMap, Message, Subject};
use bus::Bus;
use bytes::Bytes;
use futures::StreamExt as _;
use model::TenantId;
use runtime::lifecycle::Context;
use serde::{Deserialize, Serialize};
use store::{Cursor, EventQuery, Order, Stores, UsageQuery};

use crate::commands::archive::format;

/// Where pages are asked for.
pub(crate) const SUBJECT: &str = "eventrunner.internal.stores.page";
/// Of the processes that could answer, one does.
const GROUP: &str = "stores";
/// Says that a message is the last of an answer.
pub(crate) const LAST: &str = "last";
/// Where the next page begins.
pub(crate) const NEXT: &str = "next";
/// In how many messages it came: one that was lost on the way is missed.
pub(crate) const PARTS: &str = "parts";
/// Why there is no page.
pub(crate) const ERROR: &str = "error";
/// The largest part of an answer, in bytes, unless one line is larger.
const PART_BYTES: usize = 256 << 10;
/// Most lines of a page.
const LINES_MAX: u32 = 2_000;

/// A page that is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) kind: Stored,
    pub(crate) tenant: TenantId,
    pub(crate) cursor: Option<String>,
    /// Most lines.
    pub(crate) limit: u32,
}

/// Answers until the process drains, a page at a time.
pub(crate) fn start(bus: &Bus, stores: Stores, context: &Context) {
    let (bus, draining) = (bus.clone(), context.shutdown().draining.clone());
    context.spawn(async move {
        let mut asked = match bus.client().queue_subscribe(SUBJECT, GROUP.to_owned()).await {
            Ok(asked) => asked,
            Err(error) => return tracing::warn!(%error, "the stores cannot be backed up from here"),
        };
        loop {
            tokio::select! {
                () = draining.cancelled() => return,
                message = asked.next() => match message {
                    Some(message) => answer(&bus, &stores, message).await,
                    None => return,
                },
            }
        }
    });
}

async fn answer(bus: &Bus, stores: &Stores, message: Message) {
    let Some(to) = message.reply else { return };
    let page = match serde_json::from_slice(&message.payload) {
        Ok(ask) => page(stores, ask).await,
        Err(error) => Err(format!("the request is not understood: {error}")),
    };
    let sent = match page {
        Ok(page) => send(bus, to, page).await,
        Err(reason) => {
            let reason = reason.replace(['\r', '\n'], " ");
            bus.client()
                .publish_with_headers(to, headers(&[(LAST, ""), (ERROR, &reason)]), Bytes::new())
                .await
        }
    };
    if let Err(error) = sent {
        tracing::warn!(%error, "a page of the stores could not be sent");
    }
}

/// A page: its lines, and where the next one begins.
struct Page {
    lines: Vec<String>,
    next: Option<Cursor>,
}

async fn page(stores: &Stores, ask: Ask) -> Result<Page, String> {
    let Ask { kind, tenant, cursor, limit } = ask;
    let (cursor, limit) = (cursor.map(Cursor), limit.clamp(1, LINES_MAX));
    let lines = match kind {
        Stored::Events => {
            let query = EventQuery { order: Order::OldestFirst, limit, cursor, ..EventQuery::default() };
            let page = stores.events.page(&tenant, &query).await.map_err(|e| e.to_string())?;
            (page.events.iter().map(format::event_line).collect::<Result<_, _>>(), page.next)
        }
        Stored::Usage => {
            let query = UsageQuery { limit, cursor, ..UsageQuery::default() };
            let page = stores.usage.list(&tenant, &query).await.map_err(|e| e.to_string())?;
            (page.records.iter().map(format::usage_line).collect::<Result<_, _>>(), page.next)
        }
    };
    let (lines, next) = lines;
    Ok(Page { lines: lines.map_err(|failure: crate::exit::Failure| failure.message)?, next })
}

async fn send(bus: &Bus, to: Subject, page: Page) -> Result<(), async_nats::PublishError> {
    let (mut part, mut parts) = (Vec::new(), 1u32);
    for line in page.lines {
        if !part.is_empty() && part.len() + line.len() > PART_BYTES {
            bus.client().publish(to.clone(), std::mem::take(&mut part).into()).await?;
            parts += 1;
        }
        part.extend_from_slice(line.as_bytes());
        part.push(b'\n');
    }
    let next = page.next.map(|Cursor(text)| text);
    let parts = parts.to_string();
    let mut said = vec![(LAST, ""), (PARTS, &parts)];
    said.extend(next.as_deref().map(|next| (NEXT, next)));
    bus.client().publish_with_headers(to, headers(&said), part.into()).await
}

fn headers(said: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in said {
        headers.insert(*name, *value);
    }
    headers
}
