//! One verb per file: options in, one call, a report out.
//!
//! An `Err` means that the operation has no useful result. What went wrong with single entries
//! goes to the observer, is counted in the report, and the operation goes on.
//!
//! Below: everything. Above: whoever embeds the engine, and the command line.

pub mod bench;
pub mod cat;
pub mod check;
pub(crate) mod closure;
pub(crate) mod commit;
mod components;
pub mod diff;
pub mod diff_volume;
pub mod find;
pub mod forget;
pub mod inspect;
pub mod list;
pub mod map_volume;
pub mod merge;
pub mod protect;
pub mod prune;
pub mod record_boot;
pub mod repair_index;
#[cfg(test)]
mod repair_index_tests;
pub mod restore;
pub mod restore_volume;
pub mod select;
pub mod select_item;
pub mod select_logical;
pub mod select_volume;
pub mod snapshot;
pub mod stats;
pub mod undelete;
pub mod versions;
pub mod volume_bytes;
pub mod volumes;
pub(crate) mod walk;
pub(crate) mod walk_volume;
