//! A content whose bytes one thread has, in their order: the caller cuts, the workers do the rest.
//!
//! For sources that cannot be read by several threads at once. A chunk that ends before the end of
//! what is there ends in the same place whatever follows (section 12 of the format), so what was
//! pushed is cut as it comes, all but the last chunk.

use std::collections::VecDeque;

use crate::error::Result;
use crate::format::entry::{Content, Extent, ExtentKind};
use crate::limits::FRAME_LEN_TARGET;
use crate::pipeline::ingest::{Ingest, Ticket};
use crate::pipeline::worker::push_extent;
use crate::repository::manifest::builder::PageStore;
use crate::repository::manifest::extents::ContentBuilder;
use crate::transform::chunk::Chunker;

/// A piece is this part of a segment: those that wait for a worker, and the one it works on, take no
/// more than the buffer for a segment, which it does not need meanwhile.
const PIECES_OF_SEGMENT: usize = 8;
/// Pieces whose extents wait for the builder before the oldest is waited for.
const PIECES_WAITING_MAX: usize = 64;

/// One content on its way to the workers.
pub(crate) struct Stream<'c> {
    chunker: &'c Chunker,
    /// A run is cut once this much of it is there.
    piece_len: usize,
    /// Bytes of the run that were not cut yet.
    buffer: Vec<u8>,
    builder: ContentBuilder,
    waiting: VecDeque<Part>,
}

enum Part {
    Chunks(Ticket<Vec<Extent>>),
    Hole(u64),
}

impl<'c> Stream<'c> {
    /// A content of no bytes.
    pub(crate) fn new(chunker: &'c Chunker, ingest: &Ingest<'_>) -> Self {
        let longest = chunker.sizes().max();
        Self {
            chunker,
            piece_len: (ingest.budget().segment_len / PIECES_OF_SEGMENT).max(2 * longest),
            buffer: Vec::new(),
            builder: ContentBuilder::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Appends bytes to the run of data at the end.
    ///
    /// # Errors
    /// As of the ingest.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        ingest: &Ingest<'_>,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() >= self.piece_len {
            true => self.cut(false, ingest, store),
            false => Ok(()),
        }
    }

    /// Appends a hole, which ends the run before it.
    ///
    /// # Errors
    /// As of the ingest.
    pub(crate) fn push_hole(
        &mut self,
        len: u64,
        ingest: &Ingest<'_>,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        self.cut(true, ingest, store)?;
        self.wait(Part::Hole(len), store)
    }

    /// All of it is there: gives the last of it to the workers.
    ///
    /// # Errors
    /// As of the ingest.
    pub(crate) fn end(&mut self, ingest: &Ingest<'_>, store: &mut PageStore<'_>) -> Result<()> {
        self.cut(true, ingest, store)
    }

    /// Waits for the workers. Gives the content of what was there at its [`end`](Self::end).
    ///
    /// # Errors
    /// As of the ingest.
    pub(crate) fn finish(mut self, store: &mut PageStore<'_>) -> Result<Content> {
        while let Some(part) = self.waiting.pop_front() {
            self.take(part, store)?;
        }
        self.builder.finish(store)
    }

    /// Gives whole chunks to a worker; the last one too if the run ends here.
    fn cut(&mut self, is_end: bool, ingest: &Ingest<'_>, store: &mut PageStore<'_>) -> Result<()> {
        let mut cuts: Vec<_> = self.chunker.cuts(&self.buffer).collect();
        if !is_end {
            cuts.pop();
        }
        let Some(&end) = cuts.last() else {
            return Ok(());
        };
        let rest = self.buffer.split_off(end);
        let piece = std::mem::replace(&mut self.buffer, rest);
        let ticket = ingest.submit(move |worker| {
            worker.count_read(piece.len() as u64);
            let (mut extents, mut start) = (Vec::with_capacity(cuts.len()), 0);
            for cut in cuts {
                let kind = worker.store_chunk(&piece[start..cut], FRAME_LEN_TARGET)?;
                push_extent(&mut extents, (cut - start) as u64, kind);
                start = cut;
            }
            Ok(extents)
        })?;
        self.wait(Part::Chunks(ticket), store)
    }

