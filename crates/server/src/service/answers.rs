//! What a replica has answered by itself, put on record as if the hub had answered it.
//!
//! Promises: nothing is confirmed before it is durable; an answer that is reported again gets the id that it has; and a client owes
//! for whom it was told of by its replica as for whom it asked the hub about, also where the listing was lifted meanwhile.

use std::sync::Arc;

use xinhub_api::convert::{
    Role, check_reference, effect_from, identity, reason_from, relation_from, timestamp_from, verdict_from,
};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_api::v1::replica_entry::Entry as What;
use xinhub_domain::decision::Verdict;
use xinhub_domain::identity::Identity;
use xinhub_domain::policy::{Reach, UnitAsk, UnitPermit};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Position;

use super::call::Call;
use super::{lookup, status, sync};
use crate::audit::{AuditId, AuditItem, FromReplica, Record, Reported, ReportedWhat, SubjectView};

/// Entries of one report.
const MAX_ENTRIES: usize = 1_000;

/// An answer as a replica gave it.
struct Answered {
    time: Timestamp,
    revision: u64,
    measure: String,
    item: String,
    identity: Identity,
    reference: String,
    verdict: Verdict,
    view: SubjectView,
}

/// Something that goes on record.
enum Entry {
    Answer(Box<Answered>),
    Other(ReportedWhat),
}

pub(super) async fn report_answers(
    call: Arc<Call>,
    request: v1::ReportAnswersRequest,
) -> Result<v1::ReportAnswersResponse, Failure> {
    // To its end, also where the caller has gone: what is on record without being noted would be recorded twice.
    let taken = tokio::spawn(take(call, request)).await;
    taken.unwrap_or_else(|_| Err(Failure::new(Reason::Internal, "a thread of the hub died; report it again")))
}

async fn take(call: Arc<Call>, request: v1::ReportAnswersRequest) -> Result<v1::ReportAnswersResponse, Failure> {
    let hub = Arc::clone(call.hub());
    let permit = hub.authority.permit(call.peer(), call.method(), &UnitAsk, call.now())?;
    let who = sync::subscriber(&call, &request.instance_id, "instance_id")?;
    let cost = 1 + request.entries.len() as u64;
    lookup::charge_client(&call, permit.client(), cost, call.now())?;
    if request.entries.len() > MAX_ENTRIES {
        let problem = "are more than 1,000: report them in several calls";
        return Err(Failure::field(Reason::InvalidField, "entries", problem));
    }
    let taking = Arc::clone(&hub);
    let _one_at_a_time = taking.sync.subscribers.one_report(&who).await;
    let known = hub.sync.subscribers.reported(&who);
    if !hub.sync.subscribers.is_known(&who) {
        let text = "no replica of this name has subscribed: open its streams first, and report then";
        return Err(Failure::new(Reason::Overloaded, text));
    }
    if request.entries.is_empty() {
        return Ok(v1::ReportAnswersResponse { sequence: known });
    }
    let entries = read(&permit, &request.entries, known, call.now())?;
    let last = request.entries.last().map_or(known, |entry| entry.sequence.max(known));
    let mut disclosed = Vec::new();
    let mut records = Vec::new();
    for (sequence, entry) in entries {
        records.push(match entry {
            Entry::Answer(answer) => {
                // Only a replica of reach `exact` can have said it, and of its own audience's measures: else nobody is told what is listed.
                let listings = if may_have_answered(&call, &permit, &answer.measure) {
                    hub.ledger.answered_on(&answer.identity, answer.view.relation, answer.revision)
                } else {
                    Vec::new()
                };
                disclosed.extend_from_slice(&listings);
                let id = AuditId::of_replica(answer.time, &who.client, &who.instance, sequence);
                FromReplica::Answer(id, record(&call, &permit, *answer, listings))
            }
            Entry::Other(what) => {
                let (caller, instance) = (who.client.clone(), who.instance);
                FromReplica::Other(Reported { caller, instance, sequence, what })
            }
        });
    }
    hub.audit.record_reported(records).await.map_err(|error| status::audit(&error))?;
    disclosed.sort_unstable();
    disclosed.dedup();
    hub.ledger.disclose(call.peer().client_id(), &disclosed).await.map_err(status::command)?;
    let noted = tokio::task::spawn_blocking(move || hub.sync.subscribers.set_reported(&who, last)).await;
    noted.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| {
        tracing::error!(%error, "what a replica has reported can't be noted");
        Failure::new(Reason::Storage, "the report can't be confirmed just now; report it again")
    })?;
    Ok(v1::ReportAnswersResponse { sequence: last })
}

fn may_have_answered(call: &Call, permit: &UnitPermit, measure: &str) -> bool {
    let client = permit.client();
    let policy = call.hub().authority.policy();
    let audience = policy.audiences().iter().find(|audience| Some(audience.id()) == client.audience());
    let id = permit.catalogue().measure(measure).map(|row| row.id);
    let is_its = audience.zip(id).is_some_and(|(audience, id)| audience.measures().contains(&id));
    is_its && client.reach().contains(Reach::Exact)
}

