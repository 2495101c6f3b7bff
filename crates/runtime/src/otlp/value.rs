//! Attributes as OTLP has them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Value(any_value::Value);

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(any_value::Value::StringValue(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(any_value::Value::IntValue(number))
    }
}

impl From<u64> for Value {
    /// What OTLP's integers cannot hold becomes their largest.
    fn from(number: u64) -> Self {
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        i64::from(number).into()
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self(any_value::Value::DoubleValue(number))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self(any_value::Value::BoolValue(truth))
    }
}

impl From<Value> for AnyValue {
    fn from(value: Value) -> Self {
        Self { value: Some(value.0) }
    }
}

/// An attribute.
pub(crate) fn attribute(key: impl Into<String>, value: impl Into<Value>) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value.into().into()), ..KeyValue::default() }
}
