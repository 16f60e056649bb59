//! Reading a log from any thread, while it grows.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::LogError;
use super::format::{HEADER_BYTES, Parsed, Position, SegmentHeader, chain_next};
use super::window::Window;
use crate::storage::{OpenMode, Storage, StorageFile};

/// How many segment files stay open for reading; an audit log kept for years has thousands.
const MAX_OPEN_SEGMENTS: usize = 64;
/// How much is read at once when going through frames in order.
const READ_AHEAD_BYTES: u64 = 256 * 1024;
/// How far apart the frames lie of which the place is remembered: so much is read to find any other, and not its segment's beginning.
const BETWEEN_PLACES_BYTES: u64 = 64 * 1024;

/// One frame as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins.
    pub position: Position,
    /// Its number, from 1, dense.
    pub sequence: u64,
    /// The chain hash over everything up to and including this frame.
    pub chain: [u8; 32],
    /// What was appended.
    pub payload: Vec<u8>,
}

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Number of the last frame; 0 when there has been none.
    pub sequence: u64,
    /// The chain hash after it.
    pub chain: [u8; 32],
    /// Where it begins; [`Position::START`] when there has been none.
    pub last: Position,
    /// Just past it. Iterating from here yields what is appended later.
    pub end: Position,
}

/// One segment file, for deciding what to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Number of its first frame.
    pub first_sequence: u64,
    /// Where its first frame begins.
    pub first: Position,
    /// Size of its file in bytes.
    pub bytes: u64,
}

/// What the writer and the readers share. The lock is held to copy a few words, never during I/O.
#[derive(Debug)]
pub(super) struct Shared {
    storage: Arc<dyn Storage>,
    state: RwLock<State>,
    /// Segments open for reading, by base, the most recently opened last.
    handles: Mutex<Vec<(u64, Arc<dyn StorageFile>)>>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Oldest first, never empty.
    headers: Vec<SegmentHeader>,
    tail: Tail,
    /// Where some frames begin, by number: those that were appended or gone through since the log was opened.
    places: Vec<(u64, Position)>,
}

impl State {
    pub(super) fn new(headers: Vec<SegmentHeader>, tail: Tail) -> Self {
        Self { headers, tail, places: Vec::new() }
    }

    /// Remembers where a frame begins, unless one is remembered that lies near.
    fn remember(&mut self, sequence: u64, position: Position) {
        let after = self.places.partition_point(|(known, _)| *known <= sequence);
        let is_near = |(_, known): &(u64, Position)| known.to_u64().abs_diff(position.to_u64()) < BETWEEN_PLACES_BYTES;
        let around = &self.places[after.saturating_sub(1)..self.places.len().min(after + 1)];
        if !around.iter().any(is_near) {
            self.places.insert(after, (sequence, position));
        }
    }

    /// The last frame at or before a number of which the place is known: remembered, or its segment's first.
    fn place_before(&self, sequence: u64) -> Option<Position> {
        let after = self.headers.partition_point(|header| header.first_sequence <= sequence);
        let header = &self.headers[after.checked_sub(1)?];
        let remembered = self.places.partition_point(|(known, _)| *known <= sequence).checked_sub(1);
        let remembered = remembered.map(|index| self.places[index]);
        // Behind a segment's first frame: reading from that one on checks the chain from the segment before.
        let within = remembered.filter(|(known, _)| *known > header.first_sequence);
        Some(within.map_or(header.position(0), |(_, position)| position))
    }
}

impl Shared {
    pub(super) fn new(storage: Arc<dyn Storage>, state: State) -> Self {
        Self { storage, state: RwLock::new(state), handles: Mutex::new(Vec::new()) }
    }

    pub(super) fn advance(&self, tail: Tail) {
        let mut state = self.state.write();
        state.tail = tail;
        state.remember(tail.sequence, tail.last);
    }

    /// A new last segment, or a replacement of an empty one of the same name.
    pub(super) fn enter(&self, header: SegmentHeader, tail: Tail) {
        self.handles.lock().retain(|(base, _)| *base != header.base);
        let mut state = self.state.write();
        state.headers.retain(|known| known.first_sequence != header.first_sequence);
        state.headers.push(header);
        state.tail = tail;
    }

    /// The oldest segment's name when it isn't the last and all its frames come before `sequence`.
    pub(super) fn oldest_if_before(&self, sequence: u64) -> Option<String> {
        let state = self.state.read();
        let second = state.headers.get(1)?;
        (second.first_sequence <= sequence).then(|| state.headers[0].name())
    }

    pub(super) fn forget_oldest(&self) {
        let removed = {
            let mut state = self.state.write();
            let removed = state.headers.remove(0);
            state.places.retain(|(_, position)| position.to_u64() >= removed.base + removed.capacity);
            removed
        };
        self.handles.lock().retain(|(base, _)| *base != removed.base);
    }

