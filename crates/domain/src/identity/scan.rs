//! Promises to recognise identities in text that was not meant to hold one, and to say what a
//! number without kind could be.

use jiff::civil::{Date, date};

use super::check::{gb_11643, gb_32100};
use super::{Identity, Kind, Source, Subject, Warning};
use crate::text::half_width;

/// All 18-character kinds have this length.
const WINDOW_CHARS: usize = 18;
/// Without a clock, a birth date up to here counts as possible: the scan rather finds too much.
const LATEST_BIRTH: Date = date(2099, 12, 31);

/// The kinds of `sort` that a number without kind could be, as a court's row would be taken.
///
/// Rows name no issuing state, so a passport is tried as a Chinese one (`CHN`). A number with the
/// prefix of a residence permit or permanent-resident card is not tried as a resident ID. Some
/// numbers fit two kinds (`H` and 8 digits: travel permit or Hong Kong passport), some none.
pub fn fitting_kinds(number: &str, sort: Subject, today: Date) -> Vec<Kind> {
    let fits = |kind: &Kind| {
        let issuing_state = (*kind == Kind::Passport).then_some(super::travel::CHINA);
        Identity::parse(*kind, number, issuing_state, Source::Court, today)
            .is_ok_and(|identity| !identity.warnings().contains(&Warning::OtherCardsPrefix))
    };
    Kind::ALL.into_iter().filter(|kind| kind.subject() == sort).filter(fits).collect()
}

/// True when `text` contains, at any place and in any width, a resident ID, an 18-digit permit or
/// card, or a credit code that is valid without a warning.
///
/// 15-digit IDs, passports and travel permits have no check digit: looking for them would find
/// order numbers.
pub fn contains_identity(text: &str) -> bool {
    // What is not ASCII becomes a space, which breaks every window.
    let folded: Vec<u8> =
        text.chars().map(half_width).map(|c| u8::try_from(c).unwrap_or(b' ').to_ascii_uppercase()).collect();
    folded.windows(WINDOW_CHARS).any(is_identity)
}

fn is_identity(window: &[u8]) -> bool {
    // The cheap tests first, for whole log files are scanned: digits where every kind has some, then
    // either check character.
    let Some((&last, first_17)) = window.split_last() else { return false };
    if !window[2..8].iter().all(u8::is_ascii_digit) || !matches_a_check(first_17, last) {
        return false;
    }
    let Ok(number) = std::str::from_utf8(window) else { return false };
    [Kind::ResidentId, Kind::ResidencePermit, Kind::PermanentResident, Kind::Uscc].into_iter().any(|kind| {
        Identity::parse(kind, number, None, Source::LookerUp, LATEST_BIRTH)
            .is_ok_and(|identity| identity.warnings().is_empty())
    })
}

fn matches_a_check(first_17: &[u8], last: u8) -> bool {
    gb_11643(first_17) == Some(last) || gb_32100(first_17) == Some(last)
}
