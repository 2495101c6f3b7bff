//! Search by what is in the data: a walk over a tenant's events that does a bounded amount of work and says how far it
//! came. Indexes on data are not kept: type, source, subject and time narrow what is walked.

use std::time::{Duration, Instant};

use model::{Data, Micros, TenantId};
use runtime::problem::Problem;
use serde_json::Value;
use store::{EventPage, EventQuery, StoredEvent};

use crate::app::App;

/// Events asked of the store at a time.
const STEP: u32 = 1_000;

/// A condition on a member of JSON data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// JSON pointer (RFC 6901).
    pointer: String,
    /// What a scalar there must be: a string's text, or a number, `true`, `false`, `null` as JSON writes it.
    value: String,
}

impl Condition {
    /// Takes `<JSON pointer>=<value>`.
    ///
    /// # Errors
    /// What it must be.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = "must be a JSON pointer, =, and a value, such as /order/id=42";
        let (pointer, value) = text.split_once('=').ok_or(form)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(form.to_owned());
        }
        Ok(Self { pointer: pointer.to_owned(), value: value.to_owned() })
    }

    fn holds(&self, data: &Value) -> bool {
        match data.pointer(&self.pointer) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Number(number)) => {
                number.to_string() == self.value
                    || self.value.parse::<serde_json::Number>().is_ok_and(|n| n.as_f64() == number.as_f64())
            }
            Some(Value::Bool(flag)) => self.value == if *flag { "true" } else { "false" },
            Some(Value::Null) => self.value == "null",
            Some(Value::Array(_) | Value::Object(_)) | None => false,
        }
    }
}

/// Whether the event's data is JSON in which all of these hold.
fn holds(conditions: &[Condition], stored: &StoredEvent) -> bool {
    let bytes = match stored.event.data() {
        Some(Data::Text(text)) => text.as_bytes(),
        Some(Data::Binary(bytes)) => bytes,
        Some(Data::Proto(_)) | None => return false,
    };
    serde_json::from_slice::<Value>(bytes).is_ok_and(|data| conditions.iter().all(|c| c.holds(&data)))
}

/// A page of what was found, and how far the search came.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) page: EventPage,
    /// Events looked at.
    pub(crate) scanned: u64,
    /// When the last of them was received.
    pub(crate) reached_us: Option<Micros>,
}

/// Searches until the page is full, the events are at their end, or enough work is done.
pub(crate) async fn page(
    app: &App,
    tenant: &TenantId,
    mut query: EventQuery,
    conditions: &[Condition],
) -> Result<Found, Problem> {
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let (began, budget) = (Instant::now(), Duration::from_millis(app.options.search_ms.0));
    let mut found =
        Found { page: EventPage { events: Vec::new(), next: None }, scanned: 0, reached_us: None };
    loop {
        // Without a cursor the newest end moves while events come in: the first of them gives one, and with that a page asked
        // for again is the same page.
        query.limit = if query.cursor.is_none() { 1 } else { STEP };
        let mut step = app.ask(app.stores.events.page(tenant, &query)).await?;
        let matches = step.events.iter().enumerate().filter(|(_, event)| holds(conditions, event));
        let room = limit - found.page.events.len();
        let taken: Vec<usize> = matches.map(|(index, _)| index).take(room).collect();
        // The page is full somewhere in the middle: the cursor must stand right after its last event.
        if taken.len() == room
            && let Some(last) = taken.last()
            && last + 1 < step.events.len()
        {
            step.events.truncate(last + 1);
            query.limit = u32::try_from(last + 1).unwrap_or(STEP);
            step.next = app.ask(app.stores.events.page(tenant, &query)).await?.next;
        }
        found.scanned += u64::try_from(step.events.len()).unwrap_or_default();
        found.reached_us = step.events.last().map(|e| e.stamp.received_at_us).or(found.reached_us);
        let mut index = 0;
        step.events.retain(|_| {
            index += 1;
            taken.binary_search(&(index - 1)).is_ok()
        });
        found.page.events.append(&mut step.events);
        found.page.next = step.next;
        let enough = found.scanned >= app.options.search_events_max || began.elapsed() >= budget;
        match &found.page.next {
            Some(next) if found.page.events.len() < limit && !enough => query.cursor = Some(next.clone()),
            _ => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_a_pointer_and_a_value() {
        let condition = |pointer: &str, value: &str| {
            Ok(Condition { pointer: pointer.to_owned(), value: value.to_owned() })
        };
        assert_eq!(Condition::parse("/a/b=c=d"), condition("/a/b", "c=d"));
        assert_eq!(Condition::parse("=7"), condition("", "7"));
        for bad in ["", "a=b", "/a"] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scalars_are_compared_by_their_text() {
        let data = serde_json::json!({"s": "7", "n": 7.0, "i": 42, "t": true, "z": null, "l": [1], "a/b": {"": "x"}});
        for (condition, expected) in [
            ("/s=7", true),
            ("/s=8", false),
            ("/n=7", true),
            ("/n=7.0", true),
            ("/i=42", true),
            ("/i=4.2e1", true),
            ("/i=421", false),
            ("/t=true", true),
            ("/t=false", false),
            ("/z=null", true),
            ("/l/0=1", true),
            ("/l=[1]", false),
            ("/a~1b/=x", true),
            ("/nothing=", false),
        ] {
            assert_eq!(Condition::parse(condition).unwrap().holds(&data), expected, "{condition}");
        }
    }
}
