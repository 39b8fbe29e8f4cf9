//! Options and requests, answer by answer.

use super::kit::{Chunk, Memory, Raw, Running};
use crate::format::nbd::{self as wire, Fields, Message};
use crate::operations::map_volume::RangeKind;
use crate::serve::nbd::{DirtyRanges, NbdExport};

const KIB: u64 = 1 << 10;

fn sample() -> Memory {
    Memory::random(1, 1 << 20)
        .with(300 * KIB..400 * KIB, RangeKind::Hole)
        .with(500 * KIB..501 * KIB, RangeKind::Unreadable)
}

fn extents(chunk: &Chunk) -> (u32, Vec<(u32, u32)>) {
    assert_eq!(chunk.kind, wire::CHUNK_BLOCK_STATUS);
    let mut fields = Fields(&chunk.payload);
    let context = fields.u32().expect("a context");
    let mut extents = Vec::new();
    while !fields.0.is_empty() {
        extents.push((
            fields.u32().expect("a length"),
            fields.u32().expect("flags"),
        ));
    }
    (context, extents)
}

/// A client without structured replies, in the first export.
fn simple(server: &Running) -> Raw {
    let mut client = server.connect();
    client.greet(1);
    client.option(wire::OPTION_EXPORT_NAME, Message::default());
    assert_eq!(client.receive(10)[..8], Message::default().u64(1 << 20).0);
    assert_eq!(client.receive(124), [0; 124]);
    client
}

#[test]
fn exports_are_listed_and_described() {
    let server = Running::new(vec![
        sample().export("one"),
        Memory::random(2, 5).export("two"),
    ]);
    let mut client = server.connect();
    client.greet(3);
    client.option(wire::OPTION_LIST, Message::default());
    let named = |name: &str, about: &str| {
        let message = Message::default().text(name).bytes(about.as_bytes());
        (wire::REPLY_SERVER, message.0)
    };
    let ack = (wire::REPLY_ACK, Vec::new());
    let listed = [
        named("one", "about one"),
        named("two", "about two"),
        ack.clone(),
    ];
    assert_eq!(client.replies(), listed);
    let wanted = Message::default().text("").u16(2);
    let wanted = wanted.u16(wire::INFO_NAME).u16(wire::INFO_DESCRIPTION);
    client.option(wire::OPTION_INFO, wanted);
    let info = |message: Message| (wire::REPLY_INFO, message.0);
    let flags = 1 | 2 | 4 | 256;
    let described = [
        info(Message::default().u16(0).u64(1 << 20).u16(flags)),
        info(Message::default().u16(3).u32(1).u32(4096).u32(32 << 20)),
        info(Message::default().u16(1).bytes(b"one")),
        info(Message::default().u16(2).bytes(b"about one")),
        ack.clone(),
    ];
    assert_eq!(client.replies(), described);
    assert_eq!(client.go("two"), (5, flags));
    client.ask(wire::COMMAND_READ, 0, 0, 5);
    assert_eq!(client.simple(), (0, 9));
    assert_eq!(client.receive(5), Memory::random(2, 5).bytes);
}

#[test]
fn options_that_make_no_sense_are_answered_with_an_error_and_the_next_is_taken() {
    let server = Running::new(vec![sample().export("one")]);
    let mut client = server.connect();
    client.greet(3);
    let data = || Message::default().u16(9);
    let contexts = || Message::default().text("one").u32(0);
    for (option, payload, expected) in [
        (99, data(), wire::REPLY_UNSUPPORTED),
        (5, Message::default(), wire::REPLY_UNSUPPORTED), // TLS
        (wire::OPTION_LIST, data(), wire::REPLY_INVALID),
        (wire::OPTION_STRUCTURED_REPLY, data(), wire::REPLY_INVALID),
        (wire::OPTION_GO, data(), wire::REPLY_INVALID),
        (wire::OPTION_SET_META_CONTEXT, data(), wire::REPLY_INVALID),
        (
            wire::OPTION_SET_META_CONTEXT,
            contexts(),
            wire::REPLY_INVALID,
        ),
        (
            wire::OPTION_INFO,
            Message::default().text("x").u16(0),
            wire::REPLY_UNKNOWN_EXPORT,
        ),
    ] {
        client.option(option, payload);
        assert_eq!(client.replies()[0].0, expected, "option {option}");
    }
    client.option(wire::OPTION_ABORT, Message::default());
    assert_eq!(client.replies()[0].0, wire::REPLY_ACK);
    client.assert_closed();
}

