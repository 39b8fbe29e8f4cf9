//! Pages of a tree: a sorted map from place to entry. §10.1.
//!
//! Encoding and decoding are canonical: what decodes, encodes to the same bytes.

use std::sync::Arc;

use crate::format::cursor::{Cursor, put_bytes, put_varint, put_zigzag};
use crate::format::entry::{
    Content, DeviceNumber, Entry, ExtentsRoot, FolderPath, Metadata, Node, Owner, Timestamp,
    TreePath, Xattr,
};
use crate::format::extents;
use crate::format::groups::{GroupWriter, decode_groups, decode_path, encode_path};
use crate::format::id::{ChunkId, PageId};
use crate::format::page::{PageHead, PageType};
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{
    EXTENTS_INLINE_MAX, FILE_LEN_LIMIT, NAME_LEN_LIMIT, PAGE_LEN_LIMIT, PAGE_LEVEL_LIMIT,
    SYMLINK_LEN_LIMIT, XATTR_LEN_LIMIT, XATTRS_LEN_LIMIT,
};

const KIND_FILE: u8 = 1;
const KIND_FOLDER: u8 = 2;
const KIND_SYMLINK: u8 = 3;
const KIND_FIFO: u8 = 4;
const KIND_SOCKET: u8 = 5;
const KIND_CHAR_DEVICE: u8 = 6;
const KIND_BLOCK_DEVICE: u8 = 7;
const KIND_HARD_LINK: u8 = 8;

const TAG_XATTR: u8 = 1;
const TAG_EXTENTS: u8 = 2;
const TAG_EXTENTS_TREE: u8 = 3;
const TAG_SYMLINK: u8 = 4;
const TAG_DEVICE: u8 = 5;
const TAG_LEADER: u8 = 6;

/// Length of the shortest entry that has a name, bytes.
const ENTRY_LEN_MIN: usize = 8;

const NANOSECONDS: u32 = 1_000_000_000;

/// One entry of a tree, in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeItem {
    /// The folder; shared by its entries of one page.
    pub folder: Arc<FolderPath>,
    /// The entry.
    pub entry: Entry,
}

/// One child of an inner page of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChild {
    /// The first entry below.
    pub first: TreePath,
    /// Entries below.
    pub entries: u64,
    /// Lengths of all file contents below, bytes.
    pub bytes: u64,
    /// The page.
    pub page: PageId,
}

impl TreeItem {
    /// Where the entry is.
    pub fn path(&self) -> TreePath {
        TreePath {
            folder: (*self.folder).clone(),
            name: self.entry.name.clone(),
        }
    }
}

/// Collects entries into one leaf.
#[derive(Debug, Default)]
pub struct TreeLeafWriter {
    owners: Vec<Arc<Owner>>,
    groups: GroupWriter,
}

impl TreeLeafWriter {
    /// Appends an entry, which must come after all before it.
    pub fn push(&mut self, folder: &FolderPath, entry: &Entry) {
        let owner = self.owner_index(&entry.metadata.owner);
        self.groups
            .push(folder, |out| encode_entry(out, entry, owner));
    }

    /// Bytes of entries so far, and of the paths of their folders.
    pub fn entries_len(&self) -> usize {
        self.groups.entries_len()
    }

    /// True before the first entry.
    pub fn is_empty(&self) -> bool {
        self.groups.count() == 0
    }

    /// The page; the writer is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let groups = self.groups.finish();
        let mut body = Vec::with_capacity(groups.len() + 64);
        put_varint(&mut body, self.owners.len() as u64);
        for owner in &self.owners {
            put_varint(&mut body, owner.uid.into());
            put_varint(&mut body, owner.gid.into());
            put_bytes(&mut body, &owner.user);
            put_bytes(&mut body, &owner.group);
        }
        body.extend_from_slice(groups);
        let head = PageHead {
            page_type: PageType::Tree,
            level: 0,
            count: self.groups.count(),
        };
        self.owners.clear();
        self.groups.clear();
        head.encode(&body)
    }

    fn owner_index(&mut self, owner: &Arc<Owner>) -> u64 {
        let found = self.owners.iter().position(|known| known == owner);
        found.unwrap_or_else(|| {
            self.owners.push(Arc::clone(owner));
            self.owners.len() - 1
        }) as u64
    }
}

