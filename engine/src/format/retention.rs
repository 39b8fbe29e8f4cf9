//! Payloads of tombstones and protections: CBOR maps that may grow. §13.

use minicbor::{Decode, Encode};

use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::snapshot::Time;
use crate::format::{DecodeError, Decoded, cbor, ensure};
use crate::limits::SNAPSHOT_LEN_LIMIT;

/// A snapshot is forgotten: the next prune may let it go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The snapshot.
    pub session: SessionId,
    /// When it was forgotten.
    pub forgotten: Timestamp,
    /// Name of the machine that forgot it.
    pub host: String,
    /// Name of the user.
    pub user: String,
}

/// A snapshot must not be forgotten for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The snapshot.
    pub session: SessionId,
    /// The end of that time.
    pub until: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
    /// Name of the machine that decided.
    pub host: String,
    /// Name of the user.
    pub user: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct TombstoneBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    session: [u8; 16],
    #[n(1)]
    forgotten: Time,
    #[n(2)]
    host: String,
    #[n(3)]
    user: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ProtectionBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    session: [u8; 16],
    #[n(1)]
    until: Time,
    #[n(2)]
    decided: Time,
    #[n(3)]
    host: String,
    #[n(4)]
    user: String,
}

impl Tombstone {
    /// Reads the payload of the tombstone of `session`.
    pub fn decode(bytes: &[u8], session: SessionId) -> Decoded<Self> {
        let body: TombstoneBody = decode(bytes, "payload of a tombstone")?;
        own(
            body.session,
            session,
            "tombstone lies under a name that is not its own",
        )?;
        Ok(Self {
            session,
            forgotten: body.forgotten.into_timestamp()?,
            host: body.host,
            user: body.user,
        })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encode(TombstoneBody {
            session: self.session.0,
            forgotten: Time::of(self.forgotten),
            host: self.host.clone(),
            user: self.user.clone(),
        })
    }
}

impl Protection {
    /// Reads the payload of a protection of `session`.
    pub fn decode(bytes: &[u8], session: SessionId) -> Decoded<Self> {
        let body: ProtectionBody = decode(bytes, "payload of a protection")?;
        own(
            body.session,
            session,
            "protection lies under a name that is not its own",
        )?;
        Ok(Self {
            session,
            until: body.until.into_timestamp()?,
            decided: body.decided.into_timestamp()?,
            host: body.host,
            user: body.user,
        })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encode(ProtectionBody {
            session: self.session.0,
            until: Time::of(self.until),
            decided: Time::of(self.decided),
            host: self.host.clone(),
            user: self.user.clone(),
        })
    }
}

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], what: &'static str) -> Decoded<T> {
    if bytes.len() > SNAPSHOT_LEN_LIMIT {
        return Err(DecodeError::LimitExceeded(what));
    }
    cbor::decode(bytes, what)
}

fn own(found: [u8; 16], session: SessionId, detail: &'static str) -> Decoded<()> {
    ensure(found == session.0, detail)
}

fn encode(body: impl Encode<()>) -> Vec<u8> {
    minicbor::to_vec(body).expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId([5; 16]);

    fn time(seconds: i64) -> Timestamp {
        Timestamp {
            seconds,
            nanoseconds: 9,
        }
    }

    fn tombstone() -> Tombstone {
        Tombstone {
            session: SESSION,
            forgotten: time(-1),
            host: "host".into(),
            user: "ana".into(),
        }
    }

    fn protection() -> Protection {
        Protection {
            session: SESSION,
            until: time(i64::MAX),
            decided: time(1_790_000_000),
            host: "host".into(),
            user: "ana".into(),
        }
    }

    #[test]
    fn tombstones_and_protections_read_back_and_only_under_their_snapshot() {
        let (grave, guard) = (tombstone().encode(), protection().encode());
        assert_eq!(Tombstone::decode(&grave, SESSION), Ok(tombstone()));
        assert_eq!(Protection::decode(&guard, SESSION), Ok(protection()));
        let other = SessionId([6; 16]);
        assert!(Tombstone::decode(&grave, other).is_err());
        assert!(Protection::decode(&guard, other).is_err());
        assert!(
            Tombstone::decode(&guard, SESSION).is_err(),
            "one is no other"
        );
    }

    #[test]
    fn every_prefix_is_refused() {
        let (grave, guard) = (tombstone().encode(), protection().encode());
        for len in 0..grave.len() {
            assert!(Tombstone::decode(&grave[..len], SESSION).is_err());
        }
        for len in 0..guard.len() {
            assert!(Protection::decode(&guard[..len], SESSION).is_err());
        }
    }
}
