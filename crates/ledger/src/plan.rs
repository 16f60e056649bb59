//! From a command to the events that it makes, decided against the state machine and the resident state.
//!
//! Nothing here changes anything: a plan that is not committed leaves no trace.

use xinhub_domain::import::ImportState;
use xinhub_domain::listing::{
    Action, Actor, Body, ContentFault, Deadline, EventKind, PetitionStanding, RecordId, RecordKind, State, next,
};
use xinhub_domain::policy::{RegistryPermit, Rules};
use xinhub_domain::time::{Day, Timestamp};

use crate::command::{Act, Command, CommandError, Request};
use crate::resident::{Resident, request_time};
use crate::table::{ERASED, OWN_UNIT_ONLY, Place};
use crate::vault::Vault;

pub(crate) mod clock;
mod content;
mod countersign;
pub(crate) mod deadlines;
pub(crate) mod import;
mod lifts;
pub(crate) mod pending;
mod related;
mod remedy;
mod staged;
mod unit;

use pending::Pending;

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
    /// The deadlines that begin with it, or have passed.
    pub deadlines: Vec<Deadline>,
    /// For an event on a petition.
    pub petition: Option<PetitionStanding>,
    /// For an event on a staged import.
    pub import: Option<ImportState>,
}

impl Planned {
    /// An event that changes nothing yet.
    pub(crate) fn new(kind: EventKind, record: RecordId, listing: u64, court: String) -> Planned {
        Planned {
            kind,
            record,
            new_record: false,
            listing,
            court,
            state: None,
            until: None,
            grace_until: None,
            lift: false,
            body: None,
            open: None,
            deadlines: Vec::new(),
            petition: None,
            import: None,
        }
    }
}

/// What a command will do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its event.
    pub event: Planned,
    /// What happens in the same commit: the lift that an upheld objection brings.
    pub also: Option<Planned>,
    /// The relation, exemption or petition made or changed; 0 for none.
    pub record: u64,
    /// Applied though stale.
    pub stale: bool,
    /// A reason is owed.
    pub reason_owed: bool,
    /// The party's act came after its own deadline.
    pub late: bool,
    /// It restricts somebody further than before, and takes a second person where two release.
    pub restricts: bool,
    /// What it rests on: two plans that share one of these can't go into one entry.
    pub touches: Vec<Touch>,
}

impl Plan {
    /// Its events, in order.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Planned> {
        std::iter::once(&self.event).chain(&self.also)
    }

    /// Whether it frees somebody.
    pub(crate) fn is_lift(&self) -> bool {
        self.events().any(|event| event.lift)
    }
}

/// A part of the state that a plan has read or will change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Touch {
    /// A listing.
    Listing(u64),
    /// All listings under a key.
    Key([u8; 16]),
    /// A petition.
    Petition(u64),
    /// A staged import.
    Import(u64),
    /// A request id.
    Request([u8; 16]),
    /// One person's relation to a listing, as a row of an import names it.
    Related {
        /// To which listing.
        listing: u64,
        /// The person's key.
        key: [u8; 16],
        /// How: the relation's bit.
        relation: u8,
        /// Last day.
        until: Option<Day>,
    },
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
    /// The last petition's.
    pub petitions: u64,
    /// The last staged import's.
    pub imports: u64,
}

impl Numbers {
    /// As the state has them.
    pub(crate) fn of(resident: &Resident) -> Numbers {
        Numbers {
            listings: resident.table.len() as u64,
            relations: resident.relations,
            exemptions: resident.exemptions,
            petitions: resident.remedy.petitions.len() as u64,
            imports: resident.imports.count,
        }
    }

