//! Ports for servers that cannot take port 0.

use std::net::{Ipv4Addr, TcpListener};

/// A loopback port that was free a moment ago. Another process may take it before you do: where a server can
/// bind port 0 and say what it got, let it.
///
/// # Panics
/// If the machine has no free port.
#[must_use]
pub fn free_port() -> u16 {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).map(|a| a.port());
    port.unwrap_or_else(|error| panic!("no free port: {error}"))
}
