//! Where restored bytes go.
//!
//! A target takes the entries and bytes of one tree and makes them real. It knows no repository:
//! `operations::restore` reads the manifest, fetches the chunks and drives a target from its
//! threads. Above: `operations`. Deliberately absent: threads, progress, any knowledge of sources.

pub mod folder;
