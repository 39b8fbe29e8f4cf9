//! Holding a file system still for the instant of a snapshot, never for longer than permitted.
//!
//! Freezing and thawing are done by a helper process, a few lines of shell around `fsfreeze`, that
//! hangs on a socket: it thaws when we ask for it, when its time is up, and when the other end of
//! the socket closes, which the kernel does if we die in any way. The watchdog thus exists before
//! there is anything to thaw; and nothing is forked from a process with threads but by the
//! standard library. Signals that a terminal sends to us do not reach the helper. If someone kills
//! the helper itself, [`Frozen`] thaws instead; only killing both leaves the file system frozen,
//! until someone calls `fsfreeze --unfreeze`.
//!
//! Deliberately absent: the decision when to freeze, and freezing of what this program needs.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::system::{self, DeviceId, Mount, System};

/// The helper: `$1` is the mount point, `$2` the seconds it may be frozen.
///
/// Nothing that a terminal or a closed socket causes may end it before it has thawed.
const HELPER: &str = r#"
trap '' HUP INT QUIT TERM PIPE
fsfreeze --freeze "$1" || exit 3
echo frozen
timeout -s KILL "$2" cat >/dev/null
waited=$?
fsfreeze --unfreeze "$1" || exit 4
[ "$waited" = 0 ] || exit 5
"#;

/// Exit codes of the helper.
const THAW_FAILED: i32 = 4;
const TIME_WAS_UP: i32 = 5;

/// Where the helper finds its tools: not where a user's environment says.
const TOOL_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How long thawing may take before we go on without the helper.
const THAW_PATIENCE: Duration = Duration::from_secs(30);
/// Most that is read of what the helper says.
const SAID_LEN_MAX: u64 = 1000;
/// How many file systems may stand on each other's files.
const STACK_DEPTH_LIMIT: usize = 16;

/// How a file system is frozen.
#[derive(Clone, Debug)]
pub struct FreezeOptions {
    /// The longest time; whole seconds, at least one.
    pub limit: Duration,
    /// What this program writes to, or cannot do without: repository, cache, log, temporary folder,
    /// its executable. Freezing is refused if one of them lies on the file system. They need not
    /// exist.
    pub needed: Vec<PathBuf>,
}

impl FreezeOptions {
    /// At most half a minute.
    pub fn new(needed: Vec<PathBuf>) -> Self {
        Self {
            limit: Duration::from_secs(30),
            needed,
        }
    }
}

/// A frozen file system; it is thawed when this is dropped.
#[derive(Debug)]
pub struct Frozen {
    mount_point: PathBuf,
    limit: Duration,
    since: Instant,
    helper: Option<Helper>,
}

#[derive(Debug)]
struct Helper {
    child: Child,
    line: BufReader<UnixStream>,
}

impl Frozen {
    /// Freezes the file system that is mounted at `mount_point`: what was written is on the medium,
    /// and who writes waits. Needs root.
    ///
    /// `InvalidInput` if something that is needed lies on it, `Io` with what the kernel said if it
    /// cannot be frozen or is frozen already.
    pub fn begin(mount_point: &Path, options: &FreezeOptions) -> Result<Self> {
        let place = || Place::Path(mount_point.to_owned());
        let failed = |what: &str, error| Error::io(place(), what, error);
        let path = mount_point
            .canonicalize()
            .map_err(|e| failed("freezing it", e))?;
        check_needed(&System::real(), &path, options)?;
        let limit = Duration::from_secs(options.limit.as_secs().max(1));
        let mut helper =
            Helper::start(&path, limit).map_err(|e| failed("starting sh to freeze it", e))?;
        let said = helper.listen(limit).map_err(|e| failed("freezing it", e))?;
        if said.trim() != "frozen" {
            // Whoever froze it before has to thaw it: it is left as it is.
            helper.end();
            let said: String = said.chars().filter(|c| !c.is_control()).collect();
            let said = if said.is_empty() {
                "it gave no reason"
            } else {
                &said
            };
            let detail = format!("cannot be frozen: {said}");
            return Err(Error::new(ErrorKind::Io, place(), detail));
        }
        Ok(Self {
            mount_point: path,
            limit,
            since: Instant::now(),
            helper: Some(helper),
        })
    }

    /// Thaws, and tells how long the file system was frozen.
    ///
    /// An error means that it was not frozen for the whole time: the time was up, or someone else
    /// thawed it. What was read may then mix several instants.
    pub fn thaw(mut self) -> Result<Duration> {
        self.finish()?;
        Ok(self.since.elapsed())
    }

