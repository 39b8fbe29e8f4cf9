//! `blockstore-decode`: lists the snapshots of a repository, or restores one, with the reference decoder.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program, not the library"
)]

use blockstore_format_spec::reference::fault::Fault;
use blockstore_format_spec::reference::fault::Rejection;
use blockstore_format_spec::reference::fault::Result;
use blockstore_format_spec::reference::name::hex;
use blockstore_format_spec::reference::record::Secret;
use blockstore_format_spec::reference::repository::Repository;
use blockstore_format_spec::reference::restore::restore;
use blockstore_format_spec::reference::snapshot::Commit;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: blockstore-decode [--key-file FILE] REPO [SNAPSHOT TARGET]
The password is read from BLOCKSTORE_PASSWORD where no key file is given.";

struct Arguments {
    key_file: Option<PathBuf>,
    positional: Vec<OsString>,
}

fn main() -> ExitCode {
    let arguments = parse(std::env::args_os().skip(1));
    let done = match arguments.positional.as_slice() {
        [repo] => open(&arguments, repo).and_then(|repository| list(&repository)),
        [repo, snapshot, target] => open(&arguments, repo)
            .and_then(|repository| restore_all(repository, snapshot, Path::new(target))),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match done {
        Ok(code) => code,
        Err(rejection) => {
            eprintln!("blockstore-decode: {rejection}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = OsString>) -> Arguments {
    let mut arguments = Arguments {
        key_file: None,
        positional: Vec::new(),
    };
    while let Some(word) = words.next() {
        if word == "--key-file" {
            arguments.key_file = words.next().map(PathBuf::from);
        } else {
            arguments.positional.push(word);
        }
    }
    arguments
}

fn open(arguments: &Arguments, repo: &OsString) -> Result<Repository> {
    if let Some(path) = &arguments.key_file {
        let contents = std::fs::read(path)
            .map_err(|error| Rejection::io(path.display().to_string(), &error))?;
        return Repository::open(Path::new(repo), Secret::KeyFile(&contents));
    }
    let password = std::env::var_os("BLOCKSTORE_PASSWORD").ok_or_else(|| {
        Rejection::new(
            Fault::Missing,
            "BLOCKSTORE_PASSWORD",
            "neither a password nor a key file",
        )
    })?;
    Repository::open(Path::new(repo), Secret::Password(password.as_bytes()))
}

/// One line for each root, those of forgotten snapshots last; a failing exit code where something could not be read.
fn list(repository: &Repository) -> Result<ExitCode> {
    let mut whole = repository.damaged().is_empty();
    for rejection in repository.damaged() {
        eprintln!("blockstore-decode: {rejection}");
    }
    let listing = repository.listing()?;
    for commit in &listing.snapshots {
        print_roots(commit, "");
    }
    for commit in &listing.forgotten {
        print_roots(commit, "  forgotten");
    }
    for rejection in &listing.damaged {
        whole = false;
        eprintln!("blockstore-decode: {rejection}");
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn print_roots(commit: &Commit, state: &str) {
    let session = hex(&commit.session);
    for root in &commit.roots {
        let name = String::from_utf8_lossy(&root.name);
        let (page, begun) = (hex(&root.page), commit.begun.seconds);
        println!(
            "{session}{state}  {begun}  {} bytes  {page}  {name}",
            root.bytes
        );
    }
}

/// One root becomes the target itself, several become `TARGET/0`, `TARGET/1` and so on.
fn restore_all(mut repository: Repository, snapshot: &OsString, target: &Path) -> Result<ExitCode> {
    let session = snapshot.to_string_lossy();
    let commit = repository.snapshot(&session)?;
    let mut refused = Vec::new();
    if let [root] = commit.roots.as_slice() {
        refused = restore(&mut repository, root, target)?;
    } else {
        std::fs::create_dir(target)
            .map_err(|error| Rejection::io(target.display().to_string(), &error))?;
        for (index, root) in commit.roots.iter().enumerate() {
            refused.extend(restore(
                &mut repository,
                root,
                &target.join(index.to_string()),
            )?);
        }
    }
    for rejection in &refused {
        eprintln!("blockstore-decode: {rejection}");
    }
    Ok(if refused.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}
