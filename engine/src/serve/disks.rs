//! What a volume looks like: its bytes, those of its partitions, and the files in them.
//!
//! ```text
//! disk0.raw                    the volume
//! disk0.p1.raw …               partitions that can be taken by themselves
//! disk0/p1/ …, or disk0/       the files in a partition, or in a volume without partitions
//! disk0/p2.txt, or disk0.txt   why there are none, and what to do
//! disk0/p3/vg0/ …              behind a physical volume of LVM2: its group (`logical`)
//! ```
//! Names below `disk0` are those of `SNAP:disk0/p1/PATH`. What a volume held when it was captured says
//! whether there are files; nothing is read before somebody looks at them.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::snapshot::Snapshot;
use crate::operations::select_volume::{NOT_WHOLE, SelectedVolume};
use crate::operations::volumes::with_partitions;
use crate::operations::walk;
use crate::serve::files::{self, Files, Kind, MountedTree};
use crate::serve::groups::Group;
use crate::serve::image::{ImageTree, Images, Viewers, refusal};
use crate::serve::library::Library;
use crate::serve::logical;
use crate::serve::names::{Named, Names, TableBuilder};
use crate::serve::view::View;

/// Makes names of volumes.
#[derive(Clone)]
pub(super) struct Disks {
    library: Arc<Library>,
    images: Arc<Images>,
    viewers: Viewers,
}

/// What is shown of a volume or a partition, beside its bytes.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Files,
    Group,
    /// Why there is nothing.
    Text(String),
}

/// The files in something, opened once somebody enters.
struct Inside {
    disks: Disks,
    view: Arc<dyn View>,
    /// As it is typed: `disk0/p1`.
    name: Vec<u8>,
}

/// The group of a physical volume, read once somebody enters.
struct Behind {
    disks: Disks,
    snapshot: Arc<Snapshot>,
    /// Its volume among the roots, and its place among that and its partitions.
    index: usize,
    nth: usize,
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

    /// Adds the volume of this index among the roots of `snapshot` at `path`.
    ///
    /// # Errors
    /// If it makes no sense.
    pub(super) fn add(
        &self,
        builder: &mut TableBuilder,
        path: &[u8],
        snapshot: &Arc<Snapshot>,
        index: usize,
    ) -> Result<()> {
        let (root, time) = (&snapshot.roots[index], snapshot.begun);
        for one in with_partitions(index, root).filter(SelectedVolume::is_whole) {
            let name = builder.free([path, &suffix(&one, '.'), b".raw"].concat());
            let view = self.library.volume(root, one.part())?;
            builder.add(&name, time, Named::Bytes(Arc::new(view)));
        }
        let folder = builder.free(path.to_vec());
        for (nth, one) in with_partitions(index, root).enumerate() {
            let path = [folder.as_slice(), &suffix(&one, '/')].concat();
            let tree: Arc<dyn MountedTree> = match shown(&one) {
                None => continue,
                Some(Shown::Text(why)) => {
                    logical::add_text(builder, &path, time, &one.name(), &why);
                    continue;
                }
                Some(Shown::Files) => Arc::new(Inside {
                    disks: self.clone(),
                    view: Arc::new(self.library.volume(root, one.part())?),
                    name: one.name(),
                }),
                Some(Shown::Group) => Arc::new(Behind {
                    disks: self.clone(),
                    snapshot: Arc::clone(snapshot),
                    index,
                    nth,
                }),
            };
            let path = builder.free(path);
            builder.add(&path, time, Named::Tree(tree, Kind::Folder));
        }
        Ok(())
    }

