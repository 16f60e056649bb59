//! Petitions: taken in, decided, reconsidered; and the lift that an upheld one brings in the same commit.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{
    Action, Body, EventKind, Finding, ObjectionGround, PartyRole, Petition, PetitionAction, PetitionKind,
    PetitionStanding, PetitionState, RecordId, RecordKind, next_petition,
};
use xinhub_domain::policy::RemedyPermit;
use xinhub_domain::time::Day;

use super::deadlines::beginning;
use super::{Plan, Planned, Planner, Touch, actor, check_etag, fault};
use crate::command::{CommandError, Found, Redress, RemedyCommand, Request};
use crate::table::{ERASED, OWN_UNIT_ONLY, Place};
use crate::vault::Opened;

/// Longest reasons, in characters.
const MAX_REASONS_CHARS: usize = 4_000;

/// A petition that a command is about.
struct Asked {
    number: u64,
    kind: PetitionKind,
    state: PetitionState,
    listing: u64,
    court: String,
    intake: String,
    against: Option<String>,
    revision: u64,
    places: Vec<u64>,
}

/// An act on a petition.
struct Step<'a> {
    kind: EventKind,
    action: PetitionAction,
    reasons: &'a str,
    served_on: Option<Day>,
    received_on: Option<Day>,
    late: bool,
}

impl<'a> Step<'a> {
    fn new(kind: EventKind, action: PetitionAction, reasons: &'a str) -> Step<'a> {
        Step { kind, action, reasons, served_on: None, received_on: None, late: false }
    }
}

impl Planner<'_> {
    /// Decides an act on a petition.
    pub(super) fn remedy(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        command: &RemedyCommand,
    ) -> Result<Plan, CommandError> {
        match command {
            RemedyCommand::File { listing: Some(listing), content, .. } => {
                self.file(request, permit, *listing, content)
            }
            RemedyCommand::File { court, content, .. } => {
                self.apply_to_court(request, permit, court.as_deref(), content)
            }
            RemedyCommand::RefuseIntake { petition, reasons, served_on } => {
                let asked = self.asked(*petition, |asked| permit.is_court(&asked.court))?;
                let step = Step::new(EventKind::RefuseIntake, PetitionAction::RefuseIntake, reasons);
                self.step(request, permit, &asked, Step { served_on: *served_on, ..step })
            }
            RemedyCommand::Decide { petition, finding } => self.decide(request, permit, *petition, finding),
            RemedyCommand::ServeFinding { petition, served_on } => {
                let asked = self.asked(*petition, |asked| permit.is_court(&asked.court))?;
                let step = Step::new(EventKind::ServeFinding, PetitionAction::ServeFinding, "-");
                self.step(request, permit, &asked, Step { served_on: Some(*served_on), ..step })
            }
            RemedyCommand::AskReconsideration { petition, reasons, received_on } => {
                self.ask_reconsideration(request, permit, *petition, reasons, *received_on)
            }
            RemedyCommand::DecideReconsideration { petition, finding } => {
                self.decide_reconsideration(request, permit, *petition, finding)
            }
            RemedyCommand::Withdraw { petition, reasons } => {
                let id = permit.client().id();
                let asked = self.asked(*petition, |asked| permit.is_court(&asked.court) || asked.intake == id)?;
                let step = Step::new(EventKind::WithdrawPetition, PetitionAction::Withdraw, reasons);
                self.step(request, permit, &asked, step)
            }
        }
    }

    /// Takes in an objection or a complaint.
    fn file(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        listing: u64,
        content: &Petition,
    ) -> Result<Plan, CommandError> {
        let absent = CommandError::NotFound("listing");
        if content.kind == PetitionKind::Application {
            return Err(fault("listing", "is 0 for an application: the court decides whether to list"));
        }
        let row = self.resident.table.row_of(listing).ok_or(absent.clone())?;
        let kept = *self.resident.table.row(row);
        let court = self.resident.courts.name(kept.court).to_owned();
        let judges = permit.is_court(&court) || permit.is_above(&court);
        if kept.has(ERASED) || (kept.has(OWN_UNIT_ONLY) && !judges) {
            return Err(absent);
        }
        if permit.court().is_some() && !judges {
            return Err(CommandError::OtherCourt);
        }
        let state = kept.state().ok_or(absent)?;
        if content.kind == PetitionKind::Complaint && state.restricts() {
            return Err(fault("kind", "is for a listing that was lifted: this one is in force, object to it"));
        }
        let late = self.is_late(listing, &court, content);
        self.filed(request, listing, &court, Petition { late, ..content.clone() })
    }

