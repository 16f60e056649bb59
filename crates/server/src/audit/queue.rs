//! The queue before the thread that writes: places, waiting records, and how the log stands.
//!
//! Promises that it is bounded in records and bytes, and that whoever holds a place can hand its record in, unless the log
//! has failed or stopped since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::seglog::LogReader;

use super::keys::AuditKeys;
use super::reader::AuditReader;
use super::{AuditSettings, AuditState, AuditStatus, AuditUnavailable};

/// Records that go into one frame, in bytes. One record may be longer, and then is a frame of its own.
const FRAME_BYTES: usize = 1 << 20;
/// What a frame has beside its records: head, seal, and the entry about a gap.
const FRAME_OVERHEAD_BYTES: usize = 256;
/// How often the thread looks up when nothing comes, in milliseconds: old segments go then.
const IDLE_MS: u64 = 3_600_000;
/// How often a full disk is tried again, in milliseconds.
const FULL_RETRY_MS: u64 = 500;

/// A record that waits for the disk.
pub(super) struct Waiting {
    pub(super) bytes: Vec<u8>,
    pub(super) for_lift: bool,
    /// Who waits for it; nobody where the answer has left.
    pub(super) done: Option<oneshot::Sender<Result<(), AuditUnavailable>>>,
    /// Held until the record is durable.
    pub(super) _place: Place,
}

impl Waiting {
    pub(super) fn answer(self, outcome: Result<(), AuditUnavailable>) {
        let Waiting { done, _place: place, .. } = self;
        // First, so that whoever is answered finds its place free.
        drop(place);
        if let Some(done) = done {
            // The caller may have gone away; its record is there all the same.
            let _ = done.send(outcome);
        }
    }
}

/// One of the places that bound the queue; given back on drop.
#[derive(Debug)]
pub(super) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.claimed.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// When the oldest record came, on the boot clock.
    oldest_ms: u64,
    /// Somebody waits: sync at once.
    urgent: bool,
    stopping: bool,
    /// The thread has ended, or will not look again.
    closed: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Write,
    WaitMs(u64),
    Wait,
    Stop,
}

impl Queue {
    fn next(&self, now_ms: u64, flush_ms: u64) -> Next {
        next(self.waiting.len(), self.urgent, self.stopping, self.oldest_ms, now_ms, flush_ms)
    }
}

/// When the records that wait are to be written: at once if somebody waits for one, else `flush_ms` after the oldest came.
pub(super) fn next(records: usize, urgent: bool, stopping: bool, oldest_ms: u64, now_ms: u64, flush_ms: u64) -> Next {
    match (records, stopping) {
        (0, true) => Next::Stop,
        (0, false) => Next::Wait,
        (_, true) => Next::Write,
        (_, false) => match (oldest_ms + flush_ms).saturating_sub(now_ms) {
            0 => Next::Write,
            _ if urgent => Next::Write,
            left => Next::WaitMs(left),
        },
    }
}

/// What the thread and the callers share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    claimed: AtomicUsize,
    /// Mirrors `Queue::bytes`, so that a claim needs no lock.
    queued_bytes: AtomicUsize,
    capacity: usize,
    max_bytes: usize,
    flush_ms: u64,
    /// Longest record.
    max_record_bytes: usize,
    state: AtomicU8,
    records: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    failed: watch::Sender<bool>,
    keys: Arc<AuditKeys>,
    clock: Arc<dyn Clock>,
    log: LogReader,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({:?})", self.state())
    }
}

const STATES: [AuditState; 4] = [AuditState::Running, AuditState::Full, AuditState::Failed, AuditState::Stopped];

