//! What a bench came to: facts and measurements. Speeds are made of them here, nothing else is.

use std::path::PathBuf;
use std::time::Duration;

pub use crate::system::{FileSystemFacts, Machine};

/// What a bench came to.
#[derive(Clone, Debug, Default)]
pub struct BenchReport {
    /// The machine.
    pub machine: Machine,
    /// Threads that worked where several did.
    pub threads: usize,
    /// zstd level.
    pub level: i32,
    /// Average chunk, bytes.
    pub chunk_len_avg: u64,
    /// Name of the cipher.
    pub cipher: &'static str,
    /// What was read.
    pub source: SourceFacts,
    /// Where the repository was.
    pub medium: MediumFacts,
    /// Folders and media.
    pub media: Vec<Measurement>,
    /// What the engine does to bytes, one step at a time.
    pub stages: Vec<Measurement>,
    /// Whole operations.
    pub operations: Vec<Operation>,
    /// What a reader of the figures must know, one sentence each.
    pub notes: Vec<String>,
    /// Temporary areas of runs that were killed, removed at the beginning.
    pub swept: Vec<PathBuf>,
    /// Such areas that could not be removed.
    pub left: Vec<PathBuf>,
}

/// What a bench reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// Files made for the purpose.
    #[default]
    Generated,
    /// A folder.
    Folder,
    /// One regular file.
    File,
    /// A block device, or a file longer than the limit, read as one.
    Volume,
}

/// The source, and how much of it was taken.
#[derive(Clone, Debug, Default)]
pub struct SourceFacts {
    /// Where it is; nothing if it was generated.
    pub path: Option<PathBuf>,
    /// What it is.
    pub kind: SourceKind,
    /// What it lies on.
    pub file_system: FileSystemFacts,
    /// Regular files that were taken.
    pub files: u64,
    /// Folders that were entered.
    pub folders: u64,
    /// Length of what was taken, bytes.
    pub bytes: u64,
    /// Files that were met and are longer than the limit.
    pub files_left_out: u64,
    /// Of a volume, what lies behind the limit.
    pub bytes_left_out: u64,
    /// Where the limit ended the walk, below the path, as raw bytes: this and what comes after it
    /// was not looked at.
    pub ended_at: Option<Vec<u8>>,
}

/// The medium where a repository would be.
#[derive(Clone, Debug, Default)]
pub struct MediumFacts {
    /// The folder in which the temporary area was.
    pub path: PathBuf,
    /// What it lies on.
    pub file_system: FileSystemFacts,
    /// Bytes that were free before.
    pub free: u64,
    /// True if the source lies on the same file system.
    pub holds_source: bool,
}

/// What something took of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// From beginning to end.
    pub wall: Duration,
    /// Processor time outside of the kernel, all threads.
    pub user: Duration,
    /// Processor time in the kernel, all threads.
    pub system: Duration,
    /// Processor time of other programs meanwhile, and what the host of a virtual machine took.
    pub others: Duration,
    /// Most memory that the process was seen to hold, bytes.
    pub memory_peak: u64,
}

/// One thing that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Folders listed with the status of all entries, for the first time in this run.
    ListFirst,
    /// The same again: from the cache of the kernel.
    ListAgain,
    /// The content of the source, after the kernel was asked to forget it.
    ReadCold,
    /// The same again: from the cache of the kernel.
    ReadWarm,
    /// Files of at most 64 KiB, opened, read and closed, from the cache of the kernel.
    SmallFiles,
    /// One file on the medium, written and flushed.
    MediumWrite,
    /// It was read again, after the kernel was asked to forget it.
    MediumRead,
    /// Where chunks may end.
    Chunk,
    /// The ids of chunks.
    Hash,
    /// Frames compressed; bytes out are the compressed ones.
    Compress,
    /// Compressed frames encrypted.
    Seal,
    /// Sealed frames decrypted, decompressed, and their chunks hashed; bytes are the plaintext.
    Verify,
}

/// How a probe came out.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// What was measured.
    pub probe: Probe,
    /// With how many threads.
    pub threads: usize,
    /// Entries, files or chunks that were done.
    pub items: u64,
    /// Bytes that went in.
    pub bytes_in: u64,
    /// Bytes that came out.
    pub bytes_out: u64,
    /// What it took.
    pub cost: Cost,
}

/// A whole operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// A snapshot into an empty repository, of a source that the kernel was asked to forget.
    SnapshotInitial,
    /// The same again; what is unchanged is not read.
    SnapshotUnchanged,
    /// The same again, everything read.
    SnapshotReread,
    /// Everything restored, read back and compared.
    Restore,
    /// Every stored byte checked.
    Check,
}