    /// Whether an objection came after the party's own deadline, which begins with the service of the decision.
    fn is_late(&self, listing: u64, court: &str, content: &Petition) -> bool {
        if content.kind != PetitionKind::Objection || content.role == PartyRole::NotMe {
            return false;
        }
        let listed = self.subject(listing, court).and_then(|subject| self.content(&subject)).ok();
        let served = listed.and_then(|content| content.decision).and_then(|decision| decision.served_on);
        let due = served.and_then(|day| self.rules.deadlines(court).due(Clock::Object, day));
        due.is_some_and(|due| content.received_on > due)
    }

    /// Takes in a creditor's application.
    fn apply_to_court(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        court: Option<&str>,
        content: &Petition,
    ) -> Result<Plan, CommandError> {
        if content.kind != PetitionKind::Application {
            return Err(fault("listing", "is required: which listing it is about"));
        }
        let court =
            court.or(permit.court()).ok_or_else(|| fault("court", "is required: which court is asked to list"))?;
        if permit.court().is_some() && !permit.is_court(court) && !permit.is_above(court) {
            return Err(CommandError::OtherCourt);
        }
        self.filed(request, 0, court, content.clone())
    }

    fn filed(&mut self, request: &Request, listing: u64, court: &str, content: Petition) -> Result<Plan, CommandError> {
        let record = self.numbers.take(RecordKind::Petition);
        let standing = PetitionStanding { kind: content.kind, state: PetitionState::Filed };
        let (late, deadline) = (content.late, self.petition_clock(content.kind, court, content.received_on));
        let body = Body::Petition { content: Box::new(content), actor: actor(request)?.clone() };
        let mut plan = self.event_of(listing, court, EventKind::FilePetition, record, None, Some(body));
        plan.event.new_record = true;
        plan.event.petition = Some(standing);
        plan.event.deadlines.extend(deadline);
        plan.late = late;
        plan.touches = touches(record.number, listing);
        Ok(plan)
    }

    fn decide(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        petition: u64,
        finding: &Found,
    ) -> Result<Plan, CommandError> {
        let id = permit.client().id();
        let asked = self.asked(petition, |asked| match asked.kind {
            PetitionKind::Application | PetitionKind::Objection => permit.is_court(&asked.court),
            PetitionKind::Complaint => asked.against.as_deref() == Some(id),
        })?;
        let action = PetitionAction::Decide { upheld: finding.upheld };
        let step = Step::new(EventKind::DecidePetition, action, &finding.reasons);
        self.found(request, permit, &asked, step, finding)
    }

    fn decide_reconsideration(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        petition: u64,
        finding: &Found,
    ) -> Result<Plan, CommandError> {
        let asked = self.asked(petition, |asked| permit.is_above(&asked.court))?;
        let action = PetitionAction::Reconsider { upheld: finding.upheld };
        let step = Step::new(EventKind::DecideReconsideration, action, &finding.reasons);
        self.found(request, permit, &asked, step, finding)
    }

    fn found(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        asked: &Asked,
        step: Step<'_>,
        finding: &Found,
    ) -> Result<Plan, CommandError> {
        let mut plan = self.step(request, permit, asked, Step { served_on: finding.served_on, ..step })?;
        if let Some(lifted) = self.redress(request, asked, finding)? {
            (plan.reason_owed, plan.restricts) = (lifted.reason_owed, lifted.restricts);
            plan.touches.extend(lifted.touches);
            plan.also = Some(lifted.event);
        }
        Ok(plan)
    }

