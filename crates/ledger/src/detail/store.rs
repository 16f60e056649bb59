//! Values on disk (sled), and how far along the journal they are.
//!
//! Sled is trusted with nothing: what it returns is checked by its caller, what it reports or panics with is a fault of the
//! store, and the answer to every fault is to build the store anew from the journal.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use xinhub_domain::listing::{RecordId, RecordKind};

use super::group;
use super::value::{self, ValueFault};

/// Below the data directory.
pub(crate) const DIR: &str = "detail";
/// How much of the store sled keeps in memory; what is asked for often lies decoded in the cache in front.
const CACHE_BYTES: u64 = 64 << 20;
/// How often sled writes out by itself. What a crash loses of it is read from the journal again.
const FLUSH_EVERY_MS: u64 = 1_000;
/// A batch is closed once it comes to this many bytes: larger ones make the file grow out of all proportion (decision D2).
const BATCH_BYTES: usize = 512 << 10;
/// A store that was just closed holds its lock until sled's own threads are done with it.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The store can't be used as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    /// Sled says so.
    #[error("the detail store failed: {0}")]
    Failed(String),
    /// Sled met something that it did not expect.
    #[error("the detail store's files are damaged beyond reading")]
    Panicked,
    /// A value is not what was written.
    #[error("{kind:?} {number}: {fault}")]
    Value {
        /// Of which kind of record; [`RecordKind::Hub`] is the position.
        kind: RecordKind,
        /// Its number.
        number: u64,
        /// What is wrong.
        fault: ValueFault,
    },
    /// Values contradict each other or the state.
    #[error("{kind:?} {number}: {what}")]
    Stale {
        /// Of which kind of record.
        kind: RecordKind,
        /// Its number.
        number: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The directory can't be made, moved or removed.
    #[error("the directory of the detail store: {0}")]
    Io(#[from] io::Error),
}

/// How far along the journal the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorePosition {
    /// The history.
    pub(crate) epoch: [u8; 16],
    /// How many entries were applied.
    pub(crate) sequence: u64,
    /// The chain hash over them.
    pub(crate) chain: [u8; 32],
    /// The revision with them.
    pub(crate) revision: u64,
    /// How many listings there were.
    pub(crate) listings: u64,
}

impl StorePosition {
    /// Before the first entry.
    pub(crate) fn start(epoch: [u8; 16]) -> StorePosition {
        StorePosition { epoch, sequence: 0, chain: [0; 32], revision: 0, listings: 0 }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&self.epoch);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.listings.to_le_bytes());
        // No key made it: it names nobody.
        value::frame(0, self.revision, &bytes)
    }

    fn decode(bytes: &[u8]) -> Result<StorePosition, ValueFault> {
        let value = value::unframe(bytes)?;
        let (epoch, rest) = value.content.split_first_chunk::<16>().ok_or(ValueFault::Content)?;
        let (sequence, rest) = rest.split_first_chunk::<8>().ok_or(ValueFault::Content)?;
        let (chain, rest) = rest.split_first_chunk::<32>().ok_or(ValueFault::Content)?;
        let listings: [u8; 8] = rest.try_into().map_err(|_| ValueFault::Content)?;
        Ok(StorePosition {
            epoch: *epoch,
            sequence: u64::from_le_bytes(*sequence),
            chain: *chain,
            revision: value.revision,
            listings: u64::from_le_bytes(listings),
        })
    }
}

/// The position's key, of the hub's own kind. It lies there alone, in no group: whatever else changes, a store's format can be told.
const POSITION: group::Key = [0; 9];

/// An open store.
pub(crate) struct Store {
    db: Option<sled::Db>,
}

/// A record's value; `None`: to be removed.
pub(crate) type Put = (RecordId, Option<Vec<u8>>);

