//! Contents in memory, a server of them, and a client that says what it is told.

use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::*;
use crate::error::{Error, ErrorKind, Place};
use crate::format::nbd::{self as wire, Fields, Message, Request};
use crate::observe::Problem;
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::serve::View;
use crate::testing::random::Random;

/// A content in memory: every byte of it is data unless said otherwise.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) bytes: Vec<u8>,
    pub(super) kinds: Vec<(Range<u64>, RangeKind)>,
}

impl Memory {
    pub(super) fn random(seed: u64, len: usize) -> Self {
        Self {
            bytes: Random::new(seed).bytes(len),
            kinds: vec![(0..len as u64, RangeKind::Data)],
        }
    }

    /// The same with another kind of range somewhere; zeros there, if it is one of zeros.
    pub(super) fn with(mut self, range: Range<u64>, kind: RangeKind) -> Self {
        let mut kinds = Vec::new();
        for (old, old_kind) in self.kinds {
            kinds.push((old.start..old.end.min(range.start), old_kind));
            if old.contains(&range.start) {
                kinds.push((range.clone(), kind));
            }
            kinds.push((old.start.max(range.end)..old.end, old_kind));
        }
        kinds.retain(|(range, _)| range.start < range.end);
        self.kinds = kinds;
        if matches!(kind, RangeKind::Hole | RangeKind::Zero) {
            self.bytes[range.start as usize..range.end as usize].fill(0);
        }
        self
    }

    pub(super) fn export(self, name: &str) -> NbdExport {
        NbdExport {
            name: name.to_owned(),
            description: format!("about {name}"),
            content: NbdContent::ReadOnly(Arc::new(self)),
            bitmaps: Vec::new(),
        }
    }
}

impl View for Memory {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let range = offset..offset + out.len() as u64;
        for piece in self.map(range.clone(), usize::MAX)? {
            if piece.kind == RangeKind::Unreadable {
                let place = Place::Argument("test");
                return Err(Error::new(ErrorKind::Damaged, place, "is bad"));
            }
        }
        out.copy_from_slice(&self.bytes[range.start as usize..range.end as usize]);
        Ok(())
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        assert!(range.end <= self.len(), "the server checks every request");
        let clip = |(whole, kind): &(Range<u64>, RangeKind)| MappedRange {
            range: whole.start.max(range.start)..whole.end.min(range.end),
            kind: *kind,
            chunk: None,
        };
        let pieces = self.kinds.iter().map(clip);
        let pieces = pieces.filter(|piece| piece.range.start < piece.range.end);
        Ok(pieces.take(pieces_max).collect())
    }
}

/// Hears problems, and says when it is over.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    pub(super) is_over: AtomicBool,
    pub(super) problems: Mutex<Vec<String>>,
}

impl Observer for Watcher {
    fn problem(&self, problem: &Problem) {
        let subject = String::from_utf8_lossy(&problem.subject);
        self.problems
            .lock()
            .push(format!("{subject}: {}", problem.detail));
    }

