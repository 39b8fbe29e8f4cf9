//! NTFS: the master file table from its first record to its last.
//!
//! Each record that stands for a file has its unnamed data attribute, with runs of clusters; a file
//! with too many of them has a list that names further records. The table is a file as well, whose
//! runs are in its own first record. It is read in steps of a MiB, further records one by one.
//!
//! Deliberately absent: alternate streams, the log.

use crate::sources::volume::layout::fields::{u8_at, u16_at, u32_at, u64_at};
use crate::sources::volume::layout::hints::cuts::{CutSink, FileCuts};
use crate::sources::volume::layout::hints::walk::{Metadata, STEP_LEN, WalkError, count_bad};
use crate::sources::volume::layout::ntfs_record::{
    ATTRIBUTE_LIST, DATA, Mapping, NtfsGeometry, RECORD_NUMBER_MASK, Record,
};

/// Records below this belong to the file system.
const FIRST_FILE: u64 = 24;
/// Longest list of attributes that the format allows.
const LIST_LEN_MAX: u64 = 256 * 1024;
/// Shortest entry of such a list.
const LISTED_LEN_MIN: usize = 24;
/// Most runs of the table that are kept: 24 bytes each.
const TABLE_RUNS_MAX: usize = 256 * 1024;

/// Gives the number of files that make no sense.
pub(super) fn walk(mut metadata: Metadata<'_>, cuts: CutSink<'_>) -> Result<u64, WalkError> {
    let sector = metadata.bytes(0, 512)?;
    let geometry = NtfsGeometry::decode(&sector)
        .ok_or_else(|| WalkError::file_system("the first sector makes no sense"))?;
    if geometry.len > metadata.window_len() {
        return Err(WalkError::file_system(
            "it is longer than the volume around it",
        ));
    }
    let table = Table::default();
    let mut walk = Walk {
        metadata,
        cuts,
        geometry,
        table,
        bad_files: 0,
    };
    walk.open_table()?;
    walk.records()?;
    Ok(walk.bad_files)
}

struct Walk<'a> {
    metadata: Metadata<'a>,
    cuts: CutSink<'a>,
    geometry: NtfsGeometry,
    table: Table,
    bad_files: u64,
}

/// Where the master file table lies.
#[derive(Default)]
struct Table {
    /// Length in bytes.
    len: u64,
    runs: Vec<TableRun>,
}

/// In bytes.
struct TableRun {
    logical: u64,
    physical: u64,
    len: u64,
}

/// One attribute that a list names.
struct Listed {
    first_cluster: u64,
    record: u64,
}

impl Table {
    /// Length of what is mapped so far.
    fn mapped_len(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.logical + run.len)
    }

    /// Adds a piece, which must follow on what is there.
    fn extend(&mut self, piece: &Mapping, geometry: &NtfsGeometry) -> Option<()> {
        let cluster_len = geometry.cluster_len;
        if piece.is_encoded || piece.first_cluster.checked_mul(cluster_len)? != self.mapped_len() {
            return None;
        }
        for run in &piece.runs {
            if self.runs.len() == TABLE_RUNS_MAX {
                return None;
            }
            let logical = self.mapped_len();
            let len = run.count.checked_mul(cluster_len)?;
            logical.checked_add(len)?;
            self.runs.push(TableRun {
                logical,
                physical: run.start? * cluster_len,
                len,
            });
        }
        Some(())
    }
}

fn bad_table() -> WalkError {
    WalkError::file_system("the master file table does not say where it lies")
}

