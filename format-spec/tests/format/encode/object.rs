//! Sealed objects: header, frames, table and trailer, with a hook before each part is sealed or hashed.

use crate::encode;
use blockstore_format_spec::vectors::REPOSITORY_ID;
use blockstore_format_spec::vectors::SESSION;
use blockstore_format_spec::vectors::test_keys;

#[derive(Clone)]
pub(crate) struct Header {
    pub magic: [u8; 8],
    pub kind: u8,
    pub version: u8,
    pub aead: u8,
    pub wrap: u8,
    pub required: u32,
    pub optional: u32,
    pub epoch: u32,
    pub wrapped_len: u16,
    pub reserved: [u8; 6],
    pub repository_id: [u8; 16],
    pub salt: [u8; 32],
    pub commitment: Option<[u8; 32]>,
}

pub(crate) fn class_key(data: bool, epoch: u32) -> [u8; 32] {
    let secret = test_keys().epochs.get(&epoch).copied().unwrap_or_default();
    let class = if data { "data" } else { "meta" };
    encode::derive(&format!("blockstore v1 {class} class key"), &secret)
}

pub(crate) fn frame_key(data: bool, epoch: u32, salt: &[u8; 32]) -> [u8; 32] {
    encode::derive(
        "blockstore v1 frame key",
        &[class_key(data, epoch), *salt].concat(),
    )
}

pub(crate) fn commitment(key: &[u8; 32]) -> [u8; 32] {
    encode::derive("blockstore v1 commitment", key)
}

impl Header {
    pub(crate) fn new(kind: u8) -> Header {
        Header {
            magic: *b"\x8bBKS\r\n\x1a\n",
            kind,
            version: 1,
            aead: 1,
            wrap: 0,
            required: 0,
            optional: 0,
            epoch: 1,
            wrapped_len: 0,
            reserved: [0; 6],
            repository_id: REPOSITORY_ID,
            salt: [0xa5; 32],
            commitment: None,
        }
    }

    fn table_key(&self) -> [u8; 32] {
        let class_key = class_key(false, self.epoch);
        encode::derive("blockstore v1 table key", &[class_key, self.salt].concat())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend([self.kind, self.version, self.aead, self.wrap]);
        out.extend(self.required.to_le_bytes());
        out.extend(self.optional.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.wrapped_len.to_le_bytes());
        out.extend(self.reserved);
        out.extend(self.repository_id);
        out.extend(self.salt);
        out.extend(
            self.commitment
                .unwrap_or_else(|| commitment(&self.table_key())),
        );
        out.extend(&encode::hash(&out)[..16]);
        out
    }

    fn aad(&self, part: u8, salt: &[u8; 32], counter: u64) -> Vec<u8> {
        let mut aad = self.repository_id.to_vec();
        aad.extend([self.kind, self.version, part, 0]);
        aad.extend(salt);
        aad.extend(counter.to_le_bytes());
        aad
    }
}

#[derive(Clone, PartialEq)]
pub(crate) struct Origin {
    pub salt: [u8; 32],
    pub commitment: [u8; 32],
    pub epoch: u32,
    pub aead: u8,
    pub wrap: u8,
    pub wrapped_len: u16,
}

