//! A repository that somebody damaged, read to its end: the property is that of every reader, an
//! error or the exact bytes (I3), and never a panic (I11).
//!
//! [`run`] takes its decisions from the bytes it is given. Damage is done to stored objects, which
//! checksums and seals must catch, and to plaintexts that are sealed again under the right keys, so
//! that whoever holds a key and writes nonsense is among the enemies too.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::Content;
use crate::format::entry::Extent;
use crate::format::entry::ExtentKind;
use crate::format::entry::ExtentsRoot;
use crate::format::entry::Node;
use crate::format::entry::TreePath;
use crate::format::envelope::SealedKind;
use crate::format::envelope::TAG_LEN;
use crate::format::extents;
use crate::format::id::ChunkId;
use crate::format::id::SessionId;
use crate::format::name::ObjectName;
use crate::format::name::PackClass;
use crate::format::page::PageHead;
use crate::format::page::PageType;
use crate::format::snapshot::PageRoot;
use crate::format::snapshot::Root;
use crate::format::snapshot::RootType;
use crate::format::table::Codec;
use crate::format::table::Frame;
use crate::format::table::Table;
use crate::format::table::TableChunk;
use crate::format::table::TableName;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::Scan;
use crate::repository::manifest::Tree;
use crate::repository::manifest::content::ExtentCursor;
use crate::repository::manifest::content::ExtentStep;
use crate::repository::manifest::cursor::Cursor;
use crate::repository::manifest::cursor::Step;
use crate::repository::object;
use crate::repository::snapshots;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::keys;
use crate::testing::prepared::Prepared;
use crate::testing::prepared::prepared;
use crate::testing::prepared::snapshot_of;

/// Damages done by one input at most.
const DAMAGES_MAX: usize = 4;
/// Steps of all walks: a page may be its own sibling many times, and a walk as long as it says.
const STEPS_MAX: usize = 10_000;
/// Session of what is injected.
const INJECTED: SessionId = SessionId([0xee; 16]);

/// What could be read.
#[derive(Debug, Default)]
pub struct Survivors {
    /// Chunks that were read, by walks and by their ids.
    pub chunks: HashSet<ChunkId>,
    /// Snapshots that were read.
    pub snapshots: usize,
    /// Entries and extents that walks came upon.
    pub steps: usize,
    /// Losses that walks told.
    pub losses: usize,
}

/// Does the damage that `bytes` describe, and reads everything.
pub fn run(bytes: &[u8]) {
    let mut damaged = Damaged {
        objects: prepared().objects.clone(),
        choices: Choices(bytes),
    };
    for _ in 0..DAMAGES_MAX {
        if damaged.choices.0.is_empty() {
            break;
        }
        damaged.damage();
    }
    let _ = read_all(&damaged.objects, prepared());
}

/// Reads everything that can be read of a repository of these objects.
///
/// # Panics
/// If a byte that was read is not what was stored.
pub fn read_all(objects: &[(ObjectName, Arc<[u8]>)], original: &Prepared) -> Result<Survivors> {
    let backend = MemoryBackend::new();
    for (name, bytes) in objects {
        let _ = backend.put(name, bytes); // of two objects of one name the first stays
    }
    let repository = Repository::open(Arc::new(backend), &keys::key_file())?;
    let list = snapshots::list(&repository).expect("one damaged snapshot hides no other");
    let reader =
        ChunkReader::new(&repository, 1 << 20).expect("a damaged index run is passed over");
    let mut walk = Walk {
        reader: &reader,
        original,
        found: Survivors::default(),
    };
    walk.found.snapshots = list.snapshots.len();
    for root in list.snapshots.iter().flat_map(|snapshot| &snapshot.roots) {
        walk.root(root);
    }
    for id in original.chunks.keys() {
        walk.chunk(id);
    }
    Ok(walk.found)
}

struct Walk<'r> {
    reader: &'r ChunkReader<'r>,
    original: &'r Prepared,
    found: Survivors,
}

