//! Entries inside a volume whose names match a pattern.

use crate::error::{Error, Result};
use crate::format::entry::{Entry, FolderPath};
use crate::observe::{Counter, Observer};
use crate::operations::find::{FindReport, Pattern};
use crate::operations::walk::{path_below, stop_if_cancelled};
use crate::serve::image::item::ImageEntry;
use crate::serve::image::list::problem;
use crate::serve::image::open::Image;
use crate::serve::image::walk::{Visit, walk};

/// Gives every entry that matches to `each`, with its path, which begins with the name of the image.
/// A pattern that begins with a slash is compared from the root of the file system on.
///
/// # Errors
/// If the file system cannot be read at all; and those of `each`.
pub fn find(
    image: &mut Image,
    pattern: &Pattern,
    observer: &dyn Observer,
    each: &mut dyn FnMut(Vec<u8>, &Entry) -> Result<()>,
) -> Result<FindReport> {
    let root = FolderPath::root();
    let entry = image.entry(&root)?;
    let mut finder = Finder {
        pattern,
        observer,
        each,
        report: FindReport::default(),
    };
    walk(image, &root, &entry, true, &mut finder)?;
    Ok(finder.report)
}

struct Finder<'f> {
    pattern: &'f Pattern,
    observer: &'f dyn Observer,
    each: &'f mut dyn FnMut(Vec<u8>, &Entry) -> Result<()>,
    report: FindReport,
}

impl Visit for Finder<'_> {
    fn entry(&mut self, image: &mut Image, folder: &FolderPath, entry: &ImageEntry) -> Result<()> {
        stop_if_cancelled(self.observer)?;
        self.report.entries += 1;
        self.observer.count(Counter::Entries, 1);
        let path = Image::child(folder, &entry.name);
        if self.pattern.matches(&path_below(b"/", &path)) {
            self.report.found += 1;
            (self.each)(path_below(image.name(), &path), &entry.shown())?;
        }
        Ok(())
    }

    fn lost(&mut self, error: &Error) -> Result<()> {
        self.report.problems += 1;
        self.observer.problem(&problem(error));
        Ok(())
    }
}
