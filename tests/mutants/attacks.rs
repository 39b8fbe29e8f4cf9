//! The attacks: each gives what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use blockstore::format::entry::{FolderPath, Metadata, Owner, Timestamp, TreePath};
use blockstore::format::envelope::HEADER_LEN;
use blockstore::format::id::RepositoryId;
use blockstore::format::name::ObjectKind::{Prune, Snapshot};
use blockstore::format::name::{ObjectKind, ObjectName, PackClass};
use blockstore::format::table::Origin;
use blockstore::operations::forget::clocks::Clocks;
use blockstore::operations::forget::policy::{GroupBy, RetentionPolicy, TagSet, Terms, judge};
use blockstore::repository::{object, snapshots};
use blockstore::sources::folder::believes_holes;
use blockstore::storage::Backend;
use blockstore::targets::folder::{FolderTarget, FolderTargetOptions};
use blockstore::testing::recording_backend::Verb::Put;
use blockstore::testing::schedule::{Chooser, Fault, FaultKind, Leg};
use blockstore::testing::small_world::checker::{Acknowledged, look, verdict};
use blockstore::testing::small_world::{BEGUN_WITH, SmallWorld, open, prune, writer};
use blockstore::transform::derive::Secret;
use blockstore::transform::seal::{Aead, Binding, Part, Sealer, Unsealer};

use crate::scene::{Act, Scene};

/// Most schedules that an attack tries.
const SCHEDULES_MAX: u64 = 20_000;
/// Worlds that an undisturbed prune is tried in.
const SEEDS: u64 = 16;
/// More calls than a writer makes.
const CALLS_MAX: u32 = 80;

/// All schedules of two preemptions of a writer that needs what was forgotten, and a prune.
pub(crate) fn one_writer_one_prune() -> Option<String> {
    let write = Act::Write(BEGUN_WITH[0].to_owned());
    let scene = Scene::new(&[&[write], &[Act::Prune]]).forgotten();
    let (schedules, wrong) = scene.search(2, SCHEDULES_MAX);
    wrong.and_then(|played| {
        let wrong = played.verdict.err()?;
        Some(format!(
            "schedule {schedules} ({}): {wrong}",
            played.run.script
        ))
    })
}

/// A writer that commits behind the last look of a prune, and before its seal.
pub(crate) fn a_commit_before_the_seal() -> Option<String> {
    let scene = Scene::new(&[&[Act::Write("04/25".to_owned())], &[Act::Prune]]).forgotten();
    let legs = [
        Leg::until(0, Put, Snapshot),
        Leg::until(1, Put, Prune).and_once_more(),
        Leg::whole(0),
        Leg::whole(1),
    ];
    scene.play(Chooser::legs(&legs)).verdict.err()
}

/// A prune that nobody disturbs, in worlds of several seeds.
pub(crate) fn one_prune() -> Option<String> {
    (0..SEEDS).find_map(|seed| {
        let digits = [seed % 9, seed / 3 % 9, 8 - seed % 9];
        let write = Act::Write(format!("{}/{}{}", digits[0], digits[1], digits[2]));
        let scene = Scene {
            seed,
            ..Scene::new(&[&[write, Act::Prune]]).forgotten()
        };
        scene.play(Chooser::default_order()).verdict.err()
    })
}

/// Rules that keep something of one series, and nothing of another.
pub(crate) fn rules_for_one_of_two() -> Option<String> {
    let world = SmallWorld::new();
    let repository = open(Arc::clone(&world.storage) as Arc<dyn Backend>).ok()?;
    let list = snapshots::list(&repository).ok()?.snapshots;
    let [first, second] = list.as_slice() else {
        return Some(format!("{} snapshots", list.len()));
    };
    let policy = RetentionPolicy {
        tags: vec![TagSet(first.tags.iter().cloned().collect())],
        ..RetentionPolicy::default()
    };
    let terms = Terms {
        group_by: GroupBy {
            host: false,
            source: false,
            tags: true,
        },
        allow_empty: false,
        clocks: Clocks {
            now: second.ended.max(first.ended),
            created: Timestamp::default(),
        },
        offset_seconds: 0,
    };
    let judged = judge(&[first, second], &policy, &terms, &|_| None);
    let mut verdicts = judged.series.iter().flat_map(|series| &series.verdicts);
    let gone = verdicts.find(|verdict| !verdict.keep)?;
    Some(format!(
        "{}, alone in its series, would be forgotten",
        gone.session
    ))
}

/// A writer that crashes, at each of its calls once.
pub(crate) fn a_crash_at_every_call() -> Option<String> {
    (0..CALLS_MAX).find_map(|call| {
        let crash = Fault {
            participant: 0,
            call,
            kind: FaultKind::Crash,
        };
        let scene = Scene {
            faults: vec![crash],
            ..Scene::new(&[&[Act::Write("67/8".to_owned())]])
        };
        let wrong = scene.play(Chooser::default_order()).verdict.err()?;
        Some(format!("crash at call {call}: {wrong}"))
    })
}

/// A pack that lost its end, then a snapshot of what was in it.
pub(crate) fn a_torn_pack() -> Option<String> {
    let world = SmallWorld::new();
    let storage = &world.storage;
    let packs = storage.list(ObjectKind::Pack).ok()?;
    for info in packs {
        let bytes = storage.get(&info.name).ok()?;
        storage.delete(&info.name).ok()?;
        storage.put(&info.name, &bytes[..HEADER_LEN + 1]).ok()?;
    }
    let repository = open(Arc::clone(storage) as Arc<dyn Backend>).ok()?;
    let made = writer::write(&repository, "012345").map_err(|error| error.to_string());
    let made = match made {
        Ok(made) => made,
        Err(wrong) => return Some(wrong),
    };
    // The older snapshots are lost with the packs; the new one stored everything again.
    for session in &world.begun_with {
        storage.delete(&ObjectName::Snapshot(*session)).ok()?;
    }
    let acknowledged = Acknowledged {
        committed: [made.session].into(),
        ..Acknowledged::default()
    };
    look(storage, &acknowledged).err()
}

