//! What stands in the catalog's bucket: keys, and resources as JSON.
#![no_main]

use catalog::EntryKey;
use libfuzzer_sys::fuzz_target;
use model::resource::{ApiKey, EventType, Source, System, Tenant};

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(key) = EntryKey::parse(text)
    {
        assert_eq!(EntryKey::parse(&key.to_string()), Some(key), "{text:?}");
    }
    let _ = serde_json::from_slice::<Tenant>(input);
    let _ = serde_json::from_slice::<System>(input);
    let _ = serde_json::from_slice::<EventType>(input);
    let _ = serde_json::from_slice::<ApiKey>(input);
    if let Ok(source) = serde_json::from_slice::<Source>(input) {
        let _ = mapping::Mapping::compile(&source);
    }
});
