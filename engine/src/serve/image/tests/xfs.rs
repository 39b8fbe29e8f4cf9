//! XFS: what its maker was given is what is read, and what the kernel shows while it is mounted is what
//! a copy of its device holds, log included.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use crate::format::entry::{Entry, Node, Xattr};
use crate::serve::image::reader::{At, HOLES_BY_ZEROS};
use crate::serve::image::{ImageNode, ImageTree, Images, Viewers};
use crate::serve::problems::Problems;
use crate::testing::random::Random;

const MIB: u64 = 1 << 20;
/// Smaller than any that is meant for use.
const SMALL: &[&str] = &["-q", "-f", "--unsupported"];

/// Files of many kinds as lines for their maker, which takes no names with spaces and gives no times;
/// and a folder of so many names.
fn lines(folder: &TempDir, names: usize) -> String {
    let mut random = Random::new(6);
    let mut source = |name: &str, len| {
        let path = folder.path().join(name);
        std::fs::write(&path, random.bytes(len)).unwrap();
        text(&path)
    };
    let (long, odd) = (source("long", 3_000_001), source("odd", 1_025));
    let many = (0..names).map(|number| format!("a_long_name_{number:05} p--640 1 2\n"));
    let many: String = many.collect();
    format!(
        "/none\n0 0\nd--755 3 4\n\
         long -u-644 12 70000 {long}\n\
         etc d--751 0 0\nodd ---600 0 0 {odd}\nempty -ug444 0 0 /dev/null\n$\n\
         link l--777 0 0 etc/odd\nmiddle l--777 0 0 {}\n\
         pipe p--640 1 2\nblock b--600 0 0 8 300\nchar c--600 0 0 300 70000\n\
         none d--755 0 0\n$\n\
         many d--750 5 6\n{many}$\n$\n",
        "x".repeat(100)
    )
}

/// An XFS with these files; no kernel is asked.
pub(super) fn xfs(folder: &TempDir, options: &[&str], names: usize) -> Vec<u8> {
    let lines = lines(folder, names);
    let (script, image) = (folder.path().join("lines"), blank(folder, 48 * MIB));
    std::fs::write(&script, lines).unwrap();
    let script = text(&script);
    run(
        "mkfs.xfs",
        &[SMALL, options, &["-p", &script, &image]].concat(),
    );
    std::fs::read(image).unwrap()
}

fn node_of(entries: &BTreeMap<String, Entry>, name: &str) -> (Node, u16, (u32, u32)) {
    let entry = &entries[name];
    let metadata = &entry.metadata;
    let owner = (metadata.owner.uid, metadata.owner.gid);
    (entry.node.clone(), metadata.mode, owner)
}

