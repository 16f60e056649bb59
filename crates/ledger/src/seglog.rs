//! An append-only log of frames in preallocated segment files: the journal and the audit log are two of these.
//!
//! Promises:
//! - A payload is durable when [`SegmentedLog::append`] returns `Ok`: one append is one frame, one write and one
//!   `fdatasync`. An append that failed may or may not be there after the next start; nothing else may.
//! - After a write or sync has failed the log is *poisoned* and takes nothing more: the kernel calls the lost
//!   pages clean, so a retried sync lies. The only way on is a new [`SegmentedLog::open`].
//! - Frames are numbered densely from 1, checked by CRC-32C, and chained by SHA-256 over everything before them.
//! - Opening cuts a torn frame at the very end of the last segment, and nothing else, ever: any other damage is
//!   [`LogError::Corrupt`] and the log stays shut.
//! - A full disk is told before anything is written ([`LogError::Full`], the log stays usable), and
//!   [`SegmentedLog::append_urgent`] still has a preallocated segment in reserve then.
//!
//! The order in which a segment comes to life, and what a crash at each step leaves:
//! 1. `next.new` is made, preallocated, its header written: a leftover that the next open removes;
//! 2. `fdatasync`: so no `.seg` name ever leads to a header that isn't there;
//! 3. rename to `<first sequence, 16 hex digits>.seg`: an empty last segment, or still a leftover;
//! 4. `sync_dir`: only now may a frame in it be acknowledged, for without its name it would be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::storage::{Storage, StorageFile};

mod error;
mod format;
mod reader;
mod recover;
mod segments;
mod window;

pub use error::LogError;
pub use format::{LogPurpose, MAX_PAYLOAD_BYTES, Position};
pub use reader::{Frame, Frames, LogReader, SegmentInfo, Tail};
pub use recover::{Cut, Recovery};

use format::{HEADER_BYTES, SegmentHeader, chain_next, frame_bytes, genesis_chain, write_frame};
use reader::{Shared, State};

/// This part of a segment, 256 KiB of 64 MiB and never more, is written as zeros before frames come there. Space that is only reserved has
/// to be marked as written with the first write, and a sync then writes that too: frames of 27 KB took 1.7 times as long (ext4 without a
/// journal; with one it commits).
const ZEROS_AHEAD: u64 = 256;
const MAX_ZEROS_AHEAD: u64 = 256 << 10;

/// What a log is for and how large its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Stands in every segment's header, so that no log is taken for another.
    pub purpose: LogPurpose,
    /// Size of a segment file in bytes; raised to what one largest frame needs.
    pub segment_bytes: u64,
    /// Largest payload of one frame in bytes, at most [`MAX_PAYLOAD_BYTES`].
    pub max_payload_bytes: usize,
    /// Whether to keep one preallocated segment aside for [`SegmentedLog::append_urgent`].
    pub reserve: bool,
}

impl LogConfig {
    /// Segments of 64 MiB, payloads up to 16 MiB, with a reserve.
    pub fn new(purpose: LogPurpose) -> Self {
        Self { purpose, segment_bytes: 64 << 20, max_payload_bytes: MAX_PAYLOAD_BYTES, reserve: true }
    }

    fn max_payload(&self) -> usize {
        self.max_payload_bytes.min(MAX_PAYLOAD_BYTES)
    }

    /// Every segment holds any frame, so an append never needs more than one new segment.
    fn capacity(&self) -> u64 {
        self.segment_bytes.max(HEADER_BYTES + frame_bytes(self.max_payload()))
    }
}

/// The writing end of a log. One per directory: the owner of the data directory's lock makes it.
#[derive(Debug)]
pub struct SegmentedLog {
    storage: Arc<dyn Storage>,
    config: LogConfig,
    shared: Arc<Shared>,
    /// The last segment, open for writing.
    file: Arc<dyn StorageFile>,
    header: SegmentHeader,
    /// Where in `file` the next frame goes.
    offset: u64,
    /// Up to where `file` was written since it was opened, with frames and then zeros.
    written: u64,
    tail: Tail,
    has_reserve: bool,
    poisoned: AtomicBool,
    /// Reused for every frame, so that an append allocates nothing.
    scratch: Vec<u8>,
}

impl SegmentedLog {
    /// Whether `storage` holds a log's segments.
    pub fn exists(storage: &dyn Storage) -> Result<bool, LogError> {
        Ok(!segments::names(storage)?.is_empty())
    }

