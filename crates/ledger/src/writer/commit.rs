//! Steps 2 to 5 of a commit: slots, append, fold, answers.

use std::sync::LazyLock;
use std::sync::atomic::{Ordering, fence};

use tokio::time::Instant;
use xinhub_domain::listing::Clear;
use xinhub_domain::listing::event::FORMAT as EVENT_FORMAT;
use xinhub_domain::time::Timestamp;

use super::batch::{Batch, Waiting};
use super::{Stopped, Writer};
use crate::command::CommandError;
use crate::entry::{Entry, EventRecord, FORMAT, OutcomeRecord};
use crate::journal::JournalError;
use crate::plan::Planned;
use crate::plan::pending::Prepared;
use crate::slots::SlotError;
use crate::table::Place;
use crate::vault::{self, RECORD_KEY_EPOCH};
use xinhub_domain::position::Position;

impl Writer {
    /// Commits; tells everyone who waits.
    pub(super) fn commit(&mut self, batch: &mut Batch) -> Result<(), Stopped> {
        // A full disk is told to those who wait, and is no reason to stop.
        let _ = self.commit_now(batch);
        self.stopped()
    }

    /// Commits; tells everyone who waits, and the caller.
    pub(super) fn commit_now(&mut self, batch: &mut Batch) -> Result<(), CommandError> {
        let mut batch = std::mem::take(batch);
        if batch.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut batch.waiting);
        let committed = self.write(&mut batch);
        if let Err(error) = &committed {
            self.note_failure(error);
        }
        let time = self.published.borrow().position.time;
        for one in waiting {
            match (one, committed.clone()) {
                (Waiting::Outcome(reply, mut outcome), Ok(())) => {
                    outcome.position.time = time;
                    let _ = reply.send(Ok(outcome));
                }
                (Waiting::Outcome(reply, _), Err(error)) => drop(reply.send(Err(error))),
                (Waiting::Done(reply), committed) => drop(reply.send(committed)),
            }
        }
        committed
    }

    pub(super) fn note_failure(&self, error: &CommandError) {
        self.published.send_modify(|published| {
            published.full |= *error == CommandError::Full;
            published.failed |= *error != CommandError::Full;
        });
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), CommandError> {
        debug_assert!(self.flight.is_none(), "this entry rests on what is visible");
        // Given back by the next thread that appends: a lift waits for this entry.
        self.spent.extend(self.vault.forget_recent());
        let (entry, clears) = self.seal(batch)?;
        entry.encode_into(&mut self.payload);
        let journal = self.journal.as_mut().ok_or(CommandError::Storage)?;
        let frame = journal.append(&self.payload, batch.urgent).map_err(journal_error)?;
        self.make_visible(entry.outcomes, &clears, batch.pending.events(), batch.urgent, frame)
    }

    /// Makes keys for new records durable, and seals every body.
    pub(super) fn seal(&mut self, batch: &mut Batch) -> Result<(Entry, Vec<Clear>), CommandError> {
        self.make_keys(batch)?;
        let (stamp, epoch) = {
            let resident = self.resident.read();
            // Recorded times never go back, whatever the clock does.
            let at = self.now(&resident).max(resident.last_at);
            (Stamp { revision: resident.revision + 1, lift_seq: resident.lift_seq, at }, resident.epoch)
        };
        let (events, clears) = seal_all(batch.pending.events_mut(), stamp);
        let outcomes = std::mem::take(&mut batch.outcomes);
        let (first_revision, at) = (stamp.revision, stamp.at);
        let entry = Entry { format: FORMAT, key_epoch: self.key_epoch, epoch, first_revision, at, events, outcomes };
        Ok((entry, clears))
    }

    fn make_keys(&mut self, batch: &mut Batch) -> Result<(), CommandError> {
        for kind in vault::kinds() {
            let new = |event: &Planned| event.new_record && event.record.kind == kind;
            let mut events = batch.pending.events_mut().iter_mut().filter(|prepared| new(&prepared.event)).peekable();
            let Some(first) = events.peek().map(|prepared| prepared.event.record.number) else { continue };
            let events: Vec<&mut Prepared> = events.collect();
            // Numbers of one kind are given out one by one.
            let keys = self.slots.make(kind, first, events.len()).map_err(slot_error)?;
            for (prepared, key) in events.into_iter().zip(keys) {
                prepared.key.get_or_insert(key);
            }
        }
        Ok(())
    }

    /// Step 4: folds the entry as recovery would, then tells the revision.
    pub(super) fn make_visible(
        &mut self,
        outcomes: Vec<OutcomeRecord>,
        clears: &[Clear],
        events: &[Prepared],
        urgent: bool,
        frame: u64,
    ) -> Result<(), CommandError> {
        let tail = self.journal.as_ref().ok_or(CommandError::Storage)?.tail();
        let _closed = self.gate.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        // Whoever sees any of the changes below also sees the odd number.
        fence(Ordering::Release);
        for (at, (clear, prepared)) in clears.iter().zip(events).enumerate() {
            let mut resident = self.resident.write();
            if let Err(fault) = resident.apply(clear, &prepared.opened, Place::new(frame, at)) {
                // The entry is durable and the state is not its fold: answering on would be answering wrongly.
                tracing::error!(%fault, "an entry does not fit the state: the hub has to stop and recover");
                return Err(CommandError::Storage);
            }
        }
        let mut resident = self.resident.write();
        for outcome in outcomes {
            resident.note_outcome(&outcome);
        }
        (resident.sequence, resident.chain) = (tail.sequence, tail.chain);
        let position = Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at };
        let lift_seq = resident.lift_seq;
        drop(resident);
        self.published.send_modify(|published| {
            published.position = position;
            published.sequence = tail.sequence;
            published.chain = tail.chain;
            if lift_seq > published.lift_seq || self.queue.has_lift() {
                published.lull_until = Some(Instant::now() + self.lull);
            }
            published.lift_seq = lift_seq;
            // That a lift went through on the reserve says nothing about space.
            published.full &= urgent;
        });
        // Published first: who sees the generation even again also sees the new revision.
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// What the next event gets.
#[derive(Clone, Copy)]
struct Stamp {
    revision: u64,
    /// The last lift's number.
    lift_seq: u64,
    at: Timestamp,
}

