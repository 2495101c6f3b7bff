//! The NATS binding. The input is header lines, an empty line, and the payload.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let split = input.windows(2).position(|w| w == b"\n\n");
    let (head, payload) = split.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let Ok(head) = std::str::from_utf8(head) else { return };
    let headers = head.lines().filter_map(|line| line.split_once(':')).map(|(n, v)| (n, v.trim()));
    if let Ok(event) = model::nats::decode(headers, &Bytes::copy_from_slice(payload)) {
        let written: Vec<_> = model::nats::headers(&event).collect();
        let pairs = written.iter().map(|(name, value)| (&**name, &**value));
        let again = model::nats::decode(pairs, &model::nats::payload(&event)).expect("what was written can be read");
        assert_eq!(event.id(), again.id());
        assert_eq!(event.source(), again.source());
        assert_eq!(event.ty(), again.ty());
    }
});
