//! A broker of the fleet's own that can be kept away, or be given a small disk.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::trial::Prepare;

/// In front of the fleet's nats-server: it starts only while there is no file of this name.
const GATE: &str = "nats-server-gate";

/// Where the broker keeps its streams.
pub(super) const STREAMS: &str = "data/nats/jetstream";
/// Its size: room for the streams of a steady load that is read.
const SMALL_DISK_MB: u64 = 256;

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: whatever still uses it keeps it so long.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Puts a gate in front of the broker's program, so that whoever watches the broker cannot start it, and a small disk under
/// its streams, if one is asked for.
pub(super) fn prepare(small: bool, mounted: Arc<Mutex<Option<Mounted>>>) -> Prepare {
    Box::new(move |folder: &Path| {
        if small {
            // Beside the fleet's folder, which is removed before the disk is free.
            let disk = TempDir::with_prefix_in("disk-", folder.parent().unwrap_or(folder))?;
            let streams = folder.join(STREAMS);
            fs::create_dir_all(streams.parent().unwrap_or(&streams))?;
            let size = format!("size={SMALL_DISK_MB}m");
            let status = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(disk.path())
                .status()?;
            ensure!(status.success(), "a small disk cannot be mounted: only root may");
            std::os::unix::fs::symlink(disk.path(), streams)?;
            *mounted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Mounted(disk));
        }
        let gate = folder.join(GATE);
        let program = testkit::nats_server_binary();
        let text = format!(
            "#!/bin/sh\n\
             # Asked for its version, it answers in any case.\n\
             while [ \"$1\" = --config ] && [ -e \"$0.closed\" ]; do sleep 0.1; done\n\
             exec {:?} \"$@\"\n",
            program.display().to_string()
        );
        fs::write(&gate, text)?;
        fs::set_permissions(&gate, fs::Permissions::from_mode(0o700))?;
        Ok(vec![OsString::from("--nats-server"), gate.into()])
    })
}

/// Writes until there is no room any more.
pub(super) fn fill(file: &Path) -> anyhow::Result<()> {
    let mut filler = fs::File::create(file)?;
    let block = vec![0_u8; 1 << 16];
    let mut size = block.len();
    // The last bytes too.
    while size > 0 {
        match filler.write_all(&block[..size]) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => size /= 16,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The gate is closed while this lives.
#[derive(Debug)]
pub(super) struct Closed(PathBuf);

impl Closed {
    /// Closes it.
    pub(super) fn close(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(format!("{GATE}.closed"));
        fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        // Without it the broker stays away, which nobody overlooks.
        let _ = fs::remove_file(&self.0);
    }
}
