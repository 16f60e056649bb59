//! What courts send.

use uuid::Uuid;
use xinhub_domain::identity::Sex;
use xinhub_domain::listing::{
    Actor, Bar, Content, Decision, Draft, DraftDecision, DraftRelation, Exemption, RelationContent, Stage, Visibility,
};
use xinhub_domain::time::{Day, Timestamp};

use super::enums::relation_from;
use super::identity::{Role, identity, raw_identity};
use super::{etag_from, timestamp_from};
use crate::reason::{FieldFault, FieldFaults, Reason, join};
use crate::v1;

/// How far a request id may lie behind hub time: as long as outcomes are kept, 7 days.
pub const MAX_REQUEST_AGE_MS: i64 = 7 * 86_400_000;
/// How far it may lie ahead, for clocks that differ: 10 minutes.
pub const MAX_REQUEST_LEAD_MS: i64 = 10 * 60_000;

/// Measures and items that one exemption may name.
const MAX_EXEMPTED: usize = 64;
/// Bytes of one measure or item code.
const MAX_CODE_BYTES: usize = 100;

/// What a request with a listing's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A risk notice: no decision yet.
    Notice,
    /// A listing: decision and ground are there.
    Decision,
    /// A correction of either.
    Correction,
}

/// What every mutation carries, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The UUIDv7 of the request.
    pub request_id: [u8; 16],
    /// The listing's revision as the caller last read it.
    pub etag: Option<u64>,
    /// Who stands behind it; `None` only for a machine's own word.
    pub actor: Option<Actor>,
    /// The second person who has seen it, if one is named.
    pub approver: Option<Actor>,
}

/// The head of a mutation, at `mutation` in the request.
///
/// The time in its request id is the ledger's to judge: a lift is taken even while the hub's clock is unsure, and then that
/// time is compared with nothing.
///
/// # Errors
/// Every fault, by its path.
pub fn mutation(message: Option<&v1::Mutation>) -> Result<Mutation, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("mutation", "is missing: give request_id and actor");
        return Err(faults);
    };
    let request_id = faults.take(request_id_form(&message.request_id, "mutation.request_id"));
    let etag = faults.take(etag_from(&message.etag, "mutation.etag"));
    let actor = faults.take(actor(message.actor.as_ref(), "mutation.actor"));
    let approver = faults.take(approver(message));
    let whole = request_id.zip(etag).zip(actor).zip(approver);
    faults.or(whole.map(|(((request_id, etag), actor), approver)| Mutation {
        request_id,
        etag,
        actor: Some(actor),
        approver,
    }))
}

/// [`mutation`], where a machine may speak for itself: without an actor, or with a whole one.
///
/// # Errors
/// Every fault, by its path.
pub fn mutation_by_machine(message: Option<&v1::Mutation>) -> Result<Mutation, FieldFaults> {
    match message {
        Some(message) if message.actor.is_none() => {
            let mut faults = FieldFaults::default();
            let request_id = faults.take(request_id_form(&message.request_id, "mutation.request_id"));
            let etag = faults.take(etag_from(&message.etag, "mutation.etag"));
            let whole = request_id.zip(etag).zip(faults.take(approver(message)));
            faults.or(whole.map(|((request_id, etag), approver)| Mutation { request_id, etag, actor: None, approver }))
        }
        _ => mutation(message),
    }
}

/// The second person of a mutation: nobody, or a whole one.
fn approver(message: &v1::Mutation) -> Result<Option<Actor>, FieldFaults> {
    message.approver.as_ref().map(|named| actor(Some(named), "mutation.approver")).transpose()
}

/// A UUIDv7 (RFC 9562) whose time is near `now`.
///
/// # Errors
/// `REQUEST_ID_INVALID`, saying what is wrong with it.
pub fn request_id(text: &str, path: &str, now: Timestamp) -> Result<[u8; 16], FieldFaults> {
    let id = request_id_form(text, path)?;
    // The first 48 bits are milliseconds of Unix time (RFC 9562, section 5.7).
    let made_ms = i64::try_from(u128::from_be_bytes(id) >> 80).unwrap_or(i64::MAX);
    if made_ms < now.0 - MAX_REQUEST_AGE_MS {
        let problem = "was made over 7 days ago, longer than outcomes are kept; read the listing, then send it anew";
        return Err(request_id_fault(path, problem));
    }
    if made_ms > now.0 + MAX_REQUEST_LEAD_MS {
        return Err(request_id_fault(path, "was made over 10 minutes ahead of the hub's time; set your clock"));
    }
    Ok(id)
}

/// A UUIDv7 of whatever time.
fn request_id_form(text: &str, path: &str) -> Result<[u8; 16], FieldFaults> {
    match Uuid::try_parse(text) {
        Ok(id) if id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122 => Ok(*id.as_bytes()),
        Ok(_) | Err(_) => {
            Err(request_id_fault(path, "is not a UUIDv7 (RFC 9562); make a new one for each new request"))
        }
    }
}

fn request_id_fault(path: &str, problem: &str) -> FieldFaults {
    let mut faults = FieldFaults::default();
    faults.add_of(Reason::RequestIdInvalid, path, problem);
    faults
}

