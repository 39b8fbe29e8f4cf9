//! `snapshots`: which there are.

use std::os::unix::ffi::OsStrExt;

use blockstore::Timestamp;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::forget::guards::Guards;
use blockstore::repository::Repository;
use blockstore::repository::retention::{Until, read_tombstone};
use blockstore::repository::snapshots::{SnapshotList, list};

use crate::args::SnapshotsArgs;
use crate::commands::Context;
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::render::escape;
use crate::render::json::{DamagedObject, ListedSnapshot, SnapshotsReport};
use crate::render::retention::{snapshots, until_cell};
use crate::render::units::local_time;

pub(super) fn run(context: &Context<'_>, args: &SnapshotsArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let found = list(&opened.repository)?;
    let of = match args.forgotten {
        true => &found.forgotten,
        false => &found.snapshots,
    };
    let chosen = of.iter().filter(|snapshot| matches(args, snapshot));
    let marked = mark(&opened.repository, &found, chosen, args.forgotten)?;
    if context.output.is_json() {
        context.output.object(&report(&found, &marked))?;
    } else {
        print(context.output, &found, &marked, args.forgotten)?;
    }
    Ok(Outcome::of_problems(found.damaged.len() as u64))
}

/// A snapshot, and what was decided about it.
struct Marked<'s> {
    snapshot: &'s Snapshot,
    until: Option<Until>,
    /// When it was forgotten, as far as its tombstone can be read.
    forgotten: Option<Timestamp>,
}

fn mark<'s>(
    repository: &Repository,
    found: &SnapshotList,
    chosen: impl Iterator<Item = &'s Snapshot>,
    is_forgotten: bool,
) -> Result<Vec<Marked<'s>>, Failure> {
    let guards = Guards::read(repository, found, env::now())?;
    let marked = chosen.map(|snapshot| {
        let tombstone = is_forgotten.then(|| read_tombstone(repository, snapshot.session));
        Marked {
            snapshot,
            until: guards.until(snapshot.session),
            forgotten: tombstone.and_then(|read| read.ok().map(|tombstone| tombstone.forgotten)),
        }
    });
    Ok(marked.collect())
}

fn matches(args: &SnapshotsArgs, snapshot: &Snapshot) -> bool {
    let path = args.path.as_ref().map(|path| path.as_os_str().as_bytes());
    args.host.as_ref().is_none_or(|host| *host == snapshot.host)
        && args.tags.iter().all(|tag| snapshot.tags.contains(tag))
        && path.is_none_or(|path| snapshot.roots.iter().any(|root| root.name == path))
}

fn report(found: &SnapshotList, marked: &[Marked<'_>]) -> SnapshotsReport {
    let damaged = found.damaged.iter().map(|(name, error)| DamagedObject {
        object: name.to_string(),
        detail: error.to_string(),
    });
    let listed = marked
        .iter()
        .map(|marked| ListedSnapshot::of(marked.snapshot, marked.until, marked.forgotten));
    SnapshotsReport {
        snapshots: listed.collect(),
        damaged: damaged.collect(),
    }
}

fn print(
    output: &Output,
    found: &SnapshotList,
    marked: &[Marked<'_>],
    is_forgotten: bool,
) -> Result<(), Failure> {
    if marked.is_empty() {
        output.note(match is_forgotten {
            true => "no forgotten snapshots",
            false => "no snapshots",
        });
    } else {
        let (heading, rows): (_, Vec<_>) = match is_forgotten {
            true => (
                "forgotten",
                rows(marked, |marked| marked.forgotten.map(local_time)),
            ),
            false => (
                "protected until",
                rows(marked, |marked| marked.until.map(until_cell)),
            ),
        };
        let lines = snapshots(heading, &rows);
        lines.iter().try_for_each(|line| output.line(line))?;
    }
    for (_, error) in &found.damaged {
        output.problem(&escape::line(&format!("damaged: {error}")));
    }
    Ok(())
}

fn rows<'s>(
    marked: &[Marked<'s>],
    note: impl Fn(&Marked<'s>) -> Option<String>,
) -> Vec<(&'s Snapshot, Option<String>)> {
    let row = |marked: &Marked<'s>| (marked.snapshot, note(marked));
    marked.iter().map(row).collect()
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