    /// The segment that `position` lies in.
    fn locate(&self, position: Position) -> Result<SegmentHeader, LogError> {
        let state = self.state.read();
        let after = state.headers.partition_point(|header| header.base <= position.to_u64());
        match after.checked_sub(1).map(|index| &state.headers[index]) {
            Some(header) if position.to_u64() < header.base + header.capacity => Ok(header.clone()),
            _ => Err(LogError::NoSuchFrame {
                position,
                first: state.headers[0].position(HEADER_BYTES),
                end: state.tail.end,
            }),
        }
    }

    fn file(&self, header: &SegmentHeader) -> Result<Arc<dyn StorageFile>, LogError> {
        if let Some((_, file)) = self.handles.lock().iter().find(|(base, _)| *base == header.base) {
            return Ok(Arc::clone(file));
        }
        let name = header.name();
        let opened = self.storage.open(&name, OpenMode::ReadOnly);
        let file = opened.map_err(|error| LogError::io(&name, "open", error))?;
        let mut handles = self.handles.lock();
        if handles.len() >= MAX_OPEN_SEGMENTS {
            handles.remove(0);
        }
        handles.push((header.base, Arc::clone(&file)));
        Ok(file)
    }
}

/// Reads a log's durable frames. Cheap to clone, usable from any thread, never blocks the writer.
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The last durable frame and where the log ends.
    pub fn tail(&self) -> Tail {
        self.shared.state.read().tail
    }

    /// Number of the oldest frame kept (of the next one, when there is none).
    pub fn first_sequence(&self) -> u64 {
        self.shared.state.read().headers[0].first_sequence
    }

    /// The log's identity.
    pub fn id(&self) -> [u8; 16] {
        self.shared.state.read().headers[0].log_id
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |header: &SegmentHeader| SegmentInfo {
            first_sequence: header.first_sequence,
            first: header.position(HEADER_BYTES),
            bytes: header.capacity,
        };
        self.shared.state.read().headers.iter().map(info).collect()
    }

    /// The payload of the frame that begins at `position`, its checksum verified.
    pub fn read(&self, position: Position) -> Result<Vec<u8>, LogError> {
        let header = self.shared.locate(position)?;
        let (offset, end) = (position.to_u64() - header.base, self.tail().end);
        let limit = header.capacity.min(end.to_u64().saturating_sub(header.base));
        if offset < HEADER_BYTES || offset >= limit {
            let first = self.shared.state.read().headers[0].position(HEADER_BYTES);
            return Err(LogError::NoSuchFrame { position, first, end });
        }
        let name = header.name();
        // Most frames hold one small batch: a page is read first, the rest only if there is more.
        let mut window = Window::new(self.shared.file(&header)?, 4096);
        match window.parse(offset, limit).map_err(|error| LogError::io(&name, "read", error))? {
            Parsed::Frame { payload_len, .. } => Ok(window.payload(offset, payload_len).to_vec()),
            Parsed::Bad(what) => Err(LogError::corrupt(&name, offset, what)),
            Parsed::End | Parsed::Need(_) => Err(LogError::corrupt(&name, offset, "no frame begins here")),
        }
    }

    /// All frames from the one that begins at `position` on; from the oldest kept for [`Position::START`].
    /// The position just past a frame (or [`Tail::end`]) is a valid beginning too.
    pub fn iter_from(&self, position: Position) -> Result<Frames, LogError> {
        let start = match position {
            Position::START => self.shared.state.read().headers[0].position(0),
            other => other,
        };
        // The end of a full segment that has no successor yet lies in no segment.
        if start < self.tail().end {
            self.shared.locate(start)?;
        }
        Ok(Frames::new(Arc::clone(&self.shared), start))
    }

    /// All frames from number `sequence` on. The number after the last is a valid beginning too.
    pub fn iter_from_sequence(&self, sequence: u64) -> Result<Frames, LogError> {
        let (start, tail, first) = {
            let state = self.shared.state.read();
            (state.place_before(sequence), state.tail, state.headers[0].first_sequence)
        };
        match start {
            Some(start) if sequence <= tail.sequence + 1 => {
                let mut frames = Frames::new(Arc::clone(&self.shared), start);
                frames.skip_to(sequence)?;
                Ok(frames)
            }
            _ => Err(LogError::NoSuchSequence { sequence, first, last: tail.sequence }),
        }
    }

    #[cfg(test)]
    pub(super) fn place_before(&self, sequence: u64) -> Option<Position> {
        self.shared.state.read().place_before(sequence)
    }

    /// Checks every frame kept: checksums, numbers, chain, boundaries. Returns the tail up to which all is right.
    pub fn verify(&self) -> Result<Tail, LogError> {
        let tail = self.tail();
        for frame in self.iter_from(Position::START)? {
            if frame?.position >= tail.last {
                break;
            }
        }
        Ok(tail)
    }
}

