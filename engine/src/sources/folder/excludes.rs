//! What the user wants left out, and the matcher made of it.
//!
//! Patterns are those of gitignore, relative to the root of the source, on raw bytes: of two that
//! match, the later decides; `!` takes back in, but not below a folder that is left out, since
//! nobody looks there. The root itself is never left out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::sources::folder::FolderHandle;
use crate::sources::folder::listing::Found;
use crate::sources::folder::stat::FileKind;
use crate::sources::folder::tags::{CACHE_TAG_NAME, CACHE_TAG_SIGNATURE, Tag};

/// What is left out of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Excludes {
    /// Patterns in gitignore syntax; they come after those of `pattern_files`, so they decide.
    pub patterns: Vec<String>,
    /// Files with a pattern in each line, as a `.gitignore`.
    pub pattern_files: Vec<PathBuf>,
    /// Leave out what lies beside a `CACHEDIR.TAG` with the right signature; folder and tag stay.
    pub caches: bool,
    /// `NAME` or `NAME:CONTENT`: leave out what lies beside a regular file of that name, and with
    /// that content at its beginning; folder and file stay.
    pub if_present: Vec<String>,
    /// Leave out regular files with more bytes than this.
    pub larger_than: Option<u64>,
    /// Leave out what is at this path below the root, and all that a walk in the order of names
    /// meets after it.
    pub from: Option<FolderPath>,
}

/// [`Excludes`], ready to be asked.
#[derive(Debug)]
pub(super) struct Matcher {
    patterns: Gitignore,
    tags: Vec<Tag>,
    larger_than: Option<u64>,
    from: Option<FolderPath>,
}

/// The matcher in one folder.
pub(super) struct Selection<'a> {
    matcher: &'a Matcher,
    /// The tag that keeps everything but itself out of this folder.
    tag: Option<&'a Tag>,
    /// Where the walk ends in this folder.
    end: Option<(&'a [u8], bool)>,
    /// Path of the folder with a slash behind it, then of the object in question: one buffer.
    path: Vec<u8>,
    folder_len: usize,
}

impl Matcher {
    pub(super) fn new(excludes: &Excludes) -> Result<Self> {
        let mut tags = Vec::new();
        if excludes.caches {
            tags.push(Tag::new(CACHE_TAG_NAME, CACHE_TAG_SIGNATURE));
        }
        for text in &excludes.if_present {
            tags.push(Tag::parse(text)?);
        }
        Ok(Self {
            patterns: patterns(excludes)?,
            tags,
            larger_than: excludes.larger_than,
            from: excludes.from.clone(),
        })
    }

    /// The first name of `folder` that is left out for lying too late in the walk, and whether the
    /// object of that name is left out itself or only what comes after it.
    fn end_of(&self, folder: &FolderHandle) -> Option<(&[u8], bool)> {
        let mut from = self.from.as_ref()?.components();
        for name in folder.path().components() {
            if from.next() != Some(name) {
                return None;
            }
        }
        Some((from.next()?, from.next().is_none()))
    }

    pub(super) fn in_folder(&self, folder: &FolderHandle) -> Selection<'_> {
        let mut path = Vec::new();
        if !self.patterns.is_empty() {
            for name in folder.path().components() {
                path.extend_from_slice(name);
                path.push(b'/');
            }
        }
        let tag = self.tags.iter().find(|tag| tag.marks(folder.fd()));
        Selection {
            matcher: self,
            tag,
            end: self.end_of(folder),
            folder_len: path.len(),
            path,
        }
    }
}

impl Selection<'_> {
    /// True if `name` is left out, whatever its status says.
    pub(super) fn excludes(&mut self, name: &[u8], is_folder: bool) -> bool {
        self.tag.is_some_and(|tag| tag.name() != name)
            || self.lies_behind(name)
            || self.matches(name, is_folder)
    }

    /// True if an object is left out for its status, or for its name if that was not asked yet.
    pub(super) fn excludes_found(&mut self, found: &Found, ask_name: bool) -> bool {
        let stat = &found.stat;
        let is_large = stat.kind == FileKind::File
            && self
                .matcher
                .larger_than
                .is_some_and(|limit| stat.len > limit);
        is_large || (ask_name && self.excludes(&found.name, stat.kind == FileKind::Folder))
    }

    fn lies_behind(&self, name: &[u8]) -> bool {
        self.end
            .is_some_and(|(end, itself)| name > end || (itself && name == end))
    }

    fn matches(&mut self, name: &[u8], is_folder: bool) -> bool {
        if self.matcher.patterns.is_empty() {
            return false;
        }
        self.path.truncate(self.folder_len);
        self.path.extend_from_slice(name);
        let path = Path::new(OsStr::from_bytes(&self.path));
        self.matcher.patterns.matched(path, is_folder).is_ignore()
    }
}

fn patterns(excludes: &Excludes) -> Result<Gitignore> {
    // With this root no part of a path is taken for a prefix and cut off.
    let mut builder = GitignoreBuilder::new(".");
    for file in &excludes.pattern_files {
        add_file(&mut builder, file)?;
    }
    for pattern in &excludes.patterns {
        add_pattern(&mut builder, pattern)?;
    }
    builder.build().map_err(|cause| refused(cause.to_string()))
}

fn add_pattern(builder: &mut GitignoreBuilder, pattern: &str) -> Result<()> {
    // In a file these are a comment and an empty line; here they can only be a mistake.
    if pattern.trim().is_empty() || pattern.starts_with('#') {
        let detail = format!("{pattern:?} excludes nothing; a leading # is written \\#");
        return Err(refused(detail));
    }
    builder
        .add_line(None, pattern)
        .map(drop)
        .map_err(|cause| refused(cause.to_string()))
}

