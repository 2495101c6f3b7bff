//! Billing accounts.

use std::collections::BTreeMap;

use model::{
    Currency, CustomerId, Decimal,
    resource::{Assignment, BillingAccount, Commitment, Coupon, Credit, Party, Quota, Tax},
};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::money::schema;
use crate::control::{Built, Making, Managed};

/// What is agreed with who pays: the tenant, or one of its customers. Operators change it; the tenant reads it. Days are those of its
/// time zone, and what holds `until` a day does not hold on it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The customer of the tenant's who pays; the tenant itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    customer: Option<CustomerId>,
    /// To whom invoices are made out.
    #[serde(default)]
    #[schema(schema_with = schema::<Party>)]
    bill_to: Party,
    /// Who makes its invoices out: the seller.
    #[serde(default)]
    #[schema(schema_with = schema::<Party>)]
    bill_from: Party,
    /// The currency of all amounts (ISO 4217); its plans must have the same.
    #[schema(schema_with = schema::<Currency>)]
    currency: Currency,
    /// Where its days and months begin: a name of the IANA time zone database.
    #[serde(default = "utc")]
    time_zone: String,
    /// The plans it is on, ascending.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Assignment>>)]
    plans: Vec<Assignment>,
    /// What is taken off the subtotal, in this order.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Coupon>>)]
    coupons: Vec<Coupon>,
    /// What is paid at least, ascending.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Commitment>>)]
    commitments: Vec<Commitment>,
    /// What was paid before.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Credit>>)]
    credits: Vec<Credit>,
    /// What is added; each is a line of its own.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Tax>>)]
    taxes: Vec<Tax>,
    /// Amounts of a month's spend whose crossing is told, ascending.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Decimal>>)]
    thresholds: Vec<Decimal>,
    /// Quantities of a month's use whose crossing is told; nothing is refused because of them.
    #[serde(default)]
    #[schema(schema_with = schema::<Vec<Quota>>)]
    quotas: Vec<Quota>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Managed for BillingAccount {
    type Spec = Spec;

    const COLLECTION: &'static str = "billing-accounts";
    const SCHEMA: &'static str = "BillingAccount";

    fn spec(&self) -> Spec {
        let account = self.clone();
        Spec {
            name: account.name,
            description: account.meta.description,
            labels: account.meta.labels,
            customer: account.customer,
            bill_to: account.bill_to,
            bill_from: account.bill_from,
            currency: account.currency,
            time_zone: account.time_zone,
            plans: account.plans,
            coupons: account.coupons,
            commitments: account.commitments,
            credits: account.credits,
            taxes: account.taxes,
            thresholds: account.thresholds,
            quotas: account.quotas,
        }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        Ok(Built::new(Self {
            tenant: making.tenant.clone(),
            id: super::id(making.id)?,
            name: spec.name,
            customer: spec.customer,
            bill_to: spec.bill_to,
            bill_from: spec.bill_from,
            currency: spec.currency,
            time_zone: spec.time_zone,
            plans: spec.plans,
            coupons: spec.coupons,
            commitments: spec.commitments,
            credits: spec.credits,
            taxes: spec.taxes,
            thresholds: spec.thresholds,
            quotas: spec.quotas,
            meta: super::meta(spec.description, spec.labels),
        }))
    }
}
