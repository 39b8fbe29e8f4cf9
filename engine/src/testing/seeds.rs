//! Valid encodings for every decoder of `testing::decoders`: where fuzzers and mutation begin.

use crate::format::envelope::HEADER_LEN;
use crate::format::envelope::SealedKind;
use crate::format::id::SlotId;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::format::name::PruneStep;
use crate::format::page::PageHead;
use crate::format::page::PageType;
use crate::format::prune::PruneRecord;
use crate::format::prune::PrunedPack;
use crate::format::retention::Protection;
use crate::format::retention::Tombstone;
use crate::format::snapshot::Intent;
use crate::format::table::Codec;
use crate::repository::object;
use crate::testing::keys;
use crate::testing::prepared::prepared;
use crate::testing::prepared::snapshot_of;
use crate::testing::random::Random;
use crate::testing::sample_repository::sample_boot;
use crate::testing::tiny_volumes;
use crate::transform::compress::{Compressor, Decompressor};
use crate::transform::derive::Secret;
use crate::transform::seal;
use crate::transform::seal::Aead;

/// A decoder's name, and what it accepts.
pub type Seed = (&'static str, Vec<u8>);

/// Every seed. The same on every run, but for the random salts of slots and sealed objects.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    records(&mut seeds);
    envelopes(&mut seeds);
    payloads(&mut seeds);
    pages(&mut seeds);
    names(&mut seeds);
    streams(&mut seeds);
    volumes(&mut seeds);
    seeds.extend(images());
    overlays(&mut seeds);
    let mut random = Random::new(3);
    seeds.push(("repository_model", Vec::new()));
    seeds.extend((0..16).map(|_| ("repository_model", random.bytes(24))));
    seeds
}

fn records(seeds: &mut Vec<Seed>) {
    for (name, bytes) in &prepared().objects {
        match name.kind() {
            ObjectKind::Config => seeds.push(("config", bytes.to_vec())),
            ObjectKind::Key => seeds.push(("slot", bytes.to_vec())),
            _ => {}
        }
    }
    let bundle = keys::bundle().encode();
    seeds.push(("bundle", bundle.to_vec()));
    for aead in [Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
        let sealed = seal::seal_bundle(aead, &Secret::from([7; 32]), b"context", &bundle);
        seeds.push(("bundle", sealed));
    }
}

fn envelopes(seeds: &mut Vec<Seed>) {
    let keys = keys::keys();
    for (name, bytes) in &prepared().objects {
        let Ok(object) = object::open_bytes(&keys, name, bytes) else {
            continue; // a record
        };
        seeds.push(("header", bytes[..HEADER_LEN].to_vec()));
        let mut trailer = Vec::new();
        object.trailer.encode_into(&mut trailer);
        seeds.push(("trailer", trailer));
        let mut table = vec![u8::from(object.header.kind.is_pack())];
        table.extend_from_slice(&object.trailer.table_offset.to_le_bytes());
        table.extend_from_slice(&object.table.encode());
        seeds.push(("table", [table.as_slice(), &[0; 20]].concat()));
        seeds.push(("table", table));
    }
}

fn payloads(seeds: &mut Vec<Seed>) {
    let keys = keys::keys();
    let session = keys::SESSION;
    let snapshot = snapshot_of(session, Vec::new());
    let intent = Intent {
        session,
        started: snapshot.begun,
        host: "host".to_owned(),
        user: "user".to_owned(),
        process: 1,
        base: 0,
    };
    payload(seeds, "snapshot", SealedKind::Commit, snapshot.encode());
    payload(seeds, "intent", SealedKind::Intent, intent.encode());
    forgetting(seeds);
    let boot = sample_boot(session).encode();
    payload(seeds, "boot", SealedKind::Boot, boot);
    for (name, bytes) in &prepared().objects {
        let opened = object::open_bytes(&keys, name, bytes);
        let payload = opened.and_then(|object| object::payload(&keys, &object, bytes));
        match (name.kind(), payload) {
            (ObjectKind::Index, Ok(payload)) => seeds.push(("index_run", payload)),
            (ObjectKind::Snapshot, Ok(mut payload)) => {
                rename(&mut payload, name);
                seeds.push(("snapshot", payload));
            }
            _ => {}
        }
    }
}