fn encode_entry(out: &mut Vec<u8>, entry: &Entry, owner: u64) {
    put_bytes(out, &entry.name);
    out.push(kind_of(&entry.node));
    put_varint(out, entry.metadata.mode.into());
    put_varint(out, owner);
    put_zigzag(out, entry.metadata.mtime.seconds);
    put_varint(out, entry.metadata.mtime.nanoseconds.into());
    let node_tag = node_tag(&entry.node);
    let xattrs = &entry.metadata.xattrs;
    let count = xattrs.len() + usize::from(node_tag.is_some());
    put_varint(out, count as u64);
    for xattr in xattrs {
        put_attribute(out, TAG_XATTR, |value| {
            put_bytes(value, &xattr.name);
            value.extend_from_slice(&xattr.value);
        });
    }
    if let Some(tag) = node_tag {
        put_attribute(out, tag, |value| encode_node(value, &entry.node));
    }
}

/// Appends what `encode` appends, behind its length.
fn put_attribute(out: &mut Vec<u8>, tag: u8, encode: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let start = out.len();
    encode(out);
    let end = out.len();
    put_varint(out, (end - start) as u64);
    let len_of_len = out.len() - end;
    let (_, behind_tag) = out.split_at_mut(start);
    behind_tag.rotate_right(len_of_len);
}

fn kind_of(node: &Node) -> u8 {
    match node {
        Node::File(_) => KIND_FILE,
        Node::Folder => KIND_FOLDER,
        Node::Symlink(_) => KIND_SYMLINK,
        Node::Fifo => KIND_FIFO,
        Node::Socket => KIND_SOCKET,
        Node::CharDevice(_) => KIND_CHAR_DEVICE,
        Node::BlockDevice(_) => KIND_BLOCK_DEVICE,
        Node::HardLink(_) => KIND_HARD_LINK,
    }
}

/// The attribute that says what only this kind has.
fn node_tag(node: &Node) -> Option<u8> {
    match node {
        Node::File(Content::Inline(list)) if list.is_empty() => None,
        Node::File(Content::Inline(_)) => Some(TAG_EXTENTS),
        Node::File(Content::Tree(_)) => Some(TAG_EXTENTS_TREE),
        Node::Symlink(_) => Some(TAG_SYMLINK),
        Node::CharDevice(_) | Node::BlockDevice(_) => Some(TAG_DEVICE),
        Node::HardLink(_) => Some(TAG_LEADER),
        Node::Folder | Node::Fifo | Node::Socket => None,
    }
}

/// Appends the value of that attribute.
fn encode_node(out: &mut Vec<u8>, node: &Node) {
    match node {
        Node::File(Content::Inline(list)) => {
            list.iter()
                .for_each(|extent| extents::encode_extent(out, extent));
        }
        Node::File(Content::Tree(root)) => {
            put_varint(out, root.len);
            out.extend_from_slice(root.page.as_bytes());
            out.push(root.level);
        }
        Node::Symlink(target) => out.extend_from_slice(target),
        Node::CharDevice(number) | Node::BlockDevice(number) => {
            put_varint(out, number.major.into());
            put_varint(out, number.minor.into());
        }
        Node::HardLink(leader) => encode_path(out, leader),
        Node::Folder | Node::Fifo | Node::Socket => {}
    }
}

/// Reads a leaf.
pub fn decode_leaf(page: &[u8]) -> Decoded<Vec<TreeItem>> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Tree, true)?;
    let owners = decode_owners(&mut cursor, head.count)?;
    let mut used = 0;
    let items = decode_groups(
        &head,
        &mut cursor,
        ENTRY_LEN_MIN,
        |item: &TreeItem| &item.entry.name,
        |cursor, folder, name| {
            let entry = decode_entry(cursor, folder, name, &owners, &mut used)?;
            let folder = Arc::clone(folder);
            Ok(TreeItem { folder, entry })
        },
    )?;
    ensure(used == owners.len(), "owner without an entry")?;
    Ok(items)
}

