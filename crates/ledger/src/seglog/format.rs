//! The bytes of segments and frames. All numbers are little-endian.
//!
//! Segment header, one 512-byte sector, so that no frame shares a sector with it:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic `XHSEGLOG` |
//! | 8..10 | format (these first ten bytes are the same in every format to come) |
//! | 10 | purpose: 1 journal, 2 audit |
//! | 11..16 | zero (12..16: `key_epoch`, 0 because no key makes a segment; the payloads carry theirs) |
//! | 16..32 | log id |
//! | 32..40 | sequence of the first frame |
//! | 40..48 | base: the log position of this file's byte 0 |
//! | 48..56 | capacity: the file's length |
//! | 56..64 | position of the last frame before this segment, 0 for none |
//! | 64..96 | chain hash after that frame |
//! | 96..100 | CRC-32C of bytes 0..96 |
//! | 100..512 | zero |
//!
//! Frame, beginning at a multiple of 8: length of the payload u32, CRC-32C u32 (of length, sequence, chain, payload),
//! sequence u64, chain 32 bytes, payload, 1 to 8 pad bytes `0x5a`. The last byte is thus never zero: a frame cut
//! short in a preallocated (zero) file can be told from a damaged one. A frame header of zeros ends the segment.

use std::fmt;

use super::LogError;
use crate::crypto;

pub(super) const FORMAT: u16 = 1;
const MAGIC: [u8; 8] = *b"XHSEGLOG";
pub(super) const HEADER_BYTES: u64 = SECTOR_BYTES;
/// The unit in which disks keep or lose a write.
pub(super) const SECTOR_BYTES: u64 = 512;
pub(super) const FRAME_HEADER_BYTES: usize = 48;
const PAD: u8 = 0x5a;

/// The largest payload of any log: 16 MiB.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// Which of the hub's logs a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPurpose {
    /// The ground truth: committed batches of events.
    Journal,
    /// Who asked what, and what was answered.
    Audit,
}

impl LogPurpose {
    fn byte(self) -> u8 {
        match self {
            Self::Journal => 1,
            Self::Audit => 2,
        }
    }
}

/// Where a frame begins, as a byte address that runs on through all segments, removed ones included. Eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Before everything: no frame is here; iterating from it begins with the oldest frame kept.
    pub const START: Self = Self(0);

    /// The address as a number, for storing.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The address from a stored number. A number that is no frame's address is an error on reading.
    pub fn from_u64(address: u64) -> Self {
        Self(address)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) purpose: LogPurpose,
    pub(super) log_id: [u8; 16],
    pub(super) first_sequence: u64,
    pub(super) base: u64,
    pub(super) capacity: u64,
    pub(super) previous_last: Position,
    pub(super) previous_chain: [u8; 32],
}

impl SegmentHeader {
    pub(super) fn name(&self) -> String {
        format!("{:016x}.seg", self.first_sequence)
    }

    pub(super) fn position(&self, offset: u64) -> Position {
        Position(self.base + offset)
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10] = self.purpose.byte();
        bytes[16..32].copy_from_slice(&self.log_id);
        bytes[32..40].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.base.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.previous_last.0.to_le_bytes());
        bytes[64..96].copy_from_slice(&self.previous_chain);
        let crc = crc32c::crc32c(&bytes[0..96]);
        bytes[96..100].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(
        file: &str,
        bytes: &[u8; HEADER_BYTES as usize],
        purpose: LogPurpose,
    ) -> Result<Self, LogError> {
        let corrupt = |offset, what| Err(LogError::corrupt(file, offset, what));
        if bytes[0..8] != MAGIC {
            return corrupt(0, "no segment header");
        }
        let found = u16::from_le_bytes([bytes[8], bytes[9]]);
        if found > FORMAT {
            return Err(LogError::NewerFormat { file: file.to_owned(), found });
        }
        if u32_at(bytes, 96) != crc32c::crc32c(&bytes[0..96]) {
            return corrupt(96, "checksum of the segment header");
        }
        if bytes[10] != purpose.byte() {
            return Err(LogError::WrongLog { file: file.to_owned(), what: "purpose" });
        }
        let mut header = Self {
            purpose,
            log_id: [0; 16],
            first_sequence: u64_at(bytes, 32),
            base: u64_at(bytes, 40),
            capacity: u64_at(bytes, 48),
            previous_last: Position(u64_at(bytes, 56)),
            previous_chain: [0; 32],
        };
        header.log_id.copy_from_slice(&bytes[16..32]);
        header.previous_chain.copy_from_slice(&bytes[64..96]);
        Ok(header)
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(le)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(le)
}

