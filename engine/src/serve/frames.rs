//! Opened frames, kept for the next read: each is fetched, opened and decoded once, whoever asks
//! first, and each chunk in it is verified once.
//!
//! A frame that is asked for out of order is decoded only as far as it is wanted: half of it, as an
//! average, is what lies behind. Whoever wants more of it then has all of it decoded.
//!
//! Bounded in bytes. Deliberately absent: what to do when a frame is not to be had (`library`).

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::limits::FRAME_LEN_TARGET;
use crate::repository::chunks::{ChunkPlace, ChunkReader, FrameBuffers, FrameRef};

/// The frames that were used last.
pub(super) struct Frames {
    state: Mutex<State>,
    /// Some frame that was being loaded is there now, or failed.
    settled: Condvar,
    buffers: Mutex<Vec<FrameBuffers>>,
    /// Room for plaintexts, of frames that were let go: memory that is written again costs less than
    /// memory that the system must give. All rooms are as long, so that each fits the next frame:
    /// rooms of many lengths, made and freed by several threads, left half as much again unusable
    /// between them. Short frames have room of their own.
    spare: Mutex<Vec<Vec<u8>>>,
    bytes_max: usize,
}

/// Wanted of a frame: all of it.
pub(super) const WHOLE: u32 = u32::MAX;

/// How far apart frames lie, at most, that are asked for in order: several threads fill a pack, and
/// what one has ready first comes first.
const IN_ORDER_SLACK: u32 = 4;

/// Rooms that are kept for the next frames.
const SPARE_MAX: usize = 4;

#[derive(Default)]
struct State {
    slots: HashMap<FrameRef, Slot>,
    /// The frame that was loaded last.
    last: Option<FrameRef>,
    clock: u64,
    bytes: usize,
}

enum Slot {
    Loading,
    Ready { frame: Arc<Frame>, used: u64 },
}

/// The plaintext of one frame, or its start.
pub(super) struct Frame {
    plain: Vec<u8>,
    is_whole: bool,
    /// The chunks that were found to be what their ids say: first byte, length, id.
    verified: Mutex<HashSet<(u32, u32, ChunkId)>>,
}

impl Frames {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            settled: Condvar::new(),
            buffers: Mutex::default(),
            spare: Mutex::default(),
            bytes_max,
        }
    }

    /// The first `wanted_len` bytes of the frame `key`, or more of it: kept or read now. Who asks for
    /// one that another is reading waits for it.
    ///
    /// # Errors
    /// As [`ChunkReader::read_one_frame`].
    pub(super) fn get(
        &self,
        reader: &ChunkReader<'_>,
        key: FrameRef,
        wanted_len: u32,
    ) -> Result<Arc<Frame>> {
        let mut state = self.state.lock();
        let in_order = loop {
            match state.find(key, wanted_len) {
                Found::Frame(frame) => return Ok(frame),
                Found::Nothing => {
                    let is_near = |last: FrameRef| key.is_near(last, IN_ORDER_SLACK);
                    break state.last.is_some_and(is_near);
                }
                Found::TooShort => break true,
                Found::Loading => self.settled.wait(&mut state),
            }
        };
        let mut gone = state.begin(key);
        gone.extend(state.make_room(self.bytes_max.saturating_sub(FRAME_LEN_TARGET)));
        drop(state);
        self.reuse(gone);
        let loading = Loading { frames: self, key };
        let wanted_len = if in_order { WHOLE } else { wanted_len };
        let frame = Arc::new(self.load(reader, key, wanted_len)?);
        loading.keep(Arc::clone(&frame));
        Ok(frame)
    }

    /// True if so much of the frame is kept, or on its way.
    pub(super) fn has(&self, key: FrameRef, wanted_len: u32) -> bool {
        match self.state.lock().slots.get(&key) {
            Some(Slot::Ready { frame, .. }) => frame.has(wanted_len),
            Some(Slot::Loading) => true,
            None => false,
        }
    }

    /// Keeps the room of frames that nobody reads any more.
    fn reuse(&self, gone: Vec<Arc<Frame>>) {
        let rooms = gone.into_iter().filter_map(Arc::into_inner);
        let mut spare = self.spare.lock();
        for frame in rooms {
            if spare.len() < SPARE_MAX && frame.plain.capacity() >= FRAME_LEN_TARGET {
                spare.push(frame.plain);
            }
        }
    }

    fn room(&self) -> Vec<u8> {
        let spare = self.spare.lock().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(FRAME_LEN_TARGET))
    }

    fn load(&self, reader: &ChunkReader<'_>, key: FrameRef, wanted_len: u32) -> Result<Frame> {
        let mut buffers = self.buffers.lock().pop().unwrap_or_default();
        if reader.plain_len(key) as usize > FRAME_LEN_TARGET / 2 {
            buffers.plain = self.room();
        }
        let read = reader.read_frame_start(key, wanted_len, &mut buffers);
        let plain = std::mem::take(&mut buffers.plain);
        self.buffers.lock().push(buffers);
        read.map(|()| Frame {
            plain,
            is_whole: wanted_len == WHOLE,
            verified: Mutex::default(),
        })
    }
}

