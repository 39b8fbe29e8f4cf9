//! Folders that nobody captured: they hold names for trees, volumes and other names.
//!
//! All of it is in memory, and made anew where it changes: a [`Table`] is built from paths, and takes
//! the place of the one before. A path keeps its number through all tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::Result;
use crate::format::entry::{Timestamp, Xattr};
use crate::serve::files::{self, Attributes, Child, Files, Kind, MountedTree, ROOT};
use crate::serve::view::View;

/// What is between the names of a path in a table.
const SEPARATOR: u8 = b'/';

/// Names, as they are now.
pub struct Names {
    table: RwLock<Table>,
    /// What stands before every path where people are told of it.
    above: Vec<u8>,
    owner: (u32, u32),
    is_fixed: bool,
}

/// All that there is at one time.
#[derive(Default)]
pub struct Table {
    nodes: BTreeMap<u64, Node>,
}

/// Builds tables of which a path has one number in all.
#[derive(Default)]
pub struct TableBuilder {
    numbers: HashMap<Vec<u8>, u64>,
    table: Table,
}

/// What a name stands for.
#[derive(Clone)]
pub enum Named {
    /// The bytes of a view, for nobody but the owner.
    Bytes(Arc<dyn View>),
    /// A symbolic link to this.
    Link(Vec<u8>),
    /// A tree, and what its root is.
    Tree(Arc<dyn MountedTree>, Kind),
}

struct Node {
    path: Vec<u8>,
    parent: u64,
    mtime: Timestamp,
    what: What,
}

enum What {
    /// Children by number: so a position means the same in every table.
    Folder(BTreeMap<u64, Vec<u8>>),
    Named(Named),
}

impl TableBuilder {
    /// Adds a name at `path`, components joined by slashes, and the folders on the way. What is there
    /// already stays.
    pub fn add(&mut self, path: &[u8], mtime: Timestamp, named: Named) {
        self.put(path, mtime, What::Named(named));
    }

    /// Adds an empty folder.
    pub fn add_folder(&mut self, path: &[u8], mtime: Timestamp) {
        self.put(path, mtime, What::Folder(BTreeMap::new()));
    }

    /// True if there is something at `path`.
    pub fn has(&self, path: &[u8]) -> bool {
        let number = self.numbers.get(path);
        number.is_some_and(|number| self.table.nodes.contains_key(number))
    }

    /// `path`, or the same with a number behind it if something is there already.
    pub fn free(&self, path: Vec<u8>) -> Vec<u8> {
        let path = if path.is_empty() { b"_".to_vec() } else { path };
        numbered(path, |path| self.has(path))
    }

    /// The table, with a root in any case; the next begins empty.
    pub fn finish(&mut self, mtime: Timestamp) -> Table {
        self.add_folder(b"", mtime);
        std::mem::take(&mut self.table)
    }

    /// The number of what is at `path` then.
    fn put(&mut self, path: &[u8], mtime: Timestamp, what: What) -> u64 {
        let next = self.numbers.len() as u64 + 1;
        let number = match path {
            b"" => ROOT,
            path => *self.numbers.entry(path.to_vec()).or_insert(next),
        };
        if self.table.nodes.contains_key(&number) {
            return number;
        }
        let mut parent = ROOT;
        if !path.is_empty() {
            let cut = path.iter().rposition(|&byte| byte == SEPARATOR);
            let (above, name) = match cut {
                Some(cut) => (&path[..cut], &path[cut + 1..]),
                None => (&b""[..], path),
            };
            parent = self.put(above, mtime, What::Folder(BTreeMap::new()));
            let folder = self.table.nodes.get_mut(&parent).map(|node| &mut node.what);
            if let Some(What::Folder(children)) = folder {
                children.insert(number, name.to_vec());
            }
        }
        let path = path.to_vec();
        let node = Node {
            path,
            parent,
            mtime,
            what,
        };
        self.table.nodes.insert(number, node);
        number
    }
}

/// `path`, or the first of those with a number behind it that is not taken.
pub(super) fn numbered(path: Vec<u8>, is_taken: impl Fn(&Vec<u8>) -> bool) -> Vec<u8> {
    let mut found = path.clone();
    let mut number = 2_u64;
    while is_taken(&found) {
        found = [&path, format!("~{number}").as_bytes()].concat();
        number += 1;
    }
    found
}

