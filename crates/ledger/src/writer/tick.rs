//! What the clock brings, and the lifts that overtake it.
//!
//! Promises: what ends with a day ends before anything else happens to it, and all of it before anything but a lift is decided; a lift
//! waits for one entry at most of what others' listings come to.

use std::collections::HashSet;

use xinhub_domain::time::Timestamp;

use super::batch::Batch;
use super::{Job, MAX_JOBS, Stopped, Writer};
use crate::command::{Act, CommandError, ImportRow};
use crate::entry::MAX_EVENTS;
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
    pub(super) fn tick(&mut self) -> Result<(), Stopped> {
        self.tick_with(DUE_AT_ONCE)
    }

    /// [`Writer::tick`] at the start, where no lift waits yet.
    pub(crate) fn first_tick(&mut self) -> Result<(), Stopped> {
        self.tick_with(MAX_EVENTS)
    }

    fn tick_with(&mut self, at_once: usize) -> Result<(), Stopped> {
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
            let due = self.resident.write().due.take(now, at_once);
            if self.record_due(due).is_err() {
                // On a full disk a lift, and what is due of its own listing, may fit where these did not.
                self.stopped()?;
                return self.lift_meanwhile();
            }
            self.lift_meanwhile()?;
        }
        Ok(())
    }

    /// Commits what was due. What could not be recorded is due as before.
    fn record_due(&mut self, due: Vec<(Timestamp, Event)>) -> Result<(), CommandError> {
        let mut batch = Batch::default();
        let mut later = Vec::new();
        {
            let resident = self.resident.read();
            let (now, numbers) = (self.now(&resident), batch.pending.numbers(&resident));
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

    /// Takes the lifts that wait, each behind what is due of its own listings.
    fn lift_meanwhile(&mut self) -> Result<(), Stopped> {
        let mut batch = Batch::default();
        for _ in 0..MAX_JOBS {
            let Some(job) = self.queue.waiting_lift() else { break };
            while let Some(due) = self.due_with(&job) {
                self.commit(&mut batch)?;
                if self.record_due(due).is_err() {
                    self.queue.leave(job);
                    return self.stopped();
                }
            }
            self.take(job, &mut batch)?;
            // What is due is decided on what is visible.
            self.landed()?;
            if self.is_full(&batch) {
                break;
            }
        }
        let committed = self.commit(&mut batch);
        self.queue.lift_is_done();
        committed
    }

    /// What is due of the listings that a lift frees from, as of now: the day may have ended since the clock was looked at. Where there is
    /// any, other listings' fills the entry, so that many lifts of what ends make no more entries than there would be without them.
    fn due_with(&self, lift: &Job) -> Option<Vec<(Timestamp, Event)>> {
        let mut resident = self.resident.write();
        let now = self.now(&resident);
        let mut due = match lift {
            Job::Command(request, _) => {
                let listing = match &request.act {
                    Act::Registry(_, command) => command.listing(),
                    Act::Remedy(_, command) => {
                        command.petition().and_then(|number| resident.remedy.petition(number)).map(|one| one.listing)
                    }
                    Act::Unit(..) | Act::Staged(..) => None,
                }?;
                resident.take_due_of(|of| of == listing, now)
            }
            Job::Import(_, import, _) => {
                let gone = import.rows.iter().filter_map(|row| match row {
                    ImportRow::Gone(listing) => Some(*listing),
                    ImportRow::Listing(_) | ImportRow::Relation { .. } => None,
                });
                let gone: HashSet<u64> = gone.collect();
                resident.take_due_of(|of| gone.contains(&of), now)
            }
            Job::Disclose { .. }
            | Job::Configure { .. }
            | Job::Rules(_)
            | Job::AcceptClock
            | Job::Freeze(_)
            | Job::Stop => return None,
        };
        if due.is_empty() {
            return None;
        }
        let rest = due.split_off(due.len().min(MAX_EVENTS));
        resident.due.put_back(rest);
        due.extend(resident.due.take(now, DUE_AT_ONCE.saturating_sub(due.len())));
        Some(due)
    }
}
