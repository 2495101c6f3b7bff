//! How far long work is: shown on a terminal, and written down for a run that goes on with it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Serialize, de::DeserializeOwned};

use crate::exit::{Failure, Result};

/// Drawn on stderr, and only on a terminal.
pub(super) fn drawn(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What was written down, if anything was.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::file("cannot read", path, &e)),
    };
    let wrong = |e| Failure::data(format!("{} is not ours: {e}", path.display()));
    serde_json::from_slice(&text).map(Some).map_err(wrong)
}

/// Writes it down, whole or not at all.
pub(super) fn write(path: &Path, progress: &impl Serialize) -> Result<()> {
    let aside = beside(path, ".new");
    let json = serde_json::to_vec(progress).map_err(|e| Failure::failed(e.to_string()))?;
    let written = File::create(&aside)
        .and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_data()))
        .and_then(|()| fs::rename(&aside, path));
    written.map_err(|e| Failure::file("cannot write", path, &e))
}

/// A file's name with something at its end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
