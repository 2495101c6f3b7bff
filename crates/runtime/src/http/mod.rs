//! The HTTP server of every service: HTTP/1.1 and HTTP/2 without TLS on one listener, every wait bounded.
//!
//! What `axum::serve` leaves open is closed here: clients that send their head slowly, say nothing, or stop
//! reading; connections without end; bodies that trickle ([`read_body`]).

mod body;
mod connection;
mod layer;
mod options;
mod serve;

pub use self::{
    body::read_body,
    layer::{TraceLayer, TraceService, layer},
    options::ServerOptions,
    serve::{Peer, bind, serve},
};
