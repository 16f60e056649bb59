//! What JSON output looks like: stable, and documented in OUTPUT.md. Every field is always there; what is not set is null.

mod account;
mod remedy;

use serde::Serialize;
use xinhub_client::v1;

use crate::codes::{code, label};
use crate::content::{ContentFile, ExemptionFile, RelationFile};

pub(crate) use account::{Announcement, Certificate, DeadlineCounts, Deferral, DutyCounts, ListingCounts, SubjectView};
pub(crate) use remedy::{Deadline, Duty, Measure, Petition, PetitionOutcome, Report};

/// A point in the hub's history.
#[derive(Serialize)]
pub(crate) struct Position {
    /// Opaque, in hex; for `--at-least`.
    pub(crate) token: String,
    pub(crate) time: Option<String>,
}

/// The answer to a check.
#[derive(Serialize)]
pub(crate) struct Check {
    #[serde(flatten)]
    pub(crate) answer: Answer,
    pub(crate) position: Option<Position>,
    pub(crate) use_by: Option<String>,
}

/// The answer to a check that began at a replica.
#[derive(Serialize)]
pub(crate) struct ReplicaCheck {
    #[serde(flatten)]
    pub(crate) check: Check,
    pub(crate) by: &'static str,
}

/// A verdict and what goes with it.
#[derive(Serialize)]
pub(crate) struct Answer {
    pub(crate) verdict: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) effect: Option<&'static str>,
    pub(crate) relation: Option<String>,
    pub(crate) open_condition: Option<String>,
    pub(crate) procedure: Option<String>,
    pub(crate) limit_fen: Option<i64>,
    pub(crate) on_unknown: Option<&'static str>,
    pub(crate) officers_listed: i32,
    pub(crate) officer_positions: Vec<i32>,
    pub(crate) listings: Vec<u64>,
    pub(crate) slip: Option<Slip>,
}

/// What a hotel or ticket desk hands to the person.
#[derive(Serialize)]
pub(crate) struct Slip {
    pub(crate) text_zh: String,
    pub(crate) text_en: String,
    pub(crate) court: String,
    pub(crate) reference: String,
}

/// Why one row of a batch has no answer.
#[derive(Serialize)]
pub(crate) struct ItemError {
    pub(crate) code: i32,
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: String,
}

/// One row of a batch.
#[derive(Serialize)]
pub(crate) struct BatchRow {
    /// The line in the file, from 1 with the header.
    pub(crate) line: u64,
    pub(crate) reference: Option<String>,
    pub(crate) answer: Option<Answer>,
    pub(crate) error: Option<ItemError>,
}

/// What a mutation did.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) listing: u64,
    pub(crate) record: Option<u64>,
    pub(crate) state: Option<&'static str>,
    pub(crate) etag: String,
    pub(crate) position: Option<Position>,
    pub(crate) stale: bool,
    pub(crate) replayed: bool,
    pub(crate) warnings: Vec<String>,
    pub(crate) reason_owed: bool,
}

/// A listing in full.
#[derive(Serialize)]
pub(crate) struct Listing {
    pub(crate) listing: u64,
    pub(crate) state: Option<&'static str>,
    pub(crate) etag: String,
    pub(crate) court: String,
    pub(crate) until: Option<String>,
    pub(crate) grace_until: Option<String>,
    pub(crate) update_time: Option<String>,
    pub(crate) attested: bool,
    pub(crate) content: Option<ContentFile>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) exemptions: Vec<Exemption>,
    pub(crate) warnings: Vec<String>,
}

/// A listing that waits for its approval, and what it becomes by it.
#[derive(Serialize)]
pub(crate) struct Approval {
    pub(crate) becomes: Becomes,
    pub(crate) listing: Listing,
}

/// What an approval brings about.
#[derive(Serialize)]
pub(crate) struct Becomes {
    pub(crate) state: Option<&'static str>,
    pub(crate) until: Option<String>,
    pub(crate) grace_until: Option<String>,
}

/// A related person of a listing.
#[derive(Serialize)]
pub(crate) struct Relation {
    pub(crate) relation_id: u64,
    pub(crate) ended: bool,
    #[serde(flatten)]
    pub(crate) content: RelationFile,
}

/// An exemption from a listing.
#[derive(Serialize)]
pub(crate) struct Exemption {
    pub(crate) exemption_id: u64,
    pub(crate) ended: bool,
    #[serde(flatten)]
    pub(crate) content: ExemptionFile,
}

