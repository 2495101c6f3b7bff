//! `eventrunner doctor`: each thing a fleet stands on, looked at, with what to do where it is not well.

mod broker;
mod cluster;
mod doors;
mod machine;
mod processes;
mod services;

use clap::Args;
use serde::Serialize;

use crate::{
    context::{ConnectArgs, Context},
    exit::{Code, Result},
    output::{Format, Output, Style, item, print},
};

/// Check a fleet and this machine, and say what to do about what is not well
///
/// Processes are found by asking on the broker, wherever they run: each says its version, whether it is ready, and what time it has.
/// Exit code 0 when nothing failed, 1 otherwise; warnings do not count.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner doctor
  eventrunner doctor -o json --nats-url nats://broker:4222 --nats-monitor http://broker:8222
  eventrunner doctor --context production --nats-monitor http://nats-0.nats:8222,http://nats-1.nats:8222")]
pub(crate) struct Doctor {
    /// Monitoring addresses of the broker's nodes, separated by commas [default: the context's]
    #[arg(long, value_name = "URL")]
    nats_monitor: Option<String>,
    /// Admin address of the fleet, with metrics and health [default: the context's]
    #[arg(long, value_name = "URL")]
    admin_url: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, detail: detail.into(), advice: None }
    }

    fn warn(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, detail: detail.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, detail: detail.into(), advice: Some(advice.into()) }
    }
}

/// What is looked at.
struct Patient {
    context: Context,
    nats_monitor: String,
    admin_url: String,
}

pub(crate) async fn run(args: Doctor, output: Output) -> Result<Code> {
    let context = Context::load(&args.connect)?;
    let patient = Patient {
        nats_monitor: args.nats_monitor.unwrap_or_else(|| context.nats_monitor_url.clone()),
        admin_url: args.admin_url.unwrap_or_else(|| context.admin_url.clone()),
        context,
    };
    let mut findings = machine::look(&patient);
    show(&findings, output)?;
    for more in [broker::look(&patient).await, processes::look(&patient).await, doors::look(&patient).await] {
        show(&more, output)?;
        findings.extend(more);
    }
    let failed = findings.iter().filter(|f| f.status == Status::Fail).count();
    let warned = findings.iter().filter(|f| f.status == Status::Warn).count();
    match output.format {
        Format::Table => print(&format!("\n{failed} failed, {warned} warnings"))?,
        Format::Json | Format::Yaml => {
            output.list(&[], &findings.iter().map(item).collect::<Result<Vec<_>>>()?)?;
        }
        Format::Jsonl => {}
    }
    Ok(if failed == 0 { Code::Done } else { Code::Failed })
}

/// Shows what was found as soon as it is; a JSON document comes at the end as a whole.
fn show(findings: &[Finding], output: Output) -> Result<()> {
    for finding in findings {
        match output.format {
            Format::Json | Format::Yaml => {}
            Format::Jsonl => print(item(finding)?.get())?,
            Format::Table => {
                let (style, word) = match finding.status {
                    Status::Ok => (Style::Green, "ok  "),
                    Status::Warn => (Style::Yellow, "warn"),
                    Status::Fail => (Style::Red, "fail"),
                };
                print(&format!(
                    "{}  {:<12}  {}",
                    output.paint().text(style, word),
                    finding.check,
                    finding.detail
                ))?;
                if let Some(advice) = &finding.advice {
                    print(&format!(
                        "      {:<12}  {}",
                        "",
                        output.paint().text(Style::Dim, &format!("→ {advice}"))
                    ))?;
                }
            }
        }
    }
    Ok(())
}
