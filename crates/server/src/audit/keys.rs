//! The keys of the audit log, each derived for one use, and the digests made with them.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use xinhub_domain::identity::KeyInput;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::crypto::{self, Prf, RecordKey};
use xinhub_ledger::keys::{Key, Keyring, Purpose};

/// Digest keys held ready: one for each audit class in use, of this month and the last.
const MAX_PRFS: usize = 64;

/// A digest key, with the audit class and month that it serves.
type KnownPrf = (Box<str>, Month, Arc<Prf>);

/// A calendar month in Asia/Shanghai, as months since year 0: the period that digests can be joined within.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Month(u32);

impl Month {
    pub(super) fn of(time: Timestamp) -> Month {
        let date = time.date();
        // Days begin in 1970 and end in 2261: neither part is negative.
        Month(u32::from(date.year().unsigned_abs()) * 12 + u32::from(date.month().unsigned_abs()))
    }
}

/// Derives the log's keys from the keyring's audit key, and keeps those in constant use ready.
pub(super) struct AuditKeys {
    keyring: Arc<Keyring>,
    log_id: [u8; 16],
    /// A dozen at most, so that looking through them beats hashing.
    prfs: RwLock<Vec<KnownPrf>>,
    /// The month of the last day asked for: a calendar conversion costs more than all else here.
    month: RwLock<Option<(Day, Month)>>,
}

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKeys(..)")
    }
}

impl AuditKeys {
    pub(super) fn new(keyring: Arc<Keyring>, log_id: [u8; 16]) -> AuditKeys {
        AuditKeys { keyring, log_id, prfs: RwLock::new(Vec::new()), month: RwLock::new(None) }
    }

    pub(super) fn log_id(&self) -> &[u8; 16] {
        &self.log_id
    }

    /// The generation that new frames are made with.
    pub(super) fn key_epoch(&self) -> u32 {
        self.current().key_epoch()
    }

    fn current(&self) -> &Key {
        self.keyring.current(Purpose::Audit)
    }

    pub(super) fn month(&self, time: Timestamp) -> Month {
        let day = time.day();
        if let Some((known, month)) = *self.month.read()
            && known == day
        {
            return month;
        }
        let month = Month::of(time);
        *self.month.write() = Some((day, month));
        month
    }

    /// The key that seals the frames of one day; `None` when that generation of the audit key is gone.
    pub(super) fn frame(&self, key_epoch: u32, day: u32) -> Option<RecordKey> {
        let key = self.keyring.generation(Purpose::Audit, key_epoch)?;
        Some(record_key(key, &[b"audit frame", &self.log_id, &day.to_le_bytes()]))
    }

    /// The key that seals what was answered about one listing's subject in one month.
    pub(super) fn subject(&self, key_epoch: u32, listing: u64, month: Month) -> Option<RecordKey> {
        let key = self.keyring.generation(Purpose::Audit, key_epoch)?;
        let parts: [&[u8]; 4] = [b"audit subject", &self.log_id, &listing.to_le_bytes(), &month.0.to_le_bytes()];
        Some(record_key(key, &parts))
    }

    /// A tag by which a listing is found in what is derived from the log; says nothing without the key.
    pub(super) fn listing_tag(&self, listing: u64) -> u64 {
        let parts: [&[u8]; 3] = [b"audit listing", &self.log_id, &listing.to_le_bytes()];
        let tag = crypto::derive(self.current().bytes(), &parts);
        u64::from_le_bytes(std::array::from_fn(|at| tag[at]))
    }

    /// Digests identities in the current generation, for one audit class and month.
    pub(super) fn prf(&self, audit_class: &str, month: Month) -> Arc<Prf> {
        let known = |(class, of, prf): &KnownPrf| (*of == month && **class == *audit_class).then(|| Arc::clone(prf));
        if let Some(prf) = self.prfs.read().iter().find_map(known) {
            return prf;
        }
        let prf = Arc::new(digest_prf(self.current(), &self.log_id, audit_class, month));
        let mut prfs = self.prfs.write();
        if prfs.len() >= MAX_PRFS {
            prfs.clear();
        }
        prfs.push((audit_class.into(), month, Arc::clone(&prf)));
        prf
    }

    /// The same for any generation, to look for somebody's records later.
    pub(super) fn digest_of(
        &self,
        key_epoch: u32,
        audit_class: &str,
        time: Timestamp,
        key: &KeyInput,
    ) -> Option<[u8; 16]> {
        let generation = self.keyring.generation(Purpose::Audit, key_epoch)?;
        Some(digest_prf(generation, &self.log_id, audit_class, Month::of(time)).digest(key.as_bytes()))
    }
}

fn digest_prf(key: &Key, log_id: &[u8; 16], audit_class: &str, month: Month) -> Prf {
    let parts: [&[u8]; 4] = [b"audit digest", log_id, audit_class.as_bytes(), &month.0.to_le_bytes()];
    Prf::new(&crypto::derive(key.bytes(), &parts))
}

fn record_key(key: &Key, parts: &[&[u8]]) -> RecordKey {
    RecordKey::from_bytes(*crypto::derive(key.bytes(), parts))
}
