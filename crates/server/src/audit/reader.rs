//! Reading the audit log back: for checks, for the subject's view, for whoever must look into a complaint.

use std::path::Path;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use xinhub_domain::identity::KeyInput;
use xinhub_ledger::crypto::{self, RecordKey};
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::seglog::{Frame as LogFrame, Frames, LogError, LogPurpose, LogReader, Position, SegmentedLog, Tail};
use xinhub_ledger::storage::FileStorage;

use super::AuditError;
use super::entry::{Adverse, Call, Entry, to_cbor};
use super::keys::{AuditKeys, Month};
use super::record::{SubjectView, view_aad};

/// The format of frames that this build writes.
pub(super) const FORMAT: u16 = 1;

/// The part of a frame that stands in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Head {
    #[n(0)]
    pub(super) format: u16,
    #[n(1)]
    pub(super) key_epoch: u32,
    /// Days since 1970 in Asia/Shanghai: tells what is old enough to go.
    #[n(2)]
    pub(super) day: u32,
}

/// A whole frame, as it is written.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Frame<'a> {
    #[n(0)]
    format: u16,
    #[n(1)]
    key_epoch: u32,
    #[n(2)]
    day: u32,
    #[b(3)]
    #[cbor(with = "minicbor::bytes")]
    sealed: &'a [u8],
}

impl Head {
    /// Binds what is sealed to its head and log.
    fn aad(&self, log_id: &[u8; 16]) -> Vec<u8> {
        let mut aad = log_id.to_vec();
        aad.extend_from_slice(&to_cbor(self));
        aad
    }

    pub(super) fn read(payload: &[u8]) -> Option<Head> {
        let frame: Frame<'_> = minicbor::decode(payload).ok()?;
        Some(Head { format: frame.format, key_epoch: frame.key_epoch, day: frame.day })
    }
}

/// The payload of one frame from the records' bytes.
pub(super) fn seal_frame(keys: &AuditKeys, day: u32, records: &[u8]) -> Option<Vec<u8>> {
    let head = Head { format: FORMAT, key_epoch: keys.key_epoch(), day };
    let key = keys.frame(head.key_epoch, day)?;
    let sealed = crypto::seal(&key, &head.aad(keys.log_id()), records);
    let Head { format, key_epoch, day } = head;
    Some(to_cbor(&Frame { format, key_epoch, day, sealed: &sealed }))
}

/// Why an entry can't be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditReadError {
    /// The log itself.
    #[error("audit log: {0}")]
    Log(#[from] LogError),
    /// Written by a newer version.
    #[error(
        "audit log frame {sequence}: format {found}, but this version knows up to {FORMAT}; use the version that wrote it"
    )]
    NewerFormat {
        /// The frame.
        sequence: u64,
        /// The format found.
        found: u16,
    },
    /// The generation of the audit key is not there.
    #[error(
        "audit log frame {sequence}: generation {key_epoch} of the audit key is missing; restore it from the key backup"
    )]
    KeyMissing {
        /// The frame.
        sequence: u64,
        /// The generation.
        key_epoch: u32,
    },
    /// What is sealed does not open, or is no record.
    #[error("audit log frame {sequence}: {what}; restore the log from its backup")]
    Damaged {
        /// The frame.
        sequence: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// What a whole reading found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Frames, each with a good checksum and chain.
    pub frames: u64,
    /// Entries in them, each opened and read.
    pub entries: u64,
}

/// Reads durable entries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditReader {
    log: LogReader,
    keys: Arc<AuditKeys>,
}

impl AuditReader {
    pub(super) fn new(log: LogReader, keys: Arc<AuditKeys>) -> AuditReader {
        AuditReader { log, keys }
    }

    /// Reads the log of a stopped hub without changing a byte.
    ///
    /// # Errors
    ///
    /// There is none, or it is damaged.
    pub fn inspect(dir: &Path, keys: Arc<Keyring>) -> Result<AuditReader, AuditError> {
        // Opening would make it.
        if !dir.is_dir() {
            return Err(AuditError::Missing { dir: dir.to_owned() });
        }
        let storage =
            FileStorage::open_dir(dir).map_err(|source| AuditError::Directory { dir: dir.to_owned(), source })?;
        if !SegmentedLog::exists(&*storage)? {
            return Err(AuditError::Missing { dir: dir.to_owned() });
        }
        let (log, _) = SegmentedLog::inspect(storage, LogPurpose::Audit)?;
        let keys = Arc::new(AuditKeys::new(keys, log.id()));
        Ok(AuditReader { log, keys })
    }

    /// Where the log ends.
    pub fn tail(&self) -> Tail {
        self.log.tail()
    }

    /// Every entry kept, oldest first.
    ///
    /// # Errors
    ///
    /// The oldest segment can't be read.
    pub fn entries(&self) -> Result<Entries, AuditReadError> {
        let frames = self.log.iter_from(Position::START)?;
        Ok(Entries { frames, keys: Arc::clone(&self.keys), key: None, frame: None, failed: false })
    }

    /// Reads everything, for `fsck`.
    ///
    /// # Errors
    ///
    /// The first damage found.
    pub fn verify(&self) -> Result<Verified, AuditReadError> {
        let tail = self.log.verify()?;
        let mut found = Verified::default();
        for entry in self.entries()? {
            entry?;
            found.entries += 1;
        }
        found.frames = tail.sequence + 1 - self.log.first_sequence().min(tail.sequence + 1);
        Ok(found)
    }

