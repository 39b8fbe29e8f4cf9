//! The format made visible: objects, packs, index runs and pages, decoded for a person.
//!
//! Everything shown was verified as a reader would; what does not decode is the error. Deliberately
//! absent: contents of files, and every secret.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::Decoded;
use crate::format::boot::Boot;
use crate::format::config::Config;
use crate::format::cuts;
use crate::format::entry::{Content, Entry, ExtentKind, Node, TreePath};
use crate::format::envelope::SealedKind;
use crate::format::extents;
use crate::format::id::{ChunkId, PageId, SessionId};
use crate::format::index_run::IndexRun;
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::page::{PageHead, PageType};
use crate::format::prune::PruneRecord;
use crate::format::record::{Record, RecordKind};
use crate::format::retention::{Protection, Tombstone};
use crate::format::scan;
use crate::format::slot::{Slot, WayIn};
use crate::format::snapshot::{Intent, Snapshot};
use crate::format::table::TableName;
use crate::format::tree;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::object::{self, OpenedObject};
use crate::storage::ObjectInfo;

/// Something decoded: single values, then a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What it is.
    pub title: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// Rows of names and values; all rows of one inspection have the same names.
    pub rows: Vec<Vec<(String, String)>>,
}

impl Inspection {
    fn new(title: impl ToString) -> Self {
        Self {
            title: title.to_string(),
            ..Self::default()
        }
    }

    fn field(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }

    fn row<const N: usize>(&mut self, cells: [(&str, String); N]) {
        let cells = cells.map(|(name, value)| (name.to_owned(), value));
        self.rows.push(cells.into());
    }
}

/// Decodes the object `name`: its name, or the beginning of it if no other begins so.
pub fn object(repository: &Repository, name: &str) -> Result<Inspection> {
    let info = find_object(repository, name)?;
    let bytes = repository.backend().get(&info.name)?;
    match info.name.kind() {
        ObjectKind::Config => shown(&info, config(&bytes)),
        ObjectKind::Key => shown(&info, slot(&bytes)),
        _ => sealed(repository, &info, &bytes),
    }
}

/// Decodes the page `id`: an id, or the beginning of it if no other page begins so.
pub fn page(repository: &Repository, id: &str) -> Result<Inspection> {
    let id = find_page(repository, id)?;
    let reader = ChunkReader::new(repository, 0)?;
    let bytes = reader.page(&id)?;
    let mut inspection = Inspection::new(format!("page {id}"));
    for copy in reader.locate(&id)? {
        inspection.field("pack", copy.pack.name());
        inspection.field("frame offset", copy.frame.offset);
    }
    inspection.field("length", bytes.len());
    page_body(&mut inspection, &bytes)
        .map_err(|error| Error::new(ErrorKind::Damaged, Place::Chunk(id), error.to_string()))?;
    Ok(inspection)
}

fn find_object(repository: &Repository, text: &str) -> Result<ObjectInfo> {
    let mut found = Vec::new();
    for kind in ObjectKind::ALL {
        let prefix_fits = match text.split_once('/') {
            Some((folder, _)) => folder == kind.folder(),
            None => kind.folder().starts_with(text),
        };
        if prefix_fits {
            let listed = repository.backend().list(kind)?.into_iter();
            found.extend(listed.filter(|info| info.name.to_string().starts_with(text)));
        }
    }
    if let Some(exact) = found.iter().find(|info| info.name.to_string() == text) {
        return Ok(*exact);
    }
    only(found, text, "object")
}

fn find_page(repository: &Repository, text: &str) -> Result<PageId> {
    if let Ok(id) = text.parse() {
        return Ok(id); // it may lie in a pack that the index does not know
    }
    let pages = repository.index()?.locations();
    let pages = pages.filter(|(_, copy)| copy.pack.class == PackClass::Meta);
    let mut found: Vec<ChunkId> = pages
        .map(|(id, _)| id)
        .filter(|id| id.to_string().starts_with(text))
        .collect();
    found.dedup();
    repository.index()?.ensure_whole()?;
    only(found, text, "page")
}

