//! Whether a process of this machine is there.

use rustix::process::{Pid, test_kill_process};

/// True if a process of this number is there, whatever it is by now; in doubt too.
pub(crate) fn is_alive(number: u32) -> bool {
    let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else {
        return false;
    };
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_beyond_all_numbers_is_not() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(0));
        assert!(!is_alive(u32::MAX));
        assert!(!is_alive(i32::MAX as u32), "numbers end far below");
    }
}
