//! Clear records: config and key slots (FORMAT.md section 6).

use crate::reference::bytes::Reader;
use crate::reference::cbor::Map;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::keys;
use crate::reference::keys::Key;
use crate::reference::keys::Keyring;
use crate::reference::name::Id;

const MAGIC: [u8; 8] = [0x8b, 0x42, 0x4b, 0x52, 0x0d, 0x0a, 0x1a, 0x0a];
const FIXED_LEN: usize = 24 + 32 + 32;
const RECORD_MAX: u64 = 65_536;
const CHUNK_MAX: u64 = 16 << 20;
const BUNDLE_MAX: u64 = 16 << 10;

/// `kind` of a config.
pub const CONFIG: u8 = 1;
/// `kind` of a key slot.
pub const SLOT: u8 = 2;

/// A record whose hash agrees; its tag is still to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// CBOR.
    pub body: Vec<u8>,
    /// Flags that a reader may ignore.
    pub optional: u32,
    tagged: Vec<u8>,
    tag: [u8; 32],
}

impl Record {
    fn tag_agrees(&self, key: &Key) -> bool {
        *blake3::keyed_hash(key, &self.tagged).as_bytes() == self.tag
    }
}

/// Reads the envelope of a record that has to be of `kind`.
pub fn decode_record(bytes: &[u8], kind: u8) -> Result<Record> {
    let mut reader = Reader::new("record", bytes);
    reader.limit(bytes.len() as u64, RECORD_MAX, "the length of a record")?;
    if bytes.len() < FIXED_LEN {
        return Err(reader.fault(Fault::Truncated, "shorter than any record"));
    }
    let magic: [u8; 8] = reader.array()?;
    reader.require(magic == MAGIC, "not the magic of a record")?;
    let found_kind = reader.u8()?;
    let version = reader.u8()?;
    if version != 1 {
        return Err(reader.fault(Fault::UnknownVersion, format!("version {version}")));
    }
    let (hashed, hash) = bytes.split_at(bytes.len() - 32);
    if *blake3::hash(hashed).as_bytes() != *hash {
        return Err(reader.fault(Fault::BadChecksum, "the hash does not agree"));
    }
    reader.reserved(2)?;
    let required = reader.u32()?;
    if required != 0 {
        return Err(reader.fault(Fault::UnknownRequiredFlag, format!("flags {required:#x}")));
    }
    reader.require(found_kind == kind, "not the kind of its name")?;
    let optional = reader.u32()?;
    let body_len = u64::from(reader.u32()?);
    reader.limit(body_len, RECORD_MAX - FIXED_LEN as u64, "body_len")?;
    let fits = body_len as usize + FIXED_LEN == bytes.len();
    reader.require(fits, "body_len is not that of the record")?;
    let body = reader.take(body_len as usize)?.to_vec();
    let tagged = bytes[..reader.position()].to_vec();
    let tag = reader.array()?;
    Ok(Record {
        body,
        optional,
        tagged,
        tag,
    })
}

/// Parameters of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Never changes.
    pub repository_id: Id,
    /// Seconds since 1970.
    pub created: u64,
    /// Shortest, average and longest chunk.
    pub chunk_sizes: [u64; 3],
    /// AEAD of new objects.
    pub aead: u64,
    /// Probed abilities of the backend.
    pub abilities: u64,
    /// Epoch of new objects.
    pub epoch: u32,
}

/// Reads the body of a config.
pub fn decode_config(body: &[u8]) -> Result<Config> {
    let mut map = Map::decode("config body", body)?;
    let repository_id = map.array(0)?;
    let created = map.uint(1)?;
    let [shortest, average, longest] = [map.uint(2)?, map.uint(3)?, map.uint(4)?];
    if !average.is_power_of_two() || average < 8192 {
        return Err(map.malformed(3, "not a power of two of 8192 or more"));
    }
    if longest > CHUNK_MAX {
        return Err(map.fault(Fault::LimitExceeded, 4, "above 16 MiB"));
    }
    if shortest < 64 || shortest > average || average > longest {
        return Err(map.malformed(2, "not 64 <= shortest <= average <= longest"));
    }
    let aead = map.uint(5)?;
    if !keys::aead_is_known(aead) {
        return Err(map.malformed(5, "an unknown algorithm"));
    }
    let abilities = map.uint(6)?;
    let epoch = map.u32(7)?;
    let chunk_sizes = [shortest, average, longest];
    Ok(Config {
        repository_id,
        created,
        chunk_sizes,
        aead,
        abilities,
        epoch,
    })
}

