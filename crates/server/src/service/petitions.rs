//! RemedyService: what parties ask, and the clocks of it. Every act on a petition goes one way, [`act`].

use std::sync::Arc;

use prost::Message;
use tonic::{Request, Response, Status};
use xinhub_api::convert::{
    self, Form, clock_from, day, etag_from, etag_to, listing_number, optional_day, petition_kind_from,
    petition_state_from, petition_state_to, petition_to, state_to, timestamp_to,
};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_api::v1::remedy_service_server::RemedyService;
use xinhub_domain::deadline::Bearer;
use xinhub_domain::listing::EventKind;
use xinhub_domain::policy::{Policy, RemedyAsk, RemedyPermit};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::command::Found;
use xinhub_ledger::{
    Act, DeadlineView, Outcome, PetitionFilter, PetitionStep, PetitionView, Redress, RemedyCommand,
    Request as LedgerRequest,
};

use super::call::{Call, unary};
use super::lookup::position_to;
use super::page::{self, Page};
use super::registry::body_of;
use super::status;

/// The service.
pub(super) struct Remedies;

/// A converted act, with the soft warnings of its data.
type Converted = (RemedyCommand, Vec<String>);

/// The message of one act on a petition.
trait Acting: Message + Clone + Send + 'static {
    type Response: Send;

    fn head(&mut self) -> &mut Option<v1::Mutation>;
    fn convert(&self, terms: &Terms<'_>) -> Result<Converted, FieldFaults>;
    fn response(outcome: v1::PetitionOutcome) -> Self::Response;
}

/// What a conversion depends on.
struct Terms<'a> {
    now: Timestamp,
    /// The client that calls.
    client: &'a str,
    policy: &'a Policy,
}

macro_rules! acting {
    ($request:ident => $response:ident, |$message:ident, $terms:ident| $convert:expr) => {
        impl Acting for v1::$request {
            type Response = v1::$response;

            fn head(&mut self) -> &mut Option<v1::Mutation> {
                &mut self.mutation
            }

            fn convert(&self, $terms: &Terms<'_>) -> Result<Converted, FieldFaults> {
                let $message = self;
                $convert
            }

            fn response(outcome: v1::PetitionOutcome) -> v1::$response {
                v1::$response { outcome: Some(outcome) }
            }
        }
    };
}

acting!(FilePetitionRequest => FilePetitionResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let court = Some(m.court.trim().to_owned()).filter(|court| !court.is_empty());
    if court.as_ref().is_some_and(|court| terms.policy.court(court).is_none()) {
        faults.add("court", "is not a court of this hub");
    }
    let content = faults.take(convert::petition(m.content.as_ref(), terms.client, terms.now));
    let against = content.as_ref().and_then(|content| content.against.as_deref());
    if against.is_some_and(|against| terms.policy.client(against).is_none_or(|client| !client.class().needs_unit())) {
        faults.add("content.against", "is no client of this hub that could restrict anybody");
    }
    let listing = (m.listing != 0).then_some(m.listing);
    let warnings = content.iter().flat_map(|content| {
        let identities = [("party", &content.party), ("debtor", &content.debtor)];
        identities.into_iter().filter_map(|(field, identity)| Some((field, identity.as_ref()?))).flat_map(
            |(field, identity)| {
                let of = identity.warnings().iter();
                of.map(|warning| format!("content.{field}.number: {warning}")).collect::<Vec<_>>()
            },
        )
    });
    let warnings = warnings.collect();
    done(faults, content, |content| (RemedyCommand::File { listing, court, content: Box::new(content) }, warnings))
});

acting!(RefuseIntakeRequest => RefuseIntakeResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let petition = faults.take(listing_number(m.petition, "petition"));
    let served_on = faults.take(optional_day(&m.served_on, "served_on"));
    let reasons = m.reasons.clone();
    done(faults, petition.zip(served_on), |(petition, served_on)| {
        (RemedyCommand::RefuseIntake { petition, reasons, served_on }, Vec::new())
    })
});