impl Walk<'_> {
    fn root(&mut self, root: &Root) {
        match root.root_type {
            RootType::Tree => self.tree(root),
            RootType::Extents => self.content(&Content::Tree(ExtentsRoot {
                len: root.bytes,
                page: root.page,
                level: root.level,
            })),
        }
        if let Some(scan) = root.scan {
            self.scan(Cursor::new(
                self.reader,
                scan.page,
                scan.level,
                TreePath::default(),
            ));
        }
    }

    fn tree(&mut self, root: &Root) {
        let mut cursor =
            Cursor::<Tree>::new(self.reader, root.page, root.level, TreePath::default());
        let mut last = None;
        while self.goes_on() {
            match cursor.next().expect("a damaged page is told as a loss") {
                None => return,
                Some(Step::Lost(_)) => self.found.losses += 1,
                Some(Step::Item(item)) => {
                    let path = Some(item.path());
                    assert!(last < path, "entries of a tree ascend");
                    last = path;
                    self.found.steps += 1;
                    if let Node::File(content) = &item.entry.node {
                        self.content(content);
                    }
                }
            }
        }
    }

    fn scan(&mut self, mut cursor: Cursor<'_, Scan>) {
        while self.goes_on() {
            match cursor.next().expect("a damaged page is told as a loss") {
                None => return,
                Some(Step::Lost(_)) => self.found.losses += 1,
                Some(Step::Item(_)) => self.found.steps += 1,
            }
        }
    }

    fn content(&mut self, content: &Content) {
        let mut cursor = ExtentCursor::new(self.reader, content);
        let mut len = 0_u64;
        while self.goes_on() {
            match cursor.next().expect("a damaged page is told as a loss") {
                None => {
                    assert_eq!(len, content.len(), "a walk covers its content, lost or not");
                    return;
                }
                Some(ExtentStep::Lost { len: lost, .. }) => {
                    len += lost;
                    self.found.losses += 1;
                }
                Some(ExtentStep::Extent(extent)) => {
                    len += extent.len;
                    self.extent(&extent);
                }
            }
        }
    }

    fn goes_on(&self) -> bool {
        self.found.steps + self.found.losses < STEPS_MAX
    }

    fn extent(&mut self, extent: &Extent) {
        self.found.steps += 1;
        if let ExtentKind::Chunk(id) = extent.kind
            && !self.found.chunks.contains(&id)
        {
            self.chunk(&id);
        }
    }

    fn chunk(&mut self, id: &ChunkId) {
        if let Ok(bytes) = self.reader.chunk(id) {
            assert_eq!(self.original.chunks.get(id), Some(&bytes), "wrong bytes");
            self.found.chunks.insert(*id);
        }
    }
}

/// Decisions, as long as there are bytes; then always the first.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn number(&mut self) -> usize {
        let (number, rest) = self.0.split_at(self.0.len().min(2));
        self.0 = rest;
        number
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    }

    fn below(&mut self, end: usize) -> usize {
        self.number() % end.max(1)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = self.below(64).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// Writes, inserts or cuts out a few bytes.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let (how, at) = (self.below(4), self.below(bytes.len() + 1));
        let new = self.bytes();
        let replaced = match how {
            0 | 1 => new.len().min(bytes.len() - at),
            2 => 0,
            _ => self.below(bytes.len() - at + 1),
        };
        bytes.splice(at..at + replaced, new.iter().copied());
    }
}

struct Damaged<'a> {
    objects: Vec<(ObjectName, Arc<[u8]>)>,
    choices: Choices<'a>,
}

