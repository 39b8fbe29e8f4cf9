//! What a person searches for: `*.conf`, `etc/hosts`, `/home/**/id_*`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, ErrorKind, Place, Result};

/// A pattern of names or paths.
#[derive(Clone, Debug)]
pub struct Pattern {
    glob: GlobMatcher,
    takes: Takes,
}

/// What of an entry a pattern is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Its name: there is no slash in the pattern.
    Name,
    /// Its whole path.
    Path,
}

impl Pattern {
    /// Reads a pattern: `*` and `?` stand for anything but a slash, `**` for any folders, `[ab]` for
    /// one of several characters, `{a,b}` for one of several words. Without a slash it is compared
    /// with names; with one, with paths: from the beginning if it begins with a slash, or else from
    /// any folder on.
    ///
    /// # Errors
    /// `InvalidInput` if it makes no sense.
    pub fn new(text: &str, ignore_case: bool) -> Result<Self> {
        let refused = |detail: String| {
            let place = Place::Argument("pattern");
            Error::new(ErrorKind::InvalidInput, place, detail)
        };
        if text.is_empty() {
            return Err(refused("is empty".to_owned()));
        }
        let (takes, glob) = match (text.contains('/'), text.starts_with('/')) {
            (false, _) => (Takes::Name, text.to_owned()),
            (true, true) => (Takes::Path, text.to_owned()),
            (true, false) => (Takes::Path, format!("**/{text}")),
        };
        let built = GlobBuilder::new(&glob)
            .literal_separator(true)
            .case_insensitive(ignore_case)
            .build();
        let glob = built.map_err(|error| refused(error.kind().to_string()))?;
        let glob = glob.compile_matcher();
        Ok(Self { glob, takes })
    }

    /// True if an entry of this path matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        let compared = match self.takes {
            Takes::Path => path,
            Takes::Name => path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
        };
        self.glob.is_match(Path::new(OsStr::from_bytes(compared)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &[u8]) -> bool {
        Pattern::new(pattern, false).unwrap().matches(path)
    }

    #[test]
    fn without_a_slash_names_are_compared_and_with_one_paths() {
        for (pattern, path, expected) in [
            ("hosts", &b"/etc/hosts"[..], true),
            ("host?", b"/etc/hosts", true),
            ("hosts", b"/hosts/x", false),
            ("*", b"/any/\xff", true),
            ("[ab].{c,h}", b"/x/b.h", true),
            ("/etc/*", b"/etc/hosts", true),
            ("/etc/*", b"/etc/a/b", false),
            ("/etc/**", b"/etc/a/b", true),
            ("/etc/*", b"/srv/etc/hosts", false),
            ("etc/*", b"/srv/etc/hosts", true),
            ("etc/*", b"/etc/hosts", true),
            ("etc/*", b"/betc/hosts", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path:?}");
        }
        assert!(Pattern::new("HOSTS", true).unwrap().matches(b"/etc/hosts"));
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_refused() {
        for pattern in ["", "[", "{a", "[b-a]"] {
            let error = Pattern::new(pattern, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{pattern}");
        }
    }
}
