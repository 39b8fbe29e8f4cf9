//! What snapshots look like as files: one by itself, and all of a repository.
//!
//! ```text
//! one      its folder; of several roots each under its absolute path, or its label
//!          of volumes their bytes, and the files in them (`disks`)
//! all      hosts/HOST/ROOT/TIME/      one root at one time, and `latest`
//!          ids/ID/                    one snapshot, and `latest`
//!          tags/TAG/TIME-ID           links to ids, and `latest`
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::format::entry::Timestamp;
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::limits::NAME_LEN_LIMIT;
use crate::operations::forget::calendar;
use crate::serve::disks::Disks;
use crate::serve::files::{Files, Kind, MountedTree, ROOT, Ready};
use crate::serve::folder::{FolderView, TreePages};
use crate::serve::image::{Images, Viewers};
use crate::serve::library::Library;
use crate::serve::names::{Named, Names, Table, TableBuilder, numbered};
use crate::serve::problems::Problems;

/// Digits of an id that tell one snapshot from another of the same time.
const ID_DIGITS: usize = 8;
/// Longest name that is made of something else: room is left for what is put behind it.
const FLAT_NAME_LEN_MAX: usize = NAME_LEN_LIMIT - 55;

/// Makes trees of files out of snapshots.
#[derive(Clone)]
pub struct Showcase {
    library: Arc<Library>,
    pages: Arc<TreePages>,
    disks: Disks,
    owner: (u32, u32),
}

/// The tree of all snapshots in the making: names that were given stay.
pub struct Everything {
    showcase: Showcase,
    builder: TableBuilder,
    /// The folder of each host and root.
    series: BTreeMap<(String, Vec<u8>), Vec<u8>>,
}

/// A snapshot, or one root of it, that is looked up in the repository once somebody enters.
struct Later {
    showcase: Showcase,
    snapshot: Arc<Snapshot>,
    root: Option<usize>,
    opened: OnceLock<Arc<dyn Files>>,
}

impl Showcase {
    /// Trees of what `library` has. At most `pages_bytes` of decoded pages are kept, and as much of
    /// what was read of file systems inside volumes. What cannot be shown to `viewers` is told to
    /// `problems`.
    pub fn new(
        library: &Arc<Library>,
        pages_bytes: usize,
        viewers: Viewers,
        problems: &Arc<Problems>,
    ) -> Self {
        let images = Images::new(pages_bytes, Arc::clone(problems));
        Self {
            library: Arc::clone(library),
            pages: Arc::new(TreePages::new(pages_bytes)),
            disks: Disks::new(library, images, viewers),
            owner: viewers.owner,
        }
    }

