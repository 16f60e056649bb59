//! The ledger's and the audit log's errors as entries of the catalogue of failures, one exhaustive match each.

use xinhub_api::convert::etag_to;
use xinhub_api::reason::{Failure, FieldFault, FieldFaults, Reason};
use xinhub_ledger::{CommandError, DetailError, ReachError};

use crate::audit::AuditUnavailable;

/// Why a mutation was refused.
pub(crate) fn command(error: CommandError) -> Failure {
    let text = error.to_string();
    match error {
        CommandError::State(refusal) => Failure::from(refusal),
        CommandError::Petition(_) | CommandError::Import(_) | CommandError::OtherMode(_) => {
            Failure::new(Reason::State, text)
        }
        CommandError::OlderList => Failure::new(Reason::OlderList, text),
        CommandError::NotFound(_) => Failure::new(Reason::NotFound, text),
        CommandError::OtherCourt => Failure::new(Reason::OtherCourt, text),
        CommandError::StaleEtag { current } => Failure::new(Reason::StaleEtag, text).with("etag", etag_to(current)),
        CommandError::RequestIdReused => Failure::new(Reason::RequestIdReused, text),
        CommandError::RequestIdExpired => Failure::field(Reason::RequestIdInvalid, "mutation.request_id", text),
        CommandError::ListingExists { listing } => {
            Failure::new(Reason::ListingExists, text).with("listing", listing.to_string())
        }
        CommandError::SecondPersonRequired | CommandError::NotASigner => {
            Failure::new(Reason::SecondPersonRequired, text)
        }
        CommandError::ApproverRequired => Failure::new(Reason::Release, text),
        CommandError::Faults(faults) => {
            let mut fields = FieldFaults::default();
            fields.extend(faults.into_iter().map(|fault| FieldFault::from_content(fault, "")));
            Failure::from(fields)
        }
        CommandError::Overloaded => Failure::new(Reason::Overloaded, text),
        CommandError::Full | CommandError::Storage | CommandError::Unreadable => Failure::new(Reason::Storage, text),
        CommandError::Stopping => Failure::new(Reason::Draining, text),
        CommandError::ClockUnsure => Failure::new(Reason::Clock, text),
    }
}

/// Why a state can't be answered at.
pub(crate) fn reach(error: ReachError) -> Failure {
    match error {
        ReachError::BadToken(_) => Failure::field(
            Reason::InvalidField,
            "consistency.at_least",
            "is no token of this hub; give back the bytes of `position.token` as they came",
        ),
        ReachError::OtherEpoch => Failure::new(Reason::OtherEpoch, error.to_string()),
        ReachError::NotYet => Failure::new(Reason::NotYetReached, error.to_string()),
    }
}

/// Why a listing can't be read.
pub(crate) fn detail(error: DetailError) -> Failure {
    match error {
        DetailError::CatchingUp => Failure::new(Reason::DetailCatchingUp, error.to_string()),
        DetailError::KeyUnreadable => Failure::new(Reason::Storage, error.to_string()),
    }
}

/// Why no record can be taken, and so nothing is answered.
pub(crate) fn audit(error: &AuditUnavailable) -> Failure {
    let reason = match error {
        AuditUnavailable::Busy | AuditUnavailable::Full | AuditUnavailable::Failed => Reason::AuditUnavailable,
        AuditUnavailable::Stopping => Reason::Draining,
        AuditUnavailable::TooLarge => Reason::BatchTooLarge,
        AuditUnavailable::NotDurable => Reason::Internal,
    };
    Failure::new(reason, error.to_string())
}
