//! The record of every call: who asked what for which purpose, when, and what was answered.
//!
//! Promises:
//! - No answer without a place for its record: [`Audit::claim`] comes before the answer is worked out, and errs while the
//!   audit log is full or failing. Answers stop then, never the recording.
//! - An adverse answer (`RESTRICTED`, `CONSIDER`) leaves only after [`Audit::record_durable`] has returned `Ok`; any
//!   other record is durable within 100 ms.
//! - Nobody's number is in it, in no form that the file alone would give away: see below.
//! - What is kept of a call is decided here alone. For `consumption.*` an answer that is not adverse leaves caller,
//!   measure and hour: no subject, no item, no reference, no id, so that no stay or journey is on record.
//!
//! # What is stored
//!
//! A segmented log of its own (purpose `audit`), one frame for each `fdatasync`, holding all records that waited for it. A
//! frame is CBOR (RFC 8949) `[format, key_epoch, day, sealed]`; `sealed` is a CBOR sequence (RFC 8742) of [`Entry`]s
//! under AES-256-GCM. Three sorts of key derive from the audit key's generation `key_epoch`, each for one use:
//! - *frame*: per day, seals the whole frame, so that callers, references and listing numbers don't lie in clear either;
//! - *digest*: per audit class and month, maps an identity's key input to 16 bytes. Records of two classes, or of two
//!   months, don't join; within one they do, which is what "who asked about me" needs;
//! - *subject*: per listing and month, seals what was answered about that listing's subject once more, so that a reader of
//!   the log (an auditor) sees that and about which listing something adverse was said, but not what; and so that
//!   the key for one listing's view can be used without the others'.
//!
//! Erasure (decision D9): records of provision must be kept 3 years (网络数据安全管理条例 art. 12), longer than many a
//! listing's own key lives; so the subject's part hangs on the audit key and not on the listing's slot. It dies with its
//! segment after [`AuditSettings::retention_days`], and what an unlinked file leaves on the disk dies with the audit
//! key's generation, which is destroyed once no segment carries its number.

mod entry;
mod id;
mod inquiries;
mod keys;
mod queue;
mod reader;
mod record;
mod retention;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use xinhub_ledger::clock::Clock;
use xinhub_ledger::crypto;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::seglog::{LogConfig, LogError, LogPurpose, MAX_PAYLOAD_BYTES, SegmentedLog};
use xinhub_ledger::storage::{FileStorage, Storage};

pub use entry::{Adverse, Call, Coarse, Detail, Entry, Gap, Reported, ReportedWhat};
pub use id::{AuditId, NotAnAuditId};
pub use inquiries::{Inquiries, Inquiry, Mark};
pub use reader::{AuditReadError, AuditReader, Entries, Verified};
pub use record::{AuditItem, Record, SubjectView};

use keys::AuditKeys;
use queue::{Place, Shared, Waiting};

/// Records are kept at least this long: 3 years (网络数据安全管理条例 art. 12), in days.
pub const MIN_RETENTION_DAYS: u32 = 1_096;
/// Longest that a record that nobody waits for stays in memory alone, in milliseconds. With a sync of up to as long again
/// it is durable within 100 ms.
pub const MAX_FLUSH_MS: u64 = 50;

/// Where and how the audit log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Its directory, `audit` under the data directory.
    pub dir: PathBuf,
    /// Size of a segment file in bytes. Whole segments are removed when they are old enough.
    pub segment_bytes: u64,
    /// Records that may wait at once. When as many do, answers stop until the log has caught up.
    pub queue_records: usize,
    /// Bytes that may wait at once. Each record begun before may come on top.
    pub queue_bytes: usize,
    /// How long a record that nobody waits for may wait for others, in milliseconds; at most [`MAX_FLUSH_MS`].
    pub flush_ms: u64,
    /// How long records are kept, in days; at least [`MIN_RETENTION_DAYS`].
    pub retention_days: u32,
}

impl AuditSettings {
    /// The defaults, in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> AuditSettings {
        AuditSettings {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            queue_records: 65_536,
            queue_bytes: 64 << 20,
            flush_ms: MAX_FLUSH_MS,
            retention_days: MIN_RETENTION_DAYS,
        }
    }

    fn check(&self) -> Result<(), AuditError> {
        if self.retention_days < MIN_RETENTION_DAYS {
            return Err(AuditError::Setting("audit.retention_days: is below 1096: records are kept 3 years"));
        }
        if self.flush_ms > MAX_FLUSH_MS {
            return Err(AuditError::Setting("audit.flush_ms: is above 50: every record is durable within 100 ms"));
        }
        if self.queue_records == 0 || self.queue_bytes == 0 {
            return Err(AuditError::Setting("audit.queue_records, audit.queue_bytes: must be above 0"));
        }
        Ok(())
    }

    /// Two frames at least fit a segment.
    fn max_payload_bytes(&self) -> usize {
        usize::try_from(self.segment_bytes / 2).unwrap_or(usize::MAX).clamp(4_096, MAX_PAYLOAD_BYTES)
    }

    fn log(&self) -> LogConfig {
        let max_payload_bytes = self.max_payload_bytes();
        LogConfig { segment_bytes: self.segment_bytes, max_payload_bytes, ..LogConfig::new(LogPurpose::Audit) }
    }
}