/// Compares a config with the keys that it was found beside.
pub fn verify_config(record: &Record, config: &Config, keyring: &Keyring) -> Result<()> {
    if !record.tag_agrees(&keyring.config_key()) {
        let sentence = "the tag does not agree with the config key";
        return Err(Rejection::new(Fault::BadChecksum, "config", sentence));
    }
    if !keyring.epochs.contains_key(&config.epoch) {
        let sentence = format!("epoch {} is not in the bundle", config.epoch);
        return Err(Rejection::new(
            Fault::Malformed,
            "config body key 7",
            sentence,
        ));
    }
    Ok(())
}

/// How a slot's key-encrypting key is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// Argon2id.
    Password {
        /// KiB.
        memory: u32,
        /// Iterations.
        passes: u32,
        /// Parallelism.
        lanes: u32,
    },
    /// Key derivation from the contents of a file.
    KeyFile,
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Password or key file.
    pub way: WayIn,
    /// Of the derivation.
    pub salt: [u8; 32],
    /// AEAD of the bundle.
    pub aead: u8,
    /// The bundle, sealed.
    pub sealed_bundle: Vec<u8>,
    /// Seconds since 1970.
    pub created: u64,
    /// For people.
    pub label: String,
}

/// Reads the body of a slot.
pub fn decode_slot(body: &[u8]) -> Result<Slot> {
    let mut map = Map::decode("slot body", body)?;
    let way = map.uint(0)?;
    let salt = map.array(1)?;
    let way = match way {
        1 => decode_argon2(&mut map)?,
        2 => WayIn::KeyFile,
        _ => return Err(map.malformed(0, "an unknown way in")),
    };
    let aead = match map.uint(5)? {
        1 => 1,
        2 => 2,
        _ => return Err(map.malformed(5, "an unknown algorithm")),
    };
    let sealed_bundle = map.bytes(6)?;
    if sealed_bundle.len() as u64 > BUNDLE_MAX {
        return Err(map.fault(Fault::LimitExceeded, 6, "longer than 16 KiB"));
    }
    let created = map.uint(7)?;
    let label = map.text(8)?;
    Ok(Slot {
        way,
        salt,
        aead,
        sealed_bundle,
        created,
        label,
    })
}

fn decode_argon2(map: &mut Map) -> Result<WayIn> {
    let mut bounded = |key: u64, limit: u64| {
        let value = map.uint(key)?;
        match u32::try_from(value) {
            Ok(small) if value <= limit => Ok(small),
            _ => Err(map.fault(Fault::LimitExceeded, key, "above its limit")),
        }
    };
    let memory = bounded(2, 2_097_152)?;
    let passes = bounded(3, 16)?;
    let lanes = bounded(4, 64)?;
    if passes == 0 || lanes == 0 || memory < 8 * lanes {
        return Err(map.malformed(2, "costs that Argon2id refuses"));
    }
    Ok(WayIn::Password {
        memory,
        passes,
        lanes,
    })
}

/// What the user has.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// The bytes of a password.
    Password(&'a [u8]),
    /// The contents of a key file.
    KeyFile(&'a [u8]),
}

/// Opens the bundle of a slot, if the secret fits.
pub fn unlock(record: &Record, slot: &Slot, names: [Id; 2], secret: Secret<'_>) -> Result<Keyring> {
    let wrong_key = |sentence: &str| Rejection::new(Fault::WrongKey, "slot", sentence);
    let kek = match (&slot.way, secret) {
        (
            &WayIn::Password {
                memory,
                passes,
                lanes,
            },
            Secret::Password(password),
        ) => keys::password_kek(password, &slot.salt, memory, passes, lanes)?,
        (WayIn::KeyFile, Secret::KeyFile(contents)) => keys::key_file_kek(contents, &slot.salt)?,
        _ => return Err(wrong_key("the slot is for another kind of secret")),
    };
    if !record.tag_agrees(&keys::commitment(&kek)) {
        return Err(wrong_key("the secret is another"));
    }
    let aad = names.concat();
    let sealed = keys::Sealed {
        aead: slot.aead,
        counter: 0,
        aad: &aad,
        bytes: &slot.sealed_bundle,
    };
    Keyring::decode(
        &sealed
            .open(&kek)
            .map_err(|rejection| rejection.within("slot"))?,
    )
}
