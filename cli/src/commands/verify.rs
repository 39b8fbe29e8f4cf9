//! `verify`: that a snapshot starts is proven and recorded, and what was recorded is shown.

use std::sync::Arc;
use std::time::Duration;

use blockstore::Timestamp;
use blockstore::error::{Error, ErrorKind, Place};
use blockstore::format::boot::{Boot, BootFirmware, BootOutcome};
use blockstore::format::name::ObjectName;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::record_boot::record_boot;
use blockstore::repository::Repository;
use blockstore::repository::boots::{BootNumbers, read_boot};
use blockstore::repository::snapshots::find;

use crate::args::{Firmware, VerifyArgs};
use crate::commands::boot::{self, Ended, Expected, Ran, Start};
use crate::commands::serve::{self, Chosen};
use crate::commands::{Context, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::boots;
use crate::render::escape;
use crate::render::json::{BootList, BootRecord, VerifySummary};

pub(super) fn run(context: &Context<'_>, args: &VerifyArgs) -> Result<Outcome, Failure> {
    match (&args.expect, args.show) {
        (Some(text), _) => {
            let timeout = args.timeout.0;
            prove(context, args, Expected { text, timeout })
        }
        (None, Some(number)) => show(context, args, number),
        (None, None) => list(context, args),
    }
}

/// `--boot`. A machine that its user ended has proven nothing, and is not recorded.
fn prove(
    context: &Context<'_>,
    args: &VerifyArgs,
    expected: Expected<'_>,
) -> Result<Outcome, Failure> {
    context.ensure_writable()?;
    let repository = Arc::new(context.open()?.repository);
    let chosen = serve::choose(&repository, std::slice::from_ref(&args.location))?;
    let mut record = Record {
        args,
        chosen: &chosen,
        expected,
        machine: boot::version(&args.machine.qemu)?,
        begun: env::now(),
    };
    let start = Start {
        chosen: &chosen,
        machine: &args.machine,
        expected: Some(expected),
        overlay: None,
    };
    record.begun = env::now();
    let Ran { ended, problems } = start.run(context, &repository)?;
    if ended.is_cancelled && ended.seen_after.is_none() {
        let detail = "the machine was ended before anything was proven; nothing was recorded";
        return Err(Error::new(ErrorKind::Cancelled, Place::Repository, detail).into());
    }
    let boot = record.of(ended, problems.count)?;
    let number =
        record_boot(&repository, boot.clone()).map_err(|error| not_recorded(&boot, error))?;
    if context.output.is_json() {
        let summary = VerifySummary::of(number, &boot, &problems);
        context.output.object(&summary)?;
    } else {
        context.output.line(&boots::proven(number, &boot))?;
    }
    Ok(match boot.outcome.is_booted() {
        false => Outcome::Damage,
        true => Outcome::of_problems(problems.count),
    })
}

/// What was to be proven is known all the same: minutes went into it.
fn not_recorded(boot: &Boot, error: Error) -> Failure {
    let detail = format!("{}, which could not be recorded", boots::outcome(boot));
    let name = ObjectName::Snapshot(boot.session);
    Error::new(error.kind(), Place::Object(name), detail)
        .with_source(error)
        .into()
}

/// What is known before the machine has ended.
struct Record<'r> {
    args: &'r VerifyArgs,
    chosen: &'r [Chosen],
    expected: Expected<'r>,
    machine: String,
    begun: Timestamp,
}

impl Record<'_> {
    fn of(self, ended: Ended, failed: u64) -> Result<Boot, Failure> {
        let machine = &self.args.machine;
        let writer = writer(env::host());
        let snapshot: &Snapshot = &self.chosen[0].snapshot;
        let names = self.chosen.iter().map(|one| Ok(one.volume()?.name()));
        let disks = names.collect::<Result<_, Failure>>()?;
        let status = ended.status.filter(|_| ended.seen_after.is_none());
        Ok(Boot {
            session: snapshot.session,
            begun: self.begun,
            ended: env::now(),
            outcome: outcome(&ended),
            detail: status.map(|status| status.to_string()).unwrap_or_default(),
            expected: self.expected.text.to_owned(),
            timeout_ms: milliseconds(self.expected.timeout),
            firmware: match machine.firmware {
                Firmware::Bios => BootFirmware::Bios,
                Firmware::Uefi => BootFirmware::Uefi,
            },
            accelerator: machine.accel.word().to_owned(),
            bus: machine.bus.word().to_owned(),
            memory: machine.memory_size.0,
            machine: self.machine,
            disks,
            serial: ended.tail,
            said: ended.said,
            failed,
            host: writer.host,
            user: writer.user,
            program: PROGRAM.to_owned(),
        })
    }
}

/// What records it.
const PROGRAM: &str = concat!("blockstore ", env!("CARGO_PKG_VERSION"));

fn outcome(ended: &Ended) -> BootOutcome {
    match (ended.seen_after, ended.status) {
        (Some(after), _) => BootOutcome::Appeared {
            after_ms: milliseconds(after),
        },
        (None, Some(_)) => BootOutcome::MachineEnded,
        (None, None) => BootOutcome::NotInTime,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `--list`
fn list(context: &Context<'_>, args: &VerifyArgs) -> Result<Outcome, Failure> {
    let (repository, snapshot) = snapshot(context, args)?;
    let numbers = BootNumbers::list(&repository)?;
    let found = numbers.read_all(&repository, snapshot.session)?;
    if context.output.is_json() {
        let list = BootList::of(snapshot.session, &found.boots, &found.damaged);
        context.output.object(&list)?;
    } else {
        if found.boots.is_empty() {
            context.output.note("it was never started to prove it");
        }
        for line in boots::table(&found.boots) {
            context.output.line(&line)?;
        }
        for (_, error) in &found.damaged {
            let text = escape::line(&format!("damaged: {error}"));
            context.output.problem(&text);
        }
    }
    Ok(Outcome::of_problems(found.damaged.len() as u64))
}

/// `--show`
fn show(context: &Context<'_>, args: &VerifyArgs, number: u32) -> Result<Outcome, Failure> {
    let (repository, snapshot) = snapshot(context, args)?;
    let boot = read_boot(&repository, snapshot.session, number)?;
    if context.output.is_json() {
        context.output.object(&BootRecord::of(number, &boot))?;
    } else {
        for line in boots::whole(number, &boot) {
            context.output.line(&line)?;
        }
    }
    Ok(Outcome::Done)
}

/// Records are of a whole snapshot, whichever of its volumes were started.
fn snapshot(context: &Context<'_>, args: &VerifyArgs) -> Result<(Repository, Snapshot), Failure> {
    if !args.location.path.is_empty() {
        let detail = "records are of a snapshot: leave its volume out";
        return Err(Failure::Usage(detail.to_owned()));
    }
    let repository = context.open()?.repository;
    let snapshot = find(&repository, &args.location.snapshot)?;
    Ok((repository, snapshot))
}
