//! The server's limits.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Millis;

/// One listener and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections open at once. Over it, new ones wait in the kernel's queue until one closes.
    pub connections_max: u32,
    /// From the first byte of a request (or the connection's start) to the end of its head. A slower client is cut off.
    pub header_read_timeout_ms: Millis,
    /// From the head to the end of the body; half of it without a byte is too slow as well. 408 after that.
    pub body_read_timeout_ms: Millis,
    /// A kept-alive connection without a request is closed after this. Above a usual load balancer's 60 s, so that it
    /// closes first and no request meets a closing connection.
    pub idle_timeout_ms: Millis,
    /// A client that takes no byte of its answer for so long is cut off.
    pub write_stall_timeout_ms: Millis,
    /// Bytes of a request's head, all headers together; 431 above. At least 8192.
    pub header_bytes_max: u32,
    /// Header fields of an HTTP/1.1 request; 431 above.
    pub headers_max: u32,
    /// How often a silent HTTP/2 peer is asked whether it is there.
    pub http2_ping_interval_ms: Millis,
    /// How long it may take to say so.
    pub http2_ping_timeout_ms: Millis,
    /// Requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
    /// From the begin of draining until requests still in flight are cut off.
    pub drain_timeout_ms: Millis,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            connections_max: 8_192,
            header_read_timeout_ms: Millis(10_000),
            body_read_timeout_ms: Millis(30_000),
            idle_timeout_ms: Millis(75_000),
            write_stall_timeout_ms: Millis(30_000),
            header_bytes_max: 64 * 1024,
            headers_max: 128,
            http2_ping_interval_ms: Millis(20_000),
            http2_ping_timeout_ms: Millis(10_000),
            http2_streams_max: 256,
            drain_timeout_ms: Millis(20_000),
        }
    }
}

impl ServerOptions {
    /// The defaults on this port of the loopback interface.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ..Self::default() }
    }

    /// `header_read_timeout_ms`.
    #[must_use]
    pub fn header_read_timeout(&self) -> Duration {
        self.header_read_timeout_ms.duration()
    }

    /// `body_read_timeout_ms`, to be given to [`super::read_body`].
    #[must_use]
    pub fn body_read_timeout(&self) -> Duration {
        self.body_read_timeout_ms.duration()
    }

    /// `idle_timeout_ms`.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout_ms.duration()
    }

    /// `write_stall_timeout_ms`.
    #[must_use]
    pub fn write_stall_timeout(&self) -> Duration {
        self.write_stall_timeout_ms.duration()
    }

    /// `drain_timeout_ms`.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        self.drain_timeout_ms.duration()
    }
}
