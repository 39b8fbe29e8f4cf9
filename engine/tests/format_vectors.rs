//! The engine and the reference decoder agree on every vector of format-spec/vectors: on what is valid, and
//! on the class of what is not.

use std::error::Error as _;

use blockstore::error::Error;
use blockstore::format::DecodeError;
use blockstore::format::boot::Boot;
use blockstore::format::config::Config;
use blockstore::format::cuts;
use blockstore::format::envelope::Header;
use blockstore::format::extents;
use blockstore::format::id::RepositoryId;
use blockstore::format::index_run::IndexRun;
use blockstore::format::name::ObjectName;
use blockstore::format::prune::PruneRecord;
use blockstore::format::record::Record;
use blockstore::format::record::RecordKind;
use blockstore::format::retention::Protection;
use blockstore::format::retention::Tombstone;
use blockstore::format::scan;
use blockstore::format::slot::Bundle;
use blockstore::format::snapshot::Intent;
use blockstore::format::snapshot::Snapshot;
use blockstore::format::table::Table;
use blockstore::format::table::TableName;
use blockstore::format::tree;
use blockstore::repository::keys::KeyError;
use blockstore::repository::keys::Keys;
use blockstore::repository::keys::UnlockSecret;
use blockstore::storage::Backend;
use blockstore::storage::memory::MemoryBackend;
use blockstore::testing::whole_object;
use blockstore::transform::derive::Secret;
use blockstore::transform::seal::UnsealError;
use blockstore_format_spec::reference::fault::Fault;
use blockstore_format_spec::vectors;
use blockstore_format_spec::vectors::Context;
use blockstore_format_spec::vectors::Vector;

const REPOSITORY: RepositoryId = RepositoryId(vectors::REPOSITORY_ID);

/// What the engine says of bytes, in the classes of FORMAT.md section 1.
type Verdict = Result<(), Fault>;

