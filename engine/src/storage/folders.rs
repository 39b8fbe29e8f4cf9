//! Which folders exist, and which hold names that a crash may still undo.
//!
//! Book-keeping of `local` only: it touches no disk. The rule that matters: a folder is clean only
//! if its flush succeeded *and began after its last mark*. Hence marks are numbered.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Shared by all threads of one backend.
#[derive(Debug, Default)]
pub(super) struct Folders {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Folders that were made or found here, and whose parent was marked for it.
    known: BTreeSet<String>,
    /// Folders to flush, each with the number of its last mark.
    dirty: BTreeMap<String, u64>,
    marks: u64,
    /// The first folder whose flush failed. Its names are visible and may never be durable.
    suspect: Option<String>,
}

impl Folders {
    pub(super) fn is_known(&self, folder: &str) -> bool {
        self.state.lock().known.contains(folder)
    }

    pub(super) fn learn(&self, folder: &str) {
        self.state.lock().known.insert(folder.to_owned());
    }

    /// Somebody removed it, or may have.
    pub(super) fn unlearn(&self, folder: &str) {
        self.state.lock().known.remove(folder);
    }

    /// Names in `folder` were changed just now.
    pub(super) fn mark(&self, folder: &str) {
        let mut state = self.state.lock();
        state.marks += 1;
        let mark = state.marks;
        state.dirty.insert(folder.to_owned(), mark);
    }

    /// What to flush, each with the mark to give back to [`Folders::flushed`].
    pub(super) fn dirty(&self) -> Vec<(String, u64)> {
        self.state
            .lock()
            .dirty
            .iter()
            .map(|(folder, mark)| (folder.clone(), *mark))
            .collect()
    }

    /// A flush that began after `mark` succeeded; a later mark stays.
    pub(super) fn flushed(&self, folder: &str, mark: u64) {
        let mut state = self.state.lock();
        if state.dirty.get(folder) == Some(&mark) {
            state.dirty.remove(folder);
        }
    }

    /// A flush failed. No later one can be believed, so this is for good.
    pub(super) fn suspect(&self, folder: &str) {
        self.state
            .lock()
            .suspect
            .get_or_insert_with(|| folder.to_owned());
    }

    /// The folder whose flush failed once.
    pub(super) fn suspected(&self) -> Option<String> {
        self.state.lock().suspect.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_made_during_a_flush_is_not_lost_with_it() {
        let folders = Folders::default();
        folders.mark("packs");
        let flushing = folders.dirty();
        folders.mark("packs");
        folders.flushed("packs", flushing[0].1);
        let again = folders.dirty();
        assert_eq!(again.len(), 1);
        folders.flushed("packs", again[0].1);
        assert_eq!(folders.dirty(), []);
    }
}
