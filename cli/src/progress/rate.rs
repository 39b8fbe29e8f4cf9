//! How fast it goes: over the last seconds, since what was fast at first may be slow now.

use std::collections::VecDeque;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(500);

/// Where the count stood at moments of the last seconds, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Duration, u64)>);

impl Rate {
    /// Per second, with `count` at the moment `at`; moments ascend.
    pub(super) fn after(&mut self, at: Duration, count: u64) -> u64 {
        let last = self.0.back().map(|&(moment, _)| moment);
        if last.is_none_or(|last| at.saturating_sub(last) >= STEP) {
            self.0.push_back((at, count));
        }
        while self
            .0
            .get(1)
            .is_some_and(|&(second, _)| at.saturating_sub(second) >= WINDOW)
        {
            self.0.pop_front();
        }
        let (then, before) = self.0.front().copied().unwrap_or_default();
        let seconds = at.saturating_sub(then).as_secs_f64();
        if seconds < STEP.as_secs_f64() {
            return 0;
        }
        (count.saturating_sub(before) as f64 / seconds) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.after(Duration::ZERO, 0), 0);
        let fast = (1..=20)
            .map(|s| rate.after(Duration::from_secs(s), s * 1000))
            .last();
        assert_eq!(fast, Some(1000));
        let slow = (21..=40)
            .map(|s| rate.after(Duration::from_secs(s), 20_000 + s - 20))
            .last();
        assert_eq!(slow, Some(1));
    }
}
