//! The request as both steps see it: borrowed, from whatever holds it.

use std::fmt;

use bytes::Bytes;

/// A request that is not a CloudEvent.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    pub(crate) headers: &'a dyn Headers,
    pub(crate) query: &'a str,
    pub(crate) body: &'a Bytes,
}

impl<'a> Raw<'a> {
    /// Borrows a request: its headers, its query string without `?`, its body after content decoding.
    #[must_use]
    pub const fn new(headers: &'a dyn Headers, query: &'a str, body: &'a Bytes) -> Self {
        Self { headers, query, body }
    }

    /// The first header of that name, trimmed; nothing when it is empty or not UTF-8.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let value = std::str::from_utf8(self.headers.first(name)?).ok()?.trim();
        (!value.is_empty()).then_some(value)
    }
}

impl fmt::Debug for Raw<'_> {
    /// Never headers or payload: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.body.len())
    }
}

/// Where headers are looked up.
pub trait Headers {
    /// The value of the first header of that name (given in lower case; names compare without case).
    fn first(&self, name: &str) -> Option<&[u8]>;
}

impl Headers for http::HeaderMap {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(http::HeaderValue::as_bytes)
    }
}

/// Headers in a list of any item type, looked at where they lie:
/// `Pairs::new(&event.headers, |h| (&h.name, &h.value))`.
pub struct Pairs<'a, T> {
    items: &'a [T],
    pair: fn(&T) -> (&[u8], &[u8]),
}

impl<'a, T> Pairs<'a, T> {
    /// Borrows the list; `pair` gives an item's name and value.
    #[must_use]
    pub const fn new(items: &'a [T], pair: fn(&T) -> (&[u8], &[u8])) -> Self {
        Self { items, pair }
    }
}

impl<T> Headers for Pairs<'_, T> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.items
            .iter()
            .map(self.pair)
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }
}

impl<T> fmt::Debug for Pairs<'_, T> {
    /// Never values: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pairs({})", self.items.len())
    }
}
