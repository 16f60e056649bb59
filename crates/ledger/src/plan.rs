//! From a command to the events that it makes, decided against the state machine and the resident state.
//!
//! Nothing here changes anything: a plan that is not committed leaves no trace.

use xinhub_domain::listing::{
    Action, Actor, Body, Content, ContentFault, Decision, EventKind, Exemption, MAX_EXTENSION_MONTHS, MAX_GRACE_DAYS,
    RecordId, RecordKind, RelationContent, Standing, State, lift, next,
};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::Key;

use crate::command::{Command, CommandError, Request};
use crate::resident::{Resident, request_time};
use crate::table::{ERASED, Row};
use crate::vault::{Opened, Vault};

pub(crate) mod clock;
pub(crate) mod import;

/// How far ahead of hub time a request id's own time may lie.
const REQUEST_AHEAD_MS: i64 = 10 * 60_000;

/// An event as it will be written, without its revision.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What happens.
    pub kind: EventKind,
    /// To which record.
    pub record: RecordId,
    /// The record begins with it and needs a key.
    pub new_record: bool,
    /// The listing concerned; 0 for none.
    pub listing: u64,
    /// The court that acted.
    pub court: String,
    /// The listing's state afterwards.
    pub state: Option<State>,
    /// Last day in force, of the listing or of the relation.
    pub until: Option<Day>,
    /// Last day of grace.
    pub grace_until: Option<Day>,
    /// It is counted as a lift.
    pub lift: bool,
    /// What will be sealed.
    pub body: Option<Body>,
    /// What stands in clear.
    pub open: Option<Vec<u8>>,
}

/// What a command will do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its one event.
    pub event: Planned,
    /// The relation or exemption made or ended; 0 for none.
    pub record: u64,
    /// Applied though stale.
    pub stale: bool,
    /// A reason is owed.
    pub reason_owed: bool,
    /// What it rests on: two plans that share one of these can't go into one entry.
    pub touches: Vec<Touch>,
}

/// A part of the state that a plan has read or will change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Touch {
    /// A listing.
    Listing(u64),
    /// All listings under a key.
    Key([u8; 16]),
    /// A request id.
    Request([u8; 16]),
}

/// Numbers that the next new records get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// The last listing's.
    pub listings: u64,
    /// The last relation's.
    pub relations: u64,
    /// The last exemption's.
    pub exemptions: u64,
}

impl Numbers {
    /// As the state has them.
    pub(crate) fn of(resident: &Resident) -> Numbers {
        Numbers {
            listings: resident.table.len() as u64,
            relations: resident.relations,
            exemptions: resident.exemptions,
        }
    }

    fn take(&mut self, kind: RecordKind) -> RecordId {
        let last = match kind {
            RecordKind::Listing => &mut self.listings,
            RecordKind::Relation => &mut self.relations,
            RecordKind::Exemption => &mut self.exemptions,
            RecordKind::Hub => return RecordId { kind, number: 0 },
        };
        *last += 1;
        RecordId { kind, number: *last }
    }
}

/// Decides commands at one moment.
pub(crate) struct Planner<'a> {
    /// The state.
    pub resident: &'a Resident,
    /// Opens what the state only points to.
    pub vault: &'a Vault,
    /// Hub time.
    pub now: Timestamp,
    /// Whether the clocks agree. If not, only lifts are taken.
    pub clock_sure: bool,
    /// Numbers for new records.
    pub numbers: &'a mut Numbers,
}

/// A listing that a command is about.
struct Subject {
    number: u64,
    row: Row,
    state: State,
    grace_until: Option<Day>,
}

