//! A recorded server, for tests and fuzzers.

use std::io::{self, Read, Write};

use super::connection::Connection;
use super::fault::Fault;
use super::handshake::Wanted;
use super::status::Context;
use super::stream::Peer;

/// A whole conversation with a server whose side of it is `bytes`: the handshake, one read, and one
/// question in each context. For fuzzers: it must come back, and gives how many bytes were asked for.
pub(crate) fn transcript(bytes: &[u8]) -> Result<usize, String> {
    let wanted = Wanted {
        export: "disk".to_owned(),
        dirty: Some("qemu:dirty-bitmap:b".to_owned()),
    };
    let fail = |fault: Fault| fault.into_io().to_string();
    let mut connection = Connection::open(Recorded(bytes), &wanted).map_err(fail)?;
    let unit = connection.export().block_min as usize;
    let len = (2048_usize.next_multiple_of(unit) as u64).min(connection.export().len);
    let mut buffer = vec![0; len as usize];
    connection.read(0, &mut buffer).map_err(fail)?;
    for context in [Context::Allocation, Context::Dirty] {
        let extents = connection.status(context, 0, len as u32).map_err(fail)?;
        let total: u64 = extents.iter().map(|extent| u64::from(extent.len)).sum();
        assert!(total <= len && extents.iter().all(|extent| extent.len > 0));
    }
    Ok(buffer.len())
}

/// The server's side of a conversation; what is said to it goes nowhere.
#[derive(Debug)]
struct Recorded<'a>(&'a [u8]);

impl Peer for Recorded<'_> {
    fn renew_deadline(&mut self) {}
}

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