/// How an import went.
#[derive(Serialize)]
pub(crate) struct Import {
    pub(crate) import_id: Option<String>,
    pub(crate) rows: u64,
    pub(crate) added: u64,
    pub(crate) amended: u64,
    pub(crate) unchanged: u64,
    pub(crate) faults: u64,
    pub(crate) warnings: u64,
    pub(crate) dry_run: bool,
    pub(crate) position: Option<Position>,
    pub(crate) finish_time: Option<String>,
    pub(crate) staged: Option<StagedImport>,
    pub(crate) list: Option<ListCounts>,
}

/// What a complete list comes to.
#[derive(Serialize)]
pub(crate) struct ListCounts {
    pub(crate) gone: u64,
    pub(crate) newer: u64,
    pub(crate) differing: u64,
    pub(crate) waiting: u64,
    pub(crate) in_force: u64,
}

/// Where a complete list and the hub differ.
#[derive(Serialize)]
pub(crate) struct Difference {
    pub(crate) difference: Option<&'static str>,
    pub(crate) listing: Option<u64>,
    pub(crate) line: Option<u64>,
    pub(crate) fields: Vec<String>,
}

/// A file that waits for a second person.
#[derive(Serialize)]
pub(crate) struct StagedImport {
    pub(crate) import: u64,
    pub(crate) state: Option<&'static str>,
    pub(crate) file: Option<&'static str>,
    pub(crate) mode: String,
    pub(crate) signer: String,
    pub(crate) as_of: Option<String>,
    pub(crate) amend: bool,
    pub(crate) rows: u64,
    pub(crate) sha256: String,
    pub(crate) added: u64,
    pub(crate) amended: u64,
    pub(crate) unchanged: u64,
    pub(crate) faults: u64,
    pub(crate) sender: Option<String>,
    pub(crate) since: String,
    pub(crate) release_by: String,
    pub(crate) list: Option<ListCounts>,
}

/// A file that was refused.
#[derive(Serialize)]
pub(crate) struct Rejected {
    pub(crate) import: u64,
}

/// How the hub is.
#[derive(Serialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) epoch: String,
    pub(crate) revision: u64,
    pub(crate) chain_hash: String,
    pub(crate) position: Option<Position>,
    pub(crate) start_time: Option<String>,
    pub(crate) index_keys: u64,
    pub(crate) index_bytes: u64,
    pub(crate) listings: u64,
    pub(crate) listing_table_bytes: u64,
    pub(crate) detail_revision: u64,
    pub(crate) detail_cache_bytes: u64,
    pub(crate) clock_frozen: bool,
    pub(crate) certificate_days: i32,
    pub(crate) crl_hours: i32,
    pub(crate) draining: bool,
    pub(crate) verifier_key: String,
    pub(crate) alarms: Vec<Alarm>,
}

/// Something an operator must see to.
#[derive(Serialize)]
pub(crate) struct Alarm {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) since: Option<String>,
}

/// RFC 3339 in UTC.
pub(crate) fn time(at: Option<prost_types::Timestamp>) -> Option<String> {
    at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok()).map(|at| at.to_string())
}

