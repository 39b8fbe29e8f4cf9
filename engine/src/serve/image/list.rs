//! Entries inside a volume, in order.

use crate::error::{Error, Result};
use crate::format::entry::FolderPath;
use crate::observe::{Counter, Observer, Problem, ProblemKind};
use crate::operations::list::{ListReport, Listed};
use crate::operations::walk::{path_below, stop_if_cancelled, with_causes};
use crate::serve::image::item::ImageEntry;
use crate::serve::image::open::Image;
use crate::serve::image::walk::{Visit, walk};

/// Gives the entry at `path` and, of a folder, its children to `each`; all below it if `recursive`.
/// Of the root a person means what lies in it. Paths begin with the name of the image.
///
/// # Errors
/// If there is no such entry, or the first folder cannot be read; and those of `each`.
pub fn list(
    image: &mut Image,
    path: &FolderPath,
    recursive: bool,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&Listed<'_>) -> Result<()>,
) -> Result<ListReport> {
    let entry = image.entry(path)?;
    let mut lister = Lister {
        observer,
        each,
        report: ListReport::default(),
    };
    let is_root = *path == FolderPath::root();
    if !is_root {
        lister.give(image.name_of(path), &entry)?;
    }
    if entry.is_folder() {
        // What is asked for by name has to be there; what is found below it may be lost.
        image.page(path, &entry, None, 1)?;
        walk(image, path, &entry, recursive, &mut lister)?;
    }
    Ok(lister.report)
}

struct Lister<'l> {
    observer: &'l dyn Observer,
    each: &'l mut dyn FnMut(&Listed<'_>) -> Result<()>,
    report: ListReport,
}

impl Lister<'_> {
    fn give(&mut self, path: Vec<u8>, entry: &ImageEntry) -> Result<()> {
        self.report.entries += 1;
        self.observer.count(Counter::Entries, 1);
        let entry = &entry.shown();
        (self.each)(&Listed { path, entry })
    }
}

impl Visit for Lister<'_> {
    fn entry(&mut self, image: &mut Image, folder: &FolderPath, entry: &ImageEntry) -> Result<()> {
        stop_if_cancelled(self.observer)?;
        let path = Image::child(folder, &entry.name);
        self.give(path_below(image.name(), &path), entry)
    }

    fn lost(&mut self, error: &Error) -> Result<()> {
        self.report.problems += 1;
        self.observer.problem(&problem(error));
        Ok(())
    }
}

/// An entry that cannot be read, told by its place.
pub(super) fn problem(error: &Error) -> Problem {
    Problem {
        kind: ProblemKind::Unreadable,
        subject: error.place().to_string().into_bytes(),
        detail: with_causes(error),
    }
}
