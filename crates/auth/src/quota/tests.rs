//! Buckets over a clock that is set.

use governor::clock::FakeRelativeClock;

use super::*;

fn id(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn events(events_per_second: u32, events_burst: u32) -> Limits {
    Limits { events_per_second, events_burst, ..Limits::default() }
}

fn bytes(bytes_per_second: u32, bytes_burst: u32) -> Limits {
    Limits { bytes_per_second, bytes_burst, ..Limits::default() }
}

fn quotas(options: Options) -> (Quotas<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Quotas::with_clock(options, clock.clone()), clock)
}

/// What is left of events after so many came.
fn take(
    quotas: &Quotas<FakeRelativeClock>,
    tenant: &str,
    limits: &Limits,
    count: u32,
) -> Result<QuotaState, Exceeded> {
    quotas.check(&id(tenant), limits, count, 0).map(|left| left.events.unwrap())
}

#[test]
fn the_burst_goes_then_the_rate_holds() {
    let (quotas, clock) = quotas(Options::default());
    let limits = events(10, 100);
    let state = take(&quotas, "acme", &limits, 100).unwrap();
    assert_eq!(state, QuotaState { limit: 100, remaining: 0, reset_s: 10, window_s: 10 });
    let later = take(&quotas, "acme", &limits, 5).unwrap_err();
    let retry_after = Duration::from_millis(500);
    assert_eq!(later, Exceeded::Later { unit: Unit::Events, rate: 10, limit: 100, retry_after });
    assert_eq!(later.retry_after_s(), 1);
    assert!(later.to_string().contains("`events_per_second` is 10, with 100 events at once"), "{later}");
    clock.advance(Duration::from_millis(500));
    assert_eq!(take(&quotas, "acme", &limits, 5).unwrap().remaining, 0);
    assert!(take(&quotas, "acme", &limits, 1).is_err());
    clock.advance(Duration::from_secs(60));
    assert_eq!(take(&quotas, "acme", &limits, 1).unwrap().remaining, 99, "never more than the burst");
}

