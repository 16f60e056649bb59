//! The listing table: what the hub keeps in memory of every listing, 40 bytes each and a side table for the rest.
//!
//! From it commands are decided, and what remains of a key is folded anew when one of its listings ends. It holds keyed
//! digests and numbers, never an identity or a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minicbor::{Decode, Encode};
use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::State;
use xinhub_domain::measure::Relation;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::Key;

/// Rows per allocation: growth never copies what is there, and a snapshot shares what has not changed since.
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

/// What does not fit a row. One listing in four has further keys or related people, and few of these anything else: the rest lies
/// apart, and is read through this as if it were a part of it.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Extra {
    /// Every further key under which the listing is chained, with the next row of that key's chain.
    #[n(0)]
    pub links: Vec<Link>,
    /// Related people.
    #[n(1)]
    pub relations: Vec<RelationRow>,
    /// Made when it is first changed.
    #[n(2)]
    rest: Option<Box<Rest>>,
}

/// What few listings have: exemptions, who was answered adversely, and what came of that.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Rest {
    /// Exemptions.
    #[n(0)]
    pub exemptions: Vec<ExemptionRow>,
    /// Clients that were answered adversely, as indices into the interned names.
    #[n(1)]
    pub disclosed_to: Vec<u32>,
    /// While in grace: its last day.
    #[n(2)]
    pub grace_until: Option<Day>,
    /// What clients owe by it, and owed.
    #[n(3)]
    pub duties: Vec<DutyRow>,
    /// What clients reported that they imposed.
    #[n(4)]
    pub imposed: Vec<ImposedRow>,
    /// What clients keep after a lift by their own act.
    #[n(5)]
    pub retained: Vec<RetentionRow>,
    /// The subject's own unit, where only that may be shown it; an index into the clients.
    #[n(6)]
    pub own_unit: Option<u32>,
    /// Deferrals of the subject's view.
    #[n(7)]
    pub deferrals: Vec<DeferralRow>,
    /// When it was removed because the creditor asked for it.
    #[n(8)]
    pub creditor_request_on: Option<Day>,
}

impl std::ops::Deref for Extra {
    type Target = Rest;

    fn deref(&self) -> &Rest {
        static NONE: Rest = Rest {
            exemptions: Vec::new(),
            disclosed_to: Vec::new(),
            grace_until: None,
            duties: Vec::new(),
            imposed: Vec::new(),
            retained: Vec::new(),
            own_unit: None,
            deferrals: Vec::new(),
            creditor_request_on: None,
        };
        self.rest.as_deref().unwrap_or(&NONE)
    }
}

impl std::ops::DerefMut for Extra {
    fn deref_mut(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }
}

impl PartialEq for Extra {
    /// An empty rest is none.
    fn eq(&self, other: &Extra) -> bool {
        self.links == other.links && self.relations == other.relations && **self == **other
    }
}

impl Extra {
    /// Bytes held, its map entry included. By lengths, so that a copy counts as much as what it was made of.
    fn bytes(&self) -> usize {
        const ENTRY: usize = size_of::<Extra>() + size_of::<(u32, Arc<Extra>)>() + 2 * size_of::<usize>();
        ENTRY
            + self.links.len() * size_of::<Link>()
            + self.relations.len() * size_of::<RelationRow>()
            + self.rest.as_ref().map_or(0, |rest| rest.bytes())
    }
}

impl Rest {
    fn bytes(&self) -> usize {
        size_of::<Rest>()
            + self.exemptions.len() * size_of::<ExemptionRow>()
            + self.disclosed_to.len() * size_of::<u32>()
            + self.duties.len() * size_of::<DutyRow>()
            + self.imposed.len() * size_of::<ImposedRow>()
            + self.retained.len() * size_of::<RetentionRow>()
            + self.deferrals.len() * size_of::<DeferralRow>()
    }
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
    /// It was an identity of the debtor until a rectification: no import takes it for the debtor's again.
    #[n(4)]
    pub former: bool,
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
    /// Whether it reaches this measure and item at `now`.
    pub fn covers(&self, measure: &str, item: Option<&str>, now: Timestamp) -> bool {
        !self.ended
            && (self.from..self.until).contains(&now)
            && (self.measures.is_empty() || self.measures.iter().any(|code| code == measure))
            && (self.items.is_empty() || item.is_some_and(|item| self.items.iter().any(|code| code == item)))
    }
}

/// What a client owes by a listing: to lift what it imposed, or to handle a notice.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DutyRow {
    /// Who; an index into the clients.
    #[n(0)]
    pub client: u32,
    /// What.
    #[n(1)]
    pub clock: Clock,
    /// When it began.
    #[n(2)]
    pub since: Day,
    /// Its last day in time.
    #[n(3)]
    pub due: Day,
    /// That day has passed without the act.
    #[n(4)]
    pub overdue: bool,
    /// How it was closed, if it was.
    #[n(5)]
    pub closed: Option<Closing>,
    /// When.
    #[n(6)]
    pub closed_at: Option<Timestamp>,
    /// Where the report that closed it lies; 0 for none.
    #[n(7)]
    pub place: u64,
}

/// How a duty was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Closing {
    /// What was imposed is lifted.
    #[n(1)]
    Lifted,
    /// Nothing was imposed.
    #[n(2)]
    Acknowledged,
    /// A measure is kept by the client's own act.
    #[n(3)]
    Retained,
    /// The notice was handled.
    #[n(4)]
    Handled,
    /// The listing came into force again.
    #[n(5)]
    Restored,
    /// The listing ended: of its notice nothing is left to handle.
    #[n(6)]
    Ended,
}

