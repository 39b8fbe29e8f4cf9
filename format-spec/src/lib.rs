//! The blockstore repository format: `FORMAT.md` says it, `vectors` show it, `reference` reads it.
//!
//! This package does not depend on the engine and was written from FORMAT.md alone, so that an engine and
//! a decoder that agree on a repository say something about the description between them.

pub mod reference;
pub mod vectors;
