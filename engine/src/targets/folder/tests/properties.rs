//! Metadata arrives, in an order that keeps it, and what does not is told.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::Ground;
use super::at;
use super::is_root;
use super::kind_of;
use super::me;
use super::plain;
use super::skip;
use super::whole;
use crate::error::ErrorKind;
use crate::format::entry::DeviceNumber;
use crate::format::entry::Metadata;
use crate::format::entry::Node;
use crate::format::entry::Owner;
use crate::format::entry::Timestamp;
use crate::format::entry::Xattr;
use crate::targets::folder::Aspect;
use crate::targets::folder::FolderTarget;
use crate::targets::folder::FolderTargetOptions;
use crate::targets::folder::NotApplied;
use crate::targets::folder::OnConflict;
use crate::targets::folder::OwnerNames;
use crate::targets::folder::Placed;
use crate::targets::folder::Reason;

/// `cap_net_raw+ep`, as the kernel stores it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `u::rw-,u:1234:rwx,g::r--,m::rwx,o::r--`: little-endian tag, permissions, id.
const ACL: [u8; 44] = [
    2, 0, 0, 0, // version
    1, 0, 6, 0, 255, 255, 255, 255, // owner
    2, 0, 7, 0, 210, 4, 0, 0, // user 1234
    4, 0, 4, 0, 255, 255, 255, 255, // group
    16, 0, 7, 0, 255, 255, 255, 255, // mask
    32, 0, 4, 0, 255, 255, 255, 255, // others
];

fn xattr(name: &str, value: &[u8]) -> Xattr {
    Xattr {
        name: name.into(),
        value: value.into(),
    }
}

/// All attributes that are there, ascending by name. XFS shows an ACL a second time to root.
fn xattrs_of(path: &Path) -> Vec<Xattr> {
    let mut names = [0_u8; 4096];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let read = |name: &[u8]| {
        let mut value = [0_u8; 4096];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        Xattr {
            name: name.into(),
            value: value[..len].into(),
        }
    };
    let names = names[..len]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL"));
    let mut xattrs: Vec<_> = names.map(read).collect();
    xattrs.sort();
    xattrs
}

/// Reads back what was restored, in the terms of a tree.
fn metadata_of(path: &Path) -> Metadata {
    let stat = fs::symlink_metadata(path).unwrap();
    Metadata {
        mode: (stat.mode() & 0o7777) as u16,
        owner: Arc::new(Owner {
            uid: stat.uid(),
            gid: stat.gid(),
            ..Owner::default()
        }),
        mtime: Timestamp {
            seconds: stat.mtime(),
            nanoseconds: stat.mtime_nsec() as u32,
        },
        xattrs: xattrs_of(path),
    }
}

fn foreign() -> Owner {
    Owner {
        uid: 1234,
        gid: 5678,
        ..Owner::default()
    }
}

