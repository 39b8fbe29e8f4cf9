//! `find` and `versions`: over many snapshots at once.

use std::ffi::OsString;

use clap::Args;

/// Find files by their names, in all snapshots or some
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore find --repo /backup '*.conf'
  blockstore find --repo /backup /etc/hosts latest latest~1 --long
  blockstore find --repo /backup --ignore-case 'ntuser.dat'

A pattern without a slash is compared with names, one with a slash with paths: from the root on if it
begins with the slash, else from any folder on. * and ? stand for anything but a slash, ** for any
folders, [ab] for one of several characters, {a,b} for one of several words. Files in volumes are found
too, as far as their file systems can be read; their paths begin at the root of the file system. What
is printed can be given to cat and restore.")]
pub(crate) struct FindArgs {
    /// A name or a path, with wildcards
    pub(crate) pattern: String,
    /// Snapshots to look in [default: all]
    #[arg(value_name = "SNAP")]
    pub(crate) snapshots: Vec<String>,
    /// Take large and small letters for the same
    #[arg(short, long)]
    pub(crate) ignore_case: bool,
    /// Look into folders only
    #[arg(long)]
    pub(crate) no_volumes: bool,
    /// Show mode, owner, size and time
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Raw names, each with a zero byte behind it
    #[arg(short = '0', long, conflicts_with_all = ["long", "json"])]
    pub(crate) null: bool,
}

/// Show what one path held over all snapshots: each content once
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  blockstore versions --repo /backup /etc/fstab

Contents are compared, not times: a file that was only touched is no new version.")]
pub(crate) struct VersionsArgs {
    /// The path, as `ls` shows it
    pub(crate) path: OsString,
}
