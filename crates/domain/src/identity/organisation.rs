//! Promises the normal forms of organisations: credit codes (GB 32100) as 18 characters,
//! organisation codes (GB 11714) as 9 without hyphen.

use super::check::{CREDIT_CODE_CHARS, GB_11714, GB_32100, gb_11714, gb_32100};
use super::inline::{Inline, Warnings};
use super::number::each_character;
use super::region::is_known_registrar;
use super::{NORMAL_FORM_CHARS, ORGANISATION_CODE_BODY_CHARS, Violation, Warning};

const CREDIT_CODE_LEN: usize = 18;
const ORGANISATION_CODE_LEN: usize = ORGANISATION_CODE_BODY_CHARS + 1;
/// Where a credit code holds the organisation code: characters 9–17.
const EMBEDDED: std::ops::Range<usize> = 8..17;

/// Length and characters of a credit code: registrar's department, category, six digits of region,
/// and the rest.
pub(super) fn check_credit_code_shape(code: &str, found: &mut Vec<Violation>) {
    if code.len() != CREDIT_CODE_LEN {
        found.push(Violation::Length { found: code.len(), expected: "18" });
    }
    let in_set = |c: u8| CREDIT_CODE_CHARS.contains(&c);
    let department = |c: u8| matches!(c, b'1'..=b'9' | b'A' | b'N' | b'Y');
    each_character(code, 0..1, "1 to 9, A, N or Y", department, found);
    each_character(code, 1..2, "a character of GB 32100", in_set, found);
    each_character(code, 2..8, "a digit", |c| c.is_ascii_digit(), found);
    each_character(code, 8..CREDIT_CODE_LEN, "a character of GB 32100", in_set, found);
}

/// Both check characters of a credit code.
pub(super) fn check_credit_code_content(code: &str, found: &mut Vec<Violation>) {
    let bytes = code.as_bytes();
    if bytes.len() != CREDIT_CODE_LEN {
        return;
    }
    if let Some((given, expected)) = wrong_check(&bytes[EMBEDDED], gb_11714) {
        found.push(Violation::EmbeddedCheckDigit { found: given, expected });
    }
    if let Some((given, expected)) = wrong_check(bytes, gb_32100) {
        found.push(Violation::CheckDigit { found: given, expected, standard: GB_32100 });
    }
}

/// What is odd about an accepted credit code.
pub(super) fn credit_code_warnings(code: &str) -> Warnings {
    let mut warnings = Warnings::NONE;
    if !code.get(2..8).is_some_and(is_known_registrar) {
        warnings.push(Warning::UnknownRegion);
    }
    let mut wrong = Vec::new();
    check_credit_code_content(code, &mut wrong);
    if wrong.iter().any(|violation| matches!(violation, Violation::EmbeddedCheckDigit { .. })) {
        warnings.push(Warning::EmbeddedCheckDigit);
    }
    if wrong.iter().any(|violation| matches!(violation, Violation::CheckDigit { .. })) {
        warnings.push(Warning::CheckDigit);
    }
    warnings
}

/// The organisation code inside a credit code.
pub(super) fn embedded(code: &Inline<NORMAL_FORM_CHARS>) -> Inline<ORGANISATION_CODE_LEN> {
    code.part(EMBEDDED.start)
}

/// The organisation code without the hyphen that is printed before its check character.
pub(super) fn without_hyphen(code: &str) -> String {
    match code.split_once('-') {
        Some((body, check)) if body.len() == ORGANISATION_CODE_BODY_CHARS => {
            format!("{body}{check}")
        }
        Some(_) | None => code.to_owned(),
    }
}

/// Length and characters of an organisation code.
pub(super) fn check_organisation_code_shape(code: &str, found: &mut Vec<Violation>) {
    if code.len() != ORGANISATION_CODE_LEN {
        found.push(Violation::Length { found: code.len(), expected: "9, with or without a hyphen before the last" });
    }
    let letter_or_digit = |c: u8| c.is_ascii_digit() || c.is_ascii_uppercase();
    let last = code.len().min(ORGANISATION_CODE_BODY_CHARS);
    each_character(code, 0..last, "a letter or digit", letter_or_digit, found);
    let check = |c: u8| c.is_ascii_digit() || c == b'X';
    each_character(code, ORGANISATION_CODE_BODY_CHARS..ORGANISATION_CODE_LEN, "a digit or X", check, found);
}

/// Check character of an organisation code, and the range that GB 11714 keeps for internal use.
pub(super) fn check_organisation_code_content(code: &str, found: &mut Vec<Violation>) {
    let bytes = code.as_bytes();
    if bytes.len() != ORGANISATION_CODE_LEN {
        return;
    }
    let serial = code.get(3..ORGANISATION_CODE_BODY_CHARS).unwrap_or_default();
    if code.starts_with("PDY") && serial != "00000" && serial.bytes().all(|c| c.is_ascii_digit()) {
        found.push(Violation::InternalCode);
    }
    if let Some((given, expected)) = wrong_check(bytes, gb_11714)
        && (given.is_ascii_digit() || given == 'X')
    {
        found.push(Violation::CheckDigit { found: given, expected, standard: GB_11714 });
    }
}

/// The check character as given and as computed, if they differ and both mean anything: what is no
/// character of the kind has been told already.
fn wrong_check(code: &[u8], compute: fn(&[u8]) -> Option<u8>) -> Option<(char, char)> {
    let (&given, body) = code.split_last()?;
    let expected = compute(body)?;
    (expected != given && CREDIT_CODE_CHARS.contains(&given)).then(|| (char::from(given), char::from(expected)))
}
