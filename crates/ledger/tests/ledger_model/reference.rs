//! The plain model: every listing in a list, every question answered by looking through all of it.
//!
//! It shares no code with the ledger beyond the domain's types: states, terms and reach are worked out here once more.

use std::collections::{BTreeSet, HashMap};

use xinhub_domain::identity::{Identity, KeyInput};
use xinhub_domain::listing::{Draft, Exemption, RelationContent, State, Visibility};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::Outcome;
use xinhub_ledger::testing::identity;

/// What was done, as its caller knows it.
#[derive(Clone)]
pub(crate) enum Done {
    Notice(Draft),
    Propose(Draft),
    Publish(Draft),
    Approve,
    Reject,
    Withdraw,
    Serve { served_on: Day, grace_days: u32 },
    Amend(Draft),
    Rectify(Draft),
    Hide,
    Restore(Draft),
    Revoke,
    Remove,
    Extend { months: u32 },
    Exempt(Exemption),
    EndExemption(u64),
    SetRelation(RelationContent),
    EndRelation(u64),
}

impl Done {
    fn name(&self) -> &'static str {
        match self {
            Done::Notice(_) => "notice",
            Done::Propose(_) => "propose",
            Done::Publish(_) => "publish",
            Done::Approve => "approve",
            Done::Reject => "reject",
            Done::Withdraw => "withdraw",
            Done::Serve { .. } => "serve",
            Done::Amend(_) => "amend",
            Done::Rectify(_) => "rectify",
            Done::Hide => "hide",
            Done::Restore(_) => "restore",
            Done::Revoke => "revoke",
            Done::Remove => "remove",
            Done::Extend { .. } => "extend",
            Done::Exempt(_) => "exempt",
            Done::EndExemption(_) => "end exemption",
            Done::SetRelation(_) => "set relation",
            Done::EndRelation(_) => "end relation",
        }
    }
}

/// A proposal that nobody releases lapses after so many days (profile `spc-2017`).
const RELEASE_DAYS: u32 = 10;

#[derive(Clone)]
pub(crate) struct Listing {
    pub(crate) court: usize,
    pub(crate) state: State,
    pub(crate) draft: Draft,
    identities: Vec<Identity>,
    /// Also those that a rectification has replaced: an exemption given for one stays the debtor's.
    ever: Vec<Identity>,
    extended: u32,
    /// When it was proposed, while nobody has released it.
    proposed_on: Option<Day>,
    pub(crate) relations: Vec<(u64, RelationContent, bool)>,
    pub(crate) exemptions: Vec<(u64, Exemption, bool)>,
    /// What was done, for whoever looks into a difference.
    history: Vec<&'static str>,
}

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) listings: Vec<Listing>,
    relations: u64,
    exemptions: u64,
}

/// What a look-up finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) relations: BTreeSet<u8>,
    pub(crate) exempt: bool,
    pub(crate) listings: BTreeSet<(u64, u8)>,
}

/// What everybody has, by key.
#[derive(Default)]
pub(crate) struct Answers {
    firm: HashMap<KeyInput, BTreeSet<(u64, u8)>>,
    exempt: HashMap<KeyInput, BTreeSet<(u64, u8)>>,
}

impl Answers {
    fn add(&mut self, persons: &[Identity], held: (u64, u8), exempt: bool) {
        let into = if exempt { &mut self.exempt } else { &mut self.firm };
        for key in persons.iter().flat_map(Identity::keys) {
            into.entry(key).or_default().insert(held);
        }
    }

    /// What somebody has.
    pub(crate) fn of(&self, who: &Identity) -> Answer {
        let held = |by_key: &HashMap<KeyInput, BTreeSet<(u64, u8)>>| -> BTreeSet<(u64, u8)> {
            who.keys().filter_map(|key| by_key.get(&key)).flatten().copied().collect()
        };
        let (firm, exempt) = (held(&self.firm), held(&self.exempt));
        let relations = |held: &BTreeSet<(u64, u8)>| held.iter().map(|one| one.1).collect();
        if firm.is_empty() {
            Answer { relations: relations(&exempt), exempt: !exempt.is_empty(), listings: BTreeSet::new() }
        } else {
            Answer { relations: relations(&firm), exempt: false, listings: firm }
        }
    }
}