/// Reads the owners of a page of `entry_count` entries. Each is in use, which bounds their number,
/// and none stands twice, which is looked for in their spellings: there may be 100,000 of them.
fn decode_owners(cursor: &mut Cursor<'_>, entry_count: usize) -> Decoded<Vec<Arc<Owner>>> {
    let count = cursor.varint()?;
    ensure(count <= entry_count as u64, "owner without an entry")?;
    let (mut owners, mut spellings) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let start = cursor.rest();
        owners.push(Arc::new(decode_owner(cursor)?));
        spellings.push(start.get(..start.len() - cursor.rest().len()));
    }
    spellings.sort_unstable();
    ensure(spellings.is_sorted_by(|a, b| a < b), "owner twice")?;
    Ok(owners)
}

fn decode_owner(cursor: &mut Cursor<'_>) -> Decoded<Owner> {
    Ok(Owner {
        uid: cursor.varint_u32("user number")?,
        gid: cursor.varint_u32("group number")?,
        user: cursor.bytes(NAME_LEN_LIMIT, "user name")?.to_vec(),
        group: cursor.bytes(NAME_LEN_LIMIT, "group name")?.to_vec(),
    })
}

/// Reads an entry behind its name.
fn decode_entry(
    cursor: &mut Cursor<'_>,
    folder: &FolderPath,
    name: Vec<u8>,
    owners: &[Arc<Owner>],
    used: &mut usize,
) -> Decoded<Entry> {
    let kind = cursor.u8()?;
    let mode = u16::try_from(cursor.varint()?)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    let mode = mode.ok_or(DecodeError::Malformed("permission bits"))?;
    let owner_index = usize::try_from(cursor.varint()?).unwrap_or(usize::MAX);
    ensure(owner_index <= *used, "owners are not in order of first use")?;
    *used = (*used).max(owner_index + 1);
    let owner = owners
        .get(owner_index)
        .ok_or(DecodeError::Malformed("unknown owner"))?
        .clone();
    let mtime = decode_timestamp(cursor)?;
    let attributes = Attributes::decode(cursor)?;
    let Attributes { xattrs, node, .. } = attributes;
    let node = decode_node(kind, node)?;
    if let Node::HardLink(leader) = &node {
        ensure(xattrs.is_empty(), "hard link with attributes")?;
        let earlier = (&leader.folder, &leader.name) < (folder, &name);
        ensure(earlier, "hard link to a later entry")?;
    }
    Ok(Entry {
        name,
        metadata: Metadata {
            mode,
            owner,
            mtime,
            xattrs,
        },
        node,
    })
}

/// Reads seconds and nanoseconds.
pub(crate) fn decode_timestamp(cursor: &mut Cursor<'_>) -> Decoded<Timestamp> {
    let seconds = cursor.zigzag()?;
    let nanoseconds = cursor.varint_u32("nanoseconds")?;
    ensure(nanoseconds < NANOSECONDS, "nanoseconds of a whole second")?;
    Ok(Timestamp {
        seconds,
        nanoseconds,
    })
}

struct Attributes<'a> {
    xattrs: Vec<Xattr>,
    xattrs_len: usize,
    node: Option<(u8, &'a [u8])>,
}

impl<'a> Attributes<'a> {
    fn decode(cursor: &mut Cursor<'a>) -> Decoded<Self> {
        let count = cursor.varint()?;
        let mut attributes = Self {
            xattrs: Vec::new(),
            xattrs_len: 0,
            node: None,
        };
        let mut last_tag = 0;
        for _ in 0..count {
            let tag = cursor.u8()?;
            ensure(
                tag > last_tag || (tag == TAG_XATTR && last_tag == TAG_XATTR),
                "attributes do not ascend",
            )?;
            last_tag = tag;
            let value = cursor.bytes(PAGE_LEN_LIMIT, "attribute")?;
            match tag {
                TAG_XATTR => attributes.push_xattr(value)?,
                TAG_EXTENTS..=TAG_LEADER => {
                    ensure(attributes.node.is_none(), "two contents")?;
                    attributes.node = Some((tag, value));
                }
                _ => return Err(DecodeError::Malformed("unknown attribute")),
            }
        }
        Ok(attributes)
    }

