//! Reading events back.

use bytes::Bytes;
use fjall::{Readable as _, Snapshot};
use model::TenantId;

use super::{
    Options, bounds, cursor,
    disk::Disk,
    event_block::EventBlock,
    head::{Head, Sieve},
    keys::{self, Kind, Position},
};
use crate::{Error, EventPage, EventQuery, Order, StoredEvent};

const LIMIT_DEFAULT: u32 = 100;

pub(super) fn get(
    disk: &Disk,
    tenant: &TenantId,
    source: &str,
    id: &str,
) -> Result<Option<StoredEvent>, Error> {
    let key = disk.hasher.event(tenant, source, id);
    let find = || Ok::<_, Error>(disk.find(&key)?.and_then(|slot| slot.event()));
    let Some(position) = find()? else { return Ok(None) };
    // Only now: what the key says is there is in this snapshot then, unless it was taken away between the two.
    let snapshot = disk.snapshot();
    let block = match block_if_there(disk, &snapshot, tenant, position.block)? {
        Some(block) => block,
        None if find()? != Some(position) => return Ok(None),
        None => return Err(missing(position.block)),
    };
    let event = block.peek(position.index)?;
    // The key is a hash: only the event itself says whose it is.
    if event.is(source, id) { event.into_event().map(Some) } else { Ok(None) }
}

fn block(disk: &Disk, snapshot: &Snapshot, tenant: &TenantId, number: u64) -> Result<EventBlock, Error> {
    block_if_there(disk, snapshot, tenant, number)?.ok_or_else(|| missing(number))
}

pub(super) fn block_if_there(
    disk: &Disk,
    snapshot: &Snapshot,
    tenant: &TenantId,
    number: u64,
) -> Result<Option<EventBlock>, Error> {
    let found =
        snapshot.get(&disk.data, keys::block(Kind::Events, tenant, number)).map_err(Disk::read_error)?;
    found.map(|bytes| EventBlock::decode(Bytes::copy_from_slice(&bytes))).transpose()
}

fn missing(number: u64) -> Error {
    Error::Corrupt(format!("block {number} is missing"))
}

/// The heads of the blocks a query may find something in, in its order.
struct Heads {
    iter: fjall::Iter,
    newest_first: bool,
}

impl Heads {
    fn new(
        disk: &Disk,
        snapshot: &Snapshot,
        tenant: &TenantId,
        query: &EventQuery,
        after: Option<Position>,
    ) -> Result<Option<Self>, Error> {
        let newest_first = query.order == Order::NewestFirst;
        let found = bounds::find(disk, snapshot, Kind::Events, tenant, query.since_us, query.until_us)?;
        let Some((mut first, mut last)) = found else { return Ok(None) };
        // A block whose end the walk has reached is not looked at again: each page gets on by one block at least.
        match after {
            Some(Position { block: 0, index: 0 }) if newest_first => return Ok(None),
            Some(after) if newest_first => last = last.min(after.block - u64::from(after.index == 0)),
            Some(after) => first = first.max(after.block + u64::from(after.index == u32::MAX)),
            None => {}
        }
        if first > last {
            return Ok(None);
        }
        let iter = snapshot.range(&disk.index, keys::head(tenant, first)..=keys::head(tenant, last));
        Ok(Some(Self { iter, newest_first }))
    }
}

impl Iterator for Heads {
    type Item = Result<(u64, Head), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = if self.newest_first { self.iter.next_back() } else { self.iter.next() }?;
        let read = || {
            let (key, value) = entry.into_inner().map_err(Disk::read_error)?;
            let number =
                keys::block_of(&key).ok_or_else(|| Error::Corrupt("a head without a number".into()))?;
            Ok((number, Head::decode(Bytes::copy_from_slice(&value))?))
        };
        Some(read())
    }
}

/// One page. Everything up to and including `done`, in the query's order, has been looked at.
struct Page<'a> {
    query: &'a EventQuery,
    events: Vec<StoredEvent>,
    limit: usize,
    bytes_left: u64,
    done: Option<Position>,
}

pub(super) fn page(
    disk: &Disk,
    options: &Options,
    tenant: &TenantId,
    query: &EventQuery,
) -> Result<EventPage, Error> {
    let after =
        query.cursor.as_ref().map(|c| cursor::decode(&disk.hasher, Kind::Events, tenant, c)).transpose()?;
    let snapshot = disk.snapshot();
    let limit = if query.limit == 0 { LIMIT_DEFAULT } else { query.limit };
    let mut page = Page {
        query,
        events: Vec::new(),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        bytes_left: options.page_bytes_max,
        done: after,
    };
    let sieve = Sieve::new(query);
    let mut blocks_left = options.page_blocks_max;
    let heads = Heads::new(disk, &snapshot, tenant, query, after)?;
    let mut more = false;
    for head in heads.into_iter().flatten() {
        if blocks_left == 0 {
            more = true;
            break;
        }
        blocks_left -= 1;
        let (number, head) = head?;
        more = sieve.may_match(&head) && page.add(number, &block(disk, &snapshot, tenant, number)?)?;
        if more {
            break;
        }
        let index = if query.order == Order::NewestFirst { 0 } else { u32::MAX };
        page.done = Some(Position { block: number, index });
    }
    let next =
        page.done.filter(|_| more).map(|done| cursor::encode(&disk.hasher, Kind::Events, tenant, done));
    Ok(EventPage { events: page.events, next })
}

impl Page<'_> {
    /// Adds a block's events; says whether the page was full before its end.
    fn add(&mut self, number: u64, block: &EventBlock) -> Result<bool, Error> {
        let newest_first = self.query.order == Order::NewestFirst;
        for nth in 0..block.len() {
            let index = if newest_first { block.len() - 1 - nth } else { nth };
            let at = Position { block: number, index };
            let seen = |done: Position| if newest_first { at >= done } else { at <= done };
            if self.done.is_some_and(seen) {
                continue;
            }
            let event = block.peek(index)?;
            if event.matches(self.query) {
                if self.events.len() == self.limit || self.bytes_left == 0 {
                    return Ok(true);
                }
                self.bytes_left =
                    self.bytes_left.saturating_sub(u64::try_from(event.size()).unwrap_or(u64::MAX));
                self.events.push(event.into_event()?);
            }
            self.done = Some(at);
        }
        Ok(false)
    }
}

pub(super) fn count(disk: &Disk, tenant: &TenantId, query: &EventQuery) -> Result<u64, Error> {
    let snapshot = disk.snapshot();
    let sieve = Sieve::new(query);
    let mut count = 0;
    for head in Heads::new(disk, &snapshot, tenant, query, None)?.into_iter().flatten() {
        let (number, head) = head?;
        if sieve.matches_all(&head) {
            count += u64::from(head.count);
        } else if sieve.may_match(&head) {
            let block = block(disk, &snapshot, tenant, number)?;
            for index in 0..block.len() {
                count += u64::from(block.peek(index)?.matches(query));
            }
        }
    }
    Ok(count)
}
