//! Snapshots as a file system of this machine, through FUSE.
//!
//! ```text
//! mod        attaches, waits, detaches: the life of a mount
//! ground     what may stand in the way of a mount, told before it is tried
//! session    what the kernel asks, answered
//! attr       attributes in its terms
//! inodes     inode numbers: a tree and a number in it
//! opened     views that are in use, and buffers to read into
//! ahead      the next files, given to the kernel before it asks
//! ```
//! A snapshot never changes, so the kernel is told to keep what it was told: names, attributes, pages
//! of content and of folders. What is asked twice was let go of in between.
//!
//! No request is remembered and no file is open: every answer follows from the number of an inode.
//! Deliberately absent: threads of our own (those of `fuser` read requests, and `ahead` and a file system
//! inside a volume have one each of `pipeline`), and any writing.

mod ahead;
mod attr;
mod ground;
mod inodes;
mod opened;
mod session;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use rustix::mount::UnmountFlags;

use crate::error::{Error, Place, Result};
use crate::format::id::SessionId;
use crate::format::snapshot::Snapshot;
use crate::limits::MIB;
use crate::observe::Observer;
use crate::repository::snapshots;
use crate::serve::files::Files;
use crate::serve::image::Viewers;
use crate::serve::library::Library;
use crate::serve::mount::session::{Session, Totals};
use crate::serve::names::Names;
use crate::serve::problems::Problems;
use crate::serve::shown::{Everything, Showcase};
use crate::system::point;

/// How often it is looked whether the mount is to end.
const POLL: Duration = Duration::from_millis(50);
/// Looks between two questions for new snapshots: ten seconds.
const POLLS_PER_REFRESH: u32 = 200;
/// Looks that a session has to end in once its mount is gone: half a minute.
const POLLS_TO_END_MAX: u32 = 600;
/// How far the kernel reads ahead in a file, bytes: as much as it asks for at once, where by itself it
/// would wait for an eighth of that. In more of it the processor's cache does not find the start again.
const READ_AHEAD_LEN: usize = MIB;
/// Threads that answer the kernel, at least: one that waits for a disk holds up no other.
const THREADS_MIN: usize = 4;

/// What is mounted.
#[derive(Clone, Copy, Debug)]
pub enum Mounted<'s> {
    /// One snapshot.
    One(&'s Snapshot),
    /// All of the repository; new ones appear, forgotten ones go.
    All,
}

/// How.
#[derive(Clone, Copy, Debug)]
pub struct MountOptions {
    /// Other users may look, as far as modes and ACLs let them.
    pub allow_other: bool,
    /// Everything belongs to this user.
    pub uid: Option<u32>,
    /// Everything belongs to this group.
    pub gid: Option<u32>,
    /// Memory for decoded pages of folders, bytes; as much again for folders inside volumes.
    pub pages_bytes: usize,
    /// Threads that answer the kernel.
    pub threads: usize,
}

/// What a mount came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountReport {
    /// What could not be read, each told to the observer.
    pub problems: u64,
}

/// Mounts on the empty folder `point` until it is unmounted by somebody, or the observer is
/// cancelled: then it is unmounted even if it is in use. `is_mounted` is called once it can be used.
///
/// # Errors
/// Whatever keeps it from being mounted, in words that say what to do; and the error of `is_mounted`.
pub fn mount(
    library: &Arc<Library>,
    mounted: Mounted<'_>,
    point: &Path,
    options: &MountOptions,
    observer: &dyn Observer,
    is_mounted: &mut dyn FnMut() -> Result<()>,
) -> Result<MountReport> {
    let point = &absolute(point)?;
    ground::check(point)?;
    let owner = options.owner();
    let problems = Arc::new(Problems::default());
    let viewers = Viewers {
        owner,
        others: options.allow_other,
    };
    let showcase = Showcase::new(library, options.pages_bytes, viewers, &problems);
    let (files, totals, mut all): (Arc<dyn Files>, _, _) = match mounted {
        Mounted::One(snapshot) => {
            let totals = Totals::of(std::slice::from_ref(snapshot));
            let snapshot = Arc::new(snapshot.clone());
            (showcase.snapshot(&snapshot)?, totals, None)
        }
        Mounted::All => {
            let snapshots = snapshots::list(library.repository())?.snapshots;
            let all = All::new(library, showcase, owner, &snapshots);
            let names = Arc::clone(&all.names);
            (names, Totals::of(&snapshots), Some(all))
        }
    };
    let session = Session::new(files, *options, totals, Arc::clone(&problems));
    let attached = Attached::new(session, point, options)?;
    let mut report = MountReport::default();
    let waited = is_mounted().map(|()| {
        let mut polls = 0;
        while !attached.is_over() && !observer.is_cancelled() {
            thread::sleep(POLL);
            report.problems += problems.pass_on(observer);
            polls += 1;
            if let Some(all) = all.as_mut().filter(|_| polls % POLLS_PER_REFRESH == 0) {
                all.refresh(&problems);
            }
        }
    });
    attached.detach();
    report.problems += problems.pass_on(observer);
    waited.map(|()| report)
}

