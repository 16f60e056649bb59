//! What parties ask, and what units report.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::petition::PetitionKind as Kind;
use xinhub_domain::listing::{
    DraftPetition, ObjectionGround, PartyRole, Petition, PetitionState, Retention, UnitReport,
};
use xinhub_domain::time::Timestamp;

use super::identity::{identity_to, raw_identity};
use super::registry::day;
use crate::reason::{FieldFault, FieldFaults};
use crate::v1;

/// The kind of a proto value; `None` for unspecified or unknown.
pub fn petition_kind_from(value: i32) -> Option<Kind> {
    match v1::PetitionKind::try_from(value).ok()? {
        v1::PetitionKind::Unspecified => None,
        v1::PetitionKind::Application => Some(Kind::Application),
        v1::PetitionKind::Objection => Some(Kind::Objection),
        v1::PetitionKind::Complaint => Some(Kind::Complaint),
    }
}

/// The proto value of a petition's kind.
pub fn petition_kind_to(kind: Kind) -> v1::PetitionKind {
    match kind {
        Kind::Application => v1::PetitionKind::Application,
        Kind::Objection => v1::PetitionKind::Objection,
        Kind::Complaint => v1::PetitionKind::Complaint,
    }
}

/// The state of a proto value; `None` for unspecified or unknown.
pub fn petition_state_from(value: i32) -> Option<PetitionState> {
    match v1::PetitionState::try_from(value).ok()? {
        v1::PetitionState::Unspecified => None,
        v1::PetitionState::Filed => Some(PetitionState::Filed),
        v1::PetitionState::Refused => Some(PetitionState::Refused),
        v1::PetitionState::Upheld => Some(PetitionState::Upheld),
        v1::PetitionState::Dismissed => Some(PetitionState::Dismissed),
        v1::PetitionState::UnderReconsideration => Some(PetitionState::Reconsidered),
        v1::PetitionState::Confirmed => Some(PetitionState::Confirmed),
        v1::PetitionState::Withdrawn => Some(PetitionState::Withdrawn),
    }
}

/// The proto value of a petition's state.
pub fn petition_state_to(state: PetitionState) -> v1::PetitionState {
    match state {
        PetitionState::Filed => v1::PetitionState::Filed,
        PetitionState::Refused => v1::PetitionState::Refused,
        PetitionState::Upheld => v1::PetitionState::Upheld,
        PetitionState::Dismissed => v1::PetitionState::Dismissed,
        PetitionState::Reconsidered => v1::PetitionState::UnderReconsideration,
        PetitionState::Confirmed => v1::PetitionState::Confirmed,
        PetitionState::Withdrawn => v1::PetitionState::Withdrawn,
    }
}

fn ground_from(value: i32) -> Result<Option<ObjectionGround>, ()> {
    match v1::ObjectionGround::try_from(value).map_err(drop)? {
        v1::ObjectionGround::Unspecified => Ok(None),
        v1::ObjectionGround::ShouldNotBeListed => Ok(Some(ObjectionGround::ShouldNotBeListed)),
        v1::ObjectionGround::DataWrong => Ok(Some(ObjectionGround::DataWrong)),
        v1::ObjectionGround::ShouldBeDeleted => Ok(Some(ObjectionGround::ShouldBeDeleted)),
    }
}

fn ground_to(ground: ObjectionGround) -> v1::ObjectionGround {
    match ground {
        ObjectionGround::ShouldNotBeListed => v1::ObjectionGround::ShouldNotBeListed,
        ObjectionGround::DataWrong => v1::ObjectionGround::DataWrong,
        ObjectionGround::ShouldBeDeleted => v1::ObjectionGround::ShouldBeDeleted,
    }
}

fn role_from(value: i32) -> Option<PartyRole> {
    match v1::PartyRole::try_from(value).ok()? {
        v1::PartyRole::Unspecified => None,
        v1::PartyRole::Debtor => Some(PartyRole::Debtor),
        v1::PartyRole::RelatedPerson => Some(PartyRole::Related),
        v1::PartyRole::Creditor => Some(PartyRole::Creditor),
        v1::PartyRole::NotMe => Some(PartyRole::NotMe),
    }
}

fn role_to(role: PartyRole) -> v1::PartyRole {
    match role {
        PartyRole::Debtor => v1::PartyRole::Debtor,
        PartyRole::Related => v1::PartyRole::RelatedPerson,
        PartyRole::Creditor => v1::PartyRole::Creditor,
        PartyRole::NotMe => v1::PartyRole::NotMe,
    }
}

