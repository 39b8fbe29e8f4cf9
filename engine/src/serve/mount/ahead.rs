//! Files that are read one after another, as `tar`, `cp -r` and `grep -r` read them: the next are put
//! into the kernel's cache before it asks.
//!
//! To ask and to answer takes two switches between processes, which for a small file is more than all
//! else. So once the files of folders are read in the order of their listing, a thread reads on and
//! gives the kernel what it will ask for, and it does not ask. It takes only files that it knows, which
//! are those that were listed, and passes over others; of a folder whose listing was long ago, the tree
//! says what there is. Whoever has read the last folders so will read the next, once all of it is listed.
//!
//! Who reads what was given is not seen here any more; so one file in some dozens is left out, and
//! whoever asks for that has come so far. Of folders that are listed or begun, no more is given than
//! [`TRUSTED_MAX`] before somebody reads on in one.
//!
//! What is given is read as for a reader, every byte verified. Deliberately absent: any error. What
//! cannot be read is left to who asks, and told then.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fuser::{INodeNo, Notifier};
use parking_lot::Mutex;

use crate::error::Result;
use crate::limits::KIB;
use crate::pipeline::pool::Pool;
use crate::serve::mount::inodes::Inodes;

/// Files that are read in order before the next are taken for granted.
const IN_ORDER_MIN: u32 = 4;
/// How far ahead of the file that is read, files.
const FILES_AHEAD: u64 = 64;
/// Longer files are left to the kernel, which reads ahead in them.
const LEN_MAX: u64 = 128 * KIB as u64;
/// Files that are given as folders are listed or begun, without one that is read on in.
const TRUSTED_MAX: u64 = 4 * FILES_AHEAD;
/// Listings that are remembered: of the folders that one is in, and of their neighbours.
const LISTINGS_MAX: usize = 128;
/// Tasks that wait for the thread; more are not done.
const QUEUE_LEN: usize = 4;

/// What is read in order, and what of it was given to the kernel.
#[derive(Default)]
pub(super) struct Ahead {
    walk: Mutex<Walk>,
    reader: Arc<Reader>,
    pool: OnceLock<Pool<Task>>,
}

/// Who reads, as far as the thread has to know.
#[derive(Default)]
struct Reader {
    /// The file that was asked for last.
    reached: AtomicU64,
    /// Nobody will ask any more.
    is_over: AtomicBool,
}

#[derive(Default)]
struct Walk {
    /// Those that were listed last at the end.
    listings: VecDeque<Listing>,
    /// Files that were read in order, without one that was not.
    in_order: u32,
    /// Files that may be given as folders are listed or begun.
    trusted: u64,
}

/// What lies in one folder, as far as it was listed, or as its tree says.
struct Listing {
    /// Nothing if that is long ago.
    folder: Option<u64>,
    inodes: Range<u64>,
    /// The one that was read last.
    last: u64,
    /// Those before it were given.
    given: u64,
}

/// What the thread does.
enum Task {
    Give(Run),
    /// Finds out what is left open in the listings of the tree that this inode is in.
    Settle(u64),
}

/// Files to be given to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    inodes: Range<u64>,
    /// Left out, to see who comes to it.
    mark: u64,
}

