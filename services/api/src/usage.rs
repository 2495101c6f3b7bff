//! Usage over time, put together from what the store answers.

use std::{collections::BTreeMap, sync::Arc};

use model::{CustomerId, Micros, TenantId, Text};
use store::{Aggregation, Error, GroupUsage, Grouping, UsageBucket, UsageQuery, UsageStore};

use crate::calendar::Calendar;

/// Buckets of the store that one answer is put together from.
const FINE_BUCKETS_MAX: Micros = 500_000;
/// Questions to the store for one answer.
const QUESTIONS_MAX: usize = 400;

/// What is asked about.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) usage: Arc<dyn UsageStore>,
    pub(crate) tenant: TenantId,
    pub(crate) meter: Text,
    pub(crate) aggregation: Aggregation,
    /// What is told apart; else all of it is said to be of no group.
    pub(crate) by: Option<Grouping>,
    /// Whose use alone.
    pub(crate) customer: Option<CustomerId>,
}

/// How time is divided.
#[derive(Debug, Clone)]
pub(crate) enum Division {
    /// Into buckets of so many microseconds; 0: not at all.
    Width(Micros),
    Calendar(Calendar),
}

/// A meter over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) group: Option<Text>,
    /// Over all buckets.
    pub(crate) total: u64,
    pub(crate) buckets: Vec<UsageBucket>,
}

impl Question {
    /// The series of each group, or the one of all.
    ///
    /// # Errors
    /// The store's; [`Error::Invalid`] if it would take too many questions.
    pub(crate) async fn series(
        &self,
        division: &Division,
        (since_us, until_us): (Option<Micros>, Option<Micros>),
    ) -> Result<Vec<Series>, Error> {
        let whole =
            UsageQuery { since_us, until_us, customer: self.customer.clone(), ..UsageQuery::default() };
        let found = match division {
            Division::Width(bucket_us) => {
                self.ask(&UsageQuery { bucket_us: *bucket_us, ..whole.clone() }).await?
            }
            Division::Calendar(calendar) => self.by_calendar(calendar, &whole).await?,
        };
        // What cannot be told from the buckets is asked for.
        let totals: Option<BTreeMap<_, _>> = match self.aggregation {
            Aggregation::Unique if !matches!(division, Division::Width(0)) => {
                let of =
                    |usage: GroupUsage| (usage.group, usage.buckets.first().map_or(0, |bucket| bucket.value));
                Some(self.ask(&whole).await?.into_iter().map(of).collect())
            }
            _ => None,
        };
        let series = found.into_iter().map(|GroupUsage { group, buckets }| {
            let told = totals.as_ref().and_then(|totals| totals.get(&group)).copied();
            let total = told.unwrap_or_else(|| self.together(&buckets));
            Series { group, total, buckets }
        });
        Ok(series.collect())
    }

    async fn ask(&self, query: &UsageQuery) -> Result<Vec<GroupUsage>, Error> {
        let Self { usage, tenant, meter, aggregation, by, .. } = self;
        if let Some(by) = by {
            return usage.grouped(tenant, meter, *aggregation, *by, query).await;
        }
        let buckets = usage.aggregate(tenant, meter, *aggregation, query).await?;
        Ok(if buckets.is_empty() { Vec::new() } else { vec![GroupUsage { group: None, buckets }] })
    }

    /// From narrower buckets where they add up, else span by span.
    async fn by_calendar(&self, calendar: &Calendar, whole: &UsageQuery) -> Result<Vec<GroupUsage>, Error> {
        let width = calendar.width_us().filter(|_| self.aggregation != Aggregation::Unique);
        let Some(bucket_us) = width else { return self.span_by_span(calendar, whole).await };
        let range_us: Micros = calendar.spans().map(|(from, to)| to - from).sum();
        if range_us / bucket_us > FINE_BUCKETS_MAX {
            return Err(too_long());
        }
        let fine = self.ask(&UsageQuery { bucket_us, ..whole.clone() }).await?;
        let coarse = fine.into_iter().map(|GroupUsage { group, buckets }| {
            let spans =
                buckets.chunk_by(|a, b| calendar.start_of(a.start_us) == calendar.start_of(b.start_us));
            let span = |span: &[UsageBucket]| UsageBucket {
                start_us: span.first().map_or(0, |first| calendar.start_of(first.start_us)),
                value: self.together(span),
            };
            GroupUsage { group, buckets: spans.map(span).collect() }
        });
        Ok(coarse.collect())
    }

    async fn span_by_span(&self, calendar: &Calendar, whole: &UsageQuery) -> Result<Vec<GroupUsage>, Error> {
        if calendar.spans().len() > QUESTIONS_MAX {
            return Err(too_long());
        }
        let mut found: BTreeMap<Option<Text>, Vec<UsageBucket>> = BTreeMap::new();
        for (start_us, end_us) in calendar.spans() {
            let since_us = Some(whole.since_us.map_or(start_us, |since| since.max(start_us)));
            let until_us = Some(whole.until_us.map_or(end_us, |until| until.min(end_us)));
            for usage in self.ask(&UsageQuery { since_us, until_us, ..whole.clone() }).await? {
                let value = self.together(&usage.buckets);
                found.entry(usage.group).or_default().push(UsageBucket { start_us, value });
            }
        }
        Ok(found.into_iter().map(|(group, buckets)| GroupUsage { group, buckets }).collect())
    }

    /// Buckets in time order as one; what is unique must be of one bucket only.
    fn together(&self, buckets: &[UsageBucket]) -> u64 {
        let mut values = buckets.iter().map(|bucket| bucket.value);
        match self.aggregation {
            Aggregation::Sum | Aggregation::Count => values.fold(0, u64::saturating_add),
            Aggregation::Max | Aggregation::Unique => values.max().unwrap_or(0),
            Aggregation::Latest => values.next_back().unwrap_or(0),
        }
    }
}

fn too_long() -> Error {
    Error::Invalid("the range is too long for such buckets: ask for a shorter one".into())
}
