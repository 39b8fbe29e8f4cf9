//! Header and trailer of a sealed object (FORMAT.md section 7).

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::keys;
use crate::reference::keys::Class;
use crate::reference::keys::Keyring;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;

const MAGIC: [u8; 8] = [0x8b, 0x42, 0x4b, 0x53, 0x0d, 0x0a, 0x1a, 0x0a];
const END_MAGIC: [u8; 8] = [0x0a, 0x1a, 0x0a, 0x0d, 0x53, 0x4b, 0x42, 0x8b];

/// Length of a header.
pub const HEADER_LEN: usize = 128;
/// Length of the tail.
pub const TAIL_LEN: usize = 256;
/// Length of a block.
pub const BLOCK_LEN: u64 = 65_536;
/// Least length of an object: header, a table's tag, one block hash, tail.
const OBJECT_MIN: u64 = 128 + 16 + 32 + 256;
/// Greatest length of an object.
pub const OBJECT_MAX: u64 = 256 << 20;
/// Greatest length of a table in plaintext.
pub const TABLE_MAX: u64 = 64 << 20;

/// The first 128 bytes of a sealed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the object is.
    pub kind: u8,
    /// Of the table and of the object's own frames.
    pub aead: u8,
    /// Flags that a reader may ignore.
    pub optional: u32,
    /// Of the class keys.
    pub epoch: u32,
    /// The repository.
    pub repository_id: Id,
    /// Never used twice.
    pub salt: [u8; 32],
    /// Of the table key.
    pub commitment: [u8; 32],
}

impl Header {
    /// The class of the frames that this object sealed itself.
    pub fn frame_class(&self) -> Class {
        if self.kind == 1 {
            Class::Data
        } else {
            Class::Meta
        }
    }

    /// Whether frames hold chunks or pages.
    pub fn is_pack(&self) -> bool {
        self.kind == 1 || self.kind == 2
    }

    /// Additional data of frames (part 0) and the table (part 1).
    pub fn aad(&self, part: u8, salt: &[u8; 32], counter: u64) -> Vec<u8> {
        let mut aad = self.repository_id.to_vec();
        aad.extend([self.kind, 1, part, 0]);
        aad.extend(salt);
        aad.extend(counter.to_le_bytes());
        aad
    }
}

/// Reads a header, of an object of this name in this repository, in the order of section 7.
pub fn decode_object_header(
    bytes: &[u8],
    name: &ObjectName,
    repository_id: &Id,
    keyring: &Keyring,
) -> Result<Header> {
    let mut reader = Reader::new("header", bytes);
    let hashed = reader.clone().take(HEADER_LEN)?;
    reader.require(
        reader.clone().array()? == MAGIC,
        "not the magic of a sealed object",
    )?;
    reader.take(MAGIC.len())?;
    let kind = reader.u8()?;
    let version = reader.u8()?;
    if version != 1 {
        return Err(reader.fault(Fault::UnknownVersion, format!("version {version}")));
    }
    let (hashed, hash) = hashed.split_at(112);
    if blake3::hash(hashed).as_bytes()[..16] != *hash {
        return Err(reader.fault(Fault::BadChecksum, "the header hash does not agree"));
    }
    reader.require(name.allows_kind(kind), "not the kind of its name")?;
    let aead = reader.u8()?;
    reader.require(keys::aead_is_known(u64::from(aead)), "an unknown AEAD")?;
    reader.require(reader.clone().u8()? == 0, "an unknown wrap")?;
    reader.u8()?;
    let required = reader.u32()?;
    if required != 0 {
        return Err(reader.fault(Fault::UnknownRequiredFlag, format!("flags {required:#x}")));
    }
    let optional = reader.u32()?;
    let epoch = reader.u32()?;
    if !keyring.epochs.contains_key(&epoch) {
        return Err(reader.fault(Fault::WrongKey, format!("there is no epoch {epoch}")));
    }
    reader.reserved(2)?;
    reader.reserved(6)?;
    let found_id: Id = reader.array()?;
    reader.require(found_id == *repository_id, "of another repository")?;
    let salt = reader.array()?;
    let commitment: [u8; 32] = reader.array()?;
    if commitment != keys::commitment(&keyring.table_key(epoch, &salt)?) {
        return Err(reader.fault(Fault::WrongKey, "the commitment does not agree"));
    }
    Ok(Header {
        kind,
        aead,
        optional,
        epoch,
        repository_id: found_id,
        salt,
        commitment,
    })
}