/// Frames in order, each checked by checksum, number and chain.
///
/// `None` means the end as of now: after further appends `next` goes on from there, so a follower keeps this. An
/// error stays: the iterator doesn't move past what it can't vouch for.
#[derive(Debug)]
pub struct Frames {
    shared: Arc<Shared>,
    next: Position,
    /// Number of the next frame and the chain before it; unknown when begun in the middle of a segment.
    expected: Option<(u64, [u8; 32])>,
    segment: Option<(SegmentHeader, Window)>,
}

impl Frames {
    fn new(shared: Arc<Shared>, next: Position) -> Self {
        Self { shared, next, expected: None, segment: None }
    }

    /// Where the next frame begins, or will begin.
    pub fn position(&self) -> Position {
        self.next
    }

    fn skip_to(&mut self, sequence: u64) -> Result<(), LogError> {
        let mut remembered = self.next;
        loop {
            let (next, expected) = (self.next, self.expected);
            match self.step() {
                Some(Ok(frame)) if frame.sequence < sequence => {
                    if frame.position.to_u64().saturating_sub(remembered.to_u64()) >= BETWEEN_PLACES_BYTES {
                        self.shared.state.write().remember(frame.sequence, frame.position);
                        remembered = frame.position;
                    }
                }
                Some(Err(error)) => return Err(error),
                Some(Ok(_)) => {
                    (self.next, self.expected) = (next, expected);
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }

    fn step(&mut self) -> Option<Result<Frame, LogError>> {
        loop {
            let end = self.shared.state.read().tail.end;
            if self.next >= end {
                return None;
            }
            match self.step_within(end) {
                Ok(None) => {}
                Ok(Some(frame)) => return Some(Ok(frame)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// One frame of the current segment; `None` when the step led to another segment instead.
    fn step_within(&mut self, end: Position) -> Result<Option<Frame>, LogError> {
        self.load_segment()?;
        let Some((header, window)) = &mut self.segment else { return Ok(None) };
        let offset = self.next.to_u64() - header.base;
        let limit = header.capacity.min(end.to_u64() - header.base);
        let is_last = end.to_u64() <= header.base + header.capacity;
        if offset >= limit {
            // Of the last segment this is the log's end: the next frame may still come here.
            if !is_last {
                self.next = header.position(header.capacity);
            }
            return Ok(None);
        }
        let name = header.name();
        let corrupt = |what| Err(LogError::corrupt(&name, offset, what));
        match window.parse(offset, limit).map_err(|error| LogError::io(&name, "read", error))? {
            Parsed::End if !is_last => {
                self.next = header.position(header.capacity);
                Ok(None)
            }
            Parsed::End => corrupt("frames missing before the log's end"),
            Parsed::Bad(what) => corrupt(what),
            Parsed::Need(_) => corrupt("frame runs past the segment's end"),
            Parsed::Frame { sequence, chain, payload_len, bytes } => {
                let payload = window.payload(offset, payload_len).to_vec();
                if let Some((number, before)) = self.expected {
                    if sequence != number {
                        return corrupt("frame number is not the next");
                    }
                    if chain != chain_next(&before, sequence, &payload) {
                        return corrupt("chain hash");
                    }
                }
                self.expected = Some((sequence + 1, chain));
                let position = self.next;
                self.next = header.position(offset + bytes as u64);
                Ok(Some(Frame { position, sequence, chain, payload }))
            }
        }
    }

    /// Makes `segment` the one that `next` lies in, checking that it goes on where the last one ended.
    fn load_segment(&mut self) -> Result<(), LogError> {
        let within = |header: &SegmentHeader| {
            (header.base + HEADER_BYTES..header.base + header.capacity).contains(&self.next.to_u64())
        };
        if self.segment.as_ref().is_some_and(|(header, _)| within(header)) {
            return Ok(());
        }
        let header = self.shared.locate(self.next)?;
        if self.next < header.position(HEADER_BYTES) {
            let start = (header.first_sequence, header.previous_chain);
            if self.expected.is_some_and(|expected| expected != start) {
                return Err(LogError::corrupt(&header.name(), 32, "segment does not continue the one before"));
            }
            self.expected = Some(start);
            self.next = header.position(HEADER_BYTES);
        }
        let file = self.shared.file(&header)?;
        self.segment = Some((header, Window::new(file, READ_AHEAD_BYTES)));
        Ok(())
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step()
    }
}
