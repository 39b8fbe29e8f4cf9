//! Hints of ext2, ext3 and ext4, compared with what `debugfs` says about each file.

use super::*;

/// The cuts of all regular files, by what `debugfs` says of them.
fn oracle(path: &Path, block_len: u64) -> Vec<u64> {
    let mut lens = Vec::new();
    let mut commands = String::new();
    let mut folders = vec!["/".to_owned()];
    while let Some(folder) = folders.pop() {
        for line in run("debugfs", &["-R", &format!("ls -p {folder}"), text(path)]).lines() {
            // /INODE/MODE/UID/GID/NAME/LENGTH/
            let fields: Vec<_> = line.split('/').collect();
            let [_, inode, mode, _, _, name, len, ..] = fields[..] else {
                continue;
            };
            match &mode[..2] {
                "04" if name != "." && name != ".." => folders.push(format!("{folder}{name}/")),
                "10" => {
                    lens.push(len.parse().unwrap());
                    commands.push_str(&format!("stat <{inode}>\n"));
                }
                _ => {}
            }
        }
    }
    let shown = run_with("debugfs", &["-f", "-", text(path)], &commands).unwrap();
    let stats = shown.split("debugfs: stat ").skip(1);
    let cuts = lens.into_iter().zip(stats);
    cuts.flat_map(|(len, stat)| expected(len, block_len, &blocks_of(stat)))
        .collect()
}

/// `(0-11):300-311, (IND):312, (12):313` behind a line that ends in a colon.
fn blocks_of(stat: &str) -> Vec<(u64, u64, u64)> {
    let list = stat
        .split_once("\nEXTENTS:\n")
        .or_else(|| stat.split_once("\nBLOCKS:\n"));
    let list = list.map_or("", |(_, list)| list.split("\nTOTAL:").next().unwrap());
    let pieces = list.split([',', '\n']).filter_map(|piece| {
        let (logical, physical) = piece.trim().strip_prefix('(')?.split_once("):")?;
        let first = |range: &str| range.split('-').next().unwrap().parse::<u64>().ok();
        let last = |range: &str| range.rsplit('-').next().unwrap().parse::<u64>().ok();
        let (start, end) = (first(logical)?, last(logical)?);
        Some((start, first(physical)?, end - start + 1))
    });
    pieces.collect()
}

/// Makes a file system out of the samples, and breaks some of it into pieces.
fn make(folder: &TempDir, options: &[&str], samples: &[(String, Vec<u8>)]) -> PathBuf {
    let files = sample_folder(folder, samples);
    let image = blank(folder, 24 << 20);
    let mut arguments = vec!["-q", "-F", "-d", text(&files)];
    arguments.extend(options);
    arguments.push(text(&image));
    run("mkfs.ext4", &arguments);
    image
}

/// Files of one block each, every second of which goes again, and a long file for the gaps.
fn fragment(folder: &TempDir, image: &Path, random: &mut Random) -> (String, Vec<u8>) {
    let small = folder.path().join("small");
    fs::write(&small, random.bytes(1000)).unwrap();
    let long = ("long".to_owned(), random.bytes(1_000_003));
    let path = folder.path().join("long");
    fs::write(&path, &long.1).unwrap();
    let mut commands = String::new();
    for index in 0..500 {
        commands.push_str(&format!("write {} gap{index}\n", text(&small)));
    }
    for index in (0..500).step_by(2) {
        commands.push_str(&format!("rm gap{index}\n"));
    }
    commands.push_str(&format!("write {} long\n", text(&path)));
    run_with("debugfs", &["-w", "-f", "-", text(image)], &commands).unwrap();
    long
}

