//! How old the last backup is.

use std::time::Duration;

use backup::{Api, Error, Last};
use bus::{Bus, topology};
use model::parse_rfc3339;
use runtime::metrics::{Metric, gauge};
use tokio::time::MissedTickBehavior;

use crate::config::Backups;

/// How often the broker is asked.
const LOOK: Duration = Duration::from_secs(10);

/// Looks until it is dropped. While the broker does not answer, what it said last stays.
pub(super) async fn watch(bus: Bus, expected: &Backups) {
    if expected.age_hours_max > 0 {
        gauge(Metric::BackupAgeLimit, &[]).set(f64::from(expected.age_hours_max) * 3_600.0);
    }
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match began_at(&bus, expected).await {
            Ok(Some(text)) => show(&text),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the last backup is not known"),
        }
    }
}

/// When the last backup began. Before the first, when there began to be something to lose, if a backup is expected.
async fn began_at(bus: &Bus, expected: &Backups) -> Result<Option<String>, Error> {
    if let Some(last) = Last::read(bus).await? {
        return Ok(Some(last.began_at));
    }
    if expected.age_hours_max == 0 {
        return Ok(None);
    }
    Ok(Api::new(bus).stream(topology::RAW).await?.map(|raw| raw.created))
}

#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 are below 2^53")]
fn show(at: &str) {
    if let Ok(at_us) = parse_rfc3339(at) {
        gauge(Metric::BackupTime, &[]).set(at_us as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use bus::TopologyOptions;
    use testkit::NatsServer;

    use super::*;

    #[tokio::test]
    async fn a_fleet_without_a_backup_is_as_old_as_its_streams_if_one_is_expected() {
        let server = NatsServer::start();
        let bus = Bus::connect(&bus::Options { url: server.url(), ..bus::Options::default() }).await.unwrap();
        topology::ensure(&bus, &TopologyOptions::default()).await.unwrap();
        let (none, daily) = (Backups::default(), Backups { age_hours_max: 36 });
        assert_eq!(began_at(&bus, &none).await.unwrap(), None);
        let made = began_at(&bus, &daily).await.unwrap().unwrap();
        show(&made);
        let told = gauge(Metric::BackupTime, &[]).get();
        assert!(told > 1.7e9, "{made} is {told}");
        let at = "2026-11-29T03:00:00Z";
        let last = Last { backup: "b".into(), began_at: at.into(), ended_at: at.into(), bytes: 5 };
        last.write(&bus).await.unwrap();
        assert_eq!(Last::read(&bus).await.unwrap(), Some(last));
        for expected in [none, daily] {
            assert_eq!(began_at(&bus, &expected).await.unwrap().as_deref(), Some(at));
        }
        show(at);
        assert!((gauge(Metric::BackupTime, &[]).get() - 1_795_921_200.0).abs() < 1.0);
        bus.close().await;
    }
}
