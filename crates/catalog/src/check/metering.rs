//! The rules of what tenants count for themselves.

use model::{
    TYPE_BYTES_MAX,
    resource::{Aggregation, Meter},
};

use super::Errors;
use crate::{FieldError, Snapshot};

/// Meters of a tenant. Each adds to the records of every event it counts.
const METERS_MAX: usize = 64;
/// Longest pointer, in bytes.
const POINTER_BYTES_MAX: usize = 256;
/// Decimals kept at most.
const SCALE_MAX: u8 = 6;

pub(crate) fn meter(meter: &Meter) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &meter.name);
    errors.meta(&meter.meta);
    if let Some(ty) = &meter.event_type {
        errors.unless((1..=TYPE_BYTES_MAX).contains(&ty.len()), "/event_type", || {
            format!("must be 1 to {TYPE_BYTES_MAX} bytes long")
        });
    }
    match &meter.value {
        Some(pointer) => errors.unless(is_pointer(pointer), "/value", || {
            format!("must be a JSON pointer, such as /order/amount, at most {POINTER_BYTES_MAX} bytes long")
        }),
        None => errors.unless(meter.aggregation == Aggregation::Count, "/value", || {
            format!("is required where the aggregation is {}", meter.aggregation.as_str())
        }),
    }
    errors.unless(meter.scale <= SCALE_MAX, "/scale", || format!("must be 0 to {SCALE_MAX}"));
    let is_number = !matches!(meter.aggregation, Aggregation::Count | Aggregation::Unique);
    errors.unless(is_number || meter.scale == 0 || meter.scale > SCALE_MAX, "/scale", || {
        format!("must be 0 where the aggregation is {}", meter.aggregation.as_str())
    });
    errors.0
}

/// RFC 6901, section 3.
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let plain = !text.chars().any(char::is_control);
    (text.is_empty() || text.starts_with('/')) && escapes && plain && text.len() <= POINTER_BYTES_MAX
}

/// Whether there is room for it.
pub(crate) fn meters(meter: &Meter, others: &Snapshot) -> Vec<FieldError> {
    let count = others.each::<Meter>(Some(&meter.tenant)).filter(|entry| entry.value.id != meter.id).count();
    let mut errors = Errors::default();
    errors.unless(count < METERS_MAX, "/id", || {
        format!("the tenant has {METERS_MAX} meters, the most there may be")
    });
    errors.0
}

/// Numbers that were kept in one way would be read in another.
pub(crate) fn meter_succession(new: &Meter, old: &Meter) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let detail = || {
        "cannot be changed: what was counted before would mean something else; make another meter".to_owned()
    };
    errors.unless(new.aggregation == old.aggregation, "/aggregation", detail);
    errors.unless(new.scale == old.scale, "/scale", detail);
    errors.0
}
