//! What of a source is taken: whole files in the order of a walk, up to a limit; of a volume its
//! beginning.
//!
//! A snapshot takes the same, because its excludes are made here. What cannot be read is passed
//! over in silence: the snapshot tells of it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::vec;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::limits::{KIB, SEGMENT_LEN};
use crate::observe::Observer;
use crate::operations::bench::report::{SourceFacts, SourceKind};
use crate::operations::snapshot::VolumePlace;
use crate::pipeline::volume::Allocation;
use crate::pipeline::{ReadAt, cancelled};
use crate::sources::folder::{
    Excludes, FileKind, FolderHandle, FolderOptions, FolderSource, Found, SourceFile,
};
use crate::sources::volume::{self, Beginning, VolumeSource};
use crate::storage::scratch;

/// Most files that are taken, whatever their lengths: each is remembered.
const FILES_MAX: usize = 1 << 20;
/// Most pieces that a thread takes at a time.
const TASK_PIECES_MAX: usize = 256;
const READ_LEN: usize = 512 * KIB;
/// Files up to this long count as small ones.
pub(super) const SMALL_LEN: u64 = 64 * KIB as u64;

/// What was taken.
pub(super) struct Taken {
    pub facts: SourceFacts,
    pub data: Data,
    /// Entries of all kinds that were met.
    pub entries: u64,
    pieces: Vec<Piece>,
}

/// Where it lies.
pub(super) enum Data {
    Folder {
        source: Box<FolderSource>,
        options: FolderOptions,
        folders: Vec<FolderPath>,
        files: Vec<FileAt>,
    },
    Volume {
        source: Box<dyn VolumeSource>,
        place: VolumePlace,
        path: PathBuf,
    },
}

/// A file that was taken.
pub(super) struct FileAt {
    folder: usize,
    name: Vec<u8>,
    pub len: u64,
    has_holes: bool,
}

/// Bytes that are read in one go; of a volume the number of the file means nothing.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    file: usize,
    offset: u64,
    len: u64,
}

/// What a thread keeps while it reads.
#[derive(Default)]
pub(super) struct Reader {
    folder: Option<(usize, FolderHandle)>,
    file: Option<(usize, SourceFile)>,
    buffer: Vec<u8>,
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Its beginning.
    pub(super) fn shortened(self, len: u64) -> Self {
        let len = len.min(self.len);
        Self { len, ..self }
    }
}

impl Taken {
    /// Takes at most `limit` bytes of what is at `path`, for a run whose temporary area will be in
    /// the folder `medium`, and must not be part of what is taken.
    ///
    /// # Errors
    /// If nothing can be read there, nothing is within the limit, or the caller wants no more.
    pub(super) fn of(
        path: &Path,
        medium: &Path,
        limit: u64,
        observer: &dyn Observer,
    ) -> Result<Self> {
        if volume::is_device(path) {
            return Self::of_volume(path, limit);
        }
        let mut options = FolderOptions {
            excludes: Excludes {
                larger_than: Some(limit),
                ..Excludes::default()
            },
            ..FolderOptions::default()
        };
        if scratch::lies_below(medium, path) {
            options.excludes.patterns.push(scratch::pattern());
        }
        let source = FolderSource::open(path, options.clone())?;
        let root = source.root()?;
        let mut walk = Walk::new(&source, limit, observer);
        match root.stat.kind {
            FileKind::Folder => walk.run()?,
            FileKind::File if root.stat.len > limit => return Self::of_volume(path, limit),
            FileKind::File => walk.take_file(&FolderPath::root(), root),
            _ => {
                let place = Place::Path(path.to_owned());
                let detail = "is neither a folder nor a file nor a block device";
                return Err(Error::new(ErrorKind::InvalidInput, place, detail));
            }
        }
        let Walk {
            mut facts,
            folders,
            files,
            entries,
            ..
        } = walk;
        facts.path = Some(path.to_owned());
        if facts.kind == SourceKind::Folder {
            facts.folders = folders.len() as u64;
        }
        options.excludes.from = facts.ended_at.clone().map(FolderPath);
        let pieces = pieces_of_files(&files);
        let source = Box::new(FolderSource::open(path, options.clone())?);
        let taken = Self {
            facts,
            data: Data::Folder {
                source,
                options,
                folders,
                files,
            },
            entries,
            pieces,
        };
        taken.check_not_empty(path)
    }

