//! Where chunks end: content-defined cuts that are a pure function of a byte stream and a key.
//!
//! Two stages find *candidates*, positions where a chunk may end. The filter, a sum of products
//! over the last 16 bytes that SIMD computes for every position, lets one position in 2,048
//! through; there a keyed hash of the last [`WINDOW_LEN`] bytes decides. Whether a position is a
//! candidate depends on those bytes and on nothing else, so threads may scan a stream in pieces.
//! A cheap sequential pass then [selects](Chunker::select) cuts among them: none below the
//! minimum, a harder test before the average than after it, a forced cut at the maximum.
//! FORMAT.md section 12 is the exact definition.
//!
//! Deliberately absent: secrecy of the cuts. Both stages are keyed, as defence in depth, but
//! whoever sees chunk lengths can test guesses against them, whatever the chunker. That nobody
//! without the key sees a length is the work of sealed tables and padding.
//!
//! Below: `limits`, BLAKE3. Above: `pipeline`.

mod filter;
mod select;
mod sizes;
#[cfg(test)]
mod tests;
mod verify;

use std::ops::ControlFlow;

pub use self::sizes::ChunkSizes;
pub use self::sizes::ChunkSizesError;

use self::filter::Filter;
use self::verify::Verdict;
use self::verify::Verifier;

/// Bytes before a position that decide whether it is a candidate. Shorter than any chunk but the
/// last of a stream: the window of a cut never reaches into the chunk before.
pub const WINDOW_LEN: usize = verify::WINDOW_LEN;

const _: () = assert!(filter::WINDOW_LEN <= WINDOW_LEN);
const _: () = assert!(WINDOW_LEN <= sizes::MIN_LOWEST as usize);

/// A position where a chunk may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Number of bytes of the scanned buffer before it.
    pub end: usize,
    /// It passed the harder test, and may end a chunk below the average too.
    pub hard: bool,
}

/// Finds the cuts of one repository: its secrets and sizes, and the fastest code for this CPU.
#[derive(Clone, Debug)]
pub struct Chunker {
    sizes: ChunkSizes,
    filter: Filter,
    verifier: Verifier,
}

impl Chunker {
    /// The chunker of the repository with this chunker key and these sizes.
    pub fn new(key: &[u8; 32], sizes: ChunkSizes) -> Self {
        Self {
            sizes,
            filter: Filter::new(key),
            verifier: Verifier::new(key, sizes.avg_bits() - filter::SELECTIVITY_BITS),
        }
    }

    /// The sizes it cuts to.
    pub fn sizes(&self) -> ChunkSizes {
        self.sizes
    }

    /// Appends the candidates of `buf` that end after `from`, ascending.
    ///
    /// A window must lie in `buf` whole: to go on with a stream, keep [`WINDOW_LEN`] bytes before
    /// `from`. A buffer that begins where a chunk may begin needs nothing before it, since no
    /// chunk ends within the first [`WINDOW_LEN`] bytes of itself.
    pub fn scan(&self, buf: &[u8], from: usize, out: &mut Vec<Candidate>) {
        let _ = self.visit(buf, from, buf.len(), |candidate| {
            out.push(candidate);
            ControlFlow::<()>::Continue(())
        });
    }

    /// All cuts of a stream that is `data` and nothing more, ascending; the last is its length.
    ///
    /// The same as [`scan`](Self::scan) and [`select`](Self::select), but faster: what lies below
    /// the minimum is not scanned.
    pub fn cuts<'a>(&'a self, data: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let mut start = 0;
        std::iter::from_fn(move || {
            if start == data.len() {
                return None;
            }
            start += self.first_chunk_len(&data[start..]);
            Some(start)
        })
    }

    /// Length of the first chunk of a stream that begins with `data`, which must be at least one
    /// longest chunk or the rest of the stream.
    fn first_chunk_len(&self, data: &[u8]) -> usize {
        let longest = data.len().min(self.sizes.max());
        self.first_chunk(data, true).unwrap_or(longest)
    }

    /// Length of the first chunk of a stream that begins with `data`, and `ends` with it or goes
    /// on; nothing while bytes behind `data` decide it.
    pub fn first_chunk(&self, data: &[u8], ends: bool) -> Option<usize> {
        let longest = data.len().min(self.sizes.max());
        let shortest = self.sizes.min();
        let is_decided = ends || longest == self.sizes.max();
        if longest <= shortest {
            return is_decided.then_some(longest);
        }
        let found = self.visit(data, shortest - 1, longest, |candidate| {
            if candidate.hard || candidate.end >= self.sizes.avg() {
                ControlFlow::Break(candidate.end)
            } else {
                ControlFlow::Continue(())
            }
        });
        found.break_value().or(is_decided.then_some(longest))
    }

    /// Calls `visit` with each candidate in `from < end <= to`, ascending, until it breaks.
    #[inline]
    fn visit<B>(
        &self,
        buf: &[u8],
        from: usize,
        to: usize,
        mut visit: impl FnMut(Candidate) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let from = from.max(WINDOW_LEN - 1);
        self.filter.visit(buf, from, to, |end| {
            match self.verifier.judge(&buf[end - WINDOW_LEN..end]) {
                Verdict::None => ControlFlow::Continue(()),
                Verdict::Easy => visit(Candidate { end, hard: false }),
                Verdict::Hard => visit(Candidate { end, hard: true }),
            }
        })
    }
}
