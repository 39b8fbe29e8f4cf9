//! A server of the NBD protocol: contents that stay where they are stored, as disks of other
//! programs.
//!
//! ```text
//! export      what is offered, with the bitmaps of what differs from something earlier
//! listener    a socket in the file system or of the network
//! socket      a connected client, with limits of time
//! handshake   fixed newstyle negotiation; options decodes what a client says in it
//! connection  requests, which a few threads take in turns
//! read, write, status, reply    what is answered to them
//! ```
//!
//! Clients are not trusted: every length is bounded before it is allocated, memory is one buffer of
//! a fixed length for each thread, and who breaks the protocol, stalls within a message or takes no
//! replies loses the connection and nothing else. Numbers and fields of the protocol are in
//! `format::nbd`, which the client of `sources` shares.
//!
//! Deliberately absent: TLS, which a tunnel does better; oldstyle negotiation, and extended headers.

mod connection;
mod export;
mod handshake;
mod listener;
mod options;
mod read;
mod reply;
mod socket;
mod status;
#[cfg(any(test, feature = "testing"))]
mod transcript;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::Result;
use crate::limits::{NBD_SERVER_CONNECTIONS_MAX, NBD_SERVER_THREADS};
use crate::observe::{Observer, Problem, ProblemKind};
use crate::pipeline::crew::{self, Crew};
use crate::serve::overlay::Overlay;

pub use export::{DirtyRanges, NbdContent, NbdExport};
pub use listener::NbdAddress;
#[cfg(any(test, feature = "testing"))]
pub(crate) use transcript::transcript;

use connection::Connection;
use handshake::negotiate;
use listener::Listener;
use socket::{Peer, Socket};

/// How long nobody is let in after that failed: descriptors or memory may be free again then.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that listens; clients wait until it runs.
#[derive(Debug)]
pub struct NbdServer {
    listener: Listener,
    exports: Vec<NbdExport>,
}

/// What a server did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NbdReport {
    /// Clients that were let in.
    pub connections: u64,
    /// Clients that were not, because there were too many.
    pub refused: u64,
    /// Requests that were answered, or refused.
    pub requests: u64,
    /// Bytes that were read for them; zeros are not.
    pub bytes_read: u64,
    /// Bytes that clients wrote.
    pub bytes_written: u64,
    /// Reads and writes that failed, each told to the observer up to a limit.
    pub problems: u64,
}

#[derive(Debug, Default)]
struct Tally {
    connections: AtomicU64,
    refused: AtomicU64,
    requests: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    problems: AtomicU64,
}

/// The sockets that are open, so that they can be closed from outside.
#[derive(Debug, Default)]
struct Open(Mutex<BTreeMap<u64, Arc<Socket>>>);

/// One of them; no longer among them once it is dropped.
struct Client<'s> {
    socket: Arc<Socket>,
    number: u64,
    open: &'s Open,
}

/// What all threads of a server share.
struct Shared<'s> {
    exports: &'s [NbdExport],
    open: Open,
    tally: Tally,
    observer: &'s dyn Observer,
}

impl NbdServer {
    /// Begins to listen. A socket in the file system lets only its owner in; over the network
    /// everybody who reaches the address reads everything.
    ///
    /// # Errors
    /// `Busy` if another server listens there, `AlreadyExists` if another file lies there;
    /// `InvalidInput` and `LimitExceeded` for exports that the protocol cannot offer together.
    pub fn bind(address: &NbdAddress, exports: Vec<NbdExport>) -> Result<Self> {
        export::check(&exports)?;
        let listener = Listener::bind(address)?;
        Ok(Self { listener, exports })
    }

    /// Where clients find it, with the port that was chosen.
    pub fn address(&self) -> &NbdAddress {
        self.listener.address()
    }

    /// What it offers.
    pub fn exports(&self) -> &[NbdExport] {
        &self.exports
    }