/// The chain before the first frame: bound to the log's identity, so two logs never share a chain.
pub(super) fn genesis_chain(purpose: LogPurpose, id: &[u8; 16]) -> [u8; 32] {
    crypto::sha256(&[b"xinhub segmented log", &[purpose.byte()], id])
}

/// SHA-256(previous chain ‖ sequence ‖ payload).
pub(super) fn chain_next(previous: &[u8; 32], sequence: u64, payload: &[u8]) -> [u8; 32] {
    crypto::sha256(&[previous, &sequence.to_le_bytes(), payload])
}

/// Bytes that a payload takes as a frame, pad included.
pub(super) fn frame_bytes(payload_len: usize) -> u64 {
    // + 8 rounded down: at least one pad byte.
    ((FRAME_HEADER_BYTES + payload_len + 8) & !7) as u64
}

/// Appends the frame to `out`. The payload is at most [`MAX_PAYLOAD_BYTES`].
pub(super) fn write_frame(out: &mut Vec<u8>, sequence: u64, chain: &[u8; 32], payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(chain);
    out.extend_from_slice(payload);
    let crc = frame_crc(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + frame_bytes(payload.len()) as usize, PAD);
}

fn frame_crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[0..4]), &frame[8..])
}

/// Whether these bytes are a whole frame whose length field alone is damaged.
pub(super) fn is_whole_but_for_length(bytes: &[u8]) -> bool {
    let Some(room) = bytes.len().checked_sub(FRAME_HEADER_BYTES) else { return false };
    (1..=room.min(8)).any(|pad| {
        let payload_len = room - pad;
        if frame_bytes(payload_len) as usize != bytes.len() || payload_len == u32_at(bytes, 0) as usize {
            return false;
        }
        let mut frame = bytes[..bytes.len() - pad].to_vec();
        frame[0..4].copy_from_slice(&(payload_len as u32).to_le_bytes());
        frame_crc(&frame) == u32_at(&frame, 4)
    })
}

/// What stands at some place of a segment.
pub(super) enum Parsed {
    /// A frame whose checksum is right, of this many bytes.
    Frame { sequence: u64, chain: [u8; 32], payload_len: usize, bytes: usize },
    /// More bytes are needed to tell: this many from the start.
    Need(usize),
    /// A frame header of zeros: nothing follows in this segment.
    End,
    /// Neither.
    Bad(&'static str),
}

/// Reads the frame at the start of `bytes`, of which `bytes` may hold only a part.
pub(super) fn parse_frame(bytes: &[u8]) -> Parsed {
    let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else { return Parsed::Need(FRAME_HEADER_BYTES) };
    if header.iter().all(|&byte| byte == 0) {
        return Parsed::End;
    }
    let payload_len = u32_at(header, 0) as usize;
    if payload_len > MAX_PAYLOAD_BYTES {
        return Parsed::Bad("frame length over the bound");
    }
    let total = frame_bytes(payload_len) as usize;
    let Some(frame) = bytes.get(..total) else { return Parsed::Need(total) };
    let (body, pad) = frame.split_at(FRAME_HEADER_BYTES + payload_len);
    if frame_crc(body) != u32_at(header, 4) {
        return Parsed::Bad("frame checksum");
    }
    if pad.iter().any(|&byte| byte != PAD) {
        return Parsed::Bad("frame padding");
    }
    let mut chain = [0; 32];
    chain.copy_from_slice(&header[16..48]);
    Parsed::Frame { sequence: u64_at(header, 8), chain, payload_len, bytes: total }
}