#[test]
fn hints_of_every_kind_of_ext_are_what_debugfs_says() {
    if !has_tools(&["mkfs.ext4", "debugfs"]) {
        return;
    }
    let variants: [(&str, u64, FileSystemKind); 9] = [
        ("-b 1024", 1024, FileSystemKind::Ext4),
        ("-b 4096", 4096, FileSystemKind::Ext4),
        ("-b 1024 -t ext2 -I 128", 1024, FileSystemKind::Ext2),
        ("-b 4096 -t ext3", 4096, FileSystemKind::Ext3),
        (
            "-b 1024 -O ^64bit,^metadata_csum,uninit_bg -g 1024 -N 4096",
            1024,
            FileSystemKind::Ext4,
        ),
        (
            "-b 1024 -O 64bit,meta_bg,^resize_inode -g 512",
            1024,
            FileSystemKind::Ext4,
        ),
        (
            "-b 1024 -O meta_bg,^resize_inode,^64bit,^flex_bg,^sparse_super -g 512",
            1024,
            FileSystemKind::Ext4,
        ),
        (
            "-b 4096 -O inline_data,sparse_super2 -I 512",
            4096,
            FileSystemKind::Ext4,
        ),
        ("-b 4096 -O bigalloc -C 16384", 4096, FileSystemKind::Ext4),
    ];
    for (options, block_len, kind) in variants {
        let mut random = Random::new(block_len);
        let folder = tempfile::tempdir().unwrap();
        let mut samples = samples(&mut random);
        let options: Vec<_> = options.split(' ').collect();
        let path = make(&folder, &options, &samples);
        samples.push(fragment(&folder, &path, &mut random));
        let image = Image::open(&path);
        assert_eq!(kind_of(&image), Some(kind), "{options:?}");
        let hints = image.hints();
        assert_same_cuts(&hints, oracle(&path, block_len));
        assert!(hints.len() > 400, "{options:?}: {}", hints.len());
        let shortest = if options.contains(&"inline_data,sparse_super2") {
            513
        } else {
            1
        };
        assert_found(&image, &hints, &samples, shortest);
    }
}

#[test]
fn holes_reserved_blocks_and_deleted_files_give_no_hints() {
    if !has_tools(&["mkfs.ext4", "debugfs"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(9);
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    let bytes = random.bytes(10_000);
    for name in ["kept", "deleted", "reserved"] {
        fs::write(files.join(name), &bytes).unwrap();
    }
    let sparse = File::create(files.join("sparse")).unwrap();
    sparse.write_all_at(&bytes[..5000], 1 << 20).unwrap();
    sparse.set_len(8 << 20).unwrap();
    let path = blank(&folder, 8 << 20);
    run(
        "mkfs.ext4",
        &["-q", "-F", "-b", "1024", "-d", text(&files), text(&path)],
    );
    let commands = "rm deleted\nfallocate reserved 20 99\n";
    run_with("debugfs", &["-w", "-f", "-", text(&path)], commands).unwrap();
    let hints = Image::open(&path).hints();
    assert_same_cuts(&hints, oracle(&path, 1024));
    assert!(hints.len() > 3, "{hints:?}");
}

#[test]
fn a_file_that_makes_no_sense_costs_its_own_hints_only() {
    if !has_tools(&["mkfs.ext4", "debugfs"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(&mut Random::new(4));
    let path = make(&folder, &["-b", "1024"], &samples);
    let sound = Image::open(&path).hints();
    let commands = "set_inode_field /inner/most/file12289 block[0] 0\n";
    run_with("debugfs", &["-w", "-f", "-", text(&path)], commands).unwrap();
    let (hints, problems) = Image::open(&path).hints_and_problems();
    assert!(hints.len() < sound.len() && hints.iter().all(|hint| sound.contains(hint)));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].partition, None);
    assert_eq!(
        problems[0].detail,
        "1 file makes no sense and has no or few hints"
    );
}

#[test]
fn a_file_system_that_is_cut_short_has_no_hints_and_says_so() {
    if !has_tools(&["mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make(&folder, &["-b", "4096"], &samples(&mut Random::new(4)));
    let mut image = Image::open(&path);
    image.0.truncate(20 << 20);
    let (hints, problems) = image.hints_and_problems();
    assert_eq!(hints, []);
    assert_eq!(problems[0].detail, "it is longer than the volume around it");
}

#[test]
fn features_that_are_not_known_are_named() {
    if !has_tools(&["mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make(&folder, &["-b", "4096"], &[]);
    overwrite(&path, 1024 + 0x63, &[0x40]);
    let (_, problems) = Image::open(&path).hints_and_problems();
    let expected = "it has incompatible features 0x40000000 that are not known";
    assert_eq!(problems[0].detail, expected);
}
