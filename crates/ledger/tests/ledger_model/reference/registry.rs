//! What a court does with its listings.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{PetitionKind, PetitionState, State};
use xinhub_domain::time::Timestamp;

use super::{Done, Exempted, Listing, Reference, Related, Verdict, Why, Whys, Wrong, is_over};
use crate::steps::{Basis, Correction, Says, Tag, Try, What, before};
use crate::world::{Facts, SIGNERS, Who, meet};

/// Longest grace, in days.
const GRACE_MAX_DAYS: u32 = 92;
/// For so many months no application lists a case again that its creditor asked to be taken off.
const RELIST_AFTER_MONTHS: u32 = 6;
/// Longest exemption and deferral, in days.
const EXEMPTION_MAX_DAYS: u32 = 31;
const DEFERRAL_MAX_DAYS: u32 = 30;

pub(crate) const EXEMPTION_GROUNDS: [&str; 5] = ["illness", "funeral", "official_duty", "exam", "own_property"];
pub(crate) const DEFERRAL_GROUNDS: [&str; 2] = ["confidential_by_law", "impedes_duty"];
/// Grounds on which a listing without a term is removed.
pub(crate) const REMOVAL_GROUNDS: [&str; 7] = [
    "performed",
    "settlement_performed",
    "creditor_request",
    "no_assets_found",
    "stayed",
    "enforcement_refused",
    "enforcement_terminated",
];

fn is_ground(code: &str) -> bool {
    REMOVAL_GROUNDS.contains(&code) || ["early_deletion", "wrongly_listed"].contains(&code)
}

/// The states in which something may be done; `None`: in all of them, ended or not.
pub(crate) fn needs(what: &What) -> Option<&'static [State]> {
    use State::{Decided, Grace, Hidden, Listed, Noticed, Proposed};
    Some(match what {
        What::Propose(..) | What::Publish(..) => &[Noticed],
        What::Approve | What::Reject => &[Proposed],
        What::Withdraw => &[Noticed, Proposed, Decided],
        What::Serve { .. } => &[Decided],
        What::WidenGrace(_) => &[Grace, Listed],
        What::Hide(_) | What::Extend { .. } => &[Decided, Grace, Listed, Hidden],
        What::Restore(_) => &[Hidden],
        What::Amend { .. }
        | What::Exempt(_)
        | What::SetRelation(_)
        | What::RecordPerformance { .. }
        | What::Revoke(_)
        | What::Remove(_) => &[Noticed, Proposed, Decided, Grace, Listed, Hidden],
        _ => return None,
    })
}

impl Reference {
    /// A listing that is not there yet.
    pub(super) fn begin(&mut self, one: &Try, says: &Says) -> Verdict {
        let (court, mut why, mut facts) = (one.by, Whys::new(), says.facts(self.today()));
        if let What::Propose(_, follows) | What::Publish(_, follows) = &one.what {
            if !facts.noticed {
                why.insert(Why::Faults);
            }
            why.extend(self.follows(court, &facts, *follows));
        } else {
            facts.decision = None;
        }
        if self.running(court, facts.case, &facts.who, 0).is_some() {
            why.insert(Why::Exists);
        }
        if !why.is_empty() {
            return Err(why);
        }
        let at = self.listings.len();
        let listing = Listing::new(court, facts, one.staff);
        let state = match &one.what {
            What::Notice(_) => State::Noticed,
            What::Propose(..) => State::Proposed,
            _ => listing.standing(self.now),
        };
        self.listings.push(listing);
        self.enter(at, None, state, false);
        if state == State::Proposed {
            self.begin_clock(at, Clock::Release);
        }
        self.tags.insert(one.tag, at as u64 + 1);
        self.of_listings.push(one.tag);
        Ok(self.done(at, 0))
    }

    fn done(&self, at: usize, record: u64) -> Done {
        let state = self.listings[at].state;
        let (listing, petition) = (at as u64 + 1, None);
        Done { listing, record, state, petition, stale: false, reason_owed: false, late: false }
    }

