//! Who was told something adverse about a listing's subject: a way into the audit log by listing.
//!
//! The log is in order of time, and kept for years: whoever asks what was said about them must not wait for all of it to be read.
//! So each full segment has a file of its own, made at the first question after it is full: for each adverse answer a keyed tag of
//! the listing's number, and the place of the frame. It is derived, holds no number in clear, and may be deleted.
//!
//! | bytes | field, little-endian |
//! |---|---|
//! | 0..8 | `XHADV`, two zeros, format |
//! | 8..12 | key_epoch of the audit key that makes the tags |
//! | 12..16 | CRC-32C of what follows |
//! | 16.. | by tag and place: tag u64, position of the frame u64 |

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use xinhub_domain::identity::KeyInput;
use xinhub_ledger::seglog::{LogReader, Position, SegmentInfo};

use super::entry::{Call, Entry};
use super::reader::{AuditReadError, AuditReader};
use super::record::SubjectView;

const MAGIC: [u8; 8] = *b"XHADV\0\0\x01";
const HEAD_BYTES: usize = 16;
const SUFFIX: &str = ".adverse";

/// Finds adverse answers by the listings that they rest on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inquiries {
    dir: PathBuf,
    reader: AuditReader,
}

/// One adverse answer that rests on one of the listings asked for.
#[derive(Debug)]
pub struct Inquiry {
    /// The record.
    pub call: Call,
    /// Which of its inquiries.
    pub index: usize,
    /// The listing.
    pub listing: u64,
    /// The generation of the audit key that it was recorded with.
    pub key_epoch: u32,
    /// What was said, if it opens.
    pub view: Option<SubjectView>,
    /// Its place in the order of all.
    pub mark: Mark,
}

/// A place in the order of inquiries: many share a time, and none shares this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// The position of a frame.
    #[n(0)]
    place: u64,
    /// So many of its inquiries, from the newest on.
    #[n(1)]
    taken: u32,
}

