//! What a volume group of LVM2 looks like: its logical volumes, as bytes and as files.
//!
//! ```text
//! vg0/root.raw       a logical volume
//! vg0/root/ …        the files in it
//! vg0/home.txt       why there are none, and what to do; of what is not linear, or lies on a disk
//!                    that is not there, this is all
//! vg0.txt            what is beyond a limit
//! ```
//! Names are those of `SNAP:disk0/p3/vg0/root/PATH`.

use std::sync::Arc;

use crate::format::entry::Timestamp;
use crate::limits::LVM_VOLUMES_SHOWN_MAX;
use crate::serve::groups::Group;
use crate::serve::image::{recognized, refusal};
use crate::serve::names::{Named, Table, TableBuilder};
use crate::serve::view::{Text, View};
use crate::sources::volume::layout::{LogicalVolume, Piece};

/// What is held of a logical volume, beside its names and pieces: three names in a table, and a view.
const VOLUME_LEN: usize = 1_024;

/// A logical volume, as it is shown.
struct Shown<'g> {
    /// Its path in the table.
    path: Vec<u8>,
    volume: &'g LogicalVolume,
    bytes: Option<Arc<dyn View>>,
    /// Why its files are not shown.
    refusal: Option<String>,
}

/// The names of `group`. Files in a logical volume of this name, whose bytes are given, are what `inside`
/// makes of them.
pub(super) fn table(
    group: &Group,
    time: Timestamp,
    inside: &dyn Fn(Vec<u8>, Arc<dyn View>) -> Named,
) -> Table {
    let mut builder = TableBuilder::default();
    builder.add_folder(group.name().as_bytes(), time);
    let volumes = group.volumes().iter().take(LVM_VOLUMES_SHOWN_MAX);
    let shown: Vec<_> = volumes.map(|volume| look_at(group, volume)).collect();
    // What people type comes first: there may be volumes root and root.raw.
    for one in &shown {
        if let (Some(bytes), None) = (&one.bytes, &one.refusal) {
            let name = group.path_of(one.volume.name.as_bytes());
            builder.add(&one.path, time, inside(name, Arc::clone(bytes)));
        }
    }
    for one in &shown {
        if let Some(bytes) = &one.bytes {
            let path = builder.free([&one.path, &b".raw"[..]].concat());
            builder.add(&path, time, Named::Bytes(Arc::clone(bytes)));
        }
        if let Some(refusal) = &one.refusal {
            let name = group.path_of(one.volume.name.as_bytes());
            add_text(&mut builder, &one.path, time, &name, refusal);
        }
    }
    let (all, most) = (group.volumes().len(), LVM_VOLUMES_SHOWN_MAX);
    if all > most {
        let why = format!(
            "has {all} logical volumes, of which {most} are shown here: ls lists them, and cat, \
             restore and serve nbd take each by its name"
        );
        let (path, name) = (group.name().as_bytes(), group.own_path());
        add_text(&mut builder, path, time, &name, &why);
    }
    builder.finish(time)
}

/// Adds a text beside `path`: why there is nothing more of what people type as `name`.
pub(super) fn add_text(
    builder: &mut TableBuilder,
    path: &[u8],
    time: Timestamp,
    name: &[u8],
    why: &str,
) {
    let text = Text(format!("{}: {why}\n", String::from_utf8_lossy(name)));
    let path = builder.free([path, b".txt"].concat());
    builder.add(&path, time, Named::Bytes(Arc::new(text)));
}

/// What is held in memory of a group that is shown, bytes.
pub(super) fn weight(group: &Group) -> usize {
    let of = |volume: &LogicalVolume| {
        let pieces = volume.pieces.as_ref().map_or(0, Vec::len);
        VOLUME_LEN + 4 * volume.name.len() + 2 * pieces * size_of::<Piece>()
    };
    let volumes = group.volumes().iter().take(LVM_VOLUMES_SHOWN_MAX);
    VOLUME_LEN + volumes.map(of).sum::<usize>()
}

fn look_at<'g>(group: &Group, volume: &'g LogicalVolume) -> Shown<'g> {
    let path = [group.name().as_bytes(), volume.name.as_bytes()].join(&b'/');
    let (bytes, refusal) = match group.view_of(volume) {
        Err(error) => (None, Some(error.detail().to_owned())),
        Ok(view) => {
            let refusal = match recognized(&*view) {
                Ok(found) => refusal(found.map(|found| found.kind.name())),
                // Whoever enters is told.
                Err(_) => None,
            };
            (Some(view), refusal)
        }
    };
    Shown {
        path,
        volume,
        bytes,
        refusal,
    }
}
