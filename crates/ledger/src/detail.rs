//! Listings in detail: what names a person, in full.
//!
//! Promises: what is returned is as of the listing's current revision, never older; it is derived and always rebuildable, so
//! a missing, stale, foreign or damaged store costs time, never data, and nothing else waits for it. While it catches up,
//! reads say so ([`DetailError::CatchingUp`]). On disk every value is sealed under its own record's key: an erased record has
//! no detail any more, and neither has a copy of the files.
//!
//! One thread follows the journal, behind the writer and never between a write and its answer. Plaintext is held in memory
//! only, in a bounded cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use xinhub_domain::listing::{Content, Exemption, RecordKind, RelationContent, State};
use xinhub_domain::time::{Day, Timestamp};

use crate::background::yield_to_others;
use crate::resident::Resident;
use crate::table::ERASED;
use crate::vault::{Vault, VaultError};
use crate::writer::Published;

mod cache;
mod fold;
pub(crate) mod follow;
mod group;
pub(crate) mod store;
pub(crate) mod value;

use cache::Cache;
pub(crate) use fold::took_effect;
use follow::Follower;
#[doc(hidden)]
pub use store::StoreAlone;
use store::{Store, StoreFault};
use value::{ListingValue, RecordRef, ValueFault};

/// How often a read is tried again because a commit came between.
const READ_TRIES: usize = 4;

/// One listing in detail, as of one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Its number.
    pub listing: u64,
    /// Where it stands.
    pub state: State,
    /// The listing's etag: the revision of its last event.
    pub revision: u64,
    /// The court that it belongs to, by its client id.
    pub court: String,
    /// What it says.
    pub content: Content,
    /// Related people, ended relations included, in the order in which they were named.
    pub relations: Vec<DetailRelation>,
    /// Exemptions, ended ones included, in the order in which they were granted.
    pub exemptions: Vec<DetailExemption>,
    /// The last day in force; `None`: no fixed term.
    pub until: Option<Day>,
    /// While in grace: its last day.
    pub grace_until: Option<Day>,
    /// The day on which it first came into force; `None` until then.
    pub listed_on: Option<Day>,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
}

/// A related person of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailRelation {
    /// The relation's number.
    pub relation: u64,
    /// Who, and how related.
    pub content: RelationContent,
    /// It is over.
    pub ended: bool,
}

/// An exemption of one person from a listing's measures.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailExemption {
    /// The exemption's number.
    pub exemption: u64,
    /// Who, from what, and how long.
    pub content: Exemption,
    /// It is over.
    pub ended: bool,
}

/// Why a detail can't be read just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailError {
    /// The store has not reached the listing's revision yet, or is being built anew.
    #[error("the detail store is catching up; try again in a moment")]
    CatchingUp,
    /// The slot file that holds the record's key can't be read; the log says which.
    #[error("the key of the record can't be read; the operator has to restore the slot files")]
    KeyUnreadable,
}

/// The store, its cache and its thread.
pub(crate) struct DetailStore {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What readers and the follower share.
struct Shared {
    dir: PathBuf,
    epoch: [u8; 16],
    vault: Vault,
    resident: Arc<RwLock<Resident>>,
    /// `None` until it is open. Written only to open, close and replace it.
    store: RwLock<Option<Store>>,
    cache: Cache,
    /// The revision up to which every listing has its value. Zero while there is no store to speak of.
    applied: AtomicU64,
    /// The store is not to be trusted: nobody reads it any more, and the follower builds it anew.
    condemned: AtomicBool,
    /// It is condemned because sled panicked.
    panicked: AtomicBool,
    rebuilds: AtomicU64,
    stopping: AtomicBool,
    /// Calls the follower: something was condemned, or it is to stop.
    call: Notify,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Acquire)
    }

    fn condemn(&self, fault: &StoreFault) {
        if matches!(fault, StoreFault::Panicked) {
            self.panicked.store(true, Ordering::Release);
        }
        if !self.condemned.swap(true, Ordering::AcqRel) {
            tracing::warn!(%fault, "the detail store is not to be trusted: it is built anew from the journal");
        }
        self.call.notify_one();
    }
}

/// Why a read of the store came to nothing.
enum ReadFault {
    CatchingUp,
    Vault(VaultError),
    Store(StoreFault),
}

impl From<StoreFault> for ReadFault {
    fn from(fault: StoreFault) -> ReadFault {
        ReadFault::Store(fault)
    }
}

impl From<VaultError> for ReadFault {
    fn from(fault: VaultError) -> ReadFault {
        ReadFault::Vault(fault)
    }
}