fn only<T>(mut found: Vec<T>, text: &str, what: &'static str) -> Result<T> {
    let place = Place::Argument(what);
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) => {
            let detail = format!("none begins with {text:?}");
            Err(Error::new(ErrorKind::NotFound, place, detail))
        }
        (count, _) => {
            let detail = format!("{count} begin with {text:?}; give more of it");
            Err(Error::new(ErrorKind::InvalidInput, place, detail))
        }
    }
}

fn shown(info: &ObjectInfo, decoded: Decoded<Inspection>) -> Result<Inspection> {
    let mut inspection = decoded.map_err(|error| object::damaged(&info.name, error))?;
    inspection.title = info.name.to_string();
    Ok(inspection)
}

fn config(bytes: &[u8]) -> Decoded<Inspection> {
    let config = Config::decode(Record::decode(bytes, RecordKind::Config)?.body)?;
    let mut inspection = Inspection::default();
    inspection
        .field("repository", config.repository)
        .field("created", config.created)
        .field("chunk length, shortest", config.chunk_len_min)
        .field("chunk length, average", config.chunk_len_avg)
        .field("chunk length, longest", config.chunk_len_max)
        .field("AEAD", config.aead)
        .field("abilities", format!("{:#x}", config.abilities))
        .field("epoch", config.epoch);
    Ok(inspection)
}

/// What anyone may see of a slot: neither its salt nor the sealed secrets are shown.
fn slot(bytes: &[u8]) -> Decoded<Inspection> {
    let slot = Slot::decode(Record::decode(bytes, RecordKind::Slot)?.body)?;
    let mut inspection = Inspection::default();
    match slot.way {
        WayIn::KeyFile => inspection.field("way in", "key file"),
        WayIn::Password(costs) => inspection
            .field("way in", "password")
            .field("Argon2id memory, KiB", costs.memory_kib)
            .field("Argon2id passes", costs.passes)
            .field("Argon2id lanes", costs.lanes),
    };
    inspection
        .field("AEAD", slot.aead)
        .field("created", slot.created)
        .field("label", slot.label);
    Ok(inspection)
}

fn sealed(repository: &Repository, info: &ObjectInfo, bytes: &[u8]) -> Result<Inspection> {
    let keys = repository.keys();
    let opened = object::open_bytes(keys, &info.name, bytes)?;
    object::verify_blocks(&opened, bytes)?;
    let mut inspection = Inspection::new(info.name);
    inspection
        .field("kind", format!("{:?}", opened.header.kind))
        .field("length", info.len)
        .field("AEAD", opened.header.aead)
        .field("epoch", opened.header.epoch)
        .field("blocks", opened.trailer.block_hashes.len())
        .field("table offset", opened.trailer.table_offset)
        .field("table length", opened.trailer.table_len)
        .field("frames", opened.table.frames.len());
    if opened.header.kind.is_pack() {
        pack(&mut inspection, &opened);
        return Ok(inspection);
    }
    let payload = object::payload(keys, &opened, bytes)?;
    inspection.field("payload length", payload.len());
    payload_fields(&mut inspection, opened.header.kind, &info.name, &payload)
        .map_err(|error| object::damaged(&info.name, error))?;
    Ok(inspection)
}

fn pack(inspection: &mut Inspection, opened: &OpenedObject) {
    inspection
        .field("origins", opened.table.origins.len())
        .field("chunks", opened.table.chunks.len());
    let mut chunks = opened.table.chunks.iter();
    for (number, frame) in opened.table.frames.iter().enumerate() {
        for chunk in chunks.by_ref().take(frame.chunk_count as usize) {
            inspection.row([
                ("frame", number.to_string()),
                ("offset", frame.offset.to_string()),
                ("stored", frame.stored_len.to_string()),
                ("plain", frame.plain_len.to_string()),
                ("codec", format!("{:?}", frame.codec)),
                ("origin", frame.origin.to_string()),
                ("id", chunk.id.to_string()),
                ("length", chunk.len.to_string()),
            ]);
        }
    }
}

