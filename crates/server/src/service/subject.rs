//! For the person or organisation concerned: what the hub keeps of them, who was told what, and a certificate that nothing does.

use std::sync::Arc;

use xinhub_api::convert::{
    self, Role, content_to, content_to_published, effect_to, exemption_to, reason_to, relation_to, state_to,
    timestamp_to, verdict_to,
};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_domain::deadline::Clock;
use xinhub_domain::decision::{AnswerReason, Verdict};
use xinhub_domain::identity::{Identity, KeyInput};
use xinhub_domain::name::Name;
use xinhub_domain::policy::{Policy, SubjectAsk, SubjectPermit};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::{DutyView, SubjectListing};

use super::call::Call;
use super::lookup::position_to;
use super::petitions::{deadline_to, petition_view_to};
use super::units::duty_state;
use super::{page, status};
use crate::audit::{AuditId, AuditItem, Inquiry};

/// Inquiries where the caller names no number, and at most.
const INQUIRIES: usize = 200;
const MAX_INQUIRIES: usize = 1_000;
/// How long a certificate may be relied on: what is listed after it was issued, it does not know.
const CERTIFICATE_MS: i64 = 72 * 3_600_000;

/// For whom somebody acts.
struct Subject {
    identity: Identity,
    name: Option<Name>,
}

/// Checks whom a call is about, and that somebody has checked their document.
fn checked(message: Option<&v1::SubjectCheck>, now: Timestamp) -> Result<Subject, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("subject", "is missing: whose identity was checked");
        return Err(faults);
    };
    let today = now.day().date();
    let identity = convert::identity(message.identity.as_ref(), "subject.identity", Role::LookerUp, today);
    let identity = faults.take(identity);
    let name = match message.name.trim() {
        "" => None,
        name => Name::parse(name).map_err(|fault| faults.add("subject.name", fault.to_string())).ok(),
    };
    faults.take(convert::actor(message.actor.as_ref(), "subject.actor"));
    if message.document.trim().is_empty() {
        faults.add("subject.document", "is required: which document was checked");
    }
    convert::check_reference(&message.document, "subject.document", &mut faults);
    match identity {
        Some(identity) if faults.is_empty() => Ok(Subject { identity, name }),
        Some(_) | None => Err(faults),
    }
}

/// The right to act for a subject, charged as one check; and that this was done is on record under the subject's digest.
fn begin(call: &Call, subject: Option<&v1::SubjectCheck>) -> Result<(SubjectPermit, Subject), Failure> {
    let permit = call.hub().authority.permit(call.peer(), call.method(), &SubjectAsk, call.now())?;
    let subject = checked(subject, call.now())?;
    call.charge(permit.client())?;
    call.note_item(AuditItem { key: subject.identity.keys().next(), ..AuditItem::default() }, &[]);
    Ok((permit, subject))
}

fn other_name() -> Failure {
    let problem = "is not the name under this identity; check the document again";
    Failure::field(Reason::InvalidField, "subject.name", problem)
}

/// All that concerns one subject.
pub(super) async fn view_subject(
    call: Arc<Call>,
    request: v1::ViewSubjectRequest,
) -> Result<v1::ViewSubjectResponse, Failure> {
    let mut faults = FieldFaults::default();
    let limit = match usize::try_from(request.page_size) {
        Ok(0) => INQUIRIES,
        Ok(count) => count.min(MAX_INQUIRIES),
        Err(_) => {
            faults.add("page_size", "is negative; 0 is 200");
            0
        }
    };
    let after = page::mark(&request.page_token, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let (permit, subject) = begin(&call, request.subject.as_ref())?;
    let hub = Arc::clone(call.hub());
    let position = hub.ledger.position();
    call.note_token(position.token());
    let (policy, today) = (hub.authority.policy(), call.now().day());
    let read = tokio::task::spawn_blocking(move || {
        let view = hub.ledger.subject(&permit, &subject.identity).map_err(status::command)?;
        let named = |one: &SubjectListing| subject.name.as_ref().is_none_or(|name| one.is_named(name));
        if !view.listings.iter().all(named) {
            return Err(other_name());
        }
        let shown: Vec<&SubjectListing> = view.listings.iter().filter(|one| !one.is_deferred(today)).collect();
        let numbers: Vec<u64> = shown.iter().map(|one| one.listing).collect();
        let keys: Vec<KeyInput> = subject.identity.keys().collect();
        let own = |inquiry: &Inquiry| {
            let as_officer = inquiry.view.as_ref().is_some_and(|view| view.reason == AnswerReason::OfficerListed);
            let debtor = || shown.iter().any(|one| one.listing == inquiry.listing && one.is_debtor);
            // An organisation was asked about, and its officer's own listing was told.
            (as_officer && debtor()) || hub.inquiries.is_about(inquiry, &keys)
        };
        let found = hub.inquiries.find(&numbers, after, limit + 1, own).map_err(|error| {
            tracing::error!(%error, "the audit log can't be read for its subject");
            Failure::new(Reason::Internal, "the audit log can't be read; the hub's log has the request id")
        })?;
        Ok((view, found))
    });
    let (view, mut found) = read.await.map_err(page::unread)??;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| is_more).map(|one| page::encoded_token(one.mark));
    Ok(v1::ViewSubjectResponse {
        listings: view.listings.iter().map(|one| listing_to(one, &policy, today)).collect(),
        petitions: view.petitions.iter().map(|one| petition_view_to(one, &policy, today)).collect(),
        inquiries: found.iter().map(inquiry_to).collect(),
        next_page_token: last.unwrap_or_default(),
        position: Some(position_to(position)),
    })
}

