//! The pure step: a `RawBatch` and a snapshot of the catalog give an `EventBatch` and dead letters.

use catalog::Snapshot;
use mapping::{Identity, Pairs, Raw};
use model::{CloudEvent, ErrorCode, Micros, SourceId, SystemId, TenantId, Text};
use proto::hops::{self, raw_item::Item};

use crate::{
    schema::{Schemas, Verdict},
    service::NAME,
    sources::Sources,
};

/// Normalizes, and keeps what is compiled from the catalog: mappings and schemas.
#[derive(Debug, Default)]
pub struct Normalizer {
    sources: Sources,
    schemas: Schemas,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Normalized {
    /// What goes on.
    pub batch: hops::EventBatch,
    /// What does not. Place and time are the caller's to fill in.
    pub dead: Vec<hops::DeadLetter>,
    /// CloudEvents that passed unchanged.
    pub passed: u64,
    /// Raw events that were mapped.
    pub mapped: u64,
}

/// Why an item cannot go on.
struct Reject {
    code: ErrorCode,
    reason: String,
}

impl Reject {
    fn internal(reason: impl Into<String>) -> Self {
        Self { code: ErrorCode::Internal, reason: reason.into() }
    }
}

/// Whose events these are, as far as normalizing needs it.
struct Scope<'a> {
    snapshot: &'a Snapshot,
    tenant: TenantId,
    system: SystemId,
    source: Option<SourceId>,
    received_at_us: Micros,
}

impl Normalizer {
    /// Normalizes each item of a batch, in order.
    pub fn normalize(&mut self, raw: hops::RawBatch, snapshot: &Snapshot) -> Normalized {
        let mut out = Normalized::default();
        let mut index = 0;
        for group in raw.groups {
            let scope = scope(group.stamp.as_ref(), snapshot);
            let mut events = Vec::with_capacity(group.items.len());
            for item in group.items {
                let result = match &scope {
                    Ok(scope) => self.item(item, scope, &mut out),
                    Err(reason) => Err(Box::new((Reject::internal(reason.clone()), item))),
                };
                match result {
                    Ok(event) => events.push(event),
                    Err(rejected) => {
                        let (reject, item) = *rejected;
                        out.dead.push(letter(group.stamp.clone(), item, index, reject));
                    }
                }
                index += 1;
            }
            if !events.is_empty() {
                out.batch.groups.push(hops::EventGroup { stamp: group.stamp, events });
            }
        }
        out
    }

    fn item(
        &mut self,
        item: hops::RawItem,
        scope: &Scope<'_>,
        out: &mut Normalized,
    ) -> Result<hops::Event, Box<(Reject, hops::RawItem)>> {
        match item.item {
            Some(Item::Event(event)) => match self.check_wire(scope, &event) {
                Ok(()) => {
                    out.passed += 1;
                    Ok(event)
                }
                Err(reject) => Err(Box::new((reject, hops::RawItem { item: Some(Item::Event(event)) }))),
            },
            Some(Item::Raw(raw)) => match self.map(scope, &raw) {
                Ok(event) => {
                    out.mapped += 1;
                    Ok(event)
                }
                Err(reject) => Err(Box::new((reject, hops::RawItem { item: Some(Item::Raw(raw)) }))),
            },
            None => Err(Box::new((Reject::internal("the item is empty"), item))),
        }
    }

    /// A CloudEvent goes on as it is; it is decoded only when its event type has a schema.
    fn check_wire(&mut self, scope: &Scope<'_>, event: &hops::Event) -> Result<(), Reject> {
        let ty = std::str::from_utf8(&event.r#type).map_err(|_| Reject::internal("the type is not UTF-8"))?;
        let Some(event_type) = scope.snapshot.event_type(&scope.tenant, ty).filter(|t| t.schema.is_some())
        else {
            return Ok(());
        };
        let event = CloudEvent::try_from(event.clone()).map_err(|e| Reject::internal(e.to_string()))?;
        verdict(self.schemas.check(event_type, &event))
    }

    fn map(&mut self, scope: &Scope<'_>, raw: &hops::RawEvent) -> Result<hops::Event, Reject> {
        let text = |field: &bytes::Bytes| {
            Text::try_from(field.clone()).map_err(|_| Reject::internal("identity is not UTF-8"))
        };
        let source = scope.source.as_ref().and_then(|s| scope.snapshot.source(&scope.tenant, s));
        let mapping = self.sources.mapping(&scope.tenant, &scope.system, source);
        let identity = Identity {
            id: text(&raw.id)?,
            source: text(&raw.event_source)?,
            partition_key: if raw.partition_key.is_empty() { None } else { Some(text(&raw.partition_key)?) },
        };
        let headers = Pairs::new(&raw.headers, |h: &hops::Header| (&h.name, &h.value));
        let query = std::str::from_utf8(&raw.query).unwrap_or_default();
        let event = mapping
            .apply(&Raw::new(&headers, query, &raw.body), &identity, scope.received_at_us)
            .map_err(|e| Reject { code: ErrorCode::Unprocessable, reason: e.to_string() })?;
        if let Some(event_type) = scope.snapshot.event_type(&scope.tenant, event.ty()) {
            verdict(self.schemas.check(event_type, &event))?;
        }
        Ok(hops::Event::from(&event))
    }
}

fn verdict(verdict: Verdict) -> Result<(), Reject> {
    match verdict {
        Verdict::Follows => Ok(()),
        Verdict::Breaks(reason) => Err(Reject { code: ErrorCode::SchemaViolation, reason }),
    }
}

fn scope<'a>(stamp: Option<&hops::Stamp>, snapshot: &'a Snapshot) -> Result<Scope<'a>, String> {
    let stamp = stamp.ok_or("the group has no stamp")?;
    let text =
        |field: &bytes::Bytes| Text::try_from(field.clone()).map_err(|_| "the stamp is not UTF-8".to_owned());
    let source = if stamp.source.is_empty() { None } else { Some(text(&stamp.source)?) };
    Ok(Scope {
        snapshot,
        tenant: TenantId::from_text(text(&stamp.tenant)?).map_err(|e| e.to_string())?,
        system: SystemId::from_text(text(&stamp.system)?).map_err(|e| e.to_string())?,
        source: source.map(SourceId::from_text).transpose().map_err(|e| e.to_string())?,
        received_at_us: stamp.received_at_us,
    })
}

fn letter(stamp: Option<hops::Stamp>, item: hops::RawItem, index: u32, reject: Reject) -> hops::DeadLetter {
    hops::DeadLetter {
        stamp,
        item: Some(item),
        stage: NAME.into(),
        code: reject.code.as_str().into(),
        reason: reject.reason.into(),
        index,
        ..Default::default()
    }
}
