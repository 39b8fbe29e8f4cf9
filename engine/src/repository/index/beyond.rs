//! What a repository holds that a reader does not know of yet: new runs, and packs that no run
//! speaks of. Of a run that was rewritten only what it says of new packs is kept in memory.

use std::collections::HashSet;

use crate::error::{ErrorKind, Result};
use crate::format::index_run::IndexedPack;
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::table::TableName;
use crate::repository::index::{
    Gathered, Index, LOAD_ATTEMPTS_MAX, RunBuilder, is_missing_or_damaged, read_run, run_of,
};
use crate::repository::keys::Keys;
use crate::repository::object;
use crate::storage::{Backend, ObjectInfo};

/// The runs and packs that a reader knows of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    runs: HashSet<TableName>,
    packs: HashSet<ObjectName>,
}

impl Index {
    /// Reads what runs say of packs that are not `known`, and the tables of all packs that no run
    /// speaks of; it is known afterwards. Gives it with the names of all packs that there are. What
    /// is damaged is passed over.
    pub(crate) fn load_beyond(
        known: &mut Known,
        backend: &dyn Backend,
        keys: &Keys,
    ) -> Result<(Self, HashSet<ObjectName>)> {
        let mut gathered = Gathered::new(Vec::new(), None);
        for attempt in 1.. {
            let runs_gone = known.add_runs(backend, keys, &mut gathered)?;
            let listed = backend.list(ObjectKind::Pack)?;
            let packs_gone = known.add_tables(&listed, backend, keys, &mut gathered)?;
            // What was listed and is gone has copies that are listed now.
            if !(runs_gone || packs_gone) || attempt == LOAD_ATTEMPTS_MAX {
                let listed = listed.into_iter().map(|info| info.name);
                return Ok((Self::of(gathered.finish()), listed.collect()));
            }
        }
        unreachable!("the last attempt returns")
    }
}

impl Known {
    /// What an index knows of.
    pub(crate) fn of(index: &Index) -> Self {
        Self {
            runs: index.runs().collect(),
            packs: index.packs().map(IndexedPack::name).collect(),
        }
    }

    /// The packs, those that are gone among them.
    pub(crate) fn packs(&self) -> impl Iterator<Item = &ObjectName> {
        self.packs.iter()
    }

    /// Adds what new runs say of new packs; true if a run was gone when it was read.
    fn add_runs(
        &mut self,
        backend: &dyn Backend,
        keys: &Keys,
        gathered: &mut Gathered<'_>,
    ) -> Result<bool> {
        let mut is_any_gone = false;
        for ObjectInfo { name, .. } in backend.list(ObjectKind::Index)? {
            if self.runs.contains(&TableName::of(&name)) {
                continue;
            }
            match read_run(backend, keys, &name) {
                Ok(run) => {
                    let packs = run.packs.iter();
                    let is_new = packs.map(|pack| !self.packs.contains(&pack.name()));
                    let is_new: Vec<_> = is_new.collect();
                    if is_new.contains(&true) {
                        let mut news = RunBuilder::default();
                        news.add_run(&run, &is_new);
                        gathered.add(news.finish(run.name));
                    }
                    self.packs.extend(run.packs.iter().map(IndexedPack::name));
                    self.runs.insert(run.name);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => is_any_gone = true,
                Err(error) if is_missing_or_damaged(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(is_any_gone)
    }

    /// Adds the tables of new packs; true if a pack was gone when it was opened.
    fn add_tables(
        &mut self,
        listed: &[ObjectInfo],
        backend: &dyn Backend,
        keys: &Keys,
        gathered: &mut Gathered<'_>,
    ) -> Result<bool> {
        let mut is_any_gone = false;
        for info in listed {
            if self.packs.contains(&info.name) {
                continue;
            }
            match object::open(backend, keys, &info.name, info.len) {
                Ok(pack) => {
                    gathered.add(run_of(&[(pack, info.len)]));
                    self.packs.insert(info.name);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => is_any_gone = true,
                Err(error) if is_missing_or_damaged(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(is_any_gone)
    }
}