/// A payload for its decoder, and the object that holds it.
fn payload(seeds: &mut Vec<Seed>, decoder: &'static str, kind: SealedKind, payload: Vec<u8>) {
    let (session, number) = (keys::SESSION, 1);
    let name = match kind {
        SealedKind::Intent => ObjectName::Intent(session),
        SealedKind::Tombstone => ObjectName::Forgotten(session),
        SealedKind::Protection => ObjectName::Protected { session, number },
        SealedKind::Boot => ObjectName::Boot { session, number },
        SealedKind::PrunePlan => ObjectName::Prune(PruneStep::Plan, number),
        SealedKind::PruneSeal => ObjectName::Prune(PruneStep::Seal, number),
        _ => ObjectName::Snapshot(session),
    };
    let sealed = object::encode(&keys::keys(), &keys::config(), kind, &name, &payload);
    seeds.extend(sealed.map(|sealed| ("sealed_object", sealed)));
    seeds.push((decoder, payload));
}

/// What lets snapshots and packs go.
fn forgetting(seeds: &mut Vec<Seed>) {
    let session = keys::SESSION;
    let now = snapshot_of(session, Vec::new()).begun;
    let (host, user) = ("host".to_owned(), "user".to_owned());
    let protection = Protection {
        session,
        until: now,
        decided: now,
        host: host.clone(),
        user: user.clone(),
    };
    let tombstone = Tombstone {
        session,
        forgotten: now,
        host,
        user,
    };
    let packs = prepared().objects.iter();
    let mut packs: Vec<_> = packs.filter_map(|(name, _)| PrunedPack::of(name)).collect();
    packs.sort_unstable();
    let plan = PruneRecord {
        number: 1,
        packs,
        snapshots: vec![session],
    };
    let empty = PruneRecord {
        number: 1,
        ..PruneRecord::default()
    };
    let protection = protection.encode();
    payload(seeds, "protection", SealedKind::Protection, protection);
    payload(
        seeds,
        "tombstone",
        SealedKind::Tombstone,
        tombstone.encode(),
    );
    payload(seeds, "prune_record", SealedKind::PrunePlan, plan.encode());
    payload(seeds, "prune_record", SealedKind::PruneSeal, empty.encode());
}

/// Puts the session of seeds in the place of the one that was drawn.
fn rename(payload: &mut [u8], name: &ObjectName) {
    let ObjectName::Snapshot(session) = name else {
        return;
    };
    let found = payload
        .windows(16)
        .position(|bytes| bytes == session.as_bytes());
    if let Some(at) = found {
        payload[at..at + 16].copy_from_slice(keys::SESSION.as_bytes());
    }
}

fn pages(seeds: &mut Vec<Seed>) {
    for page in &prepared().pages {
        let Ok((head, _)) = PageHead::decode(page) else {
            continue;
        };
        let decoder = match (head.page_type, head.level) {
            (PageType::Tree, 0) => "tree_leaf",
            (PageType::Tree, _) => "tree_inner",
            (PageType::Scan, 0) => "scan_leaf",
            (PageType::Scan, _) => "scan_inner",
            (PageType::Extents, 0) => "extents_leaf",
            (PageType::Extents, _) => "extents_inner",
            (PageType::Cuts, 0) => "cuts_leaf",
            (PageType::Cuts, _) => "cuts_inner",
        };
        seeds.push((decoder, page.clone()));
        seeds.push(("page_head", page[..page.len().min(32)].to_vec()));
    }
}

fn names(seeds: &mut Vec<Seed>) {
    let session = keys::SESSION;
    let forgotten = ObjectName::Forgotten(session);
    let protected = ObjectName::Protected { session, number: 2 };
    let prepared = prepared().objects.iter().map(|(name, _)| *name);
    let slot = ObjectName::Key(SlotId([0xab; 16]));
    let boot = ObjectName::Boot { session, number: 0 };
    for name in prepared.chain([forgotten, protected, boot, slot]) {
        seeds.push(("object_name", name.to_string().into_bytes()));
    }
    for text in [
        "prune/plan-00000001",
        "prune/seal-0000ffff",
        "prune/done-00000000",
    ] {
        seeds.push(("object_name", text.into()));
    }
    for text in [
        "*.o\n!keep.o\n/a/b.o",
        "**/x\n[a-c]?\nx",
        "build/\n\\#x\nbuild",
        "{a,b}\na",
    ] {
        seeds.push(("excludes", text.into()));
    }
}

