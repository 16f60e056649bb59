//! The listing table: what the hub keeps in memory of every listing, 40 bytes each and a side table for the rest.
//!
//! From it commands are decided, and what remains of a key is folded anew when one of its listings ends. It holds keyed
//! digests and numbers, never an identity or a name.

use std::collections::BTreeSet;
use std::sync::Arc;

use xinhub_domain::listing::State;
use xinhub_domain::time::Day;
use xinhub_index::Key;

mod extras;
mod related;
mod side;

pub use extras::{Extras, Side};
pub use related::{Link, RelationRow};
pub use side::{Closing, DeferralRow, DutyRow, ExemptionRow, Extra, ImposedRow, Rest, RetentionRow};

/// Rows per allocation: growth never copies what is there, and a snapshot shares what has not changed since. As many as 512 KiB hold with
/// room to spare: with huge pages, lists of 640 KiB took a fifth more than they hold (the server's example `chunk_cost`).
const CHUNK_ROWS: usize = 13_056;
/// Allocators give lists of any length as much as one of eight lengths between two powers of two: on average a sixteenth more than
/// was asked for.
const ALLOCATED_SHARE: usize = 16;

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
    /// [`FLAGGED`], [`EXTRA`], [`ERASED`], [`OWN_UNIT_ONLY`]; bits 4–6: the ground, 0 where it isn't known.
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

const GROUND_SHIFT: u32 = 4;
const GROUND_MASK: u8 = 7;
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

    /// The ground's number; 0 where it isn't known.
    pub fn ground(&self) -> u8 {
        self.flags >> GROUND_SHIFT & GROUND_MASK
    }

    /// Sets the ground's number.
    pub fn set_ground(&mut self, ground: u8) {
        self.flags = self.flags & !(GROUND_MASK << GROUND_SHIFT) | (ground & GROUND_MASK) << GROUND_SHIFT;
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

/// All rows, and the side table. A clone shares every chunk until one of the two changes it.
#[derive(Clone, Debug, Default)]
pub struct Table {
    chunks: Vec<Arc<Vec<Row>>>,
    len: usize,
    /// Rows with [`OWN_UNIT_ONLY`], kept up to date with each change: finding them would take a walk over all.
    own_unit_only: BTreeSet<u32>,
    /// The side table, by row.
    pub extras: Extras,
}

impl Table {
    /// How many listings there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many there are for whoever may not be shown those that are for the subject's own unit alone.
    pub fn len_shown(&self) -> usize {
        self.len - self.own_unit_only.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        &mut Arc::make_mut(&mut self.chunks[row as usize / CHUNK_ROWS])[row as usize % CHUNK_ROWS]
    }

    /// Says whether a row is for the subject's own unit alone.
    pub fn set_own_unit_only(&mut self, row: u32, own_unit_only: bool) {
        let flags = &mut self.row_mut(row).flags;
        *flags = if own_unit_only { *flags | OWN_UNIT_ONLY } else { *flags & !OWN_UNIT_ONLY };
        if own_unit_only {
            self.own_unit_only.insert(row);
        } else {
            self.own_unit_only.remove(&row);
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) -> u32 {
        if row.has(OWN_UNIT_ONLY) {
            self.own_unit_only.insert(self.len as u32);
        }
        if self.len.is_multiple_of(CHUNK_ROWS) {
            self.chunks.push(Arc::default());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            let chunk = Arc::make_mut(chunk);
            // New, or copied for a snapshot.
            if chunk.capacity() < CHUNK_ROWS {
                chunk.reserve_exact(CHUNK_ROWS - chunk.len());
            }
            chunk.push(row);
        }
        self.len += 1;
        self.len as u32 - 1
    }

    /// Every row with its place.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()))
    }

    /// The side entry of a row, if it has one.
    pub fn extra(&self, row: u32) -> Option<Side<'_>> {
        if !self.row(row).has(EXTRA) {
            return None;
        }
        self.extras.get(row)
    }

    /// Every further key under which a listing is chained.
    pub fn links(&self, row: u32) -> impl Iterator<Item = Link> + '_ {
        self.extra(row).into_iter().flat_map(|extra| extra.links())
    }

    /// Changes the side entry of a row, made where missing.
    pub fn change_extra<T>(&mut self, row: u32, change: impl FnOnce(&mut Extra) -> T) -> T {
        if !self.row(row).has(EXTRA) {
            self.row_mut(row).flags |= EXTRA;
        }
        self.extras.change(row, change)
    }

    /// Bytes that rows and side table would hold without those that are for the subject's own unit alone, with what an allocator
    /// adds on average.
    pub fn shown_bytes(&self) -> usize {
        let hidden: usize = self.own_unit_only.iter().map(|row| self.extras.content_bytes_of(*row)).sum();
        let rows = self.len_shown().div_ceil(CHUNK_ROWS) * CHUNK_ROWS;
        let contents = self.extras.content_bytes() - hidden;
        rows * Row::BYTES + Extras::frame_bytes(rows) + contents + contents / ALLOCATED_SHARE
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_copy_stays_as_it_was_and_bytes_are_counted_as_they_come() {
        let mut table = Table::default();
        for _ in 0..CHUNK_ROWS + 5 {
            table.push(Row::new(1));
        }
        table.change_extra(7, |extra| extra.disclosed_to.push(3));
        let (copy, bytes) = (table.clone(), table.shown_bytes());
        table.row_mut(0).set_revision(9);
        table.push(Row::new(2));
        table.change_extra(7, |extra| extra.disclosed_to.push(4));
        table.change_extra(CHUNK_ROWS as u32, |extra| extra.grace_until = Some(Day(1)));
        assert_eq!((copy.row(0).revision(), copy.len(), copy.extras.len()), (0, CHUNK_ROWS + 5, 1));
        assert_eq!(copy.extra(7).unwrap().rest.disclosed_to, [3]);
        assert_eq!(copy.extra(CHUNK_ROWS as u32), None);
        assert_eq!(table.extra(7).unwrap().rest.disclosed_to, [3, 4]);
        assert_eq!(table.extras.rows().collect::<Vec<_>>(), [7, CHUNK_ROWS as u32]);
        assert!(table.shown_bytes() > bytes);
        let sum: usize = table.extras.rows().map(|row| table.extras.content_bytes_of(row)).sum();
        assert_eq!(table.extras.content_bytes(), sum);
        table.extras.remove(7);
        table.extras.remove(CHUNK_ROWS as u32);
        assert_eq!((table.extras.content_bytes(), table.extras.len()), (0, 0));
    }

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
