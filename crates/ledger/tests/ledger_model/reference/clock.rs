//! What time brings, one thing after the other in the order in which it fell due.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::State;
use xinhub_domain::time::{Day, Timestamp};

use super::{Listing, Open, Reference, Wrong};

/// Something that falls due, by the place of its listing or petition. Of what falls due at one instant the end of a term comes
/// first, then what else ends, then deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Expire(usize),
    EndGrace(usize),
    EndRelation(usize, usize),
    EndExemption(usize, usize),
    EndRetention(usize, Day),
    Clock(usize, Clock),
    Duty(usize, usize),
    Petition(usize),
}

impl Reference {
    /// Whether something has fallen due.
    pub(crate) fn is_due(&self) -> bool {
        self.next_due().is_some()
    }

    /// Time has passed, up to now.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        self.now = now;
        while let Some((_, due)) = self.next_due() {
            self.happen(due);
        }
    }

    /// The hub was down from one instant to another.
    pub(crate) fn was_down(&mut self, from: Timestamp, to: Timestamp) {
        self.down = Some((from, to));
    }

    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let mut first: Option<(Timestamp, Due)> = None;
        let mut see = |when: Timestamp, due: Due| {
            if when <= self.now && first.is_none_or(|first| (when, due) < first) {
                first = Some((when, due));
            }
        };
        for (at, listing) in self.listings.iter().enumerate() {
            self.due_of(at, listing, &mut see);
        }
        for (at, petition) in self.petitions.iter().enumerate() {
            if let Some((_, open)) = petition.clock.filter(|(_, open)| self.passes(open)) {
                see(open.due.end(), Due::Petition(at));
            }
        }
        first
    }

    fn due_of(&self, at: usize, listing: &Listing, see: &mut impl FnMut(Timestamp, Due)) {
        let ends = matches!(listing.state, State::Decided | State::Grace | State::Listed | State::Hidden);
        if let Some(last) = listing.facts.until().filter(|_| ends) {
            see(last.end(), Due::Expire(at));
        }
        if let Some(last) = listing.grace_end() {
            see(last.end(), Due::EndGrace(at));
        }
        for (place, one) in listing.relations.iter().enumerate().filter(|(_, one)| !one.ended) {
            if let Some(last) = one.until {
                see(last.end(), Due::EndRelation(at, place));
            }
        }
        for (place, one) in listing.exemptions.iter().enumerate().filter(|(_, one)| !one.ended) {
            see(one.until, Due::EndExemption(at, place));
        }
        for kept in listing.kept.iter().filter(|kept| !kept.ended) {
            if self.wrong != Some(Wrong::RetentionNeverEnds) {
                see(kept.until.end(), Due::EndRetention(at, kept.until));
            }
        }
        for (clock, open) in listing.clocks.iter().filter(|(_, open)| self.passes(open)) {
            see(open.due.end(), Due::Clock(at, *clock));
        }
        for (place, duty) in listing.duties.iter().enumerate() {
            if duty.closed.is_none() && self.passes(&duty.open) {
                see(duty.open.due.end(), Due::Duty(at, place));
            }
        }
    }

    /// Whether this deadline will be noted as passed.
    fn passes(&self, open: &Open) -> bool {
        let missed = self.down.filter(|_| self.wrong == Some(Wrong::DaysWhileDownAreMissed));
        let missed = missed.is_some_and(|(from, to)| from < open.due.end() && open.due.end() <= to);
        !open.overdue && !missed
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Expire(at) => {
                self.listings[at].touched = true;
                self.enter(at, Some(self.listings[at].state), State::Expired, true);
                self.end_clocks(at, &[Clock::Remove, Clock::Release]);
            }
            Due::EndGrace(at) => {
                self.listings[at].touched = true;
                self.enter(at, Some(State::Grace), State::Listed, false);
            }
            Due::EndRelation(at, place) => {
                let listing = &mut self.listings[at];
                listing.touched = true;
                listing.relations[place].ended = true;
                let state = listing.state;
                self.enter(at, Some(state), state, true);
            }
            Due::EndExemption(at, place) => {
                self.listings[at].touched = true;
                self.listings[at].exemptions[place].ended = true;
            }
            Due::EndRetention(at, until) => {
                let listing = &mut self.listings[at];
                let mut owing = Vec::new();
                for kept in listing.kept.iter_mut().filter(|kept| !kept.ended && kept.until <= until) {
                    kept.ended = true;
                    owing.push(kept.client);
                }
                if listing.state != State::Listed {
                    owing.into_iter().for_each(|client| self.open_duty(at, client, Clock::LiftMeasures));
                }
            }
            Due::Clock(at, Clock::Release) if self.wrong != Some(Wrong::LapseIsForgotten) => {
                self.listings[at].touched = true;
                self.enter(at, Some(State::Proposed), State::Withdrawn, false);
                self.end_clocks(at, &[Clock::Remove, Clock::Release]);
            }
            Due::Clock(at, clock) => {
                if let Some(open) = self.listings[at].clocks.get_mut(&clock) {
                    open.overdue = true;
                }
            }
            Due::Duty(at, place) => self.listings[at].duties[place].open.overdue = true,
            Due::Petition(at) => {
                if let Some((_, open)) = &mut self.petitions[at].clock {
                    open.overdue = true;
                }
            }
        }
    }
}
