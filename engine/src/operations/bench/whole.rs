//! Whole operations, the very ones that a user runs: snapshots into a temporary repository, a
//! verified restore, and a check of every byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::{Root, Snapshot, SnapshotKind};
use crate::limits::{KEY_FILE_LEN_MIN, MIB};
use crate::observe::Observer;
use crate::operations::bench::BenchOptions;
use crate::operations::bench::meter::{Metered, Watch, announce, meter};
use crate::operations::bench::report::{Operation, OperationKind};
use crate::operations::bench::sample::{Data, Taken};
use crate::operations::check::{CheckOptions, check};
use crate::operations::restore::{RestoreOptions, restore};
use crate::operations::restore_volume::{RestoreVolumeOptions, restore_volume};
use crate::operations::snapshot::{
    Changes, ParentChoice, PartSpec, SnapshotOptions, VolumeOptions, VolumeSpec, snapshot,
    snapshot_volumes,
};
use crate::repository::keys::UnlockSecret;
use crate::repository::session::SessionOptions;
use crate::repository::{CreateOptions, Repository};
use crate::storage::cache::CacheFolder;
use crate::storage::local::LocalBackend;
use crate::storage::scratch::ScratchArea;
use crate::targets::folder::FolderTargetOptions;

const REPOSITORY: &str = "repository";
const CACHE: &str = "cache";
const RESTORED: &str = "restored";
/// What a repository holds beside contents, for each entry.
const ENTRY_STORED_LEN: u64 = 1_024;
/// What an entry takes of a target beside its content.
const ENTRY_RESTORED_LEN: u64 = 4_096;
const SLACK: u64 = 16 * MIB as u64;
const LABEL: &str = "disk0";

/// What whole operations write at most, bytes.
pub(super) fn space(bytes: u64, entries: u64) -> u64 {
    let each = entries.saturating_mul(ENTRY_STORED_LEN + ENTRY_RESTORED_LEN);
    let stored = bytes.saturating_add(bytes / 16);
    stored
        .saturating_add(bytes)
        .saturating_add(each)
        .saturating_add(SLACK)
}

/// Runs whole operations.
pub(super) struct Whole<'w> {
    pub taken: &'w Taken,
    /// Where the source is.
    pub source: &'w Path,
    pub area: &'w ScratchArea,
    pub options: &'w BenchOptions,
    pub observer: &'w dyn Observer,
    secret: UnlockSecret,
}

impl<'w> Whole<'w> {
    /// Makes the repository.
    ///
    /// # Errors
    /// If the medium fails.
    pub(super) fn new(
        taken: &'w Taken,
        source: &'w Path,
        area: &'w ScratchArea,
        options: &'w BenchOptions,
        observer: &'w dyn Observer,
    ) -> Result<Self> {
        let mut key = [0; KEY_FILE_LEN_MIN];
        getrandom::fill(&mut key).map_err(|error| {
            let error = std::io::Error::other(error);
            Error::io(Place::Repository, "no key can be drawn", error)
        })?;
        let whole = Self {
            taken,
            source,
            area,
            options,
            observer,
            secret: UnlockSecret::key_file(key),
        };
        let backend = LocalBackend::create(&area.folder(REPOSITORY)?)?;
        let created = u64::try_from((options.clock)().seconds).unwrap_or(0);
        Repository::create(
            Arc::new(backend),
            &whole.secret,
            &CreateOptions::new(created),
        )?;
        Ok(whole)
    }

    /// All operations, in the order in which a user meets them.
    ///
    /// # Errors
    /// If one of them has no result.
    pub(super) fn run(&self) -> Result<Vec<Operation>> {
        let mut all = Vec::new();
        announce(self.observer, "the first snapshot")?;
        // Where that is not possible it was noted when the source was read.
        match self.taken.drop_cached(self.observer) {
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            _ => {}
        }
        let (initial, taken) = self.snapshot(OperationKind::SnapshotInitial)?;
        let (stored, new) = (initial.bytes_written, initial.bytes_new);
        all.push(initial);
        // Without a list of changes all of a volume is read every time.
        if matches!(self.taken.data, Data::Folder { .. }) {
            announce(self.observer, "the snapshot again, nothing changed")?;
            all.push(self.snapshot(OperationKind::SnapshotUnchanged)?.0);
        }
        announce(self.observer, "the snapshot again, everything read")?;
        all.push(self.snapshot(OperationKind::SnapshotReread)?.0);
        announce(self.observer, "the restore")?;
        self.forget_repository()?;
        all.push(self.restore(&taken, stored, new)?);
        self.area.clear(RESTORED)?;
        announce(self.observer, "the check")?;
        self.forget_repository()?;
        all.push(self.check(new)?);
        Ok(all)
    }

    /// As a start of the program does it.
    fn open(&self) -> Result<Repository> {
        let backend = LocalBackend::open(&self.area.path().join(REPOSITORY))?;
        let cache = CacheFolder::open(&self.area.folder(CACHE)?)?;
        Repository::open(Arc::new(backend), &self.secret)?.with_cache(&cache)
    }

