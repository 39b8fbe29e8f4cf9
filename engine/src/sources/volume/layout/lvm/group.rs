//! A volume group, as its metadata describes it.

use std::collections::{HashMap, HashSet};

use crate::format::entry::is_valid_name;
use crate::limits::{FILE_LEN_LIMIT, LVM_NAME_LEN_MAX};
use crate::sources::volume::layout::lvm::Told;
use crate::sources::volume::layout::lvm::text::{Section, Value};

/// Unit of lengths in metadata.
const SECTOR_LEN: u64 = 512;
/// What is linear is called a stripe that is alone.
const LINEAR: &str = "striped";
const SNAPSHOT: &str = "snapshot";

/// A volume group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// Its id, in groups of letters.
    pub id: String,
    /// Grows with every change.
    pub version: u64,
    /// Its physical volumes.
    pub members: Vec<Member>,
    /// Its logical volumes, without those that only serve others.
    pub volumes: Vec<LogicalVolume>,
}

/// A physical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// As the group calls it.
    pub name: String,
    /// Its id, in groups of letters: as its own label has it.
    pub id: String,
    /// Where its extents begin, bytes.
    data_at: u64,
}

/// A logical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Its name, one component.
    pub name: String,
    /// Its length, bytes.
    pub len: u64,
    /// What it is made of, in order and without gaps; or what else it is, as `thin volume`.
    pub pieces: Result<Vec<Piece>, String>,
}

/// Bytes that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte in the logical volume.
    pub start: u64,
    /// Length, bytes.
    pub len: u64,
    /// Index of the member that has them.
    pub member: usize,
    /// First byte there.
    pub offset: u64,
}

impl VolumeGroup {
    pub(crate) fn decode(text: &str) -> Told<Self> {
        let whole = Section::decode(text)?;
        let mut groups = whole.sections();
        let (name, group) = groups.next().ok_or("has metadata of no group")?;
        let extent_len = bytes_of(group.count("extent_size")?)?;
        if extent_len == 0 {
            return Err("has metadata of extents without length".to_owned());
        }
        let members = members(group)?;
        let reading = Reading {
            extent_len,
            by_name: index_of(&members),
            members: &members,
        };
        Ok(Self {
            name: checked_name(name)?,
            id: group.text("id")?.to_owned(),
            version: group.count("seqno")?,
            volumes: reading.volumes(group)?,
            members,
        })
    }

    /// The logical volume of this name.
    pub(crate) fn volume(&self, name: &[u8]) -> Option<&LogicalVolume> {
        let mut volumes = self.volumes.iter();
        volumes.find(|volume| volume.name.as_bytes() == name)
    }
}

fn members(group: &Section<'_>) -> Told<Vec<Member>> {
    let listed = group.section("physical_volumes");
    let listed = listed.ok_or("has metadata without physical volumes")?;
    let member = |(name, section): (&str, &Section<'_>)| {
        Ok(Member {
            name: name.to_owned(),
            id: section.text("id")?.to_owned(),
            data_at: bytes_of(section.count("pe_start")?)?,
        })
    };
    listed.sections().map(member).collect()
}

fn index_of(members: &[Member]) -> HashMap<String, usize> {
    let members = members.iter().enumerate();
    members
        .map(|(index, member)| (member.name.clone(), index))
        .collect()
}

/// What is needed to know where segments lie.
struct Reading<'m> {
    extent_len: u64,
    members: &'m [Member],
    by_name: HashMap<String, usize>,
}

