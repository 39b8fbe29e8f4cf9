//! A disk that loses power, lies, fills up and fails, as a seed says.
//!
//! Every call of [`Disk`] is one step. Count the steps of a workload, then cut the power at each
//! and look at what [`SimDisk::reboot`] finds; or let [`SimDisk::record_images`] keep the disk as
//! it was before every step, and reboot those, which needs the workload once only.
//!
//! ```text
//! for step in 1..=steps {
//!     let disk = SimDisk::new(seed);
//!     disk.cut_power_at(step);
//!     let acknowledged = workload(&disk);
//!     for variant in 0..8 {
//!         let found = disk.reboot(variant);   // the acknowledged must be there
//!     }
//! }
//! ```
//!
//! Below: `sim_image`, what is durable and what survives. Deliberately absent: threads of its own,
//! any clock but [`SimDisk::set_clock`].

mod state;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::storage::disk::Disk;
use crate::storage::disk::FileStat;
use crate::storage::disk::Space;
use crate::testing::random::Random;
use crate::testing::sim_disk::state::State;
use crate::testing::sim_image::Image;
use crate::testing::sim_image::NodeId;
use crate::testing::sim_image::crash::NameLoss;

/// A simulated disk. Clones are the same disk; [`SimDisk::fork`] makes another.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile(NodeId);

/// The calls of [`Disk`], as far as they are steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after the methods of Disk")]
pub enum DiskCall {
    CreateExclusive,
    Write,
    FlushFile,
    Open,
    Len,
    ReadAt,
    RenameNoreplace,
    Unlink,
    MakeFolder,
    RemoveFolder,
    FlushFolder,
    ListFolder,
    Stat,
    Space,
}

/// A fault to come: the `nth` call of this kind from now on fails, once or for ever.
#[derive(Clone, Copy, Debug)]
pub struct DiskFault {
    /// Which call.
    pub call: DiskCall,
    /// 1 is the next one.
    pub nth: u64,
    /// What it fails with.
    pub error: io::ErrorKind,
    /// Whether all calls of that kind fail from then on.
    pub lasting: bool,
}

/// Making, cutting, rebooting.
impl SimDisk {
    /// An empty disk, on which everything that is left to chance is chosen by `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_image(seed, Image::new())
    }

    fn with_image(seed: u64, image: Image) -> Self {
        Self::with_state(State::new(seed, image))
    }

    fn with_state(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Another disk in the same state, with the same faults to come; nothing is recorded on it.
    pub fn fork(&self) -> Self {
        Self::with_state(self.state.lock().fork())
    }

    /// Steps done so far.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// Calls of one kind so far.
    pub fn calls(&self, call: DiskCall) -> u64 {
        self.state.lock().calls.get(&call).copied().unwrap_or(0)
    }

    /// The power goes before step `step` takes effect; the first is 1. From then on every call
    /// fails with an error for which [`is_power_loss`] holds.
    pub fn cut_power_at(&self, step: u64) {
        self.state.lock().power_cut_at = Some(step);
    }

    /// The power goes now.
    pub fn cut_power(&self) {
        self.state.lock().is_down = true;
    }

    /// What is found if the power goes (or went) now. Even variants lose names as a journal does,
    /// odd ones any of them; faults are gone, steps count from 0.
    pub fn reboot(&self, variant: u64) -> Self {
        let state = self.state.lock();
        let mut random = Random::new(state.seed ^ variant.wrapping_mul(0xd134_2543_de82_ef95));
        let loss = if variant.is_multiple_of(2) {
            NameLoss::Suffix
        } else {
            NameLoss::Subset
        };
        let image = state.image.after_crash(loss, &mut random);
        let disk = Self::with_image(random.number(), image);
        disk.set_clock(state.clock);
        disk
    }

    /// From now on the disk is kept as it is before each step.
    pub fn record_images(&self) {
        self.state.lock().recorded = Some(Vec::new());
    }

    /// The disks kept so far, to be rebooted: `images[i]` lost its power at the `i + 1`-st step
    /// since the recording began.
    pub fn take_images(&self) -> Vec<Self> {
        let images = self.state.lock().recorded.take().unwrap_or_default();
        images.into_iter().map(Self::with_state).collect()
    }
}

/// Faults.
impl SimDisk {
    /// Adds a fault to come.
    pub fn fail(&self, fault: DiskFault) {
        self.state.lock().faults.push(fault);
    }

    /// All faults are over, the power is back, and nothing was lost.
    pub fn heal(&self) {
        self.state.lock().heal();
    }

    /// Once in `one_in` calls, on average, a call is interrupted, and a read or write is short.
    pub fn make_unsteady(&self, one_in: u64) {
        self.state.lock().unsteady_one_in = one_in;
    }

    /// All files and names together take up at most so many bytes; what does not fit is
    /// `StorageFull`.
    pub fn limit_space(&self, bytes: u64) {
        self.state.lock().capacity = Some(bytes);
    }

    /// From now on the disk does not tell how large it is, as some in a network do not: nobody
    /// stops before it is full.
    pub fn hide_space(&self) {
        self.state.lock().hides_space = true;
    }

    /// Bytes of all files together, and of their names.
    pub fn used_space(&self) -> u64 {
        self.state.lock().image.used()
    }

    /// The `nth` read from now on comes with one bit flipped; the disk itself is not changed.
    pub fn flip_bit_on_read(&self, nth: u64) {
        self.state.lock().flip_read = Some(nth);
    }

