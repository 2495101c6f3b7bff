//! Who sends more than it may: in a process of its own, to which every other goes first, as if it were on another machine.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use oracle::{Access, Answers, Door, Generator, Ledger, Load, Manner, Pace, Shape};
use serde::{Deserialize, Serialize};

use crate::beside;

/// The subcommand that sends it. At its end it says how many requests were refused because the quota was used up.
pub(crate) const NAME: &str = "flood";
/// Connections for each thousand requests a second: as many as wait while their refusals are held back.
const LANES_PER_THOUSAND: u64 = 150;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// It ends with whoever started it, long before.
const SECONDS: u64 = 600;

/// What is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Flood {
    /// As whom.
    pub(crate) access: Access,
    /// Single events a second.
    pub(crate) rate: u64,
    /// Of so many bytes of data.
    pub(crate) data_bytes: usize,
}

/// Sends until its input ends.
pub(crate) async fn send() -> anyhow::Result<bool> {
    let (Flood { access, rate, data_bytes }, ended) = beside::told::<Flood>()?;
    let requests = rate * SECONDS;
    let answers = Arc::new(Answers::default());
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let pace = Pace::open(requests, Some(rate as f64), None);
    let generator = Generator {
        target: (&access).into(),
        // A flood does not wait: what is refused is dropped, and who waits for an answer keeps nobody else from sending.
        manner: Manner {
            doors: vec![Door::Http],
            lanes: usize::try_from(rate * LANES_PER_THOUSAND / 1_000)?.max(64),
            tries: Some(1),
            deadline: DEADLINE,
            give_up_one_in: 0,
            key_settles: Duration::ZERO,
        },
        pace: Arc::new(pace),
        load: Arc::new(Load::new(rand::random(), Shape { per_request: 1, data_bytes, keys: 0 })),
        ledger: Arc::new(Ledger::new(requests)),
        answers: Arc::clone(&answers),
    };
    tokio::select! {
        sent = generator.run() => drop(sent?),
        _ = ended => {}
    }
    println!("{}", answers.limited.load(Relaxed));
    Ok(true)
}
