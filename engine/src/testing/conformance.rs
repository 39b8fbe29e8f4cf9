//! The contract of [`Backend`], sentence by sentence: every backend passes [`run_all`].
//!
//! Each function takes an empty backend and panics with what it saw. What needs a crash (5, 7) or
//! a hand on the medium (the foreign files of 10, the full disk of 13 and 14) cannot be asked
//! through the seam: `storage` asks it of the simulated disk.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::id::SessionId;
use crate::format::id::SlotId;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::format::name::PackClass;
use crate::format::name::PruneStep;
use crate::limits::MIB;
use crate::limits::RECORD_LEN_LIMIT;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::testing::random::Random;

const THREADS: usize = 8;

/// Asks every sentence of a fresh backend each.
pub fn run_all(make: impl Fn() -> Box<dyn Backend>) {
    several_threads_may_call_at_once(&*make());
    an_object_is_visible_whole_or_not_at_all(&*make());
    of_racing_puts_of_one_name_exactly_one_succeeds(&*make());
    a_later_put_of_a_name_fails_and_changes_nothing(&*make());
    what_was_put_is_seen_by_all_verbs(&*make());
    sync_succeeds_at_any_time_and_changes_nothing_visible(&*make());
    a_put_that_failed_left_nothing_visible(&*make());
    get_gives_exactly_what_was_put(&*make());
    a_large_object_is_like_a_small_one(&*make());
    get_range_fills_the_buffer_or_fails(&*make());
    list_gives_each_object_of_the_kind_once_and_sorted(&*make());
    delete_removes_one_object_and_forgives_a_missing_one(&*make());
    errors_name_the_object(&*make());
    a_reserve_is_released_once_and_no_object_with_it(&*make());
    a_reserve_is_renewed_where_there_was_one(&*make());
}

/// Sentence 1.
pub fn several_threads_may_call_at_once(backend: &dyn Backend) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..20 {
                    let name = pack(thread as u8, number, PackClass::Data);
                    let data = sample(thread as u64 * 100 + u64::from(number), 3000);
                    stored(backend, &name, &data);
                    let read = backend.get(&name).expect("1: get beside other threads");
                    assert!(
                        read == data,
                        "1: {name} reads back as put, beside other threads"
                    );
                    backend
                        .list(ObjectKind::Pack)
                        .expect("1: list beside other threads");
                    if number % 2 == 0 {
                        backend
                            .delete(&name)
                            .expect("1: delete beside other threads");
                    }
                    backend.sync().expect("1: sync beside other threads");
                }
            });
        }
    });
    let left = backend
        .list(ObjectKind::Pack)
        .expect("1: list after all threads");
    assert_eq!(
        left.len(),
        THREADS * 10,
        "1: what was put and not deleted is there"
    );
}

/// Sentence 2: a reader that looks all the time never sees a part.
pub fn an_object_is_visible_whole_or_not_at_all(backend: &dyn Backend) {
    let objects: Vec<_> = (0..12u32)
        .map(|number| (pack(1, number, PackClass::Meta), sample(number.into(), MIB)))
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                for (name, data) in &objects {
                    if let Ok(read) = backend.get(name) {
                        assert!(read == *data, "2: {name} is visible in part");
                    }
                }
                for object in backend
                    .list(ObjectKind::Pack)
                    .expect("2: list beside a put")
                {
                    assert_eq!(
                        object.len, MIB as u64,
                        "2: {} is listed in part",
                        object.name
                    );
                }
            }
        });
        let _done = SetOnDrop(&done);
        for (name, data) in &objects {
            stored(backend, name, data);
        }
    });
}

