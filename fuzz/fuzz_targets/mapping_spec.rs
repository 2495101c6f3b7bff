//! A source's mapping as its owner writes it. What compiles can be applied to anything.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mapping::{Mapping, Pairs, Raw};
use model::{Text, resource::Source};

fuzz_target!(|input: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<serde_json::Value>(input) else { return };
    let source = serde_json::json!({"tenant": "t", "system": "s", "id": "i", "mapping": spec});
    let Ok(source) = serde_json::from_value::<Source>(source) else { return };
    let Ok(mapping) = Mapping::compile(&source) else { return };
    let headers = [("content-type", "application/json"), ("x-event", "push")];
    let headers = Pairs::new(&headers, |(name, value)| (name.as_bytes(), value.as_bytes()));
    let body = Bytes::from_static(br#"{"a": {"b": [1, "two", null, {"c": 1e3}]}, "id": "7", "at": 1700000000}"#);
    let raw = Raw::new(&headers, "q=1&r=a%20b", &body);
    let identity = mapping.identify(&raw, || Text::from_static("new"));
    assert!(!identity.id.is_empty());
    let _ = mapping.apply(&raw, &identity, 0);
});
