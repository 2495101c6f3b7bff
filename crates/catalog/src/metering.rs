//! What tenants count for themselves, ready to be looked up for each event.

use std::{collections::HashMap, sync::Arc};

use model::{TenantId, Text, resource::Meter};

use crate::{Snapshot, kinds::Space, resource::sealed::Place as _};

/// A tenant's own meters by the type of the events they count. Made when somebody first asks after a change of the tenant's
/// resources.
#[derive(Debug, Default)]
pub struct Metering {
    of_any: Vec<OwnMeter>,
    of_type: HashMap<String, Vec<OwnMeter>>,
}

/// A meter with the name it has in usage records.
#[derive(Debug, Clone)]
pub struct OwnMeter {
    /// The name in records: [`Meter::record_name`].
    pub record_name: Text,
    /// What it counts.
    pub meter: Arc<Meter>,
}

impl Metering {
    /// Those that count events of that type.
    pub fn of<'a>(&'a self, ty: &str) -> impl Iterator<Item = &'a OwnMeter> + use<'a> {
        self.of_any.iter().chain(self.of_type.get(ty).into_iter().flatten())
    }
}

impl Snapshot {
    /// A tenant's own meters; none where it has none. Costs one look-up.
    #[must_use]
    pub fn metering(&self, tenant: &TenantId) -> Option<&Metering> {
        self.space(tenant)?.metering()
    }

    /// One of a tenant's own meters.
    #[must_use]
    pub fn meter(&self, tenant: &TenantId, id: &str) -> Option<&Arc<Meter>> {
        self.entry(tenant, id).map(|entry| &entry.value)
    }
}

impl Space {
    fn metering(&self) -> Option<&Metering> {
        let made = self.metering.get_or_init(|| {
            let mut meters: Vec<_> = Meter::table(self).live.values().map(|entry| &entry.value).collect();
            // The same order in every process.
            meters.sort_by(|a, b| a.id.cmp(&b.id));
            let mut metering = Metering::default();
            for meter in &meters {
                let own = OwnMeter { record_name: meter.record_name(), meter: Arc::clone(meter) };
                match &meter.event_type {
                    Some(ty) => metering.of_type.entry(ty.clone()).or_default().push(own),
                    None => metering.of_any.push(own),
                }
            }
            (!meters.is_empty()).then(|| Arc::new(metering))
        });
        made.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Resource;

    fn meter(id: &str, event_type: Option<&str>) -> Meter {
        let mut meter = json!({"tenant": "acme", "id": id, "aggregation": "count"});
        if let Some(ty) = event_type {
            meter["event_type"] = ty.into();
        }
        serde_json::from_value(meter).unwrap()
    }

    #[test]
    fn meters_are_found_by_type_and_follow_changes() {
        let acme: TenantId = "acme".parse().unwrap();
        let names = |snapshot: &Snapshot, ty: &str| {
            let metering = snapshot.metering(&acme);
            metering.iter().flat_map(|m| m.of(ty)).map(|own| own.record_name.to_string()).collect::<Vec<_>>()
        };
        let snapshot = Snapshot::default();
        assert!(snapshot.metering(&acme).is_none());
        let snapshot = snapshot.with(meter("sales", Some("sale"))).with(meter("all", None));
        assert_eq!(names(&snapshot, "sale"), ["own/all", "own/sales"]);
        assert_eq!(names(&snapshot, "other"), ["own/all"]);
        assert!(snapshot.metering(&"globex".parse().unwrap()).is_none());
        let mut snapshot = snapshot;
        snapshot.remove::<Meter>(&acme, "all");
        assert_eq!(names(&snapshot, "other"), [""; 0]);
        snapshot.remove::<Meter>(&acme, "sales");
        assert!(snapshot.metering(&acme).is_none());
    }

    #[test]
    fn rules() {
        let faults = |more: serde_json::Value| {
            let mut whole = json!({"tenant": "acme", "id": "m"});
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let meter: Meter = serde_json::from_value(whole).unwrap();
            meter.validate().into_iter().map(|e| e.pointer).collect::<Vec<_>>()
        };
        assert_eq!(faults(json!({"aggregation": "count"})), [""; 0]);
        assert_eq!(faults(json!({"aggregation": "count", "value": "/a"})), [""; 0]);
        let good = json!({"aggregation": "sum", "value": "/a/0/b~1c~0", "scale": 6, "event_type": "x"});
        assert_eq!(faults(good), [""; 0]);
        assert_eq!(faults(json!({"aggregation": "max", "value": ""})), [""; 0], "the whole of the data");
        assert_eq!(faults(json!({"aggregation": "unique"})), ["/value"]);
        for value in ["a", "/~", "/~2", "/a\u{0}", &"/x".repeat(200)] {
            assert_eq!(faults(json!({"aggregation": "latest", "value": value})), ["/value"], "{value}");
        }
        assert_eq!(faults(json!({"aggregation": "sum", "value": "/a", "scale": 7})), ["/scale"]);
        assert_eq!(faults(json!({"aggregation": "unique", "value": "/a", "scale": 1})), ["/scale"]);
        assert_eq!(faults(json!({"aggregation": "count", "event_type": ""})), ["/event_type"]);
    }

    #[test]
    fn a_tenant_has_a_bounded_number_of_meters() {
        let full = (0..64).fold(Snapshot::default(), |s, n| s.with(meter(&format!("m{n}"), None)));
        assert_eq!(meter("one-more", None).validate_among(&full).len(), 1);
        assert_eq!(meter("m7", Some("x")).validate_among(&full), [], "one that is there may change");
        assert_eq!(meter("m7", None).validate_among(&Snapshot::default()), []);
    }
}
