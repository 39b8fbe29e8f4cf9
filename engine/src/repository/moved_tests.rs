//! Moved frames read back, whoever moved them and however often; what is damaged is not moved.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use blockstore_format_spec::reference;

use crate::error::ErrorKind;
use crate::format::id::ChunkId;
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::snapshot::Snapshot;
use crate::format::table::{Origin, Table, TableName};
use crate::operations::check::{CheckOptions, check};
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::moved::SourcePack;
use crate::repository::object;
use crate::repository::pack::sealed_kind;
use crate::storage::Backend;
use crate::storage::local::LocalBackend;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository::{self, SampleTree, change_object, flip_bit, small_frames};
use crate::testing::toy_prune::move_all;

/// Two snapshots of which the second was made after all frames of the first had moved.
fn sample(backend: Arc<dyn Backend>) -> Vec<Snapshot> {
    sample_repository::create(backend.clone());
    let mut tree = SampleTree::random(31, 60);
    tree.file("long", Random::new(32).bytes(300_000));
    let mut snapshots = Vec::new();
    for round in 0..2_u8 {
        let repository = sample_repository::open(backend.clone());
        tree.file(&format!("own{round}"), vec![round; 3000]);
        snapshots.push(sample_repository::commit(
            &repository,
            small_frames(),
            &[("/r", &tree)],
        ));
        if round == 0 {
            move_all(&repository).unwrap();
        }
    }
    snapshots
}

fn packs(backend: &dyn Backend) -> Vec<ObjectName> {
    let listed = backend.list(ObjectKind::Pack).unwrap();
    listed.into_iter().map(|info| info.name).collect()
}

/// Every chunk and page, as it reads.
fn contents(repository: &Repository) -> BTreeMap<ChunkId, Vec<u8>> {
    let reader = ChunkReader::new(repository, 0).unwrap();
    let read = |(id, copy): (ChunkId, crate::repository::index::Location)| {
        let bytes = match copy.pack.class {
            PackClass::Data => reader.chunk(&id),
            PackClass::Meta => reader.page(&id),
        };
        (id, bytes.unwrap())
    };
    repository.index().unwrap().locations().map(read).collect()
}

#[test]
fn i5_who_has_no_key_of_contents_moves_every_frame_and_all_of_it_restores() {
    let backend = Arc::new(MemoryBackend::new());
    sample(backend.clone());
    let expected = contents(&sample_repository::open(backend.clone()));
    let mut before: HashSet<_> = packs(&*backend).into_iter().collect();
    for _ in 0..3 {
        let blind = sample_repository::open(backend.clone()).without_data_keys();
        let data = *packs(&*backend).first().unwrap();
        let bytes = backend.get(&data).unwrap();
        let table = object::open_table(blind.keys(), &data, &bytes)
            .unwrap()
            .table;
        assert!(
            table.moved_all() || object::open_bytes(blind.keys(), &data, &bytes).is_err(),
            "no frame of a data pack opens under these keys"
        );
        move_all(&blind).unwrap();
        let after: HashSet<_> = packs(&*backend).into_iter().collect();
        assert!(before.is_disjoint(&after), "every pack was replaced");
        before = after;
        let repository = sample_repository::open(backend.clone());
        assert_eq!(contents(&repository), expected);
        let options = CheckOptions {
            read_data: true,
            ..CheckOptions::default()
        };
        let report = check(&repository, &options, &()).unwrap();
        assert!(
            report.is_sound() && report.findings.is_empty(),
            "{report:?}"
        );
    }
}

#[test]
fn moved_packs_end_at_their_target_and_name_each_origin_once() {
    let backend = Arc::new(MemoryBackend::new());
    sample(backend.clone());
    let repository = sample_repository::open(backend.clone());
    let expected = origins_of_frames(&repository);
    assert!(expected.len() > 3);
    move_all(&repository).unwrap();
    assert!(origins_of_frames(&repository) == expected);
    for info in backend.list(ObjectKind::Pack).unwrap() {
        let pack = SourcePack::read(&repository, &info.name).unwrap();
        let table = pack.table();
        assert_eq!(table.origins[0].commitment, Origin::NO_COMMITMENT);
        assert!(table.moved_all());
        let frames: u64 = table.frames[..table.frames.len() - 1]
            .iter()
            .map(|frame| u64::from(frame.stored_len))
            .sum();
        assert!(frames < small_frames().pack_len_target as u64);
    }
}

fn origins_of_frames(repository: &Repository) -> HashSet<Origin> {
    let mut origins = HashSet::new();
    for name in packs(repository.backend()) {
        let pack = SourcePack::read(repository, &name).unwrap();
        let frames = pack.table().frames.iter();
        origins.extend(frames.map(|frame| pack.table().origins[frame.origin as usize]));
    }
    origins
}