#[test]
fn every_kind_gets_its_metadata_to_the_nanosecond() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    let before_1970 = Timestamp {
        seconds: -2,
        nanoseconds: 999_999_999,
    };
    let user = vec![xattr("user.empty", b""), xattr("user.raw", &[0, 255, 10])];
    let file = Metadata {
        mode: 0o4,
        mtime: before_1970,
        xattrs: user.clone(),
        ..plain()
    };
    let folder = Metadata {
        mode: 0o1500,
        xattrs: user,
        ..plain()
    };
    let link = Metadata {
        mode: 0o777,
        ..plain()
    };
    target.make_folder(&at("d")).unwrap();
    whole(target.write_file(&at("d/f"), &file, b"content").unwrap());
    whole(
        target
            .make_special(&at("d/fifo"), &Node::Fifo, &plain())
            .unwrap(),
    );
    whole(
        target
            .make_special(&at("d/socket"), &Node::Socket, &plain())
            .unwrap(),
    );
    whole(
        target
            .make_symlink(&at("d/link"), b"no/where", &link)
            .unwrap(),
    );
    assert_eq!(metadata_of(&ground.path("d/f")), file);
    assert_eq!(metadata_of(&ground.path("d/link")), link);
    assert_eq!(
        fs::read_link(ground.path("d/link")).unwrap(),
        Path::new("no/where")
    );
    for name in ["d/fifo", "d/socket"] {
        assert_eq!(metadata_of(&ground.path(name)), plain(), "{name}");
    }
    assert!(
        fs::symlink_metadata(ground.path("d/fifo"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    assert!(
        fs::symlink_metadata(ground.path("d/socket"))
            .unwrap()
            .file_type()
            .is_socket()
    );
    assert_eq!(
        target
            .apply_folder_metadata(&at("d").as_folder(), &folder)
            .unwrap(),
        []
    );
    assert_eq!(metadata_of(&ground.path("d")), folder);
    target.make_folder(&at("shut")).unwrap();
    let shut = Metadata { mode: 0, ..plain() };
    assert_eq!(
        target
            .apply_folder_metadata(&at("shut").as_folder(), &shut)
            .unwrap(),
        []
    );
    assert_eq!(metadata_of(&ground.path("shut")), shut);
    fs::set_permissions(ground.path("d"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_target_folder_gets_the_metadata_of_the_root() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    assert_eq!(target.make_folder(&at("")).unwrap(), Placed::Merged(()));
    let root = Metadata {
        mode: 0o750,
        ..plain()
    };
    assert_eq!(
        target.apply_folder_metadata(&at("").folder, &root).unwrap(),
        []
    );
    assert_eq!(metadata_of(&ground.target()), root);
}

#[test]
fn files_and_folders_are_private_until_they_are_complete() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    target.make_folder(&at("d")).unwrap();
    let _file = target.create_file(&at("f"), &plain(), 1).unwrap();
    assert_eq!(metadata_of(&ground.path("d")).mode, 0o700);
    assert_eq!(metadata_of(&ground.path("f")).mode, 0o600);
}

#[test]
fn a_privileged_restore_applies_everything() {
    if !is_root() {
        return;
    }
    let ground = Ground::new();
    let target = ground.open_privileged();
    let xattrs = vec![
        xattr("security.capability", &CAPABILITY),
        xattr("trusted.overlay.opaque", b"y"),
        xattr("user.a", b"a"),
    ];
    let file = Metadata {
        mode: 0o6755,
        owner: foreign().into(),
        xattrs,
        ..plain()
    };
    whole(target.write_file(&at("f"), &file, b"x").unwrap());
    assert_eq!(metadata_of(&ground.path("f")), file);

    let trusted = vec![xattr("trusted.t", b"t")];
    let link = Metadata {
        mode: 0o777,
        owner: foreign().into(),
        xattrs: trusted,
        ..plain()
    };
    whole(target.make_symlink(&at("l"), b"f", &link).unwrap());
    assert_eq!(metadata_of(&ground.path("l")), link);
    assert_eq!(
        metadata_of(&ground.path("f")),
        file,
        "the link was not followed"
    );

    let device = Metadata {
        owner: foreign().into(),
        xattrs: link.xattrs.clone(),
        ..plain()
    };
    let number = DeviceNumber { major: 1, minor: 3 };
    for (name, node) in [
        ("c", Node::CharDevice(number)),
        ("b", Node::BlockDevice(number)),
    ] {
        match target.make_special(&at(name), &node, &device) {
            Ok(placed) => whole(placed),
            Err(_) => return skip("no device nodes in this sandbox"),
        }
        assert_eq!(metadata_of(&ground.path(name)), device);
        let stat = fs::symlink_metadata(ground.path(name)).unwrap();
        assert_eq!(stat.rdev(), rustix::fs::makedev(1, 3));
    }
}

#[test]
fn without_privileges_each_loss_is_told_and_nothing_powerful_is_made() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    let xattrs = vec![
        xattr("security.capability", &CAPABILITY),
        xattr("trusted.t", b"t"),
        xattr("user.a", b"a"),
    ];
    let file = Metadata {
        mode: 0o6755,
        owner: foreign().into(),
        xattrs,
        ..plain()
    };
    let losses = target
        .write_file(&at("f"), &file, b"x")
        .unwrap()
        .into_item()
        .unwrap();
    let lost = |what| NotApplied {
        what,
        why: Reason::NeedsPrivilege,
    };
    let expected = [
        lost(Aspect::Owner),
        lost(Aspect::SetId),
        lost(Aspect::Xattr(b"security.capability".into())),
        lost(Aspect::Xattr(b"trusted.t".into())),
    ];
    assert_eq!(losses, expected);
    let weak = Metadata {
        mode: 0o755,
        xattrs: vec![xattr("user.a", b"a")],
        ..plain()
    };
    assert_eq!(metadata_of(&ground.path("f")), weak);

    let node = Node::CharDevice(DeviceNumber { major: 1, minor: 3 });
    let device = target.make_special(&at("null"), &node, &plain());
    assert_eq!(kind_of(device), ErrorKind::Unsupported);
    assert_eq!(ground.names(""), ["f"]);
}

#[test]
fn an_ordinary_user_restores_all_that_is_theirs_even_read_only() {
    const NOBODY: u32 = 65_534;
    if !is_root() {
        return;
    }
    let ground = Ground::new();
    fs::create_dir(ground.target()).unwrap();
    std::os::unix::fs::chown(ground.target(), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(ground.folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let owner = Owner {
        uid: NOBODY,
        gid: NOBODY,
        ..Owner::default()
    };
    let user = vec![xattr("user.a", b"a")];
    let theirs = Metadata {
        mode: 0o444,
        owner: owner.into(),
        xattrs: user,
        ..plain()
    };
    let folder = Metadata {
        mode: 0o555,
        ..theirs.clone()
    };
    let restore = |on_conflict| {
        become_user(NOBODY);
        let target = ground.open(on_conflict);
        target.make_folder(&at("d")).unwrap();
        whole(target.write_file(&at("d/f"), &theirs, b"x").unwrap());
        assert_eq!(
            target
                .apply_folder_metadata(&at("d").as_folder(), &folder)
                .unwrap(),
            []
        );
        let foreign = Metadata {
            owner: foreign().into(),
            ..plain()
        };
        let losses = target
            .write_file(&at("foreign"), &foreign, b"x")
            .unwrap()
            .into_item();
        let lost = NotApplied {
            what: Aspect::Owner,
            why: Reason::NeedsPrivilege,
        };
        assert_eq!(losses, Some(vec![lost]));
    };
    // The second time the read-only folder is there already.
    for on_conflict in [OnConflict::Fail, OnConflict::Overwrite] {
        std::thread::scope(|scope| scope.spawn(|| restore(on_conflict)).join().unwrap());
        assert_eq!(metadata_of(&ground.path("d/f")), theirs);
        assert_eq!(metadata_of(&ground.path("d")), folder);
    }
}

/// The calling thread, and only it, gives up root.
fn become_user(id: u32) {
    let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
    rustix::thread::set_thread_groups(&[]).unwrap();
    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
}

#[test]
fn setuid_is_not_set_for_the_wrong_owner() {
    let ground = Ground::new();
    let target = ground.open_privileged();
    let nobody = Owner {
        uid: u32::MAX,
        ..me()
    };
    let file = Metadata {
        mode: 0o4755,
        owner: nobody.into(),
        ..plain()
    };
    let losses = target
        .write_file(&at("f"), &file, b"x")
        .unwrap()
        .into_item()
        .unwrap();
    assert!(losses.contains(&NotApplied {
        what: Aspect::SetId,
        why: Reason::OwnerNotSet
    }));
    assert_eq!(metadata_of(&ground.path("f")).mode, 0o755);
    assert_eq!(*metadata_of(&ground.path("f")).owner, me());
}

#[test]
fn owners_are_found_by_name_where_names_are_given() {
    if !is_root() {
        return;
    }
    let ground = Ground::new();
    let owner_names = OwnerNames::parse(b"ana:x:1007:1:::\n", b"staff:x:50:\n");
    let options = FolderTargetOptions {
        privileged: true,
        owner_names,
        ..Default::default()
    };
    let target = FolderTarget::open(&ground.target(), options).unwrap();
    let owner = Owner {
        user: b"ana".into(),
        group: b"strangers".into(),
        ..foreign()
    };
    let metadata = Metadata {
        owner: owner.into(),
        ..plain()
    };
    whole(target.write_file(&at("f"), &metadata, b"").unwrap());
    let found = metadata_of(&ground.path("f")).owner;
    assert_eq!((found.uid, found.gid), (1007, foreign().gid));
}

#[test]
fn numbers_that_the_kernel_takes_for_commands_are_refused() {
    let ground = Ground::new();
    let target = ground.open_privileged();
    // UTIME_NOW and UTIME_OMIT.
    for nanoseconds in [0x3fff_ffff, 0x3fff_fffe, 1_000_000_000] {
        let mtime = Timestamp {
            seconds: 1,
            nanoseconds,
        };
        let path = at(&format!("t{nanoseconds}"));
        let placed = target
            .write_file(&path, &Metadata { mtime, ..plain() }, b"")
            .unwrap();
        let losses = placed.into_item().unwrap();
        let why = Reason::Refused(rustix::io::Errno::INVAL.raw_os_error());
        assert_eq!(
            losses,
            [NotApplied {
                what: Aspect::Mtime,
                why
            }]
        );
    }
}

#[test]
fn a_time_beyond_the_file_system_is_told() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    let mtime = Timestamp {
        seconds: i64::MAX,
        nanoseconds: 0,
    };
    let metadata = Metadata { mtime, ..plain() };
    let losses = target
        .write_file(&at("f"), &metadata, b"")
        .unwrap()
        .into_item()
        .unwrap();
    if metadata_of(&ground.path("f")).mtime == mtime {
        return skip("this file system keeps every time");
    }
    assert_eq!(
        losses,
        [NotApplied {
            what: Aspect::Mtime,
            why: Reason::NotKept
        }]
    );
}

#[test]
fn acls_are_restored_raw_and_those_of_the_target_folder_do_not_leak() {
    let ground = Ground::new();
    fs::create_dir(ground.target()).unwrap();
    let set = Command::new("setfacl")
        .args(["-m", "d:u:1234:rwx"])
        .arg(ground.target())
        .status();
    if !set.is_ok_and(|status| status.success()) {
        return skip("no setfacl, or no ACLs on this file system");
    }
    let target = ground.open(OnConflict::Fail);
    let acl = xattr("system.posix_acl_access", &ACL);
    let with = Metadata {
        mode: 0o674,
        xattrs: vec![acl.clone()],
        ..plain()
    };
    whole(target.write_file(&at("with"), &with, b"").unwrap());
    whole(target.write_file(&at("without"), &plain(), b"").unwrap());
    whole(
        target
            .make_special(&at("fifo"), &Node::Fifo, &plain())
            .unwrap(),
    );
    target.make_folder(&at("d")).unwrap();
    whole(target.write_file(&at("d/f"), &plain(), b"").unwrap());
    let default = xattr("system.posix_acl_default", &ACL);
    let folder = Metadata {
        mode: 0o775,
        xattrs: vec![default],
        ..plain()
    };
    target.make_folder(&at("d/e")).unwrap();
    assert_eq!(
        target
            .apply_folder_metadata(&at("d/e").as_folder(), &plain())
            .unwrap(),
        []
    );
    assert_eq!(
        target
            .apply_folder_metadata(&at("d").as_folder(), &folder)
            .unwrap(),
        []
    );
    assert_eq!(metadata_of(&ground.path("with")), with);
    assert_eq!(metadata_of(&ground.path("d")), folder);
    for name in ["without", "fifo", "d/f", "d/e"] {
        assert_eq!(metadata_of(&ground.path(name)), plain(), "{name}");
    }
    let root = Metadata {
        mode: 0o700,
        ..plain()
    };
    assert_eq!(
        target.apply_folder_metadata(&at("").folder, &root).unwrap(),
        []
    );
    assert_eq!(metadata_of(&ground.target()), root);
}

#[test]
fn hard_links_share_the_file_and_its_metadata() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    target.make_folder(&at("d")).unwrap();
    whole(target.write_file(&at("a"), &plain(), b"a").unwrap());
    assert_eq!(
        target.make_hard_link(&at("d/b"), &at("a")).unwrap(),
        Placed::New(())
    );
    let ino = |path| fs::metadata(ground.path(path)).unwrap().ino();
    assert_eq!(ino("a"), ino("d/b"));
    assert_eq!(metadata_of(&ground.path("d/b")), plain());
    assert_eq!(
        kind_of(target.make_hard_link(&at("c"), &at("gone"))),
        ErrorKind::NotFound
    );
    let of_folder = target.make_hard_link(&at("c"), &at("d"));
    assert_eq!(kind_of(of_folder), ErrorKind::Unsupported);
}
