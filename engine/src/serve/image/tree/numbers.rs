//! Numbers of what lies in an image: a folder, and a place in it.
//!
//! ```text
//! 20 bits   the folder, in the order in which they were entered, from 1
//! 20 bits   the place of the entry in it, by name
//! ```
//! An image never changes, so an entry has one place. What is remembered is a row for each folder that
//! somebody entered, nothing for a file, and one number for each file of several names: all of
//! these are that number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::limits::{IMAGE_DEPTH_LIMIT, IMAGE_FOLDER_ENTRIES_MAX, IMAGE_ROWS_LEN_MAX};
use crate::serve::files::{NUMBER_LIMIT, ROOT};

/// Bits of the place in a folder.
const PLACE_BITS: u32 = IMAGE_FOLDER_ENTRIES_MAX.trailing_zeros();
const _: () = assert!(IMAGE_FOLDER_ENTRIES_MAX.is_power_of_two());
/// Most folders of one image that are entered.
const FOLDERS_MAX: usize = (NUMBER_LIMIT >> PLACE_BITS) as usize - 1;
/// What a row takes beside its name, its places in three tables included.
const ROW_LEN: usize = 160;
/// What the number of a file of several names takes.
const LINKED_LEN: usize = 40;

/// What the rows of all images of one mount take together, bytes.
#[derive(Default)]
pub(super) struct RowsLen(AtomicUsize);

/// The numbers of one image.
pub(super) struct Numbers {
    rows: Vec<Row>,
    by_number: HashMap<u64, usize>,
    /// What is the same for a folder by whatever way it is reached.
    by_identity: HashMap<u64, usize>,
    /// The first name of each file of several names, by what its reader numbered it.
    linked: HashMap<u64, u64>,
    taken: usize,
    rows_len: Arc<RowsLen>,
}

/// A folder that somebody entered.
struct Row {
    number: u64,
    name: Box<[u8]>,
    id: u64,
    depth: usize,
}

impl Numbers {
    /// Only the root is known, which its reader numbered `id`.
    pub(super) fn new(id: u64, rows_len: Arc<RowsLen>) -> Self {
        let root = Row {
            number: ROOT,
            name: Box::default(),
            id,
            depth: 0,
        };
        Self {
            rows: vec![root],
            by_number: HashMap::from([(ROOT, 0)]),
            by_identity: HashMap::new(),
            linked: HashMap::new(),
            taken: 0,
            rows_len,
        }
    }

    /// The row of a folder, if somebody entered it.
    pub(super) fn row(&self, number: u64) -> Option<usize> {
        self.by_number.get(&number).copied()
    }

    /// The row of the folder that an entry lies in, and its place there; nothing for the root, and
    /// for what nobody was given.
    pub(super) fn place(&self, number: u64) -> Option<(usize, usize)> {
        let row = usize::try_from(number >> PLACE_BITS).ok()?.checked_sub(1)?;
        let place = number & ((1 << PLACE_BITS) - 1);
        (row < self.rows.len()).then_some((row, place as usize))
    }

    /// The number of the entry at a place in a folder. A file of `several_names`, which is what its
    /// reader numbered it, has the number of the first of them that somebody saw.
    pub(super) fn number(&mut self, row: usize, place: usize, several_names: Option<u64>) -> u64 {
        let number = (row as u64 + 1) << PLACE_BITS | place as u64;
        let Some(id) = several_names else {
            return number;
        };
        if let Some(&first) = self.linked.get(&id) {
            return first;
        }
        // Where there is no room for it, each name is a file of its own.
        if self.take(LINKED_LEN) {
            self.linked.insert(id, number);
        }
        number
    }

    /// Enters the folder `number` of this name, which its reader numbered `id`; gives its row.
    pub(super) fn enter(&mut self, number: u64, name: &[u8], id: u64) -> Result<usize> {
        if let Some(row) = self.row(number) {
            return Ok(row);
        }
        let depth = self
            .place(number)
            .map_or(0, |(row, _)| self.rows[row].depth)
            + 1;
        if depth > IMAGE_DEPTH_LIMIT {
            return Err(refused(format!(
                "is deeper than {IMAGE_DEPTH_LIMIT} folders"
            )));
        }
        let next = self.rows.len();
        if next >= FOLDERS_MAX || !self.take(ROW_LEN + name.len()) {
            let detail = "is one of too many folders that this mount showed; mount it again";
            return Err(refused(detail.to_owned()));
        }
        self.rows.push(Row {
            number,
            name: name.into(),
            id,
            depth,
        });
        self.by_number.insert(number, next);
        Ok(next)
    }

