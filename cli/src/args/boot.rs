//! `boot` and `verify`: which machine is started from a snapshot.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::args::unused::TimeSpan;
use crate::args::{ByteSize, Location};

/// Start a machine from a snapshot, without restoring it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore boot --repo /backup latest
  blockstore boot --repo /backup latest:disk0 --firmware uefi --accel kvm --memory-size 4G
  blockstore boot --repo /backup latest:disk0 --overlay work      # and: blockstore commit work
  blockstore boot --repo /backup latest --expect 'login:' --timeout 2m

The machine is qemu's, which must be installed; its disks are served from the repository. What it
writes goes into an overlay, which is thrown away when it ends, unless it is given a folder. Its
first serial port is the terminal; other devices of qemu can be asked for behind --.
With --expect it is ended once the text appears there, and the exit code is 4 if it does not;
`verify --boot` does the same and records it in the repository.")]
pub(crate) struct BootArgs {
    /// A snapshot, of which all volumes become disks, or a volume of it; the first is started from
    #[arg(value_name = "SNAP[:LABEL]", required = true)]
    pub(crate) locations: Vec<Location>,
    /// Keep what is written in this folder, from one start to the next; of several disks in a folder
    /// each below it
    #[arg(long, value_name = "FOLDER")]
    pub(crate) overlay: Option<PathBuf>,
    /// End once this text appears on the serial port
    #[arg(long, value_name = "TEXT", value_parser = expected)]
    pub(crate) expect: Option<String>,
    /// How long it may take to appear: seconds, or 90s, 5m, 1h
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        requires = "expect"
    )]
    pub(crate) timeout: Patience,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Prove that a snapshot starts, and record it in the repository; or show what was recorded
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["boot", "list", "show"])))]
#[command(after_help = "\
Examples:
  blockstore verify --repo /backup latest --boot --expect 'login:' --timeout 10m
  blockstore verify --repo /backup latest:disk0 --boot --expect 'login:' --firmware uefi --accel kvm
  blockstore verify --repo /backup latest --list
  blockstore verify --repo /backup latest --show 0

With --boot a machine is started as by `boot`, until the text appears on its first serial port, the
time is over, or the machine ends; what it writes is thrown away. What came of it is stored beside the
snapshot, a failure as well: when, by which firmware and which qemu, on which host, how long it took,
and the last 64 KiB that the machine said. `snapshots` shows when each was started last. Records are
never changed, and go when a prune lets their snapshot go. The exit code is 4 if the text did not
appear. That all data is there and whole is for `check --read-data` to prove.")]
pub(crate) struct VerifyArgs {
    /// A snapshot, of which all volumes become disks, or a volume of it
    #[arg(value_name = "SNAP[:LABEL]")]
    pub(crate) location: Location,
    /// Start a machine from it, and record what came of it
    #[arg(long, requires = "expect")]
    pub(crate) boot: bool,
    /// List what was recorded of this snapshot
    #[arg(long)]
    pub(crate) list: bool,
    /// Show one record, and what the machine said
    #[arg(long, value_name = "NUMBER")]
    pub(crate) show: Option<u32>,
    /// The text whose appearance on the serial port proves it
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["list", "show"], value_parser = expected)]
    pub(crate) expect: Option<String>,
    /// How long it may take to appear: seconds, or 90s, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "5m", conflicts_with_all = ["list", "show"])]
    pub(crate) timeout: Patience,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The machine itself.
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// What runs the machine's instructions: tcg works everywhere, kvm is fast
    #[arg(long, value_name = "NAME", default_value = "tcg")]
    pub(crate) accel: Accelerator,
    /// What finds the system on the disk
    #[arg(long, value_name = "NAME", default_value = "bios")]
    pub(crate) firmware: Firmware,
    /// What the disks are attached to
    #[arg(long, value_name = "NAME", default_value = "virtio")]
    pub(crate) bus: Bus,
    /// Memory of the machine
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub(crate) memory_size: ByteSize,
    /// The program that is the machine
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    pub(crate) qemu: PathBuf,
    /// Further arguments of qemu
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) more: Vec<OsString>,
}

/// How long something is waited for: `300`, `90s`, `5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Duration);

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse().map(Duration::from_secs);
        let time = seconds.or_else(|_| text.parse().map(|TimeSpan(time)| time));
        time.map(Self)
            .map_err(|_: String| format!("{text:?}: expected seconds, or a time as 90s, 5m or 1h"))
    }
}

/// Nothing would be proven by the empty text, which appears at once.
fn expected(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("a text has at least one character".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// What runs the instructions of the machine.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Accelerator {
    /// Translates them
    Tcg,
    /// Lets the processor run them
    Kvm,
}

/// What finds the system on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Firmware {
    /// SeaBIOS, which qemu brings
    Bios,
    /// OVMF, which must be installed
    Uefi,
}

/// What disks are attached to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Bus {
    /// Paravirtual
    Virtio,
    /// NVM Express
    Nvme,
    /// AHCI
    Sata,
}

impl Accelerator {
    /// As qemu calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

impl Bus {
    /// As it is typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::Nvme => "nvme",
            Self::Sata => "sata",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_seconds_or_a_time_with_its_unit() {
        for (text, seconds) in [("300", 300), ("90s", 90), ("5m", 300), ("1h", 3600)] {
            assert_eq!(text.parse(), Ok(Patience(Duration::from_secs(seconds))));
        }
        for text in ["", "5 m", "-1", "1.5", "m"] {
            assert!(text.parse::<Patience>().is_err(), "{text}");
        }
    }
}