    /// What files are stamped with from now on: seconds since 1970.
    pub fn set_clock(&self, seconds: u64) {
        self.state.lock().clock = seconds;
    }
}

/// Looking at the disk, and damaging it, past all calls, steps and faults.
impl SimDisk {
    /// All files, by path.
    pub fn files(&self) -> Vec<String> {
        self.state.lock().image.files().into_keys().collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &str) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        state
            .image
            .find_file(path)
            .and_then(|file| state.image.contents(file).map(<[u8]>::to_vec))
    }

    /// Flips one bit; `offset` counts bytes, `bit` from the lowest.
    pub fn corrupt(&self, path: &str, offset: u64, bit: u8) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.tamper(path, |bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        })
    }

    /// Cuts a file to at most `len` bytes.
    pub fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.tamper(path, |bytes| bytes.truncate(len))
    }

    /// Replaces the bytes of a file, which is made if it is missing; its folder must exist.
    pub fn plant(&self, path: &str, contents: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let clock = state.clock;
        let file = match state.image.find_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                state.image.create_durable_file(path, clock)?
            }
            found => found?,
        };
        state.image.tamper(file, |bytes| contents.clone_into(bytes))
    }

    fn tamper(&self, path: &str, edit: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.image.find_file(path)?;
        state.image.tamper(file, edit)
    }
}

impl SimDisk {
    /// One step, at which a fault may be due.
    fn step(&self, call: DiskCall) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.begin(call)?;
        state.fault(call)?;
        Ok(state)
    }

    /// One step that a signal may interrupt.
    fn slow_step(&self, call: DiskCall) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.step(call)?;
        state.interruption()?;
        Ok(state)
    }

    /// One step which, if it fails, takes along what it was to make durable.
    fn flush_step(
        &self,
        call: DiskCall,
        lose: impl Fn(&mut Image),
    ) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.begin(call)?;
        state.interruption()?;
        let outcome = state.fault(call);
        outcome.inspect_err(|_| lose(&mut state.image))?;
        Ok(state)
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create_exclusive(&self, path: &str) -> io::Result<SimFile> {
        let mut state = self.slow_step(DiskCall::CreateExclusive)?;
        state.room_for_name()?;
        let clock = state.clock;
        state.image.create_file(path, clock).map(SimFile)
    }

    fn write(&self, file: &SimFile, data: &[u8]) -> io::Result<usize> {
        let mut state = self.slow_step(DiskCall::Write)?;
        let moved = state.moved(data.len());
        let written = state.room_for(moved)?;
        state.image.append(file.0, &data[..written])?;
        Ok(written)
    }

    fn flush_file(&self, file: &SimFile) -> io::Result<()> {
        let lose = |image: &mut Image| image.fail_flush_file(file.0);
        self.flush_step(DiskCall::FlushFile, lose)?
            .image
            .flush_file(file.0)
    }

    fn open(&self, path: &str) -> io::Result<SimFile> {
        self.slow_step(DiskCall::Open)?
            .image
            .find_file(path)
            .map(SimFile)
    }

    fn len(&self, file: &SimFile) -> io::Result<u64> {
        let state = self.step(DiskCall::Len)?;
        state
            .image
            .contents(file.0)
            .map(|contents| contents.len() as u64)
    }

    fn read_at(&self, file: &SimFile, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut state = self.slow_step(DiskCall::ReadAt)?;
        let asked = state.moved(out.len());
        let contents = state.image.contents(file.0)?;
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(contents.len());
        let read = asked.min(contents.len() - from);
        out[..read].copy_from_slice(&contents[from..from + read]);
        state.flip_if_due(&mut out[..read]);
        Ok(read)
    }

    fn rename_noreplace(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step(DiskCall::RenameNoreplace)?;
        state.room_for_name()?;
        state.image.rename_noreplace(from, to)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.step(DiskCall::Unlink)?.image.unlink(path)
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        let mut state = self.step(DiskCall::MakeFolder)?;
        if state.image.find(path).is_err() {
            state.room_for_name()?;
        }
        state.image.make_folder(path)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.step(DiskCall::RemoveFolder)?.image.remove_folder(path)
    }

    fn flush_folder(&self, path: &str) -> io::Result<()> {
        let lose = |image: &mut Image| image.fail_flush_folder(path);
        self.flush_step(DiskCall::FlushFolder, lose)?
            .image
            .flush_folder(path)
    }

    fn list_folder(&self, path: &str) -> io::Result<Vec<String>> {
        self.step(DiskCall::ListFolder)?.image.list(path)
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let state = self.step(DiskCall::Stat)?;
        let node = state.image.find(path)?;
        let is_file = state.image.is_file(node);
        let len = if is_file {
            state.image.contents(node)?.len() as u64
        } else {
            0
        };
        let seconds = if is_file {
            state.image.modified(node)?
        } else {
            0
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Ok(FileStat {
            len,
            is_file,
            modified,
        })
    }

    fn space(&self) -> io::Result<Space> {
        Ok(self.step(DiskCall::Space)?.space())
    }

    fn draw(&self) -> io::Result<u64> {
        Ok(self.state.lock().random.number())
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        write!(f, "SimDisk(seed {}, step {})", state.seed, state.steps)
    }
}

/// The cause in every error of a disk without power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerLoss;

impl fmt::Display for PowerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated disk has no power")
    }
}

impl Error for PowerLoss {}

/// True if `error`, or what caused it, is a simulated power loss.
pub fn is_power_loss(error: &(dyn Error + 'static)) -> bool {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<PowerLoss>()) || error.source().is_some_and(is_power_loss)
}
