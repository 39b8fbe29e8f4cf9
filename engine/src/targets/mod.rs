//! Where restored bytes go.
//!
//! A folder takes the entries and bytes of one tree and makes them real, a volume takes the bytes
//! of one extents manifest. Neither knows a repository: `operations` reads the manifest, fetches
//! the chunks and drives a target from its threads. Above: `operations`. Deliberately absent:
//! threads, progress, any knowledge of sources.

pub mod folder;
mod positioned;
pub mod volume;
