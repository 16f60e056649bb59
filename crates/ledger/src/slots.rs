//! The slot file: one wrapped key per record, in a place of its own, so that a record can be erased for good.
//!
//! Promises: a key is durable when [`SlotFile::put_many`] returns, which is before the journal entry that needs it;
//! a key is nowhere else; after [`SlotFile::erase`] the key is gone from this file, and from every remnant of it once
//! the key-encryption key it was wrapped with is destroyed. Backed up apart from the data.
//!
//! All numbers little-endian. The first 64 bytes are the file's header: magic `XHSLOTS` and a zero, format u16, kind
//! u16 (1: record keys), 48 zeros, CRC-32C of the 60 bytes before it. Slot `n` (from 1) is the 64 bytes at `64 n`:
//!
//! | bytes | field |
//! |---|---|
//! | 0 | format |
//! | 1 | state: 0 free, 1 live, 2 erased |
//! | 2..4 | zero |
//! | 4..8 | `key_epoch` of the key-encryption key, 0 when erased |
//! | 8..16 | slot number |
//! | 16..56 | record key wrapped by AES-256 Key Wrap (RFC 3394); zeros when erased |
//! | 56..60 | CRC-32C of bytes 0..56 |
//! | 60..64 | zero |
//!
//! A slot never straddles a 512-byte sector, so a power cut leaves it whole: old or new.

use std::io;
use std::sync::Arc;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use zeroize::Zeroizing;

use crate::crypto::RecordKey;
use crate::keys::{Key, Keyring, Purpose};
use crate::storage::{OpenMode, Storage, StorageFile, is_full};

const FORMAT: u8 = 1;
const MAGIC: [u8; 8] = *b"XHSLOTS\0";
const KIND_RECORD_KEYS: u16 = 1;
/// Size of a slot, and of the file's header.
const SLOT_BYTES: u64 = 64;
/// The file grows by 16,384 slots (1 MiB) at a time.
const GROWTH_BYTES: u64 = 1 << 20;
/// The last slot that a file offset can reach.
const MAX_SLOT: u64 = (i64::MAX as u64) / SLOT_BYTES - 1;
const WRAPPED_BYTES: usize = 40;
const FREE: u8 = 0;
const LIVE: u8 = 1;
const ERASED: u8 = 2;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotKey {
    /// The record's key.
    Live(RecordKey),
    /// The record was erased: its sealed part can never be opened again.
    Erased,
    /// Nothing was ever put here.
    Missing,
}

/// Why a slot can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The system refused an operation; on a write the file takes nothing more until it is opened anew.
    #[error("slot file {file}: {doing} failed: {source}")]
    Io {
        /// File name.
        file: String,
        /// Which operation.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Stored bytes are not what was written.
    #[error("slot file {file}: slot {slot} damaged: {what}; restore the file from its own backup")]
    Corrupt {
        /// File name.
        file: String,
        /// Slot number; 0 is the file's header.
        slot: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Written by a newer version.
    #[error("slot file {file}: format {found}, but this version knows up to {FORMAT}; use the version that wrote it")]
    NewerFormat {
        /// File name.
        file: String,
        /// The format found.
        found: u16,
    },
    /// The slot is wrapped by a key-encryption key that isn't in the key directory.
    #[error(
        "slot file {file}: slot {slot} needs generation {key_epoch} of kek.key: put it into the key directory as \
         kek.{key_epoch}.key, from the key backup"
    )]
    KeyGone {
        /// File name.
        file: String,
        /// Slot number.
        slot: u64,
        /// Generation of the key-encryption key.
        key_epoch: u32,
    },
    /// An erased slot must stay so: what it stood for is promised to be unreadable.
    #[error("slot file {file}: slot {slot} is erased and can't be used again")]
    AlreadyErased {
        /// File name.
        file: String,
        /// Slot number.
        slot: u64,
    },
    /// An earlier write or sync failed.
    #[error("the slot file takes nothing more after a failed write or sync: stop, check the disk, and start again")]
    Poisoned,
    /// No space to grow. Nothing was written; the file stays usable.
    #[error("no space for {needed_bytes} bytes of slot file: free some disk space")]
    Full {
        /// The size that could not be reserved.
        needed_bytes: u64,
    },
    /// There is a slot file already.
    #[error("slot file {file}: exists already")]
    Exists {
        /// File name.
        file: String,
    },
}