impl Damaged<'_> {
    fn damage(&mut self) {
        let how = self.choices.below(8);
        let at = self.choices.below(self.objects.len());
        match how {
            0 | 1 => self.change_stored(at),
            2 => self.swap(at),
            3 => drop(self.objects.remove(at)),
            4 => self.change_payload(at),
            5 => self.change_table(at),
            _ => self.inject_page(),
        }
    }

    fn change_stored(&mut self, at: usize) {
        let mut bytes = self.objects[at].1.to_vec();
        self.choices.change(&mut bytes);
        self.objects[at].1 = bytes.into();
    }

    /// Two objects lie under each other's names.
    fn swap(&mut self, at: usize) {
        let other = self.choices.below(self.objects.len());
        let bytes = Arc::clone(&self.objects[at].1);
        self.objects[at].1 = std::mem::replace(&mut self.objects[other].1, bytes);
    }

    /// What an index run or a snapshot says is changed and sealed again.
    fn change_payload(&mut self, at: usize) {
        let (name, bytes) = &self.objects[at];
        let keys = keys::keys();
        let Ok(object) = object::open_bytes(&keys, name, bytes) else {
            return; // a record, or damaged already
        };
        let Ok(mut payload) = object::payload(&keys, &object, bytes) else {
            return;
        };
        self.choices.change(&mut payload);
        let kind = object.header.kind;
        self.objects[at].1 = object::encode(&keys, &keys::config(), kind, name, &payload)
            .expect("a payload of this size can be sealed")
            .into();
    }

    /// The frames stay where they are; the table that speaks of them is changed and sealed again.
    fn change_table(&mut self, at: usize) {
        let (name, bytes) = &self.objects[at];
        let keys = keys::keys();
        let Ok(mut object) = object::open_bytes(&keys, name, bytes) else {
            return;
        };
        let new = keys
            .new_object(object.header.kind, &keys::config())
            .expect("the keys of tests have the epoch of their config");
        object.table.origins.insert(0, new.origin);
        for frame in &mut object.table.frames {
            frame.origin += 1;
        }
        let mut out = bytes[..object.trailer.table_offset as usize].to_vec();
        out[..new.header.len()].copy_from_slice(&new.header);
        let mut table = object.table.encode();
        self.choices.change(&mut table);
        object::append_encoded_table(&new.table, table, &mut out);
        self.objects[at].1 = out.into();
    }

    /// A changed page under its right id, in a pack of its own, as the root of a snapshot.
    fn inject_page(&mut self) {
        let pages = &prepared().pages;
        let mut page = pages[self.choices.below(pages.len())].clone();
        self.choices.change(&mut page);
        let id = keys::keys().page_id().id_of(&page);
        self.push_pack(id, &page);
        self.push_snapshot(root_of(id, &page));
    }

    fn push_pack(&mut self, id: ChunkId, page: &[u8]) {
        let number = self.objects.len() as u32;
        let (session, class) = (INJECTED, PackClass::Meta);
        let name = ObjectName::Pack {
            session,
            number,
            class,
        };
        let object = keys::keys()
            .new_object(SealedKind::MetaPack, &keys::config())
            .expect("the keys of tests have the epoch of their config");
        let mut out = object.header.to_vec();
        let offset = out.len();
        out.extend_from_slice(page);
        out.resize(out.len() + TAG_LEN, 0);
        let counter = object
            .frames
            .seal(object.frames.take_turn(), &mut out[offset..]);
        let len = page.len() as u32;
        let frame = Frame {
            offset: offset as u64,
            counter,
            stored_len: len + TAG_LEN as u32,
            plain_len: len,
            origin: 0,
            chunk_count: 1,
            codec: Codec::Stored,
        };
        let table = Table {
            name: TableName::of(&name),
            origins: vec![object.origin],
            frames: vec![frame],
            chunks: vec![TableChunk { id, len }],
        };
        object::append_encoded_table(&object.table, table.encode(), &mut out);
        self.objects.push((name, out.into()));
    }

    fn push_snapshot(&mut self, root: Root) {
        let session = SessionId([self.objects.len() as u8; 16]);
        let name = ObjectName::Snapshot(session);
        let payload = snapshot_of(session, vec![root]).encode();
        let (keys, kind) = (keys::keys(), SealedKind::Commit);
        let bytes = object::encode(&keys, &keys::config(), kind, &name, &payload)
            .expect("a payload of this size can be sealed");
        self.objects.push((name, bytes.into()));
    }
}

/// A root that says of the page what the page says of itself.
fn root_of(id: ChunkId, page: &[u8]) -> Root {
    let (page_type, level) = match PageHead::decode(page) {
        Ok((head, _)) => (head.page_type, head.level),
        Err(_) => (PageType::Tree, 0),
    };
    let root_type = match page_type {
        PageType::Extents => RootType::Extents,
        PageType::Tree | PageType::Scan | PageType::Cuts => RootType::Tree,
    };
    let scan = PageRoot { page: id, level };
    Root {
        name: b"injected".to_vec(),
        root_type,
        page: id,
        level,
        entries: 1,
        bytes: extents_len(page),
        scan: (page_type == PageType::Scan).then_some(scan),
        origin: None,
        volume: None,
    }
}

fn extents_len(page: &[u8]) -> u64 {
    let leaf = extents::decode_leaf(page).map(|list| list.iter().map(|extent| extent.len).sum());
    let inner = extents::decode_inner(page)
        .map(|(_, children)| children.iter().map(|child| child.len).sum());
    leaf.or(inner).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn everything_is_read_of_a_repository_that_nobody_damaged() {
        let original = prepared();
        let found = read_all(&original.objects, original).unwrap();
        assert_eq!(found.chunks.len(), original.chunks.len());
        assert_eq!((found.snapshots, found.losses), (2, 0));
    }

    #[test]
    fn an_injected_page_is_walked() {
        let mut damaged = Damaged {
            objects: prepared().objects.clone(),
            choices: Choices(&[]),
        };
        damaged.inject_page();
        let found = read_all(&damaged.objects, prepared()).unwrap();
        assert_eq!(found.snapshots, 3);
    }

    #[test]
    fn damage_of_every_sort_costs_something_and_never_everything() {
        let mut random = Random::new(1);
        let (mut lossy, mut opened) = (0, 0);
        for _ in 0..300 {
            let bytes = random.bytes(40);
            let mut damaged = Damaged {
                objects: prepared().objects.clone(),
                choices: Choices(&bytes),
            };
            damaged.damage();
            let Ok(found) = read_all(&damaged.objects, prepared()) else {
                continue;
            };
            opened += 1;
            lossy += usize::from(found.losses > 0);
            assert!(found.snapshots > 0, "one object holds one snapshot");
        }
        assert!(opened > 200 && lossy > 30, "opened {opened}, lossy {lossy}");
    }
}
