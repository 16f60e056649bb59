//! What parties ask, and what is found.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{ObjectionGround, PartyRole, PetitionKind, PetitionState, State};
use xinhub_domain::time::Day;

use super::registry::read;
use super::{Done, Open, Petition, Reference, Verdict, Why, Whys, Wrong, is_above, is_court, is_over, judges};
use crate::steps::{Basis, Finds, Redress, Try, What, before};
use crate::world::Who;

impl Reference {
    /// A creditor asks a court to list somebody.
    pub(super) fn apply_to_court(
        &mut self,
        one: &Try,
        court: Option<usize>,
        case: u32,
        debtor: Who,
        ago: u32,
    ) -> Verdict {
        let Some(court) = court.or(Some(one.by).filter(|by| is_court(*by))) else {
            return Err(Whys::from([Why::Faults]));
        };
        if is_court(one.by) && !judges(one.by, court) {
            return Err(Whys::from([Why::OtherCourt]));
        }
        let petition = Petition { case, debtor: Some(debtor), ..blank(PetitionKind::Application, court, one.by) };
        Ok(self.filed(one, petition, Clock::DecideApplication, ago, false))
    }

    /// An objection or a complaint comes in.
    pub(super) fn file(&mut self, one: &Try) -> Verdict {
        let number = self.find(one.on);
        let Some(listing) = self.listing(number) else { return Err(Whys::from([Why::NotFound])) };
        let (court, state) = (listing.court, listing.state);
        if listing.facts.own_unit && !judges(one.by, court) {
            return Err(Whys::from([Why::NotFound]));
        }
        if is_court(one.by) && !judges(one.by, court) {
            return Err(Whys::from([Why::OtherCourt]));
        }
        match &one.what {
            What::Object { ground, role, ago, .. } => {
                let served = listing.facts.decision.and_then(|decision| decision.served);
                let due = served.and_then(|day| self.due(court, Clock::Object, day));
                let late = *role != PartyRole::NotMe && due.is_some_and(|due| before(self.today(), *ago) > due);
                let late = late && self.wrong != Some(Wrong::LateIsNotMarked);
                let blank = blank(PetitionKind::Objection, court, one.by);
                let petition = Petition { listing: number, ground: Some(*ground), ..blank };
                Ok(self.filed(one, petition, Clock::Review, *ago, late))
            }
            What::Complain { against, ago, .. } if state != State::Listed => {
                let blank = blank(PetitionKind::Complaint, court, one.by);
                let petition = Petition { listing: number, against: Some(*against), ..blank };
                Ok(self.filed(one, petition, Clock::AnswerComplaint, *ago, false))
            }
            _ => Err(Whys::from([Why::Faults])),
        }
    }

    fn filed(&mut self, one: &Try, mut petition: Petition, clock: Clock, ago: u32, late: bool) -> Done {
        petition.late = late;
        petition.clock = self.clock(petition.court, clock, before(self.today(), ago));
        let listing = petition.listing;
        self.petitions.push(petition);
        let record = self.petitions.len() as u64;
        self.tags.insert(one.tag, record);
        self.of_petitions.push(one.tag);
        Done { late, ..self.found(record, listing) }
    }

    fn clock(&self, court: usize, clock: Clock, received: Day) -> Option<(Clock, Open)> {
        self.opening(court, clock, received).map(|open| (clock, open))
    }

    fn found(&self, record: u64, listing: u64) -> Done {
        let state = self.listing(listing).map_or(State::Noticed, |listing| listing.state);
        let petition = self.petition(record).map(|petition| petition.state);
        Done { listing, record, state, petition, stale: false, reason_owed: false, late: false }
    }

    /// Something is done with a petition. To whoever may not do it, the petition is as if it were not there.
    pub(super) fn on_petition(&mut self, one: &Try, etag: Option<u64>) -> Verdict {
        let number = self.find(one.on);
        let Some(petition) = self.petition(number).filter(|petition| may(one, petition)) else {
            return Err(Whys::from([Why::NotFound]));
        };
        let (listing, court) = (petition.listing, petition.court);
        let mut why = Whys::new();
        let stale = read(etag, petition.etag, one.what.is_lift(), &mut why);
        let state = after(petition, &one.what);
        if state.is_none() {
            why.insert(Why::Petition);
        }
        let redress = self.redress(one, petition, &mut why);
        let (Some(state), true) = (state, why.is_empty()) else { return Err(why) };
        let (today, mut late) = (self.today(), false);
        let served = match &one.what {
            What::RefuseIntake { served } => *served,
            What::Decide(finds) | What::Reconsider(finds) => finds.served,
            What::ServeFinding { ago } => Some(*ago),
            _ => None,
        };
        let served = served.map(|ago| before(today, ago));
        let mut clock = None;
        if let What::AskReconsideration { ago } = &one.what {
            let due = petition.served.and_then(|day| self.due(court, Clock::AskReconsideration, day));
            late = due.is_some_and(|due| before(today, *ago) > due) && self.wrong != Some(Wrong::LateIsNotMarked);
            clock = self.clock(court, Clock::DecideReconsideration, before(today, *ago));
        }
        let petition = &mut self.petitions[number as usize - 1];
        (petition.state, petition.served) = (state, served.or(petition.served));
        petition.steps += 1;
        if !state.is_open() || clock.is_some() {
            petition.clock = clock;
        }
        let lifted = redress.map(|act| self.change(&act, listing as usize - 1));
        let reason_owed = lifted.is_some_and(|done| done.reason_owed);
        Ok(Done { stale, late, reason_owed, ..self.found(number, listing) })
    }

