//! The arguments of `bench`.

use std::path::PathBuf;

use blockstore::limits::ZSTD_LEVEL_DEFAULT;
use clap::{Args, ValueEnum};

use crate::args::ByteSize;

/// Measure what this machine does with some data, and what holds it up
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore bench
  blockstore bench /home --at /backup --html report.html
  blockstore bench /dev/sdb --at /backup --limit 20G --only media,stages

The source is read and never written. A temporary folder is made on the medium, filled with a
repository and with what is restored from it, and removed at the end, also when the run is stopped;
of a run that was killed the next one removes it. What the kernel has cached of the source is dropped
where it is read cold. About three times the size of the data must be free, of generated data four.")]
pub(crate) struct BenchArgs {
    /// A folder, a file or a block device to measure with [default: generated data]
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// Generate so much data on the medium: text, noise, copies, small files and zeros
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        conflicts_with = "path"
    )]
    pub(crate) generate: ByteSize,
    /// An existing folder on the medium where a repository would be [default: the folder of --repo,
    /// or else that for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) at: Option<PathBuf>,
    /// Take at most so much of PATH: whole files in the order of names, or the beginning of a device
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "4GiB",
        conflicts_with = "generate"
    )]
    pub(crate) limit: ByteSize,
    /// zstd level: 1 is fast, 19 is small, 0 stores as it is
    #[arg(long, value_name = "N", default_value_t = ZSTD_LEVEL_DEFAULT, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-7..=22))]
    pub(crate) level: i32,
    /// Measure only these, separated by commas
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub(crate) only: Vec<BenchPart>,
    /// Write a report with plots to this file too, which is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// A part of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPart {
    /// Folders, the source, and the medium of the repository, as they are
    Media,
    /// What the engine does to bytes, one step at a time
    Stages,
    /// Snapshots, a verified restore, and a check
    Whole,
}
