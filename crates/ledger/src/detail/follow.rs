//! The thread that brings the store after the journal, and builds it anew where it can't be trusted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::Shared;
use super::fold::{FollowFault, Pending};
use super::store::{Store, StoreFault, StorePosition};
use crate::journal::{JournalError, JournalReader, Stored};
use crate::vault;
use crate::writer::Published;

/// Rebuilds beyond this many, in one run of the hub, wait longer each time: a disk that damages all it is given must
/// not keep the hub busy.
const FREE_REBUILDS: u64 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Entries of as many bytes, of an import for the most part, leave the processors to those who are told of a lift, once in a batch. Smaller
/// ones don't wait: they are little work, and with lifts all the time the store would fall behind.
const LARGE_ENTRY_BYTES: usize = 32 << 10;

type Entries<'a> = Box<dyn Iterator<Item = Result<Stored, JournalError>> + 'a>;

/// What the thread owns.
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) published: watch::Receiver<Published>,
}

impl Follower {
    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        let journal = Arc::clone(self.shared.vault.journal());
        // Kept from one turn to the next: finding a place in the journal reads all of its segment up to there.
        let mut entries: Option<Entries<'_>> = None;
        let mut faults = 0;
        while !self.shared.is_stopping() {
            match catch_unwind(AssertUnwindSafe(|| self.turn(&*journal, &mut entries))) {
                Ok(Ok(())) => {
                    faults = 0;
                    self.wait().await;
                }
                Ok(Err(fault)) => {
                    entries = None;
                    faults += 1;
                    self.note(&fault);
                    self.pause(faults).await;
                }
                Err(_) => {
                    entries = None;
                    faults += 1;
                    self.shared.condemn(&StoreFault::Panicked);
                    self.pause(faults).await;
                }
            }
        }
        drop(entries);
        if let Some(store) = self.shared.store.write().take() {
            store.close();
        }
    }

    fn note(&self, fault: &FollowFault) {
        match fault {
            FollowFault::Store(fault) => self.shared.condemn(fault),
            FollowFault::Vault(_) | FollowFault::Entry(_) | FollowFault::Journal(_) | FollowFault::Short { .. } => {
                tracing::error!(%fault, "the detail store can't follow the journal: details stay unavailable");
            }
        }
    }

    async fn wait(&mut self) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            changed = self.published.changed() => {
                if changed.is_err() {
                    // The writer has stopped: nothing more will come.
                    shared.call.notified().await;
                }
            }
            () = shared.call.notified() => {}
        }
    }

    async fn pause(&self, faults: u64) {
        let excess = faults.max(self.shared.rebuilds.load(Ordering::Relaxed)).saturating_sub(FREE_REBUILDS);
        let pause = Duration::from_secs(excess).min(LONGEST_PAUSE);
        let stop = async {
            while !self.shared.is_stopping() {
                self.shared.call.notified().await;
            }
        };
        // Over is over, whichever comes first.
        let _ = tokio::time::timeout(pause, stop).await;
    }

    /// Makes sure that there is a store, and brings it to where the published state is.
    fn turn<'a>(&self, journal: &'a dyn JournalReader, entries: &mut Option<Entries<'a>>) -> Result<(), FollowFault> {
        if self.shared.condemned.load(Ordering::Acquire) {
            *entries = None;
            self.wipe()?;
        }
        if self.shared.store.read().is_none() {
            *entries = None;
            self.open(journal)?;
        }
        let store = self.shared.store.read();
        let Some(store) = &*store else { return Ok(()) };
        loop {
            let position = store.position()?.unwrap_or(StorePosition::start(self.shared.epoch));
            self.shared.applied.store(position.revision, Ordering::Release);
            self.shared.vault.passed(vault::recent::Follower::Detail, position.sequence);
            // The journal may be ahead of the state in memory by the entry that is just becoming visible.
            let target = self.published.borrow().sequence;
            if position.sequence >= target || self.shared.is_stopping() || self.shared.is_condemned() {
                return Ok(());
            }
            let from = position.sequence;
            self.batch(store, journal, entries, position, target)?;
            if store.position()?.is_none_or(|position| position.sequence <= from) {
                return Err(FollowFault::Short { found: from, expected: target });
            }
        }
    }

    /// Applies entries up to `target`, or as many as make a batch.
    fn batch<'a>(
        &self,
        store: &Store,
        journal: &'a dyn JournalReader,
        entries: &mut Option<Entries<'a>>,
        position: StorePosition,
        target: u64,
    ) -> Result<(), FollowFault> {
        let mut pending = Pending::new(store, &self.shared.vault, position);
        let (mut fresh, mut has_waited) = (entries.is_none(), false);
        while pending.position().sequence < target && !pending.is_full() {
            let sequence = pending.position().sequence;
            let next = entries.get_or_insert_with(|| journal.after(sequence)).next();
            match next.transpose()? {
                Some(stored) => {
                    if stored.payload.len() >= LARGE_ENTRY_BYTES && !has_waited {
                        let lull = self.published.borrow().lull();
                        std::thread::sleep(lull);
                        has_waited = true;
                    }
                    pending.entry(&stored)?;
                }
                // What was begun at an earlier end need not see what has come since.
                None if !fresh => {
                    *entries = None;
                    fresh = true;
                }
                None => break,
            }
        }
        for listing in pending.write()? {
            self.shared.cache.forget(listing);
        }
        Ok(())
    }

    /// Opens the store, anew where what is there does not belong to this journal.
    fn open(&self, journal: &dyn JournalReader) -> Result<(), FollowFault> {
        Store::remove_left_over(&self.shared.dir).map_err(StoreFault::from)?;
        let opened = Store::open(&self.shared.dir).and_then(|store| {
            let position = store.position()?;
            Ok((store, position))
        });
        let reason = match opened {
            Ok((store, None)) => return self.enter(store),
            Ok((store, Some(position))) => match self.foreign(&position, journal) {
                None => return self.enter(store),
                Some(reason) => {
                    store.close();
                    reason.to_owned()
                }
            },
            Err(StoreFault::Io(error)) => return Err(StoreFault::Io(error).into()),
            Err(fault) => fault.to_string(),
        };
        tracing::warn!(reason, "the detail store is built anew from the journal");
        self.wipe()?;
        self.enter(Store::open(&self.shared.dir)?)
    }

    fn enter(&self, store: Store) -> Result<(), FollowFault> {
        *self.shared.store.write() = Some(store);
        Ok(())
    }

    /// Why a store at `position` is not one of this journal.
    fn foreign(&self, position: &StorePosition, journal: &dyn JournalReader) -> Option<&'static str> {
        let (tail, chain) = {
            let published = self.published.borrow();
            (published.sequence, published.chain)
        };
        belongs(position, self.shared.epoch, (tail, chain), journal).err()
    }

    /// Closes the store and takes its directory away.
    fn wipe(&self) -> Result<(), FollowFault> {
        let mut store = self.shared.store.write();
        self.shared.applied.store(0, Ordering::Release);
        self.shared.cache.clear();
        if let Some(store) = store.take() {
            if self.shared.panicked.swap(false, Ordering::AcqRel) {
                store.abandon();
            } else {
                store.close();
            }
        }
        Store::remove(&self.shared.dir).map_err(StoreFault::from)?;
        self.shared.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.shared.condemned.store(false, Ordering::Release);
        Ok(())
    }
}

/// Whether a store at `position` was filled from the journal that ends at `tail`, or why not.
pub(crate) fn belongs(
    position: &StorePosition,
    epoch: [u8; 16],
    (tail, tail_chain): (u64, [u8; 32]),
    journal: &dyn JournalReader,
) -> Result<(), &'static str> {
    if position.epoch != epoch {
        return Err("it belongs to another history");
    }
    if position.sequence > tail {
        return Err("it is ahead of the journal: an older journal was put back");
    }
    let chain = match position.sequence {
        0 => [0; 32],
        last if last == tail => tail_chain,
        sequence => match journal.after(sequence - 1).next() {
            Some(Ok(stored)) => stored.chain,
            Some(Err(_)) | None => return Err("the journal does not reach back to where it was filled"),
        },
    };
    if chain == position.chain { Ok(()) } else { Err("it was filled from another journal") }
}
