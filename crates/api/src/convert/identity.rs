//! Identities in requests and answers.

use jiff::civil::Date;
use xinhub_domain::identity::{Identity, Kind, Source, Violations};
use xinhub_domain::listing::RawIdentity;

use super::enums::{kind_from, kind_to};
use crate::reason::{FieldFaults, Reason, join};
use crate::v1;

/// Longest number taken to be parsed, in bytes: far beyond any document, and no work for a flood.
const MAX_NUMBER_BYTES: usize = 256;

/// Who sends an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Someone who asks. A credit code with a wrong check character becomes a flagged identity, which is never confirmed:
    /// the answer is `UNKNOWN(IDENTITY_NOT_CONFIRMED)`, since some real codes issued before 2016 break GB 32100.
    LookerUp,
    /// A court.
    Court,
}

/// The identity of a message. `today` is the date in Asia/Shanghai.
///
/// # Errors
/// Every violation, none with the number.
pub fn identity(message: Option<&v1::Identity>, path: &str, role: Role, today: Date) -> Result<Identity, FieldFaults> {
    let raw = raw_identity(message, path)?;
    let parsed = parse(raw.kind, &raw.number, raw.issuing_state.as_deref().unwrap_or_default(), role, today);
    parsed.map_err(|violations| {
        let mut faults = FieldFaults::default();
        for violation in violations.iter() {
            faults.add_of(Reason::InvalidIdentity, join(path, violation.field()), violation.to_string());
        }
        faults
    })
}

/// The identity that has no fault; what is wrong with another is [`identity`]'s to say.
pub(super) fn sound(kind: Kind, number: &str, issuing_state: &str, role: Role, today: Date) -> Option<Identity> {
    let fits = number.len().max(issuing_state.len()) <= MAX_NUMBER_BYTES;
    fits.then(|| parse(kind, number, issuing_state, role, today).ok())?
}

/// Kind, number and issuing state (empty: none) as an identity.
fn parse(kind: Kind, number: &str, issuing_state: &str, role: Role, today: Date) -> Result<Identity, Violations> {
    let issuing_state = (!issuing_state.is_empty()).then_some(issuing_state);
    let parse = |source| Identity::parse(kind, number, issuing_state, source, today);
    let source = match role {
        Role::LookerUp => Source::LookerUp,
        Role::Court => Source::Court,
    };
    match parse(source) {
        Err(violations) if role == Role::LookerUp && violations.is_unconfirmed_credit_code() => parse(Source::Court),
        parsed => parsed,
    }
}

/// The identity of a message, as sent.
pub(super) fn raw_identity(message: Option<&v1::Identity>, path: &str) -> Result<RawIdentity, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add_of(Reason::InvalidIdentity, path, "is missing: give kind and number");
        return Err(faults);
    };
    let kind = kind_from(message.kind);
    if kind.is_none() {
        let problem = "is missing, or not a kind that this hub knows: an identity always carries its kind";
        faults.add_of(Reason::InvalidIdentity, join(path, "kind"), problem);
    }
    for (field, text) in [("number", &message.number), ("issuing_state", &message.issuing_state)] {
        if text.len() > MAX_NUMBER_BYTES {
            let problem = format!("has more than {MAX_NUMBER_BYTES} bytes");
            faults.add_of(Reason::InvalidIdentity, join(path, field), problem);
        }
    }
    let issuing_state = (!message.issuing_state.is_empty()).then(|| message.issuing_state.clone());
    faults.or(kind.map(|kind| RawIdentity { kind, number: message.number.clone(), issuing_state }))
}

/// An identity in full, for those who may see it.
pub fn identity_to(identity: &Identity) -> v1::Identity {
    v1::Identity {
        kind: kind_to(identity.kind()) as i32,
        number: identity.number().to_owned(),
        issuing_state: identity.issuing_state().unwrap_or_default().to_owned(),
    }
}

/// An identity as a published entry shows it: the middle is masked.
pub fn identity_to_masked(identity: &Identity) -> v1::Identity {
    let masked = identity.masked();
    // A passport's masked form repeats its issuing state.
    let number = match identity.issuing_state() {
        Some(state) => masked.strip_prefix(state).map_or(masked.as_str(), |rest| &rest[1..]).to_owned(),
        None => masked,
    };
    v1::Identity { number, ..identity_to(identity) }
}
