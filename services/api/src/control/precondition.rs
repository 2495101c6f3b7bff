//! Revisions as entity tags (RFC 9110, sections 8.8.3 and 13.1).

use http::{HeaderMap, HeaderValue, header};
use model::ErrorCode;
use runtime::problem::Problem;

/// What a caller says must hold of what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Precondition {
    /// `If-Match`: it is there, and, unless it is `*`, at one of these revisions.
    is: Option<Match>,
    /// `If-None-Match`: it is not there, or at none of these revisions.
    is_not: Option<Match>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Match {
    Any,
    /// Tags that are no revision of ours match nothing.
    Revisions(Vec<u64>),
}

impl Match {
    fn matches(&self, revision: Option<u64>) -> bool {
        match (self, revision) {
            (Self::Any, revision) => revision.is_some(),
            (Self::Revisions(all), Some(revision)) => all.contains(&revision),
            (Self::Revisions(_), None) => false,
        }
    }
}

impl Precondition {
    /// Reads both headers.
    ///
    /// # Errors
    /// If one is no list of entity tags.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            is: read(headers, &header::IF_MATCH, true)?,
            is_not: read(headers, &header::IF_NONE_MATCH, false)?,
        })
    }

    /// Whether the caller said which revision it means.
    pub(crate) fn names_revision(&self) -> bool {
        matches!(self.is, Some(Match::Revisions(_)))
    }

    /// Whether it holds of what there is.
    ///
    /// # Errors
    /// 412 if it does not.
    pub(crate) fn check(&self, revision: Option<u64>) -> Result<(), Problem> {
        let refused = |detail: &str, name: &str| {
            Problem::new(ErrorCode::PreconditionFailed, detail)
                .field(format!("header:{name}"), "does not hold")
        };
        if self.is.as_ref().is_some_and(|m| !m.matches(revision)) {
            return Err(refused(
                "it is not at that revision; read it again and repeat the change",
                "if-match",
            ));
        }
        if self.is_not.as_ref().is_some_and(|m| m.matches(revision)) {
            return Err(refused("it is there already", "if-none-match"));
        }
        Ok(())
    }
}

/// The entity tag of a revision.
pub(crate) fn etag(revision: u64) -> HeaderValue {
    // Digits in quotes are a header's value.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

fn read(headers: &HeaderMap, name: &header::HeaderName, strong: bool) -> Result<Option<Match>, Problem> {
    let bad = || {
        Problem::new(ErrorCode::InvalidArgument, format!("{name} is no list of entity tags"))
            .field(format!("header:{name}"), "must be *, or tags in quotes as ETag has them")
    };
    let mut tags = Vec::new();
    let mut any = false;
    let mut given = false;
    for value in headers.get_all(name) {
        given = true;
        for tag in value.to_str().map_err(|_| bad())?.split(',').map(str::trim) {
            if tag == "*" {
                any = true;
                continue;
            }
            let weak = tag.starts_with("W/");
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = opaque.strip_prefix('"').and_then(|t| t.strip_suffix('"')).ok_or_else(bad)?;
            if inner.contains('"') {
                return Err(bad());
            }
            // A weak tag never matches strongly (section 8.8.3.2).
            if !(weak && strong) {
                tags.extend(inner.parse::<u64>());
            }
        }
    }
    match (given, any) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(Match::Any)),
        (true, false) => Ok(Some(Match::Revisions(tags))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &'static str, value: &str, revision: Option<u64>) -> Result<(), ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        let read = Precondition::read(&headers).and_then(|p| p.check(revision));
        read.map_err(|problem| problem.code)
    }

    #[test]
    fn tags_are_compared_as_rfc_9110_says() {
        use ErrorCode::{InvalidArgument, PreconditionFailed};
        let cases = [
            ("if-match", "\"7\"", Some(7), Ok(())),
            ("if-match", "\"6\", \"7\"", Some(7), Ok(())),
            ("if-match", "\"6\"", Some(7), Err(PreconditionFailed)),
            ("if-match", "W/\"7\"", Some(7), Err(PreconditionFailed)),
            ("if-match", "\"abc\"", Some(7), Err(PreconditionFailed)),
            ("if-match", "\"7\"", None, Err(PreconditionFailed)),
            ("if-match", "*", Some(7), Ok(())),
            ("if-match", "*", None, Err(PreconditionFailed)),
            ("if-match", "7", Some(7), Err(InvalidArgument)),
            ("if-match", "", Some(7), Err(InvalidArgument)),
            ("if-match", "\"7", Some(7), Err(InvalidArgument)),
            ("if-none-match", "*", None, Ok(())),
            ("if-none-match", "*", Some(7), Err(PreconditionFailed)),
            ("if-none-match", "W/\"7\"", Some(7), Err(PreconditionFailed)),
            ("if-none-match", "\"6\"", Some(7), Ok(())),
        ];
        for (name, value, revision, expected) in cases {
            assert_eq!(held(name, value, revision), expected, "{name}: {value}");
        }
        assert_eq!(Precondition::read(&HeaderMap::new()).unwrap(), Precondition::default());
        assert_eq!(etag(7), "\"7\"");
    }
}
