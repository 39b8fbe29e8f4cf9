//! Deletes what no snapshot needs, beside writers and other prunes, without a lock or a clock. §14.
//!
//! ```text
//! survey    P1: packs, sessions, snapshots, in the order that makes them fit each other
//! mark      everything that snapshots need, as bits of index entries
//! choose    which packs are dead, and which are worth copying
//! copy      P2: live frames of sparse packs, still sealed
//! decide    P3 to P6: plan, fence, look again, seal
//! sweep     P7 to P10: snapshots, packs, index runs, and the steps themselves
//! ```
//! **Architecture Invariant:** a page that cannot be read ends a prune before anything is
//! condemned: what it names is not known. No chunk is read, and no frame of data is opened (I5).
//!
//! Every step may be the last one before a crash, and may be done by several prunes: what is durable
//! says where to go on. Times are asked for politeness alone: whether a writer may still be at work.

mod choose;
mod copy;
mod decide;
mod mark;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::format::id::SessionId;
use crate::format::name::ObjectName;
use crate::format::prune::PruneRecord;
use crate::limits::{PRUNE_GRACE_SECONDS, PRUNE_UNUSED_PERMILLE};
use crate::observe::Observer;
use crate::operations::prune::choose::Choice;
use crate::operations::prune::decide::Decision;
use crate::operations::prune::survey::Survey;
use crate::repository::Repository;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::prunes;
use crate::repository::session::{SessionOptions, Writer};
use crate::storage::room::with_room;

/// How often it is looked what there is, where other prunes move packs meanwhile.
const SURVEYS_MAX: u32 = 16;

/// How a repository is pruned.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// Who prunes; `started` is the time that writers' silence is measured by.
    pub writer: Writer,
    /// How much of the remaining packs may be unused.
    pub max_unused: MaxUnused,
    /// Most bytes that are copied out of sparse packs.
    pub max_repack: u64,
    /// No pack is copied once this has passed.
    pub max_time: Option<Duration>,
    /// Packs of a writer that a prune ended are left to it for so long, seconds, unless it ran on
    /// this machine and is gone.
    pub grace_seconds: u64,
    /// Only says what would be done.
    pub dry_run: bool,
    /// How packs and runs are filled.
    pub session: SessionOptions,
}

impl PruneOptions {
    /// The usual options.
    pub fn new(writer: Writer) -> Self {
        Self {
            writer,
            max_unused: MaxUnused::Permille(PRUNE_UNUSED_PERMILLE),
            max_repack: u64::MAX,
            max_time: None,
            grace_seconds: PRUNE_GRACE_SECONDS,
            dry_run: false,
            session: SessionOptions::default(),
        }
    }
}

/// How much may stay that nothing needs, so that less is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxUnused {
    /// Thousandths of the length of the packs that remain.
    Permille(u32),
    /// Bytes.
    Bytes(u64),
}

/// What a prune did, or would do.
#[derive(Debug, Default)]
pub struct PruneReport {
    /// Numbers of the plans that were carried out.
    pub plans: Vec<u32>,
    /// Packs that there were, and their length, bytes.
    pub packs: PackSum,
    /// Packs that nothing needs.
    pub dead: PackSum,
    /// Packs whose needed frames were copied.
    pub repacked: PackSum,
    /// Length of the frames that were copied, bytes.
    pub copied_bytes: u64,
    /// Bytes of packs that stay and are needed by nothing.
    pub unused_bytes: u64,
    /// Packs that were deleted.
    pub deleted: PackSum,
    /// Forgotten snapshots that are gone for good.
    pub let_go: Vec<SessionId>,
    /// Sessions that had not committed and were ended.
    pub ended: Vec<SessionId>,
    /// Condemned packs that a snapshot turned out to need.
    pub rescued: Vec<ObjectName>,
    /// Packs that cannot be read, and stay.
    pub unreadable: Vec<(ObjectName, Error)>,
    /// Index runs that were written, and that went.
    pub runs_written: u64,
    /// Index runs that went.
    pub runs_removed: u64,
    /// True if copying stopped early, for time or room.
    pub is_partial: bool,
}

/// Some packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackSum {
    /// How many.
    pub count: u64,
    /// Their length, bytes.
    pub bytes: u64,
}

impl PackSum {
    fn add(&mut self, len: u64) {
        self.count += 1;
        self.bytes += len;
    }
}