impl Ahead {
    /// From now on files are given to the kernel.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(&self, inodes: &Arc<Inodes>, notifier: Notifier) -> Result<()> {
        let (inodes, reader) = (Arc::clone(inodes), Arc::clone(&self.reader));
        let notifier = Arc::new(notifier);
        let work = move |task| match task {
            Task::Give(run) => give_all(&inodes, &run, &reader, &notifier),
            Task::Settle(inode) => {
                let node = inodes.node(inode);
                let _ = node.and_then(|node| node.files.settle(&|| !reader.is_over()));
            }
        };
        let pool = Pool::start(1, QUEUE_LEN, work)?;
        let _ = self.pool.set(pool);
        Ok(())
    }

    /// These were listed of a folder, and the kernel knows them now.
    pub(super) fn listed(&self, folder: u64, inodes: Range<u64>) {
        self.walk.lock().listed(folder, inodes);
    }

    /// A folder was listed to its end.
    pub(super) fn listed_whole(&self, folder: u64) {
        let run = self.walk.lock().listed_whole(folder);
        self.offer(run.map(Task::Give));
    }

    /// Something was left open in a listing of a folder; false if nobody has time to find it out.
    pub(super) fn listed_in_part(&self, folder: u64) -> bool {
        self.offer(Some(Task::Settle(folder)))
    }

    /// A file is read from its first byte; `run_of` says what its tree knows of the files about it.
    pub(super) fn read(&self, inode: u64, run_of: impl FnOnce() -> Option<Range<u64>>) {
        self.reader.reached.store(inode, Ordering::Relaxed);
        let is_known = self.walk.lock().knows(inode);
        let found = if is_known { None } else { run_of() };
        let run = self.walk.lock().read(inode, found);
        self.offer(run.map(Task::Give));
    }

    /// Leaves a task to the thread. Who answers the kernel gives nothing itself: the kernel waits for a
    /// page that somebody asked for, and nobody might be left to answer that.
    fn offer(&self, task: Option<Task>) -> bool {
        match (task, self.pool.get()) {
            (Some(task), Some(pool)) => pool.offer(task),
            _ => false,
        }
    }
}

impl Drop for Ahead {
    /// The pool, which is dropped next, waits for what the thread is about.
    fn drop(&mut self) {
        self.reader.is_over.store(true, Ordering::Relaxed);
    }
}

impl Reader {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

impl Run {
    /// True if `inode` is to be given while `reached` was asked for last.
    fn is_wanted(&self, inode: u64, reached: u64) -> bool {
        let is_passed = self.inodes.contains(&reached) && inode <= reached;
        inode != self.mark && !is_passed
    }
}

/// Gives the kernel the files of a run, for as long as it takes any.
fn give_all(inodes: &Inodes, run: &Run, reader: &Reader, notifier: &Notifier) {
    let mut buffer = Vec::new();
    for inode in run.inodes.clone() {
        if reader.is_over() {
            return;
        }
        let is_wanted = run.is_wanted(inode, reader.reached.load(Ordering::Relaxed));
        if is_wanted && give(inodes, inode, notifier, &mut buffer).is_err() {
            return;
        }
    }
}

/// Gives the kernel all of a file, if it is one, and short.
fn give(inodes: &Inodes, inode: u64, notifier: &Notifier, buffer: &mut Vec<u8>) -> io::Result<()> {
    let content = inodes
        .node(inode)
        .and_then(|node| node.files.content(node.number));
    let Some(view) = content
        .ok()
        .filter(|view| (1..=LEN_MAX).contains(&view.len()))
    else {
        return Ok(());
    };
    buffer.resize(view.len() as usize, 0);
    match view.read_at(0, buffer) {
        Ok(()) => notifier.store(INodeNo(inode), 0, buffer),
        Err(_) => Ok(()),
    }
}

impl Walk {
    fn listed(&mut self, folder: u64, inodes: Range<u64>) {
        let folder = Some(folder);
        let known = self.listings.iter().position(|one| one.folder == folder);
        let known = known.and_then(|index| self.listings.remove(index));
        let listing = match known.filter(|known| known.inodes.end >= inodes.start) {
            Some(known) => Listing {
                inodes: known.inodes.start..known.inodes.end.max(inodes.end),
                ..known
            },
            None => Listing::new(folder, inodes),
        };
        self.remember(listing);
    }

    fn remember(&mut self, listing: Listing) {
        if self.listings.len() == LISTINGS_MAX {
            self.listings.pop_front();
        }
        self.listings.push_back(listing);
    }

    /// Says what is to be given of a folder that was listed to its end.
    fn listed_whole(&mut self, folder: u64) -> Option<Run> {
        if self.in_order < IN_ORDER_MIN {
            return None;
        }
        let mut listings = self.listings.iter_mut().rev();
        let listing = listings.find(|one| one.folder == Some(folder))?;
        let given = listing.give(FILES_AHEAD.min(self.trusted))?;
        self.trusted -= given.inodes.end - given.inodes.start;
        Some(given)
    }

    /// True if this file was listed not long ago, or read about.
    fn knows(&self, inode: u64) -> bool {
        let mut listings = self.listings.iter();
        listings.any(|one| one.inodes.contains(&inode))
    }