    /// The names behind the physical volume `member`.
    fn behind(&self, snapshot: &Snapshot, member: &SelectedVolume<'_>) -> Result<Names> {
        let (name, time, owner) = (member.name(), snapshot.begun, self.viewers.owner);
        let group = match Group::open(&self.library, snapshot, member) {
            Ok(group) => group,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut builder = TableBuilder::default();
                logical::add_text(&mut builder, b"none", time, &name, error.detail());
                return Ok(Names::fixed(builder.finish(time), owner).below(name));
            }
            Err(error) => return Err(error),
        };
        if !self.images.take(logical::weight(&group)) {
            let detail =
                "is behind one of too many volume groups that this mount showed; mount it again";
            let place = walk::place(&name);
            return Err(Error::new(ErrorKind::LimitExceeded, place, detail));
        }
        let inside = |name, view| {
            let disks = self.clone();
            Named::Tree(Arc::new(Inside { disks, view, name }), Kind::Folder)
        };
        let table = logical::table(&group, time, &inside);
        Ok(Names::fixed(table, owner).below(name))
    }
}

/// What is put behind the name of the volume for a partition.
fn suffix(volume: &SelectedVolume<'_>, separator: char) -> Vec<u8> {
    let of = |number| format!("{separator}p{number}").into_bytes();
    let partition = volume.partition.map(|partition| of(partition.number));
    partition.unwrap_or_default()
}

/// What is shown of a volume or a partition; nothing where its partitions are.
fn shown(volume: &SelectedVolume<'_>) -> Option<Shown> {
    if volume.is_divided() {
        return None;
    }
    if !volume.is_whole() {
        return Some(Shown::Text(NOT_WHOLE.to_owned()));
    }
    if volume.is_physical() {
        return Some(Shown::Group);
    }
    let kind = volume.held().map(|held| held.kind.as_str());
    Some(refusal(kind).map_or(Shown::Files, Shown::Text))
}

impl MountedTree for Inside {
    fn open(&self) -> Result<Arc<dyn Files>> {
        let (disks, view) = (&self.disks, Arc::clone(&self.view));
        let view = Box::new(move || Ok(Arc::clone(&view)));
        let tree = ImageTree::open(&disks.images, self.name.clone(), view, disks.viewers)?;
        Ok(Arc::new(tree))
    }
}

impl MountedTree for Behind {
    fn open(&self) -> Result<Arc<dyn Files>> {
        let (snapshot, index) = (&self.snapshot, self.index);
        let mut volumes = with_partitions(index, &snapshot.roots[index]);
        let member = volumes
            .nth(self.nth)
            .ok_or_else(|| files::gone(b"volume"))?;
        Ok(Arc::new(self.disks.behind(snapshot, &member)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::snapshot::Root;
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

    /// What is shown, by the end of its name.
    fn all(root: &Root) -> Vec<(String, Shown)> {
        let named = |one: SelectedVolume<'_>| {
            let suffix = String::from_utf8(suffix(&one, '/')).unwrap();
            Some((suffix, shown(&one)?))
        };
        with_partitions(0, root).filter_map(named).collect()
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
                partition(3, 200, file_system("lvm2_member")),
                partition(4, 5_000, file_system("lvm2_member")),
                partition(12, 200, file_system("ext4")),
            ],
            ..LayoutInfo::default()
        });
        let text = |why: &str| Shown::Text(why.to_owned());
        let no_files = text("holds swap space (swap), which has no files");
        let expected = [
            ("/p1", Shown::Files),
            ("/p2", no_files),
            ("/p3", Shown::Group),
            ("/p4", text(NOT_WHOLE)),
            ("/p12", Shown::Files),
        ];
        assert_eq!(
            all(&root),
            expected.map(|(name, shown)| (name.to_owned(), shown))
        );
    }

    #[test]
    fn a_volume_without_partitions_has_its_files_in_one_place() {
        for (found, is_shown) in [
            (file_system("btrfs"), Some(Shown::Files)),
            (file_system("lvm2_member"), Some(Shown::Group)),
            (file_system("luks2"), None),
            (None, None),
        ] {
            let root = volume(LayoutInfo {
                file_system: found,
                ..LayoutInfo::default()
            });
            let [(suffix, shown)] = all(&root).try_into().expect("it is one place");
            let is_text = matches!(shown, Shown::Text(_));
            assert_eq!((suffix.as_str(), is_text), ("", is_shown.is_none()));
            assert!(is_shown.is_none_or(|expected| shown == expected));
        }
    }
}
