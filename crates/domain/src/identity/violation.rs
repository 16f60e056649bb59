//! Promises texts that say what is wrong and what to do, and never repeat the number: positions,
//! lengths and the check character only.

use std::fmt;

/// One reason why a number is not a valid identity of the kind it was given as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// Nothing but white space.
    Empty,
    /// Wrong number of characters; `expected` says which lengths the kind has.
    Length {
        /// Characters found after folding and trimming.
        found: usize,
        /// The lengths that the kind allows, in words.
        expected: &'static str,
    },
    /// More than 64 characters, of which no more were read.
    TooLong,
    /// A character that the kind does not have at this place.
    Character {
        /// Counted from 1.
        position: usize,
        /// What belongs there, in words.
        expected: &'static str,
    },
    /// The first characters are not those of the kind.
    Prefix {
        /// What the kind starts with, in words.
        expected: &'static str,
    },
    /// The last character does not follow from the others.
    CheckDigit {
        /// As given.
        found: char,
        /// As computed.
        expected: char,
        /// The standard that defines it.
        standard: &'static str,
    },
    /// The organisation code inside a credit code (characters 9–17) has a wrong check character.
    EmbeddedCheckDigit {
        /// As given.
        found: char,
        /// As computed.
        expected: char,
    },
    /// Characters 7–14 (of a 15-digit number: 7–12) are no day of the calendar.
    BirthDate,
    /// The birth date lies after today.
    BirthDateInFuture,
    /// The birth date lies before 1800, when nobody who ever got a number was born.
    BirthDateTooEarly,
    /// An organisation code PDY00001–PDY99999, kept for internal use (GB 11714).
    InternalCode,
    /// A passport number that fits none of its issuer's formats.
    PassportFormat {
        /// The formats, in words.
        expected: &'static str,
    },
    /// A passport without issuing state.
    IssuingStateMissing,
    /// An issuing state that is not three letters.
    IssuingStateForm,
    /// A passport of a special administrative region given with the region instead of the issuing
    /// state.
    IssuingStateIsChina,
    /// An issuing state on a kind that has none.
    IssuingStateUnused,
}

impl Violation {
    /// Stable snake_case code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Violation::Empty => "empty",
            Violation::Length { .. } => "length",
            Violation::TooLong => "too_long",
            Violation::Character { .. } => "character",
            Violation::Prefix { .. } => "prefix",
            Violation::CheckDigit { .. } => "check_digit",
            Violation::EmbeddedCheckDigit { .. } => "embedded_check_digit",
            Violation::BirthDate => "birth_date",
            Violation::BirthDateInFuture => "birth_date_in_future",
            Violation::BirthDateTooEarly => "birth_date_too_early",
            Violation::InternalCode => "internal_code",
            Violation::PassportFormat { .. } => "passport_format",
            Violation::IssuingStateMissing => "issuing_state_missing",
            Violation::IssuingStateForm => "issuing_state_form",
            Violation::IssuingStateIsChina => "issuing_state_is_china",
            Violation::IssuingStateUnused => "issuing_state_unused",
        }
    }

    /// The field at fault, relative to the identity: `number` or `issuing_state`.
    pub fn field(self) -> &'static str {
        match self {
            Violation::Empty
            | Violation::Length { .. }
            | Violation::TooLong
            | Violation::Character { .. }
            | Violation::Prefix { .. }
            | Violation::CheckDigit { .. }
            | Violation::EmbeddedCheckDigit { .. }
            | Violation::BirthDate
            | Violation::BirthDateInFuture
            | Violation::BirthDateTooEarly
            | Violation::InternalCode
            | Violation::PassportFormat { .. } => "number",
            Violation::IssuingStateMissing
            | Violation::IssuingStateForm
            | Violation::IssuingStateIsChina
            | Violation::IssuingStateUnused => "issuing_state",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Violation::Empty => write!(f, "is empty; give the number as printed on the document"),
            Violation::Length { found, expected } => {
                write!(f, "has {found} characters, expected {expected}")
            }
            Violation::TooLong => write!(f, "has more than 64 characters, expected at most 18"),
            Violation::Character { position, expected } => {
                write!(f, "character {position} is not {expected}")
            }
            Violation::Prefix { expected } => write!(f, "must start with {expected}"),
            Violation::CheckDigit { found, expected, standard } => {
                write!(f, "check digit is {found}, expected {expected} ({standard})")
            }
            Violation::EmbeddedCheckDigit { found, expected } => write!(
                f,
                "check digit of the organisation code in it (character 17) is {found}, expected {expected} (GB 11714)"
            ),
            Violation::BirthDate => write!(f, "the birth date in it is no day of the calendar"),
            Violation::BirthDateInFuture => write!(f, "the birth date in it is in the future"),
            Violation::BirthDateTooEarly => write!(f, "the birth date in it is before 1800"),
            Violation::InternalCode => write!(
                f,
                "is an organisation code for internal use (PDY00001 to PDY99999, GB 11714); give the registered one"
            ),
            Violation::PassportFormat { expected } => {
                write!(f, "fits no passport format of its issuer, expected {expected}")
            }
            Violation::IssuingStateMissing => {
                write!(f, "is missing; a passport needs three letters (ISO 3166 alpha-3), such as CHN")
            }
            Violation::IssuingStateForm => {
                write!(f, "is not three letters (ISO 3166 alpha-3), such as CHN")
            }
            Violation::IssuingStateIsChina => {
                write!(f, "passports of Hong Kong and Macau are issued by CHN (ICAO Doc 9303); give CHN")
            }
            Violation::IssuingStateUnused => {
                write!(f, "belongs to passports only; leave it empty for this kind")
            }
        }
    }
}