impl Closing {
    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            Closing::Lifted => "lifted",
            Closing::Acknowledged => "acknowledged",
            Closing::Retained => "retained",
            Closing::Handled => "handled",
            Closing::Restored => "restored",
            Closing::Ended => "ended",
        }
    }
}

/// A measure that a client reported as imposed.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ImposedRow {
    /// Who; an index into the clients.
    #[n(0)]
    pub client: u32,
    /// The measure's code.
    #[n(1)]
    pub measure: String,
    /// Its item.
    #[n(2)]
    pub item: Option<String>,
    /// On which day.
    #[n(3)]
    pub on: Day,
    /// It was lifted since.
    #[n(4)]
    pub lifted: bool,
    /// Where the report lies.
    #[n(5)]
    pub place: u64,
}

/// A measure that a client keeps after a lift.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct RetentionRow {
    /// Who; an index into the clients.
    #[n(0)]
    pub client: u32,
    /// The measure's code.
    #[n(1)]
    pub measure: String,
    /// Its last day.
    #[n(2)]
    pub until: Day,
    /// Over.
    #[n(3)]
    pub ended: bool,
    /// Where the report lies.
    #[n(4)]
    pub place: u64,
}

/// A deferral of the subject's view.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DeferralRow {
    /// Its last day.
    #[n(0)]
    pub until: Day,
    /// Who deferred: a renewal takes another.
    #[n(1)]
    pub staff_id: String,
    /// Where it lies.
    #[n(2)]
    pub place: u64,
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
    pub fn extra(&self, row: u32) -> Option<&Extra> {
        if !self.row(row).has(EXTRA) {
            return None;
        }
        self.extras.get(&row)
    }

    /// Changes the side entry of a row, made where missing.
    pub fn change_extra<T>(&mut self, row: u32, change: impl FnOnce(&mut Extra) -> T) -> T {
        if !self.row(row).has(EXTRA) {
            self.row_mut(row).flags |= EXTRA;
        }
        self.extras.change(row, change)
    }

    /// Bytes that rows and side table would hold without those that are for the subject's own unit alone.
    pub fn shown_bytes(&self) -> usize {
        let hidden: usize = self.own_unit_only.iter().filter_map(|row| self.extras.get(row)).map(Extra::bytes).sum();
        self.len_shown().div_ceil(CHUNK_ROWS) * CHUNK_ROWS * Row::BYTES + self.extras.bytes - hidden
    }
}

/// The side table: [`Extra`] by row. Clones share what has not changed since, as [`Table`]'s do.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    chunks: Vec<Arc<BTreeMap<u32, Arc<Extra>>>>,
    len: usize,
    /// Kept up to date with each change: counting would take a walk over all.
    bytes: usize,
}

impl Extras {
    /// How many rows have one.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row has one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A row's.
    pub fn get(&self, row: &u32) -> Option<&Extra> {
        self.chunks.get(*row as usize / CHUNK_ROWS)?.get(row).map(Arc::as_ref)
    }

    /// All, by row.
    pub fn iter(&self) -> impl Iterator<Item = (&u32, &Extra)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(row, extra)| (row, &**extra)))
    }

    /// The rows that have one.
    pub fn keys(&self) -> impl Iterator<Item = &u32> {
        self.iter().map(|(row, _)| row)
    }

    /// All, by row.
    pub fn values(&self) -> impl Iterator<Item = &Extra> {
        self.iter().map(|(_, extra)| extra)
    }

    /// Puts a row's in.
    pub fn insert(&mut self, row: u32, extra: Extra) {
        self.change(row, |known| *known = extra);
    }

    /// Takes a row's out.
    pub fn remove(&mut self, row: &u32) {
        let chunk = self.chunks.get_mut(*row as usize / CHUNK_ROWS);
        if let Some(extra) = chunk.and_then(|chunk| Arc::make_mut(chunk).remove(row)) {
            self.len -= 1;
            self.bytes -= extra.bytes();
        }
    }

    fn change<T>(&mut self, row: u32, change: impl FnOnce(&mut Extra) -> T) -> T {
        let number = row as usize / CHUNK_ROWS;
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, Arc::default);
        }
        let extra = Arc::make_mut(&mut self.chunks[number]).entry(row).or_insert_with(|| {
            self.len += 1;
            self.bytes += Extra::default().bytes();
            Arc::default()
        });
        let extra = Arc::make_mut(extra);
        let before = extra.bytes();
        let out = change(extra);
        self.bytes = self.bytes + extra.bytes() - before;
        out
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
        assert_eq!(copy.extra(7).unwrap().disclosed_to, [3]);
        assert_eq!(copy.extra(CHUNK_ROWS as u32), None);
        assert_eq!(table.extra(7).unwrap().disclosed_to, [3, 4]);
        assert_eq!(table.extras.keys().copied().collect::<Vec<_>>(), [7, CHUNK_ROWS as u32]);
        assert!(table.shown_bytes() > bytes);
        let sum: usize = table.extras.values().map(Extra::bytes).sum();
        assert_eq!(table.extras.bytes, sum);
        table.extras.remove(&7);
        table.extras.remove(&(CHUNK_ROWS as u32));
        assert_eq!((table.extras.bytes, table.extras.len()), (0, 0));
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
