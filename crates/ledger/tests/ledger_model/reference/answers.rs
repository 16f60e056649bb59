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
    pub(crate) listings: BTreeSet<(u64, u8)>,
}

/// What everybody has, by identity: by which relation to which listing, and whether an exemption covers it.
type Held = BTreeMap<Who, BTreeSet<(u64, u8, bool)>>;

impl Reference {
    /// What one person or organisation is answered.
    pub(crate) fn answer(&self, held: &Held, who: Who) -> Answer {
        let mut found = BTreeSet::new();
        for (_, of) in held.iter().filter(|(one, _)| one.meets(who)) {
            found.extend(of.iter().copied());
        }
        let firm: BTreeSet<(u64, u8)> = found.iter().filter(|one| !one.2).map(|one| (one.0, one.1)).collect();
        if firm.is_empty() {
            let relations: BTreeSet<u8> = found.iter().map(|one| one.1).collect();
            return Answer { exempt: !relations.is_empty(), relations, listings: BTreeSet::new() };
        }
        Answer { relations: firm.iter().map(|one| one.1).collect(), exempt: false, listings: firm }
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
                let mut exemptions = listing.exemptions.iter();
                exemptions.any(|one| persons.iter().any(|who| who.meets(one.who)) && one.covers(measure, item, now))
            };
            for who in &listing.facts.who {
                held.entry(*who).or_default().insert((number, Relation::Debtor.bit(), frees(&listing.ever)));
            }
            for one in &listing.relations {
                if !one.ended && one.until.is_none_or(|last| now < last.end()) {
                    held.entry(one.who).or_default().insert((number, one.relation.bit(), frees(&[one.who])));
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
