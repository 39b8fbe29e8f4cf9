//! What was used last, within a weight: for whoever can make again what is let go of.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by key, together never heavier than was said.
pub(super) struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    clock: u64,
    weight: usize,
    weight_max: usize,
}

struct Entry<V> {
    value: V,
    used: u64,
    weight: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Kept<K, V> {
    /// Nothing yet.
    pub(super) fn new(weight_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            clock: 0,
            weight: 0,
            weight_max,
        }
    }

    /// What is kept of `key`, which is used now.
    pub(super) fn find(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    /// Keeps `value` in the place of what there was of `key`.
    pub(super) fn keep(&mut self, key: K, value: V, weight: usize) {
        self.clock += 1;
        self.weight += weight;
        let used = self.clock;
        let entry = Entry {
            value,
            used,
            weight,
        };
        if let Some(old) = self.entries.insert(key, entry) {
            self.weight -= old.weight;
        }
        if self.weight > self.weight_max {
            self.let_go(self.weight_max / 2);
        }
    }

    /// Half at once: so what is looked through to find the oldest is paid by many.
    fn let_go(&mut self, weight_max: usize) {
        let by_use = self.entries.iter().map(|(key, entry)| (entry.used, *key));
        let mut by_use: Vec<_> = by_use.collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in by_use {
            if self.weight <= weight_max {
                return;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.weight -= entry.weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_the_rest_goes_half_at_once() {
        let mut kept = Kept::new(10);
        (0..10).for_each(|key| kept.keep(key, key, 1));
        assert_eq!(kept.find(&0), Some(0));
        kept.keep(10, 10, 1);
        let left: Vec<_> = (0..11).filter(|key| kept.find(key).is_some()).collect();
        assert_eq!(left, [0, 7, 8, 9, 10]);
    }

    #[test]
    fn what_takes_the_place_of_another_weighs_alone() {
        let mut kept = Kept::new(10);
        (0..100).for_each(|value| kept.keep('a', value, 6));
        kept.keep('b', 7, 4);
        assert_eq!((kept.find(&'a'), kept.find(&'b')), (Some(99), Some(7)));
        kept.keep('c', 8, 11);
        let left = ['a', 'b', 'c'].map(|key| kept.find(&key));
        assert_eq!(
            left, [None; 3],
            "what is heavier than all may be is not kept"
        );
    }
}
