//! What nobody tells when it changes, looked at now and then, for dashboards and alerts: the disk with the data folder, the
//! embedded store, the broker, when certificates end, and how old the last backup is.

mod backups;
mod broker;
mod certificates;
mod disk;

use std::{path::PathBuf, time::Duration};

use runtime::lifecycle::Context;
use store::embedded::Embedded;
use tokio::time::MissedTickBehavior;

use self::certificates::Watched;
use crate::config::Config;

/// How often disk and store are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// After how many of those certificates are read again: whoever renews them replaces the files.
const LOOKS_OF_CERTIFICATES: u64 = 60;

/// Looks from now on, until the process drains.
pub(crate) fn start(config: &Config, store: Option<Embedded>, context: &Context) {
    let folder = config.data_dir().ok();
    let watched = certificates::watched(config);
    let draining = context.shutdown().draining.clone();
    context.spawn(async move {
        tokio::select! {
            () = draining.cancelled() => {}
            () = watch(folder, &watched, store.as_ref()) => {}
        }
    });
}

/// The same of the broker's streams, the room it has, and backups, for services that always are.
pub(crate) fn start_broker(bus: bus::Bus, config: &Config, context: &Context) {
    let expected = config.backup.clone();
    let draining = context.shutdown().draining.clone();
    let monitor_url = config.broker.monitor_url.clone();
    context.spawn(async move {
        tokio::select! {
            () = draining.cancelled() => {}
            () = bus::watch::watch(bus.clone()) => {}
            () = backups::watch(bus, &expected) => {}
            () = broker::watch(monitor_url) => {}
        }
    });
}

async fn watch(folder: Option<PathBuf>, watched: &[Watched], store: Option<&Embedded>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for look in 0u64.. {
        ticks.tick().await;
        if let Some(folder) = &folder {
            disk::show(folder);
        }
        if let Some(store) = store {
            disk::show_store(&store.stats());
        }
        if look % LOOKS_OF_CERTIFICATES == 0 {
            watched.iter().for_each(Watched::show);
        }
    }
}
