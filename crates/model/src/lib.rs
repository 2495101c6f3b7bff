//! The words of the platform as types: ids, the CloudEvent, catalog resources, error codes. No I/O.
//!
//! Invariant: a value of these types is valid. A [`TenantId`] is a slug that may stand in a subject and in
//! a key; a [`CloudEvent`] has the required attributes; whoever holds one need not check again.
//!
//! ```
//! use model::{CloudEvent, TenantId};
//!
//! let tenant: TenantId = "acme".parse()?;
//! let event = CloudEvent::builder("42", "/shop/till-3", "com.example.order.placed")
//!     .text("application/json", r#"{"amount": 120}"#)
//!     .build()?;
//! assert_eq!(model::tenant_subject("hot", &tenant, event.ty()), "tenant.hot.acme.com.example.order.placed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod currency;
mod date;
mod decimal;
mod decode;
mod durability;
mod error;
mod event;
mod header;
pub mod http;
mod id;
pub mod json;
mod json_members;
mod limits;
mod measure;
mod meta;
pub mod nats;
mod partition;
pub mod resource;
#[cfg(feature = "cloudevents-sdk")]
mod sdk;
mod subject;
mod time;

pub use bytestring::ByteString as Text;

pub use self::{
    batch::{Batch, Group, PROTOCOL_FLEET, Stamp},
    currency::{Currency, UnknownCurrency},
    date::{Date, InvalidDate, time_zone},
    decimal::{DECIMAL_DIGITS_MAX, Decimal, InvalidDecimal, grouped},
    decode::{BadItem, BatchError, DecodeError},
    durability::Durability,
    error::ErrorCode,
    event::{
        AttributeValue, CloudEvent, CloudEventBuilder, Data, InvalidEvent, is_extension_name,
        is_json_media_type,
    },
    id::{
        ActionId, BillingAccountId, ComponentId, CustomerId, FLEET, FeedId, InvalidId, ItemId, KeyId,
        MeterId, NatsCredentialId, PlanId, RoleBindingId, RoleId, RuleSetId, SourceId, SubscriptionId,
        SystemId, TenantId, UserId, WorkflowId,
    },
    limits::{EventLimits, OverLimit, TYPE_BYTES_MAX},
    measure::{Measuring, Unmetered},
    partition::partition_of,
    subject::{tenant_packed_subject, tenant_subject, tenant_wildcard, type_token},
    time::{
        Clock, InvalidTime, Micros, SystemClock, format_rfc3339, format_rfc3339_nanos, parse_rfc3339,
        parse_rfc3339_nanos,
    },
};