/// What a party asks, at `content` in the request, taken in through the client `intake`.
///
/// # Errors
/// Every fault, by its path.
pub fn petition(message: Option<&v1::PetitionContent>, intake: &str, now: Timestamp) -> Result<Petition, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add("content", "is missing");
        return Err(faults);
    };
    let kind = petition_kind_from(message.kind);
    if kind.is_none() {
        faults.add("content.kind", "is missing, or not a kind that this hub knows");
    }
    let role = role_from(message.role);
    if role.is_none() {
        faults.add("content.role", "is missing, or not a role that this hub knows");
    }
    let ground = ground_from(message.ground).unwrap_or_else(|()| {
        faults.add("content.ground", "is not a ground that this hub knows");
        None
    });
    let mut identity = |field: &str, message: Option<&v1::Identity>| {
        message.and_then(|message| faults.take(raw_identity(Some(message), &format!("content.{field}"))))
    };
    let (party, debtor) = (identity("party", message.party.as_ref()), identity("debtor", message.debtor.as_ref()));
    let sound = faults.is_empty();
    let Some((kind, role)) = kind.zip(role).filter(|_| sound) else { return Err(faults) };
    let draft = DraftPetition {
        kind,
        role,
        party,
        name: message.name.clone(),
        ground,
        statement: message.statement.clone(),
        documents: message.documents.clone(),
        received_on: message.received_on.clone(),
        against: message.against.clone(),
        case_number: message.case_number.clone(),
        debtor_name: message.debtor_name.clone(),
        debtor,
    };
    Petition::check(&draft, intake, now).map_err(|found| {
        faults.extend(found.into_iter().map(|fault| FieldFault::from_content(fault, "content")));
        faults
    })
}

/// What a party asks, for whoever may read it.
pub fn petition_to(content: &Petition) -> v1::PetitionContent {
    v1::PetitionContent {
        kind: petition_kind_to(content.kind) as i32,
        role: role_to(content.role) as i32,
        party: content.party.as_ref().map(identity_to),
        name: content.name.as_str().to_owned(),
        ground: content.ground.map_or(0, |ground| ground_to(ground) as i32),
        statement: content.statement.clone(),
        documents: content.documents.clone(),
        received_on: content.received_on.to_string(),
        against: content.against.clone().unwrap_or_default(),
        case_number: content.case_number.as_ref().map(|case| case.as_str().to_owned()).unwrap_or_default(),
        debtor_name: content.debtor_name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        debtor: content.debtor.as_ref().map(identity_to),
    }
}

/// What a client reports, at `report` in the request.
///
/// # Errors
/// Every fault, by its path.
pub fn unit_report(message: Option<&v1::report_request::Report>, now: Timestamp) -> Result<UnitReport, FieldFaults> {
    use v1::report_request::Report;
    let mut faults = FieldFaults::default();
    let report = match message {
        None => {
            faults.add("report", "is missing: imposed, lifted, acknowledged, retained or handled");
            None
        }
        Some(Report::Imposed(one)) => {
            let item = Some(one.item.trim().to_owned()).filter(|item| !item.is_empty());
            let measure = one.measure.trim().to_owned();
            faults.take(day(&one.on, "imposed.on")).map(|on| UnitReport::Imposed { measure, item, on })
        }
        Some(Report::Lifted(one)) => {
            let note = one.note.trim().to_owned();
            faults.take(day(&one.on, "lifted.on")).map(|on| UnitReport::Lifted { on, note })
        }
        Some(Report::Acknowledged(_)) => Some(UnitReport::Acknowledged),
        Some(Report::Retained(one)) => {
            let until = faults.take(day(&one.until, "retained.until"));
            let notified_on = faults.take(day(&one.notified_on, "retained.notified_on"));
            until.zip(notified_on).map(|(until, notified_on)| {
                let (measure, legal_basis) = (one.measure.trim().to_owned(), one.legal_basis.trim().to_owned());
                UnitReport::Retained(Retention { measure, legal_basis, until, notified_on })
            })
        }
        Some(Report::Handled(one)) => Some(UnitReport::Handled { note: one.note.trim().to_owned() }),
    };
    let Some(report) = report else { return Err(faults) };
    let prefix = report.code();
    report.check(now.day()).map_err(|found| {
        faults.extend(found.into_iter().map(|fault| FieldFault::from_content(fault, prefix)));
        faults
    })
}

/// The clock of a name.
///
/// # Errors
/// Where there is none of that name.
pub fn clock_from(code: &str, path: &str) -> Result<Clock, FieldFaults> {
    Clock::from_code(code).ok_or_else(|| {
        let mut faults = FieldFaults::default();
        let known: Vec<&str> = Clock::ALL.iter().map(|clock| clock.code()).collect();
        faults.add(path, format!("is one of {}", known.join(", ")));
        faults
    })
}
