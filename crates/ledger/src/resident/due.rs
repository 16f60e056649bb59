//! What the clock will bring: terms that end; grace periods, relations, exemptions and retentions that run out; deadlines
//! that pass.
//!
//! Entries are hints: what falls due is checked against the state then, so nothing has to be taken back when a term changes.

use std::collections::{BTreeMap, BTreeSet};

use xinhub_domain::time::{Day, Timestamp};

use super::Resident;
use super::remedy::Bound;

/// Something that falls due at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A listing's grace period ends.
    EndGrace {
        /// Which listing.
        row: u32,
    },
    /// A relation's own term ends.
    EndRelation {
        /// Of which listing.
        row: u32,
        /// Its number.
        relation: u64,
    },
    /// An exemption ends.
    EndExemption {
        /// Of which listing.
        row: u32,
        /// Its number.
        exemption: u64,
    },
    /// What units keep by a listing comes to its last day.
    EndRetention {
        /// Of which listing.
        row: u32,
        /// That day.
        until: Day,
    },
    /// A deadline passes.
    Deadline(Bound),
    /// A listing's term ends.
    Expire {
        /// Which listing.
        row: u32,
    },
}

/// What will fall due, by time. Terms, by far the most, take 4 bytes each.
#[derive(Debug, Default)]
pub struct Due {
    expiries: BTreeMap<Day, Vec<u32>>,
    others: BTreeSet<(Timestamp, Event)>,
}

impl Due {
    /// A listing's term ends with this day.
    pub fn expiry(&mut self, until: Day, row: u32) {
        self.expiries.entry(until).or_default().push(row);
    }

    /// Gives back what was allocated for more than there is.
    pub fn shrink(&mut self) {
        self.expiries.values_mut().for_each(Vec::shrink_to_fit);
    }

    /// Something else falls due at this instant.
    pub fn at(&mut self, when: Timestamp, event: Event) {
        self.others.insert((when, event));
    }

    /// Whether anything is due at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.others.first().is_some_and(|(when, _)| *when <= now)
            || self.expiries.first_key_value().is_some_and(|(day, _)| day.end() <= now)
    }

    /// How many hints there are.
    pub fn len(&self) -> usize {
        self.others.len() + self.expiries.values().map(Vec::len).sum::<usize>()
    }

    /// Whether nothing will ever fall due.
    pub fn is_empty(&self) -> bool {
        self.others.is_empty() && self.expiries.is_empty()
    }

    /// Takes out up to `limit` of what is due at `now`, in the order in which it fell due: after a long stop the state passes
    /// through what it would have passed through without one. Of what falls due at one instant terms come first: whom the end
    /// of a term frees is not listed by the end of a grace period, and a court that had to remove by that day is not overdue.
    pub fn take(&mut self, now: Timestamp, limit: usize) -> Vec<(Timestamp, Event)> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let term = self.expiries.first_key_value().map(|(day, _)| day.end()).filter(|when| *when <= now);
            let other = self.others.first().map(|(when, _)| *when).filter(|when| *when <= now);
            match (term, other) {
                (None, None) => break,
                (Some(when), other) if other.is_none_or(|other| when <= other) => {
                    self.take_terms(when, limit, &mut taken);
                }
                (_, _) => taken.extend(self.others.pop_first()),
            }
        }
        taken
    }

    /// Takes terms that end at `when`, the earliest there are.
    fn take_terms(&mut self, when: Timestamp, limit: usize, taken: &mut Vec<(Timestamp, Event)>) {
        let Some(mut first) = self.expiries.first_entry() else { return };
        let rows = first.get_mut();
        // From the end: on a day with very many, the rest stays where it is.
        let last = rows.len() - rows.len().min(limit - taken.len());
        taken.extend(rows.drain(last..).map(|row| (when, Event::Expire { row })));
        if rows.is_empty() {
            first.remove();
        }
    }

    /// Takes out what is due at `now` and `is_own`, in the order of [`Due::take`].
    pub fn take_own(&mut self, now: Timestamp, is_own: impl Fn(Event) -> bool) -> Vec<(Timestamp, Event)> {
        let mut taken = Vec::new();
        for (day, rows) in self.expiries.iter_mut().take_while(|(day, _)| day.end() <= now) {
            let own = rows.extract_if(.., |row| is_own(Event::Expire { row: *row }));
            taken.extend(own.map(|row| (day.end(), Event::Expire { row })));
        }
        self.expiries.retain(|_, rows| !rows.is_empty());
        let due = self.others.iter().take_while(|(when, _)| *when <= now);
        let own: Vec<_> = due.filter(|(_, event)| is_own(*event)).copied().collect();
        for due in &own {
            self.others.remove(due);
        }
        taken.extend(own);
        // Terms stay before the rest of their instant.
        taken.sort_by_key(|(when, _)| *when);
        taken
    }

    /// Puts back what was taken and could not be recorded.
    pub fn put_back(&mut self, taken: Vec<(Timestamp, Event)>) {
        for (when, event) in taken {
            match event {
                Event::Expire { row } => self.expiry(Timestamp(when.0 - 1).day(), row),
                Event::EndGrace { .. }
                | Event::EndRelation { .. }
                | Event::EndExemption { .. }
                | Event::EndRetention { .. }
                | Event::Deadline(_) => self.at(when, event),
            }
        }
    }
}