/// A frame that is being loaded by this thread: given up unless it gets there.
struct Loading<'f> {
    frames: &'f Frames,
    key: FrameRef,
}

impl Loading<'_> {
    fn keep(self, frame: Arc<Frame>) {
        self.frames.state.lock().keep(self.key, frame);
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut state = self.frames.state.lock();
        if let Some(Slot::Loading) = state.slots.get(&self.key) {
            state.slots.remove(&self.key);
        }
        drop(state);
        self.frames.settled.notify_all();
    }
}

enum Found {
    Frame(Arc<Frame>),
    TooShort,
    Loading,
    Nothing,
}

impl State {
    fn find(&mut self, key: FrameRef, wanted_len: u32) -> Found {
        self.clock += 1;
        match self.slots.get_mut(&key) {
            None => Found::Nothing,
            Some(Slot::Loading) => Found::Loading,
            Some(Slot::Ready { frame, .. }) if !frame.has(wanted_len) => Found::TooShort,
            Some(Slot::Ready { frame, used }) => {
                *used = self.clock;
                Found::Frame(Arc::clone(frame))
            }
        }
    }

    /// Notes that a frame is being loaded; gives what was there of it.
    fn begin(&mut self, key: FrameRef) -> Vec<Arc<Frame>> {
        self.last = Some(key);
        let before = self.slots.insert(key, Slot::Loading);
        self.let_go(before).into_iter().collect()
    }

    fn let_go(&mut self, slot: Option<Slot>) -> Option<Arc<Frame>> {
        let Some(Slot::Ready { frame, .. }) = slot else {
            return None;
        };
        self.bytes -= frame.plain.capacity();
        Some(frame)
    }

    fn keep(&mut self, key: FrameRef, frame: Arc<Frame>) {
        self.clock += 1;
        self.bytes += frame.plain.capacity();
        let used = self.clock;
        self.slots.insert(key, Slot::Ready { frame, used });
    }

    /// Lets go of frames that were not used for longest, until those that stay take at most so much.
    fn make_room(&mut self, bytes_max: usize) -> Vec<Arc<Frame>> {
        let mut gone = Vec::new();
        while self.bytes > bytes_max {
            let ready = self.slots.iter().filter_map(|(key, slot)| match slot {
                Slot::Ready { used, .. } => Some((*used, *key)),
                Slot::Loading => None,
            });
            let Some((_, oldest)) = ready.min() else {
                return gone;
            };
            let slot = self.slots.remove(&oldest);
            gone.extend(self.let_go(slot));
        }
        gone
    }
}

impl Frame {
    fn has(&self, wanted_len: u32) -> bool {
        self.is_whole || self.plain.len() >= wanted_len as usize
    }

    /// Bytes `range` of the chunk `id` at `place`, if the chunk is what its id says.
    pub(super) fn part(
        &self,
        reader: &ChunkReader<'_>,
        id: &ChunkId,
        place: &ChunkPlace,
        range: Range<usize>,
    ) -> Option<&[u8]> {
        let chunk = (place.offset, place.len, *id);
        let is_known = self.verified.lock().contains(&chunk);
        if !is_known {
            reader.verified(id, place, &self.plain)?;
            self.verified.lock().insert(chunk);
        }
        let from = place.offset as usize;
        let chunk = self.plain.get(from..from + place.len as usize)?;
        chunk.get(range)
    }
}
