//! The reference decoder: FORMAT.md in Rust, slow and plain, sharing nothing with the engine.
//!
//! Bytes become values in `record`, `header`, `table`, `object`, `index`, `pages`, `snapshot`, `retention`, `boot`
//! and `prune`; `walk` checks what holds across pages, `listing` says which snapshots there are; only `repository`
//! and `restore` touch a file system. Nothing here writes a repository, uses the index, keeps a cache worth the
//! name, or starts a thread.

pub mod boot;
pub mod bytes;
mod cbor;
pub mod codec;
pub mod fault;
pub mod header;
pub mod index;
pub mod keys;
pub mod listing;
pub mod name;
pub mod object;
pub mod pages;
pub mod prune;
pub mod record;
pub mod repository;
pub mod restore;
pub mod retention;
pub mod snapshot;
pub mod table;
pub mod volume;
pub mod walk;
