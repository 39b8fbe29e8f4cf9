//! What a check gathers: findings by subject, and how far it has come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::observe::{Counter, Observer};
use crate::operations::check::{Finding, FindingKind, LostRange};
use crate::operations::walk;
use crate::repository::Repository;

/// Lost paths, and lost ranges, that a finding spells out; the rest of the paths is counted.
const LOST_PATHS_MAX: usize = 1_000;

/// Findings so far, one for each subject.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    by_subject: HashMap<String, usize>,
    /// How much each cost, entries.
    lost_entries: Vec<u64>,
}

/// Names a finding.
pub(super) type FindingNumber = usize;

impl Findings {
    /// Adds a finding. Of one subject the first is kept, what comes later follows from it; but a
    /// loss takes the place of what was thought to be of no danger.
    pub(super) fn add(
        &mut self,
        kind: FindingKind,
        subject: impl ToString,
        detail: impl Into<String>,
    ) -> FindingNumber {
        let subject = subject.to_string();
        if let Some(&number) = self.by_subject.get(&subject) {
            let finding = &mut self.list[number];
            if finding.kind.is_harmless() && !kind.is_harmless() {
                (finding.kind, finding.detail) = (kind, detail.into());
            }
            return number;
        }
        *self.by_subject.entry(subject.clone()).or_insert_with(|| {
            self.list.push(Finding {
                kind,
                subject,
                detail: detail.into(),
                lost_paths: Vec::new(),
                lost_ranges: Vec::new(),
            });
            self.lost_entries.push(0);
            self.list.len() - 1
        })
    }

    /// Adds what cannot be restored because of a finding: `entries` from `path` on.
    pub(super) fn lose(&mut self, number: FindingNumber, path: Vec<u8>, entries: u64) {
        self.lost_entries[number] += entries;
        let paths = &mut self.list[number].lost_paths;
        if paths.len() < LOST_PATHS_MAX {
            paths.push(path);
        }
    }

    /// Adds bytes of a volume that cannot be restored because of a finding.
    pub(super) fn lose_range(&mut self, number: FindingNumber, lost: LostRange) {
        let ranges = &mut self.list[number].lost_ranges;
        let is_full = ranges.len() >= LOST_PATHS_MAX;
        match ranges.last_mut() {
            Some(last)
                if last.range.end == lost.range.start
                    && (&last.path, last.partition) == (&lost.path, lost.partition) =>
            {
                last.range.end = lost.range.end;
            }
            _ if is_full => {}
            _ => ranges.push(lost),
        }
    }

    /// All findings: the worst first, else as they were found.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        for (finding, entries) in self.list.iter_mut().zip(self.lost_entries) {
            if entries > 0 {
                let lost = format!("; {entries} entries cannot be restored");
                finding.detail.push_str(&lost);
            }
        }
        self.list.sort_by_key(|finding| finding.kind);
        self.list
    }
}

/// Counts, for the report and for the observer; asked by several threads.
pub(super) struct Progress<'o> {
    observer: &'o dyn Observer,
    objects: AtomicU64,
    bytes: AtomicU64,
}

impl<'o> Progress<'o> {
    pub(super) fn new(observer: &'o dyn Observer) -> Self {
        let (objects, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            observer,
            objects,
            bytes,
        }
    }

    /// Tells how many objects there are to check.
    pub(super) fn expect(&self, repository: &Repository) -> Result<()> {
        let mut objects = 0;
        for kind in ObjectKind::ALL {
            objects += repository.backend().list(kind)?.len() as u64;
        }
        self.observer.expect(Counter::Objects, objects);
        Ok(())
    }

    /// One object is done, of which so many bytes were read.
    pub(super) fn object(&self, bytes: u64) -> Result<()> {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.observer.count(Counter::Objects, 1);
        self.observer.count(Counter::Bytes, bytes);
        self.go_on()
    }

    /// Fails once the caller wants the check to stop.
    pub(super) fn go_on(&self) -> Result<()> {
        walk::stop_if_cancelled(self.observer)
    }

    pub(super) fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
