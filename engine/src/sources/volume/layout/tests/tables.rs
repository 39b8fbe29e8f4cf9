//! Partition tables, compared with what they were made of.

use super::*;

const MIB: u64 = 1 << 20;

/// A disk that `fdisk` has divided, as a script of `sfdisk` says: that one takes short sectors only.
fn divided(folder: &TempDir, len: u64, sector_len: u64, script: &str) -> PathBuf {
    let path = blank(folder, len);
    let script_path = folder.path().join("script");
    fs::write(&script_path, script).unwrap();
    let commands = format!("I\n{}\nw\n", text(&script_path));
    run_with(
        "fdisk",
        &["-b", &sector_len.to_string(), text(&path)],
        &commands,
    );
    path
}

/// Starts and lengths in sectors, as `fdisk` tells them.
fn told(path: &Path, sector_len: u64) -> Vec<(u64, u64)> {
    let sector_len = sector_len.to_string();
    let shown = run(
        "fdisk",
        &["-b", &sector_len, "-l", "-o", "Start,Sectors", text(path)],
    );
    let rows = shown.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    rows.collect()
}

const GPT: &str = "label: gpt
label-id: 01234567-89AB-CDEF-0123-456789ABCDEF
1 : start=2048, size=8192, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, \
name=\"EFI syst\u{e9}m\", uuid=11111111-2222-3333-4444-555555555555
5 : start=10240, size=16384, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
attrs=\"RequiredPartition LegacyBIOSBootable GUID:60\"
";

