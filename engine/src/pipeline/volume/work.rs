//! What a worker does with one piece of a volume.

use std::io;
use std::ops::Range;

use crate::error::Result;
use crate::format::entry::{Extent, ExtentKind};
use crate::limits::LONG_FRAME_LEN_TARGET;
use crate::pipeline::volume::VolumeReader;
use crate::pipeline::volume::block::{BlockIo, BlockTask, build_block, window_len};
use crate::pipeline::volume::rules::{Cutter, VolumeRules};
use crate::pipeline::volume::window::Window;
use crate::pipeline::worker::{IngestError, Worker};

impl Worker<'_> {
    /// Builds one piece of a volume.
    pub(super) fn ingest_block(
        &mut self,
        reader: &dyn VolumeReader,
        rules: &VolumeRules,
        task: &BlockTask,
    ) -> Result<Vec<Extent>, IngestError> {
        let chunker = self.chunker();
        let cutter = Cutter {
            chunker,
            cutting: rules.cutting,
        };
        let mut window = Window::new(self.take_buffer(), window_len(rules, cutter));
        let mut io = WorkerIo {
            worker: self,
            reader,
        };
        let extents = build_block(rules, cutter, task, &mut window, &mut io);
        self.return_buffer(window.into_buffer());
        extents
    }
}

/// A worker and its source.
struct WorkerIo<'i, 's> {
    worker: &'i mut Worker<'s>,
    reader: &'i dyn VolumeReader,
}

impl BlockIo for WorkerIo<'_, '_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        let lost = self.reader.read(offset, buffer)?;
        self.worker.count_read(buffer.len() as u64);
        Ok(lost)
    }

    fn store(&mut self, chunk: &[u8]) -> Result<ExtentKind> {
        self.worker.store_chunk(chunk, LONG_FRAME_LEN_TARGET)
    }
}
