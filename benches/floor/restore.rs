//! Frames become files: each frame is read once, and its chunks written wherever they belong.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use super::frames::{FrameRecord, Opener, verified};
use super::source::Entry;
use super::{Floor, on_all_threads};

/// What goes where.
pub struct Plan {
    /// For each frame: for each of its chunks, the files and offsets that it goes to.
    places: Vec<Vec<Vec<(u32, u64)>>>,
    /// For each file, how many chunks it has.
    counts: Vec<u32>,
}

/// A folder that is being filled.
struct Target<'f> {
    floor: &'f Floor,
    root: &'f Path,
    folders: Vec<OnceLock<OwnedFd>>,
    files: Vec<OnceLock<OwnedFd>>,
    missing: Vec<AtomicU32>,
}

pub(super) fn plan(floor: &Floor) -> Plan {
    let mut wanted: HashMap<[u8; 32], Vec<(u32, u64)>> = HashMap::new();
    let mut counts = vec![0; floor.found.files.len()];
    for chunk in &floor.found.chunks {
        let places = wanted.entry(chunk.id).or_default();
        places.push((chunk.file, chunk.offset));
        counts[chunk.file as usize] += 1;
    }
    let of_frame = |frame: &FrameRecord| {
        let places = frame.chunks.iter().map(|(id, _)| wanted.remove(id));
        places.map(Option::unwrap_or_default).collect()
    };
    let places = floor.frames.iter().map(of_frame).collect();
    Plan { places, counts }
}

/// Restores to the folder `root`, or reads only.
pub(super) fn restore(floor: &Floor, plan: &Plan, root: Option<&Path>) -> io::Result<()> {
    let target = root.map(|root| Target::new(floor, plan, root));
    let next = AtomicUsize::new(0);
    on_all_threads(floor.threads, || {
        let (mut opener, mut sealed) = (Opener::new(), Vec::new());
        while let Some(number) = take(&next, floor.frames.len()) {
            let frame = &floor.frames[number];
            sealed.resize(frame.stored_len, 0);
            frame.pack.read_exact_at(&mut sealed, frame.offset)?;
            let (nonce, codec, len) = (frame.nonce, frame.codec, frame.plain_len);
            let mut plain = opener.open(&floor.sealing, nonce, codec, len, &mut sealed)?;
            for ((id, len), places) in frame.chunks.iter().zip(&plan.places[number]) {
                let rest = verified(plain, id, *len)?;
                for (file, offset) in places {
                    if let Some(target) = &target {
                        target.write(*file as usize, *offset, &plain[..*len as usize])?;
                    }
                }
                plain = rest;
            }
        }
        Ok(())
    })?;
    target.map_or(Ok(()), |target| target.finish(plan))
}

fn take(next: &AtomicUsize, end: usize) -> Option<usize> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    (number < end).then_some(number)
}

impl<'f> Target<'f> {
    fn new(floor: &'f Floor, plan: &Plan, root: &'f Path) -> Self {
        let missing = plan.counts.iter().map(|count| AtomicU32::new(*count));
        Self {
            floor,
            root,
            folders: (0..floor.found.folders.len().max(1))
                .map(|_| OnceLock::new())
                .collect(),
            files: plan.counts.iter().map(|_| OnceLock::new()).collect(),
            missing: missing.collect(),
        }
    }

    /// Made when something is first put there.
    fn folder(&self, number: u32) -> &OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let make = || -> io::Result<OwnedFd> {
            if number == 0 {
                return Ok(rustix::fs::open(self.root, flags, Mode::empty())?);
            }
            let folder = &self.floor.found.folders[number as usize];
            let parent = self.folder(folder.folder);
            rustix::fs::mkdirat(parent, &folder.name, Mode::RWXU)?;
            Ok(rustix::fs::openat(
                parent,
                &folder.name,
                flags,
                Mode::empty(),
            )?)
        };
        self.folders[number as usize].get_or_init(|| make().expect("a folder"))
    }

    fn create(&self, number: usize) -> io::Result<OwnedFd> {
        let file = &self.floor.found.files[number];
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let name = file.name.to_bytes().rsplit(|byte| *byte == b'/').next();
        let (folder, name) = (self.folder(file.folder), name.unwrap_or_default());
        Ok(rustix::fs::openat(
            folder,
            name,
            flags,
            Mode::RUSR | Mode::WUSR,
        )?)
    }

    fn write(&self, number: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let entry = &self.floor.found.files[number];
        let len = entry.stat.st_size as u64;
        if bytes.len() as u64 == len {
            let file = self.create(number)?;
            write_all(&file, offset, bytes)?;
            return finish(&file, entry);
        }
        let file = self.files[number].get_or_init(|| {
            let file = self.create(number).expect("a file");
            rustix::fs::ftruncate(&file, len).expect("room for its length");
            file
        });
        write_all(file, offset, bytes)?;
        match self.missing[number].fetch_sub(1, Ordering::AcqRel) {
            1 => finish(file, entry),
            _ => Ok(()),
        }
    }

    /// Files without data, links, and the folders themselves.
    fn finish(&self, plan: &Plan) -> io::Result<()> {
        let found = &self.floor.found;
        for (number, file) in found.files.iter().enumerate() {
            if plan.counts[number] == 0 {
                let made = self.create(number)?;
                rustix::fs::ftruncate(&made, file.stat.st_size as u64)?;
                finish(&made, file)?;
            }
        }
        for (link, to) in &found.links {
            let folder = self.folder(link.folder);
            rustix::fs::symlinkat(to, folder, &link.name)?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(folder, &link.name, &times_of(link), flags)?;
        }
        let next = AtomicUsize::new(0);
        on_all_threads(self.floor.threads, || {
            while let Some(number) = take(&next, found.folders.len()) {
                finish(self.folder(number as u32), &found.folders[number])?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

fn write_all(file: &OwnedFd, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(file, bytes, offset)?;
        (offset, bytes) = (offset + written as u64, &bytes[written..]);
    }
    Ok(())
}

fn finish(file: &OwnedFd, entry: &Entry) -> io::Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.stat.st_mode))?;
    Ok(rustix::fs::futimens(file, &times_of(entry))?)
}

fn times_of(entry: &Entry) -> Timestamps {
    let mtime = Timespec {
        tv_sec: entry.stat.st_mtime,
        tv_nsec: entry.stat.st_mtime_nsec as _,
    };
    Timestamps {
        last_access: mtime,
        last_modification: mtime,
    }
}
