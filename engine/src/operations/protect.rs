//! Protects a snapshot: until some time it must not be forgotten.

use crate::error::{ErrorKind, Result};
use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::retention::Protection;
use crate::operations::forget::calendar::utc;
use crate::operations::walk::refuse;
use crate::repository::Repository;
use crate::repository::retention::{self, Protections, Until};
use crate::repository::session::Writer;
use crate::repository::snapshots;

/// How often it is tried again because another was quicker.
const ATTEMPTS_MAX: u32 = 16;

/// How a snapshot is protected.
#[derive(Clone, Debug)]
pub struct ProtectOptions {
    /// The end of the protection.
    pub until: Timestamp,
    /// It may end earlier than the one that there is, or be over at once.
    pub shorten: bool,
    /// Who protects; `started` is the present.
    pub writer: Writer,
}

/// What a protect came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectReport {
    /// The snapshot.
    pub session: SessionId,
    /// The end of its protection.
    pub until: Timestamp,
    /// The end of the protection that there was.
    pub before: Option<Until>,
}

/// Protects a snapshot until some time, or longer than it was; durable afterwards.
///
/// # Errors
/// If nothing was changed: there is no such snapshot, or it is forgotten; the protection would end
/// earlier than the one that there is, or in the past, and `shorten` is not set; or the repository
/// cannot be read or written. If the snapshot was forgotten meanwhile, the protection is there, and
/// the error says so.
pub fn protect(
    repository: &Repository,
    session: SessionId,
    options: &ProtectOptions,
) -> Result<ProtectReport> {
    ensure_there(repository, session)?;
    let protection = Protection {
        session,
        until: options.until,
        decided: options.writer.started,
        host: options.writer.host.clone(),
        user: options.writer.user.clone(),
    };
    for _ in 0..ATTEMPTS_MAX {
        let there = Protections::read_of(repository, |id| *id == session)?;
        let before = there.until(session);
        if !options.shorten {
            ensure_extends(session, before, options)?;
        }
        let is_same = before == Some(Until::Time(options.until));
        if is_same || retention::put_protection(repository, &protection, there.number(session))? {
            ensure_not_forgotten_meanwhile(repository, session)?;
            let until = options.until;
            return Ok(ProtectReport {
                session,
                until,
                before,
            });
        }
    }
    let detail = "others protect this snapshot all the time";
    Err(refuse(session, ErrorKind::Busy, detail))
}

fn ensure_there(repository: &Repository, session: SessionId) -> Result<()> {
    let list = snapshots::list(repository)?;
    if list.get(session).is_some() {
        return Ok(());
    }
    let is_forgotten = list.forgotten.iter().any(|s| s.session == session);
    Err(match is_forgotten {
        true => refuse(
            session,
            ErrorKind::InvalidInput,
            "is forgotten; undelete it first",
        ),
        false => refuse(session, ErrorKind::NotFound, "there is no such snapshot"),
    })
}

fn ensure_extends(
    session: SessionId,
    before: Option<Until>,
    options: &ProtectOptions,
) -> Result<()> {
    let detail = match before {
        Some(Until::Forever) => "is protected for ever: until when cannot be read".to_owned(),
        Some(Until::Time(end)) if end > options.until => {
            format!("is protected until {} already", utc(end))
        }
        _ if options.until <= options.writer.started => {
            format!("{} is over already", utc(options.until))
        }
        _ => return Ok(()),
    };
    let detail = format!("{detail}; shortening has to be asked for");
    Err(refuse(session, ErrorKind::InvalidInput, detail))
}

/// Who forgets puts the tombstone first, and looks for protections afterwards.
fn ensure_not_forgotten_meanwhile(repository: &Repository, session: SessionId) -> Result<()> {
    let forgotten = retention::forgotten(repository)?;
    match forgotten.contains(&session) {
        false => Ok(()),
        true => {
            let detail = "was forgotten while it was being protected; undelete it";
            Err(refuse(session, ErrorKind::Busy, detail))
        }
    }
}
