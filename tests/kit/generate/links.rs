//! Everything that is neither a folder nor a file of its own: links, pipes, sockets, devices.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::makedev;

use super::Maker;

pub(super) fn make(maker: &mut Maker) -> io::Result<()> {
    symlinks(maker)?;
    nodes(maker)?;
    hard_links(maker)
}

fn symlinks(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("symlinks")?;
    maker.folder("symlinks/folder")?;
    let longest = [b't'; 4095];
    let targets: [(&str, &[u8]); 10] = [
        ("dangling", b"nowhere"),
        ("absolute", b"/nonexistent/file"),
        ("to a folder", b"folder"),
        ("to a folder, slash", b"folder/"),
        ("to itself", b"to itself"),
        ("upwards", b"../../../.."),
        ("not text", b"\xff\n"),
        ("space", b" "),
        ("60 bytes", &longest[..60]), // from here on ext4 needs a block for it
        ("4095 bytes", &longest),
    ];
    for (name, target) in targets {
        let made = symlink(OsStr::from_bytes(target), folder.join(name));
        maker.attempt(&format!("symlink {name}"), made);
    }
    Ok(())
}

fn nodes(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("nodes")?;
    let nodes = [
        ("pipe", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
        ("character", FileType::CharacterDevice, makedev(1, 3)),
        ("block", FileType::BlockDevice, makedev(7, 250)),
        ("large", FileType::BlockDevice, makedev(4095, 1_048_575)),
        ("zero", FileType::CharacterDevice, makedev(0, 0)), // as overlayfs marks what is gone
    ];
    for (name, kind, device) in nodes {
        let mode = Mode::from(0o640);
        let made = rustix::fs::mknodat(CWD, folder.join(name), kind, mode, device);
        maker.attempt(&format!("node {name}"), made);
    }
    Ok(())
}

fn hard_links(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("hard links")?;
    maker.folder("hard links/below")?;
    maker.folder("a before all others")?;
    std::fs::write(folder.join("file"), maker.random("hard links", 100_000))?;
    std::fs::write(folder.join("other"), "a second group")?;
    symlink("nowhere", folder.join("symlink"))?;
    let links = [
        ("file", "hard links/file again"),
        ("file", "hard links/below/file"),
        ("file", "a before all others/file"), // so the group is led from another folder
        ("other", "hard links/other again"),
        ("symlink", "hard links/symlink again"),
        ("../nodes/pipe", "hard links/pipe"),
        ("../nodes/character", "hard links/character"),
    ];
    for (of, name) in links {
        let made = std::fs::hard_link(folder.join(of), maker.root.join(name));
        maker.attempt(name, made);
    }
    Ok(())
}
