//! Room on the disk with the data folder, and what the embedded store takes of it.

use std::path::Path;

use runtime::metrics::{Metric, gauge};
use store::embedded::Stats;

/// Before the folder is there, nothing is shown.
#[expect(clippy::cast_precision_loss, reason = "bytes of a disk are far below 2^53")]
pub(super) fn show(folder: &Path) {
    if let Ok(stat) = rustix::fs::statvfs(folder) {
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize) as f64;
        gauge(Metric::DiskFreeBytes, &[]).set(bytes(stat.f_bavail));
        gauge(Metric::DiskSizeBytes, &[]).set(bytes(stat.f_blocks));
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a disk are far below 2^53")]
pub(super) fn show_store(stats: &Stats) {
    gauge(Metric::StoreDiskBytes, &[]).set(stats.disk_bytes as f64);
    gauge(Metric::StoreQueuedBatches, &[]).set(stats.queue_batches as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room_and_no_more_than_its_size() {
        show(Path::new("/"));
        let (free, size) = (gauge(Metric::DiskFreeBytes, &[]).get(), gauge(Metric::DiskSizeBytes, &[]).get());
        assert!(free >= 0.0 && size > 1e6 && free <= size, "{free} of {size}");
    }
}
