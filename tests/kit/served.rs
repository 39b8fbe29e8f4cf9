//! The program under test as a server of disks.

use std::ffi::OsStr;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;

use crate::kit::cli::Outcome;
use crate::kit::process::peak_memory_kib;
use crate::kit::repository::TestRepository;

/// `blockstore serve nbd` on a socket; killed when dropped.
#[derive(Debug)]
pub struct Served {
    process: Child,
    stdout: BufReader<ChildStdout>,
    socket: PathBuf,
    /// What it said once clients could connect.
    pub listening: Value,
}

impl Served {
    /// Starts it with these words; it listens when this returns.
    ///
    /// # Errors
    /// What came of it, if it ends before it listens.
    pub fn start(
        repository: &TestRepository,
        socket: &Path,
        words: &[&dyn AsRef<OsStr>],
    ) -> Result<Self, Outcome> {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"nbd", &"--socket", &socket];
        all.extend(words);
        let spawned = repository.command("serve", &all).spawn();
        let mut process = spawned.expect("the program can be run");
        let stdout = process.stdout.take().expect("it is a pipe");
        let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
        stdout.read_line(&mut line).expect("it can be read");
        match serde_json::from_str(&line) {
            Ok(listening) => Ok(Self {
                process,
                stdout,
                socket: socket.to_owned(),
                listening,
            }),
            Err(_) => {
                let output = process.wait_with_output();
                Err(Outcome::of(&output.expect("the program can be run")))
            }
        }
    }

    /// Where an export is found.
    pub fn url(&self, export: &str) -> String {
        format!("nbd+unix:///{export}?socket={}", self.socket.display())
    }

    /// Number of its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Most memory that it had so far, bytes.
    pub fn memory(&self) -> u64 {
        peak_memory_kib(self.process()).expect("it runs") * 1024
    }

    /// Asks it to end, as a service manager does; gives what came of it.
    pub fn end(mut self) -> Outcome {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it is ours");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("text");
        if let Some(mut pipe) = self.process.stderr.take() {
            pipe.read_to_string(&mut stderr).expect("text");
        }
        let status = self.process.wait().expect("it is ours");
        Outcome {
            code: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}
