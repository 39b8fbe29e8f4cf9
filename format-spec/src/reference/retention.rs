//! Payloads of tombstones and protections (FORMAT.md section 13).

use crate::reference::cbor::Map;
use crate::reference::fault::Result;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::snapshot::Time;
use crate::reference::snapshot::check_len;
use crate::reference::snapshot::decode_time;
use crate::reference::snapshot::own_session;

/// A snapshot is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// As in the name.
    pub session: Id,
    /// When.
    pub forgotten: Time,
    /// Where.
    pub host: String,
    /// By whom.
    pub user: String,
}

/// Reads the payload of the tombstone `name`.
pub fn decode_tombstone(payload: &[u8], name: &ObjectName) -> Result<Tombstone> {
    check_len("tombstone", payload)?;
    let mut map = Map::decode("tombstone", payload)?;
    Ok(Tombstone {
        session: own_session(&mut map, name)?,
        forgotten: decode_time(map.map(1)?)?,
        host: map.text(2)?,
        user: map.text(3)?,
    })
}

/// A snapshot must not be forgotten for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// As in the name.
    pub session: Id,
    /// The end of that time.
    pub until: Time,
    /// When it was decided.
    pub decided: Time,
    /// Where.
    pub host: String,
    /// By whom.
    pub user: String,
}

/// Reads the payload of the protection `name`.
pub fn decode_protection(payload: &[u8], name: &ObjectName) -> Result<Protection> {
    check_len("protection", payload)?;
    let mut map = Map::decode("protection", payload)?;
    Ok(Protection {
        session: own_session(&mut map, name)?,
        until: decode_time(map.map(1)?)?,
        decided: decode_time(map.map(2)?)?,
        host: map.text(3)?,
        user: map.text(4)?,
    })
}