    /// What is stored comes from the medium when it is read next.
    fn forget_repository(&self) -> Result<()> {
        self.area.sync()?;
        self.area.drop_cached(REPOSITORY);
        Ok(())
    }

    fn snapshot(&self, kind: OperationKind) -> Result<(Operation, Snapshot)> {
        let options = self.snapshot_options(kind);
        let watch = Watch::new(self.observer, kind == OperationKind::SnapshotInitial);
        let metered = meter(&watch, || {
            let repository = self.open()?;
            match &self.taken.data {
                Data::Folder { .. } => {
                    let paths = [self.source.to_owned()];
                    snapshot(&repository, &paths, &options, &watch)
                }
                Data::Volume { place, .. } => {
                    let part = PartSpec::Volume(VolumeSpec {
                        label: LABEL.to_owned(),
                        place: place.clone(),
                        changes: Changes::Unknown,
                    });
                    let volumes = VolumeOptions {
                        allow_inconsistent: true,
                        ..VolumeOptions::new(self.area.path())
                    };
                    let kind = SnapshotKind::Volume;
                    snapshot_volumes(&repository, kind, &[part], &volumes, &options, &watch)
                }
            }
        })?;
        let taken = metered.result.snapshot;
        let totals = &taken.totals;
        let operation = Operation {
            kind,
            entries: totals.entries,
            bytes: totals.bytes,
            bytes_read: totals.read_bytes,
            bytes_new: totals.new_bytes,
            bytes_written: totals.stored_bytes,
            problems: taken.problem_count,
            cost: metered.cost,
            floor: None,
            bottleneck: String::new(),
            timeline: metered.timeline,
        };
        Ok((operation, taken))
    }

    fn snapshot_options(&self, kind: OperationKind) -> SnapshotOptions {
        let budget = self.options.budget;
        let mut options = SnapshotOptions {
            level: self.options.level,
            budget,
            session: SessionOptions {
                pack_len_target: budget.pack_len_target,
                ..SessionOptions::default()
            },
            ..SnapshotOptions::new(self.options.clock)
        };
        if let Data::Folder {
            options: folder, ..
        } = &self.taken.data
        {
            options.folder = folder.clone();
        }
        if kind != OperationKind::SnapshotUnchanged {
            options.parent = ParentChoice::None;
        }
        options
    }

    fn restore(&self, taken: &Snapshot, stored: u64, new: u64) -> Result<Operation> {
        let watch = Watch::new(self.observer, true);
        let metered = match (&self.taken.data, taken.roots.as_slice()) {
            (Data::Volume { .. }, [root]) => self.restore_volume(&watch, root)?,
            _ => self.restore_folder(&watch, taken)?,
        };
        let (entries, bytes) = metered.result;
        Ok(Operation {
            kind: OperationKind::Restore,
            entries,
            bytes,
            bytes_read: stored,
            bytes_new: new,
            bytes_written: bytes,
            problems: watch.problems(),
            cost: metered.cost,
            floor: None,
            bottleneck: String::new(),
            timeline: metered.timeline,
        })
    }

    fn restore_folder(&self, watch: &Watch<'_>, taken: &Snapshot) -> Result<Metered<(u64, u64)>> {
        let target = self.area.folder(RESTORED)?;
        let options = RestoreOptions {
            budget: self.options.budget,
            dry_run: false,
            verify: true,
            target: FolderTargetOptions {
                privileged: self.options.privileged,
                ..FolderTargetOptions::default()
            },
        };
        meter(watch, || {
            let report = restore(&self.open()?, taken, b"", &target, &options, watch)?;
            Ok((report.entries, report.bytes))
        })
    }

    fn restore_volume(&self, watch: &Watch<'_>, root: &Root) -> Result<Metered<(u64, u64)>> {
        let target: PathBuf = self.area.path().join(RESTORED);
        let options = RestoreVolumeOptions {
            budget: self.options.budget,
            verify: true,
            ..RestoreVolumeOptions::default()
        };
        meter(watch, || {
            let report = restore_volume(&self.open()?, root, &target, &options, watch)?;
            Ok((1, report.written))
        })
    }

    fn check(&self, new: u64) -> Result<Operation> {
        let options = CheckOptions {
            read_data: true,
            budget: self.options.budget,
        };
        let watch = Watch::new(self.observer, true);
        let metered = meter(&watch, || check(&self.open()?, &options, &watch))?;
        let report = metered.result;
        let damaged = report.findings.len() as u64;
        Ok(Operation {
            kind: OperationKind::Check,
            entries: report.objects,
            bytes: report.bytes,
            bytes_read: report.bytes,
            bytes_new: new,
            bytes_written: 0,
            problems: if report.is_sound() { 0 } else { damaged },
            cost: metered.cost,
            floor: None,
            bottleneck: String::new(),
            timeline: metered.timeline,
        })
    }
}
