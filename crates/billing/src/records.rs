//! From a line of an invoice to the usage records that it counts.

use std::fmt::Write as _;

use model::{CustomerId, format_rfc3339};
use rating::{Draft, Line, Period};

/// Where the API lists what a line counts: the records of its meter in its days, of the account's customer if it has one. None for
/// a line that counts nothing.
#[must_use]
pub fn records_path(draft: &Draft, customer: Option<&CustomerId>, line: &Line) -> Option<String> {
    let meter = line.quantity.and(line.meter.as_ref())?;
    let period = Period::named(&draft.time_zone, &draft.period).ok()?;
    let [since, until] = [line.from, line.until].map(|day| format_rfc3339(period.start_of(day)));
    let tenant = &draft.tenant;
    let mut path =
        format!("/api/v1/usage/{tenant}/records?meter={}&since={since}&until={until}", encoded(meter));
    if let Some(customer) = customer {
        path.push_str("&customer=");
        path.push_str(customer);
    }
    Some(path)
}

/// A meter's name within a query: whatever else could end it there is percent-encoded (RFC 3986, section 3.4).
fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_place() {
        assert_eq!(encoded("own/turnover_1"), "own/turnover_1");
        assert_eq!(encoded("a&b=c#ä "), "a%26b%3Dc%23%C3%A4%20");
    }
}