impl Names {
    /// The names of `table`, which never change; all belongs to `owner`, a user and a group.
    pub fn fixed(table: Table, owner: (u32, u32)) -> Self {
        Self {
            table: RwLock::new(table),
            above: Vec::new(),
            owner,
            is_fixed: true,
        }
    }

    /// The same, told of as what lies below `above`.
    #[must_use]
    pub fn below(self, above: Vec<u8>) -> Self {
        Self { above, ..self }
    }

    /// The same, for names that come and go.
    pub fn changing(table: Table, owner: (u32, u32)) -> Self {
        Self {
            is_fixed: false,
            ..Self::fixed(table, owner)
        }
    }

    /// From now on these are the names.
    pub fn replace(&self, table: Table) {
        *self.table.write() = table;
    }

    fn with<R>(&self, number: u64, look: impl FnOnce(&Table, &Node) -> Result<R>) -> Result<R> {
        let table = self.table.read();
        let node = table.nodes.get(&number);
        look(&table, node.ok_or_else(|| files::gone(b"snapshot"))?)
    }

    fn described(&self, node: &Node) -> Attributes {
        let (kind, mode, len) = match &node.what {
            What::Folder(_) => (Kind::Folder, 0o555, 0),
            What::Named(Named::Tree(_, kind)) => (*kind, 0o555, 0),
            What::Named(Named::Bytes(view)) => (Kind::File, 0o400, view.len()),
            What::Named(Named::Link(target)) => (Kind::Symlink, 0o777, target.len() as u64),
        };
        Attributes {
            kind,
            mode,
            uid: self.owner.0,
            gid: self.owner.1,
            mtime: node.mtime,
            len,
            blocks: files::blocks_of(if kind == Kind::File { len } else { 0 }),
            links: 1,
        }
    }
}

impl Files for Names {
    fn attributes(&self, number: u64) -> Result<Attributes> {
        let described = |_: &Table, node: &Node| Ok((self.described(node), node.bytes()));
        let (mut attributes, view) = self.with(number, described)?;
        if let Some(view) = view {
            attributes.blocks = files::blocks_of(files::allocated(&*view)?);
        }
        Ok(attributes)
    }

    fn child(&self, folder: u64, name: &[u8]) -> Result<Option<u64>> {
        self.with(folder, |_, node| {
            let mut children = folder_of(node)?.iter();
            let found = children.find(|(_, child)| *child == name);
            Ok(found.map(|(number, _)| *number))
        })
    }

