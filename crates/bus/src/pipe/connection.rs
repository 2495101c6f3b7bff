//! The connection: sends buffers as they are, hears answers, begins anew when it is lost.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use async_nats::ServerAddr;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    protocol::{self, NotUnderstood, Said},
    shipment::{Slot, Slots},
};
use crate::{Backoff, Bus};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The broker is asked whether it lives when it has been silent for so long, and given up after as long again.
const SILENCE: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 << 10;

/// The broker's addresses, if this connection can be had.
pub(super) fn servers(bus: &Bus) -> Option<Servers> {
    let options = bus.options();
    let info = bus.client().server_info();
    if options.credentials_file.is_some() || info.tls_required {
        return None;
    }
    let addresses: VecDeque<ServerAddr> = options.servers()?.into();
    let is_plain = |address: &ServerAddr| !address.tls_required() && !address.is_websocket();
    addresses.iter().all(is_plain).then_some(Servers { addresses })
}

/// The nodes of the broker's cluster.
#[derive(Debug)]
pub(super) struct Servers {
    addresses: VecDeque<ServerAddr>,
}

impl Servers {
    /// Adds those that a node tells of.
    fn learn(&mut self, urls: &[String]) {
        for url in urls {
            let Ok(address) = url.parse::<ServerAddr>() else { continue };
            let same = |known: &ServerAddr| known.host() == address.host() && known.port() == address.port();
            if !self.addresses.iter().any(same) {
                self.addresses.push_back(address);
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    #[error("the broker refuses: {0}")]
    Refused(String),
    #[error("the broker is silent")]
    Silent,
}

impl From<tokio::time::error::Elapsed> for Error {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Silent
    }
}

/// Runs until nobody can send any more.
pub(super) async fn run(mut servers: Servers, slots: Arc<Slots>, mut buffers: mpsc::Receiver<Vec<u8>>) {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
    loop {
        let ended = match timeout(CONNECT, Connection::open(&mut servers, &slots)).await {
            Ok(Ok(connection)) => {
                backoff.reset();
                slots.connected(connection.message_bytes_max);
                connection.run(&slots, &mut buffers).await
            }
            Ok(Err(error)) => Err(error),
            Err(elapsed) => Err(elapsed.into()),
        };
        slots.disconnected();
        let Err(error) = ended else { return };
        tracing::debug!(%error, "the pipe to the broker is interrupted");
        // Nobody awaits what was meant for the connection that is gone.
        while buffers.try_recv().is_ok() {}
        servers.addresses.rotate_left(1);
        backoff.wait().await;
    }
}

struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    read: BytesMut,
    message_bytes_max: usize,
}

#[derive(Debug, Deserialize)]
struct Info {
    max_payload: usize,
    #[serde(default)]
    connect_urls: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Connect {
    verbose: bool,
    pedantic: bool,
    headers: bool,
    no_responders: bool,
    protocol: u8,
    name: &'static str,
    lang: &'static str,
    version: &'static str,
}

impl Connection {
    async fn open(servers: &mut Servers, slots: &Slots) -> Result<Self, Error> {
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "no address");
        let address = servers.addresses.front().cloned().ok_or_else(no_address)?;
        let stream = TcpStream::connect((address.host(), address.port())).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let read = BytesMut::with_capacity(READ_BYTES);
        let mut connection = Self { reader, writer, read, message_bytes_max: 0 };
        let Said::Info(info) = connection.hear(slots).await? else {
            return Err(Error::Refused("it does not say who it is".to_owned()));
        };
        let info: Info = serde_json::from_slice(&info).map_err(io::Error::from)?;
        servers.learn(&info.connect_urls);
        connection.message_bytes_max = info.max_payload;
        let connect = Connect {
            verbose: false,
            pedantic: false,
            headers: true,
            no_responders: true,
            protocol: 1,
            name: "eventrunner pipe",
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
        };
        let connect = serde_json::to_string(&connect).map_err(io::Error::from)?;
        let hello = format!("CONNECT {connect}\r\nSUB {}.*.* 1\r\nPING\r\n", slots.inbox);
        connection.writer.write_all(hello.as_bytes()).await?;
        loop {
            match connection.hear(slots).await? {
                Said::Pong => return Ok(connection),
                Said::Error(reason) => return Err(Error::Refused(reason)),
                _ => {}
            }
        }
    }

    async fn hear(&mut self, slots: &Slots) -> Result<Said, Error> {
        loop {
            if let Some(said) = protocol::next(&mut self.read, &slots.inbox)? {
                return Ok(said);
            }
            if self.reader.read_buf(&mut self.read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Until nobody sends any more, or the connection is lost.
    async fn run(self, slots: &Slots, buffers: &mut mpsc::Receiver<Vec<u8>>) -> Result<(), Error> {
        let Self { reader, writer, read, .. } = self;
        let (say, said) = mpsc::channel(4);
        let hearing = Hearing { reader, read, say, slot: None };
        tokio::select! {
            ended = hearing.run(slots) => ended,
            ended = write(writer, buffers, said) => ended,
        }
    }
}

/// Sends what is to be sent. It does not wait for the hearing half, nor that one for it: while a large buffer goes out,
/// answers to the one before come in.
async fn write(
    mut writer: OwnedWriteHalf,
    buffers: &mut mpsc::Receiver<Vec<u8>>,
    mut said: mpsc::Receiver<&'static str>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            biased;
            word = said.recv() => match word {
                Some(word) => writer.write_all(word.as_bytes()).await?,
                None => return Ok(()),
            },
            buffer = buffers.recv() => match buffer {
                Some(buffer) => writer.write_all(&buffer).await?,
                None => return Ok(()),
            },
        }
    }
}

struct Hearing {
    reader: OwnedReadHalf,
    read: BytesMut,
    /// What is to be said between buffers.
    say: mpsc::Sender<&'static str>,
    /// The shipment answered last: answers come in a row.
    slot: Option<(u64, Arc<Slot>)>,
}

impl Hearing {
    async fn run(mut self, slots: &Slots) -> Result<(), Error> {
        let mut asked = false;
        loop {
            while let Some(said) = protocol::next(&mut self.read, &slots.inbox)? {
                self.take(slots, said)?;
            }
            self.read.reserve(READ_BYTES);
            let until = Instant::now() + SILENCE;
            match tokio::time::timeout_at(until, self.reader.read_buf(&mut self.read)).await {
                Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(Ok(_)) => asked = false,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if asked => return Err(Error::Silent),
                Err(_) => {
                    asked = true;
                    self.say("PING\r\n");
                }
            }
        }
    }

    /// There is room, or so much is waiting to be said that this is not missed.
    fn say(&self, word: &'static str) {
        let _ = self.say.try_send(word);
    }

    fn take(&mut self, slots: &Slots, said: Said) -> Result<(), Error> {
        match said {
            Said::Answer { shipment, message, sequence } => {
                if self.slot.as_ref().is_none_or(|(number, _)| *number != shipment) {
                    self.slot = slots.find(shipment).map(|slot| (shipment, slot));
                }
                // Without a slot nobody waits for it any more.
                if let Some((_, slot)) = &self.slot {
                    slot.answer(message, sequence);
                }
            }
            Said::Ping => self.say("PONG\r\n"),
            Said::Error(reason) => return Err(Error::Refused(reason)),
            Said::Info(_) | Said::Pong | Said::Other => {}
        }
        Ok(())
    }
}
