//! Whatever a server does, it is a clear error, soon, and without taking memory.

use std::io::Write;
use std::time::Duration;

use super::super::wire::{self, Message};
use super::fake::{Client, Export, Fake, Request};
use crate::error::{Error, ErrorKind};
use crate::pipeline::ReadAt;
use crate::sources::volume::{AllocationKind, VolumeSource};

/// The whole of an error on one line.
fn line(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[track_caller]
fn assert_refused(fake: &Fake, expected: &str) -> Error {
    let error = fake.open(Some("b")).expect_err(expected);
    let line = line(&error);
    assert!(line.contains(expected), "{line}");
    assert!(
        line.starts_with("nbd+unix:///disk?socket=") && !line.contains('\n'),
        "{line}"
    );
    error
}

#[test]
fn greetings_of_other_protocols_are_refused() {
    let greeting = |first: u64, second: u64, flags: u16| {
        Fake::start(move |client, _| {
            client.send(Message::default().u64(first).u64(second).u16(flags))?;
            client.option().map(|_| ())
        })
    };
    let (init, option) = (wire::INIT_MAGIC, wire::OPTION_MAGIC);
    assert_refused(
        &greeting(0x4854_5450_2f31_2e31, 0, 0),
        "does not begin with NBDMAGIC",
    );
    assert_refused(&greeting(init, 0x0042_0281_8612_53, 0), "oldstyle");
    let error = assert_refused(&greeting(init, option, 0), "fixed newstyle");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// A server that answers the option `on` with `answer`, after it has agreed to all before.
fn at_option(
    on: u32,
    answer: impl Fn(&mut Client) -> Option<()> + Send + Sync + Clone + 'static,
) -> Fake {
    Fake::start(move |client, _| {
        client.greet()?;
        loop {
            let option = client.option()?;
            if option == on {
                answer(client)?;
                return client.option().map(|_| ());
            }
            if option == wire::OPTION_SET_META_CONTEXT {
                let context = Message::default().u32(9).bytes(b"qemu:dirty-bitmap:b");
                client.reply(option, wire::REPLY_META_CONTEXT, context)?;
            }
            client.reply(option, wire::REPLY_ACK, Message::default())?;
        }
    })
}

#[test]
fn replies_to_options_that_make_no_sense_are_refused() {
    let go = wire::OPTION_GO;
    let reply = |kind, payload: &'static [u8]| {
        at_option(go, move |client| {
            client.reply(go, kind, Message::default().bytes(payload))
        })
    };
    let raw = |magic: u64, option: u32, len: u32| {
        at_option(go, move |client| {
            let head = Message::default().u64(magic).u32(option);
            client.send(head.u32(wire::REPLY_INFO).u32(len))
        })
    };
    let magic = wire::OPTION_REPLY_MAGIC;
    assert_refused(&raw(1, go, 0), "another magic");
    assert_refused(&raw(magic, 77, 0), "answers option 77 instead of 7");
    assert_refused(&raw(magic, go, u32::MAX), "4294967295 bytes");
    assert_refused(&reply(wire::REPLY_ACK, b""), "does not describe the export");
    assert_refused(&reply(wire::REPLY_INFO, b""), "ends within a field");
    assert_refused(
        &reply(wire::REPLY_INFO, b"\0\0\0\x01"),
        "ends within a field",
    );
    assert_refused(&reply(1234, b""), "the reply 0x4d2");
    assert_refused(&reply(wire::REPLY_UNSUPPORTED, b""), "NBD_OPT_GO");
    assert_refused(&reply(wire::REPLY_TLS_REQUIRED, b""), "requires TLS");
    let named = reply(wire::REPLY_ERROR | 2, b"no\x1b[2Jway");
    assert_refused(
        &named,
        "refuses the export \"disk\" with error 2: no?[2Jway",
    );
    let missing = assert_refused(
        &reply(wire::REPLY_UNKNOWN_EXPORT, b""),
        "no export \"disk\"",
    );
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let endless = at_option(go, move |client| {
        loop {
            client.reply(go, wire::REPLY_INFO, Message::default().u16(99))?;
        }
    });
    assert_refused(&endless, "does not stop");
}

#[test]
fn contexts_that_nobody_asked_for_are_refused() {
    let naming = |names: &'static [(u32, &'static str)]| {
        let export = Export {
            contexts: names.to_vec(),
            ..Export::default()
        };
        Fake::answering(export, |_, _| None)
    };
    assert_refused(&naming(&[(1, "x:y")]), "nobody asked for: x:y");
    static TWICE: [(u32, &str); 2] = [(1, "base:allocation"), (2, "base:allocation")];
    assert_refused(&naming(&TWICE), "one context twice");
    static SAME: [(u32, &str); 2] = [(1, "base:allocation"), (1, "qemu:dirty-bitmap:b")];
    assert_refused(&naming(&SAME), "one context twice");
    let error = assert_refused(&naming(&[(1, "base:allocation")]), "qemu:dirty-bitmap:b");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn exports_that_cannot_be_are_refused() {
    let describing = |len, flags, blocks| {
        let export = Export {
            len,
            flags,
            blocks,
            contexts: vec![(1, "qemu:dirty-bitmap:b")],
            ..Export::default()
        };
        Fake::answering(export, |_, _| None)
    };
    let flags = wire::EXPORT_HAS_FLAGS;
    assert_refused(
        &describing(u64::MAX, flags, None),
        "18446744073709551615 bytes",
    );
    assert_refused(&describing(512, 0, None), "flags of the export");
    for blocks in [
        [0, 512, 512],
        [3, 512, 512],
        [1 << 20; 3],
        [512, 0, 512],
        [4096, 4096, 1],
    ] {
        assert_refused(&describing(1 << 20, flags, Some(blocks)), "block sizes are");
    }
    assert_refused(
        &describing(1000, flags, Some([512, 512, 4096])),
        "whole number of blocks",
    );
}

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
    assert_read_fails("ends within a text", move |c, r| {
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
        (0..4096, AllocationKind::Hole),
        (4096..8192, AllocationKind::Zero),
        (8192..12288, AllocationKind::Data), // a hole that does not read as zeros
        (12288..1 << 20, AllocationKind::Hole),
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
    assert_eq!((last.kind, last.range.end), (AllocationKind::Data, 1 << 40));
    let dirty = volume.dirty_ranges().expect("an answer");
    assert_eq!(
        dirty.last().expect("a range").end,
        1 << 40,
        "unknown is dirty"
    );
}

#[test]
fn a_server_that_stalls_meets_a_deadline() {
    let is_late = |text: &str| assert!(text.contains("did not answer within"), "{text}");
    let silent = Fake::start(|client, _| client.option().map(|_| ()));
    is_late(&line(&silent.open(None).expect_err("silence")));
    let deaf = Fake::answering(Export::default(), |_, _| Some(()));
    let volume = deaf.open(None).expect("an export");
    is_late(
        &volume
            .read_at(0, &mut [0; 512])
            .expect_err("silence")
            .to_string(),
    );
    is_late(&line(&volume.allocation(0..512).expect_err("silence")));
    let trickling = Fake::answering(Export::default(), |client, request| {
        let head = Message::default().u32(wire::CHUNK_MAGIC).u16(1).u16(1);
        client.send(
            head.u64(request.cookie)
                .u32(8 + request.len)
                .u64(request.offset),
        )?;
        loop {
            std::thread::sleep(Duration::from_millis(100));
            client.0.write_all(&[0]).ok()?;
        }
    });
    let volume = trickling.open(None).expect("an export");
    is_late(
        &volume
            .read_at(0, &mut [0; 512])
            .expect_err("a trickle")
            .to_string(),
    );
}

#[test]
fn a_connection_that_ends_is_made_once_more() {
    let fake = Fake::start(|client, number| {
        client.shake_hands(&Export::default())?;
        for _ in 0..if number == 0 { 1 } else { 1000 } {
            let request = client.request()?;
            client.data(request.cookie, true, request.offset, request.len)?;
        }
        None
    });
    let volume = fake.open(None).expect("an export");
    for _ in 0..3 {
        assert_eq!(volume.read_at(512, &mut [0; 512]).expect("a read"), 512);
    }
}

#[test]
fn another_disk_behind_the_same_socket_is_refused() {
    let fake = Fake::start(|client, number| {
        let export = Export {
            len: 1 << (20 + number),
            ..Export::default()
        };
        client.shake_hands(&export)
    });
    let volume = fake.open(None).expect("an export");
    let error = volume.read_at(0, &mut [0; 512]).expect_err("another disk");
    let expected = "had 1048576 bytes and has 2097152 on another connection";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn an_export_that_has_another_length_by_now_is_an_error() {
    let fake = Fake::start(|client, number| {
        let export = Export {
            len: (1 << 20) - 512 * number as u64,
            flags: wire::EXPORT_HAS_FLAGS | wire::EXPORT_CAN_MULTI_CONN,
            ..Export::default()
        };
        client.shake_hands(&export)?;
        client.request().map(|_| ())
    });
    let volume = fake.open(None).expect("an export");
    let error = volume.check_unchanged().expect_err("another length");
    assert!(
        error
            .to_string()
            .contains("shrank from 1048576 to 1048064 bytes"),
        "{error}"
    );
}

#[test]
fn a_server_that_says_it_takes_more_connections_and_does_not_is_used_with_one() {
    let fake = Fake::start(|client, number| {
        if number > 0 {
            return client.option().map(|_| ()); // accepted, and then ignored
        }
        let export = Export {
            flags: wire::EXPORT_HAS_FLAGS | wire::EXPORT_CAN_MULTI_CONN,
            ..Export::default()
        };
        client.shake_hands(&export)?;
        while let Some(request) = client.request() {
            std::thread::sleep(Duration::from_millis(20));
            client.data(request.cookie, true, request.offset, request.len)?;
        }
        None
    });
    let volume = fake.open(None).expect("an export");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for at in 0..4 {
                    volume.read_at(at * 512, &mut [0; 512]).expect("a read");
                }
            });
        }
    });
}

#[test]
fn simple_replies_are_read_as_well() {
    let export = Export {
        is_structured: false,
        ..Export::default()
    };
    let fake = Fake::answering(export, |client, request| {
        let bad = u32::from(request.offset == 1 << 19) * 5;
        let head = Message::default()
            .u32(wire::SIMPLE_MAGIC)
            .u32(bad)
            .u64(request.cookie);
        client.send(head)?;
        let bytes = vec![7; if bad == 0 { request.len as usize } else { 0 }];
        client.0.write_all(&bytes).ok()
    });
    let volume = fake.open(None).expect("an export");
    let mut buffer = [0; 1024];
    volume.read_at(0, &mut buffer).expect("a read");
    assert_eq!(buffer, [7; 1024]);
    let error = volume
        .read_at(1 << 19, &mut buffer)
        .expect_err("a bad place");
    assert_eq!(error.raw_os_error(), Some(5));
    volume
        .read_at(0, &mut buffer)
        .expect("the connection is still in step");
    let pieces = volume.allocation(0..4096).expect("an answer");
    assert_eq!(
        pieces[0].kind,
        AllocationKind::Data,
        "a server without status has data"
    );
}
