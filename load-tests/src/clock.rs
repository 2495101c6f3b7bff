//! The wall clock of a fleet's services, stepped while they run. They are linked to the system's clock dynamically, and run under
//! libfaketime (the Debian package of that name), which looks for the offset in a file. Monotonic time, by which they wait, stays as it
//! is, as it does when an operator sets a clock. The broker is linked statically, so its clock is not stepped: the two differ, as those of two
//! machines may.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Steps, in seconds from the true time: ahead, behind, far ahead, a little behind, true again; and so on.
const STEPS: [i64; 5] = [3_600, -3_600, 86_400, -5, 0];
/// How long the services may go by the old offset.
const LOOKED_FOR: Duration = Duration::from_secs(1);

/// The clock of the services of one fleet.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    file: PathBuf,
    steps: usize,
}

impl Clock {
    /// A clock that is right, until it is stepped.
    pub(crate) fn new(library: PathBuf, folder: &Path) -> anyhow::Result<Self> {
        let clock = Self { library, file: folder.join("clock"), steps: 0 };
        clock.set(0)?;
        Ok(clock)
    }

    /// What a process must be started with to go by it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_CACHE_DURATION", LOOKED_FOR.as_secs().to_string().into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    /// The next step; it holds for every service when this returns. Gives the new offset in seconds.
    pub(crate) async fn step(&mut self) -> anyhow::Result<i64> {
        let offset = STEPS[self.steps % STEPS.len()];
        self.steps += 1;
        self.set(offset)?;
        tokio::time::sleep(LOOKED_FOR * 2).await;
        Ok(offset)
    }

    /// Replaced whole: nobody must read half an offset.
    fn set(&self, seconds: i64) -> anyhow::Result<()> {
        let fresh = self.file.with_extension("fresh");
        fs::write(&fresh, format!("{seconds:+}\n"))?;
        Ok(fs::rename(fresh, &self.file)?)
    }
}
