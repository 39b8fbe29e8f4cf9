//! A server in this process, its real clients, and some that are none.

mod clients;
mod hostile;
mod kit;
mod listening;
mod requests;
mod writes;
