//! What lies behind the doors: normalizer, engine and store have threads and a broker connection of their own. Who waits for
//! an answer does not wait behind their bulk work, which the scheduler of one runtime would never interrupt.

use std::future::Future;

use bus::Bus;
use tokio::runtime::{Builder, Runtime};

use crate::{
    exit::{Code, Failure, Result},
    services,
};

/// The threads and the connection.
#[derive(Debug)]
pub(crate) struct Interior {
    threads: Threads,
    pub(crate) bus: Bus,
}

impl Interior {
    /// Starts the threads and waits, for as long as it takes, until the broker is there.
    ///
    /// # Errors
    /// If it refuses the login.
    pub(crate) async fn start(nats: &bus::Options) -> Result<Self> {
        let threads = Threads::start()?;
        let nats = nats.clone();
        let bus = threads.run(async move { services::connect(&nats).await }).await?;
        Ok(Self { threads, bus })
    }

    /// Runs something there, with all that it spawns.
    ///
    /// # Panics
    /// If it does.
    pub(crate) fn run<F>(&self, task: F) -> impl Future<Output = F::Output> + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.threads.run(task)
    }

    /// Sends what the connection still holds, and ends.
    pub(crate) async fn close(&self) {
        self.bus.close().await;
    }
}

#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().thread_name("interior").build();
        runtime
            .map(|runtime| Self(Some(runtime)))
            .map_err(|e| Failure::new(Code::Failed, format!("no threads for the services: {e}")))
    }

    #[expect(clippy::expect_used, reason = "only a drop takes it")]
    fn run<F>(&self, task: F) -> impl Future<Output = F::Output> + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let running = self.0.as_ref().expect("the runtime is there until dropped").spawn(task);
        async {
            match running.await {
                Ok(output) => output,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // What ran there has ended, or was told to. To wait for the rest would block a thread of the runtime that drops it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
