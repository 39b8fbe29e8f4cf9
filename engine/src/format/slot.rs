//! Body of a key slot, and the bundle of secrets that it wraps. §6.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::format::cursor::Cursor;
use crate::format::{DecodeError, Decoded, cbor, ensure};
use crate::limits::{ARGON2_LANES_LIMIT, ARGON2_MEMORY_KIB_LIMIT, ARGON2_PASSES_LIMIT};

/// Longest sealed bundle: some 400 epochs.
const BUNDLE_LEN_LIMIT: usize = 16 * 1024;
const BUNDLE_VERSION: u8 = 1;
const GRANT_ALL: u8 = 1;
const WAY_PASSWORD: u8 = 1;
const WAY_KEY_FILE: u8 = 2;

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// How the wrapping key is made.
    pub way: WayIn,
    /// Random, public.
    pub salt: [u8; 32],
    /// Algorithm that seals the bundle.
    pub aead: u8,
    /// The sealed bundle.
    pub bundle: Vec<u8>,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// For people.
    pub label: String,
}

/// How a slot's wrapping key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// From a password by Argon2id.
    Password(Argon2Costs),
    /// From the contents of a key file.
    KeyFile,
}

/// What Argon2id costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Costs {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// The secrets behind every key of a repository.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Secret of the keys that never rotate.
    pub stable: Zeroizing<[u8; 32]>,
    /// Secrets of the class keys by epoch, ascending, at least one.
    pub epochs: Vec<(u32, Zeroizing<[u8; 32]>)>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    way: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[n(2)]
    memory_kib: Option<u64>,
    #[n(3)]
    passes: Option<u64>,
    #[n(4)]
    lanes: Option<u64>,
    #[n(5)]
    aead: u8,
    #[n(6)]
    bundle: ByteVec,
    #[n(7)]
    created: u64,
    #[n(8)]
    label: String,
}

impl Slot {
    /// Reads the body of a slot record.
    pub fn decode(body: &[u8]) -> Decoded<Self> {
        let body: Body = cbor::decode(body, "key slot")?;
        let way = match body.way {
            WAY_PASSWORD => WayIn::Password(Argon2Costs::from_body(&body)?),
            WAY_KEY_FILE => WayIn::KeyFile,
            _ => return Err(DecodeError::Malformed("unknown way into a key slot")),
        };
        if body.bundle.len() > BUNDLE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("sealed bundle"));
        }
        ensure(matches!(body.aead, 1 | 2), "unknown AEAD")?;
        let (salt, aead, created) = (body.salt, body.aead, body.created);
        Ok(Self {
            way,
            salt,
            aead,
            bundle: body.bundle.into(),
            created,
            label: body.label,
        })
    }

    /// The body of a slot record.
    pub fn encode(&self) -> Vec<u8> {
        let (way, costs) = match self.way {
            WayIn::Password(costs) => (WAY_PASSWORD, Some(costs)),
            WayIn::KeyFile => (WAY_KEY_FILE, None),
        };
        let body = Body {
            way,
            salt: self.salt,
            memory_kib: costs.map(|costs| costs.memory_kib.into()),
            passes: costs.map(|costs| costs.passes.into()),
            lanes: costs.map(|costs| costs.lanes.into()),
            aead: self.aead,
            bundle: self.bundle.clone().into(),
            created: self.created,
            label: self.label.clone(),
        };
        minicbor::to_vec(body).expect("writing to memory cannot fail")
    }
}

impl Argon2Costs {
    fn from_body(body: &Body) -> Decoded<Self> {
        let cost = |stated: Option<u64>, limit: u32, what: &'static str| {
            let stated = stated.ok_or(DecodeError::Malformed("password slot without its costs"))?;
            let fits = u32::try_from(stated).ok().filter(|cost| *cost <= limit);
            fits.ok_or(DecodeError::LimitExceeded(what))
        };
        let costs = Self {
            memory_kib: cost(body.memory_kib, ARGON2_MEMORY_KIB_LIMIT, "Argon2id memory")?,
            passes: cost(body.passes, ARGON2_PASSES_LIMIT, "Argon2id passes")?,
            lanes: cost(body.lanes, ARGON2_LANES_LIMIT, "Argon2id lanes")?,
        };
        // What Argon2id itself refuses (RFC 9106 §3.1).
        let possible = costs.passes > 0 && costs.lanes > 0 && costs.memory_kib / 8 >= costs.lanes;
        ensure(possible, "impossible costs of Argon2id").map(|()| costs)
    }
}

impl Bundle {
    /// Reads an unsealed bundle.
    pub fn decode(bytes: &[u8]) -> Decoded<Self> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.u8()?;
        if version != BUNDLE_VERSION {
            return Err(DecodeError::UnknownVersion(version));
        }
        ensure(cursor.u8()? == GRANT_ALL, "unknown grant of a key slot")?;
        let count = cursor.u16()?;
        let stable = Zeroizing::new(cursor.array()?);
        let mut epochs: Vec<(u32, _)> = Vec::new();
        for _ in 0..count {
            let epoch = cursor.u32()?;
            ensure(
                epochs.last().is_none_or(|(last, _)| *last < epoch),
                "epochs do not ascend",
            )?;
            epochs.push((epoch, Zeroizing::new(cursor.array()?)));
        }
        ensure(!epochs.is_empty(), "no epoch")?;
        cursor.finish("bundle is longer than its epochs")?;
        Ok(Self { stable, epochs })
    }

    /// The bundle, to be sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![BUNDLE_VERSION, GRANT_ALL]);
        out.extend_from_slice(&(self.epochs.len() as u16).to_le_bytes());
        out.extend_from_slice(&*self.stable);
        for (epoch, secret) in &self.epochs {
            out.extend_from_slice(&epoch.to_le_bytes());
            out.extend_from_slice(&**secret);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Slot {
        let costs = Argon2Costs {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let label = "first".to_owned();
        let way = WayIn::Password(costs);
        Slot {
            way,
            salt: [1; 32],
            aead: 1,
            bundle: vec![5; 90],
            created: 7,
            label,
        }
    }

    #[test]
    fn a_slot_reads_back() {
        assert_eq!(Slot::decode(&sample().encode()), Ok(sample()));
        let key_file = Slot {
            way: WayIn::KeyFile,
            ..sample()
        };
        assert_eq!(Slot::decode(&key_file.encode()), Ok(key_file));
    }

    #[test]
    fn costs_that_would_exhaust_the_reader_are_refused() {
        let costs = Argon2Costs {
            memory_kib: u32::MAX,
            passes: 1,
            lanes: 1,
        };
        let bomb = Slot {
            way: WayIn::Password(costs),
            ..sample()
        };
        assert_eq!(
            Slot::decode(&bomb.encode()),
            Err(DecodeError::LimitExceeded("Argon2id memory"))
        );
    }

    #[test]
    fn a_bundle_reads_back_and_its_epochs_must_ascend() {
        let secret = |byte| Zeroizing::new([byte; 32]);
        let good = Bundle {
            stable: secret(1),
            epochs: vec![(1, secret(2)), (5, secret(3))],
        };
        assert!(Bundle::decode(&good.encode()).is_ok_and(|read| read == good));
        let bad = Bundle {
            stable: secret(1),
            epochs: vec![(5, secret(2)), (5, secret(3))],
        };
        assert!(Bundle::decode(&bad.encode()).is_err());
        let none = Bundle {
            stable: secret(1),
            epochs: vec![],
        };
        assert!(Bundle::decode(&none.encode()).is_err());
    }
}