/// The clerk behind a request.
///
/// # Errors
/// Every fault, by its path.
pub fn actor(message: Option<&v1::Actor>, path: &str) -> Result<Actor, FieldFaults> {
    let empty = v1::Actor::default();
    let message = message.unwrap_or(&empty);
    Actor::parse(&message.staff_id, &message.post).map_err(|fault| {
        let field = fault.field.rsplit('.').next().unwrap_or_default().to_owned();
        let mut faults = FieldFaults::default();
        faults.add(join(path, &field), fault.problem);
        faults
    })
}

/// The number of a listing, relation or exemption; 0 is none.
///
/// # Errors
/// Where it is 0.
pub fn listing_number(number: u64, path: &str) -> Result<u64, FieldFaults> {
    let mut faults = FieldFaults::default();
    if number == 0 {
        faults.add(path, "is missing: give its number");
    }
    faults.or(Some(number))
}

/// A required day.
///
/// # Errors
/// Where it is missing or no day.
pub fn day(text: &str, path: &str) -> Result<Day, FieldFaults> {
    let mut faults = FieldFaults::default();
    let day = Day::parse(text).map_err(|fault| faults.add(path, fault.to_string())).ok();
    faults.or(day)
}

/// A day that may be left out.
///
/// # Errors
/// Where it is no day.
pub fn optional_day(text: &str, path: &str) -> Result<Option<Day>, FieldFaults> {
    if text.trim().is_empty() { Ok(None) } else { day(text, path).map(Some) }
}

/// The content of a listing, at `content` in the request, with its soft warnings.
///
/// `form` says what the request has to bring. A correction of a listing whose decision a migration import attested brings
/// it back as it was read, without number and reasons; then `decision.attested` is set, and the caller makes sure that the
/// listing is one of these.
///
/// # Errors
/// Every fault, by its path.
pub fn content(
    message: Option<&v1::ListingContent>,
    form: Form,
    now: Timestamp,
) -> Result<(Content, Vec<String>), FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("content", "is missing");
        return Err(faults);
    };
    let mut draft = draft(message, &mut faults);
    let stage = match (form, &mut draft.decision) {
        (Form::Notice, _) | (Form::Correction, None) => Stage::Notice,
        (Form::Decision, _) => Stage::Decision,
        (Form::Correction, Some(decision)) => {
            decision.attested = decision.number.is_empty() && decision.reasons.is_empty();
            Stage::Correction
        }
    };
    let identities_sound = faults.is_empty();
    let checked = Content::check(&draft, stage, now).map_err(|found| {
        // With an identity left out for its kind, positions and counts of the others would be wrong.
        let told = found.into_iter().filter(|fault| identities_sound || !fault.field.starts_with("identities"));
        faults.extend(told.map(|fault| FieldFault::from_content(fault, "content")));
    });
    faults.or(checked.ok())
}

fn draft(message: &v1::ListingContent, faults: &mut FieldFaults) -> Draft {
    let mut identities = Vec::with_capacity(message.identities.len().min(8));
    if message.identities.len() > xinhub_domain::identity::Identities::MAX {
        let problem = format!("has {} identities; one subject carries 1 to 4", message.identities.len());
        faults.add_of(Reason::InvalidIdentity, "content.identities", problem);
    } else {
        for (at, identity) in message.identities.iter().enumerate() {
            identities.extend(faults.take(raw_identity(Some(identity), &format!("content.identities[{at}]"))));
        }
    }
    let sex = match v1::Sex::try_from(message.sex) {
        Ok(v1::Sex::Male) => Some(Sex::Male),
        Ok(v1::Sex::Female) => Some(Sex::Female),
        Ok(v1::Sex::Unspecified) => None,
        Err(_) => {
            faults.add("content.sex", "is not a value that this hub knows");
            None
        }
    };
    Draft {
        identities,
        name: message.name.clone(),
        sex,
        birth_date: message.birth_date.clone(),
        age: None,
        representative_name: message.representative_name.clone(),
        decision: message.decision.as_ref().map(|decision| draft_decision(decision, "content.decision", faults)),
        ground: ground(message.ground, faults),
        case_number: message.case_number.clone(),
        basis_document: message.basis_document.clone(),
        basis_issuer: message.basis_issuer.clone(),
        filed_on: message.filed_on.clone(),
        published_on: message.published_on.clone(),
        court_name: String::new(),
        area: message.area.clone(),
        obligation: message.obligation.clone(),
        performance: message.performance.clone(),
        performed_part: message.performed_part.clone(),
        unperformed_part: message.unperformed_part.clone(),
        conduct: message.conduct.clone(),
        visibility: visibility(message.visibility, faults),
        notice_served_on: message.notice_served_on.clone(),
        own_unit: message.own_unit.clone(),
        bars: bars(&message.bars, faults),
    }
}

