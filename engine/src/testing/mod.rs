//! What tests are made of: simulated storage with faults by seed, wrappers that count and fail, and
//! the conformance suite that every backend passes.
//!
//! Compiled for tests and with the feature `testing` only. Everything here is deterministic: one
//! seed, no clock, no order that depends on a hash or on an address. Tests alone may spawn threads
//! here (`conformance` does, to race; `schedule`, one at a time).

pub mod conformance;
pub mod decoders;
pub mod fault_backend;
pub mod hostile_images;
pub mod hostile_repository;
pub mod keys;
pub mod large_index;
pub mod prepared;
pub mod random;
pub mod recording_backend;
pub mod sample_repository;
pub mod sample_volumes;
pub mod schedule;
pub mod seeds;
pub mod sim_disk;
pub mod small_world;
pub mod sparse_image;
pub mod tiny_volumes;
pub mod toy_prune;
pub mod whole_object;

mod sim_image;
