//! Groups that are made by hand; those that LVM itself made are read by the tests of volumes.

use super::*;
use crate::testing::tiny_volumes::{LVM_GROUP, LVM_MEMBERS, TinyVolume, lvm, lvm_text, repair_lvm};

fn read(image: &[u8]) -> Told<Option<VolumeGroup>> {
    read_group(&TinyVolume(image.to_vec()), 0, image.len() as u64)
}

fn sample() -> Vec<u8> {
    lvm(LVM_MEMBERS[0], &lvm_text())
}

#[test]
fn a_group_says_where_its_linear_volumes_lie_and_names_the_others() {
    let group = read(&sample()).unwrap().unwrap();
    assert_eq!((group.name.as_str(), group.id.as_str()), ("vg0", LVM_GROUP));
    let ids: Vec<_> = group.members.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, LVM_MEMBERS);
    let data_at = 16 << 10;
    let piece = |start: u64, len: u64, member, offset: u64| Piece {
        start: start * 2048,
        len: len * 2048,
        member,
        offset: data_at + offset * 2048,
    };
    let pieces = |name: &[u8]| group.volume(name).unwrap().pieces.clone();
    assert_eq!(
        pieces(b"root").unwrap(),
        [piece(0, 4, 0, 0), piece(4, 4, 0, 20)]
    );
    assert_eq!(
        pieces(b"both").unwrap(),
        [piece(0, 2, 0, 30), piece(2, 3, 1, 0)]
    );
    for (name, told) in [("thin", "thin"), ("safe", "raid1"), ("fast", "stripes")] {
        let why = pieces(name.as_bytes()).unwrap_err();
        assert!(why.contains(told), "{why}");
    }
    assert_eq!(group.volume(b"root").unwrap().len, 8 * 2048);
    assert!(group.volume(b"none").is_none());
}

#[test]
fn every_flipped_bit_of_a_label_or_its_metadata_is_noticed() {
    let whole = sample();
    let expected = read(&whole).unwrap();
    let covered = (512..1024).chain(4096..4608).chain(4608..4700);
    for at in covered {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert_ne!(read(&flipped), Ok(expected.clone()), "byte {at}");
    }
}

#[test]
fn a_volume_that_is_cut_anywhere_ends_and_its_label_alone_is_not_enough() {
    let whole = sample();
    for len in (0..16 << 10).step_by(509) {
        read(&whole[..len]).unwrap_err();
    }
    assert!(read(&whole[..16 << 10]).unwrap().is_some());
}

#[test]
fn a_physical_volume_without_metadata_says_nothing() {
    let mut image = sample();
    image[4096 + 40..4096 + 48].fill(0);
    repair_lvm(&mut image);
    assert_eq!(read(&image), Ok(None));
    // Neither does one whose metadata is to be ignored.
    let mut image = sample();
    image[4096 + 60] = 1;
    repair_lvm(&mut image);
    assert_eq!(read(&image), Ok(None));
}

#[test]
fn numbers_that_no_volume_can_have_are_refused() {
    let text = lvm_text();
    for (from, to, told) in [
        ("extent_size = 4", "extent_size = 0", "without length"),
        (
            "extent_size = 4",
            "extent_size = 9223372036854775807",
            "too large",
        ),
        ("pe_start = 32", "pe_start = -1", "number pe_start"),
        ("seqno = 7", "seqno = x", "a value"),
        ("vg0 {", ".. {", "name that is none"),
        (
            "vg0 {",
            &format!("{} {{", "v".repeat(128)),
            "name that is none",
        ),
        ("both {", "root {", "two volumes root"),
        ("physical_volumes {", "others {", "without physical volumes"),
    ] {
        let error = VolumeGroup::decode(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(told), "{to}: {error}");
    }
    for (from, to, told) in [
        (
            "extent_count = 4",
            "extent_count = 9000000000000000000",
            "too long",
        ),
        ("start_extent = 4", "start_extent = 5", "gaps"),
        ("start_extent = 4", "start_extent = 0", "gaps"),
        ("\"pv0\", 20", "\"pv0\", -1", "nowhere"),
        ("\"pv0\", 20", "\"pvmove0\", 1", "being moved"),
    ] {
        let group = VolumeGroup::decode(&text.replacen(from, to, 1)).unwrap();
        let error = group.volume(b"root").unwrap().pieces.clone().unwrap_err();
        assert!(error.contains(told), "{to}: {error}");
    }
}

#[test]
fn what_a_snapshot_keeps_of_another_volume_is_no_volume() {
    let keeper = "snapshot0 { segment1 { start_extent = 0 extent_count = 1 type = \"snapshot\" \
                  origin = \"root\" cow_store = \"both\" } }\nroot {";
    let group = VolumeGroup::decode(&lvm_text().replacen("root {", keeper, 1)).unwrap();
    let what = |name: &[u8]| group.volume(name).unwrap().pieces.clone();
    assert_eq!(what(b"both"), Err("snapshot".to_owned()));
    assert!(what(b"root").is_ok() && group.volume(b"snapshot0").is_none());
}
