//! What a look-up finds.

use std::collections::{BTreeMap, BTreeSet};

use xinhub_domain::listing::State;
use xinhub_domain::measure::Relation;
use xinhub_domain::time::Timestamp;

use super::{Exempted, Reference, Wrong};
use crate::world::Who;

/// What a look-up finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) relations: BTreeSet<u8>,
    pub(crate) exempt: bool,
    /// Those relations that rest on flagged identities alone.
    pub(crate) flagged: BTreeSet<u8>,
    /// By which relation to which listing, and whether that rests on a flagged identity.
    pub(crate) listings: BTreeSet<(u64, u8, bool)>,
}

/// One relation to one listing, for one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holds {
    listing: u64,
    relation: u8,
    exempt: bool,
}

/// What everybody has, by identity.
type Held = BTreeMap<Who, BTreeSet<Holds>>;

impl Reference {
    /// What one person or organisation is answered.
    pub(crate) fn answer(&self, held: &Held, who: Who) -> Answer {
        let mut found: BTreeMap<Holds, bool> = BTreeMap::new();
        for (one, of) in held.iter().filter(|(one, _)| one.meets(who)) {
            for holds in of {
                // Confirmed by one identity, it is confirmed.
                *found.entry(*holds).or_insert(true) &=
                    matches!(one, Who::Odd(_)) && self.wrong != Some(Wrong::FlaggedIsConfirmed);
            }
        }
        let firm = found.keys().any(|holds| !holds.exempt);
        let basis = || found.iter().filter(|(holds, _)| holds.exempt != firm);
        let confirmed: BTreeSet<u8> = basis().filter(|one| !one.1).map(|(holds, _)| holds.relation).collect();
        let relations: BTreeSet<u8> = basis().map(|(holds, _)| holds.relation).collect();
        let flagged = relations.difference(&confirmed).copied().collect();
        let listings = basis().filter(|_| firm).map(|(holds, flagged)| (holds.listing, holds.relation, *flagged));
        Answer { exempt: !firm && !relations.is_empty(), flagged, listings: listings.collect(), relations }
    }

    /// What everybody has for a measure.
    pub(crate) fn held(&self, measure: &str, item: Option<&str>) -> Held {
        let (now, mut held) = (self.now, Held::new());
        for (number, listing) in (1..).zip(&self.listings) {
            let hidden = listing.facts.own_unit && self.wrong != Some(Wrong::OwnUnitOnlyAnswers);
            if listing.state != State::Listed || hidden {
                continue;
            }
            let frees = |persons: &[Who]| {
                let known = self.wrong != Some(Wrong::ExemptionFreesNobody);
                let mut exemptions = listing.exemptions.iter().filter(|_| known);
                exemptions.any(|one| persons.iter().any(|who| who.meets(one.who)) && one.covers(measure, item, now))
            };
            let stays = self.wrong == Some(Wrong::CorrectedStaysReached);
            for who in if stays { &listing.ever } else { &listing.facts.who } {
                let (relation, exempt) = (Relation::Debtor.bit(), frees(&listing.ever));
                held.entry(*who).or_default().insert(Holds { listing: number, relation, exempt });
            }
            for one in &listing.relations {
                if !one.ended && one.until.is_none_or(|last| now < last.end()) {
                    let (relation, exempt) = (one.relation.bit(), frees(&[one.who]));
                    held.entry(one.who).or_default().insert(Holds { listing: number, relation, exempt });
                }
            }
        }
        held
    }
}

impl Exempted {
    fn covers(&self, measure: &str, item: Option<&str>, now: Timestamp) -> bool {
        !self.ended
            && (self.from <= now && now < self.until)
            && (self.measures.is_empty() || self.measures.iter().any(|code| code == measure))
            && (self.items.is_empty() || item.is_some_and(|item| self.items.iter().any(|code| code == item)))
    }
}
