//! Whether volumes hold still while they are read, and how that is told.
//!
//! A device that is mounted for writing is refused: what is read of it would mix many instants,
//! and would not even be what a power cut leaves. A frozen file system is at rest; whoever wants
//! neither says that he takes what he gets.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Consistency;
use crate::observe::{Problem, ProblemKind};
use crate::operations::snapshot::volumes::{OpenVolume, PartSpec, VolumeOptions, VolumePlace};
use crate::sources::volume::{DeviceVolume, Frozen, is_device};

/// What is known of the volumes' rest.
pub(in super::super) struct Rest<'o> {
    options: &'o VolumeOptions,
    frozen: Vec<Frozen>,
    /// Devices that are read.
    devices: Vec<PathBuf>,
    /// How well the parts can fit each other, if nothing is written.
    best: Consistency,
    is_smeared: bool,
    problems: Vec<Problem>,
}

impl<'o> Rest<'o> {
    /// Sees whether the devices among `parts` are in use.
    ///
    /// # Errors
    /// `Busy` for a device in use that will neither be frozen nor is permitted.
    pub(in super::super) fn of(parts: &[PartSpec], options: &'o VolumeOptions) -> Result<Self> {
        let mut rest = Self {
            options,
            frozen: Vec::new(),
            devices: Vec::new(),
            best: best_of(parts, options),
            is_smeared: false,
            problems: Vec::new(),
        };
        for part in parts {
            if let PartSpec::Volume(volume) = part {
                rest.look_at(&volume.place)?;
            }
        }
        Ok(rest)
    }

    fn look_at(&mut self, place: &VolumePlace) -> Result<()> {
        let path = match place {
            VolumePlace::Path(path) | VolumePlace::Beginning(path, _) if is_device(path) => path,
            _ => {
                self.lower(Consistency::Crash);
                return Ok(());
            }
        };
        let uses = DeviceVolume::open(path)?.uses(&self.options.freeze)?;
        if !uses.is_mounted {
            self.lower(Consistency::Crash);
        }
        self.devices.push(path.clone());
        if uses.open.is_empty() || self.options.allow_inconsistent {
            self.is_smeared |= !uses.open.is_empty();
            return Ok(());
        }
        let uses = uses.open.join(", ");
        let detail = format!(
            "{uses}: unmount it, freeze it with --freeze, or take what is written meanwhile with \
             --allow-inconsistent"
        );
        Err(Error::new(
            ErrorKind::Busy,
            Place::Path(path.clone()),
            detail,
        ))
    }

    fn lower(&mut self, most: Consistency) {
        if self.best == Consistency::FileSystem {
            self.best = most;
        }
    }

    /// Freezes what is to be frozen. What comes between this and [`Rest::end`] holds up all who
    /// write there.
    pub(in super::super) fn freeze(&mut self) -> Result<()> {
        for mount_point in &self.options.freeze {
            let frozen = Frozen::begin(mount_point, &self.options.freeze_options)?;
            self.frozen.push(frozen);
        }
        Ok(())
    }

    /// Once all is read: sees whether anything was written, or changed its length, and thaws.
    /// Gives what has to be told. A file system that was mounted and unmounted again meanwhile goes
    /// unnoticed, and of an NBD export only its server knows.
    ///
    /// # Errors
    /// If a volume is not the one any more that was opened, or was thawed too early.
    pub(in super::super) fn end(
        mut self,
        volumes: &[&OpenVolume],
    ) -> Result<(Consistency, Vec<Problem>)> {
        // Before thawing: whoever waited writes as soon as he may.
        for volume in volumes {
            volume.reader.source().check_unchanged()?;
            if volume.reader.source().was_written() {
                let detail = "was written while it was read; what is stored may mix its states";
                self.smeared(volume.origin.clone(), detail);
            }
        }
        if !self.is_smeared {
            for path in std::mem::take(&mut self.devices) {
                let uses = DeviceVolume::open(&path)?.uses(&self.options.freeze)?;
                if !uses.open.is_empty() {
                    let uses = uses.open.join(", ");
                    let detail = format!("came into use while it was read: {uses}");
                    self.smeared(path.into_os_string().into_vec(), &detail);
                }
            }
        }
        for frozen in std::mem::take(&mut self.frozen) {
            match frozen.thaw() {
                Err(error) if self.options.allow_inconsistent => {
                    self.smeared(error.place().to_string().into(), error.detail());
                }
                other => drop(other?),
            }
        }
        let consistency = match self.is_smeared {
            true => Consistency::Smeared,
            false => self.best,
        };
        Ok((consistency, self.problems))
    }

    fn smeared(&mut self, subject: Vec<u8>, detail: &str) {
        self.is_smeared = true;
        self.problems.push(Problem {
            kind: ProblemKind::ChangedWhileRead,
            subject,
            detail: detail.to_owned(),
        });
    }
}

/// Folders are read one file after the other, whatever is frozen; a volume alone can be at rest.
fn best_of(parts: &[PartSpec], options: &VolumeOptions) -> Consistency {
    let is_volume = |part: &PartSpec| matches!(part, PartSpec::Volume(_));
    if !parts.iter().any(is_volume) {
        Consistency::Files
    } else if options.freeze.is_empty() || !parts.iter().all(is_volume) {
        Consistency::Crash
    } else {
        Consistency::FileSystem
    }
}
