//! `eventrunner tenants erase`: orders the fleet to take a tenant away, follows it, and shows the proof.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use clap::Args;
use engine::order::{self, Order, Step};
use futures::StreamExt as _;
use model::{TenantId, resource::Tenant};
use serde::Serialize;

use super::{Opened, id};
use crate::{
    context::ConnectArgs,
    exit::{Failure, Result},
    output::{Output, item, note},
};

/// After this the order should have been taken up.
const TAKEN_UP: Duration = Duration::from_secs(40);

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The tenant's doors are closed first. What was accepted before is worked off, then everything is taken
away by the engine, and looked for again: the proof says for each place what is left. It exits with 1 if that is
anything. To stop this command does not stop the erasure; running it again follows it."
)]
pub(crate) struct EraseArgs {
    /// Its id
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What is shown at the end.
#[derive(Debug, Serialize)]
struct Proof<'a> {
    tenant: &'a TenantId,
    erased: bool,
    asked_at: &'a str,
    finished_at: Option<&'a str>,
    removed: &'a BTreeMap<String, u64>,
    left: &'a BTreeMap<String, u64>,
}

pub(crate) async fn run(args: EraseArgs, output: Output) -> Result<()> {
    let tenant: TenantId = id(&args.id)?;
    if !args.yes {
        confirm(&tenant)?;
    }
    let opened = Opened::open(&args.connect).await?;
    if let Err(catalog::Error::NotFound { .. }) = opened.catalog.get::<Tenant>(&tenant, &tenant).await {
        note(&format!("the catalog has no tenant {tenant}; erasing what is left of it elsewhere"));
    }
    let order = follow(&opened, &tenant).await?;
    let erased = order.step == Step::Erased;
    output.one(&item(&Proof {
        tenant: &order.tenant,
        erased,
        asked_at: &order.asked_at,
        finished_at: order.finished_at.as_deref(),
        removed: &order.removed,
        left: &order.left,
    })?)?;
    opened.close().await;
    if erased {
        Ok(())
    } else {
        Err(Failure::failed(format!("{tenant} is not wholly erased: {}", order.detail))
            .hint("erase it again"))
    }
}

/// Follows the order to its end.
pub(crate) async fn follow(opened: &Opened, tenant: &TenantId) -> Result<Order> {
    let hint = "make it with: eventrunner migrate";
    let mut news = order::place(&opened.bus, tenant).await.map_err(|e| Failure::from(e).hint(hint))?;
    let mut told = String::new();
    let mut taken_up = false;
    loop {
        let order = match tokio::time::timeout(TAKEN_UP, news.next()).await {
            Ok(Some(order)) => order?,
            Ok(None) => {
                return Err(Failure::unavailable("the broker stopped telling; run this again to follow it"));
            }
            Err(_) if !taken_up => {
                note("no engine has taken it up yet; it stays ordered");
                taken_up = true;
                continue;
            }
            Err(_) => continue,
        };
        if order.step.is_final() {
            return Ok(order);
        }
        taken_up |= order.step != Step::Asked;
        let news = match (order.step, &*order.detail) {
            (Step::Asked, _) => "ordered",
            (_, detail) if !detail.is_empty() => detail,
            (Step::Disabling, _) => "closing its doors",
            (Step::Draining, _) => "working off what is in flight",
            (_, _) => "taking it away, and freeing the room",
        };
        if told != news {
            note(news);
            news.clone_into(&mut told);
        }
    }
}

/// Nothing brings it back: only who can name it may go on.
fn confirm(tenant: &TenantId) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("this takes a tenant away for good").hint("give --yes"));
    }
    let failed = |e: io::Error| Failure::failed(format!("the terminal does not answer: {e}"));
    let mut stderr = io::stderr();
    write!(stderr, "This takes away everything of {tenant} for good. Its name, to go on: ")
        .map_err(failed)?;
    stderr.flush().map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    if line.trim() == tenant.as_str() {
        Ok(())
    } else {
        Err(Failure::usage("that is not its name; nothing was done"))
    }
}
