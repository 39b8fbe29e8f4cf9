//! One connection: requests out, replies in, several under way.

use std::ops::Range;

use crate::limits;

use super::fault::{Fault, shown};
use super::handshake::{self, Export, Wanted};
use super::status::{self, Context, Extent};
use super::stream::Peer;
use super::wire::{self, Fields};

/// Longest error chunk: its fields and a text of the longest permitted length.
const ERROR_CHUNK_LIMIT: u32 = 4096 + 16;

/// A connection that has been negotiated. After a fault that does not leave it usable it must be
/// dropped: replies to what was asked may still arrive.
#[derive(Debug)]
pub(super) struct Connection<P> {
    peer: P,
    export: Export,
    next_cookie: u64,
}

/// A read request under way.
#[derive(Debug)]
struct Pending {
    cookie: u64,
    /// Where it lies in the caller's buffer.
    range: Range<usize>,
    /// What has arrived, within the buffer: ascending, apart.
    arrived: Vec<Range<usize>>,
    refused: Option<Fault>,
}

/// Head of a reply.
enum Head {
    Simple { error: u32, cookie: u64 },
    Chunk(Chunk),
}

#[derive(Clone, Copy)]
struct Chunk {
    flags: u16,
    kind: u16,
    cookie: u64,
    len: u32,
}

impl Chunk {
    fn is_last(self) -> bool {
        self.flags & wire::CHUNK_DONE != 0
    }
}

impl<P: Peer> Connection<P> {
    /// Negotiates with a server that is connected.
    pub(super) fn open(mut peer: P, wanted: &Wanted) -> Result<Self, Fault> {
        let export = handshake::negotiate(&mut peer, wanted)?;
        Ok(Self {
            peer,
            export,
            next_cookie: 1,
        })
    }

    pub(super) fn export(&self) -> &Export {
        &self.export
    }

    pub(super) fn peer(&mut self) -> &mut P {
        &mut self.peer
    }