acting!(DecidePetitionRequest => DecidePetitionResponse, |m, terms| {
    let (petition, finding, warnings) =
        found(m.petition, m.upheld, &m.reasons, &m.served_on, m.redress.as_ref(), terms.now)?;
    Ok((RemedyCommand::Decide { petition, finding }, warnings))
});

acting!(ServeFindingRequest => ServeFindingResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let petition = faults.take(listing_number(m.petition, "petition"));
    let served_on = faults.take(day(&m.served_on, "served_on"));
    done(faults, petition.zip(served_on), |(petition, served_on)| {
        (RemedyCommand::ServeFinding { petition, served_on }, Vec::new())
    })
});

acting!(AskReconsiderationRequest => AskReconsiderationResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let petition = faults.take(listing_number(m.petition, "petition"));
    let received_on = faults.take(optional_day(&m.received_on, "received_on"));
    let reasons = m.reasons.clone();
    let today = terms.now.day();
    done(faults, petition.zip(received_on), |(petition, received_on)| {
        let received_on = received_on.unwrap_or(today);
        (RemedyCommand::AskReconsideration { petition, reasons, received_on }, Vec::new())
    })
});

acting!(DecideReconsiderationRequest => DecideReconsiderationResponse, |m, terms| {
    let (petition, finding, warnings) =
        found(m.petition, m.upheld, &m.reasons, &m.served_on, m.redress.as_ref(), terms.now)?;
    Ok((RemedyCommand::DecideReconsideration { petition, finding }, warnings))
});

acting!(WithdrawPetitionRequest => WithdrawPetitionResponse, |m, _terms| {
    let petition = listing_number(m.petition, "petition")?;
    Ok((RemedyCommand::Withdraw { petition, reasons: m.reasons.clone() }, Vec::new()))
});

fn done<T>(
    faults: FieldFaults,
    whole: Option<T>,
    command: impl FnOnce(T) -> Converted,
) -> Result<Converted, FieldFaults> {
    match whole {
        Some(whole) if faults.is_empty() => Ok(command(whole)),
        // What is missing was noted as a fault.
        Some(_) | None => Err(faults),
    }
}

fn found(
    petition: u64,
    upheld: bool,
    reasons: &str,
    served_on: &str,
    redress: Option<&v1::Redress>,
    now: Timestamp,
) -> Result<(u64, Found, Vec<String>), FieldFaults> {
    let mut faults = FieldFaults::default();
    let petition = faults.take(listing_number(petition, "petition"));
    let served_on = faults.take(optional_day(served_on, "served_on"));
    let redress = faults.take(self::redress(redress, now));
    match petition.zip(served_on).zip(redress) {
        Some(((petition, served_on), (redress, warnings))) if faults.is_empty() => {
            Ok((petition, Found { upheld, reasons: reasons.to_owned(), served_on, redress }, warnings))
        }
        Some(_) | None => Err(faults),
    }
}

fn redress(message: Option<&v1::Redress>, now: Timestamp) -> Result<(Option<Redress>, Vec<String>), FieldFaults> {
    use v1::redress::Act;
    let Some(message) = message else { return Ok((None, Vec::new())) };
    let mut faults = FieldFaults::default();
    let (act, warnings) = match &message.act {
        None => {
            faults.add("redress", "is empty: revoke, rectify, remove or end_relation");
            return Err(faults);
        }
        Some(Act::Revoke(_)) => (Redress::Revoke, Vec::new()),
        Some(Act::Remove(one)) => (Redress::Remove { ground: one.ground.trim().to_owned() }, Vec::new()),
        Some(Act::EndRelation(one)) => {
            let relation = listing_number(one.relation, "redress.end_relation.relation")?;
            (Redress::EndRelation { relation, basis_document: one.basis_document.trim().to_owned() }, Vec::new())
        }
        Some(Act::Rectify(one)) => {
            let etag = faults.take(etag_from(&one.listing_etag, "redress.rectify.listing_etag"));
            let content = faults.take(convert::content(one.content.as_ref(), Form::Correction, now));
            match etag.zip(content) {
                Some((etag, (content, warnings))) if faults.is_empty() => {
                    (Redress::Rectify { content: Box::new(content), etag }, warnings)
                }
                Some(_) | None => return Err(faults),
            }
        }
    };
    Ok((Some(act), warnings))
}

