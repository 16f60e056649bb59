//! A stream of bytes on the disk, sealed block by block.
//!
//! A snapshot holds no identity and no name; but which client was told of which listing, and who works at a court, is nobody's
//! to read either. Each block is bound to its number and to whether it is the last, so that none can be moved, dropped or added.
//!
//! Layout: `length u32 | last u8 | AES-256-GCM block` again and again, little-endian.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use crate::crypto::{self, RecordKey, SEAL_OVERHEAD_BYTES};

/// Plain bytes of a block.
const BLOCK_BYTES: usize = 256 << 10;

fn bound_to(number: u64, last: bool) -> [u8; 9] {
    let mut data = [0; 9];
    data[..8].copy_from_slice(&number.to_le_bytes());
    data[8] = u8::from(last);
    data
}

/// Seals what is written to it.
pub(super) struct SealedWriter<'a, W> {
    out: &'a mut W,
    key: RecordKey,
    number: u64,
    block: Vec<u8>,
}

impl<'a, W: Write> SealedWriter<'a, W> {
    pub(super) fn new(out: &'a mut W, key: RecordKey) -> Self {
        SealedWriter { out, key, number: 0, block: Vec::with_capacity(BLOCK_BYTES) }
    }

    fn block(&mut self, last: bool) -> io::Result<()> {
        let sealed = crypto::seal(&self.key, &bound_to(self.number, last), &self.block);
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&[u8::from(last)])?;
        self.out.write_all(&sealed)?;
        self.number += 1;
        self.block.clear();
        Ok(())
    }

    /// Writes the last block: without it the stream is cut.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.block(true)
    }
}

impl<W: Write> Write for SealedWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK_BYTES {
            self.block(false)?;
        }
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what [`SealedWriter`] has sealed. Ends where the last block ends; anything else is an error.
pub(super) struct SealedReader<'a, R> {
    from: &'a mut R,
    key: RecordKey,
    number: u64,
    ended: bool,
    block: Vec<u8>,
    at: usize,
}

impl<'a, R: Read> SealedReader<'a, R> {
    pub(super) fn new(from: &'a mut R, key: RecordKey) -> Self {
        SealedReader { from, key, number: 0, ended: false, block: Vec::new(), at: 0 }
    }

    /// The next block, whole; `None` after the last.
    fn whole_block(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        self.next_block()?;
        Ok(Some(std::mem::take(&mut self.block)))
    }

    fn next_block(&mut self) -> io::Result<()> {
        let mut head = [0; 5];
        self.from.read_exact(&mut head)?;
        let [l0, l1, l2, l3, last] = head;
        let (length, last) = (u32::from_le_bytes([l0, l1, l2, l3]) as usize, last == 1);
        if length > BLOCK_BYTES + SEAL_OVERHEAD_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "a sealed block is longer than any"));
        }
        let mut sealed = vec![0; length];
        self.from.read_exact(&mut sealed)?;
        let opened = crypto::open(&self.key, &bound_to(self.number, last), &sealed);
        self.block = opened.map_err(|_| io::Error::new(ErrorKind::InvalidData, "a sealed block does not open"))?;
        (self.at, self.ended, self.number) = (0, last, self.number + 1);
        Ok(())
    }
}

impl<R: Read> Read for SealedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_block()?;
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// How many blocks are read and opened ahead.
const BLOCKS_AHEAD: usize = 16;

/// What a [`SealedReader`] reads, read and opened by a thread of its own: that takes as long as making sense of it.
pub(super) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    at: usize,
}

impl Ahead {
    pub(super) fn of<'scope, R: Read + Send>(
        mut sealed: SealedReader<'scope, R>,
        scope: &'scope Scope<'scope, '_>,
    ) -> Ahead {
        let (send, blocks) = sync_channel(BLOCKS_AHEAD);
        scope.spawn(move || {
            while let Some(block) = sealed.whole_block().transpose() {
                let over = block.is_err();
                // Whoever wants no more is told nothing more.
                if send.send(block).is_err() || over {
                    break;
                }
            }
        });
        Ahead { blocks, block: Vec::new(), at: 0 }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            let Ok(block) = self.blocks.recv() else { return Ok(0) };
            (self.block, self.at) = (block?, 0);
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sealed(plain: &[u8], key: &RecordKey) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = SealedWriter::new(&mut out, key.clone());
        writer.write_all(plain).unwrap();
        writer.finish().unwrap();
        out
    }

    fn opened(mut bytes: &[u8], key: &RecordKey) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        SealedReader::new(&mut bytes, key.clone()).read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        let key = RecordKey::random();
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let bytes = sealed(&plain, &key);
            assert_eq!(opened(&bytes, &key).unwrap(), plain, "{length}");
            assert!(opened(&bytes, &RecordKey::random()).is_err(), "{length}: another key");
            for cut in [0, 4, bytes.len() / 2, bytes.len() - 1] {
                assert!(opened(&bytes[..cut], &key).is_err(), "{length}: cut at {cut}");
            }
            for at in (0..bytes.len()).step_by(bytes.len() / 7 + 1) {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert!(opened(&changed, &key).is_err(), "{length}: changed at {at}");
            }
        }
        let two = sealed(&vec![7; BLOCK_BYTES + 1], &key);
        let first = 5 + BLOCK_BYTES + SEAL_OVERHEAD_BYTES;
        let swapped = [&two[first..], &two[..first]].concat();
        assert!(opened(&swapped, &key).is_err() && opened(&two[first..], &key).is_err());
    }
}