/// Sentence 3, at the same time.
pub fn of_racing_puts_of_one_name_exactly_one_succeeds(backend: &dyn Backend) {
    for round in 0..20u8 {
        let name = ObjectName::Snapshot(SessionId([round; 16]));
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let race = |thread| scope.spawn(move || backend.put(&name, &[thread; 5000]));
            let threads: Vec<_> = (0..THREADS as u8).map(race).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("3: put does not panic"))
                .collect()
        });
        let winners: Vec<_> = (0..THREADS)
            .filter(|thread| outcomes[*thread].is_ok())
            .collect();
        assert_eq!(
            winners.len(),
            1,
            "3: {winners:?} all believe that they stored {name}"
        );
        let losers = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        losers.for_each(|e| assert_eq!(e.kind(), ErrorKind::AlreadyExists, "3: a loser got: {e}"));
        let read = backend.get(&name).expect("3: the winner's object is there");
        assert!(
            read == [winners[0] as u8; 5000],
            "3: {name} holds what the winner put"
        );
    }
}

/// Sentence 3, one after the other.
pub fn a_later_put_of_a_name_fails_and_changes_nothing(backend: &dyn Backend) {
    for name in one_of_each_kind() {
        stored(backend, &name, b"first");
        backend.sync().expect("3: sync");
        for second in [&b"second"[..], b"first", b""] {
            let outcome = backend.put(&name, second);
            assert_eq!(
                kind_of(outcome),
                Some(ErrorKind::AlreadyExists),
                "3: {name} is taken"
            );
        }
        assert_eq!(
            backend.get(&name).expect("3: still there"),
            b"first",
            "3: {name} is unchanged"
        );
    }
}

/// Sentence 4.
pub fn what_was_put_is_seen_by_all_verbs(backend: &dyn Backend) {
    for name in one_of_each_kind() {
        stored(backend, &name, b"seen");
        assert_eq!(backend.get(&name).expect("4: get"), b"seen", "4: {name}");
        let mut out = [0; 2];
        backend.get_range(&name, 1, &mut out).expect("4: get_range");
        assert_eq!(&out, b"ee", "4: {name}");
        let listed = backend.list(name.kind()).expect("4: list");
        assert!(
            listed.contains(&ObjectInfo { name, len: 4 }),
            "4: {name} is listed"
        );
    }
}

/// Sentence 5, as far as it shows without a crash.
pub fn sync_succeeds_at_any_time_and_changes_nothing_visible(backend: &dyn Backend) {
    backend.sync().expect("5: sync of nothing");
    for name in one_of_each_kind() {
        stored(backend, &name, b"kept");
        backend.sync().expect("5: sync after a put");
        backend.sync().expect("5: sync once more");
        assert_eq!(backend.get(&name).expect("5: get"), b"kept", "5: {name}");
        backend.delete(&name).expect("5: delete");
        backend.sync().expect("5: sync after a delete");
        assert_eq!(
            kind_of(backend.get(&name)),
            Some(ErrorKind::NotFound),
            "5: {name}"
        );
    }
}

/// Sentence 6, with the one failure that every backend has: an object beyond its limit.
pub fn a_put_that_failed_left_nothing_visible(backend: &dyn Backend) {
    let too_long = vec![1; RECORD_LEN_LIMIT as usize + 1];
    for name in [ObjectName::Config(1), ObjectName::Key(SlotId([1; 16]))] {
        let outcome = backend.put(&name, &too_long);
        assert_eq!(
            kind_of(outcome),
            Some(ErrorKind::LimitExceeded),
            "6: {name}"
        );
        assert_eq!(
            kind_of(backend.get(&name)),
            Some(ErrorKind::NotFound),
            "6: {name}"
        );
        assert_eq!(backend.list(name.kind()).expect("6: list"), [], "6: {name}");
        stored(backend, &name, &too_long[1..]);
    }
}

/// Sentence 8, at lengths around sectors, pages and blocks.
pub fn get_gives_exactly_what_was_put(backend: &dyn Backend) {
    let lengths = [
        0, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_000_003,
    ];
    for (number, len) in (0..).zip(lengths) {
        let (name, data) = (pack(8, number, PackClass::Data), sample(len as u64, len));
        assert_eq!(
            kind_of(backend.get(&name)),
            Some(ErrorKind::NotFound),
            "8: {name} is missing"
        );
        stored(backend, &name, &data);
        assert!(
            backend.get(&name).expect("8: get") == data,
            "8: {len} bytes come back"
        );
    }
}