fn add_file(builder: &mut GitignoreBuilder, file: &Path) -> Result<()> {
    let place = || Place::Path(file.to_owned());
    let bytes = std::fs::read(file)
        .map_err(|cause| Error::io(place(), "reading patterns to exclude", cause))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let refused = |cause: String| {
            Error::new(
                ErrorKind::InvalidInput,
                place(),
                format!("line {}: {cause}", index + 1),
            )
        };
        let line = std::str::from_utf8(line).map_err(|cause| refused(cause.to_string()))?;
        builder
            .add_line(None, line)
            .map_err(|cause| refused(cause.to_string()))?;
    }
    Ok(())
}

fn refused(detail: String) -> Error {
    Error::new(ErrorKind::InvalidInput, Place::Argument("exclude"), detail)
}

/// Whether `excludes` leaves out what lies at `path` below the root, whatever it lies beside: for
/// tests, which need no folder on a disk for it.
#[cfg(any(test, feature = "testing"))]
pub fn is_excluded(excludes: &Excludes, path: &[u8], is_folder: bool) -> Result<bool> {
    let matcher = Matcher::new(excludes)?;
    let folder_len = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |at| at + 1);
    let (folder, name) = path.split_at(folder_len);
    let mut selection = Selection {
        matcher: &matcher,
        tag: None,
        end: None,
        path: folder.to_vec(),
        folder_len,
    };
    Ok(selection.excludes(name, is_folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_excluded(patterns: &[&str], path: &[u8]) -> bool {
        let patterns = patterns.iter().map(ToString::to_string).collect();
        let excludes = Excludes {
            patterns,
            ..Excludes::default()
        };
        let (path, is_folder) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, true),
            None => (path, false),
        };
        super::is_excluded(&excludes, path, is_folder).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let table: &[(&[&str], &str, bool)] = &[
            (&["*.o"], "a.o", true),
            (&["*.o"], "deep/below/a.o", true),
            (&["*.o"], "a.c", false),
            (&["/top"], "top", true),
            (&["/top"], "sub/top", false),
            (&["sub/x"], "sub/x", true),
            (&["sub/x"], "a/sub/x", false),
            (&["**/sub/x"], "a/sub/x", true),
            (&["build/"], "build/", true),
            (&["build/"], "build", false),
            (&["*.log", "!keep.log"], "keep.log", false),
            (&["*.log", "!keep.log"], "other.log", true),
            (&["!keep.log", "*.log"], "keep.log", true),
            (&["\\#x"], "#x", true),
            (&["\\!x"], "!x", true),
            (&["-x"], "-x", true),
            (&["a?c"], "abc", true),
            (&["[a-c]x"], "bx", true),
            (&["a\\*"], "ab", false),
            (&["."], "x", false),
            (&[".git"], "sub/.git/", true),
            (&[], "anything", false),
        ];
        for (patterns, path, expected) in table {
            assert_eq!(
                is_excluded(patterns, path.as_bytes()),
                *expected,
                "{patterns:?} {path}"
            );
        }
    }

    #[test]
    fn names_that_are_not_text_match_wildcards_and_nothing_by_accident() {
        assert!(is_excluded(&["*.o"], b"\xff\xfe.o"));
        assert!(is_excluded(&["?x"], b"\xffx"));
        assert!(is_excluded(&["/d*/"], b"d\xc3/"));
        assert!(!is_excluded(&["\u{fffd}x"], b"\xffx"));
        assert!(!is_excluded(&["x"], b"\xffx"));
        assert!(is_excluded(&["a*"], b"a\nb"));
    }

    #[test]
    fn a_pattern_that_cannot_mean_anything_is_refused() {
        for bad in ["", "  ", "# comment", "a[z-a]"] {
            let patterns = vec![bad.to_owned()];
            let result = Matcher::new(&Excludes {
                patterns,
                ..Excludes::default()
            });
            let error = result.expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
    }

    #[test]
    fn a_bad_line_of_a_pattern_file_is_named_by_file_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("patterns");
        for bad in [
            &b"\xef\xbb\xbf# fine\n\n*.o\n[z-a]\n"[..],
            b"# fine\n\r\n*.o\n\xff\n",
        ] {
            std::fs::write(&file, bad).unwrap();
            let pattern_files = vec![file.clone()];
            let error = Matcher::new(&Excludes {
                pattern_files,
                ..Excludes::default()
            })
            .expect_err("line 4 is bad");
            assert_eq!(error.place(), &Place::Path(file.clone()));
            assert!(error.to_string().contains("line 4: "), "{error}");
        }
    }

    #[test]
    fn patterns_given_directly_decide_over_those_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("patterns");
        std::fs::write(&file, "\u{feff}*.log\r\n*.tmp").unwrap();
        let excludes = Excludes {
            patterns: vec!["!keep.log".to_owned()],
            pattern_files: vec![file],
            ..Excludes::default()
        };
        let matcher = Matcher::new(&excludes).unwrap();
        let mut selection = Selection {
            matcher: &matcher,
            tag: None,
            end: None,
            path: Vec::new(),
            folder_len: 0,
        };
        assert!(selection.excludes(b"a.log", false) && selection.excludes(b"a.tmp", false));
        assert!(!selection.excludes(b"keep.log", false));
    }
}
