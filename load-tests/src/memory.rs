//! The most memory that processes held while they were watched.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::task::AbortOnDropHandle;

const LOOK: Duration = Duration::from_millis(200);

/// Peaks by name, in megabytes; a process that was started again under the same name counts with the others.
#[derive(Debug)]
pub(crate) struct Peaks {
    seen: Arc<Mutex<Seen>>,
    _watching: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    pids: Vec<(String, u32)>,
    peaks: BTreeMap<String, u64>,
}

impl Peaks {
    /// Begins to watch.
    pub(crate) fn watch(pids: Vec<(String, u32)>) -> Self {
        let seen = Arc::new(Mutex::new(Seen { pids, ..Seen::default() }));
        let watched = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            loop {
                watched.lock().unwrap_or_else(PoisonError::into_inner).look();
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { seen, _watching: AbortOnDropHandle::new(watching) }
    }

    /// Watches these too.
    pub(crate) fn also(&self, pids: Vec<(String, u32)>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in pids {
            if !seen.pids.contains(&pid) {
                seen.pids.push(pid);
            }
        }
    }

    /// Tells each peak; gives the highest.
    pub(crate) fn print(&self) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, megabytes) in &seen.peaks {
            println!("{name:<20} {megabytes:>6} MB at most");
        }
        seen.peaks.values().copied().max().unwrap_or_default()
    }
}

impl Seen {
    fn look(&mut self) {
        for (name, pid) in &self.pids {
            let held = resident(*pid).unwrap_or_default() >> 20;
            let peak = self.peaks.entry(name.clone()).or_default();
            *peak = held.max(*peak);
        }
    }
}

/// What each process holds now, in megabytes.
pub(crate) fn held(pids: &[(String, u32)]) -> Vec<(String, u64)> {
    pids.iter().map(|(name, pid)| (name.clone(), resident(*pid).unwrap_or_default() >> 20)).collect()
}

/// Bytes in memory: the second field of `statm` (proc(5)) counts pages, of 4 KiB where nobody said otherwise.
fn resident(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4_096)
}
