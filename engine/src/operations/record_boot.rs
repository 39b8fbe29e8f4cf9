//! Records what a machine did that was started from a snapshot.
//!
//! The snapshot is looked for once more when all is over: a start takes minutes, and what a prune has
//! let go meanwhile needs no proof. Deliberately absent: the machine, which is the command line's.

use crate::error::{ErrorKind, Result};
use crate::format::boot::Boot;
use crate::format::id::SessionId;
use crate::limits::BOOT_SERIAL_LEN_MAX;
use crate::operations::walk::refuse;
use crate::repository::{Repository, boots, snapshots};

/// How often it is tried again because another was quicker.
const ATTEMPTS_MAX: u32 = 16;

/// Stores a boot of a snapshot, forgotten or not, behind those that there are; durable afterwards. Of
/// the serial output only the last [`BOOT_SERIAL_LEN_MAX`] bytes are kept. Gives its number.
///
/// # Errors
/// If nothing was stored: there is no such snapshot, or no longer; the boot names no disk; or the
/// repository cannot be read or written.
pub fn record_boot(repository: &Repository, mut boot: Boot) -> Result<u32> {
    ensure_there(repository, boot.session)?;
    if boot.disks.is_empty() {
        let detail = "was started without a disk, which proves nothing";
        return Err(refuse(boot.session, ErrorKind::InvalidInput, detail));
    }
    let spare = boot.serial.len().saturating_sub(BOOT_SERIAL_LEN_MAX);
    boot.serial.drain(..spare);
    for _ in 0..ATTEMPTS_MAX {
        if let Some(number) = boots::put_boot(repository, &boot)? {
            return Ok(number);
        }
    }
    let detail = "others record boots of this snapshot all the time";
    Err(refuse(boot.session, ErrorKind::Busy, detail))
}

fn ensure_there(repository: &Repository, session: SessionId) -> Result<()> {
    let list = snapshots::list(repository)?;
    let mut all = list.snapshots.iter().chain(&list.forgotten);
    match all.any(|snapshot| snapshot.session == session) {
        true => Ok(()),
        false => {
            let detail = "there is no such snapshot, or no longer; nothing was recorded";
            Err(refuse(session, ErrorKind::NotFound, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::repository::boots::BootNumbers;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, SampleTree, sample_boot, small_frames};

    #[test]
    fn a_boot_of_a_snapshot_is_stored_with_the_end_of_its_output_and_one_of_none_is_not() {
        let backend = Arc::new(MemoryBackend::new());
        sample_repository::create(backend.clone());
        let repository = sample_repository::open(backend);
        let tree = SampleTree::random(1, 3);
        let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        let mut boot = sample_boot(snapshot.session);
        boot.serial = [vec![b'x'; BOOT_SERIAL_LEN_MAX], b"login:".to_vec()].concat();
        boot.said = boot.serial.len() as u64;
        assert_eq!(record_boot(&repository, boot.clone()).unwrap(), 0);
        assert_eq!(record_boot(&repository, boot.clone()).unwrap(), 1);
        let numbers = BootNumbers::list(&repository).unwrap();
        let all = numbers.read_all(&repository, snapshot.session).unwrap();
        assert_eq!(all.boots[0].1.serial.len(), BOOT_SERIAL_LEN_MAX);
        assert!(all.boots[0].1.serial.ends_with(b"xlogin:"));
        let of_none = record_boot(&repository, sample_boot(SessionId([9; 16])));
        assert_eq!(of_none.unwrap_err().kind(), ErrorKind::NotFound);
        boot.disks.clear();
        let without = record_boot(&repository, boot).unwrap_err();
        assert_eq!(without.kind(), ErrorKind::InvalidInput);
    }
}
