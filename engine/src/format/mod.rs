//! Bytes and values: what every stored structure looks like, and nothing else.
//!
//! No I/O, no clock, no thread, no allocation on a length that was not checked first. The layout
//! is described byte by byte in `format-spec/FORMAT.md`; the numbers of its sections are quoted
//! where they are implemented.

pub mod entry;
pub mod id;
pub mod name;
