//! Promises numbers of nobody: valid check characters around parts that the caller chooses, for the
//! generator of synthetic rows and for tests. Nothing here looks anything up.
//!
//! All functions panic on parts of the wrong shape: they are called with constants and seeded
//! numbers, never with input.

use jiff::civil::Date;

use super::ORGANISATION_CODE_BODY_CHARS;
use super::check::{CREDIT_CODE_CHARS, gb_11643, gb_11714, gb_32100};

/// An 18-character personal number: `region` (6 digits; `810000`, `820000`, `830000` make a
/// residence permit, a first `9` a permanent-resident card), birth date (years 0–9999), `sequence`
/// below 1000 (odd: male).
pub fn resident_id(region: &str, birth: Date, sequence: u16) -> String {
    let date = format!("{:04}{:02}{:02}", birth.year(), birth.month(), birth.day());
    with_check(format!("{region}{date}{sequence:03}"), gb_11643)
}

/// A resident ID as written until 1999: 15 digits, for a birth in 1900–1999.
pub fn resident_id_15(region: &str, birth: Date, sequence: u16) -> String {
    assert!((1900..2000).contains(&birth.year()), "a 15-digit ID has two digits of year");
    let long = resident_id(region, birth, sequence);
    format!("{}{}", &long[..6], &long[8..17])
}

/// An organisation code of 9 characters from its first 8 (digits and capital letters).
pub fn organisation_code(body: &str) -> String {
    with_check(body.to_owned(), gb_11714)
}

/// A credit code from department and category (such as `91`, `52`, `N2`), region (6 digits) and the
/// number `seed` of its organisation code: different seeds below 31⁸ give different codes.
pub fn uscc(department_and_category: &str, region: &str, seed: u64) -> String {
    let mut rest = seed;
    let mut body = [b'0'; ORGANISATION_CODE_BODY_CHARS];
    for place in body.iter_mut().rev() {
        // Below 31, so it indexes the 31 characters.
        *place = CREDIT_CODE_CHARS[usize::try_from(rest % 31).unwrap_or(0)];
        rest /= 31;
    }
    let body: String = body.into_iter().map(char::from).collect();
    uscc_of(department_and_category, region, &body)
}

/// A credit code around the organisation code with the first 8 characters `body`, which must be in
/// GB 32100's set.
pub fn uscc_of(department_and_category: &str, region: &str, body: &str) -> String {
    with_check(format!("{department_and_category}{region}{}", organisation_code(body)), gb_32100)
}

fn with_check(mut number: String, check: fn(&[u8]) -> Option<u8>) -> String {
    let check = check(number.as_bytes());
    assert!(check.is_some(), "the parts of a synthetic number have the wrong length or characters");
    number.extend(check.map(char::from));
    number
}
