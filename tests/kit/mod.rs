//! The kit of the scenario tests, one thing per file.

pub mod ballast;
pub mod cli;
pub mod compare;
pub mod disk;
pub mod fuse;
pub mod generate;
pub mod loops;
pub mod lvm;
pub mod mount;
pub mod nbd;
pub mod process;
pub mod repository;
pub mod rights;
pub mod served;
pub mod tool;
pub mod workspace;
