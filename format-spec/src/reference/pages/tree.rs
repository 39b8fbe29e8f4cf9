//! Pages of trees (FORMAT.md section 10.1): entries of folders with all their metadata.

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;
use crate::reference::pages;
use crate::reference::pages::LEVEL_MAX;
use crate::reference::pages::NAME_MAX;
use crate::reference::pages::PAGE_MAX;
use crate::reference::pages::Page;
use crate::reference::pages::Place;
use crate::reference::pages::extents;
use crate::reference::pages::extents::Extent;

/// Most extents of a short content.
pub const SHORT_MAX: usize = 16;
const LINK_TARGET_MAX: u64 = 65_536;
const XATTR_VALUE_MAX: u64 = 65_536;
const XATTRS_MAX: u64 = 1 << 20;

/// Name and value of an extended attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Whose an entry is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Number of the user.
    pub uid: u64,
    /// Number of the group.
    pub gid: u64,
    /// Name of the user, or empty.
    pub user: Vec<u8>,
    /// Name of the group, or empty.
    pub group: Vec<u8>,
}

/// Contents of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// No bytes.
    Empty,
    /// 1 to 16 extents.
    Short(Vec<Extent>),
    /// An extents manifest.
    Long {
        /// Length of the file.
        len: u64,
        /// Root page of the manifest.
        page: [u8; 32],
        /// Its level.
        level: u8,
    },
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File(FileContent),
    /// A folder.
    Folder,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device: major, minor.
    CharacterDevice(u64, u64),
    /// A block device: major, minor.
    BlockDevice(u64, u64),
    /// A further name of an earlier entry.
    HardLink(Place),
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Folder and name.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// 12 permission bits.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
    /// Modification time, seconds.
    pub mtime_s: i64,
    /// Modification time, nanoseconds.
    pub mtime_ns: u32,
    /// Names and values of extended attributes.
    pub xattrs: Vec<Xattr>,
}

/// A child of an inner page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChild {
    /// Of the first entry below.
    pub place: Place,
    /// Sum of all below.
    pub entries: u64,
    /// Sum of the lengths of file contents below.
    pub bytes: u64,
    /// The page.
    pub page: [u8; 32],
}

/// Reads a page.
pub fn decode_tree_page(bytes: &[u8]) -> Result<Page<TreeEntry, TreeChild>> {
    let mut reader = Reader::new("tree page", bytes);
    let (level, count) = pages::read_page_header(&mut reader, 1)?;
    if level > 0 {
        let children = pages::read_children(&mut reader, count, read_child)?;
        pages::ascend(&reader, &children, |child| &child.place)?;
        return Ok(Page::Inner(level, children));
    }
    let owners = read_owners(&mut reader)?;
    let mut owners_used = 0;
    let entries = pages::read_groups(&mut reader, count, |reader, place| {
        read_entry(reader, place, &owners, &mut owners_used)
    })?;
    reader.require(owners_used == owners.len(), "an owner is not used")?;
    Ok(Page::Leaf(entries))
}

fn read_child(reader: &mut Reader<'_>) -> Result<TreeChild> {
    let place = pages::read_place(reader)?;
    let [entries, bytes] = [reader.varint()?, reader.varint()?];
    reader.require(entries > 0, "a child has no entries")?;
    Ok(TreeChild {
        place,
        entries,
        bytes,
        page: reader.array()?,
    })
}

fn read_owners(reader: &mut Reader<'_>) -> Result<Vec<Owner>> {
    let mut owners = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..reader.varint()? {
        let [uid, gid] = [read_u32(reader)?, read_u32(reader)?];
        let mut name = || reader.bytes(NAME_MAX, "the name of an owner");
        let [user, group] = [name()?.to_vec(), name()?.to_vec()];
        let owner = Owner {
            uid,
            gid,
            user,
            group,
        };
        reader.require(seen.insert(owner.clone()), "an owner is repeated")?;
        owners.push(owner);
    }
    Ok(owners)
}

fn read_entry(
    reader: &mut Reader<'_>,
    place: Place,
    owners: &[Owner],
    owners_used: &mut usize,
) -> Result<TreeEntry> {
    let kind = reader.u8()?;
    let mode = match u32::try_from(reader.varint()?) {
        Ok(mode) if mode <= 0o7777 => mode,
        _ => return Err(reader.fault(Fault::Malformed, "more than 12 permission bits")),
    };
    let owner_index = reader.varint()?;
    let owner = usize::try_from(owner_index)
        .ok()
        .and_then(|index| owners.get(index))
        .cloned();
    let owner = owner.ok_or_else(|| reader.fault(Fault::Malformed, "an owner is not there"))?;
    reader.require(
        owner_index <= *owners_used as u64,
        "owners are not in order of first use",
    )?;
    *owners_used = (*owners_used).max(owner_index as usize + 1);
    let mtime_s = reader.zigzag()?;
    let mtime_ns = pages::read_nanoseconds(reader)?;
    let attributes = read_attributes(reader, kind)?;
    let (kind, xattrs) = attributes.into_kind(reader, kind, &place)?;
    Ok(TreeEntry {
        place,
        kind,
        mode,
        owner,
        mtime_s,
        mtime_ns,
        xattrs,
    })
}

