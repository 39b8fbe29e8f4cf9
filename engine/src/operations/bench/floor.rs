//! The least that an operation can take, from what its parts were measured to cost, and what holds
//! it up.
//!
//! Every byte that an operation had to touch is charged with what a stage costs for a byte, and with
//! the speed of the medium it came from or went to. What the operation does beside that, and all its
//! waiting, is the difference to what it took.

use crate::operations::bench::report::{
    BenchReport, Cost, Floor, Measurement, Operation, OperationKind, Probe,
};

/// Of this part of all threads an operation is held up by processors.
const BUSY: f64 = 0.8;
/// With this part of all processors others are in the way.
pub(super) const OTHERS: f64 = 0.2;
/// Of this part of its time an operation is held up by a medium.
const WAITING: f64 = 0.5;

/// What a byte or an entry costs, and how fast media are. What was not measured is 0.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    threads: f64,
    processors: f64,
    list: f64,
    read: f64,
    chunk: f64,
    hash: f64,
    compress: f64,
    seal: f64,
    verify: f64,
    write_medium: f64,
    read_medium: f64,
    source_cold_per_second: f64,
    source_warm_per_second: f64,
    written_per_second: f64,
    read_per_second: f64,
    is_one_medium: bool,
}

/// What an operation is charged with.
struct Charge {
    /// Processor seconds of each part, by its name.
    parts: Vec<(&'static str, f64)>,
    /// Seconds of each medium: its name, what it does, bytes, seconds.
    media: Vec<(&'static str, &'static str, u64, f64)>,
    /// One medium cannot do several things at once.
    one_after_the_other: bool,
}

/// Says of every operation of `report` what it would take at least and what held it up.
pub(super) fn judge(report: &mut BenchReport) {
    let rates = Rates::of(report);
    for operation in &mut report.operations {
        let charge = rates.charge(operation);
        operation.floor = (rates.chunk > 0.0).then(|| charge.floor(rates.threads));
        operation.bottleneck = charge.bottleneck(&operation.cost, rates.threads, rates.processors);
    }
}

impl Rates {
    fn of(report: &BenchReport) -> Self {
        // A machine whose threads share their cores does less with each where all work.
        let of = |probe| {
            let all = report.measured(probe, report.threads);
            all.or_else(|| report.measured(probe, 1))
        };
        let cpu = |probe| of(probe).map_or(0.0, Measurement::cpu_per_byte);
        let speed = |probe| of(probe).map_or(0.0, Measurement::bytes_per_second);
        let warm = speed(Probe::ReadWarm);
        let cold = speed(Probe::ReadCold);
        Self {
            threads: report.threads as f64,
            processors: report.machine.processors as f64,
            list: of(Probe::ListAgain).map_or(0.0, Measurement::cpu_per_item),
            read: cpu(Probe::ReadWarm),
            chunk: cpu(Probe::Chunk),
            hash: cpu(Probe::Hash),
            compress: cpu(Probe::Compress),
            seal: cpu(Probe::Seal),
            verify: cpu(Probe::Verify),
            write_medium: cpu(Probe::MediumWrite),
            read_medium: cpu(Probe::MediumRead),
            source_cold_per_second: if cold > 0.0 { cold } else { warm },
            source_warm_per_second: warm,
            written_per_second: speed(Probe::MediumWrite),
            read_per_second: speed(Probe::MediumRead),
            is_one_medium: report.medium.holds_source,
        }
    }

    fn charge(&self, operation: &Operation) -> Charge {
        match operation.kind {
            OperationKind::Restore => self.restore(operation),
            OperationKind::Check => self.check(operation),
            _ => self.snapshot(operation),
        }
    }

