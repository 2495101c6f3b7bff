//! A session: nodes, data centre, TLS, user, and how requests are retried.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject as _,
};
use scylla::{
    client::{
        Compression, PoolSize,
        execution_profile::{ExecutionProfile, ExecutionProfileHandle},
        session::Session,
        session_builder::SessionBuilder,
    },
    policies::{
        load_balancing::{DefaultPolicy, LoadBalancingPolicy},
        speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::info;

use super::{
    Options,
    failure::{self, NoSession},
};
use crate::Error;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A session with what its statements run under.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) read: ExecutionProfileHandle,
    pub(super) write: ExecutionProfileHandle,
}

/// Connects, and tries again until the options' time is over, unless trying again is in vain: the driver tries once.
pub(super) async fn connect(options: &Options) -> Result<Connected, Error> {
    options.check()?;
    let tls = if options.tls { Some(tls(options)?) } else { None };
    let (read, write) = profiles(options);
    let deadline = Instant::now() + Duration::from_millis(options.open_timeout_ms);
    let mut pause = PAUSE_MIN;
    let nobody = |why: &str| {
        Error::Open(format!(
            "no CQL server answers at {}: {why}; see options nodes and tls",
            options.nodes.join(", ")
        ))
    };
    let mut last = "no answer in time".to_owned();
    loop {
        let builder = builder(options, tls.as_ref(), &write);
        match timeout_at(deadline, builder.build()).await {
            Ok(Ok(session)) => return Ok(Connected { session, read, write }),
            Ok(Err(error)) => match failure::of_session(&error) {
                NoSession::Final(error) => return Err(error),
                NoSession::NotYet(why) => last = why,
            },
            Err(_) => return Err(nobody(&last)),
        }
        if Instant::now() + pause >= deadline {
            return Err(nobody(&last));
        }
        info!(error = last, pause_ms = pause.as_millis(), "waiting for the CQL server");
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn builder(
    options: &Options,
    tls: Option<&Arc<ClientConfig>>,
    profile: &ExecutionProfileHandle,
) -> SessionBuilder {
    let builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile.clone())
        .compression(Some(Compression::Lz4))
        .pool_size(PoolSize::default())
        // Where a keyspace keeps its rows must be known to ask a replica at once; to fetch the whole schema takes a cluster of
        // many tables seconds.
        .keyspaces_to_fetch([&options.keyspace])
        .fetch_full_schema_metadata(false)
        .connection_timeout(Duration::from_secs(5));
    let builder = match tls {
        Some(config) => builder.tls_context(Some(Arc::clone(config))),
        None => builder,
    };
    match &options.password {
        _ if options.user.is_empty() => builder,
        password => builder.user(&options.user, password.as_ref().map_or("", |p| p.expose_secret())),
    }
}

fn profiles(options: &Options) -> (ExecutionProfileHandle, ExecutionProfileHandle) {
    // A token names the replicas of a row, a shard the core of a node that has it: both are asked first.
    let policy = DefaultPolicy::builder().token_aware(true);
    let policy: Arc<dyn LoadBalancingPolicy> = if options.datacenter.is_empty() {
        policy.build()
    } else {
        policy.prefer_datacenter(options.datacenter.clone()).permit_dc_failover(false).build()
    };
    let base = || {
        ExecutionProfile::builder()
            .consistency(options.consistency.level())
            .request_timeout(Some(options.request_timeout()))
            .load_balancing_policy(Arc::clone(&policy))
    };
    let speculation = (options.speculate_after_ms > 0).then(|| {
        let retry_interval = Duration::from_millis(options.speculate_after_ms);
        Arc::new(SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval }) as Arc<_>
    });
    let read = base().speculative_execution_policy(speculation).build().into_handle();
    (read, base().build().into_handle())
}

fn tls(options: &Options) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    let file = &options.tls_ca_file;
    if file.as_os_str().is_empty() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    } else {
        let bad = |e: &dyn std::fmt::Display| {
            Error::Open(format!("option tls_ca_file of the CQL store: cannot use {}: {e}", file.display()))
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| bad(&e))? {
            roots.add(certificate.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
        }
    }
    if roots.is_empty() {
        return Err(Error::Open(
            "TLS to the CQL store trusts nobody: name the authorities in option tls_ca_file".into(),
        ));
    }
    // Named, not taken from the process: other crates of the tree bring a provider of their own.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Open(format!("TLS cannot be set up: {e}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
