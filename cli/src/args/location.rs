//! `SNAP[:PATH]`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParserFactory};

/// A snapshot as it was typed, and a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// For `snapshots::find`.
    pub(crate) snapshot: String,
    /// Raw bytes; empty means everything.
    pub(crate) path: Vec<u8>,
}

impl Location {
    /// The first colon separates: no snapshot has one in its name, and many a path has.
    fn parse(text: OsString) -> Result<Self, &'static str> {
        let mut bytes = text.into_vec();
        let path = match bytes.iter().position(|&byte| byte == b':') {
            Some(colon) => {
                let path = bytes.split_off(colon + 1);
                bytes.pop();
                path
            }
            None => Vec::new(),
        };
        let snapshot = String::from_utf8(bytes).map_err(|_| "the snapshot is not text")?;
        if snapshot.is_empty() {
            return Err("expected SNAP or SNAP:PATH, with a snapshot before the colon");
        }
        Ok(Self { snapshot, path })
    }
}

impl ValueParserFactory for Location {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().try_map(Self::parse).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, Vec<u8>), &'static str> {
        Location::parse(text.into()).map(|at| (at.snapshot, at.path))
    }

    #[test]
    fn the_first_colon_separates_snapshot_and_path() {
        let ok = |snapshot: &str, path: &str| Ok((snapshot.to_owned(), path.as_bytes().to_vec()));
        assert_eq!(parse("latest"), ok("latest", ""));
        assert_eq!(parse("latest:"), ok("latest", ""));
        assert_eq!(parse("latest~2:/etc"), ok("latest~2", "/etc"));
        assert_eq!(parse("3fa1:a:b"), ok("3fa1", "a:b"));
    }

    #[test]
    fn a_path_may_be_any_bytes_and_a_snapshot_may_not() {
        let at = Location::parse(OsString::from_vec(b"ab:\xff".to_vec()));
        assert_eq!(at.map(|at| at.path), Ok(b"\xff".to_vec()));
        assert!(Location::parse(OsString::from_vec(b"\xff:x".to_vec())).is_err());
        assert!(parse(":/etc").is_err());
        assert!(parse("").is_err());
    }
}
