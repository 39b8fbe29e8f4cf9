//! A small repository in memory that holds one of everything, and what it holds in the clear.
//!
//! Made once, under the [keys] of tests, and copied by whoever wants to damage it. Two runs differ
//! in salts and session ids alone: the same input does the same damage. Made on one thread and
//! without the pipeline, so that a fuzzer has no thread to wait for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::LazyLock;

use crate::error::Result;
use crate::format::entry::Content;
use crate::format::entry::Entry;
use crate::format::entry::Extent;
use crate::format::entry::ExtentKind;
use crate::format::entry::FolderPath;
use crate::format::entry::Metadata;
use crate::format::entry::Node;
use crate::format::entry::Owner;
use crate::format::entry::Timestamp;
use crate::format::entry::TreePath;
use crate::format::entry::Xattr;
use crate::format::id::ChunkId;
use crate::format::id::SessionId;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::format::name::PackClass;
use crate::format::page::mark_of;
use crate::format::record;
use crate::format::record::RecordKind;
use crate::format::scan::Seen;
use crate::format::slot::Argon2Costs;
use crate::format::snapshot::Consistency;
use crate::format::snapshot::PageRoot;
use crate::format::snapshot::Root;
use crate::format::snapshot::Snapshot;
use crate::format::snapshot::SnapshotKind;
use crate::format::snapshot::SnapshotProblem;
use crate::format::snapshot::Totals;
use crate::format::snapshot::Tracking;
use crate::format::volume::DIVISION;
use crate::format::volume::LayoutInfo;
use crate::format::volume::MediumInfo;
use crate::format::volume::VolumeInfo;
use crate::limits::EXTENTS_PAGE_ENTRIES_MEAN;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::frame_writer::FrameWriter;
use crate::repository::keys as repository_keys;
use crate::repository::keys::SlotOptions;
use crate::repository::manifest::builder::PageStore;
use crate::repository::manifest::builder::ScanBuilder;
use crate::repository::manifest::builder::TreeBuilder;
use crate::repository::manifest::cuts::CutsBuilder;
use crate::repository::manifest::extents::ContentBuilder;
use crate::repository::session::Session;
use crate::repository::session::SessionOptions;
use crate::repository::session::Writer;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::keys;
use crate::testing::random::Random;

/// The kinds in the order in which objects are numbered.
const KINDS: [ObjectKind; 6] = [
    ObjectKind::Config,
    ObjectKind::Key,
    ObjectKind::Intent,
    ObjectKind::Pack,
    ObjectKind::Index,
    ObjectKind::Snapshot,
];
/// Enough names for several leaves and an inner page.
const MANY: usize = 250;
/// Enough extents for a content that is a tree of two leaves.
const LONG: usize = 130;
/// Enough cuts that several of them may end a leaf.
const CUTS: u64 = 20_000;
/// One extent in so many ends a leaf that is long enough.
const ENDING_ONE_IN: usize = 40;

/// What was stored.
#[derive(Debug)]
pub struct Prepared {
    /// Every object, by kind and then by the order in which sessions ran.
    pub objects: Vec<(ObjectName, Arc<[u8]>)>,
    /// Every chunk.
    pub chunks: HashMap<ChunkId, Vec<u8>>,
    /// Every page, in the order of its plaintext.
    pub pages: Vec<Vec<u8>>,
}

/// The repository, made when it is first asked for.
pub fn prepared() -> &'static Prepared {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| prepare().expect("an undamaged repository in memory takes everything"));
    &PREPARED
}

fn prepare() -> Result<Prepared> {
    let backend = Arc::new(MemoryBackend::new());
    put_slot_and_config(&backend)?;
    let mut chunks = HashMap::new();
    let mut order = Vec::new();
    for round in 0..2 {
        let repository = Repository::open(backend.clone(), &keys::key_file())?;
        order.push(run_session(&repository, round, &mut chunks)?);
    }
    let repository = Repository::open(backend.clone(), &keys::key_file())?;
    let pages = all_pages(&repository)?;
    let mut objects = Vec::new();
    for kind in KINDS {
        let mut names: Vec<_> = backend.list(kind)?.iter().map(|info| info.name).collect();
        names.sort_by_key(|name| order.iter().position(|id| name.to_string().contains(id)));
        for name in names {
            objects.push((name, backend.get(&name)?.into()));
        }
    }
    Ok(Prepared {
        objects,
        chunks,
        pages,
    })
}

