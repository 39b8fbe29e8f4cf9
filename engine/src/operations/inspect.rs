//! The format made visible: objects, packs, index runs and pages, decoded for a person.
//!
//! Everything shown was verified as a reader would; what does not decode is shown as the error.