fn payload_fields(
    inspection: &mut Inspection,
    kind: SealedKind,
    name: &ObjectName,
    payload: &[u8],
) -> Decoded<()> {
    let session = TableName::of(name).session;
    match kind {
        SealedKind::IndexRun => {
            index_run(inspection, &IndexRun::decode(payload, TableName::of(name))?);
        }
        SealedKind::Commit => snapshot(inspection, &Snapshot::decode(payload, session)?),
        SealedKind::Intent => intent(inspection, &Intent::decode(payload, session)?),
        SealedKind::Tombstone => tombstone(inspection, &Tombstone::decode(payload, session)?),
        SealedKind::Protection => protection(inspection, &Protection::decode(payload, session)?),
        SealedKind::Boot => boot(inspection, &Boot::decode(payload, session)?),
        SealedKind::PrunePlan | SealedKind::PruneSeal => {
            let number = TableName::of(name).number;
            prune_record(inspection, &PruneRecord::decode(payload, number)?);
        }
        SealedKind::Abort | SealedKind::PruneDone | SealedKind::DataPack | SealedKind::MetaPack => {
        }
    }
    Ok(())
}

fn index_run(inspection: &mut Inspection, run: &IndexRun) {
    inspection
        .field("packs", run.packs.len())
        .field("origins", run.origins.len())
        .field("frames in packs", run.frames.len())
        .field("entries", run.entries.len());
    for entry in &run.entries {
        let frame = &run.frames[entry.frame as usize];
        inspection.row([
            ("id", entry.id.to_string()),
            ("pack", run.packs[frame.pack as usize].name().to_string()),
            ("frame offset", frame.offset.to_string()),
            ("offset", entry.offset.to_string()),
            ("length", entry.len.to_string()),
        ]);
    }
}

fn snapshot(inspection: &mut Inspection, snapshot: &Snapshot) {
    let parent = snapshot.parent.as_ref().map(SessionId::to_string);
    inspection
        .field("captured", format!("{:?}", snapshot.kind))
        .field("begun", snapshot.begun.seconds)
        .field("ended", snapshot.ended.seconds)
        .field("host", &snapshot.host)
        .field("user", &snapshot.user)
        .field("tags", snapshot.tags.join(" "))
        .field("program", &snapshot.program)
        .field("parent", parent.unwrap_or_else(|| "none".to_owned()))
        .field("tracking", format!("{:?}", snapshot.tracking))
        .field("because", &snapshot.tracking_reason)
        .field("consistency", format!("{:?}", snapshot.consistency))
        .field("problems", snapshot.problem_count)
        .field("base", snapshot.base)
        .field("sequence", snapshot.sequence);
    for root in &snapshot.roots {
        let scan = root.scan.map(|scan| scan.page.to_string());
        let cuts = root.volume.as_ref().and_then(|volume| volume.cuts);
        let origin = root.origin.as_deref().unwrap_or_default();
        inspection.row([
            ("root", root.name.escape_ascii().to_string()),
            ("type", format!("{:?}", root.root_type)),
            ("page", root.page.to_string()),
            ("level", root.level.to_string()),
            ("entries", root.entries.to_string()),
            ("bytes", root.bytes.to_string()),
            ("scan", scan.unwrap_or_default()),
            (
                "cuts",
                cuts.map(|cuts| cuts.page.to_string()).unwrap_or_default(),
            ),
            ("origin", origin.escape_ascii().to_string()),
        ]);
    }
}

fn intent(inspection: &mut Inspection, intent: &Intent) {
    inspection
        .field("started", intent.started.seconds)
        .field("host", &intent.host)
        .field("user", &intent.user)
        .field("process", intent.process)
        .field("base", intent.base);
}

fn tombstone(inspection: &mut Inspection, tombstone: &Tombstone) {
    inspection
        .field("forgotten", tombstone.forgotten.seconds)
        .field("host", &tombstone.host)
        .field("user", &tombstone.user);
}

fn protection(inspection: &mut Inspection, protection: &Protection) {
    inspection
        .field("until", protection.until.seconds)
        .field("decided", protection.decided.seconds)
        .field("host", &protection.host)
        .field("user", &protection.user);
}

