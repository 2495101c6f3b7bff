//! A NATS client of another language reads a tenant's stream.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
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
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nats.creds").display().to_string();
    let made = fleet().cli(&["tenants", "nats-credentials", "nats", "--file", &file], "");
    let mut script = tools::python("tenant_stream.py");
    script.args([&fleet().nats_url, &file, &count.to_string()]);
    let mut script =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Closed, so that the script knows the end.
    writeln!(script.stdin.take().unwrap(), "{made}").unwrap();
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

/// The page's program, as it stands there, by who has done what the page says before it.
pub(crate) fn documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/nats.md");
    let page = fs::read_to_string(page).unwrap();
    let program = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (script, file) = (folder.path().join("read.py"), folder.path().join("warehouse.creds"));
    fs::write(&script, program).unwrap();
    let tenant = fleet().tenant("documented");
    let sent: Vec<String> = sdks::run_python(&tenant)
        .iter()
        .flat_map(|request| request.events.iter().map(|event| event.text("id").to_owned()))
        .collect();
    let file = file.display().to_string();
    let args = ["tenants", "nats-credentials", "documented", "--name", "warehouse", "--file", &file];
    let made = fleet().cli(&args, "");
    let text = |name: &str| made[name].as_str().unwrap();
    let read = || {
        let mut command = tools::python_file(&script);
        let stdout =
            tools::output(command.args([&fleet().nats_url, &file, text("stream"), text("consumer")]), "");
        stdout.lines().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut found = read();
    assert_eq!(found.len(), sent.len(), "{found:?}");
    found.sort();
    let mut expected = sent;
    expected.sort();
    assert_eq!(found, expected);
    fleet().cli(&["nats-credentials", "list", "--tenant", "documented"], "");
}