    /// What is wrong with the application that a listing follows.
    fn follows(&self, court: usize, facts: &Facts, application: Option<Tag>) -> Whys {
        let Some(tag) = application else { return Whys::new() };
        let asked = self.petition(self.find(Some(tag)));
        let Some(asked) = asked.filter(|one| one.court == court && one.kind == PetitionKind::Application) else {
            return Whys::from([Why::NotFound]);
        };
        let same = asked.case == facts.case && asked.debtor.is_some_and(|debtor| meet(&[debtor], &facts.who));
        let today = self.today();
        let barred = self.listings.iter().any(|one| {
            let asked_on = one.creditor_asked_on.filter(|day| today < day.plus_months(RELIST_AFTER_MONTHS));
            let same = one.court == court && one.facts.case == facts.case && meet(&one.facts.who, &facts.who);
            same && asked_on.is_some()
        });
        let fits = asked.state == PetitionState::Upheld && same && !barred;
        if fits { Whys::new() } else { Whys::from([Why::Faults]) }
    }

    /// Something is done with a listing.
    pub(super) fn on_listing(&mut self, one: &Try, etag: Option<u64>) -> Verdict {
        let number = self.find(one.on);
        let Some(listing) = self.listing(number) else { return Err(Whys::from([Why::NotFound])) };
        if listing.court != one.by {
            // What only its own unit may be shown is to other courts as if it were not there.
            return Err(Whys::from([if listing.facts.own_unit { Why::NotFound } else { Why::OtherCourt }]));
        }
        let mut why = self.refusals(one, number);
        let beside = matches!(one.what, What::Defer { .. });
        let stale = !beside && read(etag, listing.etag, one.what.is_lift(), &mut why);
        if !why.is_empty() {
            return Err(why);
        }
        let done = self.change(one, number as usize - 1);
        Ok(Done { stale, ..done })
    }

    /// Why something can't be done with a listing, whoever asks.
    pub(super) fn refusals(&self, one: &Try, number: u64) -> Whys {
        let listing = &self.listings[number as usize - 1];
        let mut why = Whys::new();
        if needs(&one.what).is_some_and(|states| !states.contains(&listing.state)) {
            why.insert(Why::State);
        }
        match &one.what {
            What::Propose(says, follows) | What::Publish(says, follows) => {
                let facts = says.facts(self.today());
                // Another's notice is no notice.
                let follows_it = facts.case == listing.facts.case && meet(&facts.who, &listing.facts.who);
                if !follows_it || (!facts.noticed && !listing.facts.noticed) {
                    why.insert(Why::Faults);
                }
                if self.running(listing.court, facts.case, &facts.who, number).is_some() {
                    why.insert(Why::Exists);
                }
                why.extend(self.follows(listing.court, &facts, *follows));
            }
            What::Approve => {
                if listing.shaped_by.iter().any(|staff| staff == one.staff)
                    && self.wrong != Some(Wrong::ProposerReleases)
                {
                    why.insert(Why::SecondPerson);
                }
                let running = listing.relations.iter().filter(|relation| !relation.ended);
                let named = running.filter_map(|relation| relation.named_alone.as_deref()).any(|who| who == one.staff);
                if named {
                    why.insert(Why::SecondPerson);
                }
                if !SIGNERS.contains(&one.staff) {
                    why.insert(Why::NotASigner);
                }
                if listing.facts.decision.is_none() {
                    why.insert(Why::Faults);
                }
            }
            What::Rectify(correction) => why.extend(self.uncorrectable(number, correction)),
            What::Defer { ground, days } => {
                let fits = DEFERRAL_GROUNDS.contains(ground) && *days <= DEFERRAL_MAX_DAYS;
                match listing.deferred_by.as_slice() {
                    [] => {}
                    [first] if *first == one.staff => drop(why.insert(Why::SecondPerson)),
                    [_] => {}
                    _ => drop(why.insert(Why::Faults)),
                }
                if !fits {
                    why.insert(Why::Faults);
                }
            }
            what => {
                if let Some(reason) = self.unfit(listing, what) {
                    why.insert(reason);
                }
            }
        }
        if self.restricts(listing, &one.what) {
            match one.approver {
                "" => drop(why.insert(Why::NoApprover)),
                same if same == one.staff => drop(why.insert(Why::SecondPerson)),
                other if !SIGNERS.contains(&other) => drop(why.insert(Why::NotASigner)),
                _ => {}
            }
        }
        why
    }