fn streams(seeds: &mut Vec<Seed>) {
    let noise = Random::new(4).bytes(9000);
    let text = b"all work and no play ".repeat(900);
    for plain in [noise.as_slice(), &text, &[0; 3000], &[]] {
        let (mut buffer, mut compressor) = (Vec::new(), Compressor::new(3));
        let (_, coded) = compressor.compress(plain, &mut buffer);
        let [a, b, c, _] = (plain.len() as u32).to_le_bytes();
        seeds.push(("decompress", [&[a, b, c], coded].concat()));
        seeds.push(("chunker", [&[9, 40], plain].concat()));
    }
}

fn overlays(seeds: &mut Vec<Seed>) {
    let body = "blockstore overlay 1\nrepository 3f\nsnapshot 91\nvolume 6469736b30\nlength 12345\n\
                boot 8d0e-1\n";
    let checksum = blake3::hash(body.as_bytes()).to_hex();
    seeds.push((
        "overlay_state",
        format!("{body}checksum {checksum}\n").into(),
    ));
}

fn volumes(seeds: &mut Vec<Seed>) {
    for volume in tiny_volumes::all() {
        seeds.push(("disk_layout", volume.clone()));
        seeds.push(("disk_hints", volume));
    }
    let group = tiny_volumes::lvm_text();
    for id in tiny_volumes::LVM_MEMBERS {
        seeds.push(("lvm", tiny_volumes::lvm(id, &group)));
    }
    seeds.push(("lvm", group.into()));
    seeds.push(("nbd_reply", nbd_reply()));
    seeds.push(("nbd_request", nbd_request()));
    for url in ["nbd://[::1]:7/disk%20a", "nbd+unix:///disk?socket=/run/s"] {
        seeds.push(("nbd_reply", url.into()));
    }
    let bitmap = r#"[{"offset": 0, "length": 512, "type": 1, "description": "dirty"},
        {"offset": 512, "length": 9, "type": 0, "description": "clean"}]"#;
    let map = r#"[{"start": 0, "length": 512, "depth": 0, "present": true, "zero": false,
        "data": true, "compressed": false, "offset": 327680}]"#;
    let depth = r#"[{"offset": 7, "length": 5, "type": 2, "description": "backing depth 2"}]"#;
    let allocation = r#"[{"offset": 0, "length": 5, "type": 3, "description": "hole,zero"}]"#;
    for list in [bitmap, map, depth, allocation, "[]"] {
        seeds.push(("changed_ranges", list.into()));
    }
}

/// Small file systems that their own tools made, as sparse images.
/// `serve::image::tests::samples` makes them anew.
pub fn images() -> Vec<Seed> {
    const IMAGES: [(&str, &[u8]); 8] = [
        ("image_ext", include_bytes!("images/ext2")),
        ("image_ext", include_bytes!("images/ext4")),
        ("image_fat", include_bytes!("images/fat12")),
        ("image_fat", include_bytes!("images/fat32")),
        ("image_ntfs", include_bytes!("images/ntfs")),
        ("image_btrfs", include_bytes!("images/btrfs")),
        ("image_xfs", include_bytes!("images/xfs")),
        ("image_xfs", include_bytes!("images/xfs_log")),
    ];
    let mut unpacked = Vec::new();
    for (decoder, packed) in IMAGES {
        let mut plain = Vec::new();
        let (len, coded) = packed.split_first_chunk().expect("a length goes before");
        let len = u32::from_le_bytes(*len) as usize;
        let decoded = Decompressor::new().decompress(coded, Codec::Zstd, len, &mut plain);
        decoded.expect("it was packed by the same library");
        unpacked.push((decoder, plain));
    }
    unpacked
}

