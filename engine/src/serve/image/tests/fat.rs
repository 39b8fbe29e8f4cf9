//! FAT, and what can be wrong with it.

use super::*;
use crate::format::entry::Node;
use crate::testing::random::Random;

pub(in crate::serve::image) fn fat(folder: &TempDir, width: &str) -> Vec<u8> {
    // How many clusters there are decides how wide they are numbered.
    let (len, sectors) = match width {
        "12" => (8 << 20, "8"),
        "16" => (8 << 20, "1"),
        _ => (40 << 20, "1"),
    };
    let image = blank(folder, len);
    run("mkfs.vfat", &["-F", width, "-s", sectors, &image]);
    let mut random = Random::new(3);
    run("mmd", &["-i", &image, "::/folder", "::/folder/below"]);
    for (name, len) in [
        ("::/hello", 6),
        ("::/folder/A long name, with Ümlauts", 70_000),
        ("::/folder/below/SHORT.TXT", 1_500),
        ("::/empty", 0),
    ] {
        let source = folder.path().join("source");
        std::fs::write(&source, random.bytes(len)).unwrap();
        run("mcopy", &["-i", &image, &text(&source), name]);
    }
    std::fs::read(image).unwrap()
}

fn has_tools() -> bool {
    has_tool("mkfs.vfat") && has_tool("mcopy")
}

#[test]
fn fat_of_all_widths_is_what_was_written() {
    if !has_tools() {
        return;
    }
    for width in ["12", "16", "32"] {
        let folder = TempDir::new().unwrap();
        let mut image = opened(fat(&folder, width));
        let mut random = Random::new(3);
        let names: Vec<_> = listed(&mut image).into_keys().collect();
        let long = "folder/A long name, with Ümlauts";
        let short = "folder/below/SHORT.TXT";
        assert_eq!(
            names,
            ["empty", "folder", long, "folder/below", short, "hello"]
        );
        for (name, len) in [("hello", 6), (long, 70_000), (short, 1_500), ("empty", 0)] {
            assert!(
                content(&mut image, name).unwrap() == random.bytes(len),
                "{name}"
            );
        }
    }
}

#[test]
fn a_folder_that_is_its_own_parent_is_entered_once_and_told() {
    if !has_tools() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut bytes = fat(&folder, "12");
    // The record of `below` in `folder` begins where `folder` itself does.
    let record = |bytes: &[u8], name: &[u8; 11]| {
        bytes
            .windows(11)
            .position(|window| window == name)
            .expect("it is there")
    };
    let (outer, inner) = (
        record(&bytes, b"FOLDER     "),
        record(&bytes, b"BELOW      "),
    );
    bytes.copy_within(outer + 26..outer + 28, inner + 26);
    let mut image = opened(bytes);
    let mut names = Vec::new();
    let report = list(&mut image, &FolderPath::root(), true, &(), &mut |listed| {
        names.push(String::from_utf8_lossy(&listed.path).into_owned());
        Ok(())
    });
    assert_eq!(report.unwrap().problems, 1);
    assert!(names.contains(&"disk0/p1/folder/below".to_owned()));
    assert!(
        !names.iter().any(|name| name.contains("below/")),
        "{names:?}"
    );
}

#[test]
fn a_file_whose_clusters_end_too_early_is_damaged_and_never_filled_up() {
    if !has_tools() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut bytes = fat(&folder, "12");
    let record = bytes
        .windows(11)
        .position(|window| window == b"SHORT   TXT")
        .unwrap();
    bytes[record + 28..record + 32].copy_from_slice(&50_000_u32.to_le_bytes());
    let mut image = opened(bytes);
    let error = content(&mut image, "folder/below/SHORT.TXT").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .starts_with("disk0/p1/folder/below/SHORT.TXT"),
        "{error}"
    );
    let entry = image.entry(&path("folder/below/SHORT.TXT")).unwrap();
    assert!(matches!(entry.shown().node, Node::File(content) if content.len() == 50_000));
}
