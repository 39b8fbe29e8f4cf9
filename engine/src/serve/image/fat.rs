//! FAT of all widths, by a library that could also write: everything it writes is refused.
//!
//! FAT has no owners and no permissions but one bit; times are what the clock on the wall said.
//! Deliberately absent: exFAT.

use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use fatfs::{Dir, DirEntry, File, FileAttributes, FileSystem, FsOptions, OemCpConverter};
use self_cell::self_cell;

use crate::error::Result;
use crate::format::entry::{FolderPath, Metadata};
use crate::serve::image::medium::{Medium, Position};
use crate::serve::image::names;
use crate::serve::image::reader::{
    At, FileSystemReader, Found, ImageNode, Listing, MODE_FILE, MODE_FOLDER, MODE_READ_ONLY,
    damaged, said,
};
use crate::serve::image::time;

type Folder<'f> = Dir<'f, Position>;
type Record<'f> = DirEntry<'f, Position>;

/// The file that was read last: it knows the cluster that it was read to, so who reads on does not
/// follow the chain from its beginning.
type Opened<'f> = Option<(FolderPath, File<'f, Position>)>;

self_cell!(
    struct Library {
        owner: FileSystem<Position>,
        #[not_covariant]
        dependent: Opened,
    }
);

/// A FAT file system.
pub(super) struct Fat {
    library: Library,
    medium: Rc<Medium>,
}

impl Fat {
    pub(super) fn open(medium: &Rc<Medium>) -> Result<Self> {
        // A date of last access would be written.
        let options = FsOptions::new()
            .update_accessed_date(false)
            .oem_cp_converter(&CodePage);
        let file_system = FileSystem::new(Position::new(medium), options).map_err(said)?;
        let medium = Rc::clone(medium);
        Ok(Self {
            library: Library::new(file_system, |_| None),
            medium,
        })
    }
}

impl FileSystemReader for Fat {
    fn fidelity(&self) -> Vec<&'static str> {
        vec![
            "FAT has no owners and permissions: files are those of who restores them",
            "times of FAT have no zone: they are taken as UTC",
            "attributes (hidden, system, archive) are not carried",
        ]
    }

    fn has_owners(&self) -> bool {
        false
    }

    fn root(&mut self) -> Result<Found> {
        Ok(Found {
            metadata: Metadata {
                mode: MODE_FOLDER,
                ..Metadata::default()
            },
            node: ImageNode::Folder,
            id: 0,
            links: 1,
            allocated: None,
        })
    }

    fn list(&mut self, folder: &At<'_>, listing: &mut Listing) -> Result<()> {
        let folder = folder_at(self.library.borrow_owner(), folder.path)?;
        self.medium.watch();
        for record in folder.iter() {
            let record = record.map_err(said)?;
            // The first thing that is read of a folder is where it begins.
            listing.identity = listing.identity.or_else(|| self.medium.watched());
            if !record.attributes().contains(FileAttributes::VOLUME_ID) {
                listing.add(record.file_name().as_bytes(), || Ok(found(&record)))?;
            }
        }
        Ok(())
    }

    fn read(&mut self, file: &At<'_>, offset: u64, out: &mut [u8]) -> Result<()> {
        self.library.with_dependent_mut(|file_system, opened| {
            // After an error nobody knows where it stands.
            let mut file = match opened.take() {
                Some((path, file_read_last)) if path == *file.path => (path, file_read_last),
                _ => (file.path.clone(), file_at(file_system, file.path)?),
            };
            read_from(&mut file.1, offset, out)?;
            *opened = Some(file);
            Ok(())
        })
    }
}

/// The folder at a path, name by name: the library would take names of other cases too.
fn folder_at<'f>(file_system: &'f FileSystem<Position>, path: &FolderPath) -> Result<Folder<'f>> {
    let mut folder = file_system.root_dir();
    for name in path.components() {
        let record = record_of(&folder, name)?;
        if !record.is_dir() {
            return Err(damaged("is below a file"));
        }
        folder = record.to_dir();
    }
    Ok(folder)
}

fn file_at<'f>(
    file_system: &'f FileSystem<Position>,
    path: &FolderPath,
) -> Result<File<'f, Position>> {
    let at = path.as_entry();
    let record = record_of(&folder_at(file_system, &at.folder)?, &at.name)?;
    if record.is_dir() {
        return Err(damaged("is a folder"));
    }
    Ok(record.to_file())
}

fn read_from(file: &mut File<'_, Position>, offset: u64, out: &mut [u8]) -> Result<()> {
    let reached = file.seek(SeekFrom::Start(offset)).map_err(said)?;
    if reached != offset {
        return Err(ends_early(reached, offset));
    }
    let mut done = 0;
    while done < out.len() {
        match file.read(&mut out[done..]).map_err(said)? {
            0 => {
                let end = offset + out.len() as u64;
                return Err(ends_early(offset + done as u64, end));
            }
            len => done += len,
        }
    }
    Ok(())
}

fn record_of<'f>(folder: &Folder<'f>, name: &[u8]) -> Result<Record<'f>> {
    for record in folder.iter() {
        let record = record.map_err(said)?;
        if record.file_name().as_bytes() == name {
            return Ok(record);
        }
    }
    Err(damaged("is no longer found in its folder"))
}

fn found(record: &Record<'_>) -> Found {
    let is_read_only = record.attributes().contains(FileAttributes::READ_ONLY);
    let (node, mode) = match (record.is_dir(), is_read_only) {
        (true, _) => (ImageNode::Folder, MODE_FOLDER),
        (false, true) => (ImageNode::File { len: record.len() }, MODE_READ_ONLY),
        (false, false) => (ImageNode::File { len: record.len() }, MODE_FILE),
    };
    let (date, of_day) = (record.modified().date, record.modified().time);
    let mtime = time::of_date(
        [date.year, date.month, date.day],
        [of_day.hour, of_day.min, of_day.sec],
    );
    Found {
        metadata: Metadata {
            mode,
            mtime,
            ..Metadata::default()
        },
        node,
        id: 0,
        links: 1,
        allocated: None,
    }
}

fn ends_early(at: u64, wanted: u64) -> crate::error::Error {
    damaged(format!("ends after {at} bytes, before byte {wanted}"))
}

/// Short names, as most systems write them.
#[derive(Debug)]
struct CodePage;

impl OemCpConverter for CodePage {
    fn decode(&self, byte: u8) -> char {
        names::of_code_page_437(byte)
    }

    fn encode(&self, _: char) -> Option<u8> {
        None
    }
}
