//! `serve`: what is stored, used where it lies.

use std::net::SocketAddr;
use std::path::PathBuf;

use blockstore::serve::nbd::NbdAddress;
use clap::{Args, Subcommand};

use crate::args::Location;

/// Give what is stored to other programs without restoring it
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  blockstore serve nbd --repo /backup latest:disk0 --socket disk.nbd"
)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    pub(crate) way: ServeWay,
}

/// How it is given.
#[derive(Debug, Subcommand)]
pub(crate) enum ServeWay {
    Nbd(Box<ServeNbdArgs>),
}

/// Serve volumes as disks, to whatever speaks the NBD protocol, until it is interrupted
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore serve nbd --repo /backup latest:disk0 --socket disk.nbd
  nbdcopy 'nbd+unix:///?socket=disk.nbd' disk.raw
  qemu-system-x86_64 -drive 'file=nbd+unix:///disk0?socket=disk.nbd,format=raw,snapshot=on'
  blockstore serve nbd --repo /backup latest:disk0 --dirty-since latest~1 --listen 127.0.0.1:10809
  nbdinfo --map=qemu:dirty-bitmap:latest~1 nbd://127.0.0.1/disk0
  blockstore serve nbd --repo /backup latest:disk0 --writable --overlay work --socket disk.nbd

Nothing that is stored can be written: what clients write is kept in a folder beside it. What is
damaged is an error where it lies, and nowhere else.
A socket lets only its owner in; over the network everybody who reaches the address reads it all.")]
pub(crate) struct ServeNbdArgs {
    /// Snapshots, volumes LABEL in them or their partitions LABEL/pN; of a snapshot alone all volumes
    #[arg(value_name = "SNAP[:LABEL[/pN]]", required = true)]
    pub(crate) locations: Vec<Location>,
    /// Listen on this socket, which is made
    #[arg(long, value_name = "PATH", required_unless_present = "listen")]
    pub(crate) socket: Option<PathBuf>,
    /// Listen on this address of this machine, unencrypted; port 0 is any that is free
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "socket")]
    pub(crate) listen: Option<SocketAddr>,
    /// Name of the export; of several one for each, in their order [default: LABEL or LABEL/pN, below
    /// the id of the snapshot if two are alike]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// Tell what differs from the same volumes of this snapshot, as qemu:dirty-bitmap:SNAP; may be
    /// repeated
    #[arg(long, value_name = "SNAP")]
    pub(crate) dirty_since: Vec<String>,
    /// Let clients write to the one volume that is served; the snapshot stays as it is
    #[arg(long, requires = "overlay", conflicts_with = "dirty_since")]
    pub(crate) writable: bool,
    /// Keep what is written in this folder, from one start to the next
    #[arg(long, value_name = "FOLDER", requires = "writable")]
    pub(crate) overlay: Option<PathBuf>,
    /// When it ends, keep what was written as a new snapshot with this tag
    #[arg(long, value_name = "TAG", requires = "overlay")]
    pub(crate) save_as: Option<String>,
}

impl ServeNbdArgs {
    /// Where clients find it.
    pub(crate) fn address(&self) -> Option<NbdAddress> {
        let socket = self.socket.clone().map(NbdAddress::Unix);
        socket.or(self.listen.map(NbdAddress::Tcp))
    }
}
