//! `fleet.json` in the data folder: which processes the fleet is made of, for whoever wants to look at one, or kill it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::CONFIG_FILE;
use crate::{
    exit::{Failure, Result},
    up::{
        broker::{self, Leftover, Settings},
        folder,
    },
};

/// Its name in the data folder.
pub(crate) const FILE: &str = "fleet.json";

/// A process of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Such as `engine-2`.
    pub(crate) name: String,
    /// `nats-server`, or the subcommand.
    pub(crate) service: String,
    /// Its number among those of the service, from 1 on.
    pub(crate) replica: u32,
    /// Absent while it does not run.
    pub(crate) pid: Option<u32>,
    /// Where it listens, if it does.
    pub(crate) address: Option<String>,
    /// Its metrics and health; the monitoring of nats-server.
    pub(crate) admin_url: String,
    /// What it says.
    pub(crate) log: PathBuf,
    /// How often it was started again.
    pub(crate) restarts: u64,
}

/// What the file says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// The process that started the others and watches them.
    pub(crate) supervisor: u32,
    pub(crate) processes: Vec<Member>,
}

impl Fleet {
    /// Reads a data folder's; `None` if there is none that can be read.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data_dir.join(FILE)).ok()?).ok()
    }

    /// The same, if the process that wrote it holds the folder.
    pub(crate) fn running(data_dir: &Path) -> Option<Self> {
        Self::read(data_dir).filter(|fleet| folder::holder(data_dir) == Some(fleet.supervisor))
    }
}

/// The file of a fleet that runs.
#[derive(Debug)]
pub(crate) struct Roster {
    path: PathBuf,
    members: Mutex<Vec<Member>>,
}

impl Roster {
    /// One of these; written as they start.
    pub(crate) fn new(data_dir: &Path, members: Vec<Member>) -> Self {
        Self { path: data_dir.join(FILE), members: Mutex::new(members) }
    }

    /// A process runs.
    pub(crate) fn started(&self, name: &str, pid: u32) {
        self.change(name, |member| member.pid = Some(pid));
    }

    /// A process has ended, and will be started again.
    pub(crate) fn ended(&self, name: &str) {
        self.change(name, |member| {
            member.pid = None;
            member.restarts += 1;
        });
    }

    /// All of them.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing runs any more.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Member)) {
        // Written under the lock: what was changed last stands last.
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = members.iter_mut().find(|m| m.name == name) {
            change(member);
        }
        let fleet = Fleet { supervisor: std::process::id(), processes: members.clone() };
        if let Err(failure) = self.write(&fleet) {
            tracing::warn!(reason = failure.message, "the list of processes is not written");
        }
    }

    fn write(&self, fleet: &Fleet) -> Result<()> {
        let text = serde_json::to_vec_pretty(fleet).map_err(|e| Failure::failed(e.to_string()))?;
        let aside = self.path.with_extension("json.tmp");
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, &self.path))
            .map_err(|e| Failure::file("cannot write", &self.path, &e))
    }
}

/// The processes that a killed `up` left behind in this folder: services, which end by themselves when they are alone but
/// may have work to finish, and brokers, which do not.
pub(crate) fn leftovers(data_dir: &Path) -> Vec<Leftover> {
    let config = data_dir.join(CONFIG_FILE);
    let services = Fleet::read(data_dir).into_iter().flat_map(|fleet| fleet.processes);
    let services = services.filter_map(|m| Leftover::new(m.name, m.pid?, config.clone()));
    let nodes = (1..=3).filter_map(|node| broker::find_leftover(&data_dir.join(Settings::folder_name(node))));
    services.chain(nodes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_follows_what_happens() {
        let folder = tempfile::tempdir().unwrap();
        let member = Member {
            name: "engine-1".into(),
            service: "engine".into(),
            replica: 1,
            pid: None,
            address: None,
            admin_url: "http://127.0.0.1:1".into(),
            log: "/log".into(),
            restarts: 0,
        };
        let roster = Roster::new(folder.path(), vec![member]);
        let read = || Fleet::read(folder.path()).unwrap().processes.remove(0);
        roster.started("engine-1", 7);
        assert_eq!((read().pid, read().restarts), (Some(7), 0));
        roster.ended("engine-1");
        assert_eq!((read().pid, read().restarts), (None, 1));
        // Our own process was not started with that folder's configuration.
        roster.started("engine-1", std::process::id());
        assert_eq!(leftovers(folder.path()), []);
        assert!(Fleet::running(folder.path()).is_none(), "nobody holds the folder");
        roster.remove();
        assert!(Fleet::read(folder.path()).is_none());
    }
}
