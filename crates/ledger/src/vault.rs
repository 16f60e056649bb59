//! Sealing and opening of events: the only place where a record's key and its plaintext meet.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use xinhub_domain::import::StagedImport;
use xinhub_domain::listing::{Actor, Body, Clear, RecordId, RecordKind};

use crate::command::CommandError;
use crate::crypto::{self, RecordKey};
use crate::entry::{Entry, EntryError, EventRecord};
use crate::journal::{JournalError, JournalReader};
use crate::keys::Keyring;
use crate::slots::{SlotError, SlotFile, SlotKey, SlotReader};
use crate::storage::Storage;
use crate::table::Place;

/// The generation of record keys: a record is sealed under one key all its life.
pub const RECORD_KEY_EPOCH: u32 = 1;

/// The kinds that have a slot file, with its name.
const FILES: [(RecordKind, &str); 5] = [
    (RecordKind::Listing, "listing.slots"),
    (RecordKind::Relation, "relation.slots"),
    (RecordKind::Exemption, "exemption.slots"),
    (RecordKind::Petition, "petition.slots"),
    (RecordKind::Import, "import.slots"),
];

/// The kinds of records that have a key.
pub(crate) fn kinds() -> impl Iterator<Item = RecordKind> {
    FILES.into_iter().map(|(kind, _)| kind)
}

/// What an event's sealed part turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// The event has none.
    Nothing,
    /// It opened.
    Body(Box<Body>),
    /// The record's key was destroyed: nobody can open it any more.
    Erased,
}

/// Why an event can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The journal can't be read there.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The entry is damaged.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The slot can't be read.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// A slot that an entry names is empty.
    #[error("the slot of {kind:?} {number} is empty, but an entry names it: restore the slot files from their backup")]
    MissingSlot {
        /// Of what.
        kind: RecordKind,
        /// Its number.
        number: u64,
    },
    /// The sealed part does not open.
    #[error("revision {revision}: its sealed part does not open; run `xinhubd fsck`")]
    Sealed {
        /// Which event.
        revision: u64,
    },
}

/// The slot files, to write.
#[derive(Debug)]
pub struct Slots {
    files: Vec<(RecordKind, SlotFile)>,
}

