//! One CloudEvent in JSON: no input panics, and what is read is written so that it reads back the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(event) = model::json::decode(&Bytes::copy_from_slice(input)) {
        let again = model::json::decode(&model::json::encode(&event)).expect("what was written can be read");
        assert_eq!(event.id(), again.id());
        assert_eq!(event.source(), again.source());
        assert_eq!(event.ty(), again.ty());
        assert_eq!(event.subject(), again.subject());
        assert_eq!(event.time(), again.time());
        assert_eq!(event.datacontenttype(), again.datacontenttype());
        assert_eq!(event.extensions().len(), again.extensions().len());
        assert_eq!(event.data().map(|d| d.as_bytes()), again.data().map(|d| d.as_bytes()));
        assert!(event.size() > 0);
    }
});
