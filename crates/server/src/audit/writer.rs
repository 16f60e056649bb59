//! The one thread that writes.
//!
//! Promises: a record whose hand-in returned `Ok` is written before the thread ends, in the order handed in; a waiter hears
//! `Ok` only after the sync that covers it. While the disk is full, records that were promised are kept, and nothing new is
//! promised.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use xinhub_domain::time::Timestamp;
use xinhub_ledger::clock::ClockGuard;
use xinhub_ledger::seglog::{LogError, SegmentedLog};

use super::entry::{Entry, Gap, to_cbor};
use super::queue::{Shared, Waiting};
use super::reader::seal_frame;
use super::{AuditState, AuditUnavailable, retention};

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>, log: SegmentedLog, retention_days: u32) -> io::Result<JoinHandle<()>> {
    let guard = ClockGuard::new(shared.clock());
    let writer = Writer { shared, log, retention_days, guard, swept: None, held: Vec::new(), full_since: None };
    thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())
}

fn settle(batch: Vec<Waiting>, outcome: Result<(), AuditUnavailable>) {
    for record in batch {
        record.answer(outcome);
    }
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
            let Some(batch) = self.shared.take(self.full_since.is_some()) else { break };
            if !self.write(batch) {
                break;
            }
        }
        self.close();
    }

    /// Writes what was held and what is new; false when the log has failed for good.
    fn write(&mut self, batch: Vec<Waiting>) -> bool {
        let mut rest = std::mem::take(&mut self.held);
        rest.extend(batch);
        while !rest.is_empty() || self.full_since.is_some() {
            let mut frame = self.shared.one_frame(&mut rest);
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
            let refused = self.shared.refused();
            self.full_since = Some((self.shared.clock().wall(), refused));
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
            let mut frame = self.shared.one_frame(&mut lifts);
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
        let refused = self.shared.refused() - refused_before;
        Some(to_cbor(&Entry::Gap(Gap { from, to: self.shared.clock().wall(), refused })))
    }

    /// One frame, durable when this returns `Ok`.
    fn append(&mut self, gap: Option<&[u8]>, batch: &[Waiting], from_reserve: bool) -> Result<(), LogError> {
        let records = batch.iter().map(|record| record.bytes.as_slice());
        let plain: Vec<u8> = records.chain(gap).collect::<Vec<_>>().concat();
        let day = self.shared.clock().wall().day().0;
        // The current generation is there for as long as the keyring is.
        let payload = seal_frame(self.shared.keys(), day, &plain).ok_or(LogError::Poisoned)?;
        if from_reserve {
            self.log.append_urgent(&payload)?
        } else {
            self.log.append(&payload)?
        };
        self.shared.count_frame(batch.len(), payload.len());
        Ok(())
    }

    /// The outcome of an append is unknown: nothing is acknowledged any more, and a retried sync would lie.
    fn fail(&self, error: &LogError, batch: Vec<Waiting>) {
        self.shared.enter(AuditState::Failed);
        let unacknowledged = batch.iter().filter(|record| record.done.is_none()).count();
        tracing::error!(%error, unacknowledged, "audit log: failed; the hub must stop and recover");
        settle(batch, Err(AuditUnavailable::Failed));
        self.shared.tell_failed();
    }

    /// Whatever still comes is refused.
    fn close(mut self) {
        let rest = self.shared.close();
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
        let Ok(now) = self.guard.check(self.shared.clock(), Timestamp(i64::MIN)) else { return };
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
