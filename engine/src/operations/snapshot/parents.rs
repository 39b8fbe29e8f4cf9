//! The earlier snapshots that tell what changed.

use crate::error::Result;
use crate::format::id::SessionId;
use crate::format::snapshot::{Root, RootType, Snapshot, SnapshotKind};
use crate::operations::snapshot::ParentChoice;
use crate::repository::Repository;
use crate::repository::snapshots;

/// The snapshots that may be compared with.
pub(super) struct Parents {
    /// Newest first.
    candidates: Vec<Snapshot>,
    choice: ParentChoice,
}

/// An earlier state of a source.
#[derive(Clone, Copy)]
pub(super) struct Parent<'p> {
    pub session: SessionId,
    pub root: &'p Root,
}

impl Parents {
    pub(super) fn choose(
        repository: &Repository,
        choice: &ParentChoice,
        host: &str,
    ) -> Result<Self> {
        let candidates = match choice {
            ParentChoice::None => Vec::new(),
            ParentChoice::Given(text) => vec![snapshots::find(repository, text)?],
            ParentChoice::Newest => {
                let mut all = snapshots::list(repository)?.snapshots;
                all.retain(|snapshot| snapshot.host == host);
                all.reverse();
                all
            }
        };
        Ok(Self {
            candidates,
            choice: choice.clone(),
        })
    }

    /// Why there is, or is not, something to compare with.
    pub(super) fn reason(&self, is_found: bool) -> &'static str {
        match (&self.choice, is_found) {
            (ParentChoice::None, _) => "everything was asked for",
            (ParentChoice::Given(_), true) => "the given parent was compared",
            (ParentChoice::Given(_), false) => "the given parent has nothing of this name",
            (ParentChoice::Newest, true) => {
                "the newest snapshot of this host and path was compared"
            }
            (ParentChoice::Newest, false) => "there is no earlier snapshot of this host and path",
        }
    }

    /// The newest folder or file of this name.
    pub(super) fn folder(&self, name: &[u8]) -> Option<Parent<'_>> {
        self.newest(|_, root| root.root_type == RootType::Tree && root.name == name)
    }

    /// The newest volume of this name; unless one snapshot was named, or it is a part of a
    /// machine, it must come from the same place.
    pub(super) fn volume(
        &self,
        kind: SnapshotKind,
        name: &[u8],
        origin: &[u8],
    ) -> Option<Parent<'_>> {
        let any_origin =
            kind == SnapshotKind::Machine || matches!(self.choice, ParentChoice::Given(_));
        self.newest(|snapshot, root| {
            let fits =
                any_origin || (snapshot.kind == kind && root.origin.as_deref() == Some(origin));
            fits && root.root_type == RootType::Extents && root.name == name
        })
    }

    fn newest(&self, fits: impl Fn(&Snapshot, &Root) -> bool) -> Option<Parent<'_>> {
        let roots = self.candidates.iter().flat_map(|snapshot| {
            let session = snapshot.session;
            let with = move |root| (snapshot, Parent { session, root });
            snapshot.roots.iter().map(with)
        });
        let mut roots = roots.filter(|(snapshot, parent)| fits(snapshot, parent.root));
        roots.next().map(|(_, parent)| parent)
    }
}