    /// Whether it restricts somebody further than before (ARCHITECTURE.md, "What takes a second person"). No correction here
    /// lengthens a term.
    fn restricts(&self, listing: &Listing, what: &What) -> bool {
        let begun = listing.state != State::Noticed && !is_over(listing.state);
        let further = match what {
            What::Rectify(correction) => correction.who.iter().any(|who| !reaches(&listing.facts.who, *who)),
            what => what.may_restrict(),
        };
        begun && further && self.wrong != Some(Wrong::NobodyCountersigns)
    }

    /// What is wrong with the content of an act; the first reason is the only one.
    fn unfit(&self, listing: &Listing, what: &What) -> Option<Why> {
        let (today, decision) = (self.today(), listing.facts.decision);
        let fits = match what {
            What::Serve { ago, grace } => {
                decision.is_some_and(|one| before(today, *ago) >= one.date) && *grace <= GRACE_MAX_DAYS
            }
            What::WidenGrace(days) => decision.is_some_and(|one| {
                let served = one.served.filter(|_| *days > one.grace && *days <= GRACE_MAX_DAYS);
                served.is_some_and(|served| served.plus_days(*days).end() > self.now)
            }),
            What::Amend { other_case, .. } => !other_case,
            What::Extend { months } => {
                let fixed = decision.filter(|_| listing.facts.fixed);
                fixed.is_some_and(|one| (12..=36).contains(months) && one.extended + months <= 36)
            }
            What::Exempt(exempts) => {
                let related = listing.relations.iter().any(|one| one.who.meets(exempts.who));
                let known = related || meet(&listing.ever, &[exempts.who]);
                known && EXEMPTION_GROUNDS.contains(&exempts.ground) && exempts.hours <= EXEMPTION_MAX_DAYS * 24
            }
            What::EndExemption(tag) => {
                let number = self.find(Some(*tag));
                let found = listing.exemptions.iter().any(|one| one.number == number && !one.ended);
                return (!found).then_some(Why::NotFound);
            }
            What::EndRelation(tag, _) => {
                let number = self.find(Some(*tag));
                let found = listing.relations.iter().any(|one| one.number == number && !one.ended);
                return (!found).then_some(Why::NotFound);
            }
            What::SetRelation(relates) => {
                let until = relates.until.map(|days| today.plus_days(days));
                let longer = until.zip(listing.facts.until()).is_some_and(|(own, whole)| own > whole);
                let mut running = listing.relations.iter().filter(|one| !one.ended);
                let twice = running.any(|one| one.who.meets(relates.who) && one.relation == relates.relation);
                listing.facts.is_organisation() && !longer && !twice
            }
            What::GiveReason(_) if !listing.clocks.contains_key(&Clock::GiveReason) => return Some(Why::NotFound),
            What::GiveReason("wrongly_listed") => true,
            What::GiveReason(ground) => match listing.state {
                State::Revoked => false,
                State::Removed if listing.facts.fixed => *ground == "early_deletion",
                State::Removed => REMOVAL_GROUNDS.contains(ground),
                _ => is_ground(ground),
            },
            What::RecordPerformance { ahead } => !ahead,
            _ => true,
        };
        (!fits).then_some(Why::Faults)
    }

