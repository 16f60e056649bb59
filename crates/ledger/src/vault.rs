//! Sealing and opening of events: the only place where a record's key and its plaintext meet.

use std::collections::{HashMap, VecDeque};
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

pub(crate) mod recent;

use recent::{Follower, Kept, Recent};

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
    files: Vec<Slotted>,
}

/// The slot file of one kind, and keys that lie in it for records to come.
#[derive(Debug)]
struct Slotted {
    kind: RecordKind,
    file: SlotFile,
    /// Durable already, in the slots from `next` on: records that are made soon after one another share a sync. No entry names
    /// these slots yet, so whoever starts after a crash overwrites them.
    ahead: VecDeque<RecordKey>,
    next: u64,
}

/// How many keys are made ahead: so many times what is asked for, within these bounds (64 bytes of slot file each).
const KEYS_AHEAD: usize = 32;
const FEWEST_KEYS_AHEAD: usize = 64;
const MOST_KEYS_AHEAD: usize = 8 * 1_024;

impl Slotted {
    /// Takes the keys of `count` records from number `first` on, durable in their slots.
    fn take(&mut self, first: u64, count: usize) -> Result<Vec<RecordKey>, SlotError> {
        if self.next != first {
            // The entry that the last ones were for was not written: their numbers are given out again.
            self.ahead.clear();
            self.next = first;
        }
        if let Some(missing) = count.checked_sub(self.ahead.len()).filter(|missing| *missing > 0) {
            let more = (count * KEYS_AHEAD).clamp(FEWEST_KEYS_AHEAD, MOST_KEYS_AHEAD).max(missing);
            match self.make(more) {
                // What fits without any to spare is not refused.
                Err(SlotError::Full { .. }) if more > missing => self.make(missing)?,
                made => made?,
            }
        }
        self.next += count as u64;
        Ok(self.ahead.drain(..count).collect())
    }

    fn make(&mut self, count: usize) -> Result<(), SlotError> {
        let keys = RecordKey::random_many(count);
        self.file.put_many(self.next + self.ahead.len() as u64, &keys)?;
        self.ahead.extend(keys);
        Ok(())
    }
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
            files.extend(file.map(|file| Slotted { kind, file, ahead: VecDeque::new(), next: 0 }));
        }
        Ok(Slots { files })
    }

    /// Keys for `count` new records of a kind, from number `first` on, durable in their slots.
    pub fn make(&mut self, kind: RecordKind, first: u64, count: usize) -> Result<Vec<RecordKey>, SlotError> {
        match self.files.iter_mut().find(|slotted| slotted.kind == kind) {
            Some(slotted) if count > 0 => slotted.take(first, count),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    fn readers(&self) -> Vec<(RecordKind, SlotReader)> {
        self.files.iter().map(|slotted| (slotted.kind, slotted.file.reader())).collect()
    }
}

/// Opens events. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Vault {
    journal: Arc<dyn JournalReader>,
    slots: Arc<Vec<(RecordKind, SlotReader)>>,
    known: Arc<Mutex<Layouts>>,
    recent: Arc<Kept>,
}

/// Where the events of an entry begin in its bytes, and where the last ends.
pub(crate) type Layout = Arc<[u32]>;

/// The layouts of entries that were read. An import meets further cases of known debtors in entries all over the journal, and wants
/// one of a thousand events of each: whoever knows where it lies reads some hundred bytes in place of all.
#[derive(Debug, Default)]
struct Layouts {
    by_frame: HashMap<u64, Layout>,
    /// Oldest first.
    order: VecDeque<u64>,
    places: usize,
}

/// How many places of events are kept: of some 4,000 full entries, 16 MiB.
const MAX_PLACES: usize = 4 << 20;
/// Of smaller entries little more than one event is read anyway.
const FEWEST_PLACES: usize = 16;

impl Layouts {
    fn put(&mut self, frame: u64, layout: &Layout) {
        if self.by_frame.insert(frame, Arc::clone(layout)).is_some() {
            return;
        }
        self.order.push_back(frame);
        self.places += layout.len();
        while self.places > MAX_PLACES
            && let Some(oldest) = self.order.pop_front()
        {
            self.places -= self.by_frame.remove(&oldest).map_or(0, |layout| layout.len());
        }
    }
}

