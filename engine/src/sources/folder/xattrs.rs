//! Extended attributes of one object, raw and sorted, with what could not be had of them.
//!
//! Names and values are what the kernel gives: POSIX ACLs, capabilities and security labels are
//! not interpreted. Attributes that the kernel does not show to this user are not there.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{
    fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, lgetxattr, lgetxattr_query,
    llistxattr, llistxattr_query,
};
use rustix::io::Errno;

use crate::format::entry::Xattr;
use crate::limits;

/// How often a list or value that grows under the reader is asked for again.
const ATTEMPTS: u32 = 8;

/// XFS shows root its ACLs a second time under these names: kept, a tree would have another root
/// on XFS than anywhere else.
const SHADOWS: [&[u8]; 2] = [b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"];

/// What the attributes are read from.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// An open file or folder.
    Open(BorrowedFd<'a>),
    /// Anything, by a path whose last component is not followed.
    Path(&'a Path),
}

/// The attributes of one object.
#[derive(Debug, Default)]
pub(super) struct Xattrs {
    /// Ascending by name.
    pub(super) attributes: Vec<Xattr>,
    /// Name and reason of each that is missing.
    pub(super) missing: Vec<(Vec<u8>, io::Error)>,
}

impl Holder<'_> {
    /// All attributes. Fails if they cannot be listed; a file system without any has none.
    pub(super) fn read(self) -> io::Result<Xattrs> {
        let names = match self.names() {
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Xattrs::default()),
            names => names?,
        };
        let mut names: Vec<&[u8]> = names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty() && !SHADOWS.contains(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut found = Xattrs::default();
        let mut room = limits::XATTRS_LEN_LIMIT;
        for name in names {
            match self.bounded_value(name, &mut room) {
                Ok(value) => found.attributes.push(Xattr {
                    name: name.to_vec(),
                    value,
                }),
                // Removed since it was listed.
                Err(error) if error.raw_os_error() == Some(Errno::NODATA.raw_os_error()) => {}
                Err(error) => found.missing.push((name.to_vec(), error)),
            }
        }
        Ok(found)
    }

    /// A value within the limits; takes its length and its name's from `room`.
    fn bounded_value(self, name: &[u8], room: &mut usize) -> io::Result<Vec<u8>> {
        let value = self.value(name)?;
        if value.len() > limits::XATTR_LEN_LIMIT {
            let limit = limits::XATTR_LEN_LIMIT;
            return Err(too_long(format!(
                "{} bytes, more than {limit}",
                value.len()
            )));
        }
        let rest = room.checked_sub(name.len() + value.len()).ok_or_else(|| {
            let limit = limits::XATTRS_LEN_LIMIT;
            too_long(format!("all attributes of the object exceed {limit} bytes"))
        })?;
        *room = rest;
        Ok(value)
    }

    fn names(self) -> rustix::io::Result<Vec<u8>> {
        read_growing(
            |buffer| match self {
                Self::Open(fd) => flistxattr(fd, buffer),
                Self::Path(path) => llistxattr(path, buffer),
            },
            || match self {
                Self::Open(fd) => flistxattr_query(fd),
                Self::Path(path) => llistxattr_query(path),
            },
        )
    }

    fn value(self, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
        read_growing(
            |buffer| match self {
                Self::Open(fd) => fgetxattr(fd, name, buffer),
                Self::Path(path) => lgetxattr(path, name, buffer),
            },
            || match self {
                Self::Open(fd) => fgetxattr_query(fd, name),
                Self::Path(path) => lgetxattr_query(path, name),
            },
        )
    }
}

/// Reads into a small buffer, and only if that does not do asks how long a one to take: most
/// objects have nothing to say.
fn read_growing(
    read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    query: impl Fn() -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 256];
    match read(&mut small) {
        Err(Errno::RANGE) => {}
        len => return Ok(small[..len?].to_vec()),
    }
    for _ in 0..ATTEMPTS {
        let mut buffer = vec![0; query()?];
        // An empty buffer would be taken for another query.
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match read(&mut buffer) {
            Err(Errno::RANGE) => {}
            len => {
                buffer.truncate(len?);
                return Ok(buffer);
            }
        }
    }
    Err(Errno::RANGE)
}

fn too_long(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{XattrFlags, fsetxattr};

    use super::*;

    #[test]
    fn what_exceeds_the_room_is_refused_and_takes_none() {
        let file = tempfile::tempfile().unwrap();
        fsetxattr(&file, "user.a", b"12345", XattrFlags::empty()).unwrap();
        let holder = Holder::Open(file.as_fd());
        let mut room = 10;
        assert!(holder.bounded_value(b"user.a", &mut room).is_err());
        assert_eq!(room, 10);
        room = 11;
        assert_eq!(
            holder.bounded_value(b"user.a", &mut room).unwrap(),
            b"12345"
        );
        assert_eq!(room, 0);
    }

    #[test]
    fn more_names_than_the_first_buffer_holds_are_all_there() {
        let file = tempfile::tempfile().unwrap();
        for number in 0..40 {
            let name = format!("user.attribute-number-{number}");
            fsetxattr(&file, name, b"", XattrFlags::empty()).unwrap();
        }
        let found = Holder::Open(file.as_fd()).read().unwrap();
        assert_eq!((found.attributes.len(), found.missing.len()), (40, 0));
        assert!(found.attributes.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn a_shadow_of_an_acl_is_left_out() {
        let file = tempfile::tempfile().unwrap();
        if fsetxattr(&file, SHADOWS[0], b"acl", XattrFlags::empty()).is_ok() {
            assert!(
                Holder::Open(file.as_fd())
                    .read()
                    .unwrap()
                    .attributes
                    .is_empty()
            );
        }
    }

    #[test]
    fn a_value_that_grows_while_it_is_read_is_asked_for_again() {
        let lens = std::cell::Cell::new(300);
        let read = |buffer: &mut [u8]| {
            if buffer.len() < 320 {
                lens.set(320);
                return Err(Errno::RANGE);
            }
            Ok(320)
        };
        assert_eq!(read_growing(read, || Ok(lens.get())).unwrap().len(), 320);
        assert!(
            read_growing(|_| Err(Errno::RANGE), || Ok(300)).is_err(),
            "but not for ever"
        );
        assert_eq!(read_growing(|_| Err(Errno::RANGE), || Ok(0)).unwrap(), []);
    }
}
