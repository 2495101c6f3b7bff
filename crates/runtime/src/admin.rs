//! The listener that every process has for its operators: `/metrics` and `/healthz/*`.

use std::{io, net::SocketAddr};

use axum::Router;

use crate::{
    health::Health,
    http::{self, ServerOptions},
    lifecycle::Shutdown,
    metrics,
};

/// Port of the admin listener.
pub const PORT: u16 = 9600;

/// `/metrics` and `/healthz/{startup,live,ready}`.
pub fn router(health: &Health) -> Router {
    let shown = health.clone();
    metrics::router(move || shown.show()).merge(health.router())
}

/// Binds and serves in the background until the process ends: it still answers while the rest drains, so that
/// readiness is seen to be off. Returns the address it has.
///
/// # Errors
/// If the address is taken.
pub async fn spawn(options: &ServerOptions, health: &Health) -> io::Result<SocketAddr> {
    let listener = http::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let (router, options) = (router(health), options.clone());
    // Its own tokens, which nobody cancels.
    tokio::spawn(async move { http::serve(listener, router, &options, Shutdown::new()).await });
    Ok(address)
}
