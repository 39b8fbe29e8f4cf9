//! `snapshots`: which there are.

use std::os::unix::ffi::OsStrExt;

use blockstore::Timestamp;
use blockstore::error::Error;
use blockstore::format::boot::Boot;
use blockstore::format::name::ObjectName;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::forget::guards::Guards;
use blockstore::repository::Repository;
use blockstore::repository::boots::BootNumbers;
use blockstore::repository::retention::{Until, read_tombstone};
use blockstore::repository::snapshots::{SnapshotList, list};

use crate::args::SnapshotsArgs;
use crate::commands::Context;
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::render::json::{DamagedObject, LastBoot, ListedSnapshot, SnapshotsReport};
use crate::render::retention::{snapshots, until_cell};
use crate::render::units::local_time;
use crate::render::{boots, escape};

pub(super) fn run(context: &Context<'_>, args: &SnapshotsArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let found = list(&opened.repository)?;
    let of = match args.forgotten {
        true => &found.forgotten,
        false => &found.snapshots,
    };
    let chosen = of.iter().filter(|snapshot| matches(args, snapshot));
    let mut shown = mark(&opened.repository, &found, chosen, args.forgotten)?;
    shown.damaged.extend(found.damaged);
    if context.output.is_json() {
        context.output.object(&report(&shown))?;
    } else {
        print(context.output, &shown, args.forgotten)?;
    }
    Ok(Outcome::of_problems(shown.damaged.len() as u64))
}

/// A snapshot, what was decided about it, and how it did when it was started last.
struct Marked<'s> {
    snapshot: &'s Snapshot,
    until: Option<Until>,
    /// When it was forgotten, as far as its tombstone can be read.
    forgotten: Option<Timestamp>,
    /// Number and content of its newest record.
    last_boot: Option<(u32, Boot)>,
}

/// Snapshots, and what cannot be read of them.
struct Shown<'s> {
    marked: Vec<Marked<'s>>,
    damaged: Vec<(ObjectName, Error)>,
}

fn mark<'s>(
    repository: &Repository,
    found: &SnapshotList,
    chosen: impl Iterator<Item = &'s Snapshot>,
    is_forgotten: bool,
) -> Result<Shown<'s>, Failure> {
    let guards = Guards::read(repository, found, env::now())?;
    let numbers = BootNumbers::list(repository)?;
    let (mut marked, mut damaged) = (Vec::new(), Vec::new());
    for snapshot in chosen {
        let tombstone = is_forgotten.then(|| read_tombstone(repository, snapshot.session));
        let newest = numbers.read_newest(repository, snapshot.session)?;
        damaged.extend(newest.damaged);
        marked.push(Marked {
            snapshot,
            until: guards.until(snapshot.session),
            forgotten: tombstone.and_then(|read| read.ok().map(|tombstone| tombstone.forgotten)),
            last_boot: newest.boots.into_iter().next(),
        });
    }
    Ok(Shown { marked, damaged })
}

fn matches(args: &SnapshotsArgs, snapshot: &Snapshot) -> bool {
    let path = args.path.as_ref().map(|path| path.as_os_str().as_bytes());
    args.host.as_ref().is_none_or(|host| *host == snapshot.host)
        && args.tags.iter().all(|tag| snapshot.tags.contains(tag))
        && path.is_none_or(|path| snapshot.roots.iter().any(|root| root.name == path))
}

fn report(shown: &Shown<'_>) -> SnapshotsReport {
    let listed = shown.marked.iter().map(|marked| {
        let last = marked.last_boot.as_ref();
        ListedSnapshot::of(marked.snapshot)
            .protected(marked.until)
            .forgotten(marked.forgotten)
            .last_boot(last.map(|(number, boot)| LastBoot::of(*number, boot)))
    });
    SnapshotsReport {
        snapshots: listed.collect(),
        damaged: DamagedObject::list(&shown.damaged),
    }
}

fn print(output: &Output, shown: &Shown<'_>, is_forgotten: bool) -> Result<(), Failure> {
    if shown.marked.is_empty() {
        output.note(match is_forgotten {
            true => "no forgotten snapshots",
            false => "no snapshots",
        });
    } else {
        let decided = match is_forgotten {
            true => "forgotten",
            false => "protected until",
        };
        let rows = shown.marked.iter().map(|marked| {
            let decided = match is_forgotten {
                true => marked.forgotten.map(local_time),
                false => marked.until.map(until_cell),
            };
            let started = marked.last_boot.as_ref().map(|(_, boot)| boots::cell(boot));
            (marked.snapshot, [decided, started])
        });
        let rows: Vec<_> = rows.collect();
        let lines = snapshots([decided, "booted"], &rows);
        lines.iter().try_for_each(|line| output.line(line))?;
    }
    for (_, error) in &shown.damaged {
        output.problem(&escape::line(&format!("damaged: {error}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn every_filter_has_to_fit() {
        let fits = |host: Option<&str>, tags: &[&str], path: Option<&str>| {
            let args = SnapshotsArgs {
                host: host.map(str::to_owned),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                path: path.map(Into::into),
                forgotten: false,
            };
            let mut snapshot = samples::snapshot();
            snapshot.roots[0].name = b"/home".to_vec();
            matches(&args, &snapshot)
        };
        assert!(fits(None, &[], None));
        assert!(fits(Some("laptop"), &["daily"], Some("/home")));
        assert!(!fits(Some("server"), &["daily"], Some("/home")));
        assert!(!fits(None, &["daily", "weekly"], None));
        assert!(!fits(None, &[], Some("/home/ana")));
    }
}