/// Convert in, submit, convert out. Returns once the act is durable and visible.
async fn act<M: Acting>(call: Arc<Call>, mut request: M) -> Result<M::Response, Failure> {
    let (hub, now) = (Arc::clone(call.hub()), call.now());
    let permit = hub.authority.permit(call.peer(), call.method(), &RemedyAsk, now)?;
    let policy = hub.authority.policy();
    let terms = Terms { now, client: call.peer().client_id(), policy: &policy };
    let mut faults = FieldFaults::default();
    let head = faults.take(convert::mutation(request.head().as_ref()));
    let converted = faults.take(request.convert(&terms));
    let (Some(head), Some((command, warnings))) = (head, converted) else {
        return Err(faults.into());
    };
    let shows_listing = permit.court().is_some();
    let act = Act::Remedy(permit, command);
    if !act.is_lift() {
        call.charge(act.client())?;
    }
    if let Some(head) = request.head().as_mut() {
        head.request_id.clear();
    }
    let body = body_of(call.method(), &request);
    let convert::Mutation { request_id, etag, actor, approver } = head;
    let request = LedgerRequest { act, request_id, body, etag, actor, approver };
    let outcome = hub.ledger.submit(request).await.map_err(status::command)?;
    call.note_listing(outcome.listing);
    call.note_token(outcome.position.token());
    let standing = hub.ledger.standing(outcome.listing).filter(|_| shows_listing);
    Ok(M::response(outcome_to(&outcome, standing.map(|(state, etag)| (state_to(state), etag_to(etag))), warnings)))
}

/// A unit that takes a petition in learns nothing of the listing by it.
fn outcome_to(
    outcome: &Outcome,
    listing: Option<(v1::ListingState, String)>,
    warnings: Vec<String>,
) -> v1::PetitionOutcome {
    let (state, etag) = listing.unwrap_or_default();
    v1::PetitionOutcome {
        petition: outcome.record,
        state: outcome.petition.map_or(0, |state| petition_state_to(state) as i32),
        etag: etag_to(outcome.etag),
        listing: outcome.listing,
        listing_state: state as i32,
        listing_etag: etag,
        late: outcome.late,
        position: Some(position_to(outcome.position)),
        replayed: outcome.replayed,
        warnings,
    }
}

/// The right to read, charged as one check.
fn permit(call: &Call) -> Result<RemedyPermit, Failure> {
    let permit = call.hub().authority.permit(call.peer(), call.method(), &RemedyAsk, call.now())?;
    call.charge(permit.client())?;
    Ok(permit)
}

async fn get_petition(call: Arc<Call>, request: v1::GetPetitionRequest) -> Result<v1::GetPetitionResponse, Failure> {
    let number = listing_number(request.petition, "petition")?;
    let permit = permit(&call)?;
    let hub = call.hub();
    let position = hub.ledger.position();
    call.note_token(position.token());
    let view = hub.ledger.petition(&permit, number).map_err(status::command)?;
    let absent = || Failure::new(Reason::NotFound, "there is no such petition among those that this client may read");
    let view = view.ok_or_else(absent)?;
    call.note_listing(view.listing);
    let policy = hub.authority.policy();
    let petition = petition_view_to(&view, &policy, call.now().day());
    Ok(v1::GetPetitionResponse { petition: Some(petition), position: Some(position_to(position)) })
}

