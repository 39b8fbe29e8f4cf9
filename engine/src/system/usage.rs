//! What this process has used so far, processor time and memory, and what all of them have.
//!
//! Deliberately absent: child processes by themselves. What cannot be found out is zero.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::system::System;
use crate::system::machine::{bytes_of, fields};

/// Unit of times in /proc, the same on every machine: hundredths of a second.
const TICK: Duration = Duration::from_millis(10);
/// Where the time in the kernel stands among the fields behind the name of the program.
const STAT_SYSTEM: usize = 12;
/// Columns of the whole machine that are not idle: user, nice, system, irq, softirq and steal.
const STAT_BUSY: [usize; 6] = [0, 1, 2, 5, 6, 7];

/// Processor time of this process, all threads: exactly, and how much of it in the kernel, to a
/// hundredth of a second.
pub(crate) fn processor_time(system: &System) -> (Duration, Duration) {
    let all = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(all.tv_sec).unwrap_or(0);
    let all = Duration::new(seconds, u32::try_from(all.tv_nsec).unwrap_or(0));
    let stat = system.read("proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(|&byte| byte == b')').next().unwrap_or_default();
    let behind_name = String::from_utf8_lossy(behind_name);
    let ticks = behind_name.split_whitespace().nth(STAT_SYSTEM);
    let ticks: u32 = ticks.and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
    (all, (TICK * ticks).min(all))
}

/// Processor time of everything that runs on this machine, and what its host took from it.
pub(crate) fn machine_time(system: &System) -> Duration {
    let stat = system.read("proc/stat").unwrap_or_default();
    let line = stat.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let columns = line.split_whitespace().skip(1).enumerate();
    let busy = columns.filter(|(column, _)| STAT_BUSY.contains(column));
    let ticks: u64 = busy
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks.saturating_mul(10))
}

/// Memory that this process holds now, bytes.
pub(crate) fn memory(system: &System) -> u64 {
    let status = system.read("proc/self/status").unwrap_or_default();
    fields(&status, "VmRSS")
        .next()
        .map_or(0, |kib| bytes_of(&kib))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_time() {
        let system = System::real();
        assert!(memory(&system) > 1 << 16);
        let (all, kernel) = processor_time(&system);
        assert!(all > Duration::ZERO && kernel <= all);
    }

    #[test]
    fn the_machine_is_busy_with_all_that_is_not_idle() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let stat = "cpu  1 2 4 1000 1000 8 16 32 64 64\ncpu0 9 9 9\n";
        std::fs::write(root.path().join("proc/stat"), stat).unwrap();
        let system = System(root.path().to_owned());
        assert_eq!(machine_time(&system), Duration::from_millis(630));
    }
}
