//! How the broker of a laptop fleet is set: its configuration file.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use bus::accounts::Operator;
use model::{Clock as _, Durability, SystemClock};

use crate::exit::{Failure, Result};

/// The largest message, in bytes: a packed message of one largest event fits.
const PAYLOAD_BYTES_MAX: u32 = 8 << 20;

pub(super) const CONFIG_FILE: &str = "nats.conf";
pub(super) const PID_FILE: &str = "nats.pid";

/// What the limits of all streams together may be. Each stream's own limit bounds what it takes; a smaller sum here would
/// only refuse the streams of an earlier start, when the disk had more room.
const RESERVED_BYTES_MAX: u64 = 1 << 50;

/// What makes several nodes one broker.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Where this node meets the others.
    pub(crate) listen: SocketAddr,
    /// Where each of them does.
    pub(crate) routes: Vec<SocketAddr>,
}

/// What the configuration file is made of.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Its number, from 1 on.
    pub(crate) node: u32,
    /// Folder for everything of the broker's.
    pub(crate) folder: PathBuf,
    pub(crate) listen: SocketAddr,
    /// Where it tells about itself, over HTTP.
    pub(crate) monitor: SocketAddr,
    pub(crate) durability: Durability,
    /// Whose signature it believes about accounts.
    pub(crate) operator: Arc<Operator>,
    /// None: it is alone.
    pub(crate) cluster: Option<Cluster>,
}

impl Settings {
    /// As it is called in what is said.
    pub(crate) fn name(&self) -> String {
        match self.cluster {
            None => "nats-server".to_owned(),
            Some(_) => format!("nats-server-{}", self.node),
        }
    }

    /// The folder of a node, in the data folder.
    pub(crate) fn folder_name(node: u32) -> String {
        if node == 1 { "nats".to_owned() } else { format!("nats-{node}") }
    }

    /// How many nodes the broker of a data folder has, if there is one. A node that was alone cannot become one of three
    /// with its streams, nor the other way round: a cluster deletes what its leader does not know.
    pub(crate) fn nodes_of(data_dir: &Path) -> Option<u32> {
        let folder = data_dir.join(Self::folder_name(1));
        let text = fs::read_to_string(folder.join(CONFIG_FILE)).ok()?;
        let nodes = if text.lines().any(|line| line.starts_with("cluster {")) { 3 } else { 1 };
        folder.join("jetstream").is_dir().then_some(nodes)
    }

    /// Streams of the time when the broker had no accounts come into the fleet's. A cluster knows its streams by account, and would
    /// delete what it does not know.
    pub(crate) fn adopt(&self) -> Result<()> {
        let store = self.folder.join("jetstream/jetstream");
        let (old, new) = (store.join("$G"), store.join(self.operator.fleet_account_name()));
        if new.exists() || !old.exists() {
            return Ok(());
        }
        if self.cluster.is_some() {
            let message =
                format!("the broker in {} was made before brokers had logins", self.folder.display());
            return Err(Failure::config(message).hint(
                "work off what it holds with the version that made it, then choose another folder with --data-dir",
            ));
        }
        fs::rename(&old, &new).map_err(|e| Failure::file("cannot rename", &old, &e))
    }

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
            Durability::Disk => "always",
            // Another node has it, or the operating system.
            Durability::Replicated | Durability::Process => "2m",
        };
        let server = self.cluster.as_ref().map_or_else(String::new, |_| format!("-{}", self.node));
        let lines = [
            ("server_name", format!("\"eventrunner{server}\"")),
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
        text.push_str(&self.operator.broker_config(&self.folder.join("accounts"), epoch_seconds()));
        if let Some(Cluster { listen, routes }) = &self.cluster {
            let routes: Vec<_> = routes.iter().map(|route| format!("\"nats://{route}\"")).collect();
            let _ = write!(
                text,
                "cluster {{\n  name: \"eventrunner\"\n  listen: \"{listen}\"\n  routes: [{}]\n}}\n",
                routes.join(", ")
            );
        }
        text
    }

    /// Writes the configuration file.
    pub(crate) fn write(&self) -> Result<()> {
        self.adopt()?;
        let path = self.config_file();
        fs::write(&path, self.text()).map_err(|e| Failure::file("cannot write", &path, &e))
    }
}

/// Seconds since 1970, as the broker's JWTs have them.
pub(crate) fn epoch_seconds() -> i64 {
    SystemClock.now() / 1_000_000
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn operator() -> Arc<Operator> {
        Operator::from_seed(Operator::generate().unwrap().expose_secret()).unwrap().into()
    }

    #[test]
    fn streams_of_before_there_were_accounts_come_along_unless_a_cluster_would_delete_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            node: 1,
            folder: folder.path().into(),
            listen: "127.0.0.1:4222".parse().unwrap(),
            monitor: "127.0.0.1:8222".parse().unwrap(),
            durability: Durability::Disk,
            operator: operator(),
            cluster: None,
        };
        settings.write().unwrap();
        let store = folder.path().join("jetstream/jetstream");
        fs::create_dir_all(store.join("$G/streams/RAW")).unwrap();
        let meet: SocketAddr = "127.0.0.1:6222".parse().unwrap();
        settings.cluster = Some(Cluster { listen: meet, routes: vec![meet] });
        assert!(settings.write().unwrap_err().to_string().contains("before brokers had logins"));
        settings.cluster = None;
        settings.write().unwrap();
        assert!(store.join(settings.operator.fleet_account_name()).join("streams/RAW").is_dir());
        settings.write().unwrap();
    }

    #[test]
    fn disk_means_that_each_message_is_synced() {
        let settings = |durability| Settings {
            node: 1,
            cluster: None,
            folder: "/data/with \"quotes\"".into(),
            listen: "127.0.0.1:4222".parse().unwrap(),
            monitor: "127.0.0.1:8222".parse().unwrap(),
            durability,
            operator: operator(),
        };
        let disk = settings(Durability::Disk).text();
        assert!(
            disk.contains("sync_interval: always") && disk.contains("listen: \"127.0.0.1:4222\""),
            "{disk}"
        );
        assert!(disk.contains(r#"store_dir: "/data/with \"quotes\"/jetstream""#), "{disk}");
        assert!(settings(Durability::Process).text().contains("sync_interval: 2m"));
    }

    #[test]
    fn the_folder_tells_how_many_nodes_there_are() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Settings::nodes_of(folder.path()), None);
        let meet: SocketAddr = "127.0.0.1:6222".parse().unwrap();
        for (cluster, nodes) in [(None, 1), (Some(Cluster { listen: meet, routes: vec![meet] }), 3)] {
            let settings = Settings {
                node: 1,
                folder: folder.path().join(Settings::folder_name(1)),
                listen: "127.0.0.1:4222".parse().unwrap(),
                monitor: "127.0.0.1:8222".parse().unwrap(),
                durability: Durability::Disk,
                operator: operator(),
                cluster,
            };
            fs::create_dir_all(settings.folder.join("jetstream")).unwrap();
            settings.write().unwrap();
            assert_eq!(Settings::nodes_of(folder.path()), Some(nodes));
        }
    }
}
