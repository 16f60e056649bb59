//! What the hub accounts for, as JSON: a subject's view, certificates, announcements and counts.

use serde::Serialize;
use xinhub_client::v1;

use super::{Deadline, Exemption, Petition, Position, number, some, time};
use crate::codes::{code, label};
use crate::content::ContentFile;

/// All that concerns one subject.
#[derive(Serialize)]
pub(crate) struct SubjectView {
    pub(crate) listings: Vec<SubjectListing>,
    pub(crate) petitions: Vec<Petition>,
    pub(crate) inquiries: Vec<Inquiry>,
    pub(crate) next_page_token: Option<String>,
    pub(crate) position: Option<Position>,
}

/// One listing, as its subject may see it.
#[derive(Serialize)]
pub(crate) struct SubjectListing {
    pub(crate) listing: u64,
    pub(crate) state: Option<&'static str>,
    pub(crate) court: String,
    pub(crate) relations: Vec<Standing>,
    pub(crate) content: Option<ContentFile>,
    pub(crate) until: Option<String>,
    pub(crate) exemptions: Vec<Exemption>,
    pub(crate) deadlines: Vec<Deadline>,
    pub(crate) duties: Vec<UnitDuty>,
    pub(crate) measures: Vec<UnitMeasure>,
    pub(crate) told: Vec<String>,
    pub(crate) deferrals: Vec<PastDeferral>,
}

/// How the subject stands to a listing, now or once.
#[derive(Serialize)]
pub(crate) struct Standing {
    pub(crate) relation: Option<String>,
    pub(crate) corrected: bool,
    pub(crate) ended: bool,
    pub(crate) until: Option<String>,
}

/// What a unit owes by a listing, or has done.
#[derive(Serialize)]
pub(crate) struct UnitDuty {
    pub(crate) client: String,
    pub(crate) supervising_unit: Option<String>,
    pub(crate) clock: String,
    pub(crate) state: Option<&'static str>,
    pub(crate) since: String,
    pub(crate) due: String,
    pub(crate) closed_by: Option<String>,
}

/// What a unit reports that it imposed, or keeps.
#[derive(Serialize)]
pub(crate) struct UnitMeasure {
    pub(crate) client: String,
    pub(crate) supervising_unit: Option<String>,
    pub(crate) measure: String,
    pub(crate) item: Option<String>,
    pub(crate) imposed_on: Option<String>,
    pub(crate) lifted: bool,
    pub(crate) retained_until: Option<String>,
    pub(crate) legal_basis: Option<String>,
    pub(crate) notified_on: Option<String>,
    pub(crate) retention_ended: bool,
}

/// A deferral that is over.
#[derive(Serialize)]
pub(crate) struct PastDeferral {
    pub(crate) ground: String,
    pub(crate) time: Option<String>,
    pub(crate) until: String,
}

/// One adverse answer about the subject.
#[derive(Serialize)]
pub(crate) struct Inquiry {
    pub(crate) time: Option<String>,
    pub(crate) client: String,
    pub(crate) class: String,
    pub(crate) measure: Option<String>,
    pub(crate) item: Option<String>,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) effect: Option<&'static str>,
    pub(crate) relation: Option<String>,
    pub(crate) open_condition: Option<String>,
    pub(crate) listing: Option<u64>,
    pub(crate) reference: String,
}

/// What a deferral did.
#[derive(Serialize)]
pub(crate) struct Deferral {
    pub(crate) listing: u64,
    pub(crate) until: String,
    pub(crate) position: Option<Position>,
    pub(crate) replayed: bool,
}

/// A certificate that was issued.
#[derive(Serialize)]
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) verifier_key: String,
    pub(crate) expire_time: Option<String>,
    pub(crate) position: Option<Position>,
}

/// A lift to announce.
#[derive(Serialize)]
pub(crate) struct Announcement {
    pub(crate) court: String,
    pub(crate) case_number: String,
    pub(crate) lifted_on: String,
}

/// Listings in, out and in force. Flat, as the other counts, so that it makes a row of CSV too.
#[derive(Serialize)]
pub(crate) struct ListingCounts {
    pub(crate) court: String,
    pub(crate) month: String,
    pub(crate) ground: i32,
    pub(crate) listed: Option<u64>,
    pub(crate) restored: Option<u64>,
    pub(crate) hidden: Option<u64>,
    pub(crate) revoked: Option<u64>,
    pub(crate) removed: Option<u64>,
    pub(crate) expired: Option<u64>,
    pub(crate) in_force: u64,
    pub(crate) suppressed: bool,
    pub(crate) floor: i32,
}

/// Deadlines kept and missed.
#[derive(Serialize)]
pub(crate) struct DeadlineCounts {
    pub(crate) bearer: String,
    pub(crate) clock: String,
    pub(crate) month: String,
    pub(crate) kept: Option<u64>,
    pub(crate) missed: Option<u64>,
    pub(crate) suppressed: bool,
    pub(crate) floor: i32,
}

/// What units owe today.
#[derive(Serialize)]
pub(crate) struct DutyCounts {
    pub(crate) supervising_unit: String,
    pub(crate) clock: String,
    pub(crate) open: Option<u64>,
    pub(crate) overdue: u64,
    pub(crate) oldest_days_overdue: i32,
    pub(crate) suppressed: bool,
    pub(crate) floor: i32,
}

