//! `boot`: a machine whose disks lie in the repository.
//!
//! The disks are served to qemu over a socket that only this user can reach, each with an overlay for
//! what the machine writes. Deliberately absent: what is recorded of it, which is `verify`'s.

mod qemu;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use blockstore::repository::Repository;
use blockstore::serve::library::Library;
use blockstore::serve::nbd::{NbdAddress, NbdExport, NbdServer};

use crate::args::{BootArgs, MachineArgs};
use crate::commands::Context;
use crate::commands::serve::{self, Chosen};
use crate::exit::{Failure, Outcome};
use crate::progress::{Problems, Progress};
use crate::render::json::BootSummary;

pub(super) use qemu::version;
pub(super) use watch::Ended;
use watch::{UntilEnded, Watch};

/// What is started.
pub(super) struct Start<'s> {
    pub(super) chosen: &'s [Chosen],
    pub(super) machine: &'s MachineArgs,
    pub(super) expected: Option<Expected<'s>>,
    /// Where what is written is kept; thrown away without.
    pub(super) overlay: Option<&'s Path>,
}

/// What a machine is to say, and until when.
#[derive(Clone, Copy)]
pub(super) struct Expected<'s> {
    pub(super) text: &'s str,
    pub(super) timeout: Duration,
}

/// What came of it.
pub(super) struct Ran {
    pub(super) ended: Ended,
    /// Reads and writes of the disks that failed.
    pub(super) problems: Problems,
}

pub(super) fn run(context: &Context<'_>, args: &BootArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let repository = Arc::new(context.open()?.repository);
    let chosen = serve::choose(&repository, &args.locations)?;
    let start = Start {
        chosen: &chosen,
        machine: &args.machine,
        expected: args.expect.as_deref().map(|text| Expected {
            text,
            timeout: args.timeout.0,
        }),
        overlay: args.overlay.as_deref(),
    };
    let Ran { ended, problems } = start.run(context, &repository)?;
    let is_as_expected = ended.is_as_expected(start.expected);
    if context.output.is_json() {
        let booted = start.expected.map(|_| is_as_expected);
        let summary = BootSummary::of(booted, &ended.tail, &problems, began.elapsed());
        context.output.object(&summary)?;
    } else if let Some(line) = ended.line(start.expected) {
        context.output.note(&line);
    }
    Ok(match is_as_expected {
        false => Outcome::Damage,
        true => Outcome::of_problems(problems.count),
    })
}

impl Start<'_> {
    /// Runs the machine to its end.
    pub(super) fn run(
        &self,
        context: &Context<'_>,
        repository: &Arc<Repository>,
    ) -> Result<Ran, Failure> {
        let library = context.library(Arc::clone(repository))?;
        let temporary = tempfile::Builder::new()
            .prefix("blockstore-boot-")
            .tempdir_in(&context.environment.temporary)
            .map_err(|error| Failure::Local("no temporary folder".to_owned(), error))?;
        let overlays = Overlays {
            kept: self.overlay,
            temporary: temporary.path(),
            is_one: self.chosen.len() == 1,
        };
        let socket = temporary.path().join("disks");
        let exports = exports(repository, &library, self.chosen, &overlays)?;
        let names: Vec<_> = exports.iter().map(|export| export.name.clone()).collect();
        let server = NbdServer::bind(&NbdAddress::Unix(socket.clone()), exports)?;
        let is_watched = self.expected.is_some();
        let mut command =
            qemu::command(self.machine, is_watched, &socket, &names, temporary.path())?;
        let progress = context.progress()?;
        let child = command.spawn();
        let child =
            child.map_err(|error| Failure::Local(qemu::cannot_start(&self.machine.qemu), error))?;
        Ok(self.watched(context, server, child, progress))
    }

    /// Serves while the machine runs.
    fn watched(
        &self,
        context: &Context<'_>,
        server: NbdServer,
        child: Child,
        progress: Progress<'_>,
    ) -> Ran {
        let until = UntilEnded::new(&progress);
        let (ended, report) = thread::scope(|scope| {
            let serving = scope.spawn(|| server.run(&until));
            let ended = Watch::new(context.output, self.expected, child).run(&progress);
            until.end();
            (ended, serving.join())
        });
        let mut problems = progress.finish();
        // A server that panicked has at least one read on its conscience.
        let failed = report.map_or(1, |report| report.problems);
        problems.count = problems.count.max(failed);
        Ran { ended, problems }
    }
}

/// Where overlays are.
struct Overlays<'o> {
    kept: Option<&'o Path>,
    temporary: &'o Path,
    is_one: bool,
}

impl Overlays<'_> {
    fn of(&self, name: &str) -> Result<PathBuf, Failure> {
        let Some(kept) = self.kept else {
            return Ok(self.temporary.join(format!("overlay-{name}")));
        };
        if self.is_one {
            return Ok(kept.to_owned());
        }
        let made = std::fs::create_dir_all(kept);
        made.map_err(|error| Failure::Local(format!("{}", kept.display()), error))?;
        Ok(kept.join(name))
    }
}

fn exports(
    repository: &Repository,
    library: &Arc<Library>,
    chosen: &[Chosen],
    overlays: &Overlays<'_>,
) -> Result<Vec<NbdExport>, Failure> {
    let mut exports = Vec::new();
    for one in chosen {
        let volume = one.volume()?;
        if volume.partition.is_some() {
            let detail = "a machine starts from a disk: name the volume without its partition";
            return Err(Failure::Usage(detail.to_owned()));
        }
        let name = String::from_utf8_lossy(&volume.name()).into_owned();
        let view = Arc::new(library.volume(volume.root, None)?);
        exports.push(NbdExport {
            description: one.description(volume.root.bytes),
            content: serve::writable(repository, one, view, &overlays.of(&name)?)?,
            bitmaps: Vec::new(),
            name,
        });
    }
    Ok(exports)
}
