//! Block status: what a server says about ranges without sending them.

use crate::format::nbd::Fields;

use super::fault::Fault;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// `base:allocation`.
    Allocation,
    /// A dirty bitmap.
    Dirty,
}

/// One extent of a status reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes, never 0.
    pub(super) len: u32,
    /// Meaning depends on the context.
    pub(super) flags: u32,
}

/// Bytes of one extent in a reply.
pub(super) const EXTENT_LEN: usize = 8;

/// The extents of one reply to a question about `asked` bytes; neighbours alike are joined.
///
/// They may end early, or overrun the question with the last one alone, which is cut off here.
pub(super) fn decode(payload: &[u8], asked: u32) -> Result<Vec<Extent>, Fault> {
    if payload.is_empty() || !payload.len().is_multiple_of(EXTENT_LEN) {
        let detail = format!("a list of extents has {} bytes", payload.len());
        return Err(Fault::Protocol(detail));
    }
    let mut extents: Vec<Extent> = Vec::new();
    let mut covered = 0;
    let mut fields = Fields(payload);
    while !fields.0.is_empty() {
        let (len, flags) = (fields.u32()?, fields.u32()?);
        if len == 0 {
            return Err(Fault::protocol("an extent is empty"));
        }
        if covered == asked {
            return Err(Fault::protocol("extents go on behind what was asked for"));
        }
        let len = len.min(asked - covered);
        covered += len;
        match extents.last_mut() {
            Some(last) if last.flags == flags => last.len += len,
            _ => extents.push(Extent { len, flags }),
        }
    }
    Ok(extents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::nbd::Message;

    fn list(extents: &[(u32, u32)]) -> Vec<u8> {
        let add = |message: Message, &(len, flags): &(u32, u32)| message.u32(len).u32(flags);
        extents.iter().fold(Message::default(), add).0
    }

    fn decoded(extents: &[(u32, u32)]) -> Result<Vec<(u32, u32)>, Fault> {
        let extents = decode(&list(extents), 100)?;
        Ok(extents.iter().map(|e| (e.len, e.flags)).collect())
    }

    #[test]
    fn extents_are_joined_and_the_last_one_is_cut_off() {
        let found = decoded(&[(10, 0), (20, 0), (5, 3), (u32::MAX, 1)]);
        assert_eq!(found.expect("extents"), [(30, 0), (5, 3), (65, 1)]);
        assert_eq!(decoded(&[(10, 0)]).expect("a short answer"), [(10, 0)]);
    }

    #[test]
    fn empty_and_surplus_extents_are_refused() {
        for extents in [&[][..], &[(0, 0)], &[(10, 0), (0, 3)], &[(100, 0), (1, 0)]] {
            assert!(decoded(extents).is_err(), "{extents:?}");
        }
        assert!(decode(&list(&[(10, 0)])[..7], 100).is_err());
    }
}
