//! A JSON batch: no input panics, and its limit holds.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const ITEMS_MAX: usize = 8;

fuzz_target!(|input: &[u8]| {
    if let Ok(events) = model::json::decode_batch(&Bytes::copy_from_slice(input), ITEMS_MAX) {
        assert!(events.len() <= ITEMS_MAX);
        let again = model::json::decode_batch(&model::json::encode_batch(&events), ITEMS_MAX);
        assert_eq!(again.expect("what was written can be read").len(), events.len());
    }
});