#[test]
fn xfs_of_both_versions_and_all_lengths_is_what_its_maker_was_given() {
    if !has_tool("mkfs.xfs") {
        return;
    }
    for (options, names) in [
        (&["-m", "crc=1"][..], 10),
        (&["-b", "size=1024"], 10_000),
        (&["-n", "size=16384", "-i", "nrext64=1"], 3_000),
        (&["-m", "bigtime=0", "-i", "size=2048"], 60),
        (&["-m", "crc=0"], 3_000),
        (
            &["-m", "crc=0", "-b", "size=512", "-n", "size=8192,ftype=1"],
            700,
        ),
        (&["-m", "crc=0", "-n", "ftype=0", "-b", "size=1024"], 60),
    ] {
        let folder = TempDir::new().unwrap();
        let mut image = opened(xfs(&folder, options, names));
        assert_eq!(image.kind(), "xfs");
        assert_eq!(image.fidelity(), [HOLES_BY_ZEROS]);
        assert_eq!(image.doubt(), None);
        let entries = listed(&mut image);
        assert_eq!(entries.len(), names + 11, "{options:?}");
        for (name, source) in [("long", "long"), ("etc/odd", "odd")] {
            let expected = std::fs::read(folder.path().join(source)).unwrap();
            assert!(content(&mut image, name).unwrap() == expected, "{name}");
        }
        let device = |major, minor| crate::format::entry::DeviceNumber { major, minor };
        let link = |target: &str| Node::Symlink(target.as_bytes().to_vec());
        for (name, expected) in [
            ("pipe", (Node::Fifo, 0o640, (1, 2))),
            ("block", (Node::BlockDevice(device(8, 300)), 0o600, (0, 0))),
            (
                "char",
                (Node::CharDevice(device(300, 70_000)), 0o600, (0, 0)),
            ),
            ("link", (link("etc/odd"), 0o777, (0, 0))),
            ("middle", (link(&"x".repeat(100)), 0o777, (0, 0))),
            ("many/a_long_name_00007", (Node::Fifo, 0o640, (1, 2))),
        ] {
            assert_eq!(node_of(&entries, name), expected, "{options:?}: {name}");
        }
        let [long, etc] = ["long", "etc"].map(|name| node_of(&entries, name));
        assert_eq!((long.1, long.2), (0o4644, (12, 70_000)));
        assert_eq!((etc.1, etc.2), (0o751, (0, 0)));
        let long = image.entry(&path("long")).unwrap();
        let allocated = long.found.allocated.unwrap();
        assert!((3_000_001..3_008_192).contains(&allocated), "{allocated}");
        let last = format!("many/a_long_name_{:05}", names - 1);
        assert!(image.entry(&path(&last)).is_ok(), "it is found by its name");
    }
}

/// An XFS that is mounted from a file.
pub(super) struct Live {
    image: PathBuf,
    point: PathBuf,
    _folder: TempDir,
}

impl Live {
    /// Nothing, and a line that says so, where only others may mount.
    #[allow(clippy::print_stderr, reason = "a test that is left out says so")]
    pub(super) fn new(options: &[&str]) -> Option<Self> {
        if !has_tool("mkfs.xfs") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let image = blank(&folder, 64 * MIB);
        run("mkfs.xfs", &[SMALL, options, &[&image]].concat());
        let point = folder.path().join("point");
        std::fs::create_dir(&point).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-o", "loop", &image, &text(&point)]).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: an XFS cannot be mounted");
            return None;
        }
        Some(Self {
            image: image.into(),
            point,
            _folder: folder,
        })
    }

    pub(super) fn run(&self, script: &str) {
        run(
            "sh",
            &["-ec", &format!("cd {}; {script}", text(&self.point))],
        );
    }

    /// The device as it is at this moment, all that was written having reached its data or its log.
    pub(super) fn bytes(&self) -> Vec<u8> {
        run("sync", &["-f", &text(&self.point)]);
        std::fs::read(&self.image).unwrap()
    }

    fn copy(&self) -> Image {
        opened(self.bytes())
    }

    /// What the kernel shows, and what a reader shows of the device.
    #[track_caller]
    fn assert_same(&self, image: &mut Image) {
        let (mut there, mut here) = (BTreeMap::new(), BTreeMap::new());
        collect(&self.point, &self.point, &mut there);
        shown(image, &FolderPath::root(), &mut here);
        for (name, fact) in &there {
            assert_eq!(here.get(name), Some(fact), "{name}");
        }
        assert_eq!(here.len(), there.len(), "nothing else is shown");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left someone inside.
        let point = text(&self.point);
        let _ = Command::new("umount").args(["--lazy", &point]).status();
    }
}