/// What is new in a report, by its sequence.
fn read(
    permit: &UnitPermit,
    entries: &[v1::ReplicaEntry],
    known: u64,
    now: Timestamp,
) -> Result<Vec<(u64, Entry)>, Failure> {
    let mut faults = FieldFaults::default();
    let mut new = Vec::new();
    let mut before = 0;
    for (at, entry) in entries.iter().enumerate() {
        let path = format!("entries[{at}]");
        if entry.sequence <= before {
            faults.add(format!("{path}.sequence"), "does not come behind the one before");
        }
        before = entry.sequence;
        if entry.sequence <= known {
            continue;
        }
        if let Some(entry) = faults.take(read_one(permit, entry, &path, now)) {
            new.push((before, entry));
        }
    }
    if faults.is_empty() { Ok(new) } else { Err(faults.into()) }
}

fn read_one(permit: &UnitPermit, entry: &v1::ReplicaEntry, path: &str, now: Timestamp) -> Result<Entry, FieldFaults> {
    let mut faults = FieldFaults::default();
    // A replica's clock may be ahead; what it tells happened before it told it.
    let mut time = |time: Option<&prost_types::Timestamp>, field: &str| {
        let read = time.and_then(timestamp_from).map(|time| time.min(now));
        if read.is_none() {
            faults.add(format!("{path}.{field}"), "is missing, or no time");
        }
        read.unwrap_or(now)
    };
    let read = match &entry.entry {
        Some(What::Gap(gap)) => {
            let (from, to) = (time(gap.from.as_ref(), "gap.from"), time(gap.to.as_ref(), "gap.to"));
            Some(Entry::Other(ReportedWhat::Gap { from, to }))
        }
        Some(What::Clears(clears)) => {
            let hour = time(clears.hour.as_ref(), "clears.hour");
            let measure = known_measure(permit, &clears.measure);
            Some(Entry::Other(ReportedWhat::Clears { measure, hour, count: clears.count }))
        }
        Some(What::Answer(answer)) => {
            let time = time(answer.time.as_ref(), "answer.time");
            let measure = known_measure(permit, &answer.measure);
            check_reference(&answer.reference, &format!("{path}.answer.reference"), &mut faults);
            let subject = &format!("{path}.answer.identity");
            let whom = faults.take(identity(answer.identity.as_ref(), subject, Role::LookerUp, now.date()));
            let verdict = verdict_from(answer.verdict).filter(|verdict| verdict.is_adverse());
            let reason = reason_from(answer.reason);
            if verdict.is_none() || reason.is_none() {
                faults.add(format!("{path}.answer.verdict"), "is no adverse answer with its reason");
            }
            whom.zip(verdict).zip(reason).map(|((identity, verdict), reason)| {
                // The measure's own condition, and no text of the caller's.
                let condition = permit.catalogue().measure(&measure).and_then(|row| row.condition.name());
                let open_condition = condition.filter(|name| *name == answer.open_condition).map(str::to_owned);
                let (effect, relation) = (effect_from(answer.effect), relation_from(answer.relation));
                Entry::Answer(Box::new(Answered {
                    time,
                    revision: answer.revision,
                    measure,
                    item: answer.item.clone(),
                    identity,
                    reference: answer.reference.clone(),
                    verdict,
                    view: SubjectView { reason, effect, relation, open_condition },
                }))
            })
        }
        None => {
            faults.add(path, "says nothing");
            None
        }
    };
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        Some(_) | None => Err(faults),
    }
}

/// A code of the catalogue. Anything else may be free text and is not kept; a code that has gone since is no reason to lose the answer.
fn known_measure(permit: &UnitPermit, code: &str) -> String {
    permit.catalogue().measure(code).map_or_else(|| "unknown".to_owned(), |measure| measure.code.to_string())
}

fn record(call: &Call, permit: &UnitPermit, answer: Answered, listings: Vec<u64>) -> Record {
    let client = permit.client();
    let measure = permit.catalogue().measure(&answer.measure);
    let item = measure.and_then(|row| row.item(&answer.item).map(|item| Arc::clone(&row.items[item.index()])));
    let position = call.hub().ledger.position();
    Record {
        caller: Arc::clone(call.peer().client_id()),
        class: Some(client.class()),
        audit_class: Arc::clone(client.audit_class()),
        method: call.method(),
        measure: Some(answer.measure.into()),
        item,
        time: answer.time,
        reference: answer.reference,
        token: Position { revision: answer.revision, ..position }.token(),
        request_id: *call.request_id().as_bytes(),
        code: 0,
        items: vec![AuditItem {
            key: answer.identity.keys().next(),
            verdict: Some(answer.verdict),
            error: None,
            listings,
            subject_view: Some(Box::new(answer.view)),
            reference: String::new(),
        }],
    }
}
