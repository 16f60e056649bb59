//! How an entry is laid out in words that can be read and written atomically.
//!
//! The common shape, one end for all relations and no exemption, is one word in the key's slot:
//!
//! ```text
//! bit 0     occupied: no entry packs to zero
//! bit 1     side: the rest lies in a record of the side table
//! 2..7      relations in force
//! 7..12     relations that rest only on a flagged identity
//! 12..32    until (common shape only)
//! 32..64    head, or the record's offset in the side table, in words
//! ```
//!
//! A side record is three words and three more per exemption: a mask that hits nothing is answered from the slot.
//!
//! ```text
//! word 0    head in 0..32, number of exemptions in 32..64
//! word 1    until of relations 0, 1, 2, 20 bits each
//! word 2    until of relations 3, 4
//! then      from_s, until_s, scope per exemption
//! ```
//!
//! Readers decode while the writer may be at work, and find out only afterwards that what they read was torn. So
//! decoding takes any words: it answers `None` for what no writer could have meant, and never goes out of bounds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::entry::{Entry, Exemption, Exemptions, Hit, MAX_EXEMPTIONS, Relations, Until};

const OCCUPIED: u64 = 1;
const SIDE: u64 = 1 << 1;
const RELATIONS_AT: u32 = 2;
const FLAGGED_AT: u32 = 7;
const UNTIL_AT: u32 = 12;
const HEAD_AT: u32 = 32;

const FIXED_WORDS: usize = 3;
const WORDS_PER_EXEMPTION: usize = 3;
const UNTILS_PER_WORD: usize = 3;

/// The word in a slot; zero is an empty slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Value(pub(crate) u64);

impl Value {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn relations(self) -> Relations {
        Relations::truncated(self.0 >> RELATIONS_AT)
    }

    fn flagged(self) -> Relations {
        Relations::truncated(self.0 >> FLAGGED_AT)
    }

    fn head(self) -> u32 {
        (self.0 >> HEAD_AT) as u32
    }

    /// Where the entry's side record begins, if it has one.
    pub(crate) fn side_offset(self) -> Option<usize> {
        (self.0 & SIDE != 0).then_some(self.head() as usize)
    }

    /// The same value, its side record at another offset.
    pub(crate) fn at_side_offset(self, offset: u32) -> Self {
        let low = self.0 & ((1 << HEAD_AT) - 1);
        Self(low | u64::from(offset) << HEAD_AT)
    }
}

/// An entry ready to be stored.
#[derive(Debug)]
pub(crate) struct Packed {
    /// With side offset 0 where there is a side record: the table that stores it knows the offset.
    pub(crate) value: Value,
    /// The side record; empty for the common shape.
    pub(crate) side: Vec<u64>,
}

impl Packed {
    pub(crate) fn new(entry: &Entry) -> Self {
        let relations = entry.in_force();
        let flagged = entry.flagged & relations;
        let bits = OCCUPIED | u64::from(relations.bits()) << RELATIONS_AT | u64::from(flagged.bits()) << FLAGGED_AT;
        let mut untils = entry.relations.iter().flatten();
        let first = untils.next().copied().unwrap_or(Until::FOREVER);
        if entry.exemptions.is_empty() && untils.all(|until| *until == first) {
            let value = bits | u64::from(first.code()) << UNTIL_AT;
            return Self { value: Value(value | u64::from(entry.head) << HEAD_AT), side: Vec::new() };
        }
        Self { value: Value(bits | SIDE), side: side_record(entry) }
    }
}

fn side_record(entry: &Entry) -> Vec<u64> {
    let mut record = Vec::with_capacity(FIXED_WORDS + WORDS_PER_EXEMPTION * entry.exemptions.len());
    record.push(u64::from(entry.head) | (entry.exemptions.len() as u64) << 32);
    for untils in entry.relations.chunks(UNTILS_PER_WORD) {
        let word =
            untils.iter().rev().fold(0, |word, until| word << Until::BITS | u64::from(until.map_or(0, Until::code)));
        record.push(word);
    }
    for exemption in entry.exemptions.iter() {
        record.extend([exemption.from_s, exemption.until_s, exemption.scope]);
    }
    record
}

/// A side record where it lies, checked only to be within the side table.
#[derive(Clone, Copy)]
struct Record<'a>(&'a [AtomicU64]);

impl<'a> Record<'a> {
    fn at(side: &'a [AtomicU64], offset: usize) -> Option<Self> {
        let exemptions = (side.get(offset)?.load(Relaxed) >> 32) as usize;
        if exemptions > MAX_EXEMPTIONS {
            return None;
        }
        let words = FIXED_WORDS + WORDS_PER_EXEMPTION * exemptions;
        Some(Self(side.get(offset..offset + words)?))
    }

    fn word(self, at: usize) -> u64 {
        self.0[at].load(Relaxed)
    }

    fn head(self) -> u32 {
        self.word(0) as u32
    }

    fn until(self, position: usize) -> Until {
        let shift = (position % UNTILS_PER_WORD) as u32 * Until::BITS;
        Until::from_code(self.word(1 + position / UNTILS_PER_WORD) >> shift)
    }

    fn exemptions(self) -> Vec<Exemption> {
        (FIXED_WORDS..self.0.len())
            .step_by(WORDS_PER_EXEMPTION)
            .map(|at| Exemption { from_s: self.word(at), until_s: self.word(at + 1), scope: self.word(at + 2) })
            .collect()
    }
}

/// The words of the side record of `value`; empty if it has none. `None`: torn.
pub(crate) fn side_words(value: Value, side: &[AtomicU64]) -> Option<&[AtomicU64]> {
    match value.side_offset() {
        Some(offset) => Record::at(side, offset).map(|record| record.0),
        None => Some(&[]),
    }
}

/// The entry behind `value`. `None`: torn.
pub(crate) fn entry(value: Value, side: &[AtomicU64]) -> Option<Entry> {
    let mut entry = Entry {
        head: value.head(),
        relations: [None; Relations::COUNT],
        flagged: value.flagged(),
        exemptions: Exemptions::default(),
    };
    let record = match value.side_offset() {
        Some(offset) => Some(Record::at(side, offset)?),
        None => None,
    };
    for position in value.relations().positions() {
        entry.relations[position] = Some(match record {
            Some(record) => record.until(position),
            None => Until::from_code(value.0 >> UNTIL_AT),
        });
    }
    if let Some(record) = record {
        entry.head = record.head();
        entry.exemptions = Exemptions::try_from(record.exemptions()).ok()?;
    }
    Some(entry)
}

/// What `mask` hits in `value`: outer `None` is torn, inner `None` is no hit.
pub(crate) fn hit(value: Value, mask: Relations, side: &[AtomicU64]) -> Option<Option<Hit>> {
    let relations = value.relations() & mask;
    if relations.is_empty() {
        return Some(None);
    }
    let mut hit = Hit {
        relations,
        flagged: value.flagged() & mask,
        nearest_until: Until::from_code(value.0 >> UNTIL_AT),
        head: value.head(),
        exemptions: false,
    };
    if let Some(offset) = value.side_offset() {
        let record = Record::at(side, offset)?;
        let nearest = relations.positions().map(|position| record.until(position)).min();
        hit.nearest_until = nearest.unwrap_or(Until::FOREVER);
        hit.head = record.head();
        hit.exemptions = record.0.len() > FIXED_WORDS;
    }
    Some(Some(hit))
}
