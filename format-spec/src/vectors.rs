//! Vectors: one file, one claim about what a reader does with some bytes. `vectors/README.md` has the form.

use crate::reference::boot;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::header;
use crate::reference::index;
use crate::reference::keys::Keyring;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::object;
use crate::reference::pages::cuts;
use crate::reference::pages::extents;
use crate::reference::pages::scan;
use crate::reference::pages::tree;
use crate::reference::prune;
use crate::reference::record;
use crate::reference::record::Secret;
use crate::reference::retention;
use crate::reference::snapshot;
use crate::reference::table;
use std::collections::BTreeMap;
use std::path::Path;

/// The repository of all vectors: 60..6f.
pub const REPOSITORY_ID: Id = counting(0x60);
/// The session of all vectors: 70..7f.
pub const SESSION: Id = counting(0x70);
/// The slot of all vectors: 80..8f.
pub const SLOT: Id = counting(0x80);
/// The password of the slots.
pub const PASSWORD: &[u8] = b"correct horse";
/// The key file of the slots: 64 times 4b.
pub const KEY_FILE: [u8; 64] = [0x4b; 64];

const fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = first + index as u8;
        index += 1;
    }
    bytes
}

/// The keys of the vectors: stable 00..1f, epoch 1 20..3f, epoch 2 40..5f.
pub fn test_keys() -> Keyring {
    let epochs = BTreeMap::from([(1, counting(0x20)), (2, counting(0x40))]);
    Keyring {
        stable: counting(0),
        epochs,
    }
}

/// Keys that open nothing: every secret another, the epochs the same.
pub fn other_keys() -> Keyring {
    Keyring {
        stable: [0xee; 32],
        epochs: BTreeMap::from([(1, [0xee; 32]), (2, [0xef; 32])]),
    }
}

/// What is needed beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Nothing.
    None,
    /// `test keys`
    TestKeys,
    /// `other keys`
    OtherKeys,
    /// `password`
    Password,
    /// `other password`
    OtherPassword,
    /// `key file`
    KeyFile,
    /// `table offset <n>`
    TableOffset(u64),
}

/// One vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Name of the file without its ending.
    pub claim: String,
    /// Which decoder the bytes are for.
    pub kind: String,
    /// The class of the rejection, or nothing where the bytes are valid.
    pub expect: Option<Fault>,
    /// Why, for people.
    pub comment: String,
    /// Name of the object.
    pub name: Option<ObjectName>,
    /// What is needed beside the bytes.
    pub context: Context,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Reads all vectors of this package that hold bytes to decode, in the order of their claims.
///
/// The cuts of the chunker (`chunker_*.vec`) are not among them: a reader never cuts.
pub fn all() -> Result<Vec<Vector>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    let io = |error| Rejection::io("vectors/", &error);
    let mut vectors = Vec::new();
    for item in std::fs::read_dir(folder).map_err(io)? {
        let path = item.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "vec") {
            let claim = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if claim.starts_with("chunker_") {
                continue;
            }
            vectors.push(parse(&claim, &std::fs::read(&path).map_err(io)?)?);
        }
    }
    vectors.sort_by(|a, b| a.claim.cmp(&b.claim));
    Ok(vectors)
}

/// Reads one vector file.
pub fn parse(claim: &str, file: &[u8]) -> Result<Vector> {
    let malformed = |sentence: &str| Rejection::new(Fault::Malformed, claim, sentence);
    let end = file.windows(2).position(|pair| pair == b"\n\n");
    let end = end.ok_or_else(|| malformed("no blank line"))?;
    let text = std::str::from_utf8(&file[..end]).map_err(|_| malformed("the head is not text"))?;
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line
            .split_once(": ")
            .ok_or_else(|| malformed("a line has no key"))?;
        fields.insert(key, value);
    }
    let field = |key: &str| fields.get(key).copied();
    let required = |key: &str| field(key).ok_or_else(|| malformed("a field is absent"));
    let name = match field("name") {
        None => None,
        Some(text) => Some(ObjectName::parse(text).ok_or_else(|| malformed("an unknown name"))?),
    };
    Ok(Vector {
        claim: claim.to_string(),
        kind: required("kind")?.to_string(),
        expect: parse_expect(required("expect")?).ok_or_else(|| malformed("an unknown class"))?,
        comment: required("comment")?.to_string(),
        name,
        context: parse_context(field("context")).ok_or_else(|| malformed("an unknown context"))?,
        bytes: file[end + 2..].to_vec(),
    })
}

