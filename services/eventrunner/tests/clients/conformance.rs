//! The CloudEvents conformance module (Go): its feature file, its sample events, its command.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    thread,
};

use gherkin::Step;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    fleet::{Tenant, fleet},
    gherkin_runner::{Runnable, scenarios},
    tools,
    wire::Event,
};

/// What the feature file had when this was written.
const SCENARIOS: usize = 4;
const SAMPLES: usize = 15;

fn module() -> PathBuf {
    tools::cache().join("go/cloudevents")
}

/// `http-protocol-binding.feature`: what "parsed as HTTP request" gives is what the API reads back after the
/// door took it.
pub(crate) fn feature() {
    let text = fs::read_to_string(module().join("features/http-protocol-binding.feature")).unwrap();
    let scenarios = scenarios(&text);
    assert_eq!(scenarios.len(), SCENARIOS);
    for (i, scenario) in scenarios.iter().enumerate() {
        // The same event each time: to a tenant of its own, else the second would be known already.
        run(scenario, &fleet().tenant(&format!("feature-{i}")));
    }
    println!(
        "{} scenarios, {} steps",
        scenarios.len(),
        scenarios.iter().map(|s| s.steps.len()).sum::<usize>()
    );
}

fn run(scenario: &Runnable, tenant: &Tenant) {
    let mut request = None;
    let mut parsed: Option<Event> = None;
    for step in &scenario.steps {
        match step.value.as_str() {
            "HTTP Protocol Binding is supported" => {}
            "an HTTP request" => request = step.docstring.clone(),
            "parsed as HTTP request" => parsed = Some(parse(request.as_deref().unwrap(), tenant)),
            "the attributes are:" => {
                assert_eq!(parsed.as_ref().unwrap().attributes, attributes(step), "{}", scenario.name);
            }
            "the data is equal to the following JSON:" => {
                let expected: Value = serde_json::from_str(step.docstring.as_deref().unwrap()).unwrap();
                let found: Value =
                    serde_json::from_slice(parsed.as_ref().unwrap().data.as_deref().unwrap()).unwrap();
                assert_eq!(found, expected, "{}", scenario.name);
            }
            unknown => panic!("{}: nobody knows how to {unknown:?}", scenario.name),
        }
    }
}

fn attributes(step: &Step) -> BTreeMap<String, Value> {
    let rows = &step.table.as_ref().unwrap().rows;
    assert_eq!(rows[0], ["key", "value"]);
    rows[1..].iter().map(|row| (row[0].clone(), Value::from(row[1].as_str()))).collect()
}

/// Sends the request as it is written, but for the path, which is the door's, and a key; reads the event
/// back.
fn parse(request: &str, tenant: &Tenant) -> Event {
    let request = request.trim_start_matches('\n');
    let (head, body) = request.split_once("\n\n").unwrap();
    let (_, headers) = head.split_once('\n').unwrap();
    let length =
        headers.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    // The text has a line break before its closing quotes that is not of the body.
    let body = &body[..length];
    let headers = headers.lines().map(|line| format!("{line}\r\n")).collect::<String>();
    let message =
        format!("POST /v1/events HTTP/1.1\r\nAuthorization: Bearer {}\r\n{headers}\r\n{body}", tenant.key);
    let mut door = TcpStream::connect(fleet().url.trim_start_matches("http://")).unwrap();
    door.write_all(message.as_bytes()).unwrap();
    let mut status = String::new();
    BufReader::new(door).read_line(&mut status).unwrap();
    assert!(status.starts_with("HTTP/1.1 202 "), "{status}{message}");
    let identity = json!({"source": "/mycontext/subcontext", "id": "1234-1234-1234"});
    let identity = Event { attributes: serde_json::from_value(identity).unwrap(), data: None };
    fleet().read(tenant, &identity).json().clone()
}

/// A sample event of the module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sample {
    #[serde(default)]
    mode: String,
    context_attributes: BTreeMap<String, Value>,
    data: String,
}

