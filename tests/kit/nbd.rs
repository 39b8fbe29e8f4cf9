//! Servers of volumes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::kit::tool::installed;
use crate::kit::workspace::Workspace;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// An `nbdkit` that runs; ended when dropped.
#[derive(Debug)]
pub struct NbdServer {
    process: Child,
    socket: PathBuf,
    /// There once it takes connections, which is after its socket.
    ready: PathBuf,
}

impl NbdServer {
    /// Starts `nbdkit` with these words, on a socket in the workspace; nothing, and a line that
    /// says so, where it is missing.
    pub fn start(workspace: &Workspace, name: &str, words: &[&dyn AsRef<OsStr>]) -> Option<Self> {
        installed("nbdkit")?;
        let socket = workspace.join(&format!("{name}.socket"));
        let ready = workspace.join(&format!("{name}.pid"));
        let process = Command::new("nbdkit")
            .args(["--foreground", "--exit-with-parent", "--readonly", "--unix"])
            .arg(&socket)
            .arg("--pidfile")
            .arg(&ready)
            .args(words.iter().map(|word| word.as_ref()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.expect("nbdkit can be run");
        let server = Self {
            process,
            socket,
            ready,
        };
        let began = Instant::now();
        while !server.ready.exists() {
            assert!(began.elapsed() < PATIENCE, "nbdkit does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(server)
    }

    /// What it serves.
    pub fn url(&self) -> String {
        format!("nbd+unix:///?socket={}", self.socket.display())
    }
}

impl Drop for NbdServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(&self.ready);
    }
}
