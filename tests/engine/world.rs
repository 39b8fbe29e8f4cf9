//! A small world that fits a crash test: a folder with a few files of every shape, a repository
//! with small chunks and packs, and a reader that takes back everything a snapshot holds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use blockstore::error::{Place, Result};
use blockstore::format::entry::{ExtentKind, Node, Timestamp, TreePath};
use blockstore::format::slot::Argon2Costs;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::snapshot::{SnapshotOptions, SnapshotReport, snapshot};
use blockstore::pipeline::budget::Budget;
use blockstore::repository::chunks::ChunkReader;
use blockstore::repository::keys::{SlotOptions, UnlockSecret};
use blockstore::repository::manifest::Tree;
use blockstore::repository::manifest::content::{ExtentCursor, ExtentStep};
use blockstore::repository::manifest::cursor::{Cursor, Step};
use blockstore::repository::session::SessionOptions;
use blockstore::repository::{CreateOptions, Repository};
use blockstore::storage::Backend;
use blockstore::storage::local::LocalBackend;
use blockstore::testing::random::Random;
use blockstore::testing::sim_disk::SimDisk;
use blockstore::transform::chunk::ChunkSizes;

/// Everything a snapshot says of every entry, content included, by path.
pub(crate) type Contents = BTreeMap<Vec<u8>, String>;

/// A folder on the real file system that is captured.
pub(crate) struct Source {
    folder: tempfile::TempDir,
}

impl Source {
    /// Files around every boundary of small chunks, and one entry of each other kind.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Self { folder };
        let mut random = Random::new(7);
        for (index, len) in [0, 1, 100, 2047, 2048, 2049, 8192, 32_768, 32_769]
            .into_iter()
            .enumerate()
        {
            source.write(&format!("sizes/{index}"), &random.bytes(len));
        }
        source.write("text", &b"to be or not to be, ".repeat(3000));
        source.write("large", &random.bytes(200_000));
        source.write("zeros", &vec![0; 50_000]);
        fs::create_dir_all(source.path().join("empty")).expect("a folder");
        fs::hard_link(source.path().join("text"), source.path().join("zz-link")).expect("a link");
        symlink("text", source.path().join("symlink")).expect("a symbolic link");
        source
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, contents: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("its folder");
        fs::write(path, contents).expect("writing a file");
    }

    /// Changes some of it, adds and removes some.
    pub(crate) fn change(&self) {
        let mut random = Random::new(8);
        self.write("sizes/3", &random.bytes(5000));
        self.write("new/file", &random.bytes(20_000));
        fs::remove_file(self.path().join("sizes/7")).expect("removing a file");
        let mut large = fs::read(self.path().join("large")).expect("reading a file");
        large[100_000] ^= 1;
        self.write("large", &large);
    }
}

pub(crate) fn secret() -> UnlockSecret {
    UnlockSecret::password("correct horse")
}

/// A clock that goes on by a second each time it is asked: snapshots are listed in their order.
fn clock() -> Timestamp {
    static SECONDS: AtomicI64 = AtomicI64::new(1_790_000_000);
    Timestamp {
        seconds: SECONDS.fetch_add(1, Ordering::Relaxed),
        nanoseconds: 0,
    }
}

/// Makes a repository with chunks of 2 to 32 KiB.
pub(crate) fn init(backend: Arc<dyn Backend>) -> Result<Repository> {
    let costs = Argon2Costs {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let options = CreateOptions {
        chunk_sizes: ChunkSizes::new(2048, 8192, 32_768).expect("valid sizes"),
        slot: SlotOptions {
            costs,
            label: String::new(),
        },
        ..CreateOptions::new(1_790_000_000)
    };
    Repository::create(backend, &secret(), &options)
}

/// The time, for tests of what is unchanged.
pub(crate) fn real_clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    Timestamp {
        seconds: since.as_secs() as i64,
        nanoseconds: since.subsec_nanos(),
    }
}

/// Captures `path` with packs of 48 KiB and an index run for every two of them.
pub(crate) fn capture(repository: &Repository, path: &Path) -> Result<SnapshotReport> {
    capture_at(repository, path, clock)
}

/// The same, at a time of the caller's.
pub(crate) fn capture_at(
    repository: &Repository,
    path: &Path,
    clock: fn() -> Timestamp,
) -> Result<SnapshotReport> {
    let options = SnapshotOptions {
        session: SessionOptions {
            pack_len_target: 48 * 1024,
            index_every_packs: 2,
            ..SessionOptions::default()
        },
        budget: Budget {
            threads: 2,
            segment_len: 64 * 1024,
            ..Budget::default()
        },
        ..SnapshotOptions::new(clock)
    };
    snapshot(repository, &[path.to_owned()], &options, &())
}

/// The local backend on a simulated disk.
pub(crate) fn create_on(disk: &SimDisk) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(LocalBackend::create_on(
        disk.clone(),
        Place::Repository,
    )?))
}

pub(crate) fn open_on(disk: &SimDisk) -> Result<Repository> {
    Repository::open(backend_on(disk)?, &secret())
}

/// The backend of a repository that is there.
pub(crate) fn backend_on(disk: &SimDisk) -> Result<Arc<dyn Backend>> {
    let backend = LocalBackend::open_on(disk.clone(), Place::Repository)?;
    Ok(Arc::new(backend))
}

/// Reads back everything of a snapshot; an entry that is damaged says so instead of its content.
pub(crate) fn read_back(repository: &Repository, snapshot: &Snapshot) -> Result<Contents> {
    let reader = ChunkReader::new(repository, 8 << 20)?;
    let mut contents = Contents::new();
    for root in &snapshot.roots {
        let mut cursor: Cursor<'_, Tree> =
            Cursor::new(&reader, root.page, root.level, TreePath::default());
        while let Some(step) = cursor.next()? {
            match step {
                Step::Item(item) => {
                    let path = item.path().to_bytes();
                    let said = match &item.entry.node {
                        Node::File(content) => match read_content(&reader, content) {
                            Ok(bytes) => format!("file {} {}", bytes.len(), blake3_of(&bytes)),
                            Err(error) => format!("damaged {error}"),
                        },
                        other => format!("{other:?}"),
                    };
                    contents.insert(path, format!("{:?} {said}", item.entry.metadata));
                }
                Step::Lost(page) => {
                    contents.insert(page.first.to_bytes(), format!("damaged {}", page.error));
                }
            }
        }
    }
    Ok(contents)
}

fn read_content(
    reader: &ChunkReader<'_>,
    content: &blockstore::format::entry::Content,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut extents = ExtentCursor::new(reader, content);
    while let Some(step) = extents.next()? {
        match step {
            ExtentStep::Extent(extent) => match extent.kind {
                ExtentKind::Chunk(id) => bytes.extend(reader.chunk(&id)?),
                _ => bytes.resize(bytes.len() + extent.len as usize, 0),
            },
            ExtentStep::Lost { error, .. } => return Err(error),
        }
    }
    Ok(bytes)
}

fn blake3_of(bytes: &[u8]) -> String {
    blockstore::transform::hash::IdKey::new([0; 32].into())
        .id_of(bytes)
        .to_string()
}

/// True if an entry was read back damaged.
pub(crate) fn is_damaged(said: &str) -> bool {
    said.starts_with("damaged") || said.contains("} damaged ")
}
