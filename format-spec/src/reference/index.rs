//! Index runs (FORMAT.md section 9). Read for the vectors only: the decoder finds everything without them.

use crate::reference::bytes::Reader;
use crate::reference::fault::Result;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::table;
use crate::reference::table::Origin;

const ENTRIES_MAX: u64 = 1_048_576;

/// A pack that entries lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPack {
    /// Of its name.
    pub session: Id,
    /// Of its name.
    pub number: u32,
    /// 1 data, 2 meta.
    pub class: u8,
    /// Its length.
    pub object_len: u64,
}

/// A frame that entries lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFrame {
    /// Index into the packs.
    pub pack: u32,
    /// Index into the origins.
    pub origin: u32,
    /// Where it begins in its pack.
    pub offset: u64,
    /// Of its nonce.
    pub counter: u64,
    /// With its tag.
    pub stored_len: u32,
    /// Decompressed.
    pub plain_len: u32,
    /// How the plaintext is stored.
    pub codec: u8,
}

/// Where one chunk or page lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Of the chunk or page.
    pub id: [u8; 32],
    /// Index into the frames.
    pub frame: u32,
    /// Where it begins in the plaintext of the frame.
    pub offset: u32,
    /// Its length.
    pub len: u32,
}

/// A sorted run of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRun {
    /// Packs.
    pub packs: Vec<RunPack>,
    /// Origins of frames.
    pub origins: Vec<Origin>,
    /// Frames.
    pub frames: Vec<RunFrame>,
    /// By id.
    pub entries: Vec<RunEntry>,
    /// Runs whose entries this one repeats.
    pub replaced: Vec<(Id, u32)>,
}

/// Reads the payload of the index run `name`.
pub fn decode_index_run(payload: &[u8], name: &ObjectName) -> Result<IndexRun> {
    let mut reader = Reader::new("index run", payload);
    let own_name = (reader.array()?, reader.u32()?);
    reader.require(
        name.session() == Some(own_name),
        "of an object of another name",
    )?;
    let [pack_count, origin_count, frame_count] = [reader.u32()?, reader.u32()?, reader.u32()?];
    let [entry_count, replaced_count] = [reader.u32()?, reader.u32()?];
    reader.reserved(8)?;
    reader.limit(u64::from(entry_count), ENTRIES_MAX, "the number of entries")?;
    let packs = list(&mut reader, pack_count, decode_pack)?;
    let origins = table::decode_origins(&mut reader, origin_count)?;
    let frames = list(&mut reader, frame_count, |reader| {
        decode_frame(reader, pack_count, origin_count)
    })?;
    let entries = list(&mut reader, entry_count, |reader| {
        decode_entry(reader, &frames)
    })?;
    let order = |entry: &RunEntry| (entry.id, entry.frame, entry.offset);
    let ascends = entries.is_sorted_by(|before, after| order(before) < order(after));
    reader.require(ascends, "entries do not ascend")?;
    let replaced = list(&mut reader, replaced_count, |reader| {
        Ok((reader.array()?, reader.u32()?))
    })?;
    reader.finish()?;
    Ok(IndexRun {
        packs,
        origins,
        frames,
        entries,
        replaced,
    })
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    count: u32,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(reader)?);
    }
    Ok(items)
}

fn decode_pack(reader: &mut Reader<'_>) -> Result<RunPack> {
    let session = reader.array()?;
    let number = reader.u32()?;
    let class = reader.u8()?;
    reader.require(class == 1 || class == 2, "an unknown class of a pack")?;
    reader.reserved(3)?;
    let object_len = reader.u64()?;
    Ok(RunPack {
        session,
        number,
        class,
        object_len,
    })
}

fn decode_frame(reader: &mut Reader<'_>, packs: u32, origins: u32) -> Result<RunFrame> {
    let [pack, origin] = [reader.u32()?, reader.u32()?];
    reader.require(pack < packs, "a frame names a pack that is not there")?;
    reader.require(
        origin < origins,
        "a frame names an origin that is not there",
    )?;
    let [offset, counter] = [reader.u64()?, reader.u64()?];
    let [stored_len, plain_len] = [reader.u32()?, reader.u32()?];
    let codec = reader.u8()?;
    table::check_frame_lens(reader, stored_len, plain_len, codec)?;
    reader.reserved(7)?;
    Ok(RunFrame {
        pack,
        origin,
        offset,
        counter,
        stored_len,
        plain_len,
        codec,
    })
}

fn decode_entry(reader: &mut Reader<'_>, frames: &[RunFrame]) -> Result<RunEntry> {
    let id = reader.array()?;
    let [frame, offset, len] = [reader.u32()?, reader.u32()?, reader.u32()?];
    let plain_len = frames
        .get(frame as usize)
        .map(|frame| u64::from(frame.plain_len));
    reader.require(
        plain_len.is_some(),
        "an entry names a frame that is not there",
    )?;
    let end = u64::from(offset) + u64::from(len);
    reader.require(len > 0, "an entry is empty")?;
    reader.require(plain_len >= Some(end), "an entry ends beyond its frame")?;
    Ok(RunEntry {
        id,
        frame,
        offset,
        len,
    })
}
