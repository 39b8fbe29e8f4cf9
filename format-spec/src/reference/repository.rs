//! A repository in a local folder, read without its index (FORMAT.md section 15).
//!
//! Packs that cannot be read do not stop the rest: a crash may leave one, and nothing committed needs it.

use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::header;
use crate::reference::header::HEADER_LEN;
use crate::reference::header::Header;
use crate::reference::header::TAIL_LEN;
use crate::reference::keys::Keyring;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::name::hex;
use crate::reference::object::Object;
use crate::reference::object::decode_object;
use crate::reference::pages::extents::Extent;
use crate::reference::pages::tree::FileContent;
use crate::reference::pages::tree::TreeEntry;
use crate::reference::record;
use crate::reference::record::Config;
use crate::reference::record::Record;
use crate::reference::record::Secret;
use crate::reference::snapshot::Root;
use crate::reference::table;
use crate::reference::table::Table;
use crate::reference::walk;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

const SLOTS_MAX: usize = 32;
/// Frames kept in plaintext: chunks of a frame are commonly read in a row.
const FRAMES_KEPT: usize = 4;

#[derive(Debug)]
struct Pack {
    name: ObjectName,
    header: Header,
    table: Table,
}

/// Where one copy of a chunk or page lies.
#[derive(Clone, Copy, Debug)]
struct Copy {
    pack: usize,
    frame: usize,
    offset: usize,
    len: usize,
}

/// A repository, unlocked, every pack's table read.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
    config: Config,
    keyring: Keyring,
    packs: Vec<Pack>,
    chunks: HashMap<[u8; 32], Vec<Copy>>,
    pages: HashMap<[u8; 32], Vec<Copy>>,
    damaged: Vec<Rejection>,
    frames: VecDeque<((usize, usize), Vec<u8>)>,
}

impl Repository {
    /// Opens the repository in the folder `path`.
    pub fn open(path: &Path, secret: Secret<'_>) -> Result<Repository> {
        let (config_record, config) = read_config(path)?;
        let keyring = unlock(path, &config.repository_id, secret)?;
        record::verify_config(&config_record, &config, &keyring)?;
        let mut repository = Repository {
            path: path.to_path_buf(),
            config,
            keyring,
            packs: Vec::new(),
            chunks: HashMap::new(),
            pages: HashMap::new(),
            damaged: Vec::new(),
            frames: VecDeque::new(),
        };
        repository.read_packs()?;
        Ok(repository)
    }

    /// Parameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The secrets.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Packs that could not be read, and why.
    pub fn damaged(&self) -> &[Rejection] {
        &self.damaged
    }

    fn read_packs(&mut self) -> Result<()> {
        for session in list(&self.path, "packs")? {
            for file in list(&self.path, &format!("packs/{session}"))? {
                let place = format!("packs/{session}/{file}");
                let read = match ObjectName::parse(&place) {
                    Some(name) => self.read_pack(name).map_err(|r| r.within(&place)),
                    None => Err(Rejection::new(
                        Fault::Malformed,
                        place,
                        "not the name of a pack",
                    )),
                };
                match read {
                    Ok(pack) => self.add_pack(pack),
                    Err(rejection) => self.damaged.push(rejection),
                }
            }
        }
        Ok(())
    }

    fn read_pack(&self, name: ObjectName) -> Result<Pack> {
        let file = open(&self.path, &name)?;
        let object_len = file
            .metadata()
            .map_err(|e| Rejection::io("length", &e))?
            .len();
        let header_bytes = read_at(&file, 0, HEADER_LEN as u64)?;
        let header = header::decode_object_header(
            &header_bytes,
            &name,
            &self.config.repository_id,
            &self.keyring,
        )?;
        let tail_len = (TAIL_LEN as u64).min(object_len);
        let tail = read_at(&file, object_len - tail_len, tail_len)?;
        let layout = header::decode_tail(&tail, object_len)?;
        let hashes_offset = layout.hashes_offset;
        let trailer = read_at(&file, hashes_offset, object_len - hashes_offset)?;
        header::verify_trailer(&trailer, &header_bytes)?;
        let sealed = read_at(&file, layout.table_offset, layout.table_len)?;
        let table = table::unseal_table(&sealed, &header, &layout, &name, &self.keyring)?;
        Ok(Pack {
            name,
            header,
            table,
        })
    }

