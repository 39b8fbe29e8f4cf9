//! Whatever a server answers to requests, it is a clear error, and takes no memory.

use super::fake::{Client, Export, Fake, Request, line};
use crate::format::nbd::{self as wire, Message};
use crate::pipeline::ReadAt;
use crate::sources::volume::{Allocation, VolumeSource};

#[track_caller]
fn assert_read_fails(
    expected: &str,
    answer: impl Fn(&mut Client, Request) -> Option<()> + Send + Sync + Clone + 'static,
) {
    let fake = Fake::answering(Export::default(), answer);
    let volume = fake.open(None).expect("an export");
    let error = volume.read_at(4096, &mut [0; 4096]).expect_err(expected);
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn replies_to_reads_that_make_no_sense_are_refused() {
    let (data, hole) = (wire::CHUNK_OFFSET_DATA, wire::CHUNK_OFFSET_HOLE);
    let empty = Message::default;
    assert_read_fails("a reply begins with 0xffffffff", |c, _| {
        c.send(Message::default().u64(u64::MAX).u64(0))
    });
    assert_read_fails("nobody made", |c, r| {
        c.data(r.cookie + 1, true, r.offset, r.len)
    });
    assert_read_fails("with a simple reply", |c, r| {
        c.send(
            Message::default()
                .u32(wire::SIMPLE_MAGIC)
                .u32(0)
                .u64(r.cookie),
        )
    });
    assert_read_fails("another range", |c, r| {
        c.data(r.cookie, true, r.offset - 1, r.len)
    });
    assert_read_fails("another range", |c, r| {
        c.data(r.cookie, true, r.offset, r.len + 1)
    });
    assert_read_fails("another range", |c, r| {
        c.data(r.cookie, true, u64::MAX - 5000, 1)
    });
    assert_read_fails("leaves out", |c, r| {
        c.data(r.cookie, true, r.offset, r.len - 1)
    });
    assert_read_fails("leaves out", move |c, r| {
        c.chunk(r.cookie, wire::CHUNK_NONE, true, empty())
    });
    assert_read_fails("makes no sense", move |c, r| {
        c.chunk(r.cookie, wire::CHUNK_NONE, false, empty())
    });
    assert_read_fails("is empty", |c, r| c.data(r.cookie, false, r.offset, 0));
    assert_read_fails("the same bytes twice", |c, r| {
        c.data(r.cookie, false, r.offset, 2000)?;
        c.data(r.cookie, false, r.offset + 1999, 2)
    });
    assert_read_fails("too many pieces", |c, r| {
        (0..2048).try_for_each(|n| c.data(r.cookie, false, r.offset + 2 * n, 1))
    });
    assert_read_fails("makes no sense", move |c, r| {
        c.chunk(r.cookie, data, true, empty().u32(0))
    });
    let long = empty().u64(0).u64(0);
    let long = std::sync::Arc::new(long.0);
    assert_read_fails("makes no sense", move |c, r| {
        c.chunk(r.cookie, hole, true, Message::default().bytes(&long))
    });
    assert_read_fails("another range", move |c, r| {
        c.chunk(r.cookie, hole, true, empty().u64(r.offset).u32(u32::MAX))
    });
    assert_read_fails("makes no sense", move |c, r| {
        c.chunk(r.cookie, 77, true, empty())
    });
    let error = wire::CHUNK_ERROR | 1;
    assert_read_fails("the number 0", move |c, r| {
        c.chunk(r.cookie, error, true, empty().u32(0).u16(0))
    });
    assert_read_fails("the bytes end early", move |c, r| {
        c.chunk(r.cookie, error, true, empty().u32(5).u16(9))
    });
    assert_read_fails("makes no sense", move |c, r| {
        c.chunk(r.cookie, error, true, Message(vec![0; 9000]))
    });
    assert_read_fails("answers with error 22: sorry", move |c, r| {
        c.chunk(
            r.cookie,
            error,
            true,
            empty().u32(22).u16(5).bytes(b"sorry"),
        )
    });
}

#[test]
fn pieces_may_come_in_any_order_and_holes_are_zeros() {
    let fake = Fake::answering(Export::default(), |c, r| {
        c.data(r.cookie, false, r.offset + 3000, r.len - 3000)?;
        let hole = Message::default().u64(r.offset + 1000).u32(2000);
        c.chunk(r.cookie, wire::CHUNK_OFFSET_HOLE, false, hole)?;
        c.data(r.cookie, false, r.offset, 1000)?;
        c.chunk(r.cookie, wire::CHUNK_NONE, true, Message::default())
    });
    let volume = fake.open(None).expect("an export");
    let mut buffer = [1; 4096];
    volume.read_at(512, &mut buffer).expect("a read");
    for (at, &byte) in buffer.iter().enumerate() {
        let expected = if (1000..3000).contains(&at) {
            0
        } else {
            (at + 512) as u8
        };
        assert_eq!(byte, expected, "{at}");
    }
}

#[track_caller]
fn assert_status_fails(
    expected: &str,
    answer: impl Fn(&mut Client, Request) -> Option<()> + Send + Sync + Clone + 'static,
) {
    let fake = Fake::answering(Export::default(), answer);
    let volume = fake.open(None).expect("an export");
    let error = volume.allocation(0..1 << 20).expect_err(expected);
    assert!(line(&error).contains(expected), "{}", line(&error));
}

#[test]
fn statuses_that_make_no_sense_are_refused() {
    assert_status_fails("an extent is empty", |c, r| {
        c.status(r.cookie, 5, &[(0, 3)])
    });
    assert_status_fails("an extent is empty", |c, r| {
        c.status(r.cookie, 5, &[(9, 0), (0, 3)])
    });
    assert_status_fails("behind what was asked", |c, r| {
        c.status(r.cookie, 5, &[(u32::MAX, 0), (1, 3)])
    });
    assert_status_fails("does not answer in the context", |c, r| {
        c.status(r.cookie, 6, &[(4096, 0)])
    });
    assert_status_fails("list of extents has 0 bytes", |c, r| {
        c.status(r.cookie, 5, &[])
    });
    assert_status_fails("does not answer", |c, r| {
        c.chunk(r.cookie, wire::CHUNK_NONE, true, Message::default())
    });
    assert_status_fails("nobody made", |c, r| {
        c.status(r.cookie + 1, 5, &[(4096, 0)])
    });
    assert_status_fails("makes no sense", |c, r| {
        let head = Message::default().u32(wire::CHUNK_MAGIC).u16(1);
        c.send(
            head.u16(wire::CHUNK_BLOCK_STATUS)
                .u64(r.cookie)
                .u32(u32::MAX),
        )
    });
}

#[test]
fn what_a_server_refuses_to_tell_is_read_and_counts_as_dirty() {
    let export = Export {
        contexts: vec![(5, "base:allocation"), (6, "qemu:dirty-bitmap:b")],
        ..Export::default()
    };
    let fake = Fake::answering(export, |c, r| {
        let sorry = Message::default().u32(22).u16(5).bytes(b"sorry");
        c.chunk(r.cookie, wire::CHUNK_ERROR | 1, true, sorry)
    });
    let volume = fake.open(Some("b")).expect("an export");
    assert!(volume.warnings().is_empty());
    let pieces = volume.allocation(7..9999).expect("an answer");
    assert_eq!((pieces.len(), pieces[0].kind), (1, Allocation::Data));
    let all = std::iter::once(0..1 << 20);
    assert_eq!(
        volume.dirty_ranges().expect("an answer"),
        all.collect::<Vec<_>>()
    );
    let warnings = volume.warnings();
    assert!(warnings[0].ends_with("error 22: sorry"), "{warnings:?}");
}

#[test]
fn short_and_overlong_statuses_are_taken_as_far_as_they_go() {
    let fake = Fake::answering(Export::default(), |c, r| match r.offset {
        0 => c.status(r.cookie, 5, &[(4096, 3)]),
        4096 => c.status(r.cookie, 5, &[(4096, 2), (4096, 1)]),
        _ => c.status(r.cookie, 5, &[(u32::MAX, 3)]),
    });
    let volume = fake.open(None).expect("an export");
    let pieces = volume.allocation(0..1 << 20).expect("an answer");
    let found: Vec<_> = pieces.iter().map(|p| (p.range.clone(), p.kind)).collect();
    let expected = [
        (0..4096, Allocation::Hole),
        (4096..8192, Allocation::Zero),
        (8192..12288, Allocation::Data), // a hole that does not read as zeros
        (12288..1 << 20, Allocation::Hole),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_server_that_answers_in_crumbs_is_believed_no_further() {
    let export = Export {
        len: 1 << 40,
        contexts: vec![(5, "base:allocation"), (6, "qemu:dirty-bitmap:b")],
        ..Export::default()
    };
    let fake = Fake::answering(export, |c, r| {
        let mut both = Message::default();
        for (number, flags, is_last) in [(5, 3, 0), (6, 0, 1)] {
            let head = both
                .u32(wire::CHUNK_MAGIC)
                .u16(is_last)
                .u16(wire::CHUNK_BLOCK_STATUS);
            both = head.u64(r.cookie).u32(12).u32(number).u32(1).u32(flags);
        }
        c.send(both)
    });
    let volume = fake.open(Some("b")).expect("an export");
    let pieces = volume.allocation(0..1 << 40).expect("an answer");
    let last = pieces.last().expect("a piece");
    assert_eq!((last.kind, last.range.end), (Allocation::Data, 1 << 40));
    let dirty = volume.dirty_ranges().expect("an answer");
    assert_eq!(
        dirty.last().expect("a range").end,
        1 << 40,
        "unknown is dirty"
    );
}
