//! Payloads of boots (FORMAT.md section 13).

use crate::reference::cbor::Map;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::snapshot::NAME_MAX;
use crate::reference::snapshot::Time;
use crate::reference::snapshot::check_len;
use crate::reference::snapshot::decode_choice;
use crate::reference::snapshot::decode_time;
use crate::reference::snapshot::own_session;

const SERIAL_MAX: u64 = 65_536;
const APPEARED: u64 = 1;

/// A machine was started from disks of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// As in the name.
    pub session: Id,
    /// When it was started.
    pub begun: Time,
    /// When it was over.
    pub ended: Time,
    /// 1 the text appeared, 2 not in time, 3 the machine ended without it.
    pub outcome: u64,
    /// For people.
    pub detail: String,
    /// The text.
    pub expected: String,
    /// Milliseconds until it appeared.
    pub seen_after: Option<u64>,
    /// Milliseconds that it was waited for at most.
    pub timeout: u64,
    /// 1 BIOS, 2 UEFI.
    pub firmware: u64,
    /// What ran the instructions.
    pub accelerator: String,
    /// What the disks were attached to.
    pub bus: String,
    /// Bytes.
    pub memory: u64,
    /// The program that was the machine.
    pub machine: String,
    /// Names of roots, the first is what it started from.
    pub disks: Vec<Vec<u8>>,
    /// The last of what it said.
    pub serial: Vec<u8>,
    /// Bytes that it said in all.
    pub said: u64,
    /// Reads and writes that failed.
    pub failed: u64,
    /// Where.
    pub host: String,
    /// By whom.
    pub user: String,
    /// What recorded it.
    pub program: String,
}

/// Reads the payload of the boot `name`.
pub fn decode_boot(payload: &[u8], name: &ObjectName) -> Result<Boot> {
    check_len("boot", payload)?;
    let mut map = Map::decode("boot", payload)?;
    let session = own_session(&mut map, name)?;
    let outcome = decode_choice(&mut map, 3, 3)?;
    if map.has(6) != (outcome == APPEARED) {
        return Err(map.malformed(6, "a time until the text appeared, and whether it did"));
    }
    let seen_after = match outcome {
        APPEARED => Some(map.uint(6)?),
        _ => None,
    };
    let disks = map.byte_strings(13)?;
    if disks.is_empty() {
        return Err(map.malformed(13, "no disk"));
    }
    if disks.iter().any(|name| name.len() as u64 > NAME_MAX) {
        return Err(map.fault(Fault::LimitExceeded, 13, "a name above 65,536 bytes"));
    }
    let serial = map.bytes(14)?;
    if serial.len() as u64 > SERIAL_MAX {
        return Err(map.fault(Fault::LimitExceeded, 14, "above 65,536 bytes"));
    }
    let said = map.uint(15)?;
    if said < serial.len() as u64 {
        return Err(map.malformed(15, "less than is there"));
    }
    Ok(Boot {
        session,
        begun: decode_time(map.map(1)?)?,
        ended: decode_time(map.map(2)?)?,
        outcome,
        detail: map.text(4)?,
        expected: map.text(5)?,
        seen_after,
        timeout: map.uint(7)?,
        firmware: decode_choice(&mut map, 8, 2)?,
        accelerator: map.text(9)?,
        bus: map.text(10)?,
        memory: map.uint(11)?,
        machine: map.text(12)?,
        disks,
        serial,
        said,
        failed: map.uint(16)?,
        host: map.text(17)?,
        user: map.text(18)?,
        program: map.text(19)?,
    })
}
