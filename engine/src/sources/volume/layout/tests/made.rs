//! Hints of volumes that were made by hand, each of which is known.

use super::*;
use crate::testing::tiny_volumes;

fn hints_of(image: Vec<u8>) -> Vec<u64> {
    Image(image).hints()
}

#[test]
fn a_file_of_ntfs_ends_where_its_last_run_was_written() {
    let cluster = 512;
    // Three clusters from 60 on and two from 56 on, of 2500 bytes; behind a hole, two from 70 on.
    let expected = [
        56 * 512,
        56 * 512 + 964,
        58 * 512,
        60 * cluster,
        70 * 512,
        70 * 512 + 488,
        71 * 512,
    ];
    assert_eq!(hints_of(tiny_volumes::ntfs(false)), expected);
    assert_eq!(hints_of(tiny_volumes::ntfs(true)), expected);
}

#[test]
fn a_chain_of_fat_is_cut_where_it_jumps() {
    // Clusters 2, 3 and 5 of 1300 bytes, 7 and 8 of 600; cluster 2 is sector 3.
    let sector = |cluster: u64| (cluster + 1) * 512;
    let expected = [
        sector(2),
        sector(5),
        sector(5) + 276,
        sector(6),
        sector(7),
        sector(8) + 88,
        sector(9),
    ];
    assert_eq!(hints_of(tiny_volumes::fat12()), expected);
}

#[test]
fn extents_in_the_inode_and_below_it_are_the_same() {
    let image = Image(tiny_volumes::ext(true));
    assert_eq!(kind_of(&image), Some(FileSystemKind::Ext4));
    let mut expected = Vec::new();
    for index in 0..4 {
        expected.extend(super::expected(
            4096 + 1000 * index,
            1024,
            &[(0, 10 + 8 * index, 8)],
        ));
    }
    assert_same_cuts(&image.hints(), expected);
}

#[test]
fn hints_inside_partitions_count_from_the_start_of_the_disk() {
    let shifted = |image: Vec<u8>, sectors: u64| -> Vec<u64> {
        hints_of(image)
            .into_iter()
            .map(|hint| hint + sectors * 512)
            .collect()
    };
    assert_eq!(
        hints_of(tiny_volumes::gpt()),
        shifted(tiny_volumes::fat12(), 12)
    );
    assert_eq!(
        hints_of(tiny_volumes::mbr()),
        shifted(tiny_volumes::fat12(), 36)
    );
}

#[test]
fn a_file_that_runs_in_circles_ends() {
    let mut image = tiny_volumes::fat12();
    // The file of three clusters goes back to the first, and is as long as can be.
    image[512 + 7..512 + 9].copy_from_slice(&[0x2f, 0]);
    image[1024 + 28..1024 + 32].fill(0xff);
    let (hints, problems) = Image(image).hints_and_problems();
    assert_eq!(hints, []);
    assert!(problems[0].detail.contains("more metadata"), "{problems:?}");
}

#[test]
fn an_extent_tree_that_contains_itself_ends() {
    let mut image = tiny_volumes::ext(true);
    // The root of the file at inode 13 says that it is deeper, its child names itself.
    let leaf = 43 * 1024;
    image[leaf + 6] = 1;
    let (_, problems) = Image(image).hints_and_problems();
    assert_eq!(
        problems[0].detail,
        "1 file makes no sense and has no or few hints"
    );
}

#[test]
fn metadata_beyond_the_bound_of_the_caller_is_not_read() {
    let image = Image(tiny_volumes::ext(true));
    let options = HintOptions {
        metadata_bytes_max: 3000,
        ..HintOptions::default()
    };
    let hints = Hints::collect(&image, &image.layout(), &options).unwrap();
    assert_eq!((hints.iter().count(), hints.problems().len()), (0, 1));
}

#[test]
fn a_boot_sector_with_lengths_beyond_all_numbers_is_no_ntfs() {
    // Sectors of a cluster as a power of two, records in clusters, the table's first cluster.
    let changes: [&[(usize, u8)]; 3] = [
        &[(0x0d, 0xc8), (0x40, 0x7f)],
        &[(0x0d, 0x81), (0x0c, 0xff)],
        &[(0x2f, 0x7f), (0x37, 0x7f)],
    ];
    for changes in changes {
        let mut image = tiny_volumes::ntfs(false);
        for (at, byte) in changes {
            image[*at] = *byte;
        }
        let mut layout = DiskLayout::unknown(image.len() as u64, 512);
        layout.file_system = Some(FileSystem::of(FileSystemKind::Ntfs));
        let image = Image(image);
        assert_eq!(kind_of(&image), None);
        let hints = Hints::collect(&image, &layout, &HintOptions::default()).unwrap();
        assert_eq!(
            hints.problems()[0].detail,
            "the first sector makes no sense"
        );
    }
}

#[test]
fn what_cannot_be_read_costs_the_hints_of_its_file_system() {
    struct Failing(Image, u64);
    impl ReadAt for Failing {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            if offset + buffer.len() as u64 > self.1 {
                return Err(io::Error::other("bad sector"));
            }
            self.0.read_at(offset, buffer)
        }
    }
    let image = Image(tiny_volumes::ext(true));
    let layout = image.layout();
    let failing = Failing(image, 5 * 1024);
    let hints = Hints::collect(&failing, &layout, &HintOptions::default()).unwrap();
    assert_eq!(
        hints.problems()[0].detail,
        "metadata cannot be read: bad sector"
    );
}
