//! Negotiation, the server's side of it: which export is meant, and how replies look.
//!
//! Fixed newstyle. What a client says that makes no sense is answered with an error, as the
//! protocol wants it; what leaves no way to go on ends the connection.

use crate::format::DecodeError;
use crate::format::nbd::{self as wire, Fields, Message};
use crate::limits;

use super::export::NbdExport;
use super::options::{ContextsOption, InfoOption};
use super::socket::Peer;

const BLOCK_MIN: u32 = 1;
const BLOCK_PREFERRED: u32 = 4096;

/// The connection is over: the client left, broke the protocol, or took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl From<DecodeError> for Ended {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Index of the export.
    pub(super) export: usize,
    pub(super) is_structured: bool,
    /// Numbers of the contexts that questions about block status are answered in.
    pub(super) contexts: Vec<u32>,
}

struct Negotiation<'n, P> {
    peer: &'n P,
    exports: &'n [NbdExport],
    is_structured: bool,
    no_zeroes: bool,
    /// Contexts that were chosen, and of which export.
    chosen: Option<(usize, Vec<u32>)>,
}

/// Agrees with a client on everything; after that, requests follow.
pub(super) fn negotiate(peer: &impl Peer, exports: &[NbdExport]) -> Result<Agreed, Ended> {
    let flags = wire::HANDSHAKE_FIXED_NEWSTYLE | wire::HANDSHAKE_NO_ZEROES;
    let greeting = Message::default().u64(wire::INIT_MAGIC);
    peer.send(&greeting.u64(wire::OPTION_MAGIC).u16(flags).0)?;
    let mut flags = [0; 4];
    peer.receive(&mut flags)?;
    let flags = Fields(&flags).u32()?;
    if flags & !(wire::CLIENT_FIXED_NEWSTYLE | wire::CLIENT_NO_ZEROES) != 0 {
        return Err(Ended);
    }
    let mut negotiation = Negotiation {
        peer,
        exports,
        is_structured: false,
        no_zeroes: flags & wire::CLIENT_NO_ZEROES != 0,
        chosen: None,
    };
    for _ in 0..limits::NBD_OPTIONS_LIMIT {
        if let Some(agreed) = negotiation.option()? {
            return Ok(agreed);
        }
    }
    Err(Ended)
}

