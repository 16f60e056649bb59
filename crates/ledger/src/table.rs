//! The listing table: what the hub keeps in memory of every listing, 40 bytes each and a side table for the rest.
//!
//! From it commands are decided, and what remains of a key is folded anew when one of its listings ends. It holds keyed
//! digests and numbers, never an identity or a name.

use std::collections::HashMap;

use minicbor::{Decode, Encode};
use xinhub_domain::listing::State;
use xinhub_domain::measure::Relation;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::Key;

/// Rows per allocation: growth never copies what is there.
const CHUNK_ROWS: usize = 16_384;

/// One listing. Its number is 1 + its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The digest of the subject's first key.
    pub key: Key,
    /// Where the newest event with its content lies: see [`Place`].
    pub place: Place,
    /// Bits 0–39: its etag, the revision of its last event. Bits 40–59: its last day in force, all ones for no fixed term.
    revision_until: u64,
    /// 1 + the row of the next listing with the same first key; 0 for none.
    pub next: u32,
    /// The court, as an index into the interned names.
    pub court: u16,
    /// Its state's number; 0 before the first event.
    state: u8,
    /// [`FLAGGED`], [`EXTRA`], [`ERASED`], [`ATTESTED`].
    pub flags: u8,
}

/// The subject's first identity is flagged.
pub const FLAGGED: u8 = 1;
/// There is an [`Extra`] for the row.
pub const EXTRA: u8 = 2;
/// The record's key was destroyed; the row has no key and no content any more.
pub const ERASED: u8 = 4;
/// Never enters the index: shown to the subject's own unit alone.
pub const OWN_UNIT_ONLY: u8 = 8;

const REVISION_BITS: u32 = 40;
const REVISION_MASK: u64 = (1 << REVISION_BITS) - 1;
const NO_TERM: u64 = (1 << 20) - 1;

/// Where an event lies: the position of its entry's frame in the journal, and its place among the entry's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Place(pub u64);

impl Place {
    const EVENT_BITS: u32 = 10;

    /// The event number `event` (below 1,024) of the entry at `frame` (below 2^54).
    pub fn new(frame: u64, event: usize) -> Place {
        Place(frame << Self::EVENT_BITS | (event as u64 & ((1 << Self::EVENT_BITS) - 1)))
    }

    /// The frame's position.
    pub fn frame(self) -> u64 {
        self.0 >> Self::EVENT_BITS
    }

    /// The event's place in the entry.
    pub fn event(self) -> usize {
        (self.0 & ((1 << Self::EVENT_BITS) - 1)) as usize
    }
}

impl Row {
    /// Bytes of a row in a snapshot.
    pub const BYTES: usize = 40;

    /// A row before its first event.
    pub fn new(court: u16) -> Row {
        Row {
            key: Key([0; 16]),
            place: Place(0),
            revision_until: NO_TERM << REVISION_BITS,
            next: 0,
            court,
            state: 0,
            flags: 0,
        }
    }

    /// The state; `None` before the first event.
    pub fn state(&self) -> Option<State> {
        State::from_number(self.state)
    }

    /// Sets the state.
    pub fn set_state(&mut self, state: State) {
        self.state = state as u8;
    }

    /// The etag.
    pub fn revision(&self) -> u64 {
        self.revision_until & REVISION_MASK
    }

