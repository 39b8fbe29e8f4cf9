//! What is said to a client that asks about ranges instead of reading them.

use std::ops::Range;

use crate::error::Result;
use crate::format::nbd::{self as wire, Message, Request};
use crate::limits::NBD_STATUS_EXTENTS_MAX;
use crate::operations::map_volume::RangeKind;
use crate::serve::View;

use super::connection::Connection;
use super::export::{ALLOCATION, NbdExport};
use super::handshake::Ended;
use super::socket::Peer;

/// Length and flags of an extent.
type Extent = (u32, u32);

impl<P: Peer> Connection<'_, P> {
    /// Answers a question about a range that lies within the export, in every context.
    pub(super) fn answer_status(&self, request: &Request) -> Result<(), Ended> {
        let Some((last, before)) = self.agreed.contexts.split_last() else {
            return self.refuse(request, wire::EINVAL, "no context was chosen");
        };
        if request.len == 0 {
            return self.refuse(request, wire::EINVAL, "the range is empty");
        }
        for context in before.iter().chain([last]) {
            let Ok(extents) = extents(self.export, *context, request) else {
                return self.refuse(request, wire::EIO, "what is there cannot be known");
            };
            let message = Message::default().u32(*context);
            let add = |message: Message, (len, flags): Extent| message.u32(len).u32(flags);
            let message = extents.into_iter().fold(message, add);
            let kind = wire::CHUNK_BLOCK_STATUS;
            self.replies
                .chunk(request, kind, context == last, &message.0)?;
        }
        Ok(())
    }
}

/// At least one extent from where the request begins, and none behind its end.
fn extents(export: &NbdExport, context: u32, request: &Request) -> Result<Vec<Extent>> {
    let range = request.offset..request.offset + u64::from(request.len);
    let pieces_max = match request.flags & wire::FLAG_REQ_ONE {
        0 => NBD_STATUS_EXTENTS_MAX,
        _ => 1,
    };
    let states = match export.dirty(context, &range, pieces_max) {
        None => {
            debug_assert_eq!(context, ALLOCATION, "no other context was offered");
            allocation(export.view(), range, pieces_max)?
        }
        Some(pieces) => {
            let state = |is_dirty| if is_dirty { wire::STATE_DIRTY } else { 0 };
            let states = pieces.into_iter();
            states
                .map(|(range, is_dirty)| (range, state(is_dirty)))
                .collect()
        }
    };
    let mut extents: Vec<Extent> = Vec::new();
    for (range, flags) in states {
        let len = (range.end - range.start) as u32; // the request has no longer one
        match extents.last_mut() {
            Some((last_len, last_flags)) if *last_flags == flags => *last_len += len,
            _ => extents.push((len, flags)),
        }
    }
    Ok(extents)
}

/// What cannot be read counts as data: whoever reads it hears of it.
fn allocation(
    view: &dyn View,
    range: Range<u64>,
    pieces_max: usize,
) -> Result<Vec<(Range<u64>, u32)>> {
    let state = |kind| match kind {
        RangeKind::Hole => wire::STATE_HOLE | wire::STATE_ZERO,
        RangeKind::Zero => wire::STATE_ZERO,
        RangeKind::Data | RangeKind::Unreadable | RangeKind::Lost => 0,
    };
    let mapped = view.map(range, pieces_max)?.into_iter();
    Ok(mapped.map(|one| (one.range, state(one.kind))).collect())
}