#[test]
fn a_damaged_source_is_not_moved() {
    let backend = Arc::new(MemoryBackend::new());
    sample(backend.clone());
    let repository = sample_repository::open(backend.clone());
    let name = packs(&*backend)[0];
    let good = backend.get(&name).unwrap();
    let mut random = Random::new(5);
    for _ in 0..300 {
        let at = random.below(good.len()) as u64;
        flip_bit(&*backend, &name, at);
        let error = SourcePack::read(&repository, &name).err();
        let kind = error.map(|error| error.kind());
        assert!(
            matches!(kind, Some(ErrorKind::Damaged | ErrorKind::Unsupported)),
            "byte {at}: {kind:?}"
        );
        flip_bit(&*backend, &name, at);
    }
    change_object(&*backend, &name, |bytes| bytes.truncate(good.len() - 1));
    let error = SourcePack::read(&repository, &name).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    backend.delete(&name).unwrap();
    let error = SourcePack::read(&repository, &name).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_moved_frame_that_is_damaged_never_reads_as_something_else() {
    let backend = Arc::new(MemoryBackend::new());
    sample(backend.clone());
    move_all(&sample_repository::open(backend.clone())).unwrap();
    let repository = sample_repository::open(backend.clone());
    let expected = contents(&repository);
    let mut random = Random::new(6);
    for (id, copy) in repository.index().unwrap().locations().step_by(7) {
        let within = random.below(copy.frame.stored_len as usize) as u64;
        let pack = copy.pack.name();
        flip_bit(&*backend, &pack, copy.frame.offset + within);
        let reader = ChunkReader::new(&repository, 0).unwrap();
        let read = match copy.pack.class {
            PackClass::Data => reader.chunk(&id),
            PackClass::Meta => reader.page(&id),
        };
        assert_eq!(
            read.err().map(|error| error.kind()),
            Some(ErrorKind::Damaged)
        );
        flip_bit(&*backend, &pack, copy.frame.offset + within);
    }
    assert_eq!(contents(&repository), expected);
}

#[test]
fn a_pack_without_a_commitment_holds_moved_frames_alone_and_at_least_one() {
    let backend = Arc::new(MemoryBackend::new());
    sample(backend.clone());
    move_all(&sample_repository::open(backend.clone())).unwrap();
    let repository = sample_repository::open(backend.clone());
    let (keys, config) = (repository.keys(), repository.config());
    let name = packs(&*backend)[0];
    let moved = SourcePack::read(&repository, &name).unwrap();
    let ObjectName::Pack { class, .. } = name else {
        panic!("{name}");
    };
    let with = |change: &dyn Fn(&mut Table)| {
        let object = keys.new_table(sealed_kind(class), config).unwrap();
        let mut table = moved.table().clone();
        table.origins[0] = object.origin;
        change(&mut table);
        let end = table.frames.last();
        let end = end.map_or(0, |last| last.offset as usize + last.stored_len as usize);
        let mut bytes = backend.get(&name).unwrap();
        bytes.truncate(end.max(object.header.len()));
        bytes[..object.header.len()].copy_from_slice(&object.header);
        object::append_table_and_trailer(&object.table, &table, &mut bytes);
        object::open_bytes(keys, &name, &bytes).map(drop)
    };
    assert!(with(&|_| ()).is_ok());
    let own_frame = with(&|table| {
        table.frames[0].origin = 0;
        table.frames[0].counter = 0;
    });
    let no_frame = with(&|table| {
        *table = Table {
            name: TableName::of(&name),
            origins: vec![table.origins[0]],
            frames: Vec::new(),
            chunks: Vec::new(),
        };
    });
    for refused in [own_frame, no_frame] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[test]
fn i12_the_independent_decoder_restores_what_was_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository");
    let backend: Arc<dyn Backend> = Arc::new(LocalBackend::create(&path).unwrap());
    let snapshots = sample(backend.clone());
    let decoded = |target: &Path| {
        let secret = reference::record::Secret::Password(b"sample");
        let mut repository = reference::repository::Repository::open(&path, secret).unwrap();
        assert!(
            repository.damaged().is_empty(),
            "{:?}",
            repository.damaged()
        );
        let session = snapshots[1].session.to_string();
        let commit = repository.snapshot(&session).unwrap();
        let root = &commit.roots[0];
        let refused = reference::restore::restore(&mut repository, root, target).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        files(target)
    };
    let before = decoded(&folder.path().join("before"));
    assert!(before.len() > 60);
    move_all(&sample_repository::open(backend)).unwrap();
    assert!(decoded(&folder.path().join("after")) == before);
}

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            let below = files(&entry.path()).into_iter();
            found.extend(below.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}
