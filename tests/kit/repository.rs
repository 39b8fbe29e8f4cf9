//! A repository as a user has it: a folder, a password, and a program to run on them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::kit::cli;
use crate::kit::cli::Outcome;
use crate::kit::workspace::Workspace;

/// The password of every repository here.
pub const PASSWORD: &str = "correct horse";

/// A guess at the password costs next to nothing: the tests open repositories all the time.
const CHEAP_KEYS: [&str; 4] = ["--argon2-memory", "64", "--argon2-passes", "1"];

/// `nobody`, who owns nothing.
pub const NOBODY: u32 = 65_534;

/// A repository, or a place where one could be.
#[derive(Clone, Debug)]
pub struct TestRepository {
    path: PathBuf,
    password: OsString,
    /// The program, and what has to stand before it.
    launcher: Vec<OsString>,
}

/// What `snapshot` printed.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The snapshot, as other commands take it.
    pub id: String,
    /// Id of the root page: equal if and only if the content is.
    pub root: String,
    /// All that was printed.
    pub json: Value,
}

impl TestRepository {
    /// A new repository in the workspace.
    pub fn init(workspace: &Workspace) -> Self {
        Self::init_at(&workspace.join("repository"))
    }

    /// A new repository there.
    pub fn init_at(path: &Path) -> Self {
        let repository = Self::at(path);
        repository.run_init().expect_code(0);
        repository
    }

    /// What may or may not be a repository.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            password: PASSWORD.into(),
            launcher: vec![cli::blockstore().into()],
        }
    }

    /// Runs `init`.
    pub fn run_init(&self) -> Outcome {
        let words = CHEAP_KEYS.each_ref().map(|word| word as &dyn AsRef<OsStr>);
        self.run("init", &words)
    }

    /// The same repository with another password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = password.into();
        self
    }

    /// The same repository for a program that runs as `nobody`; root only. The program is copied
    /// to the workspace, because its own folder may be closed to others.
    #[must_use]
    pub fn as_nobody(mut self, workspace: &Workspace) -> Self {
        let program = workspace.join("blockstore");
        std::fs::copy(cli::blockstore(), &program).expect("the program can be copied");
        let id = NOBODY.to_string();
        let words = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
        self.launcher = words.map(OsString::from).to_vec();
        self.launcher.push(program.into());
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that is ready to run. It inherits no environment but the search path, so that no
    /// setting of the tester decides.
    pub fn command(&self, verb: &str, words: &[&dyn AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.launcher[0]);
        command.args(&self.launcher[1..]);
        command.args(["--json", "--repo"]).arg(&self.path).arg(verb);
        command.args(words.iter().map(|word| word.as_ref()));
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("BLOCKSTORE_PASSWORD", &self.password);
        command.env("XDG_CACHE_HOME", self.path.with_extension("caches"));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `verb` with `words` after it.
    pub fn run(&self, verb: &str, words: &[&dyn AsRef<OsStr>]) -> Outcome {
        let output = self.command(verb, words).output();
        Outcome::of(&output.expect("the program can be run"))
    }

    /// A snapshot that has to go well.
    #[track_caller]
    pub fn snapshot(&self, words: &[&dyn AsRef<OsStr>]) -> Taken {
        Taken::of(&self.run("snapshot", words).expect_code(0))
    }

    /// Runs `restore`; the location is `SNAP` or `SNAP:PATH`.
    pub fn restore(&self, location: &dyn AsRef<OsStr>, target: &Path) -> Outcome {
        self.run("restore", &[location, &"--target", &target])
    }

    /// Names and lengths of the packs: a run that adds none has stored nothing.
    pub fn packs(&self) -> BTreeMap<PathBuf, u64> {
        let mut packs = BTreeMap::new();
        for session in entries(&self.path.join("packs")) {
            for pack in entries(&session) {
                let len = pack.metadata().map_or(0, |metadata| metadata.len());
                packs.insert(pack, len);
            }
        }
        packs
    }
}

impl Taken {
    /// From the output of a run that took a snapshot.
    #[track_caller]
    pub fn of(outcome: &Outcome) -> Self {
        let json = outcome.json();
        let text = |key: &str| match json[key].as_str() {
            Some(text) => text.to_owned(),
            None => String::new(),
        };
        let (id, root) = (text("snapshot"), text("root"));
        assert!(!id.is_empty(), "no snapshot in {json}");
        Self { id, root, json }
    }

    /// A number of the result.
    #[track_caller]
    pub fn number(&self, key: &str) -> u64 {
        let number = self.json[key].as_u64();
        number.unwrap_or_else(|| panic!("no number {key:?} in {}", self.json))
    }

    /// `SNAP:PATH`.
    pub fn below(&self, path: impl AsRef<OsStr>) -> OsString {
        let mut location = OsString::from(format!("{}:", self.id));
        location.push(path);
        location
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
