//! What travels in `RAW`, `EVENTS` and `DEAD`. Only the fleet writes it, but a reader must survive any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use proto::hops;

fuzz_target!(|input: &[u8]| {
    if let Ok(wire) = hops::EventBatch::decode(input)
        && let Ok(batch) = proto::batch_from_wire(wire, 0, 1, 2)
    {
        assert_eq!(batch.events().count(), batch.len());
    }
    if let Ok(raw) = hops::RawBatch::decode(input) {
        for group in raw.groups {
            let _ = group.stamp.map(model::Stamp::try_from);
            for item in group.items {
                if let Some(hops::raw_item::Item::Event(event)) = item.item {
                    let _ = model::CloudEvent::try_from(event);
                }
            }
        }
    }
    let _ = hops::DeadLetter::decode(input);
});
