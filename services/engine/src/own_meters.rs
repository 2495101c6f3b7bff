//! What tenants count for themselves: the values of a batch's events, before it is metered. A pure step.

use std::hash::Hasher as _;

use catalog::{Metering, OwnMeter, Snapshot};
use model::{Batch, CloudEvent, Text, resource::Aggregation};
use runtime::metrics::{self, IntCounter, Metric};
use serde_json::{Number, Value};
use siphasher::sip::SipHasher24;

/// Why a value is not metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmetered {
    /// The data is not JSON.
    NotJson,
    /// There is nothing where it should be.
    Missing,
    /// It is no number; of [`Aggregation::Unique`], it is an object or a list.
    WrongKind,
    /// It is below 0.
    Negative,
    /// With its decimals it has more than 64 bits.
    TooLarge,
}

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
    let mut read: Option<Result<Value, Unmetered>> = None;
    let mut values = Vec::new();
    for OwnMeter { record_name, meter } in metering.of(event.ty()) {
        let value = match &meter.value {
            None => Ok(1),
            Some(pointer) => match read.get_or_insert_with(|| data(event)) {
                Ok(data) => data
                    .pointer(pointer)
                    .ok_or(Unmetered::Missing)
                    .and_then(|value| measured(value, meter.aggregation, meter.scale)),
                Err(why) => Err(*why),
            },
        };
        match value {
            Ok(value) => values.push((record_name.clone(), value)),
            Err(why) => skip(why),
        }
    }
    values
}

fn data(event: &CloudEvent) -> Result<Value, Unmetered> {
    // Data without a media type is JSON (CloudEvents JSON format, section 3.1).
    if !event.has_json_content_type() && event.datacontenttype().is_some() {
        return Err(Unmetered::NotJson);
    }
    let data = event.data().ok_or(Unmetered::Missing)?;
    serde_json::from_slice(data.as_bytes()).map_err(|_| Unmetered::NotJson)
}

fn measured(value: &Value, aggregation: Aggregation, scale: u8) -> Result<u64, Unmetered> {
    match aggregation {
        Aggregation::Count => Ok(1),
        Aggregation::Unique => fingerprint(value),
        Aggregation::Sum | Aggregation::Max | Aggregation::Latest => match value {
            Value::Number(number) => scaled(number, scale),
            Value::Null => Err(Unmetered::Missing),
            _ => Err(Unmetered::WrongKind),
        },
    }
}

/// Stands for a value. Two of 64 bits are the same by accident once in some 10^19 pairs. The kinds are told apart: `"1"` is not
/// `1`. The key is no secret: a tenant that makes its values collide counts itself less.
fn fingerprint(value: &Value) -> Result<u64, Unmetered> {
    let mut hasher = SipHasher24::new();
    match value {
        Value::String(text) => {
            hasher.write_u8(b's');
            hasher.write(text.as_bytes());
        }
        Value::Number(number) => {
            hasher.write_u8(b'n');
            hasher.write(number.to_string().as_bytes());
        }
        Value::Bool(bit) => hasher.write(if *bit { b"bt" } else { b"bf" }),
        Value::Null => return Err(Unmetered::Missing),
        Value::Array(_) | Value::Object(_) => return Err(Unmetered::WrongKind),
    }
    Ok(hasher.finish())
}

/// A number times ten to the power of `scale`, the rest cut off. By its decimal digits, so that 0.29 with two decimals is 29: as a
/// binary fraction it is a little less.
fn scaled(number: &Number, scale: u8) -> Result<u64, Unmetered> {
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| Unmetered::TooLarge)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_zero = mantissa.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'));
    if is_zero {
        return Ok(0);
    }
    if whole.starts_with('-') {
        return Err(Unmetered::Negative);
    }
    let digits = whole.bytes().chain(fraction.bytes()).map(|b| u64::from(b - b'0'));
    // Digits that stand before the point, once it is moved.
    let kept =
        i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent).saturating_add(scale.into());
    if kept > 400 {
        return Err(Unmetered::TooLarge);
    }
    let kept = usize::try_from(kept).unwrap_or(0);
    let all = digits.chain(std::iter::repeat(0)).take(kept);
    all.into_iter()
        .try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(digit))
        .ok_or(Unmetered::TooLarge)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Group, Stamp, TenantId};
    use serde_json::json;

    use super::*;

    fn number(text: &str, scale: u8) -> Result<u64, Unmetered> {
        measured(&serde_json::from_str(text).unwrap(), Aggregation::Sum, scale)
    }

    #[test]
    fn numbers_keep_their_decimals_and_no_more() {
        for (text, scale, want) in [
            ("0", 0, 0),
            ("-0", 2, 0),
            ("-0.0", 6, 0),
            ("12", 0, 12),
            ("12", 6, 12_000_000),
            ("12.345", 2, 1_234),
            ("12.999", 0, 12),
            ("0.29", 2, 29),
            ("1.005", 3, 1_005),
            ("0.009", 2, 0),
            ("1e3", 0, 1_000),
            ("1.5e-3", 4, 15),
            ("1e-300", 6, 0),
            ("18446744073709551615", 0, u64::MAX),
            ("1e19", 0, 10_000_000_000_000_000_000),
        ] {
            assert_eq!(number(text, scale), Ok(want), "{text} with {scale}");
        }
        for (text, scale, why) in [
            ("-1", 0, Unmetered::Negative),
            ("-0.001", 0, Unmetered::Negative),
            ("18446744073709551616", 0, Unmetered::TooLarge),
            ("18446744073709551615", 1, Unmetered::TooLarge),
            ("1e300", 0, Unmetered::TooLarge),
            ("\"12\"", 0, Unmetered::WrongKind),
            ("true", 0, Unmetered::WrongKind),
            ("[1]", 0, Unmetered::WrongKind),
            ("null", 0, Unmetered::Missing),
        ] {
            assert_eq!(number(text, scale), Err(why), "{text} with {scale}");
        }
    }

    #[test]
    fn values_are_told_apart_and_known_again() {
        let of = |text: &str| fingerprint(&serde_json::from_str(text).unwrap());
        let all = ["\"1\"", "1", "\"\"", "true", "false", "\"true\"", "1.5", "-1", "\"n1\""];
        let prints: std::collections::BTreeSet<_> = all.iter().map(|text| of(text).unwrap()).collect();
        assert_eq!(prints.len(), all.len());
        assert_eq!(of("\"\\u0061\""), of("\"a\""));
        // What records hold must mean the same for ever.
        assert_eq!(of("\"a\"").unwrap(), 18_000_073_569_580_711_833);
        assert_eq!(of("{}"), Err(Unmetered::WrongKind));
        assert_eq!(of("null"), Err(Unmetered::Missing));
    }

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