    /// Sets the etag.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision_until = self.revision_until & !REVISION_MASK | revision & REVISION_MASK;
    }

    /// The last day in force.
    pub fn until(&self) -> Option<Day> {
        match self.revision_until >> REVISION_BITS {
            NO_TERM => None,
            day => Some(Day(day as u32)),
        }
    }

    /// Sets the last day in force.
    pub fn set_until(&mut self, until: Option<Day>) {
        let code = until.map_or(NO_TERM, |day| u64::from(day.0).min(NO_TERM - 1));
        self.revision_until = self.revision_until & REVISION_MASK | code << REVISION_BITS;
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The row as a snapshot keeps it, little-endian.
    pub fn to_bytes(&self) -> [u8; Row::BYTES] {
        let mut bytes = [0; Row::BYTES];
        bytes[..16].copy_from_slice(&self.key.0);
        bytes[16..24].copy_from_slice(&self.place.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.revision_until.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.next.to_le_bytes());
        bytes[36..38].copy_from_slice(&self.court.to_le_bytes());
        bytes[38] = self.state;
        bytes[39] = self.flags;
        bytes
    }

    /// A row from a snapshot.
    pub fn from_bytes(bytes: &[u8; Row::BYTES]) -> Row {
        fn part<const N: usize>(bytes: &[u8; Row::BYTES], from: usize) -> [u8; N] {
            std::array::from_fn(|i| bytes[from + i])
        }
        Row {
            key: Key(part(bytes, 0)),
            place: Place(u64::from_le_bytes(part(bytes, 16))),
            revision_until: u64::from_le_bytes(part(bytes, 24)),
            next: u32::from_le_bytes(part(bytes, 32)),
            court: u16::from_le_bytes(part(bytes, 36)),
            state: bytes[38],
            flags: bytes[39],
        }
    }
}

/// What does not fit a row: further keys, relations, exemptions, and who was answered adversely.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Extra {
    /// Every further key under which the listing is chained, with the next row of that key's chain.
    #[n(0)]
    pub links: Vec<Link>,
    /// Related people.
    #[n(1)]
    pub relations: Vec<RelationRow>,
    /// Exemptions.
    #[n(2)]
    pub exemptions: Vec<ExemptionRow>,
    /// Clients that were answered adversely, as indices into the interned names.
    #[n(3)]
    pub disclosed_to: Vec<u16>,
    /// While in grace: its last day.
    #[n(4)]
    pub grace_until: Option<Day>,
    /// The day on which it was first in force.
    #[n(5)]
    pub listed_on: Option<Day>,
}

/// One further key of a listing.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Link {
    /// Its digest.
    #[n(0)]
    #[cbor(with = "key_bytes")]
    pub key: Key,
    /// 1 + the next row of the key's chain; 0 for none.
    #[n(1)]
    pub next: u32,
    /// It is an identity of the debtor, not only of a related person.
    #[n(2)]
    pub debtor: bool,
    /// That identity is flagged.
    #[n(3)]
    pub flagged: bool,
}

/// One related person of a listing.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct RelationRow {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// The person's key.
    #[n(1)]
    #[cbor(with = "key_bytes")]
    pub key: Key,
    /// How related: the bit of [`Relation`].
    #[n(2)]
    pub relation: u8,
    /// The identity is flagged.
    #[n(3)]
    pub flagged: bool,
    /// Last day.
    #[n(4)]
    pub until: Option<Day>,
    /// Over.
    #[n(5)]
    pub ended: bool,
    /// Where its content lies.
    #[n(6)]
    pub place: u64,
}

impl RelationRow {
    /// How related.
    pub fn relation(&self) -> Option<Relation> {
        Relation::ALL.iter().copied().find(|relation| relation.bit() == self.relation)
    }
}

/// One exemption of a listing.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ExemptionRow {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// The person's key.
    #[n(1)]
    #[cbor(with = "key_bytes")]
    pub key: Key,
    /// Measure codes; empty: all.
    #[n(2)]
    pub measures: Vec<String>,
    /// Items; empty: all.
    #[n(3)]
    pub items: Vec<String>,
    /// From this instant,
    #[n(4)]
    pub from: Timestamp,
    /// until just before this one.
    #[n(5)]
    pub until: Timestamp,
    /// Over.
    #[n(6)]
    pub ended: bool,
    /// Where its content lies.
    #[n(7)]
    pub place: u64,
}

