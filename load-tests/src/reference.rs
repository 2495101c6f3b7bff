//! An axum handler that publishes each body as one message and answers after its acknowledgement, nothing else: in a process of
//! its own, as the fleet is.

use axum::{Router, extract::State, http::StatusCode, routing::post};
use bytes::Bytes;
use oracle::Access;
use tokio::net::TcpListener;

use crate::{baseline::Bare, beside};

/// The subcommand that serves it. It says where it listens.
pub(crate) const NAME: &str = "reference";

/// Serves until its input ends, and removes its stream.
pub(crate) async fn serve() -> anyhow::Result<bool> {
    let (access, ended) = beside::told::<Access>()?;
    let bare = Bare::open(&access).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/v1/events", post(publish)).with_state(bare.clone());
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        _ = ended => {}
    }
    bare.close().await?;
    Ok(true)
}

async fn publish(State(bare): State<Bare>, body: Bytes) -> StatusCode {
    match bare.publish(body).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