/// All that a reader shows below a folder.
fn shown(image: &mut Image, folder: &FolderPath, facts: &mut BTreeMap<String, Fact>) {
    let entry = image.entry(folder).unwrap();
    let page = image.page(folder, &entry, None, usize::MAX).unwrap();
    assert!(page.lost.is_empty(), "{:?}", page.lost);
    for entry in page.entries {
        let at = folder.child(&entry.name);
        let names = at.components().map(|name| String::from_utf8_lossy(name));
        let name = names.collect::<Vec<_>>().join("/");
        let held = match &entry.found.node {
            ImageNode::File { len } => {
                let mut bytes = vec![0; *len as usize];
                image.read_at(&at, &entry, 0, &mut bytes).unwrap();
                blake3::hash(&bytes).to_string()
            }
            ImageNode::Symlink(target) => target.escape_ascii().to_string(),
            ImageNode::CharDevice(number) | ImageNode::BlockDevice(number) => {
                format!("{}:{}", number.major, number.minor)
            }
            _ => String::new(),
        };
        if entry.is_folder() {
            shown(image, &at, facts);
        }
        let metadata = entry.found.metadata;
        let fact = Fact {
            mode: metadata.mode,
            owner: (metadata.owner.uid, metadata.owner.gid),
            mtime: (metadata.mtime.seconds, metadata.mtime.nanoseconds.into()),
            links: entry.found.links.into(),
            xattrs: metadata.xattrs,
            held,
        };
        facts.insert(name, fact);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Fact {
    mode: u16,
    owner: (u32, u32),
    mtime: (i64, i64),
    links: u64,
    xattrs: Vec<Xattr>,
    held: String,
}

fn collect(top: &Path, folder: &Path, facts: &mut BTreeMap<String, Fact>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let there = path.symlink_metadata().unwrap();
        let kind = there.file_type();
        let device = there.rdev();
        let held = if kind.is_file() {
            blake3::hash(&std::fs::read(&path).unwrap()).to_string()
        } else if kind.is_symlink() {
            let target = path.read_link().unwrap();
            target
                .as_os_str()
                .as_encoded_bytes()
                .escape_ascii()
                .to_string()
        } else if kind.is_char_device() || kind.is_block_device() {
            format!(
                "{}:{}",
                rustix::fs::major(device),
                rustix::fs::minor(device)
            )
        } else {
            String::new()
        };
        if kind.is_dir() {
            collect(top, &path, facts);
        }
        let fact = Fact {
            mode: (there.mode() & 0o7777) as u16,
            owner: (there.uid(), there.gid()),
            mtime: (there.mtime(), there.mtime_nsec()),
            links: there.nlink(),
            xattrs: xattrs_of(&path),
            held,
        };
        facts.insert(text(path.strip_prefix(top).unwrap()), fact);
    }
}

/// All attributes, but for those in which root sees the ACLs a second time.
fn xattrs_of(path: &Path) -> Vec<Xattr> {
    let mut names = vec![0; 64 << 10];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..len].split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL"));
    let mut xattrs: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(len);
            let name = name.to_vec();
            Xattr { name, value }
        })
        .collect();
    xattrs.sort();
    xattrs
}

/// A few of everything.
const FILL: &str = "
    mkdir -p a/b many; echo x > a/b/x; ln a/b/x a/y; ln -s ../a/b a/link; mkfifo a/pipe
    chown 1234:70000 a/b/x; chmod 4751 a/b/x; mknod a/null c 1 3; mknod a/disk b 259 70000
    setfattr -n user.colour -v red a/b/x; setfattr -n trusted.t -v x a/b/x
    setfattr -n security.s -v y a/b; setfacl -m u:1000:r a/b/x; setfacl -d -m g:7:rwx a/b
    touch -d '1935-03-04 05:06:07.5 UTC' a/old; touch -d '2200-03-04 05:06:07.25 UTC' a/new
    ln -s $(head -c 1000 /dev/zero | tr '\\0' x) a/far
    for i in $(seq 40); do setfattr -n user.$i -v $(head -c $((i * 60)) /dev/zero | tr '\\0' v) a/y; done
    setfattr -n user.huge -v 0x$(head -c 30000 /dev/zero | tr '\\0' 7) a/new
    head -c 300000 /dev/urandom > a/data; truncate -s 1M a/data; fallocate -l 3M a/reserved
    cp --reflink=auto a/data a/shared; head -c 5000 /dev/urandom | dd of=a/shared bs=1 seek=70000 conv=notrunc
    (cd many; touch $(seq -f quite_a_long_name_%05.0f 2500))";
