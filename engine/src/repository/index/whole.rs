//! Manifests of which this machine knows that everything below them is indexed.
//!
//! Whether all chunks of a manifest are indexed follows from the manifest and the index runs alone,
//! and neither ever changes. So what a session saw when it committed stays true for as long as the
//! same runs are there; the next snapshot of the same source need not look up every chunk again.
//! A statement is tagged with a key of the repository, and one that is lost costs that time only.

use std::collections::HashSet;
use std::io::Write;

use crate::format::Decoded;
use crate::format::cursor::Cursor;
use crate::format::id::{ChunkId, PageId};
use crate::format::table::TableName;
use crate::repository::index::local::LocalIndex;
use crate::transform::derive::Secret;

/// Begins the name of a statement.
pub(super) const PREFIX: &str = "whole-";
const TAG_LEN: usize = 32;

impl LocalIndex {
    /// States that everything below `page`, the root of the source `name`, is in `runs`. Takes the
    /// place of what was stated of the same source before.
    pub(crate) fn state_whole(&self, name: &[u8], page: &PageId, runs: &[TableName]) {
        let mut statement = page.0.to_vec();
        runs.iter().for_each(|run| run.encode_into(&mut statement));
        let tag = tag_of(self.key(), name, &statement);
        let write = |out: &mut dyn Write| {
            out.write_all(&tag)?;
            out.write_all(&statement)
        };
        let _ = self.folder().write(&file_name(name), write);
    }

    /// True if it was stated that everything below `page` is in some of `runs`.
    pub(crate) fn is_stated_whole(
        &self,
        name: &[u8],
        page: &PageId,
        runs: &HashSet<TableName>,
    ) -> bool {
        let Ok(file) = self.folder().map(&file_name(name)) else {
            return false;
        };
        let Some((tag, statement)) = file.split_first_chunk::<TAG_LEN>() else {
            return false;
        };
        *tag == tag_of(self.key(), name, statement)
            && decode(statement).is_ok_and(|(stated, needed)| {
                stated == *page && needed.iter().all(|run| runs.contains(run))
            })
    }
}

fn decode(statement: &[u8]) -> Decoded<(PageId, Vec<TableName>)> {
    let mut cursor = Cursor::new(statement);
    let page = ChunkId(cursor.array()?);
    let mut runs = Vec::new();
    while !cursor.rest().is_empty() {
        runs.push(TableName::decode(&mut cursor)?);
    }
    Ok((page, runs))
}

fn file_name(name: &[u8]) -> String {
    format!("{PREFIX}{}", &blake3::hash(name).to_hex()[..32])
}

fn tag_of(key: &Secret, name: &[u8], statement: &[u8]) -> [u8; TAG_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"whole");
    hasher.update(blake3::hash(name).as_bytes());
    hasher.update(statement);
    *hasher.finalize().as_bytes()
}
