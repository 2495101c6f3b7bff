//! `eventrunner tenants|systems|customers|sources|event-types|keys|roles|role-bindings`: the resources of the catalog, written through the broker.

mod customers;
mod erase;
mod event_types;
mod keys;
mod limits;
mod resource;
mod role_bindings;
mod roles;
mod sources;
mod systems;
mod tenants;

use std::time::Duration;

use bus::Bus;
use catalog::Catalog;
use clap::{Args, Subcommand};
use model::resource::Meta;

use self::resource::Shown;
pub(crate) use self::{
    customers::{Customers, run as customers},
    erase::follow as follow_erasure,
    event_types::{EventTypes, run as event_types},
    keys::{Keys, run as keys},
    role_bindings::{RoleBindings, run as role_bindings},
    roles::{Roles, run as roles},
    sources::{Sources, run as sources},
    systems::{Systems, run as systems},
    tenants::{Tenants, run as tenants},
};
use crate::{
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result, code_of},
    output::{Output, note},
};

/// How long the broker may take to tell what the catalog holds.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// What can be done with a kind of resource; `Create` is its own.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Verb<Create: Args> {
    /// Create one, or with --replace change it
    #[command(visible_alias = "add")]
    Create(#[command(flatten)] Create),
    /// List them
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one
    Get(OneArgs),
    /// Delete one
    #[command(visible_alias = "rm")]
    Delete(OneArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    /// Of all tenants
    #[arg(long, short = 'A')]
    all_tenants: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OneArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What every resource has.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// For people: what it is for
    #[arg(long)]
    description: Option<String>,
    /// Label such as team=tills; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl CommonArgs {
    /// What there was, with what is given in its place.
    fn meta(self, old: Meta) -> Meta {
        let labels = if self.labels.is_empty() { old.labels } else { self.labels.into_iter().collect() };
        Meta { description: self.description.unwrap_or(old.description), labels, ..old }
    }
}

fn label(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// An open catalog and where it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) context: Context,
    pub(crate) catalog: Catalog,
    pub(crate) bus: Bus,
}

impl Opened {
    pub(crate) async fn open(connect: &ConnectArgs) -> Result<Self> {
        let context = Context::load(connect)?;
        let options = bus::Options { url: context.nats_url.clone(), ..bus::Options::default() };
        let bus = Bus::connect(&options).await.map_err(|e| Failure::from(e).hint(context.start_hint()))?;
        let rules = Some(std::sync::Arc::new(api::Rules) as std::sync::Arc<dyn catalog::Check>);
        let open = Catalog::open_checked(bus.jetstream().clone(), catalog::Options::default(), rules);
        let catalog = tokio::time::timeout(OPEN_TIMEOUT, open).await.map_err(|_| {
            Failure::unavailable(format!("the broker at {} holds no catalog", context.nats_url))
                .hint("make it, and the streams, with: eventrunner migrate")
        })?;
        Ok(Self { context, catalog, bus })
    }

    pub(crate) async fn close(self) {
        self.bus.close().await;
    }
}

impl From<catalog::Error> for Failure {
    fn from(error: catalog::Error) -> Self {
        let failure = Self::new(code_of(error.code()), error.to_string());
        match &error {
            catalog::Error::Exists { .. } | catalog::Error::Deleted { .. } => {
                failure.hint("write over it with --replace")
            }
            _ => failure,
        }
    }
}

/// Writes a resource and shows it.
async fn write<R: Shown>(opened: &Opened, resource: &R, replace: bool, output: Output) -> Result<()> {
    let written = if replace {
        opened.catalog.put(resource, None).await?
    } else {
        opened.catalog.create(resource).await?
    };
    output.one(&written.value.shown()?)
}

/// The verbs that are the same for every kind.
async fn list<R: Shown>(args: ListArgs, output: Output) -> Result<()> {
    let opened = Opened::open(&args.connect).await?;
    let everyone = args.all_tenants || R::KIND == catalog::Kind::Tenant;
    let tenant = if everyone { None } else { Some(opened.context.tenant()?) };
    let entries = opened.catalog.list::<R>(tenant.as_ref());
    let items = entries.iter().map(|entry| entry.value.shown()).collect::<Result<Vec<_>>>()?;
    output.list(R::COLUMNS, &items)?;
    opened.close().await;
    Ok(())
}

async fn get<R: Shown>(args: OneArgs, output: Output) -> Result<()> {
    let opened = Opened::open(&args.connect).await?;
    let tenant = R::tenant_of(&args.id, &opened.context)?;
    let found = opened.catalog.get::<R>(&tenant, R::own_id(&args.id)).await?;
    output.one(&found.value.shown()?)?;
    opened.close().await;
    Ok(())
}

async fn delete<R: Shown>(args: OneArgs) -> Result<()> {
    let opened = Opened::open(&args.connect).await?;
    let tenant = R::tenant_of(&args.id, &opened.context)?;
    opened.catalog.delete::<R>(&tenant, R::own_id(&args.id), None).await?;
    note(&format!("{} {} deleted", R::KIND, args.id));
    opened.close().await;
    Ok(())
}

/// A value of the command line as one of our ids.
fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|e: T::Err| Failure::new(Code::Usage, e.to_string()))
}