fn parse_expect(text: &str) -> Option<Option<Fault>> {
    if text == "valid" {
        return Some(None);
    }
    let classes = [
        Fault::Truncated,
        Fault::BadChecksum,
        Fault::UnknownVersion,
        Fault::UnknownRequiredFlag,
        Fault::LimitExceeded,
        Fault::Malformed,
        Fault::WrongKey,
    ];
    classes
        .into_iter()
        .find(|class| class.to_string() == text)
        .map(Some)
}

fn parse_context(text: Option<&str>) -> Option<Context> {
    Some(match text {
        None => Context::None,
        Some("test keys") => Context::TestKeys,
        Some("other keys") => Context::OtherKeys,
        Some("password") => Context::Password,
        Some("other password") => Context::OtherPassword,
        Some("key file") => Context::KeyFile,
        Some(text) => Context::TableOffset(text.strip_prefix("table offset ")?.parse().ok()?),
    })
}

impl Vector {
    /// What the reference decoder says of the bytes.
    pub fn decode(&self) -> Result<()> {
        let bytes = &self.bytes[..];
        match self.kind.as_str() {
            "config" => decode_config(bytes, &self.keys()),
            "slot" => self.decode_slot(),
            "blocks" => header::verify_blocks(bytes),
            "tree" => tree::decode_tree_page(bytes).map(drop),
            "scan" => scan::decode_scan_page(bytes).map(drop),
            "extents" => extents::decode_extents_page(bytes).map(drop),
            "cuts" => cuts::decode_cuts_page(bytes).map(drop),
            _ => self.decode_named(bytes),
        }
    }

    fn decode_named(&self, bytes: &[u8]) -> Result<()> {
        let absent = || Rejection::new(Fault::Missing, &self.claim, "the vector has no name");
        let name = self.name.as_ref().ok_or_else(absent)?;
        let id = &REPOSITORY_ID;
        match (self.kind.as_str(), self.context) {
            ("header", _) => header::decode_object_header(bytes, name, id, &self.keys()).map(drop),
            ("object", _) => object::decode_object(bytes, name, id, &self.keys()).map(drop),
            ("table", Context::TableOffset(at)) => table::decode_table(bytes, name, at).map(drop),
            ("run", _) => index::decode_index_run(bytes, name).map(drop),
            ("snapshot", _) => snapshot::decode_snapshot(bytes, name).map(drop),
            ("tombstone", _) => retention::decode_tombstone(bytes, name).map(drop),
            ("protection", _) => retention::decode_protection(bytes, name).map(drop),
            ("boot", _) => boot::decode_boot(bytes, name).map(drop),
            ("plan" | "seal", _) => prune::decode_step(bytes, name).map(drop),
            ("intent", _) => snapshot::decode_intent(bytes, name).map(drop),
            _ => Err(Rejection::new(
                Fault::Missing,
                &self.claim,
                "an unknown kind of vector",
            )),
        }
    }

    /// The keys that the context names.
    pub fn keys(&self) -> Keyring {
        if self.context == Context::OtherKeys {
            other_keys()
        } else {
            test_keys()
        }
    }

    fn decode_slot(&self) -> Result<()> {
        let record = record::decode_record(&self.bytes, record::SLOT)?;
        let slot = record::decode_slot(&record.body)?;
        let secret = match self.context {
            Context::KeyFile => Secret::KeyFile(&KEY_FILE),
            Context::OtherPassword => Secret::Password(b"wrong horse"),
            _ => Secret::Password(PASSWORD),
        };
        record::unlock(&record, &slot, [REPOSITORY_ID, SLOT], secret).map(drop)
    }
}

fn decode_config(bytes: &[u8], keyring: &Keyring) -> Result<()> {
    let record = record::decode_record(bytes, record::CONFIG)?;
    let config = record::decode_config(&record.body)?;
    record::verify_config(&record, &config, keyring)
}