    fn uncorrectable(&self, number: u64, correction: &Correction) -> Whys {
        let (listing, mut why) = (&self.listings[number as usize - 1], Whys::new());
        let organisation = correction.who.iter().any(|who| who.is_organisation());
        let related = listing.relations.iter().any(|one| !one.ended);
        if organisation != listing.facts.is_organisation() && related {
            why.insert(Why::Faults);
        }
        let other = self.running(listing.court, listing.facts.case, &correction.who, number);
        if !is_over(listing.state) && other.is_some() {
            why.insert(Why::Exists);
        }
        why
    }

    /// Does with a listing what was found to be right.
    pub(super) fn change(&mut self, one: &Try, at: usize) -> Done {
        let (now, today, what) = (self.now, self.today(), &one.what);
        let before = self.listings[at].state;
        let owes = self.owes_reason(at, what);
        let (ends, settles) = ends(what, before, owes);
        self.end_clocks(at, settles);
        let record = self.content(one, at);
        let listing = &mut self.listings[at];
        let state = match what {
            What::Approve | What::Publish(..) | What::Serve { .. } | What::Restore(_) => listing.standing(now),
            _ => ends,
        };
        // Whenever the reason is told: nobody is listed again at once by a creditor that had the listing taken off.
        let removed = before == State::Removed && matches!(what, What::GiveReason("creditor_request"));
        if removed || matches!(what, What::Remove("creditor_request")) {
            listing.creditor_asked_on = Some(today);
        }
        let lift = matches!(
            what,
            What::Hide(_)
                | What::Revoke(_)
                | What::Remove(_)
                | What::WidenGrace(_)
                | What::Rectify(_)
                | What::EndRelation(..)
        );
        self.enter(at, Some(before), state, lift);
        match what {
            What::Propose(..) => self.begin_clock(at, Clock::Release),
            What::RecordPerformance { .. } => self.begin_clock(at, Clock::Remove),
            _ if owes => self.begin_clock(at, Clock::GiveReason),
            _ => {}
        }
        Done { reason_owed: owes, ..self.done(at, record) }
    }

    /// Whether a lift comes without its reason.
    fn owes_reason(&self, at: usize, what: &What) -> bool {
        let fixed = self.listings[at].facts.fixed;
        let owes = match what {
            What::Hide(ground) => !is_ground(ground),
            What::Revoke(ground) => *ground != "wrongly_listed",
            What::Remove(ground) if fixed => *ground != "early_deletion",
            What::Remove(ground) => !REMOVAL_GROUNDS.contains(ground),
            What::EndRelation(_, basis) => *basis == Basis::Owed,
            _ => false,
        };
        owes && self.wrong != Some(Wrong::ReasonIsNeverOwed)
    }

    /// What an act writes into a listing; the number of the relation or exemption that it makes or ends.
    fn content(&mut self, one: &Try, at: usize) -> u64 {
        let today = self.today();
        let listing = &mut self.listings[at];
        match &one.what {
            What::Propose(says, _) | What::Publish(says, _) => {
                let noticed = listing.facts.noticed;
                listing.facts = says.facts(today);
                listing.facts.noticed |= noticed;
                listing.ever.extend(listing.facts.who.iter().copied());
            }
            What::Rectify(correction) => {
                listing.facts.who.clone_from(&correction.who);
                listing.ever.extend(correction.who.iter().copied());
                if let Some(decision) = &mut listing.facts.decision {
                    decision.date = crate::steps::before(decision.date, correction.earlier);
                }
            }
            What::Amend { conduct, .. } => listing.facts.conduct = *conduct,
            What::Restore(decides) => listing.facts.decision = Some(decides.decided(today)),
            What::Serve { ago, grace } => {
                if let Some(decision) = &mut listing.facts.decision {
                    (decision.served, decision.grace) = (Some(crate::steps::before(today, *ago)), *grace);
                }
            }
            What::WidenGrace(days) => listing.facts.decision.iter_mut().for_each(|one| one.grace = *days),
            What::Extend { months } => listing.facts.decision.iter_mut().for_each(|one| one.extended += months),
            What::Defer { .. } => {
                listing.deferred_by.push(one.staff.to_owned());
                return 0;
            }
            _ => return self.record(one, at),
        }
        if matches!(one.what, What::Propose(..)) {
            listing.shaped_by.clear();
        }
        listing.shaped_by.push(one.staff.to_owned());
        0
    }

