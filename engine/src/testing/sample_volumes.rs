//! Snapshots of volumes for tests, made by the real session and pipeline from stretches in memory.

use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{Content, Extent, ExtentKind, ExtentsRoot};
use crate::format::id::{ChunkId, PageId, SessionId};
use crate::format::snapshot::{PageRoot, Root, Snapshot, Tracking};
use crate::format::volume::{DIVISION, LayoutInfo, MediumInfo, VolumeInfo};
use crate::pipeline::ingest::Ingest;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::ExtentCursor;
use crate::repository::manifest::cuts::CutsBuilder;
use crate::repository::manifest::extents::ExtentsBuilder;
use crate::repository::session::SessionOptions;
use crate::testing::sample_repository::{self, SampleTree};

/// The labels of the parts of a [`machine`].
pub const LABELS: [&str; 3] = ["disk0", "disk1", "config"];

/// A stretch of a volume.
#[derive(Clone, Debug)]
pub enum Stretch {
    /// Bytes, cut by content; what is shorter than every chunk may be is one.
    Data(Arc<Vec<u8>>),
    /// So many bytes without a chunk. Neighbours must differ.
    Without(ExtentKind, u64),
}

/// A volume as it is stored, and beside it its cuts, if it has any.
#[derive(Clone, Debug, Default)]
pub struct SampleVolume {
    /// Its bytes.
    pub stretches: Vec<Stretch>,
    /// Its forced cuts, ascending.
    pub cuts: Vec<u64>,
    /// What was on it.
    pub layout: LayoutInfo,
}

impl SampleVolume {
    /// A volume without cuts, on which nothing was recognized.
    pub fn new(stretches: Vec<Stretch>) -> Self {
        Self {
            stretches,
            ..Self::default()
        }
    }

    fn unreadable_bytes(&self) -> u64 {
        let len = |stretch: &Stretch| match stretch {
            Stretch::Without(ExtentKind::Unreadable, len) => *len,
            _ => 0,
        };
        self.stretches.iter().map(len).sum()
    }
}

/// A machine that is nowhere stored: two volumes of this length and a folder.
pub fn machine(len: u64) -> Snapshot {
    let at = PageRoot {
        page: ChunkId([0; 32]),
        level: 0,
    };
    let [first, second, folder] = LABELS.map(|label| label.as_bytes().to_vec());
    let roots = vec![
        Root::volume(first, at, len),
        Root::volume(second, at, len),
        Root::folder(folder, at, 1, 0),
    ];
    let session = SessionId([7; SessionId::LEN]);
    sample_repository::snapshot_of(session, roots)
}

/// What is known of a volume with this layout.
pub fn info(layout: LayoutInfo) -> VolumeInfo {
    VolumeInfo {
        division: DIVISION,
        fixed_len: 0,
        cuts: None,
        tracking: Tracking::Full,
        tracking_reason: "a sample".to_owned(),
        unreadable_bytes: 0,
        medium: MediumInfo::default(),
        layout,
    }
}

/// Commits a machine: its volumes, and its folders.
pub fn commit(
    repository: &Repository,
    options: SessionOptions,
    volumes: &[(&str, &SampleVolume)],
    folders: &[(&str, &SampleTree)],
) -> Snapshot {
    sample_repository::commit_with(repository, options, |ingest| {
        let of_volume = |(label, volume): &(&str, &SampleVolume)| store(ingest, label, volume);
        let mut roots = volumes.iter().map(of_volume).collect::<Result<Vec<_>>>()?;
        for (name, tree) in folders {
            roots.push(sample_repository::store_root(ingest, name, tree)?);
        }
        Ok(roots)
    })
}

fn store(ingest: &Ingest<'_>, label: &str, volume: &SampleVolume) -> Result<Root> {
    let mut store = ingest.page_store();
    let (mut content, mut cuts) = (ExtentsBuilder::new(), CutsBuilder::new());
    for stretch in &volume.stretches {
        match stretch {
            Stretch::Data(bytes) => {
                for extent in sample_repository::store_bytes(ingest, bytes)? {
                    content.push(extent, &mut store)?;
                }
            }
            &Stretch::Without(kind, len) => content.push(Extent { len, kind }, &mut store)?,
        }
    }
    for cut in &volume.cuts {
        cuts.push(*cut, &mut store)?;
    }
    let (built, cuts) = (content.finish(&mut store)?, cuts.finish(&mut store)?);
    store.finish()?;
    let at = |page, level| PageRoot { page, level };
    let known = VolumeInfo {
        cuts: cuts.root.map(|root| at(root.child.page, root.level)),
        unreadable_bytes: volume.unreadable_bytes(),
        ..info(volume.layout.clone())
    };
    let page = at(built.child.page, built.level);
    Ok(Root {
        volume: Some(known),
        ..Root::volume(label.as_bytes().to_vec(), page, built.child.len)
    })
}

/// The leaf pages of a volume, and the bytes of each, in order.
pub fn leaf_pages(repository: &Repository, root: &Root) -> Vec<(PageId, u64)> {
    let reader = ChunkReader::new(repository, 0).expect("the index loads");
    let content = Content::Tree(ExtentsRoot {
        len: root.bytes,
        page: root.page,
        level: root.level,
    });
    let (mut cursor, mut leaves) = (ExtentCursor::new(&reader, &content), Vec::new());
    while let Some(page) = cursor.ahead() {
        if page.level == 0 {
            leaves.push((page.child.page, page.child.len));
            cursor.skip_page();
        } else {
            let lost = cursor.open_page().expect("the backend works");
            assert!(lost.is_none(), "{lost:?}");
        }
    }
    leaves
}