    /// Starts a log with the identity `id` (for the journal its epoch, random). [`LogError::Exists`] when there is one.
    pub fn create(storage: Arc<dyn Storage>, config: LogConfig, id: [u8; 16]) -> Result<Self, LogError> {
        if Self::exists(&*storage)? {
            return Err(LogError::Exists);
        }
        segments::remove_leftovers(&*storage)?;
        let header = SegmentHeader {
            purpose: config.purpose,
            log_id: id,
            first_sequence: 1,
            base: 0,
            capacity: config.capacity(),
            previous_last: Position::START,
            previous_chain: genesis_chain(config.purpose, &id),
        };
        let file = segments::make(&*storage, &header)?;
        segments::publish(&*storage, segments::NEW, &header)?;
        let tail = Tail {
            sequence: 0,
            chain: header.previous_chain,
            last: Position::START,
            end: header.position(HEADER_BYTES),
        };
        Self::assemble(storage, config, vec![header], file, tail)
    }

    /// Opens a log after a clean stop or a crash, cuts a torn tail, and leaves everything that can be read durable.
    ///
    /// Headers, the boundaries between segments and all of the last segment are checked here; frames of
    /// earlier segments are checked when read. [`LogReader::verify`] checks all.
    pub fn open(storage: Arc<dyn Storage>, config: LogConfig) -> Result<(Self, Recovery), LogError> {
        let survey = recover::survey(&storage, config.purpose)?;
        segments::remove_leftovers(&*storage)?;
        let file = recover::settle(&*storage, &survey)?;
        let recovery = Recovery { frames_scanned: survey.frames_scanned, cut: survey.cut };
        Ok((Self::assemble(storage, config, survey.headers, file, survey.tail)?, recovery))
    }

    /// Reads a log without changing a byte: for checks on a stopped hub. A torn tail is left out and told.
    pub fn inspect(storage: Arc<dyn Storage>, purpose: LogPurpose) -> Result<(LogReader, Recovery), LogError> {
        let survey = recover::survey(&storage, purpose)?;
        let recovery = Recovery { frames_scanned: survey.frames_scanned, cut: survey.cut };
        let shared = Shared::new(storage, State::new(survey.headers, survey.tail));
        Ok((LogReader::new(Arc::new(shared)), recovery))
    }

    fn assemble(
        storage: Arc<dyn Storage>,
        config: LogConfig,
        headers: Vec<SegmentHeader>,
        file: Arc<dyn StorageFile>,
        tail: Tail,
    ) -> Result<Self, LogError> {
        let header = headers[headers.len() - 1].clone();
        let offset = tail.end.to_u64() - header.base;
        let has_reserve = match config.reserve.then(|| segments::make_reserve(&*storage, config.capacity())) {
            Some(Ok(())) => true,
            // The hub must start on a full disk too: to read, and to tell of it.
            Some(Err(LogError::Full { .. })) | None => false,
            Some(Err(error)) => return Err(error),
        };
        let shared = Arc::new(Shared::new(Arc::clone(&storage), State::new(headers, tail)));
        let (poisoned, scratch) = (AtomicBool::new(false), Vec::new());
        let written = offset;
        Ok(Self { storage, config, shared, file, header, offset, written, tail, has_reserve, poisoned, scratch })
    }

    /// The identity given to [`SegmentedLog::create`].
    pub fn id(&self) -> [u8; 16] {
        self.header.log_id
    }

    /// The last durable frame and where the log ends.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// The chain hash over every frame so far.
    pub fn chain(&self) -> [u8; 32] {
        self.tail.chain
    }

    /// Whether a write or sync has failed: then nothing more is taken, and the process should stop and recover.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// Whether the reserve segment is there. Without it ordinary appends are refused until space returns.
    pub fn has_reserve(&self) -> bool {
        self.has_reserve
    }

    /// A reader that any thread may keep; it sees each frame as soon as it is durable.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// Appends one frame. It is durable, and readers see it, when this returns `Ok`.
    ///
    /// [`LogError::Full`] and [`LogError::TooLarge`]: nothing was written, the log stays usable. Any other error:
    /// the outcome is unknown, the log is poisoned.
    pub fn append(&mut self, payload: &[u8]) -> Result<Position, LogError> {
        self.check(payload)?;
        // While the reserve is used up, what space there is belongs to it and to urgent frames.
        if self.config.reserve && !self.has_reserve {
            self.refill_reserve()?;
        }
        if !self.fits(payload) {
            let header = self.next_header();
            let file = segments::make(&*self.storage, &header).map_err(|error| self.judge(error))?;
            self.enter(segments::NEW, header, file)?;
        }
        self.write(payload)
    }

    /// [`SegmentedLog::append`] for what must go through on a full disk (a lift): may use up the reserve.
    pub fn append_urgent(&mut self, payload: &[u8]) -> Result<Position, LogError> {
        self.check(payload)?;
        if !self.fits(payload) {
            let mut header = self.next_header();
            match segments::make(&*self.storage, &header) {
                Ok(file) => self.enter(segments::NEW, header, file)?,
                Err(LogError::Full { .. }) if self.has_reserve => {
                    // From here on the reserve belongs to the log, whatever comes of this.
                    self.has_reserve = false;
                    let file =
                        segments::take_reserve(&*self.storage, &mut header).map_err(|error| self.judge(error))?;
                    self.enter(segments::RESERVE, header, file)?;
                }
                Err(error) => return Err(self.judge(error)),
            }
        }
        self.write(payload)
    }