    /// Fills `buffer` from `offset`, a whole number of blocks within the export.
    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let unit = self.export.block_min;
        let piece = limits::NBD_REQUEST_LEN.min(self.export.block_max);
        let piece = (piece - piece % unit).max(unit) as usize;
        let mut pending: Vec<Pending> = Vec::new();
        let mut refused = None;
        let mut asked = 0;
        while asked < buffer.len() || !pending.is_empty() {
            while asked < buffer.len() && pending.len() < limits::NBD_IN_FLIGHT {
                let range = asked..buffer.len().min(asked + piece);
                let (start, len) = (offset + range.start as u64, range.len() as u32);
                asked = range.end;
                if pending.is_empty() {
                    self.peer.renew_deadline();
                }
                let cookie = self.send(wire::COMMAND_READ, start, len)?;
                pending.push(Pending {
                    cookie,
                    range,
                    arrived: Vec::new(),
                    refused: None,
                });
            }
            if let Some(done) = self.receive_read(offset, buffer, &mut pending)? {
                self.peer.renew_deadline();
                refused = refused.or(done.finish()?);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn send(&mut self, command: u16, offset: u64, len: u32) -> Result<u64, Fault> {
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        let request = wire::request(command, cookie, offset, len);
        self.peer.write_all(&request)?;
        Ok(cookie)
    }

    /// Says goodbye; whether that arrives does not matter.
    pub(super) fn close(mut self) {
        self.peer.renew_deadline();
        let _ = self.send(wire::COMMAND_DISCONNECT, 0, 0);
    }

    /// Takes one reply or chunk; gives the request that it completes.
    fn receive_read(
        &mut self,
        offset: u64,
        buffer: &mut [u8],
        pending: &mut Vec<Pending>,
    ) -> Result<Option<Pending>, Fault> {
        let head = self.receive_head()?;
        let cookie = match head {
            Head::Simple { cookie, .. } | Head::Chunk(Chunk { cookie, .. }) => cookie,
        };
        let Some(at) = pending.iter().position(|p| p.cookie == cookie) else {
            return Err(Fault::protocol("it answers a request that nobody made"));
        };
        let request = &mut pending[at];
        let is_last = match head {
            Head::Simple { error: 0, .. } => {
                if self.export.is_structured {
                    return Err(Fault::protocol("it answers a read with a simple reply"));
                }
                let range = request.range.clone();
                self.peer.read_exact(&mut buffer[range.clone()])?;
                request.arrive(range)?;
                true
            }
            Head::Simple { error, .. } => {
                request.refuse(error, &[]);
                true
            }
            Head::Chunk(chunk) => {
                self.receive_chunk(chunk, offset, buffer, request)?;
                chunk.is_last()
            }
        };
        Ok(is_last.then(|| pending.swap_remove(at)))
    }

    fn receive_head(&mut self) -> Result<Head, Fault> {
        let mut magic = [0; 4];
        self.peer.read_exact(&mut magic)?;
        match Fields(&magic).u32()? {
            wire::SIMPLE_MAGIC => {
                let mut rest = [0; 12];
                self.peer.read_exact(&mut rest)?;
                let mut fields = Fields(&rest);
                let (error, cookie) = (fields.u32()?, fields.u64()?);
                Ok(Head::Simple { error, cookie })
            }
            wire::CHUNK_MAGIC if self.export.is_structured => {
                let mut rest = [0; 16];
                self.peer.read_exact(&mut rest)?;
                let mut fields = Fields(&rest);
                Ok(Head::Chunk(Chunk {
                    flags: fields.u16()?,
                    kind: fields.u16()?,
                    cookie: fields.u64()?,
                    len: fields.u32()?,
                }))
            }
            other => Err(Fault::Protocol(format!(
                "a reply begins with {other:#010x}"
            ))),
        }
    }

    /// Takes the payload of one chunk of a reply to a read.
    fn receive_chunk(
        &mut self,
        chunk: Chunk,
        offset: u64,
        buffer: &mut [u8],
        request: &mut Pending,
    ) -> Result<(), Fault> {
        match chunk.kind {
            wire::CHUNK_NONE if chunk.len == 0 && chunk.is_last() => Ok(()),
            wire::CHUNK_OFFSET_DATA => {
                let start = self.receive_u64(chunk)?;
                let range = request.within(offset, start, chunk.len - 8)?;
                request.arrive(range.clone())?;
                self.peer.read_exact(&mut buffer[range])?;
                Ok(())
            }
            wire::CHUNK_OFFSET_HOLE => {
                let start = self.receive_u64(chunk)?;
                if chunk.len != 12 {
                    return Err(wrong_len(chunk));
                }
                let mut len = [0; 4];
                self.peer.read_exact(&mut len)?;
                let range = request.within(offset, start, Fields(&len).u32()?)?;
                request.arrive(range.clone())?;
                buffer[range].fill(0);
                Ok(())
            }
            kind if kind & wire::CHUNK_ERROR != 0 => {
                let (error, text) = self.receive_error(chunk)?;
                request.refuse(error, &text);
                Ok(())
            }
            _ => Err(wrong_len(chunk)),
        }
    }

    fn receive_u64(&mut self, chunk: Chunk) -> Result<u64, Fault> {
        if chunk.len < 8 {
            return Err(wrong_len(chunk));
        }
        let mut field = [0; 8];
        self.peer.read_exact(&mut field)?;
        Fields(&field).u64()
    }

    fn receive_error(&mut self, chunk: Chunk) -> Result<(u32, Vec<u8>), Fault> {
        if chunk.len > ERROR_CHUNK_LIMIT {
            return Err(wrong_len(chunk));
        }
        let mut payload = vec![0; chunk.len as usize];
        self.peer.read_exact(&mut payload)?;
        let mut fields = Fields(&payload);
        let (error, text_len) = (fields.u32()?, fields.u16()?);
        if error == 0 {
            return Err(Fault::protocol("an error has the number 0"));
        }
        Ok((error, fields.bytes(text_len.into())?.to_vec()))
    }

    /// What the server says in `context` about `len` bytes at `offset`, or about fewer.
    pub(super) fn status(
        &mut self,
        context: Context,
        offset: u64,
        len: u32,
    ) -> Result<Vec<Extent>, Fault> {
        let Some(number) = self.export.context_number(context) else {
            return Err(Fault::protocol("the context is gone"));
        };
        self.peer.renew_deadline();
        let asked = self.send(wire::COMMAND_BLOCK_STATUS, offset, len)?;
        let (mut extents, mut refused) = (None, None);
        loop {
            let chunk = match self.receive_head()? {
                Head::Simple { error, cookie } if cookie == asked && error != 0 => {
                    return Err(refusal(error, &[]));
                }
                Head::Chunk(chunk) if chunk.cookie == asked => chunk,
                _ => return Err(Fault::protocol("it answers a request that nobody made")),
            };
            match chunk.kind {
                wire::CHUNK_NONE if chunk.len == 0 && chunk.is_last() => {}
                wire::CHUNK_BLOCK_STATUS => {
                    let (of, payload) = self.receive_status(chunk)?;
                    let found = status::decode(&payload, len)?;
                    if of == number && extents.replace(found).is_some() {
                        return Err(Fault::protocol("it answers twice in one context"));
                    }
                }
                kind if kind & wire::CHUNK_ERROR != 0 => {
                    let (error, text) = self.receive_error(chunk)?;
                    refused = Some(refusal(error, &text));
                }
                _ => return Err(wrong_len(chunk)),
            }
            if chunk.is_last() {
                let missing = || Fault::protocol("it does not answer in the context");
                return refused.map_or_else(|| extents.ok_or_else(missing), Err);
            }
        }
    }

    /// The number of a context, and its extents.
    fn receive_status(&mut self, chunk: Chunk) -> Result<(u32, Vec<u8>), Fault> {
        if chunk.len < 4 || chunk.len > limits::NBD_STATUS_REPLY_LIMIT {
            return Err(wrong_len(chunk));
        }
        let mut number = [0; 4];
        self.peer.read_exact(&mut number)?;
        let mut payload = vec![0; chunk.len as usize - 4];
        self.peer.read_exact(&mut payload)?;
        Ok((Fields(&number).u32()?, payload))
    }
}

fn wrong_len(chunk: Chunk) -> Fault {
    let Chunk { kind, len, .. } = chunk;
    Fault::Protocol(format!(
        "a chunk of type {kind} with {len} bytes makes no sense here"
    ))
}

fn refusal(number: u32, text: &[u8]) -> Fault {
    Fault::Refused {
        number,
        message: shown(text),
    }
}

impl Pending {
    /// Where `len` bytes at `start` of the export lie in the buffer that begins at `offset`.
    fn within(&self, offset: u64, start: u64, len: u32) -> Result<Range<usize>, Fault> {
        let outside = || Fault::protocol("it answers with another range than was asked for");
        let start = start.checked_sub(offset).ok_or_else(outside)?;
        let start = usize::try_from(start).map_err(|_| outside())?;
        let end = start.checked_add(len as usize).ok_or_else(outside)?;
        if start < self.range.start || end > self.range.end {
            return Err(outside());
        }
        Ok(start..end)
    }

    /// Notes that `range` has arrived; nothing may arrive twice, and no piece may be empty.
    fn arrive(&mut self, range: Range<usize>) -> Result<(), Fault> {
        if range.is_empty() && !self.range.is_empty() {
            return Err(Fault::protocol("a chunk of data is empty"));
        }
        let at = self.arrived.partition_point(|r| r.end <= range.start);
        if self.arrived.get(at).is_some_and(|r| r.start < range.end) {
            return Err(Fault::protocol("it sends the same bytes twice"));
        }
        let joins_next = self.arrived.get(at).is_some_and(|r| r.start == range.end);
        let joins_last = at > 0 && self.arrived[at - 1].end == range.start;
        match (joins_last, joins_next) {
            (true, true) => self.arrived[at - 1].end = self.arrived.remove(at).end,
            (true, false) => self.arrived[at - 1].end = range.end,
            (false, true) => self.arrived[at].start = range.start,
            (false, false) => self.arrived.insert(at, range),
        }
        if self.arrived.len() > limits::NBD_READ_PIECES_LIMIT {
            return Err(Fault::protocol("it answers a read in too many pieces"));
        }
        Ok(())
    }

    fn refuse(&mut self, error: u32, text: &[u8]) {
        self.refused.get_or_insert_with(|| refusal(error, text));
    }

    /// How a completed request ended: refused, answered, or neither.
    fn finish(self) -> Result<Option<Fault>, Fault> {
        if self.refused.is_none() && self.arrived != [self.range] {
            return Err(Fault::protocol(
                "it leaves out a part of what was asked for",
            ));
        }
        Ok(self.refused)
    }
}

/// A whole conversation with a server whose side of it is `bytes`: the handshake, one read, and one
/// question in each context. For fuzzers: it must come back, and gives how many bytes were asked for.
#[cfg(any(test, feature = "testing"))]
pub fn transcript(bytes: &[u8]) -> Result<usize, String> {
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
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
struct Recorded<'a>(&'a [u8]);

#[cfg(any(test, feature = "testing"))]
impl Peer for Recorded<'_> {
    fn renew_deadline(&mut self) {}
}

#[cfg(any(test, feature = "testing"))]
impl std::io::Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

#[cfg(any(test, feature = "testing"))]
impl std::io::Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