impl ExemptionRow {
    /// Whether it exempts `key` from this measure and item at `now`.
    pub fn exempts(&self, key: &Key, measure: &str, item: Option<&str>, now: Timestamp) -> bool {
        !self.ended
            && self.key == *key
            && (self.from..self.until).contains(&now)
            && (self.measures.is_empty() || self.measures.iter().any(|code| code == measure))
            && (self.items.is_empty() || item.is_some_and(|item| self.items.iter().any(|code| code == item)))
    }
}

/// A key in CBOR: 16 bytes.
mod key_bytes {
    use minicbor::{Decoder, Encoder};
    use xinhub_index::Key;

    pub(super) fn encode<C, W: minicbor::encode::Write>(
        key: &Key,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&key.0)?;
        Ok(())
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Key, minicbor::decode::Error> {
        d.bytes()?.try_into().map(Key).map_err(|_| minicbor::decode::Error::message("a key has 16 bytes"))
    }
}

/// All rows, and the side table.
#[derive(Debug, Default)]
pub struct Table {
    chunks: Vec<Vec<Row>>,
    len: usize,
    /// By row.
    pub extras: HashMap<u32, Box<Extra>>,
}

impl Table {
    /// How many listings there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The row of a listing's number.
    pub fn row_of(&self, listing: u64) -> Option<u32> {
        let row = u32::try_from(listing.checked_sub(1)?).ok()?;
        ((row as usize) < self.len).then_some(row)
    }

    /// A row that is there.
    pub fn row(&self, row: u32) -> &Row {
        &self.chunks[row as usize / CHUNK_ROWS][row as usize % CHUNK_ROWS]
    }

    /// A row that is there, to change.
    pub fn row_mut(&mut self, row: u32) -> &mut Row {
        &mut self.chunks[row as usize / CHUNK_ROWS][row as usize % CHUNK_ROWS]
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) -> u32 {
        if self.len.is_multiple_of(CHUNK_ROWS) {
            self.chunks.push(Vec::with_capacity(CHUNK_ROWS));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(row);
        }
        self.len += 1;
        self.len as u32 - 1
    }

    /// Every row with its place.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0..).zip(self.chunks.iter().flatten())
    }

    /// The side entry of a row, if it has one.
    pub fn extra(&self, row: u32) -> Option<&Extra> {
        if !self.row(row).has(EXTRA) {
            return None;
        }
        self.extras.get(&row).map(Box::as_ref)
    }

    /// The side entry of a row, made where missing.
    pub fn extra_mut(&mut self, row: u32) -> &mut Extra {
        self.row_mut(row).flags |= EXTRA;
        self.extras.entry(row).or_default()
    }

    /// Bytes held: rows, and the side table by its entries' own sizes.
    pub fn memory_bytes(&self) -> usize {
        let extra = |extra: &Extra| {
            size_of::<Extra>()
                + size_of::<(u32, Box<Extra>)>() * 8 / 7
                + extra.links.capacity() * size_of::<Link>()
                + extra.relations.capacity() * size_of::<RelationRow>()
                + extra.exemptions.capacity() * size_of::<ExemptionRow>()
                + extra.disclosed_to.capacity() * 2
        };
        self.chunks.len() * CHUNK_ROWS * Row::BYTES + self.extras.values().map(|one| extra(one)).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_forty_bytes_and_comes_back() {
        assert_eq!(size_of::<Row>(), Row::BYTES);
        let mut row = Row::new(7);
        assert_eq!((row.state(), row.until(), row.revision()), (None, None, 0));
        row.set_state(State::Listed);
        row.set_revision(1 << 39 | 5);
        row.set_until(Some(Day(20_000)));
        row.key = Key([3; 16]);
        row.place = Place::new(1 << 40 | 9, 999);
        row.next = 17;
        row.flags = FLAGGED;
        assert_eq!((row.place.frame(), row.place.event()), (1 << 40 | 9, 999));
        assert_eq!(Row::from_bytes(&row.to_bytes()), row);
        assert_eq!((row.until(), row.revision()), (Some(Day(20_000)), 1 << 39 | 5));
        row.set_until(None);
        assert_eq!((row.until(), row.revision()), (None, 1 << 39 | 5));
    }
}
