//! A build of the fleet that is replaced by another while it runs, as an upgrade does.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::fleet::{FleetArgs, Own};

/// A copy of the program, from which the fleet starts its processes, and the build that is to take its place.
#[derive(Debug)]
pub(crate) struct Upgrade {
    folder: TempDir,
    to: PathBuf,
}

impl Upgrade {
    /// Copies the program that the fleet would be started with, and has it started with the copy.
    pub(crate) fn prepare(fleet: &mut FleetArgs, to: &Path) -> anyhow::Result<Self> {
        ensure!(to.is_file(), "there is no {}: build it", to.display());
        let from = fleet.program()?;
        fs::create_dir_all(&fleet.dir).with_context(|| format!("cannot make {}", fleet.dir.display()))?;
        let folder = TempDir::with_prefix_in("build-", fs::canonicalize(&fleet.dir)?)?;
        let upgrade = Self { folder, to: to.to_owned() };
        fs::copy(&from, upgrade.program()).with_context(|| format!("cannot copy {}", from.display()))?;
        fleet.bin = Some(upgrade.program());
        Ok(upgrade)
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("eventrunner")
    }

    /// Migrates with the other build, and puts it in the place of the one that runs: what starts from now on is that one.
    pub(crate) fn replace(&self, own: &Own) -> anyhow::Result<()> {
        let config = own.folder().join("data/processes.toml");
        let done = Command::new(&self.to).arg("migrate").arg("--config").arg(&config).output()?;
        ensure!(done.status.success(), "migrate: {}", String::from_utf8_lossy(&done.stderr));
        let fresh = self.folder.path().join("eventrunner.fresh");
        fs::copy(&self.to, &fresh).with_context(|| format!("cannot copy {}", self.to.display()))?;
        fs::rename(&fresh, self.program())?;
        Ok(())
    }

    /// Refuses a process that is still of the build before.
    pub(crate) fn ensure_replaced(&self, name: &str, pid: u32) -> anyhow::Result<()> {
        let runs = fs::metadata(format!("/proc/{pid}/exe")).with_context(|| format!("{name} is gone"))?;
        let wanted = fs::metadata(self.program())?;
        ensure!((runs.dev(), runs.ino()) == (wanted.dev(), wanted.ino()), "{name} was not upgraded");
        Ok(())
    }
}
