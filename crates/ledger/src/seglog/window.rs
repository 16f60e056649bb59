//! Reading frames from a segment file through a buffer.

use std::io;
use std::sync::Arc;

use super::format::{FRAME_HEADER_BYTES, Parsed, parse_frame};
use crate::storage::StorageFile;

/// A part of a file in memory, moved along as it is read.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn StorageFile>,
    ahead: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(super) fn new(file: Arc<dyn StorageFile>, ahead: u64) -> Self {
        Self { file, ahead, start: 0, bytes: Vec::new() }
    }

    /// What stands at `offset`; nothing at or past `limit` is looked at. Never `Need`.
    pub(super) fn parse(&mut self, offset: u64, limit: u64) -> io::Result<Parsed> {
        let left = limit - offset;
        if left < FRAME_HEADER_BYTES as u64 {
            let zero = self.load(offset, left, limit)?.iter().all(|&byte| byte == 0);
            return Ok(if zero { Parsed::End } else { Parsed::Bad("frame header runs past the end") });
        }
        let mut want = FRAME_HEADER_BYTES as u64;
        loop {
            match parse_frame(self.load(offset, want, limit)?) {
                Parsed::Need(bytes) if bytes as u64 > left => return Ok(Parsed::Bad("frame runs past the end")),
                Parsed::Need(bytes) => want = bytes as u64,
                parsed => return Ok(parsed),
            }
        }
    }

    /// The payload of the frame that [`Window::parse`] has just found at `offset`.
    pub(super) fn payload(&self, offset: u64, payload_len: usize) -> &[u8] {
        let at = (offset - self.start) as usize + FRAME_HEADER_BYTES;
        &self.bytes[at..at + payload_len]
    }

    /// At least `want` bytes from `offset`, which the caller knows to lie before `limit`.
    fn load(&mut self, offset: u64, want: u64, limit: u64) -> io::Result<&[u8]> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if offset < held.start || offset + want > held.end {
            let len = want.max(self.ahead.min(limit - offset));
            self.bytes.resize(len as usize, 0);
            self.start = offset;
            let read = self.file.read_at(&mut self.bytes, offset);
            if read.is_err() {
                self.bytes.clear();
            }
            read?;
        }
        let end = (limit - self.start).min(self.bytes.len() as u64);
        Ok(&self.bytes[(offset - self.start) as usize..end as usize])
    }
}
