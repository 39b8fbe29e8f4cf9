//! Commands: arguments to options, one call of the engine, its report to the output.

mod background;
mod bench;
mod boot;
mod bytes;
mod cat;
mod check;
mod commit;
mod debug;
mod diff;
mod diff_volumes;
mod export;
mod find;
mod forget;
mod generate;
mod images;
mod import;
mod init;
mod logical;
mod ls;
mod ls_volumes;
mod map;
mod merge;
mod mount;
mod protect;
mod prune;
mod repair;
mod restore;
mod restore_volume;
mod serve;
mod snapshot;
mod snapshots;
mod stats;
mod undelete;
mod verify;
mod versions;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use blockstore::pipeline::budget::Budget;
use blockstore::repository::Repository;
use blockstore::repository::session::{SessionOptions, Writer};
use blockstore::serve::library::{Library, LibraryOptions};
use blockstore::storage::Backend;
use blockstore::storage::cache::CacheFolder;
use blockstore::storage::dry_run::DryRunBackend;
use blockstore::storage::local::LocalBackend;

use crate::args::{Cli, Command, Global};
use crate::env::{self, Environment};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::escape;
use crate::secret::{self, Prompt};
use crate::signals::Signals;

/// Runs what was asked for.
pub(crate) fn run(cli: &Cli, output: &Output) -> Result<Outcome, Failure> {
    let context = Context {
        global: &cli.global,
        environment: Environment::read(),
        output,
    };
    match &cli.command {
        Command::Init(args) => init::run(&context, args),
        Command::Snapshot(args) => snapshot::run(&context, args),
        Command::Snapshots(args) => snapshots::run(&context, args),
        Command::Ls(args) => ls::run(&context, args),
        Command::Find(args) => find::run(&context, args),
        Command::Versions(args) => versions::run(&context, args),
        Command::Cat(args) => cat::run(&context, args),
        Command::Map(args) => map::run(&context, args),
        Command::Restore(args) => restore::run(&context, args),
        Command::Mount(args) => mount::run(&context, args),
        Command::Export(args) => export::run(&context, args),
        Command::Serve(args) => serve::run(&context, args),
        Command::Diff(args) => diff::run(&context, args),
        Command::Merge(args) => merge::run(&context, args),
        Command::Commit(args) => commit::run(&context, args),
        Command::Import(args) => import::run(&context, args),
        Command::Boot(args) => boot::run(&context, args),
        Command::Verify(args) => verify::run(&context, args),
        Command::Forget(args) => forget::run(&context, args),
        Command::Undelete(args) => undelete::run(&context, args),
        Command::Protect(args) => protect::run(&context, args),
        Command::Check(args) => check::run(&context, args),
        Command::Prune(args) => prune::run(&context, args),
        Command::Repair(args) => repair::run(&context, args),
        Command::Stats => stats::run(&context),
        Command::Bench(args) => bench::run(&context, args),
        Command::Debug(args) => debug::run(&context, args),
        Command::Completions(args) => generate::completions(&context, args),
        Command::Man(args) => generate::man(args),
    }
}

/// What wants a volume was given something else.
fn not_a_volume(path: &[u8]) -> Failure {
    let path = escape::path(path);
    Failure::Usage(format!("{path:?} is not a volume of this snapshot"))
}

/// What every command works with.
struct Context<'c> {
    global: &'c Global,
    environment: Environment,
    output: &'c Output,
}

/// An opened repository, and where it lies.
struct Opened {
    repository: Repository,
    /// Device and inode number of its folder: a snapshot must not contain it.
    identity: (u64, u64),
}

/// This process as a writer for the machine `host`.
fn writer(host: String) -> Writer {
    Writer {
        host,
        user: env::user(),
        process: std::process::id(),
        started: env::now(),
    }
}

fn session_options(budget: Budget) -> SessionOptions {
    SessionOptions {
        pack_len_target: budget.pack_len_target,
        ..SessionOptions::default()
    }
}

impl<'c> Context<'c> {
    fn repository_path(&self) -> Result<&Path, Failure> {
        let path = self
            .global
            .repo
            .as_deref()
            .or(self.environment.repo.as_deref());
        path.ok_or_else(|| {
            Failure::Usage("which repository? give --repo, or set BLOCKSTORE_REPO".to_owned())
        })
    }

