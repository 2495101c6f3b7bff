//! The ports of a fleet: all of them are tried before anything starts.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use crate::exit::{Code, Failure, Result};

/// A port that somebody will listen on.
#[derive(Debug)]
pub(crate) struct Port<'a> {
    /// Who will.
    pub(crate) name: String,
    /// Where.
    pub(crate) address: &'a mut SocketAddr,
    /// Whether a port of 0 must become a certain one now, because others are told before it is taken.
    pub(crate) fixed: bool,
    /// Whether any other will do when it is taken.
    pub(crate) may_move: bool,
    /// How to choose another.
    pub(crate) flag: &'static str,
}

/// A port that was chosen for somebody and is kept free for them while this lives.
#[derive(Debug)]
pub(crate) struct Held {
    /// Whom it is for.
    pub(crate) name: String,
    _listener: TcpListener,
}

/// Tries each port. All are held until the last was tried, so that two of ours on one port are found too; the ones
/// that were chosen here stay held, so that nobody gets them meanwhile, until what is returned is dropped. What
/// `leftovers`, processes that will be stopped first, hold is free.
pub(crate) fn check(ports: &mut [Port<'_>], leftovers: &[u32]) -> Result<Vec<Held>> {
    let (mut chosen, mut tried) = (Vec::new(), Vec::new());
    let mut faults = Vec::new();
    let mut code = Code::CannotTake;
    for index in 0..ports.len() {
        let (before, [port, ..]) = ports.split_at_mut(index) else { continue };
        let bound = TcpListener::bind(*port.address).or_else(|error| {
            if !port.may_move {
                return Err(error);
            }
            port.address.set_port(0);
            TcpListener::bind(*port.address)
        });
        match bound {
            Ok(listener) if port.address.port() == 0 => {
                if port.fixed {
                    *port.address = listener.local_addr().unwrap_or(*port.address);
                    chosen.push(Held { name: port.name.clone(), _listener: listener });
                }
            }
            Ok(listener) => tried.push(listener),
            Err(error) => {
                let holder = holder(port.address.port());
                if holder.as_ref().is_some_and(|h| leftovers.contains(&h.pid)) {
                    continue;
                }
                if error.kind() == io::ErrorKind::PermissionDenied {
                    code = Code::NoPermission;
                }
                let ours =
                    before.iter().find(|other| *other.address == *port.address).map(|o| o.name.as_str());
                faults.push(fault(port, &error, ours, holder.as_ref()));
            }
        }
    }
    if faults.is_empty() {
        return Ok(chosen);
    }
    let failure = Failure::new(code, faults.join("\n"));
    Err(failure.hint("or move all of them with --port-base, or take free ones with --port-base 0"))
}

fn fault(port: &Port<'_>, error: &io::Error, ours: Option<&str>, holder: Option<&Holder>) -> String {
    let Port { name, address, flag, .. } = port;
    let change = format!("choose another with {flag}");
    match (error.kind(), ours) {
        (io::ErrorKind::AddrInUse, Some(ours)) => {
            format!("{name} and {ours} cannot both listen on {address}; {change}")
        }
        (io::ErrorKind::AddrInUse, None) => {
            let by = holder.map(|h| format!(" by {} (process id {})", h.name, h.pid)).unwrap_or_default();
            format!("{name} cannot listen on {address}: the port is taken{by}; {change}")
        }
        _ => format!("{name} cannot listen on {address}: {error}; {change}"),
    }
}

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

/// Which process listens on a TCP port, if the kernel tells us: only of our own processes, unless we are root.
pub(crate) fn holder(port: u16) -> Option<Holder> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|path| fs::read_to_string(path).ok());
    let inode = sockets.filter_map(|table| listening_inode(&table, port)).next()?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let folder = process.path();
        let Some(pid) = folder.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok()) else {
            continue;
        };
        if has_open(&folder.join("fd"), &wanted) {
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            return Some(Holder { pid, name: name.trim().to_owned() });
        }
    }
    None
}

fn has_open(descriptors: &Path, target: &str) -> bool {
    let Ok(entries) = fs::read_dir(descriptors) else { return false };
    entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == target))
}

/// The inode of the listening socket of a port in a table such as `/proc/net/tcp` (proc(5)): local address in the second
/// column, state in the fourth (0A: LISTEN), inode in the tenth.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let listens = *columns.get(3)? == "0A" && u16::from_str_radix(local_port, 16) == Ok(port);
        listens.then(|| columns.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port<'a>(name: &str, address: &'a mut SocketAddr, flag: &'static str) -> Port<'a> {
        Port { name: name.to_owned(), address, fixed: true, may_move: false, flag }
    }

    #[test]
    fn chosen_ports_are_held() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (mut a, mut b, mut later) = (any, any, any);
        let mut ports =
            [port("a", &mut a, "--a"), port("b", &mut b, "--b"), port("later", &mut later, "--later")];
        ports[2].fixed = false;
        let held = check(&mut ports, &[]).unwrap();
        assert!(a.port() != 0 && b.port() != 0 && a != b);
        assert_eq!(later, any, "whoever listens there chooses");
        assert!(TcpListener::bind(a).is_err() && TcpListener::bind(b).is_err());
        let mut elsewhere = a;
        let mut moving = [Port { may_move: true, ..port("d", &mut elsewhere, "--d") }];
        assert_eq!(check(&mut moving, &[]).unwrap()[0].name, "d");
        assert_ne!(elsewhere, a, "taken, and moved");
        drop(held);
        assert!(TcpListener::bind(a).is_ok() && TcpListener::bind(b).is_ok());
    }

    #[test]
    fn says_who_has_a_taken_port() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut a = taken.local_addr().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (mut b, mut c) = (free, free);
        let mut ports =
            [port("a", &mut a, "--a-port"), port("b", &mut b, "--b-port"), port("c", &mut c, "--c-port")];
        let failure = check(&mut ports, &[]).unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.code, Code::CannotTake);
        assert!(text.contains("c and b cannot both") && text.contains("--c-port"), "{text}");
        assert!(text.contains("--a-port") && text.contains("--port-base"), "{text}");
        if cfg!(target_os = "linux") {
            let us = std::process::id();
            assert!(text.contains(&format!("(process id {us})")), "{text}");
            check(&mut [port("a", &mut a, "--a-port")], &[us]).unwrap();
        }
    }

    #[test]
    fn reads_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000  1000        0 111 1\n\
            1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 222 1\n";
        assert_eq!(listening_inode(table, 8080).as_deref(), Some("222"));
        assert_eq!(listening_inode(table, 8081), None);
    }
}
