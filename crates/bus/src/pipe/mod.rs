//! Publishing very many small messages, each acknowledged by its stream.
//!
//! A general client spends more on such a message than the event in it costs elsewhere: a map of headers, a reply subject of
//! random letters, a channel and a timer for each acknowledgement. Here the messages of a batch are written one after
//! the other into one buffer, and their acknowledgements are counted in one place (`shipment`); a connection of its own
//! sends the buffers as they are (`connection`).

mod connection;
mod protocol;
mod shipment;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use self::shipment::Slots;
pub use self::shipment::{Headers, Messages, Sent, Shipment};
use crate::Bus;

/// Buffers that wait for the connection; who sends another waits.
const WAITING_MAX: usize = 16;

/// Where shipments are sent. Cheap to clone; the order of one task's shipments is kept.
#[derive(Clone)]
pub struct Pipe {
    slots: Arc<Slots>,
    buffers: mpsc::Sender<Vec<u8>>,
    patience: Duration,
    _connection: Arc<AbortOnDropHandle<()>>,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Pipe {
    /// A pipe to the broker that the bus is connected to, with the same login and TLS. Connects in the background, and again as
    /// often as it takes.
    #[must_use]
    pub fn open(bus: &Bus) -> Self {
        let slots = Arc::new(Slots::new());
        let (buffers, waiting) = mpsc::channel(WAITING_MAX);
        let run = connection::run(Arc::clone(bus.way()), Arc::clone(&slots), waiting);
        let connection = Arc::new(AbortOnDropHandle::new(tokio::spawn(run)));
        Self { slots, buffers, patience: bus.request_timeout(), _connection: connection }
    }

    /// A shipment to be filled with at most so many messages. Waits for the connection, as long as the broker may take
    /// to answer. One task's shipments arrive in the order in which they are sent.
    pub async fn shipment(&self, messages: usize) -> Shipment {
        self.slots.connection(self.patience).await;
        Shipment::new(&self.slots, self.buffers.clone(), self.patience, messages)
    }
}
