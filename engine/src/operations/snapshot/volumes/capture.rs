//! One volume: its layout and forced cuts, what changed, and the manifest that comes of it.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::ExtentsRoot;
use crate::format::id::SessionId;
use crate::format::snapshot::{PageRoot, Root, SnapshotKind, Tracking};
use crate::format::volume::{DIVISION, LayoutInfo, VolumeInfo};
use crate::limits::{SNAPSHOT_PROBLEMS_MAX, VOLUME_CUTS_MAX};
use crate::observe::{Problem, ProblemKind};
use crate::operations::snapshot::parents::{Parent, Parents};
use crate::operations::snapshot::volumes::describe::{layout_info, medium_info};
use crate::operations::snapshot::volumes::{OpenVolume, VolumeOptions};
use crate::operations::snapshot::walk::{Captured, RootTotals, WalkContext};
use crate::pipeline::ingest::Ingest;
use crate::pipeline::volume::{
    BuildMode, BuiltVolume, Cutting, NewVolume, ParentVolume, VolumeRules, build, cuts_of_hints,
};
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::builder::PageStore;
use crate::repository::manifest::cuts::CutsCursor;
use crate::sources::volume::layout::{Hints, has_hints, read_layout};

/// Captures `volume` into `store`.
///
/// # Errors
/// When the source gives nothing more, or storing fails.
pub(in super::super) fn capture(
    ingest: &Ingest<'_>,
    store: &mut PageStore<'_>,
    context: &WalkContext<'_>,
    (volume, options): (&OpenVolume, &VolumeOptions),
    (parents, kind): (&Parents, SnapshotKind),
) -> Result<Captured> {
    let label = volume.label.as_bytes();
    let found = parents.volume(kind, label, &volume.origin);
    let capture = Capture {
        ingest,
        context,
        volume,
        options,
        rules: VolumeRules::new(options.cutting)?,
        found,
    };
    capture.run(store, parents)
}

struct Capture<'c, 's> {
    ingest: &'c Ingest<'s>,
    context: &'c WalkContext<'c>,
    volume: &'c OpenVolume,
    options: &'c VolumeOptions,
    rules: VolumeRules,
    found: Option<Parent<'c>>,
}

/// What stands on a volume, and where it is cut for that.
struct Content {
    layout: LayoutInfo,
    cuts: Vec<u64>,
}

/// A parent that may be built from.
struct Comparable<'c> {
    session: SessionId,
    volume: ParentVolume<'c>,
    info: &'c VolumeInfo,
}

