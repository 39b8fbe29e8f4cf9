//! One budget of memory, divided.
//!
//! The parts are sums of what is allocated where; nothing else of size lives beside them. The
//! index is the one part that grows with the repository, and is not divided here.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::{FRAME_LEN_TARGET, MEMORY_DEFAULT, MIB, PACK_LEN_TARGET, SEGMENT_LEN};

/// What a process holds whatever it does: code, walk, manifest, queues, allocator.
const FIXED: usize = 32 * MIB;
/// Packs in memory at most: one filling, one waiting and one being written of data, one of meta.
const PACKS: usize = 4;
/// Frame buffers of a worker, plain, coded, sealed and read back, and its zstd contexts.
const WORKER_FRAMES: usize = 4 * FRAME_LEN_TARGET + 3 * MIB;
const SEGMENT_LEN_MIN: usize = MIB;
const WORKER_MIN: usize = WORKER_FRAMES + SEGMENT_LEN_MIN;
const PACK_LEN_MIN: usize = 4 * MIB;
/// Below this no operation is attempted.
const MEMORY_MIN: usize = 64 * MIB;

/// How much of everything a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Worker threads.
    pub threads: usize,
    /// Piece of a large file that one worker takes, bytes.
    pub segment_len: usize,
    /// A pack is finished at this length, bytes.
    pub pack_len_target: usize,
    /// Plaintext of frames kept for reading, bytes.
    pub cache_len: usize,
}

impl Budget {
    /// Divides `memory` bytes among at most `threads` workers.
    pub fn divide(memory: usize, threads: usize) -> Result<Self> {
        if memory < MEMORY_MIN {
            let detail = format!("{memory} bytes are too few: at least {MEMORY_MIN} are needed");
            return Err(Error::new(
                ErrorKind::InvalidInput,
                Place::Argument("memory"),
                detail,
            ));
        }
        let free = memory - FIXED;
        // The default memory is enough for full packs: shorter ones are padded to fewer lengths,
        // which costs a hundredth of what is stored.
        let for_packs = (free * 4 / 7).min(free.saturating_sub(threads * WORKER_MIN));
        let pack_len_target = (for_packs / PACKS).clamp(PACK_LEN_MIN, PACK_LEN_TARGET);
        let for_workers = free.saturating_sub(PACKS * pack_len_target);
        let threads = threads.clamp(1, (for_workers / WORKER_MIN).max(1));
        let segment_len = (for_workers / threads).saturating_sub(WORKER_FRAMES);
        let segment_len = segment_len.clamp(SEGMENT_LEN_MIN, SEGMENT_LEN);
        Ok(Self {
            threads,
            segment_len,
            pack_len_target,
            cache_len: free / 4,
        })
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::divide(MEMORY_DEFAULT, 2).expect("the default memory is enough for two threads")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fit_the_whole_at_every_size() {
        for memory_mib in [64, 100, 256, 1024, 65_536] {
            for threads in [1, 2, 16, 64] {
                let budget = Budget::divide(memory_mib * MIB, threads).unwrap();
                let worker = budget.segment_len + WORKER_FRAMES;
                let sum = FIXED + PACKS * budget.pack_len_target + budget.threads * worker;
                let slack = if budget.threads == 1 { worker } else { 0 };
                assert!(
                    sum <= memory_mib * MIB + slack,
                    "{memory_mib} MiB, {threads}: {budget:?}"
                );
            }
        }
        assert_eq!(Budget::default().segment_len, SEGMENT_LEN);
        assert_eq!(Budget::default().pack_len_target, PACK_LEN_TARGET);
        assert!(Budget::divide(MIB, 2).is_err());
    }
}