impl From<v1::ViewSubjectResponse> for SubjectView {
    fn from(view: v1::ViewSubjectResponse) -> Self {
        Self {
            listings: view.listings.into_iter().map(SubjectListing::from).collect(),
            petitions: view.petitions.into_iter().map(Petition::from).collect(),
            inquiries: view.inquiries.into_iter().map(Inquiry::from).collect(),
            next_page_token: some(view.next_page_token),
            position: view.position.map(Position::from),
        }
    }
}

impl From<v1::SubjectListing> for SubjectListing {
    fn from(listing: v1::SubjectListing) -> Self {
        let standing = |one: v1::SubjectRelation| Standing {
            relation: code::<v1::Relation>(one.relation),
            corrected: one.corrected,
            ended: one.ended,
            until: some(one.until),
        };
        let deferral = |one: v1::Deferral| PastDeferral { ground: one.ground, time: time(one.time), until: one.until };
        Self {
            listing: listing.listing,
            state: label::<v1::ListingState>(listing.state),
            court: listing.court,
            relations: listing.relations.into_iter().map(standing).collect(),
            content: listing.content.map(ContentFile::from),
            until: some(listing.until),
            exemptions: listing.exemptions.into_iter().map(Exemption::from).collect(),
            deadlines: listing.deadlines.into_iter().map(Deadline::from).collect(),
            duties: listing.duties.into_iter().map(UnitDuty::from).collect(),
            measures: listing.measures.into_iter().map(UnitMeasure::from).collect(),
            told: listing.told,
            deferrals: listing.deferrals.into_iter().map(deferral).collect(),
        }
    }
}

impl From<v1::UnitDuty> for UnitDuty {
    fn from(duty: v1::UnitDuty) -> Self {
        Self {
            client: duty.client,
            supervising_unit: some(duty.supervising_unit),
            clock: duty.clock,
            state: label::<v1::DutyState>(duty.state),
            since: duty.since,
            due: duty.due,
            closed_by: some(duty.closed_by),
        }
    }
}

impl From<v1::UnitMeasure> for UnitMeasure {
    fn from(measure: v1::UnitMeasure) -> Self {
        Self {
            client: measure.client,
            supervising_unit: some(measure.supervising_unit),
            measure: measure.measure,
            item: some(measure.item),
            imposed_on: some(measure.imposed_on),
            lifted: measure.lifted,
            retained_until: some(measure.retained_until),
            legal_basis: some(measure.legal_basis),
            notified_on: some(measure.notified_on),
            retention_ended: measure.retention_ended,
        }
    }
}

impl From<v1::AdverseInquiry> for Inquiry {
    fn from(inquiry: v1::AdverseInquiry) -> Self {
        Self {
            time: time(inquiry.time),
            client: inquiry.client,
            class: inquiry.class,
            measure: some(inquiry.measure),
            item: some(inquiry.item),
            verdict: label::<v1::Verdict>(inquiry.verdict),
            reason: label::<v1::AnswerReason>(inquiry.reason),
            effect: label::<v1::Effect>(inquiry.effect),
            relation: code::<v1::Relation>(inquiry.relation),
            open_condition: some(inquiry.open_condition),
            listing: number(inquiry.listing),
            reference: inquiry.reference,
        }
    }
}

impl From<v1::DeferViewResponse> for Deferral {
    fn from(response: v1::DeferViewResponse) -> Self {
        Self {
            listing: response.listing,
            until: response.until,
            position: response.position.map(Position::from),
            replayed: response.replayed,
        }
    }
}

impl From<v1::IssueCertificateResponse> for Certificate {
    fn from(response: v1::IssueCertificateResponse) -> Self {
        Self {
            certificate: response.certificate,
            verifier_key: response.verifier_key,
            expire_time: time(response.expire_time),
            position: response.position.map(Position::from),
        }
    }
}

impl From<v1::Announcement> for Announcement {
    fn from(one: v1::Announcement) -> Self {
        Self { court: one.court, case_number: one.case_number, lifted_on: one.lifted_on }
    }
}

/// A count, unless it was left out: the wire has 0 there, which nobody must take for "none".
fn unless(left_out: bool, count: u64) -> Option<u64> {
    (!left_out).then_some(count)
}

impl ListingCounts {
    pub(crate) fn of(row: v1::ListingStatistics, floor: i32) -> Self {
        let suppressed = row.suppressed;
        Self {
            court: row.court,
            month: row.month,
            ground: row.ground,
            listed: unless(suppressed, row.listed),
            // Left out by itself where it is few among many that were listed.
            restored: unless(suppressed || (floor > 0 && row.restored == 0), row.restored),
            hidden: unless(suppressed, row.hidden),
            revoked: unless(suppressed, row.revoked),
            removed: unless(suppressed, row.removed),
            expired: unless(suppressed, row.expired),
            in_force: row.in_force,
            suppressed,
            floor,
        }
    }
}

impl DeadlineCounts {
    pub(crate) fn of(row: v1::DeadlineStatistics, floor: i32) -> Self {
        Self {
            bearer: row.bearer,
            clock: row.clock,
            month: row.month,
            kept: unless(row.suppressed, row.kept),
            missed: unless(row.suppressed, row.missed),
            suppressed: row.suppressed,
            floor,
        }
    }
}

impl DutyCounts {
    pub(crate) fn of(row: v1::DutyStatistics, floor: i32) -> Self {
        Self {
            supervising_unit: row.supervising_unit,
            clock: row.clock,
            open: unless(row.suppressed, row.open),
            overdue: row.overdue,
            oldest_days_overdue: row.oldest_days_overdue,
            suppressed: row.suppressed,
            floor,
        }
    }
}
