//! What can be typed. The doc comments here are the help.
//!
//! Deliberately absent: the environment (`env`), and any work: values are parsed and no more.

mod bench;
mod boot;
mod location;
mod mount;
mod retention;
mod search;
mod serve;
mod size;
mod unused;
mod verbs;
mod volumes;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use bench::{BenchArgs, BenchPart};
pub(crate) use boot::{BootArgs, Bus, Firmware, MachineArgs, VerifyArgs};
pub(crate) use location::Location;
pub(crate) use mount::MountArgs;
pub(crate) use retention::{ForgetArgs, KeepArgs, Moment, ProtectArgs, UndeleteArgs};
pub(crate) use search::{FindArgs, VersionsArgs};
pub(crate) use serve::{ServeArgs, ServeNbdArgs, ServeWay};
pub(crate) use size::ByteSize;
pub(crate) use unused::{TimeSpan, UnusedLimit};
pub(crate) use verbs::{
    CatArgs, CheckArgs, CommitArgs, CompletionsArgs, ConflictChoice, DebugArgs, DebugSubject,
    DiffArgs, ExcludeArgs, ImportArgs, InitArgs, LsArgs, ManArgs, MapArgs, MergeArgs, PruneArgs,
    RepairArgs, RepairIndexArgs, RepairSubject, RestoreArgs, SnapshotArgs, SnapshotsArgs,
};
pub(crate) use volumes::{ExportArgs, RestoreVolumeArgs, SparseChoice, VolumeArgs, labelled};

const WORDS: &str = "\
Words:
  repository  everything stored under one folder
  snapshot    a committed copy of folders or volumes at one time; it never needs another one to
              restore
  volume      the bytes of a disk, a partition or an image; in a snapshot it has a LABEL, disk0 if it
              is alone, and its partitions are LABEL/p1, LABEL/p2 …; files in it are LABEL/p1/PATH,
              or LABEL/PATH where it has no partitions, and LABEL/p1/ is the folder above them all
  chunk       a run of bytes cut by content; stored once, however often it occurs
  pack        a file of many chunks, compressed and sealed together
  manifest    the pages that describe one captured folder or volume; its root id is the same
              whenever the content is the same
  index       where each chunk lies; derived, it can be deleted and costs only time
  SNAP        the beginning of a snapshot's id, `latest`, or `latest~N` for the Nth before it

Environment:
  BLOCKSTORE_REPO              as --repo
  BLOCKSTORE_PASSWORD          the password itself
  BLOCKSTORE_PASSWORD_FILE     as --password-file
  BLOCKSTORE_PASSWORD_COMMAND  as --password-command
  BLOCKSTORE_KEY_FILE          as --key-file
  BLOCKSTORE_CACHE_DIR         as --cache-dir

Exit codes:
    0  done                           10  there is no repository
    1  failed                         11  the repository is busy
    2  wrong usage                    12  wrong password or key
    3  done, with problems (listed)  130  interrupted
    4  check found damage

Signals: SIGINT and SIGTERM stop cleanly, a second SIGINT at once; SIGUSR1 prints how far it is.";

/// Deduplicated, encrypted, verified snapshots of folders and volumes.
#[derive(Debug, Parser)]
#[command(name = "blockstore", version, after_long_help = WORDS, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Folder of the repository
    #[arg(short, long, global = true, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) secret: SecretArgs,
    /// Keep a copy of the index here [default: blockstore in the folder for caches of this user]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Read the whole index at every start instead of keeping a copy of it on this machine
    #[arg(long, global = true, conflicts_with = "cache_dir")]
    pub(crate) no_cache: bool,
    /// Print the result as JSON; the fields are described in JSON.md
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Memory for the whole process, at least 64MiB
    #[arg(long, global = true, value_name = "SIZE", default_value = "256MiB")]
    pub(crate) memory: ByteSize,
    /// Worker threads [default: one per processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Print results and problems, nothing else
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Name every path that is worked on
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// Where the secret comes from: exactly one place, or else the terminal.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SecretArgs {
    /// Read the password from a file; one line end behind it is dropped
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Read the password from what a shell command prints; one line end behind it is dropped
    #[arg(long, global = true, value_name = "COMMAND")]
    pub(crate) password_command: Option<std::ffi::OsString>,
    /// Use a file of at least 32 random bytes instead of a password
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(InitArgs),
    Snapshot(Box<SnapshotArgs>),
    Snapshots(SnapshotsArgs),
    Ls(LsArgs),
    Find(FindArgs),
    Versions(VersionsArgs),
    Cat(CatArgs),
    Map(MapArgs),
    Restore(RestoreArgs),
    Mount(MountArgs),
    Export(ExportArgs),
    Serve(ServeArgs),
    Diff(DiffArgs),
    Merge(MergeArgs),
    Commit(CommitArgs),
    Import(ImportArgs),
    Boot(Box<BootArgs>),
    Verify(Box<VerifyArgs>),
    Forget(Box<ForgetArgs>),
    Undelete(UndeleteArgs),
    Protect(ProtectArgs),
    Check(CheckArgs),
    Prune(PruneArgs),
    Repair(RepairArgs),
    /// Show how much is stored, and how well it is shared
    #[command(after_help = "Example:\n  blockstore stats --repo /backup --json")]
    Stats,
    Bench(Box<BenchArgs>),
    Debug(DebugArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_all_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let shown = help.is_some_and(|help| help.contains("Example"));
            assert!(shown || command.is_hide_set(), "{}", command.get_name());
        }
    }

    #[test]
    fn global_options_may_stand_behind_the_command() {
        let cli = Cli::try_parse_from(["blockstore", "snapshots", "--repo", "/r", "--json"]);
        let global = cli.unwrap().global;
        assert!(global.json && global.repo == Some("/r".into()));
        assert_eq!(global.memory.0, 256 << 20);
    }

    #[test]
    fn a_mount_is_of_a_snapshot_or_of_all() {
        for (line, snapshot) in [
            ("mount latest /m", Some("latest")),
            ("mount --all /m", None),
        ] {
            let words = std::iter::once("blockstore").chain(line.split(' '));
            let Command::Mount(args) = Cli::try_parse_from(words).unwrap().command else {
                panic!("{line} is a mount");
            };
            assert_eq!(
                (args.snapshot.as_deref(), args.all),
                (snapshot, snapshot.is_none())
            );
            assert_eq!(args.point, std::path::Path::new("/m"));
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for line in [
            "snapshot --full --parent latest /x",
            "restore latest --target /t --privileged --no-privileged",
            "stats --quiet --verbose",
            "stats --threads 0",
            "snapshot",
            "merge",
            "merge latest",
            "forget latest --keep-last 1",
            "forget latest --host a",
            "forget --keep-last 0",
            "undelete",
            "protect latest",
            "restore latest",
            "verify latest",
            "verify latest --boot",
            "verify latest --boot --expect=",
            "verify latest --list --expect x",
            "verify latest --list --timeout 5m",
            "verify latest --list --show 0",
            "boot latest --timeout 5m",
            "mount latest",
            "mount --all",
            "mount --all latest /m",
            "bench /x --generate 1G",
            "bench --generate 1G --limit 1G",
            "bench --only everything",
            "prune --max-unused 200%",
            "prune --max-time 5",
            "serve nbd latest",
            "serve nbd --socket /s",
            "serve nbd latest --socket /s --listen 127.0.0.1:1",
            "serve nbd latest --listen localhost",
            "serve nbd latest --socket /s --writable",
            "serve nbd latest --socket /s --overlay /o",
        ] {
            let words = std::iter::once("blockstore").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
