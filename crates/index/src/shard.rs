//! One shard as its writer sees it: when a change fits the table as it is, and when a new table is built aside.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::packed::{Packed, Value};
use crate::table::{Digest, Place, Slot, Table};

/// A table is built 70 % full and rebuilt past 80 %: it grows by a seventh at a time, so that an entry takes 30 to 34
/// bytes and a probe looks at two or three slots, one or two cache lines. Fuller, the runs that an insert has to
/// move along grow faster than the memory that it saves: 13 slots on average at 80 %, 50 at 90 %.
const BUILT_FULL: (usize, usize) = (7, 10);
const FULLEST: (usize, usize) = (4, 5);
/// Below half full it is rebuilt smaller; well under `BUILT_FULL`, so that a key that comes and goes moves nothing.
const EMPTIEST: (usize, usize) = (1, 2);
/// Smaller tables are not worth shrinking.
const LEAST_SHRUNK: usize = 16;

/// Spare slots behind the last one in use when a table is built: this many and one per `SPILL_SHARE` of capacity.
const SPILL: usize = 4;
const SPILL_SHARE: usize = 128;

/// Spare words in the side table when it is built: this many and a quarter of those in use.
const SIDE_SPARE: usize = 8;

/// The writer's side of one shard.
#[derive(Clone)]
pub(crate) struct Shard {
    pub(crate) table: Arc<Table>,
    pub(crate) len: usize,
    /// Words of the side table that are, or were, in use; records are only ever added behind them.
    side_used: usize,
    /// A snapshot holds this very table: the next change goes to a copy.
    frozen: bool,
}

/// What a change did to the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// The table is another one now, and the readers have to be pointed at it.
    pub(crate) replaced: bool,
    /// An entry was added (insert) or removed (remove).
    pub(crate) counted: bool,
}

/// How an entry fits the table as it is.
struct Room {
    place: Place,
    /// The first empty slot from the place on; the place itself if the digest is there already.
    gap: usize,
    side_offset: usize,
}

impl Shard {
    /// A shard without entries. `empty` is one table for all such shards: it has no slot, so nothing writes to it.
    pub(crate) fn empty(empty: &Arc<Table>) -> Self {
        Self { table: Arc::clone(empty), len: 0, side_used: 0, frozen: false }
    }

    /// A shard of these entries, in strictly ascending order of their digests.
    pub(crate) fn from_sorted(entries: &[(Digest, Packed)]) -> Self {
        let side_words = entries.iter().map(|(_, packed)| packed.side.len()).sum();
        let mut builder = Builder::new(entries.len(), side_words, 0);
        for (digest, packed) in entries {
            builder.push(*digest, packed.value, packed.side.iter().copied());
        }
        builder.finish()
    }

    /// Stores an entry in place of the one that the digest had, if any.
    pub(crate) fn insert(&mut self, digest: Digest, packed: &Packed) -> Change {
        let fitting = if self.frozen { None } else { self.room(digest, packed) };
        let replaced = fitting.is_none();
        let room = fitting.unwrap_or_else(|| {
            self.rebuild(self.len + 1, packed.side.len());
            self.room(digest, packed).expect("a table built for one entry more has a slot and side words for it")
        });
        let value = match packed.value.side_offset() {
            // A shard would need 32 GiB of side records to pass 32 bits.
            Some(_) => packed.value.at_side_offset(room.side_offset as u32),
            None => packed.value,
        };
        let table = &*self.table;
        table.change(|| {
            let record = &table.side[room.side_offset..][..packed.side.len()];
            for (word, new) in record.iter().zip(&packed.side) {
                word.store(*new, Relaxed);
            }
            match room.place {
                Place::Found(at) => table.slots[at].set_value(value),
                Place::Vacant(at) => {
                    for from in (at..room.gap).rev() {
                        table.slots[from + 1].copy(&table.slots[from]);
                    }
                    table.slots[at].copy(&Slot::new(digest, value));
                }
            }
        });
        let counted = matches!(room.place, Place::Vacant(_));
        self.len += usize::from(counted);
        self.side_used = self.side_used.max(room.side_offset + packed.side.len());
        Change { replaced, counted }
    }