    fn wait(&mut self, part: Part, store: &mut PageStore<'_>) -> Result<()> {
        self.waiting.push_back(part);
        while self.waiting.len() > PIECES_WAITING_MAX {
            if let Some(oldest) = self.waiting.pop_front() {
                self.take(oldest, store)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, part: Part, store: &mut PageStore<'_>) -> Result<()> {
        match part {
            Part::Hole(len) => {
                let kind = ExtentKind::Hole;
                self.builder.push(Extent { len, kind }, store)
            }
            Part::Chunks(ticket) => {
                let mut extents = ticket.wait()?.into_iter();
                extents.try_for_each(|extent| self.builder.push(extent, store))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::limits::MIB;
    use crate::pipeline::budget::Budget;
    use crate::pipeline::ingest::{self, IngestOptions};
    use crate::pipeline::{IngestError, ReadAt};
    use crate::repository::session::{Session, Writer};
    use crate::storage::memory::MemoryBackend;
    use crate::testing::random::Random;
    use crate::testing::sample_repository::{self, small_frames};

    struct Bytes(Vec<u8>);

    impl ReadAt for Bytes {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let there = &self.0[offset as usize..];
            let len = there.len().min(buffer.len());
            buffer[..len].copy_from_slice(&there[..len]);
            Ok(len)
        }
    }

    /// The content as a worker cuts it that has all of it.
    fn whole(data: &[u8], ingest: &Ingest<'_>, store: &mut PageStore<'_>) -> Result<Content> {
        let (bytes, len) = (Bytes(data.to_vec()), data.len() as u64);
        let ticket = ingest.submit(move |worker| {
            let runs = (len > 0).then_some(Ok(0..len));
            worker
                .ingest(&bytes, runs, len)
                .map_err(|error| match error {
                    IngestError::Store(error) => error,
                    IngestError::Source(error) => panic!("memory can be read: {error}"),
                })
        })?;
        let mut builder = ContentBuilder::default();
        let mut extents = ticket.wait()?.into_iter();
        extents.try_for_each(|extent| builder.push(extent, store))?;
        builder.finish(store)
    }

    #[test]
    fn cuts_do_not_depend_on_the_pieces_that_come() {
        let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
        let mut session = Session::begin(&repository, &Writer::default(), small_frames()).unwrap();
        let options = IngestOptions {
            budget: Budget {
                segment_len: MIB,
                ..Budget::default()
            },
            level: 1,
            observer: &(),
        };
        let chunker = repository.chunker().unwrap();
        let mut random = Random::new(17);
        let ran = ingest::run(&mut session, &options, |ingest| {
            let (mut store, mut pairs) = (ingest.page_store(), Vec::new());
            for len in [0, 1, 70_000, 3_000_017] {
                let mut data = random.bytes(len);
                data[len / 3..len / 2].fill(0);
                let expected = whole(&data, ingest, &mut store)?;
                for piece_len in [4_093, 300_000, 5_000_000] {
                    let mut stream = Stream::new(&chunker, ingest);
                    for piece in data.chunks(piece_len) {
                        stream.push(piece, ingest, &mut store)?;
                    }
                    stream.end(ingest, &mut store)?;
                    pairs.push((stream.finish(&mut store)?, expected.clone()));
                }
            }
            store.finish().map(|()| pairs)
        });
        session.abandon();
        // Not before the workers have ended, who would wait for ever.
        let (pairs, _) = ran.unwrap();
        assert_eq!(pairs.len(), 12);
        for (made, expected) in pairs {
            assert_eq!(made, expected);
        }
    }
}
