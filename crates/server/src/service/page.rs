//! Pages of long lists: how many, and from where on.

use minicbor::{Decode, Encode};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_domain::time::Day;
use xinhub_ledger::resident::remedy::Bound;

use crate::audit::Mark;

/// Entries on one page where the caller names no number, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 500;

/// Tells the format of a page token.
const TOKEN_MARK: &str = "1.";

/// A page of what is counted by number.
pub(super) struct Page {
    /// So many.
    pub(super) limit: usize,
    /// Beyond this number; 0 from the beginning.
    pub(super) after: u64,
}

/// Reads size and token of a page of what is counted by number.
pub(super) fn number(size: i32, token: &str, faults: &mut FieldFaults) -> Page {
    let limit = limit(size, faults);
    let after = match token {
        "" => 0,
        token => {
            let number = token.strip_prefix(TOKEN_MARK).and_then(|hex| u64::from_str_radix(hex, 16).ok());
            number.unwrap_or_else(|| foreign(faults))
        }
    };
    Page { limit, after }
}

/// The token of the page after a number.
pub(super) fn token(last: u64) -> String {
    format!("{TOKEN_MARK}{last:x}")
}

/// Reads size and token of a page of deadlines.
pub(super) fn bound(size: i32, token: &str, faults: &mut FieldFaults) -> (usize, Option<Bound>) {
    let limit = limit(size, faults);
    if token.is_empty() {
        return (limit, None);
    }
    (limit, decoded(token, faults))
}

/// Reads the token of a page of inquiries.
pub(super) fn mark(token: &str, faults: &mut FieldFaults) -> Option<Mark> {
    if token.is_empty() { None } else { decoded(token, faults) }
}

fn decoded<T: for<'b> Decode<'b, ()>>(token: &str, faults: &mut FieldFaults) -> Option<T> {
    let bytes = token.strip_prefix(TOKEN_MARK).and_then(from_hex);
    let place = bytes.and_then(|bytes| minicbor::decode(&bytes).ok());
    if place.is_none() {
        foreign(faults);
    }
    place
}

/// The token of the page after a deadline or an inquiry.
pub(super) fn encoded_token(last: impl Encode<()>) -> String {
    let bytes = minicbor::to_vec(last).unwrap_or_default();
    bytes.iter().fold(TOKEN_MARK.to_owned(), |token, byte| token + &format!("{byte:02x}"))
}

/// Reads size and token of a page of what is ordered by day.
pub(super) fn place(size: i32, token: &str, faults: &mut FieldFaults) -> (usize, Option<(Day, u32)>) {
    let Page { limit, after } = number(size, token, faults);
    let (day, row) = (after >> 32, after & u64::from(u32::MAX));
    let place = u32::try_from(day).ok().zip(u32::try_from(row).ok()).map(|(day, row)| (Day(day), row));
    (limit, place.filter(|_| after > 0))
}

/// The token of the page before a place.
pub(super) fn place_token((day, row): (Day, u32)) -> String {
    token(u64::from(day.0) << 32 | u64::from(row))
}

/// The page was not read: its thread is gone.
pub(super) fn unread(_: tokio::task::JoinError) -> Failure {
    Failure::new(Reason::Internal, "the page was not read; the hub's log has the request id")
}

fn limit(size: i32, faults: &mut FieldFaults) -> usize {
    match usize::try_from(size) {
        Ok(0) => PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => {
            faults.add("page_size", "is negative; 0 is 100, and 500 the most");
            PAGE
        }
    }
}

fn foreign(faults: &mut FieldFaults) -> u64 {
    faults.add("page_token", "is none of this hub's; give back `next_page_token` as it came, or begin anew");
    0
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 128 {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use xinhub_domain::deadline::Clock;

    use super::*;

    #[test]
    fn tokens_come_back_and_foreign_ones_are_told() {
        let mut faults = FieldFaults::default();
        let page = number(7, &token(300), &mut faults);
        assert_eq!((page.limit, page.after), (7, 300));
        let last = Bound::Duty { row: 9, client: 3, clock: Clock::LiftMeasures };
        assert_eq!(bound(0, &encoded_token(last), &mut faults), (100, Some(last)));
        assert!(faults.is_empty());
        for token in ["x", "1.zz", "1.0", "2.00"] {
            let mut faults = FieldFaults::default();
            bound(-1, token, &mut faults);
            assert!(!faults.is_empty(), "{token}");
        }
    }
}