async fn list_petitions(
    call: Arc<Call>,
    request: v1::ListPetitionsRequest,
) -> Result<v1::ListPetitionsResponse, Failure> {
    let mut faults = FieldFaults::default();
    let Page { limit, after } = page::number(request.page_size, &request.page_token, &mut faults);
    let filter = PetitionFilter {
        states: known(&request.states, "states", petition_state_from, &mut faults),
        kinds: known(&request.kinds, "kinds", petition_kind_from, &mut faults),
        listing: (request.listing != 0).then_some(request.listing),
    };
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let permit = permit(&call)?;
    let (hub, today) = (Arc::clone(call.hub()), call.now().day());
    let position = hub.ledger.position();
    call.note_token(position.token());
    // One more than asked for tells whether there is a next page.
    let read = tokio::task::spawn_blocking(move || {
        let mut numbers = hub.ledger.petitions(&permit, &filter, after, limit + 1);
        let more = numbers.len() > limit;
        numbers.truncate(limit);
        let policy = hub.authority.policy();
        let mut petitions = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let view = hub.ledger.petition(&permit, *number).map_err(status::command)?;
            petitions.extend(view.map(|view| petition_view_to(&view, &policy, today)));
        }
        Ok::<_, Failure>((petitions, numbers.last().copied().filter(|_| more)))
    });
    let (petitions, next) = read.await.map_err(page::unread)??;
    for petition in &petitions {
        call.note_listing(petition.listing);
    }
    let next_page_token = next.map(page::token).unwrap_or_default();
    Ok(v1::ListPetitionsResponse { petitions, next_page_token, position: Some(position_to(position)) })
}

async fn list_deadlines(
    call: Arc<Call>,
    request: v1::ListDeadlinesRequest,
) -> Result<v1::ListDeadlinesResponse, Failure> {
    let mut faults = FieldFaults::default();
    let (limit, after) = page::bound(request.page_size, &request.page_token, &mut faults);
    let statuses = known(
        &request.statuses,
        "statuses",
        |value| v1::DeadlineStatus::try_from(value).ok().filter(|status| *status != v1::DeadlineStatus::Unspecified),
        &mut faults,
    );
    let mut clocks = Vec::new();
    for (at, code) in request.clocks.iter().enumerate() {
        clocks.extend(faults.take(clock_from(code, &format!("clocks[{at}]"))));
    }
    let min_days = u32::try_from(request.min_days_overdue).unwrap_or_else(|_| {
        faults.add("min_days_overdue", "is negative");
        0
    });
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let permit = permit(&call)?;
    let (hub, today) = (Arc::clone(call.hub()), call.now().day());
    let position = hub.ledger.position();
    call.note_token(position.token());
    let (court, unit) = (request.court, request.unit);
    let read = tokio::task::spawn_blocking(move || {
        let policy = hub.authority.policy();
        let take = |view: &DeadlineView| {
            let status = deadline_status(view, today);
            (statuses.is_empty() || statuses.contains(&status))
                && (clocks.is_empty() || clocks.contains(&view.clock))
                && (court.is_empty() || view.court == court)
                && (unit.is_empty() || supervising_unit(view, &policy) == unit)
                && (min_days == 0 || days_overdue(view, today) >= min_days)
        };
        let mut views = hub.ledger.deadlines(&permit, after, limit + 1, take);
        let more = views.len() > limit;
        views.truncate(limit);
        let next = views.last().filter(|_| more).map(|view| page::encoded_token(view.bound));
        (views.iter().map(|view| deadline_to(view, &policy, today)).collect(), next)
    });
    let (deadlines, next) = read.await.map_err(page::unread)?;
    let next_page_token = next.unwrap_or_default();
    Ok(v1::ListDeadlinesResponse { deadlines, next_page_token, position: Some(position_to(position)) })
}

fn known<T: PartialEq>(
    values: &[i32],
    path: &str,
    from: impl Fn(i32) -> Option<T>,
    faults: &mut FieldFaults,
) -> Vec<T> {
    let mut known = Vec::new();
    for (at, value) in values.iter().enumerate() {
        match from(*value) {
            Some(value) if known.contains(&value) => {}
            Some(value) => known.push(value),
            None => faults.add(format!("{path}[{at}]"), "is not a value that this hub knows"),
        }
    }
    known
}

pub(super) fn petition_view_to(view: &PetitionView, policy: &Policy, today: Day) -> v1::Petition {
    v1::Petition {
        petition: view.number,
        state: petition_state_to(view.state) as i32,
        etag: etag_to(view.revision),
        listing: view.listing,
        court: view.court.clone(),
        content: Some(petition_to(&view.content)),
        intake: view.content.intake.clone(),
        late: view.content.late,
        steps: view.steps.iter().map(step_to).collect(),
        deadline: view.deadline.as_ref().map(|deadline| deadline_to(deadline, policy, today)),
        update_time: Some(timestamp_to(view.updated_at)),
    }
}