impl Store {
    /// Opens the store in `dir`, made when missing.
    pub(crate) fn open(dir: &Path) -> Result<Store, StoreFault> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
        let mut tries = 0;
        loop {
            match guarded(|| config.open()) {
                Ok(db) => return Ok(Store { db: Some(db) }),
                Err(StoreFault::Failed(what)) if what.contains("could not acquire lock") && tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Takes the directory away, with all that is in it.
    pub(crate) fn remove(dir: &Path) -> io::Result<()> {
        // Renamed first: sled may still be writing, and whoever is killed in between finds no half of a store.
        Self::remove_left_over(dir)?;
        ignore_missing(fs::rename(dir, dir.with_extension("old")))?;
        Self::remove_left_over(dir)
    }

    /// Removes what a kill during [`Store::remove`] left behind.
    pub(crate) fn remove_left_over(dir: &Path) -> io::Result<()> {
        let old = dir.with_extension("old");
        match fs::remove_dir_all(&old) {
            // Something that is no directory was in its place.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(&old),
            removed => ignore_missing(removed),
        }
    }

    fn db(&self) -> Result<&sled::Db, StoreFault> {
        self.db.as_ref().ok_or_else(|| StoreFault::Failed("it is closed".to_owned()))
    }

    /// How far it is; `None` in a store without a value.
    pub(crate) fn position(&self) -> Result<Option<StorePosition>, StoreFault> {
        let db = self.db()?;
        let position_fault = |fault| StoreFault::Value { kind: RecordKind::Hub, number: 0, fault };
        match guarded(|| db.get(POSITION))? {
            Some(bytes) => StorePosition::decode(&bytes).map(Some).map_err(position_fault),
            None if guarded(|| Ok(db.is_empty()))? => Ok(None),
            None => Err(position_fault(ValueFault::Content)),
        }
    }

    /// A record's value as it lies there.
    pub(crate) fn get(&self, record: RecordId) -> Result<Option<Vec<u8>>, StoreFault> {
        let db = self.db()?;
        let Some(bytes) = guarded(|| db.get(group::key_of(record)))? else { return Ok(None) };
        Ok(split(record, &bytes)?[group::place_of(record)].map(<[u8]>::to_vec))
    }

    /// Puts values, each record's once, and the position last, in batches of ascending keys.
    ///
    /// A crash between two batches leaves values that are ahead of the position; applying their events again changes nothing.
    pub(crate) fn put(&self, mut values: Vec<Put>, position: &StorePosition) -> Result<(), StoreFault> {
        let db = self.db()?;
        values.sort_unstable_by_key(|(record, _)| (record.kind as u8, record.number));
        let (mut batch, mut batch_bytes) = (sled::Batch::default(), 0);
        for values in values.chunk_by(|(one, _), (next, _)| group::key_of(*one) == group::key_of(*next)) {
            let [(record, _), ..] = values else { continue };
            let (key, group) = (group::key_of(*record), self.with(*record, values)?);
            batch_bytes += group.as_ref().map_or(0, Vec::len);
            match group {
                Some(group) => batch.insert(&key[..], group),
                None => batch.remove(&key[..]),
            }
            if batch_bytes >= BATCH_BYTES {
                let full = std::mem::take(&mut batch);
                guarded(|| db.apply_batch(full))?;
                batch_bytes = 0;
            }
        }
        batch.insert(&POSITION[..], position.encode());
        guarded(|| db.apply_batch(batch))
    }

    /// A record's group as it is with these of its values; `None` where none is left.
    fn with(&self, record: RecordId, values: &[Put]) -> Result<Option<Vec<u8>>, StoreFault> {
        let db = self.db()?;
        let mut members = group::Members::default();
        let is_whole = values.len() == members.len();
        let there = if is_whole { None } else { guarded(|| db.get(group::key_of(record)))? };
        if let Some(bytes) = &there {
            members = split(record, bytes)?;
        }
        for (record, value) in values {
            members[group::place_of(*record)] = value.as_deref();
        }
        Ok(group::join(&members))
    }

    /// Puts one value as it is, or takes it away, for tests of what happens to bad ones.
    #[cfg(test)]
    pub(crate) fn put_raw(&self, record: RecordId, bytes: Option<&[u8]>) {
        let group = self.with(record, &[(record, bytes.map(<[u8]>::to_vec))]).expect("a group");
        let (db, key) = (self.db.as_ref().expect("open"), group::key_of(record));
        match group {
            Some(group) => db.insert(key, group),
            None => db.remove(key),
        }
        .expect("sled takes it");
        db.flush().expect("sled flushes");
    }

    /// Changes what lies under a record's key, that of kind 0 the position's, for the same tests; nothing stays of what is empty then.
    #[cfg(test)]
    pub(crate) fn change_raw(&self, record: RecordId, change: impl FnOnce(&mut Vec<u8>)) {
        let (db, key) = (self.db.as_ref().expect("open"), group::key_of(record));
        let mut bytes = db.get(key).expect("sled reads").expect("something").to_vec();
        change(&mut bytes);
        if bytes.is_empty() { db.remove(key) } else { db.insert(key, bytes) }.expect("sled takes it");
        db.flush().expect("sled flushes");
    }

    /// All values of a kind, by number.
    pub(crate) fn values(
        &self,
        kind: RecordKind,
    ) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>), StoreFault>>, StoreFault> {
        let mut groups = self.db()?.scan_prefix([kind as u8]);
        let next = move || guarded(|| groups.next().transpose()).transpose();
        let values = move |group: Result<(sled::IVec, sled::IVec), StoreFault>| {
            let (key, bytes) = group?;
            let no_key = || StoreFault::Stale { kind, number: 0, what: "a key that no record has" };
            let first = group::first_of(&key).ok_or_else(no_key)?;
            let members = split(value::record(kind, first), &bytes)?;
            let values = (first..).zip(members).filter_map(|(number, value)| Some((number, value?.to_vec())));
            Ok(values.collect::<Vec<_>>())
        };
        Ok(std::iter::from_fn(next).flat_map(move |group| match values(group) {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(fault) => vec![Err(fault)],
        }))
    }

    /// Writes out what is in memory, and closes.
    pub(crate) fn close(mut self) {
        if let Some(db) = self.db.take()
            && let Err(fault) = guarded(move || db.flush().map(|_| drop(db)))
        {
            tracing::warn!(%fault, "the detail store did not close cleanly");
        }
    }

    /// Lets go of a store that panicked: to close it could wait for ever for a thread that is gone.
    pub(crate) fn abandon(mut self) {
        std::mem::forget(self.db.take());
    }
}

/// A store without its hub, to see what it takes by itself.
#[doc(hidden)]
pub struct StoreAlone(Store);

impl StoreAlone {
    /// Opens the one of a data directory that no hub runs on.
    pub fn open(data_dir: &Path) -> io::Result<StoreAlone> {
        Store::open(&data_dir.join(DIR)).map(StoreAlone).map_err(io::Error::other)
    }

