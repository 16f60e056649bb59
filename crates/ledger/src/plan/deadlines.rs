//! Which clocks an event starts, by the profile of its court.

use xinhub_domain::deadline::{Clock, Deadlines};
use xinhub_domain::listing::{Deadline, EventKind, PetitionKind, RecordKind, State};
use xinhub_domain::time::Day;

use super::{Plan, Planned, Planner, Subject};
use crate::resident::Resident;
use crate::resident::remedy::Bound;
use crate::table::OWN_UNIT_ONLY;

/// A deadline that begins on a day, if the profile has one.
pub(crate) fn beginning(deadlines: &Deadlines, clock: Clock, from: Day) -> Option<Deadline> {
    deadlines.due(clock, from).map(|due| Deadline { clock, due })
}

/// What units owe once a listing that was in force is lifted; none where nobody was told of it.
pub(crate) fn of_lift(resident: &Resident, row: u32, deadlines: &Deadlines, today: Day) -> Option<Deadline> {
    let in_force = resident.table.row(row).state() == Some(State::Listed);
    let told = in_force && !resident.told(row).is_empty();
    told.then(|| beginning(deadlines, Clock::LiftMeasures, today)).flatten()
}

impl Planner<'_> {
    /// Adds to a plan's events the deadlines that begin with them.
    pub(super) fn begin_deadlines(&self, plan: &mut Plan) {
        let today = self.now.day();
        let deadlines = self.rules.deadlines(&plan.event.court);
        let begin = |clock| beginning(deadlines, clock, today);
        // A lift in the same commit as a finding: the reason is owed by the lift.
        let owing = if plan.also.is_some() { None } else { Some(plan.reason_owed) };
        let mut first = self.starts(&plan.event);
        if owing == Some(true) {
            first.extend(begin(Clock::GiveReason));
        }
        plan.event.deadlines.extend(first);
        if let Some(also) = &mut plan.also {
            let mut second = self.starts(also);
            if plan.reason_owed {
                second.extend(begin(Clock::GiveReason));
            }
            also.deadlines.extend(second);
        }
    }

    fn starts(&self, event: &Planned) -> Vec<Deadline> {
        let (today, deadlines) = (self.now.day(), self.rules.deadlines(&event.court));
        let row = self.resident.table.row_of(event.listing);
        let mut starts = Vec::new();
        if event.kind == EventKind::Propose {
            starts.extend(beginning(deadlines, Clock::Release, today));
        }
        if event.kind == EventKind::RecordPerformance {
            starts.extend(beginning(deadlines, Clock::Remove, today));
        }
        let exempts = event.record.kind == RecordKind::Exemption;
        if let Some(row) = row.filter(|_| event.lift && !exempts) {
            starts.extend(of_lift(self.resident, row, deadlines, today));
        }
        if self.reaches_own_unit(event, row) {
            starts.extend(beginning(deadlines, Clock::HandleNotice, today));
        }
        starts
    }

    /// Whether an entry that only the subject's own unit may be shown takes effect with this event.
    fn reaches_own_unit(&self, event: &Planned, row: Option<u32>) -> bool {
        let own_unit_only = match event.content() {
            Some(content) => content.own_unit.is_some(),
            None => row.is_some_and(|row| self.resident.table.row(row).has(OWN_UNIT_ONLY)),
        };
        let before = row.and_then(|row| self.resident.table.row(row).state());
        let takes_effect = |state| matches!(state, Some(State::Grace | State::Listed));
        own_unit_only && event.record.kind == RecordKind::Listing && takes_effect(event.state) && !takes_effect(before)
    }

    /// The clock of whoever has to decide a petition received on a day.
    pub(super) fn petition_clock(&self, kind: PetitionKind, court: &str, received_on: Day) -> Option<Deadline> {
        let clock = match kind {
            PetitionKind::Application => Clock::DecideApplication,
            PetitionKind::Objection => Clock::Review,
            PetitionKind::Complaint => Clock::AnswerComplaint,
        };
        beginning(self.rules.deadlines(court), clock, received_on)
    }

    /// Whether a lift of this listing still owes its reason.
    pub(super) fn owes_reason(&self, subject: &Subject) -> bool {
        let row = self.resident.table.row_of(subject.number);
        let bound = row.map(|row| Bound::Listing { row, clock: Clock::GiveReason });
        bound.is_some_and(|bound| self.resident.remedy.running.contains_key(&bound))
    }
}
