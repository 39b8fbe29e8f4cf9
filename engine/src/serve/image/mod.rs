//! Files inside a volume of a snapshot: listed, read and restored without a kernel that mounts them.
//!
//! ```text
//! Image     one file system: by one thread, every question within limits, panics of readers caught
//! readers   ext, xfs, fat, ntfs, btrfs: what an entry is, what lies in a folder, bytes of a file
//! modes, runs   what readers share: types of entries, blocks that lie together
//! medium    a view, a small cache, and the count of reads
//! tree      all of it for many threads, as a mount asks
//! ```
//! A volume is bytes that somebody else wrote. Names are taken as single components, links are never
//! followed, folders are entered once, and whatever goes on for too long is ended.
//!
//! Deliberately absent: writing, file systems without a reader (they are named, with what to do),
//! and repair.

mod btrfs;
mod cat;
mod ext;
mod fat;
mod find;
mod import;
mod item;
mod kinds;
mod list;
pub(super) mod medium;
mod modes;
mod names;
mod ntfs;
mod open;
mod reader;
mod restore;
mod runs;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod walk;
mod xfs;

pub use cat::cat;
pub use find::find;
pub use import::import;
pub use item::ImageEntry;
pub(in crate::serve) use kinds::refusal;
pub use list::list;
pub(in crate::serve) use medium::recognized;
pub use open::{Image, Page};
pub use reader::ImageNode;
pub use restore::restore;
pub use tree::{ImageTree, Images, OpenView, Viewers};
