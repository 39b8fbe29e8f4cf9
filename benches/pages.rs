//! Manifests: pages are built, walked, and searched for one entry, in memory-backed repositories.

#![allow(missing_docs, reason = "criterion makes the entry point")]

use std::sync::Arc;

use blockstore::MemoryBackend;
use blockstore::Repository;
use blockstore::format::entry::{
    Content, Entry, Extent, ExtentKind, ExtentsRoot, FolderPath, Metadata, Node, TreePath,
};
use blockstore::format::id::{ChunkId, PageId};
use blockstore::repository::chunks::ChunkReader;
use blockstore::repository::manifest::Tree;
use blockstore::repository::manifest::builder::TreeBuilder;
use blockstore::repository::manifest::content::ExtentCursor;
use blockstore::repository::manifest::cursor::Cursor;
use blockstore::repository::manifest::extents::ExtentsBuilder;
use blockstore::repository::session::SessionOptions;
use blockstore::storage::Backend;
use blockstore::testing::{large_index, sample_repository};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const ENTRIES: u64 = 100_000;
const ENTRIES_PER_FOLDER: u64 = 100;
const CHUNK_LEN: u64 = 64 << 10;
const VOLUME_LEN: u64 = 64 << 30;
/// Plaintext of pages that a reader keeps: all of them.
const CACHE_LEN: usize = 256 << 20;
/// A step that meets every entry before it meets one twice.
const STRIDE: u64 = 7919;

/// How much is built: little where benches are only tried.
fn scaled(count: u64) -> u64 {
    let is_test = std::env::args().any(|argument| argument == "--test");
    if is_test { count / 100 } else { count }
}

struct Stored {
    backend: Arc<dyn Backend>,
    page: PageId,
    level: u8,
}

fn new_backend() -> (Arc<dyn Backend>, Repository) {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(Arc::clone(&backend));
    (backend, repository)
}

fn path_of(number: u64) -> TreePath {
    let folder = format!("d{:05}", number / ENTRIES_PER_FOLDER);
    TreePath {
        folder: FolderPath::root().child(folder.as_bytes()),
        name: format!("file {number:07}").into_bytes(),
    }
}

fn extent_of(number: u64) -> Extent {
    Extent {
        len: CHUNK_LEN,
        kind: ExtentKind::Chunk(large_index::id_of(number)),
    }
}

/// All entries of the tree, in order.
fn entries() -> Vec<(FolderPath, Entry)> {
    let entry = |path: TreePath, node| {
        let entry = Entry {
            name: path.name,
            metadata: Metadata::default(),
            node,
        };
        (path.folder, entry)
    };
    let files = scaled(ENTRIES);
    let folders = (0..files).step_by(ENTRIES_PER_FOLDER as usize);
    let folders = folders.map(|number| entry(path_of(number).folder.as_entry(), Node::Folder));
    let mut entries = vec![entry(TreePath::default(), Node::Folder)];
    entries.extend(folders);
    entries.extend((0..files).map(|number| {
        let content = Content::Inline(vec![extent_of(number)]);
        entry(path_of(number), Node::File(content))
    }));
    entries
}

fn build_tree(
    (backend, repository): (Arc<dyn Backend>, Repository),
    entries: &[(FolderPath, Entry)],
) -> Stored {
    sample_repository::with_pages(&repository, SessionOptions::default(), |store| {
        let mut builder = TreeBuilder::new();
        for (folder, entry) in entries {
            builder.push(folder, entry, store)?;
        }
        let root = builder.finish(store)?;
        Ok(Stored {
            backend,
            page: root.child.page,
            level: root.level,
        })
    })
}

fn tree(criterion: &mut Criterion) {
    let entries = entries();
    let mut group = criterion.benchmark_group("tree");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(entries.len() as u64));
    group.bench_function("build", |bencher| {
        bencher.iter_batched(
            new_backend,
            |new| build_tree(new, &entries),
            BatchSize::PerIteration,
        );
    });
    let stored = build_tree(new_backend(), &entries);
    let repository = sample_repository::open(Arc::clone(&stored.backend));
    let walk = |reader: &ChunkReader<'_>| {
        let start = TreePath::default();
        let mut cursor = Cursor::<Tree>::new(reader, stored.page, stored.level, start);
        let mut count = 0;
        while cursor.next().expect("memory can be read").is_some() {
            count += 1;
        }
        assert_eq!(count, entries.len());
    };
    group.bench_function("walk", |bencher| {
        bencher.iter_batched(
            || ChunkReader::new(&repository, 0).expect("the index loads"),
            |reader| walk(&reader),
            BatchSize::PerIteration,
        );
    });
    let reader = ChunkReader::new(&repository, CACHE_LEN).expect("the index loads");
    walk(&reader);
    group.throughput(Throughput::Elements(1));
    let mut number = 0;
    group.bench_function("find one", |bencher| {
        bencher.iter(|| {
            number = (number + STRIDE) % scaled(ENTRIES);
            let path = path_of(number);
            let mut cursor = Cursor::<Tree>::new(&reader, stored.page, stored.level, path);
            cursor.next().expect("memory can be read").is_some()
        });
    });
    group.finish();
}

fn build_extents((backend, repository): (Arc<dyn Backend>, Repository), ids: &[ChunkId]) -> Stored {
    sample_repository::with_pages(&repository, SessionOptions::default(), |store| {
        let mut builder = ExtentsBuilder::new();
        for id in ids {
            let kind = ExtentKind::Chunk(*id);
            let len = CHUNK_LEN;
            builder.push(Extent { len, kind }, store)?;
        }
        let root = builder.finish(store)?;
        Ok(Stored {
            backend,
            page: root.child.page,
            level: root.level,
        })
    })
}

fn extents(criterion: &mut Criterion) {
    let len = scaled(VOLUME_LEN / CHUNK_LEN) * CHUNK_LEN;
    let ids: Vec<_> = (0..len / CHUNK_LEN).map(large_index::id_of).collect();
    let mut group = criterion.benchmark_group("extents of a volume");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function("build", |bencher| {
        bencher.iter_batched(
            new_backend,
            |new| build_extents(new, &ids),
            BatchSize::PerIteration,
        );
    });
    let Stored {
        backend,
        page,
        level,
    } = build_extents(new_backend(), &ids);
    let repository = sample_repository::open(backend);
    let content = Content::Tree(ExtentsRoot { len, page, level });
    let walk = |reader: &ChunkReader<'_>| {
        let mut cursor = ExtentCursor::new(reader, &content);
        while cursor.next().expect("memory can be read").is_some() {}
        assert_eq!(cursor.offset(), len);
    };
    group.bench_function("walk", |bencher| {
        bencher.iter_batched(
            || ChunkReader::new(&repository, 0).expect("the index loads"),
            |reader| walk(&reader),
            BatchSize::PerIteration,
        );
    });
    let reader = ChunkReader::new(&repository, CACHE_LEN).expect("the index loads");
    walk(&reader);
    group.throughput(Throughput::Elements(1));
    let mut offset = 0;
    group.bench_function("find one", |bencher| {
        bencher.iter(|| {
            offset = (offset + STRIDE * CHUNK_LEN) % len;
            let mut cursor = ExtentCursor::new(&reader, &content);
            cursor.seek(offset).expect("memory can be read");
            cursor.next().expect("memory can be read").is_some()
        });
    });
    group.finish();
}

criterion_group!(pages, tree, extents);
criterion_main!(pages);
