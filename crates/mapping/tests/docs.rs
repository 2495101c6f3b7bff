//! Runs every example of `docs/mappings.md`: each `json event` block is what the `http` block before it becomes under the latest
//! `json mapping` block; each row of a table of templates is checked against the latest `http` block.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test")]

use bytes::Bytes;
use mapping::{InvalidMapping, Mapping, Pairs, Raw, Unmappable, presets};
use model::{AttributeValue, CloudEvent, resource::Source};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/mappings.md");
/// 2026-11-21T10:00:00Z.
const RECEIVED_US: i64 = 1_795_255_200_000_000;
const RECEIVED: &str = "2026-11-21T10:00:00Z";

#[derive(Clone, Default)]
struct Request {
    query: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Request {
    fn parse(block: &str) -> Self {
        let (head, body) = block.split_once("\n\n").expect("a head and a body");
        let mut lines = head.lines();
        let target = lines.next().unwrap().strip_prefix("POST /v1/sources/acme.tills").expect("the door");
        let headers = lines.map(|line| line.split_once(": ").expect("a header"));
        Self {
            query: target.strip_prefix('?').unwrap_or_default().to_owned(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            body: Bytes::copy_from_slice(body.trim_end().as_bytes()),
        }
    }

    fn apply(&self, mapping: &Mapping) -> Result<CloudEvent, Unmappable> {
        let headers = Pairs::new(&self.headers, |(n, v)| (n.as_bytes(), v.as_bytes()));
        let raw = Raw::new(&headers, &self.query, &self.body);
        mapping.apply(&raw, &mapping.identify(&raw, || "<new>".into()), RECEIVED_US)
    }
}

fn compile(mapping: &Value, preset: Option<&str>) -> Result<Mapping, InvalidMapping> {
    let source =
        json!({"tenant": "acme", "system": "shop", "id": "tills", "mapping": mapping, "preset": preset});
    Mapping::compile(&serde_json::from_value::<Source>(source).unwrap())
}

fn attributes(event: &CloudEvent) -> Value {
    let mut all = json!({"id": &**event.id(), "source": &**event.source(), "type": &**event.ty()});
    let optional = [
        ("subject", event.subject()),
        ("time", event.time()),
        ("datacontenttype", event.datacontenttype()),
        ("dataschema", event.dataschema()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            all[name] = json!(&**value);
        }
    }
    for (name, value) in event.extensions() {
        let AttributeValue::String(value) = value else { panic!("{name} is no string") };
        all[&**name] = json!(&**value);
    }
    all
}

/// What stands on the page, in order.
enum Part {
    Block { info: String, text: String },
    Row(Vec<String>),
}

fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            parts.push(Part::Block { info: info.to_owned(), text: text.join("\n") });
        } else if let Some(row) = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) {
            parts.push(Part::Row(row.split(" | ").map(str::to_owned).collect()));
        }
    }
    parts
}

#[test]
fn every_event_block_is_what_its_request_becomes() {
    let mut mapping = compile(&json!({}), None).unwrap();
    let mut request = Request::default();
    let mut checked = 0;
    for part in parts() {
        let Part::Block { info, text } = part else { continue };
        match info.split_once(' ').unwrap_or((&info, "")) {
            ("http", "") => request = Request::parse(&text),
            ("json", "event") => {
                let expected: Value = serde_json::from_str(&text.replace("<received>", RECEIVED)).unwrap();
                assert_eq!(attributes(&request.apply(&mapping).unwrap()), expected);
                checked += 1;
            }
            ("json", what) => {
                let preset = what.strip_prefix("mapping").expect("a mapping or an event").trim();
                let preset = (!preset.is_empty()).then_some(preset);
                mapping = compile(&serde_json::from_str(&text).unwrap(), preset).unwrap();
            }
            _ => panic!("a block that nothing checks: {info}"),
        }
    }
    assert_eq!(checked, 3);
}

#[test]
fn every_template_gives_what_its_row_says() {
    let mut request = Request::default();
    let mut table = String::new();
    let (mut given, mut refused) = (0, 0);
    for part in parts() {
        let row = match part {
            Part::Block { info, text } if info == "http" => {
                request = Request::parse(&text);
                continue;
            }
            Part::Block { .. } => continue,
            Part::Row(row) => row,
        };
        let [template, result, ..] = &row[..] else { continue };
        let Some(template) = template.strip_prefix('`').and_then(|t| t.strip_suffix('`')) else {
            table = format!("{template}|{result}");
            continue;
        };
        let mapping = compile(&json!({"subject": template}), None);
        match &*table {
            "template|gives" => {
                let subject = request.apply(&mapping.unwrap()).unwrap().subject().map(|s| format!("`{s}`"));
                assert_eq!(subject.as_deref().unwrap_or("nothing"), result, "{template}");
                given += 1;
            }
            "template|mistake" => {
                let error = mapping.unwrap_err().to_string();
                assert!(
                    error.starts_with("/mapping/subject: ") && error.contains(&**result),
                    "{template}: {error}"
                );
                refused += 1;
            }
            _ => {}
        }
    }
    assert_eq!((given, refused), (24, 5));
}

#[test]
fn every_preset_and_limit_is_on_the_page() {
    for preset in presets() {
        assert!(PAGE.contains(&format!("| `{}` |", preset.name)), "{}", preset.name);
    }
    use mapping::limits::*;
    let limits = format!(
        "Limits: {TEMPLATE_BYTES_MAX} bytes a template, {OPERATIONS_MAX} operations in a mapping, calls {DEPTH_MAX} deep, \
         paths {PATH_STEPS_MAX} steps long, {EXTENSIONS_MAX} extensions, {ID_RULES_MAX} id rules."
    );
    let page = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&limits), "{limits}");
    assert!(page.contains(&format!("over {VALUE_BYTES_MAX} bytes")));
}
