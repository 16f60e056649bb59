//! The one thread that writes, and the queue before it.
//!
//! Promises: a record whose hand-in returned `Ok` is written before the thread ends, in the order handed in; a waiter hears
//! `Ok` only after the sync that covers it. While the disk is full, records that were promised stay in the queue, and
//! nothing new is promised.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::clock::{Clock, ClockGuard};
use xinhub_ledger::seglog::{LogError, LogReader, SegmentedLog};

use super::keys::AuditKeys;
use super::reader::{AuditReader, seal_frame};
use super::record::{Entry, Gap, to_cbor};
use super::{AuditSettings, AuditState, AuditStatus, AuditUnavailable, retention};

/// Records that go into one frame, in bytes. One record may be longer, and then is a frame of its own.
const FRAME_BYTES: usize = 1 << 20;
/// What a frame has beside its records: head, seal, and the entry about a gap.
const FRAME_OVERHEAD_BYTES: usize = 256;
/// How often old segments are looked for when nothing comes, in milliseconds.
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
    fn answer(self, outcome: Result<(), AuditUnavailable>) {
        if let Some(done) = self.done {
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

    fn frame_bytes(&self) -> usize {
        FRAME_BYTES.min(self.max_record_bytes)
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

    fn state(&self) -> AuditState {
        STATES[usize::from(self.state.load(Ordering::Acquire)) % STATES.len()]
    }

    fn enter(&self, state: AuditState) {
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

    pub(super) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.wake.notify_one();
    }
}

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>, log: SegmentedLog, retention_days: u32) -> io::Result<JoinHandle<()>> {
    let guard = ClockGuard::new(shared.clock());
    let writer = Writer { shared, log, retention_days, guard, swept: None, held: Vec::new(), full_since: None };
    thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Write,
    WaitMs(u64),
    Wait,
    Stop,
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

fn settle(batch: Vec<Waiting>, outcome: Result<(), AuditUnavailable>) {
    for record in batch {
        record.answer(outcome);
    }
}

/// Takes from the front what makes one frame: at least one record, if there is any.
fn one_frame(records: &mut Vec<Waiting>, frame_bytes: usize) -> Vec<Waiting> {
    let mut bytes = 0;
    let fits = |record: &&Waiting| {
        bytes += record.bytes.len();
        bytes <= frame_bytes
    };
    let count = records.iter().take_while(fits).count().max(1).min(records.len());
    let rest = records.split_off(count);
    std::mem::replace(records, rest)
}

struct Writer {
    shared: Arc<Shared>,
    log: SegmentedLog,
    retention_days: u32,
    guard: ClockGuard,
    /// The day on which old segments were last looked for.
    swept: Option<u32>,
    /// Records whose answers have left and for which there was no space.
    held: Vec<Waiting>,
    /// Since when, and how many calls had been refused by then.
    full_since: Option<(Timestamp, u64)>,
}

impl Writer {
    fn run(mut self) {
        loop {
            self.sweep();
            let Some(batch) = self.take() else { break };
            if !self.write(batch) {
                break;
            }
        }
        self.close();
    }

    /// The records to write next: as many as make a frame. `None`: all is written, and no more comes.
    fn take(&mut self) -> Option<Vec<Waiting>> {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.lock();
        loop {
            let now_ms = shared.clock.boot_ms();
            let step =
                next(queue.waiting.len(), queue.urgent, queue.stopping, queue.oldest_ms, now_ms, shared.flush_ms);
            match step {
                Next::Write => break,
                Next::Stop => return None,
                // A full disk is tried again even if nothing new comes: nothing new can.
                Next::Wait => {
                    let idle_ms = if self.full_since.is_some() { FULL_RETRY_MS } else { IDLE_MS };
                    shared.wake.wait_for(&mut queue, Duration::from_millis(idle_ms));
                    if queue.waiting.is_empty() && !queue.stopping {
                        return Some(Vec::new());
                    }
                }
                Next::WaitMs(ms) => {
                    shared.wake.wait_for(&mut queue, Duration::from_millis(ms));
                }
            }
        }
        let batch = one_frame(&mut queue.waiting, self.shared.frame_bytes());
        // What is left is old already; it goes next, without waiting.
        queue.urgent = queue.waiting.iter().any(|record| record.done.is_some());
        queue.bytes = queue.waiting.iter().map(|record| record.bytes.len()).sum();
        shared.queued_bytes.store(queue.bytes, Ordering::Release);
        Some(batch)
    }

    /// Writes what was held and what is new; false when the log has failed for good.
    fn write(&mut self, batch: Vec<Waiting>) -> bool {
        let mut rest = std::mem::take(&mut self.held);
        rest.extend(batch);
        while !rest.is_empty() || self.full_since.is_some() {
            let mut frame = one_frame(&mut rest, self.shared.frame_bytes());
            let gap = self.gap();
            match self.append(gap.as_deref(), &frame, false) {
                Ok(()) => {
                    if self.full_since.take().is_some() {
                        self.shared.enter(AuditState::Running);
                        tracing::warn!("audit log: space has returned, answers go on");
                    }
                    settle(frame, Ok(()));
                }
                Err(LogError::Full { .. }) => {
                    frame.append(&mut rest);
                    return self.hold(frame);
                }
                Err(error) => {
                    frame.append(&mut rest);
                    self.fail(&error, frame);
                    return false;
                }
            }
        }
        true
    }

    /// There is no space. Lifts go through, out of the reserve; who waits hears that no answer may leave; records of answers
    /// that have left are kept until there is space.
    fn hold(&mut self, mut records: Vec<Waiting>) -> bool {
        if self.full_since.is_none() {
            let refused = self.shared.refused.load(Ordering::Relaxed);
            self.full_since = Some((self.shared.clock.wall(), refused));
            self.shared.enter(AuditState::Full);
            tracing::error!("audit log: no space; answers stop until there is");
        }
        let lifts: Vec<Waiting> = records.extract_if(.., |record| record.for_lift).collect();
        let refused: Vec<Waiting> = records.extract_if(.., |record| record.done.is_some()).collect();
        settle(refused, Err(AuditUnavailable::Full));
        self.held = records;
        lifts.is_empty() || self.write_lifts(lifts)
    }

    fn write_lifts(&mut self, mut lifts: Vec<Waiting>) -> bool {
        while !lifts.is_empty() {
            let mut frame = one_frame(&mut lifts, self.shared.frame_bytes());
            match self.append(None, &frame, true) {
                Ok(()) => settle(frame, Ok(())),
                Err(LogError::Full { .. }) => settle(frame, Err(AuditUnavailable::Full)),
                Err(error) => {
                    frame.append(&mut lifts);
                    self.fail(&error, frame);
                    return false;
                }
            }
        }
        true
    }

    /// The entry that tells how long nothing could be recorded.
    fn gap(&self) -> Option<Vec<u8>> {
        let (from, refused_before) = self.full_since?;
        let refused = self.shared.refused.load(Ordering::Relaxed) - refused_before;
        Some(to_cbor(&Entry::Gap(Gap { from, to: self.shared.clock.wall(), refused })))
    }

    /// One frame, durable when this returns `Ok`.
    fn append(&mut self, gap: Option<&[u8]>, batch: &[Waiting], from_reserve: bool) -> Result<(), LogError> {
        let records = batch.iter().map(|record| record.bytes.as_slice());
        let plain: Vec<u8> = records.chain(gap).collect::<Vec<_>>().concat();
        let day = self.shared.clock.wall().day().0;
        // The current generation is there for as long as the keyring is.
        let payload = seal_frame(&self.shared.keys, day, &plain).ok_or(LogError::Poisoned)?;
        if from_reserve {
            self.log.append_urgent(&payload)?
        } else {
            self.log.append(&payload)?
        };
        self.shared.frames.fetch_add(1, Ordering::Relaxed);
        self.shared.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.shared.bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The outcome of an append is unknown: nothing is acknowledged any more, and a retried sync would lie.
    fn fail(&self, error: &LogError, batch: Vec<Waiting>) {
        self.shared.enter(AuditState::Failed);
        let unacknowledged = batch.iter().filter(|record| record.done.is_none()).count();
        tracing::error!(%error, unacknowledged, "audit log: failed; the hub must stop and recover");
        settle(batch, Err(AuditUnavailable::Failed));
        self.shared.failed.send_replace(true);
    }

    /// Whatever still comes is refused.
    fn close(mut self) {
        let rest = {
            let mut queue = self.shared.queue.lock();
            queue.closed = true;
            queue.bytes = 0;
            std::mem::take(&mut queue.waiting)
        };
        let held = std::mem::take(&mut self.held);
        let failed = self.shared.state() == AuditState::Failed;
        if !failed {
            self.shared.enter(AuditState::Stopped);
        }
        if !held.is_empty() {
            tracing::error!(
                records = held.len(),
                "audit log: stopped on a full disk; records of answers given are lost"
            );
        }
        let outcome = if failed { AuditUnavailable::Failed } else { AuditUnavailable::Stopping };
        settle(rest, Err(outcome));
    }

    /// Once a day, and at the start: removes what is old enough. A clock that steps removes nothing.
    fn sweep(&mut self) {
        let Ok(now) = self.guard.check(&*self.shared.clock, Timestamp(i64::MIN)) else { return };
        let today = now.day().0;
        if self.swept == Some(today) {
            return;
        }
        self.swept = Some(today);
        match retention::remove_old(&mut self.log, today, self.retention_days) {
            Ok(0) => {}
            Ok(segments) => tracing::info!(segments, "audit log: removed what is past its retention"),
            Err(error) => tracing::error!(%error, "audit log: could not remove what is past its retention"),
        }
    }
}