impl<'c> Capture<'c, '_> {
    fn run(&self, store: &mut PageStore<'_>, parents: &Parents) -> Result<Captured> {
        let source = self.volume.reader.source();
        let observer = self.context.observer;
        observer.working_on(&source.identity().location);
        let parent = self.comparable();
        let content = self.content(parent.as_ref())?;
        let built = self.build(store, &content, parent.as_ref())?;
        let (tracking, mut reason) = self.tracking(&built, parent.as_ref(), parents);
        for warning in source.warnings() {
            reason = format!("{reason}; {warning}");
        }
        Ok(self.captured(&built, content.layout, (tracking, reason)))
    }

    /// The parent, if what changed since is known and it was divided in a way that is.
    fn comparable(&self) -> Option<Comparable<'c>> {
        self.volume.changed.as_ref()?;
        let Parent { session, root } = self.found?;
        let info = root.volume.as_ref()?;
        let cutting = match info.fixed_len {
            0 => Cutting::Content,
            len => Cutting::Fixed(len),
        };
        let rules = VolumeRules::new(cutting).ok()?;
        let extents = ExtentsRoot {
            page: root.page,
            level: root.level,
            len: root.bytes,
        };
        let volume = ParentVolume {
            reader: self.context.reader,
            extents,
            cuts: info.cuts.map(|cuts| (cuts.page, cuts.level)),
            rules,
            check_chunks: !self.ingest.is_known_whole(root),
        };
        (info.division == DIVISION).then_some(Comparable {
            session,
            volume,
            info,
        })
    }

    /// Where nothing changed, layout and cuts are those of the parent, and nothing is read.
    fn content(&self, parent: Option<&Comparable<'_>>) -> Result<Content> {
        if let Some(parent) = parent
            && self.is_unchanged(parent)
            && let Some(cuts) = read_cuts(self.context.reader, parent.info.cuts)?
        {
            let layout = parent.info.layout.clone();
            return Ok(Content { layout, cuts });
        }
        let (reader, source) = (&*self.volume.reader, self.volume.reader.source());
        let known_sector = match self.volume.medium.as_str() {
            "device" => Some(source.identity().logical_sector),
            _ => None,
        };
        let layout = read_layout(reader, source.len(), known_sector)?;
        let mut info = layout_info(&layout);
        let Some(hint_options) = self.options.hints.as_ref().filter(|_| self.takes_hints()) else {
            let cuts = Vec::new();
            return Ok(Content { layout: info, cuts });
        };
        let hints = Hints::collect(reader, &layout, hint_options)?;
        for problem in hints.problems() {
            let partition = problem
                .partition
                .map(|number| format!("partition {number}: "));
            let partition = partition.unwrap_or_default();
            info.warnings.push(format!("{partition}{}", problem.detail));
        }
        let cuts = match limited_cuts(&hints, source.len())? {
            Some(cuts) => cuts,
            None => {
                let warning = format!(
                    "files begin or end at more than {VOLUME_CUTS_MAX} places: chunks are not cut there"
                );
                info.warnings.push(warning);
                Vec::new()
            }
        };
        Ok(Content { layout: info, cuts })
    }

    /// Chunks of a fixed length are for what no file can be found in.
    fn takes_hints(&self) -> bool {
        self.rules.cutting() == Cutting::Content
    }

    fn is_unchanged(&self, parent: &Comparable<'_>) -> bool {
        let len = self.volume.reader.source().len();
        let changed = self.volume.changed.as_ref();
        changed.is_some_and(|changed| changed.ranges.is_empty())
            && parent.volume.extents.len == len
            && parent.volume.rules == self.rules
            && self.has_same_hints(parent.info)
    }

    /// True if looking for the places of files would find the cuts that the parent has: nothing on
    /// the volume has changed since.
    fn has_same_hints(&self, parent: &VolumeInfo) -> bool {
        let is_wanted = self.options.hints.is_some() && self.takes_hints();
        match (is_wanted, parent.cuts.is_some()) {
            (true, false) => !may_have_hints(&parent.layout),
            (is_wanted, has_cuts) => is_wanted == has_cuts,
        }
    }

    /// From the parent where that is possible; a parent that turns out to be damaged is left.
    fn build(
        &self,
        store: &mut PageStore<'_>,
        content: &Content,
        parent: Option<&Comparable<'_>>,
    ) -> Result<BuiltVolume> {
        let changed = self.volume.changed.as_ref();
        let mut new = NewVolume {
            reader: self.volume.reader.clone(),
            rules: self.rules,
            cuts: &content.cuts,
            parent: parent.map(|parent| parent.volume),
            changed: changed.map_or(&[], |changed| &changed.ranges),
        };
        let built = match build(self.ingest, store, &new) {
            Err(error) if error.kind() == ErrorKind::Damaged && new.parent.is_some() => {
                new.parent = None;
                build(self.ingest, store, &new)
            }
            built => built,
        };
        built.map_err(|error| self.named(error))
    }

    /// The pipeline knows no names: what it says of a volume it says of this one.
    fn named(&self, error: Error) -> Error {
        match error.place() {
            Place::Argument("volume") => {
                let location = &self.volume.reader.source().identity().location;
                error.with_place(Place::Path(location.clone()))
            }
            _ => error,
        }
    }

    fn tracking(
        &self,
        built: &BuiltVolume,
        parent: Option<&Comparable<'_>>,
        parents: &Parents,
    ) -> (Tracking, String) {
        let everything = |why: &str| (Tracking::Full, why.to_owned());
        let Some(changed) = &self.volume.changed else {
            return match self.found {
                Some(_) => everything("no list of changes was given"),
                None => everything(parents.reason(false)),
            };
        };
        let Some(parent) = parent else {
            return match self.found {
                Some(_) => everything("the earlier snapshot does not say how it was divided"),
                None => everything(parents.reason(false)),
            };
        };
        match built.mode {
            BuildMode::Incremental => {
                let (count, session) = (changed.ranges.len(), parent.session);
                let reason = format!("a list of {count} changed ranges since {session} was given");
                (Tracking::ChangedRanges, reason)
            }
            BuildMode::NoParent => everything("the manifest of the earlier snapshot is damaged"),
            BuildMode::OtherRules => everything("the earlier snapshot was divided in another way"),
            BuildMode::CutsLost => everything("the cuts of the earlier snapshot cannot be read"),
        }
    }

    fn captured(
        &self,
        built: &BuiltVolume,
        layout: LayoutInfo,
        (tracking, tracking_reason): (Tracking, String),
    ) -> Captured {
        let source = self.volume.reader.source();
        let unreadable = built.unreadable.iter().map(|range| range.end - range.start);
        let info = VolumeInfo {
            division: DIVISION,
            fixed_len: match self.rules.cutting() {
                Cutting::Content => 0,
                Cutting::Fixed(len) => len,
            },
            cuts: built.cuts.as_ref().map(|cuts| PageRoot {
                page: cuts.child.page,
                level: cuts.level,
            }),
            tracking,
            tracking_reason,
            unreadable_bytes: unreadable.sum(),
            medium: medium_info(source.identity(), &self.volume.medium),
            layout,
        };
        let at = PageRoot {
            page: built.root.child.page,
            level: built.root.level,
        };
        let bytes = built.root.child.len;
        let root = Root {
            origin: Some(self.volume.origin.clone()),
            volume: Some(info),
            ..Root::volume(self.volume.label.clone().into_bytes(), at, bytes)
        };
        let totals = RootTotals {
            entries: 1,
            bytes,
            ..RootTotals::default()
        };
        let problems = self.tell_unreadable(built);
        Captured {
            root,
            parent: self
                .found
                .filter(|_| tracking == Tracking::ChangedRanges)
                .map(|parent| parent.session),
            totals,
            read_bytes: self.volume.reader.metadata_bytes(),
            problem_count: built.unreadable.len() as u64,
            problems,
        }
    }

    fn tell_unreadable(&self, built: &BuiltVolume) -> Vec<Problem> {
        let problem = |range: &std::ops::Range<u64>| Problem {
            kind: ProblemKind::Unreadable,
            subject: self.volume.origin.clone(),
            detail: format!("bytes {} to {} cannot be read", range.start, range.end),
        };
        let problems = built.unreadable.iter().map(problem);
        let problems: Vec<_> = problems
            .inspect(|problem| self.context.observer.problem(problem))
            .take(SNAPSHOT_PROBLEMS_MAX)
            .collect();
        problems
    }
}

