//! Restores of volumes, to files and to the loop devices of the machine the tests run on.
//!
//! What a machine cannot show (no root, no loop devices, no qemu-img) is skipped, and the test
//! says so.
#![expect(clippy::single_range_in_vec_init, reason = "ranges are values here")]

mod damage;
mod devices;
mod exports;
mod files;
mod in_place;
mod joined;
mod loops;
mod plans;
mod properties;
mod resume;
mod world;
