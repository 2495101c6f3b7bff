//! Retention: events older than their tenant keeps them leave the store, deleted catalog entries the catalog.

use model::{Clock as _, SystemClock, resource::Tenant};
use runtime::metrics::{self, Metric};

use super::Housekeeper;

impl Housekeeper {
    /// Applies each tenant's retention. What fails for one is logged, and tried again the next time.
    pub(super) async fn apply_retention(&self) {
        let now_us = SystemClock.now();
        let snapshot = self.catalog.snapshot();
        let mut failed = 0;
        for tenant in snapshot.tenants() {
            let Some(before_us) = before(tenant, now_us) else { continue };
            let result = match self.stores.erasure.expire(&tenant.id, before_us).await {
                Ok(()) => "done",
                Err(error) => {
                    tracing::warn!(tenant = %tenant.id, %error, "retention not applied");
                    failed += 1;
                    "failed"
                }
            };
            metrics::counter(Metric::HousekeepingExpirations, &[result]).inc();
        }
        if failed == 0 {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
            metrics::gauge(Metric::HousekeepingRetentionTime, &[]).set((now_us / 1_000_000) as f64);
        }
    }
}

impl Housekeeper {
    /// Purges what was deleted from the catalog so long ago that nobody can undelete it any more.
    pub(super) async fn purge_deleted(&self) {
        match self.catalog.purge_deleted(SystemClock.now()).await {
            Ok(0) => {}
            Ok(purged) => tracing::info!(purged, "deleted catalog entries purged"),
            Err(error) => tracing::warn!(%error, "deleted catalog entries not purged"),
        }
    }
}

/// The time before which a tenant's events go; none if they stay.
fn before(tenant: &Tenant, now_us: model::Micros) -> Option<model::Micros> {
    let kept_us = i64::try_from(tenant.retention()?.as_micros()).ok()?;
    now_us.checked_sub(kept_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_without_a_retention() {
        let tenant = |days: u32| -> Tenant {
            serde_json::from_value(serde_json::json!({"id": "a", "retention_days": days})).unwrap()
        };
        assert_eq!(before(&tenant(0), 1_000), None);
        assert_eq!(before(&tenant(2), 200_000_000_000), Some(27_200_000_000));
        assert_eq!(before(&tenant(36_500), i64::MIN), None);
    }
}