impl Sample {
    /// Attributes and extensions, but for `specversion`: `send` speaks 1.0 only, and has no argument for it.
    /// It trims.
    fn attributes(&self) -> BTreeMap<String, String> {
        let all = self.context_attributes.iter().flat_map(|(name, value)| match value {
            Value::Object(extensions) => extensions.clone().into_iter().collect(),
            value => vec![(name.clone(), value.clone())],
        });
        all.filter(|(name, _)| name != "specversion")
            .map(|(name, value)| (name, value.as_str().unwrap().trim().to_owned()))
            .collect()
    }

    /// The event that must arrive.
    fn expected(&self) -> Event {
        let mut attributes: BTreeMap<String, Value> =
            self.attributes().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        attributes.insert("specversion".to_owned(), Value::from("1.0"));
        // In structured mode `send` reads the data as JSON and writes it again.
        let data = if self.mode == "structured" {
            serde_json::from_str::<Value>(&self.data).unwrap().to_string()
        } else {
            self.data.clone()
        };
        Event { attributes, data: Some(data.into_bytes()) }
    }

    /// The arguments of `cloudevents send`.
    fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec!["--mode".to_owned(), self.mode.clone(), "--data".to_owned(), self.data.clone()];
        for (name, value) in self.attributes() {
            match name.as_str() {
                "id" | "source" | "type" | "time" | "datacontenttype" | "dataschema" | "subject" => {
                    arguments.extend([format!("--{name}"), value]);
                }
                // The flag takes a line of CSV.
                _ => {
                    let pair = format!("{name}={value}").replace('"', "\"\"");
                    arguments.extend(["--extension".to_owned(), format!("\"{pair}\"")]);
                }
            }
        }
        arguments
    }
}

/// A tenant that gets samples.
struct Receiver {
    tenant: Tenant,
    /// Of its relay.
    address: String,
    /// Source and id of each event it got.
    known: BTreeSet<(String, String)>,
}

/// Each sample, sent by the module's own command, comes back equal.
pub(crate) fn samples() {
    let samples = tools::output(tools::python("samples.py").arg(module().join("yaml")), "");
    let samples: Vec<Sample> = serde_json::from_str(&samples).unwrap();
    assert_eq!(samples.len(), SAMPLES);
    // Some samples share their identity: those go to different tenants.
    let mut receivers: Vec<Receiver> = Vec::new();
    for sample in &samples {
        let expected = sample.expected();
        let identity = (expected.text("source").to_owned(), expected.text("id").to_owned());
        let free = receivers.iter().position(|receiver| !receiver.known.contains(&identity));
        let free = free.unwrap_or_else(|| {
            let tenant = fleet().tenant(&format!("samples-{}", receivers.len()));
            receivers.push(Receiver { address: relay(&tenant), tenant, known: BTreeSet::new() });
            receivers.len() - 1
        });
        let receiver = &mut receivers[free];
        receiver.known.insert(identity);
        tools::output(
            tools::go("cloudevents").arg("send").arg(&receiver.address).args(sample.arguments()),
            "",
        );
        fleet().read(&receiver.tenant, &expected).assert_is(&expected);
    }
    println!("{} sample events, to {} tenants", samples.len(), receivers.len());
}

/// Puts a key into each request on its way to the door, because `cloudevents send` has no argument for
/// headers; everything else passes as it is. Gives its address.
fn relay(tenant: &Tenant) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1/events", listener.local_addr().unwrap());
    let header = format!("X-API-Key: {}\r\n", tenant.key);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let header = header.clone();
            // What fails here is seen by the client.
            thread::spawn(move || pass(&client, &header));
        }
    });
    address
}

/// One connection.
fn pass(client: &TcpStream, header: &str) -> io::Result<()> {
    let mut door = TcpStream::connect(fleet().url.trim_start_matches("http://"))?;
    let mut request = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    request.read_line(&mut line)?;
    door.write_all(line.as_bytes())?;
    door.write_all(header.as_bytes())?;
    let mut upstream = door.try_clone()?;
    // When the client has gone, the door is told.
    thread::spawn(move || {
        io::copy(&mut request, &mut upstream).and_then(|_| upstream.shutdown(Shutdown::Write))
    });
    io::copy(&mut door, &mut &*client)?;
    client.shutdown(Shutdown::Both)
}