    /// One snapshot.
    ///
    /// # Errors
    /// If it is one folder, and that cannot be read; or if it goes beyond a limit.
    pub fn snapshot(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<dyn Files>> {
        if let [root] = snapshot.roots.as_slice()
            && let Some(folder) = self.single(root)?
        {
            return Ok(folder);
        }
        let mut builder = TableBuilder::default();
        let roots = &snapshot.roots;
        for (index, root) in roots.iter().enumerate() {
            let lies_in_another = roots.iter().any(|other| lies_in(&root.name, &other.name));
            let path = match lies_in_another {
                true => flat(&root.name),
                false => path_of(&root.name),
            };
            self.add(&mut builder, path, snapshot, index)?;
        }
        Ok(self.fixed(builder, snapshot.begun))
    }

    /// The root of this index of a snapshot.
    fn root(&self, snapshot: &Arc<Snapshot>, index: usize) -> Result<Arc<dyn Files>> {
        let root = &snapshot.roots[index];
        if let Some(folder) = self.single(root)? {
            return Ok(folder);
        }
        let mut builder = TableBuilder::default();
        let name = root.name.rsplit(|&byte| byte == b'/').next();
        let name = flat(name.unwrap_or_default());
        self.add(&mut builder, name, snapshot, index)?;
        Ok(self.fixed(builder, snapshot.begun))
    }

    /// What is shown without names around it: a folder.
    fn single(&self, root: &Root) -> Result<Option<Arc<dyn Files>>> {
        if root.root_type != RootType::Tree {
            return Ok(None);
        }
        let folder = self.folder(root)?;
        let is_folder = folder.attributes(ROOT)?.kind == Kind::Folder;
        Ok(is_folder.then(|| Arc::new(folder) as Arc<dyn Files>))
    }

    fn folder(&self, root: &Root) -> Result<FolderView> {
        FolderView::new(&self.library, &self.pages, root)
    }

    fn fixed(&self, mut builder: TableBuilder, time: Timestamp) -> Arc<dyn Files> {
        Arc::new(Names::fixed(builder.finish(time), self.owner))
    }

    /// Adds a folder, a file, or a volume and its partitions.
    fn add(
        &self,
        builder: &mut TableBuilder,
        path: Vec<u8>,
        snapshot: &Arc<Snapshot>,
        index: usize,
    ) -> Result<()> {
        let root = &snapshot.roots[index];
        if root.root_type == RootType::Tree {
            let files: Arc<dyn Files> = Arc::new(self.folder(root)?);
            // Of a folder that is lost this is all that is known; who enters it is told.
            let kind = files
                .attributes(ROOT)
                .map_or(Kind::Folder, |root| root.kind);
            let tree = Named::Tree(Arc::new(Ready(files)), kind);
            builder.add(&builder.free(path), snapshot.begun, tree);
            return Ok(());
        }
        self.disks.add(builder, &path, snapshot, index)
    }
}

impl Everything {
    /// No snapshots yet.
    pub fn new(showcase: Showcase) -> Self {
        Self {
            showcase,
            builder: TableBuilder::default(),
            series: BTreeMap::new(),
        }
    }

    /// The names of all of `snapshots`, which come in the order of their commits.
    pub fn table(&mut self, snapshots: &[Snapshot]) -> Table {
        let newest = snapshots
            .last()
            .map_or_else(Timestamp::default, |last| last.begun);
        for folder in [&b"hosts"[..], b"ids", b"tags"] {
            self.builder.add_folder(folder, newest);
        }
        // Which of a folder's entries is the last, and when that began.
        let mut latest = BTreeMap::new();
        for snapshot in snapshots {
            let snapshot = Arc::new(snapshot.clone());
            for (folder, name) in self.add(&snapshot) {
                latest.insert(folder, (name, snapshot.begun));
            }
        }
        for (folder, (name, time)) in latest {
            let path = [&folder, &b"/latest"[..]].concat();
            self.builder.add(&path, time, Named::Link(name));
        }
        self.builder.finish(newest)
    }

    /// Adds a snapshot everywhere; gives the folders where it is now, and its name there.
    fn add(&mut self, snapshot: &Arc<Snapshot>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (id, begun) = (snapshot.session.to_string(), snapshot.begun);
        let time = date_and_time(begun);
        let short = id.get(..ID_DIGITS).unwrap_or(&id);
        let mut places = vec![(b"ids".to_vec(), id.clone().into_bytes())];
        let path = format!("ids/{id}");
        let tree = self.later(snapshot, None);
        self.builder.add(path.as_bytes(), begun, tree);
        for tag in &snapshot.tags {
            let folder = [b"tags/", flat(tag.as_bytes()).as_slice()].concat();
            let name = format!("{time}-{short}").into_bytes();
            let link = Named::Link(format!("../../ids/{id}").into_bytes());
            self.builder.add(&below(&folder, &name), begun, link);
            places.push((folder, name));
        }
        for (index, root) in snapshot.roots.iter().enumerate() {
            let folder = self.series_of(&snapshot.host, &root.name);
            let mut name = time.clone().into_bytes();
            if self.builder.has(&below(&folder, &name)) {
                name = format!("{time}-{short}").into_bytes();
            }
            let tree = self.later(snapshot, Some(index));
            self.builder.add(&below(&folder, &name), begun, tree);
            places.push((folder, name));
        }
        places
    }

