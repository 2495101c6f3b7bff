//! Days and months as people of a time zone have them. Pure: instants in, instants out.

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use model::Micros;

const MINUTE_US: Micros = 60_000_000;
/// Widths of the stores' buckets that days and months are put together from, the widest first. All offsets of today are whole
/// quarters of an hour.
const WIDTHS_US: [Micros; 3] = [24 * 60 * MINUTE_US, 60 * MINUTE_US, 15 * MINUTE_US];

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Day,
    Month,
}

/// Days or months one after another, without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Calendar {
    /// Where each begins, and where the last one ends. At least two, in order.
    bounds: Vec<Micros>,
}

impl Calendar {
    /// The days or months of a zone that hold `since_us..until_us`; none if they are more than `most` or lie where there is no
    /// calendar.
    ///
    /// A day begins with the first moment that has its date. Where clocks are put back over midnight, that is the moment at
    /// which it is first midnight; where a date was left out, there is no such day.
    pub(crate) fn new(
        zone: &TimeZone,
        unit: Unit,
        (since_us, until_us): (Micros, Micros),
        most: usize,
    ) -> Option<Self> {
        let first = Timestamp::from_microsecond(since_us).ok()?.to_zoned_datetime(zone.clone()).date();
        let (mut date, step) = match unit {
            Unit::Day => (first, Span::new().days(1)),
            Unit::Month => (first.first_of_month(), Span::new().months(1)),
        };
        let mut bounds = vec![beginning(date, zone)?];
        while bounds.len() < 2 || bounds.last().is_some_and(|last| *last < until_us) {
            date = date.checked_add(step).ok()?;
            let next = beginning(date, zone)?;
            if bounds.last().is_some_and(|last| *last < next) {
                bounds.push(next);
            }
            if bounds.len() > most + 1 {
                return None;
            }
        }
        Some(Self { bounds })
    }

    /// The widest bucket of the stores that lies within one of them always.
    pub(crate) fn width_us(&self) -> Option<Micros> {
        WIDTHS_US.into_iter().find(|width| self.bounds.iter().all(|bound| bound % width == 0))
    }

