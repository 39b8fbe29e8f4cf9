//! Manifests: trees of content-defined pages, written and read in order. §10.
//!
//! ```text
//! builder   entries in order -> leaves -> inner levels -> root
//! cursor    root -> entries in order, from any place on; what is lost is told and passed over
//! content   extents of one file or volume, short or long
//! ```
//! **Architecture Invariant:** a page depends on its entries and on the page keys alone: equal
//! content gives equal pages, whatever was stored before.

pub mod builder;
pub mod content;
pub mod cursor;
mod shape;

pub use shape::{MapShape, Scan, Tree};

#[cfg(test)]
mod tests;