fn bars(values: &[i32], faults: &mut FieldFaults) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let bar = match v1::ListingBar::try_from(*value) {
            Ok(v1::ListingBar::SecurityGiven) => Bar::SecurityGiven,
            Ok(v1::ListingBar::SeizedCoversDebt) => Bar::SeizedCoversDebt,
            Ok(v1::ListingBar::LaterInOrder) => Bar::LaterInOrder,
            Ok(v1::ListingBar::NotAbleButRefuses) => Bar::NotAbleButRefuses,
            Ok(v1::ListingBar::Unspecified) | Err(_) => {
                faults.add(format!("content.bars[{at}]"), "is not a value that this hub knows");
                continue;
            }
        };
        if !bars.contains(&bar) {
            bars.push(bar);
        }
    }
    bars
}

fn visibility(value: i32, faults: &mut FieldFaults) -> Visibility {
    match v1::Visibility::try_from(value) {
        Ok(v1::Visibility::Unspecified | v1::Visibility::Public) => Visibility::Public,
        Ok(v1::Visibility::Departmental) => Visibility::Departmental,
        Ok(v1::Visibility::OwnUnitOnly) => Visibility::OwnUnitOnly,
        Err(_) => {
            faults.add("content.visibility", "is not a value that this hub knows");
            Visibility::OwnUnitOnly
        }
    }
}

fn ground(number: i32, faults: &mut FieldFaults) -> u8 {
    u8::try_from(number).unwrap_or_else(|_| {
        faults.add("content.ground", "is 1 to 6 (法释〔2017〕7号 art. 1)");
        0
    })
}

fn draft_decision(message: &v1::Decision, path: &str, faults: &mut FieldFaults) -> DraftDecision {
    let mut count = |field: &str, value: i32| {
        u32::try_from(value).unwrap_or_else(|_| {
            faults.add(join(path, field), "is negative");
            0
        })
    };
    DraftDecision {
        term_months: count("term_months", message.term_months),
        grace_days: count("grace_days", message.grace_days),
        number: message.number.clone(),
        date: message.date.clone(),
        reasons: message.reasons.clone(),
        signer: message.signer.clone(),
        served_on: message.served_on.clone(),
        attested: false,
    }
}

/// The new decision of a restoration, at `decision` in the request.
///
/// # Errors
/// Every fault, by its path.
pub fn decision(message: Option<&v1::Decision>, now: Timestamp) -> Result<Decision, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("decision", "is missing: a hidden listing comes back by a new decision alone");
        return Err(faults);
    };
    let draft = draft_decision(message, "decision", &mut faults);
    let checked = Decision::check(&draft, now)
        .map_err(|found| faults.extend(found.into_iter().map(|fault| FieldFault::from_content(fault, ""))));
    faults.or(checked.ok())
}

/// A related person, at `content` in the request, with its soft warnings.
///
/// # Errors
/// Every fault, by its path.
pub fn relation(
    message: Option<&v1::RelationContent>,
    now: Timestamp,
) -> Result<(RelationContent, Vec<String>), FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("content", "is missing");
        return Err(faults);
    };
    let relation = relation_from(message.relation);
    if relation.is_none() {
        faults.add("content.relation", "is missing, or not a relation that this hub knows");
    }
    let identity = faults.take(raw_identity(message.identity.as_ref(), "content.identity"));
    let Some((relation, identity)) = relation.zip(identity) else {
        return Err(faults);
    };
    let draft = DraftRelation {
        relation,
        identity,
        name: message.name.clone(),
        basis_document: message.basis_document.clone(),
        from: message.from.clone(),
        until: message.until.clone(),
    };
    let checked = RelationContent::check(&draft, now)
        .map_err(|found| faults.extend(found.into_iter().map(|fault| FieldFault::from_content(fault, "content"))));
    faults.or(checked.ok())
}

/// An exemption, at `content` in the request.
///
/// # Errors
/// Every fault, by its path.
pub fn exemption(message: Option<&v1::ExemptionContent>, now: Timestamp) -> Result<Exemption, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("content", "is missing");
        return Err(faults);
    };
    let identity = faults.take(identity(message.identity.as_ref(), "content.identity", Role::Court, now.date()));
    for (field, codes) in [("measures", &message.measures), ("items", &message.items)] {
        if codes.len() > MAX_EXEMPTED || codes.iter().any(|code| code.is_empty() || code.len() > MAX_CODE_BYTES) {
            faults.add(join("content", field), format!("has at most {MAX_EXEMPTED} codes, none of them empty"));
        }
    }
    let mut instant = |field: &str, at: Option<&prost_types::Timestamp>| {
        let at = at.and_then(timestamp_from);
        if at.is_none() {
            faults.add(join("content", field), "is missing, or not an instant from 1970 to 9999");
        }
        at
    };
    let from = instant("from", message.from.as_ref());
    let until = instant("until", message.until.as_ref());
    let Some(((identity, from), until)) = identity.zip(from).zip(until) else {
        return Err(faults);
    };
    let exemption = Exemption {
        identity,
        measures: message.measures.clone(),
        items: message.items.clone(),
        from,
        until,
        ground: message.ground.trim().to_owned(),
        approver: message.approver.trim().to_owned(),
    };
    let checked = exemption
        .check(now)
        .map_err(|found| faults.extend(found.into_iter().map(|fault| FieldFault::from_content(fault, "content"))));
    faults.or(checked.ok())
}
