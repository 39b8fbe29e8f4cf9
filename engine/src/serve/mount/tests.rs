//! Inode numbers hold, what is told is told once, and odd values reach the kernel as it has them.

use parking_lot::Mutex;

use super::inodes::Inodes;
use super::opened::Opened;
use super::*;
use crate::error::ErrorKind;
use crate::format::entry::Timestamp;
use crate::observe::Problem;
use crate::operations::map_volume::MappedRange;
use crate::serve::files::{Kind, MountedTree, ROOT};
use crate::serve::names::{Named, TableBuilder};
use crate::serve::view::View;

struct Tree(Arc<dyn Files>);

impl MountedTree for Tree {
    fn open(&self) -> Result<Arc<dyn Files>> {
        Ok(Arc::clone(&self.0))
    }
}

struct Bytes(u8);

impl View for Bytes {
    fn len(&self) -> u64 {
        1
    }

    fn read_at(&self, _: u64, out: &mut [u8]) -> Result<()> {
        out.fill(self.0);
        Ok(())
    }

    fn map(&self, _: std::ops::Range<u64>, _: usize) -> Result<Vec<MappedRange>> {
        Ok(Vec::new())
    }
}

fn names(paths: &[(&str, Named)]) -> Arc<dyn Files> {
    let (mut builder, time) = (TableBuilder::default(), Timestamp::default());
    for (path, named) in paths {
        builder.add(path.as_bytes(), time, named.clone());
    }
    Arc::new(Names::fixed(builder.finish(time), (0, 0)))
}

#[test]
fn a_tree_is_offered_to_be_settled_until_that_is_taken() {
    let inodes = Inodes::new(names(&[("a", Named::Link(b"x".to_vec()))]));
    let mut offers = 0;
    for is_taken in [false, false, true, true, true] {
        inodes.settle_once(1, || {
            offers += 1;
            is_taken
        });
    }
    assert_eq!(offers, 3);
}

#[test]
fn a_tree_in_the_place_of_a_node_has_inodes_of_its_own_and_leads_back() {
    let link = || Named::Link(b"x".to_vec());
    let inner = names(&[("a", link()), ("b", link())]);
    let tree = || Named::Tree(Arc::new(Tree(Arc::clone(&inner))), Kind::Folder);
    let outer = names(&[("here/one", tree()), ("here/two", tree())]);
    let inodes = Inodes::new(outer);
    let root = inodes.node(1).unwrap();
    assert_eq!(
        (root.number, root.inode(), root.parent().unwrap()),
        (ROOT, 1, 1)
    );
    let here = root.files.child(ROOT, b"here").unwrap().unwrap();
    let here = inodes.node(inodes.inode_in(&root, here).unwrap()).unwrap();
    let mut seen = Vec::new();
    for name in [b"one", b"two"] {
        let number = here.files.child(here.number, name).unwrap().unwrap();
        let inode = inodes.inode_in(&here, number).unwrap();
        assert_eq!(inodes.inode_in(&here, number).unwrap(), inode);
        let top = inodes.node(inode).unwrap();
        assert_eq!(
            (top.number, top.inode(), top.parent().unwrap()),
            (ROOT, inode, here.inode())
        );
        let leaf = top.files.child(ROOT, b"b").unwrap().unwrap();
        let leaf = inodes.inode_in(&top, leaf).unwrap();
        assert_eq!(inodes.node(leaf).unwrap().inode(), leaf);
        seen.extend([inode, leaf]);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
    for unknown in [0, u64::MAX, 9 << 40] {
        assert!(inodes.node(unknown).is_err(), "{unknown}");
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<Problem>>);

impl Observer for Told {
    fn problem(&self, problem: &Problem) {
        self.0.lock().push(problem.clone());
    }
}

#[test]
fn a_problem_is_told_once_for_each_file_and_by_one_who_waits() {
    let (problems, told) = (Problems::default(), Told::default());
    let error = Error::new(ErrorKind::Damaged, Place::Repository, "a byte is wrong");
    for inode in [5, 5, 6] {
        problems.tell(inode, b"/etc/fstab", &error);
    }
    assert!(told.0.lock().is_empty());
    assert_eq!((problems.pass_on(&told), problems.pass_on(&told)), (2, 0));
    let told = told.0.into_inner();
    assert_eq!(told[0].subject, b"/etc/fstab");
    assert!(told[0].detail.contains("a byte is wrong"));
}

#[test]
fn views_are_opened_again_only_once_many_others_were() {
    let opened = Opened::default();
    let opens = Mutex::new(0);
    let view = |inode: u64| {
        let open = || -> Result<Arc<dyn View>> {
            *opens.lock() += 1;
            Ok(Arc::new(Bytes(inode as u8)))
        };
        let view = opened.view(inode, open).unwrap();
        opened.read(&*view, 0, 1, |read| {
            assert_eq!(read.unwrap(), [inode as u8])
        });
    };
    for inode in 0..100_u64 {
        view(inode);
        view(0);
    }
    assert_eq!(*opens.lock(), 100);
    (0..10_000_u64).for_each(view);
    assert!(*opens.lock() >= 10_000);
}

#[test]
fn times_and_devices_reach_the_kernel_as_they_were() {
    let time = |seconds, nanoseconds| {
        let time = attr::system_time(Timestamp {
            seconds,
            nanoseconds,
        });
        match time.duration_since(std::time::SystemTime::UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).unwrap(),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap(),
        }
    };
    assert_eq!(time(1, 5), 1_000_000_005);
    assert_eq!(time(-2, 999_999_999), -1_000_000_001);
    for seconds in [i64::MIN, i64::MAX] {
        time(seconds, 999_999_999); // anything but a panic
    }
    let device = |major, minor| {
        attr::device_number(Kind::CharDevice(crate::format::entry::DeviceNumber {
            major,
            minor,
        }))
    };
    assert_eq!(device(8, 1), 0x801);
    assert_eq!(device(259, 0x12345), 0x1231_0345);
    assert_eq!(attr::device_number(Kind::File), 0);
}

#[test]
fn a_place_that_is_no_mount_point_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for (path, kind, words) in [
        (
            folder.path().to_owned(),
            ErrorKind::InvalidInput,
            "not an empty folder",
        ),
        (file, ErrorKind::InvalidInput, "not a folder"),
        (folder.path().join("none"), ErrorKind::NotFound, "mkdir"),
    ] {
        let error = ground::check(&path).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