fn boot(inspection: &mut Inspection, boot: &Boot) {
    inspection
        .field("begun", boot.begun.seconds)
        .field("ended", boot.ended.seconds)
        .field("outcome", format!("{:?}", boot.outcome))
        .field("detail", &boot.detail)
        .field("expected", &boot.expected)
        .field("timeout, milliseconds", boot.timeout_ms)
        .field("firmware", format!("{:?}", boot.firmware))
        .field("accelerator", &boot.accelerator)
        .field("bus", &boot.bus)
        .field("memory", boot.memory)
        .field("machine", &boot.machine)
        .field("said", boot.said)
        .field("failed", boot.failed)
        .field("host", &boot.host)
        .field("user", &boot.user)
        .field("program", &boot.program);
    for name in &boot.disks {
        inspection.row([("disk", name.escape_ascii().to_string())]);
    }
}

fn prune_record(inspection: &mut Inspection, record: &PruneRecord) {
    inspection
        .field("packs", record.packs.len())
        .field("snapshots", record.snapshots.len());
    for pack in &record.packs {
        inspection.row([("pack", pack.name().to_string())]);
    }
    for snapshot in &record.snapshots {
        inspection.row([("snapshot", snapshot.to_string())]);
    }
}

fn page_body(inspection: &mut Inspection, page: &[u8]) -> Decoded<()> {
    let (head, _) = PageHead::decode(page)?;
    inspection
        .field("type", format!("{:?}", head.page_type))
        .field("level", head.level)
        .field("count", head.count);
    match (head.page_type, head.level) {
        (PageType::Tree, 0) => tree_leaf(inspection, page),
        (PageType::Scan, 0) => scan_leaf(inspection, page),
        (PageType::Extents, 0) => extents_leaf(inspection, page),
        (PageType::Cuts, 0) => cuts_leaf(inspection, page),
        _ => inner(inspection, head.page_type, page),
    }
}

fn tree_leaf(inspection: &mut Inspection, page: &[u8]) -> Decoded<()> {
    for item in tree::decode_leaf(page)? {
        let Entry { metadata, node, .. } = &item.entry;
        inspection.row([
            ("path", item.path().to_string()),
            ("kind", kind_of(node).to_owned()),
            ("mode", format!("{:04o}", metadata.mode)),
            ("uid", metadata.owner.uid.to_string()),
            ("gid", metadata.owner.gid.to_string()),
            ("mtime", metadata.mtime.seconds.to_string()),
            ("xattrs", metadata.xattrs.len().to_string()),
            ("what", what_of(node)),
        ]);
    }
    Ok(())
}

fn scan_leaf(inspection: &mut Inspection, page: &[u8]) -> Decoded<()> {
    for item in scan::decode_leaf(page)? {
        let path = TreePath::new((*item.folder).clone(), item.name);
        inspection.row([
            ("path", path.to_string()),
            ("ctime", item.seen.ctime.seconds.to_string()),
            ("inode", item.seen.inode.to_string()),
            ("racy", item.seen.racy.to_string()),
        ]);
    }
    Ok(())
}

fn extents_leaf(inspection: &mut Inspection, page: &[u8]) -> Decoded<()> {
    let mut offset = 0_u64;
    for extent in extents::decode_leaf(page)? {
        let from = match extent.kind {
            ExtentKind::Chunk(id) => id.to_string(),
            ExtentKind::Hole => "hole".to_owned(),
            ExtentKind::Zero => "zero".to_owned(),
            ExtentKind::Unreadable => "unreadable".to_owned(),
        };
        inspection.row([
            ("offset", offset.to_string()),
            ("length", extent.len.to_string()),
            ("from", from),
        ]);
        offset = offset.saturating_add(extent.len);
    }
    Ok(())
}

fn cuts_leaf(inspection: &mut Inspection, page: &[u8]) -> Decoded<()> {
    for cut in cuts::decode_leaf(page)? {
        inspection.row([("offset", cut.to_string())]);
    }
    Ok(())
}

