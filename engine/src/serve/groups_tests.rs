//! Volume groups in snapshots: members found by id, views of logical volumes, and what is refused.

use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::format::snapshot::Snapshot;
use crate::format::volume::{FileSystemInfo, LayoutInfo};
use crate::operations::restore_volume::{RestoreVolumeOptions, restore_volume};
use crate::serve::groups::{Group, members};
use crate::serve::{Library, LibraryOptions, View};
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository::{self, small_frames};
use crate::testing::sample_volumes::{self, SampleVolume, Stretch};
use crate::testing::tiny_volumes::{LVM_MEMBERS, lvm, lvm_text, repair_lvm};

/// Where extents begin in a physical volume, and how long one is.
pub(super) const DATA_AT: usize = 16 << 10;
pub(super) const EXTENT_LEN: usize = 2048;

/// A physical volume with random bytes in its extents.
fn physical(index: usize) -> Vec<u8> {
    physical_of(index, &lvm_text())
}

/// The same, of a group with this metadata.
pub(super) fn physical_of(index: usize, text: &str) -> Vec<u8> {
    let mut image = lvm(LVM_MEMBERS[index], text);
    let data_len = image.len() - DATA_AT;
    let data = Random::new(index as u64).bytes(data_len);
    image[DATA_AT..].copy_from_slice(&data);
    image
}

/// A snapshot of these disks, each recognized as the member of this index.
pub(super) fn snapshot(disks: &[(&str, usize, &[u8])]) -> (Arc<Library>, Snapshot) {
    let backend = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(backend);
    let stretches = |bytes: &[u8]| vec![Stretch::Data(Arc::new(bytes.to_vec()))];
    let volumes: Vec<_> = disks
        .iter()
        .map(|(name, _, bytes)| (*name, SampleVolume::new(stretches(bytes))))
        .collect();
    let volumes: Vec<_> = volumes.iter().map(|(name, one)| (*name, one)).collect();
    let mut snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
    for (root, (_, index, _)) in snapshot.roots.iter_mut().zip(disks) {
        let held = FileSystemInfo {
            kind: "lvm2_member".to_owned(),
            uuid: Some(LVM_MEMBERS[*index].to_owned()),
            ..FileSystemInfo::default()
        };
        root.volume = Some(sample_volumes::info(LayoutInfo {
            file_system: Some(held),
            ..LayoutInfo::default()
        }));
    }
    let options = LibraryOptions {
        memory: 16 << 20,
        threads: 1,
    };
    (
        Library::open(Arc::new(repository), options).unwrap(),
        snapshot,
    )
}

fn opened(library: &Arc<Library>, snapshot: &Snapshot, index: usize) -> Result<Group> {
    let member = members(snapshot).nth(index).unwrap();
    Group::open(library, snapshot, &member)
}

fn bytes_of(view: &dyn View) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::serve::view::copy(view, &mut bytes).unwrap();
    bytes
}

fn extents(disk: &[u8], first: usize, count: usize) -> &[u8] {
    &disk[DATA_AT + first * EXTENT_LEN..][..count * EXTENT_LEN]
}

#[test]
fn a_logical_volume_is_its_extents_in_order_from_whichever_member_it_is_asked() {
    let (first, second) = (physical(0), physical(1));
    let (library, snapshot) = snapshot(&[("disk0", 0, &first), ("disk1", 1, &second)]);
    for (index, name) in [(0, "disk0"), (1, "disk1")] {
        let group = opened(&library, &snapshot, index).unwrap();
        let root = group.view(b"vg0", b"root").unwrap();
        let expected = [extents(&first, 0, 4), extents(&first, 20, 4)].concat();
        assert!(bytes_of(&*root) == expected);
        let both = group.view(b"vg0", b"both").unwrap();
        let expected = [extents(&first, 30, 2), extents(&second, 0, 3)].concat();
        assert!(bytes_of(&*both) == expected);
        let path = format!("{name}/vg0/root");
        assert_eq!(group.path_of(b"root"), path.as_bytes());
    }
}

#[test]
fn its_bytes_are_restored_as_they_are_read() {
    let (first, second) = (physical(0), physical(1));
    let (library, snapshot) = snapshot(&[("disk0", 0, &first), ("disk1", 1, &second)]);
    let group = opened(&library, &snapshot, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"root"[..], b"both"] {
        let bytes = group.bytes(&snapshot, b"vg0", name).unwrap();
        assert_eq!(bytes.name(), [b"disk1/vg0/", name].concat());
        let target = folder.path().join(std::str::from_utf8(name).unwrap());
        let (repository, options) = (library.repository(), RestoreVolumeOptions::default());
        restore_volume(repository, bytes, &target, &options, &()).unwrap();
        let expected = bytes_of(&*group.view(b"vg0", name).unwrap());
        assert!(std::fs::read(target).unwrap() == expected);
    }
    let refused = group.bytes(&snapshot, b"vg0", b"fast").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[test]
fn what_is_not_linear_not_there_or_on_another_disk_is_named() {
    let (library, snapshot) = snapshot(&[("disk0", 0, &physical(0))]);
    let group = opened(&library, &snapshot, 0).unwrap();
    for (group_name, name, kind, told) in [
        (
            "vg0",
            "thin",
            ErrorKind::Unsupported,
            "not readable here: thin volume",
        ),
        ("vg0", "fast", ErrorKind::Unsupported, "volume of 2 stripes"),
        (
            "vg0",
            "none",
            ErrorKind::NotFound,
            "there is vg0/root, vg0/both",
        ),
        (
            "vg1",
            "root",
            ErrorKind::NotFound,
            "disk0/vg1: is not there",
        ),
        (
            "vg0",
            "both",
            ErrorKind::NotFound,
            "physical volume pv1 (bbbbbb-",
        ),
    ] {
        let error = group.view(group_name.as_bytes(), name.as_bytes());
        let error = error.err().expect("it is refused");
        assert_eq!(error.kind(), kind, "{name}");
        assert!(error.to_string().contains(told), "{error}");
    }
    assert!(group.view(b"vg0", b"root").is_ok());
}

#[test]
fn a_member_without_metadata_belongs_to_the_group_that_names_it() {
    let mut silent = physical(1);
    silent[4096 + 40..4096 + 48].fill(0);
    repair_lvm(&mut silent);
    let (library, both) = snapshot(&[("disk0", 0, &physical(0)), ("disk1", 1, &silent)]);
    let group = opened(&library, &both, 1).unwrap();
    assert!(group.view(b"vg0", b"both").is_ok());
    let (library, alone) = snapshot(&[("disk0", 1, &silent)]);
    let error = opened(&library, &alone, 0).err().expect("nobody names it");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn damaged_metadata_and_pieces_beyond_the_end_are_refused() {
    let whole = physical(0);
    let mut damaged = whole.clone();
    damaged[5000] ^= 1;
    let (library, one) = snapshot(&[("disk0", 0, &damaged)]);
    let error = opened(&library, &one, 0).err().expect("it is damaged");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .contains("disk0: is a physical volume of LVM2 that has metadata")
    );
    let (library, cut) = snapshot(&[("disk0", 0, &whole[..DATA_AT + 10 * EXTENT_LEN])]);
    let group = opened(&library, &cut, 0).unwrap();
    let error = group.view(b"vg0", b"root").err().expect("it is cut off");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let error = group.bytes(&cut, b"vg0", b"root").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}
