//! What a transaction adds to one tenant: blocks being filled, and sums.

use std::{collections::HashMap, mem, sync::Arc};

use fjall::Slice;
use model::{Batch, CloudEvent, CustomerId, Micros, Stamp, TenantId, Text};

use super::{
    codec::Packer,
    event_block::EventBlockBuilder,
    head::Head,
    keys::{self, Kind, Level},
    usage_block::UsageBlockBuilder,
};
use crate::{METER_BYTES, METER_EVENTS, UsageRecord};

/// A finished block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) number: u64,
    /// Of a block of events.
    pub(super) head: Option<Head>,
    pub(super) bytes: Slice,
    /// The minutes it holds something of.
    pub(super) minutes: Vec<i64>,
}

/// A block being filled.
#[derive(Debug)]
struct Open<B> {
    number: u64,
    builder: B,
    minutes: Vec<i64>,
}

impl<B: Default> Open<B> {
    fn new(number: u64) -> Self {
        Self { number, builder: B::default(), minutes: Vec::new() }
    }

    fn saw(&mut self, at_us: Micros) {
        let minute = Level::Minute.of(at_us);
        if self.minutes.last() != Some(&minute) {
            self.minutes.push(minute);
        }
    }

    fn take_minutes(&mut self) -> Vec<i64> {
        let mut minutes = mem::take(&mut self.minutes);
        minutes.sort_unstable();
        minutes.dedup();
        minutes
    }
}

/// One tenant's part of a transaction.
#[derive(Debug)]
pub(super) struct Shelf<'a> {
    pub(super) tenant: &'a TenantId,
    events: Option<Open<EventBlockBuilder>>,
    usage: Option<Open<UsageBlockBuilder>>,
    sums: HashMap<(Text, i64), u64>,
    /// Those of customers: most events are nobody's in particular.
    customer_sums: HashMap<(CustomerId, Text, i64), u64>,
    /// The sums of events in the minute at hand: nearly all are in the same.
    minute: i64,
    minute_events: u64,
    minute_bytes: u64,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(tenant: &'a TenantId) -> Self {
        Self {
            tenant,
            events: None,
            usage: None,
            sums: HashMap::new(),
            customer_sums: HashMap::new(),
            minute: 0,
            minute_events: 0,
            minute_bytes: 0,
        }
    }

    /// Adds an event; gives its block and its index in there.
    pub(super) fn add_event(
        &mut self,
        number: impl FnOnce() -> u64,
        batch: &Batch,
        index: u32,
        stamp: &Arc<Stamp>,
        event: &CloudEvent,
    ) -> (u64, u32) {
        let block = self.events.get_or_insert_with(|| Open::new(number()));
        block.saw(stamp.received_at_us);
        (block.number, block.builder.add(batch, index, stamp, event))
    }

    /// Adds the usage record of an event.
    pub(super) fn meter_event(
        &mut self,
        number: impl FnOnce() -> u64,
        stamp: &Stamp,
        event: &CloudEvent,
        own: &[(Text, u64)],
    ) {
        let at_us = stamp.received_at_us;
        let bytes = u64::try_from(event.size()).unwrap_or(u64::MAX);
        let block = self.usage.get_or_insert_with(|| Open::new(number()));
        block.saw(at_us);
        block.builder.add_event(stamp, event, bytes, own);
        let minute = Level::Minute.of(at_us);
        if self.minute != minute {
            self.settle();
            self.minute = minute;
        }
        self.minute_events += 1;
        self.minute_bytes = self.minute_bytes.saturating_add(bytes);
        for (meter, value) in own {
            self.add_sum(meter.clone(), minute, *value);
        }
        if let Some(customer) = &stamp.customer {
            self.add_customer_sum(customer, Text::from_static(METER_EVENTS), minute, 1);
            self.add_customer_sum(customer, Text::from_static(METER_BYTES), minute, bytes);
            for (meter, value) in own {
                self.add_customer_sum(customer, meter.clone(), minute, *value);
            }
        }
    }

    /// Adds any usage record.
    pub(super) fn add_record(&mut self, number: impl FnOnce() -> u64, record: &UsageRecord) {
        let block = self.usage.get_or_insert_with(|| Open::new(number()));
        block.saw(record.at_us);
        block.builder.add_record(record);
        let minute = Level::Minute.of(record.at_us);
        for (meter, value) in &record.meters {
            self.add_sum(meter.clone(), minute, *value);
            if let Some(customer) = &record.customer {
                self.add_customer_sum(customer, meter.clone(), minute, *value);
            }
        }
    }

    fn add_customer_sum(&mut self, customer: &CustomerId, meter: Text, minute: i64, value: u64) {
        let sum = self.customer_sums.entry((customer.clone(), meter, minute)).or_insert(0);
        *sum = sum.saturating_add(value);
    }

    fn add_sum(&mut self, meter: Text, minute: i64, value: u64) {
        let sum = self.sums.entry((meter, minute)).or_insert(0);
        *sum = sum.saturating_add(value);
    }

    fn settle(&mut self) {
        if self.minute_events > 0 {
            let (events, bytes) = (mem::take(&mut self.minute_events), mem::take(&mut self.minute_bytes));
            self.add_sum(Text::from_static(METER_EVENTS), self.minute, events);
            self.add_sum(Text::from_static(METER_BYTES), self.minute, bytes);
        }
    }

    /// Takes the blocks that are full.
    pub(super) fn take_full(&mut self, now_us: Micros, packer: &mut Packer) -> [Option<Block>; 2] {
        let events = self.events.take_if(|open| open.builder.is_full());
        let usage = self.usage.take_if(|open| open.builder.is_full());
        finish(events, usage, now_us, packer)
    }

    /// Takes the blocks as they are.
    pub(super) fn take_rest(&mut self, now_us: Micros, packer: &mut Packer) -> [Option<Block>; 2] {
        finish(self.events.take(), self.usage.take(), now_us, packer)
    }

    /// What was used, by meter and minute, each under its key.
    pub(super) fn into_sums(mut self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        self.settle();
        let Self { tenant, sums, customer_sums, .. } = self;
        let all = sums.into_iter().map(|((meter, minute), sum)| (keys::rollup(tenant, &meter, minute), sum));
        all.chain(customer_sums.into_iter().map(|((customer, meter, minute), sum)| {
            (keys::customer_rollup(tenant, &customer, &meter, minute), sum)
        }))
    }
}

fn finish(
    events: Option<Open<EventBlockBuilder>>,
    usage: Option<Open<UsageBlockBuilder>>,
    now_us: Micros,
    packer: &mut Packer,
) -> [Option<Block>; 2] {
    let events = events.map(|mut open| {
        let minutes = open.take_minutes();
        let (head, bytes) = open.builder.finish(now_us, packer);
        Block { kind: Kind::Events, number: open.number, head: Some(head), bytes, minutes }
    });
    let usage = usage.map(|mut open| Block {
        kind: Kind::Usage,
        number: open.number,
        head: None,
        minutes: open.take_minutes(),
        bytes: open.builder.finish(packer),
    });
    [events, usage]
}
