//! Payloads of prune plans and seals (FORMAT.md section 13).

use crate::reference::bytes::Reader;
use crate::reference::fault::Result;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;

/// A pack, as steps of a prune name it; in the order of section 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepPack {
    /// Of its name.
    pub session: Id,
    /// Of its name.
    pub number: u32,
    /// 1 data, 2 meta.
    pub class: u8,
}

/// A plan, or a seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As in the name.
    pub number: u32,
    /// Of a plan those that it condemns, of a seal those that are deleted.
    pub packs: Vec<StepPack>,
    /// Of a plan those that it lets go, of a seal those that remain.
    pub snapshots: Vec<Id>,
}

/// Reads the payload of the plan or seal `name`.
pub fn decode_step(payload: &[u8], name: &ObjectName) -> Result<Step> {
    let mut reader = Reader::new("step of a prune", payload);
    let number = reader.u32()?;
    let is_own = name.session().is_some_and(|(_, named)| named == number);
    reader.require(is_own, "of an object of another name")?;
    let [pack_count, snapshot_count] = [reader.u32()?, reader.u32()?];
    reader.reserved(4)?;
    let mut packs = Vec::new();
    for _ in 0..pack_count {
        packs.push(decode_pack(&mut reader)?);
    }
    let ascends = packs.is_sorted_by(|before, after| before < after);
    reader.require(ascends, "packs do not ascend")?;
    let mut snapshots: Vec<Id> = Vec::new();
    for _ in 0..snapshot_count {
        snapshots.push(reader.array()?);
    }
    let ascends = snapshots.is_sorted_by(|before, after| before < after);
    reader.require(ascends, "snapshots do not ascend")?;
    reader.finish()?;
    Ok(Step {
        number,
        packs,
        snapshots,
    })
}

fn decode_pack(reader: &mut Reader<'_>) -> Result<StepPack> {
    let (session, number, class) = (reader.array()?, reader.u32()?, reader.u8()?);
    reader.require(class == 1 || class == 2, "an unknown class of a pack")?;
    reader.reserved(3)?;
    Ok(StepPack {
        session,
        number,
        class,
    })
}
