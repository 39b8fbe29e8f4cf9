//! The only place that reads the environment, the machine and the clock.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use blockstore::format::entry::Timestamp;
use blockstore::targets::folder::OwnerNames;
use jiff::tz::TimeZone;
use rustix::process::{Resource, Rlimit};

/// Environment variables that mean something here; an empty one counts as not set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `BLOCKSTORE_REPO`
    pub(crate) repo: Option<PathBuf>,
    /// `BLOCKSTORE_PASSWORD`
    pub(crate) password: Option<OsString>,
    /// `BLOCKSTORE_PASSWORD_FILE`
    pub(crate) password_file: Option<PathBuf>,
    /// `BLOCKSTORE_PASSWORD_COMMAND`
    pub(crate) password_command: Option<OsString>,
    /// `BLOCKSTORE_KEY_FILE`
    pub(crate) key_file: Option<PathBuf>,
    /// `BLOCKSTORE_CACHE_DIR`
    pub(crate) cache: Option<PathBuf>,
    /// Where temporary files belong.
    pub(crate) temporary: PathBuf,
    /// Where caches of this user lie, by `XDG_CACHE_HOME` or `HOME`.
    pub(crate) user_caches: Option<PathBuf>,
    /// True of a process that was started to go on in the background.
    pub(crate) is_in_background: bool,
}

/// Tells a process that it is to go on in the background.
const IN_BACKGROUND: &str = "BLOCKSTORE_IN_BACKGROUND";

impl Environment {
    pub(crate) fn read() -> Self {
        let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            repo: read("BLOCKSTORE_REPO").map(PathBuf::from),
            password: read("BLOCKSTORE_PASSWORD"),
            password_file: read("BLOCKSTORE_PASSWORD_FILE").map(PathBuf::from),
            password_command: read("BLOCKSTORE_PASSWORD_COMMAND"),
            key_file: read("BLOCKSTORE_KEY_FILE").map(PathBuf::from),
            cache: read("BLOCKSTORE_CACHE_DIR").map(PathBuf::from),
            temporary: std::env::temp_dir(),
            user_caches: read("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(read("HOME")?).join(".cache")))
                .filter(|path| path.is_absolute()),
            is_in_background: read(IN_BACKGROUND).is_some(),
        }
    }
}

/// This command line again, to go on in the background.
pub(crate) fn this_command() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(std::env::args_os().skip(1))
        .env(IN_BACKGROUND, "1");
    Ok(command)
}

/// Name of this machine.
pub(crate) fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Name of the user, or the number where the environment has no name.
pub(crate) fn user() -> String {
    let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let number = || rustix::process::geteuid().as_raw().to_string();
    name("USER")
        .or_else(|| name("LOGNAME"))
        .unwrap_or_else(number)
}

/// True if this process may change owners and make devices.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Users and groups of this host, as its files name them.
pub(crate) fn owner_names() -> OwnerNames {
    let read = |path| std::fs::read(path).unwrap_or_default();
    OwnerNames::parse(&read("/etc/passwd"), &read("/etc/group"))
}

/// The files that standard output and standard error go to, where they are files.
pub(crate) fn output_files() -> Vec<PathBuf> {
    let links = ["/proc/self/fd/1", "/proc/self/fd/2"].into_iter();
    let targets = links.filter_map(|link| std::fs::read_link(link).ok());
    targets.filter(|path| path.is_file()).collect()
}

/// True if what is told on standard error is kept in a file.
pub(crate) fn stderr_is_a_file() -> bool {
    let told = std::fs::metadata("/proc/self/fd/2");
    told.is_ok_and(|told| told.is_file())
}

/// One per processor that this process may use.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The present.
pub(crate) fn now() -> Timestamp {
    timestamp_of(SystemTime::now())
}

/// Seconds by which the clocks of this machine are ahead of UTC at that time.
pub(crate) fn zone_offset(time: Timestamp) -> i32 {
    let instant = jiff::Timestamp::from_second(time.seconds).unwrap_or_default();
    TimeZone::system().to_offset(instant).seconds()
}

/// A date and clock of this machine as a point in time.
pub(crate) fn time_of_local(local: jiff::civil::DateTime) -> Option<Timestamp> {
    let zoned = local.to_zoned(TimeZone::system()).ok()?;
    Some(timestamp_of(zoned.timestamp().into()))
}

/// The same of any time of the system.
pub(crate) fn timestamp_of(time: SystemTime) -> Timestamp {
    let parts = |d: Duration| {
        (
            i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            d.subsec_nanos(),
        )
    };
    let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => parts(since),
        Err(before) => match parts(before.duration()) {
            (seconds, 0) => (-seconds, 0),
            (seconds, nanoseconds) => (-seconds - 1, 1_000_000_000 - nanoseconds),
        },
    };
    Timestamp {
        seconds,
        nanoseconds,
    }
}

/// Restores and walks hold many folders open: takes all that the system grants. A failure only
/// means that the old limit stays.
pub(crate) fn raise_open_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_count_forward_before_1970_too() {
        let at = |time| {
            let Timestamp {
                seconds,
                nanoseconds,
            } = timestamp_of(time);
            (seconds, nanoseconds)
        };
        assert_eq!(
            at(UNIX_EPOCH + Duration::from_millis(1_500)),
            (1, 500_000_000)
        );
        assert_eq!(
            at(UNIX_EPOCH - Duration::from_millis(1_500)),
            (-2, 500_000_000)
        );
        assert_eq!(at(UNIX_EPOCH - Duration::from_secs(1)), (-1, 0));
    }
}