fn inner(inspection: &mut Inspection, page_type: PageType, page: &[u8]) -> Decoded<()> {
    let rows: Vec<(String, u64, PageId)> = match page_type {
        PageType::Tree => {
            let (_, children) = tree::decode_inner(page)?;
            let row = |child: tree::TreeChild| (child.first.to_string(), child.entries, child.page);
            children.into_iter().map(row).collect()
        }
        PageType::Scan => {
            let (_, children) = scan::decode_inner(page)?;
            let row = |child: scan::ScanChild| (child.first.to_string(), child.entries, child.page);
            children.into_iter().map(row).collect()
        }
        PageType::Extents => {
            let (_, children) = extents::decode_inner(page)?;
            let mut offset = 0_u64;
            let row = |child: extents::ExtentsChild| {
                let begins = offset;
                offset = offset.saturating_add(child.len);
                (begins.to_string(), child.len, child.page)
            };
            children.into_iter().map(row).collect()
        }
        PageType::Cuts => {
            let (_, children) = cuts::decode_inner(page)?;
            let row = |child: cuts::CutsChild| (child.first.to_string(), child.count, child.page);
            children.into_iter().map(row).collect()
        }
    };
    let unit = if page_type == PageType::Extents {
        "bytes"
    } else {
        "entries"
    };
    for (first, sum, page) in rows {
        inspection.row([
            ("first", first),
            (unit, sum.to_string()),
            ("page", page.to_string()),
        ]);
    }
    Ok(())
}

fn kind_of(node: &Node) -> &'static str {
    match node {
        Node::File(_) => "file",
        Node::Folder => "folder",
        Node::Symlink(_) => "symlink",
        Node::Fifo => "fifo",
        Node::Socket => "socket",
        Node::CharDevice(_) => "character device",
        Node::BlockDevice(_) => "block device",
        Node::HardLink(_) => "hard link",
    }
}

fn what_of(node: &Node) -> String {
    match node {
        Node::File(Content::Inline(list)) => {
            let len: u64 = list.iter().map(|extent| extent.len).sum();
            format!("{len} bytes in {} extents", list.len())
        }
        Node::File(Content::Tree(root)) => format!("{} bytes, page {}", root.len, root.page),
        Node::Symlink(target) => target.escape_ascii().to_string(),
        Node::CharDevice(number) | Node::BlockDevice(number) => {
            format!("{}:{}", number.major, number.minor)
        }
        Node::HardLink(leader) => leader.to_string(),
        Node::Folder | Node::Fifo | Node::Socket => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::random::Random;
    use crate::testing::sample_repository::{self, SampleTree, flip_bit, small_frames};

    fn sample() -> (Arc<MemoryBackend>, Repository, Snapshot) {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let mut tree = SampleTree::random(31, 2_000);
        tree.file("long", Random::new(3).bytes(3 << 20));
        let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        let repository = sample_repository::open(backend.clone());
        (backend, repository, snapshot)
    }

    #[test]
    fn every_object_and_every_page_can_be_shown() {
        let (_, repository, _) = sample();
        for kind in ObjectKind::ALL {
            for info in repository.backend().list(kind).unwrap() {
                let name = info.name.to_string();
                let shown = object(&repository, &name).unwrap();
                assert_eq!(shown.title, name);
                assert!(shown.fields.len() >= 5, "{shown:?}");
            }
        }
        let mut types = std::collections::BTreeSet::new();
        for (id, copy) in repository.index().unwrap().locations() {
            if copy.pack.class == PackClass::Meta {
                let shown = page(&repository, &id.to_string()[..16]).unwrap();
                let field = |name: &str| {
                    let found = shown.fields.iter().find(|(field, _)| field == name);
                    found.unwrap().1.clone()
                };
                assert_eq!(field("count"), shown.rows.len().to_string());
                types.insert((field("type"), field("level")));
            }
        }
        assert!(types.len() >= 5, "{types:?}");
    }

    #[test]
    fn a_beginning_names_an_object_if_it_names_one_only() {
        let (_, repository, snapshot) = sample();
        let whole = format!("snapshots/{}", snapshot.session);
        assert_eq!(object(&repository, &whole[..14]).unwrap().title, whole);
        let many = object(&repository, "packs/").unwrap_err();
        assert_eq!(many.kind(), ErrorKind::InvalidInput);
        for none in ["packs/zz", "nothing", "index/x"] {
            let error = object(&repository, none).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{none}");
        }
    }

    #[test]
    fn what_is_damaged_is_the_error_that_a_reader_would_get() {
        let (backend, repository, snapshot) = sample();
        let name = ObjectName::Snapshot(snapshot.session);
        flip_bit(&*backend, &name, 150);
        let error = object(&repository, &name.to_string()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
}