    fn push_xattr(&mut self, value: &[u8]) -> Decoded<()> {
        let mut cursor = Cursor::new(value);
        let name = cursor
            .bytes(NAME_LEN_LIMIT, "name of an extended attribute")?
            .to_vec();
        ensure(
            !name.is_empty() && !name.contains(&0),
            "name of an extended attribute",
        )?;
        let ascends = self.xattrs.last().is_none_or(|last| last.name < name);
        ensure(ascends, "extended attributes do not ascend")?;
        if cursor.rest().len() > XATTR_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("extended attribute"));
        }
        self.xattrs_len += name.len() + cursor.rest().len();
        if self.xattrs_len > XATTRS_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded(
                "extended attributes of an entry",
            ));
        }
        self.xattrs.push(Xattr {
            name,
            value: cursor.rest().to_vec(),
        });
        Ok(())
    }
}

fn decode_node(kind: u8, attribute: Option<(u8, &[u8])>) -> Decoded<Node> {
    Ok(match (kind, attribute) {
        (KIND_FILE, None) => Node::File(Content::Inline(Vec::new())),
        (KIND_FILE, Some((TAG_EXTENTS, value))) => Node::File(decode_inline(value)?),
        (KIND_FILE, Some((TAG_EXTENTS_TREE, value))) => Node::File(decode_extents_root(value)?),
        (KIND_FOLDER, None) => Node::Folder,
        (KIND_SYMLINK, Some((TAG_SYMLINK, target))) => Node::Symlink(decode_target(target)?),
        (KIND_FIFO, None) => Node::Fifo,
        (KIND_SOCKET, None) => Node::Socket,
        (KIND_CHAR_DEVICE, Some((TAG_DEVICE, value))) => Node::CharDevice(decode_device(value)?),
        (KIND_BLOCK_DEVICE, Some((TAG_DEVICE, value))) => Node::BlockDevice(decode_device(value)?),
        (KIND_HARD_LINK, Some((TAG_LEADER, value))) => Node::HardLink(decode_leader(value)?),
        (KIND_FILE..=KIND_HARD_LINK, _) => {
            return Err(DecodeError::Malformed(
                "attributes do not fit the kind of entry",
            ));
        }
        _ => return Err(DecodeError::Malformed("unknown kind of entry")),
    })
}

fn decode_inline(value: &[u8]) -> Decoded<Content> {
    let list = extents::decode_list(Cursor::new(value), EXTENTS_INLINE_MAX)?;
    ensure(
        !list.is_empty() && list.len() <= EXTENTS_INLINE_MAX,
        "length of a short content",
    )?;
    Ok(Content::Inline(list))
}

fn decode_extents_root(value: &[u8]) -> Decoded<Content> {
    let mut cursor = Cursor::new(value);
    let len = cursor.varint()?;
    let page = ChunkId(cursor.array()?);
    let level = cursor.u8()?;
    cursor.finish("root of a content is too long")?;
    if len > FILE_LEN_LIMIT {
        return Err(DecodeError::LimitExceeded("length of a file"));
    }
    if level > PAGE_LEVEL_LIMIT {
        return Err(DecodeError::LimitExceeded("level of a page"));
    }
    ensure(
        len > EXTENTS_INLINE_MAX as u64,
        "long content of a short file",
    )?;
    Ok(Content::Tree(ExtentsRoot { len, page, level }))
}

fn decode_target(target: &[u8]) -> Decoded<Vec<u8>> {
    if target.len() > SYMLINK_LEN_LIMIT {
        return Err(DecodeError::LimitExceeded("target of a symbolic link"));
    }
    ensure(
        !target.is_empty() && !target.contains(&0),
        "target of a symbolic link",
    )?;
    Ok(target.to_vec())
}

