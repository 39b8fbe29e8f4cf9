//! Folders are listed and files read by all threads: whoever lists a folder reads its files, and
//! what it leaves to others are subfolders and the pieces of large files.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Stat};

use super::frames::{FrameMaker, FrameRecord};
use super::{Floor, KEY, on_all_threads};

/// What is read at once, scanned and hashed while it is in the cache of a core.
const WINDOW_LEN: usize = 1 << 20;
/// Piece of a large file that one thread takes.
const PIECE_LEN: u64 = 8 << 20;
const NAMES_LEN: usize = 32 * 1024;
const ZEROS: [u8; 4096] = [0; 4096];

/// How deep the source is looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Every entry is asked for its metadata.
    Metadata,
    /// Every file is read.
    Contents,
}

/// What a source holds.
#[derive(Default)]
pub(super) struct Found {
    pub folders: Vec<Entry>,
    pub files: Vec<Entry>,
    pub links: Vec<(Entry, CString)>,
    pub chunks: Vec<Chunk>,
}

/// A name and the metadata that a restore sets.
pub(super) struct Entry {
    pub number: u32,
    /// Number of the folder that it is in.
    pub folder: u32,
    pub name: CString,
    pub stat: Stat,
}

/// A chunk in its place.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub id: [u8; 32],
    pub file: u32,
    pub offset: u64,
}

enum Work {
    Folder {
        parent: Arc<OwnedFd>,
        parent_number: u32,
        name: CString,
    },
    File {
        folder: Arc<OwnedFd>,
        name: CString,
    },
    Piece {
        file: Arc<OwnedFd>,
        number: u32,
        range: Range<u64>,
    },
}

/// What the threads share.
struct Walk<'f> {
    floor: &'f Floor,
    depth: Depth,
    work: Mutex<Vec<Work>>,
    /// Work that waits or is being done.
    pending: AtomicUsize,
    folders: AtomicU32,
    files: AtomicU32,
    /// Files of several names that were met.
    linked: Mutex<HashSet<(u64, u64)>>,
}

struct Reader<'w> {
    walk: &'w Walk<'w>,
    window: Vec<u8>,
    names: Vec<MaybeUninit<u8>>,
    found: Found,
    frames: FrameMaker<'w>,
}

/// Reads the source of `floor`.
pub(super) fn read(floor: &Floor, depth: Depth) -> io::Result<(Found, Vec<FrameRecord>)> {
    let walk = Walk {
        floor,
        depth,
        work: Mutex::default(),
        pending: AtomicUsize::new(0),
        folders: AtomicU32::new(0),
        files: AtomicU32::new(0),
        linked: Mutex::default(),
    };
    walk.begin()?;
    let parts = on_all_threads(floor.threads, || Reader::new(&walk).run())?;
    let (mut found, mut frames) = (Found::default(), Vec::new());
    for (part, part_frames) in parts {
        found.folders.extend(part.folders);
        found.files.extend(part.files);
        found.links.extend(part.links);
        found.chunks.extend(part.chunks);
        frames.extend(part_frames);
    }
    found.folders.sort_by_key(|folder| folder.number);
    found.files.sort_by_key(|file| file.number);
    Ok((found, frames))
}

impl Walk<'_> {
    fn begin(&self) -> io::Result<()> {
        let here = Arc::new(OwnedFd::from(File::open(".")?));
        let name = CString::new(self.floor.source.as_os_str().as_encoded_bytes())?;
        self.push(if self.floor.source.is_dir() {
            let parent = here;
            Work::Folder {
                parent,
                parent_number: 0,
                name,
            }
        } else {
            self.folders.store(1, Ordering::Relaxed);
            Work::File { folder: here, name }
        });
        Ok(())
    }

    fn push(&self, work: Work) {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.work.lock().expect("no thread panicked").push(work);
    }
}

impl<'w> Reader<'w> {
    fn new(walk: &'w Walk<'w>) -> Self {
        Self {
            walk,
            window: vec![0; WINDOW_LEN],
            names: vec![MaybeUninit::uninit(); NAMES_LEN],
            found: Found::default(),
            frames: FrameMaker::new(walk.floor),
        }
    }

    fn run(mut self) -> io::Result<(Found, Vec<FrameRecord>)> {
        while self.walk.pending.load(Ordering::Acquire) > 0 {
            let work = self.walk.work.lock().expect("no thread panicked").pop();
            let Some(work) = work else {
                std::thread::yield_now();
                continue;
            };
            let outcome = self.work_off(work);
            self.walk.pending.fetch_sub(1, Ordering::Release);
            outcome?;
        }
        Ok((self.found, self.frames.finish()?))
    }

    fn work_off(&mut self, work: Work) -> io::Result<()> {
        match work {
            Work::Folder {
                parent,
                parent_number,
                name,
            } => self.folder(&parent, parent_number, name),
            Work::File { folder, name } => self.file(&folder, 0, &name),
            Work::Piece {
                file,
                number,
                range,
            } => self.stream(&file, number, range),
        }
    }