impl Planner<'_> {
    /// Decides a court's mutation.
    pub(crate) fn command(&mut self, request: &Request) -> Result<Plan, CommandError> {
        let at = request_time(&request.request_id).0;
        if at < self.now.0 - crate::resident::OUTCOMES_KEPT_MS || at > self.now.0 + REQUEST_AHEAD_MS {
            return Err(CommandError::RequestIdExpired);
        }
        if !self.clock_sure && !request.command.is_lift() {
            return Err(CommandError::ClockUnsure);
        }
        let court = request.permit.court();
        let subject = request.command.listing().map(|number| self.subject(number, court)).transpose()?;
        let stale = match &subject {
            Some(subject) => self.check_etag(request, subject)?,
            None => false,
        };
        let mut plan = match subject {
            None => self.begin(request, court)?,
            Some(subject) => self.go_on(request, court, &subject)?,
        };
        plan.stale = stale;
        plan.touches.push(Touch::Request(request.request_id));
        Ok(plan)
    }

    fn subject(&self, number: u64, court: &str) -> Result<Subject, CommandError> {
        let row = self.resident.table.row_of(number).ok_or(CommandError::NotFound("listing"))?;
        let listing = *self.resident.table.row(row);
        if self.resident.courts.name(listing.court) != court {
            return Err(CommandError::OtherCourt);
        }
        let state = listing.state().filter(|_| !listing.has(ERASED)).ok_or(CommandError::NotFound("listing"))?;
        let grace_until = self.resident.table.extra(row).and_then(|extra| extra.grace_until);
        Ok(Subject { number, row: listing, state, grace_until })
    }

    /// Says whether a lift is stale; refuses anything else that is.
    fn check_etag(&self, request: &Request, subject: &Subject) -> Result<bool, CommandError> {
        let current = subject.row.revision();
        match request.etag {
            Some(etag) if etag == current => Ok(false),
            None if request.command.is_lift() => Ok(false),
            Some(_) if request.command.is_lift() => Ok(true),
            Some(_) => Err(CommandError::StaleEtag { current }),
            None => Err(fault("mutation.etag", "is required: read the listing, and send its etag")),
        }
    }

    fn begin(&mut self, request: &Request, court: &str) -> Result<Plan, CommandError> {
        match &request.command {
            Command::Notice { content } => {
                self.content_event(None, court, Action::Notice, EventKind::Notice, content, &request.actor)
            }
            Command::Propose { content, .. } => {
                self.content_event(None, court, Action::Propose, EventKind::Propose, content, &request.actor)
            }
            Command::Publish { content, .. } => self.publish(None, court, content, &request.actor),
            Command::Approve { .. }
            | Command::Reject { .. }
            | Command::Withdraw { .. }
            | Command::Serve { .. }
            | Command::Amend { .. }
            | Command::Rectify { .. }
            | Command::Hide { .. }
            | Command::Restore { .. }
            | Command::Revoke { .. }
            | Command::Remove { .. }
            | Command::Extend { .. }
            | Command::Exempt { .. }
            | Command::EndExemption { .. }
            | Command::SetRelation { .. }
            | Command::EndRelation { .. } => Err(CommandError::NotFound("listing")),
        }
    }

    fn go_on(&mut self, request: &Request, court: &str, subject: &Subject) -> Result<Plan, CommandError> {
        let actor = &request.actor;
        match &request.command {
            Command::Notice { .. } => Err(CommandError::NotFound("listing")),
            Command::Propose { content, .. } => {
                self.content_event(Some(subject), court, Action::Propose, EventKind::Propose, content, actor)
            }
            Command::Publish { content, .. } => self.publish(Some(subject), court, content, actor),
            Command::Approve { .. } => self.approve(subject, court, actor),
            Command::Reject { note, .. } => {
                self.act(subject, court, Action::Reject, EventKind::Reject, actor, "", note.as_deref())
            }
            Command::Withdraw { note, .. } => {
                self.act(subject, court, Action::Withdraw, EventKind::Withdraw, actor, "", note.as_deref())
            }
            Command::Serve { served_on, grace_days, .. } => {
                self.serve(subject, court, actor, *served_on, *grace_days, request.permit.grace_max_days())
            }
            Command::Amend { content, .. } => self.amend(subject, court, actor, content),
            Command::Rectify { content, note, .. } => self.rectify(subject, court, actor, content, note.clone()),
            Command::Hide { ground, .. } => {
                let mut plan = self.act(subject, court, Action::Hide, EventKind::Hide, actor, ground, None)?;
                plan.reason_owed = lift::hiding_reason_owed(ground);
                Ok(plan)
            }
            Command::Restore { decision, .. } => self.restore(subject, court, actor, decision),
            Command::Revoke { ground, .. } => {
                let mut plan = self.act(subject, court, Action::Revoke, EventKind::Revoke, actor, ground, None)?;
                plan.reason_owed = lift::revocation_reason_owed(ground);
                Ok(plan)
            }
            Command::Remove { ground, .. } => {
                let mut plan = self.act(subject, court, Action::Remove, EventKind::Remove, actor, ground, None)?;
                // A lift is never refused because its content can't be read.
                let listed_on = self.content(subject).ok().and_then(|content| content.ground);
                plan.reason_owed = lift::removal_reason_owed(ground, listed_on);
                Ok(plan)
            }
            Command::Extend { months, ground, .. } => self.extend(subject, court, actor, *months, ground),
            Command::Exempt { exemption, .. } => self.exempt(subject, court, actor, exemption),
            Command::EndExemption { exemption, .. } => self.end_exemption(subject, court, actor, *exemption),
            Command::SetRelation { relation, .. } => self.set_relation(subject.number, court, actor, relation),
            Command::EndRelation { relation, basis_document, .. } => {
                self.end_relation(subject, court, actor, *relation, basis_document)
            }
        }
    }

    fn publish(
        &mut self,
        subject: Option<&Subject>,
        court: &str,
        content: &Content,
        actor: &Actor,
    ) -> Result<Plan, CommandError> {
        let action = Action::Publish(self.standing(content)?);
        self.content_event(subject, court, action, EventKind::Publish, content, actor)
    }

    fn approve(&mut self, subject: &Subject, court: &str, actor: &Actor) -> Result<Plan, CommandError> {
        let (content, proposer) = self.content_and_actor(subject)?;
        if proposer.staff_id == actor.staff_id {
            return Err(CommandError::SecondPersonRequired);
        }
        let decision = content.decision.as_ref().ok_or_else(no_decision)?;
        let action = Action::Approve(decision.standing(self.now));
        let mut plan = self.act(subject, court, action, EventKind::Approve, actor, "", None)?;
        (plan.event.until, plan.event.grace_until) = (decision.until(), decision.grace_until());
        Ok(plan)
    }

    fn serve(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        served_on: Day,
        grace_days: u32,
        grace_max_days: u32,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        let decision = content.decision.as_mut().ok_or_else(no_decision)?;
        if served_on < decision.date || served_on > self.now.day() {
            return Err(fault("served_on", "lies before the decision's date or in the future"));
        }
        let max = grace_max_days.min(MAX_GRACE_DAYS);
        if grace_days > max {
            return Err(fault("grace_days", &format!("is at most {max}")));
        }
        decision.served_on = Some(served_on);
        decision.grace_days = grace_days;
        let action = Action::Serve(decision.standing(self.now));
        self.content_event(Some(subject), court, action, EventKind::Serve, &content, actor)
    }

    fn amend(&mut self, subject: &Subject, court: &str, actor: &Actor, new: &Content) -> Result<Plan, CommandError> {
        let old = self.content(subject)?;
        check_amendment(&old, new)?;
        // Service, grace and extensions are facts of their own events.
        let new = Content { decision: old.decision, ..new.clone() };
        self.content_event(Some(subject), court, Action::Amend, EventKind::Amend, &new, actor)
    }

    fn rectify(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        new: &Content,
        note: Option<String>,
    ) -> Result<Plan, CommandError> {
        let mut new = new.clone();
        // Service and term are facts of their own events; a rectification corrects what the decision says.
        if let (Some(now), Some(was)) = (&mut new.decision, self.content(subject)?.decision) {
            (now.served_on, now.grace_days) = (was.served_on, was.grace_days);
            (now.attested, now.extended_months) = (was.attested, was.extended_months);
        }
        let mut plan = self.content_event(Some(subject), court, Action::Rectify, EventKind::Rectify, &new, actor)?;
        plan.event.lift = true;
        if let Some(Body::Content { note: kept, .. }) = &mut plan.event.body {
            *kept = note;
        }
        Ok(plan)
    }

    fn restore(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        decision: &Decision,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        content.decision = Some(decision.clone());
        let action = Action::Restore(decision.standing(self.now));
        self.content_event(Some(subject), court, action, EventKind::Restore, &content, actor)
    }

    fn extend(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        months: u32,
        ground: &str,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        let decision = content.decision.as_mut().ok_or_else(no_decision)?;
        if decision.term_months.is_none() {
            return Err(fault("listing", "has no fixed term to extend (法释〔2017〕7号 art. 2)"));
        }
        if !(12..=MAX_EXTENSION_MONTHS).contains(&months) || decision.extended_months + months > MAX_EXTENSION_MONTHS {
            return Err(fault("months", "a term is extended by 1 to 3 years in all (法释〔2017〕7号 art. 2)"));
        }
        if !["serious_violence_or_threats", "several_acts"].contains(&ground) {
            return Err(fault("ground", "is serious_violence_or_threats or several_acts (法释〔2017〕7号 art. 2)"));
        }
        decision.extended_months += months;
        let mut plan = self.content_event(Some(subject), court, Action::Extend, EventKind::Extend, &content, actor)?;
        if let Some(Body::Content { ground: kept, .. }) = &mut plan.event.body {
            *kept = Some(ground.to_owned());
        }
        Ok(plan)
    }

    fn exempt(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        exemption: &Exemption,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::Exempt)?;
        let keys: Vec<Key> = self.resident.keys(&exemption.identity).collect();
        let own = self.resident.table.row_of(subject.number).map(|row| self.resident.keys_of(row)).unwrap_or_default();
        if !keys.iter().any(|key| own.contains(key)) {
            return Err(fault("content.identity", "is neither the listing's subject nor one of its related people"));
        }
        let record = self.numbers.take(RecordKind::Exemption);
        let body = Body::Exemption { content: Box::new(exemption.clone()), actor: actor.clone() };
        let mut plan = self.event_of(subject.number, court, EventKind::Exempt, record, Some(state), Some(body));
        plan.event.lift = true;
        plan.event.new_record = true;
        Ok(plan)
    }

    fn end_exemption(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        exemption: u64,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::EndExemption)?;
        let row = self.resident.table.row_of(subject.number);
        let known = row
            .and_then(|row| self.resident.table.extra(row))
            .is_some_and(|extra| extra.exemptions.iter().any(|one| one.number == exemption && !one.ended));
        if !known {
            return Err(CommandError::NotFound("exemption of this listing that has not ended"));
        }
        let record = RecordId { kind: RecordKind::Exemption, number: exemption };
        let body = Body::Ended { actor: actor.clone(), basis_document: None };
        Ok(self.event_of(subject.number, court, EventKind::EndExemption, record, Some(state), Some(body)))
    }

    fn set_relation(
        &mut self,
        listing: u64,
        court: &str,
        actor: &Actor,
        content: &RelationContent,
    ) -> Result<Plan, CommandError> {
        let subject = self.subject(listing, court)?;
        let state = next(Some(subject.state), Action::SetRelation)?;
        if content.until.zip(subject.row.until()).is_some_and(|(own, listing)| own > listing) {
            return Err(fault("content.until", "lies after the end of the listing itself: leave it out"));
        }
        if self.content(&subject)?.identities.subject() != xinhub_domain::identity::Subject::Organisation {
            return Err(fault("listing", "is a natural person's: only an organisation has related people"));
        }
        let record = self.numbers.take(RecordKind::Relation);
        let body = Body::Relation { content: Box::new(content.clone()), actor: actor.clone() };
        let mut plan = self.event_of(listing, court, EventKind::SetRelation, record, Some(state), Some(body));
        plan.event.new_record = true;
        plan.event.until = content.until;
        plan.touches.extend(self.resident.keys(&content.identity).map(|key| Touch::Key(key.0)));
        Ok(plan)
    }

    fn end_relation(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        relation: u64,
        basis_document: &str,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::EndRelation)?;
        let row = self.resident.table.row_of(subject.number);
        let known = row
            .and_then(|row| self.resident.table.extra(row))
            .is_some_and(|extra| extra.relations.iter().any(|one| one.number == relation && !one.ended));
        if !known {
            return Err(CommandError::NotFound("relation of this listing that has not ended"));
        }
        let record = RecordId { kind: RecordKind::Relation, number: relation };
        let basis_document = Some(basis_document.to_owned()).filter(|text| !text.is_empty());
        let reason_owed = basis_document.is_none();
        let body = Body::Ended { actor: actor.clone(), basis_document };
        let mut plan = self.event_of(subject.number, court, EventKind::EndRelation, record, Some(state), Some(body));
        plan.event.lift = true;
        plan.reason_owed = reason_owed;
        Ok(plan)
    }

    /// An event that carries the whole content.
    fn content_event(
        &mut self,
        subject: Option<&Subject>,
        court: &str,
        action: Action,
        kind: EventKind,
        content: &Content,
        actor: &Actor,
    ) -> Result<Plan, CommandError> {
        let state = next(subject.map(|subject| subject.state), action)?;
        let number = subject.map(|subject| subject.number);
        // What ended may be listed anew by a new decision; what has not ended is amended, not doubled.
        if let Some(listing) =
            self.same_case(content, court)?.into_iter().find(|one| Some(one.number) != number && !one.state.has_ended())
        {
            return Err(CommandError::ListingExists { listing: listing.number });
        }
        let record = match number {
            Some(number) => RecordId { kind: RecordKind::Listing, number },
            None => self.numbers.take(RecordKind::Listing),
        };
        let decision = content.decision.as_ref();
        let body = Body::Content { content: Box::new(content.clone()), actor: actor.clone(), ground: None, note: None };
        let mut plan = self.event_of(record.number, court, kind, record, Some(state), Some(body));
        plan.event.new_record = number.is_none();
        plan.event.until = decision.and_then(Decision::until);
        plan.event.grace_until = decision.and_then(Decision::grace_until);
        for identity in content.identities.iter() {
            plan.touches.extend(self.resident.keys(identity).map(|key| Touch::Key(key.0)));
        }
        Ok(plan)
    }

    /// An event that changes a listing's state and nothing else.
    #[allow(clippy::too_many_arguments)] // The parts of one event, each of another type's meaning.
    fn act(
        &mut self,
        subject: &Subject,
        court: &str,
        action: Action,
        kind: EventKind,
        actor: &Actor,
        ground: &str,
        note: Option<&str>,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), action)?;
        let record = RecordId { kind: RecordKind::Listing, number: subject.number };
        let body = Body::Act {
            actor: actor.clone(),
            ground: Some(ground.to_owned()).filter(|text| !text.is_empty()),
            note: note.map(str::to_owned),
        };
        let mut plan = self.event_of(subject.number, court, kind, record, Some(state), Some(body));
        plan.event.until = subject.row.until();
        plan.event.grace_until = subject.grace_until;
        plan.event.lift = matches!(kind, EventKind::Hide | EventKind::Revoke | EventKind::Remove);
        Ok(plan)
    }

    fn event_of(
        &self,
        listing: u64,
        court: &str,
        kind: EventKind,
        record: RecordId,
        state: Option<State>,
        body: Option<Body>,
    ) -> Plan {
        let event = Planned {
            kind,
            record,
            new_record: false,
            listing,
            court: court.to_owned(),
            state,
            until: None,
            grace_until: None,
            lift: false,
            body,
            open: None,
        };
        let made = if record.kind == RecordKind::Listing { 0 } else { record.number };
        Plan { event, record: made, stale: false, reason_owed: false, touches: vec![Touch::Listing(listing)] }
    }

    fn standing(&self, content: &Content) -> Result<Standing, CommandError> {
        content.decision.as_ref().map(|decision| decision.standing(self.now)).ok_or_else(no_decision)
    }

    fn content(&self, subject: &Subject) -> Result<Content, CommandError> {
        self.content_and_actor(subject).map(|(content, _)| content)
    }

    fn content_and_actor(&self, subject: &Subject) -> Result<(Content, Actor), CommandError> {
        match self.vault.read(subject.row.place) {
            Ok((_, Opened::Body(body))) => match *body {
                Body::Content { content, actor, .. } => Ok((*content, actor)),
                Body::Act { .. }
                | Body::Relation { .. }
                | Body::Ended { .. }
                | Body::Exemption { .. }
                | Body::Disclosed { .. } => Err(CommandError::Storage),
            },
            Ok((_, Opened::Erased | Opened::Nothing)) => Err(CommandError::NotFound("listing")),
            Err(error) => {
                tracing::error!(listing = subject.number, %error, "a listing's content can't be read");
                Err(CommandError::Storage)
            }
        }
    }

    /// The court's listings of the same case and subject, ended ones included.
    fn same_case(&self, content: &Content, court: &str) -> Result<Vec<Subject>, CommandError> {
        let mut found: Vec<Subject> = Vec::new();
        for identity in content.identities.iter() {
            for key in self.resident.keys(identity) {
                for row in self.resident.rows_of(&key) {
                    let number = u64::from(row) + 1;
                    if found.iter().any(|one| one.number == number) {
                        continue;
                    }
                    let Ok(subject) = self.subject(number, court) else { continue };
                    let other = self.content(&subject)?;
                    if other.case_number == content.case_number && other.same_subject(content) {
                        found.push(subject);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// An amendment corrects what identifies nobody and restricts nobody longer.
fn check_amendment(old: &Content, new: &Content) -> Result<(), CommandError> {
    let mut faults = Vec::new();
    let mut check = |same: bool, field: &str, problem: &str| {
        if !same {
            faults.push(ContentFault::new(field, problem));
        }
    };
    check(old.identities == new.identities, "content.identities", "differ: rectify the listing instead");
    check(old.name == new.name, "content.name", "differs: rectify the listing instead");
    check(old.ground == new.ground, "content.ground", "differs: a ground is part of the decision; rectify the listing");
    let same_decision = match (&old.decision, &new.decision) {
        (Some(old), Some(new)) => (&old.number, old.date, old.term_months) == (&new.number, new.date, new.term_months),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    check(same_decision, "content.decision", "differs: serve, extend or rectify the listing instead");
    if faults.is_empty() { Ok(()) } else { Err(CommandError::Faults(faults)) }
}

fn fault(field: &str, problem: &str) -> CommandError {
    CommandError::Faults(vec![ContentFault::new(field, problem)])
}

fn no_decision() -> CommandError {
    fault("content.decision", "is missing: nothing is listed without a decision")
}
