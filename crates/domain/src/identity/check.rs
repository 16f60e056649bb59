//! Promises the check characters exactly as the three standards define them.
//!
//! Each function takes the characters before the check character and answers `None` when one of
//! them is not in the standard's character set or their number is wrong.

use super::ORGANISATION_CODE_BODY_CHARS;

/// Resident IDs and every other 18-digit personal number.
pub(super) const GB_11643: &str = "GB 11643";
/// Unified social credit codes.
pub(super) const GB_32100: &str = "GB 32100";
/// Organisation codes.
pub(super) const GB_11714: &str = "GB 11714";

/// The 31 characters of a credit code in the order of their values (GB 32100): no I, O, S, V, Z.
pub(super) const CREDIT_CODE_CHARS: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// GB 11643: check character of the 17 digits before it.
pub(super) fn gb_11643(first_17: &[u8]) -> Option<u8> {
    const WEIGHTS: [u16; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: &[u8; 11] = b"10X98765432";
    let first_17: &[u8; 17] = first_17.try_into().ok()?;
    let digits = first_17.map(|c| c.wrapping_sub(b'0'));
    // All of them, without a stop at the first that is none: so the processor looks at many at a time.
    if digits.iter().fold(0, |most, digit| most.max(*digit)) > 9 {
        return None;
    }
    let sum: u16 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u16::from(*digit) * weight).sum();
    Some(CHECKS[usize::from(sum % 11)])
}

/// GB 32100: check character of the 17 characters before it.
pub(super) fn gb_32100(first_17: &[u8]) -> Option<u8> {
    /// 3^i mod 31.
    const WEIGHTS: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
    /// The value of each byte; 31 for what is no character of a credit code.
    const VALUES: [u8; 256] = {
        let mut values = [31; 256];
        let mut value = 0;
        while value < 31 {
            values[CREDIT_CODE_CHARS[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    let value = |c: u8| Some(usize::from(VALUES[usize::from(c)])).filter(|&value| value < 31);
    let sum = weighted_sum(first_17, &WEIGHTS, value)?;
    Some(CREDIT_CODE_CHARS[(31 - sum % 31) % 31])
}

/// GB 11714: check character of the 8 characters before it (A = 10 … Z = 35; 10 is written X, 11 is
/// written 0).
pub(super) fn gb_11714(first_8: &[u8]) -> Option<u8> {
    const WEIGHTS: [usize; ORGANISATION_CODE_BODY_CHARS] = [3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: &[u8; 11] = b"0X987654321";
    let value = |c: u8| match c {
        b'0'..=b'9' => Some(usize::from(c - b'0')),
        b'A'..=b'Z' => Some(usize::from(c - b'A') + 10),
        0..=b'/' | b':'..=b'@' | b'['..=u8::MAX => None,
    };
    let sum = weighted_sum(first_8, &WEIGHTS, value)?;
    Some(CHECKS[sum % 11])
}

fn weighted_sum(characters: &[u8], weights: &[usize], value: impl Fn(u8) -> Option<usize>) -> Option<usize> {
    if characters.len() != weights.len() {
        return None;
    }
    characters.iter().zip(weights).try_fold(0, |sum, (&c, weight)| Some(sum + value(c)? * weight))
}
