//! The operator of a broker: the file with its seed, and the credentials of the fleet that follow from it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bus::accounts::Operator;
use runtime::config::Secret;
use secrecy::{ExposeSecret as _, SecretString};

use super::broker::epoch_seconds;
use crate::exit::{Failure, Result};

/// What is in its folder.
#[derive(Debug)]
pub(crate) struct OperatorFiles {
    pub(crate) seed: Secret,
    pub(crate) seed_file: PathBuf,
    pub(crate) fleet_credentials: PathBuf,
}

/// The operator of a folder, made if there is none, and what the fleet logs in with, written anew.
pub(crate) fn of_folder(folder: &Path) -> Result<(Operator, OperatorFiles)> {
    let (seed_file, fleet_credentials) = (folder.join("operator.seed"), folder.join("fleet.creds"));
    if !seed_file.exists() {
        write_private(&seed_file, &Operator::generate()?)?;
    }
    let seed = fs::read_to_string(&seed_file).map_err(|e| Failure::file("cannot read", &seed_file, &e))?;
    let operator = Operator::from_seed(seed.trim())?;
    write_private(&fleet_credentials, &operator.fleet_credentials(epoch_seconds()))?;
    Ok((operator, OperatorFiles { seed: Secret::from(seed.trim()), seed_file, fleet_credentials }))
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, secret: &SecretString) -> Result<()> {
    let failed = |e: &std::io::Error| Failure::file("cannot write", path, e);
    let aside = path.with_extension("tmp");
    let _ = fs::remove_file(&aside);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(|e| failed(&e))?;
    file.write_all(secret.expose_secret().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|e| failed(&e))
}
