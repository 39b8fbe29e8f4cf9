//! The bytes of one file or volume of a snapshot, in order.
//!
//! Of a volume nothing is made up: where it could not be read when it was captured, its bytes end.

use std::io::{self, Write};
use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, Extent, ExtentKind, Node};
use crate::format::id::ChunkId;
use crate::format::snapshot::{Root, Snapshot};
use crate::format::tree::TreeItem;
use crate::operations::select::{Selected, find, select};
use crate::operations::select_volume::{SelectedVolume, select_volume};
use crate::operations::walk;
use crate::operations::walk_volume::{Found, VolumeWalk};
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};

/// What holes are written from.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Writes the content of the file `path`, or of the volume or partition that it means, to `out`,
/// every byte verified; stops at the first that is lost. Follows hard links to their leader, not
/// symbolic links.
pub fn cat(
    repository: &Repository,
    snapshot: &Snapshot,
    path: &[u8],
    out: &mut dyn Write,
) -> Result<u64> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    if let Some(volume) = select_volume(snapshot, path)? {
        return cat_volume(&reader, &volume, out);
    }
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

fn cat_volume(
    reader: &ChunkReader<'_>,
    volume: &SelectedVolume<'_>,
    out: &mut dyn Write,
) -> Result<u64> {
    let (name, range) = (volume.name(), volume.range());
    let mut walk = VolumeWalk::new(reader, volume.root, range.clone())?;
    let mut at = range.start;
    while let Some(piece) = walk.next()? {
        let (begins, extent) = match piece.found {
            Found::Extent(begins, extent) => (begins, extent),
            Found::Lost(error) => return Err(unreadable(&name, &piece.range, error)),
        };
        at = piece.range.end;
        match extent.kind {
            ExtentKind::Chunk(id) => {
                let lost = |error| unreadable(&name, &piece.range, error);
                let bytes = whole_chunk(reader, id, extent.len).map_err(lost)?;
                let Range { start, end } = piece.range;
                out.write_all(&bytes[(start - begins) as usize..(end - begins) as usize])
                    .map_err(write_error)?;
            }
            ExtentKind::Hole | ExtentKind::Zero => {
                write_zeros(piece.range.end - piece.range.start, out)?;
            }
            ExtentKind::Unreadable => {
                let Range { start, end } = piece.range;
                let len = end - start;
                let detail =
                    format!("{len} bytes at {start} could not be read when it was captured");
                return Err(Error::new(ErrorKind::Damaged, walk::place(&name), detail));
            }
        }
    }
    if at < range.end {
        let error = Error::new(ErrorKind::Damaged, walk::place(&name), "ends too early");
        return Err(unreadable(&name, &(at..range.end), error));
    }
    Ok(range.end - range.start)
}

/// Bytes of a volume, counted from its first, that are lost.
fn unreadable(name: &[u8], range: &Range<u64>, error: Error) -> Error {
    let detail = format!(
        "{} bytes at {} cannot be read",
        range.end - range.start,
        range.start
    );
    Error::new(error.kind(), walk::place(name), detail).with_source(error)
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
    match extent.kind {
        ExtentKind::Chunk(id) => {
            let lost = |error: Error| {
                let detail = format!("{} bytes at {offset} cannot be read", extent.len);
                Error::new(error.kind(), walk::place(path), detail).with_source(error)
            };
            let bytes = whole_chunk(reader, id, extent.len).map_err(lost)?;
            out.write_all(&bytes).map_err(write_error)
        }
        ExtentKind::Hole | ExtentKind::Zero | ExtentKind::Unreadable => {
            write_zeros(extent.len, out)
        }
    }
}

/// A chunk, which must have the length that its extent says.
fn whole_chunk(reader: &ChunkReader<'_>, id: ChunkId, len: u64) -> Result<Vec<u8>> {
    let bytes = reader.chunk(&id)?;
    if bytes.len() as u64 == len {
        return Ok(bytes);
    }
    let detail = format!("expected {len} bytes, found {}", bytes.len());
    Err(Error::new(ErrorKind::Damaged, Place::Chunk(id), detail))
}

fn write_zeros(len: u64, out: &mut dyn Write) -> Result<()> {
    let mut left = len;
    while left > 0 {
        let len = left.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..len as usize]).map_err(write_error)?;
        left -= len;
    }
    Ok(())
}

fn write_error(error: io::Error) -> Error {
    Error::io(Place::Argument("output"), "cannot be written", error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::format::name::ObjectKind;
    use crate::format::volume::{LayoutInfo, PartitionInfo};
    use crate::storage::memory::MemoryBackend;
    use crate::storage::{Backend, ObjectInfo};
    use crate::testing::random::Random;
    use crate::testing::sample_repository::{self, SampleTree, flip_bit, small_frames, tree_path};
    use crate::testing::sample_volumes::{self, SampleVolume, Stretch};

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

    #[test]
    fn a_volume_and_a_partition_come_back_byte_for_byte_up_to_what_is_not_there() {
        let (first, second) = (Random::new(4).bytes(200_000), Random::new(5).bytes(300));
        let partition = |number, offset, len| PartitionInfo {
            number,
            offset,
            len,
            sound: 1,
            ..PartitionInfo::default()
        };
        let volume = SampleVolume {
            layout: LayoutInfo {
                partitions: vec![partition(1, 70_001, 132_000), partition(2, 202_300, 512)],
                ..LayoutInfo::default()
            },
            ..SampleVolume::new(vec![
                Stretch::Data(Arc::new(first.clone())),
                Stretch::Without(ExtentKind::Hole, 2_000),
                Stretch::Data(Arc::new(second.clone())),
                Stretch::Without(ExtentKind::Unreadable, 512),
            ])
        };
        let mut expected = [first, vec![0; 2_000], second].concat();
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let volumes = [("disk0", &volume)];
        let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
        let repository = sample_repository::open(backend);
        let mut out = Vec::new();
        let error = cat(&repository, &snapshot, b"", &mut out).unwrap_err();
        assert!(error.to_string().contains("512 bytes at 202300"), "{error}");
        assert!(out == expected, "nothing is written for what is not there");
        let mut out = Vec::new();
        assert!(cat(&repository, &snapshot, b"disk0/p2", &mut out).is_err());
        assert!(out.is_empty());
        let len = cat(&repository, &snapshot, b"disk0/p1", &mut out).unwrap();
        expected.drain(..70_001);
        assert_eq!(len, 132_000);
        assert!(out == expected[..132_000]);
    }

    #[test]
    fn of_a_volume_with_a_damaged_chunk_only_what_comes_before_is_written() {
        let bytes = Random::new(6).bytes(200_000);
        let volume = SampleVolume::new(vec![Stretch::Data(Arc::new(bytes.clone()))]);
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let volumes = [("disk0", &volume)];
        let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
        let packs = backend.list(ObjectKind::Pack).unwrap();
        let is_data = |info: &&ObjectInfo| info.name.to_string().ends_with(".data");
        let of_data = packs.iter().filter(is_data);
        let pack = of_data.max_by_key(|info| info.len).unwrap();
        flip_bit(&*backend, &pack.name, pack.len / 2);
        let repository = sample_repository::open(backend);
        let mut out = Vec::new();
        let error = cat(&repository, &snapshot, b"disk0", &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(out.len() < bytes.len() && bytes.starts_with(&out));
    }
}
