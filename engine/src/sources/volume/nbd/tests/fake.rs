//! A server in this process that does what no server should.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::super::{NbdOptions, NbdVolume};
use crate::error::{Error, Result};
use crate::format::nbd::{self as wire, Fields, Message};

/// What a server says about its export.
#[derive(Clone)]
pub(super) struct Export {
    pub(super) len: u64,
    pub(super) flags: u16,
    pub(super) blocks: Option<[u32; 3]>,
    pub(super) is_structured: bool,
    pub(super) contexts: Vec<(u32, &'static str)>,
}

/// A request that has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) cookie: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// One connection of the server.
pub(super) struct Client(pub(super) UnixStream);

impl Default for Export {
    fn default() -> Self {
        Self {
            len: 1 << 20,
            flags: wire::EXPORT_HAS_FLAGS,
            blocks: None,
            is_structured: true,
            contexts: vec![(5, "base:allocation")],
        }
    }
}

/// A server on a socket of its own; `serve` has each connection and its number.
pub(super) struct Fake(tempfile::TempDir);

impl Fake {
    pub(super) fn start(
        serve: impl Fn(&mut Client, usize) -> Option<()> + Send + Sync + Clone + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("a socket");
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (mut client, serve) = (Client(stream.expect("a client")), serve.clone());
                std::thread::spawn(move || serve(&mut client, number));
            }
        });
        Self(folder)
    }

    pub(super) fn open(&self, dirty_bitmap: Option<&str>) -> Result<NbdVolume> {
        let path = self.0.path().join("s");
        let options = NbdOptions {
            timeout: Duration::from_millis(1500),
            dirty_bitmap: dirty_bitmap.map(str::to_owned),
            ..NbdOptions::default()
        };
        NbdVolume::open(
            &format!("nbd+unix:///disk?socket={}", path.display()),
            &options,
        )
    }

    /// A server that shakes hands as it should, and then answers each request with `answer`.
    pub(super) fn answering(
        export: Export,
        answer: impl Fn(&mut Client, Request) -> Option<()> + Send + Sync + Clone + 'static,
    ) -> Self {
        Self::start(move |client, _| {
            client.shake_hands(&export)?;
            while let Some(request) = client.request() {
                answer(client, request)?;
            }
            None
        })
    }
}

impl Client {
    pub(super) fn send(&mut self, message: Message) -> Option<()> {
        self.0.write_all(&message.0).ok()
    }

    fn receive<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    pub(super) fn greet(&mut self) -> Option<()> {
        let greeting = Message::default()
            .u64(wire::INIT_MAGIC)
            .u64(wire::OPTION_MAGIC);
        self.send(greeting.u16(3))?;
        self.receive::<4>().map(|_| ())
    }

    /// The number of the next option.
    pub(super) fn option(&mut self) -> Option<u32> {
        let head = self.receive::<16>()?;
        let mut fields = Fields(&head[8..]);
        let (option, len) = (fields.u32().ok()?, fields.u32().ok()?);
        let mut payload = vec![0; len as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(option)
    }

    pub(super) fn reply(&mut self, option: u32, kind: u32, payload: Message) -> Option<()> {
        let head = Message::default()
            .u64(wire::OPTION_REPLY_MAGIC)
            .u32(option)
            .u32(kind);
        self.send(head.u32(payload.0.len() as u32).bytes(&payload.0))
    }

    pub(super) fn shake_hands(&mut self, export: &Export) -> Option<()> {
        self.greet()?;
        loop {
            let option = self.option()?;
            let ack = wire::REPLY_ACK;
            match option {
                wire::OPTION_STRUCTURED_REPLY if export.is_structured => {
                    self.reply(option, ack, Message::default())?;
                }
                wire::OPTION_SET_META_CONTEXT => {
                    for (number, name) in &export.contexts {
                        let context = Message::default().u32(*number).bytes(name.as_bytes());
                        self.reply(option, wire::REPLY_META_CONTEXT, context)?;
                    }
                    self.reply(option, ack, Message::default())?;
                }
                wire::OPTION_GO => {
                    let info = Message::default().u16(wire::INFO_EXPORT);
                    let info = info.u64(export.len).u16(export.flags);
                    self.reply(option, wire::REPLY_INFO, info)?;
                    if let Some([min, preferred, max]) = export.blocks {
                        let info = Message::default().u16(wire::INFO_BLOCK_SIZE);
                        let info = info.u32(min).u32(preferred).u32(max);
                        self.reply(option, wire::REPLY_INFO, info)?;
                    }
                    return self.reply(option, ack, Message::default());
                }
                _ => self.reply(option, wire::REPLY_UNSUPPORTED, Message::default())?,
            }
        }
    }

    /// The next request; nothing if the client says goodbye.
    pub(super) fn request(&mut self) -> Option<Request> {
        let bytes = self.receive::<28>()?;
        let mut fields = Fields(&bytes[6..]);
        if fields.u16().ok()? == wire::COMMAND_DISCONNECT {
            return None;
        }
        Some(Request {
            cookie: fields.u64().ok()?,
            offset: fields.u64().ok()?,
            len: fields.u32().ok()?,
        })
    }

    pub(super) fn chunk(
        &mut self,
        cookie: u64,
        kind: u16,
        is_last: bool,
        payload: Message,
    ) -> Option<()> {
        let head = Message::default()
            .u32(wire::CHUNK_MAGIC)
            .u16(is_last.into())
            .u16(kind);
        let head = head.u64(cookie).u32(payload.0.len() as u32);
        self.send(head.bytes(&payload.0))
    }

    /// A chunk of data; its bytes are the low bytes of their offsets.
    pub(super) fn data(&mut self, cookie: u64, is_last: bool, offset: u64, len: u32) -> Option<()> {
        let bytes: Vec<u8> = (offset..offset + u64::from(len))
            .map(|at| at as u8)
            .collect();
        let payload = Message::default().u64(offset).bytes(&bytes);
        self.chunk(cookie, wire::CHUNK_OFFSET_DATA, is_last, payload)
    }

    pub(super) fn status(
        &mut self,
        cookie: u64,
        context: u32,
        extents: &[(u32, u32)],
    ) -> Option<()> {
        let mut payload = Message::default().u32(context);
        for &(len, flags) in extents {
            payload = payload.u32(len).u32(flags);
        }
        self.chunk(cookie, wire::CHUNK_BLOCK_STATUS, true, payload)
    }
}

/// The whole of an error on one line.
pub(super) fn line(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
