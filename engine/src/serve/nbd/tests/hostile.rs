//! Clients that break the protocol, stall, or come in crowds: they lose their own connection.

use std::io::{Read, Write};

use super::kit::{Memory, Raw, Running, wait_until};
use crate::format::nbd::{self as wire, Message, Request};
use crate::limits::{NBD_OPTION_LEN_LIMIT, NBD_OPTIONS_LIMIT, NBD_SERVER_CONNECTIONS_MAX};
use crate::serve::nbd::transcript;
use crate::testing::random::Random;
use crate::testing::seeds;

const LEN: usize = 4 << 20;

fn server() -> Running {
    Running::new(vec![Memory::random(1, LEN).export("disk")])
}

#[track_caller]
fn assert_serves(server: &Running) {
    let mut client = server.structured(&[]);
    client.ask(wire::COMMAND_READ, 0, 1000, 100);
    let chunks = client.chunks();
    assert!(chunks[0].payload[8..] == Memory::random(1, LEN).bytes[1000..1100]);
}

fn greeted(server: &Running) -> Raw {
    let mut client = server.connect();
    client.greet(3);
    client
}

#[test]
fn who_breaks_the_protocol_is_hung_up_on_and_others_are_served() {
    let server = server();
    let noise = Random::new(5).bytes(5000);
    let mut client = server.connect();
    client.greet(0xff00);
    client.assert_closed();
    let mut client = greeted(&server);
    client.send(Message::default().bytes(&noise[..16]));
    client.assert_closed();
    let mut client = greeted(&server);
    client.option(wire::OPTION_EXPORT_NAME, Message::default().bytes(b"x"));
    client.assert_closed();
    let mut client = server.structured(&[]);
    client.send(Message::default().bytes(&noise[..28]));
    client.assert_closed();
    let mut client = server.structured(&[]);
    client.ask(wire::COMMAND_WRITE, 0, 0, u32::MAX);
    client.assert_closed();
    assert_serves(&server);
}

#[test]
fn an_option_that_is_too_long_is_answered_and_ends_the_connection() {
    let server = server();
    let mut client = greeted(&server);
    let head = Message::default()
        .u64(wire::OPTION_MAGIC)
        .u32(wire::OPTION_GO);
    client.send(head.u32(NBD_OPTION_LEN_LIMIT + 1));
    assert_eq!(client.replies()[0].0, wire::REPLY_TOO_BIG);
    client.assert_closed();
    assert_serves(&server);
}

#[test]
fn a_client_that_never_comes_to_an_export_is_hung_up_on() {
    let server = server();
    let mut client = greeted(&server);
    for _ in 0..NBD_OPTIONS_LIMIT {
        client.option(wire::OPTION_LIST, Message::default());
        client.replies();
    }
    client.assert_closed();
    assert_serves(&server);
}

#[test]
fn silent_clients_half_requests_and_clients_that_go_are_no_matter_to_others() {
    let server = server();
    let silent = server.connect();
    let mut half_option = greeted(&server);
    half_option.send(Message::default().u64(wire::OPTION_MAGIC).u32(7));
    let mut half_request = server.structured(&[]);
    half_request.send(Message::default().u32(wire::REQUEST_MAGIC).u16(0));
    let mut half_write = server.structured(&[]);
    half_write.ask(wire::COMMAND_WRITE, 0, 0, 1 << 20);
    half_write.send(Message::default().bytes(&[1; 1000]));
    for _ in 0..5 {
        let mut gone = server.structured(&[]);
        gone.ask(wire::COMMAND_READ, 0, 0, LEN as u32);
        gone.0.read_exact(&mut [0; 100]).expect("a beginning");
        drop(gone);
        assert_serves(&server);
    }
    drop((silent, half_option, half_request, half_write));
    assert_serves(&server);
}

#[test]
fn a_client_that_takes_no_replies_stops_itself_alone() {
    let server = server();
    let mut deaf = server.structured(&[]);
    for _ in 0..1000 {
        let request = Request {
            flags: 0,
            command: wire::COMMAND_READ,
            cookie: 1,
            offset: 0,
            len: LEN as u32,
        };
        let limit = Some(std::time::Duration::from_millis(50));
        deaf.0.set_write_timeout(limit).expect("a limit");
        if deaf.0.write_all(&request.encode()).is_err() {
            break;
        }
    }
    for _ in 0..20 {
        assert_serves(&server);
    }
}

#[test]
fn a_crowd_is_let_in_as_far_as_there_is_room_and_the_room_is_free_again() {
    let server = server();
    let mut crowd = Vec::new();
    let mut refused = 0;
    for _ in 0..3 * NBD_SERVER_CONNECTIONS_MAX {
        let mut client = server.connect();
        match client.0.read_exact(&mut [0; 18]) {
            Ok(()) => crowd.push(client),
            Err(_) => refused += 1,
        }
    }
    assert_eq!(crowd.len(), NBD_SERVER_CONNECTIONS_MAX);
    assert_eq!(refused, 2 * NBD_SERVER_CONNECTIONS_MAX);
    drop(crowd);
    wait_until("there is room", || {
        server.connect().0.read_exact(&mut [0; 18]).is_ok()
    });
    assert_serves(&server);
    assert!(server.end().refused >= refused as u64);
}

#[test]
fn a_conversation_that_breaks_off_anywhere_comes_to_an_end() {
    let whole = seeds::nbd_request();
    let heard = transcript(&whole);
    assert!(heard > 28 << 10, "{heard}");
    let mut before = 0;
    for len in 0..whole.len() {
        let heard = transcript(&whole[..len]);
        assert!(heard >= before, "what was said stays answered: {len}");
        before = heard;
    }
}

#[test]
fn a_conversation_with_any_flipped_bit_comes_to_an_end() {
    let whole = seeds::nbd_request();
    for bit in 0..8 * whole.len() {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        transcript(&flipped);
    }
}