impl DetailStore {
    /// Opens the store in `dir` and starts to follow the journal. Returns at once: opening itself is the thread's.
    pub(crate) fn open(
        dir: &Path,
        epoch: [u8; 16],
        vault: Vault,
        resident: Arc<RwLock<Resident>>,
        published: watch::Receiver<Published>,
        cache_bytes: u64,
    ) -> DetailStore {
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            epoch,
            vault,
            resident,
            store: RwLock::new(None),
            cache: Cache::new(cache_bytes),
            applied: AtomicU64::new(0),
            condemned: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            rebuilds: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            call: Notify::new(),
        });
        let follower = Follower { shared: Arc::clone(&shared), published };
        let started = tokio::runtime::Builder::new_current_thread().enable_time().build().and_then(|runtime| {
            let thread = std::thread::Builder::new().name("ledger-detail".to_owned());
            thread.spawn(move || {
                // sled's threads begin as their maker is, and go last with it.
                yield_to_others();
                runtime.block_on(follower.run());
            })
        });
        if let Err(error) = &started {
            tracing::error!(%error, "the thread of the detail store can't be started: details stay unavailable");
        }
        DetailStore { shared, thread: Mutex::new(started.ok()) }
    }

    /// The revision up to which every listing has its detail.
    pub(crate) fn applied_revision(&self) -> u64 {
        if self.shared.is_condemned() { 0 } else { self.shared.applied.load(Ordering::Acquire) }
    }

    /// Bytes of what lies decoded in memory.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.shared.cache.bytes()
    }

    /// How often the store was built anew since the start.
    #[cfg(test)]
    pub(crate) fn rebuilds(&self) -> u64 {
        self.shared.rebuilds.load(Ordering::Relaxed)
    }

    /// Stops following and closes the store, which is read no more.
    pub(crate) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.call.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the detail store ended in a panic");
        }
    }

    /// A listing in detail; `None` where there is none, or it is erased.
    pub(crate) fn listing(&self, number: u64) -> Result<Option<Arc<Detail>>, DetailError> {
        for _ in 0..READ_TRIES {
            let Some(revision) = self.revision(number) else { return Ok(None) };
            if let Some(detail) = self.shared.cache.at(number, revision) {
                return Ok(Some(detail));
            }
            match self.read(number, revision) {
                Ok(None) => return Ok(None),
                Ok(Some(detail)) => {
                    let detail = Arc::new(detail);
                    self.shared.cache.put(&detail);
                    return Ok(Some(detail));
                }
                Err(ReadFault::CatchingUp) => return Err(DetailError::CatchingUp),
                Err(ReadFault::Vault(error)) => {
                    tracing::error!(listing = number, %error, "a record's key can't be read");
                    return Err(DetailError::KeyUnreadable);
                }
                // The listing may have changed while it was read; what is wrong with an unchanged one is wrong.
                Err(ReadFault::Store(_)) if self.revision(number) != Some(revision) => {}
                Err(ReadFault::Store(fault)) => {
                    self.shared.condemn(&fault);
                    return Err(DetailError::CatchingUp);
                }
            }
        }
        Err(DetailError::CatchingUp)
    }

    /// The listing's current revision; `None` where there is nothing to read.
    fn revision(&self, number: u64) -> Option<u64> {
        // Recursive: whoever reads details while holding the state must not wait for a writer that waits for them.
        let resident = self.shared.resident.read_recursive();
        let row = resident.table.row(resident.table.row_of(number)?);
        (!row.has(ERASED)).then(|| row.revision())
    }

    fn read(&self, number: u64, revision: u64) -> Result<Option<Detail>, ReadFault> {
        // Locked only while it is opened or replaced, which takes longer than a caller should be held up.
        let store = self.shared.store.try_read();
        let store = store.as_ref().and_then(|store| store.as_ref());
        let Some(store) = store.filter(|_| self.applied_revision() >= revision) else {
            return Err(ReadFault::CatchingUp);
        };
        let Some(listing) = self.value::<ListingValue>(store, RecordKind::Listing, number, revision)? else {
            return Ok(None);
        };
        let mut relations = Vec::with_capacity(listing.relations.len());
        for RecordRef { number, revision, ended } in listing.relations {
            let content = self.value(store, RecordKind::Relation, number, revision)?;
            relations.extend(content.map(|content| DetailRelation { relation: number, content, ended }));
        }
        let mut exemptions = Vec::with_capacity(listing.exemptions.len());
        for RecordRef { number, revision, ended } in listing.exemptions {
            let content = self.value(store, RecordKind::Exemption, number, revision)?;
            exemptions.extend(content.map(|content| DetailExemption { exemption: number, content, ended }));
        }
        Ok(Some(Detail {
            listing: number,
            state: listing.state,
            revision,
            court: listing.court,
            content: listing.content,
            relations,
            exemptions,
            until: listing.until,
            grace_until: listing.grace_until,
            listed_on: listing.listed_on,
            updated_at: listing.updated_at,
        }))
    }

    /// A record's content as of `revision`; `None` once it is erased.
    fn value<T>(&self, store: &Store, kind: RecordKind, number: u64, revision: u64) -> Result<Option<T>, ReadFault>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        let record = value::record(kind, number);
        let Some(key) = self.shared.vault.key(record)? else { return Ok(None) };
        let fault = |fault| StoreFault::Value { kind, number, fault };
        let bytes = store.get(record)?.ok_or_else(|| fault(ValueFault::Missing))?;
        let found = value::unframe(&bytes).map_err(fault)?;
        if found.revision != revision {
            return Err(StoreFault::Stale { kind, number, what: "its value is of another revision" }.into());
        }
        Ok(Some(value::open(&key, record, &found).map_err(fault)?))
    }
}

impl Drop for DetailStore {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