    fn record(&mut self, one: &Try, at: usize) -> u64 {
        let (now, tag) = (self.now, one.tag);
        let until = |days: u32| now.day().plus_days(days);
        match &one.what {
            What::Exempt(exempts) => {
                self.exemptions += 1;
                self.tags.insert(tag, self.exemptions);
                self.of_exemptions.push(tag);
                let from = Timestamp(now.0 + exempts.from_hours * 3_600_000);
                self.listings[at].exemptions.push(Exempted {
                    number: self.exemptions,
                    who: exempts.who,
                    measures: if exempts.hotels_only { vec!["consumption.hotel".to_owned()] } else { Vec::new() },
                    items: if exempts.stars_only { vec!["star_rated".to_owned()] } else { Vec::new() },
                    from,
                    until: Timestamp(from.0 + i64::from(exempts.hours) * 3_600_000),
                    ended: false,
                });
                self.exemptions
            }
            What::SetRelation(relates) => {
                self.relations += 1;
                self.tags.insert(tag, self.relations);
                self.of_relations.push(tag);
                let (number, who, relation) = (self.relations, relates.who, relates.relation);
                let until = relates.until.map(until);
                let named_alone = one.approver.is_empty().then(|| one.staff.to_owned());
                self.listings[at].relations.push(Related { number, who, relation, until, ended: false, named_alone });
                number
            }
            What::EndExemption(tag) => {
                let number = self.find(Some(*tag));
                let exemptions = self.listings[at].exemptions.iter_mut();
                exemptions.filter(|one| one.number == number).for_each(|one| one.ended = true);
                number
            }
            What::EndRelation(tag, _) => {
                let number = self.find(Some(*tag));
                let relations = self.listings[at].relations.iter_mut();
                relations.filter(|one| one.number == number).for_each(|one| one.ended = true);
                number
            }
            _ => 0,
        }
    }
}

/// Whether somebody is reached by an identity of a listing: a credit code reaches by the organisation code in it too.
fn reaches(listed: &[Who], who: Who) -> bool {
    listed.iter().any(|one| *one == who || matches!((*one, who), (Who::Firm(one), Who::Code(other)) if one == other))
}

/// Where an act leads that needs no decision's standing, and which clocks it settles.
fn ends(what: &What, before: State, owes: bool) -> (State, &'static [Clock]) {
    const OVER: &[Clock] = &[Clock::Remove, Clock::Release];
    const WITH_REASON: &[Clock] = &[Clock::Remove, Clock::Release, Clock::GiveReason];
    // Ended with its reason: what an earlier hiding owed is given with it.
    let over = if owes { OVER } else { WITH_REASON };
    match what {
        What::Propose(..) => (State::Proposed, &[]),
        What::Approve => (before, &[Clock::Release]),
        What::Reject => (State::Rejected, OVER),
        What::Withdraw => (State::Withdrawn, OVER),
        What::WidenGrace(_) => (State::Grace, &[]),
        What::Hide(_) => (State::Hidden, &[Clock::Remove]),
        What::Revoke(_) => (State::Revoked, over),
        What::Remove(_) => (State::Removed, over),
        What::GiveReason(_) => (before, &[Clock::GiveReason]),
        _ => (before, &[]),
    }
}

/// Whether the caller's etag is stale; what is no lift is refused for it, or for want of one.
pub(super) fn read(etag: Option<u64>, current: u64, lift: bool, why: &mut Whys) -> bool {
    match etag {
        Some(etag) if etag == current => return false,
        Some(_) if lift => return true,
        Some(_) => why.insert(Why::StaleEtag),
        None => !lift && why.insert(Why::Faults),
    };
    false
}