/// Sentence 8, at the length of a pack.
pub fn a_large_object_is_like_a_small_one(backend: &dyn Backend) {
    let (name, data) = (pack(9, 0, PackClass::Data), sample(9, 33 * MIB + 5));
    stored(backend, &name, &data);
    assert!(
        backend.get(&name).expect("8: get") == data,
        "8: a large object comes back"
    );
    let mut out = vec![0; MIB];
    backend
        .get_range(&name, 32 * MIB as u64 + 5, &mut out)
        .expect("9: get_range");
    assert!(out == data[32 * MIB + 5..], "9: a late range comes back");
}

/// Sentence 9.
pub fn get_range_fills_the_buffer_or_fails(backend: &dyn Backend) {
    let (name, data) = (pack(1, 1, PackClass::Data), sample(1, 10_000));
    stored(backend, &name, &data);
    for (start, len) in [(0, 10_000), (0, 1), (1, 4096), (9_999, 1), (5_000, 5_000)] {
        let mut out = vec![0; len];
        backend
            .get_range(&name, start as u64, &mut out)
            .expect("9: within the object");
        assert!(out == data[start..start + len], "9: {start}+{len}");
    }
    for (start, len) in [
        (0, 10_001),
        (9_999, 2),
        (10_000, 1),
        (1 << 40, 1),
        (u64::MAX, 9),
    ] {
        let outcome = backend.get_range(&name, start, &mut vec![0; len]);
        assert_eq!(
            kind_of(outcome),
            Some(ErrorKind::Damaged),
            "9: {start}+{len} is too far"
        );
    }
    let missing = backend.get_range(&pack(1, 2, PackClass::Data), 0, &mut [0]);
    assert_eq!(
        kind_of(missing),
        Some(ErrorKind::NotFound),
        "9: no such object"
    );
}

/// Sentence 10.
pub fn list_gives_each_object_of_the_kind_once_and_sorted(backend: &dyn Backend) {
    for kind in ObjectKind::ALL {
        assert_eq!(
            backend.list(kind).expect("10: list"),
            [],
            "10: {kind:?}: nothing yet"
        );
    }
    let mut expected = BTreeSet::new();
    let mut names = one_of_each_kind();
    for number in 2..30 {
        let class = if number % 3 == 0 {
            PackClass::Data
        } else {
            PackClass::Meta
        };
        names.push(pack((number * 7 % 5) as u8, number, class));
        names.push(ObjectName::Index {
            session: SessionId([number as u8; 16]),
            number: 40 - number,
        });
        names.push(ObjectName::Prune(PruneStep::Seal, number * 11 % 31));
        names.push(ObjectName::Prune(PruneStep::Plan, number));
    }
    for (len, name) in (0..).zip(names) {
        stored(backend, &name, &sample(0, len));
        expected.insert(ObjectInfo {
            name,
            len: len as u64,
        });
    }
    for kind in ObjectKind::ALL {
        let of_kind = expected
            .iter()
            .filter(|object| object.name.kind() == kind)
            .copied();
        let listed = backend.list(kind).expect("10: list");
        assert_eq!(listed, of_kind.collect::<Vec<_>>(), "10: {kind:?}");
    }
}

/// Sentence 11.
pub fn delete_removes_one_object_and_forgives_a_missing_one(backend: &dyn Backend) {
    for name in one_of_each_kind() {
        backend
            .delete(&name)
            .expect("11: delete of a missing object");
        stored(backend, &name, b"gone soon");
        backend.delete(&name).expect("11: delete");
        assert_eq!(
            kind_of(backend.get(&name)),
            Some(ErrorKind::NotFound),
            "11: {name}"
        );
        assert_eq!(
            backend.list(name.kind()).expect("11: list"),
            [],
            "11: {name}"
        );
        backend.delete(&name).expect("11: delete once more");
    }
    let (goes, stays) = (pack(1, 1, PackClass::Data), pack(1, 1, PackClass::Meta));
    stored(backend, &goes, b"goes");
    stored(backend, &stays, b"stays");
    backend.delete(&goes).expect("11: delete");
    assert_eq!(
        backend
            .get(&stays)
            .expect("11: the other class is another object"),
        b"stays"
    );
}