    /// What was answered about a listing's subject; `None` where the call says nothing adverse about that listing, or
    /// its part does not open.
    pub fn subject_view(&self, key_epoch: u32, call: &Call, listing: u64) -> Option<SubjectView> {
        let adverse = call.details.iter().flat_map(|detail| &detail.listings).find(|one| one.listing == listing)?;
        self.view_of(key_epoch, call, adverse)
    }

    /// [`AuditReader::subject_view`] of one of several answers in a call.
    pub(super) fn view_of(&self, key_epoch: u32, call: &Call, adverse: &Adverse) -> Option<SubjectView> {
        let key = self.keys.subject(key_epoch, adverse.listing, Month::of(call.time))?;
        let bytes = crypto::open(&key, &view_aad(&call.id, adverse.listing), adverse.view.as_deref()?).ok()?;
        SubjectView::from_bytes(&bytes)
    }

    pub(super) fn log(&self) -> &LogReader {
        &self.log
    }

    /// The generation of the audit key that is current.
    pub(super) fn key_epoch(&self) -> u32 {
        self.keys.key_epoch()
    }

    /// A listing's tag under the current generation.
    pub(super) fn listing_tag(&self, listing: u64) -> u64 {
        self.keys.listing_tag(listing)
    }

    /// The entries of the frame at a place.
    pub(super) fn frame(&self, position: Position) -> Result<Vec<(u32, Entry)>, AuditReadError> {
        match self.log.iter_from(position)?.next() {
            Some(frame) => self.opened(&frame?),
            None => Ok(Vec::new()),
        }
    }

    /// The entries of a frame.
    pub(super) fn opened(&self, frame: &LogFrame) -> Result<Vec<(u32, Entry)>, AuditReadError> {
        let (key_epoch, records, _) = open_frame(&self.keys, None, frame.sequence, &frame.payload)?;
        let (mut entries, mut at) = (Vec::new(), 0);
        while at < records.len() {
            let (entry, read) = decode_entry(&records[at..], frame.sequence)?;
            entries.push((key_epoch, entry));
            at += read;
        }
        Ok(entries)
    }

    /// The digest under which a call of this class and time would have recorded an identity, to look for it.
    pub fn digest(&self, key_epoch: u32, call: &Call, key: &KeyInput) -> Option<[u8; 16]> {
        self.keys.digest_of(key_epoch, &call.audit_class, call.time, key)
    }
}

/// Entries in order, each with the generation of the audit key that its frame was made with.
#[derive(Debug)]
pub struct Entries {
    frames: Frames,
    keys: Arc<AuditKeys>,
    /// The key of the last frame's day: frames of one day follow each other.
    key: Option<DayKey>,
    /// Sequence, generation, opened records, and how far they were read.
    frame: Option<(u64, u32, Vec<u8>, usize)>,
    failed: bool,
}

/// The key of one generation and day.
type DayKey = (u32, u32, RecordKey);

/// The records of a frame, with the generation and the key that opened it; `known` is tried first.
fn open_frame(
    keys: &AuditKeys,
    known: Option<&DayKey>,
    sequence: u64,
    payload: &[u8],
) -> Result<(u32, Vec<u8>, DayKey), AuditReadError> {
    let damaged = |what| AuditReadError::Damaged { sequence, what };
    let frame: Frame<'_> = minicbor::decode(payload).map_err(|_| damaged("is no frame of records"))?;
    let Frame { format, key_epoch, day, sealed } = frame;
    if format > FORMAT {
        return Err(AuditReadError::NewerFormat { sequence, found: format });
    }
    let key = match known.filter(|(epoch, of, _)| (*epoch, *of) == (key_epoch, day)) {
        Some((_, _, key)) => key.clone(),
        None => keys.frame(key_epoch, day).ok_or(AuditReadError::KeyMissing { sequence, key_epoch })?,
    };
    let aad = Head { format, key_epoch, day }.aad(keys.log_id());
    let records = crypto::open(&key, &aad, sealed).map_err(|_| damaged("does not open under the audit key"))?;
    Ok((key_epoch, records, (key_epoch, day, key)))
}

/// The first entry of these records, and how many bytes it takes.
fn decode_entry(records: &[u8], sequence: u64) -> Result<(Entry, usize), AuditReadError> {
    let mut decoder = minicbor::Decoder::new(records);
    let damaged = AuditReadError::Damaged { sequence, what: "holds something that is no record" };
    decoder.decode::<Entry>().map(|entry| (entry, decoder.position())).map_err(|_| damaged)
}

impl Entries {
    fn step(&mut self) -> Option<Result<(u32, Entry), AuditReadError>> {
        loop {
            if let Some((sequence, key_epoch, records, at)) = &mut self.frame
                && *at < records.len()
            {
                let decoded = decode_entry(&records[*at..], *sequence);
                *at += decoded.as_ref().map_or(records.len(), |(_, read)| *read);
                return Some(decoded.map(|(entry, _)| (*key_epoch, entry)));
            }
            let frame = match self.frames.next()? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(error.into())),
            };
            match open_frame(&self.keys, self.key.as_ref(), frame.sequence, &frame.payload) {
                Ok((key_epoch, records, key)) => {
                    self.key = Some(key);
                    self.frame = Some((frame.sequence, key_epoch, records, 0));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<(u32, Entry), AuditReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.step();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}
