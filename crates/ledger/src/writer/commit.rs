//! Steps 2 to 5 of a commit: slots, append, fold, answers.

use std::collections::HashMap;
use std::sync::atomic::{Ordering, fence};

use xinhub_domain::listing::event::FORMAT as EVENT_FORMAT;
use xinhub_domain::listing::{Clear, RecordKind};

use super::batch::{Batch, Waiting};
use super::{Stopped, Writer};
use crate::command::CommandError;
use crate::crypto::RecordKey;
use crate::entry::{Entry, EventRecord, FORMAT};
use crate::journal::JournalError;
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
            self.published.send_modify(|published| {
                published.full |= *error == CommandError::Full;
                published.failed |= *error != CommandError::Full;
            });
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

    fn write(&mut self, batch: &mut Batch) -> Result<(), CommandError> {
        let (entry, clears) = self.seal(batch)?;
        let frame = self.journal.append(&entry.encode(), batch.urgent).map_err(|error| match error {
            JournalError::Full => CommandError::Full,
            JournalError::Failed(what) => {
                tracing::error!(%what, "the journal failed: the hub has to stop and recover");
                CommandError::Storage
            }
        })?;
        self.make_visible(entry, &clears, batch, frame)
    }

    /// Makes keys for new records durable, and seals every body.
    fn seal(&mut self, batch: &mut Batch) -> Result<(Entry, Vec<Clear>), CommandError> {
        let fresh = self.make_keys(batch)?;
        let (first_revision, mut lift_seq, epoch, at) = {
            let resident = self.resident.read();
            // Recorded times never go back, whatever the clock does.
            let at = self.now(&resident).max(resident.last_at);
            (resident.revision + 1, resident.lift_seq, resident.epoch, at)
        };
        let mut events = Vec::with_capacity(batch.len());
        let mut clears = Vec::with_capacity(batch.len());
        for (revision, prepared) in (first_revision..).zip(batch.pending.events()) {
            let event = &prepared.event;
            lift_seq += u64::from(event.lift);
            let mut clear = Clear {
                format: EVENT_FORMAT,
                revision,
                kind: event.kind,
                record: event.record,
                listing: event.listing,
                key_epoch: RECORD_KEY_EPOCH,
                court: event.court.clone(),
                at,
                state: event.state,
                until: event.until,
                grace_until: event.grace_until,
                lift_seq: event.lift.then_some(lift_seq),
                commitment: None,
                open: event.open.clone(),
                deadlines: Some(event.deadlines.clone()).filter(|deadlines| !deadlines.is_empty()),
                petition: event.petition,
                import: event.import,
            };
            let new = event.new_record.then(|| fresh.get(&(event.record.kind, event.record.number))).flatten();
            events.push(match prepared.key.as_ref().or(new) {
                Some(key) => vault::seal(key, &mut clear, &prepared.encoded),
                None => EventRecord::new(&mut clear, None),
            });
            clears.push(clear);
        }
        let outcomes = std::mem::take(&mut batch.outcomes);
        let entry = Entry { format: FORMAT, key_epoch: self.key_epoch, epoch, first_revision, at, events, outcomes };
        Ok((entry, clears))
    }

    fn make_keys(&mut self, batch: &Batch) -> Result<HashMap<(RecordKind, u64), RecordKey>, CommandError> {
        let mut fresh = HashMap::new();
        for kind in vault::kinds() {
            let events = batch.pending.events().iter().map(|prepared| &prepared.event);
            let mut new = events.filter(|event| event.new_record && event.record.kind == kind).peekable();
            let Some(first) = new.peek().map(|event| event.record.number) else { continue };
            // Numbers of one kind are given out one by one.
            let keys = self.slots.make(kind, first, new.count()).map_err(slot_error)?;
            fresh.extend((first..).map(|number| (kind, number)).zip(keys));
        }
        Ok(fresh)
    }

    /// Step 4: folds the entry as recovery would, then tells the revision.
    fn make_visible(&mut self, entry: Entry, clears: &[Clear], batch: &Batch, frame: u64) -> Result<(), CommandError> {
        let tail = self.journal.tail();
        let _closed = self.gate.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        // Whoever sees any of the changes below also sees the odd number.
        fence(Ordering::Release);
        for (at, (clear, prepared)) in clears.iter().zip(batch.pending.events()).enumerate() {
            let mut resident = self.resident.write();
            if let Err(fault) = resident.apply(clear, &prepared.opened, Place::new(frame, at)) {
                // The entry is durable and the state is not its fold: answering on would be answering wrongly.
                tracing::error!(%fault, "an entry does not fit the state: the hub has to stop and recover");
                return Err(CommandError::Storage);
            }
        }
        let mut resident = self.resident.write();
        for outcome in entry.outcomes {
            resident.note_outcome(outcome);
        }
        (resident.sequence, resident.chain) = (tail.sequence, tail.chain);
        let position = Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at };
        let lift_seq = resident.lift_seq;
        drop(resident);
        self.published.send_modify(|published| {
            published.position = position;
            published.sequence = tail.sequence;
            published.chain = tail.chain;
            published.lift_seq = lift_seq;
            // That a lift went through on the reserve says nothing about space.
            published.full &= batch.urgent;
        });
        // Published first: who sees the generation even again also sees the new revision.
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
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
