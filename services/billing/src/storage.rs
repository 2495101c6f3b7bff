//! Hours of storage, metered.
//!
//! What a tenant has stored at the end of an hour is what it was metered for within its retention; so the quantity follows from usage
//! records alone, and comes out the same whoever computes it, and whenever. The record's key is the hour.

use model::{Micros, TenantId, Text, resource::Tenant};
use store::{METER_BYTES, METER_STORED_BYTE_HOURS, Origin, UsageQuery, UsageRecord};

use crate::{
    error::Error,
    service::{HOUR_US, Worker},
};

/// Hours that are metered afterwards by who begins: longer, the fleet was away and stored nothing new.
const HOURS_BACK: i64 = 24;
/// Records written at once.
const RECORDS_MAX: usize = 1_000;

/// The next hour to be metered, counted from 1970.
#[derive(Debug)]
pub(crate) struct Hours(i64);

impl Hours {
    pub(crate) fn until(now_us: Micros) -> Self {
        Self(now_us.div_euclid(HOUR_US) - HOURS_BACK)
    }
}

impl Worker {
    /// Meters the hours that are over.
    pub(crate) async fn meter_storage(&self, hours: &mut Hours, now_us: Micros) {
        while self.options.meter_storage && hours.0 < now_us.div_euclid(HOUR_US) {
            match self.meter_hour(hours.0).await {
                Ok(()) => hours.0 += 1,
                Err(error) => {
                    self.failed("storage").inc();
                    tracing::warn!(%error, "an hour of storage not metered");
                    return;
                }
            }
        }
    }

    async fn meter_hour(&self, hour: i64) -> Result<(), Error> {
        let tenants: Vec<_> = self.catalog.snapshot().tenants().cloned().collect();
        let mut records = Vec::new();
        for tenant in tenants {
            let bytes = self.stored(&tenant, (hour + 1).saturating_mul(HOUR_US)).await?;
            if bytes > 0 {
                records.push(record(&tenant.id, hour, bytes));
            }
            if records.len() == RECORDS_MAX {
                self.usage.write(std::mem::take(&mut records)).await?;
            }
        }
        self.usage.write(records).await?;
        self.done("storage").inc();
        Ok(())
    }

    /// Bytes that are stored at a moment.
    async fn stored(&self, tenant: &Tenant, at: Micros) -> Result<u64, Error> {
        let kept = tenant.retention().and_then(|kept| Micros::try_from(kept.as_micros()).ok());
        let query = UsageQuery {
            since_us: kept.map(|kept| at.saturating_sub(kept)),
            until_us: Some(at),
            ..UsageQuery::default()
        };
        let sums = self.usage.sum(&tenant.id, METER_BYTES, &query).await?;
        Ok(sums.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.value)))
    }
}

fn record(tenant: &TenantId, hour: i64, bytes: u64) -> UsageRecord {
    let reference = Text::from(hour.to_string());
    UsageRecord {
        tenant: tenant.clone(),
        id: format!("stored/{hour}").into(),
        at_us: hour.saturating_mul(HOUR_US),
        origin: Origin::Other { kind: Text::from_static("storage"), reference },
        customer: None,
        event_type: None,
        meters: vec![(Text::from_static(METER_STORED_BYTE_HOURS), bytes)],
    }
}
