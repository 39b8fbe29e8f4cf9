//! Hints of FAT, compared with the chains that `mshowfat` prints.

use super::*;

/// Where cluster 2 begins and how long clusters are, as `minfo` does not say it: from the sector.
fn heap_of(image: &Image) -> (u64, u64) {
    let word = |at: usize| u64::from(u16::from_le_bytes([image.0[at], image.0[at + 1]]));
    let table_sectors = match word(0x16) {
        0 => word(0x24) | word(0x26) << 16,
        short => short,
    };
    let root_sectors = (word(0x11) * 32).div_ceil(word(0x0b));
    let start = word(0x0e) + u64::from(image.0[0x10]) * table_sectors + root_sectors;
    (start * word(0x0b), u64::from(image.0[0x0d]) * word(0x0b))
}

/// `::/inner/name <5-9> <12>`, for every file of an image.
fn oracle(path: &Path, files: &[(String, u64)]) -> Vec<u64> {
    let (heap, cluster_len) = heap_of(&Image::open(path));
    let mut cuts = Vec::new();
    for (name, len) in files.iter().filter(|(_, len)| *len > 0) {
        let shown = run("mshowfat", &["-i", text(path), &format!("::{name}")]);
        let mut pieces = Vec::new();
        let mut logical = 0;
        for piece in shown.split(['<', ' ', '>', '\n']) {
            let mut numbers = piece.split('-').map(str::parse::<u64>);
            let Some(Ok(first)) = numbers.next() else {
                continue;
            };
            let last = numbers.next().map_or(first, Result::unwrap);
            pieces.push((logical, first - 2, last - first + 1));
            logical += last - first + 1;
        }
        let cuts_of_file = expected(*len, cluster_len, &pieces);
        cuts.extend(cuts_of_file.into_iter().map(|cut| cut + heap));
    }
    cuts
}

fn copy(path: &Path, from: &Path, to: &str) {
    run(
        "mcopy",
        &["-s", "-i", text(path), text(from), &format!("::{to}")],
    );
}

#[test]
fn hints_of_every_width_of_fat_are_what_mtools_says() {
    if !has_tools(&["mkfs.vfat", "mcopy", "mshowfat", "mdel"]) {
        return;
    }
    let variants = [
        ("-F 12 -s 8", 12, FileSystemKind::Fat12),
        ("-F 16 -s 4", 24, FileSystemKind::Fat16),
        ("-F 32 -s 1", 40, FileSystemKind::Fat32),
        ("-F 32 -s 1 -S 4096", 300, FileSystemKind::Fat32),
    ];
    for (options, len, kind) in variants {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random::new(len);
        let samples = samples(&mut random);
        let path = blank(&folder, len << 20);
        let mut arguments: Vec<_> = options.split(' ').collect();
        arguments.push(text(&path));
        run("mkfs.vfat", &arguments);
        let mut files = Vec::new();
        for (name, bytes) in &samples {
            let from = folder.path().join("from");
            fs::write(&from, bytes).unwrap();
            copy(&path, &from, &format!("a {name}"));
            copy(&path, &from, name);
            files.push((name.clone(), bytes.len() as u64));
        }
        // Gaps of some clusters, and a file for them.
        run("mdel", &["-i", text(&path), "::a *"]);
        let long = random.bytes(2_500_001);
        fs::write(folder.path().join("long"), &long).unwrap();
        copy(&path, &folder.path().join("long"), "long");
        files.push(("long".to_owned(), long.len() as u64));
        let inner = sample_folder(&folder, &samples).join("inner");
        copy(&path, &inner, "inner");
        for (index, (name, bytes)) in samples.iter().enumerate() {
            let inner = ["", "inner/", "inner/most/"][index % 3];
            if index % 3 > 0 {
                files.push((format!("{inner}{name}"), bytes.len() as u64));
            }
        }
        let image = Image::open(&path);
        assert_eq!(kind_of(&image), Some(kind), "{options}");
        let hints = image.hints();
        assert_same_cuts(&hints, oracle(&path, &files));
        assert_found(&image, &hints, &samples, 1);
        assert_found(&image, &hints, &[("long".to_owned(), long)], 1);
    }
}

#[test]
fn folders_that_contain_each_other_end() {
    if !has_tools(&["mkfs.vfat", "mmd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = blank(&folder, 1 << 20);
    run("mkfs.vfat", &["-F", "12", "-s", "1", text(&path)]);
    run("mmd", &["-i", text(&path), "::one", "::one/two"]);
    let mut image = Image::open(&path);
    let (heap, cluster_len) = heap_of(&image);
    // The entry of `two` names the cluster of `one`, the first of the heap.
    let entry = heap as usize + 64;
    assert_eq!(&image.0[entry..entry + 3], b"TWO");
    image.0[entry + 26] = 2;
    let (hints, problems) = image.hints_and_problems();
    assert_eq!(hints, []);
    assert_eq!(problems[0].detail, "folders are nested too deep");
    assert!(cluster_len > 0);
}
