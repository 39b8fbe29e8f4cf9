//! Images in other formats (qcow2, VHD, VHDX, VMDK), read through `qemu-nbd`.
//!
//! The child serves one image, read-only, on a socket in a private folder, and is spoken to as any
//! other NBD server. The format is always given: a guest that can write the first bytes of a raw
//! disk could otherwise make it look like an image that names files of the host. Backing files of
//! an image are followed as the image says: whoever owns the image decides what it consists of.
//!
//! The child ends with the volume, and, because it ends with its last connection, with us if we are
//! killed. Deliberately absent: parsing of any format.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::NBD_CONNECTIONS_MAX;
use crate::pipeline::ReadAt;
use crate::sources::volume::file::Seen;
use crate::sources::volume::nbd::{NbdOptions, NbdVolume};
use crate::sources::volume::{Allocated, Identity, VolumeKind, VolumeSource};

/// Longest path of a socket that the kernel takes.
const SOCKET_PATH_LEN_MAX: usize = 107;
/// How often the child is looked after while it starts.
const POLL: Duration = Duration::from_millis(10);
/// How much of what the child complains about is shown.
const COMPLAINT_LEN_MAX: u64 = 1000;

/// A format of disk images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// The bytes of the disk and nothing else.
    Raw,
    /// QEMU copy on write, version 2 and 3.
    Qcow2,
    /// Virtual PC and Azure, fixed and dynamic.
    Vhd,
    /// Hyper-V.
    Vhdx,
    /// VMware.
    Vmdk,
}

/// How an image is opened.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// Folder in which a private one is made for the socket: short, and on this machine.
    pub runtime_folder: PathBuf,
    /// The program that serves the image: a name that is looked up, or a path.
    pub program: PathBuf,
    /// How it is spoken to; a dirty bitmap is looked for in the image.
    pub nbd: NbdOptions,
}

impl ImageOptions {
    /// `qemu-nbd`, with a socket below `runtime_folder`.
    pub fn new(runtime_folder: &Path) -> Self {
        Self {
            runtime_folder: runtime_folder.to_owned(),
            program: PathBuf::from("qemu-nbd"),
            nbd: NbdOptions::default(),
        }
    }
}

impl ImageFormat {
    /// Every format with the name that people use.
    pub const ALL: [(&'static str, Self); 5] = [
        ("raw", Self::Raw),
        ("qcow2", Self::Qcow2),
        ("vhd", Self::Vhd),
        ("vhdx", Self::Vhdx),
        ("vmdk", Self::Vmdk),
    ];

    /// The name that people use.
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, format)| *format == self)
            .map_or("", |(name, _)| name)
    }

    fn qemu_name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vpc",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
        }
    }
}

/// A disk image, as the disk that it describes.
#[derive(Debug)]
pub struct ImageVolume {
    // Dropped in this order: the child is ended after its connections.
    volume: NbdVolume,
    server: Server,
    path: PathBuf,
    opened: Seen,
}

impl ImageVolume {
    /// Opens the image at `path`, which is of this format.
    ///
    /// `NotFound` if the image or `qemu-nbd` is missing, `Unsupported` if the child refuses it: it
    /// is of another format, damaged, or in use by a virtual machine.
    pub fn open(path: &Path, format: ImageFormat, options: &ImageOptions) -> Result<Self> {
        let place = || Place::Path(path.to_owned());
        let failed = |error: io::Error| Error::io(place(), "opening the image", error);
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(Error::new(ErrorKind::InvalidInput, place(), "is a folder"));
        }
        let opened = Seen::of(&metadata);
        let mut server = Server::start(path, format, options)?;
        let volume = server.connect(path, &options.nbd)?;
        let identity = Identity {
            kind: VolumeKind::Image,
            location: path.to_owned(),
            ..volume.identity().clone()
        };
        Ok(Self {
            volume: volume.identified_as(identity),
            server,
            path: path.to_owned(),
            opened,
        })
    }

    /// What was written since the bitmap of [`NbdOptions::dirty_bitmap`] began; see
    /// [`NbdVolume::dirty_ranges`].
    pub fn dirty_ranges(&self) -> Result<Vec<Range<u64>>> {
        self.volume.dirty_ranges()
    }
}

impl ReadAt for ImageVolume {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.volume.read_at(offset, buffer)
    }
}

impl VolumeSource for ImageVolume {
    fn len(&self) -> u64 {
        self.volume.len()
    }

    fn identity(&self) -> &Identity {
        self.volume.identity()
    }

    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>> {
        self.volume.allocation(range)
    }

    fn check_unchanged(&self) -> Result<()> {
        if let Some(end) = self.server.ended() {
            let detail = format!("qemu-nbd ended while the image was read{end}");
            return Err(Error::new(
                ErrorKind::Io,
                Place::Path(self.path.clone()),
                detail,
            ));
        }
        self.opened.check_same(&self.path)
    }

    fn was_written(&self) -> bool {
        self.opened.was_written(std::fs::metadata(&self.path))
    }

