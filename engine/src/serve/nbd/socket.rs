//! A connected client, as bytes in and bytes out with limits of time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::set_socket_keepalive;

use crate::limits;

/// Bytes from and to a client; several threads may hold it, one receives and one sends at a time.
pub(super) trait Peer: Send + Sync {
    /// Fills `out`, within a time for each part of it that arrives.
    fn receive(&self, out: &mut [u8]) -> io::Result<()>;

    /// The same, where the client may take for ever until it begins.
    fn receive_when_it_comes(&self, out: &mut [u8]) -> io::Result<()>;

    /// Sends all of it, within a time.
    fn send(&self, bytes: &[u8]) -> io::Result<()>;

    /// Ends both directions: who waits in them wakes up.
    fn close(&self);
}

/// A socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Sets what a connection needs before its first byte.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let limit = Some(Duration::from_secs(limits::NBD_CLIENT_TIMEOUT_SECONDS));
        match self {
            Self::Tcp(socket) => {
                socket.set_nodelay(true)?;
                set_socket_keepalive(socket, true)?; // a client that lost its power says nothing
                socket.set_read_timeout(limit)?;
                socket.set_write_timeout(limit)
            }
            Self::Unix(socket) => {
                socket.set_read_timeout(limit)?;
                socket.set_write_timeout(limit)
            }
        }
    }

    fn read(&self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&mut &*socket).read(out),
            Self::Unix(socket) => (&mut &*socket).read(out),
        }
    }

    fn fill(&self, out: &mut [u8], is_patient: bool) -> io::Result<()> {
        let mut filled = 0;
        while filled < out.len() {
            match self.read(&mut out[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A socket says of its limit of time that it would block.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if filled > 0 || !is_patient {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Peer for Socket {
    fn receive(&self, out: &mut [u8]) -> io::Result<()> {
        self.fill(out, false)
    }

    fn receive_when_it_comes(&self, out: &mut [u8]) -> io::Result<()> {
        self.fill(out, true)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => (&mut &*socket).write_all(bytes),
            Self::Unix(socket) => (&mut &*socket).write_all(bytes),
        }
    }

    fn close(&self) {
        // A socket that is closed already needs nothing.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(std::net::Shutdown::Both),
            Self::Unix(socket) => socket.shutdown(std::net::Shutdown::Both),
        };
    }
}
