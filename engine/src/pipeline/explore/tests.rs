//! Any tree, any number of threads, any bound: the order of one thread, and an end.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

/// A tree by the parents of its nodes: node 0 is the root, and a parent comes before its children.
#[derive(Clone, Debug)]
struct Tree {
    children: Vec<Vec<usize>>,
}

impl Tree {
    fn new(parents: &[usize]) -> Self {
        let mut children = vec![Vec::new(); parents.len() + 1];
        for (index, parent) in parents.iter().enumerate() {
            children[parent % (index + 1)].push(index + 1);
        }
        Self { children }
    }

    /// Of `count` children of the root.
    fn flat(count: usize) -> Self {
        Self::new(&vec![0; count])
    }

    fn explored(&self, node: usize) -> Explored<usize, usize> {
        Explored {
            result: node,
            subtasks: self.children[node].clone(),
            weight: node % 3,
        }
    }

    fn in_order(&self) -> Vec<usize> {
        let (mut order, mut stack) = (Vec::new(), vec![0]);
        while let Some(node) = stack.pop() {
            order.push(node);
            stack.extend(self.children[node].iter().rev());
        }
        order
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    // Small numbers make wide trees, the number of the node before makes deep ones.
    let parents = prop::collection::vec(prop_oneof![0..4_usize, any::<usize>()], 0..120);
    parents.prop_map(|parents| Tree::new(&parents))
}

fn error() -> Error {
    Error::new(ErrorKind::Io, Place::Repository, "refused")
}

/// Lets other threads in between, at other places in each tree.
fn dawdle(node: usize) {
    for _ in 0..node * 7 % 5 {
        thread::yield_now();
    }
}

proptest! {
    #[test]
    fn results_come_in_the_order_of_one_thread(
        tree in any_tree(),
        threads in 0..9_usize,
        weight_max in 0..40_usize,
    ) {
        let mut order = Vec::new();
        let explore = |node| {
            dawdle(node);
            tree.explored(node)
        };
        let take = |node| {
            dawdle(node + 1);
            order.push(node);
            Ok(())
        };
        run(threads, weight_max, 0, explore, take).expect("nothing fails");
        prop_assert_eq!(order, tree.in_order());
    }

    #[test]
    fn no_more_is_done_ahead_than_the_bound_and_one_task_of_each_thread(
        tree in any_tree(),
        threads in 1..6_usize,
        weight_max in 0..20_usize,
    ) {
        let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let most = AtomicUsize::new(0);
        let explore = |node| {
            let begun = begun.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(begun - taken.load(Ordering::SeqCst), Ordering::SeqCst);
            // What weighs nothing counts as 1.
            Explored { weight: node % 2, ..tree.explored(node) }
        };
        let take = |node| {
            dawdle(node);
            taken.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        run(threads, weight_max, 0, explore, take).expect("nothing fails");
        // One more: a result counts as taken here only after it left the bound.
        let bound = weight_max + threads + 1;
        prop_assert!(most.load(Ordering::SeqCst) <= bound, "{:?} of {}", most, bound);
    }

    #[test]
    fn an_error_of_the_caller_is_the_last_it_hears(
        tree in any_tree(),
        threads in 1..6_usize,
        weight_max in 0..20_usize,
        until in 0..120_usize,
    ) {
        let mut taken = Vec::new();
        let take = |node| {
            taken.push(node);
            if taken.len() > until { Err(error()) } else { Ok(()) }
        };
        let result = run(threads, weight_max, 0, |node| tree.explored(node), take);
        let (order, fails) = (tree.in_order(), tree.children.len() > until);
        prop_assert_eq!(result.map_err(|error| error.kind()), if fails { Err(ErrorKind::Io) } else { Ok(()) });
        prop_assert_eq!(&taken[..], &order[..order.len().min(until + 1)]);
    }

    #[test]
    fn a_panic_of_any_task_ends_all_threads(
        tree in any_tree(),
        threads in 1..6_usize,
        place in any::<prop::sample::Index>(),
    ) {
        let bad = place.index(tree.children.len());
        let explore = |node| {
            assert_ne!(node, bad, "the task that panics");
            tree.explored(node)
        };
        let ended = catch_unwind(AssertUnwindSafe(|| run(threads, 8, 0, explore, |_| Ok(()))));
        // On the caller's thread it is a panic, on a helper's an error.
        prop_assert!(!matches!(ended, Ok(Ok(()))));
    }
}

#[test]
fn as_many_tasks_are_in_work_as_there_are_threads() {
    for threads in [2, 3, 8].repeat(20) {
        let tree = Tree::flat(threads);
        // Without so many threads they would wait here for ever.
        let all_are_here = Barrier::new(threads);
        let explore = |node| {
            if node > 0 {
                all_are_here.wait();
            } else {
                // Until the helpers are there, and asleep.
                (0..1000).for_each(|_| thread::yield_now());
            }
            tree.explored(node)
        };
        run(threads, 100, 0, explore, |_| Ok(())).expect("nothing fails");
    }
}

#[test]
fn helpers_go_on_once_there_is_room_again() {
    let tree = Tree::flat(200);
    let both_are_here = Barrier::new(2);
    let explore = |node| {
        if (151..=160).contains(&node) {
            both_are_here.wait();
        }
        tree.explored(node)
    };
    run(2, 4, 0, explore, |_| Ok(())).expect("nothing fails");
}

#[test]
fn helpers_begin_with_what_the_caller_needs_next() {
    // The root has 1 and 2; below 1 there are 3 and 4. With the caller held at the root, a single
    // helper comes to what lies below 1 before it comes to 2.
    let tree = Tree::new(&[0, 0, 1, 1]);
    let begun = Mutex::new(Vec::new());
    let all_begun = Barrier::new(2);
    let explore = |node| {
        let mut begun = begun.lock();
        begun.push(node);
        if begun.len() == 5 {
            drop(begun);
            all_begun.wait();
        }
        tree.explored(node)
    };
    let take = |node| {
        if node == 0 {
            all_begun.wait();
        }
        Ok(())
    };
    run(2, 100, 0, explore, take).expect("nothing fails");
    assert_eq!(begun.into_inner(), [0, 1, 3, 4, 2]);
}

#[test]
fn one_thread_does_everything_itself_and_nothing_ahead() {
    let tree = Tree::flat(20);
    let (here, begun) = (thread::current().id(), AtomicUsize::new(0));
    let explore = |node| {
        assert_eq!(thread::current().id(), here);
        begun.fetch_add(1, Ordering::Relaxed);
        tree.explored(node)
    };
    let mut taken = 0;
    let take = |_| {
        taken += 1;
        assert_eq!(begun.load(Ordering::Relaxed), taken);
        Ok(())
    };
    run(1, 100, 0, explore, take).expect("nothing fails");
}

#[test]
fn a_panic_of_the_caller_ends_the_helpers() {
    let tree = Tree::flat(50);
    let take = |node| {
        assert_ne!(node, 7, "the result that panics");
        Ok(())
    };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        run(4, 100, 0, |node| tree.explored(node), take)
    }));
    assert!(ended.is_err());
}

#[test]
fn after_an_error_no_task_is_begun() {
    let tree = Tree::flat(10_000);
    let begun = AtomicUsize::new(0);
    let explore = |node| {
        begun.fetch_add(1, Ordering::Relaxed);
        tree.explored(node)
    };
    let result = run(3, 16, 0, explore, |_| Err(error()));
    assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Io));
    assert!(begun.into_inner() < 100);
}

#[test]
fn a_place_is_used_again_once_its_result_was_taken() {
    let shared = Shared::new(0, 100);
    let tree = Tree::new(&(0..500).collect::<Vec<_>>());
    let mut seen = BTreeSet::new();
    while let Some(node) = shared.next(&|node| tree.explored(node)) {
        seen.insert(node.expect("nothing fails"));
    }
    assert_eq!(seen.len(), 501);
    assert!(shared.state.into_inner().tasks.len() <= 2, "of a chain");
}
