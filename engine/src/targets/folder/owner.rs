//! Who owns what is restored: by number or by name, and what the process may set.

use std::collections::HashMap;

use rustix::io::Errno;

use crate::format::entry::Owner;

/// Users and groups of the restoring host, by name.
///
/// The caller reads `/etc/passwd` and `/etc/group`, or asks a directory service; the engine
/// takes what it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerNames {
    /// User numbers by name.
    pub users: HashMap<Vec<u8>, u32>,
    /// Group numbers by name.
    pub groups: HashMap<Vec<u8>, u32>,
}

/// Who the process is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) uid: u32,
    groups: Vec<u32>,
}

impl OwnerNames {
    /// From the contents of a passwd and a group file; lines that are not understood are passed
    /// over.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self {
            users: numbers_by_name(passwd),
            groups: numbers_by_name(group),
        }
    }

    /// The numbers on this host; an unknown or empty name falls back to the stored number.
    pub(super) fn resolve(&self, owner: &Owner) -> (u32, u32) {
        let uid = self.users.get(&owner.user).copied().unwrap_or(owner.uid);
        let gid = self.groups.get(&owner.group).copied().unwrap_or(owner.gid);
        (uid, gid)
    }
}

/// The number is the third field of both files.
fn numbers_by_name(file: &[u8]) -> HashMap<Vec<u8>, u32> {
    let line = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name.to_vec(), number))
    };
    file.split(|&byte| byte == b'\n').filter_map(line).collect()
}

impl Identity {
    pub(super) fn of_process() -> Result<Self, Errno> {
        let mut groups = vec![rustix::process::getegid().as_raw()];
        groups.extend(
            rustix::process::getgroups()?
                .iter()
                .map(|group| group.as_raw()),
        );
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            groups,
        })
    }

    pub(super) fn is_in(&self, gid: u32) -> bool {
        self.groups.contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_counts_more_than_the_number_and_an_unknown_one_less() {
        let names = OwnerNames::parse(
            b"root:x:0:0::/root:/bin/sh\nana:x:1007:100::/:\nbroken\n:x:5:\n",
            b"staff:x:50:ana\nhuge:x:99999999999:\n",
        );
        let owner = Owner {
            uid: 1000,
            gid: 50,
            user: b"ana".into(),
            group: b"huge".into(),
        };
        assert_eq!(names.resolve(&owner), (1007, 50));
        let nameless = Owner {
            uid: 3,
            gid: 4,
            ..Owner::default()
        };
        assert_eq!(names.resolve(&nameless), (3, 4));
    }
}
