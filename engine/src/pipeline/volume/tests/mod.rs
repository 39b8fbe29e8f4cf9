//! The promise of volumes: a build from a parent and its changes equals a build that reads
//! everything. On a model in memory, and on real repositories.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of changes may have one of them"
)]

mod edges;
mod model;
mod properties;
mod scale;
mod stored;
mod takeover;
