//! HTTP binary mode. The input is header lines, an empty line, and the body.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fn request(input: &[u8]) -> (HeaderMap, Bytes) {
    let split = input.windows(2).position(|w| w == b"\n\n");
    let (head, body) = split.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|b| *b == b'\n').take(256) {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    (headers, Bytes::copy_from_slice(body))
}

fuzz_target!(|input: &[u8]| {
    let (headers, body) = request(input);
    let _ = model::http::mode(&headers);
    if let Ok(event) = model::http::decode_binary(&headers, body) {
        let mut written = HeaderMap::new();
        let body = model::http::encode_binary(&event, &mut written);
        let again = model::http::decode_binary(&written, body).expect("what was written can be read");
        assert_eq!(event, again);
    }
});
