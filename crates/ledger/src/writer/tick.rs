//! What the clock brings, and the lifts that overtake it.
//!
//! Promises: what ends with a day ends before anything else happens to it, and all of it before anything but a lift is decided; a lift
//! waits for one entry at most of what others' listings come to.

use xinhub_domain::time::Timestamp;

use super::batch::Batch;
use super::{Job, MAX_JOBS, Stopped, Writer};
use crate::command::{Act, CommandError};
use crate::plan::clock as clock_plan;
use crate::resident::due::Event;

/// So many of what is due go into one entry, though more would fit: lifts wait for it, and checks for what becomes visible at once.
pub(super) const DUE_AT_ONCE: usize = 256;

impl Writer {
    /// Whether something falls due now that did not when the clock was last looked at.
    pub(super) fn has_fallen_due(&self) -> bool {
        let resident = self.resident.read();
        let sure = self.published.borrow().clock_fault.is_none();
        sure && resident.due.is_due(self.now(&resident)) && !resident.due.is_due(self.ticked)
    }

    /// Looks at the clock, and records what it has brought.
    pub(crate) fn tick(&mut self) -> Result<(), Stopped> {
        let last = self.resident.read().last_at;
        let checked = self.guard.check(&*self.clock, last);
        let fault = checked.err();
        if self.published.borrow().clock_fault != fault {
            if let Some(fault) = fault {
                tracing::error!(%fault, "the clock is unsure: time events are frozen");
            }
            self.published.send_modify(|published| published.clock_fault = fault);
        }
        let Ok(now) = checked else { return Ok(()) };
        self.ticked = now;
        let agreed = (now, self.clock.boot_ms());
        self.published.send_if_modified(|published| {
            published.agreed = agreed;
            false
        });
        if self.resident.read().due.is_due(now) {
            self.landed()?;
        }
        while self.resident.read().due.is_due(now) {
            let due = self.resident.write().due.take(now, DUE_AT_ONCE);
            if self.record_due(due, now).is_err() {
                return self.stopped();
            }
            self.lift_meanwhile(now)?;
        }
        Ok(())
    }

    /// Commits what was due. What could not be recorded is due as before.
    fn record_due(&mut self, due: Vec<(Timestamp, Event)>, now: Timestamp) -> Result<(), CommandError> {
        let mut batch = Batch::default();
        let mut later = Vec::new();
        {
            let resident = self.resident.read();
            let numbers = batch.pending.numbers(&resident);
            for (when, event) in &due {
                match clock_plan::planned(&resident, (*when, *event), now, &self.rules) {
                    Some((_, touch)) if batch.touched.contains(&touch) => later.push((*when, *event)),
                    Some((planned, touch)) => batch.add(planned, numbers, None, &[touch]),
                    None => {}
                }
            }
        }
        // What is due frees somebody, or falls due again: on a full disk it may use the reserve.
        batch.urgent = true;
        let committed = self.commit_now(&mut batch);
        self.resident.write().due.put_back(if committed.is_ok() { later } else { due });
        committed
    }

    /// Takes the lifts that wait, each behind what is due of its own listing.
    fn lift_meanwhile(&mut self, now: Timestamp) -> Result<(), Stopped> {
        let mut batch = Batch::default();
        for _ in 0..MAX_JOBS {
            let Some(job) = self.queue.waiting_lift() else { break };
            let Job::Command(request, reply) = job else {
                // Rows of an import, which may be of any listing: they wait until nothing is due.
                self.queue.leave(job);
                break;
            };
            while let Some(due) = self.take_due_of(&request.act, now) {
                self.commit(&mut batch)?;
                if self.record_due(due, now).is_err() {
                    self.queue.leave(Job::Command(request, reply));
                    return self.stopped();
                }
            }
            self.take_command(&request, reply, &mut batch)?;
            if self.is_full(&batch) {
                break;
            }
        }
        self.commit(&mut batch)
    }

    /// What is due of the listing that a lift frees from.
    fn take_due_of(&self, lift: &Act, now: Timestamp) -> Option<Vec<(Timestamp, Event)>> {
        let mut resident = self.resident.write();
        let listing = match lift {
            Act::Registry(_, command) => command.listing(),
            Act::Remedy(_, command) => {
                command.petition().and_then(|number| resident.remedy.petition(number)).map(|petition| petition.listing)
            }
            Act::Unit(..) | Act::Staged(..) => None,
        };
        Some(resident.take_due_of(listing?, now)).filter(|due| !due.is_empty())
    }
}
