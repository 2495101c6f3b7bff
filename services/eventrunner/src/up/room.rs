//! Fitting the streams into the room there is: a full disk stops the broker altogether.

use std::{fs, path::Path};

use bus::TopologyOptions;

const MIB: u64 = 1 << 20;
/// Of the room, what is left for the store and everybody else: one part in so many.
const SHARE_LEFT: u64 = 3;
/// What the catalog and the broker's own books may take.
const SMALL_THINGS: u64 = 128 * MIB;

/// Lowers the limits of the streams, all in proportion, so that they fit into what is free or theirs already. Whether
/// they had to be lowered.
pub(crate) fn fit(topology: &mut TopologyOptions, available: u64) -> bool {
    let budget = (available - available / SHARE_LEFT).saturating_sub(SMALL_THINGS);
    let limits = [
        (&mut topology.hop_bytes_max, 2),
        (&mut topology.tenant_bytes_max, 1),
        (&mut topology.dead_bytes_max, 1),
        (&mut topology.audit_bytes_max, 1),
        (&mut topology.invoices_bytes_max, 2),
        (&mut topology.idempotency_bytes_max, 1),
        (&mut topology.sessions_bytes_max, 1),
    ];
    let wanted: u64 = limits.iter().map(|(limit, count)| bytes(**limit).saturating_mul(*count)).sum();
    if wanted <= budget {
        return false;
    }
    for (limit, _) in limits {
        let share = u128::from(bytes(*limit)) * u128::from(budget) / u128::from(wanted.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX) / MIB * MIB;
        *limit = i64::try_from(share.max(MIB)).unwrap_or(i64::MAX);
    }
    true
}

fn bytes(limit: i64) -> u64 {
    // The broker reads a negative limit as none; here it stands for all there is.
    u64::try_from(limit).unwrap_or(u64::MAX / 4)
}

/// Bytes of the files in a folder; what cannot be read counts nothing.
pub(crate) fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_large_disk_changes_nothing_and_a_small_one_all_in_proportion() {
        let defaults = TopologyOptions::default();
        let mut topology = defaults.clone();
        let lowered = fit(&mut topology, 100 * GIB);
        assert!(!lowered && topology.hop_bytes_max == defaults.hop_bytes_max);

        for available in [GIB / 4, 3 * GIB, 6 * GIB] {
            let mut topology = defaults.clone();
            assert!(fit(&mut topology, available), "lowered");
            let total = 2 * topology.hop_bytes_max
                + topology.tenant_bytes_max
                + topology.dead_bytes_max
                + topology.audit_bytes_max
                + 2 * topology.invoices_bytes_max
                + topology.idempotency_bytes_max
                + topology.sessions_bytes_max;
            assert!(u64::try_from(total).unwrap() < available && topology.dead_bytes_max > 0);
            assert!(topology.tenant_bytes_max > topology.hop_bytes_max, "in proportion");
        }
    }

    #[test]
    fn sizes_are_summed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/x"), [0; 100]).unwrap();
        fs::write(folder.path().join("y"), [0; 11]).unwrap();
        assert_eq!(size_of(folder.path()), 111);
        assert_eq!(size_of(&folder.path().join("none")), 0);
    }
}
