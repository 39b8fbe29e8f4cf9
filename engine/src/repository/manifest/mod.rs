//! Manifests: trees of content-defined pages, written and read in order. §10.
//!
//! ```text
//! builder   entries in order -> leaves -> inner levels -> root
//! cursor    root -> entries in order, from any place on; what is lost is told and passed over
//! extents   extents in order, or whole pages of an older manifest -> content of a file, root of a volume
//! content   extents of one file or volume, short or long, from any offset on
//! cuts      forced cuts of a volume, in order
//! ```
//! **Architecture Invariant:** a page depends on its entries and on the page keys alone: equal
//! content gives equal pages, whatever was stored before.

pub mod builder;
pub mod content;
pub mod cursor;
pub mod cuts;
pub mod extents;
mod shape;

pub use shape::{MapShape, Scan, Tree};

#[cfg(test)]
mod tests;
