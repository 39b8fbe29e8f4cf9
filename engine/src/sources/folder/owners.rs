//! Names of users and groups by number, from the system's own database, each looked up once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::format::entry::Owner;

/// A cache that all threads of a snapshot share.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: Names,
    groups: Names,
    /// By user and group: an owner is one object however many entries have it.
    owners: RwLock<HashMap<(u32, u32), Arc<Owner>>>,
}

/// Empty for a number without a name: asking again would be as slow as the first time.
type Names = RwLock<HashMap<u32, Arc<[u8]>>>;

impl Owners {
    /// The owner with the names that the system knows; empty where it knows none.
    pub(super) fn owner(&self, uid: u32, gid: u32) -> Arc<Owner> {
        let known = self.owners.read().get(&(uid, gid)).cloned();
        known.unwrap_or_else(|| {
            let owner = Arc::new(self.look_up(uid, gid));
            let mut owners = self.owners.write();
            Arc::clone(owners.entry((uid, gid)).or_insert(owner))
        })
    }

    fn look_up(&self, uid: u32, gid: u32) -> Owner {
        let user = name(&self.users, uid, |uid| {
            uzers::get_user_by_uid(uid).map(|user| bytes(user.name()))
        });
        let group = name(&self.groups, gid, |gid| {
            uzers::get_group_by_gid(gid).map(|group| bytes(group.name()))
        });
        Owner {
            uid,
            gid,
            user: user.to_vec(),
            group: group.to_vec(),
        }
    }
}

/// Looks up outside the lock: the database may be on the network.
fn name(names: &Names, id: u32, look_up: impl Fn(u32) -> Option<Arc<[u8]>>) -> Arc<[u8]> {
    let known = names.read().get(&id).cloned();
    known.unwrap_or_else(|| {
        let found = look_up(id).unwrap_or_default();
        names.write().insert(id, Arc::clone(&found));
        found
    })
}

fn bytes(name: &OsStr) -> Arc<[u8]> {
    name.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_and_unknown_ones_become_nothing() {
        let owners = Owners::default();
        let root = owners.owner(0, 0);
        assert_eq!(
            (root.user.as_slice(), root.group.as_slice()),
            (&b"root"[..], &b"root"[..])
        );
        let nobody = owners.owner(3_999_999_999, 3_999_999_999);
        assert!(nobody.user.is_empty() && nobody.group.is_empty());
        assert!(Arc::ptr_eq(&root, &owners.owner(0, 0)), "shared by entries");
    }

    #[test]
    fn each_number_is_looked_up_once() {
        let names = Names::default();
        let calls = std::sync::atomic::AtomicU32::new(0);
        for _ in 0..3 {
            let found = name(&names, 7, |_| {
                calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                None
            });
            assert!(found.is_empty());
        }
        assert_eq!(calls.into_inner(), 1);
    }
}
