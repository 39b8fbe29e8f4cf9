//! Problems of the inputs that the result still has: it must not claim to be more complete.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::format::snapshot::{RootType, SnapshotProblem};
use crate::limits::SNAPSHOT_PROBLEMS_MAX;
use crate::operations::merge::layers::{Composition, Lookup};
use crate::operations::merge::plan::place_in;

/// What is carried over.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// The first of them, oldest input first.
    pub listed: Vec<SnapshotProblem>,
    /// All of them, those that no input lists included.
    pub count: u64,
}

/// The problems of all inputs whose paths the result still has from them. Of what an input counts
/// and does not list nobody knows the path: it counts for as long as the input gives anything.
pub(super) fn carry_over(lookup: Lookup<'_>, compositions: &[Composition]) -> Result<Carried> {
    let mut carried = Carried::default();
    let mut known = BTreeSet::new();
    for (age, input) in lookup.inputs.iter().enumerate() {
        let gives = |composition: &Composition| composition.layers.iter().any(|l| l.age == age);
        if !compositions.iter().any(gives) {
            continue;
        }
        for problem in &input.problems {
            let key = (problem.kind, problem.subject.as_slice(), &problem.detail);
            if is_left(lookup, compositions, age, &problem.subject)? && known.insert(key) {
                carried.count += 1;
                carried.listed.push(problem.clone());
            }
        }
        let listed = input.problems.len() as u64;
        carried.count += input.problem_count.saturating_sub(listed);
    }
    carried.listed.truncate(SNAPSHOT_PROBLEMS_MAX);
    Ok(carried)
}

/// True if the result has the place of `subject` from input `age`.
fn is_left(
    lookup: Lookup<'_>,
    compositions: &[Composition],
    age: usize,
    subject: &[u8],
) -> Result<bool> {
    let roots = &lookup.inputs[age].roots;
    let is_in = |name: &[u8]| name == subject || place_in(name, subject).is_some();
    if !roots.iter().any(|root| is_in(&root.name)) {
        return Ok(true); // no path of its own: it is about the whole input
    }
    for composition in compositions {
        for (number, layer) in composition.layers.iter().enumerate() {
            let name = &layer.root.name;
            if layer.age != age || !is_in(name) {
                continue;
            }
            let own = match layer.root.root_type {
                RootType::Tree => place_in(name, subject).unwrap_or_default(),
                RootType::Extents => FolderPath::root(),
            };
            let path = layer.prefix.join(&own).as_entry();
            if !lookup.is_hidden(composition, number, &path)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