/// As many events are sealed by one thread; more are shared out.
const SEALED_BY_ONE: usize = 128;
/// More threads than this would wait for the disk.
const MAX_SEALERS: usize = 4;

/// Seals events, each under its own record's key, in their order.
fn seal_all(events: &mut [Prepared], mut stamp: Stamp) -> (Vec<EventRecord>, Vec<Clear>) {
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    let sealers = (*PROCESSORS).min(MAX_SEALERS).min(events.len().div_ceil(SEALED_BY_ONE));
    if sealers < 2 {
        return seal_part(events, stamp);
    }
    let mut parts = events.chunks_mut(events.len().div_ceil(sealers));
    let own = parts.next().unwrap_or_default();
    let first = stamp;
    stamp.pass(own);
    std::thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                let from = stamp;
                stamp.pass(part);
                scope.spawn(move || seal_part(part, from))
            })
            .collect();
        let (mut records, mut clears) = seal_part(own, first);
        for other in others {
            match other.join() {
                Ok((more_records, more_clears)) => {
                    records.extend(more_records);
                    clears.extend(more_clears);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (records, clears)
    })
}

impl Stamp {
    /// What the first event after these gets.
    fn pass(&mut self, events: &[Prepared]) {
        self.revision += events.len() as u64;
        self.lift_seq += events.iter().filter(|prepared| prepared.event.lift).count() as u64;
    }
}

fn seal_part(events: &mut [Prepared], mut stamp: Stamp) -> (Vec<EventRecord>, Vec<Clear>) {
    let seal = |prepared: &mut Prepared| {
        let event = &mut prepared.event;
        stamp.lift_seq += u64::from(event.lift);
        let mut clear = Clear {
            format: EVENT_FORMAT,
            revision: stamp.revision,
            kind: event.kind,
            record: event.record,
            listing: event.listing,
            key_epoch: RECORD_KEY_EPOCH,
            court: event.court.clone(),
            at: stamp.at,
            state: event.state,
            until: event.until,
            grace_until: event.grace_until,
            lift_seq: event.lift.then_some(stamp.lift_seq),
            commitment: None,
            open: event.open.take(),
            deadlines: Some(std::mem::take(&mut event.deadlines)).filter(|deadlines| !deadlines.is_empty()),
            petition: event.petition,
            import: event.import,
        };
        stamp.revision += 1;
        let record = match &prepared.key {
            Some(key) => vault::seal(key, &mut clear, &prepared.encoded),
            None => EventRecord::new(&mut clear, None),
        };
        (record, clear)
    };
    events.iter_mut().map(seal).unzip()
}

pub(super) fn journal_error(error: JournalError) -> CommandError {
    match error {
        JournalError::Full => CommandError::Full,
        JournalError::Failed(what) => {
            tracing::error!(%what, "the journal failed: the hub has to stop and recover");
            CommandError::Storage
        }
    }
}

fn slot_error(error: SlotError) -> CommandError {
    match error {
        SlotError::Full { .. } => CommandError::Full,
        other => {
            tracing::error!(error = %other, "the slot file failed: the hub has to stop and recover");
            CommandError::Storage
        }
    }
}
