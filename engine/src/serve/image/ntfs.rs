//! NTFS, by a library that reads records and leaves it to its caller what they mean.
//!
//! What the library cannot decode is refused, file by file: contents that are compressed or
//! encrypted, and those that a reparse point stands for. What was reserved and never written reads as
//! zeros, of which the library knows nothing. Deliberately absent: streams beside the content, access
//! lists, the log.

use std::rc::Rc;

use ntfs::attribute_value::NtfsAttributeValue;
use ntfs::structured_values::{
    NtfsFileAttributeFlags, NtfsFileNamespace, NtfsIndexRoot, NtfsStandardInformation,
};
use ntfs::{
    Ntfs as Volume, NtfsAttribute, NtfsAttributeFlags, NtfsAttributeType, NtfsError, NtfsFile,
    NtfsReadSeek,
};

use crate::error::Result;
use crate::format::entry::Metadata;
use crate::serve::image::medium::{Medium, Position};
use crate::serve::image::names;
use crate::serve::image::reader::{
    At, FileSystemReader, Found, ImageNode, Listing, MODE_FILE, MODE_FOLDER, MODE_READ_ONLY,
    damaged, said, unsupported,
};
use crate::serve::image::time;

const ROOT_RECORD: u64 = 5;
/// Records before this one are the file system's own.
const FIRST_RECORD: u64 = 24;
/// Longest record of an index; tools make 4 KiB.
const INDEX_RECORD_LEN_MAX: u32 = 64 * 1024;
/// Where an attribute that is not resident says how much of it was ever written.
const WRITTEN_LEN_AT: u64 = 0x38;

/// An NTFS file system.
pub(super) struct Ntfs {
    volume: Volume,
    medium: Rc<Medium>,
}

impl Ntfs {
    pub(super) fn open(medium: &Rc<Medium>) -> Result<Self> {
        let volume = Volume::new(&mut Position::new(medium)).map_err(said)?;
        let medium = Rc::clone(medium);
        Ok(Self { volume, medium })
    }

    fn position(&self) -> Position {
        Position::new(&self.medium)
    }

    fn file(&self, record: u64) -> Result<NtfsFile<'_>> {
        let file = self
            .volume
            .file(&mut self.position(), record)
            .map_err(said)?;
        let is_used = file.flags().contains(ntfs::NtfsFileFlags::IN_USE);
        is_used
            .then_some(file)
            .ok_or_else(|| damaged(format!("record {record} is not in use")))
    }

    fn found(&self, record: u64) -> Result<Found> {
        let file = self.file(record)?;
        let info = file.info().map_err(said)?;
        let has = |flag| info.file_attributes().contains(flag);
        if has(NtfsFileAttributeFlags::REPARSE_POINT) {
            return Err(stands_for_another());
        }
        let (node, mode) = if file.is_directory() {
            (ImageNode::Folder, MODE_FOLDER)
        } else {
            let mode = match has(NtfsFileAttributeFlags::READ_ONLY) {
                true => MODE_READ_ONLY,
                false => MODE_FILE,
            };
            (
                ImageNode::File {
                    len: self.len(&file)?,
                },
                mode,
            )
        };
        Ok(Found {
            metadata: metadata(&info, mode),
            node,
            id: record,
            links: self.links(&file),
            allocated: None,
        })
    }

    /// Length of the content; a file may have none at all.
    fn len(&self, file: &NtfsFile<'_>) -> Result<u64> {
        match file.data(&mut self.position(), "") {
            Some(item) => {
                let item = item.map_err(said)?;
                Ok(item.to_attribute().map_err(said)?.value_length())
            }
            None => Ok(0),
        }
    }

    /// Short names for old programs count as links, and are none.
    fn links(&self, file: &NtfsFile<'_>) -> u32 {
        let count = u32::from(file.hard_link_count());
        let short = Some(NtfsFileNamespace::Dos);
        match file.name(&mut self.position(), short, None) {
            Some(Ok(_)) => count.saturating_sub(1),
            _ => count,
        }
    }

    /// Refuses an index whose records would take more memory than an index has.
    fn check_index(&self, folder: &NtfsFile<'_>) -> Result<()> {
        let mut position = self.position();
        let mut attributes = folder.attributes();
        while let Some(item) = attributes.next(&mut position) {
            let item = item.map_err(said)?;
            let attribute = item.to_attribute().map_err(said)?;
            if attribute.ty().map_err(said)? != NtfsAttributeType::IndexRoot {
                continue;
            }
            let root = attribute.resident_structured_value::<NtfsIndexRoot<'_>>();
            let len = root.map_err(said)?.index_record_size();
            if len > INDEX_RECORD_LEN_MAX {
                return Err(damaged(format!("has an index of records of {len} bytes")));
            }
        }
        Ok(())
    }

    /// How much of a content was written; behind that are bytes of whoever had them before.
    fn written_len(&self, attribute: &NtfsAttribute<'_, '_>) -> Result<u64> {
        if attribute.is_resident() {
            return Ok(attribute.value_length());
        }
        let place = attribute.position().value();
        let place = place.ok_or_else(|| damaged("has a content without a place"))?;
        let at = place.get().saturating_add(WRITTEN_LEN_AT);
        let mut bytes = [0; 8];
        self.medium.read(at, &mut bytes).map_err(said)?;
        let len = u64::from_le_bytes(bytes);
        // The last two bytes of a sector stand elsewhere in the record; of a length they are zero.
        let ends_sector = at % 512 == 512 - 8;
        Ok(if ends_sector {
            len & 0xffff_ffff_ffff
        } else {
            len
        })
    }
}

