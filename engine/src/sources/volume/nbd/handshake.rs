//! Newstyle negotiation: what the server can do, and which export is meant.

use crate::format::nbd::{self as wire, BASE_ALLOCATION, Fields, Message};
use crate::limits;

use super::fault::{Fault, shown};
use super::status::Context;
use super::stream::Peer;

/// Defaults of the protocol for a server that does not speak of block sizes.
const BLOCK_PREFERRED_DEFAULT: u32 = 4096;
const BLOCK_MAX_DEFAULT: u32 = 32 << 20;
/// Largest minimum that the protocol permits.
const BLOCK_MIN_LIMIT: u32 = 64 << 10;

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Name of the export.
    pub(super) export: String,
    /// Full name of the context of a dirty bitmap.
    pub(super) dirty: Option<String>,
}

/// An export as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Export {
    /// Its length, bytes.
    pub(super) len: u64,
    /// Several connections see the same content.
    pub(super) can_multi_conn: bool,
    /// Replies are structured.
    pub(super) is_structured: bool,
    /// Requests begin and end at multiples of this.
    pub(super) block_min: u32,
    /// What the server likes best.
    pub(super) block_preferred: u32,
    /// No request is longer.
    pub(super) block_max: u32,
    /// Number of `base:allocation` on this connection.
    pub(super) allocation: Option<u32>,
    /// Number of the dirty bitmap on this connection.
    pub(super) dirty: Option<u32>,
}

impl Export {
    /// True if the server answers in `context`.
    pub(super) fn has(&self, context: Context) -> bool {
        self.context_number(context).is_some()
    }

    pub(super) fn context_number(&self, context: Context) -> Option<u32> {
        match context {
            Context::Allocation => self.allocation,
            Context::Dirty => self.dirty,
        }
    }

    /// True for the same content as far as a server can tell.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.len == other.len && self.block_min == other.block_min
    }
}

/// One reply to an option.
struct Reply {
    kind: u32,
    payload: Vec<u8>,
}

/// Agrees with the server on everything; after that, it takes requests.
pub(super) fn negotiate(peer: &mut impl Peer, wanted: &Wanted) -> Result<Export, Fault> {
    greet(peer)?;
    let is_structured = ask_structured(peer)?;
    let mut export = Export {
        len: 0,
        can_multi_conn: false,
        is_structured,
        block_min: 1,
        block_preferred: BLOCK_PREFERRED_DEFAULT,
        block_max: BLOCK_MAX_DEFAULT,
        allocation: None,
        dirty: None,
    };
    if is_structured {
        ask_contexts(peer, wanted, &mut export)?;
    }
    if let (Some(name), None) = (&wanted.dirty, export.dirty) {
        return Err(Fault::NotFound(format!(
            "the server does not have the context {name} for the export {:?}",
            wanted.export
        )));
    }
    go(peer, wanted, &mut export)?;
    Ok(export)
}

fn greet(peer: &mut impl Peer) -> Result<(), Fault> {
    let mut greeting = [0; 18];
    peer.read_exact(&mut greeting)?;
    let mut fields = Fields(&greeting);
    if fields.u64()? != wire::INIT_MAGIC {
        return Err(Fault::protocol("it does not begin with NBDMAGIC"));
    }
    if fields.u64()? != wire::OPTION_MAGIC {
        let detail = "the server speaks the oldstyle NBD handshake, which is not supported";
        return Err(Fault::Unsupported(detail.to_owned()));
    }
    if fields.u16()? & wire::HANDSHAKE_FIXED_NEWSTYLE == 0 {
        let detail = "the server does not speak the fixed newstyle NBD handshake";
        return Err(Fault::Unsupported(detail.to_owned()));
    }
    let flags = Message::default().u32(wire::CLIENT_FIXED_NEWSTYLE);
    peer.write_all(&flags.0)?;
    Ok(())
}

fn send_option(peer: &mut impl Peer, option: u32, payload: &[u8]) -> Result<(), Fault> {
    let message = Message::default().u64(wire::OPTION_MAGIC).u32(option);
    let message = message.u32(payload.len() as u32).bytes(payload);
    peer.write_all(&message.0)?;
    Ok(())
}

/// One reply to `option`; an error of the server is a reply as well.
fn receive_reply(peer: &mut impl Peer, option: u32) -> Result<Reply, Fault> {
    let mut head = [0; 20];
    peer.read_exact(&mut head)?;
    let mut fields = Fields(&head);
    if fields.u64()? != wire::OPTION_REPLY_MAGIC {
        return Err(Fault::protocol("a reply to an option has another magic"));
    }
    let (answered, kind, len) = (fields.u32()?, fields.u32()?, fields.u32()?);
    if answered != option {
        let detail = format!("it answers option {answered} instead of {option}");
        return Err(Fault::Protocol(detail));
    }
    if len > limits::NBD_OPTION_REPLY_LIMIT {
        return Err(Fault::Protocol(format!(
            "a reply to an option has {len} bytes"
        )));
    }
    let mut payload = vec![0; len as usize];
    peer.read_exact(&mut payload)?;
    if kind == wire::REPLY_TLS_REQUIRED {
        let detail = format!(
            "the server requires TLS, which is not supported{}",
            shown(&payload)
        );
        return Err(Fault::Unsupported(detail));
    }
    Ok(Reply { kind, payload })
}

fn ask_structured(peer: &mut impl Peer) -> Result<bool, Fault> {
    send_option(peer, wire::OPTION_STRUCTURED_REPLY, &[])?;
    let reply = receive_reply(peer, wire::OPTION_STRUCTURED_REPLY)?;
    match reply.kind {
        wire::REPLY_ACK => Ok(true),
        kind if kind & wire::REPLY_ERROR != 0 => Ok(false),
        kind => Err(unexpected(kind)),
    }
}

