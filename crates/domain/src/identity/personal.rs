//! Promises one normal form, 18 characters, for resident IDs (18 and 15 digits), residence permits
//! and permanent-resident cards (GB 11643; birth date and order in the same places on all of them).

use std::ops::Range;

use jiff::civil::Date;

use super::check::{GB_11643, gb_11643};
use super::inline::{Inline, Warnings};
use super::number::each_character;
use super::region::{is_known_province, is_province};
use super::{Identity, Kind, Sex, Violation, Warning};

const CHARS: usize = 18;
const CHARS_UNTIL_1999: usize = 15;
/// Nobody who ever got a number was born earlier. Without a floor, digits of a credit code would
/// pass as a birth date in the year 101.
const EARLIEST_BIRTH_YEAR: i16 = 1800;

/// A resident ID as nearly all are: 18 characters, written as the standard has them, valid and without anything odd. Of any other
/// number this says nothing.
///
/// Told in one look, for these are asked about by the million, and what the checks below would say of it is known: nothing.
#[inline(always)]
pub(super) fn plain(kind: Kind, number: &str, issuing_state: Option<&str>, today: Date) -> Option<Identity> {
    if kind != Kind::ResidentId || !issuing_state.is_none_or(str::is_empty) {
        return None;
    }
    let bytes: &[u8; CHARS] = number.as_bytes().try_into().ok()?;
    let (check, first_17) = bytes.split_last()?;
    if gb_11643(first_17)? != *check {
        return None;
    }
    // Digits they are: the check has looked.
    let one = |at: usize| u32::from(bytes[at] - b'0');
    let two = |at: usize| one(at) * 10 + one(at + 1);
    let birth_date = calendar_date(two(6) * 1_000_000 + two(8) * 10_000 + two(10) * 100 + two(12))
        .filter(|date| date.year() >= EARLIEST_BIRTH_YEAR && *date <= today)?;
    // Of another card, or from nowhere: 81, 82 and 83 begin a residence permit's number as well.
    if !is_province(two(0)) || (two(0) > 80 && is_residence_permit(number)) {
        return None;
    }
    Some(Identity {
        kind,
        normal: Inline::of(bytes),
        given: None,
        flagged: false,
        birth_date: Some(birth_date),
        sex: Some(sex_of(one(16))),
        warnings: Warnings::NONE,
    })
}

/// Lengths and characters. `number` is ASCII, folded.
pub(super) fn check_shape(kind: Kind, number: &str, found: &mut Vec<Violation>) {
    if is_15_digit_form(kind, number) {
        each_character(number, 0..CHARS_UNTIL_1999, "a digit", |c| c.is_ascii_digit(), found);
        return;
    }
    if number.len() != CHARS {
        let expected = if kind == Kind::ResidentId { "18 (or 15 before 1999)" } else { "18" };
        found.push(Violation::Length { found: number.len(), expected });
    }
    let digits = number.len().min(CHARS - 1);
    each_character(number, 0..digits, "a digit", |c| c.is_ascii_digit(), found);
    each_character(number, CHARS - 1..CHARS, "a digit or X", |c| c.is_ascii_digit() || c == b'X', found);
}

/// Prefix, birth date and check digit, as far as the shape lets them be read.
pub(super) fn check_content(kind: Kind, number: &str, today: Date, found: &mut Vec<Violation>) {
    if let Some(expected) = missing_prefix(kind, number) {
        found.push(Violation::Prefix { expected });
    }
    let expanded = expand(kind, number);
    let was_15 = expanded.is_some();
    let expanded = expanded.as_deref().unwrap_or(number);
    if expanded.len() != CHARS {
        return;
    }
    if let Some(date) = digits(expanded, 6..14) {
        match calendar_date(date) {
            None => found.push(Violation::BirthDate),
            Some(date) if date.year() < EARLIEST_BIRTH_YEAR => found.push(Violation::BirthDateTooEarly),
            Some(date) if date > today => found.push(Violation::BirthDateInFuture),
            Some(_) => {}
        }
    }
    if was_15 {
        return; // Its check digit was just computed.
    }
    let given = expanded.as_bytes()[CHARS - 1];
    if let Some(expected) = gb_11643(&expanded.as_bytes()[..CHARS - 1])
        && expected != given
        && (given.is_ascii_digit() || given == b'X')
    {
        found.push(Violation::CheckDigit {
            found: char::from(given),
            expected: char::from(expected),
            standard: GB_11643,
        });
    }
}

