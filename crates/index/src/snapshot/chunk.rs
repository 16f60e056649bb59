//! The frame around the entries: bounded, numbered, checksummed pieces.

use std::io::{self, Read, Write};
use std::ops::Range;

use super::{FORMAT, LoadError, MAX_CHUNK_BYTES};

const FRAME_BYTES: usize = 8;
const LENGTH: Range<usize> = 0..4;
const CHECKSUM: Range<usize> = 4..8;

/// Format, key epoch, chunk number, kind.
const HEADER_BYTES: usize = 11;

/// What a chunk carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Entries = 0,
    End = 1,
}

pub(super) struct ChunkWriter<'a, W> {
    out: &'a mut W,
    key_epoch: u32,
    number: u32,
    /// The open chunk, from its frame on; length and checksum are filled in when it is closed.
    chunk: Vec<u8>,
}

impl<'a, W: Write> ChunkWriter<'a, W> {
    pub(super) fn new(key_epoch: u32, out: &'a mut W) -> Self {
        let mut chunks = Self { out, key_epoch, number: 0, chunk: Vec::with_capacity(MAX_CHUNK_BYTES) };
        chunks.open(Kind::Entries);
        chunks
    }

    /// Adds one encoded entry, in the open chunk or in the next.
    pub(super) fn entry(&mut self, encoded: &[u8]) -> io::Result<()> {
        if self.chunk.len() + encoded.len() > MAX_CHUNK_BYTES {
            self.close()?;
            self.open(Kind::Entries);
        }
        self.chunk.extend(encoded);
        Ok(())
    }

    pub(super) fn end(mut self, entries: u64) -> io::Result<()> {
        if self.chunk.len() > FRAME_BYTES + HEADER_BYTES {
            self.close()?;
        }
        self.open(Kind::End);
        self.chunk.extend(entries.to_le_bytes());
        self.close()
    }

    fn open(&mut self, kind: Kind) {
        self.chunk.clear();
        self.chunk.extend([0; FRAME_BYTES]);
        self.chunk.extend(FORMAT.to_le_bytes());
        self.chunk.extend(self.key_epoch.to_le_bytes());
        self.chunk.extend(self.number.to_le_bytes());
        self.chunk.push(kind as u8);
    }

    fn close(&mut self) -> io::Result<()> {
        let length = ((self.chunk.len() - FRAME_BYTES) as u32).to_le_bytes();
        let checksum = checksum(length, &self.chunk[FRAME_BYTES..]).to_le_bytes();
        self.chunk[LENGTH].copy_from_slice(&length);
        self.chunk[CHECKSUM].copy_from_slice(&checksum);
        self.number += 1;
        self.out.write_all(&self.chunk)
    }
}

pub(super) struct ChunkReader<'a, R> {
    from: &'a mut R,
    key_epoch: u32,
    /// Of the chunk that was begun last, from 0.
    number: u32,
    begun: u32,
    /// Read so far, frames included.
    pub(super) bytes: u64,
}

impl<'a, R: Read> ChunkReader<'a, R> {
    pub(super) fn new(key_epoch: u32, from: &'a mut R) -> Self {
        Self { from, key_epoch, number: 0, begun: 0, bytes: 0 }
    }

    /// Reads the next chunk into `payload`; its kind and body, everything around the body checked.
    pub(super) fn next<'p>(&mut self, payload: &'p mut Vec<u8>) -> Result<(Kind, &'p [u8]), LoadError> {
        self.number = self.begun;
        self.begun += 1;
        let mut frame = [0; FRAME_BYTES];
        self.read_exact(&mut frame)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = frame;
        let (length, sum) = ([l0, l1, l2, l3], u32::from_le_bytes([c0, c1, c2, c3]));
        // Before anything is allocated for it.
        let payload_bytes = u32::from_le_bytes(length) as usize;
        if !(HEADER_BYTES..=MAX_CHUNK_BYTES - FRAME_BYTES).contains(&payload_bytes) {
            return Err(self.damaged("a length that no chunk has"));
        }
        payload.resize(payload_bytes, 0);
        self.read_exact(payload)?;
        if checksum(length, payload) != sum {
            return Err(self.damaged("wrong checksum"));
        }
        let (header, body) =
            payload.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| self.damaged("a length that no chunk has"))?;
        Ok((self.kind(*header)?, body))
    }

    fn kind(&self, header: [u8; HEADER_BYTES]) -> Result<Kind, LoadError> {
        let [f0, f1, e0, e1, e2, e3, n0, n1, n2, n3, kind] = header;
        let format = u16::from_le_bytes([f0, f1]);
        if format > FORMAT {
            return Err(LoadError::NewerFormat { found: format });
        }
        if format < FORMAT {
            return Err(self.damaged("format 0, which there never was"));
        }
        let key_epoch = u32::from_le_bytes([e0, e1, e2, e3]);
        if key_epoch != self.key_epoch {
            return Err(LoadError::KeyEpoch { found: key_epoch, expected: self.key_epoch });
        }
        if u32::from_le_bytes([n0, n1, n2, n3]) != self.number {
            return Err(self.damaged("a chunk is missing or out of order"));
        }
        match kind {
            0 => Ok(Kind::Entries),
            1 => Ok(Kind::End),
            _ => Err(self.damaged("a chunk of unknown kind")),
        }
    }

    pub(super) fn damaged(&self, what: &'static str) -> LoadError {
        LoadError::Damaged { chunk: self.number, what }
    }

    fn read_exact(&mut self, into: &mut [u8]) -> Result<(), LoadError> {
        self.from.read_exact(into).map_err(|source| {
            let chunk = self.number;
            match source.kind() {
                io::ErrorKind::UnexpectedEof => LoadError::Truncated { chunk },
                _ => LoadError::Io { chunk, source },
            }
        })?;
        self.bytes += into.len() as u64;
        Ok(())
    }
}

/// CRC-32C (RFC 3720, B.4) of the length and the payload.
pub(super) fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}