    /// Notes that a file is read, and says what is to be given after it; `found` is what there is about
    /// it where that is not known. The first file of a folder that is read tells nothing of the order,
    /// unless it is the one that was left out.
    fn read(&mut self, inode: u64, found: Option<Range<u64>>) -> Option<Run> {
        if let Some(found) = found {
            self.remember(Listing::new(None, found));
        }
        let mut listings = self.listings.iter_mut().rev();
        let Some(listing) = listings.find(|one| one.inodes.contains(&inode)) else {
            self.in_order = 0;
            return None;
        };
        // Of what was given only that is asked for which was left out.
        let is_told = listing.last > 0 || inode < listing.given;
        if listing.last >= inode {
            self.in_order = 0;
            return None;
        }
        listing.last = inode;
        self.in_order = self.in_order.saturating_add(u32::from(is_told));
        if self.in_order < IN_ORDER_MIN {
            return None;
        }
        listing.given = listing.given.max(inode + 1);
        let len_max = (inode + 1 + FILES_AHEAD).saturating_sub(listing.given);
        if is_told {
            self.trusted = TRUSTED_MAX;
            return listing.give(len_max);
        }
        let given = listing.give(len_max.min(self.trusted))?;
        self.trusted -= given.inodes.end - given.inodes.start;
        Some(given)
    }
}

impl Listing {
    fn new(folder: Option<u64>, inodes: Range<u64>) -> Self {
        Self {
            folder,
            last: 0,
            given: inodes.start,
            inodes,
        }
    }

