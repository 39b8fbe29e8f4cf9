//! What volumes hold, compared with `blkid` or with what a tool was told.

use super::*;

const MIB: u64 = 1 << 20;
const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// What a file system should be: a tool, its arguments before the image, and what is recognized.
struct Case {
    tool: &'static str,
    arguments: &'static str,
    len: u64,
    kind: FileSystemKind,
    label: Option<&'static str>,
    block_len: Option<u32>,
}

fn case(
    line: &'static str,
    len: u64,
    kind: FileSystemKind,
    label: Option<&'static str>,
    block_len: Option<u32>,
) -> Case {
    let (tool, arguments) = line.split_once(' ').unwrap();
    Case {
        tool,
        arguments,
        len,
        kind,
        label,
        block_len,
    }
}

#[test]
fn every_format_is_recognized_with_its_id_label_and_block() {
    use FileSystemKind as Kind;
    let ext = "mkfs.ext4 -q -F -U 01234567-89ab-cdef-0123-456789abcdef -L label";
    let cases = [
        case(ext, 4, Kind::Ext4, Some("label"), Some(1024)),
        case(
            "mkfs.ext2 -q -F -L label",
            4,
            Kind::Ext2,
            Some("label"),
            Some(1024),
        ),
        case("mkfs.ext3 -q -F", 4, Kind::Ext3, None, Some(1024)),
        case(
            "mkfs.xfs -q -L label",
            310,
            Kind::Xfs,
            Some("label"),
            Some(4096),
        ),
        case(
            "mkfs.btrfs -q -L label",
            120,
            Kind::Btrfs,
            Some("label"),
            Some(4096),
        ),
        case(
            "mkfs.vfat -n LABEL",
            4,
            Kind::Fat12,
            Some("LABEL"),
            Some(2048),
        ),
        case("mkfs.vfat -F 16 -s 1", 8, Kind::Fat16, None, Some(512)),
        case(
            "mkfs.vfat -F 32 -s 1 -n LABEL",
            40,
            Kind::Fat32,
            Some("LABEL"),
            Some(512),
        ),
        case(
            "mkfs.ntfs -FQq -L label -c 8192",
            4,
            Kind::Ntfs,
            Some("label"),
            Some(8192),
        ),
        case(
            "mkfs.exfat -L label -c 8K",
            4,
            Kind::ExFat,
            Some("label"),
            Some(8192),
        ),
        case(
            "mkswap -q -L label",
            4,
            Kind::Swap,
            Some("label"),
            Some(4096),
        ),
    ];
    for case in cases {
        if !has_tools(&[case.tool]) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = blank(&folder, case.len * MIB);
        let mut arguments: Vec<_> = case.arguments.split(' ').collect();
        arguments.push(text(&path));
        run(case.tool, &arguments);
        assert_recognized(&case, &path);
    }
}

#[track_caller]
fn assert_recognized(case: &Case, path: &Path) {
    let found = Image::open(path).layout().file_system;
    let found = found.unwrap_or_else(|| panic!("{} is not recognized", case.tool));
    assert_eq!(found.kind, case.kind);
    assert_eq!(found.label.as_deref(), case.label, "{}", case.tool);
    assert_eq!(found.block_len, case.block_len, "{}", case.tool);
    assert!(
        found.used_bytes.is_none_or(|used| used <= case.len * MIB),
        "{found:?}"
    );
    assert!(case.tool != "mkfs.ext4" || found.uuid.as_deref() == Some(UUID));
    if let Some(shown) = run_with(
        "blkid",
        &["-p", "-o", "value", "-s", "UUID", text(path)],
        "",
    ) {
        assert_eq!(
            found.uuid.as_deref().unwrap_or_default(),
            shown.trim(),
            "{}",
            case.tool
        );
    }
}