    /// Serves until the observer says that it is cancelled, which is how it ends well: then no
    /// client is let in any more, all connections are closed, and what was written is flushed.
    pub fn run(self, observer: &dyn Observer) -> NbdReport {
        let Self { listener, exports } = self;
        let shared = Shared {
            exports: &exports,
            open: Open::default(),
            tally: Tally::default(),
            observer,
        };
        crew::run(NBD_SERVER_CONNECTIONS_MAX * NBD_SERVER_THREADS, |crew| {
            let mut number = 0;
            while !observer.is_cancelled() {
                match listener.accept() {
                    Ok(Some(socket)) => shared.let_in(crew, socket, number),
                    Ok(None) => continue,
                    Err(_) => thread::sleep(PAUSE),
                }
                number += 1;
            }
            drop(listener);
            shared.open.close_all();
        });
        shared.flush();
        shared.tally.report()
    }
}

impl<'s> Shared<'s> {
    /// Flushes what clients wrote and did not flush themselves.
    fn flush(&self) {
        for export in self.exports {
            let flushed = export.overlay().map_or(Ok(()), Overlay::flush);
            if let Err(error) = flushed {
                self.tally.problems.fetch_add(1, Ordering::Relaxed);
                self.observer.problem(&Problem {
                    kind: ProblemKind::Unreadable,
                    subject: export.name.clone().into_bytes(),
                    detail: format!("what was written is not flushed: {}", error.repeated()),
                });
            }
        }
    }

    fn let_in<'scope>(&'s self, crew: &Crew<'scope, 's>, socket: Socket, number: u64)
    where
        's: 'scope,
    {
        let client = self.open.add(number, socket);
        let is_in = client.is_some_and(|client| {
            client.socket.prepare().is_ok() && crew.add(move |crew| self.serve(crew, client))
        });
        let counter = match is_in {
            true => &self.tally.connections,
            false => &self.tally.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A client from its greeting to its end; this thread and a few others.
    fn serve<'scope>(&'s self, crew: &Crew<'scope, 's>, client: Client<'s>)
    where
        's: 'scope,
    {
        let Ok(agreed) = negotiate(&client, self.exports) else {
            return;
        };
        let Some(export) = self.exports.get(agreed.export) else {
            return;
        };
        let connection = Connection::new(client, export, agreed, &self.tally, self.observer);
        let connection = Arc::new(connection);
        for _ in 1..NBD_SERVER_THREADS {
            let connection = Arc::clone(&connection);
            crew.add(move |_| connection.work()); // with fewer threads it is slower
        }
        connection.work();
    }
}

impl Open {
    /// Counts a socket among the open ones; nothing if there are too many.
    fn add(&self, number: u64, socket: Socket) -> Option<Client<'_>> {
        let socket = Arc::new(socket);
        let mut open = self.0.lock();
        if open.len() >= NBD_SERVER_CONNECTIONS_MAX {
            return None;
        }
        open.insert(number, Arc::clone(&socket));
        Some(Client {
            socket,
            number,
            open: self,
        })
    }

    fn close_all(&self) {
        for socket in self.0.lock().values() {
            socket.close();
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.open.0.lock().remove(&self.number);
    }
}

impl Peer for Client<'_> {
    fn receive(&self, out: &mut [u8]) -> std::io::Result<()> {
        self.socket.receive(out)
    }

    fn receive_when_it_comes(&self, out: &mut [u8]) -> std::io::Result<()> {
        self.socket.receive_when_it_comes(out)
    }

    fn send(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.send(bytes)
    }

    fn close(&self) {
        self.socket.close();
    }
}

impl Tally {
    fn report(&self) -> NbdReport {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NbdReport {
            connections: get(&self.connections),
            refused: get(&self.refused),
            requests: get(&self.requests),
            bytes_read: get(&self.bytes_read),
            bytes_written: get(&self.bytes_written),
            problems: get(&self.problems),
        }
    }
}

#[cfg(test)]
mod tests;