    /// The lift that an upheld objection brings: on a listing that has not ended there is always one.
    fn redress(&mut self, request: &Request, asked: &Asked, finding: &Found) -> Result<Option<Plan>, CommandError> {
        let objection = asked.kind == PetitionKind::Objection;
        let Some(redress) = finding.redress.as_ref().filter(|_| finding.upheld && objection) else {
            if finding.redress.is_some() {
                return Err(fault("redress", "is for an upheld objection, and for nothing else"));
            }
            let ended = !objection || self.subject(asked.listing, &asked.court)?.state.has_ended();
            if finding.upheld && !ended {
                return Err(fault("redress", "is required: an upheld objection frees in the same commit"));
            }
            return Ok(None);
        };
        let ground = self.petition(asked)?.ground;
        let fits = match redress {
            Redress::Revoke => ground == Some(ObjectionGround::ShouldNotBeListed),
            Redress::Rectify { .. } => ground == Some(ObjectionGround::DataWrong),
            Redress::Remove { .. } => ground == Some(ObjectionGround::ShouldBeDeleted),
            Redress::EndRelation { .. } => ground.is_some_and(|ground| ground != ObjectionGround::DataWrong),
        };
        if !fits {
            let problem = "does not fit the objection's ground: should_not_be_listed is revoked, data_wrong rectified, \
                           should_be_deleted removed; a relation is ended on the first or the last";
            return Err(fault("redress", problem));
        }
        let (subject, court, actor) = (self.subject(asked.listing, &asked.court)?, &*asked.court, actor(request)?);
        let plan = match redress {
            Redress::Revoke => self.lift(&subject, court, Action::Revoke, actor, "wrongly_listed"),
            Redress::Remove { ground } => self.lift(&subject, court, Action::Remove, actor, ground),
            Redress::Rectify { content, etag } => {
                check_etag(*etag, subject.revision, false)?;
                self.rectify(&subject, court, actor, content, Some(finding.reasons.clone()))
            }
            Redress::EndRelation { relation, basis_document } => {
                self.end_relation(&subject, court, actor, *relation, basis_document)
            }
        };
        plan.map(Some)
    }

    fn ask_reconsideration(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        petition: u64,
        reasons: &str,
        received_on: Day,
    ) -> Result<Plan, CommandError> {
        let judges = |court: &str| permit.is_court(court) || permit.is_above(court);
        let id = permit.client().id();
        let asked = self.asked(petition, |asked| judges(&asked.court) || asked.intake == id)?;
        if received_on > self.now.day() {
            return Err(fault("received_on", "lies in the future"));
        }
        let deadlines = self.rules.deadlines(&asked.court);
        let due = self.served_on(&asked).and_then(|served| deadlines.due(Clock::AskReconsideration, served));
        let late = due.is_some_and(|due| received_on > due);
        let begins = beginning(deadlines, Clock::DecideReconsideration, received_on);
        let step = Step::new(EventKind::AskReconsideration, PetitionAction::AskReconsideration, reasons);
        let mut plan = self.step(request, permit, &asked, Step { received_on: Some(received_on), late, ..step })?;
        plan.event.deadlines.extend(begins);
        Ok(plan)
    }

    /// One event on a petition.
    fn step(
        &mut self,
        request: &Request,
        permit: &RemedyPermit,
        asked: &Asked,
        step: Step<'_>,
    ) -> Result<Plan, CommandError> {
        let stale = check_etag(request.etag, asked.revision, request.act.is_lift())?;
        let state = next_petition(asked.kind, asked.state, step.action)?;
        if step.reasons.trim().is_empty() || step.reasons.chars().count() > MAX_REASONS_CHARS {
            return Err(fault("reasons", &format!("are required, at most {MAX_REASONS_CHARS} characters")));
        }
        if step.served_on.is_some_and(|day| day > self.now.day()) {
            return Err(fault("served_on", "lies in the future"));
        }
        let finding = Finding {
            actor: actor(request)?.clone(),
            client: permit.client().id().to_owned(),
            reasons: if step.kind == EventKind::ServeFinding { String::new() } else { step.reasons.trim().to_owned() },
            served_on: step.served_on,
            received_on: step.received_on,
            late: step.late,
        };
        let record = RecordId { kind: RecordKind::Petition, number: asked.number };
        let body = Some(Body::Found(finding));
        let mut plan = self.event_of(asked.listing, &asked.court, step.kind, record, None, body);
        plan.event.petition = Some(PetitionStanding { kind: asked.kind, state });
        plan.touches = touches(asked.number, asked.listing);
        (plan.stale, plan.late) = (stale, step.late);
        Ok(plan)
    }