impl Vault {
    /// Over a journal and its slot files.
    pub fn new(journal: Arc<dyn JournalReader>, slots: &Slots) -> Vault {
        Vault { journal, slots: Arc::new(slots.readers()), known: Arc::default(), recent: Arc::default() }
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

    /// Keeps what an import has just written, open, until its followers are past it. Returns what there is no room for any more.
    pub(crate) fn keep(&self, recent: Arc<Recent>) -> Vec<Arc<Recent>> {
        self.recent.put(recent)
    }

    /// The entry of a number in the journal, while it is kept open.
    pub(crate) fn recent(&self, sequence: u64) -> Option<Arc<Recent>> {
        self.recent.entry(sequence)
    }

    /// A follower needs no entry up to this one any more.
    pub(crate) fn passed(&self, follower: Follower, sequence: u64) {
        self.recent.passed(follower, sequence);
    }

    /// Keeps nothing open any more: returns what it was.
    pub(crate) fn forget_recent(&self) -> impl Iterator<Item = Arc<Recent>> + use<> {
        self.recent.clear()
    }

    /// [`Vault::read`], for whoever only looks at it: what is still open is not copied.
    pub(crate) fn look<T>(&self, place: Place, look: impl FnOnce(&Opened) -> T) -> Result<T, VaultError> {
        if let Some(recent) = self.recent.at(place)
            && let Some((_, prepared)) = recent.event(place)
        {
            return Ok(look(&prepared.opened));
        }
        Ok(look(&self.read(place)?.1))
    }

    /// Reads and opens the event at a place.
    pub fn read(&self, place: Place) -> Result<(Clear, Opened), VaultError> {
        let event = EventRecord::decode_from(&self.event_bytes(place)?)?;
        let clear = event.clear()?;
        // Read alone, it has only its own hashes to be checked by.
        event.verify(&clear)?;
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

    fn event_bytes(&self, place: Place) -> Result<Vec<u8>, VaultError> {
        let (frame, event) = (place.frame(), place.event());
        let part = |layout: &Layout| match layout.get(event..event + 2) {
            Some([start, end]) => Ok(*start as usize..*end as usize),
            _ => Err(EntryError::Damaged("no such event".to_owned())),
        };
        let known = self.known.lock().by_frame.get(&frame).cloned();
        if let Some(layout) = known {
            return Ok(self.journal.read_part(frame, part(&layout)?)?);
        }
        let bytes = self.journal.read(frame)?;
        Ok(bytes[part(&self.learn(frame, &bytes)?)?].to_vec())
    }

    /// Notes where the events of an entry lie that was read, or was just written: of an import, later rows may be about its listings.
    pub(crate) fn learn(&self, frame: u64, bytes: &[u8]) -> Result<Layout, EntryError> {
        let layout: Layout = Entry::event_starts(bytes)?.into();
        if layout.len() > FEWEST_PLACES {
            self.known.lock().put(frame, &layout);
        }
        Ok(layout)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::journal::Journal;
    use crate::journal::memory::MemoryJournal;
    use crate::storage::sim::SimStorage;

    const LISTING: RecordKind = RecordKind::Listing;

    #[test]
    fn keys_are_made_ahead_and_anew_for_numbers_that_are_given_out_again() {
        let (sim, keyring) = (SimStorage::new(1), Arc::new(Keyring::ephemeral()));
        Slots::create(&*sim.storage(), &keyring).unwrap();
        let mut slots = Slots::open(&*sim.storage(), &keyring).unwrap();
        let vault = Vault::new(MemoryJournal::default().reader(), &slots);
        let key = |number| vault.key(RecordId { kind: LISTING, number }).unwrap();
        let one = slots.make(LISTING, 1, 3).unwrap();
        let syncs = sim.counts().syncs;
        let two = slots.make(LISTING, 4, 2).unwrap();
        assert_eq!(sim.counts().syncs, syncs, "made and synced with the first");
        assert_eq!((key(1).as_ref(), key(5).as_ref()), (Some(&one[0]), Some(&two[1])));
        // The entry that 4 and 5 were for was not written.
        let again = slots.make(LISTING, 4, 1).unwrap();
        assert_ne!(again[0], two[0]);
        assert_eq!(key(4).as_ref(), Some(&again[0]));
    }

    #[test]
    fn where_there_is_no_room_for_keys_ahead_those_that_are_needed_are_made() {
        let (sim, keyring) = (SimStorage::new(2), Arc::new(Keyring::ephemeral()));
        Slots::create(&*sim.storage(), &keyring).unwrap();
        let mut slots = Slots::open(&*sim.storage(), &keyring).unwrap();
        // The file has room for 16,383 before it grows.
        sim.limit_bytes(Some(sim.used_bytes()));
        slots.make(LISTING, 1, 16_000).unwrap();
        assert_eq!(slots.make(LISTING, 16_001, 300).unwrap().len(), 300);
        assert!(matches!(slots.make(LISTING, 16_301, 300), Err(SlotError::Full { .. })));
        sim.limit_bytes(None);
        assert_eq!(slots.make(LISTING, 16_301, 300).unwrap().len(), 300);
    }
}
