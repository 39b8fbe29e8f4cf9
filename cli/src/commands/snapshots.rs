//! `snapshots`: which there are.

use std::os::unix::ffi::OsStrExt;

use blockstore::format::snapshot::Snapshot;
use blockstore::repository::snapshots::{SnapshotList, list};

use crate::args::SnapshotsArgs;
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::render::escape;
use crate::render::human;
use crate::render::json::{DamagedObject, SnapshotInfo, SnapshotsReport};

pub(super) fn run(context: &Context<'_>, args: &SnapshotsArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let found = list(&opened.repository)?;
    let chosen: Vec<_> = found
        .snapshots
        .iter()
        .filter(|s| matches(args, s))
        .collect();
    if context.output.is_json() {
        context.output.object(&report(&found, &chosen))?;
    } else {
        print(context.output, &found, &chosen)?;
    }
    Ok(Outcome::of_problems(found.damaged.len() as u64))
}

fn matches(args: &SnapshotsArgs, snapshot: &Snapshot) -> bool {
    let path = args.path.as_ref().map(|path| path.as_os_str().as_bytes());
    args.host.as_ref().is_none_or(|host| *host == snapshot.host)
        && args.tags.iter().all(|tag| snapshot.tags.contains(tag))
        && path.is_none_or(|path| snapshot.roots.iter().any(|root| root.name == path))
}

fn report(found: &SnapshotList, chosen: &[&Snapshot]) -> SnapshotsReport {
    let damaged = found.damaged.iter().map(|(name, error)| DamagedObject {
        object: name.to_string(),
        detail: error.to_string(),
    });
    SnapshotsReport {
        snapshots: chosen
            .iter()
            .map(|snapshot| SnapshotInfo::of(snapshot))
            .collect(),
        damaged: damaged.collect(),
    }
}

fn print(output: &Output, found: &SnapshotList, chosen: &[&Snapshot]) -> Result<(), Failure> {
    if chosen.is_empty() {
        output.note("no snapshots");
    } else {
        human::snapshots(chosen)
            .iter()
            .try_for_each(|line| output.line(line))?;
    }
    for (_, error) in &found.damaged {
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
