//! Chunks that were not to be had: who reads a damaged file piece by piece asks for one of them many
//! times, and each time a whole frame would be read again in vain.
//!
//! What is lost may come back: a later snapshot stores it again. So after a number of answers from
//! memory it is looked for again. No clock decides, only how often it was asked for.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Error;
use crate::format::id::ChunkId;
use crate::repository::index::is_missing_or_damaged;

/// Answers from memory before a chunk is looked for again: about as many as there are pages of the
/// kernel in a long chunk.
const ANSWERS: u32 = 64;
/// Chunks that are remembered.
const LOSSES_MAX: usize = 4_096;

/// What was not to be had, and why.
#[derive(Default)]
pub(super) struct Losses(Mutex<HashMap<ChunkId, (Error, u32)>>);

impl Losses {
    /// Why the chunk is lost, if that was found out shortly before.
    pub(super) fn find(&self, id: &ChunkId) -> Option<Error> {
        let mut losses = self.0.lock();
        let (error, answers_left) = losses.get_mut(id)?;
        let error = error.repeated();
        *answers_left -= 1;
        if *answers_left == 0 {
            losses.remove(id);
        }
        Some(error)
    }

    /// Remembers why a chunk is lost; not that a medium does not answer.
    pub(super) fn note(&self, id: &ChunkId, error: &Error) {
        if !is_missing_or_damaged(error) {
            return;
        }
        let mut losses = self.0.lock();
        if losses.len() >= LOSSES_MAX {
            losses.clear();
        }
        losses.insert(*id, (error.repeated(), ANSWERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Place};

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, Place::Repository, "is bad")
    }

    #[test]
    fn a_loss_is_told_from_memory_so_often_and_then_looked_for_again() {
        let (losses, id) = (Losses::default(), ChunkId([7; 32]));
        assert!(losses.find(&id).is_none());
        losses.note(&id, &error(ErrorKind::Damaged));
        let told = (0..200).filter_map(|_| losses.find(&id)).count();
        assert_eq!(told, ANSWERS as usize);
    }

    #[test]
    fn a_medium_that_does_not_answer_is_asked_again() {
        let (losses, id) = (Losses::default(), ChunkId([7; 32]));
        losses.note(&id, &error(ErrorKind::Io));
        assert!(losses.find(&id).is_none());
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let losses = Losses::default();
        for number in 0..3 * LOSSES_MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            losses.note(&ChunkId(id), &error(ErrorKind::NotFound));
        }
        assert!(losses.0.lock().len() <= LOSSES_MAX);
    }
}
