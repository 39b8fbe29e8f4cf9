//! The bytes of one file of a snapshot, in order.

use std::io::Write;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, Extent, ExtentKind, Node};
use crate::format::snapshot::{Root, Snapshot};
use crate::format::tree::TreeItem;
use crate::operations::select::{Selected, find, select};
use crate::operations::walk;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};

/// What holes are written from.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Writes the content of the file `path` to `out`, every byte verified; stops at the first that is
/// lost. Follows hard links to their leader, not symbolic links.
pub fn cat(
    repository: &Repository,
    snapshot: &Snapshot,
    path: &[u8],
    out: &mut dyn Write,
) -> Result<u64> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    let Selected::Entry { root, item } = select(&reader, snapshot, path)? else {
        let detail = "give the path of one file";
        return Err(Error::new(
            ErrorKind::InvalidInput,
            Place::Argument("path"),
            detail,
        ));
    };
    let content = content_of(&reader, &snapshot.roots[root], item, path)?;
    let mut cursor = ExtentCursor::new(&reader, &content);
    let mut written = 0;
    while let Some(step) = cursor.next()? {
        let extent = match step {
            ExtentStep::Extent(extent) => extent,
            ExtentStep::Lost { len, error } => {
                let detail = format!("{len} bytes at {written} cannot be read");
                return Err(Error::new(error.kind(), walk::place(path), detail).with_source(error));
            }
        };
        write_extent(&reader, extent, path, written, out)?;
        written += extent.len;
    }
    Ok(written)
}

/// The content of a regular file; of a hard link, that of its leader.
fn content_of(
    reader: &ChunkReader<'_>,
    root: &Root,
    item: TreeItem,
    path: &[u8],
) -> Result<Content> {
    let node = match item.entry.node {
        Node::HardLink(leader) => {
            let found = find(reader, root, &leader)?;
            match found.map(|item| item.entry.node) {
                Some(node @ Node::File(_)) => node,
                _ => {
                    let detail = format!("is a hard link to {leader}, which is no file");
                    return Err(Error::new(ErrorKind::Damaged, walk::place(path), detail));
                }
            }
        }
        node => node,
    };
    match node {
        Node::File(content) => Ok(content),
        _ => {
            let detail = "is not a regular file";
            Err(Error::new(
                ErrorKind::InvalidInput,
                walk::place(path),
                detail,
            ))
        }
    }
}

fn write_extent(
    reader: &ChunkReader<'_>,
    extent: Extent,
    path: &[u8],
    offset: u64,
    out: &mut dyn Write,
) -> Result<()> {
    let write_error = |error| Error::io(Place::Argument("output"), "cannot be written", error);
    match extent.kind {
        ExtentKind::Chunk(id) => {
            let lost = |error: Error| {
                let detail = format!("{} bytes at {offset} cannot be read", extent.len);
                Error::new(error.kind(), walk::place(path), detail).with_source(error)
            };
            let bytes = reader.chunk(&id).map_err(lost)?;
            if bytes.len() as u64 != extent.len {
                let detail = format!("expected {} bytes, found {}", extent.len, bytes.len());
                let error = Error::new(ErrorKind::Damaged, Place::Chunk(id), detail);
                return Err(lost(error));
            }
            out.write_all(&bytes).map_err(write_error)
        }
        ExtentKind::Hole | ExtentKind::Zero | ExtentKind::Unreadable => {
            let mut left = extent.len;
            while left > 0 {
                let len = left.min(ZEROS.len() as u64);
                out.write_all(&ZEROS[..len as usize]).map_err(write_error)?;
                left -= len;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::random::Random;
    use crate::testing::sample_repository::{self, SampleTree, flip_bit, small_frames, tree_path};

    #[test]
    fn files_long_short_empty_and_linked_come_back_byte_for_byte() {
        let mut long = Random::new(1).bytes(3 << 20);
        long[700_000..1_900_000].fill(0);
        let mut tree = SampleTree::new();
        tree.file("long", long.clone())
            .file("short", b"short".to_vec())
            .file("empty", Vec::new())
            .node("z-link", Node::HardLink(tree_path("long")))
            .node("symlink", Node::Symlink(b"long".to_vec()));
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        let repository = sample_repository::open(backend.clone());
        let read = |path: &str| {
            let mut out = Vec::new();
            cat(&repository, &snapshot, path.as_bytes(), &mut out).map(|len| (len, out))
        };
        for (path, content) in [
            ("/r/long", &long[..]),
            ("/r/short", b"short"),
            ("empty", b""),
            ("z-link", &long),
        ] {
            let (len, out) = read(path).unwrap();
            assert!(out == content && len == content.len() as u64, "{path}");
        }
        for path in ["", "/r", "symlink"] {
            let error = read(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
        }

        let id = repository.keys().chunk_id().id_of(b"short");
        let copy = repository.index().unwrap().locate(&id).next().unwrap();
        flip_bit(&*backend, &copy.pack.name(), copy.frame.offset);
        let error = read("short").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(walk::with_causes(&error).contains(&copy.pack.name().to_string()));
        assert_eq!(read("long").unwrap().1, long);
    }
}