pub(crate) fn put_slot_and_config(backend: &MemoryBackend) -> Result<()> {
    let (bundle, config, keys) = (keys::bundle(), keys::config(), keys::keys());
    let costs = Argon2Costs {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let options = SlotOptions {
        costs,
        label: "prepared".to_owned(),
    };
    let secret = keys::key_file();
    let slot = repository_keys::make_slot(&bundle, &config, keys::SLOT, &secret, &options, 0)?;
    backend.put(&ObjectName::Key(keys::SLOT), &slot)?;
    let tag = |tagged: &[u8]| keys.config_tag(tagged);
    let record = record::encode(RecordKind::Config, &config.encode(), tag);
    backend.put(&ObjectName::Config(1), &record)
}

/// One snapshot of a folder and a volume; gives the session's id as it stands in names.
fn run_session(
    repository: &Repository,
    round: u64,
    chunks: &mut HashMap<ChunkId, Vec<u8>>,
) -> Result<String> {
    let writer = Writer {
        host: "host".to_owned(),
        user: "user".to_owned(),
        process: 1,
        started: timestamp(),
    };
    let options = SessionOptions {
        pack_len_target: 16 * 1024,
        index_every_packs: 2,
        ..SessionOptions::default()
    };
    let session = Session::begin(repository, &writer, options)?;
    let id = session.id();
    let mut data = FrameWriter::new(&session, PackClass::Data, 1);
    let meta = FrameWriter::new(&session, PackClass::Meta, 1);
    let mut pages = PageStore::new(meta, repository.keys());
    let mut contents = Contents {
        random: Random::new(round),
        data: &mut data,
        chunks,
    };
    let tree = store_tree(&mut contents, &mut pages)?;
    contents.random = Random::new(u64::MAX); // the volume did not change in between
    let volume = store_volume(&mut contents, &mut pages)?;
    data.flush()?;
    pages.finish()?;
    let snapshot = snapshot_of(id, vec![tree, volume]);
    session.commit(snapshot)?.expect_stands();
    Ok(id.to_string())
}

/// Stores chunks and remembers them.
struct Contents<'a, 's> {
    random: Random,
    data: &'a mut FrameWriter<'s>,
    chunks: &'a mut HashMap<ChunkId, Vec<u8>>,
}

impl Contents<'_, '_> {
    fn extent(&mut self, len: usize, ends_leaf: bool) -> Result<Extent> {
        let (bytes, id) = loop {
            let half = self.random.bytes(len / 2);
            let bytes = [half, vec![b'x'; len - len / 2]].concat();
            let id = self.data.id_key().id_of(&bytes);
            if mark_of(&id.0).is_multiple_of(EXTENTS_PAGE_ENTRIES_MEAN) == ends_leaf {
                break (bytes, id);
            }
        };
        self.data.store(id, &bytes)?;
        self.chunks.insert(id, bytes);
        let kind = ExtentKind::Chunk(id);
        Ok(Extent {
            len: len as u64,
            kind,
        })
    }

    /// A content of `count` chunks with a hole and a run of zeros behind them.
    fn content(&mut self, count: usize, pages: &mut PageStore<'_>) -> Result<Content> {
        let mut builder = ContentBuilder::default();
        for index in 0..count {
            let ends_leaf = index % ENDING_ONE_IN == ENDING_ONE_IN - 1;
            let extent = self.extent(20 + index % 50, ends_leaf)?;
            builder.push(extent, pages)?;
        }
        for kind in [ExtentKind::Hole, ExtentKind::Zero, ExtentKind::Unreadable] {
            builder.push(Extent { len: 5000, kind }, pages)?;
        }
        builder.finish(pages)
    }
}

fn store_tree(contents: &mut Contents<'_, '_>, pages: &mut PageStore<'_>) -> Result<Root> {
    let (root, many) = (FolderPath::root(), FolderPath::root().child(b"many"));
    let (short, long) = (contents.content(3, pages)?, contents.content(LONG, pages)?);
    let leader = TreePath::new(root.clone(), "long");
    let mut entries = vec![
        (root.clone(), entry("", Node::Folder)),
        (
            root.clone(),
            entry("empty", Node::File(Content::Inline(Vec::new()))),
        ),
        (root.clone(), entry("fifo", Node::Fifo)),
        (root.clone(), entry("long", Node::File(long.clone()))),
        (root.clone(), entry("many", Node::Folder)),
        (root.clone(), entry("short", Node::File(short))),
        (
            root.clone(),
            entry("symlink", Node::Symlink(b"long".to_vec())),
        ),
        (root, entry("twin", Node::HardLink(leader))),
    ];
    for index in 0..MANY {
        let file = Node::File(contents.content(usize::from(index % 100 == 0), pages)?);
        entries.push((many.clone(), entry(&format!("{index:04}"), file)));
    }
    let (mut tree, mut scan) = (TreeBuilder::new(), ScanBuilder::new());
    for (folder, entry) in &entries {
        tree.push(folder, entry, pages)?;
        let seen = Seen {
            ctime: timestamp(),
            inode: 7,
            racy: false,
        };
        scan.push(folder, &entry.name, &seen, pages)?;
    }
    let (tree, scan) = (tree.finish(pages)?, scan.finish(pages)?);
    let page_root = |page, level| PageRoot { page, level };
    let at = page_root(tree.child.page, tree.level);
    let scan = page_root(scan.child.page, scan.level);
    let (entries, bytes) = (tree.child.entries, tree.child.bytes);
    Ok(Root {
        scan: Some(scan),
        ..Root::folder(b"/home".to_vec(), at, entries, bytes)
    })
}

fn store_volume(contents: &mut Contents<'_, '_>, pages: &mut PageStore<'_>) -> Result<Root> {
    let Content::Tree(root) = contents.content(LONG, pages)? else {
        unreachable!("a content of so many extents is long")
    };
    let at = PageRoot {
        page: root.page,
        level: root.level,
    };
    let volume = VolumeInfo {
        division: DIVISION,
        fixed_len: 0,
        cuts: store_cuts(pages)?,
        tracking: Tracking::Full,
        tracking_reason: "there is no earlier one".to_owned(),
        unreadable_bytes: 0,
        medium: MediumInfo::default(),
        layout: LayoutInfo::default(),
    };
    Ok(Root {
        volume: Some(volume),
        ..Root::volume(b"disk0".to_vec(), at, root.len)
    })
}

/// Cuts of two leaves at least.
fn store_cuts(pages: &mut PageStore<'_>) -> Result<Option<PageRoot>> {
    let mut builder = CutsBuilder::new();
    (1..CUTS).try_for_each(|number| builder.push(number * number, pages))?;
    let built = builder.finish(pages)?.root;
    Ok(built.map(|built| PageRoot {
        page: built.child.page,
        level: built.level,
    }))
}

fn entry(name: &str, node: Node) -> Entry {
    let owner = Owner {
        uid: 1000,
        gid: 100,
        user: b"user".to_vec(),
        group: b"users".to_vec(),
    };
    let xattrs = match node {
        Node::Folder => vec![Xattr {
            name: b"user.comment".to_vec(),
            value: b"kept".to_vec(),
        }],
        _ => Vec::new(),
    };
    let metadata = Metadata {
        mode: 0o755,
        owner: owner.into(),
        mtime: timestamp(),
        xattrs,
    };
    Entry {
        name: name.into(),
        metadata,
        node,
    }
}

fn timestamp() -> Timestamp {
    Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 5,
    }
}

