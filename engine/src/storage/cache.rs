//! A folder of files that may vanish at any time: local copies that save reading the repository.
//!
//! Not a [`Backend`](crate::storage::Backend): nothing here is durable, nobody else writes here,
//! and whoever reads a file checks its content, since a crash may leave any bytes under a name.
//! Above: `repository::index`. Deliberately absent: flushes, and every notion of what the bytes mean.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, ErrorKind, Place, Result};

/// Tells programs that copy folders that this one can be left out (bford.info/cachedir).
const TAG_NAME: &str = "CACHEDIR.TAG";
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n";
/// End of the name of a file that is being written.
const UNFINISHED: &str = ".unfinished";
const WRITE_BUFFER_LEN: usize = 256 * 1024;

/// A folder for copies that can be made again.
#[derive(Clone, Debug)]
pub struct CacheFolder {
    path: PathBuf,
}

impl CacheFolder {
    /// Opens a folder, and makes it first if it is missing, for its owner alone.
    pub fn open(path: &Path) -> Result<Self> {
        let make = || -> io::Result<()> {
            make_folder(path)?;
            match new_file(&path.join(TAG_NAME)) {
                Ok(mut tag) => tag.write_all(TAG),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(error),
            }
        };
        let path = path.to_owned();
        make()
            .map(|()| Self { path: path.clone() })
            .map_err(|error| failed(&path, "cannot be used as a cache", &error))
    }

    /// A folder in this one.
    pub fn folder(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        make_folder(&path).map_err(|error| failed(&path, "cannot be made", &error))?;
        Ok(Self { path })
    }

    /// Names of all finished files, in no order. Files of writers that died go.
    pub fn names(&self) -> Result<Vec<String>> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let Ok(name) = entry?.file_name().into_string() else {
                    continue;
                };
                if name.ends_with(UNFINISHED) {
                    self.remove_if_abandoned(&name);
                } else {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().map_err(|error| failed(&self.path, "cannot be listed", &error))
    }

    /// Maps a file into memory.
    pub fn map(&self, name: &str) -> Result<Mapped> {
        let path = self.path.join(name);
        map_file(&path).map_err(|error| failed(&path, "cannot be mapped", &error))
    }

    /// Writes a file through `write`; readers see all of it under `name`, or nothing.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let unfinished = format!("{name}.{}{UNFINISHED}", std::process::id());
        let (path, unfinished) = (self.path.join(name), self.path.join(unfinished));
        let unwritable = |error| failed(&path, "cannot be written", &error);
        let file = new_file(&unfinished).map_err(unwritable)?;
        let fill = || -> io::Result<()> {
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            let mut out = BufWriter::with_capacity(WRITE_BUFFER_LEN, &file);
            write(&mut out)?;
            out.flush()?;
            fs::rename(&unfinished, &path)
        };
        fill().map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            unwritable(error)
        })
    }

    /// Removes a file, if it is there and may be removed.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
    }

    /// A writer holds a lock on what it writes.
    fn remove_if_abandoned(&self, name: &str) {
        let path = self.path.join(name);
        let Ok(file) = File::open(&path) else { return };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(&path);
        }
    }
}

/// A file in memory, page by page as it is touched.
#[derive(Debug)]
pub struct Mapped {
    map: Mmap,
    path: PathBuf,
}

impl Mapped {
    /// Removes the file; what is mapped stays readable.
    pub fn remove_file(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Lets go of the memory of a part; when it is looked at again it is read again.
    #[expect(
        unsafe_code,
        reason = "in general this advice may change what is mapped"
    )]
    pub fn give_back(&self, part: Range<usize>) {
        let part = part.start.min(self.map.len())..part.end.min(self.map.len());
        let advice = UncheckedAdvice::DontNeed;
        // SAFETY: the map is of a file, shared, and only read: the same bytes come back.
        let _ = unsafe {
            self.map
                .unchecked_advise_range(advice, part.start, part.len())
        };
    }
}

impl std::ops::Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

#[expect(unsafe_code, reason = "a mapped file can change under its reader")]
fn map_file(path: &Path) -> io::Result<Mapped> {
    let file = File::open(path)?;
    // SAFETY: files of a cache are written under another name and never changed after the rename;
    // the folder belongs to its owner alone. Whoever cuts a file short from outside ends this
    // process by a signal; no wrong byte is believed, because readers check what they read.
    let map = unsafe { Mmap::map(&file)? };
    let path = path.to_owned();
    Ok(Mapped { map, path })
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Error {
    let detail = format!("{what}: {error}");
    Error::new(ErrorKind::Io, Place::Path(path.to_owned()), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(temp: &tempfile::TempDir) -> CacheFolder {
        CacheFolder::open(&temp.path().join("a/cache")).unwrap()
    }

    #[test]
    fn a_file_reads_back_and_a_second_write_replaces_it_whole() {
        let temp = tempfile::tempdir().unwrap();
        let cache = folder(&temp);
        for content in ["first", "the second"] {
            cache
                .write("one", |out| out.write_all(content.as_bytes()))
                .unwrap();
            assert_eq!(&*cache.map("one").unwrap(), content.as_bytes());
        }
        cache.remove("one");
        assert!(cache.map("one").is_err());
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let cache = folder(&temp);
        let failing = |out: &mut dyn Write| {
            out.write_all(b"half")?;
            Err(io::Error::other("no"))
        };
        assert!(cache.write("one", failing).is_err());
        assert_eq!(cache.names().unwrap(), [TAG_NAME]);
    }

    #[test]
    fn what_a_dead_writer_left_goes_and_what_a_living_one_writes_stays() {
        let temp = tempfile::tempdir().unwrap();
        let cache = folder(&temp);
        let dead = cache.path.join(format!("x.1{UNFINISHED}"));
        fs::write(&dead, b"half").unwrap();
        cache
            .write("one", |out| {
                out.write_all(b"whole")?;
                assert_eq!(cache.names().unwrap(), [TAG_NAME]);
                Ok(())
            })
            .unwrap();
        assert!(!dead.exists());
        assert_eq!(&*cache.map("one").unwrap(), b"whole");
    }

    #[test]
    fn a_place_that_cannot_be_a_folder_is_an_error_that_names_it() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = CacheFolder::open(&file.join("cache")).unwrap_err();
        assert!(error.to_string().contains("file/cache"), "{error}");
    }
}
