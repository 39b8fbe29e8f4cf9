//! What the benches share.
//!
//! ```text
//! data      seeded bytes and folders
//! floor     the bare kernels on a source: the least that an operation can cost
//! engine    the same operations by the engine
//! measure   wall and processor time of both in turn, and a table of the fractions
//! ```

pub mod data;
pub mod engine;
pub mod floor;
pub mod measure;
