//! Any request through every preset and a mapping that uses what the language has. The input is a line of query, header
//! lines, an empty line, and the body.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mapping::{Mapping, Pairs, Raw};
use model::{Text, resource::Source};

static MAPPINGS: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    let presets = mapping::presets().iter().map(|p| serde_json::json!({"preset": p.name}));
    let own = serde_json::json!({"mapping": {
        "id": ["${body.id}", "idempotency-key", "body-hash"],
        "type": "t.${body.kind}", "subject": "${body.a.b[1]}", "partition_key": "${query.k}",
        "time": "${body.at}", "extensions": {"x": "${headers.x-event}"}}});
    presets
        .chain([own])
        .filter_map(|mut source| {
            for name in ["tenant", "system", "id"] {
                source[name] = "s".into();
            }
            serde_json::from_value::<Source>(source).ok()
        })
        .filter_map(|source| Mapping::compile(&source).ok())
        .collect()
});

fuzz_target!(|input: &[u8]| {
    assert!(MAPPINGS.len() > 1);
    let split = input.windows(2).position(|w| w == b"\n\n");
    let (head, body) = split.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (query, lines) = head.split_once('\n').unwrap_or((head, ""));
    let headers: Vec<_> = lines.lines().filter_map(|line| line.split_once(':')).collect();
    let headers = Pairs::new(&headers, |(name, value)| (name.as_bytes(), value.trim().as_bytes()));
    let body = Bytes::copy_from_slice(body);
    let raw = Raw::new(&headers, query, &body);
    for mapping in &*MAPPINGS {
        let identity = mapping.identify(&raw, || Text::from_static("new"));
        assert_eq!(identity, mapping.identify(&raw, || Text::from_static("new")), "door and normalizer agree");
        if let Ok(event) = mapping.apply(&raw, &identity, 0) {
            assert_eq!(event.data().map_or(&[][..], |d| d.as_bytes()), &body[..], "the body, byte for byte");
        }
    }
});