    fn of_volume(path: &Path, limit: u64) -> Result<Self> {
        let source = volume::open_path(path)?;
        let len = source.len();
        let source: Box<dyn VolumeSource> = Box::new(Beginning::new(source, limit));
        let pieces = pieces_of_volume(&*source)?;
        let taken = Self {
            facts: SourceFacts {
                path: Some(path.to_owned()),
                kind: SourceKind::Volume,
                bytes: source.len(),
                bytes_left_out: len - source.len(),
                ..SourceFacts::default()
            },
            data: Data::Volume {
                place: VolumePlace::Beginning(path.to_owned(), limit),
                path: path.to_owned(),
                source,
            },
            entries: 1,
            pieces,
        };
        taken.check_not_empty(path)
    }

    fn check_not_empty(self, path: &Path) -> Result<Self> {
        if self.facts.bytes > 0 {
            return Ok(self);
        }
        let place = Place::Path(path.to_owned());
        let detail = match self.facts.files_left_out {
            0 => "holds no byte that could be measured",
            _ => "holds only files that are longer than the limit",
        };
        Err(Error::new(ErrorKind::InvalidInput, place, detail))
    }

    /// What threads take, each on its own: pieces that lie one after the other.
    pub(super) fn tasks(&self) -> Vec<&[Piece]> {
        self.tasks_where(|_| true)
    }

    /// The same, of small files alone; nothing for a volume.
    pub(super) fn small_tasks(&self) -> Vec<&[Piece]> {
        let Data::Folder { files, .. } = &self.data else {
            return Vec::new();
        };
        self.tasks_where(|piece| (1..=SMALL_LEN).contains(&files[piece.file].len))
    }

    fn tasks_where(&self, is_wanted: impl Fn(&Piece) -> bool) -> Vec<&[Piece]> {
        let mut tasks = Vec::new();
        for run in self.pieces.chunk_by(|a, b| is_wanted(a) == is_wanted(b)) {
            if !run.first().is_some_and(&is_wanted) {
                continue;
            }
            let mut rest = run;
            while !rest.is_empty() {
                let (mut count, mut len) = (0, 0);
                while count < rest.len().min(TASK_PIECES_MAX) && len < SEGMENT_LEN as u64 {
                    len += rest[count].len;
                    count += 1;
                }
                let (task, behind) = rest.split_at(count);
                tasks.push(task);
                rest = behind;
            }
        }
        tasks
    }

    /// Reads `pieces`, and gives the bytes to `sink` as they come; how many there were.
    pub(super) fn read(
        &self,
        reader: &mut Reader,
        pieces: &[Piece],
        sink: &mut dyn FnMut(&[u8]),
    ) -> u64 {
        let mut total = 0;
        for piece in pieces {
            // The snapshot tells of what cannot be read.
            total += self.read_piece(reader, piece, sink).unwrap_or(0);
        }
        reader.file = None;
        total
    }

    fn read_piece(
        &self,
        reader: &mut Reader,
        piece: &Piece,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<u64> {
        let mut buffer = std::mem::take(&mut reader.buffer);
        buffer.resize(READ_LEN, 0);
        let mut done = 0;
        while done < piece.len {
            let wanted = (piece.len - done).min(READ_LEN as u64) as usize;
            let at = piece.offset + done;
            let read = match &self.data {
                Data::Volume { source, .. } => source.read_at(at, &mut buffer[..wanted]),
                Data::Folder { .. } => self
                    .open(reader, piece.file)?
                    .read_at(at, &mut buffer[..wanted]),
            }?;
            if read == 0 {
                break;
            }
            sink(&buffer[..read]);
            done += read as u64;
        }
        reader.buffer = buffer;
        Ok(done)
    }

    /// The file of this number, opened unless it is the one that was read last.
    fn open<'r>(&self, reader: &'r mut Reader, number: usize) -> io::Result<&'r SourceFile> {
        let Data::Folder {
            source,
            folders,
            files,
            ..
        } = &self.data
        else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let file = &files[number];
        if reader.file.as_ref().is_none_or(|(open, _)| *open != number) {
            let parent = match file.name.is_empty() {
                true => None,
                false => Some(folder_of(reader, source, folders, file.folder)?),
            };
            let opened = source.open_file(parent.as_ref(), &file.name);
            reader.file = Some((number, opened.map_err(io::Error::other)?));
        }
        let open = reader.file.as_ref().map(|(_, file)| file);
        open.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Asks the kernel to forget what it has cached of all that was taken. Best effort.
    pub(super) fn drop_cached(&self, observer: &dyn Observer) -> Result<()> {
        let files = match &self.data {
            Data::Volume { path, .. } => return volume::drop_cached(path),
            Data::Folder { files, .. } => files,
        };
        let mut reader = Reader::default();
        for number in 0..files.len() {
            if number % TASK_PIECES_MAX == 0 && observer.is_cancelled() {
                return Err(cancelled());
            }
            if let Ok(file) = self.open(&mut reader, number) {
                let _ = file.drop_cached();
            }
        }
        Ok(())
    }