impl Walk<'_> {
    /// Reads the first record, which says where the others lie, and those that continue it.
    fn open_table(&mut self) -> Result<(), WalkError> {
        let mut bytes = self
            .metadata
            .bytes(self.geometry.mft_at, self.geometry.record_len)?;
        let record = Record::decode(&mut bytes).ok_or_else(bad_table)?;
        let first = data_mapping(&record, 0, &self.geometry).map_err(table_error)?;
        let first = first.ok_or_else(bad_table)?;
        self.table
            .extend(&first, &self.geometry)
            .ok_or_else(bad_table)?;
        for listed in self.listed(&record).map_err(table_error)? {
            if listed.first_cluster > 0 {
                let piece = self.listed_mapping(0, &listed).map_err(table_error)?;
                self.table
                    .extend(&piece, &self.geometry)
                    .ok_or_else(bad_table)?;
            }
        }
        self.table.len = first.len.min(self.table.mapped_len());
        Ok(())
    }

    fn records(&mut self) -> Result<(), WalkError> {
        let record_len = self.geometry.record_len;
        let end = self.table.len / record_len as u64;
        let step = (STEP_LEN / record_len) as u64;
        for first in (FIRST_FILE..end).step_by(step as usize) {
            let mut bytes = vec![0; step.min(end - first) as usize * record_len];
            self.read_table(first * record_len as u64, &mut bytes)?;
            for (bytes, number) in bytes.chunks_exact_mut(record_len).zip(first..) {
                if let Some(record) = Record::decode(bytes) {
                    let outcome = self.file(number, &record);
                    count_bad(outcome, &mut self.bad_files)?;
                }
            }
        }
        Ok(())
    }

    fn read_table(&mut self, mut at: u64, mut buffer: &mut [u8]) -> Result<(), WalkError> {
        while !buffer.is_empty() {
            let index = self
                .table
                .runs
                .partition_point(|run| run.logical + run.len <= at);
            let run = self.table.runs.get(index).ok_or(WalkError::File)?;
            let inner = at - run.logical;
            let len = (run.len - inner).min(buffer.len() as u64);
            let (piece, rest) = buffer.split_at_mut(len as usize);
            self.metadata.read(run.physical + inner, piece)?;
            buffer = rest;
            at += len;
        }
        Ok(())
    }

    fn file(&mut self, number: u64, record: &Record<'_>) -> Result<(), WalkError> {
        if record.base.is_some() {
            return Ok(()); // it continues another one
        }
        let mut pieces = self.listed(record)?;
        if pieces.is_empty() {
            pieces.push(Listed {
                first_cluster: 0,
                record: number,
            });
        }
        let mut file: Option<FileCuts> = None;
        let mut next_cluster = 0;
        for piece in &pieces {
            let mapping = if piece.record == number {
                data_mapping(record, piece.first_cluster, &self.geometry)?
            } else {
                Some(self.listed_mapping(number, piece)?)
            };
            // Without a mapping the bytes are in the record, or there are none.
            let Some(mapping) = mapping.filter(|mapping| !mapping.is_encoded) else {
                return Ok(());
            };
            if mapping.first_cluster != next_cluster {
                return Err(WalkError::File);
            }
            let file = file.get_or_insert_with(|| {
                let len = mapping.len.min(mapping.written_len);
                FileCuts::new(len, self.geometry.cluster_len)
            });
            next_cluster = self.runs(file, &mapping)?;
        }
        file.map_or(Ok(()), |mut file| file.finish(&mut self.cuts))
    }

    /// Gives the cluster of the file behind the last run.
    fn runs(&mut self, file: &mut FileCuts, mapping: &Mapping) -> Result<u64, WalkError> {
        let cluster_len = self.geometry.cluster_len;
        let mut logical = mapping.first_cluster;
        for run in &mapping.runs {
            if let Some(start) = run.start {
                let at = logical.checked_mul(cluster_len).ok_or(WalkError::File)?;
                let len = run.count * cluster_len;
                file.extent(&mut self.cuts, at, start * cluster_len, len)?;
            }
            logical = logical.checked_add(run.count).ok_or(WalkError::File)?;
        }
        Ok(logical)
    }

    /// The pieces of the data attribute that a record's list names, in their order; none without a
    /// list.
    fn listed(&mut self, record: &Record<'_>) -> Result<Vec<Listed>, WalkError> {
        let list = record.attributes().find(|one| one.kind == ATTRIBUTE_LIST);
        let Some(list) = list else {
            return Ok(Vec::new());
        };
        let bytes = match list.mapping(&self.geometry) {
            None => list.resident().ok_or(WalkError::File)?.to_vec(),
            Some(mapping) => self.list_outside(&mapping)?,
        };
        let mut pieces = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, len) = decode_listed(rest).ok_or(WalkError::File)?;
            pieces.extend(piece);
            rest = rest.get(len..).ok_or(WalkError::File)?;
        }
        Ok(pieces)
    }

    fn list_outside(&mut self, mapping: &Mapping) -> Result<Vec<u8>, WalkError> {
        if mapping.len > LIST_LEN_MAX || mapping.is_encoded {
            return Err(WalkError::File);
        }
        let mut bytes = vec![0; mapping.len as usize];
        let mut rest = bytes.as_mut_slice();
        for run in &mapping.runs {
            let start = run.start.ok_or(WalkError::File)?;
            let len = (run.count * self.geometry.cluster_len).min(rest.len() as u64);
            let (piece, behind) = rest.split_at_mut(len as usize);
            self.metadata
                .read(start * self.geometry.cluster_len, piece)?;
            rest = behind;
        }
        if rest.is_empty() {
            Ok(bytes)
        } else {
            Err(WalkError::File)
        }
    }

    /// A piece in another record, which must say that it continues `base`.
    fn listed_mapping(&mut self, base: u64, piece: &Listed) -> Result<Mapping, WalkError> {
        let record_len = self.geometry.record_len;
        let mut bytes = vec![0; record_len];
        let at = piece
            .record
            .checked_mul(record_len as u64)
            .ok_or(WalkError::File)?;
        self.read_table(at, &mut bytes)?;
        let record = Record::decode(&mut bytes).ok_or(WalkError::File)?;
        if record.base != Some(base) {
            return Err(WalkError::File);
        }
        let mapping = data_mapping(&record, piece.first_cluster, &self.geometry)?;
        mapping.ok_or(WalkError::File)
    }
}

/// The piece of the unnamed data attribute that begins at a cluster of the file; nothing if there is
/// none outside of the record.
fn data_mapping(
    record: &Record<'_>,
    first_cluster: u64,
    geometry: &NtfsGeometry,
) -> Result<Option<Mapping>, WalkError> {
    let data = record
        .attributes()
        .filter(|one| one.kind == DATA && !one.is_named());
    for attribute in data.filter(|one| !one.is_resident()) {
        let mapping = attribute.mapping(geometry).ok_or(WalkError::File)?;
        if mapping.first_cluster == first_cluster {
            return Ok(Some(mapping));
        }
    }
    Ok(None)
}

/// An entry of a list, if it is one of unnamed data; and its length.
fn decode_listed(bytes: &[u8]) -> Option<(Option<Listed>, usize)> {
    let len = usize::from(u16_at(bytes, 4)?);
    let is_unnamed_data = u32_at(bytes, 0)? == DATA && u8_at(bytes, 6)? == 0;
    let listed = Listed {
        first_cluster: u64_at(bytes, 8)?,
        record: u64_at(bytes, 16)? & RECORD_NUMBER_MASK,
    };
    (len >= LISTED_LEN_MIN).then(|| (is_unnamed_data.then_some(listed), len))
}

/// Within the master file table, no record may be bad.
fn table_error(error: WalkError) -> WalkError {
    match error {
        WalkError::File => bad_table(),
        other => other,
    }
}
