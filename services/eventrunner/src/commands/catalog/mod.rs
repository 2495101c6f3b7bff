//! What is done on the broker itself, where no API stands in between: a fleet's first key, and taking a tenant away.

mod erase;
mod first_key;

use std::time::Duration;

use bus::Bus;
use catalog::Catalog;

pub(crate) use self::{
    erase::{EraseArgs, follow as follow_erasure, run as erase},
    first_key::make as first_key,
};
use crate::{
    context::{ConnectArgs, Context},
    exit::{Failure, Result, code_of},
};

/// How long the broker may take to tell what the catalog holds.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

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
        let options = context.nats();
        let bus = Bus::connect(&options).await.map_err(|e| Failure::from(e).hint(context.start_hint()))?;
        let rules = Some(std::sync::Arc::new(api::Rules) as std::sync::Arc<dyn catalog::Check>);
        let open = Catalog::open_checked(bus.jetstream().clone(), catalog::Options::default(), rules);
        let catalog = tokio::time::timeout(OPEN_TIMEOUT, open).await.map_err(|_| {
            Failure::unavailable(format!("the broker at {} holds no catalog", options.shown_url()))
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
        Self::new(code_of(error.code()), error.to_string())
    }
}

/// A value of the command line as one of our ids.
fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|e: T::Err| Failure::usage(e.to_string()))
}
