//! Read-at views of a snapshot: what is stored is used without being restored.
//!
//! A [`View`] is the bytes of one content: a file of a folder, a volume, a partition. Everything that opens a
//! snapshot in place reads through one.
//!
//! Deliberately absent: verbs that end once their work is done (`operations`), but for those of files
//! inside volumes, which need a view (`image`).

pub mod image;
pub mod view;

pub use view::View;