    /// Whether it has a value for this listing, which is read.
    pub fn has(&self, listing: u64) -> io::Result<bool> {
        let value = self.0.get(value::record(RecordKind::Listing, listing)).map_err(io::Error::other)?;
        Ok(value.is_some())
    }

    /// Closes it.
    pub fn close(self) {
        self.0.close();
    }
}

/// A copy of a store, to read without touching the original: sled can't open a directory without writing to it.
pub(crate) struct StoreCopy {
    store: Option<Store>,
    dir: PathBuf,
}

impl StoreCopy {
    /// Copies the store in `dir` into the system's directory for temporary files, and opens it there.
    pub(crate) fn of(dir: &Path) -> Result<StoreCopy, StoreFault> {
        let name: [u8; 8] = crate::crypto::random();
        let mut copy = StoreCopy {
            store: None,
            dir: std::env::temp_dir().join(format!("xinhub-fsck-{:016x}", u64::from_le_bytes(name))),
        };
        copy_private(dir, &copy.dir)?;
        copy.store = Some(Store::open(&copy.dir)?);
        Ok(copy)
    }

    /// The copy.
    pub(crate) fn store(&self) -> Result<&Store, StoreFault> {
        self.store.as_ref().ok_or_else(|| StoreFault::Failed("it is closed".to_owned()))
    }
}

impl Drop for StoreCopy {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            store.close();
        }
        if let Err(error) = ignore_missing(fs::remove_dir_all(&self.dir)) {
            tracing::warn!(%error, "a copy of the detail store was left among the temporary files");
        }
    }
}

fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_private(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The values of a record's group.
fn split(record: RecordId, group: &[u8]) -> Result<group::Members<'_>, StoreFault> {
    let RecordId { kind, number } = record;
    group::split(group).ok_or(StoreFault::Value { kind, number, fault: ValueFault::Group })
}

/// Sled panics on some damage instead of telling it.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreFault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| StoreFault::Failed(error.to_string())),
        Err(_) => Err(StoreFault::Panicked),
    }
}
