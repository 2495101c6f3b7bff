//! How large an event may be, checked at the doors.

use crate::{CloudEvent, Text};

/// The longest `type`, bytes. A type becomes subject tokens, where a byte may take three, and a NATS server
/// closes the connection of who sends a protocol line of more than 4096 bytes (`max_control_line`).
pub const TYPE_BYTES_MAX: usize = 1024;

/// How large an event may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Attributes and data together, bytes ([`CloudEvent::size`]).
    pub event_bytes_max: usize,
    /// The value of any one attribute, bytes.
    pub attribute_bytes_max: usize,
    /// All attributes together, names of extensions included, bytes.
    pub attributes_bytes_max: usize,
    /// How many extension attributes.
    pub extensions_max: usize,
}

/// Which limit an event is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {size} bytes; at most {max} are allowed")]
pub struct OverLimit {
    /// The attribute at fault; empty when the event as a whole is.
    pub attribute: Text,
    what: &'static str,
    size: usize,
    max: usize,
}

impl EventLimits {
    /// Checks an event against all of them, and gives its size.
    ///
    /// # Errors
    /// The first limit it is over.
    pub fn check(&self, event: &CloudEvent) -> Result<usize, OverLimit> {
        let over = |attribute: &str, what, size, max| {
            if size > max { Err(OverLimit { attribute: attribute.into(), what, size, max }) } else { Ok(()) }
        };
        let size = event.size();
        over("", "the event has", size, self.event_bytes_max)?;
        over("type", "the attribute has", event.ty().len(), TYPE_BYTES_MAX)?;
        let data = event.data().map_or(0, crate::Data::len);
        let attributes = size - data;
        // The usual event is far below the limit of one attribute with all of them: nothing else to look at.
        if attributes > self.attribute_bytes_max {
            over("", "the event's attributes have", attributes, self.attributes_bytes_max)?;
            for (name, bytes) in event.attribute_sizes() {
                over(name, "the attribute has", bytes, self.attribute_bytes_max)?;
            }
        }
        let extensions = event.extensions().len();
        if extensions > self.extensions_max {
            return Err(OverLimit {
                attribute: Text::new(),
                what: "the event has too many extension attributes:",
                size: extensions,
                max: self.extensions_max,
            });
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttributeValue;

    const LIMITS: EventLimits = EventLimits {
        event_bytes_max: 10_000,
        attribute_bytes_max: 100,
        attributes_bytes_max: 400,
        extensions_max: 2,
    };

    #[test]
    fn names_the_limit() {
        let event = || CloudEvent::builder("1", "/s", "t");
        let string = |n: usize| AttributeValue::String("x".repeat(n).into());
        let cases = [
            (event().text("text/plain", "x".repeat(10_000)), Some("")),
            (event().subject("x".repeat(101)), Some("subject")),
            (event().extension("a", string(101)), Some("a")),
            (event().subject("x".repeat(100)), None),
            (event().subject("x".repeat(100)).extension("a", string(100)), None),
            (event().extension("a", string(1)).extension("b", string(1)).extension("c", string(1)), Some("")),
        ];
        for (event, at) in cases {
            let event = event.build().unwrap();
            assert_eq!(LIMITS.check(&event).err().map(|e| e.attribute.to_string()).as_deref(), at);
        }
        let wide = EventLimits { attribute_bytes_max: 5_000, attributes_bytes_max: 9_000, ..LIMITS };
        let long = CloudEvent::builder("1", "/s", "x".repeat(TYPE_BYTES_MAX + 1)).build().unwrap();
        assert_eq!(wide.check(&long).unwrap_err().attribute, "type");
    }
}
