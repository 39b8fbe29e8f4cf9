//! What a person means by `SNAP:PATH`: everything, or one entry of one folder that was captured.
//!
//! Deliberately absent: volumes, which have no entries (`select_volume`).

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::TreePath;
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::format::tree::TreeItem;
use crate::operations::components::{check, components, folder_of};
use crate::operations::walk;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::cursor::Step;

/// A part of a snapshot.
#[derive(Clone, Debug)]
pub enum Selected {
    /// All roots.
    Everything,
    /// One entry, and all below it if it is a folder.
    Entry {
        /// Index into the snapshot's roots.
        root: usize,
        /// The entry.
        item: TreeItem,
    },
}

/// Finds `path` in `snapshot`. Empty is everything. A path that begins with the name of a root, or
/// with its label, is taken below it; in a snapshot of one root a relative path is taken from there.
pub fn select(reader: &ChunkReader<'_>, snapshot: &Snapshot, path: &[u8]) -> Result<Selected> {
    let names = components(path);
    check(&names, path)?;
    let absolute = path.first() == Some(&b'/');
    if names.is_empty() && !absolute {
        return Ok(Selected::Everything);
    }
    for (root, below) in candidates(snapshot, &names, absolute) {
        let item = find(reader, &snapshot.roots[root], &below)?;
        if let Some(item) = item {
            return Ok(Selected::Entry { root, item });
        }
    }
    Err(not_there(snapshot, &names, path))
}

fn not_there(snapshot: &Snapshot, names: &[&[u8]], path: &[u8]) -> Error {
    let named = |root: &&Root| names.first().is_some_and(|name| root.name == *name);
    if let Some(root) = snapshot.roots.iter().filter(is_volume).find(named) {
        return walk::is_a_volume(root);
    }
    let roots = snapshot.roots.iter().map(|root| shown(&root.name));
    let roots = roots.collect::<Vec<_>>().join(", ");
    let detail = format!("is not in this snapshot, which holds {roots}");
    Error::new(ErrorKind::NotFound, walk::place(path), detail)
}

fn is_volume(root: &&Root) -> bool {
    root.root_type == RootType::Extents
}

/// The entry at `path` in the tree of `root`; reads the pages on the way to it alone.
pub(crate) fn find(
    reader: &ChunkReader<'_>,
    root: &Root,
    path: &TreePath,
) -> Result<Option<TreeItem>> {
    match walk::cursor(reader, root, path.clone())?.next()? {
        Some(Step::Item(item)) if item.path() == *path => Ok(Some(item)),
        Some(Step::Lost(lost)) if lost.first <= *path => Err(lost.error),
        _ => Ok(None),
    }
}