/// A snapshot of these roots, with something in every field.
pub fn snapshot_of(session: SessionId, roots: Vec<Root>) -> Snapshot {
    let problem = SnapshotProblem {
        kind: 1,
        subject: b"/home/secret".to_vec(),
        detail: "permission denied".to_owned(),
    };
    Snapshot {
        session,
        kind: SnapshotKind::Machine,
        roots,
        begun: timestamp(),
        ended: timestamp(),
        host: "host".to_owned(),
        user: "user".to_owned(),
        tags: vec!["daily".to_owned(), "office".to_owned()],
        program: "blockstore 0.1.0".to_owned(),
        parent: Some(keys::SESSION),
        tracking: Tracking::Full,
        tracking_reason: "first".to_owned(),
        consistency: Consistency::Files,
        problems: vec![problem],
        problem_count: 1,
        totals: Totals::default(),
        base: 0,
        sequence: 1,
    }
}

fn all_pages(repository: &Repository) -> Result<Vec<Vec<u8>>> {
    let reader = ChunkReader::new(repository, 1 << 20)?;
    let index = repository.index()?;
    let meta = index
        .locations()
        .filter(|(_, at)| at.pack.class == PackClass::Meta);
    let mut pages = meta
        .map(|(id, _)| reader.page(&id))
        .collect::<Result<Vec<_>>>()?;
    pages.sort();
    pages.dedup();
    Ok(pages)
}