/// The writing end of a slot file. One per directory.
#[derive(Debug)]
pub struct SlotFile {
    reader: SlotReader,
    /// Length in bytes, always a whole number of growth steps once grown.
    len: u64,
    poisoned: bool,
}

/// Reads slots. Cheap to clone, usable from any thread; a slot may be read once its `put_many` has returned.
#[derive(Clone, Debug)]
pub struct SlotReader {
    name: Arc<str>,
    file: Arc<dyn StorageFile>,
    keyring: Arc<Keyring>,
}

impl SlotFile {
    /// Makes an empty slot file, durably.
    pub fn create(storage: &dyn Storage, name: &str, keyring: Arc<Keyring>) -> Result<Self, SlotError> {
        let fault = |doing| move |source| SlotError::Io { file: name.to_owned(), doing, source };
        match storage.open(name, OpenMode::ReadOnly) {
            Ok(_) => return Err(SlotError::Exists { file: name.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fault("open")(error)),
        }
        let new = format!("{name}.new");
        match storage.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault("remove")(error)),
            _ => {}
        }
        let file = storage.open(&new, OpenMode::CreateNew).map_err(fault("make"))?;
        file.preallocate(GROWTH_BYTES).map_err(fault("grow"))?;
        file.write_at(&encode_header(), 0).map_err(fault("write"))?;
        // The header is durable before the name is, so that a named slot file always has one.
        file.sync_data().map_err(fault("sync"))?;
        storage.rename(&new, name).map_err(fault("rename"))?;
        storage.sync_dir().map_err(fault("sync of the directory"))?;
        Ok(Self::new(name, file, keyring, GROWTH_BYTES))
    }

    /// Opens a slot file and checks its header.
    pub fn open(storage: &dyn Storage, name: &str, keyring: Arc<Keyring>) -> Result<Self, SlotError> {
        let fault = |doing| move |source| SlotError::Io { file: name.to_owned(), doing, source };
        let file = storage.open(name, OpenMode::ReadWrite).map_err(fault("open"))?;
        let mut header = [0; SLOT_BYTES as usize];
        match file.read_at(&mut header, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let what = "shorter than its header";
                return Err(SlotError::Corrupt { file: name.to_owned(), slot: 0, what });
            }
            read => read.map_err(fault("read"))?,
        }
        check_header(name, &header)?;
        // A process killed in `create` may have left a name that only the page cache knows.
        storage.sync_dir().map_err(fault("sync of the directory"))?;
        let len = file.len().map_err(fault("length"))?;
        Ok(Self::new(name, file, keyring, len))
    }

    fn new(name: &str, file: Arc<dyn StorageFile>, keyring: Arc<Keyring>, len: u64) -> Self {
        Self { reader: SlotReader { name: name.into(), file, keyring }, len, poisoned: false }
    }

    /// Puts keys into the slots from `first` (at least 1) on, and makes them durable with one sync.
    ///
    /// Slots that were put but never came to be named by a journal entry may be put again; an erased one not.
    /// [`SlotError::Full`] and [`SlotError::AlreadyErased`]: nothing was written. After any other error
    /// the file is poisoned.
    pub fn put_many(&mut self, first: u64, keys: &[RecordKey]) -> Result<(), SlotError> {
        assert!(first > 0, "slot 0 is the file's header");
        if self.poisoned {
            return Err(SlotError::Poisoned);
        }
        self.refuse_erased(first, keys.len() as u64)?;
        self.grow_to((first + keys.len() as u64) * SLOT_BYTES)?;
        let kek = self.reader.keyring.current(Purpose::Kek);
        let mut bytes = Vec::with_capacity(keys.len() * SLOT_BYTES as usize);
        for (slot, key) in (first..).zip(keys) {
            bytes.extend_from_slice(&encode_slot(LIVE, kek.key_epoch(), slot, &wrap(kek, key)));
        }
        self.write(first, &bytes)
    }

    /// Overwrites a slot's key and makes that durable: the record's sealed part can never be opened again.
    pub fn erase(&mut self, slot: u64) -> Result<(), SlotError> {
        assert!((1..=MAX_SLOT).contains(&slot), "slot 0 is the file's header");
        if self.poisoned {
            return Err(SlotError::Poisoned);
        }
        self.grow_to((slot + 1) * SLOT_BYTES)?;
        // Also when it is erased already: the one before may have been told to a page cache only.
        self.write(slot, &encode_slot(ERASED, 0, slot, &[0; WRAPPED_BYTES]))
    }

    /// The key in slot `slot`.
    pub fn key(&self, slot: u64) -> Result<SlotKey, SlotError> {
        self.reader.key(slot)
    }

    /// A reader that any thread may keep.
    pub fn reader(&self) -> SlotReader {
        self.reader.clone()
    }

    /// Whether a write or sync has failed: the process should stop and recover.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn refuse_erased(&self, first: u64, count: u64) -> Result<(), SlotError> {
        let (start, end) = (first * SLOT_BYTES, ((first + count) * SLOT_BYTES).min(self.len));
        let mut bytes = vec![0; end.saturating_sub(start) as usize];
        let read = self.reader.file.read_at(&mut bytes, start);
        read.map_err(|source| self.reader.fault("read", source))?;
        for (slot, stored) in (first..).zip(bytes.chunks_exact(SLOT_BYTES as usize)) {
            if stored[1] == ERASED && checksum_holds(stored) {
                return Err(SlotError::AlreadyErased { file: self.reader.name.to_string(), slot });
            }
        }
        Ok(())
    }

    fn grow_to(&mut self, bytes: u64) -> Result<(), SlotError> {
        if bytes <= self.len {
            return Ok(());
        }
        let needed_bytes = bytes.next_multiple_of(GROWTH_BYTES);
        match self.reader.file.preallocate(needed_bytes) {
            // The new length becomes durable with the slots: nothing needs it before.
            Ok(()) => self.len = needed_bytes,
            Err(error) if is_full(&error) => return Err(SlotError::Full { needed_bytes }),
            Err(error) => return Err(self.poison("grow", error)),
        }
        Ok(())
    }

    fn write(&mut self, first: u64, bytes: &[u8]) -> Result<(), SlotError> {
        let written = self.reader.file.write_at(bytes, first * SLOT_BYTES);
        written.map_err(|error| self.poison("write", error))?;
        // A crash before the end of this sync leaves any of the slots, whole: no entry names them yet.
        self.reader.file.sync_data().map_err(|error| self.poison("sync", error))
    }

    fn poison(&mut self, doing: &'static str, source: io::Error) -> SlotError {
        self.poisoned = true;
        self.reader.fault(doing, source)
    }
}

