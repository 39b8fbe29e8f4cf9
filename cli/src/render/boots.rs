//! What was recorded of machines that were started, as sentences and tables.

use std::time::Duration;

use blockstore::format::boot::{Boot, BootFirmware, BootOutcome};

use crate::render::escape;
use crate::render::human::{bytes, counted, local_time, short};
use crate::render::table::{self, Align};
use crate::render::units::duration;

/// What came of it, and where it is recorded.
pub(crate) fn proven(number: u32, boot: &Boot) -> String {
    let id = short(boot.session);
    format!("{}; recorded as {number} of snapshot {id}", outcome(boot))
}

/// `booted: "login:" appeared after 11.5 s`
pub(crate) fn outcome(boot: &Boot) -> String {
    let text = escape::line(&format!("{:?}", boot.expected));
    match boot.outcome {
        BootOutcome::Appeared { after_ms } => {
            let after = duration(Duration::from_millis(after_ms));
            format!("booted: {text} appeared after {after}")
        }
        BootOutcome::NotInTime => {
            let time = duration(Duration::from_millis(boot.timeout_ms));
            format!("not booted: {text} did not appear within {time}")
        }
        BootOutcome::MachineEnded => {
            let how = escape::line(&boot.detail);
            format!("not booted: {text} did not appear before the machine ended: {how}")
        }
    }
}

/// One line for each record, below a heading.
pub(crate) fn table(boots: &[(u32, Boot)]) -> Vec<String> {
    if boots.is_empty() {
        return Vec::new();
    }
    let heading = [
        "number", "time", "outcome", "after", "firmware", "by", "host",
    ];
    let rows = boots.iter().map(|(number, boot)| {
        [
            number.to_string(),
            local_time(boot.begun),
            word(boot).to_owned(),
            after(boot),
            firmware(boot.firmware).to_owned(),
            escape::line(&boot.accelerator),
            escape::line(&boot.host),
        ]
    });
    let rows: Vec<_> = std::iter::once(heading.map(str::to_owned))
        .chain(rows)
        .collect();
    use Align::{Left, Right};
    table::lines([Right, Left, Left, Right, Left, Left, Left], &rows)
}

/// All that a record says, what the machine said last.
pub(crate) fn whole(number: u32, boot: &Boot) -> Vec<String> {
    let disks: Vec<_> = boot.disks.iter().map(|name| escape::path(name)).collect();
    let fields = [
        ["snapshot", &boot.session.to_string()],
        ["number", &number.to_string()],
        ["outcome", &outcome(boot)],
        ["begun", &local_time(boot.begun)],
        ["ended", &local_time(boot.ended)],
        ["disks", &disks.join(" ")],
        ["firmware", firmware(boot.firmware)],
        ["accelerator", &boot.accelerator],
        ["bus", &boot.bus],
        ["memory", &bytes(boot.memory)],
        ["machine", &boot.machine],
        [
            "failed",
            &counted(boot.failed, "read or write", "reads and writes"),
        ],
        ["host", &boot.host],
        ["user", &boot.user],
        ["program", &boot.program],
        ["serial port", &serial_len(boot)],
    ];
    let rows = fields.map(|[name, value]| [name.to_owned(), escape::line(value)]);
    let mut lines = table::lines([Align::Left; 2], &rows);
    lines.push(String::new());
    lines.extend(serial(&boot.serial));
    lines
}

fn serial_len(boot: &Boot) -> String {
    let there = bytes(boot.serial.len() as u64);
    match boot.said > boot.serial.len() as u64 {
        true => format!("the last {there} of {}", bytes(boot.said)),
        false => there,
    }
}

/// A machine may say anything: of what it said only the lines are kept as they are.
fn serial(said: &[u8]) -> impl Iterator<Item = String> {
    let lines = said.split(|byte| *byte == b'\n');
    lines.map(|line| escape::path(line.trim_ascii_end()))
}

/// The newest record, for a column: when it booted, or that it did not.
pub(crate) fn cell(boot: &Boot) -> String {
    let time = local_time(boot.begun);
    match boot.outcome.is_booted() {
        true => time,
        false => format!("failed {time}"),
    }
}

fn word(boot: &Boot) -> &'static str {
    match boot.outcome {
        BootOutcome::Appeared { .. } => "booted",
        BootOutcome::NotInTime => "not in time",
        BootOutcome::MachineEnded => "machine ended",
    }
}

fn after(boot: &Boot) -> String {
    match boot.outcome {
        BootOutcome::Appeared { after_ms } => duration(Duration::from_millis(after_ms)),
        BootOutcome::NotInTime | BootOutcome::MachineEnded => String::new(),
    }
}

/// The word for a firmware.
pub(crate) fn firmware(firmware: BootFirmware) -> &'static str {
    match firmware {
        BootFirmware::Bios => "bios",
        BootFirmware::Uefi => "uefi",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn each_outcome_is_a_sentence_and_a_word() {
        let mut boot = samples::boot();
        let line = proven(4, &boot);
        assert_eq!(
            line,
            r#"booted: "login:" appeared after 11.5 s; recorded as 4 of snapshot 3f3f3f3f"#
        );
        assert!(cell(&boot).starts_with("2026-09-2"));
        boot.outcome = BootOutcome::NotInTime;
        let line = outcome(&boot);
        assert_eq!(
            line,
            r#"not booted: "login:" did not appear within 2 min 00 s"#
        );
        boot.outcome = BootOutcome::MachineEnded;
        boot.detail = "exit status: 1\x1b".into();
        assert!(outcome(&boot).ends_with(r"before the machine ended: exit status: 1\x1b"));
        assert!(cell(&boot).starts_with("failed 2026-09-2"));
    }

    #[test]
    fn a_record_is_shown_whole_and_what_the_machine_said_cannot_move_the_cursor() {
        let boot = samples::boot();
        let lines = whole(4, &boot);
        let shown = lines.join("\n");
        assert!(
            shown.contains("serial port  the last 17 B of 68.4 KiB"),
            "{shown}"
        );
        assert_eq!(
            lines[lines.len() - 2..],
            [r"\x1b[2Jhost", "login: "].map(|line| line.trim_end().to_owned())
        );
        let table = table(&[(0, boot.clone()), (1, boot)]);
        assert!(table[0].starts_with("number  time"), "{}", table[0]);
        assert!(table[2].contains("  booted  "), "{}", table[2]);
    }
}
