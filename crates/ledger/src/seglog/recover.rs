//! Opening a log after a crash: what is looked at, what counts as torn, and what is made durable again.

use std::io;
use std::sync::Arc;

use super::format::{
    HEADER_BYTES, LogPurpose, MAX_PAYLOAD_BYTES, Parsed, Position, SECTOR_BYTES, SegmentHeader, chain_next,
    frame_bytes, genesis_chain, is_whole_but_for_length, parse_frame, u32_at,
};
use super::reader::Tail;
use super::window::Window;
use super::{LogError, segments};
use crate::storage::{OpenMode, Storage, StorageFile};

const CHUNK_BYTES: u64 = 1 << 20;

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Frames of the last segment, all checked.
    pub frames_scanned: u64,
    /// The torn tail that was cut, if any: an append that was never acknowledged.
    pub cut: Option<Cut>,
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Name of the segment file.
    pub file: String,
    /// Where in it the torn frame began.
    pub offset: u64,
    /// How many bytes of it were there.
    pub bytes: u64,
}

/// The state of a log as read, nothing changed.
pub(super) struct Survey {
    pub(super) headers: Vec<SegmentHeader>,
    pub(super) tail: Tail,
    pub(super) frames_scanned: u64,
    pub(super) cut: Option<Cut>,
}

/// Reads all headers and boundaries and the whole last segment.
pub(super) fn survey(storage: &Arc<dyn Storage>, purpose: LogPurpose) -> Result<Survey, LogError> {
    let mut headers: Vec<SegmentHeader> = Vec::new();
    let mut last_file = None;
    for name in segments::names(&**storage)? {
        let (file, header) = segments::open_checked(&**storage, &name, purpose)?;
        match (headers.last(), &last_file) {
            (Some(previous), Some(previous_file)) => check_boundary(previous, previous_file, &header, &name)?,
            _ => check_first(&header, &name)?,
        }
        headers.push(header);
        last_file = Some(file);
    }
    let (Some(header), Some(file)) = (headers.last(), last_file) else { return Err(LogError::Empty) };
    let mut survey = scan_last(file, header)?;
    survey.headers = headers;
    Ok(survey)
}

fn check_first(header: &SegmentHeader, name: &str) -> Result<(), LogError> {
    // After retention the first header's chain is an anchor; at the very beginning it is known.
    let genesis = genesis_chain(header.purpose, &header.log_id);
    if header.first_sequence == 1 && (header.previous_chain != genesis || header.base != 0) {
        return Err(LogError::corrupt(name, 64, "chain of the log's beginning"));
    }
    Ok(())
}

fn check_boundary(
    previous: &SegmentHeader,
    previous_file: &Arc<dyn StorageFile>,
    header: &SegmentHeader,
    name: &str,
) -> Result<(), LogError> {
    if header.log_id != previous.log_id {
        return Err(LogError::WrongLog { file: name.to_owned(), what: "log id" });
    }
    if header.base != previous.base + previous.capacity {
        return Err(LogError::corrupt(name, 40, "a segment before this one is missing"));
    }
    let offset = header.previous_last.to_u64().wrapping_sub(previous.base);
    if !(HEADER_BYTES..previous.capacity).contains(&offset) {
        return Err(LogError::corrupt(name, 56, "last frame before it is not in the segment before"));
    }
    let before = previous.name();
    let mut window = Window::new(Arc::clone(previous_file), 4096);
    match window.parse(offset, previous.capacity).map_err(|error| LogError::io(&before, "read", error))? {
        Parsed::Frame { sequence, chain, .. }
            if sequence + 1 == header.first_sequence && chain == header.previous_chain =>
        {
            Ok(())
        }
        Parsed::Bad(what) => Err(LogError::corrupt(&before, offset, what)),
        Parsed::Frame { .. } | Parsed::End | Parsed::Need(_) => {
            Err(LogError::corrupt(&before, offset, "last frame is not the one that the next segment follows"))
        }
    }
}

fn scan_last(file: Arc<dyn StorageFile>, header: &SegmentHeader) -> Result<Survey, LogError> {
    let name = header.name();
    let mut tail = Tail {
        sequence: header.first_sequence - 1,
        chain: header.previous_chain,
        last: header.previous_last,
        end: header.position(HEADER_BYTES),
    };
    let mut window = Window::new(Arc::clone(&file), CHUNK_BYTES);
    let mut offset = HEADER_BYTES;
    let mut frames_scanned = 0;
    let mut cut = None;
    while offset < header.capacity {
        let parsed = window.parse(offset, header.capacity).map_err(|error| LogError::io(&name, "read", error))?;
        match parsed {
            Parsed::Frame { sequence, chain, payload_len, bytes } => {
                if sequence != tail.sequence + 1 {
                    return Err(LogError::corrupt(&name, offset, "frame number is not the next"));
                }
                if chain != chain_next(&tail.chain, sequence, window.payload(offset, payload_len)) {
                    return Err(LogError::corrupt(&name, offset, "chain hash"));
                }
                tail = Tail { sequence, chain, last: header.position(offset), end: tail.end };
                offset += bytes as u64;
                tail.end = header.position(offset);
                frames_scanned += 1;
            }
            Parsed::End | Parsed::Bad(_) | Parsed::Need(_) => {
                let rest =
                    rest_of(&file, offset, header.capacity).map_err(|error| LogError::io(&name, "read", error))?;
                let judged = judge_rest(&rest, offset, header.capacity, tail.sequence);
                judged.map_err(|what| LogError::corrupt(&name, offset, what))?;
                if !rest.is_empty() {
                    cut = Some(Cut { file: name, offset, bytes: rest.len() as u64 });
                }
                break;
            }
        }
    }
    Ok(Survey { headers: Vec::new(), tail, frames_scanned, cut })
}

