//! Payload of a boot: what a machine did that was started from a snapshot. A CBOR map that may grow. §13.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::snapshot::Time;
use crate::format::{DecodeError, Decoded, cbor, ensure};
use crate::limits::{BOOT_SERIAL_LEN_MAX, PATH_LEN_LIMIT, SNAPSHOT_LEN_LIMIT};

/// A machine was started from disks of a snapshot, and watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The snapshot.
    pub session: SessionId,
    /// When the machine was started.
    pub begun: Timestamp,
    /// When it was over.
    pub ended: Timestamp,
    /// How it was over.
    pub outcome: BootOutcome,
    /// The same for people, such as the status of the program that was the machine; may be empty.
    pub detail: String,
    /// The text that was to appear on the serial port.
    pub expected: String,
    /// How long it was waited for at most, milliseconds.
    pub timeout_ms: u64,
    /// What found the system.
    pub firmware: BootFirmware,
    /// What ran the instructions: `tcg`, `kvm`.
    pub accelerator: String,
    /// What the disks were attached to: `virtio`, `nvme`, `sata`.
    pub bus: String,
    /// Memory of the machine, bytes.
    pub memory: u64,
    /// The program that was the machine, and its version.
    pub machine: String,
    /// Names of the roots that were its disks; the first is what it started from.
    pub disks: Vec<Vec<u8>>,
    /// The last of what it said on the serial port, at most [`BOOT_SERIAL_LEN_MAX`] bytes.
    pub serial: Vec<u8>,
    /// Bytes that it said there in all.
    pub said: u64,
    /// Reads and writes of its disks that failed.
    pub failed: u64,
    /// Name of the computer on which it ran.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Program that recorded it, and its version.
    pub program: String,
}

/// How a machine was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootOutcome {
    /// The text appeared.
    Appeared {
        /// After so many milliseconds.
        after_ms: u64,
    },
    /// It had not appeared when the time was over.
    NotInTime,
    /// The machine ended without it.
    MachineEnded,
}

/// What finds the system on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BootFirmware {
    /// The BIOS of a PC.
    Bios = 1,
    /// UEFI.
    Uefi = 2,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct BootBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    session: [u8; 16],
    #[n(1)]
    begun: Time,
    #[n(2)]
    ended: Time,
    #[n(3)]
    outcome: u8,
    #[n(4)]
    detail: String,
    #[n(5)]
    expected: String,
    #[n(6)]
    after_ms: Option<u64>,
    #[n(7)]
    timeout_ms: u64,
    #[n(8)]
    firmware: u8,
    #[n(9)]
    accelerator: String,
    #[n(10)]
    bus: String,
    #[n(11)]
    memory: u64,
    #[n(12)]
    machine: String,
    #[n(13)]
    disks: Vec<ByteVec>,
    #[n(14)]
    serial: ByteVec,
    #[n(15)]
    said: u64,
    #[n(16)]
    failed: u64,
    #[n(17)]
    host: String,
    #[n(18)]
    user: String,
    #[n(19)]
    program: String,
}

impl Boot {
    /// Reads the payload of a boot of `session`.
    pub fn decode(bytes: &[u8], session: SessionId) -> Decoded<Self> {
        if bytes.len() > SNAPSHOT_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("payload of a boot"));
        }
        let body: BootBody = cbor::decode(bytes, "payload of a boot")?;
        ensure(
            body.session == session.0,
            "boot lies under a name that is not its own",
        )?;
        body.into_boot()
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let (outcome, after_ms) = self.outcome.to_body();
        let disks = self.disks.iter().map(|name| ByteVec::from(name.clone()));
        let body = BootBody {
            session: self.session.0,
            begun: Time::of(self.begun),
            ended: Time::of(self.ended),
            outcome,
            detail: self.detail.clone(),
            expected: self.expected.clone(),
            after_ms,
            timeout_ms: self.timeout_ms,
            firmware: self.firmware as u8,
            accelerator: self.accelerator.clone(),
            bus: self.bus.clone(),
            memory: self.memory,
            machine: self.machine.clone(),
            disks: disks.collect(),
            serial: ByteVec::from(self.serial.clone()),
            said: self.said,
            failed: self.failed,
            host: self.host.clone(),
            user: self.user.clone(),
            program: self.program.clone(),
        };
        minicbor::to_vec(body).expect("writing to memory cannot fail")
    }
}