impl Shared {
    pub(super) fn new(settings: &AuditSettings, keys: AuditKeys, clock: Arc<dyn Clock>, log: LogReader) -> Shared {
        Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            claimed: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            capacity: settings.queue_records,
            max_bytes: settings.queue_bytes,
            flush_ms: settings.flush_ms,
            max_record_bytes: settings.max_payload_bytes() - FRAME_OVERHEAD_BYTES,
            state: AtomicU8::new(AuditState::Running as u8),
            records: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: watch::channel(false).0,
            keys: Arc::new(keys),
            clock,
            log,
        }
    }

    pub(super) fn keys(&self) -> &AuditKeys {
        &self.keys
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn reader(&self) -> AuditReader {
        AuditReader::new(self.log.clone(), Arc::clone(&self.keys))
    }

    pub(super) fn state(&self) -> AuditState {
        STATES[usize::from(self.state.load(Ordering::Acquire)) % STATES.len()]
    }

    pub(super) fn enter(&self, state: AuditState) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(super) fn claim(self: &Arc<Self>, for_lift: bool) -> Result<Place, AuditUnavailable> {
        let refuse = |why| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Err(why)
        };
        match (self.state(), for_lift) {
            (AuditState::Failed, _) => return refuse(AuditUnavailable::Failed),
            (AuditState::Stopped, _) => return refuse(AuditUnavailable::Stopping),
            (AuditState::Full, false) => return refuse(AuditUnavailable::Full),
            (AuditState::Running, _) | (AuditState::Full, true) => {}
        }
        // A lift is one small record from one of a few courts: it never has to wait for askers' places.
        let may_claim = |claimed: &usize| for_lift || *claimed < self.capacity;
        if !for_lift && self.queued_bytes.load(Ordering::Acquire) >= self.max_bytes {
            return refuse(AuditUnavailable::Busy);
        }
        let claim = |claimed| Some(claimed).filter(may_claim).map(|claimed| claimed + 1);
        match self.claimed.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim) {
            Ok(_) => Ok(Place(Arc::clone(self))),
            Err(_) => refuse(AuditUnavailable::Busy),
        }
    }

    pub(super) fn push(&self, record: Waiting) -> Result<(), AuditUnavailable> {
        if record.bytes.len() > self.max_record_bytes {
            return Err(AuditUnavailable::TooLarge);
        }
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(match self.state() {
                AuditState::Failed => AuditUnavailable::Failed,
                AuditState::Running | AuditState::Full | AuditState::Stopped => AuditUnavailable::Stopping,
            });
        }
        let was_asleep = queue.waiting.is_empty();
        let becomes_urgent = record.done.is_some() && !queue.urgent;
        if was_asleep {
            queue.oldest_ms = self.clock.boot_ms();
        }
        queue.urgent |= record.done.is_some();
        queue.bytes += record.bytes.len();
        self.queued_bytes.store(queue.bytes, Ordering::Release);
        queue.waiting.push(record);
        drop(queue);
        if was_asleep || becomes_urgent {
            self.wake.notify_one();
        }
        Ok(())
    }

    pub(super) fn status(&self) -> AuditStatus {
        AuditStatus {
            state: self.state(),
            claimed: self.claimed.load(Ordering::Acquire),
            capacity: self.capacity,
            records: self.records.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    pub(super) async fn failed(&self) {
        // The sender lives as long as `self`, so this ends only when it was set.
        let _ = self.failed.subscribe().wait_for(|failed| *failed).await;
    }

    /// The records to write next: as many as make a frame. `None`: all is written, and no more comes. Empty: look after
    /// other things, such as a full disk, which is tried again even if nothing comes: nothing can.
    pub(super) fn take(&self, is_full: bool) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock();
        loop {
            let now_ms = self.clock.boot_ms();
            let idle_ms = if is_full { FULL_RETRY_MS } else { IDLE_MS };
            match queue.next(now_ms, self.flush_ms) {
                Next::Write => break,
                Next::Stop => return None,
                Next::Wait => {
                    self.wake.wait_for(&mut queue, Duration::from_millis(idle_ms));
                    if queue.waiting.is_empty() && !queue.stopping {
                        return Some(Vec::new());
                    }
                }
                Next::WaitMs(ms) => {
                    self.wake.wait_for(&mut queue, Duration::from_millis(ms));
                }
            }
        }
        let batch = self.one_frame(&mut queue.waiting);
        // What is left is old already; it goes next, without waiting.
        queue.urgent = queue.waiting.iter().any(|record| record.done.is_some());
        queue.bytes -= batch.iter().map(|record| record.bytes.len()).sum::<usize>();
        self.queued_bytes.store(queue.bytes, Ordering::Release);
        Some(batch)
    }

    /// Takes from the front what makes one frame: at least one record, if there is any.
    pub(super) fn one_frame(&self, records: &mut Vec<Waiting>) -> Vec<Waiting> {
        let frame_bytes = FRAME_BYTES.min(self.max_record_bytes);
        let mut bytes = 0;
        let fits = |record: &&Waiting| {
            bytes += record.bytes.len();
            bytes <= frame_bytes
        };
        let count = records.iter().take_while(fits).count().max(1).min(records.len());
        let rest = records.split_off(count);
        std::mem::replace(records, rest)
    }

    pub(super) fn count_frame(&self, records: usize, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Calls refused since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn tell_failed(&self) {
        self.failed.send_replace(true);
    }

    /// From here on every hand-in is refused; returns what nobody will write.
    pub(super) fn close(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.bytes = 0;
        std::mem::take(&mut queue.waiting)
    }

    pub(super) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.wake.notify_one();
    }
}
