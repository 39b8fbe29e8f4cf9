//! Refusals of a target before the first write: one line each, that says what to do next.

use std::path::Path;
use std::path::PathBuf;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::system::DeviceId;
use crate::system::FileId;
use crate::system::System;
use crate::targets::volume::ground::Ground;
use crate::targets::volume::open::folder_of;
use crate::targets::volume::refused;

pub(super) fn fits(path: &Path, found: u64, wanted: u64) -> Result<()> {
    if found >= wanted {
        return Ok(());
    }
    let detail = format!(
        "has {found} bytes, the volume needs {wanted}; choose a device of at least that length"
    );
    Err(refused(ErrorKind::InvalidInput, path, detail))
}

pub(super) fn same_sectors(path: &Path, found: u32, recorded: Option<u32>) -> Result<()> {
    match recorded {
        Some(recorded) if recorded != found => {
            let detail = format!(
                "has sectors of {found} bytes, the volume was captured with {recorded}, and what \
                 it holds counts in sectors; choose a device with {recorded}, or a file"
            );
            Err(refused(ErrorKind::InvalidInput, path, detail))
        }
        _ => Ok(()),
    }
}

pub(super) fn in_use(path: &Path, uses: &[String]) -> Error {
    let detail = match uses {
        [] => "is in use by another program; end it first".to_owned(),
        uses => format!("is in use: {}; release it first", uses.join(", ")),
    };
    refused(ErrorKind::Busy, path, detail)
}

/// A file must not be made in a folder that is to survive, nor be one of its files.
pub(super) fn stay_out_of_spared(path: &Path, spare: &[PathBuf]) -> Result<()> {
    let resolved = std::fs::canonicalize(path)
        .or_else(|_| std::fs::canonicalize(folder_of(path)))
        // What cannot be resolved cannot be opened either, and says so then.
        .unwrap_or_else(|_| path.to_owned());
    for spared in spare {
        let survivor = std::fs::canonicalize(spared).unwrap_or_else(|_| spared.clone());
        if resolved.starts_with(&survivor) {
            let detail = format!("lies in {}; choose another target", spared.display());
            return Err(refused(ErrorKind::InvalidInput, path, detail));
        }
    }
    Ok(())
}

pub(super) fn spare_the_ground_file(path: &Path, file: FileId, spare: &[PathBuf]) -> Result<()> {
    for (spared, ground) in grounds_of(spare)? {
        if ground.files.contains(&file) {
            return Err(bears(path, spared));
        }
    }
    Ok(())
}

pub(super) fn spare_the_ground_device(
    path: &Path,
    device: DeviceId,
    spare: &[PathBuf],
) -> Result<()> {
    for (spared, ground) in grounds_of(spare)? {
        if ground.devices.contains(&device) {
            return Err(bears(path, spared));
        }
    }
    Ok(())
}

/// What each spared folder lies on; a folder that does not exist lies on nothing.
fn grounds_of(spare: &[PathBuf]) -> Result<Vec<(&Path, Ground)>> {
    let system = System::real();
    let mut grounds = Vec::new();
    for spared in spare {
        match Ground::of(&system, spared) {
            Ok(ground) => grounds.push((spared.as_path(), ground)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let place = Place::Path(spared.clone());
                return Err(Error::io(place, "find what it lies on", error));
            }
        }
    }
    Ok(grounds)
}

fn bears(path: &Path, spared: &Path) -> Error {
    let detail = format!("bears {}; choose another target", spared.display());
    refused(ErrorKind::InvalidInput, path, detail)
}
