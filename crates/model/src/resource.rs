//! The control-plane resources, as the catalog keeps them (JSON). Every field added later has a default, so that old
//! entries stay readable, and fields that are not known here are passed over, so that newer ones do too: while a
//! fleet is upgraded, replicas of both versions read the same entries. Where people give fields by name, the edge
//! that takes them refuses unknown ones.

mod action;
mod billing_account;
mod event_type;
mod fault;
mod feed;
mod limits;
mod meter;
mod nats_credential;
mod plan;
mod prices;
mod program;
mod subscription;
mod user;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::{
    action::{Action, Target, Webhook, WebhookMethod},
    billing_account::{
        ADDRESS_LINES_MAX, ASSIGNMENTS_MAX, Assignment, BillingAccount, COMMITMENTS_MAX, COUPONS_MAX,
        CREDITS_MAX, Commitment, Coupon, Credit, Party, QUOTAS_MAX, Quota, TAXES_MAX, THRESHOLDS_MAX, Tax,
    },
    event_type::{Compatibility, EventType, OLD_SCHEMAS_BYTES_MAX, OLD_SCHEMAS_MAX, SchemaVersion},
    fault::{Fault, UNIT_DECIMALS_MAX},
    feed::{Feed, FeedKind},
    limits::{LimitOrigin, Limits, TenantLimits},
    meter::{Aggregation, Meter, OWN_METERS},
    nats_credential::{Begin, NatsCredential},
    plan::Plan,
    prices::{CHARGES_MAX, Charge, Price, Prices, TIERS_MAX, Tier, VERSIONS_MAX},
    program::{Component, RuleSet, Workflow},
    subscription::Subscription,
    user::{ENDED_SESSIONS_MAX, EndedSession, User},
};
pub use crate::meta::Meta;
use crate::{CustomerId, KeyId, PlanId, RoleBindingId, RoleId, SourceId, SystemId, TenantId};

/// The customer whose data is isolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// A disabled tenant's keys and doors answer 403.
    #[serde(default)]
    pub disabled: bool,
    /// Which tenant stream holds its events: a retention class and a shard.
    #[serde(default = "default_placement")]
    pub placement: String,
    /// The plan it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// What it may use, where that is not as its plan says; [`Limits::resolve`] says what holds.
    #[serde(default)]
    pub limits: TenantLimits,
    /// Days for which its stored events are kept, counted from their receipt; 0: until erased. Usage is kept.
    // Left out where it says nothing: programs before this field refuse entries that have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retention_days: u32,
    /// How its stream holds its events.
    // Left out where it says nothing, as above.
    #[serde(default, skip_serializing_if = "TenantStream::is_single")]
    pub tenant_stream: TenantStream,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(days: &u32) -> bool {
    *days == 0
}

impl Tenant {
    /// How long its stored events are kept; none: until erased.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        let day = Duration::from_secs(24 * 60 * 60);
        (self.retention_days > 0).then(|| day * self.retention_days)
    }
}

/// How a tenant's stream holds its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantStream {
    /// An event a message, readable by any NATS client as the CloudEvents NATS binding says.
    #[default]
    Single,
    /// What came together as one message: several times cheaper, for tenants who read through SSE or gRPC.
    Packed,
}

impl TenantStream {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Packed => "packed",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_single(&self) -> bool {
        *self == Self::Single
    }
}

fn default_placement() -> String {
    DEFAULT_PLACEMENT.to_owned()
}

/// The placement of a tenant that names none.
pub const DEFAULT_PLACEMENT: &str = "default";

