//! What is read of counts and announcements.

use std::collections::{BTreeMap, BTreeSet};

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{Body, State, Visibility};
use xinhub_domain::policy::{RemedyPermit, UnitPermit};
use xinhub_domain::time::Day;

use super::Ledger;
use super::remedy::SCAN;
use crate::command::CommandError;
use crate::resident::Resident;
use crate::resident::remedy::Bound;
use crate::resident::statistics::{Bearer, Flow, Kept, Month};
use crate::table::{ERASED, OWN_UNIT_ONLY, Place};
use crate::vault::Opened;

/// A month of one court and ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The court.
    pub court: String,
    /// The ground's number; 0 where its record was erased.
    pub ground: u8,
    /// The month.
    pub month: Month,
    /// What it brought.
    pub flow: Flow,
    /// In force at its end.
    pub in_force: u64,
}

/// A lift as it is made public: no name, no ground, nothing of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its place in the order of all: the next page comes before it.
    pub place: (Day, u32),
    /// The court.
    pub court: String,
    /// The enforcement case.
    pub case_number: String,
    /// When the listing left the list.
    pub lifted_on: Day,
}

/// What clients owe and owed: bearer, clock, open, overdue, and since when the oldest overdue one was due.
pub type DutyCount = (String, Clock, u64, u64, Option<Day>);

fn sees(permit: &RemedyPermit, court: &str) -> bool {
    permit.court().is_none() || permit.is_court(court) || permit.is_above(court)
}

impl Ledger {
    /// Months of every court and ground that the caller may see, from the first to the last.
    pub fn listing_counts(&self, permit: &RemedyPermit, first: Month, last: Month) -> Vec<Count> {
        let resident = self.0.resident.read();
        let mut keys: BTreeSet<(u32, u8)> = BTreeSet::new();
        keys.extend(resident.statistics.flows.keys().map(|(court, ground, _)| (*court, *ground)));
        let mut counts = Vec::new();
        for (court, ground) in keys {
            let name = resident.courts.name(court);
            if !sees(permit, name) {
                continue;
            }
            let mut in_force: i64 = 0;
            let mut flows: BTreeMap<Month, Flow> = BTreeMap::new();
            for ((.., month), flow) in resident.statistics.flows.range((court, ground, 0)..=(court, ground, last)) {
                if *month < first {
                    in_force += flow.net();
                } else {
                    flows.insert(*month, *flow);
                }
            }
            for month in first..=last {
                let flow = flows.get(&month).copied().unwrap_or_default();
                in_force += flow.net();
                if flow != Flow::default() || in_force != 0 {
                    let in_force = u64::try_from(in_force).unwrap_or(0);
                    counts.push(Count { court: name.to_owned(), ground, month, flow, in_force });
                }
            }
        }
        counts
    }

    /// Deadlines that fell due from the first month to the last: whom they bound (a court, or a client), and how they went.
    pub fn deadlines_kept(
        &self,
        permit: &RemedyPermit,
        first: Month,
        last: Month,
    ) -> Vec<(Result<String, String>, Clock, Month, Kept)> {
        let resident = self.0.resident.read();
        let months = resident.statistics.deadlines.iter().filter(|((.., month), _)| (first..=last).contains(month));
        let named = months.filter_map(|((bearer, clock, month), kept)| {
            let bearer = match bearer {
                Bearer::Court(court) => Ok(resident.courts.name(*court).to_owned()),
                Bearer::Client(client) => Err(resident.clients.name(*client).to_owned()),
            };
            // A court answers for courts; what units did is everybody's to know who watches over all.
            let shown = match &bearer {
                Ok(court) => sees(permit, court),
                Err(_) => permit.court().is_none(),
            };
            shown.then_some((bearer, *clock, *month, *kept))
        });
        named.collect()
    }

    /// What clients owe now, on listings of courts that the caller may see.
    pub fn duty_counts(&self, permit: &RemedyPermit) -> Vec<DutyCount> {
        let mut counts: BTreeMap<(u32, Clock), (u64, u64, Option<Day>)> = BTreeMap::new();
        self.each_running(|resident, bound, running| {
            let Some((client, clock, _)) = owed(resident, bound).filter(|(.., court)| sees(permit, court)) else {
                return;
            };
            let (open, overdue, oldest) = counts.entry((client, clock)).or_default();
            if running.overdue {
                *overdue += 1;
                *oldest = Some(oldest.map_or(running.due, |day| day.min(running.due)));
            } else {
                *open += 1;
            }
        });
        let resident = self.0.resident.read();
        let name = |client: u32| resident.clients.name(client).to_owned();
        let counts = counts.into_iter();
        counts.map(|((client, clock), (open, overdue, oldest))| (name(client), clock, open, overdue, oldest)).collect()
    }