fn unexpected(kind: u32) -> Fault {
    Fault::Protocol(format!("it answers an option with the reply {kind:#x}"))
}

fn ask_contexts(peer: &mut impl Peer, wanted: &Wanted, export: &mut Export) -> Result<(), Fault> {
    let names = [Some(BASE_ALLOCATION), wanted.dirty.as_deref()];
    let count = names.iter().flatten().count() as u32;
    let mut payload = Message::default().text(&wanted.export).u32(count);
    for name in names.iter().flatten() {
        payload = payload.text(name);
    }
    send_option(peer, wire::OPTION_SET_META_CONTEXT, &payload.0)?;
    for _ in 0..limits::NBD_OPTION_REPLIES_LIMIT {
        let reply = receive_reply(peer, wire::OPTION_SET_META_CONTEXT)?;
        match reply.kind {
            wire::REPLY_META_CONTEXT => take_context(&reply.payload, wanted, export)?,
            wire::REPLY_ACK => return Ok(()),
            kind if kind & wire::REPLY_ERROR != 0 => {
                (export.allocation, export.dirty) = (None, None);
                return Ok(());
            }
            kind => return Err(unexpected(kind)),
        }
    }
    Err(Fault::protocol("it does not stop naming contexts"))
}

fn take_context(payload: &[u8], wanted: &Wanted, export: &mut Export) -> Result<(), Fault> {
    let mut fields = Fields(payload);
    let number = fields.u32()?;
    let name = fields.0;
    let (place, other) = if name == BASE_ALLOCATION.as_bytes() {
        (&mut export.allocation, export.dirty)
    } else if Some(name) == wanted.dirty.as_deref().map(str::as_bytes) {
        (&mut export.dirty, export.allocation)
    } else {
        let detail = format!("it names a context that nobody asked for{}", shown(name));
        return Err(Fault::Protocol(detail));
    };
    if place.is_some() || other == Some(number) {
        return Err(Fault::protocol("it names one context twice"));
    }
    *place = Some(number);
    Ok(())
}

fn go(peer: &mut impl Peer, wanted: &Wanted, export: &mut Export) -> Result<(), Fault> {
    let payload = Message::default()
        .text(&wanted.export)
        .u16(1)
        .u16(wire::INFO_BLOCK_SIZE);
    send_option(peer, wire::OPTION_GO, &payload.0)?;
    let mut is_described = false;
    for _ in 0..limits::NBD_OPTION_REPLIES_LIMIT {
        let Reply { kind, payload } = receive_reply(peer, wire::OPTION_GO)?;
        match kind {
            wire::REPLY_INFO => is_described |= take_info(&payload, export)?,
            wire::REPLY_ACK if is_described => return check_sizes(export),
            wire::REPLY_ACK => return Err(Fault::protocol("it does not describe the export")),
            wire::REPLY_UNKNOWN_EXPORT => {
                let (name, why) = (&wanted.export, shown(&payload));
                return Err(Fault::NotFound(format!(
                    "the server has no export {name:?}{why}"
                )));
            }
            wire::REPLY_UNSUPPORTED => {
                let detail = "the server is too old: it does not know NBD_OPT_GO";
                return Err(Fault::Unsupported(detail.to_owned()));
            }
            kind if kind & wire::REPLY_ERROR != 0 => {
                let (name, why) = (&wanted.export, shown(&payload));
                let code = kind & !wire::REPLY_ERROR;
                let detail =
                    format!("the server refuses the export {name:?} with error {code}{why}");
                return Err(Fault::Unsupported(detail));
            }
            kind => return Err(unexpected(kind)),
        }
    }
    Err(Fault::protocol("it does not stop describing the export"))
}

/// Takes one piece of information; true if it was the length and the flags.
fn take_info(payload: &[u8], export: &mut Export) -> Result<bool, Fault> {
    let mut fields = Fields(payload);
    match fields.u16()? {
        wire::INFO_EXPORT => {
            let (len, flags) = (fields.u64()?, fields.u16()?);
            if flags & wire::EXPORT_HAS_FLAGS == 0 {
                return Err(Fault::protocol("the flags of the export are not valid"));
            }
            export.len = len;
            export.can_multi_conn = flags & wire::EXPORT_CAN_MULTI_CONN != 0;
            return Ok(true);
        }
        wire::INFO_BLOCK_SIZE => {
            export.block_min = fields.u32()?;
            export.block_preferred = fields.u32()?;
            export.block_max = fields.u32()?;
        }
        _ => {} // not asked for, and harmless
    }
    Ok(false)
}

fn check_sizes(export: &Export) -> Result<(), Fault> {
    let Export {
        len,
        block_min,
        block_preferred,
        block_max,
        ..
    } = *export;
    if len > limits::VOLUME_LEN_LIMIT {
        return Err(Fault::Protocol(format!("the export has {len} bytes")));
    }
    let are_sound = block_min.is_power_of_two()
        && block_min <= BLOCK_MIN_LIMIT
        && block_preferred.is_power_of_two()
        && block_preferred >= block_min
        && block_max >= block_min;
    if !are_sound {
        return Err(Fault::Protocol(format!(
            "block sizes are {block_min}, {block_preferred} and {block_max}"
        )));
    }
    if !len.is_multiple_of(block_min.into()) {
        return Err(Fault::Protocol(format!(
            "{len} bytes are not a whole number of blocks of {block_min}"
        )));
    }
    Ok(())
}
