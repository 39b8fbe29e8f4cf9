//! Reports as text for people (`human`) and for programs (`json`). Nothing here prints.

pub(crate) mod bench;
pub(crate) mod boots;
pub(crate) mod escape;
pub(crate) mod html;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod prune;
pub(crate) mod retention;
pub(crate) mod table;
pub(crate) mod units;
pub(crate) mod volumes;

#[cfg(test)]
pub(crate) mod samples;
