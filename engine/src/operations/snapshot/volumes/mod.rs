//! Volumes, alone or as the parts of a machine.
//!
//! ```text
//! spec      what was asked for, opened
//! rest      whether a volume holds still: mounts, frozen file systems
//! reader    a source as the pipeline reads it
//! capture   one volume: layout, cuts, changes, manifest
//! describe  what is recorded of it
//! ```

mod capture;
mod describe;
mod reader;
mod rest;
mod spec;
#[cfg(test)]
mod tests;

pub use spec::{Changes, FolderSpec, OpenSource, PartSpec, VolumeOptions, VolumePlace, VolumeSpec};

pub(super) use capture::capture;
pub(super) use rest::Rest;
pub(super) use spec::{OpenPart, OpenVolume, check_labels};