/// The roots that may hold the path, longest name first, and what is left of it below each.
fn candidates(snapshot: &Snapshot, names: &[&[u8]], absolute: bool) -> Vec<(usize, TreePath)> {
    let is_tree = |root: &Root| root.root_type == RootType::Tree;
    let trees = snapshot.roots.iter().enumerate();
    let trees = trees.filter(|(_, root)| is_tree(root));
    if !absolute {
        let labelled = trees.filter_map(|(index, root)| match names {
            [label, below @ ..] if root.name == *label => {
                Some((index, folder_of(below).as_entry()))
            }
            _ => None,
        });
        let mut found: Vec<_> = labelled.collect();
        if let [root] = snapshot.roots.as_slice()
            && is_tree(root)
        {
            found.push((0, folder_of(names).as_entry()));
        }
        return found;
    }
    let mut found = Vec::new();
    for (index, root) in trees.filter(|(_, root)| root.name.first() == Some(&b'/')) {
        let root_names: Vec<_> = root.name.split(|&byte| byte == b'/').collect();
        let root_names: Vec<_> = root_names.into_iter().filter(|n| !n.is_empty()).collect();
        if let Some(below) = names.strip_prefix(root_names.as_slice()) {
            found.push((index, folder_of(below).as_entry()));
        }
    }
    found.sort_by_key(|(_, below)| below.to_bytes().len());
    found
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Place;
    use crate::format::entry::ExtentKind;
    use crate::format::name::ObjectKind;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
    use crate::testing::sample_repository::{self, SampleTree, small_frames};
    use crate::testing::sample_volumes::{self, SampleVolume, Stretch};

    fn selected(roots: &[(&str, &SampleTree)], path: &str) -> Result<String> {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend);
        let snapshot = sample_repository::commit(&repository, small_frames(), roots);
        let reader = ChunkReader::new(&repository, 1 << 20)?;
        Ok(match select(&reader, &snapshot, path.as_bytes())? {
            Selected::Everything => "everything".to_owned(),
            Selected::Entry { root, item } => format!("{root}:{}", item.path()),
        })
    }

    #[test]
    fn a_path_is_taken_below_the_root_that_it_names() {
        let mut tree = SampleTree::new();
        tree.file("etc/hosts", b"hosts".to_vec());
        let mut nested = SampleTree::new();
        nested.file("inner", b"inner".to_vec());
        let roots = [
            ("/srv/a", &tree),
            ("/srv/a/etc", &nested),
            ("/srv/ab", &nested),
        ];
        let cases = [
            ("", "everything"),
            (".", "everything"),
            ("/srv/a", "0:"),
            ("/srv/a/", "0:"),
            ("//srv/./a//etc/hosts/", "0:etc/hosts"),
            ("/srv/a/etc", "1:"),
            ("/srv/a/etc/inner", "1:inner"),
            ("/srv/ab/inner", "2:inner"),
        ];
        for (path, expected) in cases {
            assert_eq!(selected(&roots, path).unwrap(), expected, "{path}");
        }
        for path in ["/", "/srv", "/srv/a/etc/none", "inner", "/srv/a/hosts"] {
            let error = selected(&roots, path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
            assert!(matches!(error.place(), Place::Path(_)));
            assert!(error.to_string().contains("/srv/ab"), "{error}");
        }
    }

    #[test]
    fn in_a_snapshot_of_one_root_a_path_may_be_relative() {
        let mut tree = SampleTree::new();
        tree.file("etc/hosts", b"hosts".to_vec());
        for (path, expected) in [
            ("etc/hosts", "0:etc/hosts"),
            ("./etc/", "0:etc"),
            ("/", "0:"),
        ] {
            let found = selected(&[("/", &tree)], path).unwrap();
            assert_eq!(found, expected, "{path}");
        }
        let refused = selected(&[("/", &tree)], "etc/../etc").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_folder_of_a_machine_is_found_by_its_label_and_its_volumes_have_no_entries() {
        let mut tree = SampleTree::new();
        tree.file("etc/config", b"x".to_vec());
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend);
        let disk = SampleVolume::new(vec![Stretch::Without(ExtentKind::Hole, 512)]);
        let snapshot = sample_volumes::commit(
            &repository,
            small_frames(),
            &[("disk0", &disk)],
            &[("config", &tree), ("etc", &tree)],
        );
        let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
        for (path, expected) in [
            ("config", "1:"),
            ("config/etc/config", "1:etc/config"),
            ("./etc//etc/", "2:etc"),
        ] {
            let Selected::Entry { root, item } =
                select(&reader, &snapshot, path.as_bytes()).unwrap()
            else {
                panic!("{path} is one entry");
            };
            assert_eq!(format!("{root}:{}", item.path()), expected);
        }
        for (path, kind, told) in [
            ("disk0", ErrorKind::InvalidInput, "is a volume"),
            ("disk0/etc", ErrorKind::InvalidInput, "is a volume"),
            ("/config", ErrorKind::NotFound, "disk0, config, etc"),
            ("none", ErrorKind::NotFound, "disk0, config, etc"),
        ] {
            let error = select(&reader, &snapshot, path.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), kind, "{path}");
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn the_label_of_the_only_root_goes_before_an_entry_of_that_name() {
        let mut tree = SampleTree::new();
        tree.file("config/inner", b"x".to_vec())
            .file("other", b"x".to_vec());
        let roots = [("config", &tree)];
        for (path, expected) in [
            ("config", "0:"),
            ("config/other", "0:other"),
            ("config/inner", "0:config/inner"),
            ("other", "0:other"),
        ] {
            assert_eq!(selected(&roots, path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn finding_one_entry_reads_one_page_of_each_level() {
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        let repository = sample_repository::create(backend.clone());
        let tree = SampleTree::random(7, 3_000);
        let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        let repository = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
        let last = tree.paths().last().unwrap();
        let path = walk::absolute_path(&snapshot.roots[0], last);
        backend.reset();
        select(&reader, &snapshot, &path).unwrap();
        let reads = backend.tally(Verb::GetRange, Subject::Kind(ObjectKind::Pack));
        assert_eq!(reads.calls, u64::from(snapshot.roots[0].level) + 1);
    }
}