#[test]
fn a_structured_read_has_data_holes_and_errors_in_their_places() {
    let memory = sample();
    let server = Running::new(vec![memory.clone().export("disk")]);
    let mut client = server.structured(&[]);
    client.ask(wire::COMMAND_READ, 0, 10 * KIB, 500 * 1024);
    let chunks = client.chunks();
    let data = |start: u64, end: u64, is_last| Chunk {
        kind: wire::CHUNK_OFFSET_DATA,
        is_last,
        cookie: 10 * KIB + 9,
        payload: Message::default()
            .u64(start)
            .bytes(&memory.bytes[start as usize..end as usize])
            .0,
    };
    let hole = Chunk {
        kind: wire::CHUNK_OFFSET_HOLE,
        is_last: false,
        cookie: 10 * KIB + 9,
        payload: Message::default().u64(300 * KIB).u32(100 * 1024).0,
    };
    let error = Chunk {
        kind: wire::CHUNK_ERROR_OFFSET,
        payload: Message::default().u32(wire::EIO).u16(0).u64(500 * KIB).0,
        ..hole.clone()
    };
    let expected = [
        data(10 * KIB, 266 * KIB, false),
        data(266 * KIB, 300 * KIB, false),
        hole,
        data(400 * KIB, 500 * KIB, false),
        error,
        data(501 * KIB, 510 * KIB, true),
    ];
    assert!(chunks == expected);
    client.ask(wire::COMMAND_READ, 0, 1 << 20, 0);
    assert_eq!(client.chunks()[0].kind, wire::CHUNK_NONE);
}

#[test]
fn a_read_in_one_piece_is_one_or_refused() {
    let memory = sample();
    let server = Running::new(vec![memory.clone().export("disk")]);
    let mut client = server.structured(&[]);
    client.ask(wire::COMMAND_READ, wire::FLAG_DF, 250 * KIB, 64 * 1024);
    let chunks = client.chunks();
    assert_eq!(chunks.len(), 1);
    assert!(chunks[0].payload[8..] == memory.bytes[250 << 10..314 << 10]);
    client.ask(wire::COMMAND_READ, wire::FLAG_DF, 0, 512 * 1024);
    assert_eq!(client.refusal(), wire::EOVERFLOW);
}

#[test]
fn a_simple_read_is_whole_or_an_error_and_the_connection_goes_on() {
    let memory = sample();
    let server = Running::new(vec![memory.clone().export("disk")]);
    let mut client = simple(&server);
    for (offset, len) in [
        (0, 500 << 10),
        (500 << 10, 1),
        (501 << 10, 523 << 10),
        (3, 0),
    ] {
        client.ask(wire::COMMAND_READ, 0, offset as u64, len as u32);
        if offset == 500 << 10 {
            assert_eq!(client.simple(), (wire::EIO, offset as u64 + 9));
            continue;
        }
        assert_eq!(client.simple(), (0, offset as u64 + 9));
        assert!(client.receive(len) == memory.bytes[offset..offset + len]);
    }
    client.ask(wire::COMMAND_READ, 0, 0, 1 << 20);
    assert_eq!(
        client.simple().0,
        wire::EIO,
        "an error in a later piece comes first"
    );
}

#[test]
fn status_is_told_in_every_context_that_was_chosen() {
    let dirty = DirtyRanges::new(vec![0..512, 350 * KIB..2 << 20]);
    let export = NbdExport {
        bitmaps: vec![
            ("a".to_owned(), DirtyRanges::default()),
            ("b".to_owned(), dirty),
        ],
        ..sample().export("disk")
    };
    let server = Running::new(vec![export, Memory::random(2, 9).export("other")]);
    let mut client = server.structured(&["qemu:dirty-bitmap:b", "base:allocation"]);
    client.ask(wire::COMMAND_BLOCK_STATUS, 0, 256, 1 << 19);
    let chunks = client.chunks();
    let kib = 1024;
    let allocation = vec![
        (300 * kib - 256, 0),
        (100 * kib, 3),
        (112 * kib + 256, 0), // what cannot be read counts as data
    ];
    let bitmap = vec![(256, 1), (350 * kib - 512, 0), (162 * kib + 256, 1)];
    let found: Vec<_> = chunks.iter().map(extents).collect();
    assert_eq!(found, [(0, allocation), (2, bitmap)]);

    client.ask(wire::COMMAND_BLOCK_STATUS, wire::FLAG_REQ_ONE, 0, 1 << 20);
    let found: Vec<_> = client.chunks().iter().map(extents).collect();
    assert_eq!(found, [(0, vec![(300 * kib, 0)]), (2, vec![(512, 1)])]);
    client.ask(wire::COMMAND_BLOCK_STATUS, 0, 0, 0);
    assert_eq!(client.refusal(), wire::EINVAL);
    let mut without = server.structured(&[]);
    without.ask(wire::COMMAND_BLOCK_STATUS, 0, 0, 512);
    assert_eq!(without.refusal(), wire::EINVAL);
}

