//! Packs that the index names and that are not there: lost, or only no longer of use.

use std::collections::{BTreeSet, HashSet};

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::operations::check::FindingKind;
use crate::operations::check::findings::Findings;
use crate::operations::check::packs::Packs;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;

impl Packs {
    /// Names the packs that the index speaks of and that are not there: missing if something was
    /// in them that is needed and of which there is no other good copy. `needs` tells what is.
    pub(super) fn tell_missing(
        &self,
        reader: &ChunkReader<'_>,
        index: &Index,
        needs: impl Fn(&ChunkId) -> bool,
        findings: &mut Findings,
    ) -> Result<()> {
        let missing = self.missing.difference(&self.condemned);
        let missing: BTreeSet<_> = missing.copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut needed = HashSet::new();
        for (id, copy) in index.locations() {
            let name = copy.pack.name();
            if !missing.contains(&name) || needed.contains(&name) || !needs(&id) {
                continue;
            }
            let copies = reader.locate_all(&id)?;
            let mut others = copies
                .iter()
                .filter(|other| (other.pack.class, other.len) == (copy.pack.class, copy.len));
            if !others.any(|other| self.is_good(&id, other)) {
                needed.insert(name);
            }
        }
        for name in missing {
            let (kind, detail) = match needed.contains(&name) {
                true => (
                    FindingKind::Missing,
                    "the index names it and it is not there",
                ),
                false => (
                    FindingKind::Rebuildable,
                    "the index names it, it is not there, and nothing needs it; run repair index",
                ),
            };
            findings.add(kind, name, detail);
        }
        Ok(())
    }
}
