//! The earlier snapshots that tell what changed.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::SessionId;
use crate::format::snapshot::{Root, RootType, Snapshot, SnapshotKind, Tracking};
use crate::operations::snapshot::ParentChoice;
use crate::operations::snapshot::walk::{Captured, RootTotals};
use crate::repository::session::{Session, Writer};
use crate::repository::snapshots::SnapshotList;

/// The snapshots that may be compared with.
pub(super) struct Parents {
    /// Newest first.
    candidates: Vec<Snapshot>,
    choice: ParentChoice,
    /// Why it is not known which one is the newest.
    doubt: Option<&'static str>,
}

/// An earlier state of a source.
#[derive(Clone, Copy)]
pub(super) struct Parent<'p> {
    pub session: SessionId,
    pub root: &'p Root,
}

impl Parents {
    pub(super) fn choose(
        session: &Session<'_>,
        choice: &ParentChoice,
        writer: &Writer,
    ) -> Result<Self> {
        let found = session.snapshots()?;
        let (candidates, doubt) = match choice {
            ParentChoice::None => (Vec::new(), None),
            ParentChoice::Given(text) => (vec![given(found, text)?], None),
            ParentChoice::Newest => {
                let of_host = found.snapshots.iter().rev();
                let of_host = of_host.filter(|snapshot| snapshot.host == writer.host);
                (of_host.cloned().collect(), doubt_of(found, writer))
            }
        };
        Ok(Self {
            candidates,
            choice: choice.clone(),
            doubt,
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
            (ParentChoice::Newest, false) => self
                .doubt
                .unwrap_or("there is no earlier snapshot of this host and path"),
        }
    }

    /// The newest folder or file of this name.
    pub(super) fn folder(&self, name: &[u8]) -> Option<Parent<'_>> {
        self.newest(|_, root| root.root_type == RootType::Tree && root.name == name)
    }

    /// The volume of this name that a list of changes may begin at. Unless its snapshot was named
    /// it is the newest of the same kind and place: a list is believed in all that it leaves out,
    /// so another disk, or a merge of older states, must not stand in for it.
    pub(super) fn volume(
        &self,
        kind: SnapshotKind,
        name: &[u8],
        origin: &[u8],
    ) -> Option<Parent<'_>> {
        let is_given = matches!(self.choice, ParentChoice::Given(_));
        if self.doubt.is_some() {
            return None;
        }
        self.newest(|snapshot, root| {
            let is_same_place = snapshot.kind == kind
                && snapshot.tracking != Tracking::Merged
                && root.origin.as_deref() == Some(origin);
            (is_given || is_same_place) && root.root_type == RootType::Extents && root.name == name
        })
    }

    /// The root of this name of the parent that was given, as it is.
    ///
    /// # Errors
    /// `InvalidInput` if none was given, or it has no such root.
    pub(super) fn kept(&self, name: &[u8]) -> Result<Captured> {
        let given = match &self.choice {
            ParentChoice::Given(_) => self.newest(|_, root| root.name == name),
            ParentChoice::Newest | ParentChoice::None => None,
        };
        let Some(Parent { session, root }) = given else {
            let detail = "a part is kept that no given parent has";
            let place = Place::Argument("parent");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        };
        let mut root = root.clone();
        if let Some(volume) = &mut root.volume {
            volume.tracking = Tracking::ChangedRanges;
            volume.tracking_reason = format!("kept as it is in {session}");
        }
        Ok(Captured {
            parent: Some(session),
            totals: RootTotals {
                entries: root.entries,
                bytes: root.bytes,
                ..RootTotals::default()
            },
            root,
            read_bytes: 0,
            problems: Vec::new(),
            problem_count: 0,
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

/// One that is forgotten does not do: a prune may let go of it.
fn given(found: &SnapshotList, text: &str) -> Result<Snapshot> {
    let session = found.find(text)?.session;
    found.get(session).cloned().ok_or_else(|| {
        let detail = format!("{session} is forgotten; bring it back with undelete");
        Error::new(ErrorKind::NotFound, Place::Argument("parent"), detail)
    })
}

/// Snapshots are in the order of their commits, which says little where clocks were wrong.
fn doubt_of(found: &SnapshotList, writer: &Writer) -> Option<&'static str> {
    let mut of_host = found.snapshots.iter().rev();
    let newest = of_host.find(|snapshot| snapshot.host == writer.host);
    let now = writer.started;
    if !found.damaged.is_empty() {
        Some("a snapshot cannot be read, so the newest is not known")
    } else if newest.is_some_and(|newest| newest.ended > now) {
        Some("the newest snapshot is of a time to come, so a clock was wrong")
    } else {
        None
    }
}
