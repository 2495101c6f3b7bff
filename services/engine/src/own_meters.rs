//! What tenants count for themselves: the values of a batch's events, before it is metered. A pure step.

use catalog::{Metering, OwnMeter, Snapshot};
use model::{Batch, CloudEvent, Measuring, Text, Unmetered};
use runtime::metrics::{self, IntCounter, Metric};

/// How many values were not metered, by reason.
#[derive(Debug, Clone)]
pub(crate) struct Counters([IntCounter; 5]);

impl Counters {
    pub(crate) fn new() -> Self {
        let reasons = ["not_json", "missing", "wrong_kind", "negative", "too_large"];
        Self(reasons.map(|reason| metrics::counter(Metric::EngineUnmeteredValues, &[reason])))
    }

    fn count(&self, why: Unmetered) {
        self.0[why as usize].inc();
    }
}

/// Adds to a batch what its tenants' own meters count. One look-up for each request in it; nothing else where a tenant has no
/// meters.
pub(crate) fn measure(snapshot: &Snapshot, batch: &mut Batch, counters: &Counters) {
    let Batch { groups, metered, .. } = batch;
    metered.clear();
    let mut index = 0u32;
    for group in groups {
        let metering = snapshot.metering(&group.stamp.tenant);
        for event in &group.events {
            let values = metering.map(|m| values(m, event, |why| counters.count(why))).unwrap_or_default();
            if !values.is_empty() {
                metered.push((index, values));
            }
            index += 1;
        }
    }
}

/// What the meters count of one event. Its data is read once, and only if one of them looks into it.
fn values(metering: &Metering, event: &CloudEvent, mut skip: impl FnMut(Unmetered)) -> Vec<(Text, u64)> {
    let mut measuring = Measuring::new(event);
    let mut values = Vec::new();
    for OwnMeter { record_name, meter } in metering.of(event.ty()) {
        match measuring.value(meter) {
            Ok(value) => values.push((record_name.clone(), value)),
            Err(why) => skip(why),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Group, Stamp, TenantId};
    use serde_json::{Value, json};

    use super::*;

    fn snapshot() -> Snapshot {
        let meter = |id: &str, more: Value| {
            let mut whole = json!({"tenant": "acme", "id": id, "event_type": "sale"});
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<model::resource::Meter>(whole).unwrap()
        };
        Snapshot::default()
            .with(meter("all", json!({"aggregation": "count", "event_type": null})))
            .with(meter("amount", json!({"aggregation": "sum", "value": "/amount", "scale": 2})))
            .with(meter("discounts", json!({"aggregation": "count", "value": "/discount"})))
    }

    fn batch(events: &[(&str, CloudEvent)]) -> Batch {
        let groups = events.iter().map(|(tenant, event)| {
            let stamp = Stamp {
                tenant: tenant.parse::<TenantId>().unwrap(),
                system: "s".parse().unwrap(),
                source: None,
                customer: None,
                received_at_us: 1,
                traceparent: "".into(),
                protocol: "http".into(),
            };
            Group { stamp: Arc::new(stamp), events: vec![event.clone()] }
        });
        Batch {
            partition: 0,
            sequence: 1,
            stored_at_us: 1,
            raw_sequence: 1,
            raw_stored_at_us: 1,
            normalized_at_us: 1,
            groups: groups.collect(),
            streamed: Vec::new(),
            metered: Vec::new(),
        }
    }

    #[test]
    fn a_batch_carries_what_its_tenants_count() {
        let event = |ty: &str, data: &str| {
            CloudEvent::builder("1", "/s", ty).text("application/json", data.to_owned()).build().unwrap()
        };
        let text =
            CloudEvent::builder("1", "/s", "sale").text("text/plain", "{\"amount\": 1}").build().unwrap();
        let mut batch = batch(&[
            ("globex", event("sale", r#"{"amount": 1}"#)),
            ("acme", event("sale", r#"{"amount": 1.5, "discount": null}"#)),
            ("acme", event("other", "not json")),
            ("acme", text),
            ("acme", event("sale", r#"{"amount": -1}"#)),
        ]);
        measure(&snapshot(), &mut batch, &Counters::new());
        let own = |name: &str, value: u64| (Text::from(format!("own/{name}")), value);
        assert_eq!(batch.metered(0), []);
        assert_eq!(batch.metered(1), [own("all", 1), own("amount", 150), own("discounts", 1)]);
        for index in 2..5 {
            assert_eq!(batch.metered(index), [own("all", 1)], "{index}");
        }
    }

    #[test]
    fn what_is_not_metered_says_why() {
        let snapshot = snapshot();
        let metering = snapshot.metering(&"acme".parse().unwrap()).unwrap();
        let why = |data: &str| {
            let event = CloudEvent::builder("1", "/s", "sale")
                .text("application/json", data.to_owned())
                .build()
                .unwrap();
            let mut found = Vec::new();
            values(metering, &event, |why| found.push(why));
            found
        };
        assert_eq!(why(r#"{"amount": 1, "discount": 0}"#), []);
        assert_eq!(why(r#"{"amount": "1", "discount": 0}"#), [Unmetered::WrongKind]);
        assert_eq!(why(r#"{"amount": -2}"#), [Unmetered::Negative, Unmetered::Missing]);
        assert_eq!(why(r#"{"amount": 1e18, "discount": 0}"#), [Unmetered::TooLarge]);
        assert_eq!(why("{"), [Unmetered::NotJson, Unmetered::NotJson]);
        let bare = model::Data::Text(r#"{"amount": 1, "discount": 0}"#.into());
        let bare = CloudEvent::builder("1", "/s", "sale").data(bare).build().unwrap();
        assert_eq!(
            values(metering, &bare, |why| panic!("{why:?}")).len(),
            3,
            "JSON unless it says otherwise"
        );
    }
}