/// Every reason at once, so that a caller mends a number in one go. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// `Ok` when there is nothing to complain about.
    pub(super) fn none_or(found: Vec<Violation>) -> Result<(), Violations> {
        if found.is_empty() { Ok(()) } else { Err(Violations(found)) }
    }

    /// The reasons, in the order of the characters they concern.
    pub fn iter(&self) -> impl Iterator<Item = Violation> + '_ {
        self.0.iter().copied()
    }

    /// True when nothing is wrong but a check character of a credit code: a looker-up gets no
    /// `INVALID_ARGUMENT` for it but the answer `UNKNOWN(IDENTITY_NOT_CONFIRMED)`, since some real
    /// codes issued before 2016 break the standard.
    pub fn is_unconfirmed_credit_code(&self) -> bool {
        self.iter().all(is_credit_code_check)
    }
}

/// The violations that a court may commit: GB 32100's own check and the embedded one.
pub(super) fn is_credit_code_check(violation: Violation) -> bool {
    matches!(
        violation,
        Violation::EmbeddedCheckDigit { .. } | Violation::CheckDigit { standard: super::check::GB_32100, .. }
    )
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {violation}", violation.field())?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Something odd about an identity that was accepted nevertheless.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Warning {
    /// The region is in no table of GB/T 2260. Tables are never complete, so it is told and no
    /// more.
    UnknownRegion,
    /// A residence permit's or permanent-resident card's number, given as a resident ID. One key
    /// space holds all three, so it is found all the same.
    OtherCardsPrefix,
    /// A credit code whose last character does not follow from the others (GB 32100). Flags the
    /// identity.
    CheckDigit,
    /// A credit code whose organisation code has a wrong check character (GB 11714). Flags the
    /// identity.
    EmbeddedCheckDigit,
    /// A 15-digit ID with sequence 996–999, which marked centenarians: born in 18yy or 19yy. Flags
    /// the identity.
    AmbiguousCentury,
}

impl Warning {
    /// Stable snake_case code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Warning::UnknownRegion => "unknown_region",
            Warning::OtherCardsPrefix => "other_cards_prefix",
            Warning::CheckDigit => "check_digit",
            Warning::EmbeddedCheckDigit => "embedded_check_digit",
            Warning::AmbiguousCentury => "ambiguous_century",
        }
    }

    /// True when an identity with this warning must never be confirmed by itself.
    pub fn flags(self) -> bool {
        match self {
            Warning::UnknownRegion | Warning::OtherCardsPrefix => false,
            Warning::CheckDigit | Warning::EmbeddedCheckDigit | Warning::AmbiguousCentury => true,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Warning::UnknownRegion => "the region code is in no table of GB/T 2260",
            Warning::OtherCardsPrefix => {
                "the number is a residence permit's or permanent-resident card's, not a resident ID's"
            }
            Warning::CheckDigit => "the check digit of the credit code is wrong (GB 32100)",
            Warning::EmbeddedCheckDigit => {
                "the check digit of the organisation code in the credit code is wrong (GB 11714)"
            }
            Warning::AmbiguousCentury => {
                "sequence 996 to 999 of a 15-digit ID leaves the century of birth open; ask for the 18-digit number"
            }
        })
    }
}