fn assert_gpt(layout: &DiskLayout, sector_len: u64, from_backup: bool) {
    let Some(TableKind::Gpt {
        disk_guid,
        from_backup: found,
    }) = &layout.table
    else {
        panic!("{layout:?}");
    };
    assert_eq!(
        disk_guid.to_string(),
        "01234567-89ab-cdef-0123-456789abcdef"
    );
    assert_eq!(*found, from_backup);
    assert_eq!(u64::from(layout.sector_len), sector_len);
    assert_eq!(layout.partitions.len(), 2);
    let first = layout.partition(1).unwrap();
    assert_eq!(
        (first.offset, first.len),
        (2048 * sector_len, 8192 * sector_len)
    );
    assert_eq!(first.name, "EFI syst\u{e9}m");
    let uuid = first.uuid.map(|uuid| uuid.to_string());
    assert_eq!(
        uuid.as_deref(),
        Some("11111111-2222-3333-4444-555555555555")
    );
    let PartitionKind::Gpt(kind) = first.kind else {
        panic!("{first:?}");
    };
    assert_eq!(kind.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    let second = layout.partition(5).unwrap();
    assert_eq!(
        (second.offset, second.len),
        (10_240 * sector_len, 16_384 * sector_len)
    );
    assert_eq!(second.attributes, 1 << 60 | 0b101);
    assert!(first.is_sound() && second.is_sound());
    assert!(layout.partition(2).is_none());
}

#[test]
fn a_gpt_is_read_with_sectors_of_both_lengths_known_or_not() {
    if !has_tools(&["fdisk"]) {
        return;
    }
    for sector_len in [512, 4096] {
        let folder = tempfile::tempdir().unwrap();
        let path = divided(&folder, 64 * 512 * sector_len, sector_len, GPT);
        let image = Image::open(&path);
        for known in [None, Some(512), Some(4096)] {
            let layout = read_layout(&image, image.0.len() as u64, known).unwrap();
            assert_eq!(layout.warnings, [""; 0]);
            assert_gpt(&layout, sector_len, false);
        }
    }
}

#[test]
fn the_backup_of_a_gpt_serves_where_the_primary_is_damaged() {
    if !has_tools(&["fdisk"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = Image::open(&divided(&folder, 32 * MIB, 512, GPT));
    // Magic, header, checksum of the header, its own place, the array.
    for at in [
        512,
        512 + 72,
        512 + 16,
        512 + 24,
        1024 + 56,
        1024 + 128 * 127,
    ] {
        let mut damaged = image.clone();
        damaged.0[at] ^= 0x20;
        let layout = damaged.layout();
        assert_gpt(&layout, 512, true);
        assert_eq!(layout.warnings.len(), 1, "{:?}", layout.warnings);
        // Both of them gone: the first sector is all there is.
        let end = damaged.0.len();
        damaged.0[end - 512] ^= 1;
        let layout = damaged.layout();
        let Some(TableKind::Mbr { .. }) = layout.table else {
            panic!("{layout:?}");
        };
        assert!(
            layout.warnings[0].contains("both copies"),
            "{:?}",
            layout.warnings
        );
        assert!(layout.partitions.iter().all(Partition::is_container));
    }
}

#[test]
fn an_mbr_with_logical_partitions_is_what_fdisk_says() {
    if !has_tools(&["fdisk"]) {
        return;
    }
    let script = "label: dos
label-id: 0x89abcdef
start=2048, size=4096, type=83, bootable
start=8192, size=40960, type=f
start=10240, size=4096, type=83
start=16384, size=4096, type=82
start=30720, size=8192, type=7
";
    for sector_len in [512, 4096] {
        let folder = tempfile::tempdir().unwrap();
        let path = divided(&folder, 60_000 * sector_len, sector_len, script);
        let image = Image::open(&path);
        let known = Some(sector_len as u32);
        let layout = read_layout(&image, image.0.len() as u64, known).unwrap();
        assert_eq!(
            layout.table,
            Some(TableKind::Mbr {
                signature: 0x89ab_cdef
            })
        );
        assert_eq!(layout.warnings, [""; 0]);
        let numbers: Vec<_> = layout.partitions.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [1, 2, 5, 6, 7]);
        let kinds: Vec<_> = layout.partitions.iter().map(|one| one.kind).collect();
        assert_eq!(
            kinds,
            [0x83, 0x0f, 0x83, 0x82, 0x07].map(PartitionKind::Mbr)
        );
        let sectors = |bytes: u64| bytes / sector_len;
        let places = layout
            .partitions
            .iter()
            .map(|one| (sectors(one.offset), sectors(one.len)));
        assert_eq!(places.collect::<Vec<_>>(), told(&path, sector_len));
        assert!(layout.partitions.iter().all(Partition::is_sound));
        assert_eq!(layout.partition(1).unwrap().attributes, 0x80);
    }
}

#[test]
fn an_mbr_of_long_sectors_is_known_by_what_its_partitions_hold() {
    if !has_tools(&["fdisk", "mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "label: dos\nstart=256, size=2048, type=83\n";
    let path = divided(&folder, 16 * MIB, 4096, script);
    let place = format!("offset={}", 256 * 4096);
    run("mkfs.ext4", &["-q", "-F", "-E", &place, text(&path), "8M"]);
    let layout = Image::open(&path).layout();
    assert_eq!(layout.sector_len, 4096);
    assert_eq!(layout.partitions[0].offset, MIB);
    assert!(layout.partitions[0].file_system.is_some());
}

/// A first sector with these entries: type, start, length.
fn mbr(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut sector = vec![0; 512];
    for (index, (kind, start, len)) in entries.iter().enumerate() {
        let entry = &mut sector[446 + 16 * index..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&len.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn disk(len: usize, sectors: &[(usize, Vec<u8>)]) -> Image {
    let mut image = Image(vec![0; len]);
    for (number, sector) in sectors {
        image.0[number * 512..][..512].copy_from_slice(sector);
    }
    image
}

#[test]
fn partitions_that_overlap_or_lie_outside_are_listed_and_told() {
    let entries = [
        (0x83, 8, 100),
        (0x83, 50, 10),
        (0x83, 200, 10),
        (0x83, 1000, 2000),
    ];
    let layout = disk(1 << 20, &[(0, mbr(&entries))]).layout();
    let flags = layout
        .partitions
        .iter()
        .map(|one| (one.overlaps, one.out_of_range));
    let flags: Vec<_> = flags.collect();
    assert_eq!(
        flags,
        [(true, false), (true, false), (false, false), (false, true)]
    );
    assert_eq!(layout.warnings.len(), 3);
    assert!(layout.warnings[2].starts_with("partition 4 "));
}

#[test]
fn a_chain_of_logical_partitions_that_turns_back_ends() {
    let first = mbr(&[(0x05, 100, 1000)]);
    let own = (0x83, 1, 5);
    // From sector 100 to 110, and from there back, to itself, or out of the container.
    for (next, count) in [((0x05, 0, 1), 3), ((0x05, 10, 1), 3), ((0x05, 1000, 1), 3)] {
        let image = disk(
            1 << 20,
            &[
                (0, first.clone()),
                (100, mbr(&[own, (0x05, 10, 1)])),
                (110, mbr(&[own, next])),
            ],
        );
        let layout = image.layout();
        assert_eq!(layout.partitions.len(), count);
        assert_eq!(layout.warnings.len(), 1, "{:?}", layout.warnings);
    }
    let broken = disk(1 << 20, &[(0, first)]).layout();
    let expected = "the chain of logical partitions is broken at byte 51200";
    assert_eq!(broken.warnings, [expected]);
}

#[test]
fn a_chain_of_logical_partitions_has_a_limit() {
    let mut sectors = vec![(0, mbr(&[(0x05, 8, 2000)]))];
    for link in 0..300 {
        let next = (0x05, (link + 1) * 4, 4);
        sectors.push((8 + link as usize * 4, mbr(&[(0x83, 1, 1), next])));
    }
    let layout = disk(1 << 20, &sectors).layout();
    assert_eq!(layout.partitions.len(), 1 + 128);
    assert_eq!(
        layout.warnings,
        ["there are more than 128 logical partitions"]
    );
}

#[test]
fn the_first_sector_of_a_file_system_is_no_partition_table() {
    if !has_tools(&["mkfs.vfat", "mkfs.ntfs", "mkfs.exfat"]) {
        return;
    }
    for (tool, options) in [
        ("mkfs.vfat", "--mbr=yes"),
        ("mkfs.vfat", "--mbr=no"),
        ("mkfs.ntfs", "-FQq"),
        ("mkfs.exfat", "--verbose"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = blank(&folder, 16 * MIB);
        run(tool, &[options, text(&path)]);
        let mut image = Image::open(&path);
        let layout = image.layout();
        assert!(layout.table.is_none(), "{tool} {options}: {layout:?}");
        assert!(layout.file_system.is_some());
        // Code where the entries are: still a file system.
        image.0[446..510].fill(0x80);
        image.0[446 + 4..510].fill(0x33);
        assert!(image.layout().table.is_none(), "{tool}");
    }
}

#[test]
fn what_is_left_of_a_gpt_yields_to_a_file_system_of_the_whole_disk() {
    if !has_tools(&["fdisk", "mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = divided(&folder, 32 * MIB, 512, GPT);
    run("mkfs.ext4", &["-q", "-F", text(&path), "16M"]);
    let layout = Image::open(&path).layout();
    assert!(
        layout.table.is_none() && layout.file_system.is_some(),
        "{layout:?}"
    );
    assert_eq!(layout.warnings.len(), 1);
}

#[test]
fn sectors_of_a_length_that_no_disk_has_are_refused() {
    let image = Image(vec![0; 4096]);
    for len in [0, 1, 256, 513, 8192] {
        let error = read_layout(&image, 4096, Some(len)).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::InvalidInput);
    }
}

#[test]
fn volumes_that_are_empty_or_end_early_hold_nothing() {
    for len in [0, 1, 511, 512, 513, 4095, 70_000] {
        for there in [0, len / 2, len] {
            let layout = read_layout(&Image(vec![0; there]), len as u64, None).unwrap();
            assert!(layout.table.is_none() && layout.file_system.is_none());
            assert_eq!(layout.warnings.len(), usize::from(there < len.min(512)));
        }
    }
    let layout = read_layout(&Image(mbr(&[(0x83, 1, u32::MAX)])), u64::MAX, None).unwrap();
    assert_eq!(layout.partitions.len(), 1);
}