    /// For what takes long before it writes.
    ///
    /// # Errors
    /// If the repository cannot be written to, as far as its folder tells.
    fn ensure_writable(&self) -> Result<(), Failure> {
        let path = self.repository_path()?;
        let refused = |error: rustix::io::Errno| {
            let place = format!("{}: nothing can be recorded there", path.display());
            Failure::Local(place, error.into())
        };
        match rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
            // That there is none is told by who opens it.
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    /// To be written to; what a dry run writes is forgotten.
    fn open_to_write(&self, is_dry: bool) -> Result<Opened, Failure> {
        if is_dry { self.open_dry() } else { self.open() }
    }

    fn open(&self) -> Result<Opened, Failure> {
        self.open_with(|backend| Arc::new(backend))
    }

    /// To be read from; what is written is forgotten.
    fn open_dry(&self) -> Result<Opened, Failure> {
        self.open_with(|backend| Arc::new(DryRunBackend::new(backend)))
    }

    /// The folder first: nobody should be asked for the password of what is not there.
    fn open_with(
        &self,
        wrap: impl FnOnce(LocalBackend) -> Arc<dyn Backend>,
    ) -> Result<Opened, Failure> {
        let backend = LocalBackend::open(self.repository_path()?).map_err(Failure::Open)?;
        let identity = backend.identity()?;
        let secret = secret::read(&self.global.secret, &self.environment, Prompt::Once)?;
        let mut repository = Repository::open(wrap(backend), &secret)?;
        if let Some(cache) = self.cache(&repository)? {
            repository = repository.with_cache(&cache)?;
        }
        Ok(Opened {
            repository,
            identity,
        })
    }

    /// Where the index is kept on this machine. A place that was asked for must be usable; the
    /// usual one is done without where it is not, for one on a full disk.
    fn cache(&self, repository: &Repository) -> Result<Option<CacheFolder>, Failure> {
        let Some(path) = self.cache_path() else {
            return Ok(None);
        };
        let folder = CacheFolder::open(&path);
        let has_room = |cache: &CacheFolder| cache.folder(&repository.id().to_string()).is_ok();
        match self
            .global
            .cache_dir
            .as_ref()
            .or(self.environment.cache.as_ref())
        {
            Some(_) => Ok(Some(folder?)),
            None => Ok(folder.ok().filter(has_room)),
        }
    }

    /// Its path, if there is to be one.
    fn cache_path(&self) -> Option<PathBuf> {
        if self.global.no_cache {
            return None;
        }
        let (global, environment) = (&self.global, &self.environment);
        let asked_for = global.cache_dir.as_ref().or(environment.cache.as_ref());
        let usual = || Some(environment.user_caches.as_ref()?.join("blockstore"));
        asked_for.cloned().or_else(usual)
    }

    /// Threads and memory.
    fn budget(&self) -> Result<Budget, Failure> {
        let memory = usize::try_from(self.global.memory.0).unwrap_or(usize::MAX);
        let threads = self.global.threads.map_or_else(env::threads, usize::from);
        Budget::divide(memory, threads).map_err(|error| Failure::Usage(format!("--{error}")))
    }

    /// A repository that is open for views, which share the memory that is permitted.
    fn library(&self, repository: Arc<Repository>) -> Result<Arc<Library>, Failure> {
        let options = LibraryOptions {
            memory: usize::try_from(self.global.memory.0).unwrap_or(usize::MAX),
            threads: self.budget()?.threads,
        };
        Ok(Library::open(repository, options)?)
    }

    /// An observer; from here on signals ask to stop instead of ending the process.
    fn progress(&self) -> Result<Progress<'c>, Failure> {
        self.signals()
            .map(|signals| Progress::new(self.output, signals))
    }

    /// The same for what goes on until it is stopped, and gets no further by it.
    fn watch(&self) -> Result<Progress<'c>, Failure> {
        self.signals()
            .map(|signals| Progress::without_line(self.output, signals))
    }

    fn signals(&self) -> Result<Signals, Failure> {
        let failed = |error| Failure::Local("signals cannot be caught".to_owned(), error);
        Signals::install().map_err(failed)
    }
}
