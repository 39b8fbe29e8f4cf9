//! Servers that are real, and one that lies.

mod connections;
mod fake;
mod hostile_handshake;
mod hostile_replies;
mod real;

use super::*;

#[test]
fn a_hole_that_does_not_read_as_zeros_is_data() {
    let kinds = [0, 1, 2, 3, 7].map(kind_of);
    let (data, zero, hole) = (Allocation::Data, Allocation::Zero, Allocation::Hole);
    assert_eq!(kinds, [data, data, zero, hole, hole]);
}

#[test]
fn a_conversation_that_breaks_off_anywhere_is_an_error() {
    let whole = crate::testing::seeds::nbd_reply();
    assert_eq!(transcript(&whole), Ok(2048));
    for len in 0..whole.len() {
        transcript(&whole[..len]).expect_err("cut off");
    }
}