    /// A petition that the caller may act on; to all others it is as if it were not there.
    fn asked(&self, number: u64, may: impl FnOnce(&Asked) -> bool) -> Result<Asked, CommandError> {
        let absent = CommandError::NotFound("petition");
        let row = self.resident.remedy.petition(number).filter(|row| !row.erased).ok_or(absent.clone())?;
        let asked = Asked {
            number,
            kind: row.kind,
            state: row.state,
            listing: row.listing,
            court: self.resident.courts.name(row.court).to_owned(),
            intake: self.resident.clients.name(row.intake).to_owned(),
            against: row.against.map(|client| self.resident.clients.name(client).to_owned()),
            revision: row.revision,
            places: row.places.clone(),
        };
        if may(&asked) { Ok(asked) } else { Err(absent) }
    }

    fn petition(&self, asked: &Asked) -> Result<Petition, CommandError> {
        let first = asked.places.first().ok_or(CommandError::Unreadable)?;
        match self.vault.read(Place(*first)) {
            Ok((_, Opened::Body(body))) => match *body {
                Body::Petition { content, .. } => Ok(*content),
                _ => Err(CommandError::Unreadable),
            },
            Ok((_, Opened::Erased | Opened::Nothing)) => Err(CommandError::NotFound("petition")),
            Err(error) => {
                tracing::error!(petition = asked.number, %error, "a petition can't be read");
                Err(CommandError::Unreadable)
            }
        }
    }

    /// When the last refusal or dismissal was served on the party.
    fn served_on(&self, asked: &Asked) -> Option<Day> {
        asked.places.iter().rev().find_map(|place| match self.vault.read(Place(*place)) {
            Ok((_, Opened::Body(body))) => match *body {
                Body::Found(finding) => finding.served_on,
                _ => None,
            },
            Ok(_) | Err(_) => None,
        })
    }

    /// The application that a listing follows: granted, of the same court, case and debtor, and not barred by the creditor's own
    /// request for removal.
    pub(super) fn check_application(
        &self,
        court: &str,
        number: u64,
        content: &xinhub_domain::listing::Content,
    ) -> Result<(), CommandError> {
        let asked = self.asked(number, |asked| asked.court == court && asked.kind == PetitionKind::Application)?;
        if asked.state != PetitionState::Upheld {
            return Err(fault("application", "is not granted: decide it first"));
        }
        let application = self.petition(&asked)?;
        let keys = self.keys(content);
        let debtor = application.debtor.iter().flat_map(|debtor| self.resident.keys(debtor));
        let same_debtor = debtor.into_iter().any(|key| keys.contains(&key));
        if !same_debtor || application.case_number.as_ref() != Some(&content.case_number) {
            return Err(fault("application", "is about another debtor or case"));
        }
        let today = self.now.day();
        let months = self.rules.deadlines(court).profile().relist_after_months;
        for ended in self.same_case(content, &keys, court)? {
            let row = self.resident.table.row_of(ended.number);
            let asked_on =
                row.and_then(|row| self.resident.table.extra(row)).and_then(|extra| extra.rest.creditor_request_on);
            if asked_on.is_some_and(|day| today < day.plus_months(months)) {
                let problem = format!("comes within {months} months of a removal that the creditor itself asked for");
                return Err(fault("application", &problem));
            }
        }
        Ok(())
    }
}

/// Whether a complaint fits, and what the caller is told, rests on the listing's state too: what changes it doesn't go into the
/// same entry.
fn touches(petition: u64, listing: u64) -> Vec<Touch> {
    let listing = Some(listing).filter(|listing| *listing > 0).map(Touch::Listing);
    listing.into_iter().chain([Touch::Petition(petition)]).collect()
}

impl Planned {
    /// The content that it carries.
    pub(super) fn content(&self) -> Option<&xinhub_domain::listing::Content> {
        match &self.body {
            Some(Body::Content { content, .. }) => Some(content),
            _ => None,
        }
    }
}
