//! `GET /api/v1/usage/{tenant}`.

use axum::{
    Json,
    extract::{Path, State},
};
use catalog::Snapshot;
use jiff::tz::TimeZone;
use model::{
    CustomerId, ErrorCode, MeterId, Micros, TenantId, Text, format_rfc3339,
    resource::{Meter, OWN_METERS},
};
use runtime::problem::Problem;
use serde::Serialize;
use store::{Aggregation, Grouping, METER_EVENTS, METERS, UsageBucket};
use utoipa::ToSchema;

use crate::{
    app::{App, ReadsUsage, own_tenant},
    calendar::{Calendar, Unit, format_in},
    params::Params,
    usage::{Division, Question, Series},
};

const MINUTE_US: Micros = 60_000_000;
const DAY_US: Micros = 1_440 * MINUTE_US;
/// Buckets of one answer.
const BUCKETS_MAX: u16 = 10_000;

/// A meter over time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(super) struct Usage {
    /// Whose usage.
    tenant: String,
    /// What was counted.
    meter: String,
    /// How it is put together.
    aggregation: &'static str,
    /// What values are a number of, for the fleet's meters where values are added up or compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<&'static str>,
    /// Decimals of the values: they are multiplied by ten to the power of this. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scale: Option<u8>,
    /// `minute`, `hour`, `day`, `month` or `total`.
    bucket: &'static str,
    /// Whose days and months; absent: UTC's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    time_zone: Option<String>,
    /// Used at or after; absent: since the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    since: Option<String>,
    /// Used before; absent: until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    until: Option<String>,
    /// Whose use alone; absent: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    customer: Option<String>,
    /// Over all buckets; absent with `group_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<u64>,
    /// In time order; those without usage are left out. Absent with `group_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    buckets: Option<Vec<Bucket>>,
    /// With `group_by`: each with buckets of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    groups: Option<Vec<UsageGroup>>,
}

/// A meter over a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageBucket)]
pub(super) struct Bucket {
    /// Its beginning.
    #[schema(format = DateTime)]
    start: String,
    /// The sum, count or whatever was asked for.
    value: u64,
}

/// What one source of events, one type of them or one customer used.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = UsageGroup)]
pub(super) struct UsageGroup {
    /// By source, the events' `source`; absent: what no event caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source: Option<String>,
    /// By type, the events' `type`; absent: what no event caused, or whose type was not kept yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    r#type: Option<String>,
    /// By customer, the tenant's customer; absent: what is nobody's in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    customer: Option<String>,
    /// Over all buckets.
    total: u64,
    /// In time order; those without usage are left out.
    buckets: Vec<Bucket>,
}

/// How time is divided, before the range is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// Of so many microseconds; 0: not at all.
    Fixed(Micros),
    Of(Unit),
}

