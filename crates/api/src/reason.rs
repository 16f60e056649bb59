//! The closed catalogue of failures.
//!
//! A failure is one [`Reason`], a text that says what is wrong and what to do, the fields at fault, and when to try again.
//! It leaves as a `google.rpc.Status` with `ErrorInfo`, `BadRequest` and `RetryInfo` (AIP-193), or inside a batch as an
//! `ItemError`. No text ever holds an identity number or a name.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use xinhub_domain::listing::ContentFault;
use xinhub_domain::policy::Denial;
use xinhub_domain::{decision, listing};

use crate::v1;
pub use crate::v1::Reason;

/// The domain of every `ErrorInfo` that the hub sends.
pub const ERROR_DOMAIN: &str = "xinhub.v1";

/// Fields told at once. Details travel in a header block, of which clients take some 8 KiB by default.
const MAX_FIELDS: usize = 24;
/// Bytes of texts told at once, for the same reason: the details are sent in base64, beside the message.
const MAX_TEXT_BYTES: usize = 2_400;

/// One field at fault: its path in the request as proto names it, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    path: String,
    problem: String,
    reason: Reason,
}

impl FieldFault {
    /// A fault of the field at `path`, such as `inquiry.identity.number`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::of(Reason::InvalidField, path, problem)
    }

    /// A fault that has an entry of its own in the catalogue.
    pub fn of(reason: Reason, path: impl Into<String>, problem: impl Into<String>) -> Self {
        let (path, mut problem) = (path.into(), problem.into());
        // Domain errors name their own field; the path names it already.
        let last = path.rsplit('.').next().unwrap_or(&path);
        if let Some(rest) = problem.strip_prefix(last).and_then(|rest| rest.strip_prefix(": ")) {
            problem = rest.to_owned();
        }
        FieldFault { path, problem, reason }
    }

    /// The path of the field.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, and what would be right.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// A content fault, whose path begins at `prefix` in the request.
    pub fn from_content(fault: ContentFault, prefix: &str) -> Self {
        let reason = if fault.minor {
            Reason::Minor
        } else if fault.field.starts_with("identit") {
            Reason::InvalidIdentity
        } else {
            Reason::InvalidField
        };
        Self::of(reason, join(prefix, &fault.field), fault.problem)
    }
}

/// `prefix.field`, or `field` where the message itself is the prefix.
pub(crate) fn join(prefix: &str, field: &str) -> String {
    if prefix.is_empty() { field.to_owned() } else { format!("{prefix}.{field}") }
}

/// Why a call, or one item of a batch, failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    reason: Reason,
    message: String,
    fields: Vec<FieldFault>,
    retry_after: Option<Duration>,
    metadata: Vec<(&'static str, String)>,
}

impl Failure {
    /// A failure of the whole call. Where the catalogue has the caller try again, its usual delay is set.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Failure {
            reason,
            message: message.into(),
            fields: Vec::new(),
            retry_after: usual_delay(reason),
            metadata: Vec::new(),
        }
    }

    /// A failure of one field.
    pub fn field(reason: Reason, path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::from(FieldFaults(vec![FieldFault::of(reason, path, problem)]))
    }

    /// The same, to be tried again after this time.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The same, with a value for machines in `ErrorInfo.metadata`, such as the etag in force.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// The entry of the catalogue.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The gRPC code of that entry.
    pub fn code(&self) -> Code {
        code(self.reason)
    }

    /// The fields at fault, if the request was.
    pub fn fields(&self) -> &[FieldFault] {
        &self.fields
    }

    /// As an item of a batch or stream carries it.
    pub fn to_item_error(&self) -> v1::ItemError {
        v1::ItemError {
            code: self.code() as i32,
            reason: self.reason as i32,
            message: clip(&self.message, MAX_TEXT_BYTES),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        let mut details = ErrorDetails::new();
        let metadata: HashMap<String, String> =
            failure.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        details.set_error_info(failure.reason.as_str_name(), ERROR_DOMAIN, metadata);
        let mut left = MAX_TEXT_BYTES;
        let mut violations = Vec::new();
        for fault in failure.fields.iter().take(MAX_FIELDS) {
            left = left.saturating_sub(fault.path.len() + fault.problem.len());
            if left == 0 {
                break;
            }
            violations.push(FieldViolation::new(fault.path.clone(), fault.problem.clone()));
        }
        if !violations.is_empty() {
            details.set_bad_request(violations);
        }
        if let Some(delay) = failure.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(failure.code(), clip(&failure.message, MAX_TEXT_BYTES / 2), details)
    }
}

