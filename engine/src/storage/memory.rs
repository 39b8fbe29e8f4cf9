//! The reference backend: objects in a sorted map, gone with the process.
//!
//! Small enough to be right by reading; the other backends are compared with it. Deliberately
//! absent: anything to wait for, so `sync` has nothing to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::storage::refuse;

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    objects: RwLock<BTreeMap<ObjectName, Arc<[u8]>>>,
}

impl MemoryBackend {
    /// Without any object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another backend that holds the same objects now; it costs no copy of their bytes.
    pub fn fork(&self) -> Self {
        let objects = RwLock::new(self.objects.read().clone());
        Self { objects }
    }

    /// Copying happens outside the lock.
    fn find(&self, name: &ObjectName) -> Result<Arc<[u8]>> {
        self.objects
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| refuse::missing(name))
    }
}

impl Backend for MemoryBackend {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        refuse::too_long_to_put(name, data.len())?;
        let object = Arc::from(data);
        let mut objects = self.objects.write();
        if objects.contains_key(name) {
            return Err(refuse::taken(name));
        }
        objects.insert(*name, object);
        Ok(())
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        self.find(name).map(|object| object.to_vec())
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        let object = self.find(name)?;
        let range = usize::try_from(offset)
            .ok()
            .and_then(|start| object.get(start..start.checked_add(out.len())?))
            .ok_or_else(|| refuse::beyond_the_end(name, offset, out.len()))?;
        out.copy_from_slice(range);
        Ok(())
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        let objects = self.objects.read();
        let of_kind = objects.iter().filter(|(name, _)| name.kind() == kind);
        Ok(of_kind
            .map(|(name, data)| ObjectInfo {
                name: *name,
                len: data.len() as u64,
            })
            .collect())
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.objects.write().remove(name);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance;

    #[test]
    fn memory_keeps_the_contract() {
        conformance::run_all(|| Box::new(MemoryBackend::new()));
    }

    #[test]
    fn a_fork_has_what_there_was_and_goes_its_own_way() {
        let backend = MemoryBackend::new();
        backend.put(&ObjectName::Config(1), b"old").unwrap();
        let fork = backend.fork();
        backend.put(&ObjectName::Config(2), b"new").unwrap();
        fork.delete(&ObjectName::Config(1)).unwrap();
        assert_eq!(backend.list(ObjectKind::Config).unwrap().len(), 2);
        assert!(fork.list(ObjectKind::Config).unwrap().is_empty());
    }
}
