//! Time to read and write an event of 512 bytes: `cargo bench -p eventrunner-model`.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use model::{http, json};

fn main() -> Result<(), model::DecodeError> {
    let padding = "x".repeat(300);
    let body = Bytes::from(format!(
        r#"{{"specversion":"1.0","id":"0192f0c1-6c5e-7d4e-9d0a-0c6a2f5f8a11","source":"/shop/till-3","type":"com.example.order.placed","time":"2026-11-21T10:00:00.123Z","datacontenttype":"application/json","data":{{"amount":120,"note":"{padding}"}}}}"#
    ));
    println!("structured event of {} bytes", body.len());
    let event = json::decode(&body)?;
    measure("decode structured", || drop(black_box(json::decode(black_box(&body)))));
    measure("encode structured", || drop(black_box(json::encode(black_box(&event)))));

    let mut headers = ::http::HeaderMap::new();
    let data = http::encode_binary(&event, &mut headers);
    measure("decode binary", || drop(black_box(http::decode_binary(black_box(&headers), data.clone()))));

    let batch = json::encode_batch(std::iter::repeat_n(&event, 100));
    let per_batch =
        measure("decode batch of 100", || drop(black_box(json::decode_batch(black_box(&batch), 100))));
    println!("{:>24} {:8.0} ns", "an event of the batch", per_batch / 100.0);
    Ok(())
}

/// The best of ten rounds, ns: the least disturbed by whatever else runs.
fn measure(name: &str, mut f: impl FnMut()) -> f64 {
    const ROUNDS: u32 = 2_000;
    let best = (0..10).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| f());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
    });
    let best = best.fold(f64::INFINITY, f64::min);
    println!("{name:>24} {best:8.0} ns");
    best
}
