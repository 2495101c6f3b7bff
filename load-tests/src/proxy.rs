//! Between a fleet and its broker: a TCP proxy that can cut what goes through it, and make it late.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

/// Bytes read at once at most.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces of a connection that are on their way in one direction at most.
const PIECES: usize = 1_024;

/// What is done to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// There are none, and none can be made.
    pub(crate) cut: bool,
    /// How late each byte is, in either direction.
    pub(crate) delay: Duration,
}

/// Listens on a port of its own while it lives.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    _listening: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Passes connections on to that address.
    pub(crate) async fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (link, seen) = watch::channel(Link::default());
        let listening = tokio::spawn(async move {
            // Accepting fails for what is over with the connection that failed.
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(pass(stream, to, seen.clone()));
                }
            }
        });
        Ok(Self { address, link, _listening: AbortOnDropHandle::new(listening) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub(crate) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

/// One connection, to its end or until it is cut.
async fn pass(from: TcpStream, to: SocketAddr, mut link: watch::Receiver<Link>) {
    let delays = link.clone();
    let passing = async {
        let there = TcpStream::connect(to).await?;
        from.set_nodelay(true)?;
        there.set_nodelay(true)?;
        let ((read, write), (read_there, write_there)) = (from.into_split(), there.into_split());
        tokio::try_join!(carry(read, write_there, delays.clone()), carry(read_there, write, delays.clone()))
    };
    // Either way both ends are closed.
    tokio::select! {
        biased;
        _ = link.wait_for(|link| link.cut) => {}
        _ = passing => {}
    }
}

/// One direction: each piece is written when its time has come, in order.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    link: watch::Receiver<Link>,
) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Bytes)>(PIECES);
    let reading = async move {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            if from.read_buf(&mut piece).await? == 0 {
                return Ok(());
            }
            let due = Instant::now() + link.borrow().delay;
            if sender.send((due, piece.freeze())).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a word, and how long the same word took to come back; none if the connection has ended.
    async fn echo(stream: &mut TcpStream) -> Option<Duration> {
        let began = Instant::now();
        let mut word = [0; 4];
        stream.write_all(b"word").await.ok()?;
        stream.read_exact(&mut word).await.ok()?;
        (&word == b"word").then(|| began.elapsed())
    }

    #[tokio::test]
    async fn what_passes_is_cut_and_late_as_it_is_told() {
        let echoing = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(echoing.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echoing.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(echo(&mut stream).await.is_some());

        let delay = Duration::from_millis(40);
        proxy.set(Link { delay, ..Link::default() });
        assert!(echo(&mut stream).await.unwrap() >= delay * 2, "there and back");

        proxy.set(Link { cut: true, ..Link::default() });
        assert_eq!(echo(&mut stream).await, None);
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut refused).await, None, "no new one is passed on");

        proxy.set(Link::default());
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(echo(&mut again).await.is_some());
    }
}
