//! The names that a path consists of, as a person types it.

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::{FolderPath, is_valid_name};
use crate::operations::walk;

/// The names in `path`; slashes too many and `.` mean nothing.
pub(super) fn components(path: &[u8]) -> Vec<&[u8]> {
    let names = path.split(|&byte| byte == b'/');
    names
        .filter(|name| !name.is_empty() && *name != b".")
        .collect()
}

/// Refuses `names` of `path` of which one is none that a file can have, or leads back.
pub(super) fn check(names: &[&[u8]], path: &[u8]) -> Result<()> {
    let detail = match names.iter().find(|name| !is_valid_name(name)) {
        None => return Ok(()),
        Some(&b"..") => "has .. in it; give the path without",
        Some(_) => "has a name in it that no file can have",
    };
    Err(Error::new(
        ErrorKind::InvalidInput,
        walk::place(path),
        detail,
    ))
}

/// The folder that `names` lead to.
pub(super) fn folder_of(names: &[&[u8]]) -> FolderPath {
    let root = FolderPath::root();
    names.iter().fold(root, |folder, name| folder.child(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_too_many_and_dots_mean_nothing() {
        for path in [
            "etc/hosts",
            "/etc/hosts",
            "./etc//hosts/.",
            "//etc/./hosts/",
        ] {
            assert_eq!(components(path.as_bytes()), [&b"etc"[..], b"hosts"]);
        }
        assert!(components(b"").is_empty() && components(b"/./").is_empty());
    }

    #[test]
    fn names_that_lead_back_or_are_none_are_refused() {
        let names = components(b"etc/hosts");
        assert!(check(&names, b"etc/hosts").is_ok());
        assert_eq!(folder_of(&names).as_entry().to_bytes(), b"etc/hosts");
        for (path, told) in [("a/../b", ".. in it"), ("a/b\0", "no file can have")] {
            let error = check(&components(path.as_bytes()), path.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
