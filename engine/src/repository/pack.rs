//! Packs as they grow: several threads fill one pack, none waits for another's work.
//!
//! A thread reserves its range under a short lock, then copies and seals outside of it: the ranges
//! are disjoint pieces of one buffer. A pack is closed when it is long enough and ends when its
//! last range is filled.

use std::sync::Arc;

use bytes::BytesMut;
use parking_lot::Mutex;

use crate::error::Result;
use crate::format::config::Config;
use crate::format::envelope::{HEADER_LEN, SealedKind, TAG_LEN};
use crate::format::name::{ObjectName, PackClass};
use crate::format::table::{Codec, Frame, Table, TableChunk, TableName};
use crate::limits::{FRAME_LEN_TARGET, PACK_LEN_TARGET};
use crate::repository::keys::{Keys, ObjectKeys};
use crate::repository::object;
use crate::transform::seal::Turn;

/// A pack is closed at this many chunks, so that its table stays below a megabyte.
pub(crate) const PACK_CHUNKS_MAX: usize = 16 * 1024;
/// Room behind the target: one longest usual frame, the table, the trailer.
const ROOM_BEHIND: usize = 2 * FRAME_LEN_TARGET + 1024 * 1024;

/// The growing pack of one class.
pub(crate) struct PackAppender {
    class: PackClass,
    /// The pack that still takes reservations.
    open: Mutex<Option<Arc<GrowingPack>>>,
    /// Buffers of packs that were written, to be filled again.
    spare: Mutex<Vec<BytesMut>>,
    pack_len_target: usize,
}

/// One frame, compressed and not yet sealed.
pub(crate) struct CodedFrame<'a> {
    /// What will be sealed.
    pub coded: &'a [u8],
    /// How it was coded.
    pub codec: Codec,
    /// Length of its plaintext.
    pub plain_len: usize,
    /// The chunks in it.
    pub chunks: &'a [TableChunk],
}

struct GrowingPack {
    name: ObjectName,
    keys: ObjectKeys,
    state: Mutex<State>,
}

/// A range of a pack that one thread fills.
struct Reserved {
    /// Of the frame.
    index: usize,
    /// Its nonce.
    turn: Turn,
    slot: BytesMut,
    /// Length of the pack up to the end of the range.
    pack_len: usize,
}

struct State {
    /// The header; what is reserved and what is not lie behind it in the same buffer.
    head: BytesMut,
    /// What is not reserved yet.
    rest: BytesMut,
    /// Filled ranges, by frame.
    parts: Vec<Option<BytesMut>>,
    frames: Vec<Frame>,
    chunks: Vec<TableChunk>,
    offset: usize,
    unfilled: usize,
    closed: bool,
}

/// A pack that is complete but for its table.
pub(crate) struct FullPack {
    pack: Arc<GrowingPack>,
}

/// A pack as it will be stored.
pub(crate) struct EncodedPack {
    /// Its name.
    pub name: ObjectName,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its table, for the index.
    pub table: Table,
}

/// A frame that lies sealed in its pack: what verification needs.
pub(crate) struct SealedFrame<'a> {
    /// The stored bytes.
    pub sealed: &'a [u8],
    /// The nonce.
    pub counter: u64,
    /// Opens it.
    pub keys: &'a ObjectKeys,
}

impl PackAppender {
    /// An appender of packs of `class`.
    pub(crate) fn new(class: PackClass, pack_len_target: usize) -> Self {
        let (open, spare) = (Mutex::new(None), Mutex::new(Vec::new()));
        Self {
            class,
            open,
            spare,
            pack_len_target,
        }
    }