/// The attributes of one entry, before the kind has said which of them it needs.
#[derive(Default)]
struct Attributes {
    xattrs: Vec<Xattr>,
    content: Option<FileContent>,
    target: Option<Vec<u8>>,
    device: Option<(u64, u64)>,
    leader: Option<Place>,
}

fn read_attributes(reader: &mut Reader<'_>, kind: u8) -> Result<Attributes> {
    let mut attributes = Attributes::default();
    let mut before = 0;
    for _ in 0..reader.varint()? {
        let tag = reader.u8()?;
        reader.require(
            tag > before || (tag, before) == (1, 1),
            "tags do not ascend",
        )?;
        before = tag;
        reader.require(
            tag_is_of_kind(tag, kind),
            "a tag that this kind does not have",
        )?;
        let mut value = Reader::new("attribute", reader.bytes(PAGE_MAX, "an attribute")?);
        let read = attributes
            .read(tag, &mut value)
            .and_then(|()| value.finish());
        read.map_err(|rejection| {
            rejection.within(&format!("tree page before {}", reader.position()))
        })?;
    }
    Ok(attributes)
}

fn tag_is_of_kind(tag: u8, kind: u8) -> bool {
    match tag {
        1 => kind != 8,
        2 | 3 => kind == 1,
        4 => kind == 3,
        5 => kind == 6 || kind == 7,
        6 => kind == 8,
        _ => false,
    }
}

impl Attributes {
    fn read(&mut self, tag: u8, value: &mut Reader<'_>) -> Result<()> {
        match tag {
            1 => self.read_xattr(value),
            2 => self.read_short(value),
            3 => self.read_long(value),
            4 => self.read_target(value),
            5 => {
                self.device = Some((read_u32(value)?, read_u32(value)?));
                Ok(())
            }
            6 => {
                let leader = pages::read_place(value)?;
                value.require(!leader.is_root(), "a hard link to the root")?;
                self.leader = Some(leader);
                Ok(())
            }
            _ => Err(value.fault(Fault::Malformed, "an unknown tag")),
        }
    }

    fn read_xattr(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let name = value.bytes(NAME_MAX, "the name of an attribute")?;
        let name = name.to_vec();
        let fine = !name.is_empty() && !name.contains(&0);
        value.require(
            fine,
            "the name of an extended attribute is empty or has a zero",
        )?;
        let ascends = self.xattrs.last().is_none_or(|(before, _)| *before < name);
        value.require(ascends, "extended attributes do not ascend")?;
        value.limit(
            value.left() as u64,
            XATTR_VALUE_MAX,
            "the value of an extended attribute",
        )?;
        self.xattrs.push((name, value.rest().to_vec()));
        let all: usize = self
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        value.limit(
            all as u64,
            XATTRS_MAX,
            "all extended attributes of an entry",
        )
    }

    fn read_short(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let mut extents = Vec::new();
        while value.left() > 0 {
            extents.push(extents::read_extent(value)?);
        }
        let fits = (1..=SHORT_MAX).contains(&extents.len());
        value.require(fits, "a short content is not of 1 to 16 extents")?;
        extents::check_extents(value, &extents)?;
        self.content = Some(FileContent::Short(extents));
        Ok(())
    }

    fn read_long(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let len = value.varint()?;
        let is_long = len > SHORT_MAX as u64;
        value.require(is_long, "a long content of 16 bytes or fewer")?;
        value.limit(len, extents::FILE_MAX, "the length of a file")?;
        let page = value.array()?;
        let level = value.u8()?;
        value.limit(
            u64::from(level),
            u64::from(LEVEL_MAX),
            "the level of a page",
        )?;
        value.require(self.content.is_none(), "a content is short and long")?;
        self.content = Some(FileContent::Long { len, page, level });
        Ok(())
    }

    fn read_target(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let target = value.rest();
        value.limit(
            target.len() as u64,
            LINK_TARGET_MAX,
            "the target of a symbolic link",
        )?;
        let fine = !target.is_empty() && !target.contains(&0);
        value.require(fine, "the target of a symbolic link is empty or has a zero")?;
        self.target = Some(target.to_vec());
        Ok(())
    }

    fn into_kind(self, reader: &Reader<'_>, kind: u8, place: &Place) -> Result<(Kind, Vec<Xattr>)> {
        let absent = || reader.fault(Fault::Malformed, "a required attribute is absent");
        let kind = match kind {
            1 => Kind::File(self.content.unwrap_or(FileContent::Empty)),
            2 => Kind::Folder,
            3 => Kind::Symlink(self.target.ok_or_else(absent)?),
            4 => Kind::Fifo,
            5 => Kind::Socket,
            6 | 7 => {
                let (major, minor) = self.device.ok_or_else(absent)?;
                let device = if kind == 6 {
                    Kind::CharacterDevice
                } else {
                    Kind::BlockDevice
                };
                device(major, minor)
            }
            8 => {
                let leader = self.leader.ok_or_else(absent)?;
                reader.require(
                    leader < *place,
                    "a hard link to an entry that is not earlier",
                )?;
                Kind::HardLink(leader)
            }
            _ => return Err(reader.fault(Fault::Malformed, "an unknown kind of entry")),
        };
        Ok((kind, self.xattrs))
    }
}

fn read_u32(value: &mut Reader<'_>) -> Result<u64> {
    let part = value.varint()?;
    value.require(part <= u64::from(u32::MAX), "wider than 32 bits")?;
    Ok(part)
}
