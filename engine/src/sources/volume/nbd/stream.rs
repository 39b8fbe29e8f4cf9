//! A socket with a deadline.
//!
//! Deadlines are for the peer: nothing that is stored depends on this clock. A time limit of the
//! socket alone would be renewed by every byte that trickles in.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// Path of a socket.
    Unix(PathBuf),
}

/// Bytes to and from a server.
pub(super) trait Peer: Read + Write {
    /// Gives the server its full time again, from now on: it has done something whole.
    fn renew_deadline(&mut self);
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    timeout: Duration,
    deadline: Instant,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects within `timeout`, which from then on is the time for each request.
    pub(super) fn connect(address: &Address, timeout: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + timeout;
        let socket = match address {
            Address::Tcp(host, port) => connect_tcp(host, *port, timeout)?,
            Address::Unix(path) => connect_unix(path, timeout)?,
        };
        Ok(Self {
            socket,
            timeout,
            deadline,
        })
    }

    /// From now on the server has `timeout` for each request.
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.renew_deadline();
    }

    /// What is left of the time; an error if nothing is.
    fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.too_slow());
        }
        Ok(left)
    }

    fn too_slow(&self) -> io::Error {
        let detail = format!(
            "the server did not answer within {:.1} s",
            self.timeout.as_secs_f64()
        );
        io::Error::new(io::ErrorKind::TimedOut, detail)
    }

    /// A socket says of a time limit that it would block.
    fn translate(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.too_slow(),
            _ => error,
        }
    }
}

fn connect_tcp(host: &str, port: u16, timeout: Duration) -> io::Result<Socket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Socket::Tcp(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The standard library has no limit of time here: a server whose queue is full would block it.
fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Socket> {
    let flags = SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
    let connected = connect(&socket, &SocketAddrUnix::new(path)?);
    connected.map_err(|errno| match errno {
        Errno::AGAIN => io::Error::new(io::ErrorKind::TimedOut, "the server takes no connection"),
        other => other.into(),
    })?;
    Ok(Socket::Unix(UnixStream::from(socket)))
}

impl Peer for Stream {
    fn renew_deadline(&mut self) {
        self.deadline = Instant::now() + self.timeout;
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = Some(self.time_left()?);
        let result = match &mut self.socket {
            Socket::Tcp(socket) => {
                socket.set_read_timeout(left)?;
                socket.read(buffer)
            }
            Socket::Unix(socket) => {
                socket.set_read_timeout(left)?;
                socket.read(buffer)
            }
        };
        result.map_err(|error| self.translate(error))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(self.time_left()?);
        let result = match &mut self.socket {
            Socket::Tcp(socket) => {
                socket.set_write_timeout(left)?;
                socket.write(bytes)
            }
            Socket::Unix(socket) => {
                socket.set_write_timeout(left)?;
                socket.write(bytes)
            }
        };
        result.map_err(|error| self.translate(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // sockets hold nothing back
    }
}