/// Sentence 12.
pub fn errors_name_the_object(backend: &dyn Backend) {
    for name in one_of_each_kind() {
        let missing = backend.get(&name).expect_err("12: missing");
        assert_eq!(missing.place(), &Place::Object(name), "12");
        assert!(
            missing.to_string().contains(&name.to_string()),
            "12: {missing}"
        );
        stored(backend, &name, b"x");
        let taken = backend.put(&name, b"y").expect_err("12: taken");
        assert_eq!(taken.place(), &Place::Object(name), "12");
        let beyond = backend
            .get_range(&name, 1, &mut [0; 2])
            .expect_err("12: beyond the end");
        assert_eq!(
            beyond.place(),
            &Place::Range {
                name,
                offset: 1,
                len: 2
            },
            "12"
        );
    }
}

/// Sentence 13. A backend need not have a reserve.
pub fn a_reserve_is_released_once_and_no_object_with_it(backend: &dyn Backend) {
    let objects = one_of_each_kind();
    for name in &objects {
        stored(backend, name, b"kept");
    }
    let had_one = reserve_len(backend);
    let released = backend.release_reserve().expect("13: release");
    assert!(
        had_one.is_none_or(|len| released == (len > 0)),
        "13: {had_one:?}"
    );
    assert!(!backend.release_reserve().expect("13: release of nothing"));
    assert!(reserve_len(backend).is_none_or(|len| len == 0), "13: gone");
    for name in &objects {
        assert_eq!(backend.get(name).expect("13: get"), b"kept", "13: {name}");
    }
}

/// Sentence 14.
pub fn a_reserve_is_renewed_where_there_was_one(backend: &dyn Backend) {
    let name = pack(14, 0, PackClass::Data);
    stored(backend, &name, b"kept");
    backend.renew_reserve().expect("14: renew what is there");
    let had_one = backend.release_reserve().expect("14: release");
    backend.renew_reserve().expect("14: renew");
    backend.renew_reserve().expect("14: renew once more");
    let expected = [ObjectInfo { name, len: 4 }];
    for kind in ObjectKind::ALL {
        let listed = backend.list(kind).expect("14: list");
        let of_kind = expected.iter().filter(|object| object.name.kind() == kind);
        assert!(listed.iter().eq(of_kind), "14: {kind:?}: {listed:?}");
    }
    let released = backend.release_reserve().expect("14: release of the new");
    assert_eq!(released, had_one, "14: there is one again");
}

/// Length of the reserve, if the backend tells.
fn reserve_len(backend: &dyn Backend) -> Option<u64> {
    let room = backend.room().expect("13: room");
    room.map(|room| room.reserve)
}

/// One name of each kind, and packs of both classes.
pub fn one_of_each_kind() -> Vec<ObjectName> {
    let session = SessionId([0xc0; 16]);
    vec![
        ObjectName::Config(1),
        ObjectName::Key(SlotId([0xc1; 16])),
        ObjectName::Intent(session),
        pack(0xc2, 0, PackClass::Data),
        pack(0xc3, 0, PackClass::Meta),
        ObjectName::Index { session, number: 1 },
        ObjectName::Snapshot(session),
        ObjectName::Forgotten(session),
        ObjectName::Prune(PruneStep::Done, 1),
    ]
}

fn pack(session: u8, number: u32, class: PackClass) -> ObjectName {
    ObjectName::Pack {
        session: SessionId([session; 16]),
        number,
        class,
    }
}

fn sample(seed: u64, len: usize) -> Vec<u8> {
    Random::new(seed).bytes(len)
}

#[track_caller]
fn stored(backend: &dyn Backend, name: &ObjectName, data: &[u8]) {
    backend
        .put(name, data)
        .expect("a put of a free name succeeds");
}

fn kind_of<T: Debug>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

/// So that a failing writer does not leave the reader looking for ever.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