    fn snapshot(&self, operation: &Operation) -> Charge {
        let (read, new) = (operation.bytes_read as f64, operation.bytes_new as f64);
        let (written, entries) = (operation.bytes_written as f64, operation.entries as f64);
        let source_per_second = match operation.kind {
            OperationKind::SnapshotInitial => self.source_cold_per_second,
            _ => self.source_warm_per_second,
        };
        Charge {
            parts: vec![
                ("listing folders", entries * self.list),
                ("reading", read * self.read),
                ("chunking", read * self.chunk),
                ("hashing", read * self.hash),
                ("compression", new * self.compress),
                ("encryption", written * self.seal),
                ("reading back what was sealed", new * self.verify),
                ("writing", written * self.write_medium),
            ],
            media: vec![
                medium(
                    "the source",
                    "reads",
                    operation.bytes_read,
                    source_per_second,
                ),
                self.write(operation.bytes_written),
            ],
            one_after_the_other: self.is_one_medium,
        }
    }

    fn restore(&self, operation: &Operation) -> Charge {
        let (read, new) = (operation.bytes_read as f64, operation.bytes_new as f64);
        let written = operation.bytes_written as f64;
        Charge {
            parts: vec![
                ("reading", read * self.read_medium),
                ("decryption, decompression and hashing", new * self.verify),
                ("writing", written * self.write_medium),
                ("reading back", written * (self.read_medium + self.hash)),
            ],
            media: vec![
                medium(
                    "the repository medium",
                    "reads",
                    operation.bytes_read,
                    self.read_per_second,
                ),
                self.write(operation.bytes_written),
            ],
            one_after_the_other: true,
        }
    }

    fn check(&self, operation: &Operation) -> Charge {
        let (read, new) = (operation.bytes_read as f64, operation.bytes_new as f64);
        Charge {
            parts: vec![
                ("reading", read * self.read_medium),
                ("decryption, decompression and hashing", new * self.verify),
            ],
            media: vec![medium(
                "the repository medium",
                "reads",
                operation.bytes_read,
                self.read_per_second,
            )],
            one_after_the_other: true,
        }
    }

    fn write(&self, bytes: u64) -> (&'static str, &'static str, u64, f64) {
        medium(
            "the repository medium",
            "writes",
            bytes,
            self.written_per_second,
        )
    }
}

fn medium(
    name: &'static str,
    does: &'static str,
    bytes: u64,
    per_second: f64,
) -> (&'static str, &'static str, u64, f64) {
    let seconds = if per_second > 0.0 {
        bytes as f64 / per_second
    } else {
        0.0
    };
    (name, does, bytes, seconds)
}

impl Charge {
    fn media_seconds(&self) -> f64 {
        let seconds = self.media.iter().map(|(.., seconds)| *seconds);
        match self.one_after_the_other {
            true => seconds.sum(),
            false => seconds.fold(0.0, f64::max),
        }
    }

    fn floor(&self, threads: f64) -> Floor {
        let cpu_seconds = self.parts.iter().map(|(_, seconds)| seconds).sum();
        let media_seconds = self.media_seconds();
        Floor {
            cpu_seconds,
            media_seconds,
            seconds: f64::max(cpu_seconds / threads.max(1.0), media_seconds),
        }
    }

