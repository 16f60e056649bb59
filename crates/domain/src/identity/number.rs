//! Promises that a number is folded once, in one way, and checked in two steps: its shape, which
//! stored numbers must have too, and its content.

use std::ops::Range;

use jiff::civil::Date;

use super::{Identity, Kind, Violation, organisation, personal, travel};
use crate::text::half_width;

/// No kind has nearly as many characters; what comes after is not read, so that a message full of
/// digits costs nothing.
const MAX_NUMBER_CHARS: usize = 64;

/// A folded number of a kind, before it is known to be valid.
pub(super) struct Number {
    kind: Kind,
    /// ASCII: any other character has become `?`, which no kind allows, so that positions stay
    /// right.
    pub(super) text: String,
    /// Empty where none was given.
    issuing_state: String,
}

impl Number {
    pub(super) fn fold(kind: Kind, number: &str, issuing_state: Option<&str>) -> Number {
        let text = match kind {
            Kind::OrganisationCode => organisation::without_hyphen(&fold_ascii(number)),
            Kind::ResidentId
            | Kind::ResidencePermit
            | Kind::Uscc
            | Kind::TravelPermitHkMo
            | Kind::TravelPermitTaiwan
            | Kind::Passport
            | Kind::PermanentResident
            | Kind::PermanentResidentOld => fold_ascii(number),
        };
        Number { kind, text, issuing_state: issuing_state.map(fold_ascii).unwrap_or_default() }
    }

    /// Lengths and characters: what must hold of stored numbers too, whatever later becomes known
    /// of check digits.
    pub(super) fn check_shape(&self, found: &mut Vec<Violation>) {
        if self.text.is_empty() {
            found.push(Violation::Empty);
        } else if self.text.len() > MAX_NUMBER_CHARS {
            found.push(Violation::TooLong);
        } else {
            match self.kind {
                Kind::ResidentId | Kind::ResidencePermit | Kind::PermanentResident => {
                    personal::check_shape(self.kind, &self.text, found);
                }
                Kind::Uscc => organisation::check_credit_code_shape(&self.text, found),
                Kind::OrganisationCode => organisation::check_organisation_code_shape(&self.text, found),
                Kind::TravelPermitHkMo => travel::check_hk_mo(&self.text, found),
                Kind::TravelPermitTaiwan => travel::check_taiwan(&self.text, found),
                Kind::Passport => travel::check_passport(&self.text, &self.issuing_state, found),
                Kind::PermanentResidentOld => travel::check_permanent_resident_old(&self.text, found),
            }
        }
        if self.kind == Kind::Passport {
            travel::check_issuing_state(&self.issuing_state, found);
        } else if !self.issuing_state.is_empty() {
            found.push(Violation::IssuingStateUnused);
        }
    }

    /// Prefixes, check digits and dates.
    pub(super) fn check_content(&self, today: Date, found: &mut Vec<Violation>) {
        if self.text.is_empty() {
            return; // Told already.
        }
        match self.kind {
            Kind::ResidentId | Kind::ResidencePermit | Kind::PermanentResident => {
                personal::check_content(self.kind, &self.text, today, found);
            }
            Kind::Uscc => organisation::check_credit_code_content(&self.text, found),
            Kind::OrganisationCode => {
                organisation::check_organisation_code_content(&self.text, found);
            }
            Kind::TravelPermitHkMo | Kind::TravelPermitTaiwan | Kind::Passport | Kind::PermanentResidentOld => {}
        }
    }

    /// Normal form and given form of a number without violations.
    pub(super) fn into_identity(self) -> Identity {
        let Number { kind, text, issuing_state } = self;
        match kind {
            Kind::ResidentId => match personal::expand(kind, &text) {
                Some(expanded) => Identity::assemble(kind, &expanded, Some(&text)),
                None => Identity::assemble(kind, &text, None),
            },
            Kind::TravelPermitHkMo => match travel::hk_mo_lifelong(&text) {
                Some(lifelong) => Identity::assemble(kind, lifelong, Some(&text)),
                None => Identity::assemble(kind, &text, None),
            },
            Kind::Passport => {
                Identity::assemble(kind, &format!("{issuing_state}{}{text}", travel::STATE_SEPARATOR), None)
            }
            Kind::ResidencePermit
            | Kind::Uscc
            | Kind::OrganisationCode
            | Kind::TravelPermitTaiwan
            | Kind::PermanentResident
            | Kind::PermanentResidentOld => Identity::assemble(kind, &text, None),
        }
    }
}

/// `text` in half width and upper case, trimmed, with every character outside ASCII replaced by
/// `?`. Cut just past [`MAX_NUMBER_CHARS`].
fn fold_ascii(text: &str) -> String {
    // As nearly all are written; the same as below, in one step.
    if text.is_ascii() {
        let trimmed = text.trim();
        return trimmed[..trimmed.len().min(MAX_NUMBER_CHARS + 1)].to_ascii_uppercase();
    }
    let ascii = |c: char| {
        if c.is_ascii() { c.to_ascii_uppercase() } else { '?' }
    };
    // The ideographic space counts as white space, so trimming may come first.
    text.trim().chars().take(MAX_NUMBER_CHARS + 1).map(half_width).map(ascii).collect()
}

/// Reports every character of `number` within `range` that is not `allowed`; `expected` says in
/// words what is.
pub(super) fn each_character(
    number: &str,
    range: Range<usize>,
    expected: &'static str,
    allowed: impl Fn(u8) -> bool,
    found: &mut Vec<Violation>,
) {
    for (index, c) in number.bytes().enumerate().take(range.end).skip(range.start) {
        if !allowed(c) {
            found.push(Violation::Character { position: index + 1, expected });
        }
    }
}
