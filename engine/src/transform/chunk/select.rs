//! The sequential pass: from candidates to cuts.
//!
//! It remembers nothing but where the next chunk starts, so a stream may be selected in segments:
//! each needs the start that the one before returns, and candidates as far as its last chunk may
//! reach.

use super::Candidate;
use super::ChunkSizes;
use super::Chunker;

impl Chunker {
    /// Appends to `out` the ends of the chunks that *start* in `first_start..starts_before`, and
    /// returns where the chunk after them starts. Allocates nothing but what `out` needs.
    ///
    /// All offsets are in the buffer of `data_len` bytes whose `candidates` were
    /// [scanned](Self::scan). Unless the run ends with the buffer, it must reach one longest chunk
    /// beyond `starts_before`. At the end of a run the start returned may be `data_len`: there is
    /// no further chunk.
    ///
    /// # Panics
    ///
    /// When the buffer is too short for the last chunk to be decided.
    pub fn select(
        &self,
        candidates: &[Candidate],
        first_start: usize,
        starts_before: usize,
        data_len: usize,
        is_end_of_run: bool,
        out: &mut Vec<usize>,
    ) -> usize {
        let sizes = self.sizes();
        let reach = starts_before.min(data_len);
        assert!(
            is_end_of_run || first_start >= starts_before || data_len - reach >= sizes.max() - 1,
            "a segment reaches one longest chunk beyond its last start"
        );
        let mut rest = candidates;
        let mut start = first_start;
        while start < reach {
            let longest = sizes.max().min(data_len - start);
            rest = &rest[rest.partition_point(|c| c.end < start + sizes.min())..];
            start += chunk_len(sizes, rest, start, longest);
            out.push(start);
        }
        start
    }
}

/// Length of the chunk at `start`, given the candidates from its minimum on.
fn chunk_len(sizes: ChunkSizes, candidates: &[Candidate], start: usize, longest: usize) -> usize {
    candidates
        .iter()
        .map(|candidate| (candidate.end - start, candidate.hard))
        .take_while(|&(len, _)| len < longest)
        .find(|&(len, hard)| hard || len >= sizes.avg())
        .map_or(longest, |(len, _)| len)
}
