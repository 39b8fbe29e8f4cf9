//! FAT12, FAT16 and FAT32: all folders from the root on, and the chain of each file.
//!
//! A folder alone says how long a file is and where its chain begins. The walk holds, for each
//! folder it is in, the folders named in one cluster. Nothing but the count of work ends a walk
//! through folders that contain each other: depth is bounded, and every cluster is counted.

use crate::limits::FAT_DEPTH_LIMIT;
use crate::sources::volume::layout::fat_geometry::{FatGeometry, FatWidth};
use crate::sources::volume::layout::fields::{u8_at, u16_at, u32_at};
use crate::sources::volume::layout::hints::cuts::{CutSink, FileCuts};
use crate::sources::volume::layout::hints::fat_table::FatTable;
use crate::sources::volume::layout::hints::walk::{Metadata, WalkError, count_bad};

const ENTRY_LEN: usize = 32;
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const NAME_END: u8 = 0;
const NAME_DELETED: u8 = 0xe5;

/// Gives the number of files and folders that make no sense.
pub(super) fn walk(mut metadata: Metadata<'_>, cuts: CutSink<'_>) -> Result<u64, WalkError> {
    let sector = metadata.bytes(0, 512)?;
    let geometry = FatGeometry::decode(&sector)
        .ok_or_else(|| WalkError::file_system("the first sector makes no sense"))?;
    if geometry.len > metadata.window_len() {
        return Err(WalkError::file_system(
            "it is longer than the volume around it",
        ));
    }
    let table = FatTable::new(geometry);
    let mut walk = Walk {
        metadata,
        cuts,
        table,
        bad_files: 0,
    };
    walk.all()?;
    Ok(walk.bad_files)
}

struct Walk<'a> {
    metadata: Metadata<'a>,
    cuts: CutSink<'a>,
    table: FatTable,
    bad_files: u64,
}

/// A folder that the walk is in.
struct Folder {
    /// Its cluster that comes next.
    next: Option<u32>,
    /// First clusters of folders in it that are still to be walked.
    folders: Vec<u32>,
}

/// A named file or folder.
struct Entry {
    is_folder: bool,
    cluster: u32,
    len: u64,
}

impl Walk<'_> {
    fn all(&mut self) -> Result<(), WalkError> {
        let geometry = self.table.geometry;
        let mut path = vec![if geometry.width == FatWidth::ThirtyTwo {
            Folder {
                next: Some(geometry.root_cluster),
                folders: Vec::new(),
            }
        } else {
            let root = self
                .metadata
                .bytes(geometry.root_at, geometry.root_len as usize)?;
            let (folders, _) = self.entries(&root)?;
            Folder {
                next: None,
                folders,
            }
        }];
        while let Some(folder) = path.last_mut() {
            if let Some(cluster) = folder.folders.pop() {
                if path.len() >= FAT_DEPTH_LIMIT {
                    return Err(WalkError::file_system("folders are nested too deep"));
                }
                path.push(Folder {
                    next: Some(cluster),
                    folders: Vec::new(),
                });
            } else if let Some(cluster) = folder.next.take() {
                let outcome = self.folder_cluster(cluster, folder);
                count_bad(outcome, &mut self.bad_files)?;
            } else {
                path.pop();
            }
        }
        Ok(())
    }

    fn folder_cluster(&mut self, cluster: u32, folder: &mut Folder) -> Result<(), WalkError> {
        let place = self.table.place(cluster).ok_or(WalkError::File)?;
        let len = self.table.geometry.cluster_len as usize;
        let bytes = self.metadata.bytes(place, len)?;
        let (folders, is_last) = self.entries(&bytes)?;
        folder.folders = folders;
        if !is_last {
            folder.next = self.table.next(&mut self.metadata, cluster)?;
        }
        Ok(())
    }

    /// Walks the files of a piece of a folder; gives its folders, and whether no more entries follow.
    fn entries(&mut self, bytes: &[u8]) -> Result<(Vec<u32>, bool), WalkError> {
        let mut folders = Vec::new();
        for bytes in bytes.chunks_exact(ENTRY_LEN) {
            if bytes[0] == NAME_END {
                return Ok((folders, true));
            }
            match self.decode(bytes) {
                Some(entry) if entry.is_folder => folders.push(entry.cluster),
                Some(entry) => {
                    let outcome = self.file(&entry);
                    count_bad(outcome, &mut self.bad_files)?;
                }
                None => {}
            }
        }
        Ok((folders, false))
    }

    /// An entry with clusters of its own. Parts of long names have the attribute of a label too.
    fn decode(&self, bytes: &[u8]) -> Option<Entry> {
        let (name, attributes) = (u8_at(bytes, 0)?, u8_at(bytes, 11)?);
        if name == NAME_DELETED || name == b'.' || attributes & ATTRIBUTE_LABEL != 0 {
            return None;
        }
        let high = match self.table.geometry.width {
            FatWidth::ThirtyTwo => u16_at(bytes, 20)?,
            _ => 0,
        };
        let entry = Entry {
            is_folder: attributes & ATTRIBUTE_FOLDER != 0,
            cluster: u32::from(high) << 16 | u32::from(u16_at(bytes, 26)?),
            len: u64::from(u32_at(bytes, 28)?),
        };
        (entry.is_folder || entry.len > 0).then_some(entry)
    }

    fn file(&mut self, entry: &Entry) -> Result<(), WalkError> {
        let cluster_len = self.table.geometry.cluster_len;
        let mut file = FileCuts::new(entry.len, cluster_len);
        let mut cluster = entry.cluster;
        let mut logical = 0;
        loop {
            let place = self.table.place(cluster).ok_or(WalkError::File)?;
            file.extent(&mut self.cuts, logical, place, cluster_len)?;
            logical += cluster_len;
            if logical >= entry.len {
                return file.finish(&mut self.cuts);
            }
            let next = self.table.next(&mut self.metadata, cluster)?;
            cluster = next.ok_or(WalkError::File)?;
        }
    }
}
