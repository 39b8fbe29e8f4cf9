//! What the comparer knows about one object of a tree.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Everything that has to be equal, and where to look further.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) at: PathBuf,
    pub(super) kind: Kind,
    /// Length of a regular file, 0 of anything else.
    pub(super) len: u64,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    target: Option<OsString>,
    /// Number of a device node, 0 of anything else.
    device: u64,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    inode: (u64, u64),
    /// The first path of the tree that is the same object, if it is not this one.
    leader: Option<PathBuf>,
}

/// File types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

impl Facts {
    pub(super) fn of(at: PathBuf) -> io::Result<Self> {
        let metadata = at.symlink_metadata()?;
        let kind = kind_of(metadata.file_type());
        let target = match kind {
            Kind::Symlink => Some(at.read_link()?.into_os_string()),
            _ => None,
        };
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        Ok(Self {
            kind,
            len: if kind == Kind::File {
                metadata.len()
            } else {
                0
            },
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            target,
            device: if is_device { metadata.rdev() } else { 0 },
            xattrs: xattrs(&at)?,
            inode: (metadata.dev(), metadata.ino()),
            leader: None,
            at,
        })
    }

    /// Every fact but the attributes, as it is told.
    fn described(&self) -> [(&'static str, String); 8] {
        [
            ("kind", format!("{:?}", self.kind)),
            ("length", self.len.to_string()),
            ("mode", format!("{:04o}", self.mode)),
            ("owner", format!("{:?}", self.owner)),
            ("mtime", format!("{:?}", self.mtime)),
            ("target", format!("{:?}", self.target)),
            ("device", format!("{:#x}", self.device)),
            ("first hard link", format!("{:?}", self.leader)),
        ]
    }
}

fn kind_of(kind: std::fs::FileType) -> Kind {
    match kind {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Symlink,
        kind if kind.is_fifo() => Kind::Fifo,
        kind if kind.is_socket() => Kind::Socket,
        kind if kind.is_char_device() => Kind::CharDevice,
        _ => Kind::BlockDevice,
    }
}

/// Joining an empty path would append a slash, which follows a symbolic link.
pub(super) fn place(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        root.to_owned()
    } else {
        root.join(path)
    }
}

/// Hard links are compared as a partition of the paths: each names the first of its group.
pub(super) fn name_leaders(tree: &mut BTreeMap<PathBuf, Facts>) {
    let mut leaders = BTreeMap::new();
    for (path, facts) in tree.iter_mut() {
        if facts.kind == Kind::Folder {
            continue;
        }
        let leader = leaders.entry(facts.inode).or_insert_with(|| path.clone());
        facts.leader = (leader != path).then(|| leader.clone());
    }
}

pub(super) fn metadata_differences(left: &Facts, right: &Facts) -> Vec<String> {
    let pairs = left.described().into_iter().zip(right.described());
    let mut lines = pairs
        .filter(|(left, right)| left != right)
        .map(|((what, left), (_, right))| format!("{what} is {left} and {right}"))
        .collect::<Vec<_>>();
    lines.extend(xattr_differences(&left.xattrs, &right.xattrs));
    lines
}

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

fn xattr_differences(left: &Xattrs, right: &Xattrs) -> Vec<String> {
    let mut names = left.keys().chain(right.keys()).collect::<Vec<_>>();
    names.sort();
    names.dedup();
    names.retain(|name| left.get(*name) != right.get(*name));
    let shown = |value: Option<&Vec<u8>>| match value {
        None => "absent".to_owned(),
        Some(value) if value.len() > 64 => format!("{} bytes", value.len()),
        Some(value) => format!("\"{}\"", value.escape_ascii()),
    };
    let line = |name: &Vec<u8>| {
        let values = (shown(left.get(name)), shown(right.get(name)));
        let name = name.escape_ascii();
        format!("xattr {name} is {} and {}", values.0, values.1)
    };
    names.into_iter().map(line).collect()
}

/// All extended attributes of the object itself, with ACLs and capabilities as raw bytes.
fn xattrs(at: &Path) -> io::Result<Xattrs> {
    let Some(list) = xattr_bytes(|out| rustix::fs::llistxattr(at, out))? else {
        return Ok(Xattrs::new());
    };
    let mut xattrs = Xattrs::new();
    for name in list.split_inclusive(|&byte| byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
        // XFS shows root its ACLs a second time.
        if name.to_bytes().starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        if let Some(value) = xattr_bytes(|out| rustix::fs::lgetxattr(at, name, out))? {
            xattrs.insert(name.to_bytes().to_owned(), value);
        }
    }
    Ok(xattrs)
}

/// What `read` puts out, however long; nothing where the file system has no such thing.
fn xattr_bytes(
    mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Option<Vec<u8>>> {
    let mut out = vec![0; 128 << 10]; // the kernel's limit is 64 KiB for values and lists
    match read(&mut out) {
        Ok(len) => {
            out.truncate(len);
            Ok(Some(out))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The runs of data of a file, as start and end; what lies between is holes.
pub(super) fn hole_map(file: &File) -> io::Result<Vec<(u64, u64)>> {
    let mut runs = Vec::new();
    let mut at = 0;
    loop {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(runs),
            Err(error) => return Err(error.into()),
        };
        at = rustix::fs::seek(file, SeekFrom::Hole(start))?;
        runs.push((start, at));
    }
}