/// What a prune works with.
struct Prune<'p> {
    repository: &'p Repository,
    options: &'p PruneOptions,
    observer: &'p dyn Observer,
    /// The session that copies: its packs are what the plan relies on.
    own: Option<SessionId>,
    /// When it began; nothing but `max_time` is measured by it.
    begun: Instant,
    report: PruneReport,
}

/// Deletes what no snapshot needs.
///
/// # Errors
/// `Damaged` or `NotFound`, naming the snapshots, if something that they need cannot be read:
/// nothing was condemned. `NoSpace` if not even the reserve was enough. Whatever the error, a
/// prune that is run again goes on where this one stopped.
pub fn prune(
    repository: &Repository,
    options: &PruneOptions,
    observer: &dyn Observer,
) -> Result<PruneReport> {
    let mut prune = Prune {
        repository,
        options,
        observer,
        own: None,
        begun: Instant::now(),
        report: PruneReport::default(),
    };
    prune.run()?;
    Ok(prune.report)
}

impl Prune<'_> {
    fn run(&mut self) -> Result<()> {
        if self.options.dry_run {
            let (survey, choice) = self.survey()?;
            return self.tell(&survey, &choice);
        }
        let has_room = self.round()?;
        if !has_room {
            // What was dead is gone: now there may be room to copy.
            self.round()?;
        }
        let _ = self.repository.backend().renew_reserve();
        Ok(())
    }

    /// One plan, from survey to done; false if the medium was too full to copy anything.
    fn round(&mut self) -> Result<bool> {
        let repository = self.repository;
        let (survey, choice) = loop {
            self.finish_unfinished()?;
            self.end_writers_that_are_gone()?;
            let found = self.survey()?;
            // What another plan condemns must not be chosen among: it may be going.
            if !found.0.prunes.is_unfinished() {
                break found;
            }
        };
        self.tell(&survey, &choice)?;
        if choice.is_nothing() && survey.let_go.is_empty() && !survey.has_leftovers {
            return Ok(true);
        }
        let copied = self.copy(&choice)?;
        let plan = PruneRecord {
            number: survey.prunes.newest() + 1,
            packs: choice.condemned(&copied),
            snapshots: survey.let_go.clone(),
        };
        let mine = Decision::Planned {
            plan,
            marked: survey.live_sessions(),
        };
        self.carry_out(mine)?;
        copied.end(repository);
        Ok(copied.had_room())
    }

    /// What there is, and what becomes of it. Another prune that moved packs meanwhile is no damage:
    /// then it is looked at again.
    fn survey(&self) -> Result<(Survey, Choice)> {
        let repository = self.repository;
        let mut attempt = 1;
        loop {
            let before = prunes::list_steps(repository.backend())?;
            let survey = Survey::make(repository, self.options)?;
            match Choice::make(self, &survey) {
                Ok(choice) => return Ok((survey, choice)),
                Err(error) if is_missing_or_damaged(&error) && attempt < SURVEYS_MAX => {
                    if prunes::list_steps(repository.backend())? == before {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Goes on with a plan that another prune did not finish, or an earlier one of ours.
    fn finish_unfinished(&mut self) -> Result<()> {
        let steps = prunes::list_steps(self.repository.backend())?;
        let number = prunes::newest_plan(&steps);
        match steps.get(&number) {
            Some(steps) if !steps.done => self.carry_out(Decision::Found { number }),
            _ => Ok(()),
        }
    }

    /// What a survey came to, for the report.
    fn tell(&mut self, survey: &Survey, choice: &Choice) -> Result<()> {
        let report = &mut self.report;
        report.packs = PackSum::default();
        survey.packs.values().for_each(|len| report.packs.add(*len));
        report.dead = choice.dead_sum();
        report.unused_bytes = choice.unused_bytes;
        for name in &choice.unreadable {
            let detail = "no index run tells of it, and its table cannot be read; it stays";
            let error = Error::damaged(*name, detail);
            report.unreadable.push((*name, error));
        }
        if self.options.dry_run {
            report.let_go = survey.let_go.clone();
            for pack in &choice.sparse {
                report.repacked.add(pack.len);
                report.copied_bytes += pack.live_len;
            }
        }
        self.go_on()
    }

    fn go_on(&self) -> Result<()> {
        crate::operations::walk::stop_if_cancelled(self.observer)
    }

    /// Runs `action`; on a full medium once more, with the room that was kept for it.
    fn with_room<T>(&self, action: impl FnMut() -> Result<T>) -> Result<T> {
        with_room(self.repository.backend(), action)
    }
}

/// True if there is no room left.
fn is_full(error: &Error) -> bool {
    error.kind() == ErrorKind::NoSpace
}
