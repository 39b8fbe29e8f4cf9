//! The kit of the scenario tests, one thing per file.

pub mod cli;
pub mod compare;
pub mod generate;
pub mod mount;
pub mod repository;
pub mod rights;
pub mod workspace;
