//! What is sent: numbered events whose bytes are known beforehand.
//!
//! Bodies are rendered once and only the ids are written into a copy of them, so that the generator takes little of the
//! machine it shares with the fleet. An id looks random, as real ones do to a store, yet gives back its number; a number
//! gives the event's data. So whatever is read back can be checked without having been remembered.
//!
//! With partition keys, each lane of the generator has a few of its own. A lane sends one request after the other, so the
//! events of a key are numbered in the order in which they were sent.

use std::{fmt::Write as _, ops::Range};

use bytes::Bytes;
use proto::cloudevents as ce;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// `source` of every event.
pub const SOURCE: &str = "/eventrunner-load";
/// `type` of every event.
pub const TYPE: &str = "load.order.placed";
/// Hexadecimal digits of an id.
const ID_LEN: usize = 16;
/// Different bodies; more than the store packs into a compressed block, so that repetition does not help it.
const BODIES: u64 = 64;

/// Digits of a lane's number in a partition key.
const LANE_LEN: usize = 4;
/// A partition key without its numbers: the lane's, and which of the lane's it is.
const BLANK_KEY: &str = "l0000k00";
/// The most keys a lane may have.
const KEYS_MAX: u64 = 100;

/// A numbered stream of events, the same for the same arguments.
#[derive(Debug)]
pub struct Load {
    seed: u64,
    shape: Shape,
    templates: Vec<Template>,
}

/// What requests look like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Events in one.
    pub per_request: u64,
    /// Bytes of JSON data of each event.
    pub data_bytes: usize,
    /// Partition keys of each lane; 0: events have none.
    pub keys: u64,
}

/// A partition key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    lane: u64,
    index: u64,
}

impl Key {
    /// Reads what [`Load::body`] has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (lane, index) = text.strip_prefix('l')?.split_once('k')?;
        let number = |digits: &str, len| (digits.len() == len).then(|| digits.parse().ok()).flatten();
        Some(Self { lane: number(lane, LANE_LEN)?, index: number(index, 2)? })
    }
}

/// A request body with blank ids.
#[derive(Debug)]
struct Template {
    body: Vec<u8>,
    slots: Vec<Slot>,
}

/// Where one event is in a body.
#[derive(Debug)]
struct Slot {
    /// Its `id` attribute.
    id_at: usize,
    /// Its `data`.
    data: Range<usize>,
    /// The id's place in `data`, from its beginning.
    data_id_at: usize,
    /// Its partition key, where it has one.
    key: Option<Range<usize>>,
}

impl Load {
    /// Requests of that shape. Of a part of the data that an HTTP client could not have compressed away: letters and digits
    /// at random.
    #[must_use]
    pub fn new(seed: u64, shape: Shape) -> Self {
        let shape = Shape { per_request: shape.per_request.max(1), keys: shape.keys.min(KEYS_MAX), ..shape };
        let mut rng = StdRng::seed_from_u64(seed);
        let templates = (0..BODIES).map(|_| Template::render(&mut rng, shape)).collect();
        Self { seed, shape, templates }
    }

    /// Events a request.
    #[must_use]
    pub fn per_request(&self) -> u64 {
        self.shape.per_request
    }

    /// The media type of the bodies.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        if self.shape.per_request == 1 {
            "application/cloudevents+json"
        } else {
            "application/cloudevents-batch+json"
        }
    }

    /// The body of the `request`th request, with events `request * per_request` and following, as `lane` sends it.
    #[must_use]
    pub fn body(&self, request: u64, lane: u64) -> Bytes {
        let template = self.template(request);
        let mut body = template.body.clone();
        for (number, slot) in (request * self.shape.per_request..).zip(&template.slots) {
            let id = self.id(number);
            put(&mut body, slot.id_at, &id);
            put(&mut body, slot.data.start + slot.data_id_at, &id);
            if let Some(key) = &slot.key {
                put(&mut body, key.start + 1, format!("{:04}", lane % 10_000).as_bytes());
            }
        }
        body.into()
    }

    /// The same events for the gRPC door.
    #[must_use]
    pub fn events(&self, request: u64, lane: u64) -> Vec<ce::CloudEvent> {
        let body = self.body(request, lane);
        let text = |range: Range<usize>| {
            let bytes = body.get(range).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let string = |text| ce::CloudEventAttributeValue {
            attr: Some(ce::cloud_event_attribute_value::Attr::CeString(text)),
        };
        let event = |slot: &Slot| {
            let key = slot.key.clone().map(|range| ("partitionkey".to_owned(), string(text(range))));
            let content_type = ("datacontenttype".to_owned(), string("application/json".to_owned()));
            ce::CloudEvent {
                id: text(slot.id_at..slot.id_at + ID_LEN),
                source: SOURCE.to_owned(),
                spec_version: "1.0".to_owned(),
                r#type: TYPE.to_owned(),
                attributes: key.into_iter().chain([content_type]).collect(),
                data: Some(ce::cloud_event::Data::TextData(text(slot.data.clone()))),
            }
        };
        self.template(request).slots.iter().map(event).collect()
    }

    /// The id of an event.
    #[must_use]
    pub fn id_of(&self, number: u64) -> String {
        self.id(number).map(char::from).iter().collect()
    }

    /// The number of the event with this id; any id of ours gives one, so compare it with how many were sent.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u64> {
        let ours = id.len() == ID_LEN && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ours.then(|| u64::from_str_radix(id, 16).ok()).flatten().map(|id| unmix(id) ^ self.seed)
    }

    /// Whether these bytes are the data of that event.
    #[must_use]
    pub fn is_data_of(&self, number: u64, data: &[u8]) -> bool {
        let template = self.template(number / self.shape.per_request);
        let index = usize::try_from(number % self.shape.per_request).unwrap_or_default();
        let Some(slot) = template.slots.get(index) else { return false };
        let Some(expected) = template.body.get(slot.data.clone()) else { return false };
        let id_range = slot.data_id_at..slot.data_id_at + ID_LEN;
        data.len() == expected.len()
            && data.get(id_range.clone()) == Some(&self.id(number)[..])
            && data.get(..id_range.start) == expected.get(..id_range.start)
            && data.get(id_range.end..) == expected.get(id_range.end..)
    }

    /// Whether an event may have this partition key: none, if events have none.
    #[must_use]
    pub fn is_key_of(&self, number: u64, key: Option<Key>) -> bool {
        let index = (self.shape.keys > 0).then(|| number % self.shape.per_request % self.shape.keys);
        key.map(|key| key.index) == index
    }

    fn template(&self, request: u64) -> &Template {
        let index = usize::try_from(request % BODIES).unwrap_or_default();
        &self.templates[index]
    }

    fn id(&self, number: u64) -> [u8; ID_LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mixed = mix(number ^ self.seed);
        std::array::from_fn(|i| DIGITS[(mixed >> (60 - 4 * i) & 15) as usize])
    }
}

