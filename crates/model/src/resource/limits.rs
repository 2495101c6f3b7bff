//! What a tenant may use. A limit is the tenant's own, or its plan's, or, where neither says anything, everybody's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $default:expr;)*) => {
        /// Limits as a tenant or a plan says them; what is left out is said elsewhere.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct TenantLimits {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<u32>,)*
        }

        /// The limits that hold for a tenant. The default is everybody's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            /// What holds by a tenant's own limits and its plan's.
            #[must_use]
            pub fn resolve(own: &TenantLimits, plan: Option<&TenantLimits>) -> Self {
                let everybodys = Self::default();
                Self {
                    $($name: own.$name.or_else(|| plan?.$name).unwrap_or(everybodys.$name),)*
                }
            }

            /// Each limit that holds, by its name, and who says so.
            #[must_use]
            pub fn origins(own: &TenantLimits, plan: Option<&TenantLimits>) -> Vec<(&'static str, u32, LimitOrigin)> {
                let Self { $($name,)* } = Self::resolve(own, plan);
                vec![$((
                    stringify!($name),
                    $name,
                    match (own.$name, plan.and_then(|plan| plan.$name)) {
                        (Some(_), _) => LimitOrigin::Own,
                        (None, Some(_)) => LimitOrigin::Plan,
                        (None, None) => LimitOrigin::Default,
                    },
                ),)*]
            }
        }
    };
}

limits! {
    /// Events a second, sustained, at each replica of a door; 0: no limit.
    events_per_second = 0;
    /// Events that may come at once before `events_per_second` is enforced; 0: as many as that allows in a second.
    events_burst = 0;
    /// Bytes of attributes and data a second, sustained, at each replica of a door; 0: no limit.
    bytes_per_second = 0;
    /// Bytes that may come at once before `bytes_per_second` is enforced; 0: as many as that allows in a second, and at
    /// least one event of `event_bytes_max`.
    bytes_burst = 0;
    /// The largest event, in bytes of attributes and data.
    event_bytes_max = 256 * 1024;
    /// The most events in one batch request.
    batch_events_max = 10_000;
    /// Resources of all kinds in the catalog; 0: no limit.
    resources_max = 10_000;
    /// Subscriptions in the catalog; 0: no limit.
    subscriptions_max = 1_000;
    /// The longest `retention_days`; 0: no limit, and events may be kept until erased.
    retention_days_max = 0;
}

/// Who says what a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOrigin {
    /// Nobody: it is what everybody has.
    Default,
    /// The tenant's plan.
    Plan,
    /// The tenant's own limits, which go before its plan's.
    Own,
}

impl LimitOrigin {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Plan => "plan",
            Self::Own => "own",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_goes_before_plan_and_plan_before_default() {
        let own = TenantLimits { events_per_second: Some(0), ..TenantLimits::default() };
        let plan =
            TenantLimits { events_per_second: Some(10), events_burst: Some(20), ..TenantLimits::default() };
        let limits = Limits::resolve(&own, Some(&plan));
        assert_eq!((limits.events_per_second, limits.events_burst), (0, 20), "an own 0 is said too");
        assert_eq!(limits.batch_events_max, Limits::default().batch_events_max);
        let origins = Limits::origins(&own, Some(&plan));
        assert_eq!(origins[0], ("events_per_second", 0, LimitOrigin::Own));
        assert_eq!(origins[1], ("events_burst", 20, LimitOrigin::Plan));
        assert_eq!(origins[2], ("bytes_per_second", 0, LimitOrigin::Default));
        assert_eq!(Limits::resolve(&TenantLimits::default(), None), Limits::default());
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        let said: TenantLimits = serde_json::from_str(r#"{"events_burst": 3, "later": 1}"#).unwrap();
        assert_eq!(serde_json::to_string(&said).unwrap(), r#"{"events_burst":3}"#);
    }
}
