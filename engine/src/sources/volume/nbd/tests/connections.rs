//! Servers that stall, end, come back as another, or take one connection only.

use std::io::Write;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use parking_lot::Mutex;

use super::fake::{Export, Fake, line};
use crate::format::nbd::{self as wire, Message};
use crate::limits::{NBD_IN_FLIGHT, NBD_REQUEST_LEN};
use crate::pipeline::ReadAt;
use crate::sources::volume::{Allocation, VolumeSource};

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
fn threads_have_a_connection_each_where_the_server_permits_it() {
    let both = Arc::new(Barrier::new(2));
    let export = Export {
        flags: wire::EXPORT_HAS_FLAGS | wire::EXPORT_CAN_MULTI_CONN,
        ..Export::default()
    };
    let fake = Fake::answering(export, move |client, request| {
        both.wait(); // until the other thread has asked as well
        client.data(request.cookie, true, request.offset, request.len)
    });
    let volume = fake.open(None).expect("an export");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| volume.read_at(0, &mut [0; 512]).expect("a read"));
        }
    });
}

#[test]
fn requests_are_under_way_together_and_answered_in_any_order() {
    let waiting = Arc::new(Mutex::new(Vec::new()));
    let export = Export {
        len: 16 << 20,
        ..Export::default()
    };
    let fake = Fake::answering(export, move |client, request| {
        let mut waiting = waiting.lock();
        waiting.push(request);
        if waiting.len() == NBD_IN_FLIGHT {
            for request in waiting.drain(..).rev() {
                client.data(request.cookie, true, request.offset, request.len)?;
            }
        }
        Some(())
    });
    let volume = fake.open(None).expect("an export");
    let mut buffer = vec![0; NBD_IN_FLIGHT * NBD_REQUEST_LEN as usize];
    volume.read_at(3, &mut buffer).expect("a read");
    assert!((3..).zip(&buffer).all(|(at, &byte)| byte == at as u8));
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
        Allocation::Data,
        "a server without status has data"
    );
}
