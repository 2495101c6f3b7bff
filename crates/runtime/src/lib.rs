//! The shape of every service: configuration, start and stop, HTTP server, errors, health, metrics, logs, traces.
//!
//! Invariant: every wait of a server is bounded, every error a caller sees has a code with a page in
//! `docs/errors/`, and every task that matters either lives or takes the process down with it.
//!
//! ```no_run
//! use runtime::{admin, health::Health, http, http::ServerOptions, lifecycle};
//!
//! # async fn example() {
//! let exit = lifecycle::run(Default::default(), Health::default(), |context| async move {
//!     admin::spawn(&ServerOptions::on_port(admin::PORT), context.health()).await?;
//!     let options = ServerOptions::on_port(8080);
//!     let listener = http::bind(options.listen).await?;
//!     let shutdown = context.shutdown().clone();
//!     context.spawn_critical("http", async move { http::serve(listener, axum::Router::new(), &options, shutdown).await });
//!     Ok::<(), std::io::Error>(())
//! });
//! # let _ = exit.await; }
//! ```

pub mod admin;
pub mod config;
pub mod grpc;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod metrics;
pub mod otlp;
pub mod problem;
pub mod telemetry;
pub mod tls;
pub mod trace;