impl MountOptions {
    /// Who owns what nobody captured.
    fn owner(&self) -> (u32, u32) {
        let user = || rustix::process::getuid().as_raw();
        let group = || rustix::process::getgid().as_raw();
        (
            self.uid.unwrap_or_else(user),
            self.gid.unwrap_or_else(group),
        )
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::DefaultPermissions,
            MountOption::FSName("blockstore".to_owned()),
            // The variant of this name is left out where no helper program mounts.
            MountOption::CUSTOM("subtype=blockstore".to_owned()),
        ];
        config.acl = if self.allow_other {
            SessionACL::All
        } else {
            SessionACL::Owner
        };
        config.n_threads = Some(self.threads.max(THREADS_MIN));
        config.clone_fd = true;
        config
    }
}

/// All snapshots of a repository, as they come and go.
struct All {
    library: Arc<Library>,
    everything: Everything,
    names: Arc<Names>,
    known: Vec<SessionId>,
}

impl All {
    fn new(
        library: &Arc<Library>,
        showcase: Showcase,
        owner: (u32, u32),
        snapshots: &[Snapshot],
    ) -> Self {
        let mut everything = Everything::new(showcase);
        let table = everything.table(snapshots);
        Self {
            library: Arc::clone(library),
            everything,
            names: Arc::new(Names::changing(table, owner)),
            known: sessions_of(snapshots),
        }
    }

    /// Shows what there is now. What cannot be found out is told, and asked again next time.
    fn refresh(&mut self, problems: &Problems) {
        if let Err(error) = self.try_refresh() {
            problems.tell(0, b"snapshots", &error);
        }
    }

    fn try_refresh(&mut self) -> Result<()> {
        let snapshots = snapshots::list(self.library.repository())?.snapshots;
        let now = sessions_of(&snapshots);
        if now == self.known {
            return Ok(());
        }
        if now.iter().any(|session| !self.known.contains(session)) {
            self.library.reader().look_again()?;
        }
        self.names.replace(self.everything.table(&snapshots));
        self.known = now;
        Ok(())
    }
}

/// Stays what it is when the process goes elsewhere.
fn absolute(path: &Path) -> Result<PathBuf> {
    let place = Place::Path(path.to_owned());
    std::path::absolute(path).map_err(|error| Error::io(place, "is no path", error))
}

fn sessions_of(snapshots: &[Snapshot]) -> Vec<SessionId> {
    snapshots.iter().map(|snapshot| snapshot.session).collect()
}

/// A mount that is there.
struct Attached<'p> {
    session: BackgroundSession,
    point: &'p Path,
}

impl<'p> Attached<'p> {
    fn new(session: Session, point: &'p Path, options: &MountOptions) -> Result<Self> {
        let (ahead, inodes) = session.ahead();
        let session = fuser::Session::new(session, point, &options.config());
        let session = session.and_then(fuser::Session::spawn);
        let session = session.map_err(|error| ground::not_mounted(point, error))?;
        ahead.start(&inodes, session.notifier())?;
        // Who may not say so waits a little more often.
        let _ = point::read_ahead(point, READ_AHEAD_LEN);
        Ok(Self { session, point })
    }

    /// True once nobody can ask any more.
    fn is_over(&self) -> bool {
        self.session.guard.is_finished()
    }

    /// Takes the mount away, in use or not. What is being read fails for its reader.
    fn detach(self) {
        // Root ends it at once, also for who is in there; for others the session asks the helper
        // program as it is dropped, and what is in use ends with this process.
        let flags = UnmountFlags::FORCE | UnmountFlags::DETACH;
        if self.is_over() || rustix::mount::unmount(self.point, flags).is_err() {
            return;
        }
        let mut polls = 0;
        while !self.is_over() && polls < POLLS_TO_END_MAX {
            thread::sleep(POLL);
            polls += 1;
        }
    }
}