    fn children(
        &self,
        folder: u64,
        position: u64,
        each: &mut dyn FnMut(&Child<'_>) -> bool,
    ) -> Result<()> {
        self.with(folder, |table, node| {
            for (&number, name) in folder_of(node)?.range(position..) {
                let Some(node) = table.nodes.get(&number) else {
                    continue;
                };
                let is_whole = matches!(node.what, What::Folder(_) | What::Named(Named::Link(_)));
                let child = Child {
                    name,
                    number,
                    next: number + 1,
                    attributes: self.described(node),
                    is_final: is_whole,
                };
                if !each(&child) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn parent(&self, folder: u64) -> Result<u64> {
        self.with(folder, |_, node| Ok(node.parent))
    }

    fn target(&self, number: u64) -> Result<Vec<u8>> {
        self.with(number, |_, node| match &node.what {
            What::Named(Named::Link(target)) => Ok(target.clone()),
            _ => Err(files::other_kind(&node.path, "symbolic link")),
        })
    }

    fn xattrs(&self, number: u64) -> Result<Vec<Xattr>> {
        self.with(number, |_, _| Ok(Vec::new()))
    }

    fn content(&self, number: u64) -> Result<Arc<dyn View>> {
        self.with(number, |_, node| {
            let view = node.bytes();
            view.ok_or_else(|| files::other_kind(&node.path, "file"))
        })
    }

    fn path(&self, number: u64) -> Vec<u8> {
        let path = self.with(number, |_, node| Ok(node.path.clone()));
        match (path.unwrap_or_default(), self.above.clone()) {
            (path, above) if above.is_empty() => path,
            (path, above) if path.is_empty() => above,
            (path, above) => [above, path].join(&SEPARATOR),
        }
    }

    fn mounted(&self, number: u64) -> Option<Arc<dyn MountedTree>> {
        let tree = self.with(number, |_, node| match &node.what {
            What::Named(Named::Tree(tree, _)) => Ok(Some(Arc::clone(tree))),
            _ => Ok(None),
        });
        tree.ok().flatten()
    }

    fn is_fixed(&self) -> bool {
        self.is_fixed
    }
}

impl Node {
    fn bytes(&self) -> Option<Arc<dyn View>> {
        match &self.what {
            What::Named(Named::Bytes(view)) => Some(Arc::clone(view)),
            _ => None,
        }
    }
}

fn folder_of(node: &Node) -> Result<&BTreeMap<u64, Vec<u8>>> {
    match &node.what {
        What::Folder(children) => Ok(children),
        What::Named(_) => Err(files::other_kind(&node.path, "folder")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &Names, folder: u64, position: u64) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let mut each = |child: &Child<'_>| {
            found.push((
                String::from_utf8_lossy(child.name).into_owned(),
                child.number,
            ));
            true
        };
        names.children(folder, position, &mut each).unwrap();
        found
    }

    fn link(to: &str) -> Named {
        Named::Link(to.as_bytes().to_vec())
    }

    #[test]
    fn a_path_makes_the_folders_on_its_way_and_is_found_from_both_ends() {
        let mut builder = TableBuilder::default();
        let time = Timestamp::default();
        builder.add(b"a/b/c", time, link("1"));
        builder.add(b"a/d", time, link("2"));
        builder.add(b"a/d", time, link("not this"));
        assert!(builder.has(b"a/b") && !builder.has(b"a/c"));
        assert_eq!(builder.free(b"a/b".to_vec()), b"a/b~2");
        assert_eq!(builder.free(Vec::new()), b"_");
        let taken = [b"a".to_vec(), b"a~2".to_vec()];
        assert_eq!(numbered(b"a".to_vec(), |path| taken.contains(path)), b"a~3");
        let names = Names::fixed(builder.finish(time), (7, 8));
        let a = names.child(ROOT, b"a").unwrap().unwrap();
        let b = names.child(a, b"b").unwrap().unwrap();
        let d = names.child(a, b"d").unwrap().unwrap();
        assert_eq!(
            (names.parent(b).unwrap(), names.parent(a).unwrap()),
            (a, ROOT)
        );
        assert_eq!(names.target(d).unwrap(), b"2");
        assert_eq!(names.path(b), b"a/b");
        assert_eq!(names.child(a, b"none").unwrap(), None);
        assert!(names.child(d, b"x").is_err() && names.target(a).is_err());
        let attributes = names.attributes(a).unwrap();
        assert_eq!(
            (attributes.kind, attributes.uid, attributes.gid),
            (Kind::Folder, 7, 8)
        );
    }

    #[test]
    fn a_path_keeps_its_number_and_a_listing_its_place_while_others_come_and_go() {
        let mut builder = TableBuilder::default();
        let time = Timestamp::default();
        let mut table = |paths: &[&str]| {
            paths
                .iter()
                .for_each(|path| builder.add(path.as_bytes(), time, link("x")));
            builder.finish(time)
        };
        let names = Names::changing(table(&["s/1", "s/2", "s/3"]), (0, 0));
        let s = names.child(ROOT, b"s").unwrap().unwrap();
        let before = listed(&names, s, 0);
        names.replace(table(&["s/3", "s/4"]));
        assert_eq!(names.child(ROOT, b"s").unwrap(), Some(s));
        let after = listed(&names, s, 0);
        assert_eq!(after[0], before[2]);
        // Whoever had read as far as the second goes on with the third.
        assert_eq!(listed(&names, s, before[1].1 + 1), after);
        let gone = names.attributes(before[0].1).unwrap_err();
        assert_eq!(gone.kind(), crate::error::ErrorKind::NotFound);
    }
}
