//! FORMAT.md against its reference decoder, by way of a writer that shares nothing with either reader.

mod dumps;
mod encode;
mod listing;
mod make;
mod repository;
mod vectors;
mod walks;
