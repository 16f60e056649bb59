//! An import's entry on its way to the disk, while the rows of the next are decided.
//!
//! Promises: at most one entry is on its way; nothing of it is visible, and nobody is told of it, before it is durable; it becomes
//! visible before anything but rows of an import is decided, and before the next entry is sealed. Where it was not taken, neither
//! are the rows that were decided on top of it. Syncing takes as long as deciding a hundred rows or two: one after the other, an import
//! would wait for the disk half of the time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use xinhub_domain::listing::Clear;

use super::batch::{Batch, Reply};
use super::commit::journal_error;
use super::{Stopped, Writer};
use crate::command::{CommandError, RowOutcome};
use crate::entry::{Entry, OutcomeRecord};
use crate::journal::{Journal, JournalError};
use crate::plan::pending::Pending;
use crate::vault::recent::Recent;

/// An entry that is being appended.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(super) pending: Arc<Pending>,
    clears: Vec<Clear>,
    outcomes: Vec<OutcomeRecord>,
    urgent: bool,
    landed: Receiver<Landed>,
    rows: Vec<RowOutcome>,
    reply: Reply<Vec<RowOutcome>>,
}

/// What comes back from the thread that appends: the journal, the entry's bytes, to be used again, and its frame.
#[derive(Debug)]
struct Landed {
    journal: Box<dyn Journal>,
    payload: Vec<u8>,
    frame: Result<u64, JournalError>,
}

impl Writer {
    /// Appends the rows' entry, behind the one that is on its way; `reply` is told of `rows` when it has landed.
    pub(super) fn launch(
        &mut self,
        mut batch: Batch,
        rows: Vec<RowOutcome>,
        reply: Reply<Vec<RowOutcome>>,
    ) -> Result<(), Stopped> {
        if let Err(error) = self.land() {
            // They were decided on top of it.
            let _ = reply.send(Err(error));
            return self.stopped();
        }
        if batch.is_empty() {
            let _ = reply.send(Ok(rows));
            return Ok(());
        }
        batch.pending.forget_before();
        let sealed =
            self.seal(&mut batch).and_then(|sealed| Ok((sealed, self.journal.take().ok_or(CommandError::Storage)?)));
        let ((entry, clears), mut journal) = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                self.note_failure(&error);
                let _ = reply.send(Err(error));
                return self.stopped();
            }
        };
        let mut payload = std::mem::take(&mut self.payload);
        entry.encode_into(&mut payload);
        let (land, landed) = sync_channel(1);
        let (urgent, landing, vault) = (batch.urgent, Arc::clone(&self.landing), self.vault.clone());
        let Entry { events, outcomes, .. } = entry;
        let spent = std::mem::take(&mut self.spent);
        tokio::task::spawn_blocking(move || {
            let frame = journal.append(&payload, urgent);
            if let Ok(frame) = frame {
                // These very bytes decode, or no start would read them.
                let _ = vault.learn(frame, &payload);
            }
            let _ = land.send(Landed { journal, payload, frame });
            landing.notify_one();
            // Giving back the memory of the rows takes a tenth of the time that deciding them took.
            drop((events, spent));
        });
        let pending = Arc::new(batch.pending);
        self.flight = Some(Flight { pending, clears, outcomes, urgent, landed, rows, reply });
        Ok(())
    }

    /// Waits for the entry that is on its way, makes it visible, and tells whoever waits for it. An error: it was not taken.
    pub(super) fn land(&mut self) -> Result<(), CommandError> {
        let Some(flight) = self.flight.take() else { return Ok(()) };
        let landed = flight.landed.recv().ok();
        self.settle(flight, landed)
    }

    /// [`Writer::land`], for whoever needs the state as it is then. That an entry was refused is no reason to stop.
    pub(super) fn landed(&mut self) -> Result<(), Stopped> {
        let _ = self.land();
        self.stopped()
    }

    /// [`Writer::landed`], if it has: a notice may be of one that was waited for already.
    pub(super) fn landed_meanwhile(&mut self) -> Result<(), Stopped> {
        let landed = self.flight.as_ref().map(|flight| flight.landed.try_recv());
        let landed = match landed {
            None | Some(Err(TryRecvError::Empty)) => return Ok(()),
            Some(landed) => landed.ok(),
        };
        if let Some(flight) = self.flight.take() {
            let _ = self.settle(flight, landed);
        }
        self.stopped()
    }

    fn settle(&mut self, flight: Flight, landed: Option<Landed>) -> Result<(), CommandError> {
        let Flight { pending, clears, outcomes, urgent, rows, reply, .. } = flight;
        // Without a word the thread has panicked, and the journal is gone with it.
        let landed = landed.ok_or(CommandError::Storage).and_then(|landed| {
            (self.journal, self.payload) = (Some(landed.journal), landed.payload);
            landed.frame.map_err(journal_error)
        });
        let landed = landed.and_then(|frame| {
            let sequence = self.journal.as_ref().map_or(0, |journal| journal.tail().sequence);
            let recent = Arc::new(Recent { frame, sequence, pending, clears });
            self.spent.extend(self.vault.keep(Arc::clone(&recent)));
            self.make_visible(outcomes, &recent.clears, recent.pending.events(), urgent, frame)
        });
        if let Err(error) = &landed {
            self.note_failure(error);
        }
        let _ = reply.send(landed.clone().map(|()| rows));
        landed
    }
}