impl Origin {
    pub(crate) fn new(data: bool, epoch: u32, aead: u8, salt: [u8; 32]) -> Origin {
        let commitment = commitment(&frame_key(data, epoch, &salt));
        Origin {
            salt,
            commitment,
            epoch,
            aead,
            wrap: 0,
            wrapped_len: 0,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Frame {
    pub offset: u64,
    pub counter: u64,
    pub stored_len: u32,
    pub plain_len: u32,
    pub origin: u32,
    pub chunk_count: u32,
    pub codec: u8,
}

#[derive(Clone)]
pub(crate) struct Table {
    pub session: [u8; 16],
    pub number: u32,
    pub origins: Vec<Origin>,
    pub frames: Vec<Frame>,
    pub chunks: Vec<([u8; 32], u32)>,
    pub padding: Vec<u8>,
}

impl Table {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.session.to_vec();
        let counts = [self.origins.len(), self.frames.len(), self.chunks.len()];
        out.extend(self.number.to_le_bytes());
        out.extend(
            counts
                .iter()
                .flat_map(|&count| (count as u32).to_le_bytes()),
        );
        for origin in &self.origins {
            out.extend([origin.salt, origin.commitment].concat());
            out.extend(origin.epoch.to_le_bytes());
            out.extend([origin.aead, origin.wrap]);
            out.extend(origin.wrapped_len.to_le_bytes());
        }
        for frame in &self.frames {
            out.extend([frame.offset.to_le_bytes(), frame.counter.to_le_bytes()].concat());
            let short = [frame.stored_len, frame.plain_len, frame.origin];
            out.extend(short.iter().flat_map(|field| field.to_le_bytes()));
            out.extend(&frame.chunk_count.to_le_bytes()[..3]);
            out.push(frame.codec);
        }
        for (id, len) in &self.chunks {
            out.extend(id);
            out.extend(len.to_le_bytes());
        }
        out.extend(&self.padding);
        out
    }
}

#[derive(Clone)]
pub(crate) struct Tail {
    pub header: Vec<u8>,
    pub object_len: u64,
    pub table_offset: u64,
    pub table_len: u32,
    pub block_len: u32,
    pub block_count: u32,
    pub parity_kind: u8,
    pub reserved_1: [u8; 3],
    pub geometry: [u8; 4],
    pub reserved_2: [u8; 4],
    pub parity_offset: u64,
    pub reserved_3: [u8; 40],
    pub magic: [u8; 8],
}

impl Tail {
    fn encode(&self, block_hashes: &[u8]) -> Vec<u8> {
        let mut out = self.header.clone();
        out.extend(self.object_len.to_le_bytes());
        out.extend(self.table_offset.to_le_bytes());
        let short = [self.table_len, self.block_len, self.block_count];
        out.extend(short.iter().flat_map(|field| field.to_le_bytes()));
        out.push(self.parity_kind);
        out.extend(self.reserved_1);
        out.extend(self.geometry);
        out.extend(self.reserved_2);
        out.extend(self.parity_offset.to_le_bytes());
        out.extend(self.reserved_3);
        out.extend(encode::hash(&[block_hashes, &out].concat()));
        out.extend(self.magic);
        out
    }
}

/// A frame to be sealed: its pieces (chunks or pages; one payload in other objects), and how.
#[derive(Clone)]
pub(crate) struct Pieces {
    pub pieces: Vec<Vec<u8>>,
    pub codec: u8,
    /// What is sealed where it is not what the codec makes of the pieces.
    pub stored: Option<Vec<u8>>,
    /// The origin of a frame that was moved, and its counter there.
    pub moved: Option<(Origin, u64)>,
}

impl Pieces {
    pub(crate) fn plain(pieces: &[&[u8]]) -> Pieces {
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        Pieces {
            pieces,
            codec: 0,
            stored: None,
            moved: None,
        }
    }

    pub(crate) fn zstd(pieces: &[&[u8]]) -> Pieces {
        Pieces {
            codec: 1,
            ..Pieces::plain(pieces)
        }
    }

    pub(crate) fn stored(plain_len: usize, codec: u8, stored: &[u8]) -> Pieces {
        let plain = Pieces::plain(&[&vec![0; plain_len]]);
        Pieces {
            codec,
            stored: Some(stored.to_vec()),
            ..plain
        }
    }
}

#[derive(Clone)]
pub(crate) struct Object {
    pub header: Header,
    pub session: [u8; 16],
    pub number: u32,
    pub frames: Vec<Pieces>,
    pub edit_table: fn(&mut Table),
    pub edit_body: fn(&mut Vec<u8>, usize),
    pub edit_hashes: fn(&mut Vec<u8>),
    pub edit_tail: fn(&mut Tail),
}

impl Object {
    pub(crate) fn new(kind: u8, frames: Vec<Pieces>) -> Object {
        let is_step = (8..=10).contains(&kind);
        Object {
            header: Header::new(kind),
            session: if is_step { [0; 16] } else { SESSION },
            number: u32::from(!(4..=7).contains(&kind)),
            frames,
            edit_table: |_| (),
            edit_body: |_, _| (),
            edit_hashes: |_| (),
            edit_tail: |_| (),
        }
    }

    fn is_data(&self) -> bool {
        self.header.kind == 1
    }

    fn piece_id(&self, piece: &[u8]) -> [u8; 32] {
        let what = if self.is_data() { "chunk" } else { "page" };
        let key = encode::derive(&format!("blockstore v1 {what} id key"), &test_keys().stable);
        encode::keyed(&key, piece)
    }

    fn own_origin(&self) -> Origin {
        Origin::new(
            self.is_data(),
            self.header.epoch,
            self.header.aead,
            self.header.salt,
        )
    }

    /// Header, frames, and the table that describes them.
    pub(crate) fn body_and_table(&self) -> (Vec<u8>, Table) {
        let mut body = self.header.encode();
        let (session, number) = (self.session, self.number);
        let origins = vec![self.own_origin()];
        let mut table = Table {
            session,
            number,
            origins,
            frames: vec![],
            chunks: vec![],
            padding: vec![0; 16],
        };
        let mut own_counter = 0;
        for pieces in &self.frames {
            let own = (self.own_origin(), own_counter);
            let (origin, counter) = pieces.moved.clone().unwrap_or(own);
            own_counter += u64::from(pieces.moved.is_none());
            self.append(&mut body, &mut table, pieces, &origin, counter);
        }
        (self.edit_table)(&mut table);
        (body, table)
    }

    fn append(
        &self,
        body: &mut Vec<u8>,
        table: &mut Table,
        pieces: &Pieces,
        origin: &Origin,
        counter: u64,
    ) {
        let plaintext = pieces.pieces.concat();
        let coded = match (&pieces.stored, pieces.codec) {
            (Some(stored), _) => stored.clone(),
            (None, 1) => encode::zstd_raw(&plaintext),
            (None, _) => plaintext.clone(),
        };
        let key = frame_key(self.is_data(), origin.epoch, &origin.salt);
        let aad = self.header.aad(0, &origin.salt, counter);
        let sealed = encode::seal(origin.aead, &key, counter, &aad, &coded);
        let found = table.origins.iter().position(|known| known == origin);
        let index = found.unwrap_or(table.origins.len());
        if found.is_none() {
            table.origins.push(origin.clone());
        }
        let is_pack = self.header.kind <= 2;
        table.frames.push(Frame {
            offset: body.len() as u64,
            counter,
            stored_len: sealed.len() as u32,
            plain_len: plaintext.len() as u32,
            origin: index as u32,
            chunk_count: if is_pack {
                pieces.pieces.len() as u32
            } else {
                0
            },
            codec: pieces.codec,
        });
        if is_pack {
            let chunks = pieces
                .pieces
                .iter()
                .map(|p| (self.piece_id(p), p.len() as u32));
            table.chunks.extend(chunks);
        }
        body.extend(sealed);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut body, table) = self.body_and_table();
        let table_offset = body.len();
        let aad = self.header.aad(1, &self.header.salt, 0);
        let key = self.header.table_key();
        body.extend(encode::seal(
            self.header.aead,
            &key,
            0,
            &aad,
            &table.encode(),
        ));
        (self.edit_body)(&mut body, table_offset);
        let mut hashes: Vec<u8> = body.chunks(65_536).flat_map(encode::hash).collect();
        let mut tail = self.tail(&body, table_offset, hashes.len());
        (self.edit_tail)(&mut tail);
        (self.edit_hashes)(&mut hashes);
        let tail = tail.encode(&hashes);
        [body, hashes, tail].concat()
    }

    fn tail(&self, body: &[u8], table_offset: usize, hashes_len: usize) -> Tail {
        Tail {
            header: self.header.encode(),
            object_len: (body.len() + hashes_len + 256) as u64,
            table_offset: table_offset as u64,
            table_len: (body.len() - table_offset) as u32,
            block_len: 65_536,
            block_count: (hashes_len / 32) as u32,
            parity_kind: 0,
            reserved_1: [0; 3],
            geometry: [0; 4],
            reserved_2: [0; 4],
            parity_offset: 0,
            reserved_3: [0; 40],
            magic: *b"\n\x1a\n\rSKB\x8b",
        }
    }
}
