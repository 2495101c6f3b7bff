//! The configuration that the processes of a fleet are given: one file, secrets included, for its owner only.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use crate::{
    config::Config,
    exit::{Failure, Result},
};

/// A secret's dotted key, and the form in which it was given.
pub(crate) type GivenSecret = (String, String);

const HEAD: &str =
    "# Made by `eventrunner up --processes` at each start, for the processes it starts: changes are lost.\n";

/// Writes the file. A configuration's own text never shows a secret, so each is put back in its place.
pub(crate) fn write(path: &Path, config: &Config, secrets: &[GivenSecret]) -> Result<()> {
    let text = text(config, secrets)?;
    let failed = |e: &std::io::Error| Failure::file("cannot write", path, e);
    let _ = fs::remove_file(path);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| failed(&e))?;
    file.write_all(HEAD.as_bytes()).and_then(|()| file.write_all(text.as_bytes())).map_err(|e| failed(&e))
}

fn text(config: &Config, secrets: &[GivenSecret]) -> Result<String> {
    let failed = |e: &dyn std::fmt::Display| Failure::failed(format!("the configuration as TOML: {e}"));
    let mut table = toml::Table::try_from(config).map_err(|e| failed(&e))?;
    for (key, value) in secrets {
        put(&mut table, key, value);
    }
    toml::to_string(&table).map_err(|e| failed(&e))
}

fn put(table: &mut toml::Table, key: &str, value: &str) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), toml::Value::from(value))),
        Some((section, rest)) => {
            if let Some(toml::Value::Table(inner)) = table.get_mut(section) {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::ConfigArgs;

    #[test]
    fn what_is_handed_on_is_what_was_given_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("processes.toml");
        let secret = "bm90IGEga2V5LCBub3QgYSBrZXksIG5vdCBhIGtleSE=";
        let settings = [("sealing.key", secret), ("topology.partitions", "12"), ("nats.url", "nats://a:b@c")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let args = ConfigArgs { settings: settings.into(), ..ConfigArgs::default() };
        let loaded = args.load_with_origins([]).unwrap();
        let secrets = loaded.secrets();
        assert_eq!(secrets, [("sealing.key".to_owned(), secret.to_owned())]);
        write(&path, &loaded.value, &secrets).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let args = ConfigArgs { config: Some(path), ..ConfigArgs::default() };
        let read = args.load([]).unwrap();
        assert_eq!(read.sealing.key.expose(), Some(secret));
        assert_eq!((read.topology.partitions, read.nats.url.as_str()), (12, "nats://a:b@c"));
    }
}
