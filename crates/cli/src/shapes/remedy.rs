//! Petitions, deadlines, duties and measures as JSON.

use serde::Serialize;
use xinhub_client::v1;

use super::{Position, number, some, time};
use crate::codes::{code, label};
use crate::petition::PetitionFile;

/// A petition in full.
#[derive(Serialize)]
pub(crate) struct Petition {
    pub(crate) petition: u64,
    pub(crate) kind: Option<String>,
    pub(crate) state: Option<&'static str>,
    pub(crate) etag: String,
    pub(crate) listing: Option<u64>,
    pub(crate) court: String,
    pub(crate) intake: String,
    pub(crate) late: bool,
    pub(crate) update_time: Option<String>,
    pub(crate) content: PetitionFile,
    pub(crate) steps: Vec<Step>,
    pub(crate) deadline: Option<Deadline>,
}

/// What happened to a petition.
#[derive(Serialize)]
pub(crate) struct Step {
    pub(crate) act: String,
    pub(crate) state: Option<&'static str>,
    pub(crate) time: Option<String>,
    pub(crate) client: String,
    pub(crate) reasons: Option<String>,
    pub(crate) served_on: Option<String>,
    pub(crate) late: bool,
}

/// What an act on a petition did.
#[derive(Serialize)]
pub(crate) struct PetitionOutcome {
    pub(crate) petition: u64,
    pub(crate) state: Option<&'static str>,
    pub(crate) etag: String,
    pub(crate) listing: Option<u64>,
    pub(crate) listing_state: Option<&'static str>,
    pub(crate) listing_etag: Option<String>,
    pub(crate) late: bool,
    pub(crate) position: Option<Position>,
    pub(crate) replayed: bool,
    pub(crate) warnings: Vec<String>,
}

/// A day by which something must be done. Flat, so that it makes a row of CSV too.
#[derive(Serialize)]
pub(crate) struct Deadline {
    pub(crate) clock: String,
    pub(crate) bearer: String,
    pub(crate) supervising_unit: Option<String>,
    pub(crate) court: Option<String>,
    pub(crate) listing: Option<u64>,
    pub(crate) petition: Option<u64>,
    pub(crate) since: String,
    pub(crate) due: String,
    pub(crate) status: Option<&'static str>,
    pub(crate) days_overdue: i32,
}

/// What a client owes on one listing.
#[derive(Serialize)]
pub(crate) struct Duty {
    pub(crate) listing: u64,
    pub(crate) court: String,
    pub(crate) clock: String,
    pub(crate) state: Option<&'static str>,
    pub(crate) since: String,
    pub(crate) due: String,
    pub(crate) closed_by: Option<String>,
    pub(crate) close_time: Option<String>,
    pub(crate) imposed: Vec<Imposed>,
    pub(crate) own_retention: Vec<Retained>,
}

/// What was reported as imposed.
#[derive(Serialize)]
pub(crate) struct Imposed {
    pub(crate) measure: String,
    pub(crate) item: Option<String>,
    pub(crate) on: String,
}

/// What a client keeps by its own act.
#[derive(Serialize)]
pub(crate) struct Retained {
    pub(crate) measure: String,
    pub(crate) legal_basis: Option<String>,
    pub(crate) until: String,
    pub(crate) notified_on: Option<String>,
}

/// What a report did.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) listing: u64,
    pub(crate) duty_state: Option<&'static str>,
    pub(crate) position: Option<Position>,
    pub(crate) replayed: bool,
}

/// A measure of the catalogue.
#[derive(Serialize)]
pub(crate) struct Measure {
    pub(crate) measure: String,
    pub(crate) title_zh: String,
    pub(crate) effect: Option<&'static str>,
    pub(crate) items: Vec<String>,
    pub(crate) units: Vec<String>,
    pub(crate) enabled: bool,
    pub(crate) askable: bool,
    pub(crate) granted: bool,
}

impl From<v1::Petition> for Petition {
    fn from(petition: v1::Petition) -> Self {
        let content = petition.content.unwrap_or_default();
        Self {
            petition: petition.petition,
            kind: code::<v1::PetitionKind>(content.kind),
            state: label::<v1::PetitionState>(petition.state),
            etag: petition.etag,
            listing: number(petition.listing),
            court: petition.court,
            intake: petition.intake,
            late: petition.late,
            update_time: time(petition.update_time),
            content: content.into(),
            steps: petition.steps.into_iter().map(Step::from).collect(),
            deadline: petition.deadline.map(Deadline::from),
        }
    }
}

impl From<v1::PetitionStep> for Step {
    fn from(step: v1::PetitionStep) -> Self {
        Self {
            act: step.act,
            state: label::<v1::PetitionState>(step.state),
            time: time(step.time),
            client: step.client,
            reasons: some(step.reasons),
            served_on: some(step.served_on),
            late: step.late,
        }
    }
}

impl From<v1::PetitionOutcome> for PetitionOutcome {
    fn from(outcome: v1::PetitionOutcome) -> Self {
        Self {
            petition: outcome.petition,
            state: label::<v1::PetitionState>(outcome.state),
            etag: outcome.etag,
            listing: number(outcome.listing),
            listing_state: label::<v1::ListingState>(outcome.listing_state),
            listing_etag: some(outcome.listing_etag),
            late: outcome.late,
            position: outcome.position.map(Position::from),
            replayed: outcome.replayed,
            warnings: outcome.warnings,
        }
    }
}

impl From<v1::Deadline> for Deadline {
    fn from(deadline: v1::Deadline) -> Self {
        Self {
            clock: deadline.clock,
            bearer: deadline.bearer,
            supervising_unit: some(deadline.supervising_unit),
            court: some(deadline.court),
            listing: number(deadline.listing),
            petition: number(deadline.petition),
            since: deadline.since,
            due: deadline.due,
            status: label::<v1::DeadlineStatus>(deadline.status),
            days_overdue: deadline.days_overdue,
        }
    }
}

impl From<v1::Duty> for Duty {
    fn from(duty: v1::Duty) -> Self {
        let imposed = |one: v1::ImposedReport| Imposed { measure: one.measure, item: some(one.item), on: one.on };
        let kept = |one: v1::RetainedReport| Retained {
            measure: one.measure,
            legal_basis: some(one.legal_basis),
            until: one.until,
            notified_on: some(one.notified_on),
        };
        Self {
            listing: duty.listing,
            court: duty.court,
            clock: duty.clock,
            state: label::<v1::DutyState>(duty.state),
            since: duty.since,
            due: duty.due,
            closed_by: some(duty.closed_by),
            close_time: time(duty.close_time),
            imposed: duty.imposed.into_iter().map(imposed).collect(),
            own_retention: duty.own_retention.into_iter().map(kept).collect(),
        }
    }
}

impl From<v1::ReportResponse> for Report {
    fn from(response: v1::ReportResponse) -> Self {
        Self {
            listing: response.listing,
            duty_state: label::<v1::DutyState>(response.duty_state),
            position: response.position.map(Position::from),
            replayed: response.replayed,
        }
    }
}

impl From<v1::MeasureRow> for Measure {
    fn from(row: v1::MeasureRow) -> Self {
        Self {
            measure: row.measure,
            title_zh: row.title_zh,
            effect: label::<v1::Effect>(row.effect),
            items: row.items,
            units: row.units,
            enabled: row.enabled,
            askable: row.askable,
            granted: row.granted,
        }
    }
}