/// True if something was on the volume whose files have places that can be found.
fn may_have_hints(layout: &LayoutInfo) -> bool {
    let partitions = layout.partitions.iter();
    let file_systems = partitions.filter_map(|one| one.file_system.as_ref());
    let mut file_systems = file_systems.chain(&layout.file_system);
    file_systems.any(|found| has_hints(&found.kind))
}

/// The cuts of a parent; nothing if they cannot be read.
fn read_cuts(reader: &ChunkReader<'_>, cuts: Option<PageRoot>) -> Result<Option<Vec<u64>>> {
    let Some(root) = cuts else {
        return Ok(Some(Vec::new()));
    };
    let mut cursor = CutsCursor::new(reader, root.page, root.level);
    let mut cuts = Vec::new();
    loop {
        match cursor.next() {
            Ok(Some(_)) if cuts.len() >= VOLUME_CUTS_MAX => return Ok(None),
            Ok(Some(cut)) => cuts.push(cut),
            Ok(None) => return Ok(Some(cuts)),
            Err(error) if is_lost(error.kind()) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn is_lost(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Damaged | ErrorKind::NotFound)
}

/// The cuts that hints make; nothing if there are too many.
fn limited_cuts(hints: &Hints, len: u64) -> Result<Option<Vec<u64>>> {
    let mut offsets = Vec::new();
    for hint in hints {
        if offsets.len() == VOLUME_CUTS_MAX {
            return Ok(None);
        }
        offsets.push(hint?);
    }
    cuts_of_hints(offsets, len).map(Some)
}