    /// False if another folder that was entered is the same.
    pub(super) fn is_first(&mut self, row: usize, identity: u64) -> bool {
        *self.by_identity.entry(identity).or_insert(row) == row
    }

    /// What the reader numbered a folder.
    pub(super) fn id(&self, row: usize) -> u64 {
        self.rows[row].id
    }

    /// The number of a folder.
    pub(super) fn number_of(&self, row: usize) -> u64 {
        self.rows[row].number
    }

    /// From the root of the file system.
    pub(super) fn path(&self, row: usize) -> FolderPath {
        let (mut names, mut row) = (Vec::new(), row);
        while let Some((above, _)) = self.place(self.rows[row].number) {
            names.push(&self.rows[row].name);
            row = above;
        }
        let names = names.iter().rev();
        names.fold(FolderPath::root(), |path, name| path.child(name))
    }

    /// False if there is no room for so many bytes.
    fn take(&mut self, len: usize) -> bool {
        let is_taken = self.rows_len.take(len);
        self.taken += if is_taken { len } else { 0 };
        is_taken
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.rows_len.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

impl RowsLen {
    pub(super) fn take(&self, len: usize) -> bool {
        let more = |taken: usize| {
            taken
                .checked_add(len)
                .filter(|sum| *sum <= IMAGE_ROWS_LEN_MAX)
        };
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok()
    }
}

/// Whoever asked adds the place.
fn refused(detail: String) -> Error {
    Error::new(ErrorKind::LimitExceeded, Place::Argument("image"), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        Numbers::new(2, Arc::default())
    }

    #[test]
    fn a_number_says_where_its_entry_lies_and_a_folder_keeps_its_row() {
        let mut numbers = numbers();
        let etc = numbers.number(0, 5, None);
        assert_eq!(numbers.place(etc), Some((0, 5)));
        assert_eq!(numbers.row(etc), None, "nobody entered it");
        let row = numbers.enter(etc, b"etc", 40).unwrap();
        assert_eq!(numbers.enter(etc, b"etc", 40).unwrap(), row);
        let deep = numbers.number(row, 0, None);
        let deep = numbers.enter(deep, b"deep", 41).unwrap();
        assert_eq!(
            numbers.path(deep),
            FolderPath::root().child(b"etc").child(b"deep")
        );
        assert_eq!((numbers.id(deep), numbers.number_of(row)), (41, etc));
        let last = numbers.number(deep, IMAGE_FOLDER_ENTRIES_MAX - 1, None);
        assert_eq!(
            numbers.place(last),
            Some((deep, IMAGE_FOLDER_ENTRIES_MAX - 1))
        );
        assert!(last < NUMBER_LIMIT);
        for unknown in [ROOT, 7, 4 << PLACE_BITS, NUMBER_LIMIT - 1, u64::MAX] {
            assert_eq!(numbers.place(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn all_names_of_a_file_have_one_number_and_a_folder_is_in_one_place() {
        let mut numbers = numbers();
        let first = numbers.number(0, 1, Some(77));
        assert_eq!(numbers.number(0, 9, Some(77)), first);
        assert_ne!(numbers.number(0, 9, Some(78)), first);
        let a = numbers.number(0, 3, None);
        let a = numbers.enter(a, b"a", 50).unwrap();
        assert!(numbers.is_first(0, 2) && numbers.is_first(a, 50) && numbers.is_first(a, 50));
        let again = numbers.number(a, 0, None);
        let again = numbers.enter(again, b"again", 2).unwrap();
        assert!(!numbers.is_first(again, 2), "a folder that contains itself");
    }

    #[test]
    fn folders_without_end_and_rows_without_number_are_refused() {
        let mut deep = numbers();
        let mut row = 0;
        let refused = (0..=IMAGE_DEPTH_LIMIT).find_map(|_| {
            let number = deep.number(row, 0, None);
            match deep.enter(number, b"a", 3) {
                Ok(entered) => {
                    row = entered;
                    None
                }
                Err(error) => Some(error),
            }
        });
        assert_eq!(refused.unwrap().kind(), ErrorKind::LimitExceeded);
        let rows_len = Arc::<RowsLen>::default();
        let mut wide = Numbers::new(2, Arc::clone(&rows_len));
        let most = IMAGE_ROWS_LEN_MAX / (ROW_LEN + 255);
        let entered = (0..=most).take_while(|&place| {
            let number = wide.number(0, place, None);
            wide.enter(number, &[b'x'; 255], 3).is_ok()
        });
        assert_eq!(entered.count(), most);
        drop(wide);
        assert_eq!(rows_len.0.load(Ordering::Relaxed), 0);
    }
}