impl<P: Peer> Negotiation<'_, P> {
    /// Takes and answers one option; gives the agreement if that was the last.
    fn option(&mut self) -> Result<Option<Agreed>, Ended> {
        let mut head = [0; 16];
        self.peer.receive(&mut head)?;
        let mut fields = Fields(&head);
        if fields.u64()? != wire::OPTION_MAGIC {
            return Err(Ended);
        }
        let (option, len) = (fields.u32()?, fields.u32()?);
        if len > limits::NBD_OPTION_LEN_LIMIT {
            self.reply(option, wire::REPLY_TOO_BIG, b"the option is too long")?;
            return Err(Ended);
        }
        let mut payload = vec![0; len as usize];
        self.peer.receive(&mut payload)?;
        match option {
            wire::OPTION_EXPORT_NAME => return self.enter_the_old_way(&payload).map(Some),
            wire::OPTION_GO | wire::OPTION_INFO => return self.describe(option, &payload),
            wire::OPTION_ABORT => {
                self.acknowledge(option)?;
                return Err(Ended);
            }
            wire::OPTION_LIST if payload.is_empty() => self.list()?,
            wire::OPTION_STRUCTURED_REPLY if payload.is_empty() => {
                self.is_structured = true;
                self.acknowledge(option)?;
            }
            wire::OPTION_LIST | wire::OPTION_STRUCTURED_REPLY => {
                self.reply(option, wire::REPLY_INVALID, b"the option takes no data")?;
            }
            wire::OPTION_LIST_META_CONTEXT | wire::OPTION_SET_META_CONTEXT => {
                self.contexts(option, &payload)?;
            }
            _ => self.reply(option, wire::REPLY_UNSUPPORTED, b"the option is not known")?,
        }
        Ok(None)
    }

    fn reply(&self, option: u32, kind: u32, payload: &[u8]) -> Result<(), Ended> {
        let message = Message::default().u64(wire::OPTION_REPLY_MAGIC).u32(option);
        let message = message.u32(kind).u32(payload.len() as u32).bytes(payload);
        Ok(self.peer.send(&message.0)?)
    }

    fn acknowledge(&self, option: u32) -> Result<(), Ended> {
        self.reply(option, wire::REPLY_ACK, &[])
    }

    /// The export of this name. Without a name the first is meant.
    fn find(&self, name: &[u8]) -> Option<usize> {
        let mut names = self.exports.iter().map(|export| export.name.as_bytes());
        names
            .position(|other| other == name)
            .or(name.is_empty().then_some(0))
    }

    fn agreed_on(&self, export: usize) -> Agreed {
        let chosen = self.chosen.as_ref().filter(|(of, _)| *of == export);
        Agreed {
            export,
            is_structured: self.is_structured,
            contexts: chosen.map_or_else(Vec::new, |(_, contexts)| contexts.clone()),
        }
    }

    /// `NBD_OPT_EXPORT_NAME` has no way to say no but to hang up.
    fn enter_the_old_way(&self, name: &[u8]) -> Result<Agreed, Ended> {
        const ZEROES: [u8; 124] = [0; 124];
        let index = self.find(name).ok_or(Ended)?;
        let export = self.exports.get(index).ok_or(Ended)?;
        let message = Message::default().u64(export.view().len());
        let message = message.u16(export.flags(self.is_structured));
        let zeroes = if self.no_zeroes { &[] } else { &ZEROES[..] };
        self.peer.send(&message.bytes(zeroes).0)?;
        Ok(self.agreed_on(index))
    }

    fn list(&self) -> Result<(), Ended> {
        for export in self.exports {
            let message = Message::default().text(&export.name);
            let message = message.bytes(export.description.as_bytes());
            self.reply(wire::OPTION_LIST, wire::REPLY_SERVER, &message.0)?;
        }
        self.acknowledge(wire::OPTION_LIST)
    }

    fn describe(&self, option: u32, payload: &[u8]) -> Result<Option<Agreed>, Ended> {
        let Ok(asked) = InfoOption::decode(payload) else {
            self.reply(option, wire::REPLY_INVALID, b"the option is malformed")?;
            return Ok(None);
        };
        let Some((index, export)) = self.known(option, asked.export)? else {
            return Ok(None);
        };
        let info = |message: Message| self.reply(option, wire::REPLY_INFO, &message.0);
        let message = Message::default().u16(wire::INFO_EXPORT);
        info(
            message
                .u64(export.view().len())
                .u16(export.flags(self.is_structured)),
        )?;
        let message = Message::default().u16(wire::INFO_BLOCK_SIZE).u32(BLOCK_MIN);
        info(
            message
                .u32(BLOCK_PREFERRED)
                .u32(limits::NBD_SERVER_REQUEST_LIMIT),
        )?;
        if asked.wants_name {
            let message = Message::default().u16(wire::INFO_NAME);
            info(message.bytes(export.name.as_bytes()))?;
        }
        if asked.wants_description {
            let message = Message::default().u16(wire::INFO_DESCRIPTION);
            info(message.bytes(export.description.as_bytes()))?;
        }
        self.acknowledge(option)?;
        Ok((option == wire::OPTION_GO).then(|| self.agreed_on(index)))
    }

    /// The export of this name; nothing if the client was told that there is none.
    fn known(&self, option: u32, name: &[u8]) -> Result<Option<(usize, &NbdExport)>, Ended> {
        let index = self.find(name);
        let found = index.and_then(|index| Some((index, self.exports.get(index)?)));
        if found.is_none() {
            self.reply(
                option,
                wire::REPLY_UNKNOWN_EXPORT,
                b"there is no such export",
            )?;
        }
        Ok(found)
    }

    fn contexts(&mut self, option: u32, payload: &[u8]) -> Result<(), Ended> {
        let is_choice = option == wire::OPTION_SET_META_CONTEXT;
        if is_choice {
            self.chosen = None;
        }
        let asked = match ContextsOption::decode(payload) {
            Ok(asked) if self.is_structured => asked,
            Ok(_) => {
                let why = b"structured replies come first";
                return self.reply(option, wire::REPLY_INVALID, why);
            }
            Err(_) => {
                return self.reply(option, wire::REPLY_INVALID, b"the option is malformed");
            }
        };
        let Some((index, export)) = self.known(option, asked.export)? else {
            return Ok(());
        };
        let mut numbers = Vec::new();
        for (number, name) in export.contexts() {
            let is_meant = match is_choice {
                true => asked.names(&name),
                false => asked.lists(&name),
            };
            if is_meant {
                let message = Message::default().u32(number).bytes(name.as_bytes());
                self.reply(option, wire::REPLY_META_CONTEXT, &message.0)?;
                numbers.push(number);
            }
        }
        if is_choice {
            self.chosen = Some((index, numbers));
        }
        self.acknowledge(option)
    }
}
