//! The engine on storage that fails: power cuts at every step, every flipped bit, every error.

#![allow(clippy::print_stderr, reason = "tests print what they counted")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cost;
mod crash;
mod faults;
mod flips;
mod full_disk;
mod threads;
mod world;