impl Template {
    fn render(rng: &mut StdRng, shape: Shape) -> Self {
        const BLANK: &str = "0000000000000000";
        let mut body = String::new();
        let mut slots = Vec::new();
        if shape.per_request > 1 {
            body.push('[');
        }
        for index in 0..shape.per_request {
            if index > 0 {
                body.push(',');
            }
            body.push_str(r#"{"specversion":"1.0","id":""#);
            let id_at = body.len();
            // Writing to a String cannot fail.
            let _ = write!(body, r#"{BLANK}","source":"{SOURCE}","type":"{TYPE}""#);
            let key = (shape.keys > 0).then(|| {
                body.push_str(r#","partitionkey":""#);
                let start = body.len();
                let _ = write!(body, r#"{}{:02}""#, &BLANK_KEY[..BLANK_KEY.len() - 2], index % shape.keys);
                start..start + BLANK_KEY.len()
            });
            body.push_str(r#","datacontenttype":"application/json","data":"#);
            let start = body.len();
            body.push_str(r#"{"order":""#);
            let data_id_at = body.len() - start;
            let _ = write!(body, r#"{BLANK}","amount":{},"note":""#, rng.random_range(100..1_000));
            let left = shape.data_bytes.saturating_sub(body.len() - start + 2);
            body.extend((0..left).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))));
            body.push_str(r#""}"#);
            slots.push(Slot { id_at, data: start..body.len(), data_id_at, key });
            body.push('}');
        }
        if shape.per_request > 1 {
            body.push(']');
        }
        Self { body: body.into_bytes(), slots }
    }
}

fn put(body: &mut [u8], at: usize, id: &[u8]) {
    if let Some(place) = body.get_mut(at..at + id.len()) {
        place.copy_from_slice(id);
    }
}

/// The finalizer of splitmix64: one to one, and its values look random.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn unmix(mut x: u64) -> u64 {
    x = (x ^ (x >> 31) ^ (x >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    x = (x ^ (x >> 27) ^ (x >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    x ^ (x >> 30) ^ (x >> 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINGLE: Shape = Shape { per_request: 1, data_bytes: 256, keys: 0 };

    #[test]
    fn what_is_sent_is_recognized() {
        let load = Load::new(7, Shape { per_request: 3, data_bytes: 512, keys: 2 });
        let body = load.body(100, 12);
        let events: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(events.len(), 3);
        for (number, event) in (300..).zip(&events) {
            assert_eq!(load.number(event["id"].as_str().unwrap()), Some(number));
            let key = Key::parse(event["partitionkey"].as_str().unwrap()).unwrap();
            assert_eq!(key, Key { lane: 12, index: (number - 300) % 2 });
            assert!(load.is_key_of(number, Some(key)) && !load.is_key_of(number, None));
            let slot = &load.template(100).slots[(number - 300) as usize];
            let data = &body[slot.data.clone()];
            assert_eq!(data.len(), 512);
            assert!(load.is_data_of(number, data));
            assert!(!load.is_data_of(number + 1, data), "another event's data");
            let mut altered = data.to_vec();
            *altered.last_mut().unwrap() = b' ';
            assert!(!load.is_data_of(number, &altered), "one byte altered");
        }
        for (wire, event) in load.events(100, 12).iter().zip(&events) {
            let Some(ce::cloud_event::Data::TextData(data)) = &wire.data else { panic!("no text") };
            assert_eq!(*wire.id, event["id"]);
            assert!(load.is_data_of(load.number(&wire.id).unwrap(), data.as_bytes()));
        }
    }

    #[test]
    fn one_event_is_no_batch() {
        let load = Load::new(7, SINGLE);
        let event: serde_json::Value = serde_json::from_slice(&load.body(5, 0)).unwrap();
        assert_eq!(load.number(event["id"].as_str().unwrap()), Some(5));
        assert_eq!(load.content_type(), "application/cloudevents+json");
        assert_eq!(event.get("partitionkey"), None);
        assert!(load.is_key_of(5, None));
    }

    #[test]
    fn ids_are_one_to_one() {
        for number in (0..10_000).chain(u64::MAX - 10..=u64::MAX) {
            assert_eq!(unmix(mix(number)), number);
        }
        let load = Load::new(7, SINGLE);
        assert_eq!(load.number("order-1"), None);
        assert_eq!(load.number("00000000000000FF"), None, "ours are in lower case");
    }
}