#[test]
fn contexts_are_listed_and_those_of_another_export_do_not_count() {
    let export = NbdExport {
        bitmaps: vec![("b".to_owned(), DirtyRanges::default())],
        ..sample().export("disk")
    };
    let server = Running::new(vec![export, Memory::random(2, 999).export("other")]);
    let mut client = server.connect();
    client.greet(3);
    client.option(wire::OPTION_STRUCTURED_REPLY, Message::default());
    client.replies();
    let contexts = |client: &mut Raw, option, export: &str, queries: &[&str]| {
        let message = Message::default().text(export).u32(queries.len() as u32);
        let message = queries
            .iter()
            .fold(message, |message, query| message.text(query));
        client.option(option, message);
        let replies = client.replies().into_iter();
        let context = |(kind, payload): (u32, Vec<u8>)| {
            (kind == wire::REPLY_META_CONTEXT).then(|| {
                (
                    payload[3],
                    String::from_utf8(payload[4..].to_vec()).unwrap(),
                )
            })
        };
        replies.filter_map(context).collect::<Vec<_>>()
    };
    let list = wire::OPTION_LIST_META_CONTEXT;
    let allocation = (0, "base:allocation".to_owned());
    let bitmap = (1, "qemu:dirty-bitmap:b".to_owned());
    let all = [allocation.clone(), bitmap.clone()];
    assert_eq!(contexts(&mut client, list, "disk", &[]), all);
    assert_eq!(
        contexts(&mut client, list, "disk", &["base:", "qemu:"]),
        all
    );
    assert_eq!(
        contexts(&mut client, list, "disk", &["qemu:dirty-bitmap:"]),
        [bitmap]
    );
    assert_eq!(
        contexts(&mut client, list, "disk", &["x", "base:allocatio"]),
        []
    );
    let set = wire::OPTION_SET_META_CONTEXT;
    assert_eq!(contexts(&mut client, set, "disk", &["base:"]), []);
    let chosen = contexts(
        &mut client,
        set,
        "disk",
        &["base:allocation", "base:allocation"],
    );
    assert_eq!(chosen, [allocation]);
    client.go("other");
    client.ask(wire::COMMAND_BLOCK_STATUS, 0, 0, 512);
    assert_eq!(client.refusal(), wire::EINVAL);
}

#[test]
fn writes_are_refused_and_what_follows_them_is_answered() {
    let memory = sample();
    let server = Running::new(vec![memory.clone().export("disk")]);
    for mut client in [server.structured(&[]), simple(&server)] {
        client.ask(wire::COMMAND_WRITE, 0, 0, 600_000);
        client.send(Message::default().bytes(&vec![0x25; 600_000]));
        assert_eq!(client.simple(), (wire::EPERM, 9));
        for command in [wire::COMMAND_TRIM, wire::COMMAND_WRITE_ZEROES] {
            client.ask(command, 0, 0, 4096);
            assert_eq!(client.simple().0, wire::EPERM);
        }
        client.ask(wire::COMMAND_FLUSH, 0, 0, 0);
        assert_eq!(client.simple().0, 0);
        client.ask(77, 0, 0, 0);
        assert_eq!(client.simple().0, wire::EINVAL);
        client.ask(wire::COMMAND_DISCONNECT, 0, 0, 0);
        client.assert_closed();
    }
}

#[test]
fn requests_beyond_the_end_or_beyond_every_limit_are_refused() {
    let server = Running::new(vec![Memory::random(1, 40 << 20).export("disk")]);
    let mut client = server.structured(&["base:allocation"]);
    for (offset, len) in [
        (40 << 20, 1),
        ((40 << 20) - 1, 2),
        (u64::MAX, 1),
        (1, u32::MAX),
    ] {
        for command in [wire::COMMAND_READ, wire::COMMAND_BLOCK_STATUS] {
            let request = wire::Request {
                flags: 0,
                command,
                cookie: 1,
                offset,
                len,
            };
            client.send(Message(request.encode()));
            assert_eq!(client.refusal(), wire::EINVAL, "{offset}+{len}");
        }
    }
    client.ask(wire::COMMAND_READ, 0, 0, (32 << 20) + 1);
    assert_eq!(client.refusal(), wire::EINVAL);
    client.ask(wire::COMMAND_READ, 0, 5, 32 << 20);
    let read: usize = client
        .chunks()
        .iter()
        .map(|chunk| chunk.payload.len() - 8)
        .sum();
    assert_eq!(read, 32 << 20);
}