/// Where the parts of an object lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the table begins.
    pub table_offset: u64,
    /// Its stored length.
    pub table_len: u64,
    /// Where the block hashes begin, and the blocks end.
    pub hashes_offset: u64,
    /// How many there are.
    pub block_count: u64,
}

/// Reads `tail`, the last 256 bytes of an object of `object_len` bytes.
///
/// The fields come before the hash, in the order of section 7: they say where the hashed bytes begin.
pub fn decode_tail(tail: &[u8], object_len: u64) -> Result<Layout> {
    let mut reader = Reader::new("tail", tail);
    reader.limit(object_len, OBJECT_MAX, "the length of an object")?;
    if object_len < OBJECT_MIN {
        return Err(reader.fault(Fault::Truncated, "shorter than any object"));
    }
    reader.require(tail.ends_with(&END_MAGIC), "not the magic of an end")?;
    decode_tail_fields(&mut reader, object_len)
}

/// Compares `trailer`, which is block hashes and tail, with its own hash and with the object's header.
pub fn verify_trailer(trailer: &[u8], header: &[u8]) -> Result<()> {
    let fault = |sentence: &str| Err(Rejection::new(Fault::BadChecksum, "trailer", sentence));
    let (hashes, tail) = trailer.split_at(trailer.len() - TAIL_LEN);
    if *blake3::hash(&[hashes, &tail[..216]].concat()).as_bytes() != tail[216..248] {
        return fault("the trailer hash does not agree");
    }
    if tail[..HEADER_LEN] != *header {
        return fault("the copy of the header differs");
    }
    Ok(())
}

/// Both for an object that is at hand whole.
pub fn decode_trailer(object: &[u8]) -> Result<Layout> {
    let tail = &object[object.len().saturating_sub(TAIL_LEN)..];
    let layout = decode_tail(tail, object.len() as u64)?;
    let trailer = &object[layout.hashes_offset as usize..];
    verify_trailer(trailer, &object[..HEADER_LEN]).map(|()| layout)
}

fn decode_tail_fields(reader: &mut Reader<'_>, object_len: u64) -> Result<Layout> {
    reader.take(HEADER_LEN)?;
    let found_len = reader.u64()?;
    if found_len != object_len {
        let sentence = format!("object_len is {found_len}, the object has {object_len}");
        return Err(reader.fault(Fault::Truncated, sentence));
    }
    let [table_offset, table_len] = [reader.u64()?, u64::from(reader.u32()?)];
    reader.limit(table_len, TABLE_MAX + 16, "table_len")?;
    let block_len = u64::from(reader.u32()?);
    reader.require(block_len == BLOCK_LEN, "another length of blocks")?;
    let block_count = u64::from(reader.u32()?);
    reader.require(reader.clone().u8()? == 0, "an unknown kind of parity")?;
    reader.reserved(60)?;
    let hashes_offset = table_offset.saturating_add(table_len);
    let counted = hashes_offset.div_ceil(BLOCK_LEN) == block_count;
    reader.require(counted, "another count of blocks")?;
    let trailer_len = 32 * block_count + TAIL_LEN as u64;
    let fits = table_offset >= HEADER_LEN as u64
        && hashes_offset.checked_add(trailer_len) == Some(object_len);
    reader.require(fits, "the table does not end where the block hashes begin")?;
    Ok(Layout {
        table_offset,
        table_len,
        hashes_offset,
        block_count,
    })
}

/// What a host without any key can verify of a whole object: its trailer and each block.
pub fn verify_blocks(object: &[u8]) -> Result<()> {
    let mut reader = Reader::new("object", object);
    let layout = decode_trailer(object)?;
    let blocks = reader
        .take(layout.hashes_offset as usize)?
        .chunks(BLOCK_LEN as usize);
    for (index, block) in blocks.enumerate() {
        let expected: [u8; 32] = reader.array()?;
        if *blake3::hash(block).as_bytes() != expected {
            let sentence = "the block hash does not agree";
            return Err(Rejection::new(
                Fault::BadChecksum,
                format!("block {index}"),
                sentence,
            ));
        }
    }
    Ok(())
}