    fn later(&self, snapshot: &Arc<Snapshot>, root: Option<usize>) -> Named {
        let later = Later {
            showcase: self.showcase.clone(),
            snapshot: Arc::clone(snapshot),
            root,
            opened: OnceLock::new(),
        };
        Named::Tree(Arc::new(later), Kind::Folder)
    }

    /// The folder of a root of a host: always the same, and of no other.
    fn series_of(&mut self, host: &str, root: &[u8]) -> Vec<u8> {
        let key = (host.to_owned(), root.to_vec());
        if let Some(folder) = self.series.get(&key) {
            return folder.clone();
        }
        let host = [b"hosts/", flat(host.as_bytes()).as_slice()].concat();
        let folder = below(&host, &flat(root));
        let is_taken = |path: &Vec<u8>| self.series.values().any(|taken| taken == path);
        let folder = numbered(folder, is_taken);
        self.series.insert(key, folder.clone());
        folder
    }
}

impl MountedTree for Later {
    fn open(&self) -> Result<Arc<dyn Files>> {
        if let Some(files) = self.opened.get() {
            return Ok(Arc::clone(files));
        }
        let snapshot = &self.snapshot;
        let files = match self.root {
            Some(index) => self.showcase.root(snapshot, index)?,
            None => self.showcase.snapshot(snapshot)?,
        };
        Ok(Arc::clone(self.opened.get_or_init(|| files)))
    }
}

/// True if a path of folders leads to `name` through `other`, or they are the same but for slashes.
fn lies_in(name: &[u8], other: &[u8]) -> bool {
    let rest = below_slash(name).strip_prefix(below_slash(other));
    name != other
        && rest.is_some_and(|rest| below_slash(other).is_empty() || rest.first() == Some(&b'/'))
}

/// An absolute path as seen from `/`; a label as it is. The root itself has a name of its own.
fn below_slash(name: &[u8]) -> &[u8] {
    match name {
        [b'/', rest @ ..] => rest,
        name => name,
    }
}

/// The same as a path whose every name can be one.
fn path_of(name: &[u8]) -> Vec<u8> {
    let names = name.split(|&byte| byte == b'/');
    let names: Vec<_> = names.filter(|name| !name.is_empty()).map(flat).collect();
    names.join(&b'/')
}

/// `2026-11-21T13-05-09Z`
fn date_and_time(time: Timestamp) -> String {
    let shown = calendar::utc(time).replace(" UTC", "Z");
    shown.replace(' ', "T").replace(':', "-")
}

fn below(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}

/// One component that shows a path or any other words.
fn flat(name: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| match byte {
        b'/' | 0 => b'_',
        byte => *byte,
    };
    let name = below_slash(name).iter().take(FLAT_NAME_LEN_MAX).map(shown);
    match name.collect::<Vec<_>>() {
        name if name.is_empty() || name == b"." || name == b".." => b"_".to_vec(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_lies_in_another_by_whole_names_only() {
        for (name, other, expected) in [
            ("/srv/a", "/srv", true),
            ("/srv", "/", true),
            ("/srv/ab", "/srv/a", false),
            ("/srv", "/srv", false),
            ("disk0", "config", false),
        ] {
            let found = lies_in(name.as_bytes(), other.as_bytes());
            assert_eq!(found, expected, "{name} in {other}");
        }
    }

    #[test]
    fn any_words_become_one_name_and_two_of_them_are_told_apart() {
        for (words, expected) in [
            ("/home/ana", "home_ana"),
            ("/", "_"),
            ("", "_"),
            ("..", "_"),
            ("disk0", "disk0"),
        ] {
            assert_eq!(flat(words.as_bytes()), expected.as_bytes(), "{words}");
        }
        assert_eq!(flat(&[b'x'; 4_000]).len(), FLAT_NAME_LEN_MAX);
        assert_eq!(path_of(b"//srv/../a/"), b"srv/_/a");
        let time = Timestamp {
            seconds: 1_795_266_309,
            nanoseconds: 5,
        };
        assert_eq!(date_and_time(time), "2026-11-21T13-05-09Z");
    }
}
