//! The promise of volumes: a build from a parent and its changes equals a build that reads
//! everything. On a model in memory, and on real repositories.

mod edges;
mod model;
mod properties;
mod scale;
mod stored;
mod takeover;