    /// Each with its end.
    pub(crate) fn spans(&self) -> impl ExactSizeIterator<Item = (Micros, Micros)> {
        self.bounds.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// The beginning of the one that holds a time.
    pub(crate) fn start_of(&self, at_us: Micros) -> Micros {
        let after = self.bounds.partition_point(|bound| *bound <= at_us);
        self.bounds.get(after.saturating_sub(1)).copied().unwrap_or(at_us)
    }
}

fn beginning(date: Date, zone: &TimeZone) -> Option<Micros> {
    Some(date.to_zoned_datetime(zone.clone()).ok()?.timestamp().as_microsecond())
}

/// A time as RFC 3339, with the offset that holds in the zone then.
pub(crate) fn format_in(zone: &TimeZone, at_us: Micros) -> String {
    let Ok(at) = Timestamp::from_microsecond(at_us) else { return model::format_rfc3339(at_us) };
    // Offsets of RFC 3339 are whole minutes; some before 1972 were not.
    let offset = zone.to_offset(at);
    if offset.seconds() == 0 || offset.seconds() % 60 != 0 {
        return model::format_rfc3339(at_us);
    }
    at.display_with_offset(offset).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Micros {
        model::parse_rfc3339(text).unwrap()
    }

    fn bounds(name: &str, unit: Unit, since: &str, until: &str) -> Vec<String> {
        let zone = zone(name);
        let calendar = Calendar::new(&zone, unit, (at(since), at(until)), 1_000).unwrap();
        calendar.bounds.iter().map(|bound| format_in(&zone, *bound)).collect()
    }

    #[test]
    fn days_have_23_and_25_hours_where_clocks_are_changed() {
        assert_eq!(
            bounds("Europe/Berlin", Unit::Day, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
            [
                "2026-03-28T00:00:00+01:00",
                "2026-03-29T00:00:00+01:00",
                "2026-03-30T00:00:00+02:00",
                "2026-03-31T00:00:00+02:00"
            ]
        );
        assert_eq!(
            bounds("Europe/Berlin", Unit::Day, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ["2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"]
        );
        let hours = |since, until| {
            let calendar =
                Calendar::new(&zone("Europe/Berlin"), Unit::Day, (at(since), at(until)), 9).unwrap();
            let spans = calendar.spans().map(|(from, to)| (to - from) / (60 * MINUTE_US));
            (spans.collect::<Vec<_>>(), calendar.width_us())
        };
        let hour = Some(60 * MINUTE_US);
        assert_eq!(hours("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), (vec![23], hour));
        assert_eq!(hours("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), (vec![25], hour));
    }

    #[test]
    fn offsets_of_quarters_of_an_hour() {
        let span = ("2026-11-20T18:14:59Z", "2026-11-20T18:15:01Z");
        assert_eq!(
            bounds("Asia/Kathmandu", Unit::Day, span.0, span.1),
            ["2026-11-20T00:00:00+05:45", "2026-11-21T00:00:00+05:45", "2026-11-22T00:00:00+05:45"]
        );
        let range = (at(span.0), at(span.1));
        let calendar = Calendar::new(&zone("Asia/Kathmandu"), Unit::Day, range, 9).unwrap();
        assert_eq!(calendar.width_us(), Some(15 * MINUTE_US));
        // Until 1972 its clocks were 44 minutes and a half late.
        let range = (at("1971-01-01T00:00:00Z"), at("1971-01-03T00:00:00Z"));
        let calendar = Calendar::new(&zone("Africa/Monrovia"), Unit::Day, range, 9).unwrap();
        assert_eq!(calendar.width_us(), None);
        assert_eq!(calendar.spans().next(), Some((at("1970-12-31T00:44:30Z"), at("1971-01-01T00:44:30Z"))));
        assert_eq!(format_in(&zone("Africa/Monrovia"), range.0), "1971-01-01T00:00:00Z");
    }

    #[test]
    fn months_and_a_leap_day() {
        assert_eq!(
            bounds("UTC", Unit::Month, "2028-02-10T00:00:00Z", "2028-03-01T00:00:00Z"),
            ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"]
        );
        assert_eq!(
            bounds("Europe/Berlin", Unit::Day, "2028-02-28T12:00:00Z", "2028-03-01T00:00:00Z"),
            [
                "2028-02-28T00:00:00+01:00",
                "2028-02-29T00:00:00+01:00",
                "2028-03-01T00:00:00+01:00",
                "2028-03-02T00:00:00+01:00"
            ]
        );
        assert_eq!(
            bounds("Europe/Berlin", Unit::Month, "2026-03-31T21:59:59Z", "2026-03-31T22:00:01Z"),
            ["2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00", "2026-05-01T00:00:00+02:00"]
        );
        let utc = Calendar::new(&TimeZone::UTC, Unit::Month, (0, at("1971-01-01T00:00:00Z")), 12).unwrap();
        assert_eq!(utc.width_us(), Some(24 * 60 * MINUTE_US));
        assert_eq!(utc.spans().len(), 12);
        assert_eq!(utc.start_of(at("1970-02-28T23:59:59Z")), at("1970-02-01T00:00:00Z"));
        assert_eq!(utc.start_of(at("1970-03-01T00:00:00Z")), at("1970-03-01T00:00:00Z"));
    }

    #[test]
    fn days_that_begin_late_and_days_that_never_were() {
        // Midnight was left out in spring.
        assert_eq!(
            bounds("America/Sao_Paulo", Unit::Day, "2018-11-04T12:00:00Z", "2018-11-04T13:00:00Z"),
            ["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"]
        );
        // Samoa went over to the other side of the date line.
        assert_eq!(
            bounds("Pacific/Apia", Unit::Day, "2011-12-29T12:00:00Z", "2011-12-30T13:00:00Z"),
            ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"]
        );
    }

    #[test]
    fn what_is_too_long_or_beyond_the_calendar_is_none() {
        let of = |range, most| Calendar::new(&TimeZone::UTC, Unit::Day, range, most);
        assert!(of((0, 10 * 24 * 60 * MINUTE_US), 10).is_some());
        assert!(of((0, 10 * 24 * 60 * MINUTE_US + 1), 10).is_none());
        assert!(of((Micros::MIN, 0), 10).is_none());
        assert!(of((Micros::MAX - 1, Micros::MAX), 10).is_none());
        assert_eq!(of((5, 5), 10).unwrap().spans().len(), 1);
    }
}
