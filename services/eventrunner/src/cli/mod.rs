//! The command line as a tree.

pub(crate) mod reference;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{
        apply::{self, Apply, Export},
        archive::{self, ArchiveArgs, RestoreArgs},
        audit::{self, Audit},
        backup::{self, Backup},
        config::{self, ConfigCommand},
        contexts::{self, ContextCommand},
        dead_letters::{self, DeadLetters},
        demo::{self, Demo},
        doctor::{self, Doctor},
        events::{self, Events},
        invoices::{self, BillingArgs, Invoices},
        login::{self, Login, Logout},
        mirror::{self, Mirror},
        nats::{self, Nats},
        publish,
        resources::{self, Resources},
        service::{self, Migrate, Service, ServiceArgs},
        stores::{self, Stores},
        tail,
        tools::{self, Completions, Docs, Healthcheck},
        usage::{self, Usage},
        verify::{self, Verify},
        wait::{self, Wait},
    },
    exit::{Code, Result},
    output::{Color, Format, Output},
    up::{self, Up},
};

/// Multi-tenant event platform: events in over HTTP and gRPC, normalized to CloudEvents, stored, metered, and out
/// to each tenant's consumers
#[derive(Debug, Parser)]
#[command(
    name = "eventrunner",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    after_help = "Start with: eventrunner up
Exit codes: 0 done, 1 failed, 64 usage, 65 refused input, 66 not found, 69 unavailable, 73 in use or full,
75 unfinished, 77 not allowed, 78 configuration (docs/cli.md)"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Global {
    /// Form of the data on stdout
    #[arg(long, short, global = true, value_enum, default_value = "table", env = "EVENTRUNNER_OUTPUT")]
    output: Format,
    /// When to use colors; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value = "auto")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(Up),

    #[command(name = "publish")]
    Publish(publish::Args),
    Tail(tail::Args),
    Events(Events),
    DeadLetters(DeadLetters),
    Usage(Usage),

    #[command(flatten)]
    Resources(Resources),
    Apply(Apply),
    Export(Export),
    Wait(Wait),
    Login(Login),
    Logout(Logout),
    Context(ContextCommand),
    Audit(Audit),
    Invoices(Invoices),

    /// Run the HTTP door
    IngestHttp(ServiceArgs),
    /// Run the gRPC door
    IngestGrpc(ServiceArgs),
    /// Run the normalizer: raw events to CloudEvents
    Normalizer(ServiceArgs),
    /// Run the engine: store, meter, publish to tenant streams
    Engine(ServiceArgs),
    /// Run the API: events, streams, dead letters, usage, the catalog
    Api(ServiceArgs),
    /// Run billing: meter storage, invoice months that are over, tell invoices as events
    Billing(BillingArgs),
    Migrate(Migrate),
    Demo(Demo),

    Backup(Backup),
    Archive(ArchiveArgs),
    Restore(RestoreArgs),
    Mirror(Mirror),
    Stores(Stores),
    Nats(Nats),

    Doctor(Doctor),
    Verify(Verify),
    Config(ConfigCommand),
    Healthcheck(Healthcheck),
    Completions(Completions),
    /// Print the OpenAPI 3.1 document of the HTTP doors
    Openapi,
    #[command(hide = true)]
    Docs(Docs),
}

/// Does what was asked.
pub(crate) async fn run(cli: Cli) -> Result<Code> {
    let output = Output { format: cli.global.output, color: cli.global.color };
    match cli.command {
        Command::Up(args) => return up::run(args, output).await,
        Command::IngestHttp(args) => return service::run(Service::IngestHttp, args).await,
        Command::IngestGrpc(args) => return service::run(Service::IngestGrpc, args).await,
        Command::Normalizer(args) => return service::run(Service::Normalizer, args).await,
        Command::Engine(args) => return service::run(Service::Engine, args).await,
        Command::Api(args) => return service::run(Service::Api, args).await,
        Command::Billing(args) => return invoices::billing(args, output).await,
        Command::Doctor(args) => return doctor::run(args, output).await,
        Command::Resources(args) => return resources::run(args, output).await,
        Command::Migrate(args) => return service::migrate(args).await,
        Command::Demo(args) => demo::run(args, output).await,
        Command::Backup(args) => Box::pin(backup::run(args, output)).await,
        Command::Mirror(args) => return Box::pin(mirror::run(args, output)).await,
        Command::Archive(args) => Box::pin(archive::archive(args, output)).await,
        Command::Restore(args) => Box::pin(archive::restore(args, output)).await,
        Command::Stores(args) => stores::run(args, output).await,
        Command::Nats(args) => nats::run(args),
        Command::Publish(args) => publish::run(args, output).await,
        Command::Tail(args) => tail::run(args, output).await,
        Command::Events(args) => events::run(args, output).await,
        Command::DeadLetters(args) => dead_letters::run(args, output).await,
        Command::Usage(args) => usage::run(args, output).await,
        Command::Verify(args) => Box::pin(verify::run(args, output)).await,
        Command::Apply(args) => Box::pin(apply::run(args, output)).await,
        Command::Export(args) => Box::pin(apply::export(args, output)).await,
        Command::Wait(args) => wait::run(args, output).await,
        Command::Login(args) => login::login(args).await,
        Command::Logout(args) => login::logout(args).await,
        Command::Context(args) => contexts::run(args, output),
        Command::Audit(args) => audit::run(args, output).await,
        Command::Invoices(args) => invoices::run(args, output).await,
        Command::Config(args) => config::run(args),
        Command::Healthcheck(args) => tools::healthcheck(args).await,
        Command::Completions(args) => tools::completions(&args),
        Command::Openapi => tools::openapi(),
        Command::Docs(args) => tools::docs(&args),
    }?;
    Ok(Code::Done)
}
