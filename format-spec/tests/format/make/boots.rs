//! Vectors of boots: what a machine did that was started from a snapshot.

use crate::encode::payload;
use crate::encode::payload::Cbor;
use crate::encode::payload::text;
use crate::encode::payload::with;
use crate::make::LIMIT;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::VALID;
use crate::make::forgetting::sealed;
use crate::make::forgetting::set;
use crate::make::forgetting::time;
use crate::make::forgetting::too_long;
use crate::make::sealed::name;

const BOOT: u8 = 12;

pub(crate) fn all() -> Vec<Set> {
    vec![outcomes(), machines(), serial(), payloads(), sealed_boot()]
}

fn boots() -> Set {
    Set::new("boot", &name(BOOT), "")
}

fn edited(key: u64, value: Option<Cbor>) -> Vec<u8> {
    Cbor::Map(with(payload::boot(), key, value)).encode()
}

fn uint(value: u64) -> Option<Cbor> {
    Some(Cbor::Uint(value))
}

/// A boot of another outcome, with or without the time until the text appeared.
fn ended(outcome: u64, seen_after: Option<Cbor>) -> Vec<u8> {
    let fields = with(payload::boot(), 3, uint(outcome));
    let fields = with(fields, 4, Some(text("exit status: 1")));
    Cbor::Map(with(fields, 6, seen_after)).encode()
}

fn outcomes() -> Set {
    let mut set = boots();
    let valid = Cbor::Map(payload::boot()).encode();
    set.add("valid", VALID, "the text appeared", valid);
    set.add("not_in_time", VALID, "it did not in time", ended(2, None));
    set.add("machine_ended", VALID, "the machine ended", ended(3, None));
    set.add("outcome_zero", MALFORMED, "outcome 0", ended(0, None));
    set.add("outcome_four", MALFORMED, "outcome 4", ended(4, None));
    set.add("outcome_absent", MALFORMED, "no outcome", edited(3, None));
    set.add(
        "seen_absent",
        MALFORMED,
        "the text appeared, at no time",
        edited(6, None),
    );
    set.add(
        "seen_without_text",
        MALFORMED,
        "the time at which a text appeared that did not",
        ended(2, uint(5)),
    );
    set.add(
        "seen_type",
        MALFORMED,
        "a time until the text appeared that is no number",
        edited(6, Some(text("11"))),
    );
    set
}

fn machines() -> Set {
    let mut set = boots();
    let disks = |names: Vec<Vec<u8>>| {
        let names = names.into_iter().map(Cbor::Bytes);
        edited(13, Some(Cbor::Array(names.collect())))
    };
    set.add("bios", VALID, "by BIOS", edited(8, uint(1)));
    set.add("firmware_zero", MALFORMED, "firmware 0", edited(8, uint(0)));
    set.add(
        "firmware_three",
        MALFORMED,
        "firmware 3",
        edited(8, uint(3)),
    );
    set.add(
        "two_disks",
        VALID,
        "two disks, of which one has no text as its name",
        disks(vec![b"root".to_vec(), vec![0xff]]),
    );
    set.add("no_disk", MALFORMED, "no disk", disks(vec![]));
    set.add(
        "disk_type",
        MALFORMED,
        "a disk with a text as its name",
        edited(13, Some(Cbor::Array(vec![text("disk0")]))),
    );
    set.add(
        "disk_longest",
        VALID,
        "the longest name of a disk",
        disks(vec![vec![b'd'; 65_536]]),
    );
    set.add(
        "disk_limit",
        LIMIT,
        "a longer name of a disk",
        disks(vec![vec![b'd'; 65_537]]),
    );
    for (key, claim, comment) in [
        (7, "timeout_absent", "no limit of the time"),
        (9, "accelerator_absent", "nothing that ran the instructions"),
        (10, "bus_absent", "no bus"),
        (11, "memory_absent", "no memory"),
        (12, "machine_absent", "no program that was the machine"),
        (13, "disks_absent", "no list of disks"),
    ] {
        set.add(claim, MALFORMED, comment, edited(key, None));
    }
    set
}

fn serial() -> Set {
    let mut set = boots();
    let said = |len: usize, all: u64| {
        let fields = with(payload::boot(), 14, Some(Cbor::Bytes(vec![0xff; len])));
        Cbor::Map(with(fields, 15, uint(all))).encode()
    };
    set.add("silent", VALID, "it said nothing", said(0, 0));
    set.add(
        "serial_longest",
        VALID,
        "65,536 bytes of serial output",
        said(65_536, 65_536),
    );
    set.add(
        "serial_limit",
        LIMIT,
        "a byte more of serial output",
        said(65_537, 65_537),
    );
    set.add(
        "said_less",
        MALFORMED,
        "less was said than is there",
        said(8, 7),
    );
    set.add(
        "serial_text",
        MALFORMED,
        "serial output as text",
        edited(14, Some(text("host login:"))),
    );
    set
}

fn payloads() -> Set {
    let mut set = boots();
    let valid = Cbor::Map(payload::boot()).encode();
    set.add(
        "unknown_key",
        VALID,
        "an unknown key is ignored",
        edited(40, uint(1)),
    );
    set.add(
        "ended_before_begun",
        VALID,
        "it ended before it began: clocks are set",
        edited(2, time(0)),
    );
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        edited(0, Some(Cbor::Bytes(vec![1; 16]))),
    );
    set.add(
        "begun_limit",
        MALFORMED,
        "a second of nanoseconds",
        edited(1, time(1_000_000_000)),
    );
    for (key, claim, comment) in [
        (1, "begun_absent", "no beginning"),
        (2, "ended_absent", "no end"),
        (4, "detail_absent", "not how it was"),
        (5, "expected_absent", "no text that was expected"),
        (14, "serial_absent", "no serial output"),
        (15, "said_absent", "no length of what was said"),
        (16, "failed_absent", "no number of failed reads"),
        (17, "host_absent", "no host"),
        (18, "user_absent", "no user"),
        (19, "program_absent", "no program"),
    ] {
        set.add(claim, MALFORMED, comment, edited(key, None));
    }
    set.add(
        "protection",
        MALFORMED,
        "a protection where a boot is",
        Cbor::Map(payload::protection()).encode(),
    );
    set.add_ends(
        MALFORMED,
        "the payload ends early, the envelope did not",
        &valid,
    );
    set
}

fn sealed_boot() -> Set {
    let mut set = set(BOOT);
    let whole = sealed(BOOT, &Cbor::Map(payload::boot()).encode());
    set.add("boot", VALID, "a boot", whole.encode());
    let mut renumbered = whole;
    renumbered.number = 2;
    set.add(
        "boot_renumbered",
        MALFORMED,
        "the table is of another number",
        renumbered.encode(),
    );
    set.add(
        "protection_as_boot",
        MALFORMED,
        "kind 11 under boots/",
        sealed(11, &Cbor::Map(payload::protection()).encode()).encode(),
    );
    set.add(
        "boot_limit",
        LIMIT,
        "a payload above 16 MiB",
        too_long(BOOT, 1),
    );
    set
}
