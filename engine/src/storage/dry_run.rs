//! A backend that shows what is stored and keeps nothing new: an operation on it tells what it
//! would have done.
//!
//! Deliberately absent: seeing what was put. No operation reads back what it has just stored. Nor
//! is a reserve released or renewed: what is not written needs no room.

use crate::error::Result;
use crate::format::name::{ObjectKind, ObjectName};
use crate::storage::room::Room;
use crate::storage::{Backend, ObjectInfo};

/// Reads from another backend; forgets what is put, deletes nothing.
#[derive(Debug)]
pub struct DryRunBackend<B>(B);

impl<B: Backend> DryRunBackend<B> {
    /// A dry run on `inner`.
    pub fn new(inner: B) -> Self {
        Self(inner)
    }
}

impl<B: Backend> Backend for DryRunBackend<B> {
    fn put(&self, _name: &ObjectName, _data: &[u8]) -> Result<()> {
        Ok(())
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        self.0.get(name)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        self.0.get_range(name, offset, out)
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        self.0.list(kind)
    }

    fn delete(&self, _name: &ObjectName) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn room(&self) -> Result<Option<Room>> {
        self.0.room()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryBackend;

    #[test]
    fn a_dry_run_reads_what_is_there_and_keeps_nothing() {
        let name = ObjectName::Config(1);
        let inner = std::sync::Arc::new(MemoryBackend::new());
        inner.put(&name, b"config").unwrap();
        let dry = DryRunBackend::new(std::sync::Arc::clone(&inner));
        dry.put(&ObjectName::Config(2), b"other").unwrap();
        dry.delete(&name).unwrap();
        assert_eq!(dry.get(&name).unwrap(), b"config");
        assert_eq!(inner.list(ObjectKind::Config).unwrap().len(), 1);
    }
}