    /// The act on the listing that an upheld objection brings, and what is wrong with it.
    fn redress(&self, one: &Try, petition: &Petition, why: &mut Whys) -> Option<Try> {
        let (What::Decide(finds) | What::Reconsider(finds)) = &one.what else { return None };
        let frees = finds.upheld && petition.kind == PetitionKind::Objection;
        let Some(redress) = &finds.redress else {
            let listing = self.listing(petition.listing).filter(|listing| !is_over(listing.state));
            if frees && listing.is_some() {
                why.insert(Why::Faults);
            }
            return None;
        };
        if !frees || !fits(redress, petition.ground) {
            why.insert(Why::Faults);
            return None;
        }
        let listing = self.listing(petition.listing)?;
        let what = match redress {
            Redress::Revoke => What::Revoke("wrongly_listed"),
            Redress::Remove(ground) => What::Remove(ground),
            Redress::EndRelation(relation, basis) => What::EndRelation(*relation, *basis),
            Redress::Rectify(correction, etag) => {
                read(listing.etag_as(*etag), listing.etag, false, why);
                What::Rectify(correction.clone())
            }
        };
        let act = Try { what, ..one.clone() };
        why.extend(self.refusals(&act, petition.listing));
        Some(act)
    }
}

fn blank(kind: PetitionKind, court: usize, intake: usize) -> Petition {
    Petition {
        kind,
        state: PetitionState::Filed,
        listing: 0,
        court,
        intake,
        against: None,
        ground: None,
        case: 0,
        debtor: None,
        late: false,
        steps: 0,
        served: None,
        clock: None,
        etag: 0,
    }
}

/// Who may do what (ARCHITECTURE.md, "Who may call what").
fn may(one: &Try, petition: &Petition) -> bool {
    let own = one.by == petition.court;
    match &one.what {
        What::Decide(_) if petition.kind == PetitionKind::Complaint => petition.against == Some(one.by),
        What::RefuseIntake { .. } | What::ServeFinding { .. } | What::Decide(_) => own,
        What::Reconsider(_) => is_above(one.by, petition.court),
        What::AskReconsideration { .. } => judges(one.by, petition.court) || petition.intake == one.by,
        _ => own || petition.intake == one.by,
    }
}

/// The table in ARCHITECTURE.md, "Petitions".
fn after(petition: &Petition, what: &What) -> Option<PetitionState> {
    use PetitionState::{Confirmed, Dismissed, Filed, Reconsidered, Refused, Upheld, Withdrawn};
    let objection = petition.kind == PetitionKind::Objection;
    match (petition.state, what) {
        (Filed, What::RefuseIntake { .. }) => Some(Refused),
        (Filed, What::Decide(Finds { upheld, .. })) => Some(if *upheld { Upheld } else { Dismissed }),
        (Refused | Dismissed, What::ServeFinding { .. }) => Some(petition.state),
        (Refused | Dismissed, What::AskReconsideration { .. }) if objection => Some(Reconsidered),
        (Reconsidered, What::Reconsider(Finds { upheld, .. })) => Some(if *upheld { Upheld } else { Confirmed }),
        (Filed | Reconsidered, What::TakeBack) => Some(Withdrawn),
        _ => None,
    }
}

fn fits(redress: &Redress, ground: Option<ObjectionGround>) -> bool {
    match redress {
        Redress::Revoke => ground == Some(ObjectionGround::ShouldNotBeListed),
        Redress::Rectify(..) => ground == Some(ObjectionGround::DataWrong),
        Redress::Remove(_) => ground == Some(ObjectionGround::ShouldBeDeleted),
        Redress::EndRelation(_, Basis::Given | Basis::Owed) => {
            ground.is_some_and(|ground| ground != ObjectionGround::DataWrong)
        }
    }
}
