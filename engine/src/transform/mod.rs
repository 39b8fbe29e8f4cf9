//! Pure functions of bytes: chunk, hash, compress, seal. No I/O, no threads; parameters explicit.
//!
//! Below: `format` (ids). Above: everything that reads or writes content.

pub mod chunk;
pub mod compress;
pub mod derive;
pub mod hash;
pub mod seal;
