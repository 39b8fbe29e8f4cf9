//! Which roots the result has, and of what each is made: from the names of roots, and few entries.

use crate::error::Result;
use crate::format::entry::{FolderPath, Node, is_valid_name};
use crate::format::snapshot::{Root, RootType};
use crate::operations::merge::layers::{Composition, Layer, Lookup, PlaceBelow};
use crate::operations::merge::{Family, MergeMode};

/// Lays the roots of all inputs over each other, oldest first.
///
/// A root that lies in a folder which an older root does not have becomes a root of its own: to
/// put it there, folders would have to be made up that no snapshot has seen.
pub(super) fn compose(lookup: Lookup<'_>, family: Family) -> Result<Vec<Composition>> {
    let compositions = Vec::new();
    let mut planner = Planner {
        lookup,
        family,
        compositions,
    };
    for (age, input) in lookup.inputs.iter().enumerate() {
        let mut roots: Vec<_> = input.roots.iter().collect();
        if age > 0 {
            // One that holds another of the same snapshot takes away what is older, then stays.
            let held_by = |root: &Root| input.roots.iter().filter(|r| holds(r, root)).count();
            roots.sort_by_key(|root| held_by(root));
        }
        for root in roots {
            planner.add(age, root)?;
        }
    }
    Ok(planner.compositions)
}

struct Planner<'l> {
    lookup: Lookup<'l>,
    family: Family,
    compositions: Vec<Composition>,
}

/// How a composition lies to a newer root.
enum Relation {
    /// Nothing of one is in the other, or both are roots of one snapshot.
    Apart,
    /// They are the same place.
    Same,
    /// The newer root lies in it, there.
    Holds(FolderPath),
    /// It lies in the newer root, there.
    Within(FolderPath),
}

impl Planner<'_> {
    fn add(&mut self, age: usize, root: &Root) -> Result<()> {
        let newest = Layer::new(age, root);
        let (mut kept, mut below, mut holders) = (Vec::new(), Vec::new(), Vec::new());
        // Where a root of its own would stand: in the place of the first that it replaces.
        let (mut own_place, mut replaces_same) = (None, false);
        for older in std::mem::take(&mut self.compositions) {
            let number = kept.len();
            match self.relation(&older, age, root) {
                Relation::Same if self.replaces(&older, root) => {
                    own_place.get_or_insert(number);
                    replaces_same = true;
                }
                Relation::Same => {
                    holders.push((number, FolderPath::root()));
                    kept.push(older);
                }
                Relation::Holds(place) => {
                    if self.has_folder(&older, &place.as_entry().folder)? {
                        holders.push((number, place));
                    }
                    kept.push(older);
                }
                Relation::Within(place) => match self.place_below(&newest, &place)? {
                    PlaceBelow::InFolder => {
                        own_place.get_or_insert(number);
                        below.extend(older.layers.iter().map(|l| l.moved_below(&place)));
                    }
                    PlaceBelow::Taken => drop(own_place.get_or_insert(number)),
                    PlaceBelow::Nowhere => kept.push(older),
                },
                Relation::Apart => kept.push(older),
            }
        }
        let stack = [below, vec![newest]].concat();
        for (number, place) in &holders {
            let holder = &mut kept[*number].layers;
            holder.extend(stack.iter().map(|layer| layer.moved_below(place)));
            holder.sort_by_key(|layer| layer.age);
        }
        if holders.is_empty() || replaces_same {
            let (name, mut layers) = (root.name.clone(), stack);
            layers.sort_by_key(|layer| layer.age);
            let place = own_place.unwrap_or(kept.len());
            kept.insert(place, Composition { name, layers });
        }
        self.compositions = kept;
        Ok(())
    }

    /// True if nothing of the older root of the same name is needed any more.
    fn replaces(&self, older: &Composition, root: &Root) -> bool {
        self.lookup.mode == MergeMode::Replace || !self.are_trees(older, root)
    }

    fn are_trees(&self, older: &Composition, root: &Root) -> bool {
        let is_tree = |root: &Root| root.root_type == RootType::Tree;
        self.family == Family::Folders
            && is_tree(root)
            && older.layers.iter().all(|layer| is_tree(&layer.root))
    }

    fn relation(&self, older: &Composition, age: usize, root: &Root) -> Relation {
        let of_this_snapshot = |layer: &&Layer| layer.age == age;
        let mut own = older.layers.iter().filter(of_this_snapshot);
        if own.any(|layer| layer.root.name == root.name || holds(&layer.root, root)) {
            return Relation::Apart;
        }
        if older.name == root.name {
            return Relation::Same;
        }
        if !self.are_trees(older, root) {
            return Relation::Apart;
        }
        match (
            place_in(&older.name, &root.name),
            place_in(&root.name, &older.name),
        ) {
            (Some(_), Some(_)) => Relation::Same,
            (Some(place), None) => Relation::Holds(place),
            (None, Some(place)) => Relation::Within(place),
            (None, None) => Relation::Apart,
        }
    }

    /// Where an older root goes that lies in a newer one.
    fn place_below(&self, newer: &Layer, place: &FolderPath) -> Result<PlaceBelow> {
        match self.lookup.mode {
            // What is not there any more is absent, the whole of an older root included.
            MergeMode::Replace => Ok(PlaceBelow::Taken),
            MergeMode::KeepDeleted => self.lookup.place(newer, place),
        }
    }

    fn has_folder(&self, older: &Composition, folder: &FolderPath) -> Result<bool> {
        let found = self.lookup.composed_entry(older, &folder.as_entry())?;
        Ok(found.is_some_and(|item| item.entry.node == Node::Folder))
    }
}

/// True if `inner` lies in the root `outer`.
fn holds(outer: &Root, inner: &Root) -> bool {
    let are_trees = (outer.root_type, inner.root_type) == (RootType::Tree, RootType::Tree);
    let place = place_in(&outer.name, &inner.name).filter(|_| are_trees);
    place.is_some_and(|place| !place.0.is_empty())
}

/// Where the path `inner` is in the tree of a root named `outer`; nothing if it is elsewhere, or
/// if one of them is no absolute path.
pub(super) fn place_in(outer: &[u8], inner: &[u8]) -> Option<FolderPath> {
    let (outer, inner) = (components(outer)?, components(inner)?);
    let below = inner.strip_prefix(outer.as_slice())?;
    let root = FolderPath::root();
    Some(below.iter().fold(root, |folder, name| folder.child(name)))
}

fn components(path: &[u8]) -> Option<Vec<&[u8]>> {
    let names = path.strip_prefix(b"/")?.split(|&byte| byte == b'/');
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    names
        .iter()
        .all(|name| is_valid_name(name))
        .then_some(names)
}
