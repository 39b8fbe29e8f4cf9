//! Bytes, holes and zeros.

use std::fs;
use std::fs::File;
use std::path::Path;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Ground;
use super::at;
use super::plain;
use super::skip;
use crate::targets::folder::FolderTarget;
use crate::targets::folder::FolderTargetOptions;
use crate::targets::folder::OnConflict;

const KIB: u64 = 1024;

/// The runs of data of a file, as the file system tells: offset and length.
fn data_of(path: &Path) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap();
    let mut runs = Vec::new();
    let mut from = 0;
    loop {
        match rustix::fs::seek(&file, SeekFrom::Data(from)) {
            Ok(start) => {
                from = rustix::fs::seek(&file, SeekFrom::Hole(start)).unwrap();
                runs.push((start, from - start));
            }
            Err(Errno::NXIO) => return runs,
            Err(errno) => panic!("{errno}"),
        }
    }
}

#[test]
fn holes_stay_holes_and_zeros_stay_data() {
    for base in [std::env::temp_dir(), "/dev/shm".into()] {
        let Ok(folder) = tempfile::tempdir_in(&base) else {
            skip("no such file system here");
            continue;
        };
        let options = FolderTargetOptions::default();
        let target = FolderTarget::open(&folder.path().join("t"), options).unwrap();
        let file = target
            .create_file(&at("f"), &plain(), 4096 * KIB)
            .unwrap()
            .into_item()
            .unwrap();
        file.write_zeros(1024 * KIB, 640 * KIB).unwrap();
        file.write_at(0, &[7; 65_536]).unwrap();
        file.finish(&plain()).unwrap();
        let path = folder.path().join("t/f");
        assert_eq!(
            data_of(&path),
            [(0, 64 * KIB), (1024 * KIB, 640 * KIB)],
            "{base:?}"
        );
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, 4096 * KIB);
        assert!(bytes[..65_536].iter().all(|&byte| byte == 7));
        assert!(bytes[65_536..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn many_threads_write_many_files_in_any_order() {
    const PIECE: usize = 1000;
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    let create = |n| target.create_file(&at(&format!("f{n}")), &plain(), 8 * PIECE as u64);
    let files: Vec<_> = (0..8)
        .map(|n| create(n).unwrap().into_item().unwrap())
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let files = &files;
            scope.spawn(move || {
                for piece in (0..8_usize).rev().filter(|piece| piece % 4 == thread) {
                    for file in files {
                        file.write_at((piece * PIECE) as u64, &[piece as u8; PIECE])
                            .unwrap();
                    }
                }
            });
        }
    });
    let expected: Vec<u8> = (0..8).flat_map(|piece| [piece; PIECE]).collect();
    for (n, file) in files.into_iter().enumerate() {
        assert_eq!(file.finish(&plain()).unwrap(), []);
        assert_eq!(fs::read(ground.path(&format!("f{n}"))).unwrap(), expected);
    }
}
