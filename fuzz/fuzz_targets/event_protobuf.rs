//! CloudEvents in protobuf, as producers send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::CloudEvent;
use prost::Message as _;
use proto::cloudevents as ce;

fuzz_target!(|input: &[u8]| {
    if let Ok(batch) = ce::CloudEventBatch::decode(input) {
        batch.events.into_iter().for_each(check);
    }
    if let Ok(event) = ce::CloudEvent::decode(input) {
        check(event);
    }
});

fn check(wire: ce::CloudEvent) {
    if let Ok(event) = CloudEvent::try_from(wire) {
        let again = CloudEvent::try_from(ce::CloudEvent::from(&event)).expect("what was written can be read");
        assert_eq!(event.id(), again.id());
        assert_eq!(event.data().map(|d| d.as_bytes()), again.data().map(|d| d.as_bytes()));
        let _ = model::json::encode(&event);
    }
}