    fn finish(&mut self) -> Result<()> {
        let Some(helper) = self.helper.take() else {
            return Ok(());
        };
        let refuse = |kind, detail| {
            Err(Error::new(
                kind,
                Place::Path(self.mount_point.clone()),
                detail,
            ))
        };
        let (status, said) = helper.end();
        match status.and_then(|status| status.code()) {
            Some(0) => Ok(()),
            Some(TIME_WAS_UP) => {
                let seconds = self.limit.as_secs();
                let detail =
                    format!("was frozen for the permitted {seconds} s and thawed too early");
                refuse(ErrorKind::Busy, detail)
            }
            Some(THAW_FAILED) => refuse(
                ErrorKind::Busy,
                format!("was thawed by someone else: {}", said.trim()),
            ),
            _ => {
                let detail = match thaw_directly(&self.mount_point) {
                    Ok(status) if status.success() => "was thawed without its watchdog, which died",
                    _ => "may still be frozen, its watchdog died: call fsfreeze --unfreeze",
                };
                refuse(ErrorKind::Io, detail.to_owned())
            }
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // The error says that it was thawed too early; who wants to know calls `thaw`.
        let _ = self.finish();
    }
}

impl Helper {
    fn start(mount_point: &Path, limit: Duration) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let [input, output, errors] = [theirs.try_clone()?, theirs.try_clone()?, theirs];
        let mut command = tool("sh");
        command.args(["-c", HELPER, "sh"]).arg(mount_point);
        command.arg(limit.as_secs().to_string());
        command.stdin(OwnedFd::from(input));
        command.stdout(OwnedFd::from(output));
        command.stderr(OwnedFd::from(errors));
        let child = command.process_group(0).spawn()?;
        Ok(Self {
            child,
            line: BufReader::new(ours),
        })
    }

    /// The first line that the helper says, within `limit`; without one it must not freeze any more.
    fn listen(&mut self, limit: Duration) -> io::Result<String> {
        self.line.get_ref().set_read_timeout(Some(limit))?;
        let mut said = String::new();
        match (&mut self.line).take(SAID_LEN_MAX).read_line(&mut said) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The kernel is still at it. The helper thaws as soon as it gets the word.
                self.line.get_ref().shutdown(Shutdown::Both)?;
                let detail = format!("it did not come to rest within {} s", limit.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, detail))
            }
            Err(error) => Err(error),
            Ok(_) => Ok(said),
        }
    }

    /// Lets the helper thaw and end: how it ended, if it did, and what it said.
    fn end(mut self) -> (Option<ExitStatus>, String) {
        let socket = self.line.get_ref();
        // A helper that is gone has closed its end; its status tells the rest.
        let _ = socket.shutdown(Shutdown::Write);
        let _ = socket.set_read_timeout(Some(THAW_PATIENCE));
        let mut said = Vec::new();
        let read = self.line.take(SAID_LEN_MAX).read_to_end(&mut said);
        let status = match read {
            Ok(_) => self.child.wait().ok(),
            Err(_) => self.child.try_wait().ok().flatten(),
        };
        let said = String::from_utf8_lossy(&said).into_owned();
        (status, said.chars().filter(|c| !c.is_control()).collect())
    }
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", TOOL_PATH)
        .env("LC_ALL", "C");
    command.current_dir("/");
    command
}

fn thaw_directly(mount_point: &Path) -> io::Result<ExitStatus> {
    tool("fsfreeze").arg("--unfreeze").arg(mount_point).status()
}

/// Refuses to freeze what something that is needed lies on, directly or through images, overlays
/// and mapped devices; swap files are always needed.
fn check_needed(system: &System, path: &Path, options: &FreezeOptions) -> Result<()> {
    let place = || Place::Path(path.to_owned());
    let failed = |error| Error::io(place(), "asking what lies on it", error);
    let mounts = system.mounts().map_err(failed)?;
    let swaps = system.swaps().map_err(failed)?;
    let frozen = mount_of(&mounts, path).map_err(failed)?.device;
    for needed in options.needed.iter().chain(&swaps) {
        let mut below = BTreeSet::new();
        stack_below(system, &mounts, needed, &mut below, 0).map_err(failed)?;
        if below.contains(&frozen) {
            let needed = needed.display();
            let detail = format!("must not be frozen: {needed} lies on it and is needed");
            return Err(Error::new(ErrorKind::InvalidInput, place(), detail));
        }
    }
    Ok(())
}

/// Adds every file system and device that `path`, or the folder it would be made in, stands on.
fn stack_below(
    system: &System,
    mounts: &[Mount],
    path: &Path,
    below: &mut BTreeSet<DeviceId>,
    depth: usize,
) -> io::Result<()> {
    if depth > STACK_DEPTH_LIMIT {
        return Err(io::Error::other(
            "file systems stand on each other too often",
        ));
    }
    let absolute = std::path::absolute(path)?;
    let existing = absolute.ancestors().find(|path| path.exists());
    let mount = mount_of(mounts, existing.unwrap_or(Path::new("/")))?;
    let mut todo: Vec<_> = mount.sources().chain([mount.device]).collect();
    let mut files = Vec::from_iter(mount.upper.clone());
    while let Some(device) = todo.pop() {
        if below.insert(device) {
            todo.extend(system.below(device));
            files.extend(system.backing_file(device));
        }
    }
    for file in files {
        stack_below(system, mounts, &file, below, depth + 1)?;
    }
    Ok(())
}

/// The mount that an existing path lies on.
fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> io::Result<&'a Mount> {
    system::mount_of(mounts, path)?.ok_or_else(|| {
        let detail = format!("cannot tell which file system {} lies on", path.display());
        io::Error::other(detail)
    })
}

#[cfg(test)]
mod tests;