    /// Lists every folder that was entered, with the status of what lies in it; entries met.
    pub(super) fn list_folder(&self, number: usize) -> u64 {
        let Data::Folder {
            source, folders, ..
        } = &self.data
        else {
            return 0;
        };
        let listed = source
            .open_folder_at(&folders[number])
            .and_then(|folder| source.list(&folder));
        listed.map_or(0, |listing| listing.entries.len() as u64)
    }

    /// How many folders there are to list.
    pub(super) fn folder_count(&self) -> usize {
        match (&self.data, self.facts.kind) {
            (Data::Folder { folders, .. }, SourceKind::Folder | SourceKind::Generated) => {
                folders.len()
            }
            _ => 0,
        }
    }
}

fn folder_of(
    reader: &mut Reader,
    source: &FolderSource,
    folders: &[FolderPath],
    number: usize,
) -> io::Result<FolderHandle> {
    if let Some((open, handle)) = &reader.folder
        && *open == number
    {
        return Ok(handle.clone());
    }
    let opened = source.open_folder_at(&folders[number]);
    let handle = opened.map_err(io::Error::other)?;
    reader.folder = Some((number, handle.clone()));
    Ok(handle)
}

fn pieces_of_files(files: &[FileAt]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (number, file) in files.iter().enumerate() {
        // A hole is read at the speed of memory, and a snapshot reads none.
        if !file.has_holes {
            cut(number, 0..file.len, &mut pieces);
        }
    }
    pieces
}

fn pieces_of_volume(source: &dyn VolumeSource) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for allocated in source.allocation(0..source.len())? {
        if allocated.kind == Allocation::Data {
            cut(0, allocated.range, &mut pieces);
        }
    }
    Ok(pieces)
}

fn cut(file: usize, range: Range<u64>, into: &mut Vec<Piece>) {
    let mut offset = range.start;
    while offset < range.end {
        let len = (range.end - offset).min(SEGMENT_LEN as u64);
        into.push(Piece { file, offset, len });
        offset += len;
    }
}

/// A walk in the order of names.
struct Walk<'w> {
    source: &'w FolderSource,
    limit: u64,
    observer: &'w dyn Observer,
    facts: SourceFacts,
    folders: Vec<FolderPath>,
    files: Vec<FileAt>,
    entries: u64,
}

impl<'w> Walk<'w> {
    fn new(source: &'w FolderSource, limit: u64, observer: &'w dyn Observer) -> Self {
        Self {
            source,
            limit,
            observer,
            facts: SourceFacts {
                kind: SourceKind::File,
                ..SourceFacts::default()
            },
            folders: Vec::new(),
            files: Vec::new(),
            entries: 1,
        }
    }

