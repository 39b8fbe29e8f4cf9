//! Hints of NTFS, compared with the runs that `ntfsinfo` prints.

use std::os::unix::fs::MetadataExt;
use std::process::Child;

use super::*;

const CLUSTER_LEN: u64 = 4096;

/// The runs of one file's unnamed data: lines of three numbers in hexadecimal.
fn runs_of(path: &Path, name: &str) -> Vec<(u64, u64, u64)> {
    let shown = run("ntfsinfo", &["-v", "-F", name, text(path)]);
    let mut pieces = Vec::new();
    let mut is_data = false;
    for line in shown.lines() {
        if line.starts_with("Dumping attribute") {
            is_data = line.contains("$DATA");
        }
        let numbers: Vec<_> = line
            .split_whitespace()
            .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16))
            .collect();
        if let ([Ok(logical), Ok(physical), Ok(count)], true) = (numbers.as_slice(), is_data) {
            pieces.push((*logical, *physical, *count));
        }
    }
    pieces
}

fn oracle(path: &Path, files: &[(String, u64)]) -> Vec<u64> {
    let cuts = files.iter().flat_map(|(name, len)| {
        let runs = runs_of(path, name);
        expected(*len, CLUSTER_LEN, &runs)
    });
    cuts.collect()
}

fn make(folder: &TempDir, len: u64) -> PathBuf {
    let path = blank(folder, len);
    run(
        "mkfs.ntfs",
        &["-F", "-q", "-f", "-c", "4096", "-L", "sample", text(&path)],
    );
    path
}

#[test]
fn hints_of_ntfs_are_what_ntfsinfo_says() {
    if !has_tools(&["mkfs.ntfs", "ntfscp", "ntfsinfo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make(&folder, 16 << 20);
    let samples = samples(&mut Random::new(5));
    let mut files = Vec::new();
    for (name, bytes) in samples.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let from = folder.path().join(name);
        fs::write(&from, bytes).unwrap();
        run("ntfscp", &["-f", text(&path), text(&from), name]);
        files.push((name.clone(), bytes.len() as u64));
    }
    let image = Image::open(&path);
    let found = image.layout().file_system.unwrap();
    assert_eq!(found.kind, FileSystemKind::Ntfs);
    assert_eq!(found.label.as_deref(), Some("sample"));
    let hints = image.hints();
    assert_same_cuts(&hints, oracle(&path, &files));
    assert_found(&image, &hints, &samples, 1023);
}

/// A mounted image; taken off again when dropped.
struct Mount {
    place: PathBuf,
    server: Child,
}

impl Mount {
    /// Nothing where this process may not mount.
    fn new(image: &Path, folder: &TempDir) -> Option<Self> {
        let place = folder.path().join("mount");
        fs::create_dir(&place).unwrap();
        let before = fs::metadata(&place).unwrap().dev();
        let mut server = Command::new(path_of("ntfs-3g")?)
            .args(["-o", "no_detach,compression", text(image), text(&place)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while fs::metadata(&place).unwrap().dev() == before {
            if server.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::yield_now();
        }
        Some(Self { place, server })
    }
}

impl Drop for Mount {
    /// All is written once the server is gone.
    fn drop(&mut self) {
        if run_with("umount", &[text(&self.place)], "").is_none() {
            self.server.kill().unwrap();
        }
        self.server.wait().unwrap();
    }
}

#[test]
fn a_file_in_more_pieces_than_fit_its_record_is_followed() {
    if !has_tools(&["mkfs.ntfs", "ntfs-3g", "ntfsinfo", "umount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make(&folder, 16 << 20);
    let Some(mount) = Mount::new(&path, &folder) else {
        return skip("this process may not mount NTFS");
    };
    let mut random = Random::new(6);
    // Every second cluster, in disorder: as many runs as holes.
    let mut order: Vec<u64> = (0..600).collect();
    for index in (1..order.len()).rev() {
        order.swap(index, random.below(index + 1));
    }
    let pieces = File::create(mount.place.join("pieces")).unwrap();
    let mut last = Vec::new();
    for index in order {
        let bytes = random.bytes(if index == 599 { 77 } else { 4096 });
        pieces
            .write_all_at(&bytes, index * 2 * CLUSTER_LEN)
            .unwrap();
        if index == 599 {
            last = bytes;
        }
    }
    drop(pieces);
    let packed = random.bytes(1000).repeat(200);
    fs::create_dir(mount.place.join("packed")).unwrap();
    let is_packing = set_compressed(&mount.place.join("packed"));
    fs::write(mount.place.join("packed/file"), packed).unwrap();
    drop(mount);
    assert!(runs_of(&path, "pieces").len() >= 590);
    let image = Image::open(&path);
    let hints = image.hints();
    let len = 599 * 2 * CLUSTER_LEN + 77;
    assert_found(&image, &hints, &[("last".to_owned(), last)], 1);
    if !is_packing {
        return skip("this mount does not compress");
    }
    assert_same_cuts(&hints, oracle(&path, &[("pieces".to_owned(), len)]));
}

/// Files that are made in the folder from now on are compressed.
fn set_compressed(folder: &Path) -> bool {
    let attributes = 0x810_u32.to_le_bytes();
    rustix::fs::setxattr(
        folder,
        c"system.ntfs_attrib",
        &attributes,
        rustix::fs::XattrFlags::empty(),
    )
    .is_ok()
}
