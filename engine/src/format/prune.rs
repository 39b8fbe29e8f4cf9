//! Payloads of prune plans and seals: which packs go, which snapshots. §14.
//!
//! Both have one shape. A plan lists the packs that it condemns and the snapshots that it lets go;
//! a seal lists the packs that are deleted and the snapshots that remain.

use crate::format::cursor::Cursor;
use crate::format::id::SessionId;
use crate::format::name::{ObjectName, PackClass};
use crate::format::{DecodeError, Decoded, ensure};

/// Stored length of the counts in front.
const HEAD_LEN: usize = 16;
/// Stored length of one pack.
const PACK_LEN: usize = 24;

/// A plan, or a seal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneRecord {
    /// Number of the prune: that of the object's name.
    pub number: u32,
    /// Packs, ascending, no two alike.
    pub packs: Vec<PrunedPack>,
    /// Snapshots, ascending, no two alike.
    pub snapshots: Vec<SessionId>,
}

/// Names a pack; ascends as names do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrunedPack {
    /// Session in its name.
    pub session: SessionId,
    /// Number in its name.
    pub number: u32,
    /// What it holds.
    pub class: PackClass,
}

impl PrunedPack {
    /// The pack of this name; nothing if it is no pack's.
    pub fn of(name: &ObjectName) -> Option<Self> {
        match *name {
            ObjectName::Pack {
                session,
                number,
                class,
            } => Some(Self {
                session,
                number,
                class,
            }),
            _ => None,
        }
    }

    /// Name of the pack.
    pub fn name(&self) -> ObjectName {
        ObjectName::Pack {
            session: self.session,
            number: self.number,
            class: self.class,
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let (session, number) = (SessionId(cursor.array()?), cursor.u32()?);
        let class = PackClass::from_byte(cursor.u8()?)?;
        cursor.reserved(3)?;
        Ok(Self {
            session,
            number,
            class,
        })
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.session.as_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&[self.class.byte(), 0, 0, 0]);
    }
}

impl PruneRecord {
    /// Reads the payload of the plan or seal of this number.
    pub fn decode(bytes: &[u8], number: u32) -> Decoded<Self> {
        let mut cursor = Cursor::new(bytes);
        let found = cursor.u32()?;
        ensure(
            found == number,
            "step of a prune lies under a number that is not its own",
        )?;
        let [packs, snapshots] = [cursor.u32()?, cursor.u32()?].map(|count| count as usize);
        cursor.reserved(4)?;
        if cursor.rest().len() < packs * PACK_LEN + snapshots * SessionId::LEN {
            return Err(DecodeError::Truncated);
        }
        let record = Self {
            number,
            packs: (0..packs)
                .map(|_| PrunedPack::decode(&mut cursor))
                .collect::<Decoded<_>>()?,
            snapshots: (0..snapshots)
                .map(|_| cursor.array().map(SessionId))
                .collect::<Decoded<_>>()?,
        };
        cursor.finish("bytes follow the step of a prune")?;
        ensure(
            record.packs.is_sorted_by(|a, b| a < b),
            "packs of a prune do not ascend",
        )?;
        ensure(
            record.snapshots.is_sorted_by(|a, b| a < b),
            "snapshots of a prune do not ascend",
        )?;
        Ok(record)
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let (packs, snapshots) = (self.packs.len(), self.snapshots.len());
        let len = HEAD_LEN + packs * PACK_LEN + snapshots * SessionId::LEN;
        let mut out = Vec::with_capacity(len);
        for count in [self.number, packs as u32, snapshots as u32, 0] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        self.packs
            .iter()
            .for_each(|pack| pack.encode_into(&mut out));
        for snapshot in &self.snapshots {
            out.extend_from_slice(snapshot.as_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PruneRecord {
        let pack = |session, number, class| PrunedPack {
            session: SessionId([session; 16]),
            number,
            class,
        };
        PruneRecord {
            number: 7,
            packs: vec![
                pack(1, 0, PackClass::Data),
                pack(1, 0, PackClass::Meta),
                pack(2, 9, PackClass::Data),
            ],
            snapshots: vec![SessionId([3; 16]), SessionId([4; 16])],
        }
    }

    #[test]
    fn a_record_reads_back_and_only_under_its_number() {
        let bytes = sample().encode();
        assert_eq!(PruneRecord::decode(&bytes, 7), Ok(sample()));
        assert!(matches!(
            PruneRecord::decode(&bytes, 8),
            Err(DecodeError::Malformed(_))
        ));
    }

    #[test]
    fn every_prefix_and_every_continuation_of_a_record_is_refused() {
        let mut bytes = sample().encode();
        for len in 0..bytes.len() {
            assert_eq!(
                PruneRecord::decode(&bytes[..len], 7),
                Err(DecodeError::Truncated),
                "{len} bytes"
            );
        }
        bytes.push(0);
        assert!(PruneRecord::decode(&bytes, 7).is_err());
    }

    #[test]
    fn packs_or_snapshots_out_of_order_or_twice_are_refused() {
        let mut packs = sample();
        packs.packs.swap(0, 1);
        let mut twice = sample();
        twice.snapshots[1] = twice.snapshots[0];
        for record in [packs, twice] {
            let decoded = PruneRecord::decode(&record.encode(), 7);
            assert!(matches!(decoded, Err(DecodeError::Malformed(_))));
        }
    }
}