/// Proto's empty text is "not set".
pub(crate) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Proto's zero is "none".
fn number(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

impl From<v1::Position> for Position {
    fn from(position: v1::Position) -> Self {
        Self { token: hex(&position.token), time: time(position.time) }
    }
}

impl From<v1::Answer> for Answer {
    fn from(answer: v1::Answer) -> Self {
        Self {
            verdict: label::<v1::Verdict>(answer.verdict),
            reason: label::<v1::AnswerReason>(answer.reason),
            effect: label::<v1::Effect>(answer.effect),
            relation: code::<v1::Relation>(answer.relation),
            open_condition: some(answer.open_condition),
            procedure: some(answer.procedure),
            limit_fen: (answer.effect == v1::Effect::Limit as i32).then_some(answer.limit_fen),
            on_unknown: label::<v1::OnUnknown>(answer.on_unknown),
            officers_listed: answer.officers_listed,
            officer_positions: answer.officer_positions,
            listings: answer.listings,
            slip: answer.slip.map(Slip::from),
        }
    }
}

impl From<v1::Slip> for Slip {
    fn from(slip: v1::Slip) -> Self {
        Self { text_zh: slip.text_zh, text_en: slip.text_en, court: slip.court, reference: slip.reference }
    }
}

impl From<v1::ItemError> for ItemError {
    fn from(error: v1::ItemError) -> Self {
        Self { code: error.code, reason: label::<v1::Reason>(error.reason), message: error.message }
    }
}

impl From<v1::MutationOutcome> for Outcome {
    fn from(outcome: v1::MutationOutcome) -> Self {
        Self {
            listing: outcome.listing,
            record: (outcome.record != 0).then_some(outcome.record),
            state: label::<v1::ListingState>(outcome.state),
            etag: outcome.etag,
            position: outcome.position.map(Position::from),
            stale: outcome.stale,
            replayed: outcome.replayed,
            warnings: outcome.warnings,
            reason_owed: outcome.reason_owed,
        }
    }
}

impl From<v1::Listing> for Listing {
    fn from(listing: v1::Listing) -> Self {
        let relation = |one: v1::ListedRelation| Relation {
            relation_id: one.relation,
            ended: one.ended,
            content: one.content.unwrap_or_default().into(),
        };
        Self {
            listing: listing.listing,
            state: label::<v1::ListingState>(listing.state),
            etag: listing.etag,
            court: listing.court,
            until: some(listing.until),
            grace_until: some(listing.grace_until),
            update_time: time(listing.update_time),
            attested: listing.attested,
            content: listing.content.map(ContentFile::from),
            relations: listing.relations.into_iter().map(relation).collect(),
            exemptions: listing.exemptions.into_iter().map(Exemption::from).collect(),
            warnings: listing.warnings,
        }
    }
}

impl From<v1::ListedExemption> for Exemption {
    fn from(one: v1::ListedExemption) -> Self {
        Self { exemption_id: one.exemption, ended: one.ended, content: one.content.unwrap_or_default().into() }
    }
}

impl From<v1::ImportSummary> for Import {
    fn from(summary: v1::ImportSummary) -> Self {
        Self {
            import_id: some(summary.import_id),
            rows: summary.rows,
            added: summary.added,
            amended: summary.amended,
            unchanged: summary.unchanged,
            faults: summary.faults,
            warnings: summary.warnings,
            dry_run: summary.dry_run,
            position: summary.position.map(Position::from),
            finish_time: time(summary.finish_time),
            staged: summary.staged.map(StagedImport::from),
            list: summary.list.map(ListCounts::from),
        }
    }
}

impl From<v1::ListCounts> for ListCounts {
    fn from(list: v1::ListCounts) -> Self {
        let v1::ListCounts { gone, newer, differing, waiting, in_force } = list;
        Self { gone, newer, differing, waiting, in_force }
    }
}

impl From<v1::ListDifference> for Difference {
    fn from(one: v1::ListDifference) -> Self {
        let number = |number: u64| Some(number).filter(|number| *number > 0);
        Self {
            difference: label::<v1::ListDifferenceKind>(one.kind),
            listing: number(one.listing),
            line: number(one.line),
            fields: one.fields,
        }
    }
}

impl From<v1::StagedImport> for StagedImport {
    fn from(staged: v1::StagedImport) -> Self {
        Self {
            import: staged.import,
            state: label::<v1::ImportState>(staged.state),
            file: label::<v1::ImportFile>(staged.file),
            mode: staged.mode,
            signer: staged.signer,
            as_of: time(staged.as_of),
            amend: staged.amend,
            rows: staged.rows,
            sha256: hex(&staged.sha256),
            added: staged.added,
            amended: staged.amended,
            unchanged: staged.unchanged,
            faults: staged.faults,
            sender: staged.sender.map(|sender| sender.staff_id),
            since: staged.since,
            release_by: staged.release_by,
            list: staged.list.map(ListCounts::from),
        }
    }
}

impl From<v1::GetStatusResponse> for Status {
    fn from(status: v1::GetStatusResponse) -> Self {
        let alarm = |alarm: v1::Alarm| Alarm { name: alarm.name, text: alarm.text, since: time(alarm.since) };
        Self {
            version: status.version,
            epoch: status.epoch,
            revision: status.revision,
            chain_hash: status.chain_hash,
            position: status.position.map(Position::from),
            start_time: time(status.start_time),
            index_keys: status.index_keys,
            index_bytes: status.index_bytes,
            listings: status.listings,
            listing_table_bytes: status.listing_table_bytes,
            detail_revision: status.detail_revision,
            detail_cache_bytes: status.detail_cache_bytes,
            clock_frozen: status.clock_frozen,
            certificate_days: status.certificate_days,
            crl_hours: status.crl_hours,
            draining: status.draining,
            verifier_key: status.verifier_key,
            alarms: status.alarms.into_iter().map(alarm).collect(),
        }
    }
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
