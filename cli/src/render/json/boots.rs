//! What is said of machines that were started, and of what was recorded of them.

use std::time::Duration;

use blockstore::error::Error;
use blockstore::format::boot::{Boot, BootOutcome};
use blockstore::format::id::SessionId;
use blockstore::format::name::ObjectName;
use serde::Serialize;

use super::{DamagedObject, PathText, ProblemList};
use crate::progress::Problems;
use crate::render::boots::firmware;
use crate::render::units::utc_time;

/// `boot`, once the machine has ended.
#[derive(Debug, Serialize)]
pub(crate) struct BootSummary {
    booted: Option<bool>,
    serial: String,
    #[serde(flatten)]
    problems: ProblemList,
    seconds: f64,
}

/// `verify --boot`
#[derive(Debug, Serialize)]
pub(crate) struct VerifySummary {
    #[serde(flatten)]
    record: BootRecord,
    #[serde(flatten)]
    problems: ProblemList,
}

/// `verify --list`
#[derive(Debug, Serialize)]
pub(crate) struct BootList {
    snapshot: String,
    boots: Vec<BootRecord>,
    damaged: Vec<DamagedObject>,
}

/// A record; `verify --show`.
#[derive(Debug, Serialize)]
pub(crate) struct BootRecord {
    snapshot: String,
    number: u32,
    booted: bool,
    outcome: &'static str,
    detail: String,
    expected: String,
    seen_seconds: Option<f64>,
    timeout_seconds: f64,
    begun: String,
    ended: String,
    firmware: &'static str,
    accelerator: String,
    bus: String,
    memory: u64,
    machine: String,
    disks: Vec<PathText>,
    serial: String,
    said_bytes: u64,
    failed: u64,
    host: String,
    user: String,
    program: String,
}

/// Of a snapshot: the newest record.
#[derive(Debug, Serialize)]
pub(crate) struct LastBoot {
    number: u32,
    booted: bool,
    begun: String,
}

impl BootSummary {
    /// `booted` is nothing unless something was expected.
    pub(crate) fn of(
        booted: Option<bool>,
        serial: &[u8],
        problems: &Problems,
        took: Duration,
    ) -> Self {
        Self {
            booted,
            serial: String::from_utf8_lossy(serial).into_owned(),
            problems: ProblemList::of(problems, 0),
            seconds: took.as_secs_f64(),
        }
    }
}

impl VerifySummary {
    pub(crate) fn of(number: u32, boot: &Boot, problems: &Problems) -> Self {
        Self {
            record: BootRecord::of(number, boot),
            problems: ProblemList::of(problems, 0),
        }
    }
}

impl BootList {
    pub(crate) fn of(
        snapshot: SessionId,
        boots: &[(u32, Boot)],
        damaged: &[(ObjectName, Error)],
    ) -> Self {
        let records = boots.iter();
        Self {
            snapshot: snapshot.to_string(),
            boots: records
                .map(|(number, boot)| BootRecord::of(*number, boot))
                .collect(),
            damaged: DamagedObject::list(damaged),
        }
    }
}

impl BootRecord {
    pub(crate) fn of(number: u32, boot: &Boot) -> Self {
        let seconds = |milliseconds: u64| Duration::from_millis(milliseconds).as_secs_f64();
        let (outcome, seen_seconds) = match boot.outcome {
            BootOutcome::Appeared { after_ms } => ("appeared", Some(seconds(after_ms))),
            BootOutcome::NotInTime => ("not_in_time", None),
            BootOutcome::MachineEnded => ("machine_ended", None),
        };
        Self {
            snapshot: boot.session.to_string(),
            number,
            booted: boot.outcome.is_booted(),
            outcome,
            detail: boot.detail.clone(),
            expected: boot.expected.clone(),
            seen_seconds,
            timeout_seconds: seconds(boot.timeout_ms),
            begun: utc_time(boot.begun),
            ended: utc_time(boot.ended),
            firmware: firmware(boot.firmware),
            accelerator: boot.accelerator.clone(),
            bus: boot.bus.clone(),
            memory: boot.memory,
            machine: boot.machine.clone(),
            disks: boot.disks.iter().map(|name| PathText::of(name)).collect(),
            serial: String::from_utf8_lossy(&boot.serial).into_owned(),
            said_bytes: boot.said,
            failed: boot.failed,
            host: boot.host.clone(),
            user: boot.user.clone(),
            program: boot.program.clone(),
        }
    }
}

impl LastBoot {
    pub(crate) fn of(number: u32, boot: &Boot) -> Self {
        Self {
            number,
            booted: boot.outcome.is_booted(),
            begun: utc_time(boot.begun),
        }
    }
}
