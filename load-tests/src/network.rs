//! What processes have sent and received over TCP, as the kernel counts it for each connection (`ss -tinp`).

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context as _, ensure};

/// Bytes of payload since its connections began; what was closed before is not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// The traffic of each process that has a connection, by process id.
pub(crate) fn traffic() -> anyhow::Result<BTreeMap<u32, Traffic>> {
    let done = Command::new("ss")
        .args(["-H", "-t", "-i", "-n", "-p"])
        .output()
        .context("cannot run ss (package iproute2)")?;
    ensure!(done.status.success(), "ss: {}", String::from_utf8_lossy(&done.stderr));
    Ok(parse(&String::from_utf8_lossy(&done.stdout)))
}

/// A line of addresses, with `users:(("name",pid=1,fd=2))`, then one that begins with white space, with `bytes_acked:1 bytes_received:2`.
fn parse(listed: &str) -> BTreeMap<u32, Traffic> {
    let mut all = BTreeMap::<u32, Traffic>::new();
    let mut owner = None;
    for line in listed.lines() {
        if !line.starts_with(char::is_whitespace) {
            owner = after(line, "pid=").and_then(|pid| u32::try_from(pid).ok());
        } else if let Some(pid) = owner {
            let traffic = all.entry(pid).or_default();
            traffic.sent += after(line, "bytes_acked:").unwrap_or_default();
            traffic.received += after(line, "bytes_received:").unwrap_or_default();
        }
    }
    all
}

fn after(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(name)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_added_up_by_process() {
        let listed = "ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 users:((\"a b\",pid=7,fd=9))\n\t cubic bytes_sent:12 bytes_acked:10 bytes_received:5 send 1Mbps\n\
                      ESTAB 0 0 127.0.0.1:2 127.0.0.1:1 users:((\"c\",pid=8,fd=9))\n\t cubic bytes_received:10\n\
                      ESTAB 0 0 127.0.0.1:3 127.0.0.1:4 users:((\"a b\",pid=7,fd=10))\n\t cubic bytes_acked:1\n\
                      TIME-WAIT 0 0 127.0.0.1:3 127.0.0.1:4\n\t cubic bytes_acked:99\n";
        let all = parse(listed);
        assert_eq!(all.get(&7), Some(&Traffic { sent: 11, received: 5 }));
        assert_eq!(all.get(&8), Some(&Traffic { sent: 0, received: 10 }));
        assert_eq!(all.len(), 2);
    }
}
