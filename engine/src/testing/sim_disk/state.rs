//! The state behind a simulated disk, and what may go wrong at a step.

use std::collections::BTreeMap;
use std::io;

use crate::storage::disk::Space;
use crate::testing::random::Random;
use crate::testing::sim_disk::DiskCall;
use crate::testing::sim_disk::DiskFault;
use crate::testing::sim_disk::PowerLoss;
use crate::testing::sim_image::Image;
use crate::testing::sim_image::NAME_SPACE;

#[derive(Clone)]
pub(super) struct State {
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) image: Image,
    pub(super) clock: u64,
    pub(super) steps: u64,
    pub(super) calls: BTreeMap<DiskCall, u64>,
    pub(super) power_cut_at: Option<u64>,
    pub(super) is_down: bool,
    pub(super) faults: Vec<DiskFault>,
    pub(super) unsteady_one_in: u64,
    pub(super) flip_read: Option<u64>,
    pub(super) capacity: Option<u64>,
    pub(super) hides_space: bool,
    /// The disk before each step, in order.
    pub(super) recorded: Option<Vec<State>>,
}

impl State {
    pub(super) fn new(seed: u64, image: Image) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            image,
            clock: 0,
            steps: 0,
            calls: BTreeMap::new(),
            power_cut_at: None,
            is_down: false,
            faults: Vec::new(),
            unsteady_one_in: 0,
            flip_read: None,
            capacity: None,
            hides_space: false,
            recorded: None,
        }
    }

    /// All but what was recorded.
    pub(super) fn fork(&mut self) -> Self {
        let recorded = self.recorded.take();
        let fork = self.clone();
        self.recorded = recorded;
        fork
    }

    /// No fault is to come any more.
    pub(super) fn heal(&mut self) {
        self.power_cut_at = None;
        self.is_down = false;
        self.faults.clear();
        self.unsteady_one_in = 0;
        self.flip_read = None;
        self.capacity = None;
        self.hides_space = false;
    }

    /// Counts a step, unless there is no power for it.
    pub(super) fn begin(&mut self, call: DiskCall) -> io::Result<()> {
        if self.is_down {
            return Err(io::Error::other(PowerLoss));
        }
        if self.recorded.is_some() {
            let before = self.fork();
            self.recorded.get_or_insert_default().push(before);
        }
        self.steps += 1;
        *self.calls.entry(call).or_default() += 1;
        if self.power_cut_at.is_some_and(|step| step <= self.steps) {
            self.is_down = true;
            return Err(io::Error::other(PowerLoss));
        }
        Ok(())
    }

    /// The fault that is due at this call, if any.
    pub(super) fn fault(&mut self, call: DiskCall) -> io::Result<()> {
        let mut due = None;
        self.faults.retain_mut(|fault| {
            if fault.call != call {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth > 0 {
                return true;
            }
            due = Some(fault.error);
            fault.lasting
        });
        due.map_or(Ok(()), |kind| Err(kind.into()))
    }

    pub(super) fn interruption(&mut self) -> io::Result<()> {
        if self.random.one_in(self.unsteady_one_in) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// How much of `len` bytes is moved at once.
    pub(super) fn moved(&mut self, len: usize) -> usize {
        if len > 1 && self.random.one_in(self.unsteady_one_in) {
            return 1 + self.random.below(len - 1);
        }
        len
    }

    /// How much of `len` bytes finds space.
    pub(super) fn room_for(&self, len: usize) -> io::Result<usize> {
        let room = usize::try_from(self.free()).unwrap_or(len);
        match room.min(len) {
            0 if len > 0 => Err(io::ErrorKind::StorageFull.into()),
            room => Ok(room),
        }
    }

    /// Whether one more name finds space. A rename needs it as well: for a while there are two.
    pub(super) fn room_for_name(&self) -> io::Result<()> {
        match self.free() < NAME_SPACE {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn free(&self) -> u64 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.image.used()),
            None => u64::MAX,
        }
    }

    /// What the disk says of itself.
    pub(super) fn space(&self) -> Space {
        if self.hides_space {
            return Space { total: 0, free: 0 };
        }
        Space {
            total: self.capacity.unwrap_or(u64::MAX),
            free: self.free(),
        }
    }

    pub(super) fn flip_if_due(&mut self, out: &mut [u8]) {
        let Some(nth) = &mut self.flip_read else {
            return;
        };
        *nth = nth.saturating_sub(1);
        if *nth == 0 && !out.is_empty() {
            let bit = self.random.below(out.len() * 8);
            out[bit / 8] ^= 1 << (bit % 8);
            self.flip_read = None;
        }
    }
}