    /// The next of it, at most `len_max` files.
    fn give(&mut self, len_max: u64) -> Option<Run> {
        let (from, end) = (self.given, self.inodes.end);
        let to = end.min(from + len_max);
        // In steps: what is given one by one is given too late.
        let is_due = to == end || len_max >= FILES_AHEAD / 2;
        if from >= to || !is_due {
            return None;
        }
        self.given = to;
        let mark = if to == end { to } else { to - FILES_AHEAD / 2 };
        Some(Run {
            inodes: from..to,
            mark,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that are given while the files `read` are asked for.
    fn runs(walk: &mut Walk, read: impl IntoIterator<Item = u64>) -> Vec<Run> {
        read.into_iter()
            .filter_map(|inode| walk.read(inode, None))
            .collect()
    }

    fn run(inodes: Range<u64>, mark: u64) -> Run {
        Run { inodes, mark }
    }

    #[test]
    fn files_that_are_read_in_order_are_given_in_steps_with_one_left_out() {
        let mut walk = Walk::default();
        walk.listed(1, 100..1_000);
        assert_eq!(runs(&mut walk, 99..104), []);
        assert_eq!(runs(&mut walk, [104]), [run(105..169, 137)]);
        assert_eq!(
            runs(&mut walk, 105..136),
            [],
            "who is as fast as the thread"
        );
        assert_eq!(runs(&mut walk, [137]), [run(169..202, 170)]);
        assert_eq!(runs(&mut walk, [170]), [run(202..235, 203)]);
    }

    #[test]
    fn what_is_left_out_or_passed_by_the_reader_is_not_given() {
        let run = run(10..20, 15);
        let given = |reached| -> Vec<u64> {
            let wanted = run.inodes.clone();
            wanted
                .filter(|inode| run.is_wanted(*inode, reached))
                .collect()
        };
        let all = [10, 11, 12, 13, 14, 16, 17, 18, 19];
        assert_eq!(given(9), all);
        assert_eq!(given(13), all[4..]);
        assert_eq!(given(20), all, "who reads elsewhere may come back");
    }

    #[test]
    fn the_end_of_a_listing_is_given_whole_and_nothing_behind_it() {
        let mut walk = Walk::default();
        walk.listed(1, 10..20);
        walk.listed(2, 50..53);
        assert_eq!(runs(&mut walk, 10..15), [run(15..20, 20)]);
        assert_eq!(runs(&mut walk, [50]), [run(51..53, 53)], "the next folder");
        assert_eq!(runs(&mut walk, [51, 52, 19, 20]), []);
    }

    #[test]
    fn a_folder_that_is_listed_in_parts_is_one_listing() {
        let mut walk = Walk::default();
        walk.listed(1, 10..20);
        assert_eq!(runs(&mut walk, 10..15).len(), 1);
        walk.listed(1, 20..40);
        walk.listed(1, 10..20);
        assert_eq!(runs(&mut walk, 15..17), [run(20..40, 40)]);
    }

    #[test]
    fn who_reads_the_folders_in_a_folder_in_between_goes_on_in_order() {
        let mut walk = Walk::default();
        walk.listed(1, 10..20);
        assert_eq!(runs(&mut walk, 10..14), []);
        walk.listed(14, 20..23);
        assert_eq!(runs(&mut walk, [20]), []);
        assert_eq!(runs(&mut walk, [21]), [run(22..23, 23)]);
        assert_eq!(runs(&mut walk, [15]), [run(16..20, 20)]);
    }

    #[test]
    fn nothing_is_given_to_who_reads_here_and_there() {
        let mut walk = Walk::default();
        walk.listed(1, 100..1_000);
        for inode in [100, 300, 301, 200, 400, 401, 402, 90, 403, 404, 405, 405] {
            assert_eq!(walk.read(inode, None), None, "{inode}");
        }
        let one_of_each = |walk: &mut Walk, from: u64| {
            let folders = (from..from + 500).step_by(10);
            let given = folders.filter_map(|inode| walk.read(inode, Some(inode..inode + 10)));
            given
                .map(|run| run.inodes.end - run.inodes.start)
                .sum::<u64>()
        };
        assert_eq!(one_of_each(&mut walk, 2_000), 0, "one file of each folder");
        assert_eq!(runs(&mut walk, 500..505).len(), 1, "a folder in order");
        assert!(one_of_each(&mut walk, 3_000) <= TRUSTED_MAX);
    }

    #[test]
    fn of_folders_that_were_listed_long_ago_the_tree_says_what_is_next() {
        let mut walk = Walk::default();
        let mut given = Vec::new();
        for folder in (10..1_010).step_by(10) {
            for inode in folder..folder + 10 {
                let found = (!walk.knows(inode)).then_some(folder..folder + 10);
                given.extend(walk.read(inode, found));
            }
        }
        assert_eq!(given[0], run(15..20, 20));
        assert_eq!(given[1..3], [run(21..30, 30), run(31..40, 40)]);
        assert_eq!(given.len(), 100);
    }

    #[test]
    fn a_folder_that_is_listed_after_others_were_read_in_order_is_given_until_nobody_asks() {
        let mut walk = Walk::default();
        walk.listed(1, 10..20);
        walk.listed(2, 30..40);
        assert_eq!(walk.listed_whole(2), None, "nobody reads");
        assert_eq!(runs(&mut walk, 10..15), [run(15..20, 20)]);
        assert_eq!(walk.listed_whole(1), None, "it was given");
        assert_eq!(walk.listed_whole(2), Some(run(30..40, 40)));
        walk.listed(3, 1_000..2_000);
        assert_eq!(walk.listed_whole(3), Some(run(1_000..1_064, 1_032)));
        let given = (100..150).filter(|folder| {
            walk.listed(*folder, folder * 100..folder * 100 + 10);
            walk.listed_whole(*folder).is_some()
        });
        assert_eq!(given.count() as u64, (TRUSTED_MAX - 74) / 10);
        assert_eq!(runs(&mut walk, [1_032]), [run(1_064..1_097, 1_065)]);
        walk.listed(4, 20_000..20_010);
        let next = Some(run(20_000..20_010, 20_010));
        assert_eq!(walk.listed_whole(4), next, "somebody asked");
    }

    #[test]
    fn listings_that_were_used_last_are_remembered() {
        let mut walk = Walk::default();
        for folder in 0..2 * LISTINGS_MAX as u64 {
            walk.listed(folder, folder * 100..folder * 100 + 50);
        }
        assert_eq!(walk.listings.len(), LISTINGS_MAX);
        assert_eq!(runs(&mut walk, 0..10), []);
        let last = (2 * LISTINGS_MAX as u64 - 1) * 100;
        assert_eq!(runs(&mut walk, last..last + 10).len(), 1);
    }
}