#[test]
fn the_engine_says_of_every_vector_what_it_expects() {
    let all = vectors::all().expect("the vectors can be read");
    assert!(all.len() > 300, "only {} vectors", all.len());
    let mut wrong = Vec::new();
    for vector in &all {
        let said = decode(vector);
        if said.err() != vector.expect {
            wrong.push(format!(
                "{}: expected {:?}, said {said:?}",
                vector.claim, vector.expect
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_bytes_near_a_vector_are_valid_to_one_decoder_alone() {
    let all = vectors::all().expect("the vectors can be read");
    let mut wrong = Vec::new();
    for vector in all.iter().filter(|vector| is_mutated(vector)) {
        let step = vector.bytes.len() / 400 + 1;
        for at in (0..vector.bytes.len()).step_by(step) {
            for change in [1, 0x80, 0xff] {
                let mut changed = vector.clone();
                changed.bytes[at] ^= change;
                let (engine, reference) = (decode(&changed), changed.decode());
                if engine.is_ok() != reference.is_ok() {
                    let claim = &vector.claim;
                    wrong.push(format!("{claim} at {at}: {engine:?} but {reference:?}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Payloads and pages: no checksum hides the structure from a change.
fn is_mutated(vector: &Vector) -> bool {
    let plain = [
        "table",
        "run",
        "snapshot",
        "intent",
        "tombstone",
        "protection",
        "boot",
        "plan",
        "seal",
        "tree",
        "scan",
        "extents",
        "cuts",
    ];
    plain.contains(&vector.kind.as_str()) && vector.expect.is_none() && vector.bytes.len() < 4000
}

fn decode(vector: &Vector) -> Verdict {
    let bytes = &vector.bytes[..];
    match vector.kind.as_str() {
        "config" => decode_config(vector),
        "slot" => decode_slot(vector),
        "header" => decode_header(vector),
        "object" => {
            let read = whole_object::read_whole_object(&keys(vector), &name(vector), bytes);
            read.map_err(|error| class_of(&error))
        }
        "blocks" => whole_object::verify_without_keys(bytes).map_err(class),
        "table" => decode_table(vector),
        "run" => class_only(IndexRun::decode(bytes, TableName::of(&name(vector)))),
        "snapshot" => class_only(Snapshot::decode(
            bytes,
            TableName::of(&name(vector)).session,
        )),
        "intent" => class_only(Intent::decode(bytes, TableName::of(&name(vector)).session)),
        "tombstone" => class_only(Tombstone::decode(
            bytes,
            TableName::of(&name(vector)).session,
        )),
        "protection" => class_only(Protection::decode(
            bytes,
            TableName::of(&name(vector)).session,
        )),
        "boot" => class_only(Boot::decode(bytes, TableName::of(&name(vector)).session)),
        "plan" | "seal" => class_only(PruneRecord::decode(
            bytes,
            TableName::of(&name(vector)).number,
        )),
        "tree" if is_leaf(bytes) => class_only(tree::decode_leaf(bytes)),
        "tree" => class_only(tree::decode_inner(bytes)),
        "scan" if is_leaf(bytes) => class_only(scan::decode_leaf(bytes)),
        "scan" => class_only(scan::decode_inner(bytes)),
        "extents" if is_leaf(bytes) => class_only(extents::decode_leaf(bytes)),
        "extents" => class_only(extents::decode_inner(bytes)),
        "cuts" if is_leaf(bytes) => class_only(cuts::decode_leaf(bytes)),
        "cuts" => class_only(cuts::decode_inner(bytes)),
        other => panic!("{}: unknown kind {other}", vector.claim),
    }
}

/// A walk knows from the parent which of the two it expects; here the page says it.
fn is_leaf(page: &[u8]) -> bool {
    page.get(1).is_none_or(|level| *level == 0)
}

fn decode_config(vector: &Vector) -> Verdict {
    let record = Record::decode(&vector.bytes, RecordKind::Config).map_err(class)?;
    let config = Config::decode(record.body).map_err(class)?;
    let (keys, name) = (keys(vector), name(vector));
    keys.verify_config(&name, &record, &config)
        .map_err(|error| class_of(&error))
}

fn decode_slot(vector: &Vector) -> Verdict {
    let secret = match vector.context {
        Context::KeyFile => UnlockSecret::key_file(vectors::KEY_FILE),
        Context::OtherPassword => UnlockSecret::password(*b"wrong horse"),
        _ => UnlockSecret::password(vectors::PASSWORD),
    };
    let (backend, name) = (MemoryBackend::new(), name(vector));
    backend
        .put(&name, &vector.bytes)
        .expect("memory takes an object");
    match whole_object::opens_slot(&backend, &name, REPOSITORY, &secret) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::WrongKey),
        Err(error) => Err(class_of(&error)),
    }
}

fn decode_header(vector: &Vector) -> Verdict {
    let header = Header::decode(&vector.bytes).map_err(class)?;
    whole_object::verify_header(&keys(vector), &name(vector), &header)
        .map_err(|error| class_of(&error))
}

fn decode_table(vector: &Vector) -> Verdict {
    let Context::TableOffset(offset) = vector.context else {
        panic!("{}: no offset of the table", vector.claim);
    };
    let name = name(vector);
    let is_pack = matches!(name, ObjectName::Pack { .. });
    class_only(Table::decode(
        &vector.bytes,
        TableName::of(&name),
        offset,
        is_pack,
    ))
}

fn name(vector: &Vector) -> ObjectName {
    let name = vector.name.as_ref().expect("the vector has a name");
    let text = name.to_string();
    text.parse().expect("both know the names of version 1")
}

fn keys(vector: &Vector) -> Keys {
    let keyring = vector.keys();
    let epochs = keyring.epochs.iter();
    let bundle = Bundle {
        stable: Secret::from(keyring.stable),
        epochs: epochs
            .map(|(epoch, secret)| (*epoch, Secret::from(*secret)))
            .collect(),
    };
    Keys::for_testing(&bundle, REPOSITORY)
}

fn class_only<T>(decoded: Result<T, DecodeError>) -> Verdict {
    decoded.map(drop).map_err(class)
}

fn class(error: DecodeError) -> Fault {
    match error {
        DecodeError::Truncated => Fault::Truncated,
        DecodeError::BadChecksum => Fault::BadChecksum,
        DecodeError::UnknownVersion(_) => Fault::UnknownVersion,
        DecodeError::UnknownRequiredFlag(_) => Fault::UnknownRequiredFlag,
        DecodeError::LimitExceeded(_) => Fault::LimitExceeded,
        DecodeError::Malformed(_) => Fault::Malformed,
    }
}

/// The class of what is at the bottom of an error.
fn class_of(error: &Error) -> Fault {
    let cause = error.source().expect("damage has a cause");
    if let Some(decode) = cause.downcast_ref::<DecodeError>() {
        return class(*decode);
    }
    if cause.is::<UnsealError>() {
        return Fault::BadChecksum;
    }
    match cause.downcast_ref::<KeyError>() {
        Some(KeyError::AnotherRepository(_)) => Fault::Malformed,
        Some(_) => Fault::WrongKey,
        None => panic!("{error}: an unknown cause"),
    }
}
