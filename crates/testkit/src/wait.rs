//! Waiting for a condition instead of a time.

use std::time::{Duration, Instant};

/// Between two looks: short enough not to slow a test, long enough not to starve what it waits for.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// After `timeout`, naming `what`.
pub async fn wait_until(what: &str, timeout: Duration, mut condition: impl AsyncFnMut() -> bool) {
    wait_for(what, timeout, async || condition().await.then_some(())).await;
}

/// Waits until `find` finds something, and returns it.
///
/// # Panics
/// After `timeout`, naming `what`.
pub async fn wait_for<T>(what: &str, timeout: Duration, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        // The condition itself may hang: that is a timeout too.
        let left = timeout.saturating_sub(start.elapsed()).max(PAUSE);
        match tokio::time::timeout(left, find()).await {
            Ok(Some(found)) => return found,
            Ok(None) if start.elapsed() < timeout => tokio::time::sleep(PAUSE).await,
            _ => panic!("not within {timeout:?}: {what}"),
        }
    }
}
