//! The harness itself, on toys: it counts right, repeats itself, and finds what is there to find.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::format::name::{ObjectKind, ObjectName};
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::conformance;
use crate::testing::recording_backend::Verb;
use crate::testing::schedule::backend::clock;
use crate::testing::schedule::{
    Body, BoundedSearch, Chooser, Ending, Fault, FaultKind, Leg, Run, Script, Stage, Switch,
};

const COUNTER: ObjectName = ObjectName::Config(1);

/// Participants that make so many calls each.
fn count_to(lens: &[usize], chooser: Chooser, faults: &[Fault]) -> Run<Result<()>> {
    let stage = Stage::new(Arc::default(), lens.len(), chooser, faults);
    let body = |(participant, len): (usize, &usize)| -> Body<'static, Result<()>> {
        let (backend, len) = (stage.backend(participant), *len);
        Box::new(move || (0..len).try_for_each(|_| backend.sync()))
    };
    let bodies = lens.iter().enumerate().map(body).collect();
    stage.run(bodies)
}

fn order_of<T>(run: &Run<T>) -> Vec<usize> {
    run.calls.iter().map(|call| call.participant).collect()
}

/// All orders of so many calls each, found without the harness, and the preemptions of each.
fn all_orders(lens: &[usize]) -> Vec<(Vec<usize>, u32)> {
    let mut whole = Vec::new();
    let mut begun = vec![(Vec::new(), lens.to_vec(), 0)];
    while let Some((order, left, preemptions)) = begun.pop() {
        if left.iter().all(|left| *left == 0) {
            whole.push((order, preemptions));
            continue;
        }
        for next in (0..left.len()).filter(|next| left[*next] > 0) {
            let (mut order, mut rest): (Vec<usize>, _) = (order.clone(), left.clone());
            let last = order.last().copied();
            let preempts = last.is_some_and(|last| last != next && left[last] > 0);
            order.push(next);
            rest[next] -= 1;
            begun.push((order, rest, preemptions + u32::from(preempts)));
        }
    }
    whole
}

fn searched(lens: &[usize], preemptions: u32) -> Vec<Vec<usize>> {
    let mut search = BoundedSearch::new(preemptions);
    let mut orders = Vec::new();
    while let Some(chooser) = search.chooser() {
        let run = count_to(lens, chooser, &[]);
        search.learn(&run.choices);
        orders.push(order_of(&run));
    }
    orders
}

#[test]
fn calls_that_pass_the_gate_keep_the_contract() {
    conformance::run_all(|| {
        let stage = Stage::new(Arc::default(), 1, Chooser::default_order(), &[]);
        Box::new(stage.backend(0))
    });
}

#[test]
fn as_many_schedules_of_two_are_searched_as_the_formula_says() {
    for (a, b) in [(1, 1), (2, 3), (4, 4), (5, 2)] {
        let (one, two) = ((a - 1) + (b - 1), 2 * (a - 1) * (b - 1));
        assert_eq!(searched(&[a, b], 0).len(), 2);
        assert_eq!(searched(&[a, b], 1).len(), 2 + one);
        assert_eq!(searched(&[a, b], 2).len(), 2 + one + two);
    }
}