    fn run(&mut self) -> Result<()> {
        self.facts.kind = SourceKind::Folder;
        let mut waiting = vec![self.enter(FolderPath::root())?];
        while let Some((path, entries)) = waiting.last_mut() {
            let Some(found) = entries.next() else {
                waiting.pop();
                continue;
            };
            match found.stat.kind {
                FileKind::Folder => {
                    let below = path.child(&found.name);
                    if let Ok(entered) = self.enter(below) {
                        waiting.push(entered);
                    }
                }
                FileKind::File if !self.fits(&found) => {
                    self.facts.ended_at = Some(path.child(&found.name).0);
                    return Ok(());
                }
                FileKind::File => {
                    let path = path.clone();
                    self.take_file(&path, found);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn fits(&self, found: &Found) -> bool {
        self.facts.bytes + found.stat.len <= self.limit && self.files.len() < FILES_MAX
    }

    fn enter(&mut self, path: FolderPath) -> Result<(FolderPath, vec::IntoIter<Found>)> {
        if self.observer.is_cancelled() {
            return Err(cancelled());
        }
        let folder = self.source.open_folder_at(&path)?;
        let listing = self.source.list(&folder)?;
        self.entries += listing.entries.len() as u64;
        self.facts.files_left_out += listing.excluded;
        self.folders.push(path.clone());
        Ok((path, listing.entries.into_iter()))
    }

    fn take_file(&mut self, folder: &FolderPath, found: Found) {
        if self.folders.is_empty() {
            self.folders.push(folder.clone());
        }
        // Folders are met in order; files of one come back after those of the folders in it.
        let number = match self.files.last() {
            Some(last) if self.folders[last.folder] == *folder => last.folder,
            _ => self
                .folders
                .iter()
                .rposition(|path| path == folder)
                .unwrap_or(0),
        };
        self.facts.files += 1;
        self.facts.bytes += found.stat.len;
        self.files.push(FileAt {
            folder: number,
            has_holes: found.stat.may_have_holes(),
            len: found.stat.len,
            name: found.name,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (name, len) in [
            ("a", 10),
            ("b/c", 20),
            ("b/d", 30),
            ("b/e", 5),
            ("c", 1),
            ("huge", 999),
        ] {
            let path = tree.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![1; len]).unwrap();
        }
        tree
    }

    fn elsewhere() -> &'static Path {
        Path::new("/proc")
    }

    fn read_all(taken: &Taken) -> u64 {
        let mut reader = Reader::default();
        let tasks = taken.tasks();
        let read = |task: &&[Piece]| taken.read(&mut reader, task, &mut |_| {});
        tasks.iter().map(read).sum()
    }

    #[test]
    fn whole_files_are_taken_in_order_until_the_limit_and_a_snapshot_would_take_the_same() {
        let tree = tree();
        let taken = Taken::of(tree.path(), elsewhere(), 40, &()).unwrap();
        assert_eq!((taken.facts.files, taken.facts.bytes), (2, 30));
        assert_eq!(taken.facts.ended_at, Some(b"b\0d".to_vec()));
        assert_eq!(taken.facts.files_left_out, 1);
        assert_eq!(read_all(&taken), 30);
        let Data::Folder { source, .. } = &taken.data else {
            panic!("a folder was taken");
        };
        let names = |path: &[u8]| -> Vec<Vec<u8>> {
            let folder = source.open_folder_at(&FolderPath(path.to_vec())).unwrap();
            let listing = source.list(&folder).unwrap();
            listing
                .entries
                .into_iter()
                .map(|found| found.name)
                .collect()
        };
        assert_eq!(names(b""), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(names(b"b"), [b"c".to_vec()]);
    }

    #[test]
    fn a_file_beyond_the_limit_is_read_from_its_beginning() {
        let tree = tree();
        let taken = Taken::of(&tree.path().join("huge"), elsewhere(), 100, &()).unwrap();
        assert_eq!(taken.facts.kind, SourceKind::Volume);
        assert_eq!((taken.facts.bytes, taken.facts.bytes_left_out), (100, 899));
        assert_eq!(read_all(&taken), 100);
        let whole = Taken::of(&tree.path().join("huge"), elsewhere(), 1_000, &()).unwrap();
        assert_eq!(
            (whole.facts.kind, read_all(&whole)),
            (SourceKind::File, 999)
        );
    }

    #[test]
    fn what_gives_nothing_to_measure_is_refused() {
        let tree = tree();
        std::fs::create_dir(tree.path().join("empty")).unwrap();
        let kind = |path: &Path, limit| {
            Taken::of(path, elsewhere(), limit, &())
                .err()
                .map(|e| e.kind())
        };
        let invalid = Some(ErrorKind::InvalidInput);
        assert_eq!(kind(&tree.path().join("empty"), 100), invalid);
        assert_eq!(kind(tree.path(), 0), invalid);
        assert_eq!(
            kind(&tree.path().join("gone"), 1),
            Some(ErrorKind::NotFound)
        );
    }

    #[test]
    fn temporary_areas_are_no_part_of_a_source() {
        let tree = tree();
        let area = scratch::ScratchArea::create(&tree.path().join("b")).unwrap();
        area.file("data").unwrap().write(&[1; 50]).unwrap();
        let taken = Taken::of(tree.path(), &tree.path().join("b"), 500, &()).unwrap();
        assert_eq!(taken.facts.bytes, 66);
    }
}