    /// One sentence.
    fn bottleneck(&self, cost: &Cost, threads: f64, processors: f64) -> String {
        let (wall, cores) = (cost.wall.as_secs_f64(), cost.cores());
        let busy = format!(
            "{cores:.1} of {threads} {} busy",
            if threads == 1.0 { "core" } else { "cores" }
        );
        let media_share = if wall > 0.0 {
            self.media_seconds() / wall
        } else {
            0.0
        };
        if cores >= BUSY * threads {
            let longest = self.parts.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            return match longest.filter(|(_, seconds)| *seconds > 0.0) {
                Some((name, seconds)) => {
                    let share = (100.0 * seconds / cost.cpu().as_secs_f64()).min(100.0);
                    format!("{name}: {share:.0} % of the processor time, {busy}")
                }
                None => format!("the processors: {busy}"),
            };
        }
        let others = cost.other_cores();
        if others > cores.max(OTHERS * processors) && cores + others >= BUSY * processors {
            return format!(
                "other programs: {others:.1} of {processors} cores busy, {cores:.1} left"
            );
        }
        let longest = self.media.iter().max_by(|a, b| a.3.total_cmp(&b.3));
        if let Some((name, does, bytes, _)) = longest
            && media_share >= WAITING
        {
            let per_second = *bytes as f64 / wall / 1e6;
            return format!("{name}: {does} {per_second:.0} MB/s, {busy}");
        }
        format!(
            "waiting for single files and flushes: {busy}, the media {:.0} % of the time",
            100.0 * media_share
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATES: Rates = Rates {
        threads: 2.0,
        processors: 2.0,
        list: 1e-6,
        read: 1e-9,
        chunk: 1e-9,
        hash: 1e-9,
        compress: 6e-9,
        seal: 1e-9,
        verify: 1e-9,
        write_medium: 1e-9,
        read_medium: 1e-9,
        source_cold_per_second: 1e9,
        source_warm_per_second: 2e9,
        written_per_second: 5e8,
        read_per_second: 1e9,
        is_one_medium: false,
    };

    fn operation(kind: OperationKind) -> Operation {
        Operation {
            kind,
            entries: 0,
            bytes: 1_000_000_000,
            bytes_read: 1_000_000_000,
            bytes_new: 1_000_000_000,
            bytes_written: 500_000_000,
            problems: 0,
            cost: Cost::default(),
            floor: None,
            bottleneck: String::new(),
            timeline: Vec::new(),
        }
    }

    fn cost(wall: f64, cpu: f64) -> Cost {
        Cost {
            wall: Duration::from_secs_f64(wall),
            user: Duration::from_secs_f64(cpu),
            ..Cost::default()
        }
    }

    #[test]
    fn a_floor_is_the_cost_of_all_stages_on_all_threads_or_of_the_media_whichever_is_more() {
        let charge = RATES.charge(&operation(OperationKind::SnapshotInitial));
        let floor = charge.floor(2.0);
        assert!((floor.cpu_seconds - 11.0).abs() < 1e-9, "{floor:?}");
        assert_eq!(
            (floor.media_seconds, floor.seconds),
            (1.0, floor.cpu_seconds / 2.0)
        );
        assert_eq!(charge.floor(64.0).seconds, 1.0);
        let shared = Rates {
            is_one_medium: true,
            ..RATES
        };
        let charge = shared.charge(&operation(OperationKind::SnapshotInitial));
        assert_eq!(charge.floor(64.0).seconds, 2.0);
        let restore = RATES.charge(&operation(OperationKind::Restore));
        assert_eq!(restore.floor(64.0).seconds, 2.0);
    }

    #[test]
    fn the_bottleneck_is_the_longest_stage_the_slowest_medium_or_waiting() {
        let charge = RATES.charge(&operation(OperationKind::SnapshotInitial));
        let compression = charge.bottleneck(&cost(5.5, 10.9), 2.0, 2.0);
        assert_eq!(
            compression,
            "compression: 55 % of the processor time, 2.0 of 2 cores busy"
        );
        let slow = Rates {
            written_per_second: 1e8,
            ..RATES
        };
        let charge = slow.charge(&operation(OperationKind::SnapshotInitial));
        let medium = charge.bottleneck(&cost(5.0, 2.0), 2.0, 2.0);
        assert_eq!(
            medium,
            "the repository medium: writes 100 MB/s, 0.4 of 2 cores busy"
        );
        let waiting = charge.bottleneck(&cost(50.0, 2.0), 2.0, 2.0);
        assert!(waiting.starts_with("waiting"), "{waiting}");
        let crowded = Cost {
            others: Duration::from_secs(70),
            ..cost(50.0, 20.0)
        };
        let crowded = charge.bottleneck(&crowded, 2.0, 2.0);
        assert_eq!(crowded, "other programs: 1.4 of 2 cores busy, 0.4 left");
        let unknown = Rates::default().charge(&operation(OperationKind::Check));
        assert_eq!(
            unknown.bottleneck(&cost(1.0, 1.0), 1.0, 1.0),
            "the processors: 1.0 of 1 core busy"
        );
    }
}