/// How a whole operation came out.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What was done.
    pub kind: OperationKind,
    /// Entries that were done.
    pub entries: u64,
    /// Length of the content that was captured, restored or checked.
    pub bytes: u64,
    /// Bytes that were read from the source, or from the repository.
    pub bytes_read: u64,
    /// Plaintext of the chunks that were not stored before.
    pub bytes_new: u64,
    /// Bytes that were written: to the repository, or to the target.
    pub bytes_written: u64,
    /// What went wrong with parts of it.
    pub problems: u64,
    /// What it took.
    pub cost: Cost,
    /// What it would have taken at least, if stages were measured.
    pub floor: Option<Floor>,
    /// What held it up, in one sentence.
    pub bottleneck: String,
    /// What happened meanwhile, at even intervals.
    pub timeline: Vec<Sample>,
}

/// The least that an operation can take on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floor {
    /// Processor seconds: the cost of each stage, times the bytes that went through it.
    pub cpu_seconds: f64,
    /// Seconds that the source or the medium needs for the bytes, whatever the processors do.
    pub media_seconds: f64,
    /// The larger of the second, and the first divided by threads.
    pub seconds: f64,
}

/// One moment of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Since the beginning of the operation.
    pub at: Duration,
    /// Bytes of content done so far.
    pub bytes: u64,
    /// Bytes handed to the repository so far.
    pub bytes_stored: u64,
    /// Memory of the process, bytes.
    pub memory: u64,
}

impl Cost {
    /// Processor time of all threads.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// Processors that were busy on average.
    pub fn cores(&self) -> f64 {
        ratio(self.cpu().as_secs_f64(), self.wall.as_secs_f64())
    }

    /// Processors that others kept busy on average.
    pub fn other_cores(&self) -> f64 {
        ratio(self.others.as_secs_f64(), self.wall.as_secs_f64())
    }
}

impl Measurement {
    /// Bytes that went in per second.
    pub fn bytes_per_second(&self) -> f64 {
        ratio(self.bytes_in as f64, self.cost.wall.as_secs_f64())
    }

    /// Items per second.
    pub fn items_per_second(&self) -> f64 {
        ratio(self.items as f64, self.cost.wall.as_secs_f64())
    }

    /// Bytes out for each byte in.
    pub fn ratio(&self) -> f64 {
        ratio(self.bytes_out as f64, self.bytes_in as f64)
    }

    /// Processor seconds for each byte that went in.
    pub(super) fn cpu_per_byte(&self) -> f64 {
        ratio(self.cost.cpu().as_secs_f64(), self.bytes_in as f64)
    }

    /// Processor seconds for each item.
    pub(super) fn cpu_per_item(&self) -> f64 {
        ratio(self.cost.cpu().as_secs_f64(), self.items as f64)
    }
}

impl Operation {
    /// Bytes of content per second.
    pub fn bytes_per_second(&self) -> f64 {
        ratio(self.bytes as f64, self.cost.wall.as_secs_f64())
    }

    /// The part of its time that the floor explains. Above 1 where a medium is faster than it was
    /// when it was measured: a restore leaves the kernel to write.
    pub fn reached(&self) -> Option<f64> {
        let floor = self.floor?;
        Some(ratio(floor.seconds, self.cost.wall.as_secs_f64()))
    }
}

impl BenchReport {
    /// What was measured with so many threads.
    pub fn measured(&self, probe: Probe, threads: usize) -> Option<&Measurement> {
        let mut all = self.media.iter().chain(&self.stages);
        all.find(|one| one.probe == probe && one.threads == threads)
    }

    /// The operation of this kind.
    pub fn operation(&self, kind: OperationKind) -> Option<&Operation> {
        self.operations.iter().find(|one| one.kind == kind)
    }
}

/// What is divided by nothing is nothing.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_follow_from_bytes_and_time_and_nothing_is_divided_by_zero() {
        let second = Duration::from_secs(1);
        let cost = Cost {
            wall: second,
            user: second,
            system: second / 2,
            others: second / 4,
            memory_peak: 0,
        };
        let mut measured = Measurement {
            probe: Probe::Compress,
            threads: 2,
            items: 10,
            bytes_in: 1_000,
            bytes_out: 250,
            cost,
        };
        assert_eq!(measured.bytes_per_second(), 1_000.0);
        assert_eq!(
            (measured.items_per_second(), measured.ratio()),
            (10.0, 0.25)
        );
        assert_eq!((measured.cpu_per_byte(), cost.cores()), (0.0015, 1.5));
        assert_eq!(cost.other_cores(), 0.25);
        measured.cost = Cost::default();
        measured.bytes_in = 0;
        assert_eq!((measured.bytes_per_second(), measured.ratio()), (0.0, 0.0));
        assert_eq!((measured.cost.cores(), measured.cpu_per_byte()), (0.0, 0.0));
    }
}
