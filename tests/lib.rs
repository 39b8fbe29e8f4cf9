//! What the scenario tests are made of: trees, a comparer, the programs under test.
//!
//! A library, so that scripts can use the comparer as well (`compare-trees A B`). Nothing here
//! knows the engine: the tests see what a user sees, which is files, output and exit codes.

pub mod kit;
