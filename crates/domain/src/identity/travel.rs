//! Promises the normal forms of documents that carry no check digit: travel permits, passports and
//! the old permanent-resident card. Here the format is all that can be checked.

use super::Violation;
use super::number::each_character;

/// `[HM]` and 8 digits for life, then 2 digits that change with each renewal.
const HK_MO_LIFELONG_CHARS: usize = 9;
const HK_MO_CHARS: usize = 11;
const PASSPORT_CHARS: std::ops::RangeInclusive<usize> = 5..=15;
/// Between issuing state and number in a passport's normal form; in neither of them.
pub(super) const STATE_SEPARATOR: char = ':';
/// The issuing state of mainland, Hong Kong and Macau passports.
pub(super) const CHINA: &str = "CHN";

/// Travel permit to the mainland of a Hong Kong or Macau resident.
pub(super) fn check_hk_mo(number: &str, found: &mut Vec<Violation>) {
    if number.len() != HK_MO_LIFELONG_CHARS && number.len() != HK_MO_CHARS {
        found.push(Violation::Length { found: number.len(), expected: "9 (or 11 with the renewal digits)" });
    }
    each_character(number, 0..1, "H or M", |c| matches!(c, b'H' | b'M'), found);
    each_character(number, 1..HK_MO_CHARS, "a digit", |c| c.is_ascii_digit(), found);
}

/// The characters that stay the same through renewals, if there are others.
pub(super) fn hk_mo_lifelong(number: &str) -> Option<&str> {
    number.get(..HK_MO_LIFELONG_CHARS).filter(|lifelong| lifelong.len() < number.len())
}

/// Travel permit to the mainland of a Taiwan resident.
pub(super) fn check_taiwan(number: &str, found: &mut Vec<Violation>) {
    if number.len() != 8 && number.len() != 10 {
        found.push(Violation::Length { found: number.len(), expected: "8 (or 10 on older permits)" });
    }
    each_character(number, 0..10, "a digit", |c| c.is_ascii_digit(), found);
}

/// Permanent-resident card from before December 2023: 3 letters and 12 digits.
pub(super) fn check_permanent_resident_old(number: &str, found: &mut Vec<Violation>) {
    if number.len() != 15 {
        found.push(Violation::Length { found: number.len(), expected: "15" });
    }
    each_character(number, 0..3, "a letter", |c| c.is_ascii_uppercase(), found);
    each_character(number, 3..15, "a digit", |c| c.is_ascii_digit(), found);
}

/// A passport number, strictly when China issued it, else 5 to 15 letters and digits (ICAO Doc 9303
/// prints 9 in the machine-readable zone; some states' numbers are longer).
pub(super) fn check_passport(number: &str, state: &str, found: &mut Vec<Violation>) {
    if !PASSPORT_CHARS.contains(&number.len()) {
        found.push(Violation::Length { found: number.len(), expected: "5 to 15" });
    }
    let letter_or_digit = |c: u8| c.is_ascii_digit() || c.is_ascii_uppercase();
    each_character(number, 0..*PASSPORT_CHARS.end(), "a letter or digit", letter_or_digit, found);
    if state == CHINA && found.is_empty() && !is_chinese_passport(number) {
        found.push(Violation::PassportFormat {
            expected: "E, K, G, D, S, P or H and 8 digits; EA to EF, DE, SE, PE, KJ, MA, 14 or 15 and 7 digits",
        });
    }
}

/// The formats of ordinary, service, diplomatic, public-affairs, Hong Kong and Macau passports.
fn is_chinese_passport(number: &str) -> bool {
    let rest_is_digits = |from: usize| {
        number.len() == 9 && number.get(from..).is_some_and(|rest| rest.bytes().all(|c| c.is_ascii_digit()))
    };
    let one_letter = number.starts_with(['E', 'K', 'G', 'D', 'S', 'P', 'H']) && rest_is_digits(1);
    let two_characters = matches!(
        number.get(..2),
        Some("EA" | "EB" | "EC" | "ED" | "EE" | "EF" | "DE" | "SE" | "PE" | "KJ" | "MA" | "14" | "15")
    ) && rest_is_digits(2);
    one_letter || two_characters
}

/// The issuing state of a passport, three upper-case letters (ISO 3166 alpha-3).
pub(super) fn check_issuing_state(state: &str, found: &mut Vec<Violation>) {
    if state.is_empty() {
        found.push(Violation::IssuingStateMissing);
    } else if state.len() != 3 || !state.bytes().all(|c| c.is_ascii_uppercase()) {
        found.push(Violation::IssuingStateForm);
    } else if matches!(state, "HKG" | "MAC") {
        // Accepting these would give one passport two keys.
        found.push(Violation::IssuingStateIsChina);
    }
}