    fn add_pack(&mut self, pack: Pack) {
        let is_data = matches!(pack.name, ObjectName::DataPack(..));
        let places = if is_data {
            &mut self.chunks
        } else {
            &mut self.pages
        };
        for (index, frame) in pack.table.frames.iter().enumerate() {
            let mut offset = 0;
            for chunk in &pack.table.chunks[frame.chunks.clone()] {
                let len = chunk.len as usize;
                let copy = Copy {
                    pack: self.packs.len(),
                    frame: index,
                    offset,
                    len,
                };
                places.entry(chunk.id).or_default().push(copy);
                offset += len;
            }
        }
        self.packs.push(pack);
    }

    /// The plaintext of a chunk, its id verified.
    pub fn read_chunk(&mut self, id: &[u8; 32]) -> Result<Vec<u8>> {
        let copies = self.chunks.get(id).cloned().unwrap_or_default();
        self.read_any(&copies, |keyring, bytes| keyring.chunk_id(bytes) == *id)
            .map_err(|rejection| rejection.within(&format!("chunk {}", hex(id))))
    }

    /// A page, its id verified.
    pub fn read_page(&mut self, id: &[u8; 32]) -> Result<Vec<u8>> {
        let copies = self.pages.get(id).cloned().unwrap_or_default();
        self.read_any(&copies, |keyring, bytes| keyring.page_id(bytes) == *id)
            .map_err(|rejection| rejection.within(&format!("page {}", hex(id))))
    }

    /// The first copy that verifies; otherwise why the last one did not.
    fn read_any(
        &mut self,
        copies: &[Copy],
        verifies: impl Fn(&Keyring, &[u8]) -> bool,
    ) -> Result<Vec<u8>> {
        let mut last = Rejection::new(Fault::Missing, "packs", "no pack holds it");
        for copy in copies {
            match self.read_copy(copy) {
                Ok(bytes) if verifies(&self.keyring, &bytes) => return Ok(bytes),
                Ok(_) => {
                    let place = self.packs[copy.pack].name.to_string();
                    last = Rejection::new(Fault::BadChecksum, place, "the id does not agree");
                }
                Err(rejection) => last = rejection,
            }
        }
        Err(last)
    }

    fn read_copy(&mut self, copy: &Copy) -> Result<Vec<u8>> {
        let key = (copy.pack, copy.frame);
        if !self.frames.iter().any(|(kept, _)| *kept == key) {
            let plaintext = self.read_frame(key)?;
            self.frames.truncate(FRAMES_KEPT - 1);
            self.frames.push_front((key, plaintext));
        }
        let kept = self.frames.iter().find(|(kept, _)| *kept == key);
        let plaintext = kept.map(|(_, plaintext)| &plaintext[copy.offset..copy.offset + copy.len]);
        Ok(plaintext.unwrap_or_default().to_vec())
    }

    fn read_frame(&self, (pack, frame): (usize, usize)) -> Result<Vec<u8>> {
        let pack = &self.packs[pack];
        let frame = &pack.table.frames[frame];
        let file = open(&self.path, &pack.name)?;
        read_at(&file, frame.offset, u64::from(frame.stored_len))
            .and_then(|stored| {
                table::unseal_frame(&stored, frame, &pack.table, &pack.header, &self.keyring)
            })
            .map_err(|rejection| rejection.within(&pack.name.to_string()))
    }

