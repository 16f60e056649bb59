//! Why a call failed, with the hub's own reason where it gave one.

use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;
use xinhub_api::reason::ERROR_DOMAIN;
use xinhub_api::v1::Reason;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration can't be used: a file is missing, unreadable or wrong, or the endpoint is none.
    #[error("{0}")]
    Config(String),
    /// No connection, or it broke before the hub answered. Whether a mutation was taken is unknown: send it again with the
    /// same request id.
    #[error("no connection to the hub: {0}")]
    Connection(String),
    /// The hub did not answer in time. Whether a mutation was taken is unknown: send it again with the same request id.
    #[error("the hub did not answer within {0:?}")]
    Deadline(Duration),
    /// The hub refused or failed.
    #[error("{0}")]
    Hub(Box<Refusal>),
}

/// What the hub said when it refused or failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The class of failure.
    pub code: Code,
    /// The hub's reason, of its closed catalogue; `None` if a proxy or an older or newer peer gave none.
    pub reason: Option<Reason>,
    /// What is wrong and what to do, for a person.
    pub message: String,
    /// Faults of single fields: their path in the message, and what is wrong there.
    pub fields: Vec<FieldFault>,
    /// When to try again, where trying again can help.
    pub retry_after: Option<Duration>,
    /// The id under which the hub's operator finds the call in the log.
    pub request_id: Option<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The field's path, such as `inquiry.identity.number`.
    pub field: String,
    /// What is wrong with it. Never holds the value.
    pub description: String,
}

impl Error {
    /// The class of failure, in gRPC's words. A broken connection is `Unavailable`, a wrong configuration
    /// `FailedPrecondition`.
    pub fn code(&self) -> Code {
        match self {
            Error::Config(_) => Code::FailedPrecondition,
            Error::Connection(_) => Code::Unavailable,
            Error::Deadline(_) => Code::DeadlineExceeded,
            Error::Hub(refusal) => refusal.code,
        }
    }

    /// The hub's reason, where the hub answered and gave one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Error::Config(_) | Error::Connection(_) | Error::Deadline(_) => None,
            Error::Hub(refusal) => refusal.reason,
        }
    }

    /// When the hub asks to be tried again, where it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Config(_) | Error::Connection(_) | Error::Deadline(_) => None,
            Error::Hub(refusal) => refusal.retry_after,
        }
    }

    /// The fields at fault; empty where it isn't a matter of fields.
    pub fn fields(&self) -> &[FieldFault] {
        match self {
            Error::Config(_) | Error::Connection(_) | Error::Deadline(_) => &[],
            Error::Hub(refusal) => &refusal.fields,
        }
    }

    /// True when the hub never answered: nothing is known of what became of the call.
    pub fn is_connection(&self) -> bool {
        matches!(self, Error::Connection(_))
    }

    /// True when nobody has answered: the hub was not reached, took too long, or can't serve just now.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self {
            Error::Connection(_) | Error::Deadline(_) => true,
            Error::Hub(refusal) => refusal.code == Code::Unavailable,
            Error::Config(_) => false,
        }
    }

    /// Takes apart what tonic reports. `deadline` is what the call was given.
    pub(crate) fn from_status(status: &Status, deadline: Option<Duration>) -> Self {
        if let Some(cause) = StdError::source(status) {
            return from_local(cause, deadline);
        }
        if status.code() == Code::DeadlineExceeded
            && let Some(deadline) = deadline
        {
            return Error::Deadline(deadline);
        }
        Error::Hub(Box::new(Refusal::decode(status)))
    }
}

/// What tonic made a status of on this side: only these carry a source.
fn from_local(cause: &(dyn StdError + 'static), deadline: Option<Duration>) -> Error {
    let mut next = Some(cause);
    while let Some(error) = next {
        if error.is::<tonic::TimeoutExpired>() {
            return Error::Deadline(deadline.unwrap_or_default());
        }
        next = error.source();
    }
    Error::Connection(causes(cause))
}

/// An error and what lies under it, each text once: layers repeat each other.
pub(crate) fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

impl Refusal {
    fn decode(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN);
        let request_id = details
            .request_info()
            .map(|request| request.request_id.clone())
            .or_else(|| info.and_then(|info| info.metadata.get("request_id").cloned()));
        Self {
            code: status.code(),
            reason: info.and_then(|info| reason_of(&info.reason)),
            message: status.message().to_owned(),
            fields: details.bad_request().map(fields_of).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            request_id,
        }
    }
}

fn fields_of(bad_request: &tonic_types::BadRequest) -> Vec<FieldFault> {
    let faults = bad_request.field_violations.iter();
    faults.map(|fault| FieldFault { field: fault.field.clone(), description: fault.description.clone() }).collect()
}

/// AIP-193 writes reasons without the enum's prefix; take both.
fn reason_of(text: &str) -> Option<Reason> {
    Reason::from_str_name(text).or_else(|| Reason::from_str_name(&format!("REASON_{text}")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn check(details: ErrorDetails, code: Code, reason: Option<Reason>, retry_after: Option<Duration>, fields: usize) {
        let error = Error::from_status(&Status::with_error_details(code, "text", details), None);
        assert_eq!(
            (error.code(), error.reason(), error.retry_after(), error.fields().len()),
            (code, reason, retry_after, fields)
        );
    }

    #[test]
    fn reads_the_hubs_reasons() {
        let second = Duration::from_secs(1);
        let info = |reason: &str| ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
        let mut rate = info("RATE");
        rate.set_retry_info(Some(second));
        let mut field = info("INVALID_IDENTITY");
        field.add_bad_request_violation("inquiry.identity.number", "check digit is 8, expected 7 (GB 11643)");
        check(rate, Code::ResourceExhausted, Some(Reason::Rate), Some(second), 0);
        check(field, Code::InvalidArgument, Some(Reason::InvalidIdentity), None, 1);
        check(info("REASON_STALE_ETAG"), Code::FailedPrecondition, Some(Reason::StaleEtag), None, 0);
        check(info("NOT_IN_THE_CATALOGUE"), Code::Internal, None, None, 0);
        check(ErrorDetails::with_error_info("RATE", "another.domain", HashMap::new()), Code::Internal, None, None, 0);
        check(ErrorDetails::new(), Code::Unimplemented, None, None, 0);
    }

    #[test]
    fn a_deadline_told_by_the_hub_is_a_deadline() {
        let deadline = Duration::from_secs(5);
        let error = Error::from_status(&Status::deadline_exceeded("over"), Some(deadline));
        assert!(matches!(error, Error::Deadline(time) if time == deadline));
    }

    #[test]
    fn a_failure_on_this_side_is_a_connection() {
        let error = Error::from_status(&Status::from_error(Box::new(std::io::Error::other("broken pipe"))), None);
        assert!(error.is_connection() && error.to_string().contains("broken pipe"));
    }
}
