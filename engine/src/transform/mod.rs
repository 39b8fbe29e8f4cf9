//! Pure functions of bytes: chunk, hash, compress, seal. No I/O, no threads; parameters explicit.

pub mod chunk;
