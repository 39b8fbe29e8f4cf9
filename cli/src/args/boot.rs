//! `boot`: which machine is started from a snapshot.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::{ByteSize, Location};

/// Start a machine from a snapshot, without restoring it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore boot --repo /backup latest
  blockstore boot --repo /backup latest:disk0 --firmware uefi --accel kvm --memory-size 4G
  blockstore boot --repo /backup latest:disk0 --overlay work      # and: blockstore commit work
  blockstore boot --repo /backup latest --expect 'login:' --timeout 120

The machine is qemu's, which must be installed; its disks are served from the repository. What it
writes goes into an overlay, which is thrown away when it ends, unless it is given a folder. Its
first serial port is the terminal; other devices of qemu can be asked for behind --.
With --expect it is ended once the text appears there, and the exit code is 4 if it does not.")]
pub(crate) struct BootArgs {
    /// A snapshot, of which all volumes become disks, or a volume of it; the first is started from
    #[arg(value_name = "SNAP[:LABEL]", required = true)]
    pub(crate) locations: Vec<Location>,
    /// Keep what is written in this folder, from one start to the next; of several disks in a folder
    /// each below it
    #[arg(long, value_name = "FOLDER")]
    pub(crate) overlay: Option<PathBuf>,
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
    /// End once this text appears on the serial port
    #[arg(long, value_name = "TEXT")]
    pub(crate) expect: Option<String>,
    /// Seconds until it must have appeared
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        requires = "expect"
    )]
    pub(crate) timeout: u64,
    /// Further arguments of qemu
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) more: Vec<OsString>,
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
