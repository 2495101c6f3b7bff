//! The months that are invoiced.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use model::{Date, Micros, time_zone};

use crate::Error;

/// A calendar month in a time zone.
#[derive(Clone, PartialEq, Eq)]
pub struct Period {
    zone: TimeZone,
    first: Date,
    end: Date,
}

impl Period {
    /// A month by its year and number, 1 to 12.
    ///
    /// # Errors
    /// [`Error::Zone`] or [`Error::Month`] if there is no such zone or month.
    pub fn month(zone: &str, year: i16, month: i8) -> Result<Self, Error> {
        let zone = time_zone(zone).ok_or_else(|| Error::Zone(zone.to_owned()))?;
        Self::of(zone, year, month)
    }

    /// A month by its id, such as `2026-10`.
    ///
    /// # Errors
    /// As [`Period::month`].
    pub fn named(zone: &str, id: &str) -> Result<Self, Error> {
        let unknown = || Error::Month(id.chars().take(16).collect());
        let first: Date = format!("{id}-01").parse().map_err(|_| unknown())?;
        Self::month(zone, first.year(), first.month())
    }

    /// The month in which a moment lies.
    ///
    /// # Errors
    /// As [`Period::month`].
    pub fn containing(zone: &str, at: Micros) -> Result<Self, Error> {
        let zone = time_zone(zone).ok_or_else(|| Error::Zone(zone.to_owned()))?;
        let at = Timestamp::from_microsecond(at).map_err(|_| Error::Month(format!("{at} us")))?;
        let day = at.to_zoned_datetime(zone.clone()).date();
        Self::of(zone, day.year(), day.month())
    }

    /// The month after.
    ///
    /// # Errors
    /// [`Error::Month`] after 2999-11: the end of a month must be a day, too.
    pub fn next(&self) -> Result<Self, Error> {
        Self::of(self.zone.clone(), self.end.year(), self.end.month())
    }

    fn of(zone: TimeZone, year: i16, month: i8) -> Result<Self, Error> {
        let unknown = || Error::Month(format!("{year:04}-{month:02}"));
        let first = civil::Date::new(year, month, 1).map_err(|_| unknown())?;
        let end = first.last_of_month().tomorrow().map_err(|_| unknown())?;
        let [first, end] = [first, end].map(Date::try_from);
        Ok(Self { zone, first: first.map_err(|_| unknown())?, end: end.map_err(|_| unknown())? })
    }

    /// As it is written: `2026-10`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:04}-{:02}", self.first.year(), self.first.month())
    }

    /// Its first day.
    #[must_use]
    pub fn first(&self) -> Date {
        self.first
    }

    /// The first day of the next month.
    #[must_use]
    pub fn end(&self) -> Date {
        self.end
    }

    /// How many days it has.
    #[must_use]
    pub fn days(&self) -> u32 {
        days(self.first, self.end)
    }

    /// When it begins: microseconds since 1970.
    #[must_use]
    pub fn since_us(&self) -> Micros {
        self.start_of(self.first)
    }

    /// When it is over, which is when the next begins: microseconds since 1970.
    #[must_use]
    pub fn until_us(&self) -> Micros {
        self.start_of(self.end)
    }

    /// When a day begins: microseconds since 1970. Where clocks are put forward at midnight, that is the moment of it; where
    /// they are put back, the first of the two midnights.
    #[must_use]
    #[expect(clippy::expect_used, reason = "jiff knows when days from year -9999 to 9999 begin")]
    pub fn start_of(&self, day: Date) -> Micros {
        let start = day.to_zoned_datetime(self.zone.clone());
        start.map(|start| start.timestamp().as_microsecond()).expect("a `Date` is within what jiff knows")
    }

    /// Whether something that holds from a day, until another one if there is one, holds on any day of it.
    pub(crate) fn touches(&self, from: Date, until: Option<Date>) -> bool {
        self.part(from, until).is_some()
    }

    /// The days of it on which something holds.
    pub(crate) fn part(&self, from: Date, until: Option<Date>) -> Option<(Date, Date)> {
        let from = from.max(self.first);
        let until = until.map_or(self.end, |until| until.min(self.end));
        (from < until).then_some((from, until))
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.id(), self.zone.iana_name().unwrap_or_default())
    }
}

/// Days from one day to another; none to an earlier one.
pub(crate) fn days(from: Date, until: Date) -> u32 {
    u32::try_from(from.duration_until(*until).as_hours() / 24).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use model::{format_rfc3339, parse_rfc3339};

    use super::*;

    #[test]
    fn months_begin_where_their_zone_says() {
        // Zone, month, days, begin and end in UTC.
        let cases = [
            ("UTC", "2026-10", 31, "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("UTC", "2024-02", 29, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("UTC", "2026-02", 28, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("UTC", "2100-02", 28, "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"),
            ("UTC", "2000-02", 29, "2000-02-01T00:00:00Z", "2000-03-01T00:00:00Z"),
            // Summer time ends on 25 October: the month has an hour more.
            ("Europe/Berlin", "2026-10", 31, "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
            // And begins on 29 March: an hour less.
            ("Europe/Berlin", "2026-03", 31, "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
            ("Asia/Kolkata", "2026-01", 31, "2025-12-31T18:30:00Z", "2026-01-31T18:30:00Z"),
            ("Pacific/Kiritimati", "2026-01", 31, "2025-12-31T10:00:00Z", "2026-01-31T10:00:00Z"),
            ("America/New_York", "2026-12", 31, "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z"),
            // Clocks in Asunción went from 2023-10-01 00:00 to 01:00: the month began at 01:00 of its own time.
            ("America/Asuncion", "2023-10", 31, "2023-10-01T04:00:00Z", "2023-11-01T03:00:00Z"),
            // Samoa had no 30 December 2011: a calendar day all the same.
            ("Pacific/Apia", "2011-12", 31, "2011-12-01T10:00:00Z", "2011-12-31T10:00:00Z"),
        ];
        for (zone, id, days, since, until) in cases {
            let period = Period::named(zone, id).unwrap();
            let bounds = [period.since_us(), period.until_us()].map(format_rfc3339);
            assert_eq!((period.days(), bounds), (days, [since, until].map(str::to_owned)), "{zone} {id}");
            assert_eq!(period.id(), id);
            assert_eq!(Period::containing(zone, period.since_us()).unwrap(), period);
            assert_eq!(Period::containing(zone, period.until_us() - 1).unwrap(), period);
            assert_eq!(Period::containing(zone, period.until_us()).unwrap(), period.next().unwrap());
        }
    }

    #[test]
    fn a_moment_lies_in_different_months() {
        let at = parse_rfc3339("2026-10-31T23:30:00Z").unwrap();
        for (zone, id) in [("UTC", "2026-10"), ("Europe/Berlin", "2026-11"), ("America/Lima", "2026-10")] {
            assert_eq!(Period::containing(zone, at).unwrap().id(), id, "{zone}");
        }
    }

    #[test]
    fn what_is_no_month() {
        for id in
            ["2026-13", "2026-00", "2026-1", "1969-12", "3000-01", "2999-12", "2026-10-01", "", "october"]
        {
            assert!(matches!(Period::named("UTC", id), Err(Error::Month(_))), "{id}");
        }
        assert!(matches!(Period::month("UTC", 2026, 13), Err(Error::Month(_))));
        assert!(matches!(Period::month("Nowhere", 2026, 1), Err(Error::Zone(_))));
        assert!(matches!(Period::containing("UTC", Micros::MAX), Err(Error::Month(_))));
        assert!(matches!(Period::named("UTC", "2999-11").unwrap().next(), Err(Error::Month(_))));
    }
}
