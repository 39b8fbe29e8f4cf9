//! The format made visible: objects, packs, index runs and pages, decoded for a person.
//!
//! Everything shown was verified as a reader would; what does not decode is shown as the error.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::repository::Repository;

/// Something decoded, as names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What it is.
    pub title: String,
    /// What is said of the whole.
    pub fields: Vec<(String, String)>,
    /// What is said of each part.
    pub rows: Vec<Vec<(String, String)>>,
}

/// Any object, by its name.
pub fn object(_repository: &Repository, _name: &str) -> Result<Inspection> {
    stub()
}

/// The table of a pack, by its name.
pub fn pack(_repository: &Repository, _name: &str) -> Result<Inspection> {
    stub()
}

/// An index run, by its name.
pub fn index(_repository: &Repository, _name: &str) -> Result<Inspection> {
    stub()
}

/// A page of a manifest, by its id.
pub fn page(_repository: &Repository, _id: &str) -> Result<Inspection> {
    stub()
}

fn stub() -> Result<Inspection> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
