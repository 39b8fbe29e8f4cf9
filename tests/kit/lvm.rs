//! A volume group of LVM over two disks, made by LVM itself without a device mapper.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use crate::kit::disk::HELLO;
use crate::kit::generate::random_bytes;
use crate::kit::loops::Loop;
use crate::kit::repository::Taken;
use crate::kit::repository::TestRepository;
use crate::kit::tool::can_make;
use crate::kit::tool::output;
use crate::kit::workspace::Workspace;

const MIB: u64 = 1 << 20;
const EXTENT_LEN: u64 = 4 * MIB;
/// Where extents begin in a physical volume.
const DATA_AT: u64 = MIB;
/// Where the physical volume of the first disk lies.
const PART_AT: u64 = 9 * MIB;
/// The extents of the logical volume, in its order: of the first disk, then of the second.
const EXTENTS: [(usize, u64); 6] = [(0, 2), (0, 3), (0, 6), (1, 1), (1, 2), (0, 5)];

/// Length of the logical volume `root`, bytes.
pub const ROOT_LEN: u64 = EXTENTS.len() as u64 * EXTENT_LEN;

/// Two disks with the group `vg0` over them: on partition 2 of the first, and on all of the second.
#[derive(Debug)]
pub struct Group {
    /// Images of the disks.
    pub disks: [PathBuf; 2],
    /// What the logical volume `root` was made of: an ext4.
    pub root: PathBuf,
    /// The files in that.
    pub files: PathBuf,
}

impl Group {
    /// A snapshot of both disks, `disk0` and `disk1` of one machine.
    #[track_caller]
    pub fn snapshot(&self, repository: &TestRepository) -> Taken {
        let [first, second] = &self.disks;
        let disk0 = format!("disk0={}", first.display());
        let disk1 = format!("disk1={}", second.display());
        repository.snapshot(&[&"--machine", &"web", &disk0, &disk1])
    }
}

/// The group, with `root` in pieces of both disks and `fast` in stripes; nothing where it cannot be
/// made.
pub fn group(workspace: &Workspace) -> Option<Group> {
    if !can_make(&["pvcreate", "vgcreate", "lvcreate", "mkfs.ext4", "sfdisk"]) {
        return None;
    }
    let files = workspace.folder("files");
    workspace.file("files/hello", HELLO);
    workspace.file("files/etc/deep/fstab", "none\n");
    workspace.file("files/long", random_bytes(7, "long", 9_000_000));
    let root = image(workspace, "root", ROOT_LEN);
    output("mkfs.ext4", &[&"-q", &"-d", &files, &root]);
    let disks = [
        image(workspace, "first", 48 * MIB),
        image(workspace, "second", 32 * MIB),
    ];
    let table = "label: gpt\nsize=8M,type=L\ntype=E6D6D379-F507-44C2-A23C-238F2A3DF928\n";
    let table = workspace.file("table", table);
    let words = "sfdisk --quiet --no-reread --no-tell-kernel \"$1\" < \"$2\"";
    output("sh", &[&"-c", &words, &"sh", &disks[0], &table]);
    {
        let first = Loop::part(&disks[0], &(PART_AT..47 * MIB))?;
        let second = Loop::attach(&disks[1])?;
        make(first.path(), second.path());
    }
    let bytes = std::fs::read(&root).expect("it was made");
    for ((disk, extent), piece) in EXTENTS.into_iter().zip(bytes.chunks(EXTENT_LEN as usize)) {
        let start = [PART_AT, 0][disk] + DATA_AT + extent * EXTENT_LEN;
        let file = File::options().write(true).open(&disks[disk]);
        let written = file.and_then(|file| file.write_all_at(piece, start));
        written.expect("the disk can be written");
    }
    Some(Group { disks, root, files })
}

fn image(workspace: &Workspace, name: &str, len: u64) -> PathBuf {
    let path = workspace.join(name);
    let file = File::create(&path).and_then(|file| file.set_len(len));
    file.expect("the workspace can be written");
    path
}

fn make(first: &Path, second: &Path) {
    let [first, second] = [first, second].map(|path| path.to_str().expect("devices have names"));
    // Nothing is looked at but these two, and nothing is kept of them.
    let config = format!(
        "devices {{ filter = [ \"a|^{first}$|\", \"a|^{second}$|\", \"r|.*|\" ] }} \
         backup {{ backup = 0 archive = 0 }} activation {{ udev_sync = 0 }}"
    );
    let lvm = |program: &str, words: &[&str]| {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"--config", &config, &"--quiet"];
        all.extend(words.iter().map(|word| word as &dyn AsRef<_>));
        output(program, &all);
    };
    lvm("pvcreate", &[first, second]);
    lvm("vgcreate", &["-s", "4M", "vg0", first, second]);
    // Whatever is not to be activated needs no device mapper.
    let asleep = ["--driverloaded", "n", "-an", "-Zn", "-Wn"];
    let volume = |words: &[&str]| lvm("lvcreate", &[&asleep, words].concat());
    let mut pieces = vec![format!("{first}:2-3:6-6"), format!("{second}:1-2")];
    pieces.push(format!("{first}:5-5"));
    let grow = |piece: &str, count: &str| {
        lvm(
            "lvextend",
            &["--driverloaded", "n", "-l", count, "vg0/root", piece],
        );
    };
    volume(&["-n", "root", "-l", "3", "vg0", &pieces[0]]);
    grow(&pieces[1], "+2");
    grow(&pieces[2], "+1");
    volume(&["-n", "fast", "-l", "2", "-i", "2", "vg0"]);
}
