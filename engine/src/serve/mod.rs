//! Read-at views of a snapshot: what is stored is used without being restored.
//!
//! A [`View`] is the bytes of one content: a file of a folder, a volume, a partition. Everything that opens a
//! snapshot in place reads through one: `nbd` gives it to other programs as a disk,
//! and `overlay` keeps what is written over it.
//!
//! Deliberately absent: verbs that end once their work is done (`operations`), but for those of files
//! inside volumes, which need a view (`image`).

mod content;
mod frames;
pub mod image;
pub mod library;
pub mod nbd;
pub mod overlay;
mod pages;
mod shelf;
#[cfg(test)]
mod tests;
pub mod view;

pub use content::ContentView;
pub use library::{Library, LibraryOptions};
pub use view::View;
