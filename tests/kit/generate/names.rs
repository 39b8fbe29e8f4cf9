//! Names that programs stumble over, and folders of every shape.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::Maker;

/// Names of 1 to 255 bytes: all are valid, and none may be changed on the way.
const NAMES: [&[u8]; 25] = [
    b"new\nline",
    b"tab\t",
    b"\x01\x1b[31m",
    b"\xff",
    b"\xff\xfe\xfd",
    b"cut \xc3",
    b"-rf",
    b"--",
    b" leading",
    b"trailing ",
    b" ",
    b"...",
    b"..x",
    b".hidden",
    b"back\\slash",
    b"quote\"'`$(x)",
    b"star*?[a]",
    b"percent%00",
    b"colon:name",
    b"~",
    "é composed".as_bytes(),
    "e\u{301} composed".as_bytes(),
    b"case",
    b"Case",
    b"name~1",
];

const LARGE_FOLDER: u32 = 3_000;
const DEPTH: usize = 200;

pub(super) fn make(maker: &mut Maker) -> io::Result<()> {
    let folder = maker.folder("names")?;
    let longest = [b'n'; 255];
    for name in NAMES.into_iter().chain([&longest[..]]) {
        let shown = format!("name {}", name.escape_ascii());
        let below = folder.join("of folders").join(OsStr::from_bytes(name));
        let file = std::fs::write(folder.join(OsStr::from_bytes(name)), name);
        let made = file
            .and_then(|()| std::fs::create_dir_all(&below))
            .and_then(|()| std::fs::write(below.join("file"), name));
        maker.attempt(&shown, made);
    }
    shapes(maker)
}

fn shapes(maker: &Maker) -> io::Result<()> {
    maker.folder("empty folder")?;
    let large = maker.folder("large folder")?;
    for number in 0..LARGE_FOLDER {
        std::fs::write(large.join(format!("{number:05}")), number.to_string())?;
    }
    let deep = maker.folder(&["d"; DEPTH].join("/"))?;
    std::fs::write(deep.join("bottom"), "bottom")?;
    // Sorted by path as one string, "a-b" comes between "a" and what is in it.
    for name in ["order/a/x", "order/a-b/x", "order/a b/x", "order/a.b/x"] {
        std::fs::write(maker.folder(name)?.join("file"), name)?;
    }
    Ok(())
}