    /// Seals `frame` into the open pack and lets `verify` read it back. `new_name` names a pack if
    /// one must be begun. Returns the pack if this frame made it full.
    pub(crate) fn append(
        &self,
        frame: &CodedFrame<'_>,
        keys: &Keys,
        config: &Config,
        new_name: impl FnOnce() -> Result<ObjectName>,
        verify: impl FnOnce(&SealedFrame<'_>) -> Result<()>,
    ) -> Result<Option<FullPack>> {
        let (pack, mut reserved) = self.reserve(frame, keys, config, new_name)?;
        let slot = &mut reserved.slot;
        slot[..frame.coded.len()].copy_from_slice(frame.coded);
        let counter = pack.keys.frames.seal(reserved.turn, slot);
        // A frame that does not verify stays unfilled, and its pack is never stored.
        verify(&SealedFrame {
            sealed: slot,
            counter,
            keys: &pack.keys,
        })?;
        let full = pack.fill(reserved.index, reserved.slot, counter);
        Ok(full.then_some(FullPack { pack }))
    }

    fn reserve(
        &self,
        frame: &CodedFrame<'_>,
        keys: &Keys,
        config: &Config,
        new_name: impl FnOnce() -> Result<ObjectName>,
    ) -> Result<(Arc<GrowingPack>, Reserved)> {
        let mut open = self.open.lock();
        let pack = match &*open {
            Some(pack) => Arc::clone(pack),
            None => {
                let object = keys.new_object(sealed_kind(self.class), config)?;
                let pack = Arc::new(GrowingPack::new(new_name()?, object, self.spare_buffer()));
                *open = Some(Arc::clone(&pack));
                pack
            }
        };
        let reserved = pack.reserve(frame);
        let chunks = pack.state.lock().chunks.len();
        if reserved.pack_len >= self.pack_len_target || chunks >= PACK_CHUNKS_MAX {
            pack.state.lock().closed = true;
            *open = None;
        }
        Ok((pack, reserved))
    }

    /// Closes the open pack, if there is one and all its ranges are filled. No thread may be
    /// appending.
    pub(crate) fn take_open(&self) -> Option<FullPack> {
        let pack = self.open.lock().take()?;
        let complete = pack.state.lock().unfilled == 0;
        complete.then_some(FullPack { pack })
    }

    /// Gives back the buffer of a pack that was written.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        let buffer = BytesMut::from(bytes::Bytes::from(buffer));
        self.spare.lock().push(buffer);
    }

    fn spare_buffer(&self) -> BytesMut {
        let spare = self.spare.lock().pop().map(|mut buffer| {
            buffer.resize(buffer.capacity(), 0);
            buffer
        });
        // Pages that are never touched cost nothing: the room is address space, not memory.
        spare.unwrap_or_else(|| {
            BytesMut::zeroed(self.pack_len_target.min(PACK_LEN_TARGET) + ROOM_BEHIND)
        })
    }
}

/// The kind of a pack of `class`.
pub(crate) fn sealed_kind(class: PackClass) -> SealedKind {
    match class {
        PackClass::Data => SealedKind::DataPack,
        PackClass::Meta => SealedKind::MetaPack,
    }
}

impl GrowingPack {
    fn new(name: ObjectName, keys: ObjectKeys, mut head: BytesMut) -> Self {
        let rest = head.split_off(HEADER_LEN);
        head.copy_from_slice(&keys.header);
        let state = State {
            head,
            rest,
            parts: Vec::new(),
            frames: Vec::new(),
            chunks: Vec::new(),
            offset: HEADER_LEN,
            unfilled: 0,
            closed: false,
        };
        Self {
            name,
            keys,
            state: Mutex::new(state),
        }
    }

    /// Counters follow the order of frames, whoever seals first.
    fn reserve(&self, frame: &CodedFrame<'_>) -> Reserved {
        let state = &mut *self.state.lock();
        let stored_len = frame.coded.len() + TAG_LEN;
        if state.rest.len() < stored_len {
            state.rest.resize(stored_len, 0); // a frame of giant chunks: moves to a buffer of its own
        }
        let slot = state.rest.split_to(stored_len);
        state.frames.push(Frame {
            offset: state.offset as u64,
            counter: 0, // known once it is sealed
            stored_len: stored_len as u32,
            plain_len: frame.plain_len as u32,
            origin: 0,
            chunk_count: frame.chunks.len() as u32,
            codec: frame.codec,
        });
        state.chunks.extend_from_slice(frame.chunks);
        state.parts.push(None);
        state.offset += stored_len;
        state.unfilled += 1;
        Reserved {
            index: state.parts.len() - 1,
            turn: self.keys.frames.take_turn(),
            slot,
            pack_len: state.offset,
        }
    }

    /// Puts a sealed range in its place; true if the pack is complete by it.
    fn fill(&self, index: usize, slot: BytesMut, counter: u64) -> bool {
        let state = &mut *self.state.lock();
        state.frames[index].counter = counter;
        state.parts[index] = Some(slot);
        state.unfilled -= 1;
        state.closed && state.unfilled == 0
    }
}

impl FullPack {
    /// Joins the ranges, which lie back to back in one buffer, and ends the object.
    pub(crate) fn encode(self) -> EncodedPack {
        let state = &mut *self.pack.state.lock();
        let mut whole = std::mem::take(&mut state.head);
        for part in state.parts.drain(..) {
            whole.unsplit(part.expect("a full pack has all its ranges filled"));
        }
        // What was not reserved was not touched, and must not be: it is address space, not memory.
        drop(std::mem::take(&mut state.rest));
        let mut bytes = Vec::from(whole);
        let table = Table {
            name: TableName::of(&self.pack.name),
            origins: vec![self.pack.keys.origin],
            frames: std::mem::take(&mut state.frames),
            chunks: std::mem::take(&mut state.chunks),
        };
        object::append_table_and_trailer(&self.pack.keys.table, &table, &mut bytes);
        EncodedPack {
            name: self.pack.name,
            bytes,
            table,
        }
    }
}
