//! What can go wrong with an NBD server, and what that is for the caller.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Place};
use crate::format::DecodeError;
use crate::format::nbd::EIO;

/// A failed exchange with a server.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection failed, ended, or took too long.
    Io(io::Error),
    /// The server broke the protocol; the connection cannot be used any further.
    Protocol(String),
    /// The server refused one request, with an error number of the protocol, and goes on.
    Refused { number: u32, message: String },
    /// The server lacks what is needed.
    Unsupported(String),
    /// The server does not have the export or the bitmap.
    NotFound(String),
}

impl Fault {
    pub(super) fn protocol(detail: impl Into<String>) -> Self {
        Self::Protocol(detail.into())
    }

    /// True if the connection is still in step.
    pub(super) fn leaves_connection_usable(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// True if the connection just ended, as it does when a server is restarted.
    pub(super) fn is_end_of_connection(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let Self::Io(error) = self else {
            return false;
        };
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        )
    }

    pub(super) fn into_error(self, location: &Path, what: &str) -> Error {
        let place = Place::Path(location.to_owned());
        match self {
            Self::Io(error) => Error::io(place, what, error),
            Self::Protocol(detail) => {
                let detail = format!("{what}: the server breaks the NBD protocol: {detail}");
                Error::new(ErrorKind::Damaged, place, detail)
            }
            Self::Refused { .. } => Error::io(place, what, self.into_io()),
            Self::Unsupported(detail) => Error::new(ErrorKind::Unsupported, place, detail),
            Self::NotFound(detail) => Error::new(ErrorKind::NotFound, place, detail),
        }
    }

    /// As the error of a read: a bad place of the medium keeps its number.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            Self::Refused { number: EIO, .. } => Errno::IO.into(),
            Self::Refused { number, message } => {
                io::Error::other(format!("the server answers with error {number}{message}"))
            }
            Self::Protocol(detail) => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the server breaks the NBD protocol: {detail}"),
            ),
            Self::Unsupported(detail) => io::Error::new(io::ErrorKind::Unsupported, detail),
            Self::NotFound(detail) => io::Error::new(io::ErrorKind::NotFound, detail),
        }
    }
}

impl From<io::Error> for Fault {
    /// However a connection ends, the words are the same.
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        let fault = Self::Io(error);
        if !fault.is_end_of_connection() {
            return fault;
        }
        Self::Io(io::Error::new(kind, "the server ended the connection"))
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(format!("a message is {error}"))
    }
}

/// Text of a server on one line, without what a terminal would act on: `": text"`, or nothing.
pub(super) fn shown(text: &[u8]) -> String {
    const SHOWN_MAX: usize = 200;
    let clean = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    };
    match text {
        [] => String::new(),
        _ => {
            let text: String = text.iter().take(SHOWN_MAX).map(clean).collect();
            format!(": {text}")
        }
    }
}

/// What a server says when it refuses a request.
pub(super) fn refusal(number: u32, text: &[u8]) -> Fault {
    Fault::Refused {
        number,
        message: shown(text),
    }
}
