//! The plain model: every listing and petition in a list, every question answered by looking through all of it.
//!
//! It shares no code with the ledger beyond the domain's types, its days and its calendar of working days: states, terms, reach,
//! deadlines, duties and refusals are worked out here once more, from ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use xinhub_domain::deadline::{Calendar, Clock};
use xinhub_domain::listing::{ObjectionGround, PetitionKind, PetitionState, State};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::{Day, Timestamp};

use crate::steps::{Etag, Tag, Try, What};
use crate::world::{BUREAU, CLIENTS, Facts, HIGH, PARTIES, Who, meet};

mod answers;
mod clock;
mod files;
mod registry;
mod remedy;
mod unit;

pub(crate) use answers::Answer;
pub(crate) use files::{FileRow, RowSeen};
pub(crate) use registry::{DEFERRAL_GROUNDS, EXEMPTION_GROUNDS, REMOVAL_GROUNDS, needs};

/// A deliberate fault of the model, by which the test shows that it finds such a fault in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    LiftOpensNoDuty,
    ReviewIsADayLonger,
    OwnUnitOnlyAnswers,
    LapseIsForgotten,
    DaysWhileDownAreMissed,
    SecondLiftProlongs,
    RestoredStaysOwed,
    RetentionNeverEnds,
    ProposerReleases,
    ReasonIsNeverOwed,
    LateIsNotMarked,
    WorkingDaysAreWeekdays,
    NewRulesMoveWhatRuns,
    FlaggedIsConfirmed,
    ExemptionFreesNobody,
    CorrectedStaysReached,
    NobodyCountersigns,
}

impl Wrong {
    pub(crate) const ALL: [Wrong; 17] = [
        Wrong::LiftOpensNoDuty,
        Wrong::ReviewIsADayLonger,
        Wrong::OwnUnitOnlyAnswers,
        Wrong::LapseIsForgotten,
        Wrong::DaysWhileDownAreMissed,
        Wrong::SecondLiftProlongs,
        Wrong::RestoredStaysOwed,
        Wrong::RetentionNeverEnds,
        Wrong::ProposerReleases,
        Wrong::ReasonIsNeverOwed,
        Wrong::LateIsNotMarked,
        Wrong::WorkingDaysAreWeekdays,
        Wrong::NewRulesMoveWhatRuns,
        Wrong::FlaggedIsConfirmed,
        Wrong::ExemptionFreesNobody,
        Wrong::CorrectedStaysReached,
        Wrong::NobodyCountersigns,
    ];
}

/// Why a mutation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    State,
    Petition,
    NotFound,
    OtherCourt,
    StaleEtag,
    Exists,
    SecondPerson,
    NotASigner,
    NoApprover,
    Faults,
}

pub(crate) type Whys = BTreeSet<Why>;

/// What whoever asked for a mutation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) listing: u64,
    pub(crate) record: u64,
    pub(crate) state: State,
    pub(crate) petition: Option<PetitionState>,
    pub(crate) stale: bool,
    pub(crate) reason_owed: bool,
    pub(crate) late: bool,
}

/// What was done, or every reason that there is to refuse it.
pub(crate) type Verdict = Result<Done, Whys>;

/// A deadline that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) since: Day,
    pub(crate) due: Day,
    pub(crate) overdue: bool,
}

/// What a client owes, or owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) client: &'static str,
    pub(crate) clock: Clock,
    pub(crate) open: Open,
    /// How it was closed, and when.
    pub(crate) closed: Option<(&'static str, Timestamp)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Related {
    pub(crate) number: u64,
    pub(crate) who: Who,
    pub(crate) relation: Relation,
    pub(crate) until: Option<Day>,
    pub(crate) ended: bool,
    /// Who named it, where no second person has seen it.
    named_alone: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Exempted {
    pub(crate) number: u64,
    who: Who,
    measures: Vec<String>,
    items: Vec<String>,
    from: Timestamp,
    until: Timestamp,
    pub(crate) ended: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) client: usize,
    pub(crate) until: Day,
    pub(crate) ended: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) court: usize,
    pub(crate) state: State,
    pub(crate) facts: Facts,
    /// Also those that a rectification has replaced: an exemption given for one stays the debtor's.
    ever: Vec<Who>,
    /// Who last gave it its content: who releases it must be another.
    shaped_by: Vec<String>,
    pub(crate) relations: Vec<Related>,
    pub(crate) exemptions: Vec<Exempted>,
    pub(crate) told: BTreeSet<usize>,
    /// Who imposed a measure, and whether it was lifted since.
    pub(crate) imposed: Vec<(usize, bool)>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) duties: Vec<Duty>,
    pub(crate) clocks: BTreeMap<Clock, Open>,
    pub(crate) deferred_by: Vec<String>,
    creditor_asked_on: Option<Day>,
    /// It was in force once.
    pub(crate) was_listed: bool,
    /// As last read from the ledger.
    pub(crate) etag: u64,
    /// Something has moved the etag since.
    pub(crate) touched: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Petition {
    pub(crate) kind: PetitionKind,
    pub(crate) state: PetitionState,
    /// 0 for an application.
    pub(crate) listing: u64,
    pub(crate) court: usize,
    pub(crate) intake: usize,
    pub(crate) against: Option<usize>,
    pub(crate) ground: Option<ObjectionGround>,
    /// Of an application.
    pub(crate) case: u32,
    pub(crate) debtor: Option<Who>,
    /// It was late, and so many things were done with it since.
    pub(crate) late: bool,
    pub(crate) steps: usize,
    served: Option<Day>,
    pub(crate) clock: Option<(Clock, Open)>,
    pub(crate) etag: u64,
}

