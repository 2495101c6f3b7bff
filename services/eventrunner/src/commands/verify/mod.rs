//! `eventrunner verify`: is what a fleet promises kept? Known events, sent as a tenant made for it, looked for in each
//! place where they must be.

mod report;
mod tenant;

use std::time::Duration;

use clap::Args;
use oracle::{Access, Door, Load, Manner, Pace, Run, Shape, Where};
use secrecy::ExposeSecret as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout, timeout_at},
};

use self::report::{Report, Seen};
use super::catalog::Opened;
use crate::{
    context::ConnectArgs,
    exit::{Code, Failure, Result},
    output::{Output, note},
};

/// Events in a request, each of a partition key that a few others of the request share.
const EVENTS_PER_REQUEST: u64 = 50;
/// Bytes of an event's data.
const DATA_BYTES: usize = 256;
/// Connections, each with one request under way.
const LANES: usize = 4;
/// Partition keys of each.
const KEYS: u64 = 4;
/// After this without an answer a request is sent again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Every door has heard of a new key by then.
const KEY_SETTLES: Duration = Duration::from_secs(10);
/// How long a place may take to be read to its end when the time is up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an erasure may take, if the events may not take as long: another engine may have to take up the housekeeping first.
const ERASE_TIMEOUT_MIN: Duration = Duration::from_secs(60);
/// Before what is missing is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Send known events to a running fleet and look whether each is everywhere, once and as it was sent
///
/// Makes a tenant (verify-...), a system and a key, sends the events over HTTP, waits until they are everywhere, reads event
/// store, usage store and tenant stream back, and erases the tenant, also when it fails or is interrupted. Needs the
/// broker, where tenants are made and their streams are read. Exit code 0 only if nothing was lost, doubled, altered or, within a
/// partition key, out of order.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner verify
  eventrunner verify --events 100000 --timeout-seconds 300
  eventrunner verify --context production.toml -o json
  eventrunner verify --keep")]
pub(crate) struct Verify {
    /// Events to send, rounded up to whole requests of 50
    #[arg(long, value_name = "EVENTS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events: u64,
    /// How long they may take until they are everywhere; the erasure may take as long again, and 60 s at least
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout_seconds: u64,
    /// Leave the tenant and its events for a look
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Verify, output: Output) -> Result<()> {
    let opened = Opened::open(&args.connect).await?;
    let tenant = tenant::id()?;
    let mut interrupts = Interrupts::listen()?;
    let key = tenant::make(&opened.catalog, &tenant).await;
    let judged = match key {
        Ok(key) => {
            let access = Access {
                url: opened.context.url.clone(),
                api_url: opened.context.api_url.clone(),
                nats_url: opened.context.nats_url.clone(),
                nats_credentials_file: opened.context.nats_credentials_file.clone(),
                nats_ca_file: opened.context.nats_ca_file.clone(),
                tenant: tenant.to_string(),
                key: key.expose_secret().to_owned(),
                admin_url: String::new(),
                grpc_url: None,
            };
            tokio::select! {
                report = Box::pin(judge(&args, &access)) => report.and_then(|report| report.show(output)),
                () = interrupts.next() => {
                    Err(Failure::new(Code::Undrained, "interrupted; whether everything is kept was not seen"))
                }
            }
        }
        Err(failure) => Err(failure),
    };
    let left = if args.keep {
        note(&format!("tenant {tenant} stays; take it away with: eventrunner tenants erase {tenant}"));
        Ok(())
    } else {
        let limit = Duration::from_secs(args.timeout_seconds).max(ERASE_TIMEOUT_MIN);
        tokio::select! {
            erased = tenant::erase(&opened, &tenant, limit) => erased,
            () = interrupts.next() => Err(tenant::unfinished(&tenant, "interrupted")),
        }
    };
    opened.close().await;
    match (judged, left) {
        (Err(failure), Err(also)) => {
            note(&format!("error: {also}"));
            Err(failure)
        }
        (judged, left) => judged.and(left),
    }
}

/// Sends, waits, and looks. Fails if that cannot be begun; what goes wrong afterwards is in the report.
async fn judge(args: &Verify, access: &Access) -> Result<Report> {
    let limit = Duration::from_secs(args.timeout_seconds);
    let deadline = Instant::now() + limit;
    let per_request = EVENTS_PER_REQUEST.min(args.events);
    let requests = args.events.div_ceil(per_request);
    let load = Load::new(rand::random(), Shape { per_request, data_bytes: DATA_BYTES, keys: KEYS });
    let manner = Manner {
        doors: vec![Door::Http],
        lanes: LANES,
        deadline: ANSWER_TIMEOUT.min(limit),
        give_up_one_in: 0,
        tries: None,
        key_settles: KEY_SETTLES,
    };
    let beginning = Box::pin(Run::begin(access, load, requests, Pace::closed(requests), manner));
    let begun = timeout_at(deadline, beginning).await.map_err(|_| {
        Failure::unavailable(format!("nothing could be sent within {} s", args.timeout_seconds))
    })?;
    let mut run = begun.map_err(|error| {
        Failure::unavailable(format!("nothing could be sent: {error:#}")).hint("see: eventrunner doctor")
    })?;
    run.tell = note;
    run.stall = limit;
    let (mut complete, ended) = match timeout_at(deadline, run.complete()).await {
        Ok(Ok(times)) => (Some(times.complete), None),
        Ok(Err(error)) => (None, Some(format!("{error:#}"))),
        Err(_) => (None, Some(format!("the {} s were over", args.timeout_seconds))),
    };
    run.stop();
    let (seen, everywhere) = loop {
        let at = complete.take().unwrap_or_else(|| run.began.elapsed());
        let seen = look(&run).await;
        let whole = seen.iter().all(|place| place.lost() == Some(0)) && run.promised() == run.events();
        // More time brings what is missing, and nothing else.
        if whole || ended.is_some() || Instant::now() + LOOK_AGAIN > deadline {
            break (seen, whole.then_some(at));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    Ok(Report::new(access.tenant.clone(), &run, seen, everywhere, ended))
}

/// Looks at each place.
async fn look(run: &Run) -> [Seen; 3] {
    let [events, usage, stream] =
        Where::ALL.map(async |place| match timeout(READ_TIMEOUT, run.read(place)).await {
            Ok(Ok(found)) => Seen::read(place, run, &found),
            Ok(Err(error)) => Seen::unread(place, format!("{error:#}")),
            Err(_) => Seen::unread(place, format!("it cannot be read within {} s", READ_TIMEOUT.as_secs())),
        });
    tokio::join!(events, usage, stream).into()
}

/// Ctrl-C, and what a supervisor sends.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self> {
        let failed = |e: std::io::Error| Failure::failed(format!("signals cannot be listened to: {e}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