fn step_to(step: &PetitionStep) -> v1::PetitionStep {
    v1::PetitionStep {
        act: act_name(step.kind).to_owned(),
        state: petition_state_to(step.state) as i32,
        time: Some(timestamp_to(step.at)),
        client: step.finding.client.clone(),
        reasons: step.finding.reasons.clone(),
        served_on: step.finding.served_on.map(|day| day.to_string()).unwrap_or_default(),
        late: step.finding.late,
    }
}

/// An act as its method is called.
fn act_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::RefuseIntake => "RefuseIntake",
        EventKind::DecidePetition => "DecidePetition",
        EventKind::ServeFinding => "ServeFinding",
        EventKind::AskReconsideration => "AskReconsideration",
        EventKind::DecideReconsideration => "DecideReconsideration",
        EventKind::WithdrawPetition => "WithdrawPetition",
        // No other event is a step of a petition.
        _ => "FilePetition",
    }
}

fn deadline_status(view: &DeadlineView, today: Day) -> v1::DeadlineStatus {
    match view.running.due.cmp(&today) {
        std::cmp::Ordering::Greater => v1::DeadlineStatus::Running,
        std::cmp::Ordering::Equal => v1::DeadlineStatus::Due,
        std::cmp::Ordering::Less => v1::DeadlineStatus::Overdue,
    }
}

fn days_overdue(view: &DeadlineView, today: Day) -> u32 {
    today.0.saturating_sub(view.running.due.0)
}

fn supervising_unit(view: &DeadlineView, policy: &Policy) -> String {
    let client = view.client.as_ref().and_then(|client| policy.client(client));
    client.and_then(|client| client.unit()).unwrap_or_default().to_owned()
}

pub(super) fn deadline_to(view: &DeadlineView, policy: &Policy, today: Day) -> v1::Deadline {
    let bearer = match (view.clock.bearer(), &view.client) {
        (_, Some(client)) => client.clone(),
        (Bearer::CourtAbove, None) => {
            policy.court(&view.court).and_then(|court| court.above()).unwrap_or_default().to_owned()
        }
        (Bearer::Party | Bearer::Court | Bearer::Client, None) => view.court.clone(),
    };
    v1::Deadline {
        clock: view.clock.code().to_owned(),
        bearer,
        supervising_unit: supervising_unit(view, policy),
        court: view.court.clone(),
        listing: view.listing,
        petition: view.petition,
        since: view.running.since.to_string(),
        due: view.running.due.to_string(),
        status: deadline_status(view, today) as i32,
        days_overdue: i32::try_from(days_overdue(view, today)).unwrap_or(i32::MAX),
        import: view.import,
    }
}

macro_rules! remedies {
    ($($method:ident: $request:ident => $response:ident by $run:ident,)+) => {
        #[tonic::async_trait]
        impl RemedyService for Remedies {
            $(
                async fn $method(
                    &self,
                    request: Request<v1::$request>,
                ) -> Result<Response<v1::$response>, Status> {
                    unary(request, $run).await
                }
            )+
        }
    };
}

remedies! {
    file_petition: FilePetitionRequest => FilePetitionResponse by act,
    refuse_intake: RefuseIntakeRequest => RefuseIntakeResponse by act,
    decide_petition: DecidePetitionRequest => DecidePetitionResponse by act,
    serve_finding: ServeFindingRequest => ServeFindingResponse by act,
    ask_reconsideration: AskReconsiderationRequest => AskReconsiderationResponse by act,
    decide_reconsideration: DecideReconsiderationRequest => DecideReconsiderationResponse by act,
    withdraw_petition: WithdrawPetitionRequest => WithdrawPetitionResponse by act,
    get_petition: GetPetitionRequest => GetPetitionResponse by get_petition,
    list_petitions: ListPetitionsRequest => ListPetitionsResponse by list_petitions,
    list_deadlines: ListDeadlinesRequest => ListDeadlinesResponse by list_deadlines,
}