#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) now: Timestamp,
    pub(crate) listings: Vec<Listing>,
    pub(crate) petitions: Vec<Petition>,
    relations: u64,
    exemptions: u64,
    tags: BTreeMap<Tag, u64>,
    /// By number, from 1: the tag of each listing, petition, relation and exemption.
    pub(crate) of_listings: Vec<Tag>,
    pub(crate) of_petitions: Vec<Tag>,
    pub(crate) of_relations: Vec<Tag>,
    pub(crate) of_exemptions: Vec<Tag>,
    wrong: Option<Wrong>,
    /// The first two courts have exchanged their profiles.
    exchanged: bool,
    /// When the hub was last down: only a wrong model looks at it.
    down: Option<(Timestamp, Timestamp)>,
}

impl Reference {
    pub(crate) fn new(now: Timestamp, wrong: Option<Wrong>) -> Reference {
        Reference {
            now,
            listings: Vec::new(),
            petitions: Vec::new(),
            relations: 0,
            exemptions: 0,
            tags: BTreeMap::new(),
            of_listings: Vec::new(),
            of_petitions: Vec::new(),
            of_relations: Vec::new(),
            of_exemptions: Vec::new(),
            wrong,
            exchanged: false,
            down: None,
        }
    }

    pub(crate) fn today(&self) -> Day {
        self.now.day()
    }

    /// The number of what a step has made; 0 if it has made nothing.
    pub(crate) fn find(&self, tag: Option<Tag>) -> u64 {
        tag.and_then(|tag| self.tags.get(&tag)).copied().unwrap_or(0)
    }