impl BootBody {
    fn into_boot(self) -> Decoded<Boot> {
        if self.serial.len() > BOOT_SERIAL_LEN_MAX {
            return Err(DecodeError::LimitExceeded("serial output of a boot"));
        }
        if self.disks.iter().any(|name| name.len() > PATH_LEN_LIMIT) {
            return Err(DecodeError::LimitExceeded("name of a disk"));
        }
        ensure(!self.disks.is_empty(), "boot of no disk")?;
        ensure(
            self.serial.len() as u64 <= self.said,
            "less was said than is there",
        )?;
        Ok(Boot {
            session: SessionId(self.session),
            begun: self.begun.into_timestamp()?,
            ended: self.ended.into_timestamp()?,
            outcome: BootOutcome::of_body(self.outcome, self.after_ms)?,
            detail: self.detail,
            expected: self.expected,
            timeout_ms: self.timeout_ms,
            firmware: BootFirmware::from_byte(self.firmware)?,
            accelerator: self.accelerator,
            bus: self.bus,
            memory: self.memory,
            machine: self.machine,
            disks: self.disks.into_iter().map(Vec::from).collect(),
            serial: self.serial.into(),
            said: self.said,
            failed: self.failed,
            host: self.host,
            user: self.user,
            program: self.program,
        })
    }
}

impl BootOutcome {
    /// True if what was expected happened.
    pub fn is_booted(self) -> bool {
        matches!(self, Self::Appeared { .. })
    }

    fn of_body(outcome: u8, after_ms: Option<u64>) -> Decoded<Self> {
        match (outcome, after_ms) {
            (1, Some(after_ms)) => Ok(Self::Appeared { after_ms }),
            (2, None) => Ok(Self::NotInTime),
            (3, None) => Ok(Self::MachineEnded),
            _ => Err(DecodeError::Malformed("outcome of a boot")),
        }
    }

    fn to_body(self) -> (u8, Option<u64>) {
        match self {
            Self::Appeared { after_ms } => (1, Some(after_ms)),
            Self::NotInTime => (2, None),
            Self::MachineEnded => (3, None),
        }
    }
}

impl BootFirmware {
    fn from_byte(byte: u8) -> Decoded<Self> {
        match byte {
            1 => Ok(Self::Bios),
            2 => Ok(Self::Uefi),
            _ => Err(DecodeError::Malformed("firmware of a boot")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_repository::sample_boot;

    const SESSION: SessionId = SessionId([5; 16]);

    #[test]
    fn a_boot_reads_back_whatever_its_outcome_and_only_under_its_snapshot() {
        for outcome in [
            BootOutcome::Appeared { after_ms: 0 },
            BootOutcome::NotInTime,
            BootOutcome::MachineEnded,
        ] {
            for firmware in [BootFirmware::Bios, BootFirmware::Uefi] {
                let boot = Boot {
                    outcome,
                    firmware,
                    ..sample_boot(SESSION)
                };
                let bytes = boot.encode();
                assert_eq!(Boot::decode(&bytes, SESSION), Ok(boot));
                assert!(Boot::decode(&bytes, SessionId([6; 16])).is_err());
            }
        }
    }

    #[test]
    fn every_prefix_is_refused_and_no_flipped_bit_gives_what_cannot_be_written() {
        let bytes = sample_boot(SESSION).encode();
        for len in 0..bytes.len() {
            assert!(Boot::decode(&bytes[..len], SESSION).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(boot) = Boot::decode(&flipped, SESSION) {
                assert_eq!(Boot::decode(&boot.encode(), SESSION), Ok(boot), "bit {bit}");
            }
        }
    }

    #[test]
    fn serial_output_and_names_are_bounded_and_a_boot_has_a_disk() {
        let mut boot = sample_boot(SESSION);
        boot.serial = vec![b'x'; BOOT_SERIAL_LEN_MAX];
        boot.said = BOOT_SERIAL_LEN_MAX as u64;
        assert_eq!(Boot::decode(&boot.encode(), SESSION), Ok(boot.clone()));
        boot.said -= 1;
        let less = DecodeError::Malformed("less was said than is there");
        assert_eq!(Boot::decode(&boot.encode(), SESSION), Err(less));
        boot.serial.push(b'x');
        let longer = DecodeError::LimitExceeded("serial output of a boot");
        assert_eq!(Boot::decode(&boot.encode(), SESSION), Err(longer));
        boot = sample_boot(SESSION);
        boot.disks = vec![vec![b'd'; PATH_LEN_LIMIT + 1]];
        let named = DecodeError::LimitExceeded("name of a disk");
        assert_eq!(Boot::decode(&boot.encode(), SESSION), Err(named));
        boot.disks.clear();
        let none = DecodeError::Malformed("boot of no disk");
        assert_eq!(Boot::decode(&boot.encode(), SESSION), Err(none));
    }
}