/// The name of a width, the width, and the range it has when none is given.
pub(crate) type Named = (&'static str, Width, Option<Micros>);

/// What `bucket` may say.
pub(crate) const WIDTHS: [(&str, Named); 5] = [
    ("minute", ("minute", Width::Fixed(MINUTE_US), Some(DAY_US))),
    ("hour", ("hour", Width::Fixed(60 * MINUTE_US), Some(31 * DAY_US))),
    ("day", ("day", Width::Of(Unit::Day), Some(366 * DAY_US))),
    ("month", ("month", Width::Of(Unit::Month), Some(1_096 * DAY_US))),
    ("total", TOTAL),
];
const TOTAL: Named = ("total", Width::Fixed(0), None);

/// What `aggregation` may say.
pub(crate) const AGGREGATIONS: [(&str, Aggregation); 5] = [
    (Aggregation::Sum.as_str(), Aggregation::Sum),
    (Aggregation::Count.as_str(), Aggregation::Count),
    (Aggregation::Unique.as_str(), Aggregation::Unique),
    (Aggregation::Max.as_str(), Aggregation::Max),
    (Aggregation::Latest.as_str(), Aggregation::Latest),
];

/// What `group_by` may say.
pub(crate) const GROUPINGS: [(&str, Grouping); 3] =
    [("source", Grouping::Source), ("type", Grouping::EventType), ("customer", Grouping::Customer)];

/// Sum a tenant's usage
///
/// Counted at the time an event was received, each event once. By `minute`, `hour`, `day` or `month` the range is the last 24 hours,
/// 31 days, 366 days or 1,096 days unless `since` says otherwise. Days and months are those of `time_zone`, with 23 or 25 hours where
/// clocks are changed; the first and the last one are counted as far as they are in the range.
#[utoipa::path(
    get, path = "/api/v1/usage/{tenant}", tag = "usage", operation_id = "get_usage",
    params(
        ("tenant" = String, Path, description = "The key's own tenant."),
        ("meter" = Option<String>, Query, description = "`events` (default), another meter of the fleet's, or `own/<id>`, a meter of the tenant's own."),
        ("aggregation" = Option<String>, Query, description = "How it is put together: `sum`, `count` (of records that have it), `unique` (how many different values), `max` or `latest`; as the meter says by default. All but `sum` read the records of the range."),
        ("since" = Option<String>, Query, description = "Used at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Used before, RFC 3339."),
        ("bucket" = Option<String>, Query, description = "`minute`, `hour`, `day`, `month`, or `total` (default)."),
        ("time_zone" = Option<String>, Query, description = "Whose days and months, by its IANA name such as `Europe/Berlin`; UTC by default."),
        ("group_by" = Option<String>, Query, description = "`source`, `type` or `customer`: apart for each source of events, each type of them, or each customer."),
        ("customer" = Option<String>, Query, description = "Only what this customer used: what came by keys that are used on its behalf."),
    ),
    responses((status = 200, description = "The sums.", body = Usage))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsUsage(caller): ReadsUsage,
    Path(tenant): Path<String>,
    mut params: Params,
) -> Result<Json<Usage>, Problem> {
    let tenant = own_tenant(&caller, &tenant)?;
    let meter = params.read("meter", meter_name).unwrap_or_else(|| Text::from_static(METER_EVENTS));
    let aggregation = params.choice("aggregation", &AGGREGATIONS);
    let (bucket, width, usual_us) = params.choice("bucket", &WIDTHS).unwrap_or(TOTAL);
    let zone = params.read("time_zone", time_zone);
    let by = params.choice("group_by", &GROUPINGS);
    let customer = params.read("customer", customer);
    let (since, until_us) = params.range();
    params.finish()?;
    let end_us = until_us.unwrap_or_else(|| app.clock.now());
    let since_us = since.or_else(|| usual_us.map(|range| end_us.saturating_sub(range)));
    let kind = kind_of(&app.catalog.snapshot(), tenant, &meter, aggregation)?;
    let division = divide(width, zone.as_ref(), since_us, end_us)?;
    let question = Question {
        usage: app.stores.usage.clone(),
        tenant: tenant.clone(),
        meter: meter.clone(),
        aggregation: kind.aggregation,
        by,
        customer: customer.clone(),
    };
    let series = app.ask(question.series(&division, (since_us, until_us))).await?;
    let form = Form { tenant, meter, kind, bucket, zone, customer };
    Ok(Json(form.usage(&series, by, since_us, until_us)))
}

/// One that was deleted may have used something all the same.
pub(super) fn customer(text: &str) -> Result<CustomerId, String> {
    text.parse().map_err(|error: model::InvalidId| error.to_string())
}

pub(super) fn meter_name(text: &str) -> Result<Text, String> {
    let is_own = |text: &str| text.strip_prefix(OWN_METERS).is_some_and(|id| id.parse::<MeterId>().is_ok());
    if store::meter(text).is_some() || is_own(text) {
        return Ok(text.into());
    }
    let names: Vec<_> = METERS.iter().map(|meter| meter.name).collect();
    Err(format!("must be one of: {}, or {OWN_METERS}<id> for a meter of the tenant's own", names.join(", ")))
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    model::time_zone(name)
        .ok_or_else(|| "must be a time zone of the IANA database, such as Europe/Berlin".to_owned())
}

/// What is known of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    aggregation: Aggregation,
    unit: Option<&'static str>,
    scale: u8,
}