fn decode_device(value: &[u8]) -> Decoded<DeviceNumber> {
    let mut cursor = Cursor::new(value);
    let number = DeviceNumber {
        major: cursor.varint_u32("major number")?,
        minor: cursor.varint_u32("minor number")?,
    };
    cursor.finish("device number is too long").map(|()| number)
}

fn decode_leader(value: &[u8]) -> Decoded<TreePath> {
    let mut cursor = Cursor::new(value);
    let leader = decode_path(&mut cursor)?;
    ensure(!leader.name.is_empty(), "hard link to the root")?;
    cursor
        .finish("leader of a hard link is too long")
        .map(|()| leader)
}

/// An inner page of `children`.
pub fn encode_inner(level: u8, children: &[TreeChild]) -> Vec<u8> {
    PageHead::encode_all(PageType::Tree, level, children, encode_child)
}

/// Appends one child.
pub fn encode_child(out: &mut Vec<u8>, child: &TreeChild) {
    encode_path(out, &child.first);
    put_varint(out, child.entries);
    put_varint(out, child.bytes);
    out.extend_from_slice(child.page.as_bytes());
}

/// Reads an inner page: its level and children.
pub fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<TreeChild>)> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Tree, false)?;
    let mut children: Vec<TreeChild> = Vec::new();
    for _ in 0..head.count {
        let first = decode_path(&mut cursor)?;
        ensure(
            children.last().is_none_or(|last| last.first < first),
            "children do not ascend",
        )?;
        let (entries, bytes) = (cursor.varint()?, cursor.varint()?);
        ensure(entries > 0, "child without entries")?;
        children.push(TreeChild {
            first,
            entries,
            bytes,
            page: ChunkId(cursor.array()?),
        });
    }
    cursor.finish("page is longer than its children")?;
    Ok((head.level, children))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::entry::{Extent, ExtentKind};

    fn entry(name: &[u8], uid: u32, node: Node) -> Entry {
        let owner = Owner {
            uid,
            gid: 5,
            user: format!("u{uid}").into(),
            group: b"g".to_vec(),
        };
        let mtime = Timestamp {
            seconds: -3,
            nanoseconds: 999_999_999,
        };
        let metadata = Metadata {
            mode: 0o4755,
            owner: owner.into(),
            mtime,
            xattrs: vec![],
        };
        Entry {
            name: name.to_vec(),
            metadata,
            node,
        }
    }

    fn with_xattrs(mut entry: Entry) -> Entry {
        let xattr = |name: &str| Xattr {
            name: name.into(),
            value: vec![0, 255],
        };
        entry.metadata.xattrs = vec![xattr("security.capability"), xattr("user.a")];
        entry
    }

    fn sample() -> Vec<TreeItem> {
        let root = Arc::new(FolderPath::root());
        let sub = Arc::new(root.child(b"sub"));
        let extent = |len, kind| Extent { len, kind };
        let short = vec![
            extent(5, ExtentKind::Chunk(ChunkId([4; 32]))),
            extent(9, ExtentKind::Hole),
        ];
        let long = ExtentsRoot {
            len: 1 << 40,
            page: ChunkId([6; 32]),
            level: 2,
        };
        let leader = TreePath::new(FolderPath::root(), *b"b");
        let item = |folder: &Arc<FolderPath>, entry| TreeItem {
            folder: Arc::clone(folder),
            entry,
        };
        vec![
            item(&root, entry(b"", 0, Node::Folder)),
            item(
                &root,
                entry(b"a\xff\n", 1, Node::File(Content::Inline(vec![]))),
            ),
            item(
                &root,
                with_xattrs(entry(b"b", 0, Node::File(Content::Inline(short)))),
            ),
            item(&root, entry(b"c", 0, Node::File(Content::Tree(long)))),
            item(&root, entry(b"link", 0, Node::Symlink(b"../x".to_vec()))),
            item(&root, entry(b"sub", 2, Node::Folder)),
            item(
                &sub,
                entry(
                    b"dev",
                    0,
                    Node::CharDevice(DeviceNumber { major: 1, minor: 3 }),
                ),
            ),
            item(&sub, entry(b"fifo", 0, Node::Fifo)),
            item(&sub, entry(b"hard", 0, Node::HardLink(leader))),
            item(&sub, entry(b"sock", 0, Node::Socket)),
        ]
    }

    fn page(items: &[TreeItem]) -> Vec<u8> {
        let mut writer = TreeLeafWriter::default();
        items
            .iter()
            .for_each(|item| writer.push(&item.folder, &item.entry));
        writer.finish()
    }

    #[test]
    fn a_leaf_of_every_kind_reads_back() {
        assert_eq!(decode_leaf(&page(&sample())), Ok(sample()));
    }

    #[test]
    fn what_decodes_after_a_flipped_bit_encodes_to_the_flipped_bytes() {
        let good = page(&sample());
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(items) = decode_leaf(&damaged) {
                assert_eq!(page(&items), damaged, "bit {bit}: a second spelling");
            }
        }
        for len in 0..good.len() {
            assert!(decode_leaf(&good[..len]).is_err(), "length {len}");
        }
    }

    /// Found by reading: every owner was compared with every other before anything bounded their
    /// number, so that one page of 4 MiB took minutes.
    #[test]
    fn a_page_of_60_000_owners_is_read_in_no_time_and_refused_if_one_is_there_twice() {
        let page_of = |owners: u32, last_uid: u32| {
            let mut owner_bytes = Vec::new();
            let mut entries = Vec::new();
            for uid in (1..owners).chain([last_uid]) {
                for number in [uid, 5] {
                    put_varint(&mut owner_bytes, number.into());
                }
                owner_bytes.extend_from_slice(&[0, 0]);
                let mut fifo = entry(format!("{:06}", entries.len()).as_bytes(), uid, Node::Fifo);
                fifo.metadata.xattrs.clear();
                entries.push(fifo);
            }
            let mut body = Vec::new();
            put_varint(&mut body, owners.into());
            body.extend_from_slice(&owner_bytes);
            put_bytes(&mut body, b"");
            put_varint(&mut body, owners.into());
            for (index, entry) in entries.iter().enumerate() {
                encode_entry(&mut body, entry, index as u64);
            }
            let head = PageHead {
                page_type: PageType::Tree,
                level: 0,
                count: owners as usize,
            };
            head.encode(&body)
        };
        assert_eq!(
            decode_leaf(&page_of(60_000, 60_000)).map(|items| items.len()),
            Ok(60_000)
        );
        let twice = decode_leaf(&page_of(60_000, 1));
        assert_eq!(twice, Err(DecodeError::Malformed("owner twice")));
    }

    #[test]
    fn owners_beyond_the_entries_are_refused_before_they_are_read() {
        let mut body = Vec::new();
        put_varint(&mut body, 1 << 20);
        let head = PageHead {
            page_type: PageType::Tree,
            level: 0,
            count: 1,
        };
        let refused = decode_leaf(&head.encode(&body));
        assert_eq!(
            refused,
            Err(DecodeError::Malformed("owner without an entry"))
        );
    }

    #[test]
    fn entries_out_of_order_are_refused() {
        let mut items = sample();
        items.swap(1, 2);
        assert!(decode_leaf(&page(&items)).is_err());
        let mut items = sample();
        items.swap(5, 6);
        assert!(decode_leaf(&page(&items)).is_err());
    }

    #[test]
    fn an_inner_page_reads_back() {
        let child = |name: &[u8], byte| TreeChild {
            first: TreePath::new(FolderPath::root(), name),
            entries: 9,
            bytes: 1 << 33,
            page: ChunkId([byte; 32]),
        };
        let children = vec![child(b"", 1), child(b"m", 2)];
        assert_eq!(
            decode_inner(&encode_inner(3, &children)),
            Ok((3, children.clone()))
        );
        let reversed: Vec<_> = children.into_iter().rev().collect();
        assert!(decode_inner(&encode_inner(3, &reversed)).is_err());
        assert!(decode_inner(&encode_inner(3, &[])).is_err());
    }
}