fn listing_to(one: &SubjectListing, policy: &Policy, today: Day) -> v1::SubjectListing {
    let unit = |client: &str| policy.client(client).and_then(|client| client.unit()).unwrap_or_default().to_owned();
    let mut relations: Vec<v1::SubjectRelation> = one.standings().into_iter().map(relation_of).collect();
    if one.was_corrected {
        let relation = v1::Relation::Debtor as i32;
        relations.push(v1::SubjectRelation { relation, corrected: true, ended: true, until: String::new() });
    }
    let imposed = one.imposed.iter().map(|(client, imposed)| v1::UnitMeasure {
        client: client.clone(),
        supervising_unit: unit(client),
        measure: imposed.measure.clone(),
        item: imposed.item.clone().unwrap_or_default(),
        imposed_on: imposed.on.to_string(),
        lifted: imposed.lifted,
        ..v1::UnitMeasure::default()
    });
    let retained = one.retained.iter().map(|(client, row, kept)| v1::UnitMeasure {
        client: client.clone(),
        supervising_unit: unit(client),
        measure: row.measure.clone(),
        retained_until: row.until.to_string(),
        legal_basis: kept.as_ref().map(|kept| kept.legal_basis.clone()).unwrap_or_default(),
        notified_on: kept.as_ref().map(|kept| kept.notified_on.to_string()).unwrap_or_default(),
        retention_ended: row.ended,
        ..v1::UnitMeasure::default()
    });
    // Of a listing that is not theirs a related person sees what anybody may, and of one that was never theirs only that it was.
    let content = match (one.is_debtor, one.relations.is_empty()) {
        (true, _) => Some(content_to(&one.content)),
        (false, false) => Some(content_to_published(&one.content)),
        (false, true) => None,
    };
    let over = |until: Day| until < today;
    let deferred = one.is_deferred(today);
    // Who is known for having asked alone; what was imposed or is kept the subject has felt.
    let acted = |client: &String| {
        one.imposed.iter().any(|(who, _)| who == client) || one.retained.iter().any(|(who, ..)| who == client)
    };
    let hidden = |client: &String, duty: &DutyView| deferred && duty.clock == Clock::LiftMeasures && !acted(client);
    let duties = one.duties.iter().filter(|(client, duty)| !hidden(client, duty));
    v1::SubjectListing {
        listing: one.listing,
        state: state_to(one.state) as i32,
        court: one.court.clone(),
        relations,
        content,
        until: one.until.map(|day| day.to_string()).unwrap_or_default(),
        exemptions: one.exemptions.iter().map(exemption_of).collect(),
        deadlines: one.deadlines.iter().map(|deadline| deadline_to(deadline, policy, today)).collect(),
        duties: duties.map(|(client, duty)| duty_of(client, unit(client), duty)).collect(),
        measures: imposed.chain(retained).collect(),
        told: if deferred { Vec::new() } else { one.told.clone() },
        deferrals: one.deferrals.iter().filter(|one| over(one.until)).map(deferral_to).collect(),
    }
}

fn relation_of((relation, ended, until): (xinhub_domain::measure::Relation, bool, Option<Day>)) -> v1::SubjectRelation {
    let until = until.map(|day| day.to_string()).unwrap_or_default();
    v1::SubjectRelation { relation: relation_to(relation) as i32, corrected: false, ended, until }
}

fn exemption_of((number, content, ended): &(u64, xinhub_domain::listing::Exemption, bool)) -> v1::ListedExemption {
    v1::ListedExemption { exemption: *number, content: Some(exemption_to(content)), ended: *ended }
}

fn duty_of(client: &str, supervising_unit: String, duty: &DutyView) -> v1::UnitDuty {
    v1::UnitDuty {
        client: client.to_owned(),
        supervising_unit,
        clock: duty.clock.code().to_owned(),
        state: duty_state(duty) as i32,
        since: duty.since.to_string(),
        due: duty.due.to_string(),
        closed_by: duty.closed.map(|(how, _)| how.code().to_owned()).unwrap_or_default(),
    }
}

fn deferral_to(one: &xinhub_ledger::DeferralView) -> v1::Deferral {
    v1::Deferral { ground: one.ground.clone(), time: Some(timestamp_to(one.at)), until: one.until.to_string() }
}