impl Listing {
    fn served_on(&self) -> Option<Day> {
        let decision = self.draft.decision.as_ref()?;
        Day::parse(&decision.served_on).ok()
    }

    fn grace_end(&self) -> Option<Day> {
        let days = self.draft.decision.as_ref()?.grace_days;
        self.served_on().filter(|_| days > 0).map(|day| day.plus_days(days))
    }

    pub(crate) fn until(&self) -> Option<Day> {
        let decision = self.draft.decision.as_ref().filter(|decision| decision.term_months > 0)?;
        Some(Day::parse(&decision.date).unwrap().plus_months(decision.term_months + self.extended))
    }

    /// Where a decision stands that was just made, served or restored.
    fn standing(&self, now: Timestamp) -> State {
        match (self.served_on(), self.grace_end()) {
            (None, _) => State::Decided,
            (_, Some(last)) if now.0 < last.end().0 => State::Grace,
            _ => State::Listed,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Withdrawn | State::Rejected | State::Revoked | State::Removed | State::Expired)
    }
}

fn new(court: usize, draft: Draft) -> Listing {
    Listing {
        court,
        state: State::Noticed,
        identities: parsed(&draft),
        ever: Vec::new(),
        draft,
        extended: 0,
        proposed_on: None,
        relations: Vec::new(),
        exemptions: Vec::new(),
        history: Vec::new(),
    }
}

fn meet(one: &Identity, other: &Identity) -> bool {
    one.keys().any(|key| other.keys().any(|other| key == other))
}

impl Reference {
    /// What has been acknowledged, in the order of revisions.
    pub(crate) fn apply(&mut self, court: usize, done: Done, outcome: &Outcome, now: Timestamp) {
        self.pass(now);
        if outcome.listing > self.listings.len() as u64 {
            assert_eq!(outcome.listing, self.listings.len() as u64 + 1, "numbers are dense");
            self.listings.push(new(court, Draft::default()));
        }
        let (relations, exemptions) = (&mut self.relations, &mut self.exemptions);
        let listing = &mut self.listings[outcome.listing as usize - 1];
        assert_eq!(listing.court, court, "a court touches its own listings only");
        let over = listing.is_over();
        listing.history.push(done.name());
        let lasting = matches!(done, Done::Rectify(_) | Done::EndRelation(_) | Done::EndExemption(_));
        assert!(!over || lasting, "listing {} is over", outcome.listing);
        let mut record = 0;
        match done {
            Done::Notice(draft) => (listing.draft, listing.state) = (draft, State::Noticed),
            Done::Propose(draft) => {
                (listing.draft, listing.state) = (draft, State::Proposed);
                listing.proposed_on = Some(now.day());
            }
            Done::Publish(draft) => {
                listing.draft = draft;
                listing.state = listing.standing(now);
            }
            Done::Approve => listing.state = listing.standing(now),
            Done::Reject => listing.state = State::Rejected,
            Done::Withdraw => listing.state = State::Withdrawn,
            Done::Serve { served_on, grace_days } => {
                let decision = listing.draft.decision.as_mut().unwrap();
                (decision.served_on, decision.grace_days) = (served_on.to_string(), grace_days);
                listing.state = listing.standing(now);
            }
            Done::Amend(draft) => listing.draft = Draft { decision: listing.draft.decision.clone(), ..draft },
            Done::Rectify(mut draft) => {
                if let (Some(new), Some(old)) = (&mut draft.decision, &listing.draft.decision) {
                    (new.served_on, new.grace_days) = (old.served_on.clone(), old.grace_days);
                }
                listing.draft = draft;
            }
            Done::Hide => listing.state = State::Hidden,
            Done::Restore(draft) => {
                (listing.draft.decision, listing.extended) = (draft.decision, 0);
                listing.state = listing.standing(now);
            }
            Done::Revoke => listing.state = State::Revoked,
            Done::Remove => listing.state = State::Removed,
            Done::Extend { months } => listing.extended += months,
            Done::Exempt(exemption) => {
                *exemptions += 1;
                record = *exemptions;
                listing.exemptions.push((record, exemption, false));
            }
            Done::SetRelation(content) => {
                *relations += 1;
                record = *relations;
                listing.relations.push((record, content, false));
            }
            Done::EndExemption(number) => {
                record = number;
                listing.exemptions.iter_mut().filter(|one| one.0 == number).for_each(|one| one.2 = true);
            }
            Done::EndRelation(number) => {
                record = number;
                listing.relations.iter_mut().filter(|one| one.0 == number).for_each(|one| one.2 = true);
            }
        }
        listing.identities = parsed(&listing.draft);
        listing.ever.extend(listing.identities.iter().cloned());
        assert_eq!((outcome.state, outcome.record), (listing.state, record), "listing {}", outcome.listing);
    }

