//! What a volume looks like: its bytes, those of its partitions, and the files in them.
//!
//! ```text
//! disk0.raw                    the volume
//! disk0.p1.raw …               partitions that can be taken by themselves
//! disk0/p1/ …, or disk0/       the files in a partition, or in a volume without partitions
//! disk0/p2.txt, or disk0.txt   why there are none, and what to do
//! ```
//! Names below `disk0` are those of `SNAP:disk0/p1/PATH`. What a volume held when it was captured says
//! whether there are files; nothing is read before somebody looks at them.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::Timestamp;
use crate::format::snapshot::Root;
use crate::operations::select_volume::{NOT_WHOLE, SelectedVolume};
use crate::operations::volumes::with_partitions;
use crate::serve::files::{Files, Kind, MountedTree};
use crate::serve::image::{ImageTree, Images, Viewers, refusal};
use crate::serve::library::Library;
use crate::serve::names::{Named, TableBuilder};
use crate::serve::view::{Text, View};

/// Makes names of volumes.
#[derive(Clone)]
pub(super) struct Disks {
    library: Arc<Library>,
    images: Arc<Images>,
    viewers: Viewers,
}

/// The files in a volume or a partition, opened once somebody enters.
struct Inside {
    disks: Disks,
    root: Arc<Root>,
    part: Option<Range<u64>>,
    /// As it is typed: `disk0/p1`.
    name: Vec<u8>,
}

impl Disks {
    /// Of volumes that `library` has, for `viewers`.
    pub(super) fn new(library: &Arc<Library>, images: Arc<Images>, viewers: Viewers) -> Self {
        Self {
            library: Arc::clone(library),
            images,
            viewers,
        }
    }

    /// Adds the volume `root` at `path`.
    ///
    /// # Errors
    /// If it makes no sense.
    pub(super) fn add(
        &self,
        builder: &mut TableBuilder,
        path: &[u8],
        time: Timestamp,
        root: &Root,
    ) -> Result<()> {
        for (suffix, part) in bytes_in(root) {
            let name = builder.free([path, suffix.as_bytes()].concat());
            let view: Arc<dyn View> = Arc::new(self.library.volume(root, part)?);
            builder.add(&name, time, Named::Bytes(view));
        }
        let root = Arc::new(root.clone());
        let folder = builder.free(path.to_vec());
        for (suffix, part, refusal) in files_in(&root) {
            let path = [&folder, suffix.as_bytes()].concat();
            let name = [&root.name, suffix.as_bytes()].concat();
            if let Some(refusal) = refusal {
                let text = Text(format!("{}: {refusal}\n", String::from_utf8_lossy(&name)));
                let path = builder.free([&path, &b".txt"[..]].concat());
                builder.add(&path, time, Named::Bytes(Arc::new(text)));
                continue;
            }
            let inside = Inside {
                disks: self.clone(),
                root: Arc::clone(&root),
                part,
                name,
            };
            let tree = Named::Tree(Arc::new(inside), Kind::Folder);
            builder.add(&builder.free(path), time, tree);
        }
        Ok(())
    }
}

/// What there is of bytes: the end of its name, and the part of the volume if it is not all.
fn bytes_in(root: &Root) -> Vec<(String, Option<Range<u64>>)> {
    let named = |one: SelectedVolume<'_>| {
        let partition = one
            .partition
            .map(|partition| format!(".p{}", partition.number));
        (partition.unwrap_or_default() + ".raw", one.part())
    };
    let all = with_partitions(0, root).filter(SelectedVolume::is_whole);
    all.map(named).collect()
}

/// The same of file systems, each with the reason if its files cannot be shown.
fn files_in(root: &Root) -> Vec<(String, Option<Range<u64>>, Option<String>)> {
    let named = |one: SelectedVolume<'_>| {
        let partition = one
            .partition
            .map(|partition| format!("/p{}", partition.number));
        let (part, refusal) = match one.is_whole() {
            true => (
                one.part(),
                refusal(one.held().map(|held| held.kind.as_str())),
            ),
            false => (None, Some(NOT_WHOLE.to_owned())),
        };
        (partition.unwrap_or_default(), part, refusal)
    };
    let undivided = with_partitions(0, root).filter(|one| !one.is_divided());
    undivided.map(named).collect()
}

impl MountedTree for Inside {
    fn open(&self) -> Result<Arc<dyn Files>> {
        let Disks {
            library,
            images,
            viewers,
        } = self.disks.clone();
        let (root, part) = (Arc::clone(&self.root), self.part.clone());
        let view = move || -> Result<Arc<dyn View>> {
            let view = library.volume(&root, part.clone())?;
            Ok(Arc::new(view))
        };
        let tree = ImageTree::open(&images, self.name.clone(), Box::new(view), viewers)?;
        Ok(Arc::new(tree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::volume::{FileSystemInfo, LayoutInfo, PartitionInfo};
    use crate::testing::sample_volumes::{self, machine};

    fn file_system(kind: &str) -> Option<FileSystemInfo> {
        let kind = kind.to_owned();
        Some(FileSystemInfo {
            kind,
            ..FileSystemInfo::default()
        })
    }

    /// A volume of 1000 bytes.
    fn volume(layout: LayoutInfo) -> Root {
        let mut root = machine(1_000).roots.swap_remove(0);
        root.volume = Some(sample_volumes::info(layout));
        root
    }

    #[test]
    fn files_are_shown_of_what_has_a_reader_and_of_the_rest_the_reason_why_not() {
        let partition = |number, len, file_system| PartitionInfo {
            number,
            offset: 100,
            len,
            sound: 1,
            file_system,
            ..PartitionInfo::default()
        };
        let root = volume(LayoutInfo {
            partitions: vec![
                partition(1, 200, file_system("fat32")),
                partition(2, 200, file_system("swap")),
                partition(3, 200, None),
                partition(4, 5_000, file_system("ext4")),
                partition(12, 200, file_system("ext4")),
            ],
            ..LayoutInfo::default()
        });
        let files = files_in(&root);
        let shown = |one: &(String, _, Option<String>)| (one.0.clone(), one.2.is_none());
        let shown: Vec<_> = files.iter().map(shown).collect();
        let expected = [
            ("/p1", true),
            ("/p2", false),
            ("/p3", false),
            ("/p4", false),
            ("/p12", true),
        ];
        assert_eq!(
            shown,
            expected.map(|(name, is_shown)| (name.to_owned(), is_shown))
        );
        assert_eq!(files[0].1, Some(100..300));
        assert!(
            files[3]
                .2
                .as_ref()
                .is_some_and(|why| why.contains("beyond the volume"))
        );
        let bytes: Vec<_> = bytes_in(&root).into_iter().map(|(name, _)| name).collect();
        assert_eq!(bytes, [".raw", ".p1.raw", ".p2.raw", ".p3.raw", ".p12.raw"]);
    }

    #[test]
    fn a_volume_without_partitions_has_its_files_in_one_place() {
        for (found, is_shown) in [
            (file_system("btrfs"), true),
            (file_system("luks2"), false),
            (None, false),
        ] {
            let root = volume(LayoutInfo {
                file_system: found,
                ..LayoutInfo::default()
            });
            let files = files_in(&root);
            assert_eq!((files[0].0.as_str(), files[0].1.clone()), ("", None));
            assert_eq!((files.len(), files[0].2.is_none()), (1, is_shown));
        }
    }
}