/// What a server says that has `disk`, 1 MiB long, with a dirty bitmap `b`: the handshake, a read
/// of 2 KiB in pieces, and both statuses.
pub fn nbd_reply() -> Vec<u8> {
    let mut said = b"NBDMAGICIHAVEOPT\0\x03".to_vec();
    let mut reply = |option: u8, kind: u8, payload: &[u8]| {
        said.extend([0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, option]);
        said.extend([0, 0, 0, kind, 0, 0, 0, payload.len() as u8]);
        said.extend(payload);
    };
    reply(8, 1, &[]);
    reply(10, 4, b"\0\0\0\x05base:allocation");
    reply(10, 4, b"\0\0\0\x06qemu:dirty-bitmap:b");
    reply(10, 1, &[]);
    reply(7, 3, &[0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 3]);
    reply(7, 3, &[0, 3, 0, 0, 2, 0, 0, 0, 0x10, 0, 2, 0, 0, 0]);
    reply(7, 1, &[]);
    let mut chunk = |is_last: u8, kind: u8, cookie: u8, payload: &[u8]| {
        said.extend([0x66, 0x8e, 0x33, 0xef, 0, is_last, 0, kind]);
        said.extend([0, 0, 0, 0, 0, 0, 0, cookie]);
        said.extend([0, 0, (payload.len() >> 8) as u8, payload.len() as u8]);
        said.extend(payload);
    };
    let at = |offset: u16| [0, 0, 0, 0, 0, 0, (offset >> 8) as u8, offset as u8];
    chunk(0, 1, 1, &[at(1024).as_slice(), &[7; 1024]].concat());
    chunk(0, 2, 1, &[at(512).as_slice(), &[0, 0, 2, 0]].concat());
    chunk(1, 1, 1, &[at(0).as_slice(), &[7; 512]].concat());
    let extents = [0, 0, 4, 0, 0, 0, 0, 3, 0, 0, 9, 0, 0, 0, 0, 0];
    chunk(0, 5, 2, &[&[0, 0, 0, 5], extents.as_slice()].concat());
    chunk(1, 5, 2, &[0, 0, 0, 6, 0, 0, 4, 0, 0, 0, 0, 0]);
    chunk(0, 5, 3, &[0, 0, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0]);
    chunk(1, 5, 3, &[0, 0, 0, 6, 0, 0, 4, 0, 0, 0, 0, 1]);
    said
}

/// What a client says to a server of `disk`, 64 KiB long, with a dirty bitmap `b`: every option,
/// and every request.
pub fn nbd_request() -> Vec<u8> {
    let mut said = vec![0, 0, 0, 3];
    let mut option = |option: u8, payload: &[u8]| {
        said.extend(b"IHAVEOPT\0\0\0");
        said.push(option);
        said.extend([0, 0, 0, payload.len() as u8]);
        said.extend(payload);
    };
    option(3, &[]);
    option(8, &[]);
    option(9, b"\0\0\0\x04disk\0\0\0\x01\0\0\0\x05base:");
    option(
        10,
        b"\0\0\0\0\0\0\0\x02\0\0\0\x0fbase:allocation\0\0\0\x13qemu:dirty-bitmap:b",
    );
    option(6, b"\0\0\0\x04disk\0\x02\0\x01\0\x02");
    option(7, b"\0\0\0\0\0\x01\0\x03");
    let mut request = |command: u8, flags: u8, offset: u16, len: u32| {
        said.extend([0x25, 0x60, 0x95, 0x13, 0, flags, 0, command]);
        said.extend([command; 8]);
        said.extend([0, 0, 0, 0, 0, 0, (offset >> 8) as u8, offset as u8]);
        said.extend([24, 16, 8, 0].map(|shift| (len >> shift) as u8));
    };
    request(0, 0, 0, 65_536);
    request(0, 4, 4000, 1000);
    request(7, 0, 0, 65_536);
    request(7, 8, 20_000, 5);
    request(3, 0, 0, 0);
    request(4, 0, 0, 4096);
    request(6, 2, 0, 4096);
    request(0, 0, 60_000, 60_000);
    request(1, 1, 512, 3);
    said.extend(b"abc");
    said.extend([0x25, 0x60, 0x95, 0x13, 0, 0, 0, 2]);
    said.extend([0; 20]);
    said
}
