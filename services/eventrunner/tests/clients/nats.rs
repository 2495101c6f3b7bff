//! A NATS client of another language reads a tenant's stream.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::{fleet::fleet, sdks, tools};

/// A message, as the script read it.
#[derive(Debug, Deserialize)]
struct Read {
    read: String,
    subject: String,
    attributes: BTreeMap<String, String>,
    data: String,
}

pub(crate) fn tenant_stream() {
    let tenant = fleet().tenant("nats");
    let count = sdks::CASES * 3;
    let mut script = tools::python("tenant_stream.py");
    script.args([&fleet().nats_url, "tenant.default.nats.>", &count.to_string()]);
    let mut script = script.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some(r#"{"subscribed": true}"#));

    let sent = sdks::run_python(&tenant);
    let mut expected = BTreeMap::new();
    for request in &sent {
        for event in &request.events {
            expected.insert(event.text("id").to_owned(), event.in_headers(request.mode != "binary"));
        }
    }
    assert_eq!(expected.len(), count);

    let found: Vec<Read> = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
    let mut problem = String::new();
    script.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
    assert!(script.wait().unwrap().success(), "{problem}");
    // Both ways of reading see each event once.
    for way in ["live", "stream"] {
        let mut missing = expected.clone();
        for read in found.iter().filter(|read| read.read == way) {
            let id = &read.attributes["id"];
            let (attributes, data) = missing.remove(id).unwrap_or_else(|| panic!("{id} came twice, {way}"));
            assert_eq!(read.attributes, attributes, "{id}, {way}");
            assert!(BASE64.decode(&read.data).unwrap() == data, "{id}, {way}: data");
            let ty = percent_decode_str(read.subject.strip_prefix("tenant.default.nats.").unwrap());
            assert_eq!(ty.decode_utf8().unwrap(), attributes["type"], "{id}, {way}: subject");
        }
        assert!(missing.is_empty(), "never came, {way}: {:?}", missing.keys());
    }
    println!("{count} events read by nats-py, as they came and from the stream");
}