/// Why the audit log can't be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A setting is out of bounds.
    #[error("{0}")]
    Setting(&'static str),
    /// The directory can't be made or read.
    #[error("audit directory {}: {source}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is none: it was never made, or it is lost.
    #[error(
        "audit directory {}: holds no audit log; if it was lost restore it from the backup, for a new hub run `xinhubd init`",
        dir.display()
    )]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The log is damaged, or can't be written.
    #[error("audit log: {0}")]
    Log(#[from] LogError),
    /// The writing thread can't be started.
    #[error("audit thread: {0}")]
    Thread(std::io::Error),
}

/// Why no record can be taken just now: no answer may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditUnavailable {
    /// As many records wait as may.
    #[error("the audit log is behind; try again in a moment")]
    Busy,
    /// No space.
    #[error("the audit log's disk is full: answers stop until space returns")]
    Full,
    /// A write or sync failed: the hub stops and recovers.
    #[error("the audit log failed; the hub stops and recovers")]
    Failed,
    /// The hub is stopping.
    #[error("the hub is stopping; try again in a moment")]
    Stopping,
    /// The record is over a frame's bound.
    #[error("the record of this call is over the audit log's bound; split the batch")]
    TooLarge,
    /// An adverse answer was about to leave before its record is durable: a mistake in the hub.
    #[error("the record of an adverse answer must be durable before it leaves")]
    NotDurable,
}

/// What the log is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditState {
    /// Taking records.
    Running,
    /// No space: lifts alone are taken, from the reserve.
    Full,
    /// Failed for good: stop and recover.
    Failed,
    /// Shut down.
    Stopped,
}

/// How the log stands, for status and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditStatus {
    /// What it is doing.
    pub state: AuditState,
    /// Places claimed: calls being answered, and records not yet durable.
    pub claimed: usize,
    /// Places there are.
    pub capacity: usize,
    /// Records made durable since the start.
    pub records: u64,
    /// Frames, and so syncs, since the start.
    pub frames: u64,
    /// Payload bytes since the start.
    pub bytes: u64,
    /// Calls refused since the start because no place was free.
    pub refused: u64,
}

/// The audit log. Cheap to clone; used from any thread.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.lock().take() {
            // It panicked or it ended: either way there is nothing left to flush.
            let _ = thread.join();
        }
    }
}

/// What a replica reports of what it did by itself.
#[derive(Debug)]
pub enum FromReplica {
    /// An adverse answer, under the id that it has whenever it is reported.
    Answer(AuditId, Record),
    /// Anything else.
    Other(Reported),
}

/// A claimed place for one record. Dropping it gives the place back.
#[derive(Debug)]
#[must_use = "an answer may only leave once its record is handed in"]
pub struct Ticket {
    place: Place,
    id: AuditId,
    for_lift: bool,
}

impl Ticket {
    /// The id that the record will have, known beforehand so that a slip can carry it.
    pub fn id(&self) -> AuditId {
        self.id
    }
}

impl Audit {
    /// Makes an empty audit log, for `xinhubd init`. Refuses when there is one.
    ///
    /// # Errors
    ///
    /// A setting out of bounds, or what the file system said.
    pub fn create(settings: &AuditSettings) -> Result<(), AuditError> {
        settings.check()?;
        let storage = storage(&settings.dir)?;
        SegmentedLog::create(storage, settings.log(), crypto::random())?;
        Ok(())
    }

    /// Opens the log after a clean stop or a crash, and starts its thread.
    ///
    /// # Errors
    ///
    /// [`AuditError::Missing`] where there is none: a lost audit log must not go unnoticed.
    pub fn open(settings: &AuditSettings, keys: Arc<Keyring>, clock: Arc<dyn Clock>) -> Result<Audit, AuditError> {
        Self::open_on(storage(&settings.dir)?, settings, keys, clock)
    }

