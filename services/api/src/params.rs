//! Query parameters: repeatable, strict, all mistakes named at once.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use model::{ErrorCode, Micros, Text, parse_rfc3339};
use percent_encoding::percent_decode_str;
use runtime::problem::Problem;
use store::Cursor;

/// Values of one filter.
pub(crate) const VALUES_MAX: usize = 64;

/// The query of a request. Each value is taken out once; [`Params::finish`] refuses what is left.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    mistakes: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        let mut params = Self::default();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => params.pairs.push((name, value)),
                _ => params.mistake(name, "is not UTF-8 once percent-decoded"),
            }
        }
        params
    }

    fn mistake(&mut self, name: &str, problem: impl Into<String>) {
        self.mistakes.push((format!("query:{name}"), problem.into()));
    }

    /// Every value of a repeatable parameter; empty ones are mistakes.
    pub(crate) fn many(&mut self, name: &str) -> Vec<Text> {
        let taken: Vec<Text> =
            self.pairs.extract_if(.., |(n, _)| n == name).map(|(_, value)| value.into()).collect();
        if taken.iter().any(|value| value.is_empty()) {
            self.mistake(name, "must not be empty");
        }
        if taken.len() > VALUES_MAX {
            self.mistake(name, format!("may be given at most {VALUES_MAX} times"));
        }
        taken
    }

    /// A parameter that may be given once.
    pub(crate) fn one(&mut self, name: &str) -> Option<Text> {
        let mut taken = self.many(name);
        if taken.len() > 1 {
            self.mistake(name, "may be given once");
        }
        taken.pop()
    }

    /// A parameter read by `read`, which says what is wrong.
    pub(crate) fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match read(&self.one(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.mistake(name, problem);
                None
            }
        }
    }

    /// The same, of one that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.pairs.iter().any(|(n, _)| n == name) {
            self.mistake(name, "is required");
        }
        self.read(name, read)
    }

    /// Each value of a repeatable parameter, read by `read`.
    pub(crate) fn many_read<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut values = Vec::new();
        for text in self.many(name) {
            match read(&text) {
                Ok(value) => values.push(value),
                Err(problem) => self.mistake(name, problem),
            }
        }
        values
    }

    /// An RFC 3339 time.
    pub(crate) fn time(&mut self, name: &str) -> Option<Micros> {
        self.read(name, |v| parse_rfc3339(v).map_err(|e| e.to_string()))
    }

    /// `since` and `until`, the first included, the second not.
    pub(crate) fn range(&mut self) -> (Option<Micros>, Option<Micros>) {
        let (since, until) = (self.time("since"), self.time("until"));
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            self.mistake("until", "must not be before since");
        }
        (since, until)
    }

    /// `limit`, 1 to `max`.
    pub(crate) fn limit(&mut self, default: u32, max: u32) -> u32 {
        let read = |v: &str| match v.parse() {
            Ok(n) if (1..=max).contains(&n) => Ok(n),
            _ => Err(format!("must be a number from 1 to {max}")),
        };
        self.read("limit", read).unwrap_or_else(|| default.min(max))
    }

    /// `cursor`, as a previous page gave it.
    pub(crate) fn cursor(&mut self) -> Option<Cursor> {
        self.read("cursor", |v| v.parse().map_err(|e: store::Error| e.to_string()))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        self.read(name, |v| {
            let all = || words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(", ");
            words
                .iter()
                .find(|(w, _)| *w == v)
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("must be one of: {}", all()))
        })
    }

    /// Whether all went well: nothing unknown, nothing wrong.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.mistake(&name, "is not a parameter of this request");
        }
        if self.mistakes.is_empty() {
            return Ok(());
        }
        let what = "the query has impossible values";
        let fields = self.mistakes.into_iter();
        Err(fields.fold(Problem::new(ErrorCode::InvalidArgument, what), |p, (pointer, detail)| {
            p.field(pointer, detail)
        }))
    }
}

/// `application/x-www-form-urlencoded`, as browsers and clients write queries.
fn decode(part: &str) -> Option<String> {
    let spaced = part.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(problem: Problem) -> Vec<String> {
        problem.errors.into_iter().map(|e| e.pointer).collect()
    }

    #[test]
    fn values_are_decoded_and_repeatable() {
        let mut params = Params::parse("type=a&type=b%20c+d&&since=2026-11-21T10:00:00%2B01:00&limit=7");
        assert_eq!(params.many("type"), ["a", "b c d"]);
        assert_eq!(params.range().0, Some(1_795_251_600_000_000));
        assert_eq!(params.limit(100, 1_000), 7);
        params.finish().unwrap();
        assert_eq!(Params::parse("").limit(100, 10), 10);
    }

    #[test]
    fn every_mistake_is_named() {
        let mut params = Params::parse(
            "limit=0&since=now&order=sideways&cursor=%00&x=1&stage=a&stage=b&type=&until=%ff&source",
        );
        params.limit(1, 10);
        params.range();
        params.choice("order", &[("up", 1), ("down", 2)]);
        params.cursor();
        params.one("stage");
        params.many("type");
        params.many("source");
        let mut found = mistakes(params.finish().unwrap_err());
        found.sort();
        let expected = ["cursor", "limit", "order", "since", "source", "stage", "type", "until", "x"]
            .map(|n| format!("query:{n}"));
        assert_eq!(found, expected);
    }

    #[test]
    fn ranges_run_forward() {
        let mut params = Params::parse("since=2026-11-21T10:00:00Z&until=2026-11-21T09:00:00Z");
        params.range();
        assert_eq!(mistakes(params.finish().unwrap_err()), ["query:until"]);
    }
}
