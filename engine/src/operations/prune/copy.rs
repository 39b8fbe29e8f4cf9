//! P2: needed frames of sparse packs go into new packs, still sealed.
//!
//! The new packs belong to a session of their own with an intent, so that no other prune takes them
//! before the plan stands that relies on them.

use crate::error::Result;
use crate::format::id::SessionId;
use crate::format::name::ObjectName;
use crate::operations::prune::choose::{Choice, SparsePack};
use crate::operations::prune::{Prune, is_full};
use crate::repository::Repository;
use crate::repository::index::{Index, is_missing_or_damaged};
use crate::repository::moved::{PackMover, SourcePack};
use crate::repository::session::{Announced, Session};

/// What was copied, durably.
#[derive(Default)]
pub(super) struct Copied {
    /// Packs of which everything that is needed has another copy now.
    sources: Vec<ObjectName>,
    session: Option<SessionId>,
    was_full: bool,
}

impl Copied {
    pub(super) fn sources(&self) -> impl Iterator<Item = &ObjectName> {
        self.sources.iter()
    }

    /// False if the medium was too full to copy anything.
    pub(super) fn had_room(&self) -> bool {
        !self.was_full
    }

    /// Takes the intent away: the new packs are needed by now, or garbage.
    pub(super) fn end(&self, repository: &Repository) {
        if let Some(session) = self.session {
            let _ = repository.backend().delete(&ObjectName::Intent(session));
        }
    }
}

impl Prune<'_> {
    /// Copies what is needed of sparse packs. A medium that is too full for it costs the copies,
    /// not the prune: what was copied is garbage then, which the next plan takes.
    pub(super) fn copy(&mut self, choice: &Choice) -> Result<Copied> {
        let mut copied = Copied::default();
        if choice.sparse.is_empty() {
            return Ok(copied);
        }
        let (repository, options) = (self.repository, self.options);
        let announced = self.with_room(|| Announced::put(repository, &options.writer))?;
        let index = Index::default(); // nothing is looked up: every frame is new
        let session = Session::start(repository, &index, announced, options.session)?;
        copied.session = Some(session.id());
        self.own = Some(session.id());
        let moved = self.move_packs(&session, &choice.sparse);
        let ended = session.finish_without_snapshot();
        match moved.and_then(|sources| ended.map(|_| sources)) {
            Ok(sources) => copied.sources = sources,
            Err(error) if is_full(&error) => {
                copied.was_full = true;
                self.report.is_partial = true;
            }
            Err(error) => {
                copied.end(repository);
                return Err(error);
            }
        }
        Ok(copied)
    }

    fn move_packs(
        &mut self,
        session: &Session<'_>,
        packs: &[SparsePack],
    ) -> Result<Vec<ObjectName>> {
        let mut mover = PackMover::new(session);
        let mut sources = Vec::new();
        for pack in packs {
            self.go_on()?;
            self.report.unused_bytes += pack.unused_len;
            if self.is_late() {
                self.report.is_partial = true;
                continue;
            }
            let source = match SourcePack::read(self.repository, &pack.name) {
                Ok(source) => source,
                Err(error) if is_missing_or_damaged(&error) => {
                    self.report.unreadable.push((pack.name, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let frames = source.table().frames.iter().enumerate();
            let live = frames.filter(|(_, frame)| pack.live_frames.contains(&frame.offset));
            let live: Vec<_> = live.map(|(number, _)| number).collect();
            if live.len() != pack.live_frames.len() {
                continue; // its table knows less than the index said: it stays as it is
            }
            for number in live {
                mover.take(&source, number)?;
            }
            self.report.copied_bytes += pack.live_len;
            self.report.repacked.add(pack.len);
            self.report.unused_bytes -= pack.unused_len;
            sources.push(pack.name);
        }
        mover.finish()?;
        Ok(sources)
    }

    fn is_late(&self) -> bool {
        let most = self.options.max_time;
        most.is_some_and(|most| self.begun.elapsed() >= most)
    }
}
