//! `bench`: what this machine does with some data, and what holds it up.

use std::path::{Path, PathBuf};
use std::time::Instant;

use blockstore::operations::bench::{BenchOptions, BenchParts, BenchSource, bench};

use crate::args::{BenchArgs, BenchPart};
use crate::commands::Context;
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::json::BenchSummary;
use crate::render::{self, html};

/// Less than this tells nothing.
const GENERATE_MIN: u64 = 1 << 20;

pub(super) fn run(context: &Context<'_>, args: &BenchArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let options = options(context, args)?;
    if let Some(file) = &args.html {
        check_place(file)?;
    }
    let progress = context.progress()?;
    let report = bench(&options, &progress)?;
    let problems = progress.finish();
    let found = report.operations.iter().map(|one| one.problems).max();
    let problem_count = found.unwrap_or(0).max(problems.count);
    if let Some(file) = &args.html {
        let page = html::page(&report, env::now());
        std::fs::write(file, page).map_err(|error| unwritable(file, error))?;
    }
    if context.output.is_json() {
        let summary = BenchSummary::of(&report, &problems, began.elapsed());
        context.output.object(&summary)?;
    } else {
        render::bench::lines(&report)
            .iter()
            .try_for_each(|line| context.output.line(line))?;
    }
    Ok(Outcome::of_problems(problem_count))
}

fn options(context: &Context<'_>, args: &BenchArgs) -> Result<BenchOptions, Failure> {
    let source = match &args.path {
        Some(path) => BenchSource::Path {
            path: path.clone(),
            limit: args.limit.0,
        },
        None if args.generate.0 < GENERATE_MIN => {
            let detail = "--generate: at least 1MiB is needed";
            return Err(Failure::Usage(detail.to_owned()));
        }
        None => BenchSource::Generated(args.generate.0),
    };
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    Ok(BenchOptions {
        source,
        parts: BenchParts {
            media: wants(BenchPart::Media),
            stages: wants(BenchPart::Stages),
            whole: wants(BenchPart::Whole),
        },
        budget: context.budget()?,
        level: args.level,
        privileged: env::is_root(),
        ..BenchOptions::new(&medium(context, args), env::now)
    })
}

/// Where a repository would be: where one is said to be, or else any place.
fn medium(context: &Context<'_>, args: &BenchArgs) -> PathBuf {
    if let Some(at) = &args.at {
        return at.clone();
    }
    let repository = context.repository_path().ok();
    let existing = repository.filter(|path| path.is_dir());
    existing.map_or_else(|| context.environment.temporary.clone(), Path::to_owned)
}

/// A report should not be lost after an hour for a word that was mistyped.
fn check_place(file: &Path) -> Result<(), Failure> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.is_dir() && !file.is_dir() {
        return Ok(());
    }
    let shown = file.display();
    Err(Failure::Usage(format!(
        "--html: {shown} cannot be written: it is a folder, or in one that is not there"
    )))
}

fn unwritable(file: &Path, error: std::io::Error) -> Failure {
    Failure::Local(format!("{}: cannot be written", file.display()), error)
}
