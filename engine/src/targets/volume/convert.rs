//! Other image formats, by `qemu-img` as a child process.
//!
//! The child reads raw bytes, named as such, from a temporary file of ours, so that nothing in the
//! volume can pass for an image with a backing file. Deliberately absent: formats of our own.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::limits::KIB;
use crate::targets::volume::refused;

/// Words of the child that are kept for an error.
const COMPLAINT_LEN_MAX: usize = 4 * KIB;
/// How often the child is looked after.
const PAUSE: Duration = Duration::from_millis(20);

/// A format that `qemu-img` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// QEMU.
    Qcow2,
    /// Hyper-V, dynamic.
    Vhdx,
    /// VMware, sparse, in one file.
    Vmdk,
    /// Virtual PC and Hyper-V, dynamic.
    VhdDynamic,
}

impl ImageFormat {
    /// What `qemu-img` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::VhdDynamic => "vpc",
        }
    }

    /// What has to be said beside the name.
    fn options(self) -> &'static str {
        match self {
            Self::Qcow2 => "compat=1.1",
            Self::Vhdx => "subformat=dynamic",
            Self::Vmdk => "subformat=monolithicSparse",
            // Or the size would be rounded up to what the geometry can say.
            Self::VhdDynamic => "subformat=dynamic,force_size=on",
        }
    }
}

/// Runs one `qemu-img`.
#[derive(Clone, Copy)]
pub struct Converter<'c> {
    /// The program; a bare name is looked for where the system looks.
    pub program: &'c Path,
    /// Asked often; the child is ended once it says so.
    pub is_cancelled: &'c dyn Fn() -> bool,
}

impl Converter<'_> {
    /// Asks the program for its version: better before hours of work than after.
    ///
    /// # Errors
    /// `NotFound` if there is no such program.
    pub fn probe(&self) -> Result<()> {
        let mut command = Command::new(self.program);
        self.run(command.arg("--version"), "ask for its version")
    }

    /// Writes the raw bytes of `from` to `to`, which is made. Both must be absolute.
    pub fn convert(&self, from: &Path, to: &Path, format: ImageFormat) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(["convert", "-f", "raw", "-O", format.name()]);
        command.args(["-o", format.options()]);
        self.run(command.arg(from).arg(to), "convert")
    }

    /// Has the program find the image `to` the same as the raw bytes of `from`.
    pub fn compare(&self, from: &Path, to: &Path, format: ImageFormat) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(["compare", "-f", "raw", "-F", format.name()]);
        self.run(
            command.arg(from).arg(to),
            "compare the image with the volume",
        )
    }

    fn run(&self, command: &mut Command, what: &str) -> Result<()> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let detail = "is not installed, and this format needs it; install qemu-utils, or \
                              export a fixed VHD";
                refused(ErrorKind::NotFound, self.program, detail)
            }
            _ => self.failed("start", error),
        })?;
        let outcome = self.wait(&mut child);
        if outcome.is_err() {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
        match outcome? {
            (true, _) => Ok(()),
            (false, complaint) => {
                let complaint = String::from_utf8_lossy(&complaint);
                let detail = format!("could not {what}: {}", one_line(&complaint));
                Err(refused(ErrorKind::Io, self.program, detail))
            }
        }
    }

    /// Waits for the end; gives success and the complaint.
    fn wait(&self, child: &mut Child) -> Result<(bool, Vec<u8>)> {
        let mut pipe = child.stderr.take();
        if let Some(pipe) = &pipe {
            rustix::fs::fcntl_setfl(pipe.as_fd(), OFlags::NONBLOCK)
                .map_err(|errno| self.failed("listen to it", errno.into()))?;
        }
        let mut complaint = Vec::new();
        loop {
            if (self.is_cancelled)() {
                let detail = "stopped on request";
                return Err(refused(ErrorKind::Cancelled, self.program, detail));
            }
            let ended = child
                .try_wait()
                .map_err(|error| self.failed("wait for it", error))?;
            if let Some(pipe) = &mut pipe {
                listen(pipe, &mut complaint);
            }
            if let Some(status) = ended {
                return Ok((status.success(), complaint));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::io(Place::Path(self.program.to_owned()), what, error)
    }
}

/// Takes what the child has said so far; keeps the beginning.
fn listen(pipe: &mut impl Read, complaint: &mut Vec<u8>) {
    let mut words = [0; KIB];
    // The end, nothing yet and a broken pipe are all the same here: nothing more for now.
    while let Ok(count @ 1..) = pipe.read(&mut words) {
        let room = COMPLAINT_LEN_MAX.saturating_sub(complaint.len());
        complaint.extend_from_slice(&words[..count.min(room)]);
    }
}

/// The first lines as one.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converter<'c>(program: &'c Path, is_cancelled: &'c dyn Fn() -> bool) -> Converter<'c> {
        Converter {
            program,
            is_cancelled,
        }
    }

    #[test]
    fn a_missing_program_says_what_to_install() {
        let program = Path::new("/nowhere/qemu-img");
        let error = converter(program, &|| false).probe().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("qemu-utils"), "{error}");
    }

    #[test]
    fn a_child_that_fails_is_quoted_and_one_that_talks_much_is_cut() {
        let sh = Path::new("/bin/sh");
        let script = "i=0; while [ $i -lt 3000 ]; do echo \"words  $i\nwords\" >&2; i=$((i+1)); done; \
                      exit 3";
        let mut command = Command::new(sh);
        let failed = converter(sh, &|| false).run(command.args(["-c", script]), "speak");
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("could not speak: words 0 words"), "{text}");
        assert!(text.len() < 2 * COMPLAINT_LEN_MAX && !text.contains('\n'));
    }

    #[test]
    fn a_child_is_ended_with_the_operation() {
        let sh = Path::new("/bin/sh");
        let mut command = Command::new(sh);
        let sleep = command.args(["-c", "exec sleep 1000"]);
        let error = converter(sh, &|| true).run(sleep, "sleep").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
