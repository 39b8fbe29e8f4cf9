//! Read-at views of a snapshot: what is stored is used without being restored.
//!
//! A [`View`] is the bytes of one content: a file of a folder, a volume, a partition. Everything that opens a
//! snapshot in place reads through one. [`Files`] are a tree of such: a captured folder, or what a whole
//! snapshot looks like.
//!
//! ```text
//! view, library     bytes at offsets, and the memory that all views share
//! groups            volume groups of LVM2, of which a logical volume is a view
//! kept              what was used last, within a weight
//! files             what a tree of files says of itself
//! image             files inside volumes
//! folder, names     a captured folder, and folders that nobody captured
//! shown, disks      what snapshots and volumes look like, made of these
//! logical           the same of volume groups
//! problems          what of it could not be read, told once
//! mount             (feature `fuse`) all of it as a file system of this machine
//! nbd               volumes as disks of other programs
//! overlay           what is written over a view, and its way into a snapshot
//! ```
//! Deliberately absent: verbs that end once their work is done (`operations`), but for those of files
//! inside volumes, which need a view (`image`).

mod content;
mod disks;
pub mod files;
pub mod folder;
mod frames;
pub mod groups;
#[cfg(test)]
mod groups_tests;
pub mod image;
mod kept;
pub mod library;
mod logical;
#[cfg(test)]
mod logical_tests;
mod losses;
mod mapped;
#[cfg(feature = "fuse")]
pub mod mount;
pub mod names;
pub mod nbd;
pub mod overlay;
mod pages;
pub mod problems;
mod shelf;
pub mod shown;
#[cfg(test)]
mod tests;
pub mod view;

pub use content::ContentView;
pub use files::Files;
pub use library::{Library, LibraryOptions};
pub use view::View;
