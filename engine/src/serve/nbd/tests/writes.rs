//! Requests that change an export, where it lies under an overlay.

use std::path::Path;

use super::super::*;
use super::kit::{Memory, Raw, Running};
use crate::format::nbd::{self as wire, Message};
use crate::serve::View;
use crate::serve::overlay::{Overlay, OverlayBase};

const LEN: usize = 1 << 20;
const GRAIN: usize = 64 << 10;

fn overlay(folder: &Path) -> Arc<Overlay> {
    let of = OverlayBase {
        repository: "3f".to_owned(),
        snapshot: "91".to_owned(),
        volume: b"disk0".to_vec(),
    };
    let below: Arc<dyn View> = Arc::new(Memory::random(1, LEN));
    Arc::new(Overlay::open(folder, &of, below).expect("an overlay"))
}

fn serve(overlay: &Arc<Overlay>) -> Running {
    Running::new(vec![NbdExport {
        name: "disk".to_owned(),
        description: String::new(),
        content: NbdContent::Writable(Arc::clone(overlay)),
        bitmaps: Vec::new(),
    }])
}

fn write(client: &mut Raw, flags: u16, offset: usize, bytes: &[u8]) -> u32 {
    client.ask(
        wire::COMMAND_WRITE,
        flags,
        offset as u64,
        bytes.len() as u32,
    );
    client.send(Message::default().bytes(bytes));
    client.simple().0
}

fn contents(overlay: &Overlay) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    overlay.read_at(0, &mut bytes).expect("a read");
    bytes
}

#[test]
fn writes_of_any_length_trims_and_zeros_are_read_back_and_outlive_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let overlay_of = |folder: &Path| overlay(&folder.join("overlay"));
    let first = overlay_of(folder.path());
    let server = serve(&first);
    let mut client = server.structured(&[]);
    let mut model = Memory::random(1, LEN).bytes;
    let new = Memory::random(2, LEN).bytes;
    for (offset, len, flags) in [
        (5, 10, 0),
        (100, 600_000, 0),
        (LEN - 3, 3, wire::FLAG_FUA),
        (9, 0, 0),
    ] {
        assert_eq!(write(&mut client, flags, offset, &new[..len]), 0);
        model[offset..offset + len].copy_from_slice(&new[..len]);
    }
    client.ask(wire::COMMAND_TRIM, 0, 1000, 2 * GRAIN as u32);
    assert_eq!(client.simple().0, 0);
    model[GRAIN..2 * GRAIN].fill(0);
    client.ask(
        wire::COMMAND_WRITE_ZEROES,
        wire::FLAG_NO_HOLE,
        300_001,
        100_000,
    );
    assert_eq!(client.simple().0, 0);
    model[300_001..400_001].fill(0);
    client.ask(wire::COMMAND_FLUSH, 0, 0, 0);
    assert_eq!(client.simple().0, 0);
    client.ask(wire::COMMAND_READ, 0, 0, LEN as u32);
    let read: Vec<u8> = client
        .chunks()
        .iter()
        .flat_map(|chunk| chunk.payload[8..].to_vec())
        .collect();
    assert!(read == model);
    assert_eq!(server.end().bytes_written, 600_013);
    drop(first);
    assert!(contents(&overlay_of(folder.path())) == model);
}

#[test]
fn writes_beyond_the_end_are_refused_and_what_follows_them_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let overlay = overlay(&folder.path().join("overlay"));
    let server = serve(&overlay);
    let mut client = server.connect();
    client.greet(3);
    // Can be written, flushed, at once, trimmed, zeroed; several connections see the same.
    assert_eq!(client.go("disk"), (LEN as u64, 1 | 4 | 8 | 32 | 64 | 256));
    assert_eq!(write(&mut client, 0, LEN - 1, &[1, 2]), wire::ENOSPC);
    assert_eq!(
        write(&mut client, 0, LEN - 400_000, &[1; 500_000]),
        wire::ENOSPC
    );
    for command in [wire::COMMAND_TRIM, wire::COMMAND_WRITE_ZEROES] {
        client.ask(command, 0, LEN as u64, 1);
        assert_eq!(client.simple().0, wire::ENOSPC);
    }
    assert!(overlay.dirty().is_empty());
    assert_eq!(write(&mut client, 0, LEN - 2, &[1, 2]), 0);
    assert!(contents(&overlay).ends_with(&[1, 2]));
}

#[test]
fn a_write_that_breaks_off_changes_no_more_than_it_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let overlay = overlay(&folder.path().join("overlay"));
    let server = serve(&overlay);
    let mut client = server.structured(&[]);
    client.ask(wire::COMMAND_WRITE, 0, 0, 5 * GRAIN as u32);
    client.send(Message::default().bytes(&[7; 1000]));
    drop(client);
    let mut other = server.structured(&[]);
    assert_eq!(write(&mut other, wire::FLAG_FUA, 8 * GRAIN, &[8; 512]), 0);
    server.end();
    assert_eq!(
        overlay.dirty(),
        std::slice::from_ref(&(8 * GRAIN as u64..9 * GRAIN as u64))
    );
}