/// Everything from `offset` to the last byte that isn't zero; one byte more than a frame can have at most, which
/// [`judge_rest`] then refuses.
fn rest_of(file: &Arc<dyn StorageFile>, offset: u64, capacity: u64) -> io::Result<Vec<u8>> {
    let mut end = offset;
    let mut chunk = Vec::new();
    let mut at = offset;
    while at < capacity {
        chunk.resize(CHUNK_BYTES.min(capacity - at) as usize, 0);
        file.read_at(&mut chunk, at)?;
        if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
            end = at + last as u64 + 1;
        }
        at += chunk.len() as u64;
    }
    let mut rest = vec![0; (end - offset).min(frame_bytes(MAX_PAYLOAD_BYTES) + 1) as usize];
    file.read_at(&mut rest, offset)?;
    Ok(rest)
}

/// Whether what follows the last whole frame is nothing, or one torn frame. Otherwise what is wrong with it.
///
/// At most one frame is ever being written, into bytes that were zero. So a torn one lacks a sector (zero where the
/// frame had data), or its end (the last byte of a frame is never zero). A bad frame that lacks neither was
/// whole once and has been damaged since; so has one that a whole frame follows.
fn judge_rest(rest: &[u8], offset: u64, capacity: u64, last_sequence: u64) -> Result<(), &'static str> {
    if rest.is_empty() {
        return Ok(());
    }
    if rest.len() as u64 > frame_bytes(MAX_PAYLOAD_BYTES) {
        return Err("more data after the last frame than one torn frame can leave");
    }
    for at in (0..rest.len()).step_by(8) {
        if let Parsed::Frame { sequence, .. } = parse_frame(&rest[at..])
            && sequence > last_sequence
        {
            return Err("a damaged frame with a whole one after it");
        }
    }
    let to_sector_end = (SECTOR_BYTES - offset % SECTOR_BYTES) as usize;
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    if rest.len() < 8 || is_zero(&rest[..8]) {
        // Length and checksum lie in one sector: both there or neither.
        let torn = rest.len() < 8 || is_zero(&rest[..to_sector_end.min(rest.len())]);
        return if torn { Ok(()) } else { Err("frame length and checksum") };
    }
    let payload_len = u32_at(rest, 0) as usize;
    if payload_len > MAX_PAYLOAD_BYTES || offset + frame_bytes(payload_len) > capacity {
        return Err("frame length over the bound");
    }
    let total = frame_bytes(payload_len) as usize;
    if rest.len() > total {
        return Err("data after a damaged frame");
    }
    if rest.len() < total {
        // The end is missing; unless the frame is all there and only its length is wrong.
        return if is_whole_but_for_length(rest) { Err("frame length") } else { Ok(()) };
    }
    let (first, others) = rest.split_at(to_sector_end.min(total));
    if is_zero(first) || others.chunks(SECTOR_BYTES as usize).any(is_zero) {
        return Ok(());
    }
    Err("frame checksum")
}

/// Makes what [`survey`] read durable, and returns the last segment ready for appending.
///
/// The last frame is written once more: if the process before died of a failed sync, the page cache may show a
/// frame that the disk never got, and only a page made dirty again is written. Zeros follow, over a torn
/// frame and over anything that such a lost sync may have left on the disk. A crash in here leaves the same
/// frame, or a torn one, to the next start.
pub(super) fn settle(storage: &dyn Storage, survey: &Survey) -> Result<Arc<dyn StorageFile>, LogError> {
    let header = &survey.headers[survey.headers.len() - 1];
    let name = header.name();
    let fault = |doing| {
        let name = name.clone();
        move |error| LogError::io(&name, doing, error)
    };
    let file = storage.open(&name, OpenMode::ReadWrite).map_err(fault("open"))?;
    let (last, end) = (survey.tail.last, survey.tail.end.to_u64() - header.base);
    if last >= header.position(HEADER_BYTES) && last != Position::START {
        let offset = last.to_u64() - header.base;
        let mut frame = vec![0; (end - offset) as usize];
        file.read_at(&mut frame, offset).map_err(fault("read"))?;
        file.write_at(&frame, offset).map_err(fault("write"))?;
    }
    let zeros = vec![0; CHUNK_BYTES as usize];
    let zero_end = header.capacity.min(end + frame_bytes(MAX_PAYLOAD_BYTES));
    let mut at = end;
    while at < zero_end {
        let step = CHUNK_BYTES.min(zero_end - at);
        file.write_at(&zeros[..step as usize], at).map_err(fault("write"))?;
        at += step;
    }
    file.sync_data().map_err(fault("sync"))?;
    storage.sync_dir().map_err(|error| LogError::io("directory", "sync", error))?;
    Ok(file)
}
