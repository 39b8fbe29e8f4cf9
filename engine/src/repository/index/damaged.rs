//! Copies of chunks that a check on this machine has found damaged.
//!
//! The index goes on naming them: what was stored is never rewritten, and another copy may come.
//! But a writer that knows of them stores such a chunk again when it meets it in a source, and so
//! heals every snapshot that needs it. The list is tagged with a key of the repository; one that is
//! lost is made again by the next check that reads all data.

use std::collections::HashSet;

use crate::format::cursor::Cursor;
use crate::format::id::ChunkId;
use crate::format::name::{ObjectName, PackClass};
use crate::format::table::TableName;
use crate::format::{DecodeError, Decoded};
use crate::repository::index::local::LocalIndex;

/// Name of the list.
pub(super) const FILE: &str = "damaged";

/// A copy: the pack it lies in, and what it is a copy of.
pub(crate) type Copy = (ObjectName, ChunkId);

impl LocalIndex {
    /// Keeps what a check of all data came to; nothing is damaged if there are no copies.
    pub(crate) fn state_damaged<'c>(&self, copies: impl Iterator<Item = &'c Copy>) {
        let mut list = Vec::new();
        copies.for_each(|copy| encode(copy, &mut list));
        if list.is_empty() {
            return self.folder().remove(FILE);
        }
        self.keep_note(FILE, &list);
    }

    /// Copies that must not be relied on.
    pub(crate) fn damaged_copies(&self) -> HashSet<Copy> {
        let list = self.note(FILE);
        let copies = list.and_then(|list| decode(&list).ok());
        copies.unwrap_or_default()
    }
}

fn encode((pack, id): &Copy, out: &mut Vec<u8>) {
    let class = match pack {
        ObjectName::Pack { class, .. } => *class,
        _ => return,
    };
    TableName::of(pack).encode_into(out);
    out.push(u8::from(class == PackClass::Meta));
    out.extend_from_slice(&id.0);
}

fn decode(list: &[u8]) -> Decoded<HashSet<Copy>> {
    let mut cursor = Cursor::new(list);
    let mut copies = HashSet::new();
    while !cursor.rest().is_empty() {
        let TableName { session, number } = TableName::decode(&mut cursor)?;
        let class = match cursor.u8()? {
            0 => PackClass::Data,
            1 => PackClass::Meta,
            _ => return Err(DecodeError::Malformed("class of a pack")),
        };
        let pack = ObjectName::Pack {
            session,
            number,
            class,
        };
        copies.insert((pack, ChunkId(cursor.array()?)));
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::SessionId;

    #[test]
    fn a_list_reads_back_and_a_shorter_one_is_none() {
        let copy = |number, class| {
            let session = SessionId([3; 16]);
            let pack = ObjectName::Pack {
                session,
                number,
                class,
            };
            (pack, ChunkId([number as u8; 32]))
        };
        let copies = [copy(1, PackClass::Data), copy(2, PackClass::Meta)];
        let mut list = Vec::new();
        copies.iter().for_each(|copy| encode(copy, &mut list));
        assert_eq!(decode(&list), Ok(copies.into_iter().collect()));
        assert!(decode(&list[1..]).is_err());
    }
}