impl FileSystemReader for Ntfs {
    fn fidelity(&self) -> Vec<&'static str> {
        vec![
            "owners and access lists of Windows are not carried: files are those of who restores them",
            "streams beside the content, and attributes (hidden, system, archive), are not carried",
            "the log of the file system is not replayed",
        ]
    }

    fn has_owners(&self) -> bool {
        false
    }

    fn root(&mut self) -> Result<Found> {
        self.found(ROOT_RECORD)
    }

    fn list(&mut self, folder: &At<'_>, listing: &mut Listing) -> Result<()> {
        let file = self.file(folder.id)?;
        self.check_index(&file)?;
        let mut position = self.position();
        let index = file.directory_index(&mut position).map_err(said)?;
        let mut entries = index.entries();
        while let Some(entry) = entries.next(&mut position) {
            let entry = entry.map_err(said)?;
            let record = entry.file_reference().file_record_number();
            let Some(key) = entry.key() else { continue };
            let key = key.map_err(said)?;
            if record < FIRST_RECORD || key.namespace() == NtfsFileNamespace::Dos {
                continue;
            }
            listing.add(&names::of_utf16(key.name().0), || self.found(record))?;
        }
        Ok(())
    }

    fn read(&mut self, file: &At<'_>, offset: u64, out: &mut [u8]) -> Result<()> {
        let file = self.file(file.id)?;
        let mut position = self.position();
        let Some(item) = file.data(&mut position, "") else {
            return Err(damaged("has no content"));
        };
        let item = item.map_err(said)?;
        let attribute = item.to_attribute().map_err(said)?;
        refuse_encoded(&attribute)?;
        let written = self.written_len(&attribute)?.saturating_sub(offset);
        let written = usize::try_from(written).map_or(out.len(), |len| len.min(out.len()));
        let (stored, rest) = out.split_at_mut(written);
        rest.fill(0);
        let value = attribute.value(&mut position).map_err(said)?;
        read_value(value, &mut position, offset, stored).map_err(said)
    }
}

fn read_value(
    mut value: NtfsAttributeValue<'_, '_>,
    position: &mut Position,
    offset: u64,
    out: &mut [u8],
) -> Result<(), NtfsError> {
    if out.is_empty() {
        return Ok(());
    }
    value.seek(position, std::io::SeekFrom::Start(offset))?;
    value.read_exact(position, out)
}

fn refuse_encoded(attribute: &NtfsAttribute<'_, '_>) -> Result<()> {
    let flags = attribute.flags();
    if flags.contains(NtfsAttributeFlags::COMPRESSED) {
        return Err(unsupported("is compressed by its file system"));
    }
    if flags.contains(NtfsAttributeFlags::ENCRYPTED) {
        return Err(unsupported("is encrypted by its file system"));
    }
    Ok(())
}

fn stands_for_another() -> crate::error::Error {
    unsupported("is a reparse point: a link, or a content that is kept elsewhere")
}

fn metadata(info: &NtfsStandardInformation, mode: u16) -> Metadata {
    Metadata {
        mode,
        mtime: time::of_ntfs(info.modification_time().nt_timestamp()),
        ..Metadata::default()
    }
}
