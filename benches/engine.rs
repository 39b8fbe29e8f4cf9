//! The operations by the engine, each as a program of its own would run it: the repository is
//! opened, its index is loaded from the cache, and the work is done.
#![allow(clippy::print_stderr, reason = "what could not be restored is told")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use blockstore::limits::MEMORY_DEFAULT;
use blockstore::pipeline::budget::Budget;
use blockstore::repository::snapshots;
use blockstore::storage::cache::CacheFolder;
use blockstore::{
    CheckOptions, CreateOptions, LocalBackend, Observer, ParentChoice, Problem, Repository,
    RestoreOptions, Result, SnapshotOptions, Timestamp, UnlockSecret,
};

/// A repository, and what is captured into it.
pub struct Engine {
    source: PathBuf,
    repository: PathBuf,
    cache: CacheFolder,
    budget: Budget,
}

/// Prints what was not restored.
struct Problems;

impl Observer for Problems {
    fn problem(&self, problem: &Problem) {
        eprintln!("{}: {}", problem.subject.escape_ascii(), problem.detail);
    }
}

/// What is compared to find unchanged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nothing: everything is read.
    None,
    /// The snapshot before.
    Newest,
}

impl Engine {
    /// Makes a repository in `place`, for snapshots of `source` by so many threads.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(source: &Path, place: &Path, threads: usize) -> Result<Self> {
        let repository = place.join("repository");
        let backend = Arc::new(LocalBackend::create(&repository)?);
        Repository::create(backend, &secret(), &CreateOptions::new(0))?;
        Ok(Self {
            source: source.to_owned(),
            repository,
            cache: CacheFolder::open(&place.join("cache"))?,
            budget: Budget::divide(MEMORY_DEFAULT, threads)?,
        })
    }

    /// Takes a snapshot.
    ///
    /// # Errors
    /// If nothing was committed.
    pub fn snapshot(&self, parent: Parent) -> Result<()> {
        let options = SnapshotOptions {
            parent: match parent {
                Parent::None => ParentChoice::None,
                Parent::Newest => ParentChoice::Newest,
            },
            budget: self.budget,
            ..SnapshotOptions::new(now)
        };
        let paths = [self.source.clone()];
        blockstore::snapshot(&self.open()?, &paths, &options, &()).map(drop)
    }

    /// Restores the newest snapshot to the folder `target`.
    ///
    /// # Errors
    /// If it stopped. What could not be restored whole is printed.
    pub fn restore(&self, target: &Path) -> Result<()> {
        let repository = self.open()?;
        let newest = snapshots::find(&repository, "latest")?;
        let options = RestoreOptions {
            budget: self.budget,
            ..RestoreOptions::default()
        };
        let report = blockstore::restore(&repository, &newest, b"", target, &options, &Problems)?;
        if report.problems > 0 {
            eprintln!("restore: {} problems", report.problems);
        }
        Ok(())
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// If it stopped.
    ///
    /// # Panics
    /// If something is not sound.
    pub fn check(&self) -> Result<()> {
        let options = CheckOptions {
            read_data: true,
            budget: self.budget,
        };
        let report = blockstore::check(&self.open()?, &options, &())?;
        assert!(report.is_sound(), "{report:?}");
        Ok(())
    }

    fn open(&self) -> Result<Repository> {
        let backend = Arc::new(LocalBackend::open(&self.repository)?);
        Repository::open(backend, &secret())?.with_cache(&self.cache)
    }
}

/// A key file, which costs no run of Argon2.
fn secret() -> UnlockSecret {
    UnlockSecret::key_file([7; 64])
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: since.as_secs() as i64,
        nanoseconds: since.subsec_nanos(),
    }
}