impl Reading<'_> {
    fn volumes(&self, group: &Section<'_>) -> Told<Vec<LogicalVolume>> {
        let none = Section::default();
        let listed = group.section("logical_volumes").unwrap_or(&none);
        let stores = stores_of_snapshots(listed);
        let visible = listed.sections().filter(|(_, one)| is_visible(one));
        let mut names = HashSet::new();
        let volumes = visible.map(|(name, section)| {
            if !names.insert(name) {
                return Err(format!("has metadata of two volumes {name}"));
            }
            let (len, pieces) = match self.pieces(section) {
                Ok((len, _)) if stores.contains(name) => (len, Err(SNAPSHOT.to_owned())),
                Ok((len, pieces)) => (len, Ok(pieces)),
                Err((len, why)) => (len, Err(why)),
            };
            Ok(LogicalVolume {
                name: checked_name(name)?,
                len,
                pieces,
            })
        });
        volumes.collect()
    }

    /// Length and pieces of a volume; or its length, as far as it is known, and what it is instead.
    fn pieces(&self, volume: &Section<'_>) -> Result<(u64, Vec<Piece>), (u64, String)> {
        let mut segments = Vec::new();
        let mut len = 0_u64;
        for (_, segment) in volume.sections() {
            let extents = self.extents(segment).map_err(|why| (len, why))?;
            len = len.max(extents.1);
            segments.push((extents, segment));
        }
        segments.sort_by_key(|(extents, _)| extents.0);
        let (mut pieces, mut end) = (Vec::new(), 0);
        for ((start, stop), segment) in segments {
            if start != end {
                return Err((len, "one with gaps between its segments".to_owned()));
            }
            let piece = self.piece(segment, start, stop - start);
            pieces.push(piece.map_err(|why| (len, why))?);
            end = stop;
        }
        Ok((len, pieces))
    }

    /// First byte of a segment, and the one behind its last.
    fn extents(&self, segment: &Section<'_>) -> Told<(u64, u64)> {
        let start = segment.count("start_extent")?;
        let end = start.checked_add(segment.count("extent_count")?);
        let end = end.and_then(|end| end.checked_mul(self.extent_len));
        let end = end.filter(|end| *end <= FILE_LEN_LIMIT);
        let end = end.ok_or("one that is too long")?;
        Ok((start * self.extent_len, end))
    }

    fn piece(&self, segment: &Section<'_>, start: u64, len: u64) -> Told<Piece> {
        let kind = segment.text("type")?;
        let kind = kind.split('+').next().unwrap_or(kind);
        if kind != LINEAR {
            return Err(match kind {
                "thin" => "thin volume".to_owned(),
                kind => format!("{kind} volume"),
            });
        }
        let stripes = segment.list("stripes");
        let [Value::Text(member), Value::Number(first)] = stripes else {
            return Err(format!("volume of {} stripes", stripes.len() / 2));
        };
        let index = self.by_name.get(*member).copied();
        let index = index.ok_or_else(|| format!("volume on {member}, which is being moved"))?;
        let data_at = self.members.get(index).map_or(0, |member| member.data_at);
        let offset = u64::try_from(*first).ok();
        let offset = offset.and_then(|first| first.checked_mul(self.extent_len));
        let offset = offset.and_then(|offset| offset.checked_add(data_at));
        Ok(Piece {
            start,
            len,
            member: index,
            offset: offset.ok_or("one that lies nowhere")?,
        })
    }
}

fn is_visible(volume: &Section<'_>) -> bool {
    volume.list("status").contains(&Value::Text("VISIBLE"))
}

/// Volumes that hold what snapshots keep of others: exceptions, not the bytes of a volume.
fn stores_of_snapshots<'t>(volumes: &Section<'t>) -> HashSet<&'t str> {
    let segments = volumes.sections().flat_map(|(_, volume)| volume.sections());
    let stores = segments.filter_map(|(_, segment)| segment.text("cow_store").ok());
    stores.collect()
}

fn bytes_of(sectors: u64) -> Told<u64> {
    let bytes = sectors.checked_mul(SECTOR_LEN);
    bytes.ok_or_else(|| "has metadata of lengths that are too large".to_owned())
}

fn checked_name(name: &str) -> Told<String> {
    match is_valid_name(name.as_bytes()) && name.len() <= LVM_NAME_LEN_MAX {
        true => Ok(name.to_owned()),
        false => Err("has metadata with a name that is none".to_owned()),
    }
}