    /// Removes the oldest segments all of whose frames come before `sequence`, and never the last; returns how many.
    /// What remains begins with a header that carries the chain so far, so the rest still verifies.
    pub fn remove_segments_before(&mut self, sequence: u64) -> Result<u64, LogError> {
        let mut removed = 0;
        while let Some(name) = self.shared.oldest_if_before(sequence) {
            // Each name goes durably before the next is touched: a gap between segments would be corruption.
            self.storage.remove(&name).map_err(|error| LogError::io(&name, "remove", error))?;
            self.storage.sync_dir().map_err(|error| LogError::io("directory", "sync", error))?;
            self.shared.forget_oldest();
            removed += 1;
        }
        Ok(removed)
    }

    fn check(&self, payload: &[u8]) -> Result<(), LogError> {
        if self.is_poisoned() {
            return Err(LogError::Poisoned);
        }
        let max_bytes = self.config.max_payload();
        if payload.len() > max_bytes {
            return Err(LogError::TooLarge { bytes: payload.len(), max_bytes });
        }
        Ok(())
    }

    fn fits(&self, payload: &[u8]) -> bool {
        self.offset + frame_bytes(payload.len()) <= self.header.capacity
    }

    /// The header of the segment after this one. An empty segment that is too small (made under another
    /// configuration) is replaced under its own name instead of followed.
    fn next_header(&self) -> SegmentHeader {
        let capacity = self.config.capacity();
        if self.tail.sequence < self.header.first_sequence {
            return SegmentHeader { capacity, ..self.header.clone() };
        }
        SegmentHeader {
            purpose: self.config.purpose,
            log_id: self.header.log_id,
            first_sequence: self.tail.sequence + 1,
            base: self.header.base + self.header.capacity,
            capacity,
            previous_last: self.tail.last,
            previous_chain: self.tail.chain,
        }
    }

    /// Gives the finished segment file `from` its name and moves on to it.
    fn enter(&mut self, from: &str, header: SegmentHeader, file: Arc<dyn StorageFile>) -> Result<(), LogError> {
        // A failure leaves open whether the name is there: only recovery can tell.
        segments::publish(&*self.storage, from, &header).map_err(|error| self.poison(error))?;
        (self.offset, self.written) = (HEADER_BYTES, HEADER_BYTES);
        self.tail.end = header.position(HEADER_BYTES);
        self.shared.enter(header.clone(), self.tail);
        self.header = header;
        self.file = file;
        Ok(())
    }

    fn write(&mut self, payload: &[u8]) -> Result<Position, LogError> {
        let sequence = self.tail.sequence + 1;
        let chain = chain_next(&self.tail.chain, sequence, payload);
        self.scratch.clear();
        write_frame(&mut self.scratch, sequence, &chain, payload);
        let end = self.offset + self.scratch.len() as u64;
        if end > self.written {
            let capacity = self.header.capacity;
            self.written = end.next_multiple_of((capacity / ZEROS_AHEAD).clamp(1, MAX_ZEROS_AHEAD)).min(capacity);
            self.scratch.resize((self.written - self.offset) as usize, 0);
        }
        // A crash from here to the end of the sync leaves none, all or some sectors of the frame: opening keeps it
        // only whole. It was not acknowledged, so either is right.
        let written = self.file.write_at(&self.scratch, self.offset);
        written.map_err(|error| self.poison(LogError::io(&self.header.name(), "write", error)))?;
        let synced = self.file.sync_data();
        synced.map_err(|error| self.poison(LogError::io(&self.header.name(), "sync", error)))?;
        // Commit point: from here on the frame survives a power cut.
        let position = self.header.position(self.offset);
        self.offset = end;
        self.tail = Tail { sequence, chain, last: position, end: self.header.position(self.offset) };
        self.shared.advance(self.tail);
        Ok(position)
    }

    fn refill_reserve(&mut self) -> Result<(), LogError> {
        segments::make_reserve(&*self.storage, self.config.capacity()).map_err(|error| self.judge(error))?;
        self.has_reserve = true;
        Ok(())
    }

    /// A full disk met before anything was named is no harm; anything else leaves the outcome open.
    fn judge(&self, error: LogError) -> LogError {
        match error {
            LogError::Full { .. } => error,
            other => self.poison(other),
        }
    }

    fn poison(&self, error: LogError) -> LogError {
        self.poisoned.store(true, Ordering::Relaxed);
        error
    }
}

#[cfg(test)]
mod tests;