    fn folder(&mut self, parent: &OwnedFd, parent_number: u32, name: CString) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = Arc::new(rustix::fs::openat(parent, &name, flags, Mode::empty())?);
        let number = self.walk.folders.fetch_add(1, Ordering::Relaxed);
        let stat = rustix::fs::fstat(&folder)?;
        self.found.folders.push(Entry {
            number,
            folder: parent_number,
            name,
            stat,
        });
        let mut names = std::mem::take(&mut self.names);
        let mut entries = RawDir::new(&*folder, &mut names);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match entry.file_type() {
                FileType::Directory => self.walk.push(Work::Folder {
                    parent: Arc::clone(&folder),
                    parent_number: number,
                    name: name.to_owned(),
                }),
                FileType::RegularFile if self.walk.depth == Depth::Contents => {
                    self.file(&folder, number, name)?;
                }
                kind => {
                    let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    if kind == FileType::Symlink {
                        self.link(&folder, number, name, stat)?;
                    }
                }
            }
        }
        self.names = names;
        Ok(())
    }

    fn link(&mut self, folder: &OwnedFd, in_: u32, name: &CStr, stat: Stat) -> io::Result<()> {
        let target = rustix::fs::readlinkat(folder, name, Vec::new())?;
        let entry = Entry {
            number: 0,
            folder: in_,
            name: name.to_owned(),
            stat,
        };
        self.found.links.push((entry, target));
        Ok(())
    }

    fn file(&mut self, folder: &OwnedFd, in_: u32, name: &CStr) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if stat.st_nlink > 1 && !self.walk.is_first_name(&stat) {
            return Ok(());
        }
        let number = self.walk.files.fetch_add(1, Ordering::Relaxed);
        self.found.files.push(Entry {
            number,
            folder: in_,
            name: name.to_owned(),
            stat,
        });
        let len = stat.st_size as u64;
        if len <= PIECE_LEN && !is_sparse(&stat) {
            return self.stream(&file, number, 0..len);
        }
        let file = Arc::new(file);
        for run in data_runs(&file, &stat)? {
            for start in run.clone().step_by(PIECE_LEN as usize) {
                self.walk.push(Work::Piece {
                    file: Arc::clone(&file),
                    number,
                    range: start..run.end.min(start + PIECE_LEN),
                });
            }
        }
        Ok(())
    }

    /// Cuts and hashes a range in one window, to whose front the rest of each reading goes.
    fn stream(&mut self, file: &OwnedFd, number: u32, range: Range<u64>) -> io::Result<()> {
        let (mut held, mut at) = (0, range.start);
        let mut ends = range.is_empty();
        while !ends {
            let room = (WINDOW_LEN - held).min((range.end - at) as usize);
            let read = rustix::io::pread(file, &mut self.window[held..held + room], at)?;
            (held, at) = (held + read, at + read as u64);
            ends = at == range.end || read == 0;
            let mut start = 0;
            while start < held {
                let rest = &self.window[start..held];
                let Some(len) = self.walk.floor.chunker.first_chunk(rest, ends) else {
                    break;
                };
                let offset = at - (held - start) as u64;
                self.chunk(number, offset, start..start + len)?;
                start += len;
            }
            self.window.copy_within(start..held, 0);
            held -= start;
        }
        Ok(())
    }

    fn chunk(&mut self, file: u32, offset: u64, range: Range<usize>) -> io::Result<()> {
        let bytes = &self.window[range];
        if bytes
            .chunks(ZEROS.len())
            .all(|part| *part == ZEROS[..part.len()])
        {
            return Ok(());
        }
        let id = *blake3::keyed_hash(&KEY, bytes).as_bytes();
        self.found.chunks.push(Chunk { id, file, offset });
        if self.walk.floor.known.insert(id) {
            self.frames.add(id, bytes)?;
        }
        Ok(())
    }
}

impl Walk<'_> {
    fn is_first_name(&self, stat: &Stat) -> bool {
        let mut linked = self.linked.lock().expect("no thread panicked");
        linked.insert((stat.st_dev, stat.st_ino))
    }
}

fn is_sparse(stat: &Stat) -> bool {
    stat.st_blocks * 512 < stat.st_size
}

fn data_runs(file: &OwnedFd, stat: &Stat) -> io::Result<Vec<Range<u64>>> {
    let len = stat.st_size as u64;
    if !is_sparse(stat) {
        return Ok(std::iter::once(0..len).collect());
    }
    let (mut runs, mut at) = (Vec::new(), 0);
    while at < len {
        let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) else {
            break; // nothing but a hole
        };
        at = rustix::fs::seek(file, SeekFrom::Hole(start))?;
        runs.push(start..at);
    }
    Ok(runs)
}
