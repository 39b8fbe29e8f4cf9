//! Where a server listens: a socket in the file system, or an address of this machine.
//!
//! The socket lets only its owner in: what is served was stored encrypted. The file of a server
//! that was killed is replaced; one that is answered stays, and so does every other kind of file.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

use crate::error::{Error, ErrorKind, Place, Result};

use super::socket::Socket;

/// How long a wait for a client lasts: so late a request to stop is seen.
const WAIT: Duration = Duration::from_millis(100);
/// Clients that may wait to be let in.
const BACKLOG: i32 = 128;

/// Where clients find a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NbdAddress {
    /// Path of a socket.
    Unix(PathBuf),
    /// Address and port; port 0 is any that is free.
    Tcp(SocketAddr),
}

impl NbdAddress {
    /// The URL of an export, as NBD clients take it.
    pub fn url(&self, export: &str) -> String {
        let export = percent_encoded(export.as_bytes());
        match self {
            Self::Tcp(address) => format!("nbd://{address}/{export}"),
            Self::Unix(path) => {
                let path = percent_encoded(path.as_os_str().as_encoded_bytes());
                format!("nbd+unix:///{export}?socket={path}")
            }
        }
    }
}

/// The path or the address as it is.
impl fmt::Display for NbdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// Only what every program leaves alone stays.
fn percent_encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// A socket that clients connect to. Its file goes when it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Listening,
    address: NbdAddress,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    /// With device and inode number of the file: another server may have replaced it.
    Unix(UnixListener, (u64, u64)),
}

impl Listener {
    /// From now on clients can connect.
    ///
    /// # Errors
    /// `Busy` if another server listens there; `AlreadyExists` if there is a file that is no socket.
    pub(super) fn bind(address: &NbdAddress) -> Result<Self> {
        let place = || Place::Path(PathBuf::from(address.to_string()));
        let fail = |error| Error::io(place(), "cannot listen there", error);
        let bound = match address {
            NbdAddress::Unix(path) => {
                replace_stale(path)?;
                bind_unix(path)
            }
            NbdAddress::Tcp(address) => bind_tcp(*address),
        };
        let (socket, address) = bound.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => busy(place()),
            _ => fail(error),
        })?;
        let listener = Self { socket, address };
        listener.set_wait().map_err(fail)?;
        Ok(listener)
    }

    /// Where it listens, with the port that was found.
    pub(super) fn address(&self) -> &NbdAddress {
        &self.address
    }

    fn set_wait(&self) -> io::Result<()> {
        match &self.socket {
            Listening::Tcp(socket) => set_socket_timeout(socket, Timeout::Recv, Some(WAIT))?,
            Listening::Unix(socket, _) => set_socket_timeout(socket, Timeout::Recv, Some(WAIT))?,
        }
        Ok(())
    }

    /// The next client; nothing if none came for a while.
    pub(super) fn accept(&self) -> io::Result<Option<Socket>> {
        let accepted = match &self.socket {
            Listening::Tcp(socket) => socket.accept().map(|(socket, _)| Socket::Tcp(socket)),
            Listening::Unix(socket, _) => socket.accept().map(|(socket, _)| Socket::Unix(socket)),
        };
        match accepted {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let (NbdAddress::Unix(path), Listening::Unix(_, identity)) = (&self.address, &self.socket)
        else {
            return;
        };
        if std::fs::symlink_metadata(path).is_ok_and(|found| identity_of(&found) == *identity) {
            let _ = std::fs::remove_file(path); // the next server replaces it
        }
    }
}

fn identity_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn busy(place: Place) -> Error {
    Error::new(ErrorKind::Busy, place, "another server listens there")
}

/// Takes away the socket of a server that is gone.
fn replace_stale(path: &Path) -> Result<()> {
    let place = || Place::Path(path.to_owned());
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()), // nothing is there, or binding says what is wrong
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let detail = "exists and is no socket: choose another path";
            return Err(Error::new(ErrorKind::AlreadyExists, place(), detail));
        }
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
                .map_err(|error| Error::io(place(), "a socket nobody listens on stays", error))
        }
        // Also one that has too many clients, or that we may not use.
        _ => Err(busy(place())),
    }
}

fn bind_unix(path: &Path) -> io::Result<(Listening, NbdAddress)> {
    let flags = SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file takes the mode of the socket: so there is no moment when others may connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let identity = identity_of(&std::fs::symlink_metadata(path)?);
    listen(&socket, BACKLOG)?;
    let socket = Listening::Unix(UnixListener::from(socket), identity);
    Ok((socket, NbdAddress::Unix(path.to_owned())))
}

fn bind_tcp(address: SocketAddr) -> io::Result<(Listening, NbdAddress)> {
    let socket = TcpListener::bind(address)?;
    let address = NbdAddress::Tcp(socket.local_addr()?);
    Ok((Listening::Tcp(socket), address))
}