    /// The same on any storage.
    #[doc(hidden)]
    pub fn open_on(
        storage: Arc<dyn Storage>,
        settings: &AuditSettings,
        keys: Arc<Keyring>,
        clock: Arc<dyn Clock>,
    ) -> Result<Audit, AuditError> {
        settings.check()?;
        if !SegmentedLog::exists(&*storage)? {
            return Err(AuditError::Missing { dir: settings.dir.clone() });
        }
        let (log, recovery) = SegmentedLog::open(storage, settings.log())?;
        if let Some(cut) = recovery.cut {
            tracing::warn!(?cut, "audit log: cut a torn frame; nothing acknowledged was in it");
        }
        let keys = AuditKeys::new(keys, log.id());
        let shared = Arc::new(Shared::new(settings, keys, clock, log.reader()));
        let thread = writer::start(Arc::clone(&shared), log, settings.retention_days).map_err(AuditError::Thread)?;
        Ok(Audit(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// Claims a place for the record of a call, before it is answered.
    ///
    /// # Errors
    ///
    /// No answer may be given: the queue is full, or the log is.
    pub fn claim(&self) -> Result<Ticket, AuditUnavailable> {
        self.ticket(false)
    }

    /// Claims a place for the record of a lift, which goes through on a full disk as well: it may use the log's reserve.
    /// Where even this errs the lift goes on: a lift wins every race, and its entry in the journal is its record.
    ///
    /// # Errors
    ///
    /// The log takes nothing at all.
    pub fn claim_lift(&self) -> Result<Ticket, AuditUnavailable> {
        self.ticket(true)
    }

    fn ticket(&self, for_lift: bool) -> Result<Ticket, AuditUnavailable> {
        let shared = &self.0.shared;
        let place = shared.claim(for_lift)?;
        Ok(Ticket { place, id: AuditId::random(shared.clock().wall()), for_lift })
    }

    /// Hands a record in and waits until it is durable. Records that wait together share one sync.
    ///
    /// # Errors
    ///
    /// It is not durable: an adverse answer must not leave.
    pub async fn record_durable(&self, ticket: Ticket, record: Record) -> Result<AuditId, AuditUnavailable> {
        let id = ticket.id;
        let (done, durable) = oneshot::channel();
        self.enqueue(ticket, &record, Some(done))?;
        match durable.await {
            Ok(outcome) => outcome.map(|()| id),
            Err(_) => Err(AuditUnavailable::Failed),
        }
    }

    /// Hands a record in; it is durable within 100 ms.
    ///
    /// # Errors
    ///
    /// It was not taken: the answer must not leave. An adverse answer's record never is, unless the call failed and nothing
    /// left.
    pub fn record_soon(&self, ticket: Ticket, record: Record) -> Result<AuditId, AuditUnavailable> {
        if record.is_adverse() && record.code == 0 {
            return Err(AuditUnavailable::NotDurable);
        }
        let id = ticket.id;
        self.enqueue(ticket, &record, None)?;
        Ok(id)
    }

    /// Hands in what a replica reports, in order, and waits until all of it is durable.
    ///
    /// # Errors
    /// It is not all durable: the replica keeps it and reports it again.
    pub async fn record_reported(&self, all: Vec<FromReplica>) -> Result<(), AuditUnavailable> {
        let shared = &self.0.shared;
        let mut last = None;
        let count = all.len();
        for (at, one) in all.into_iter().enumerate() {
            let place = shared.claim(false)?;
            let bytes = match one {
                FromReplica::Answer(id, record) => record::encode(&record, id, shared.keys()),
                FromReplica::Other(reported) => entry::to_cbor(&Entry::Reported(reported)),
            };
            // They become durable in their order: with the last all are.
            let (done, durable) = oneshot::channel();
            let done = (at + 1 == count).then_some(done);
            shared.push(Waiting { bytes, for_lift: false, done, _place: place })?;
            last = Some(durable);
        }
        match last {
            Some(durable) => durable.await.unwrap_or(Err(AuditUnavailable::Failed)),
            None => Ok(()),
        }
    }

    fn enqueue(
        &self,
        ticket: Ticket,
        record: &Record,
        done: Option<oneshot::Sender<Result<(), AuditUnavailable>>>,
    ) -> Result<(), AuditUnavailable> {
        let shared = &self.0.shared;
        // Digests and sealing cost more than the rest: they are done here, by the caller's thread, and not by the one
        // thread that everybody waits for.
        let bytes = record::encode(record, ticket.id, shared.keys());
        shared.push(Waiting { bytes, for_lift: ticket.for_lift, done, _place: ticket.place })
    }

    /// A reader of everything durable.
    pub fn reader(&self) -> AuditReader {
        self.0.shared.reader()
    }

    /// How the log stands.
    pub fn status(&self) -> AuditStatus {
        self.0.shared.status()
    }

    /// Resolves when a write or sync has failed: the process must stop, and recover at its next start.
    pub async fn failed(&self) {
        self.0.shared.failed().await;
    }

    /// Takes nothing more, makes durable what waits, and ends the thread.
    pub fn shutdown(&self) {
        self.0.shared.stop();
        if let Some(thread) = self.0.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn storage(dir: &Path) -> Result<Arc<dyn Storage>, AuditError> {
    FileStorage::open_dir(dir).map_err(|source| AuditError::Directory { dir: dir.to_owned(), source })
}
