//! All volumes of a snapshot and their partitions, each as a path would select it.

use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::operations::select_volume::SelectedVolume;

/// All volumes of `snapshot` in their order, each before its partitions; also those that cannot be
/// taken by themselves.
pub fn volumes(snapshot: &Snapshot) -> impl Iterator<Item = SelectedVolume<'_>> {
    let roots = snapshot.roots.iter().enumerate();
    let volumes = roots.filter(|(_, root)| root.root_type == RootType::Extents);
    volumes.flat_map(|(index, root)| with_partitions(index, root))
}

/// The volume `root`, which is the one of this index in its snapshot, and then its partitions.
pub fn with_partitions(index: usize, root: &Root) -> impl Iterator<Item = SelectedVolume<'_>> {
    let whole = SelectedVolume {
        root,
        index,
        partition: None,
    };
    let partitions = whole.partitions().iter();
    let partitions = partitions.map(move |one| SelectedVolume {
        partition: Some(one),
        ..whole
    });
    std::iter::once(whole).chain(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::volume::{LayoutInfo, PartitionInfo};
    use crate::testing::sample_volumes::{self, machine};

    #[test]
    fn volumes_come_before_their_partitions_and_folders_not_at_all() {
        let mut snapshot = machine(1_000);
        let partition = |number, len| PartitionInfo {
            number,
            len,
            sound: 1,
            ..PartitionInfo::default()
        };
        snapshot.roots[0].volume = Some(sample_volumes::info(LayoutInfo {
            partitions: vec![partition(1, 200), partition(5, 2_000)],
            ..LayoutInfo::default()
        }));
        let shown = |one: SelectedVolume<'_>| {
            let name = String::from_utf8_lossy(&one.name()).into_owned();
            (name, one.is_whole(), one.is_divided())
        };
        let found: Vec<_> = volumes(&snapshot).map(shown).collect();
        let expected = [
            ("disk0", true, true),
            ("disk0/p1", true, false),
            ("disk0/p5", false, false),
            ("disk1", true, false),
        ];
        let expected =
            expected.map(|(name, is_whole, is_divided)| (name.to_owned(), is_whole, is_divided));
        assert_eq!(found, expected);
        assert!(volumes(&snapshot).take(3).all(|one| one.index == 0));
    }
}
