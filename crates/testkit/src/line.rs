//! A TCP line to a server on this machine, which can be cut.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

/// A port on loopback that leads to another one while it lives.
#[derive(Debug)]
pub struct Line {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Both ends of every connection there was.
    ends: Mutex<Vec<TcpStream>>,
    is_cut: AtomicBool,
    is_over: AtomicBool,
    /// Bytes that the server may send yet; then the line is cut once.
    left: AtomicU64,
}

impl Line {
    /// A line to that port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap_or_else(|e| panic!("no free port: {e}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let state = Arc::new(State { left: AtomicU64::new(u64::MAX), ..State::default() });
        let passing = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if passing.is_over.load(SeqCst) {
                    return;
                }
                passing.pass(&client, server);
            }
        });
        Self { port, state }
    }

    /// Where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection; none can be made until it is mended.
    pub fn cut(&self) {
        self.state.is_cut.store(true, SeqCst);
        self.state.hang_up();
    }

    /// Cuts every connection once when the server has sent so many bytes more. Others can be made at once.
    pub fn cut_after(&self, bytes: u64) {
        self.state.left.store(bytes, SeqCst);
    }

    /// Lets connections be made again.
    pub fn mend(&self) {
        self.state.is_cut.store(false, SeqCst);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.state.is_over.store(true, SeqCst);
        self.state.hang_up();
        // Whoever waits for connections sees it at the next one.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl State {
    fn hang_up(&self) {
        for end in self.ends.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It is closed already when this fails.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn pass(self: &Arc<Self>, client: &TcpStream, server: u16) {
        if self.is_cut.load(SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
        let ends = [client.try_clone(), client.try_clone(), server.try_clone(), server.try_clone()];
        let [Ok(from), Ok(back), Ok(to), Ok(there)] = ends else { return };
        {
            let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.extend([client.try_clone(), server.try_clone()].into_iter().flatten());
        }
        if self.is_cut.load(SeqCst) {
            return self.hang_up();
        }
        let state = Arc::clone(self);
        thread::spawn(move || carry(from, to, |_| true));
        thread::spawn(move || carry(there, back, |bytes| state.may_send(bytes)));
    }

    /// Whether the server may send so much more; hangs up if not.
    fn may_send(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let left = self.left.load(SeqCst);
        if left == u64::MAX {
            return true;
        }
        if left >= bytes {
            self.left.store(left - bytes, SeqCst);
            return true;
        }
        self.left.store(u64::MAX, SeqCst);
        self.hang_up();
        false
    }
}

/// Passes bytes on, to the end of either end.
fn carry(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(usize) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        if !may(read) || to.write_all(part).is_err() {
            break;
        }
    }
    // It is closed already when these fail.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_mended() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let line = Line::to(server.local_addr().unwrap().port());
        let connect = || TcpStream::connect(("127.0.0.1", line.port())).unwrap();
        let mut read = [0; 4];
        let mut client = connect();
        let (mut there, _) = server.accept().unwrap();
        client.write_all(b"ask!").unwrap();
        there.read_exact(&mut read).unwrap();
        there.write_all(b"told").unwrap();
        client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"told");
        line.cut_after(2);
        there.write_all(b"told").unwrap();
        assert!(client.read_exact(&mut read).is_err(), "cut within");
        line.cut();
        assert!(connect().read_exact(&mut read).is_err(), "and none can be made");
        line.mend();
        let mut client = connect();
        server.accept().unwrap().0.write_all(b"told").unwrap();
        client.read_exact(&mut read).unwrap();
    }
}