    /// The record that this makes; 0 for none.
    pub(crate) fn next_record(&self, done: &Done) -> u64 {
        match done {
            Done::SetRelation(_) => self.relations + 1,
            Done::Exempt(_) => self.exemptions + 1,
            _ => 0,
        }
    }

    /// A listing's state after a row of an import.
    pub(crate) fn state_after(&self, listing: u64, done: &Done, now: Timestamp) -> State {
        match (self.listings.get(listing as usize - 1), done) {
            (Some(known), _) => known.state,
            (None, Done::Publish(draft)) => new(0, draft.clone()).standing(now),
            (None, _) => State::Noticed,
        }
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        for listing in &mut self.listings {
            if listing.state == State::Grace && listing.grace_end().is_some_and(|last| last.end() <= now) {
                listing.state = State::Listed;
            }
            let lapses = listing.proposed_on.is_some_and(|day| day.plus_days(RELEASE_DAYS).end() <= now);
            if listing.state == State::Proposed && lapses {
                listing.state = State::Withdrawn;
            }
            let ends = matches!(listing.state, State::Decided | State::Grace | State::Listed | State::Hidden);
            if ends && listing.until().is_some_and(|last| last.end() <= now) {
                listing.state = State::Expired;
            }
        }
    }

    /// What everybody has for a measure.
    pub(crate) fn answers(&self, measure: &str, item: Option<&str>, now: Timestamp) -> Answers {
        let mut answers = Answers::default();
        for (number, listing) in (1..).zip(&self.listings) {
            if listing.state != State::Listed || listing.draft.visibility == Visibility::OwnUnitOnly {
                continue;
            }
            let frees = |persons: &[Identity]| {
                listing.exemptions.iter().any(|(_, one, ended)| {
                    !ended
                        && persons.iter().any(|person| meet(person, &one.identity))
                        && (one.from <= now && now < one.until)
                        && (one.measures.is_empty() || one.measures.iter().any(|code| code == measure))
                        && (one.items.is_empty() || item.is_some_and(|item| one.items.iter().any(|code| code == item)))
                })
            };
            answers.add(&listing.identities, (number, Relation::Debtor.bit()), frees(&listing.ever));
            for (_, content, ended) in &listing.relations {
                if !ended && content.until.is_none_or(|last| now < last.end()) {
                    let person = std::slice::from_ref(&content.identity);
                    answers.add(person, (number, content.relation.bit()), frees(person));
                }
            }
        }
        answers
    }

    /// What was done to a listing, and how it stands.
    pub(crate) fn story(&self, listing: u64) -> String {
        let known = &self.listings[listing as usize - 1];
        format!("listing {listing}: {:?}, {:?}, {:?}", known.state, known.draft.visibility, known.history)
    }

    /// A listing of this court, case and subject that is not over.
    pub(crate) fn running(&self, court: usize, draft: &Draft) -> Option<u64> {
        let subject = parsed(draft);
        let same = |listing: &Listing| {
            listing.court == court
                && listing.draft.case_number == draft.case_number
                && !listing.is_over()
                && listing.identities.iter().any(|one| subject.iter().any(|other| meet(one, other)))
        };
        self.listings.iter().position(same).map(|at| at as u64 + 1)
    }
}

fn parsed(draft: &Draft) -> Vec<Identity> {
    draft.identities.iter().map(identity).collect()
}
