//! How the broker of a laptop fleet is set: its configuration file.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use model::Durability;

use crate::exit::{Failure, Result};

/// The largest message, in bytes: a packed message of one largest event fits.
const PAYLOAD_BYTES_MAX: u32 = 8 << 20;

pub(super) const CONFIG_FILE: &str = "nats.conf";
pub(super) const PID_FILE: &str = "nats.pid";

/// What the limits of all streams together may be. Each stream's own limit bounds what it takes; a smaller sum here would
/// only refuse the streams of an earlier start, when the disk had more room.
const RESERVED_BYTES_MAX: u64 = 1 << 50;

/// What the configuration file is made of.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Folder for everything of the broker's.
    pub(crate) folder: PathBuf,
    pub(crate) listen: SocketAddr,
    /// Where it tells about itself, over HTTP.
    pub(crate) monitor: SocketAddr,
    pub(crate) durability: Durability,
}

impl Settings {
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.join(CONFIG_FILE)
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.folder.join(PID_FILE)
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("nats.log")
    }

    /// The configuration file's text.
    fn text(&self) -> String {
        let mut text = String::from(
            "# Made by `eventrunner up` at each start: changes are lost. To set the broker yourself, run your own\n\
             # and give its address with --nats-url.\n",
        );
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let sync = match self.durability {
            // Each message is on the disk before it is acknowledged.
            Durability::Disk | Durability::Replicated => "always",
            Durability::Process => "2m",
        };
        let lines = [
            ("server_name", "\"eventrunner\"".to_owned()),
            ("listen", format!("\"{}\"", self.listen)),
            ("http", format!("\"{}\"", self.monitor)),
            ("max_payload", PAYLOAD_BYTES_MAX.to_string()),
            ("pid_file", quoted(&self.pid_file())),
            ("log_file", quoted(&self.log_file())),
            ("logfile_size_limit", (16 << 20).to_string()),
            ("logfile_max_num", "3".to_owned()),
        ];
        for (name, value) in lines {
            let _ = writeln!(text, "{name}: {value}");
        }
        let store = quoted(&self.folder.join("jetstream"));
        let _ = write!(
            text,
            "jetstream {{\n  store_dir: {store}\n  max_file_store: {}\n  max_memory_store: {}\n  sync_interval: {sync}\n}}\n",
            RESERVED_BYTES_MAX,
            64 << 20
        );
        text
    }

    /// Writes the configuration file.
    pub(crate) fn write(&self) -> Result<()> {
        let path = self.config_file();
        fs::write(&path, self.text()).map_err(|e| Failure::file("cannot write", &path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_means_that_each_message_is_synced() {
        let settings = |durability| Settings {
            folder: "/data/with \"quotes\"".into(),
            listen: "127.0.0.1:4222".parse().unwrap(),
            monitor: "127.0.0.1:8222".parse().unwrap(),
            durability,
        };
        let disk = settings(Durability::Disk).text();
        assert!(
            disk.contains("sync_interval: always") && disk.contains("listen: \"127.0.0.1:4222\""),
            "{disk}"
        );
        assert!(disk.contains(r#"store_dir: "/data/with \"quotes\"/jetstream""#), "{disk}");
        assert!(settings(Durability::Process).text().contains("sync_interval: 2m"));
    }
}
