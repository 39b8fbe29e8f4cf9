//! Whatever a server says before it takes requests, it is a clear error.

use super::fake::{Client, Export, Fake, line};
use crate::error::{Error, ErrorKind};
use crate::format::nbd::{self as wire, Message};

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
    assert_refused(&greeting(init, 0x0000_4202_8186_1253, 0), "oldstyle");
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
    assert_refused(&reply(wire::REPLY_INFO, b""), "the bytes end early");
    assert_refused(
        &reply(wire::REPLY_INFO, b"\0\0\0\x01"),
        "the bytes end early",
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
