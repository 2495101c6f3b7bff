//! The events that are written.

use std::sync::Arc;

use model::{Batch, CloudEvent, Group, Stamp, TenantId};

/// A small generator, so that every run sees the same events (xorshift64*).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

/// JSON of 512 bytes, as webhooks are: names that repeat, values that do not.
fn data(rng: &mut Rng) -> String {
    let mut json = format!(
        r#"{{"order_id":"{}","customer":{{"id":{},"email":"user{}@example.com","name":"Customer {}"}},"amount_cents":{},"currency":"EUR","items":["#,
        rng.hex(),
        rng.below(1 << 40),
        rng.below(1_000_000),
        rng.below(1_000_000),
        rng.below(1_000_000)
    );
    while json.len() < 420 {
        json.push_str(&format!(
            r#"{{"sku":"{:08x}","quantity":{},"price":{}}},"#,
            rng.below(1 << 32),
            rng.below(9) + 1,
            rng.below(100_000)
        ));
    }
    json.push_str(r#"null],"note":""#);
    while json.len() < 510 {
        json.push(char::from(b'a' + u8::try_from(rng.below(26)).unwrap()));
    }
    json.push_str(r#""}"#);
    json.truncate(512);
    json
}

/// So many events in batches of 100 to 200, others for each round.
pub(crate) fn batches(events: usize, round: u64) -> Vec<Arc<Batch>> {
    let mut rng = Rng(0x5eed + round);
    let mut left = events;
    let mut out = Vec::new();
    while left > 0 {
        let size = usize::try_from(100 + rng.below(101)).unwrap().min(left);
        left -= size;
        let sequence = u64::try_from(out.len()).unwrap();
        // Eight tenants; a batch is of one to four requests.
        let groups = (0..4).map(|part| {
            let tenant: TenantId = format!("tenant-{}", rng.below(8)).parse().unwrap();
            let stamp = Arc::new(Stamp {
                tenant,
                system: "shop".parse().unwrap(),
                source: Some("till".parse().unwrap()),
                customer: None,
                received_at_us: 1_795_255_200_000_000 + i64::try_from(sequence).unwrap() * 1_000,
                traceparent: format!("00-{}-{:016x}-01", rng.hex(), rng.next()).into(),
                protocol: "http".into(),
            });
            let share = if part == 3 { size - size / 4 * 3 } else { size / 4 };
            let event = |rng: &mut Rng| {
                CloudEvent::builder(
                    rng.hex(),
                    format!("/shop/till-{}", rng.below(20)),
                    format!("order.v{}", rng.below(6)),
                )
                .subject(format!("order-{}", rng.below(100_000)))
                .time("2026-11-21T10:00:00.000001Z")
                .text("application/json", data(rng))
                .build()
                .unwrap()
            };
            Group { stamp, events: (0..share).map(|_| event(&mut rng)).collect() }
        });
        let groups = groups.collect();
        out.push(Arc::new(Batch {
            partition: 0,
            sequence,
            stored_at_us: 1_795_255_200_000_500,
            raw_sequence: sequence,
            raw_stored_at_us: 1_795_255_200_000_100,
            normalized_at_us: 1_795_255_200_000_300,
            groups,
            streamed: (0..u64::try_from(size).unwrap()).collect(),
            metered: Vec::new(),
        }));
    }
    out
}