#[test]
fn bytes_are_counted_beside_events() {
    let (quotas, clock) = quotas(Options::default());
    let limits = Limits { events_per_second: 10, events_burst: 5, ..bytes(64_000, 640_000) };
    let left = quotas.check(&id("acme"), &limits, 2, 320_000).unwrap();
    assert_eq!(left.events.unwrap().remaining, 3);
    let expected = QuotaState { limit: 640_000, remaining: 320_000, reset_s: 5, window_s: 10 };
    assert_eq!(left.bytes.unwrap(), expected);
    let later = quotas.check(&id("acme"), &limits, 1, 384_000).unwrap_err();
    let retry_after = Duration::from_secs(1);
    assert_eq!(later, Exceeded::Later { unit: Unit::Bytes, rate: 64_000, limit: 640_000, retry_after });
    assert_eq!(quotas.check(&id("acme"), &limits, 1, 0).unwrap().events.unwrap().remaining, 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(quotas.check(&id("acme"), &limits, 1, 384_000).unwrap().bytes.unwrap().remaining, 0);
    let never = quotas.check(&id("acme"), &limits, 1, 640_065).unwrap_err();
    assert!(matches!(never, Exceeded::Never { unit: Unit::Bytes, came: 640_065, .. }), "{never:?}");
    assert!(never.to_string().contains("`bytes_burst` of 640000"), "{never}");
}

#[test]
fn the_largest_event_fits_whatever_the_rate() {
    let (quotas, _) = quotas(Options::default());
    let limits = bytes(1_000, 0);
    let largest = usize::try_from(limits.event_bytes_max).unwrap();
    assert!(quotas.check(&id("acme"), &limits, 1, largest).is_ok());
    assert!(matches!(quotas.check(&id("acme"), &limits, 1, 1), Err(Exceeded::Later { .. })));
}

#[test]
fn a_fast_tenant_gets_what_it_has() {
    let (quotas, clock) = quotas(Options::default());
    // A byte takes 3.3 ns: counted one by one it would be 3.
    let limits = bytes(300_000_000, 64_000_000);
    assert!(quotas.check(&id("acme"), &limits, 1, 64_000_000).is_ok());
    let mut taken = 0_u64;
    for _ in 0..100 {
        clock.advance(Duration::from_millis(10));
        while quotas.check(&id("acme"), &limits, 1, 64_000).is_ok() {
            taken += 64_000;
        }
    }
    assert!((297_000_000..=303_000_000).contains(&taken), "{taken} bytes in a second");
}

#[test]
fn a_batch_over_the_burst_says_so_and_takes_nothing() {
    let (quotas, _) = quotas(Options::default());
    let never = Exceeded::Never { unit: Unit::Events, rate: 10, limit: 10, came: 11 };
    assert_eq!(take(&quotas, "acme", &events(10, 0), 11), Err(never));
    assert_eq!(take(&quotas, "acme", &events(10, 0), 10).unwrap().remaining, 0);
}

#[test]
fn no_limit_leaves_no_trace() {
    let (quotas, _) = quotas(Options::default());
    assert_eq!(quotas.check(&id("acme"), &events(0, 5), u32::MAX, usize::MAX), Ok(Left::default()));
    assert!(quotas.is_empty());
}

#[test]
fn tenants_do_not_share_and_new_limits_apply_at_once() {
    let (quotas, _) = quotas(Options::default());
    assert!(take(&quotas, "a", &events(1, 1), 1).is_ok());
    assert!(take(&quotas, "a", &events(1, 1), 1).is_err());
    assert!(take(&quotas, "b", &events(1, 1), 1).is_ok());
    assert!(take(&quotas, "a", &events(1, 5), 5).is_ok(), "the raised burst");
    assert!(take(&quotas, "a", &events(1, 2), 3).is_err(), "the lowered burst");
    assert_eq!(quotas.check(&id("a"), &events(0, 0), 1_000, 0), Ok(Left::default()));
}

#[test]
fn the_table_is_bounded_and_forgets_the_idle_first() {
    let (quotas, clock) = quotas(Options { tenants_max: 3, idle_seconds: 10, ..Options::default() });
    assert!(take(&quotas, "slow", &events(1, 1_000), 1_000).is_ok());
    assert!(take(&quotas, "quick", &events(1, 1), 1).is_ok());
    clock.advance(Duration::from_secs(20));
    assert!(take(&quotas, "c", &events(1, 1), 1).is_ok());
    assert!(take(&quotas, "d", &events(1, 1), 1).is_ok());
    assert_eq!(quotas.len(), 3);
    let refused = take(&quotas, "slow", &events(1, 1_000), 1_000);
    assert!(refused.is_err(), "idle, but its bucket is not full yet: it is kept");
    for n in 0..50 {
        assert!(take(&quotas, &format!("t{n}"), &events(1, 1), 1).is_ok());
        assert!(quotas.len() <= 3);
    }
}

#[test]
fn extreme_rates_neither_panic_nor_lie() {
    let (quotas, _) = quotas(Options::default());
    assert_eq!(take(&quotas, "a", &events(u32::MAX, u32::MAX), u32::MAX).unwrap().remaining, 0);
    assert!(take(&quotas, "b", &events(1, u32::MAX), u32::MAX).is_ok());
    let again = take(&quotas, "b", &events(1, u32::MAX), u32::MAX);
    assert!(matches!(again, Err(Exceeded::Later { .. })));
    assert!(quotas.check(&id("c"), &bytes(u32::MAX, u32::MAX), 1, usize::MAX).is_ok());
    assert!(quotas.check(&id("d"), &bytes(1, 1), 1, 1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn refusals_are_held_back_as_long_as_there_is_room() {
    let options = Options { held_back_max: 5, ..Options::default() };
    let quotas = Quotas::new(options);
    let times = || async {
        let began = tokio::time::Instant::now();
        quotas.hold_back().await;
        began.elapsed()
    };
    let (first, second, third, fourth, fifth, last) =
        tokio::join!(times(), times(), times(), times(), times(), times());
    let took = [first, second, third, fourth, fifth];
    // Tokio's clock goes by milliseconds.
    let held_back = options.held_back / 2..options.held_back + Duration::from_millis(2);
    assert!(took.iter().all(|took| held_back.contains(took)), "{took:?}");
    assert!(took.windows(2).any(|two| two[0] != two[1]), "each for another while: {took:?}");
    assert_eq!(last, Duration::ZERO);
    assert!(held_back.contains(&times().await));
}
