//! Promises that two identities have the same key input exactly when they share a key space and a
//! normal form.

use std::fmt;

use super::inline::Inline;

/// Which numbers may be compared with each other.
///
/// The discriminant is the first byte of every [`KeyInput`] and thereby of every index key: never
/// renumber.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum KeySpace {
    /// 18-digit personal numbers: resident IDs, residence permits, permanent-resident cards.
    Person = 1,
    /// Organisation codes, alone or embedded in a credit code.
    Organisation = 2,
    /// Whole credit codes.
    CreditCode = 3,
    /// Travel permits of Hong Kong and Macau residents, first 9 characters.
    TravelPermitHkMo = 4,
    /// Travel permits of Taiwan residents.
    TravelPermitTaiwan = 5,
    /// Passports, with issuing state.
    Passport = 6,
    /// Permanent-resident cards from before December 2023, 15 characters.
    PermanentResidentOld = 7,
}

/// The input of the index key's pseudo-random function: key space, length of the normal form,
/// normal form, zero padding.
///
/// Always 32 bytes, two AES blocks, so that a fixed-length MAC is safe and the length of a number
/// tells nothing. Holds the number in clear: digest it and let it go; `Debug` shows the key space
/// alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyInput {
    bytes: [u8; KEY_INPUT_BYTES],
    space: KeySpace,
}

/// Two AES blocks.
const KEY_INPUT_BYTES: usize = 32;
/// Key space and length come before the normal form.
const HEADER_BYTES: usize = 2;

impl KeyInput {
    pub(super) fn new<const MAX: usize>(space: KeySpace, normal_form: &Inline<MAX>) -> KeyInput {
        const { assert!(MAX <= KEY_INPUT_BYTES - HEADER_BYTES, "a normal form fits") };
        let mut bytes = [0; KEY_INPUT_BYTES];
        bytes[0] = space as u8;
        bytes[1] = normal_form.len();
        // So many bytes for every text: the copy takes two instructions.
        bytes[HEADER_BYTES..HEADER_BYTES + MAX].copy_from_slice(normal_form.padded());
        KeyInput { bytes, space }
    }

    /// The 32 bytes to digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key space, which is also the first byte.
    pub fn key_space(&self) -> KeySpace {
        self.space
    }
}

impl fmt::Debug for KeyInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyInput({:?})", self.space)
    }
}
