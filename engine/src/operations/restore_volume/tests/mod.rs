//! Restores of volumes, to files and to the loop devices of the machine the tests run on.
//!
//! What a machine cannot show (no root, no loop devices, no qemu-img) is skipped, and the test
//! says so.

mod damage;
mod devices;
mod exports;
mod files;
mod in_place;
mod loops;
mod resume;
mod world;
