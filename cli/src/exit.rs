//! How it ends: failures, and the exit code of each.

use std::io;
use std::process::ExitCode;

use blockstore::error::{Error, ErrorKind, Place};

use crate::output::Output;
use crate::render::escape;
use crate::render::json::ErrorReport;

/// Exit codes, as the help and JSON.md list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Problems = 3,
    Damage = 4,
    NoRepository = 10,
    Busy = 11,
    WrongKey = 12,
    Interrupted = 130,
}

/// How a command came out that has a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it was asked for.
    Done,
    /// Something was skipped or damaged; all of it was listed.
    Problems,
    /// A check found damage.
    Damage,
}

impl Outcome {
    /// By a count of problems.
    pub(crate) fn of_problems(count: u64) -> Self {
        if count == 0 {
            Self::Done
        } else {
            Self::Problems
        }
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine said so.
    Engine(Error),
    /// The folder of the repository could not be opened.
    Open(Error),
    /// What was asked for makes no sense, as only the command could see.
    Usage(String),
    /// Something of this process failed, outside the engine: where and what, and why.
    Local(String, io::Error),
    /// The result could not be written.
    Output(io::Error),
    /// Another process has told why, and ended with this code.
    Told(u8),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// Ends: says what went wrong, and gives the code.
pub(crate) fn finish(output: &Output, result: Result<Outcome, Failure>) -> ExitCode {
    let result = result.and_then(|outcome| output.flush().map(|()| outcome));
    let code = match result {
        // Whoever read our output has seen enough: that is success, as for every filter.
        _ if output.reader_is_gone() => Code::Done,
        Ok(Outcome::Done) => Code::Done,
        Ok(Outcome::Problems) => Code::Problems,
        Ok(Outcome::Damage) => Code::Damage,
        Err(Failure::Told(code)) => return ExitCode::from(code),
        Err(failure) => {
            output.failure(&failure.report());
            failure.code()
        }
    };
    ExitCode::from(code as u8)
}

/// Ends before there was a command to run: help, version, or wrong usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let is_wrong = error.use_stderr();
    if is_wrong && std::env::args_os().any(|word| word == "--json") {
        let rendered = error.render().to_string();
        let message = rendered.trim_start_matches("error: ").lines().next();
        let report = ErrorReport {
            error: message.unwrap_or_default().to_owned(),
            kind: "usage",
            exit_code: Code::Usage as u8,
        };
        Output::for_errors_in_json().failure(&report);
    } else {
        // A reader that is gone wants no help.
        let _ = error.print();
    }
    ExitCode::from(if is_wrong { Code::Usage } else { Code::Done } as u8)
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Usage(_) => Code::Usage,
            Self::Local(..) | Self::Output(_) | Self::Told(_) => Code::Failed,
            Self::Open(error) if error.kind() == ErrorKind::NotFound => Code::NoRepository,
            Self::Open(error) | Self::Engine(error) => match (error.kind(), error.place()) {
                (ErrorKind::NotFound, Place::Repository) => Code::NoRepository,
                (ErrorKind::Busy, Place::Path(_)) => Code::Failed,
                (ErrorKind::Busy, _) => Code::Busy,
                (ErrorKind::WrongKey, _) => Code::WrongKey,
                (ErrorKind::Cancelled, _) => Code::Interrupted,
                _ => Code::Failed,
            },
        }
    }

    /// One line with the causes, and what to do where that has a general answer.
    pub(crate) fn report(&self) -> ErrorReport {
        let error = match self {
            Self::Engine(error) | Self::Open(error) => chain(error),
            Self::Usage(detail) => detail.clone(),
            Self::Local(what, cause) => format!("{what}: {cause}"),
            Self::Output(cause) => format!("output: cannot be written: {cause}"),
            Self::Told(code) => format!("another process ended with code {code}"),
        };
        let advice = self
            .advice()
            .map_or_else(String::new, |advice| format!("; {advice}"));
        ErrorReport {
            error: escape::line(&format!("{error}{advice}")),
            kind: self.kind(),
            exit_code: self.code() as u8,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Local(..) | Self::Output(_) | Self::Told(_) => "io",
            Self::Engine(error) | Self::Open(error) => kind_word(error.kind()),
        }
    }

    fn advice(&self) -> Option<&'static str> {
        if self.code() == Code::NoRepository {
            return Some("make one with init, or check --repo");
        }
        let (Self::Engine(error) | Self::Open(error)) = self else {
            return None;
        };
        match error.kind() {
            ErrorKind::Busy => Some("wait for the other process, then try again"),
            ErrorKind::Unsupported => Some("a newer version may do it"),
            ErrorKind::Damaged => Some("run check to see what else is damaged"),
            ErrorKind::WrongKey => Some("try another password or key file"),
            ErrorKind::NoSpace if is_of_repository(error) => {
                Some("free some space, or run forget and prune, then try again")
            }
            ErrorKind::NoSpace => Some("free some space, then try again"),
            _ => None,
        }
    }
}