const CHURN: &str = "
    rm -r a/b; rm many/*3; (cd many; touch $(seq -f another_name_%05.0f 300)); mv a/data many/moved
    mkdir a/c; cp many/moved a/c/x; ln -sf new a/link; setfattr -x user.20 a/y; setfattr -n user.n -v 1 a/old
    rm a/far; mkdir -p deep/er/still; mv many deep/er; chmod 600 a/old";

#[test]
fn what_only_the_log_has_is_read_from_there() {
    for options in [
        &["-m", "crc=1"][..],
        &["-b", "size=1024", "-n", "size=8192"],
        &["-m", "bigtime=0,reflink=0", "-i", "size=1024,nrext64=1"],
    ] {
        let Some(live) = Live::new(options) else {
            return;
        };
        live.assert_same(&mut live.copy());
        for script in [FILL, CHURN, "rm -r deep; mkdir deep; echo x > deep/x"] {
            live.run(script);
            let mut image = live.copy();
            assert_eq!(image.doubt(), None);
            live.assert_same(&mut image);
        }
    }
}

#[test]
fn a_log_that_went_round_is_replayed_over_its_end() {
    let Some(live) = Live::new(&["-m", "reflink=0"]) else {
        return;
    };
    for round in 0..12 {
        // Some 700 KiB of log each.
        live.run(&format!(
            "rm -rf x{}; mkdir x{round}; cd x{round}
             touch $(seq -f quite_a_long_name_that_takes_its_room_%05.0f 900); chmod 600 *; rm *5",
            round - 2
        ));
        if round % 3 == 2 {
            let mut image = live.copy();
            assert_eq!(image.doubt(), None);
            live.assert_same(&mut image);
        }
    }
    let bytes = live.bytes();
    let is_later = |at: &usize| bytes[at + 4..at + 8] != [0, 0, 0, 1];
    assert!(records(&bytes).iter().any(is_later), "it went round");
}

/// Where records of the log begin in an image.
fn records(bytes: &[u8]) -> Vec<usize> {
    let sectors = bytes.chunks(512).enumerate();
    let records = sectors
        .filter(|(_, sector)| sector.starts_with(b"\xfe\xed\xba\xbe") && sector[4..8] != [0; 4]);
    records.map(|(index, _)| index * 512).collect()
}

#[test]
fn a_record_that_is_torn_is_not_there_and_one_that_is_damaged_is_told() {
    let Some(live) = Live::new(&[]) else {
        return;
    };
    for number in 0..12 {
        live.run(&format!("echo x > file{number}"));
        live.bytes();
    }
    let bytes = live.bytes();
    let records = records(&bytes);
    assert!(records.len() > 12, "{}", records.len());
    let names = |bytes: Vec<u8>| {
        let mut image = opened(bytes);
        (listed(&mut image).len(), image.doubt())
    };
    assert_eq!(names(bytes.clone()), (12, None));
    let mut torn = bytes.clone();
    torn[records[records.len() - 1] + 700] ^= 1;
    let (count, told) = names(torn);
    assert!(count < 12 && told.is_none(), "{count}, {told:?}");
    let mut damaged = bytes.clone();
    damaged[records[2] + 700] ^= 1;
    let (count, told) = names(damaged.clone());
    assert!(count < 12, "{count}");
    let told = told.expect("the log is damaged");
    assert!(told.contains("the log of the file system is damaged"));
    let problems = Arc::new(Problems::default());
    let images = Images::new(MIB as usize, Arc::clone(&problems));
    let open = Box::new(move || Ok(view(damaged.clone()) as Arc<dyn View>));
    let (name, viewers) = (
        b"disk0".to_vec(),
        Viewers {
            owner: (0, 0),
            others: false,
        },
    );
    ImageTree::open(&images, name, open, viewers).unwrap();
    assert_eq!(
        problems.pass_on(&()),
        1,
        "who looks at a mount is told as well"
    );
}

#[test]
fn a_log_of_one_record_is_replayed() {
    let Some(live) = Live::new(&[]) else {
        return;
    };
    live.run("mkdir a; echo x > a/b");
    let mut image = live.copy();
    assert_eq!(image.doubt(), None);
    live.assert_same(&mut image);
}

#[test]
fn a_frozen_xfs_and_one_that_was_unmounted_are_read() {
    let Some(live) = Live::new(&[]) else {
        return;
    };
    live.run(FILL);
    run("fsfreeze", &["--freeze", &text(&live.point)]);
    let frozen = std::fs::read(&live.image).unwrap();
    run("fsfreeze", &["--unfreeze", &text(&live.point)]);
    live.assert_same(&mut opened(frozen));
    run("mount", &["-o", "remount,ro", &text(&live.point)]);
    live.assert_same(&mut opened(std::fs::read(&live.image).unwrap()));
}

#[test]
fn holes_and_what_was_reserved_are_told_however_many_there_are() {
    let Some(live) = Live::new(&["-b", "size=1024"]) else {
        return;
    };
    live.run(
        "head -c 4000000 /dev/urandom > comb
         i=0; while [ $i -lt 1000 ]; do
             fallocate --punch-hole --offset $((i * 4096 + 1024)) --length 2048 comb; i=$((i + 2)); done
         truncate -s 1G far; echo end >> far; fallocate -l 100K reserved
         echo x | dd of=reserved conv=notrunc 2>/dev/null",
    );
    let mut image = live.copy();
    live.assert_same(&mut image);
    for (name, offset, expected) in [
        ("comb", 0, (1024, false)),
        ("comb", 1500, (3072, true)),
        ("comb", 3072, (9216, false)),
        ("far", 5, (1 << 30, true)),
        ("reserved", 2000, (102_400, true)),
    ] {
        let at = path(name);
        let id = image.entry(&at).unwrap().found.id;
        let question = At { path: &at, id };
        let found = image.ask(&at, |reader| reader.stretch(&question, offset));
        let found = found.unwrap();
        assert_eq!((found.end, found.is_hole), expected, "{name} at {offset}");
    }
}

#[test]
fn damage_is_an_error_of_the_place_and_never_wrong_content() {
    if !has_tool("mkfs.xfs") {
        return;
    }
    let bytes = xfs(&TempDir::new().unwrap(), &[], 400);
    let whole = listed(&mut opened(bytes.clone()));
    let mut random = Random::new(8);
    let (mut refused, mut lost) = (0, 0);
    // Every byte counts of inodes that somebody has, and of blocks of folders.
    let parts = bytes
        .chunks(512)
        .enumerate()
        .filter(|(_, part)| part.starts_with(b"IN") && part[2] != 0 || part.starts_with(b"XDD3"));
    let used: Vec<_> = parts
        .flat_map(|(index, _)| index * 512..(index + 1) * 512)
        .collect();
    for _ in 0..40 {
        let mut bytes = bytes.clone();
        bytes[used[random.below(used.len())]] ^= 1 << random.below(8);
        let Ok(mut image) = Image::open(view(bytes), b"disk0/p1") else {
            refused += 1;
            continue;
        };
        let root = FolderPath::root();
        let mut found = BTreeMap::new();
        let report = list(&mut image, &root, true, &(), &mut |listed| {
            let name = String::from_utf8_lossy(&listed.path["disk0/p1/".len()..]).into_owned();
            found.insert(name, listed.entry.clone());
            Ok(())
        });
        for (name, entry) in &found {
            assert_eq!(whole.get(name), Some(entry), "{name}");
        }
        lost += usize::from(report.is_err() || found.len() < whole.len());
    }
    assert!(lost > 10, "{refused} refused, {lost} lost something");
}