#[test]
fn every_schedule_of_three_within_the_bound_is_searched_once_and_no_other() {
    let lens = [2, 3, 2];
    let all = all_orders(&lens);
    assert_eq!(all.len(), 210, "7! / (2! 3! 2!)");
    for bound in 0..=6 {
        let found = searched(&lens, bound);
        let expected = all.iter().filter(|(_, preemptions)| *preemptions <= bound);
        let expected: BTreeSet<_> = expected.map(|(order, _)| order.clone()).collect();
        assert_eq!(found.len(), expected.len(), "none twice, within {bound}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_its_script_gives_it_again() {
    let choosers = |seed| [Chooser::random(seed), Chooser::pct(seed, 3, 20)];
    let mut traces = BTreeSet::new();
    for seed in 0..20 {
        for chooser in choosers(seed) {
            let first = count_to(&[5, 7, 3], chooser.clone(), &[]);
            let again = count_to(&[5, 7, 3], chooser, &[]);
            assert_eq!(first.trace(), again.trace());
            let script: Script = first.script.to_string().parse().unwrap();
            assert_eq!(script, first.script);
            let told = count_to(&[5, 7, 3], Chooser::told(&script.switches), &[]);
            assert_eq!(first.trace(), told.trace());
            traces.insert(first.trace());
        }
    }
    assert!(traces.len() > 20, "seeds differ");
}

#[test]
fn a_script_reads_back_and_nonsense_is_refused() {
    let text = "3>1 17>0 1@12:crash 2@5:freeze 0@3:ambiguous 0@9:clock-100 0@9:clock+7";
    let script: Script = text.parse().unwrap();
    assert_eq!(script.switches[0], Switch { point: 3, to: 1 });
    assert_eq!(script.to_string(), text);
    for nonsense in [
        "3",
        "3>",
        ">1",
        "1@2",
        "1@2:",
        "1@x:crash",
        "1@2:sleep",
        "0@1:clock",
    ] {
        assert!(nonsense.parse::<Script>().is_err(), "{nonsense}");
    }
}

/// Reads a number and writes one more, in steps that others may come between.
fn increment(backend: &dyn Backend) -> Result<()> {
    let value = backend.get(&COUNTER)?[0];
    backend.delete(&COUNTER)?;
    backend.put(&COUNTER, &[value + 1])
}

/// Schedules until one lost an update.
fn schedules_until_lost(preemptions: u32) -> Option<u32> {
    let mut search = BoundedSearch::new(preemptions);
    let mut schedules = 0;
    while let Some(chooser) = search.chooser() {
        let storage = Arc::new(MemoryBackend::new());
        storage.put(&COUNTER, &[0]).unwrap();
        let stage = Stage::new(Arc::clone(&storage), 2, chooser, &[]);
        let backends = [0, 1].map(|participant| stage.backend(participant));
        let bodies = backends
            .iter()
            .map(|backend| -> Body<'_, Result<()>> { Box::new(|| increment(backend)) });
        let bodies = bodies.collect();
        let run = stage.run(bodies);
        schedules += 1;
        search.learn(&run.choices);
        let all_said_yes = run
            .endings
            .iter()
            .all(|e| matches!(e, Ending::Ended(Ok(()))));
        if all_said_yes && storage.get(&COUNTER).unwrap() != [2] {
            return Some(schedules);
        }
    }
    None
}

#[test]
fn a_lost_update_is_found_with_one_preemption_and_not_without() {
    assert_eq!(schedules_until_lost(0), None);
    assert!(schedules_until_lost(1).is_some());
}

#[test]
fn legs_go_to_the_call_they_name_and_to_the_end() {
    let storage = Arc::new(MemoryBackend::new());
    let legs = [
        Leg::until(0, Verb::List, ObjectKind::Key).and_once_more(),
        Leg::until(1, Verb::List, ObjectKind::Key),
        Leg::whole(0),
    ];
    let stage = Stage::new(storage, 2, Chooser::legs(&legs), &[]);
    let backends = [0, 1].map(|participant| stage.backend(participant));
    let bodies = backends.iter().map(|backend| -> Body<'_, ()> {
        Box::new(|| {
            for _ in 0..2 {
                backend.sync().unwrap();
                backend.list(ObjectKind::Key).unwrap();
            }
        })
    });
    let bodies = bodies.collect();
    let run = stage.run(bodies);
    assert_eq!(order_of(&run), [0, 0, 0, 1, 0, 1, 1, 1]);
}

#[test]
fn what_a_dead_participant_tries_never_reaches_the_storage() {
    let storage = Arc::new(MemoryBackend::new());
    let crash = Fault {
        participant: 0,
        call: 1,
        kind: FaultKind::Crash,
    };
    let stage = Stage::new(Arc::clone(&storage), 2, Chooser::default_order(), &[crash]);
    let (dying, living) = (stage.backend(0), stage.backend(1));
    let put = |backend: &dyn Backend, n| backend.put(&ObjectName::Config(n), b"");
    let run = stage.run::<()>(vec![
        Box::new(|| {
            assert!(put(&dying, 1).is_ok());
            for n in 2..5 {
                assert_eq!(put(&dying, n).unwrap_err().kind(), ErrorKind::Cancelled);
            }
        }),
        Box::new(|| put(&living, 9).unwrap()),
    ]);
    assert!(matches!(
        run.endings[..],
        [Ending::Crashed, Ending::Ended(())]
    ));
    let names = storage.list(ObjectKind::Config).unwrap();
    let names: Vec<_> = names.iter().map(|info| info.name).collect();
    assert_eq!(names, [ObjectName::Config(1), ObjectName::Config(9)]);
}

#[test]
fn a_frozen_participant_goes_on_last_and_years_later() {
    let freeze = |participant| Fault {
        participant,
        call: 1,
        kind: FaultKind::Freeze,
    };
    let run = count_to(&[3, 2, 2], Chooser::random(4), &[freeze(0), freeze(1)]);
    let order = order_of(&run);
    let end_of_last = order.iter().rposition(|participant| *participant == 2);
    let thawed = order.len() - 3;
    assert_eq!(end_of_last, Some(thawed - 1), "{order:?}");

    let stage = Stage::new(Arc::default(), 1, Chooser::default_order(), &[freeze(0)]);
    let backend = stage.backend(0);
    let run = stage.run::<i64>(vec![Box::new(|| {
        let before = clock().seconds;
        (0..2).try_for_each(|_| backend.sync()).unwrap();
        clock().seconds - before
    })]);
    let Ending::Ended(slept) = run.endings[0] else {
        panic!("it goes on")
    };
    assert!(slept > 9 * 365 * 24 * 60 * 60);
}

#[test]
fn an_ambiguous_put_fails_and_took_effect_and_a_clock_jumps_back() {
    let storage = Arc::new(MemoryBackend::new());
    let fault = |call, kind| Fault {
        participant: 0,
        call,
        kind,
    };
    let faults = [
        fault(0, FaultKind::AmbiguousPut),
        fault(1, FaultKind::Clock(-100)),
    ];
    let stage = Stage::new(Arc::clone(&storage), 1, Chooser::default_order(), &faults);
    let backend = stage.backend(0);
    let run = stage.run::<bool>(vec![Box::new(|| {
        let before = clock().seconds;
        backend.sync().unwrap();
        let error = backend.put(&COUNTER, b"1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        clock().seconds < before
    })]);
    assert!(matches!(run.endings[0], Ending::Ended(true)));
    assert_eq!(storage.get(&COUNTER).unwrap(), b"1");
    assert_eq!(run.calls[1].verb, Verb::Put);
}

#[test]
fn a_panic_of_a_participant_is_an_ending_and_the_others_go_on() {
    let stage = Stage::new(Arc::default(), 2, Chooser::default_order(), &[]);
    let backends = [0, 1].map(|participant| stage.backend(participant));
    let run = stage.run::<()>(vec![
        Box::new(|| {
            backends[0].sync().unwrap();
            panic!("on purpose");
        }),
        Box::new(|| backends[1].sync().unwrap()),
    ]);
    assert!(matches!(&run.endings[0], Ending::Panicked(words) if words == "on purpose"));
    assert!(matches!(run.endings[1], Ending::Ended(())));
}
