//! The ordered history of entries, wherever it is kept.
//!
//! Promise: an entry is there for ever once `append` returned a frame; after [`JournalError::Full`] nothing was written;
//! after any other error its fate is open, and nothing more is taken until the journal is opened anew. Two implementations
//! keep it, under one conformance suite: the segmented log, and one in memory that fails on demand.

use std::ops::Range;
use std::sync::Arc;

use crate::seglog::{LogError, LogReader, Position as LogPosition, SegmentedLog};

pub mod memory;

/// Where the history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalTail {
    /// How many entries there are.
    pub sequence: u64,
    /// The chain hash over all of them.
    pub chain: [u8; 32],
}

/// Why an entry was not taken, or can't be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No space; nothing was written and the journal stays usable.
    #[error("the journal's disk is full")]
    Full,
    /// Outcome unknown, or what is stored can't be vouched for: stop and recover.
    #[error("the journal failed: {0}")]
    Failed(String),
}

/// One stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it lies; ascending, below 2^54.
    pub frame: u64,
    /// Its number, from 1.
    pub sequence: u64,
    /// The chain hash with it.
    pub chain: [u8; 32],
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Takes entries. One per ledger.
pub trait Journal: Send + std::fmt::Debug {
    /// Appends one entry and makes it durable; returns its frame. `urgent` may use the reserve on a full disk.
    fn append(&mut self, payload: &[u8], urgent: bool) -> Result<u64, JournalError>;
    /// Where the history ends.
    fn tail(&self) -> JournalTail;
    /// A reader for any thread; it sees an entry as soon as it is durable.
    fn reader(&self) -> Arc<dyn JournalReader>;
}

/// Reads durable entries.
pub trait JournalReader: Send + Sync + std::fmt::Debug {
    /// The payload at a frame.
    fn read(&self, frame: u64) -> Result<Vec<u8>, JournalError>;
    /// A part of the payload at a frame, without the checksum, which only the whole has: for what carries a hash of its own.
    fn read_part(&self, frame: u64, part: Range<usize>) -> Result<Vec<u8>, JournalError>;
    /// The numbers of entries that are found at once, ascending; those between two are gone through from the one before.
    fn found_at_once(&self) -> Vec<u64>;
    /// All entries after number `sequence`, in order, up to the end as it is now. Stops after the first error.
    fn after(&self, sequence: u64) -> Box<dyn Iterator<Item = Result<Stored, JournalError>> + '_>;
}

impl From<LogError> for JournalError {
    fn from(error: LogError) -> JournalError {
        match error {
            LogError::Full { .. } => JournalError::Full,
            other => JournalError::Failed(other.to_string()),
        }
    }
}

impl Journal for SegmentedLog {
    fn append(&mut self, payload: &[u8], urgent: bool) -> Result<u64, JournalError> {
        let appended = if urgent { self.append_urgent(payload) } else { SegmentedLog::append(self, payload) };
        Ok(appended?.to_u64())
    }

    fn tail(&self) -> JournalTail {
        let tail = SegmentedLog::tail(self);
        JournalTail { sequence: tail.sequence, chain: tail.chain }
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        Arc::new(SegmentedLog::reader(self))
    }
}

impl JournalReader for LogReader {
    fn read(&self, frame: u64) -> Result<Vec<u8>, JournalError> {
        Ok(LogReader::read(self, LogPosition::from_u64(frame))?)
    }

    fn read_part(&self, frame: u64, part: Range<usize>) -> Result<Vec<u8>, JournalError> {
        Ok(LogReader::read_part(self, LogPosition::from_u64(frame), part)?)
    }

    fn found_at_once(&self) -> Vec<u64> {
        self.segments().iter().map(|segment| segment.first_sequence).collect()
    }

    fn after(&self, sequence: u64) -> Box<dyn Iterator<Item = Result<Stored, JournalError>> + '_> {
        match self.iter_from_sequence(sequence + 1) {
            Err(error) => Box::new(std::iter::once(Err(error.into()))),
            Ok(frames) => Box::new(frames.map(|frame| {
                let frame = frame?;
                let (sequence, chain) = (frame.sequence, frame.chain);
                Ok(Stored { frame: frame.position.to_u64(), sequence, chain, payload: frame.payload })
            })),
        }
    }
}

#[cfg(test)]
mod tests;
