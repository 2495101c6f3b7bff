//! Reading the audit: a tenant's records, oldest first, as the stream has them.

use bus::topology::{AUDIT, audit_subject};
use model::{Micros, TenantId};
use runtime::problem::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    app::App,
    error::of_broker,
    follow::{Follow, Item, Position, Selection},
    params::Params,
};

/// Records read from the broker at once.
const PULL_RECORDS: usize = 100;

/// Which records.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    kinds: Vec<model::Text>,
    ids: Vec<model::Text>,
    actions: Vec<model::Text>,
    outcomes: Vec<&'static str>,
    actors: Vec<model::Text>,
    since_us: Option<Micros>,
    until_us: Option<Micros>,
}

/// One page, and after which sequence to go on.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Box<RawValue>>,
    pub(crate) next: Option<u64>,
}

/// What filters look at.
#[derive(Debug, Deserialize)]
struct Record {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    outcome: String,
    action: String,
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    actor: Option<Actor>,
}

#[derive(Debug, Deserialize)]
struct Actor {
    kind: String,
    id: String,
}

impl Actor {
    /// By its id, or by `key:<id>` or `user:<id>`.
    fn is_one_of(&self, wanted: &[model::Text]) -> bool {
        let named = |text: &str| {
            text.strip_prefix(&*self.kind).and_then(|rest| rest.strip_prefix(':')) == Some(&*self.id)
        };
        wanted.iter().any(|text| **text == *self.id || named(text))
    }
}

/// What `outcome` may say.
pub(crate) const OUTCOMES: [&str; 3] = ["announced", "done", "refused"];

impl Filter {
    /// Takes its parameters out of the query.
    pub(crate) fn take(params: &mut Params) -> Self {
        let outcome = |text: &str| {
            let known = OUTCOMES.into_iter().find(|o| *o == text);
            known.ok_or_else(|| format!("must be one of: {}", OUTCOMES.join(", ")))
        };
        let (since_us, until_us) = params.range();
        Self {
            kinds: params.many("kind"),
            ids: params.many("id"),
            actions: params.many("action"),
            outcomes: params.many_read("outcome", outcome),
            actors: params.many("actor"),
            since_us,
            until_us,
        }
    }

    fn matches(&self, payload: &[u8]) -> bool {
        fn among<T: AsRef<str>>(wanted: &[T], value: Option<&str>) -> bool {
            wanted.is_empty() || wanted.iter().any(|w| Some(w.as_ref()) == value)
        }
        let Ok(Record { data }) = serde_json::from_slice(payload) else { return false };
        among(&self.kinds, Some(&data.kind))
            && among(&self.ids, data.id.as_deref())
            && among(&self.actions, Some(&data.action))
            && among(&self.outcomes, Some(&data.outcome))
            && (self.actors.is_empty() || data.actor.is_some_and(|actor| actor.is_one_of(&self.actors)))
    }

    fn is_over(&self, item: &Item) -> bool {
        // In the order of their times: nothing after this one is asked for.
        self.until_us.is_some_and(|until_us| item.stored_at_us >= until_us)
    }
}

/// One page of a tenant's records after a sequence.
///
/// # Errors
/// If the broker does not answer in time.
pub(crate) async fn page(
    app: &App,
    tenant: &TenantId,
    filter: &Filter,
    after: u64,
    limit: usize,
) -> Result<Page, Problem> {
    let reading = read(app, tenant, filter, after, limit);
    let page = tokio::time::timeout(app.options.store_timeout_ms.duration(), reading).await;
    page.unwrap_or_else(|_| Err(of_broker("audit records did not arrive in time")))
}

async fn read(
    app: &App,
    tenant: &TenantId,
    filter: &Filter,
    after: u64,
    limit: usize,
) -> Result<Page, Problem> {
    let mut subjects = vec![audit_subject(Some(tenant))];
    if tenant.is_fleet() {
        // What was refused to whom nobody knows concerns nobody else.
        subjects.push(audit_subject(None));
    }
    let selection = Selection {
        stream: AUDIT.to_owned(),
        subjects,
        headers_only: false,
        messages_max: limit.clamp(1, PULL_RECORDS),
        bytes_max: app.bus.message_bytes_max() * 2,
    };
    let position = match filter.since_us {
        Some(since_us) if after == 0 => Position::Since(since_us),
        _ => Position::After(after),
    };
    let mut page = Page::default();
    let mut follow = Follow::open(&app.bus, selection, position).await.map_err(of_broker)?;
    let (mut left, mut scanned) = (follow.pending_at_open(), 0);
    while left > 0 {
        if page.records.len() >= limit || scanned >= app.options.audit_scan_max {
            return Ok(page);
        }
        let item = follow.next().await;
        (left, scanned) = (item.pending, scanned + 1);
        if filter.is_over(&item) {
            break;
        }
        page.next = Some(item.sequence);
        if filter.matches(&item.message.payload)
            && let Ok(record) = serde_json::from_slice::<Box<RawValue>>(&item.message.payload)
        {
            page.records.push(record);
        }
    }
    page.next = None;
    Ok(page)
}