/// At most `max_bytes` of a text, cut between characters.
fn clip(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max_bytes)])
}

/// The gRPC code of each entry.
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidIdentity
        | Reason::InvalidField
        | Reason::UnknownMeasure
        | Reason::MeasureNotAskable
        | Reason::MeasureDisabled
        | Reason::ItemRequired
        | Reason::ReferenceHoldsIdentity
        | Reason::BatchTooLarge
        | Reason::RequestIdInvalid
        | Reason::ImportFile => Code::InvalidArgument,
        Reason::RequestIdReused | Reason::ListingExists => Code::AlreadyExists,
        Reason::UnknownClient
        | Reason::GrantExpired
        | Reason::MethodNotGranted
        | Reason::MeasureNotGranted
        | Reason::ReachNotGranted
        | Reason::OtherCourt
        | Reason::OnlyLifts
        | Reason::SubjectsNotGranted
        | Reason::SecondPersonRequired => Code::PermissionDenied,
        Reason::NotFound => Code::NotFound,
        Reason::State
        | Reason::StaleEtag
        | Reason::OtherEpoch
        | Reason::EndedCase
        | Reason::Minor
        | Reason::InForce
        | Reason::OlderList
        | Reason::MoreGone
        | Reason::Release => Code::FailedPrecondition,
        Reason::Rate | Reason::DailyQuota => Code::ResourceExhausted,
        Reason::NotYetReached
        | Reason::DetailCatchingUp
        | Reason::AuditUnavailable
        | Reason::Storage
        | Reason::Draining
        | Reason::Overloaded
        | Reason::Clock => Code::Unavailable,
        Reason::Internal | Reason::Unspecified => Code::Internal,
    }
}

/// When to try again, for the entries that pass by themselves.
fn usual_delay(reason: Reason) -> Option<Duration> {
    match reason {
        Reason::NotYetReached | Reason::Overloaded => Some(Duration::from_millis(500)),
        Reason::DetailCatchingUp | Reason::AuditUnavailable | Reason::Draining => Some(Duration::from_secs(2)),
        Reason::Storage | Reason::Clock => Some(Duration::from_secs(10)),
        // Quotas know their own moment.
        Reason::Rate | Reason::DailyQuota => None,
        Reason::Unspecified
        | Reason::InvalidIdentity
        | Reason::InvalidField
        | Reason::UnknownMeasure
        | Reason::MeasureNotAskable
        | Reason::MeasureDisabled
        | Reason::ItemRequired
        | Reason::ReferenceHoldsIdentity
        | Reason::BatchTooLarge
        | Reason::RequestIdInvalid
        | Reason::RequestIdReused
        | Reason::ListingExists
        | Reason::UnknownClient
        | Reason::GrantExpired
        | Reason::MethodNotGranted
        | Reason::MeasureNotGranted
        | Reason::ReachNotGranted
        | Reason::OtherCourt
        | Reason::OnlyLifts
        | Reason::SecondPersonRequired
        | Reason::NotFound
        | Reason::State
        | Reason::StaleEtag
        | Reason::OtherEpoch
        | Reason::EndedCase
        | Reason::Minor
        | Reason::Release
        | Reason::SubjectsNotGranted
        | Reason::InForce
        | Reason::OlderList
        | Reason::MoreGone
        | Reason::Internal
        | Reason::ImportFile => None,
    }
}

/// What a status of the hub says, for a client: `None` where it is not of this catalogue (a proxy's, say).
pub fn reason_of(status: &Status) -> Option<Reason> {
    let info = status.get_details_error_info()?;
    (info.domain == ERROR_DOMAIN).then(|| Reason::from_str_name(&info.reason)).flatten()
}

/// When a status asks to be tried again.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// A value for machines that a status of the hub carries, such as the `etag` in force beside `STALE_ETAG`.
pub fn metadata_of(status: &Status, key: &str) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == ERROR_DOMAIN).then(|| info.metadata.get(key).cloned()).flatten()
}

/// Every fault of a request at once. Never empty where it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldFaults(pub(crate) Vec<FieldFault>);

impl FieldFaults {
    /// Notes one fault.
    pub fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldFault::new(path, problem));
    }

    /// Notes one fault that has an entry of its own.
    pub fn add_of(&mut self, reason: Reason, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldFault::of(reason, path, problem));
    }

    /// Notes the faults of a part.
    pub fn extend(&mut self, other: impl IntoIterator<Item = FieldFault>) {
        self.0.extend(other);
    }

    /// The value of a part, or its faults noted.
    pub fn take<T>(&mut self, part: Result<T, FieldFaults>) -> Option<T> {
        part.map_err(|faults| self.0.extend(faults.0)).ok()
    }

    /// Whether nothing was found wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldFault> {
        self.0.iter()
    }

    /// `value`, unless something was found wrong. `None` without a fault can't be: every part that is missing was noted.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, FieldFaults> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(self),
        }
    }
}