    fn take(&mut self, kind: RecordKind) -> RecordId {
        let last = match kind {
            RecordKind::Listing => &mut self.listings,
            RecordKind::Relation => &mut self.relations,
            RecordKind::Exemption => &mut self.exemptions,
            RecordKind::Petition => &mut self.petitions,
            RecordKind::Import => &mut self.imports,
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
    /// The entry in the making.
    pub pending: &'a Pending,
    /// The last numbers given out to new records.
    pub numbers: Numbers,
    /// What is counted by.
    pub rules: &'a Rules,
}

/// A listing that a command is about.
struct Subject {
    number: u64,
    state: State,
    /// Its etag.
    revision: u64,
    until: Option<Day>,
    grace_until: Option<Day>,
    /// Where its content lies.
    place: Place,
}

impl Planner<'_> {
    /// Decides a mutation.
    pub(crate) fn command(&mut self, request: &Request) -> Result<Plan, CommandError> {
        if self.clock_sure {
            let at = request_time(&request.request_id).0;
            if at < self.now.0 - crate::resident::OUTCOMES_KEPT_MS || at > self.now.0 + REQUEST_AHEAD_MS {
                return Err(CommandError::RequestIdExpired);
            }
        } else if !request.act.is_lift() {
            return Err(CommandError::ClockUnsure);
        }
        let mut plan = match &request.act {
            Act::Registry(permit, command) => self.registry(request, permit, command)?,
            Act::Remedy(permit, command) => self.remedy(request, permit, command)?,
            Act::Unit(permit, command) => self.unit(request, permit, command)?,
            Act::Staged(permit, command) => self.staged(request, permit, command)?,
        };
        countersign::countersign(request, &mut plan)?;
        self.begin_deadlines(&mut plan);
        plan.touches.push(Touch::Request(request.request_id));
        Ok(plan)
    }

    fn registry(
        &mut self,
        request: &Request,
        permit: &RegistryPermit,
        command: &Command,
    ) -> Result<Plan, CommandError> {
        let (court, actor) = (permit.court(), actor(request)?);
        let subject = command.listing().map(|number| self.subject(number, court)).transpose()?;
        let stale = match &subject {
            Some(_) if command.is_beside() => false,
            Some(subject) => check_etag(request.etag, subject.revision, command.is_lift())?,
            None => false,
        };
        let mut plan = match subject {
            None => self.begin(command, court, actor)?,
            Some(subject) => self.go_on(command, permit, actor, &subject)?,
        };
        plan.stale = stale;
        Ok(plan)
    }

    fn subject(&self, number: u64, court: &str) -> Result<Subject, CommandError> {
        let absent = CommandError::NotFound("listing");
        let Some(row) = self.resident.table.row_of(number) else {
            let event = self.pending.listing(number).ok_or(absent.clone())?;
            if event.court != court {
                return Err(CommandError::OtherCourt);
            }
            let (until, grace_until) = (event.until, event.grace_until);
            let state = event.state.ok_or(absent)?;
            return Ok(Subject { number, state, revision: 0, until, grace_until, place: Place::default() });
        };
        let listing = self.resident.table.row(row);
        if self.resident.courts.name(listing.court) != court {
            // What only the subject's own unit may be shown is to other courts as if it were not there.
            return Err(if listing.has(OWN_UNIT_ONLY) { absent } else { CommandError::OtherCourt });
        }
        let state = listing.state().filter(|_| !listing.has(ERASED)).ok_or(absent)?;
        let subject = Subject {
            number,
            state,
            revision: listing.revision(),
            until: listing.until(),
            grace_until: self.resident.table.extra(row).and_then(|extra| extra.rest.grace_until),
            place: listing.place,
        };
        // An earlier row of the same batch has moved it on already.
        Ok(match self.pending.listing(number).and_then(|event| Some((event, event.state?))) {
            Some((event, state)) => Subject { state, until: event.until, grace_until: event.grace_until, ..subject },
            None => subject,
        })
    }

    fn begin(&mut self, command: &Command, court: &str, actor: &Actor) -> Result<Plan, CommandError> {
        match command {
            Command::Notice { content } => {
                self.content_event(None, court, Action::Notice, EventKind::Notice, content.clone(), actor)
            }
            Command::Propose { content, application, .. } => {
                self.propose(None, court, content.clone(), actor, *application)
            }
            Command::Publish { content, application, .. } => {
                self.publish(None, court, content.clone(), actor, *application)
            }
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
            | Command::EndRelation { .. }
            | Command::WidenGrace { .. }
            | Command::GiveReason { .. }
            | Command::Defer { .. }
            | Command::RecordPerformance { .. } => Err(CommandError::NotFound("listing")),
        }
    }

    fn go_on(
        &mut self,
        command: &Command,
        permit: &RegistryPermit,
        actor: &Actor,
        subject: &Subject,
    ) -> Result<Plan, CommandError> {
        let court = permit.court();
        match command {
            Command::Notice { .. } => Err(CommandError::NotFound("listing")),
            Command::Propose { content, application, .. } => {
                self.propose(Some(subject), court, content.clone(), actor, *application)
            }
            Command::Publish { content, application, .. } => {
                self.publish(Some(subject), court, content.clone(), actor, *application)
            }
            Command::Approve { .. } => self.approve(subject, permit, actor),
            Command::Reject { note, .. } => {
                self.act(subject, court, Action::Reject, EventKind::Reject, actor, "", note.as_deref())
            }
            Command::Withdraw { note, .. } => {
                self.act(subject, court, Action::Withdraw, EventKind::Withdraw, actor, "", note.as_deref())
            }
            Command::Serve { served_on, grace_days, .. } => {
                self.serve(subject, court, actor, *served_on, *grace_days, permit.grace_max_days())
            }
            Command::WidenGrace { grace_days, .. } => {
                self.widen_grace(subject, court, actor, *grace_days, permit.grace_max_days())
            }
            Command::Amend { content, .. } => self.amend(subject, court, actor, content),
            Command::Rectify { content, note, .. } => self.rectify(subject, court, actor, content, note.clone()),
            Command::Restore { decision, .. } => self.restore(subject, court, actor, decision),
            Command::Hide { ground, .. } => self.lift(subject, court, Action::Hide, actor, ground),
            Command::Revoke { ground, .. } => self.lift(subject, court, Action::Revoke, actor, ground),
            Command::Remove { ground, .. } => self.lift(subject, court, Action::Remove, actor, ground),
            Command::GiveReason { ground, note, .. } => {
                self.give_reason(subject, court, actor, ground, note.as_deref())
            }
            Command::RecordPerformance { performed_on, note, .. } => {
                self.record_performance(subject, court, actor, *performed_on, note.as_deref())
            }
            Command::Defer { ground, until, .. } => self.defer(subject, permit, actor, ground, *until),
            Command::Extend { months, ground, .. } => self.extend(subject, court, actor, *months, ground),
            Command::Exempt { exemption, .. } => self.exempt(subject, court, actor, exemption),
            Command::EndExemption { exemption, .. } => self.end_exemption(subject, court, actor, *exemption),
            Command::SetRelation { relation, .. } => self.set_relation(subject, court, actor, relation),
            Command::EndRelation { relation, basis_document, .. } => {
                self.end_relation(subject, court, actor, *relation, basis_document)
            }
        }
    }

    fn approve(&mut self, subject: &Subject, permit: &RegistryPermit, actor: &Actor) -> Result<Plan, CommandError> {
        let content = self.content(subject)?;
        let shaped_by = self.shaped_by(Some(subject))?.unwrap_or_default();
        if shaped_by.contains(&actor.staff_id) || self.named_alone(subject, &actor.staff_id)? {
            return Err(CommandError::SecondPersonRequired);
        }
        if !permit.signing().is_signer(&actor.staff_id) {
            return Err(CommandError::NotASigner);
        }
        let decision = content.decision.as_ref().ok_or_else(no_decision)?;
        let action = Action::Approve(decision.standing(self.now));
        let mut plan = self.act(subject, permit.court(), action, EventKind::Approve, actor, "", None)?;
        (plan.event.until, plan.event.grace_until) = (decision.until(), decision.grace_until());
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
            approver: None,
        };
        let mut plan = self.event_of(subject.number, court, kind, record, Some(state), Some(body));
        plan.event.until = subject.until;
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
        let event = Planned { state, body, ..Planned::new(kind, record, listing, court.to_owned()) };
        let made = if record.kind == RecordKind::Listing { 0 } else { record.number };
        Plan {
            event,
            also: None,
            record: made,
            stale: false,
            reason_owed: false,
            late: false,
            restricts: false,
            touches: vec![Touch::Listing(listing)],
        }
    }
}

/// Says whether a lift is stale; refuses anything else that is.
fn check_etag(etag: Option<u64>, current: u64, is_lift: bool) -> Result<bool, CommandError> {
    match etag {
        Some(etag) if etag == current => Ok(false),
        None if is_lift => Ok(false),
        Some(_) if is_lift => Ok(true),
        Some(_) => Err(CommandError::StaleEtag { current }),
        None => Err(fault("mutation.etag", "is required: read it again, and send its etag")),
    }
}

/// The clerk behind a request.
fn actor(request: &Request) -> Result<&Actor, CommandError> {
    request.actor.as_ref().ok_or_else(|| fault("mutation.actor", "is required: who acts through this system"))
}

pub(crate) fn fault(field: &str, problem: &str) -> CommandError {
    CommandError::Faults(vec![ContentFault::new(field, problem)])
}

fn no_decision() -> CommandError {
    fault("content.decision", "is missing: nothing is listed without a decision")
}
