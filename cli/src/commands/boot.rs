//! `boot`: a machine whose disks lie in the repository.
//!
//! The disks are served to qemu over a socket that only this user can reach, each with an overlay for
//! what the machine writes.

mod qemu;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use blockstore::repository::Repository;
use blockstore::serve::library::Library;
use blockstore::serve::nbd::{NbdAddress, NbdExport, NbdServer};

use crate::args::BootArgs;
use crate::commands::Context;
use crate::commands::serve::{self, Chosen};
use crate::exit::{Failure, Outcome};
use crate::progress::Progress;
use crate::render::json::BootSummary;

use watch::{Ended, UntilEnded, Watch};

pub(super) fn run(context: &Context<'_>, args: &BootArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let repository = Arc::new(context.open()?.repository);
    let chosen = serve::choose(&repository, &args.locations)?;
    let library = context.library(Arc::clone(&repository))?;
    let temporary = tempfile::Builder::new()
        .prefix("blockstore-boot-")
        .tempdir_in(&context.environment.temporary)
        .map_err(|error| Failure::Local("no temporary folder".to_owned(), error))?;
    let overlays = Overlays {
        kept: args.overlay.as_deref(),
        temporary: temporary.path(),
        is_one: chosen.len() == 1,
    };
    let socket = temporary.path().join("disks");
    let exports = exports(&repository, &library, &chosen, &overlays)?;
    let names: Vec<_> = exports.iter().map(|export| export.name.clone()).collect();
    let server = NbdServer::bind(&NbdAddress::Unix(socket.clone()), exports)?;
    let mut command = qemu::command(args, &socket, &names, temporary.path())?;
    let progress = context.progress()?;
    let child = command.spawn();
    let child = child.map_err(|error| Failure::Local(qemu::cannot_start(&args.qemu), error))?;
    let (ended, problems) = watched(context, args, server, child, progress);
    let is_as_expected = ended.is_as_expected(args);
    if context.output.is_json() {
        context.output.object(&BootSummary {
            booted: args.expect.as_ref().map(|_| is_as_expected),
            serial: String::from_utf8_lossy(&ended.tail).into_owned(),
            problems,
            seconds: began.elapsed().as_secs_f64(),
        })?;
    } else if let Some(line) = ended.line(args) {
        context.output.note(&line);
    }
    Ok(match (is_as_expected, problems) {
        (false, _) => Outcome::Damage,
        (true, problems) => Outcome::of_problems(problems),
    })
}

/// Serves while the machine runs. Gives how it ended, and how many reads failed.
fn watched(
    context: &Context<'_>,
    args: &BootArgs,
    server: NbdServer,
    child: Child,
    progress: Progress<'_>,
) -> (Ended, u64) {
    let until = UntilEnded::new(&progress);
    let (ended, report) = thread::scope(|scope| {
        let serving = scope.spawn(|| server.run(&until));
        let ended = Watch::new(context.output, args, child).run(&progress);
        until.end();
        (ended, serving.join())
    });
    let problems = report.map_or(1, |report| report.problems);
    (ended, problems.max(progress.finish().count))
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
