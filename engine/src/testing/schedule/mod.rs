//! Interleavings of real code on simulated storage: every storage call is a point where another
//! participant may go on.
//!
//! ```text
//! gate        lets exactly one participant go, and decides at every call which
//! backend     what a participant sees of the storage: each call waits at the gate; its clock
//! choice      who goes on: all schedules of few preemptions, at random, by priorities, as told
//! script      a schedule as text, to run it again
//! run         participants on threads of their own, and what became of them
//! ```
//! A participant is a closure on a thread of its own with a backend of its own. Before a call to
//! that backend takes effect it stops, until the gate lets it go. So a run is a sequence of calls,
//! and the same choices give the same run, provided that participants take their randomness from
//! [`seed_this_thread`](crate::repository::seeded::seed_this_thread), their time from
//! [`backend::clock`], and call from one thread: if several threads of a participant call, their
//! calls take turns within the participant's, in an order that nobody controls.
//!
//! Deliberately absent: storage that loses or reorders what was put (that is `sim_disk`'s business).

pub mod backend;
pub mod choice;
pub mod run;
pub mod script;

mod gate;
#[cfg(test)]
mod tests;

pub use backend::ScheduledBackend;
pub use choice::{BoundedSearch, Chooser, Leg, Pct, Stop};
pub use gate::{Call, Choice};
pub use run::{Body, Ending, Run, Stage};
pub use script::{Fault, FaultKind, Script, Switch};
