//! One connection: requests out, replies in, several under way.

use crate::format::nbd::{self as wire, Fields, Request};
use crate::limits;

use super::fault::{Fault, refusal};
use super::handshake::{self, Export, Wanted};
use super::pending::Pending;
use super::status::{self, Context, Extent};
use super::stream::Peer;

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
                pending.push(Pending::new(cookie, range));
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
        let request = Request {
            flags: 0,
            command,
            cookie,
            offset,
            len,
        };
        self.peer.write_all(&request.encode())?;
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
        Ok(Fields(&field).u64()?)
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