    fn warnings(&self) -> Vec<String> {
        self.volume.warnings()
    }
}

/// The child, and the folder with its socket and its complaints.
#[derive(Debug)]
struct Server {
    child: Mutex<Child>,
    folder: PrivateFolder,
}

impl Server {
    fn start(path: &Path, format: ImageFormat, options: &ImageOptions) -> Result<Self> {
        let failed = |error| {
            let place = Place::Path(options.runtime_folder.clone());
            Error::io(place, "making a folder for the socket of qemu-nbd", error)
        };
        let folder = PrivateFolder::new(&options.runtime_folder).map_err(failed)?;
        let socket = folder.socket();
        if socket.as_os_str().len() > SOCKET_PATH_LEN_MAX {
            let place = Place::Path(options.runtime_folder.clone());
            let detail = "has too long a path for a socket: choose a shorter runtime folder";
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        let complaints = File::create(folder.complaints()).map_err(failed)?;
        let absolute = std::path::absolute(path).map_err(failed)?;
        let shared = options.nbd.connections.clamp(1, 2 * NBD_CONNECTIONS_MAX);
        let mut command = Command::new(&options.program);
        command
            .args(["--read-only", "--format", format.qemu_name(), "--socket"])
            .arg(&socket)
            .arg(format!("--shared={}", shared + 1)); // one more for `check_unchanged`
        if let Some(name) = &options.nbd.dirty_bitmap {
            command.arg(format!("--bitmap={name}"));
        }
        // From the root of the file system on: a name with a colon in front means a protocol.
        command.arg("--").arg(absolute);
        command.env("LC_ALL", "C").process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complaints);
        // A search that met a folder it may not enter ends as a denial.
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                let place = Place::Path(path.to_owned());
                let detail = "qemu-nbd, which reads images, is missing: install qemu-utils";
                Error::new(ErrorKind::NotFound, place, detail).with_source(error)
            }
            _ => Error::io(Place::Path(options.program.clone()), "starting it", error),
        })?;
        Ok(Self {
            child: Mutex::new(child),
            folder,
        })
    }

    /// Waits until the child listens, and takes its first connection: it would end after a mere
    /// knock at its socket.
    fn connect(&mut self, path: &Path, options: &NbdOptions) -> Result<NbdVolume> {
        let refuse = |kind, detail| Err(Error::new(kind, Place::Path(path.to_owned()), detail));
        let url = self.folder.url();
        let polls = (options.timeout.as_millis() / POLL.as_millis()).max(1);
        for _ in 0..polls {
            if let Some(end) = self.ended() {
                return refuse(ErrorKind::Unsupported, format!("qemu-nbd refuses it{end}"));
            }
            if self.folder.socket().exists() {
                match NbdVolume::open(&url, options) {
                    Err(error) if is_not_serving(&error) => {}
                    Err(error) => {
                        let said = self.folder.complaint();
                        let detail = format!("cannot be read through qemu-nbd{said}");
                        return refuse(error.kind(), detail).map_err(|e| e.with_source(error));
                    }
                    volume => return volume,
                }
            }
            std::thread::sleep(POLL);
        }
        let seconds = options.timeout.as_secs_f64();
        refuse(
            ErrorKind::Io,
            format!("qemu-nbd did not listen within {seconds:.1} s"),
        )
    }

    /// What the child said last, if it has ended.
    fn ended(&self) -> Option<String> {
        match self.child.lock().try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!(" ({status}){}", self.folder.complaint())),
            Err(error) => Some(format!(" ({error})")),
        }
    }
}

/// True if the child does not take connections yet, or any more: it listens before it opens the
/// image, and ends if that fails.
fn is_not_serving(error: &Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            BrokenPipe | ConnectionRefused | ConnectionReset | UnexpectedEof
        )
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // It only reads: nothing is lost by ending it like this. An error means that it is gone.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A folder that only we can enter, gone with its content when dropped.
#[derive(Debug)]
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn new(parent: &Path) -> io::Result<Self> {
        let number = getrandom::u64().map_err(|_| io::Error::other("no random numbers"))?;
        let path = std::path::absolute(parent)?.join(format!("blockstore-{number:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("nbd")
    }

    fn complaints(&self) -> PathBuf {
        self.0.join("stderr")
    }

    fn url(&self) -> String {
        let socket = self.socket();
        let escape = |&byte: &u8| match byte {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02x}"),
        };
        let path: String = socket.as_os_str().as_bytes().iter().map(escape).collect();
        format!("nbd+unix:///?socket={path}")
    }

    /// What the child wrote to its stderr, on one line.
    fn complaint(&self) -> String {
        let mut bytes = Vec::new();
        let file = File::open(self.complaints());
        let read = file.and_then(|file| file.take(COMPLAINT_LEN_MAX).read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join("; ");
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        match read {
            Ok(_) if !line.is_empty() => format!(": {line}"),
            _ => String::new(),
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // What cannot be removed is an empty folder and a text.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
