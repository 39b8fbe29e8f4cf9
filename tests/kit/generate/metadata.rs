//! Modes, owners, times, and extended attributes of all name spaces.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::XattrFlags;

use super::Maker;
use crate::kit::rights::is_root;

pub(super) fn make(maker: &mut Maker) -> io::Result<()> {
    modes(maker)?;
    owners(maker)?;
    times(maker)?;
    xattrs(maker)?;
    access_lists(maker)
}

fn modes(maker: &mut Maker) -> io::Result<()> {
    let modes = [
        0o000, 0o111, 0o200, 0o400, 0o555, 0o777, 0o1777, 0o2755, 0o4755, 0o6755, 0o7777,
    ];
    for mode in modes {
        // Others than root could not read it, and who snapshots the tree may not be root.
        if mode & 0o500 != 0o500 && !is_root() {
            maker.skipped.push(format!("mode {mode:04o}: not root"));
            continue;
        }
        let folder = maker.folder(&format!("modes/folder {mode:04o}"))?;
        std::fs::write(folder.join("inside"), "inside")?;
        let file = maker.root.join(format!("modes/file {mode:04o}"));
        std::fs::write(&file, "content")?;
        maker.modes.insert(folder, mode);
        maker.modes.insert(file, mode);
    }
    Ok(())
}

fn owners(maker: &mut Maker) -> io::Result<()> {
    let owners = [(12_345, 54_321), (0, 12), (4_000_000_000, 4_000_000_001)];
    for (uid, gid) in owners {
        let folder = maker.folder(&format!("owners/{uid} {gid}"))?;
        let (file, link) = (folder.join("file"), folder.join("link"));
        std::fs::write(&file, "content")?;
        symlink("nowhere", &link)?;
        for path in [&file, &link, &folder] {
            let given = std::os::unix::fs::lchown(path, Some(uid), Some(gid));
            maker.attempt(&format!("owner {uid} {gid}"), given);
        }
        // Giving a file away clears these bits, so a restore must set them after the owner.
        if is_root() {
            maker.modes.insert(file, 0o6755);
        }
    }
    Ok(())
}

fn times(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("times")?;
    let times = [
        ("negative", (-1_000_000_000, 1)),
        ("a nanosecond before 1970", (-1, 999_999_999)),
        ("zero", (0, 0)),
        ("last nanosecond", (1_500_000_000, 999_999_999)),
        ("after 2038", (1 << 31, 0)),
        ("after 2106", (1 << 32, 7)),
        ("in 2200", (7_258_118_400, 500)),
    ];
    for (name, time) in times {
        let file = folder.join(name);
        std::fs::write(&file, name)?;
        let below = maker.folder(&format!("times/folder {name}"))?;
        let link = folder.join(format!("link {name}"));
        symlink(name, &link)?;
        maker
            .times
            .extend([file, below, link].map(|path| (path, time)));
    }
    Ok(())
}

fn xattrs(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("xattrs")?;
    let below = maker.folder("xattrs/folder")?;
    let (file, link) = (folder.join("file"), folder.join("link"));
    std::fs::write(&file, "content")?;
    symlink("nowhere", &link)?;
    let attributes: [(&Path, &str, &[u8]); 9] = [
        (&file, "user.text", b"value"),
        (&file, "user.empty", b""),
        (&file, "user.bytes", b"\0\xff\n\0"),
        (&file, "user.\u{e9} \u{1}", b"a name that is awkward"),
        (&below, "user.folder", b"value"),
        (&file, "trusted.file", b"for root only"),
        (&below, "trusted.folder", b"for root only"),
        (&link, "trusted.link", b"of the link itself"),
        (&file, "security.capability", &CAPABILITY),
    ];
    for (path, name, value) in attributes {
        let set = set_xattr(path, name, value);
        maker.attempt(&format!("xattr {name}"), set);
    }
    long_value(maker, &folder.join("long value"))
}

/// `cap_net_raw=ep`, as the kernel stores it: revision 2, two words each.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// The longest value of a few that the file system takes: ext4 has one block for all of them.
fn long_value(maker: &mut Maker, file: &PathBuf) -> io::Result<()> {
    std::fs::write(file, "content")?;
    for len in [60_000, 16_000, 3_800, 1_000, 200] {
        match set_xattr(file, "user.long", &maker.random("long value", len)) {
            Ok(()) => break,
            Err(error) => maker.attempt(&format!("xattr value of {len} bytes"), Err(error)),
        }
    }
    Ok(())
}

fn access_lists(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("access lists/folder")?;
    let file = folder.join("file");
    std::fs::write(&file, "content")?;
    std::fs::write(folder.join("made before the default list"), "content")?;
    let lists = [
        (&file, "system.posix_acl_access", access_list(4)),
        (&folder, "system.posix_acl_access", access_list(5)),
        (&folder, "system.posix_acl_default", access_list(7)),
    ];
    for (path, name, list) in lists {
        let set = set_xattr(path, name, &list);
        maker.attempt(name, set);
    }
    Ok(())
}

/// An ACL as the kernel takes it: version 2, then tag, permissions and id of each entry. User 1234
/// and the mask have `permissions`.
pub fn access_list(permissions: u16) -> Vec<u8> {
    const UNNAMED: u32 = u32::MAX;
    let (user_object, user, group_object, mask, other) = (1, 2, 4, 0x10, 0x20);
    let entries: [(u16, u16, u32); 5] = [
        (user_object, 7, UNNAMED),
        (user, permissions, 1234),
        (group_object, 4, UNNAMED),
        (mask, permissions, UNNAMED),
        (other, 0, UNNAMED),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
}
