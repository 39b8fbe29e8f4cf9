//! Scenario tests in one binary; each module is a theme, each test a claim about the program.
//!
//! Each module says which promises of the design it defends. I1 a snapshot restores bit for bit;
//! I2 no operation endangers another snapshot; I3 no read returns wrong bytes; I4 the fast way and
//! the full way give the same root; I7 an interrupted run is lost or whole, and its work reusable;
//! I8 a full disk blocks nothing that frees space; I10 nothing is skipped in silence; I12 an
//! independent decoder reads the format.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod architecture;
mod bench;
mod changes;
mod conflict;
mod excludes;
mod failures;
mod forget;
mod full_disk;
mod kill;
mod media;
mod merge;
mod mounted;
mod roundtrip;
mod scale;
mod scene;
mod sessions;
mod sharing;
mod volumes;
mod volumes_show;