impl Inquiries {
    /// Over a log; `dir` holds what is derived from it.
    ///
    /// # Errors
    /// What the file system said.
    pub fn open(dir: &Path, reader: AuditReader) -> io::Result<Inquiries> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Inquiries { dir: dir.to_owned(), reader })
    }

    /// Adverse answers that rest on any of these listings, newest first, those after a mark alone, as far as `take` takes them;
    /// `limit` at most. Reads files: not for a thread that serves.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn find(
        &self,
        listings: &[u64],
        after: Option<Mark>,
        limit: usize,
        take: impl Fn(&Inquiry) -> bool,
    ) -> Result<Vec<Inquiry>, AuditReadError> {
        let log = self.reader.log();
        let segments = log.segments();
        self.forget_before(segments.first());
        let mut found = Vec::new();
        for (at, segment) in segments.iter().enumerate().rev() {
            let mut places = self.places(log, segment, segments.get(at + 1), listings)?;
            places.sort_unstable();
            places.dedup();
            places.retain(|place| after.is_none_or(|mark| *place <= mark.place));
            for place in places.into_iter().rev() {
                let mut here = Vec::new();
                for (key_epoch, entry) in self.reader.frame(Position::from_u64(place))? {
                    if let Entry::Call(call) = entry {
                        self.take_call(key_epoch, &call, listings, &take, &mut here);
                    }
                }
                let seen = after.filter(|mark| mark.place == place).map_or(0, |mark| mark.taken);
                let marked = (1..).zip(here.into_iter().rev()).skip(seen as usize);
                found.extend(marked.map(|(taken, inquiry)| Inquiry { mark: Mark { place, taken }, ..inquiry }));
                if found.len() >= limit {
                    found.truncate(limit);
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn take_call(
        &self,
        key_epoch: u32,
        call: &Call,
        listings: &[u64],
        take: impl Fn(&Inquiry) -> bool,
        into: &mut Vec<Inquiry>,
    ) {
        for detail in &call.details {
            let index = detail.index as usize;
            if !call.verdict(index).is_some_and(xinhub_domain::decision::Verdict::is_adverse) {
                continue;
            }
            for adverse in detail.listings.iter().filter(|one| listings.contains(&one.listing)) {
                let view = self.reader.view_of(key_epoch, call, adverse);
                let (call, listing, mark) = (call.clone(), adverse.listing, Mark::default());
                let inquiry = Inquiry { call, index, listing, key_epoch, view, mark };
                // What a replica reported twice has one id.
                let is_same =
                    |one: &Inquiry| (one.call.id, one.index, one.listing) == (inquiry.call.id, index, listing);
                if !into.iter().any(is_same) && take(&inquiry) {
                    into.push(inquiry);
                }
            }
        }
    }

    /// Whether an inquiry was about somebody with one of these keys.
    pub fn is_about(&self, inquiry: &Inquiry, keys: &[KeyInput]) -> bool {
        let Some(digest) = inquiry.call.digest(inquiry.index) else { return false };
        keys.iter().any(|key| self.reader.digest(inquiry.key_epoch, &inquiry.call, key) == Some(digest))
    }

    /// Where in a segment something adverse about these listings stands. A full segment's file is made if it is not there.
    fn places(
        &self,
        log: &LogReader,
        segment: &SegmentInfo,
        next: Option<&SegmentInfo>,
        listings: &[u64],
    ) -> Result<Vec<u64>, AuditReadError> {
        let key_epoch = self.reader.key_epoch();
        let tags: Vec<u64> = listings.iter().map(|listing| self.reader.listing_tag(*listing)).collect();
        let Some(next) = next else { return Ok(of_tags(&self.scan(log, segment, None)?, &tags)) };
        let path = self.dir.join(format!("{:016x}{SUFFIX}", segment.first_sequence));
        if let Some(pairs) = fs::read(&path).ok().and_then(|bytes| decode(&bytes, key_epoch)) {
            return Ok(of_tags(&pairs, &tags));
        }
        let pairs = self.scan(log, segment, Some(next.first_sequence))?;
        let new = path.with_extension("new");
        let written = fs::write(&new, encode(&pairs, key_epoch)).and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            // The answer is right all the same; the next one scans again.
            tracing::warn!(%error, "audit log: the way into a segment by listing could not be kept");
        }
        Ok(of_tags(&pairs, &tags))
    }

    /// Tag and place of everything adverse in a segment, in order.
    fn scan(
        &self,
        log: &LogReader,
        segment: &SegmentInfo,
        until_sequence: Option<u64>,
    ) -> Result<Vec<(u64, u64)>, AuditReadError> {
        let mut pairs = Vec::new();
        for frame in log.iter_from(segment.first)? {
            let frame = frame?;
            if until_sequence.is_some_and(|until| frame.sequence >= until) {
                break;
            }
            for (_, entry) in self.reader.opened(&frame)? {
                let Entry::Call(call) = entry else { continue };
                for detail in &call.details {
                    if call.verdict(detail.index as usize).is_some_and(xinhub_domain::decision::Verdict::is_adverse) {
                        let listings = detail.listings.iter();
                        pairs.extend(
                            listings.map(|one| (self.reader.listing_tag(one.listing), frame.position.to_u64())),
                        );
                    }
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        Ok(pairs)
    }

    /// What is left of segments that went with their retention goes too.
    fn forget_before(&self, first: Option<&SegmentInfo>) {
        let (Some(first), Ok(entries)) = (first, fs::read_dir(&self.dir)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            let number = number.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            if number.is_some_and(|number| number < first.first_sequence) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

fn of_tags(pairs: &[(u64, u64)], tags: &[u64]) -> Vec<u64> {
    let of = |tag: u64| {
        let from = pairs.partition_point(|(one, _)| *one < tag);
        pairs[from..].iter().take_while(move |(one, _)| *one == tag).map(|(_, place)| *place)
    };
    tags.iter().flat_map(|tag| of(*tag)).collect()
}

fn encode(pairs: &[(u64, u64)], key_epoch: u32) -> Vec<u8> {
    let body: Vec<u8> =
        pairs.iter().flat_map(|(tag, place)| [tag.to_le_bytes(), place.to_le_bytes()].concat()).collect();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&key_epoch.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// `None` for what is damaged, or made with another generation of the key: it is made again.
fn decode(bytes: &[u8], key_epoch: u32) -> Option<Vec<(u64, u64)>> {
    let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
    let whole = head[..8] == MAGIC
        && head[8..12] == key_epoch.to_le_bytes()
        && head[12..] == crc32c::crc32c(body).to_le_bytes()
        && body.len().is_multiple_of(16);
    let number = |bytes: &[u8]| u64::from_le_bytes(std::array::from_fn(|at| bytes[at]));
    whole.then(|| body.chunks_exact(16).map(|pair| (number(&pair[..8]), number(&pair[8..]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_and_damage_is_noticed() {
        let pairs = vec![(1, 512), (7, 512), (7, 4096)];
        let bytes = encode(&pairs, 3);
        assert_eq!(decode(&bytes, 3).as_ref(), Some(&pairs));
        assert_eq!(decode(&bytes, 4), None);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, 3), None, "byte {at}");
            assert_eq!(decode(&bytes[..at], 3), None, "cut at {at}");
        }
        assert_eq!(of_tags(&pairs, &[7, 2]), [512, 4096]);
    }
}