impl Slots {
    /// Makes empty slot files, those that are missing.
    pub fn create(storage: &dyn Storage, keyring: &Arc<Keyring>) -> Result<(), SlotError> {
        for (_, name) in FILES {
            match SlotFile::create(storage, name, Arc::clone(keyring)) {
                // Left by an `init` that was cut short: it is empty, and serves as well.
                Ok(_) | Err(SlotError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the slot files.
    pub fn open(storage: &dyn Storage, keyring: &Arc<Keyring>) -> Result<Slots, SlotError> {
        Slots::open_or(storage, keyring, |name| SlotFile::create(storage, name, Arc::clone(keyring)).map(Some))
    }

    /// Opens the slot files that are there, to read: none is made.
    pub fn inspect(storage: &dyn Storage, keyring: &Arc<Keyring>) -> Result<Slots, SlotError> {
        Slots::open_or(storage, keyring, |_| Ok(None))
    }

    fn open_or(
        storage: &dyn Storage,
        keyring: &Arc<Keyring>,
        missing: impl Fn(&str) -> Result<Option<SlotFile>, SlotError>,
    ) -> Result<Slots, SlotError> {
        let mut files = Vec::with_capacity(FILES.len());
        for (kind, name) in FILES {
            let file = match SlotFile::open(storage, name, Arc::clone(keyring)) {
                // A directory from before there were such records. Were it lost instead, opening the first of them says so.
                Err(SlotError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound
                        && matches!(kind, RecordKind::Petition | RecordKind::Import) =>
                {
                    missing(name)?
                }
                opened => Some(opened?),
            };
            files.extend(file.map(|file| (kind, file)));
        }
        Ok(Slots { files })
    }

    /// Makes keys for `count` new records of a kind, from number `first` on, durably.
    pub fn make(&mut self, kind: RecordKind, first: u64, count: usize) -> Result<Vec<RecordKey>, SlotError> {
        let keys: Vec<RecordKey> = (0..count).map(|_| RecordKey::random()).collect();
        if let Some((_, file)) = self.files.iter_mut().find(|(known, _)| *known == kind)
            && count > 0
        {
            file.put_many(first, &keys)?;
        }
        Ok(keys)
    }

    fn readers(&self) -> Vec<(RecordKind, SlotReader)> {
        self.files.iter().map(|(kind, file)| (*kind, file.reader())).collect()
    }
}

/// Opens events. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Vault {
    journal: Arc<dyn JournalReader>,
    slots: Arc<Vec<(RecordKind, SlotReader)>>,
    /// The entries read last: an import that is repeated reads each of them a thousand times in a row.
    recent: Arc<Mutex<Recent>>,
}

/// Entries by frame.
type Recent = VecDeque<(u64, Arc<Framed>)>;

/// How many entries stay at hand.
const RECENT_ENTRIES: usize = 4;

/// An entry's bytes, and where in them each event lies. One event at a time is decoded: an import meets further cases of
/// known debtors in entries all over the journal, and wants one of a thousand events of each.
#[derive(Debug)]
struct Framed {
    bytes: Vec<u8>,
    events: Vec<Range<usize>>,
}

impl Framed {
    fn event(&self, at: usize) -> Result<EventRecord, EntryError> {
        let bytes = self.events.get(at).and_then(|range| self.bytes.get(range.clone()));
        bytes.ok_or_else(|| EntryError::Damaged("no such event".to_owned())).and_then(EventRecord::decode_from)
    }
}

impl Vault {
    /// Over a journal and its slot files.
    pub fn new(journal: Arc<dyn JournalReader>, slots: &Slots) -> Vault {
        Vault { journal, slots: Arc::new(slots.readers()), recent: Arc::default() }
    }

    /// The journal that it opens events of.
    pub fn journal(&self) -> &Arc<dyn JournalReader> {
        &self.journal
    }

    /// A record's key; `None` once it is erased.
    pub fn key(&self, record: RecordId) -> Result<Option<RecordKey>, VaultError> {
        let missing = VaultError::MissingSlot { kind: record.kind, number: record.number };
        let Some((_, slots)) = self.slots.iter().find(|(kind, _)| *kind == record.kind) else { return Err(missing) };
        match slots.key(record.number)? {
            SlotKey::Live(key) => Ok(Some(key)),
            SlotKey::Erased => Ok(None),
            SlotKey::Missing => Err(missing),
        }
    }

    /// Opens an event's sealed part.
    pub fn open(&self, event: &EventRecord, clear: &Clear) -> Result<Opened, VaultError> {
        let Some(sealed) = &event.sealed else { return Ok(Opened::Nothing) };
        let Some(key) = self.key(clear.record)? else { return Ok(Opened::Erased) };
        let damaged = VaultError::Sealed { revision: clear.revision };
        let Ok(bytes) = crypto::open(&key, &associated_data(clear), sealed) else { return Err(damaged) };
        minicbor::decode(&bytes).map(|body| Opened::Body(Box::new(body))).map_err(|_| damaged)
    }

    /// Reads and opens the event at a place.
    pub fn read(&self, place: Place) -> Result<(Clear, Opened), VaultError> {
        let event = self.entry(place.frame())?.event(place.event())?;
        let clear = event.clear()?;
        let opened = self.open(&event, &clear)?;
        Ok((clear, opened))
    }

    /// Reads and opens a staged import, and who sent it; `None` once its key is destroyed.
    pub(crate) fn staged(&self, place: Place) -> Result<Option<(StagedImport, Actor)>, CommandError> {
        let opened = self.read(place).map_err(|error| {
            tracing::error!(%error, "a staged import can't be read");
            CommandError::Unreadable
        })?;
        let Opened::Body(body) = opened.1 else { return Ok(None) };
        match *body {
            Body::Staged { content, actor } => Ok(Some((*content, actor))),
            _ => Err(CommandError::Unreadable),
        }
    }

    fn entry(&self, frame: u64) -> Result<Arc<Framed>, VaultError> {
        if let Some((_, entry)) = self.recent.lock().iter().find(|(known, _)| *known == frame) {
            return Ok(Arc::clone(entry));
        }
        let bytes = self.journal.read(frame)?;
        let entry = Arc::new(Framed { events: Entry::event_ranges(&bytes)?, bytes });
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_ENTRIES {
            recent.pop_front();
        }
        recent.push_back((frame, Arc::clone(&entry)));
        Ok(entry)
    }
}

/// Seals an encoded body and makes the event's record; `clear` gets its commitment.
pub fn seal(key: &RecordKey, clear: &mut Clear, body: &[u8]) -> EventRecord {
    let sealed = crypto::seal(key, &associated_data(clear), body);
    EventRecord::new(clear, Some(sealed))
}

/// What a sealed part is bound to: moved to another event or record it does not open.
fn associated_data(clear: &Clear) -> [u8; 25] {
    let mut data = [0; 25];
    data[..2].copy_from_slice(&clear.format.to_be_bytes());
    data[2..4].copy_from_slice(&(clear.kind as u16).to_be_bytes());
    data[4] = clear.record.kind as u8;
    data[5..13].copy_from_slice(&clear.record.number.to_be_bytes());
    data[13..17].copy_from_slice(&clear.key_epoch.to_be_bytes());
    data[17..].copy_from_slice(&clear.revision.to_be_bytes());
    data
}