/// Something of a tenant's that produces or consumes events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct System {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id, unique within the tenant.
    pub id: SystemId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// One of a tenant's own customers, on whose behalf keys are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Customer {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id, unique within the tenant.
    pub id: CustomerId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The plan it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// A door of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system it is a door of.
    pub system: SystemId,
    /// Its id, unique within the tenant; the door is `POST /v1/sources/<tenant>.<id>`.
    pub id: SourceId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// A preset that fills in whatever `mapping` and `verification` leave out: `github`, `stripe`, `slack`, `shopify`, `standard-webhooks`.
    #[serde(default)]
    pub preset: Option<String>,
    /// How raw requests become CloudEvents; the crate `mapping` reads it.
    #[serde(default)]
    pub mapping: Option<serde_json::Value>,
    /// How the provider proves who it is. Without it an API key is needed.
    #[serde(default)]
    pub verification: Option<Verification>,
    /// Headers kept with a raw event besides those its preset and mapping read, lower case.
    #[serde(default)]
    pub keep_headers: Vec<String>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// How a provider proves that a request is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The scheme.
    pub scheme: SignatureScheme,
    /// Secrets, sealed (`catalog::Sealer`); any one of them may match, so that a secret can be rotated.
    pub sealed_secrets: Vec<String>,
    /// Oldest accepted signature where the scheme signs a time; 300 when absent.
    #[serde(default)]
    pub tolerance_seconds: Option<u32>,
}

/// Provider signature schemes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum SignatureScheme {
    /// `X-Hub-Signature-256: sha256=<hex of HMAC-SHA256 of the body>`.
    Github,
    /// `Stripe-Signature: t=…,v1=<hex of HMAC-SHA256 of "t.body">`.
    Stripe,
    /// `X-Slack-Signature: v0=<hex of HMAC-SHA256 of "v0:timestamp:body">`.
    Slack,
    /// `X-Shopify-Hmac-Sha256: <base64 of HMAC-SHA256 of the body>`.
    Shopify,
    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    StandardWebhooks,
    /// An HMAC of the body in a header of any name.
    Hmac {
        /// Header, lower case.
        header: String,
        /// Digest.
        #[serde(default)]
        algorithm: HmacAlgorithm,
        /// How the signature is written.
        #[serde(default)]
        encoding: SignatureEncoding,
        /// What stands before the signature, such as `sha256=`.
        #[serde(default)]
        prefix: String,
    },
    /// A shared token in a header, as GitLab sends it.
    Token {
        /// Header, lower case.
        header: String,
    },
}

/// HMAC digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Hexadecimal, any case.
    #[default]
    Hex,
    /// Base64, standard alphabet.
    Base64,
}

/// A producer's or consumer's credential. The key itself is shown once and not kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// The tenant it is bound to.
    pub tenant: TenantId,
    /// The system it is bound to.
    pub system: SystemId,
    /// The public part.
    pub id: KeyId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// SHA-256 of the whole key, hexadecimal. A key has 256 random bits, so that a slow hash would add nothing.
    pub hash: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// On whose behalf it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("tenant", &self.tenant).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What an API key may do: within its tenant, but for [`Scope::Operate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Publish events.
    Publish,
    /// Read events, streams, dead letters and usage.
    Read,
    /// Redrive and purge dead letters.
    Write,
    /// Read and change everything of its own tenant in the catalog, keys included.
    Manage,
    /// The fleet's operator: tenants, and whatever is theirs in the catalog.
    Operate,
}

impl Scope {
    /// Each there is.
    pub const ALL: [Self; 5] = [Self::Publish, Self::Read, Self::Write, Self::Manage, Self::Operate];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
            Self::Operate => "operate",
        }
    }
}

/// A role that a tenant, or the fleet, has made for itself, besides the built-in ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Role {
    /// Whose it is. The fleet's may be given in every tenant.
    #[serde(deserialize_with = "kept")]
    pub tenant: TenantId,
    /// Its id, unique within the tenant, and none of a built-in role's.
    pub id: RoleId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What it may do: `read:event`, or with stars `*:source`, `read:*`. The crate `relations` reads them.
    pub permissions: Vec<String>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// A role given to somebody: in the tenant whose it is, or, if it is the fleet's, everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleBinding {
    /// Where the role counts.
    #[serde(deserialize_with = "kept")]
    pub tenant: TenantId,
    /// Its id, unique within the tenant.
    pub id: RoleBindingId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// To whom: `user:<id>`, `key:<id>`, `client:<id>`, `service:<name>`, or `role:<id>` for all who have that custom role
    /// in the same place.
    pub actor: String,
    /// Which role: a built-in one's name, the id of one that is made here, or `fleet/<id>`.
    pub role: String,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// A tenant, or the fleet.
fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TenantId, D::Error> {
    TenantId::kept(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
