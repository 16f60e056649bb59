//! Looking an identity up: the index tells most that there is nothing, the listing table the rest.

use xinhub_domain::decision::Hit;
use xinhub_domain::identity::Identity;
use xinhub_domain::measure::{Condition, Relation, RelationSet};
use xinhub_domain::policy::LookupPermit;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::{Batch, Key, Relations};

use super::Ledger;
use crate::clock::MAX_DRIFT_MS;
use crate::resident::Held;

/// What a probe found: why, and on which listings it rests.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// For the decision.
    pub hit: Hit,
    /// The listings behind it, those in force only.
    pub listings: Vec<Match>,
}

/// One listing behind a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which listing.
    pub listing: u64,
    /// How the person stands to it.
    pub relation: Relation,
    /// It rests on a flagged identity.
    pub flagged: bool,
}

impl Ledger {
    /// Looks an identity up for the permitted measure and item: which of `mask` it has, on which listings.
    ///
    /// Most identities have none: that is told from the index alone, without a lock. On a hit the listing table decides,
    /// listing by listing.
    pub fn probe(&self, permit: &LookupPermit, identity: &Identity, mask: RelationSet) -> Option<Found> {
        let bits = Relations::from_bits(mask.bits()).unwrap_or(Relations::ALL);
        let mut found: Option<Gathered> = None;
        for input in identity.keys() {
            let key = Key(self.0.prf.digest(input.as_bytes()));
            if self.0.index.probe_mask(&key, bits).is_some() {
                self.gather(permit, &key, mask, found.get_or_insert_default());
            }
        }
        let gathered = found?;
        let measure = permit.measure();
        let listed_on = match measure.condition {
            Condition::AcquiredAfterListing => self.listed_on(&gathered),
            Condition::None
            | Condition::InPost(_)
            | Condition::AmountRequired
            | Condition::Fact(_)
            | Condition::CourtOrder
            | Condition::Recipient(_) => None,
        };
        gathered.found(listed_on)
    }

    /// Which of many identities, in their order, surely have none of `mask`: of most, [`Ledger::probe`] need not be asked. Where there is
    /// no identity nothing is looked up, or sure. Digests, and what the index has to fetch from memory, are worked on for many at a time.
    pub fn missed<'a>(
        &self,
        _permit: &LookupPermit,
        identities: impl Iterator<Item = Option<&'a Identity>>,
        mask: RelationSet,
    ) -> Vec<bool> {
        let bits = Relations::from_bits(mask.bits()).unwrap_or(Relations::ALL);
        let mut batch = Batch::with_capacity(identities.size_hint().0);
        for identity in identities {
            batch.push(identity.into_iter().flat_map(Identity::keys).map(|input| *input.as_bytes()));
        }
        batch.missed(&self.0.prf, |keys| self.0.index.has_many(keys, bits)).collect()
    }

    fn gather(&self, permit: &LookupPermit, key: &Key, mask: RelationSet, into: &mut Gathered) {
        let measure = permit.measure();
        let item = permit.item().map(|item| &*measure.items[item.index()]);
        let wall = self.0.clock.wall();
        let expected = self.expected_clock();
        let latest = wall.max(expected);
        let resident = self.0.resident.read();
        resident.each_in_force(key, |held| {
            if !mask.contains(held.relation) {
                return;
            }
            // Where the clocks differ, either may be right: nobody is restricted on the other.
            let exempt = |now| resident.is_exempt(&held, key, &measure.code, item, now);
            let basis = if exempt(wall) || exempt(expected) {
                &mut into.exempt
            } else if held.until.is_some_and(|until| until.end() <= latest) {
                // The term is over by one of the clocks, and no event says so yet.
                &mut into.unsure
            } else {
                &mut into.firm
            };
            // An organisation's credit code leads here twice: whole, and by the code within.
            match basis.iter_mut().find(|known| (known.row, known.relation) == (held.row, held.relation)) {
                Some(known) => known.flagged &= held.flagged,
                None => basis.push(held),
            }
        });
    }

    /// Whether the wall clock shows what it should by boot time.
    pub fn is_clock_sure(&self) -> bool {
        self.0.clock.wall().0.abs_diff(self.expected_clock().0) <= MAX_DRIFT_MS.unsigned_abs()
    }

    /// What the wall clock should show by boot time.
    pub(super) fn expected_clock(&self) -> Timestamp {
        let (agreed_wall, agreed_boot_ms) = self.0.published.borrow().agreed;
        let elapsed = self.0.clock.boot_ms().saturating_sub(agreed_boot_ms);
        Timestamp(agreed_wall.0.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX)))
    }

    fn listed_on(&self, gathered: &Gathered) -> Option<Day> {
        // A flagged listing confirms nothing, and dates nothing.
        let days = gathered.firm.iter().filter(|held| !held.flagged).map(|held| {
            let detail = self.detail(u64::from(held.row) + 1).ok().flatten();
            detail.and_then(|detail| detail.listed_on)
        });
        // One listing whose day is not known leaves the question open.
        days.collect::<Option<Vec<Day>>>()?.into_iter().min()
    }
}

/// Relations gathered from the listing table.
#[derive(Default)]
struct Gathered {
    firm: Vec<Held>,
    unsure: Vec<Held>,
    exempt: Vec<Held>,
}

impl Gathered {
    fn found(self, listed_on: Option<Day>) -> Option<Found> {
        let set = |held: &[Held]| held.iter().map(|held| held.relation).collect::<RelationSet>();
        let (basis, clock_unsure, exempt) = if !self.firm.is_empty() {
            (&self.firm, false, false)
        } else if !self.unsure.is_empty() {
            (&self.unsure, true, false)
        } else if !self.exempt.is_empty() {
            (&self.exempt, false, true)
        } else {
            // The index knew of something that has ended in between.
            return None;
        };
        let firm = basis.iter().filter(|held| !held.flagged).map(|held| held.relation).collect::<RelationSet>();
        let relations = set(basis);
        let hit = Hit { relations, flagged: relations.without(firm), clock_unsure, exempt, listed_on };
        let listings = self.firm.iter().map(|held| Match {
            listing: u64::from(held.row) + 1,
            relation: held.relation,
            flagged: held.flagged,
        });
        Some(Found { hit, listings: listings.collect() })
    }
}