    /// Removes the digest's entry, if there is one.
    pub(crate) fn remove(&mut self, digest: Digest, empty: &Arc<Table>) -> Change {
        let Place::Found(mut at) = self.table.place(digest) else {
            return Change { replaced: false, counted: false };
        };
        let mut replaced = self.frozen;
        if self.frozen {
            self.rebuild(self.len, 0);
            at = match self.table.place(digest) {
                Place::Found(at) | Place::Vacant(at) => at,
            };
        }
        let table = &*self.table;
        let end = run_end(table, at);
        table.change(|| {
            for to in at..end - 1 {
                table.slots[to].copy(&table.slots[to + 1]);
            }
            table.slots[end - 1].copy(&Slot::empty());
        });
        self.len -= 1;
        if self.len == 0 {
            *self = Self::empty(empty);
            replaced = true;
        } else if table.capacity > LEAST_SHRUNK && self.len < share(table.capacity, EMPTIEST) {
            self.rebuild(self.len, 0);
            replaced = true;
        }
        Change { replaced, counted: true }
    }

    /// Lends the table as it is now to a snapshot: it will not change any more.
    pub(crate) fn freeze(&mut self) -> Arc<Table> {
        self.frozen = true;
        Arc::clone(&self.table)
    }

    /// Where the entry can go without another table.
    fn room(&self, digest: Digest, packed: &Packed) -> Option<Room> {
        let table = &*self.table;
        let place = table.place(digest);
        let (gap, old_record) = match place {
            Place::Found(at) => (at, Some(table.slots[at].value())),
            Place::Vacant(_) if self.len >= share(table.capacity, FULLEST) => return None,
            Place::Vacant(at) => {
                let run = table.slots[at..].iter().position(|slot| slot.value().is_empty())?;
                (at + run, None)
            }
        };
        // A record of the same length is overwritten where it lies, under the sequence number like all else.
        let side_offset = old_record
            .filter(|value| table.side_words(*value).len() == packed.side.len())
            .and_then(Value::side_offset)
            .unwrap_or(self.side_used);
        let fits = side_offset + packed.side.len() <= table.side.len();
        fits.then_some(Room { place, gap, side_offset })
    }

    /// Builds a table for `len` entries and `side_words` more words of side records, and leaves out the side records
    /// that nothing points at any more.
    fn rebuild(&mut self, len: usize, side_words: usize) {
        let old = &*self.table;
        let live = old.occupied().map(|(_, value)| old.side_words(value).len()).sum();
        let mut builder = Builder::new(len, live, side_words);
        for (digest, value) in old.occupied() {
            let record = old.side_words(value).iter().map(|word| word.load(Relaxed));
            builder.push(digest, value, record);
        }
        *self = builder.finish();
    }
}

/// The end of the run that moves back by one when slot `at` is freed.
fn run_end(table: &Table, at: usize) -> usize {
    let stays = |slot: &Slot, index: usize| slot.value().is_empty() || slot.digest().home(table.capacity) == index;
    (at + 1..table.slots.len()).find(|index| stays(&table.slots[*index], *index)).unwrap_or(table.slots.len())
}

fn share(capacity: usize, (numerator, denominator): (usize, usize)) -> usize {
    capacity * numerator / denominator
}

/// A table in the making, filled in ascending order.
struct Builder {
    capacity: usize,
    slots: Vec<Slot>,
    side: Vec<AtomicU64>,
    side_spare: usize,
    len: usize,
}

impl Builder {
    fn new(len: usize, side_words: usize, side_more: usize) -> Self {
        let capacity = (len * BUILT_FULL.1).div_ceil(BUILT_FULL.0);
        let side_spare = match side_words + side_more {
            0 => 0,
            _ => side_more + side_words / 4 + SIDE_SPARE,
        };
        Self {
            capacity,
            slots: Vec::with_capacity(capacity + Self::spill(capacity)),
            side: Vec::with_capacity(side_words + side_spare),
            side_spare,
            len: 0,
        }
    }

    fn spill(capacity: usize) -> usize {
        SPILL + capacity / SPILL_SHARE
    }

    fn push(&mut self, digest: Digest, value: Value, record: impl Iterator<Item = u64>) {
        let value = match value.side_offset() {
            // As above: 32 bits suffice.
            Some(_) => value.at_side_offset(self.side.len() as u32),
            None => value,
        };
        self.side.extend(record.map(AtomicU64::new));
        let home = digest.home(self.capacity).max(self.slots.len());
        self.slots.resize_with(home, Slot::empty);
        self.slots.push(Slot::new(digest, value));
        self.len += 1;
    }

    fn finish(mut self) -> Shard {
        let slots = self.slots.len().max(self.capacity) + Self::spill(self.capacity);
        self.slots.reserve_exact(slots - self.slots.len());
        self.slots.resize_with(slots, Slot::empty);
        let side_used = self.side.len();
        self.side.resize_with(side_used + self.side_spare, AtomicU64::default);
        let table = Table::new(self.capacity, self.slots.into_boxed_slice(), self.side.into_boxed_slice());
        Shard { table: Arc::new(table), len: self.len, side_used, frozen: false }
    }
}
