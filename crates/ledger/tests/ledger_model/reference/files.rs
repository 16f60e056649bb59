//! Rows of a court's file.

use super::{Listing, Reference, Related, is_over};
use crate::steps::{Relates, Tag};
use crate::world::{Decided, Facts, Who, meet};

/// A row as it is sent.
#[derive(Clone, Debug)]
pub(crate) enum FileRow {
    Listing(Facts),
    Relation { case: u32, subject: Who, relates: Relates },
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowSeen {
    Added(u64),
    Amended(u64),
    Unchanged(u64),
    Fault(&'static str),
}

impl Reference {
    /// Takes a row as if those before it were done already.
    pub(crate) fn row(&mut self, court: usize, amend: bool, tag: Tag, row: &FileRow) -> RowSeen {
        match row {
            FileRow::Listing(facts) => self.listing_row(court, amend, tag, facts),
            FileRow::Relation { case, subject, relates } => self.relation_row(court, tag, *case, *subject, relates),
        }
    }

    fn of_case(&self, court: usize, case: u32) -> impl Iterator<Item = (usize, &Listing)> {
        let listings = self.listings.iter().enumerate();
        listings.filter(move |(_, one)| one.court == court && one.facts.case == case)
    }

    fn listing_row(&mut self, court: usize, amend: bool, tag: Tag, facts: &Facts) -> RowSeen {
        let attested = facts.decision.is_some_and(|decision| decision.attested);
        let known: Vec<usize> = self
            .of_case(court, facts.case)
            .filter(|(_, one)| meet(&one.facts.who, &facts.who))
            .map(|one| one.0)
            .collect();
        if let Some(at) = known.iter().find(|at| !is_over(self.listings[**at].state)) {
            return self.known_row(*at, amend, attested, facts);
        }
        if !known.is_empty() {
            return RowSeen::Fault("ended");
        }
        // A file from before a rectification would list the wrong person again.
        if self.of_case(court, facts.case).any(|(_, one)| meet(&one.ever, &facts.who)) {
            return RowSeen::Fault("refused");
        }
        if !facts.noticed && !attested {
            return RowSeen::Fault("no notice");
        }
        let at = self.listings.len();
        self.listings.push(Listing::new(court, facts.clone(), "clerk"));
        self.tags.insert(tag, at as u64 + 1);
        self.of_listings.push(tag);
        let state = self.listings[at].standing(self.now);
        self.enter(at, None, state, false);
        RowSeen::Added(at as u64 + 1)
    }

    fn known_row(&mut self, at: usize, amend: bool, attested: bool, row: &Facts) -> RowSeen {
        use xinhub_domain::listing::State;
        let (now, number) = (self.now, at as u64 + 1);
        let listing = &mut self.listings[at];
        if listing.state == State::Noticed && !attested {
            if !listing.facts.noticed && !row.noticed {
                return RowSeen::Fault("no notice");
            }
            // The decision that the notice has led to; who may be shown it, the notice has said.
            let own_unit = listing.facts.own_unit;
            listing.facts = Facts { own_unit, noticed: true, ..row.clone() };
            listing.ever.extend(row.who.iter().copied());
            listing.shaped_by.push("clerk".to_owned());
            listing.touched = true;
            let state = listing.standing(now);
            self.enter(at, Some(State::Noticed), state, false);
            return RowSeen::Added(number);
        }
        let dates = |decision: Option<Decided>| decision.map(|decision| decision.date);
        let amends = (&listing.facts.who, listing.facts.fixed) == (&row.who, row.fixed)
            && dates(listing.facts.decision) == dates(row.decision);
        if amends && listing.facts.conduct == row.conduct {
            return RowSeen::Unchanged(number);
        }
        if !amend {
            return RowSeen::Fault("differs");
        }
        if !amends {
            return RowSeen::Fault("refused");
        }
        listing.facts.conduct = row.conduct;
        listing.shaped_by.push("clerk".to_owned());
        listing.touched = true;
        RowSeen::Amended(number)
    }

    fn relation_row(&mut self, court: usize, tag: Tag, case: u32, subject: Who, relates: &Relates) -> RowSeen {
        let named: Vec<usize> =
            self.of_case(court, case).filter(|(_, one)| meet(&one.facts.who, &[subject])).map(|one| one.0).collect();
        let running = named.iter().find(|at| !is_over(self.listings[**at].state));
        let Some(at) = running.or(named.last()).copied() else { return RowSeen::Fault("not found") };
        let until = relates.until.map(|days| self.today().plus_days(days));
        let (number, listing) = (at as u64 + 1, &mut self.listings[at]);
        if is_over(listing.state) {
            return RowSeen::Fault("refused");
        }
        let mut same =
            listing.relations.iter().filter(|one| one.who.meets(relates.who) && one.relation == relates.relation);
        if same.clone().any(|one| !one.ended && one.until == until) {
            return RowSeen::Unchanged(number);
        }
        let longer = until.zip(listing.facts.until()).is_some_and(|(own, whole)| own > whole);
        if same.next().is_some() || longer || !listing.facts.is_organisation() {
            return RowSeen::Fault("refused");
        }
        self.relations += 1;
        self.tags.insert(tag, self.relations);
        self.of_relations.push(tag);
        let (number_of, who, relation) = (self.relations, relates.who, relates.relation);
        listing.relations.push(Related {
            number: number_of,
            who,
            relation,
            until,
            ended: false,
            named_alone: Some("clerk".to_owned()),
        });
        listing.touched = true;
        RowSeen::Added(number)
    }
}