fn kind_of(
    snapshot: &Snapshot,
    tenant: &TenantId,
    name: &str,
    asked: Option<Aggregation>,
) -> Result<Kind, Problem> {
    let wrong = |pointer: &str, detail: String| {
        Problem::new(ErrorCode::InvalidArgument, "the query has impossible values").field(pointer, detail)
    };
    let (aggregation, unit, scale) = if let Some(id) = name.strip_prefix(OWN_METERS) {
        // What one counted that was deleted can be read until it is purged.
        let deleted = || snapshot.deleted::<Meter>(tenant, id).map(|entry| &entry.value.resource);
        let meter = snapshot.meter(tenant, id).map(|meter| &**meter).or_else(deleted);
        let meter = meter.ok_or_else(|| wrong("query:meter", format!("the tenant has no meter {id:?}")))?;
        (meter.aggregation, None, meter.scale)
    } else {
        let meter = store::meter(name);
        (meter.map_or(Aggregation::Sum, |meter| meter.aggregation), meter.map(|meter| meter.unit), 0)
    };
    let is_number = |aggregation| !matches!(aggregation, Aggregation::Count | Aggregation::Unique);
    if aggregation == Aggregation::Unique && asked.is_some_and(is_number) {
        return Err(wrong(
            "query:aggregation",
            "must be unique or count: the meter keeps no numbers".to_owned(),
        ));
    }
    let aggregation = asked.unwrap_or(aggregation);
    if is_number(aggregation) {
        return Ok(Kind { aggregation, unit, scale });
    }
    Ok(Kind { aggregation, unit: None, scale: 0 })
}

fn divide(
    width: Width,
    zone: Option<&TimeZone>,
    since_us: Option<Micros>,
    end_us: Micros,
) -> Result<Division, Problem> {
    let too_many = || {
        let what = format!("the range has more than {BUCKETS_MAX} buckets, or is not in the calendar");
        Problem::new(ErrorCode::InvalidArgument, what)
            .field("query:bucket", "must be wider, or the range shorter")
    };
    let Some(since_us) = since_us else { return Ok(Division::Width(0)) };
    let range_us = end_us.saturating_sub(since_us);
    match width {
        Width::Fixed(width) if width > 0 && range_us / width > BUCKETS_MAX.into() => Err(too_many()),
        Width::Fixed(width) => Ok(Division::Width(width)),
        // The stores' own days.
        Width::Of(Unit::Day) if zone.is_none() && range_us / DAY_US <= BUCKETS_MAX.into() => {
            Ok(Division::Width(DAY_US))
        }
        Width::Of(unit) => {
            let zone = zone.cloned().unwrap_or(TimeZone::UTC);
            let calendar = Calendar::new(&zone, unit, (since_us, end_us), BUCKETS_MAX.into());
            calendar.map(Division::Calendar).ok_or_else(too_many)
        }
    }
}

/// What every answer says.
struct Form<'a> {
    tenant: &'a TenantId,
    meter: Text,
    kind: Kind,
    bucket: &'static str,
    zone: Option<TimeZone>,
    customer: Option<CustomerId>,
}

impl Form<'_> {
    fn usage(
        self,
        series: &[Series],
        by: Option<Grouping>,
        since_us: Option<Micros>,
        until_us: Option<Micros>,
    ) -> Usage {
        let Kind { aggregation, unit, scale } = self.kind;
        let buckets = |buckets: &[UsageBucket]| buckets.iter().map(|b| self.bucket(b)).collect::<Vec<_>>();
        let (mut groups, mut all) = (None, None);
        if let Some(by) = by {
            let group = |series: &Series| {
                let (total, buckets) = (series.total, buckets(&series.buckets));
                let name = series.group.as_ref().map(ToString::to_string);
                let group = UsageGroup { total, buckets, ..UsageGroup::default() };
                match by {
                    Grouping::Source => UsageGroup { source: name, ..group },
                    Grouping::EventType => UsageGroup { r#type: name, ..group },
                    Grouping::Customer => UsageGroup { customer: name, ..group },
                }
            };
            groups = Some(series.iter().map(group).collect());
        } else {
            let one = series.first();
            all = Some((
                one.map_or(0, |one| one.total),
                one.map_or_else(Vec::new, |one| buckets(&one.buckets)),
            ));
        }
        let (total, buckets) = all.unzip();
        Usage {
            tenant: self.tenant.to_string(),
            meter: self.meter.to_string(),
            aggregation: aggregation.as_str(),
            unit,
            scale: (scale > 0).then_some(scale),
            bucket: self.bucket,
            time_zone: self.zone.as_ref().and_then(|zone| zone.iana_name()).map(ToOwned::to_owned),
            since: since_us.map(format_rfc3339),
            until: until_us.map(format_rfc3339),
            customer: self.customer.as_ref().map(ToString::to_string),
            total,
            buckets,
            groups,
        }
    }

    fn bucket(&self, bucket: &UsageBucket) -> Bucket {
        let start = match &self.zone {
            Some(zone) => format_in(zone, bucket.start_us),
            None => format_rfc3339(bucket.start_us),
        };
        Bucket { start, value: bucket.value }
    }
}
