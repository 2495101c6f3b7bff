//! Raw request → CloudEvent. Pure: no I/O, no clock, no randomness; what needs one takes it as a parameter.
//!
//! A source's mapping ([`MappingSpec`], over a [`Preset`]) is compiled once into a [`Mapping`] and then used
//! twice for each request: the door asks [`Mapping::identify`] for the id, source and partition key it must
//! answer with and place the event by; the normalizer asks [`Mapping::apply`] for the whole event under
//! that identity. `docs/mappings.md` is the language for people.
//!
//! Invariant: no request and no mapping makes this crate panic, recurse without bound or copy the body; the
//! body is read in at most one pass a step, and only when an expression needs it. A mapping reads no header
//! that the door does not keep, so both steps see the same request.
//!
//! ```
//! use mapping::{Mapping, Pairs, Raw};
//! use model::{Text, resource::Source};
//!
//! let source: Source = serde_json::from_str(
//!     r#"{"tenant": "acme", "system": "shop", "id": "tills", "mapping": {
//!         "type": "com.example.${body.kind}", "subject": "${body.order.id}"}}"#,
//! )?;
//! let mapping = Mapping::compile(&source)?;
//! let headers = [("content-type", "application/json")];
//! let headers = Pairs::new(&headers, |(name, value)| (name.as_bytes(), value.as_bytes()));
//! let body = r#"{"kind": "paid", "order": {"id": 7}}"#.into();
//! let raw = Raw::new(&headers, "", &body);
//! let identity = mapping.identify(&raw, || Text::from_static("a-new-id"));
//! let event = mapping.apply(&raw, &identity, 0)?;
//! assert_eq!((&**event.ty(), &**event.source()), ("com.example.paid", "/shop/tills"));
//! assert_eq!(event.subject().map(|s| &**s), Some("7"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod compile;
mod error;
mod evaluate;
mod expression;
mod function;
mod header;
mod identity;
mod mapping;
mod parse;
mod preset;
mod raw;
mod spec;

pub use self::{
    error::{InvalidMapping, Problem, Unmappable},
    expression::limits,
    header::is_secret_header,
    mapping::{Identity, Mapping},
    preset::{Preset, preset, presets},
    raw::{Headers, Pairs, Raw},
    spec::{IdSpec, MappingSpec},
};
