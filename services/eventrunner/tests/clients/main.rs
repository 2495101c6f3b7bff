//! Clients that are not ours, and input that is real, against a fleet started as a newcomer starts it, `eventrunner up`,
//! and against one of processes on CQL and ClickHouse.
//!
//! Invariant: nothing here trusts our own code to judge it. What a client sent is read from the bytes it put
//! on the wire; what came of it is read back through the API, and, where the client can, by the client
//! itself.
//!
//! `scripts/tools.sh` installs the clients. A test whose clients cannot be had is ignored and says so; under
//! CI it fails.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod conformance;
mod fleet;
mod gherkin_runner;
mod github;
mod grpc;
mod mcp;
mod nats;
mod sdks;
mod tools;
mod wire;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::{
    fleet::Form,
    tools::{Need, Tools},
};

/// Name, what it needs, and the test.
type Case = (&'static str, &'static [Need], fn());

const CASES: &[Case] = &[
    ("github_webhooks_arrive_as_cloudevents", &[Need::Node], github::every_payload),
    ("python_cloudevents_sdk_in_every_mode", &[Need::Python], sdks::python),
    ("javascript_cloudevents_sdk_in_every_mode", &[Need::Node], sdks::javascript),
    ("rust_cloudevents_sdk_in_every_mode", &[], sdks::rust),
    ("http_protocol_binding_feature", &[Need::Go], conformance::feature),
    ("cloudevents_send_delivers_every_sample", &[Need::Go, Need::Python], conformance::samples),
    ("grpcio_drives_each_rpc_by_reflection", &[Need::Python], grpc::reflection),
    ("grpcurl_drives_each_rpc_by_reflection", &[Need::Go], grpc::grpcurl),
    ("mcp_client_uses_the_tools", &[Need::Python], mcp::tools),
    ("nats_py_reads_the_tenant_stream", &[Need::Python], nats::tenant_stream),
    ("the_page_on_nats_reads_a_tenants_stream", &[Need::Python], nats::documented),
];

fn main() -> ExitCode {
    testkit::install_tls();
    let arguments = Arguments::from_args();
    let tools = if arguments.list { Tools::default() } else { Tools::install() };
    let mut good = true;
    // One form after the other: what a fleet does must not hide behind the load of another.
    for form in Form::ALL {
        fleet::choose(form);
        let conclusion = libtest_mimic::run(&arguments, trials(form, &tools, &arguments));
        let stopped = fleet::stop().inspect_err(|problem| eprintln!("{problem}"));
        good &= stopped.is_ok() && !conclusion.has_failed();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn trials(form: Form, tools: &Tools, arguments: &Arguments) -> Vec<Trial> {
    let of_form: &[Need] = if form == Form::Processes { &[Need::Stores] } else { &[] };
    let trial = |&(name, needs, test): &Case| {
        let missing = needs.iter().chain(of_form).find(|need| !tools.has(**need)).copied();
        let run = move || match missing {
            Some(need) => Err(format!("{} could not be installed, see above", need.name()).into()),
            None => {
                test();
                Ok(())
            }
        };
        let ignored = missing.is_some() && !arguments.list && !tools::is_ci();
        Trial::test(format!("{}{name}", form.prefix()), run).with_ignored_flag(ignored)
    };
    CASES.iter().map(trial).collect()
}