    fn is_cancelled(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A server that runs until it is dropped.
pub(super) struct Running {
    pub(super) watcher: Arc<Watcher>,
    pub(super) address: NbdAddress,
    thread: Option<JoinHandle<NbdReport>>,
    _folder: tempfile::TempDir,
}

impl Running {
    /// On a socket in a folder of its own.
    pub(super) fn new(exports: Vec<NbdExport>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = NbdAddress::Unix(folder.path().join("s"));
        Self::at(&address, exports, folder)
    }

    pub(super) fn at(
        address: &NbdAddress,
        exports: Vec<NbdExport>,
        folder: tempfile::TempDir,
    ) -> Self {
        let server = NbdServer::bind(address, exports).expect("a server");
        let watcher = Arc::new(Watcher::default());
        let address = server.address().clone();
        let observer = Arc::clone(&watcher);
        Self {
            watcher,
            address,
            thread: Some(std::thread::spawn(move || server.run(observer.as_ref()))),
            _folder: folder,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match &self.address {
            NbdAddress::Unix(path) => path.clone(),
            NbdAddress::Tcp(_) => panic!("it listens to the network"),
        }
    }

    pub(super) fn connect(&self) -> Raw {
        Raw(UnixStream::connect(self.path()).expect("a connection"))
    }

    /// A client that has structured replies, and the first export, with these contexts.
    pub(super) fn structured(&self, contexts: &[&str]) -> Raw {
        let mut client = self.connect();
        client.greet(3);
        client.option(wire::OPTION_STRUCTURED_REPLY, Message::default());
        assert_eq!(client.replies(), [(wire::REPLY_ACK, Vec::new())]);
        if !contexts.is_empty() {
            let message = Message::default().text("").u32(contexts.len() as u32);
            let message = contexts
                .iter()
                .fold(message, |message, name| message.text(name));
            client.option(wire::OPTION_SET_META_CONTEXT, message);
            assert_eq!(client.replies().len(), contexts.len() + 1);
        }
        client.go("");
        client
    }

    /// Ends it; gives what it did.
    pub(super) fn end(mut self) -> NbdReport {
        self.watcher.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        thread.join().expect("a server does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watcher.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// A chunk of a structured reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) kind: u16,
    pub(super) is_last: bool,
    pub(super) cookie: u64,
    pub(super) payload: Vec<u8>,
}

/// One side of a connection, byte by byte.
pub(super) struct Raw(pub(super) UnixStream);

impl Raw {
    pub(super) fn send(&mut self, message: Message) {
        self.0.write_all(&message.0).expect("the server listens");
    }

    pub(super) fn receive(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).expect("the server answers");
        bytes
    }

    /// Takes the greeting and answers it.
    pub(super) fn greet(&mut self, flags: u32) {
        let greeting = self.receive(18);
        assert_eq!(greeting, b"NBDMAGICIHAVEOPT\0\x03");
        self.send(Message::default().u32(flags));
    }

    pub(super) fn option(&mut self, option: u32, payload: Message) {
        let message = Message::default().u64(wire::OPTION_MAGIC).u32(option);
        self.send(message.u32(payload.0.len() as u32).bytes(&payload.0));
    }

    /// Kinds and payloads of replies to one option, up to the last.
    pub(super) fn replies(&mut self) -> Vec<(u32, Vec<u8>)> {
        let mut replies = Vec::new();
        loop {
            let head = self.receive(20);
            let mut fields = Fields(&head[12..]);
            let (kind, len) = (fields.u32().expect("kind"), fields.u32().expect("length"));
            replies.push((kind, self.receive(len as usize)));
            if kind == wire::REPLY_ACK || kind & wire::REPLY_ERROR != 0 {
                return replies;
            }
        }
    }

    /// Enters an export; gives its length and flags.
    pub(super) fn go(&mut self, export: &str) -> (u64, u16) {
        self.option(wire::OPTION_GO, Message::default().text(export).u16(0));
        let replies = self.replies();
        assert_eq!(replies.last(), Some(&(wire::REPLY_ACK, Vec::new())));
        let mut fields = Fields(&replies[0].1[2..]);
        (fields.u64().expect("length"), fields.u16().expect("flags"))
    }

    pub(super) fn ask(&mut self, command: u16, flags: u16, offset: u64, len: u32) {
        let request = Request {
            flags,
            command,
            cookie: offset + 9,
            offset,
            len,
        };
        self.0
            .write_all(&request.encode())
            .expect("the server listens");
    }

    /// Error and cookie of a simple reply.
    pub(super) fn simple(&mut self) -> (u32, u64) {
        let head = self.receive(16);
        let mut fields = Fields(&head);
        assert_eq!(fields.u32(), Ok(wire::SIMPLE_MAGIC));
        (fields.u32().expect("error"), fields.u64().expect("cookie"))
    }

    pub(super) fn chunk(&mut self) -> Chunk {
        let head = self.receive(20);
        let mut fields = Fields(&head);
        assert_eq!(fields.u32(), Ok(wire::CHUNK_MAGIC));
        let flags = fields.u16().expect("flags");
        let (kind, cookie) = (fields.u16().expect("kind"), fields.u64().expect("cookie"));
        let payload = self.receive(fields.u32().expect("length") as usize);
        Chunk {
            kind,
            is_last: flags == wire::CHUNK_DONE,
            cookie,
            payload,
        }
    }

    /// All chunks of the reply to one request.
    pub(super) fn chunks(&mut self) -> Vec<Chunk> {
        let mut chunks = vec![self.chunk()];
        while chunks.last().is_some_and(|chunk| !chunk.is_last) {
            chunks.push(self.chunk());
        }
        chunks
    }

    /// The error number of a structured reply that is only that.
    pub(super) fn refusal(&mut self) -> u32 {
        let chunks = self.chunks();
        assert_eq!(chunks.len(), 1, "{chunks:?}");
        assert_eq!(chunks[0].kind, wire::CHUNK_ERROR_PLAIN);
        Fields(&chunks[0].payload).u32().expect("a number")
    }

    /// Waits until the server has closed the connection; what it said before goes.
    #[track_caller]
    pub(super) fn assert_closed(mut self) {
        let limit = Some(Duration::from_secs(20));
        self.0.set_read_timeout(limit).expect("a limit");
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            // What the client sent was still on its way.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

/// Waits for what a server does by and by.
pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it takes too long until {what}");
}
