//! Ids of chunks and pages: keyed BLAKE3 of their plaintext. §8, §10.

use zeroize::Zeroizing;

use crate::format::id::ChunkId;

/// Key that makes ids; one for chunks, another for pages, so that neither can pass for the other.
#[derive(Clone)]
pub struct IdKey(Zeroizing<[u8; 32]>);

impl IdKey {
    /// An id key of these bytes.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The id of `plaintext`.
    pub fn id_of(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.0, plaintext).as_bytes())
    }
}

/// Key that decides where pages end.
#[derive(Clone)]
pub struct BoundaryKey(Zeroizing<[u8; 32]>);

impl BoundaryKey {
    /// A boundary key of these bytes.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The hash whose first bytes are the mark of a forced cut at `offset` of a volume.
    pub fn hash_of_cut(&self, offset: u64) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, &offset.to_le_bytes()).as_bytes()
    }

    /// The hash whose first bytes are the mark of the entry `name` in `folder`.
    pub fn hash(&self, folder: &[u8], name: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(folder).update(b"/").update(name);
        *hasher.finalize().as_bytes()
    }
}
