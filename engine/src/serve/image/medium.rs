//! The bytes under a file system: a view, a small cache, and a count of steps.
//!
//! Readers of file systems ask for a few bytes at a time, and a hostile one can be made to ask for
//! ever. So each question has a budget of reads, and no clock is asked. What the view itself could
//! not give is kept, so that it is told as what it is and not as what the reader made of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::{IMAGE_STEPS_MAX, KIB};
use crate::pipeline::ReadAt;
use crate::serve::view::View;
use crate::sources::volume::layout::{FileSystem, PROBED_LEN, probe};

/// Unit of the cache: metadata of one place is read in one piece.
const BLOCK_LEN: usize = 32 * KIB;
/// Blocks that are kept: 4 MiB.
const BLOCKS_MAX: usize = 128;
/// Longer reads are contents of files: they would only displace what is asked for again.
const CACHED_READ_LEN_MAX: usize = BLOCK_LEN;

/// A view, as readers of file systems use it: by one thread.
pub(super) struct Medium {
    view: Arc<dyn View>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    steps: u64,
    /// When a block was used last, and its bytes; the last block of a view may be short.
    blocks: HashMap<u64, (u64, Box<[u8]>)>,
    uses: u64,
    failure: Option<Error>,
    watch: Watch,
}

/// The place of the next read, for who wants to know.
#[derive(Default)]
enum Watch {
    #[default]
    Off,
    On,
    Seen(u64),
}

impl Medium {
    pub(super) fn new(view: Arc<dyn View>) -> Rc<Self> {
        let state = RefCell::default();
        Rc::new(Self { view, state })
    }

    pub(super) fn len(&self) -> u64 {
        self.view.len()
    }

    /// Begins a new question: with all its steps, and without failures.
    pub(super) fn begin(&self) {
        let mut state = self.state.borrow_mut();
        state.steps = 0;
        state.failure = None;
    }

    /// What went wrong below the file system since the question began.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.state.borrow_mut().failure.take()
    }

    /// Looks out for the next read.
    pub(super) fn watch(&self) {
        self.state.borrow_mut().watch = Watch::On;
    }

    /// Where it was.
    pub(super) fn watched(&self) -> Option<u64> {
        match self.state.borrow().watch {
            Watch::Seen(at) => Some(at),
            Watch::On | Watch::Off => None,
        }
    }

    /// Fills `out` from `offset`; `UnexpectedEof` beyond the end, which is the reader's affair.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.view.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut state = self.state.borrow_mut();
        state.step(out.len())?;
        if matches!(state.watch, Watch::On) {
            state.watch = Watch::Seen(offset);
        }
        if out.len() > CACHED_READ_LEN_MAX {
            return state.keep(self.view.read_at(offset, out));
        }
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let block = state.block(&*self.view, at / BLOCK_LEN as u64)?;
            let begin = (at % BLOCK_LEN as u64) as usize;
            // The range was checked: the block has at least the byte at `begin`.
            let len = (block.len() - begin).min(out.len() - done);
            out[done..done + len].copy_from_slice(&block[begin..begin + len]);
            done += len;
        }
        Ok(())
    }
}

impl State {
    fn step(&mut self, len: usize) -> io::Result<()> {
        self.steps += 1 + (len / BLOCK_LEN) as u64;
        if self.steps <= IMAGE_STEPS_MAX {
            return Ok(());
        }
        let detail = format!("takes more than {IMAGE_STEPS_MAX} reads: its metadata is damaged");
        let place = Place::Argument("image");
        self.keep(Err(Error::new(ErrorKind::LimitExceeded, place, detail)))
    }

    /// Keeps the first failure, and gives what readers take for one.
    fn keep<T>(&mut self, outcome: crate::error::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let told = io::Error::other(error.to_string());
            self.failure.get_or_insert(error);
            told
        })
    }

    fn block(&mut self, view: &dyn View, number: u64) -> io::Result<&[u8]> {
        self.uses += 1;
        if !self.blocks.contains_key(&number) {
            let start = number * BLOCK_LEN as u64;
            let len = (view.len() - start).min(BLOCK_LEN as u64) as usize;
            let mut bytes = vec![0; len].into_boxed_slice();
            self.keep(view.read_at(start, &mut bytes))?;
            self.make_room();
            self.blocks.insert(number, (0, bytes));
        }
        let uses = self.uses;
        let block = self.blocks.get_mut(&number).map(|(used, bytes)| {
            *used = uses;
            &**bytes
        });
        block.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn make_room(&mut self) {
        if self.blocks.len() < BLOCKS_MAX {
            return;
        }
        let oldest = self.blocks.iter().min_by_key(|(_, (used, _))| *used);
        if let Some(number) = oldest.map(|(number, _)| *number) {
            self.blocks.remove(&number);
        }
    }
}

/// The same bytes for who reads on from a position; whatever is written is refused.
#[derive(Clone)]
pub(super) struct Position {
    medium: Rc<Medium>,
    at: u64,
}

impl Position {
    pub(super) fn new(medium: &Rc<Medium>) -> Self {
        let medium = Rc::clone(medium);
        Self { medium, at: 0 }
    }
}

impl Read for Position {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = self.medium.len().saturating_sub(self.at);
        let len = usize::try_from(rest).map_or(out.len(), |rest| rest.min(out.len()));
        self.medium.read(self.at, &mut out[..len])?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Position {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.medium.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// For a reader that could also write.
impl Write for Position {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `view` holds, as far as it is known.
///
/// # Errors
/// If what would say so is lost: to who recognizes, that is the same as an unknown mark.
pub(in crate::serve) fn recognized(view: &dyn View) -> Result<Option<FileSystem>> {
    let found = probe(&Probed(view), 0, view.len());
    if found.is_none() {
        let mut head = vec![0; view.len().min(PROBED_LEN as u64) as usize];
        view.read_at(0, &mut head)?;
    }
    Ok(found)
}

/// A view for who recognizes what is in it.
pub(in crate::serve) struct Probed<'v>(pub(in crate::serve) &'v dyn View);

impl ReadAt for Probed<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.len().saturating_sub(offset);
        let len = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let read = self.0.read_at(offset, &mut buffer[..len]);
        read.map(|()| len)
            .map_err(|error| io::Error::other(error.to_string()))
    }
}