/// Each pack of pages cannot be read while a prune runs, and can again.
pub(crate) fn a_page_that_is_away_for_a_while() -> Option<String> {
    let packs = SmallWorld::new().storage.list(ObjectKind::Pack).ok()?;
    let is_meta = |name: &ObjectName| {
        matches!(
            name,
            ObjectName::Pack {
                class: PackClass::Meta,
                ..
            }
        )
    };
    let metas = packs.iter().filter(|info| is_meta(&info.name));
    metas.into_iter().find_map(|info| {
        let world = SmallWorld::new();
        let storage = &world.storage;
        let bytes = storage.get(&info.name).ok()?;
        let mut damaged = bytes.clone();
        damaged[HEADER_LEN] ^= 1;
        storage.delete(&info.name).ok()?;
        storage.put(&info.name, &damaged).ok()?;
        let repository = open(Arc::clone(storage) as Arc<dyn Backend>).ok()?;
        let _ = prune::prune(&repository);
        storage.delete(&info.name).ok()?;
        storage.put(&info.name, &bytes).ok()?;
        verdict(storage, &all_of(&world)).err()
    })
}

/// Two writers store the same at the same time; then a prune.
pub(crate) fn two_copies() -> Option<String> {
    let write = || Act::Write("67/8".to_owned());
    let scene = Scene::new(&[&[write()], &[write()]]);
    let (schedules, wrong) = scene.search(1, SCHEDULES_MAX);
    let wrong = wrong?.verdict.err()?;
    Some(format!("schedule {schedules}: {wrong}"))
}

/// The nonces of every frame of every pack, by key.
pub(crate) fn nonces() -> Option<String> {
    let world = SmallWorld::new();
    let repository = open(Arc::clone(&world.storage) as Arc<dyn Backend>).ok()?;
    if let Err(error) = writer::write(&repository, "6/7/8") {
        return Some(error.to_string());
    }
    let mut used = BTreeMap::<_, BTreeSet<u64>>::new();
    for info in world.storage.list(ObjectKind::Pack).ok()? {
        let opened = object::open(&*world.storage, repository.keys(), &info.name, info.len);
        let table = match opened {
            Ok(opened) => opened.table,
            Err(error) => return Some(error.to_string()),
        };
        for frame in &table.frames {
            let Origin { salt, .. } = table.origins[frame.origin as usize];
            if !used.entry(salt).or_default().insert(frame.counter) {
                return Some(format!("{}: nonce {} twice", info.name, frame.counter));
            }
        }
    }
    None
}

/// What was sealed as one kind of object is opened as every other.
pub(crate) fn another_kind() -> Option<String> {
    let binding = |kind| Binding {
        repository: RepositoryId([1; 16]),
        kind,
        part: Part::Frame,
        salt: [2; 32],
    };
    let key = Secret::from([7; 32]);
    let mut sealed = [0; 40];
    let sealer = Sealer::new(Aead::ChaCha20Poly1305, &key, binding(1));
    let counter = sealer.seal(sealer.take_turn(), &mut sealed);
    let opens = |kind: &u8| {
        let unsealer = Unsealer::new(Aead::ChaCha20Poly1305, &key, binding(*kind));
        unsealer.unseal(counter, &mut sealed.clone()).is_ok()
    };
    let kind = (2..=u8::MAX).find(opens)?;
    Some(format!("sealed as kind 1, opened as kind {kind}"))
}

/// A target in which a folder on the way is a link that leads out.
pub(crate) fn a_link_on_the_way() -> Option<String> {
    let ground = tempfile::tempdir().ok()?;
    let (target, outside) = (ground.path().join("target"), ground.path().join("outside"));
    for folder in [&target, &outside.join("sub")] {
        std::fs::create_dir_all(folder).ok()?;
    }
    let link = target.join("x");
    let target = FolderTarget::open(&target, FolderTargetOptions::default()).ok()?;
    // As an attacker on the same machine does, once the restore has begun.
    std::os::unix::fs::symlink(&outside, link).ok()?;
    let metadata = Metadata {
        mode: 0o600,
        owner: Owner::default().into(),
        mtime: Timestamp::default(),
        xattrs: Vec::new(),
    };
    for folder in [&b"x"[..], b"x\0sub"] {
        let path = TreePath::new(FolderPath(folder.to_vec()), *b"evil");
        let _ = target.write_file(&path, &metadata, b"evil");
    }
    let reached = [outside.join("evil"), outside.join("sub/evil")];
    let reached = reached.iter().find(|path| path.exists())?;
    Some(format!("{} was written", reached.display()))
}

/// Magic numbers of file systems that have reported holes over data, or are not known at all.
pub(crate) fn file_systems_that_lie() -> Option<String> {
    let (zfs, nfs, fuse, unknown) = (0x2fc1_2fc1, 0x6969, 0x6573_5546, 0x1234_5678);
    let mut magics = [zfs, nfs, fuse, unknown].into_iter();
    let believed = magics.find(|magic| believes_holes(*magic))?;
    Some(format!("holes are believed on {believed:#x}"))
}

fn all_of(world: &SmallWorld) -> Acknowledged {
    Acknowledged {
        committed: world.begun_with.iter().copied().collect(),
        ..Acknowledged::default()
    }
}