#[test]
fn read_only_formats_are_recognized() {
    let folder = tempfile::tempdir().unwrap();
    let files = sample_folder(&folder, &samples(&mut Random::new(1)));
    let path = folder.path().join("image");
    if has_tools(&["mksquashfs"]) {
        run(
            "mksquashfs",
            &[
                text(&files),
                text(&path),
                "-noappend",
                "-quiet",
                "-b",
                "65536",
            ],
        );
        let found = Image::open(&path).layout().file_system.unwrap();
        assert_eq!(
            (found.kind, found.block_len),
            (FileSystemKind::Squashfs, Some(65_536))
        );
        assert!(found.used_bytes.unwrap() <= fs::metadata(&path).unwrap().len());
        fs::remove_file(&path).unwrap();
    }
    if has_tools(&["mkfs.erofs"]) {
        run("mkfs.erofs", &["-U", UUID, text(&path), text(&files)]);
        let found = Image::open(&path).layout().file_system.unwrap();
        assert_eq!(found.kind, FileSystemKind::Erofs);
        assert_eq!(found.uuid.as_deref(), Some(UUID));
        assert_eq!(found.used_bytes, Some(fs::metadata(&path).unwrap().len()));
    }
}

#[test]
fn encrypted_volumes_are_recognized() {
    if !has_tools(&["cryptsetup"]) {
        return;
    }
    let versions = [
        ("luks1", FileSystemKind::Luks1),
        ("luks2", FileSystemKind::Luks2),
    ];
    for (version, kind) in versions {
        let folder = tempfile::tempdir().unwrap();
        let path = blank(&folder, 20 * MIB);
        let mut arguments = vec!["luksFormat", "-q", "--type", version, "--uuid", UUID];
        arguments.extend(["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]);
        if version == "luks2" {
            arguments.extend(["--label", "label"]);
        }
        arguments.extend(["--key-file", "-", text(&path)]);
        if run_with("cryptsetup", &arguments, "key").is_none() {
            skip("cryptsetup does not work here");
            continue;
        }
        let found = Image::open(&path).layout().file_system.unwrap();
        assert_eq!((found.kind, found.uuid.as_deref()), (kind, Some(UUID)));
        assert_eq!(
            found.label.as_deref(),
            (version == "luks2").then_some("label")
        );
    }
}

#[test]
fn members_of_zfs_pools_are_recognized_by_the_list_in_their_label() {
    // The high byte goes first.
    let word = |number: u32| number.swap_bytes().to_le_bytes();
    let number = |number: u64| number.swap_bytes().to_le_bytes();
    let text = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.extend(word(text.len() as u32));
        bytes.extend(text);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    };
    let pair = |name: &[u8], kind: u32, value: &[u8]| {
        let mut bytes = vec![0; 8];
        text(&mut bytes, name);
        bytes.extend(word(kind));
        bytes.extend(word(1));
        match kind {
            9 => text(&mut bytes, value),
            _ => bytes.extend(value),
        }
        let len = word(bytes.len() as u32);
        bytes[..4].copy_from_slice(&len);
        bytes
    };
    let list = [
        vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        pair(b"version", 8, &number(5000)),
        pair(b"name", 9, b"tank"),
        pair(b"pool_guid", 8, &number(12_345_678_901)),
        vec![0; 8],
    ];
    let list = list.concat();
    let mut image = Image(vec![0; MIB as usize]);
    image.0[16 << 10..][..list.len()].copy_from_slice(&list);
    let found = image.layout().file_system.unwrap();
    assert_eq!(found.kind, FileSystemKind::Zfs);
    assert_eq!(found.label.as_deref(), Some("tank"));
    assert_eq!(found.uuid.as_deref(), Some("12345678901"));
    image.0[(16 << 10) + 24] ^= 1; // a letter of the first name
    assert_eq!(image.layout().file_system, None);
}

#[test]
fn members_of_groups_and_raids_are_recognized() {
    use FileSystemKind as Kind;
    let mut image = Image(vec![0; MIB as usize]);
    image.0[512..520].copy_from_slice(b"LABELONE");
    image.0[512 + 20] = 32;
    image.0[512 + 24..512 + 32].copy_from_slice(b"LVM2 001");
    let id = b"abcdefGHIJklmnOPQRstuvWXYZ012345";
    image.0[512 + 32..][..32].copy_from_slice(id);
    let found = image.layout().file_system.unwrap();
    let uuid = "abcdef-GHIJ-klmn-OPQR-stuv-WXYZ-012345";
    assert_eq!(
        (found.kind, found.uuid.as_deref()),
        (Kind::Lvm2, Some(uuid))
    );

    let id: Vec<u8> = (1..=16).collect();
    let last_megabyte = MIB as usize - 65_536;
    // Where versions 1.0, 1.1, 1.2 and 0.90 lie.
    for (at, version) in [
        (MIB as usize - 8192, 1),
        (0, 1),
        (4096, 1),
        (last_megabyte, 0),
    ] {
        let mut image = Image(vec![0; MIB as usize]);
        let block = &mut image.0[at..];
        block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
        block[4] = version;
        if version == 1 {
            block[16..32].copy_from_slice(&id);
            block[32..36].copy_from_slice(b"name");
        } else {
            block[20..24].copy_from_slice(&id[..4]);
            block[52..64].copy_from_slice(&id[4..]);
        }
        let found = image.layout().file_system.unwrap();
        assert_eq!(found.kind, Kind::MdRaid);
        assert_eq!(
            found.uuid.as_deref(),
            Some("01020304-0506-0708-090a-0b0c0d0e0f10")
        );
        assert_eq!(found.label.as_deref(), (version == 1).then_some("name"));
    }
}

#[test]
fn windows_formats_without_a_tool_are_recognized_by_name() {
    let kinds = [
        (b"-FVE-FS-", FileSystemKind::BitLocker),
        (b"ReFS\0\0\0\0", FileSystemKind::Refs),
    ];
    for (name, kind) in kinds {
        let mut image = Image(vec![0; 8192]);
        image.0[3..11].copy_from_slice(name);
        image.0[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(kind_of(&image), Some(kind));
    }
}

#[test]
fn file_systems_in_partitions_have_hints_from_the_start_of_the_disk() {
    if !has_tools(&["sfdisk", "mkfs.ext4", "mkfs.vfat", "mcopy"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(&mut Random::new(2));
    let files = sample_folder(&folder, &samples);
    let path = blank(&folder, 32 * MIB);
    let script = "label: gpt\nstart=2048, size=16384\nstart=18432, size=32768\n";
    run_with(
        "sfdisk",
        &["--no-reread", "--no-tell-kernel", text(&path)],
        script,
    )
    .unwrap();
    let alone = folder.path().join("alone");
    File::create(&alone).unwrap().set_len(8 * MIB).unwrap();
    run("mkfs.vfat", &[text(&alone)]);
    for (name, _) in samples.iter().step_by(3) {
        let file = files.join(name);
        run("mcopy", &["-i", text(&alone), text(&file), "::"]);
    }
    overwrite(&path, MIB, &fs::read(&alone).unwrap());
    fs::remove_file(&alone).unwrap();
    File::create(&alone).unwrap().set_len(16 * MIB).unwrap();
    run(
        "mkfs.ext4",
        &["-q", "-F", "-b", "4096", "-d", text(&files), text(&alone)],
    );
    overwrite(&path, 9 * MIB, &fs::read(&alone).unwrap());
    let image = Image::open(&path);
    let (fat, ext): (Vec<u64>, Vec<u64>) = image.hints().iter().partition(|hint| **hint < 9 * MIB);
    let in_fat: Vec<_> = samples.iter().step_by(3).cloned().collect();
    assert_found(&image, &fat, &in_fat, 1);
    assert_found(&image, &ext, &samples, 1);

    // One of them damaged: the other one keeps its hints, the problem names the partition.
    let mut damaged = image.clone();
    damaged.0[9 * MIB as usize + 1024 + 0x28] ^= 1;
    let (hints, problems) = damaged.hints_and_problems();
    assert_eq!(hints, fat);
    assert_eq!((problems.len(), problems[0].partition), (1, Some(2)));
}
