//! Manifests of which this machine knows that everything below them is indexed.
//!
//! Whether all chunks of a manifest are indexed follows from the manifest and the index runs alone,
//! and neither ever changes. So what a session saw when it committed stays true for as long as the
//! same runs are there; the next snapshot of the same source need not look up every chunk again.
//! A statement that is lost costs that time only.

use std::collections::HashSet;

use crate::format::Decoded;
use crate::format::cursor::Cursor;
use crate::format::id::{ChunkId, PageId};
use crate::format::table::TableName;
use crate::repository::index::local::LocalIndex;

/// Begins the name of a statement.
pub(super) const PREFIX: &str = "whole-";

impl LocalIndex {
    /// States that everything below `page`, the root of the source `name`, is in `runs`. Takes the
    /// place of what was stated of the same source before.
    pub(crate) fn state_whole(&self, name: &[u8], page: &PageId, runs: &[TableName]) {
        let mut statement = page.0.to_vec();
        runs.iter().for_each(|run| run.encode_into(&mut statement));
        self.keep_note(&file_name(name), &statement);
    }

    /// True if it was stated that everything below `page` is in some of `runs`.
    pub(crate) fn is_stated_whole(
        &self,
        name: &[u8],
        page: &PageId,
        runs: &HashSet<TableName>,
    ) -> bool {
        let statement = self.note(&file_name(name));
        let stated = statement.and_then(|statement| decode(&statement).ok());
        stated.is_some_and(|(stated, needed)| {
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
