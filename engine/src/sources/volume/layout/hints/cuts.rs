//! Which offsets one file gives.

use crate::sources::volume::layout::hints::offsets::Offsets;
use crate::sources::volume::layout::hints::walk::WalkError;
use crate::sources::volume::layout::window::Window;

/// Takes cuts, counted from the start of one file system.
pub(super) struct CutSink<'a> {
    offsets: &'a mut Offsets,
    start: u64,
    len: u64,
}

impl<'a> CutSink<'a> {
    pub(super) fn new(window: Window<'_>, offsets: &'a mut Offsets) -> Self {
        Self {
            offsets,
            start: window.start(),
            len: window.len(),
        }
    }

    /// Keeps an offset behind the first byte; one outside belongs to nobody.
    fn cut(&mut self, offset: u64) -> Result<(), WalkError> {
        if offset == 0 || offset > self.len {
            return Ok(());
        }
        self.offsets.push(self.start + offset)
    }
}

/// A run of bytes that lie together in the file and on the volume.
#[derive(Clone, Copy)]
struct Extent {
    logical: u64,
    physical: u64,
    len: u64,
}

/// The extents of one file in its own order; those that continue each other count as one, however
/// the file system has split them.
pub(super) struct FileCuts {
    len: u64,
    block_len: u64,
    current: Option<Extent>,
}

impl FileCuts {
    /// A file of so many bytes, in a file system with blocks of so many.
    pub(super) fn new(len: u64, block_len: u64) -> Self {
        Self {
            len,
            block_len,
            current: None,
        }
    }

    /// So many bytes of the file lie at `physical`; what lies behind its end is ignored.
    pub(super) fn extent(
        &mut self,
        sink: &mut CutSink<'_>,
        logical: u64,
        physical: u64,
        len: u64,
    ) -> Result<(), WalkError> {
        if logical.checked_add(len).is_none() || physical.checked_add(len).is_none() {
            return Err(WalkError::File);
        }
        if let Some(current) = &mut self.current {
            let end = current.logical + current.len;
            if logical < end {
                return Err(WalkError::File);
            }
            if logical == end && physical == current.physical + current.len {
                current.len += len;
                return Ok(());
            }
        }
        self.finish(sink)?;
        self.current = Some(Extent {
            logical,
            physical,
            len,
        });
        Ok(())
    }

    /// Gives the cuts of the last extent.
    pub(super) fn finish(&mut self, sink: &mut CutSink<'_>) -> Result<(), WalkError> {
        let Some(extent) = self.current.take().filter(|one| one.logical < self.len) else {
            return Ok(());
        };
        sink.cut(extent.physical)?;
        let rest = self.len - extent.logical;
        if rest <= extent.len {
            sink.cut(extent.physical + rest)?;
            let blocks = rest.div_ceil(self.block_len);
            sink.cut(
                extent
                    .physical
                    .saturating_add(blocks.saturating_mul(self.block_len)),
            )?;
        }
        Ok(())
    }
}