/// True of what has no room in the repository, and not in a target or a cache.
fn is_of_repository(error: &Error) -> bool {
    matches!(
        error.place(),
        Place::Repository | Place::Object(_) | Place::Range { .. }
    )
}

/// The error and all its causes, without repeating what a cause already says.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn kind_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::Busy => "busy",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Damaged => "damaged",
        ErrorKind::WrongKey => "wrong_key",
        ErrorKind::LimitExceeded => "limit_exceeded",
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::NoSpace => "no_space",
        ErrorKind::Io => "io",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(kind: ErrorKind, place: Place) -> Failure {
        Failure::Engine(Error::new(kind, place, "x"))
    }

    #[test]
    fn every_kind_of_failure_has_its_code() {
        use ErrorKind as Kind;
        let path = || Place::Path("/p".into());
        let open = |kind| Failure::Open(Error::new(kind, path(), "x"));
        let table = [
            (
                engine(Kind::NotFound, Place::Repository),
                Code::NoRepository,
            ),
            (open(Kind::NotFound), Code::NoRepository),
            (open(Kind::Io), Code::Failed),
            (engine(Kind::NotFound, path()), Code::Failed),
            (
                engine(Kind::NotFound, Place::Argument("snapshot")),
                Code::Failed,
            ),
            (engine(Kind::AlreadyExists, Place::Repository), Code::Failed),
            (engine(Kind::Busy, Place::Repository), Code::Busy),
            (engine(Kind::WrongKey, Place::Repository), Code::WrongKey),
            (engine(Kind::InvalidInput, path()), Code::Failed),
            (engine(Kind::Cancelled, path()), Code::Interrupted),
            (engine(Kind::Damaged, path()), Code::Failed),
            (engine(Kind::NoSpace, path()), Code::Failed),
            (engine(Kind::Unsupported, path()), Code::Failed),
            (engine(Kind::LimitExceeded, path()), Code::Failed),
            (Failure::Usage(String::new()), Code::Usage),
            (
                Failure::Local(String::new(), io::ErrorKind::Other.into()),
                Code::Failed,
            ),
            (Failure::Output(io::ErrorKind::Other.into()), Code::Failed),
        ];
        for (failure, code) in table {
            assert_eq!(failure.code(), code, "{failure:?}");
        }
    }

    #[test]
    fn only_room_in_a_repository_can_be_made_by_prune() {
        for (place, is_ours) in [(Place::Repository, true), (Place::Path("/p".into()), false)] {
            let report = engine(ErrorKind::NoSpace, place).report();
            assert_eq!(report.error.contains("prune"), is_ours, "{}", report.error);
            assert!(report.error.contains("free some space"));
        }
    }

    #[test]
    fn a_report_is_one_line_with_place_causes_and_advice() {
        let cause = Error::new(ErrorKind::Io, Place::Argument("disk"), "no\nanswer");
        let error = Error::new(ErrorKind::Busy, Place::Repository, "held").with_source(cause);
        let report = Failure::Engine(error).report();
        let text =
            r"repository: held: disk: no\nanswer; wait for the other process, then try again";
        assert_eq!(report.error, text);
        assert_eq!((report.kind, report.exit_code), ("busy", 11));
    }
}
