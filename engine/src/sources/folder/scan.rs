//! Whether a file is still what the previous snapshot read: by its times, where they can be
//! trusted.
//!
//! A store through a memory map sets the times of a file when it dirties a page, and not again
//! until that page has been written back. So a scan has its file systems written back first, and
//! distrusts every file that changed after it had asked for that, or so shortly before that the
//! clock of the file system could not tell: such a file is *racy* and read again next time.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat, syncfs};

use crate::format::entry::Timestamp;
use crate::sources::folder::FolderSource;
use crate::sources::folder::file_system::FileSystem;
use crate::sources::folder::stat::{FileKind, Stat};

/// For file systems that were not written back on our behalf: longer than the kernel leaves a
/// page dirty by itself (30 s, looked at every 5 s).
const SLACK_NOT_SYNCED: Duration = Duration::from_secs(60);

/// When a scan began, and how far times near that moment can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanStart {
    at: Timestamp,
    device: u64,
    /// On `device`.
    slack: Duration,
}

/// What the previous snapshot knew of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Length, bytes.
    pub len: u64,
    /// Last modification of the content.
    pub mtime: Timestamp,
    /// Last change of content or metadata.
    pub ctime: Timestamp,
    /// Inode number.
    pub inode: u64,
    /// [`ScanStart::is_racy`] then.
    pub racy: bool,
}

/// What has to be equal for a file to pass as unchanged: by default everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeTest {
    /// For file systems that change ctime without reason. A change that puts mtime back then
    /// goes unseen, and so does one of metadata alone.
    pub ignore_ctime: bool,
    /// For network and FUSE file systems that number inodes anew at each mount.
    pub ignore_inode: bool,
}

impl FolderSource {
    /// Begins a scan: has the root's file system written back, as well as that works.
    ///
    /// The clock has to be read before this call, not after it: a file that changes while we wait
    /// for the disk may keep its dirty page, and has to count as changed during the scan.
    pub fn begin_scan(&self, now: Timestamp) -> ScanStart {
        let synced = self.open_root().and_then(|root| {
            syncfs(&root).ok()?;
            FileSystem::of(root.as_fd()).ok()
        });
        let slack = synced.map_or(SLACK_NOT_SYNCED, FileSystem::time_slack);
        ScanStart {
            at: now,
            device: self.device,
            slack,
        }
    }

    /// The root for calls about its file system; not for devices and pipes, which may do
    /// something when they are opened.
    fn open_root(&self) -> Option<OwnedFd> {
        let kind = self.stat(None, b"").ok()?.kind;
        if !matches!(kind, FileKind::File | FileKind::Folder) {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.parent, self.name.as_slice(), flags, Mode::empty()).ok()
    }
}

impl ScanStart {
    /// True if the times of an object cannot tell whether it changes again from now on.
    pub fn is_racy(&self, stat: &Stat) -> bool {
        let slack = if stat.device == self.device {
            self.slack
        } else {
            SLACK_NOT_SYNCED
        };
        stat.mtime.max(stat.ctime) >= before(self.at, slack)
    }
}

impl ChangeTest {
    /// True if the content of a regular file can be taken from the previous snapshot.
    pub fn is_unchanged(&self, stat: &Stat, known: &Known) -> bool {
        !known.racy
            && stat.kind == FileKind::File
            && stat.len == known.len
            && stat.mtime == known.mtime
            && (self.ignore_ctime || stat.ctime == known.ctime)
            && (self.ignore_inode || stat.inode == known.inode)
    }
}