    /// Lifts to announce, newest first, before a place, that `shown` takes by court and day.
    ///
    /// # Errors
    /// A listing can't be read.
    pub fn announcements(
        &self,
        _permit: &UnitPermit,
        before: Option<(Day, u32)>,
        limit: usize,
        shown: impl Fn(&str, Day) -> bool,
    ) -> Result<Vec<Announcement>, CommandError> {
        let mut announcements = Vec::new();
        let mut end = before.unwrap_or((Day(u32::MAX), u32::MAX));
        let mut more = true;
        while more && announcements.len() < limit {
            let found;
            (found, end, more) = self.lifted(end, limit - announcements.len(), &shown);
            for (place, court, at) in found {
                let opened = self.0.vault.read(at).map_err(|error| {
                    tracing::error!(listing = u64::from(place.1) + 1, %error, "a listing can't be read to be announced");
                    CommandError::Unreadable
                })?;
                // Erased a moment ago: there is nothing to announce any more. And what never was public doesn't become it now.
                if let (_, Opened::Body(body)) = opened
                    && let Body::Content { content, .. } = *body
                    && content.visibility == Visibility::Public
                {
                    let case_number = content.case_number.as_str().to_owned();
                    announcements.push(Announcement { place, court, case_number, lifted_on: place.0 });
                }
            }
        }
        Ok(announcements)
    }

    /// Lifts before a place, newest first, at most `limit`; where the next ones begin, and whether there may be any.
    fn lifted(
        &self,
        before: (Day, u32),
        limit: usize,
        shown: &impl Fn(&str, Day) -> bool,
    ) -> (Vec<Lifted>, (Day, u32), bool) {
        let (mut found, mut end) = (Vec::new(), before);
        loop {
            let resident = self.0.resident.read();
            let mut seen = 0;
            for place in resident.statistics.lifted.range(..end).rev().take(SCAN) {
                (end, seen) = (*place, seen + 1);
                let listing = resident.table.row(place.1);
                let court = resident.courts.name(listing.court);
                let again = listing.state() == Some(State::Listed);
                let hidden = again || listing.has(ERASED) || listing.has(OWN_UNIT_ONLY);
                if !hidden && shown(court, place.0) {
                    found.push((*place, court.to_owned(), listing.place));
                }
                if found.len() >= limit {
                    return (found, end, true);
                }
            }
            if seen < SCAN {
                return (found, end, false);
            }
        }
    }
}

/// A lift, its court, and where the listing's content lies.
type Lifted = ((Day, u32), String, Place);

/// Which client owes what, on a listing of which court.
fn owed(resident: &Resident, bound: Bound) -> Option<(u32, Clock, &str)> {
    match bound {
        Bound::Duty { row, client, clock } => {
            let listing = resident.table.row(row);
            let shown = !listing.has(OWN_UNIT_ONLY);
            shown.then(|| (client, clock, resident.courts.name(listing.court)))
        }
        Bound::Petition { number, clock } => {
            let petition = resident.remedy.petition(number)?;
            let hidden =
                resident.table.row_of(petition.listing).is_some_and(|row| resident.table.row(row).has(OWN_UNIT_ONLY));
            petition.against.filter(|_| !hidden).map(|client| (client, clock, resident.courts.name(petition.court)))
        }
        Bound::Listing { .. } | Bound::Import { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, Ordering};

    use xinhub_domain::policy::permissions::Method;
    use xinhub_domain::policy::{Moment, UnitAsk, decide};

    use super::*;
    use crate::command::Command;
    use crate::testing::*;

    /// A year of lifts was looked through under one lock: whoever asked for a court that has none held up every lift.
    #[tokio::test]
    async fn the_writer_has_its_turn_while_announcements_are_looked_through() {
        let bench = Bench::new(1);
        let ledger = bench.open();
        let content = content(&draft(person(1), 1));
        let publish = Command::Publish { listing: None, content, application: None };
        for command in [publish, Command::Remove { listing: 1, ground: "performed".to_owned() }] {
            ledger.submit(request("court-one", "j-1", None, command)).await.unwrap();
        }
        let days = 3 * SCAN as u32;
        ledger.0.resident.write().statistics.lifted.extend((0..days).map(|day| (Day(day), 0)));
        let permit = decide(policy(), "bank", Method::ListAnnouncements, &UnitAsk, Moment::at(start())).unwrap();
        let (asked, written) = (Cell::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let shown = |_: &str, _| {
                if asked.replace(asked.get() + 1) == 0 {
                    scope.spawn(|| {
                        let _held = ledger.0.resident.write();
                        written.store(true, Ordering::SeqCst);
                    });
                    // A writer that waits keeps new readers out.
                    while ledger.0.resident.try_read().is_some() {
                        std::thread::yield_now();
                    }
                }
                assert_eq!(written.load(Ordering::SeqCst), asked.get() > SCAN, "the writer goes after {SCAN}");
                false
            };
            assert_eq!(ledger.announcements(&permit, None, 7, shown).unwrap(), []);
        });
        // The one that was really lifted, too.
        assert_eq!(asked.get(), 3 * SCAN + 1);
    }
}
