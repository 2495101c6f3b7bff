//! The connection: sends buffers as they are, hears answers, begins anew when it is lost.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use async_nats::ServerAddr;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    protocol::{self, NotUnderstood, Said},
    shipment::{Slot, Slots},
};
use crate::{Backoff, connection::Way};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The broker is asked whether it lives when it has been silent for so long, and given up after as long again.
const SILENCE: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 << 10;
/// What waits is written in one piece until it has so many bytes.
const WRITE_BYTES: usize = 16 << 10;

/// The nodes of the broker's cluster, and how one is spoken to.
#[derive(Debug)]
struct Servers {
    addresses: VecDeque<ServerAddr>,
    way: Arc<Way>,
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
    #[error("{0}")]
    Login(String),
    #[error("the broker is silent")]
    Silent,
}

impl From<tokio::time::error::Elapsed> for Error {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Silent
    }
}

/// Runs until nobody can send any more.
pub(super) async fn run(way: Arc<Way>, slots: Arc<Slots>, mut buffers: mpsc::Receiver<Vec<u8>>) {
    let mut servers = Servers { addresses: way.servers.iter().cloned().collect(), way };
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
        match error {
            Error::Refused(_) | Error::Login(_) => {
                tracing::warn!(%error, "the broker does not take the pipe");
            }
            _ => tracing::debug!(%error, "the pipe to the broker is interrupted"),
        }
        // Nobody awaits what was meant for the connection that is gone.
        while buffers.try_recv().is_ok() {}
        servers.addresses.rotate_left(1);
        backoff.wait().await;
    }
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

struct Connection {
    reader: Reader,
    writer: Writer,
    read: BytesMut,
    message_bytes_max: usize,
}

#[derive(Debug, Deserialize)]
struct Info {
    max_payload: usize,
    #[serde(default)]
    connect_urls: Vec<String>,
    #[serde(default)]
    tls_required: bool,
    /// What the broker wants signed.
    #[serde(default)]
    nonce: String,
}

#[derive(Serialize)]
struct Connect {
    verbose: bool,
    pedantic: bool,
    headers: bool,
    no_responders: bool,
    protocol: u8,
    name: &'static str,
    lang: &'static str,
    version: &'static str,
    user: Option<String>,
    pass: Option<String>,
    auth_token: Option<String>,
    jwt: Option<String>,
    nkey: Option<String>,
    sig: Option<String>,
}

impl Connect {
    fn new(way: &Way, nonce: &str) -> Result<Self, Error> {
        let auth = way.login.answer(nonce.as_bytes()).map_err(Error::Login)?;
        Ok(Self {
            verbose: false,
            pedantic: false,
            headers: true,
            no_responders: true,
            protocol: 1,
            name: "eventrunner pipe",
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            user: auth.username,
            pass: auth.password,
            auth_token: auth.token,
            jwt: auth.jwt,
            nkey: auth.nkey,
            sig: auth.signature.map(|signature| BASE64_URL_SAFE_NO_PAD.encode(signature)),
        })
    }
}

impl Connection {
    async fn open(servers: &mut Servers, slots: &Slots) -> Result<Self, Error> {
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "no address");
        let address = servers.addresses.front().cloned().ok_or_else(no_address)?;
        let mut stream = TcpStream::connect((address.host(), address.port())).await?;
        stream.set_nodelay(true)?;
        let mut read = BytesMut::with_capacity(READ_BYTES);
        let Said::Info(info) = hear(&mut stream, &mut read, slots).await? else {
            return Err(Error::Refused("it does not say who it is".to_owned()));
        };
        let info: Info = serde_json::from_slice(&info).map_err(io::Error::from)?;
        let way = Arc::clone(&servers.way);
        let (mut reader, mut writer) = if info.tls_required || way.tls.required() {
            if !read.is_empty() {
                return Err(Error::Refused("it says in the clear what it should not".to_owned()));
            }
            Box::pin(encrypt(stream, &address, &way)).await?
        } else {
            let (reader, writer) = stream.into_split();
            (Box::new(reader) as Reader, Box::new(writer) as Writer)
        };
        servers.learn(&info.connect_urls);
        let connect = serde_json::to_string(&Connect::new(&way, &info.nonce)?).map_err(io::Error::from)?;
        let hello = format!("CONNECT {connect}\r\nSUB {}.*.* 1\r\nPING\r\n", slots.inbox);
        writer.write_all(hello.as_bytes()).await?;
        writer.flush().await?;
        loop {
            match hear(&mut reader, &mut read, slots).await? {
                Said::Pong => break,
                Said::Error(reason) => return Err(Error::Refused(reason)),
                _ => {}
            }
        }
        Ok(Self { reader, writer, read, message_bytes_max: info.max_payload })
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

async fn encrypt(stream: TcpStream, address: &ServerAddr, way: &Way) -> Result<(Reader, Writer), Error> {
    let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
    let (reader, writer) = tokio::io::split(way.tls.connector().connect(name, stream).await?);
    Ok((Box::new(reader), Box::new(writer)))
}

async fn hear(
    reader: &mut (impl AsyncRead + Unpin),
    read: &mut BytesMut,
    slots: &Slots,
) -> Result<Said, Error> {
    loop {
        if let Some(said) = protocol::next(read, &slots.inbox)? {
            return Ok(said);
        }
        if reader.read_buf(read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Sends what is to be sent. It does not wait for the hearing half, nor that one for it: while a large buffer goes out,
/// answers to the one before come in.
async fn write(
    mut writer: Writer,
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
                Some(buffer) => writer.write_all(&joined(buffer, buffers)).await?,
                None => return Ok(()),
            },
        }
        // TLS may hold back the end.
        writer.flush().await?;
    }
}

/// A buffer, and behind it those that wait too, as long as it stays small: each write wakes the broker.
fn joined(mut buffer: Vec<u8>, buffers: &mut mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
    while buffer.len() < WRITE_BYTES
        && let Ok(next) = buffers.try_recv()
    {
        buffer.extend_from_slice(&next);
    }
    buffer
}

struct Hearing {
    reader: Reader,
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