fn inquiry_to(inquiry: &Inquiry) -> v1::AdverseInquiry {
    let (call, view) = (&inquiry.call, inquiry.view.as_ref());
    v1::AdverseInquiry {
        time: Some(timestamp_to(call.time)),
        client: call.caller.clone(),
        class: call.class.clone(),
        measure: call.measure.clone().unwrap_or_default(),
        item: call.item.clone().unwrap_or_default(),
        verdict: call.verdict(inquiry.index).map_or(v1::Verdict::Unspecified, verdict_of) as i32,
        reason: view.map_or(0, |view| reason_to(view.reason) as i32),
        effect: view.and_then(|view| view.effect).map_or(0, |effect| effect_to(effect) as i32),
        relation: view.and_then(|view| view.relation).map_or(0, |relation| relation_to(relation) as i32),
        open_condition: view.and_then(|view| view.open_condition.clone()).unwrap_or_default(),
        listing: inquiry.listing,
        reference: AuditId::from_bytes(call.id).to_string(),
    }
}

fn verdict_of(verdict: Verdict) -> v1::Verdict {
    verdict_to(verdict)
}

/// A signed statement that no listing in force reaches a subject.
pub(super) async fn issue_certificate(
    call: Arc<Call>,
    request: v1::IssueCertificateRequest,
) -> Result<v1::IssueCertificateResponse, Failure> {
    let (permit, subject) = begin(&call, request.subject.as_ref())?;
    let hub = Arc::clone(call.hub());
    if subject.identity.is_flagged() {
        let problem = "can't be confirmed, so that nothing can be certified of it: use another identity of the subject";
        return Err(Failure::field(Reason::InvalidIdentity, "subject.identity", problem));
    }
    let now = call.now();
    // What is certified held at this very position, whatever comes while it is being signed.
    let (reached, position) = hub.ledger.reaches(&permit, &subject.identity).map_err(status::command)?;
    call.note_token(position.token());
    if reached {
        let problem = "a listing in force reaches this identity: there is nothing to certify; see the subject's view";
        return Err(Failure::new(Reason::InForce, problem));
    }
    let expires = Timestamp(now.0.saturating_add(CERTIFICATE_MS));
    let text = certificate(&subject, call.peer().client_id(), now, expires, &position);
    let certificate = hub.signer.sign(&text).map_err(|error| {
        tracing::error!(%error, "a certificate can't be signed");
        Failure::new(Reason::Internal, "the certificate can't be signed; the hub's log has the request id")
    })?;
    Ok(v1::IssueCertificateResponse {
        certificate,
        verifier_key: hub.signer.verifier_key(),
        expire_time: Some(timestamp_to(expires)),
        position: Some(position_to(position)),
    })
}

/// What is signed. Lines of `key: value` that programs read, and sentences for people; the first line names the form.
fn certificate(
    subject: &Subject,
    client: &str,
    now: Timestamp,
    expires: Timestamp,
    position: &xinhub_ledger::Position,
) -> String {
    let identity = &subject.identity;
    let issuer = identity.issuing_state().map(|state| format!(" ({state})")).unwrap_or_default();
    let name = subject.name.as_ref().map_or("-", Name::as_str);
    let epoch: String = position.epoch.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "xinhub release certificate 1\n\
         identity: {} {}{issuer}\n\
         name: {name}\n\
         at: {}\n\
         expires: {}\n\
         history: {epoch} {}\n\
         issued-through: {client}\n\
         \n\
         截至上述时间，本平台没有任何有效的失信被执行人名单信息及于该身份，无论其为被执行人本人还是关联人员。\n\
         姓名由经办单位核对证件后填写。本证明不说明其偿付能力、品行，也不涉及该时间之后的情况。\n\
         At the time above no listing of judgment defaulters in force on this hub reaches this identity, as debtor or as a related \
         person.\n\
         The name is as the issuing unit read it on the document. This says nothing about solvency or character, and nothing of what \
         comes later.\n",
        identity.kind().code(),
        identity.number(),
        now.rfc3339(),
        expires.rfc3339(),
        position.revision,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn check(message: &v1::SubjectCheck, paths: &[&str]) {
        let faults: Vec<String> = match checked(Some(message), NOW) {
            Ok(_) => Vec::new(),
            Err(faults) => Failure::from(faults).fields().iter().map(|fault| fault.path().to_owned()).collect(),
        };
        assert_eq!(faults, paths);
    }

    #[test]
    fn whoever_acts_for_a_subject_has_checked_a_document() {
        let identity = v1::Identity {
            kind: v1::IdentityKind::ResidentId as i32,
            number: "110101199001010007".into(),
            issuing_state: String::new(),
        };
        let good = v1::SubjectCheck {
            identity: Some(identity),
            name: "测试甲".into(),
            document: "居民身份证，原件".into(),
            actor: Some(v1::Actor { staff_id: "s-1".into(), post: "clerk".into() }),
        };
        check(&good, &[]);
        check(
            &v1::SubjectCheck { document: String::new(), actor: None, ..good.clone() },
            &["subject.actor.staff_id", "subject.document"],
        );
        let with_number = "居民身份证 110101199001010007".to_owned();
        check(&v1::SubjectCheck { document: with_number, ..good.clone() }, &["subject.document"]);
        check(&v1::SubjectCheck { identity: None, ..good }, &["subject.identity"]);
    }
}
