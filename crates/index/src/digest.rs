//! The digest of a whole index, by which a replica and its hub compare what they hold.
//!
//! It is LtHash16 with 1,024 lanes (M. Bellare and D. Micciancio, "A New Paradigm for Collision-free Hashing: Incrementality at
//! Reduced Cost", 1997; K. Lewi, W. Kim, I. Maykov and S. Weis, "Securing Update Propagation with Homomorphic Hashing", 2019):
//! each entry is hashed to a vector of 1,024 numbers of 16 bits, and the digest is their sum. So an entry can be added or taken
//! away without the others, in whatever order, at the same cost in an index of ten entries or ten million.
//!
//! The hash is BLAKE3, and AES-256 in counter mode under it as the key makes the vector of it: where processors have instructions
//! for AES, that takes a fraction of BLAKE3's own extended output (the example `probe_cost` tells both).

use std::fmt;
use std::sync::LazyLock;

use aes::Aes256Enc;
use aes::cipher::{BlockEncrypt, KeyInit};

use crate::entry::{Entry, Key};
use crate::snapshot::encode_change;

const LANES: usize = 1024;
const LANE_BYTES: usize = 2;
const BLOCK_BYTES: usize = 16;
const BLOCKS: usize = LANES * LANE_BYTES / BLOCK_BYTES;

/// Keeps these hashes apart from all others.
static HASH_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("xinhub state digest v2 entry", &[]));

/// What is encrypted: the numbers of the blocks.
static COUNTERS: LazyLock<[aes::Block; BLOCKS]> =
    LazyLock::new(|| std::array::from_fn(|number| (number as u128).to_le_bytes().into()));

/// The sum over all entries of an index. Heads are left out: a replica has none.
#[derive(Clone, PartialEq, Eq)]
pub struct StateDigest {
    lanes: Box<[u16; LANES]>,
    encoded: Vec<u8>,
}

impl StateDigest {
    /// The digest of an index without entries.
    pub fn new() -> Self {
        Self { lanes: Box::new([0; LANES]), encoded: Vec::new() }
    }

    /// The digest of an index with these entries.
    pub fn of(entries: impl IntoIterator<Item = (Key, Entry)>) -> Self {
        let mut digest = Self::new();
        entries.into_iter().for_each(|(key, entry)| digest.add(&key, &entry));
        digest
    }

    /// An entry came.
    pub fn add(&mut self, key: &Key, entry: &Entry) {
        self.change(key, entry, u16::wrapping_add);
    }

    /// An entry went, as it was when it was added.
    pub fn take(&mut self, key: &Key, entry: &Entry) {
        self.change(key, entry, u16::wrapping_sub);
    }

    /// 32 bytes that two indices share if and, but for a broken hash, only if they hold the same entries.
    pub fn value(&self) -> [u8; 32] {
        blake3::derive_key("xinhub state digest v2 value", &self.to_bytes())
    }

    /// Adds all that another digest is the sum of.
    pub fn plus(&mut self, other: &StateDigest) {
        self.lanes.iter_mut().zip(other.lanes.iter()).for_each(|(lane, number)| *lane = lane.wrapping_add(*number));
    }

    /// Takes away all that another digest is the sum of.
    pub fn minus(&mut self, other: &StateDigest) {
        self.lanes.iter_mut().zip(other.lanes.iter()).for_each(|(lane, number)| *lane = lane.wrapping_sub(*number));
    }

    /// All of it, to go on from later.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }

    /// What [`StateDigest::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<StateDigest> {
        let (numbers, rest) = bytes.as_chunks::<LANE_BYTES>();
        let lanes: Vec<u16> = numbers.iter().map(|number| u16::from_le_bytes(*number)).collect();
        let lanes = lanes.into_boxed_slice().try_into().ok().filter(|_| rest.is_empty())?;
        Some(StateDigest { lanes, encoded: Vec::new() })
    }

    fn change(&mut self, key: &Key, entry: &Entry, combine: impl Fn(u16, u16) -> u16) {
        self.encoded.clear();
        encode_change(key, Some(entry), &mut self.encoded);
        let cipher = Aes256Enc::new(blake3::keyed_hash(&HASH_KEY, &self.encoded).as_bytes().into());
        let mut blocks = *COUNTERS;
        cipher.encrypt_blocks(&mut blocks);
        let (lanes, _) = self.lanes.as_chunks_mut::<{ BLOCK_BYTES / LANE_BYTES }>();
        for (lanes, block) in lanes.iter_mut().zip(&blocks) {
            // Of fixed size, so that a block's lanes are combined in one instruction.
            let bytes = <[u8; BLOCK_BYTES]>::from(*block);
            for (at, lane) in lanes.iter_mut().enumerate() {
                *lane = combine(*lane, u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]));
            }
        }
    }
}

impl Default for StateDigest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Relations, Until};

    fn entry(number: u32) -> (Key, Entry) {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let mut entry = Entry::uniform(Relations::DEBTOR, Until::day(20_000 + number).unwrap_or(Until::FOREVER));
        entry.head = number;
        (Key(key), entry)
    }

    #[test]
    fn it_tells_what_is_held_and_not_how_it_came() {
        let (mut forth, mut back) = (StateDigest::new(), StateDigest::new());
        let empty = forth.value();
        for number in 0..50 {
            let (key, entry) = entry(number);
            forth.add(&key, &entry);
        }
        for number in (0..70).rev() {
            let (key, entry) = entry(number);
            back.add(&key, &Entry { head: 0, ..entry });
        }
        assert_ne!(forth.value(), back.value());
        for number in 50..70 {
            let (key, entry) = entry(number);
            back.take(&key, &entry);
        }
        assert_eq!(forth.value(), back.value());
        // One day more is another state, and so is the same entry under another key.
        let (key, one) = entry(7);
        back.take(&key, &one);
        back.add(&key, &Entry::uniform(Relations::DEBTOR, Until::FOREVER));
        assert_ne!(forth.value(), back.value());
        back.take(&key, &Entry::uniform(Relations::DEBTOR, Until::FOREVER));
        back.add(&entry(99).0, &one);
        assert_ne!(forth.value(), back.value());
        let kept = StateDigest::from_bytes(&forth.to_bytes());
        assert_eq!(kept.map(|kept| kept.value()), Some(forth.value()));
        assert!(StateDigest::from_bytes(&forth.to_bytes()[1..]).is_none());
        let mut half = StateDigest::new();
        for number in 0..50 {
            let (key, entry) = entry(number);
            forth.take(&key, &entry);
            if number < 25 {
                half.add(&key, &entry);
            }
        }
        assert_eq!(forth.value(), empty);
        forth.plus(&half);
        assert_eq!(forth.value(), half.value());
        forth.minus(&half);
        assert_eq!(forth.value(), empty);
    }
}