impl SlotReader {
    /// The key in slot `slot`.
    pub fn key(&self, slot: u64) -> Result<SlotKey, SlotError> {
        if !(1..=MAX_SLOT).contains(&slot) {
            return Ok(SlotKey::Missing);
        }
        let mut bytes = [0; SLOT_BYTES as usize];
        match self.file.read_at(&mut bytes, slot * SLOT_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(SlotKey::Missing),
            read => read.map_err(|source| self.fault("read", source))?,
        }
        if bytes == [0; SLOT_BYTES as usize] {
            return Ok(SlotKey::Missing);
        }
        let corrupt = |what| Err(SlotError::Corrupt { file: self.name.to_string(), slot, what });
        if bytes[0] > FORMAT {
            return Err(SlotError::NewerFormat { file: self.name.to_string(), found: bytes[0].into() });
        }
        if !checksum_holds(&bytes) {
            return corrupt("checksum");
        }
        if bytes[8..16] != slot.to_le_bytes() {
            return corrupt("holds another slot's number");
        }
        match bytes[1] {
            FREE => Ok(SlotKey::Missing),
            ERASED => Ok(SlotKey::Erased),
            LIVE => self.unwrap(slot, &bytes).map(SlotKey::Live),
            _ => corrupt("unknown state"),
        }
    }

