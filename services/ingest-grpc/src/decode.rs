//! Protobuf CloudEvents → items to append. Pure.

use bus::Placed;
use catalog::Shortcut;
use model::{CloudEvent, EventLimits, InvalidEvent, OverLimit};
use proto::{cloudevents as ce, v1};

/// One good event.
#[derive(Debug)]
pub(crate) struct Good {
    pub(crate) placed: Placed,
    pub(crate) named: v1::EventRef,
    /// Attributes and data.
    pub(crate) bytes: usize,
}

/// Why an event is not accepted.
#[derive(Debug)]
pub(crate) enum Bad {
    /// It breaks a rule of CloudEvents.
    Invalid(InvalidEvent),
    /// It is over a limit.
    Large(OverLimit),
}

/// Checks one event; its `partitionkey` places it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn event(wire: ce::CloudEvent, limits: &EventLimits, shortcut: Shortcut<'_>) -> Result<Good, Bad> {
    let event = CloudEvent::try_from(wire).map_err(Bad::Invalid)?;
    limits.check(&event).map_err(Bad::Large)?;
    Ok(Good {
        bytes: event.size(),
        named: v1::EventRef { source: event.source().to_string(), id: event.id().to_string() },
        placed: Placed::event(&event, |keyed| shortcut.is_open(event.ty(), keyed)),
    })
}

/// What becomes of several events: the good ones to append, and for each of all, in order, its result if the good
/// ones are kept.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) placed: Vec<Placed>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) bytes: usize,
}

/// The result of one event, as far as it is known.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Good: accepted when the broker has it.
    Good(v1::EventRef),
    /// Refused.
    Bad(Bad),
}

/// Checks each event.
pub(crate) fn events(wire: Vec<ce::CloudEvent>, limits: &EventLimits, shortcut: Shortcut<'_>) -> Sorted {
    let mut sorted =
        Sorted { placed: Vec::with_capacity(wire.len()), outcomes: Vec::with_capacity(wire.len()), bytes: 0 };
    for wire in wire {
        sorted.outcomes.push(match event(wire, limits, shortcut) {
            Ok(good) => {
                sorted.placed.push(good.placed);
                sorted.bytes += good.bytes;
                Outcome::Good(good.named)
            }
            Err(bad) => Outcome::Bad(bad),
        });
    }
    sorted
}

#[cfg(test)]
mod tests {
    use model::AttributeValue;

    use super::*;

    const LIMITS: EventLimits = EventLimits {
        event_bytes_max: 1_000,
        attribute_bytes_max: 100,
        attributes_bytes_max: 400,
        extensions_max: 4,
    };

    fn wire(id: &str, key: Option<&str>) -> ce::CloudEvent {
        let event = CloudEvent::builder(id.to_owned(), "/s", "t");
        let event = match key {
            Some(key) => event.extension("partitionkey", AttributeValue::String(key.into())),
            None => event,
        };
        ce::CloudEvent::from(&event.build().unwrap())
    }

    #[test]
    fn good_beside_bad_keeps_its_place() {
        let bad = ce::CloudEvent { source: String::new(), ..wire("2", None) };
        let wires = vec![wire("1", Some("k")), bad, wire("3", None), wire(&"4".repeat(101), None)];
        let snapshot = catalog::Snapshot::default();
        let sorted = events(wires, &LIMITS, snapshot.shortcut(&"acme".parse().unwrap()));
        assert_eq!(sorted.placed.iter().map(|p| p.key.as_deref()).collect::<Vec<_>>(), [Some("k"), None]);
        assert!(matches!(&*sorted.outcomes, [
            Outcome::Good(a),
            Outcome::Bad(Bad::Invalid(invalid)),
            Outcome::Good(c),
            Outcome::Bad(Bad::Large(large)),
        ] if a.id == "1" && c.id == "3" && invalid.attribute == "source" && large.attribute == "id"));
        assert!(sorted.bytes > 0);
    }
}