impl Resident {
    /// Takes out what is due at `now` of some listings and of the petitions on them.
    pub fn take_due_of(&mut self, listings: impl Fn(u64) -> bool, now: Timestamp) -> Vec<(Timestamp, Event)> {
        let remedy = &self.remedy;
        let of_row = |row| listings(u64::from(row) + 1);
        self.due.take_own(now, |event| match event {
            Event::EndGrace { row }
            | Event::EndRelation { row, .. }
            | Event::EndExemption { row, .. }
            | Event::EndRetention { row, .. }
            | Event::Expire { row }
            | Event::Deadline(Bound::Listing { row, .. } | Bound::Duty { row, .. }) => of_row(row),
            Event::Deadline(Bound::Petition { number, .. }) => {
                remedy.petition(number).is_some_and(|petition| listings(petition.listing))
            }
            Event::Deadline(Bound::Import { .. }) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fell_due_first_comes_first_and_terms_before_the_rest() {
        let mut due = Due::default();
        let day = Day(20_000);
        due.at(Timestamp(day.end().0 + 1), Event::EndGrace { row: 1 });
        due.at(day.end(), Event::EndGrace { row: 2 });
        due.expiry(day, 3);
        due.at(Timestamp(day.end().0 - 1), Event::EndGrace { row: 4 });
        let rows: Vec<Event> = due.take(day.plus_days(9).end(), 10).into_iter().map(|(_, event)| event).collect();
        let grace = |row| Event::EndGrace { row };
        assert_eq!(rows, [grace(4), Event::Expire { row: 3 }, grace(2), grace(1)]);
    }

    #[test]
    fn what_is_due_of_one_listing_is_taken_in_its_order_and_leaves_the_rest() {
        let mut due = Due::default();
        let (day, later) = (Day(20_000), Day(20_001));
        let grace = |row| Event::EndGrace { row };
        for (until, row) in [(day, 1), (day, 2), (later, 2), (Day(20_002), 2)] {
            due.expiry(until, row);
        }
        for (when, row) in [(later.end(), 2), (day.end(), 1), (Timestamp(day.end().0 - 1), 2), (Day(20_002).end(), 2)] {
            due.at(when, grace(row));
        }
        let term = Event::Expire { row: 2 };
        let own = due.take_own(later.end(), |event| event == grace(2) || event == term);
        let expected =
            [(Timestamp(day.end().0 - 1), grace(2)), (day.end(), term), (later.end(), term), (later.end(), grace(2))];
        assert_eq!(own, expected);
        assert_eq!(due.take(later.end(), 10), [(day.end(), Event::Expire { row: 1 }), (day.end(), grace(1))]);
        assert_eq!(due.len(), 2, "what is not due yet");
    }

    #[test]
    fn what_is_due_comes_once_and_in_order() {
        let mut due = Due::default();
        let day = Day(20_000);
        for row in 0..5 {
            due.expiry(day, row);
        }
        due.at(Timestamp(5), Event::EndGrace { row: 9 });
        due.at(Timestamp(5), Event::EndGrace { row: 9 });
        assert_eq!(due.take(Timestamp(4), 10), vec![]);
        let first = due.take(day.end(), 3);
        assert_eq!(first.len(), 3);
        assert_eq!(first[0], (Timestamp(5), Event::EndGrace { row: 9 }));
        due.put_back(first);
        assert_eq!(due.take(Timestamp(day.end().0 - 1), 10).len(), 1, "a day lasts until its end");
        assert_eq!(due.take(day.end(), 10).len(), 5);
        assert_eq!(due.take(day.end(), 10), vec![]);
    }
}