    fn unwrap(&self, slot: u64, bytes: &[u8; SLOT_BYTES as usize]) -> Result<RecordKey, SlotError> {
        let file = || self.name.to_string();
        let key_epoch = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let Some(kek) = self.keyring.generation(Purpose::Kek, key_epoch) else {
            return Err(SlotError::KeyGone { file: file(), slot, key_epoch });
        };
        // RFC 3394 needs one block more than the key while unwrapping.
        let mut key = Zeroizing::new([0; WRAPPED_BYTES]);
        let unwrapped = cipher(kek).unwrap(&bytes[16..16 + WRAPPED_BYTES], &mut key[..]);
        match unwrapped.ok().and_then(|plain| plain.first_chunk::<32>().copied()) {
            Some(plain) => Ok(RecordKey::from_bytes(plain)),
            None => Err(SlotError::Corrupt {
                file: file(),
                slot,
                what: "does not unwrap with the key-encryption key of its generation",
            }),
        }
    }

    fn fault(&self, doing: &'static str, source: io::Error) -> SlotError {
        SlotError::Io { file: self.name.to_string(), doing, source }
    }
}

fn cipher(kek: &Key) -> AesKek {
    AesKek::new(&AES_256, kek.bytes()).expect("AES-256 takes a key of exactly 32 bytes")
}

fn wrap(kek: &Key, key: &RecordKey) -> [u8; WRAPPED_BYTES] {
    let mut wrapped = [0; WRAPPED_BYTES];
    cipher(kek).wrap(key.bytes(), &mut wrapped).expect("RFC 3394 turns 32 bytes into exactly 40");
    wrapped
}

fn encode_slot(state: u8, key_epoch: u32, slot: u64, wrapped: &[u8; WRAPPED_BYTES]) -> [u8; SLOT_BYTES as usize] {
    let mut bytes = [0; SLOT_BYTES as usize];
    bytes[0] = FORMAT;
    bytes[1] = state;
    bytes[4..8].copy_from_slice(&key_epoch.to_le_bytes());
    bytes[8..16].copy_from_slice(&slot.to_le_bytes());
    bytes[16..56].copy_from_slice(wrapped);
    let crc = crc32c::crc32c(&bytes[0..56]);
    bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn checksum_holds(slot: &[u8]) -> bool {
    crc32c::crc32c(&slot[0..56]).to_le_bytes() == slot[56..60]
}

fn encode_header() -> [u8; SLOT_BYTES as usize] {
    let mut bytes = [0; SLOT_BYTES as usize];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&u16::from(FORMAT).to_le_bytes());
    bytes[10..12].copy_from_slice(&KIND_RECORD_KEYS.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[0..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn check_header(name: &str, bytes: &[u8; SLOT_BYTES as usize]) -> Result<(), SlotError> {
    let corrupt = |what| Err(SlotError::Corrupt { file: name.to_owned(), slot: 0, what });
    if bytes[0..8] != MAGIC {
        return corrupt("no slot file header");
    }
    let found = u16::from_le_bytes([bytes[8], bytes[9]]);
    if found > u16::from(FORMAT) {
        return Err(SlotError::NewerFormat { file: name.to_owned(), found });
    }
    if crc32c::crc32c(&bytes[0..60]).to_le_bytes() != bytes[60..64] {
        return corrupt("checksum of the header");
    }
    if bytes[10..12] != KIND_RECORD_KEYS.to_le_bytes() {
        return corrupt("holds another kind of slots");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
