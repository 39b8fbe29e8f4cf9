//! Names of objects (FORMAT.md section 3): one spelling each.

use std::fmt;
use std::fmt::Write as _;

/// 128 random bits: a session, a slot or a repository.
pub type Id = [u8; 16];

/// The name of an object that version 1 writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectName {
    /// `config/<n>`
    Config(u32),
    /// `keys/<slot>`
    Slot(Id),
    /// `intents/<session>`
    Intent(Id),
    /// `packs/<session>/<n>.data`
    DataPack(Id, u32),
    /// `packs/<session>/<n>.meta`
    MetaPack(Id, u32),
    /// `index/<session>-<n>`
    IndexRun(Id, u32),
    /// `snapshots/<session>`
    Snapshot(Id),
    /// `forgotten/<session>`
    Forgotten(Id),
    /// `protected/<session>-<n>`
    Protected(Id, u32),
    /// `boots/<session>-<n>`
    Boot(Id, u32),
    /// `prune/plan-<n>`
    PrunePlan(u32),
    /// `prune/seal-<n>`
    PruneSeal(u32),
    /// `prune/done-<n>`
    PruneDone(u32),
}

impl ObjectName {
    /// Reads a name; nothing where the spelling is another or the kind is not of version 1.
    pub fn parse(text: &str) -> Option<ObjectName> {
        let (folder, rest) = text.split_once('/')?;
        match folder {
            "config" => number(rest).map(ObjectName::Config),
            "keys" => id(rest).map(ObjectName::Slot),
            "intents" => id(rest).map(ObjectName::Intent),
            "snapshots" => id(rest).map(ObjectName::Snapshot),
            "forgotten" => id(rest).map(ObjectName::Forgotten),
            "index" => numbered(rest).map(|(session, n)| ObjectName::IndexRun(session, n)),
            "protected" => numbered(rest).map(|(session, n)| ObjectName::Protected(session, n)),
            "boots" => numbered(rest).map(|(session, n)| ObjectName::Boot(session, n)),
            "packs" => pack(rest),
            "prune" => step(rest),
            _ => None,
        }
    }

    /// The session and number that the object's table repeats; nothing for clear records.
    pub fn session(&self) -> Option<(Id, u32)> {
        match *self {
            ObjectName::Config(_) | ObjectName::Slot(_) => None,
            ObjectName::Intent(session)
            | ObjectName::Snapshot(session)
            | ObjectName::Forgotten(session) => Some((session, 0)),
            ObjectName::DataPack(session, n)
            | ObjectName::MetaPack(session, n)
            | ObjectName::IndexRun(session, n)
            | ObjectName::Protected(session, n)
            | ObjectName::Boot(session, n) => Some((session, n)),
            ObjectName::PrunePlan(n) | ObjectName::PruneSeal(n) | ObjectName::PruneDone(n) => {
                Some(([0; 16], n))
            }
        }
    }

    /// Whether a sealed object of this name may be of this kind.
    pub fn allows_kind(&self, kind: u8) -> bool {
        match self {
            ObjectName::Config(_) | ObjectName::Slot(_) => false,
            ObjectName::DataPack(..) => kind == 1,
            ObjectName::MetaPack(..) => kind == 2,
            ObjectName::IndexRun(..) => kind == 3,
            ObjectName::Snapshot(_) => kind == 4 || kind == 5,
            ObjectName::Intent(_) => kind == 6,
            ObjectName::Forgotten(_) => kind == 7,
            ObjectName::PrunePlan(_) => kind == 8,
            ObjectName::PruneSeal(_) => kind == 9,
            ObjectName::PruneDone(_) => kind == 10,
            ObjectName::Protected(..) => kind == 11,
            ObjectName::Boot(..) => kind == 12,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectName::Config(n) => write!(f, "config/{n:08x}"),
            ObjectName::Slot(id) => write!(f, "keys/{}", hex(id)),
            ObjectName::Intent(id) => write!(f, "intents/{}", hex(id)),
            ObjectName::DataPack(id, n) => write!(f, "packs/{}/{n:08x}.data", hex(id)),
            ObjectName::MetaPack(id, n) => write!(f, "packs/{}/{n:08x}.meta", hex(id)),
            ObjectName::IndexRun(id, n) => write!(f, "index/{}-{n:08x}", hex(id)),
            ObjectName::Snapshot(id) => write!(f, "snapshots/{}", hex(id)),
            ObjectName::Forgotten(id) => write!(f, "forgotten/{}", hex(id)),
            ObjectName::Protected(id, n) => write!(f, "protected/{}-{n:08x}", hex(id)),
            ObjectName::Boot(id, n) => write!(f, "boots/{}-{n:08x}", hex(id)),
            ObjectName::PrunePlan(n) => write!(f, "prune/plan-{n:08x}"),
            ObjectName::PruneSeal(n) => write!(f, "prune/seal-{n:08x}"),
            ObjectName::PruneDone(n) => write!(f, "prune/done-{n:08x}"),
        }
    }
}

fn pack(rest: &str) -> Option<ObjectName> {
    let (session, file) = rest.split_once('/')?;
    let session = id(session)?;
    let (n, class) = file.split_once('.')?;
    match class {
        "data" => Some(ObjectName::DataPack(session, number(n)?)),
        "meta" => Some(ObjectName::MetaPack(session, number(n)?)),
        _ => None,
    }
}

fn numbered(rest: &str) -> Option<(Id, u32)> {
    let (session, n) = rest.split_once('-')?;
    Some((id(session)?, number(n)?))
}

fn step(rest: &str) -> Option<ObjectName> {
    let (word, n) = rest.split_once('-')?;
    let n = number(n)?;
    match word {
        "plan" => Some(ObjectName::PrunePlan(n)),
        "seal" => Some(ObjectName::PruneSeal(n)),
        "done" => Some(ObjectName::PruneDone(n)),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = unhex(text)?;
    let [a, b, c, d] = digits.try_into().ok()?;
    Some(u32::from_le_bytes([d, c, b, a]))
}

fn id(text: &str) -> Option<Id> {
    unhex(text)?.try_into().ok()
}

/// Lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of lowercase hexadecimal digits; nothing for any other text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    whole.then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        let session = "000102030405060708090a0b0c0d0e0f";
        for text in [
            "config/0000000a".to_string(),
            format!("keys/{session}"),
            format!("packs/{session}/00000001.data"),
            format!("packs/{session}/ffffffff.meta"),
            format!("index/{session}-00000002"),
            format!("snapshots/{session}"),
            format!("intents/{session}"),
            format!("forgotten/{session}"),
            format!("protected/{session}-00000003"),
            format!("boots/{session}-00000000"),
            "prune/plan-00000001".to_string(),
            "prune/seal-00000001".to_string(),
            "prune/done-ffffffff".to_string(),
        ] {
            let name = ObjectName::parse(&text).expect("a name of version 1");
            assert_eq!(name.to_string(), text);
        }
        assert_eq!(ObjectName::parse("config/0000000A"), None);
        assert_eq!(ObjectName::parse("config/a"), None);
        assert_eq!(ObjectName::parse("config/0000000a/"), None);
        assert_eq!(ObjectName::parse("prune/plan-1"), None);
        assert_eq!(ObjectName::parse("prune/mark-00000001"), None);
        assert_eq!(
            ObjectName::parse(&format!("packs/{session}/00000001.Data")),
            None
        );
        assert_eq!(
            ObjectName::parse(&format!("snapshots/{}", session.to_uppercase())),
            None
        );
    }
}
