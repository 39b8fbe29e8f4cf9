//! A recorded client, for tests and fuzzers.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::serve::View;

use super::Tally;
use super::connection::Connection;
use super::export::{DirtyRanges, NbdContent, NbdExport};
use super::handshake::negotiate;
use super::socket::Peer;

/// Length of the export `disk`: data, a hole, and at the end what cannot be read.
const LEN: u64 = 64 << 10;
const HOLE: Range<u64> = 16 << 10..48 << 10;
const BAD: Range<u64> = 60 << 10..LEN;

/// A whole conversation with a client whose side of it is `bytes`. For fuzzers: it must come back,
/// and gives how many bytes were answered, which can be no more than requests may ask for.
pub(crate) fn transcript(bytes: &[u8]) -> usize {
    let peer = Recorded {
        said: Mutex::new(bytes),
        heard: AtomicUsize::new(0),
    };
    let exports = [NbdExport {
        name: "disk".to_owned(),
        description: "a disk".to_owned(),
        content: NbdContent::ReadOnly(Arc::new(Made)),
        bitmaps: vec![(
            "b".to_owned(),
            DirtyRanges::new(vec![5..10, 4096..HOLE.start]),
        )],
    }];
    let tally = Tally::default();
    if let Ok(agreed) = negotiate(&&peer, &exports) {
        let connection = Connection::new(&peer, &exports[0], agreed, &tally, &());
        connection.work();
    }
    let report = tally.report();
    assert!(report.requests as usize <= bytes.len() / 28, "{report:?}");
    peer.heard.into_inner()
}

/// The client's side of a conversation; what is said to it is counted.
#[derive(Debug)]
struct Recorded<'a> {
    said: Mutex<&'a [u8]>,
    heard: AtomicUsize,
}

impl Peer for &Recorded<'_> {
    fn receive(&self, out: &mut [u8]) -> io::Result<()> {
        self.said.lock().read_exact(out)
    }

    fn receive_when_it_comes(&self, out: &mut [u8]) -> io::Result<()> {
        self.receive(out)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.heard.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(())
    }

    fn close(&self) {}
}

#[derive(Debug)]
struct Made;

impl View for Made {
    fn len(&self) -> u64 {
        LEN
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        assert!(end <= LEN, "the server checks every request");
        if end > BAD.start {
            let place = Place::Argument("bad");
            return Err(Error::new(ErrorKind::Damaged, place, "cannot be read"));
        }
        out.fill(7);
        Ok(())
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        assert!(range.start < range.end && range.end <= LEN && pieces_max > 0);
        let kinds = [
            (0..HOLE.start, RangeKind::Data),
            (HOLE, RangeKind::Hole),
            (HOLE.end..BAD.start, RangeKind::Data),
            (BAD, RangeKind::Unreadable),
        ];
        let clip = |(whole, kind): (Range<u64>, RangeKind)| MappedRange {
            range: whole.start.max(range.start)..whole.end.min(range.end),
            kind,
            chunk: None,
        };
        let pieces = kinds.into_iter().map(clip);
        let pieces = pieces.filter(|piece| piece.range.start < piece.range.end);
        Ok(pieces.take(pieces_max).collect())
    }
}
