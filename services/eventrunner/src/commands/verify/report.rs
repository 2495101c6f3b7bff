//! What is told in the end.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use oracle::{Place, Run, Verdict, Where, now_ms};
use serde::Serialize;

use crate::{
    exit::{Code, Failure, Result},
    output::{Column, Format, Output, item, print},
};

/// Ids of missing events that are told of a place.
const MISSING_MAX: usize = 3;

/// What was found in one place.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    place: &'static str,
    /// None: it could not be read.
    #[serde(flatten)]
    verdict: Option<Verdict>,
    /// Behind a later event of their partition key; the tenant stream has an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_order: Option<u64>,
    /// Ids of some that are lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    tenant: String,
    events: u64,
    promised: u64,
    /// Summed over the places that could be read.
    lost: u64,
    doubled: u64,
    altered: u64,
    out_of_order: u64,
    places: Vec<Seen>,
    /// Until the last promise, if all were given.
    promised_ms: Option<u64>,
    /// Until everything was everywhere, if it ever was.
    everywhere_ms: Option<u64>,
    /// What ended the wait, where it was not that.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// What the door answered otherwise, for people.
    #[serde(skip)]
    answers: String,
}

const COLUMNS: &[Column] = &[
    Column("place", "/place"),
    Column("found", "/found"),
    Column("lost", "/lost"),
    Column("doubled", "/doubled"),
    Column("altered", "/altered"),
    Column("out of order", "/out_of_order"),
];

impl Seen {
    /// A place that was read to its end.
    pub(super) fn read(place: Where, run: &Run, found: &Place<'_>) -> Self {
        let missing = found.missing(&run.ledger).take(MISSING_MAX).map(|number| run.load.id_of(number));
        Self {
            place: place.name(),
            verdict: Some(found.verdict()),
            out_of_order: (place == Where::TenantStream).then(|| found.out_of_order()),
            missing: missing.collect(),
            unread: None,
        }
    }

    /// A place that was not.
    pub(super) fn unread(place: Where, why: String) -> Self {
        Self {
            place: place.name(),
            verdict: None,
            out_of_order: None,
            missing: Vec::new(),
            unread: Some(why),
        }
    }

    /// Events that are not there, if that is known.
    pub(super) fn lost(&self) -> Option<u64> {
        self.verdict.map(|verdict| verdict.lost)
    }