/// The 18-character form of a 15-digit resident ID: century 19 after the region, check digit at the
/// end.
pub(super) fn expand(kind: Kind, number: &str) -> Option<String> {
    if !is_15_digit_form(kind, number) {
        return None;
    }
    let mut expanded = format!("{}19{}", number.get(..6)?, number.get(6..)?);
    let check = gb_11643(expanded.as_bytes())?;
    expanded.push(char::from(check));
    Some(expanded)
}

/// Birth date written in a normal form.
pub(super) fn birth_date(normal: &str) -> Option<Date> {
    calendar_date(digits(normal, 6..14)?)
}

/// Odd 17th digit: male (GB 11643).
pub(super) fn sex(normal: &str) -> Option<Sex> {
    digits(normal, 16..17).map(sex_of)
}

fn sex_of(order: u32) -> Sex {
    if order % 2 == 1 { Sex::Male } else { Sex::Female }
}

/// What is odd about an accepted number; `given` is the 15-digit form if it was given so.
pub(super) fn warnings(kind: Kind, normal: &str, given: Option<&str>) -> Warnings {
    let mut warnings = Warnings::NONE;
    if kind == Kind::ResidentId {
        if is_residence_permit(normal) || is_permanent_resident(normal) {
            warnings.push(Warning::OtherCardsPrefix);
        } else if !is_known_province(normal) {
            warnings.push(Warning::UnknownRegion);
        }
    }
    if given.and_then(|given| digits(given, 12..15)).is_some_and(|sequence| sequence >= 996) {
        warnings.push(Warning::AmbiguousCentury);
    }
    warnings
}

fn is_15_digit_form(kind: Kind, number: &str) -> bool {
    kind == Kind::ResidentId && number.len() == CHARS_UNTIL_1999
}

fn is_residence_permit(number: &str) -> bool {
    matches!(number.get(..6), Some("810000" | "820000" | "830000"))
}

fn is_permanent_resident(number: &str) -> bool {
    number.starts_with('9')
}

/// The kind's prefix, in words, if `number` lacks it.
fn missing_prefix(kind: Kind, number: &str) -> Option<&'static str> {
    match kind {
        Kind::ResidencePermit => (!is_residence_permit(number)).then_some("810000, 820000 or 830000"),
        Kind::PermanentResident => (!is_permanent_resident(number)).then_some("9"),
        Kind::ResidentId
        | Kind::Uscc
        | Kind::OrganisationCode
        | Kind::TravelPermitHkMo
        | Kind::TravelPermitTaiwan
        | Kind::Passport
        | Kind::PermanentResidentOld => None,
    }
}

/// `range` of `number` as a decimal number of at most 8 digits; `None` when it has other characters
/// or is too short.
fn digits(number: &str, range: Range<usize>) -> Option<u32> {
    let slice = number.get(range)?;
    slice.bytes().all(|c| c.is_ascii_digit()).then(|| slice.parse().ok())?
}

/// `yyyymmdd` as a date, if it is one.
fn calendar_date(yyyymmdd: u32) -> Option<Date> {
    let year = i16::try_from(yyyymmdd / 10_000).ok()?;
    let month = i8::try_from(yyyymmdd / 100 % 100).ok()?;
    let day = i8::try_from(yyyymmdd % 100).ok()?;
    Date::new(year, month, day).ok()
}