impl From<FieldFaults> for Failure {
    fn from(faults: FieldFaults) -> Failure {
        let mut reasons = faults.0.iter().map(|fault| fault.reason);
        let first = reasons.next().unwrap_or(Reason::InvalidField);
        let reason = if faults.0.iter().any(|fault| fault.reason == Reason::Minor) {
            Reason::Minor
        } else if reasons.all(|reason| reason == first) {
            first
        } else {
            Reason::InvalidField
        };
        let shown: Vec<String> =
            faults.0.iter().take(MAX_FIELDS).map(|fault| format!("{}: {}", fault.path, fault.problem)).collect();
        let mut message = shown.join("; ");
        if faults.0.len() > MAX_FIELDS {
            message.push_str(&format!("; and {} more", faults.0.len() - MAX_FIELDS));
        }
        Failure { fields: faults.0, ..Failure::new(reason, message) }
    }
}

/// A question that its measure doesn't take. Officers and conditions stand under `inquiry` in the request.
impl From<(decision::Refusal, &str)> for Failure {
    fn from((refusal, inquiry): (decision::Refusal, &str)) -> Failure {
        use decision::Refusal as R;
        let (reason, path) = match &refusal {
            R::NotAskable { .. } => (Reason::MeasureNotAskable, "measure".to_owned()),
            R::Disabled { .. } => (Reason::MeasureDisabled, "measure".to_owned()),
            R::MissingItem { .. } => (Reason::ItemRequired, "item".to_owned()),
            R::UnexpectedItem { .. } => (Reason::InvalidField, "item".to_owned()),
            R::OfficersNotLookedAt { .. } | R::OfficersOfPerson | R::TooManyOfficers { .. } => {
                (Reason::InvalidField, join(inquiry, "officers"))
            }
            R::CapacityNotLookedAt { position, .. } => {
                (Reason::InvalidField, join(inquiry, &format!("officers[{position}].capacity")))
            }
            R::UnknownCondition { position, .. } | R::ConditionTwice { position } => {
                (Reason::InvalidField, join(inquiry, &format!("conditions[{position}].condition")))
            }
            R::ConditionType { position, .. } => {
                (Reason::InvalidField, join(inquiry, &format!("conditions[{position}].answer")))
            }
            R::ConditionInFuture { position, .. } => {
                (Reason::InvalidField, join(inquiry, &format!("conditions[{position}].date")))
            }
        };
        // The domain's text begins with the field; the path replaces it.
        let text = refusal.to_string();
        let problem = text.split_once(": ").map_or(text.as_str(), |(_, problem)| problem);
        Failure::field(reason, path, problem)
    }
}

/// A call that policy refuses.
impl From<Denial> for Failure {
    fn from(denial: Denial) -> Failure {
        let (reason, field) = match &denial {
            Denial::UnknownClient => (Reason::UnknownClient, None),
            Denial::GrantExpired { .. } => (Reason::GrantExpired, None),
            Denial::MethodNotGranted { .. } => (Reason::MethodNotGranted, None),
            Denial::ReachNotGranted { .. } => (Reason::ReachNotGranted, None),
            Denial::UnknownMeasure { .. } => (Reason::UnknownMeasure, Some("measure")),
            Denial::MeasureNotAskable { .. } => (Reason::MeasureNotAskable, Some("measure")),
            Denial::MeasureDisabled { .. } => (Reason::MeasureDisabled, Some("measure")),
            Denial::MeasureNotGranted { .. } | Denial::ItemNotGranted { .. } => (Reason::MeasureNotGranted, None),
            Denial::OtherCourt => (Reason::OtherCourt, None),
            Denial::OnlyLifts => (Reason::OnlyLifts, None),
            Denial::SubjectsNotGranted => (Reason::SubjectsNotGranted, None),
        };
        match field {
            Some(field) => Failure::field(reason, field, denial.to_string()),
            None => Failure::new(reason, denial.to_string()),
        }
    }
}

impl From<listing::Refusal> for Failure {
    fn from(refusal: listing::Refusal) -> Failure {
        let reason = match refusal {
            listing::Refusal::Ended(_) | listing::Refusal::State { .. } => Reason::State,
            listing::Refusal::Absent => Reason::NotFound,
        };
        Failure::new(reason, refusal.to_string())
    }
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