    /// The objects in a folder, in the order of their names; what has another name is none.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<ObjectName>> {
        let files = list(&self.path, folder)?.into_iter();
        let names = files.filter_map(|file| ObjectName::parse(&format!("{folder}/{file}")));
        Ok(names.collect())
    }

    /// A sealed object, read whole.
    pub(crate) fn object(&self, name: &ObjectName) -> Result<Object> {
        let place = name.to_string();
        let bytes = read_small(&self.path, &place, header::OBJECT_MAX)?;
        decode_object(&bytes, name, &self.config.repository_id, &self.keyring)
            .map_err(|rejection| rejection.within(&place))
    }

    /// The entries of a root that is a tree, everything checked against the root.
    pub fn tree(&mut self, root: &Root) -> Result<Vec<TreeEntry>> {
        let entries = walk::walk_tree(&root.page, root.level, &mut |id| self.read_page(id))?;
        let sums = (entries.len() as u64, walk::content_bytes(&entries));
        if sums != (root.entries, root.bytes) {
            let sentence = format!("the tree has {sums:?} entries and bytes");
            return Err(Rejection::new(Fault::Malformed, "root", sentence));
        }
        Ok(entries)
    }

    /// The extents of a root that is a volume.
    pub fn volume(&mut self, root: &Root) -> Result<Vec<Extent>> {
        let extents = walk::walk_extents(&root.page, root.level, &mut |id| self.read_page(id))?;
        if extents.iter().map(|extent| extent.len).sum::<u64>() != root.bytes {
            let sentence = "the manifest has another number of bytes";
            return Err(Rejection::new(Fault::Malformed, "root", sentence));
        }
        Ok(extents)
    }

    /// The extents of a file.
    pub fn file_extents(&mut self, content: &FileContent) -> Result<Vec<Extent>> {
        walk::file_extents(content, &mut |id| self.read_page(id))
    }
}

fn read_config(path: &Path) -> Result<(Record, Config)> {
    let numbers = list(path, "config")?;
    let highest = numbers
        .iter()
        .rfind(|n| ObjectName::parse(&format!("config/{n}")).is_some());
    let highest =
        highest.ok_or_else(|| Rejection::new(Fault::Missing, "config/", "there is no config"))?;
    let place = format!("config/{highest}");
    let within = |rejection: Rejection| rejection.within(&place);
    let bytes = read_small(path, &place, 65_536)?;
    let record = record::decode_record(&bytes, record::CONFIG).map_err(within)?;
    let config = record::decode_config(&record.body).map_err(within)?;
    Ok((record, config))
}

/// Tries the slots until the secret fits one; a slot that cannot be read is the answer only if none fits.
fn unlock(path: &Path, repository_id: &Id, secret: Secret<'_>) -> Result<Keyring> {
    let mut worst = Rejection::new(Fault::Missing, "keys/", "there is no slot");
    for slot in list(path, "keys")?.into_iter().take(SLOTS_MAX) {
        let place = format!("keys/{slot}");
        match try_slot(path, &place, repository_id, secret) {
            Ok(keyring) => return Ok(keyring),
            Err(rejection) => worst = rejection.within(&place),
        }
    }
    Err(worst)
}

fn try_slot(path: &Path, place: &str, repository_id: &Id, secret: Secret<'_>) -> Result<Keyring> {
    let Some(ObjectName::Slot(slot_id)) = ObjectName::parse(place) else {
        return Err(Rejection::new(
            Fault::Malformed,
            place,
            "not the name of a slot",
        ));
    };
    let bytes = read_small(path, place, 65_536)?;
    let record = record::decode_record(&bytes, record::SLOT)?;
    let slot = record::decode_slot(&record.body)?;
    record::unlock(&record, &slot, [*repository_id, slot_id], secret)
}

/// The names in a folder, sorted; none where the folder is absent.
fn list(path: &Path, folder: &str) -> Result<Vec<String>> {
    let io = |error| Rejection::io(folder, &error);
    let items = match std::fs::read_dir(path.join(folder)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io)?,
    };
    let mut names = Vec::new();
    for item in items {
        names.push(item.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn open(path: &Path, name: &ObjectName) -> Result<File> {
    let place = name.to_string();
    File::open(path.join(&place)).map_err(|error| Rejection::io(place, &error))
}

/// Reads a whole object of at most `limit` bytes.
fn read_small(path: &Path, place: &str, limit: u64) -> Result<Vec<u8>> {
    let io = |error| Rejection::io(place, &error);
    let file = File::open(path.join(place)).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > limit {
        return Err(Rejection::new(
            Fault::LimitExceeded,
            place,
            format!("{len} bytes"),
        ));
    }
    read_at(&file, 0, len)
}

fn read_at(file: &File, offset: u64, len: u64) -> Result<Vec<u8>> {
    let place = format!("{len} bytes at {offset}");
    let len = usize::try_from(len)
        .map_err(|_| Rejection::new(Fault::LimitExceeded, &place, "beyond the address space"))?;
    let mut bytes = vec![0; len];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Rejection::new(
            Fault::Truncated,
            place,
            "the object ends early",
        )),
        Err(error) => Err(Rejection::io(place, &error)),
    }
}