    /// What is wrong with it, in a line.
    fn fault(&self) -> Option<String> {
        let Some(verdict) = self.verdict else {
            return Some(format!("{}: {}", self.place, self.unread.as_deref().unwrap_or("not read")));
        };
        let Verdict { lost, doubled, altered, .. } = verdict;
        let counts = [
            (lost, "lost"),
            (doubled, "doubled"),
            (altered, "altered"),
            (self.out_of_order.unwrap_or_default(), "out of order"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let mut parts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        if !self.missing.is_empty() {
            parts.push(format!("missing are {}", self.missing.join(", ")));
        }
        (!parts.is_empty()).then(|| format!("{}: {}", self.place, parts.join(", ")))
    }
}

impl Report {
    pub(super) fn new(
        tenant: String,
        run: &Run,
        seen: [Seen; 3],
        everywhere: Option<Duration>,
        ended: Option<String>,
    ) -> Self {
        let sum =
            |of: fn(&Verdict) -> u64| seen.iter().filter_map(|place| place.verdict.as_ref()).map(of).sum();
        let (events, promised) = (run.events(), run.promised());
        let spent_ms = i64::try_from(run.began.elapsed().as_millis()).unwrap_or_default();
        let began_ms = now_ms() - spent_ms;
        let last_ms = (0..run.ledger.requests()).map(|request| run.ledger.promised_ms(request)).max();
        let promised_ms = last_ms.and_then(|last_ms| u64::try_from((last_ms - began_ms).max(0)).ok());
        let answers = [
            (run.answers.refused(), "refused"),
            (run.answers.unanswered(), "without an answer"),
            (run.answers.unsent.load(Relaxed), "without a connection"),
        ];
        let answers = answers.iter().filter(|(count, _)| *count > 0);
        let answers: Vec<String> = answers.map(|(count, what)| format!("{count} {what}")).collect();
        Self {
            tenant,
            events,
            promised,
            lost: sum(|verdict| verdict.lost),
            doubled: sum(|verdict| verdict.doubled),
            altered: sum(|verdict| verdict.altered),
            out_of_order: seen.iter().filter_map(|place| place.out_of_order).sum(),
            places: seen.into(),
            promised_ms: promised_ms.filter(|_| promised == events),
            everywhere_ms: everywhere.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            ended,
            answers: answers.join(", "),
        }
    }

    /// Prints it. Fails if anything is wrong, and says where.
    pub(super) fn show(&self, output: Output) -> Result<()> {
        if output.format == Format::Table {
            let rows = self.places.iter().map(item).collect::<Result<Vec<_>>>()?;
            output.list(COLUMNS, &rows)?;
            print(&format!(
                "\n{} of {} events promised{}, {}",
                self.promised,
                self.events,
                after(self.promised_ms),
                match self.everywhere_ms {
                    Some(_) => format!("everywhere{}", after(self.everywhere_ms)),
                    None => "not everywhere".to_owned(),
                }
            ))?;
        } else {
            output.one(&item(self)?)?;
        }
        self.fault().map_or(Ok(()), Err)
    }

    fn fault(&self) -> Option<Failure> {
        let mut faults: Vec<String> = self.places.iter().filter_map(Seen::fault).collect();
        if self.promised < self.events {
            let left = self.events - self.promised;
            let answers = if self.answers.is_empty() { "no request was answered" } else { &self.answers };
            faults.push(format!("door: {left} events not promised (attempts: {answers})"));
        }
        if faults.is_empty() {
            return None;
        }
        faults.extend(self.ended.clone());
        // What is away may come back; what is lost, doubled or altered is so.
        let wrong = self.lost + self.doubled + self.altered + self.out_of_order > 0;
        let code = if wrong { Code::Failed } else { Code::Unavailable };
        let failure =
            Failure::new(code, format!("not everything is where it must be\n{}", faults.join("\n")));
        Some(failure.hint("see: eventrunner doctor; with --keep the tenant stays for a look"))
    }
}

fn after(ms: Option<u64>) -> String {
    ms.map_or_else(String::new, |ms| format!(" after {ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &'static str, verdict: Verdict) -> Seen {
        Seen { place: name, verdict: Some(verdict), out_of_order: None, missing: Vec::new(), unread: None }
    }

    #[test]
    fn each_wrong_is_said_with_its_place() {
        let whole = Verdict { found: 50, ..Verdict::default() };
        let mut report = Report {
            events: 50,
            promised: 50,
            places: vec![place("event store", whole), place("usage store", whole)],
            ..Report::default()
        };
        assert_eq!(report.fault(), None);

        report
            .places
            .push(Seen { out_of_order: Some(2), ..place("tenant stream", Verdict { lost: 1, ..whole }) });
        report.places[2].missing.push("00ff".to_owned());
        report.lost = 1;
        let failure = report.fault().unwrap();
        assert_eq!(failure.code, Code::Failed);
        assert!(
            failure.message.ends_with("\ntenant stream: 1 lost, 2 out of order, missing are 00ff"),
            "{failure}"
        );

        let mut report = Report { events: 50, answers: "3 refused".to_owned(), ..Report::default() };
        report.places.push(Seen::unread(Where::UsageStore, "the API answers 503".to_owned()));
        report.ended = Some("the 5 s were over".to_owned());
        let failure = report.fault().unwrap();
        assert_eq!(failure.code, Code::Unavailable);
        for part in [
            "usage store: the API answers 503",
            "door: 50 events not promised (attempts: 3 refused)",
            "the 5 s were over",
        ] {
            assert!(failure.message.contains(part), "{failure}");
        }
    }
}
