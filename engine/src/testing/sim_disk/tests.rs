//! The simulated disk is believed by other tests; these show that it can be cruel at all.

use std::collections::BTreeSet;

use super::*;

const PATH: &str = "folder/file";

/// A file of 4 sectors in a folder; what is flushed is up to the caller.
fn written(flush_file: bool, flush_folders: bool) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.make_folder("folder").expect("made");
    let file = disk.create_exclusive(PATH).expect("made");
    disk.write(&file, &[7; 2048]).expect("written");
    if flush_file {
        disk.flush_file(&file).expect("flushed");
    }
    if flush_folders {
        disk.flush_folder("folder").expect("flushed");
        disk.flush_folder("").expect("flushed");
    }
    disk
}

/// What 200 crashes leave of the file.
fn outcomes(disk: &SimDisk) -> BTreeSet<Option<Vec<u8>>> {
    (0..200)
        .map(|variant| disk.reboot(variant).contents(PATH).ok())
        .collect()
}

#[test]
fn flushed_bytes_under_a_flushed_name_always_survive() {
    let only = BTreeSet::from([Some(vec![7; 2048])]);
    assert_eq!(outcomes(&written(true, true)), only);
}

#[test]
fn a_name_that_was_not_flushed_may_be_lost() {
    let outcomes = outcomes(&written(true, false));
    assert_eq!(outcomes, BTreeSet::from([None, Some(vec![7; 2048])]));
}

#[test]
fn a_folder_that_was_made_on_the_way_must_be_flushed_into_its_parent() {
    let disk = written(true, false);
    disk.flush_folder("folder").expect("flushed");
    assert!(outcomes(&disk).contains(&None));
}

#[test]
fn bytes_that_were_not_flushed_may_be_missing_torn_stale_short_or_padded() {
    let outcomes = outcomes(&written(false, true));
    let some = |test: &dyn Fn(&[u8]) -> bool| outcomes.iter().flatten().any(|bytes| test(bytes));
    assert!(some(&|bytes| bytes.is_empty()), "a name without bytes");
    assert!(some(&|bytes| bytes == [7; 2048]), "all of it");
    assert!(some(&|bytes| bytes == [0; 2048]), "length without bytes");
    assert!(
        some(&|bytes| bytes.starts_with(&[0; 512]) && bytes.contains(&7)),
        "torn"
    );
    assert!(
        some(&|bytes| bytes.iter().any(|byte| ![0, 7].contains(byte))),
        "stale"
    );
    assert!(
        some(&|bytes| !bytes.is_empty() && bytes.len() < 2048),
        "short"
    );
    assert!(some(&|bytes| bytes.len() > 2048), "padded");
}

#[test]
fn after_a_failed_flush_the_next_one_succeeds_and_the_bytes_are_lost() {
    let disk = written(false, true);
    let file = disk.open(PATH).expect("opened");
    let error = io::ErrorKind::Other;
    disk.fail(DiskFault {
        call: DiskCall::FlushFile,
        nth: 1,
        error,
        lasting: false,
    });
    disk.flush_file(&file).expect_err("fails once");
    disk.flush_file(&file).expect("claims success");
    assert_eq!(
        disk.contents(PATH).expect("read back until the crash"),
        [7; 2048]
    );
    assert_eq!(outcomes(&disk), BTreeSet::from([Some(vec![0; 2048])]));
}

#[test]
fn a_rename_without_a_flush_may_leave_an_empty_file_both_names_or_none() {
    let disk = written(false, true);
    disk.rename_noreplace(PATH, "folder/final")
        .expect("renamed");
    let names = |variant| disk.reboot(variant).files();
    let seen: BTreeSet<Vec<String>> = (0..200).map(names).collect();
    assert_eq!(seen.len(), 4, "old, new, both, none: {seen:?}");
    let empty = |v| {
        disk.reboot(v)
            .contents("folder/final")
            .is_ok_and(|bytes| bytes.is_empty())
    };
    assert!((0..200).any(empty));
}

#[test]
fn a_journal_keeps_the_halves_of_a_rename_together() {
    let disk = written(true, true);
    disk.rename_noreplace(PATH, "folder/final")
        .expect("renamed");
    let journalled = (0..200).step_by(2);
    assert!(
        journalled
            .into_iter()
            .all(|variant| disk.reboot(variant).files().len() == 1)
    );
}

#[test]
fn the_same_seed_and_variant_find_the_same_disk() {
    let (one, two) = (written(false, false), written(false, false));
    assert_eq!(outcomes(&one), outcomes(&two));
    let contents = |disk: &SimDisk, variant| disk.reboot(variant).contents(PATH).ok();
    assert!((0..50).all(|variant| contents(&one, variant) == contents(&two, variant)));
}

#[test]
fn without_power_every_call_fails_and_no_step_is_counted() {
    let disk = written(true, true);
    disk.cut_power_at(disk.steps() + 2);
    disk.list_folder("")
        .expect("there is power for one more step");
    for _ in 0..2 {
        let error = disk.unlink(PATH).expect_err("no power");
        assert!(is_power_loss(&error));
    }
    assert!(!is_power_loss(&io::Error::other("something else")));
    assert!(
        disk.reboot(0).contents(PATH).is_ok(),
        "the step did not take effect"
    );
}

#[test]
fn a_fork_goes_its_own_way() {
    let disk = written(true, true);
    let fork = disk.fork();
    disk.unlink(PATH).expect("removed");
    assert_eq!(fork.contents(PATH).expect("untouched"), [7; 2048]);
}

#[test]
fn damage_survives_a_reboot() {
    let disk = written(true, true);
    disk.corrupt(PATH, 3, 0).expect("corrupted");
    disk.truncate(PATH, 5).expect("truncated");
    assert_eq!(
        disk.reboot(0).contents(PATH).expect("there"),
        [7, 7, 7, 6, 7]
    );
}