/// `time` minus `slack`.
fn before(time: Timestamp, slack: Duration) -> Timestamp {
    let borrow = time.nanoseconds < slack.subsec_nanos();
    let nanoseconds = time.nanoseconds + if borrow { 1_000_000_000 } else { 0 };
    let seconds = i64::try_from(slack.as_secs()).unwrap_or(i64::MAX);
    Timestamp {
        seconds: time
            .seconds
            .saturating_sub(seconds)
            .saturating_sub(i64::from(borrow)),
        nanoseconds: nanoseconds - slack.subsec_nanos(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::entry::DeviceNumber;

    fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp {
            seconds,
            nanoseconds,
        }
    }

    fn file(mtime: Timestamp, ctime: Timestamp) -> Stat {
        Stat {
            kind: FileKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            len: 5,
            blocks: 8,
            mtime,
            ctime,
            inode: 7,
            device: 1,
            link_count: 1,
            rdev: DeviceNumber { major: 0, minor: 0 },
        }
    }

    fn known(stat: &Stat) -> Known {
        let &Stat {
            len,
            mtime,
            ctime,
            inode,
            ..
        } = stat;
        Known {
            len,
            mtime,
            ctime,
            inode,
            racy: false,
        }
    }

    #[test]
    fn a_file_is_racy_from_the_slack_before_the_scan_on() {
        let scan = ScanStart {
            at: time(100, 10_000_000),
            device: 1,
            slack: Duration::from_millis(20),
        };
        let old = time(1, 0);
        let table = [
            (time(99, 989_999_999), false),
            (time(99, 990_000_000), true),
            (time(100, 10_000_000), true),
            (time(5_000, 0), true),
            (time(-5, 0), false),
        ];
        for (changed, expected) in table {
            assert_eq!(
                scan.is_racy(&file(changed, old)),
                expected,
                "mtime {changed:?}"
            );
            assert_eq!(
                scan.is_racy(&file(old, changed)),
                expected,
                "ctime {changed:?}"
            );
        }
    }

    #[test]
    fn a_file_on_a_file_system_that_was_not_written_back_is_racy_for_longer() {
        let scan = ScanStart {
            at: time(100, 0),
            device: 2,
            slack: Duration::from_millis(20),
        };
        assert!(scan.is_racy(&file(time(40, 0), time(0, 0))));
        assert!(!scan.is_racy(&file(time(39, 999_999_999), time(0, 0))));
    }

    #[test]
    fn the_subtraction_borrows_and_saturates() {
        assert_eq!(
            before(time(0, 0), Duration::from_nanos(1)),
            time(-1, 999_999_999)
        );
        assert_eq!(before(time(5, 7), Duration::from_secs(2)), time(3, 7));
        assert_eq!(before(time(i64::MIN, 0), Duration::MAX).seconds, i64::MIN);
    }

    #[test]
    fn a_file_is_unchanged_only_if_everything_is_equal_and_was_not_racy() {
        let stat = file(time(1, 2), time(3, 4));
        let same = known(&stat);
        let strict = ChangeTest::default();
        assert!(strict.is_unchanged(&stat, &same));
        for different in [
            Known { len: 6, ..same },
            Known {
                mtime: time(1, 3),
                ..same
            },
            Known {
                ctime: time(3, 5),
                ..same
            },
            Known { inode: 8, ..same },
            Known { racy: true, ..same },
        ] {
            assert!(!strict.is_unchanged(&stat, &different), "{different:?}");
        }
        assert!(!strict.is_unchanged(
            &Stat {
                kind: FileKind::Symlink,
                ..stat
            },
            &same
        ));
    }

    #[test]
    fn ctime_and_inode_are_ignored_on_request_and_racy_never() {
        let stat = file(time(1, 2), time(3, 4));
        let moved = Known {
            ctime: time(9, 9),
            inode: 9,
            ..known(&stat)
        };
        let lenient = ChangeTest {
            ignore_ctime: true,
            ignore_inode: true,
        };
        assert!(lenient.is_unchanged(&stat, &moved));
        assert!(
            !ChangeTest {
                ignore_ctime: true,
                ..ChangeTest::default()
            }
            .is_unchanged(&stat, &moved)
        );
        assert!(
            !ChangeTest {
                ignore_inode: true,
                ..ChangeTest::default()
            }
            .is_unchanged(&stat, &moved)
        );
        assert!(!lenient.is_unchanged(
            &stat,
            &Known {
                racy: true,
                ..moved
            }
        ));
    }
}
