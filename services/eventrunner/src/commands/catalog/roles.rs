//! `eventrunner roles`.

use clap::{Args, Subcommand};
use model::{
    Clock as _, SystemClock, TenantId,
    resource::{Meta, Role},
};
use serde::{Deserialize, Serialize};

use super::{
    CommonArgs, Opened, Verb, delete, get, id, list,
    resource::{owner, without_owner},
    write,
};
use crate::{
    client::{Api, segment},
    context::{ConnectArgs, Context},
    exit::{Code, Result},
    output::{Column, Output, item},
};

/// Roles that a tenant, or the fleet, has made, and what somebody may do
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner roles create auditor --permission read:audit --permission 'read:*'
  eventrunner roles create fleet/helper --permission '*:system'
  eventrunner roles check key:k3jq2m5tnv8wxz0a publish:event

A role of the fleet's is called fleet/<id>. Those who have a role are listed by: eventrunner role-bindings list")]
pub(crate) struct Roles {
    #[command(subcommand)]
    verb: RolesVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum RolesVerb {
    #[command(flatten)]
    Resource(Verb<Create>),
    /// Ask whether somebody may do something, and why; exit code 0 if so, 1 if not
    Check(Check),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Its id; fleet/ID for one of the fleet's
    id: String,
    /// What it may do, such as read:event, *:source or read:*; repeatable
    #[arg(long = "permission", value_name = "VERB:KIND", required = true)]
    permissions: Vec<String>,
    /// For people
    #[arg(long, default_value = "")]
    name: String,
    #[command(flatten)]
    common: CommonArgs,
    /// Write over the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct Check {
    /// Who: user:ID, key:ID, client:ID or service:NAME
    actor: String,
    /// What, such as publish:event
    permission: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(Roles { verb }: Roles, output: Output) -> Result<Code> {
    match verb {
        RolesVerb::Resource(Verb::Create(args)) => create(args, output).await?,
        RolesVerb::Resource(Verb::List(args)) => list::<Role>(args, output).await?,
        RolesVerb::Resource(Verb::Get(args)) => get::<Role>(args, output).await?,
        RolesVerb::Resource(Verb::Delete(args)) => delete::<Role>(args).await?,
        RolesVerb::Check(args) => return check(args, output).await,
    }
    Ok(Code::Done)
}

async fn create(args: Create, output: Output) -> Result<()> {
    let role_id = id(without_owner(&args.id))?;
    let opened = Opened::open(&args.connect).await?;
    let role = Role {
        tenant: owner(&args.id, &opened.context)?,
        id: role_id,
        name: args.name,
        permissions: args.permissions,
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    write(&opened, &role, args.replace, output).await?;
    opened.close().await;
    Ok(())
}

/// What the API answers.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    allowed: bool,
    because: Vec<serde_json::Value>,
}

const COLUMNS: &[Column] = &[
    Column("scope", "/scope"),
    Column("binding", "/binding"),
    Column("fleet-wide", "/fleet_wide"),
    Column("actor", "/actor"),
    Column("role", "/role"),
];

async fn check(args: Check, output: Output) -> Result<Code> {
    let context = Context::load(&args.connect)?;
    let tenant: TenantId = context.tenant()?;
    let path = format!("/api/v1/tenants/{}/permissions", segment(&tenant));
    let api = Api::new(context)?;
    let query = [("actor", args.actor), ("permission", args.permission)];
    let request = api.request(reqwest::Method::GET, &path)?.query(&query);
    let answer: Answer = api.json(request).await?;
    let items = answer.because.iter().map(item).collect::<Result<Vec<_>>>()?;
    output.list(COLUMNS, &items)?;
    Ok(if answer.allowed { Code::Done } else { Code::Failed })
}