    pub(crate) fn listing(&self, number: u64) -> Option<&Listing> {
        self.listings.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(crate) fn petition(&self, number: u64) -> Option<&Petition> {
        self.petitions.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Decides a mutation, and does it unless it is refused.
    pub(crate) fn act(&mut self, one: &Try, etag: Option<u64>) -> Verdict {
        if !one.approver.is_empty() && !one.what.takes_approver() {
            return self.with_approver(one, etag);
        }
        match &one.what {
            What::Notice(says) | What::Propose(says, _) | What::Publish(says, _) if one.on.is_none() => {
                self.begin(one, says)
            }
            What::Apply { court, case, debtor, ago } => self.apply_to_court(one, *court, *case, *debtor, *ago),
            What::Object { .. } | What::Complain { .. } => self.file(one),
            What::RefuseIntake { .. }
            | What::Decide(_)
            | What::ServeFinding { .. }
            | What::AskReconsideration { .. }
            | What::Reconsider(_)
            | What::TakeBack => self.on_petition(one, etag),
            What::Imposed | What::Lifted | What::Acknowledged | What::Retained { .. } | What::Handled => {
                self.report(one)
            }
            _ => self.on_listing(one, etag),
        }
    }

    /// Refused for the second person who is named, if for nothing else: tried on a copy, to know every reason.
    fn with_approver(&self, one: &Try, etag: Option<u64>) -> Verdict {
        let plain = Try { approver: "", ..one.clone() };
        let mut why = self.clone().act(&plain, etag).err().unwrap_or_default();
        why.insert(Why::Faults);
        Err(why)
    }

    /// Notes which etags an acknowledged mutation has moved to where.
    pub(crate) fn moved(&mut self, one: &Try, done: &Done, etag: u64) {
        let at = usize::try_from(done.listing).unwrap_or(0).wrapping_sub(1);
        match &one.what {
            What::Imposed | What::Lifted | What::Acknowledged | What::Retained { .. } | What::Handled => {}
            // Beside the listing: its etag stays.
            What::Defer { .. } => {}
            _ if done.petition.is_some() => {
                self.petitions[usize::try_from(done.record).unwrap_or(0) - 1].etag = etag;
                let redress = match &one.what {
                    What::Decide(finds) | What::Reconsider(finds) => finds.redress.is_some(),
                    _ => false,
                };
                if redress {
                    // The lift stands in the same entry, right after the finding.
                    (self.listings[at].etag, self.listings[at].touched) = (etag + 1, false);
                }
            }
            _ => (self.listings[at].etag, self.listings[at].touched) = (etag, false),
        }
    }

    /// A listing of this court, case and subject that is not over, other than one.
    pub(crate) fn running(&self, court: usize, case: u32, who: &[Who], but: u64) -> Option<u64> {
        let same = |(number, listing): (u64, &Listing)| {
            let found = number != but
                && listing.court == court
                && listing.facts.case == case
                && !is_over(listing.state)
                && meet(&listing.facts.who, who);
            found.then_some(number)
        };
        (1..).zip(&self.listings).find_map(same)
    }

    /// The last day of a clock of a court that starts on a day (profiles `spc-2017` and `leizhou`).
    fn due(&self, court: usize, clock: Clock, from: Day) -> Option<Day> {
        let leizhou = court == usize::from(!self.exchanged);
        let (days, working) = match clock {
            Clock::Object if leizhou => (10, false),
            Clock::Object => return None,
            Clock::Review if leizhou => (3, false),
            Clock::Review if self.wrong == Some(Wrong::ReviewIsADayLonger) => (16, false),
            Clock::DecideApplication | Clock::Review | Clock::DecideReconsideration | Clock::HandleNotice => {
                (15, false)
            }
            Clock::AskReconsideration | Clock::Release => (10, false),
            Clock::GiveReason | Clock::AnswerComplaint => (3, true),
            Clock::LiftMeasures | Clock::Remove => (3, !leizhou),
        };
        let worked = |day: Day| match self.wrong {
            Some(Wrong::WorkingDaysAreWeekdays) => (day.0 + 3) % 7 < 5,
            _ => Calendar::shipped().is_working(day),
        };
        let (mut day, mut left) = (from, days);
        while left > 0 {
            day = Day(day.0 + 1);
            left -= u32::from(!working || worked(day));
        }
        // A party's period ends on a working day; nobody else's is lengthened so.
        let of_party = matches!(clock, Clock::Object | Clock::AskReconsideration);
        while of_party && !worked(day) {
            day = Day(day.0 + 1);
        }
        Some(day)
    }

    /// The first two courts exchange their profiles, or have their own again. What runs keeps its day.
    pub(crate) fn exchange(&mut self, exchanged: bool) {
        self.exchanged = exchanged;
        if self.wrong == Some(Wrong::NewRulesMoveWhatRuns) {
            for at in 0..self.petitions.len() {
                let petition = &self.petitions[at];
                let moved = petition.clock.filter(|(_, open)| !open.overdue).map(|(clock, open)| {
                    let due = self.due(petition.court, clock, open.since).unwrap_or(open.due);
                    (clock, Open { due, ..open })
                });
                self.petitions[at].clock = moved.or(petition.clock);
            }
        }
    }

    fn opening(&self, court: usize, clock: Clock, from: Day) -> Option<Open> {
        self.due(court, clock, from).map(|due| Open { since: self.today(), due, overdue: false })
    }

    /// Starts a clock of a listing's court, unless it runs.
    fn begin_clock(&mut self, at: usize, clock: Clock) {
        let open = self.opening(self.listings[at].court, clock, self.today());
        if let Some(open) = open {
            self.listings[at].clocks.entry(clock).or_insert(open);
        }
    }

    fn end_clocks(&mut self, at: usize, clocks: &[Clock]) {
        self.listings[at].clocks.retain(|clock, _| !clocks.contains(clock));
    }

    /// A client owes something from today on, unless it does already.
    fn open_duty(&mut self, at: usize, client: usize, clock: Clock) {
        let Some(open) = self.opening(self.listings[at].court, clock, self.today()) else { return };
        let (now, wrong) = (self.now, self.wrong);
        let same = |duty: &&mut Duty| duty.client == PARTIES[client] && duty.clock == clock && duty.closed.is_none();
        let duties = &mut self.listings[at].duties;
        match duties.iter_mut().find(same) {
            Some(duty) if wrong == Some(Wrong::SecondLiftProlongs) && duty.open.due.end() > now => {
                duty.open.due = open.due;
            }
            Some(_) => {}
            None => duties.push(Duty { client: PARTIES[client], clock, open, closed: None }),
        }
    }

    fn close_duty(&mut self, at: usize, client: usize, clock: Clock, how: &'static str) {
        let now = self.now;
        for duty in &mut self.listings[at].duties {
            if duty.client == PARTIES[client] && duty.clock == clock && duty.closed.is_none() {
                duty.closed = Some((how, now));
            }
        }
    }

    /// A listing's state after something has happened to it, and what units owe from then on.
    fn enter(&mut self, at: usize, before: Option<State>, state: State, lift: bool) {
        let listing = &mut self.listings[at];
        listing.state = state;
        listing.was_listed |= state == State::Listed;
        let own_unit = listing.facts.own_unit;
        if state == State::Listed && before != Some(State::Listed) && self.wrong != Some(Wrong::RestoredStaysOwed) {
            // In force again: what units do is lawful again.
            for client in CLIENTS {
                self.close_duty(at, client, Clock::LiftMeasures, "restored");
            }
        }
        if lift && before == Some(State::Listed) && self.wrong != Some(Wrong::LiftOpensNoDuty) {
            for client in self.listings[at].acted() {
                self.open_duty(at, client, Clock::LiftMeasures);
            }
        }
        if is_over(state) && !before.is_some_and(is_over) {
            // Nothing is left of its notice to handle.
            for client in CLIENTS {
                self.close_duty(at, client, Clock::HandleNotice, "ended");
            }
        }
        let takes_effect = |state| matches!(state, State::Grace | State::Listed);
        if own_unit && takes_effect(state) && !before.is_some_and(takes_effect) {
            self.open_duty(at, BUREAU, Clock::HandleNotice);
        }
    }
}

impl Listing {
    fn new(court: usize, facts: Facts, author: &str) -> Listing {
        Listing {
            court,
            state: State::Noticed,
            ever: facts.who.clone(),
            facts,
            shaped_by: vec![author.to_owned()],
            relations: Vec::new(),
            exemptions: Vec::new(),
            told: BTreeSet::new(),
            imposed: Vec::new(),
            kept: Vec::new(),
            duties: Vec::new(),
            clocks: BTreeMap::new(),
            deferred_by: Vec::new(),
            creditor_asked_on: None,
            was_listed: false,
            etag: 0,
            touched: true,
        }
    }

    /// Where a decision stands that was just made, served, released or restored.
    fn standing(&self, now: Timestamp) -> State {
        let Some(decision) = self.facts.decision else { return self.state };
        match (decision.served, decision.grace_end()) {
            (None, _) => State::Decided,
            (_, Some(last)) if now < last.end() => State::Grace,
            _ => State::Listed,
        }
    }

    /// Every client that acted on it, or was told of it.
    fn acted(&self) -> BTreeSet<usize> {
        let imposed = self.imposed.iter().filter(|one| !one.1).map(|one| one.0);
        let noticed = self.duties.iter().filter(|duty| duty.clock == Clock::HandleNotice).map(|_| BUREAU);
        self.told.iter().copied().chain(imposed).chain(noticed).collect()
    }

    pub(crate) fn etag_as(&self, given: Etag) -> Option<u64> {
        etag_as(self.etag, given)
    }

    pub(crate) fn grace_end(&self) -> Option<Day> {
        let decision = self.facts.decision.filter(|_| self.state == State::Grace)?;
        decision.grace_end()
    }
}

pub(crate) fn is_over(state: State) -> bool {
    matches!(state, State::Withdrawn | State::Rejected | State::Revoked | State::Removed | State::Expired)
}

/// An etag as a caller gives it.
pub(crate) fn etag_as(current: u64, given: Etag) -> Option<u64> {
    match given {
        Etag::Current => Some(current),
        Etag::Stale => Some(current.saturating_sub(1)),
        Etag::Absent => None,
    }
}

/// Whether a party is this court, or the court above it.
fn judges(party: usize, court: usize) -> bool {
    party == court || is_above(party, court)
}

fn is_above(party: usize, court: usize) -> bool {
    party == HIGH && court != HIGH
}

fn is_court(party: usize) -> bool {
    party <= HIGH
}
