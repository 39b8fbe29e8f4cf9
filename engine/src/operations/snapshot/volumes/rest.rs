//! Whether volumes hold still while they are read, and how that is told.
//!
//! A device that is mounted for writing is refused: what is read of it would mix many instants,
//! and would not even be what a power cut leaves. A frozen file system is at rest; whoever wants
//! neither says that he takes what he gets.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Consistency;
use crate::observe::{Problem, ProblemKind};
use crate::operations::snapshot::volumes::{OpenVolume, PartSpec, VolumeOptions, VolumePlace};
use crate::sources::volume::{DeviceVolume, Frozen, is_device};

/// What is known of the volumes' rest.
pub(in super::super) struct Rest {
    frozen: Vec<Frozen>,
    /// Some volume is written while it is read.
    is_smeared: bool,
    /// Every volume was mounted on file systems that are frozen.
    is_frozen: bool,
    allow_inconsistent: bool,
}

impl Rest {
    /// Sees whether the devices among `parts` are in use, and freezes what is to be frozen.
    ///
    /// # Errors
    /// `Busy` for a device in use that is neither frozen nor permitted.
    pub(in super::super) fn begin(parts: &[PartSpec], options: &VolumeOptions) -> Result<Self> {
        let mut rest = Self {
            frozen: Vec::new(),
            is_smeared: false,
            is_frozen: !options.freeze.is_empty(),
            allow_inconsistent: options.allow_inconsistent,
        };
        for part in parts {
            if let PartSpec::Volume(volume) = part {
                rest.look_at(&volume.place, options)?;
            }
        }
        for mount_point in &options.freeze {
            let frozen = Frozen::begin(mount_point, &options.freeze_options)?;
            rest.frozen.push(frozen);
        }
        Ok(rest)
    }

    fn look_at(&mut self, place: &VolumePlace, options: &VolumeOptions) -> Result<()> {
        let VolumePlace::Path(path) = place else {
            self.is_frozen = false;
            return Ok(());
        };
        if !is_device(path) {
            self.is_frozen = false;
            return Ok(());
        }
        let device = DeviceVolume::open(path)?;
        let mounts = device.mounted_read_write()?;
        self.is_frozen &= !mounts.is_empty();
        let open: Vec<_> = mounts
            .into_iter()
            .filter(|mount| !options.freeze.iter().any(|frozen| is_same(frozen, mount)))
            .collect();
        let swaps = device.swap_areas()?;
        let uses = open
            .iter()
            .map(|mount| format!("is mounted at {} and can be written", mount.display()))
            .chain(swaps.iter().map(|_| "has swap space in use".to_owned()));
        let Some(found) = uses.reduce(|all, one| format!("{all}, {one}")) else {
            return Ok(());
        };
        if options.allow_inconsistent {
            self.is_smeared = true;
            return Ok(());
        }
        let place = Place::Path(path.clone());
        let detail = format!(
            "{found}: unmount it, freeze it with --freeze, or take what is written meanwhile \
             with --allow-inconsistent"
        );
        Err(Error::new(ErrorKind::Busy, place, detail))
    }

    /// Once all is read: thaws, and sees whether anything was written or changed its length.
    /// Gives what has to be told.
    ///
    /// # Errors
    /// If a volume is not the one any more that was opened, or was thawed too early.
    pub(in super::super) fn end(
        mut self,
        volumes: &[&OpenVolume],
    ) -> Result<(Consistency, Vec<Problem>)> {
        let mut problems = Vec::new();
        for frozen in std::mem::take(&mut self.frozen) {
            match frozen.thaw() {
                Err(error) if self.allow_inconsistent => {
                    self.is_smeared = true;
                    problems.push(written(error.place().to_string().into(), error.detail()));
                }
                other => drop(other?),
            }
        }
        for volume in volumes {
            volume.reader.source().check_unchanged()?;
            if volume.reader.source().was_written() {
                self.is_smeared = true;
                let detail = "was written while it was read; what is stored may mix its states";
                problems.push(written(volume.origin.clone(), detail));
            }
        }
        let consistency = match (self.is_smeared, self.is_frozen) {
            (true, _) => Consistency::Smeared,
            (false, true) => Consistency::FileSystem,
            (false, false) => Consistency::Crash,
        };
        Ok((consistency, problems))
    }
}

fn written(subject: Vec<u8>, detail: &str) -> Problem {
    Problem {
        kind: ProblemKind::ChangedWhileRead,
        subject,
        detail: detail.to_owned(),
    }
}

/// True if both are mount points of one file system: frozen at one, it is at all.
fn is_same(given: &Path, mount: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev());
    match (device(given), device(mount)) {
        (Ok(given), Ok(mount)) => given == mount,
        _ => false,
    }
}
