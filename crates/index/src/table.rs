//! The slots of one shard, and the sequence number under which they are read.
//!
//! **Order.** The digest is its own hash: a key's home is its place in the digest space scaled to the capacity
//! (fastrange), and colliding keys are kept *sorted*. So a table is a sorted array with gaps: a miss ends at the
//! first greater key, as early as a hit; a snapshot is a walk from left to right, and loading one never looks back.
//! Capacities need not be powers of two, which is what lets a table grow by a seventh.
//!
//! **Removal** shifts the rest of the run back by one, up to the first gap or the first key that is at home. There
//! are no tombstones: the layout depends only on what is in the table, never on its history, so churn costs nothing
//! later, and no removed digest lingers in a slot.
//!
//! **Reading.** Every word is an atomic; a *sequence number* per table makes a probe whole. The writer makes it
//! odd, changes the words, makes it even; a reader that saw it odd, or saw it differ before and after, repeats. The
//! fences (H.-J. Boehm, "Can seqlocks get along with programming language memory models?", 2012):
//!
//! - Writer: `seq := odd` (relaxed), release fence, words (relaxed), `seq := even` (release).
//! - Reader: `seq` (acquire), words (relaxed), acquire fence, `seq` again (relaxed).
//!
//! If a reader took any word from a change that was under way, the fence after its reads synchronises with the
//! fence before the writer's stores, so its second look at `seq` can't be older than the odd number and differs.
//! If its first look took the even number, the release store behind that number hands over every word of that
//! change. One number serves the whole table of a 4096th of the index, rather than one per slot: a change takes
//! some 100 ns, so readers hardly ever meet one, and 8 bytes per slot are saved.
//!
//! A table that has been replaced by a larger one is never written again: whoever still reads it gets the state at
//! the moment of the swap, which lies within their probe.

use std::hint;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use std::thread;

use crate::entry::Key;
use crate::packed::{self, Value};

/// Leading bits of a digest that choose the shard.
pub(crate) const SHARD_BITS: u32 = 12;
/// How many parts the index has: of 10 million entries one part holds 2,400, copied in some 20 µs.
pub(crate) const SHARDS: usize = 1 << SHARD_BITS;

/// After so many looks at a change under way the reader gives up its time slice: the writer may have lost its own
/// in the middle, and on one core only yielding brings it back.
const SPINS_BEFORE_YIELD: u32 = 64;

/// A digest as two words that order as its bytes do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest {
    pub(crate) hi: u64,
    pub(crate) lo: u64,
}

impl Digest {
    pub(crate) fn new(key: &Key) -> Self {
        let whole = u128::from_be_bytes(key.0);
        Self { hi: (whole >> 64) as u64, lo: whole as u64 }
    }

    pub(crate) fn key(self) -> Key {
        Key((u128::from(self.hi) << 64 | u128::from(self.lo)).to_be_bytes())
    }

    pub(crate) fn shard(self) -> usize {
        (self.hi >> (64 - SHARD_BITS)) as usize
    }

    /// The slot where the digest would lie alone among `capacity` slots; grows with the digest within a shard.
    pub(crate) fn home(self, capacity: usize) -> usize {
        let within_shard = self.hi << SHARD_BITS | self.lo >> (64 - SHARD_BITS);
        ((u128::from(within_shard) * capacity as u128) >> 64) as usize
    }
}

/// 24 bytes. An empty slot carries the greatest digest, so that a scan stops at it by the comparison that it makes
/// anyway; `value` alone says that it is empty.
pub(crate) struct Slot {
    hi: AtomicU64,
    lo: AtomicU64,
    value: AtomicU64,
}

impl Slot {
    pub(crate) fn new(digest: Digest, value: Value) -> Self {
        Self { hi: AtomicU64::new(digest.hi), lo: AtomicU64::new(digest.lo), value: AtomicU64::new(value.0) }
    }

    pub(crate) fn empty() -> Self {
        let greatest = Digest { hi: u64::MAX, lo: u64::MAX };
        Self::new(greatest, Value::EMPTY)
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest { hi: self.hi.load(Relaxed), lo: self.lo.load(Relaxed) }
    }

    pub(crate) fn value(&self) -> Value {
        Value(self.value.load(Relaxed))
    }

    pub(crate) fn set_value(&self, value: Value) {
        self.value.store(value.0, Relaxed);
    }

    /// Becomes what `other` is.
    pub(crate) fn copy(&self, other: &Self) {
        self.hi.store(other.hi.load(Relaxed), Relaxed);
        self.lo.store(other.lo.load(Relaxed), Relaxed);
        self.value.store(other.value.load(Relaxed), Relaxed);
    }
}

/// Where a digest is, or where it would have to go.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Found(usize),
    Vacant(usize),
}

/// What one shard's readers share.
pub(crate) struct Table {
    seq: AtomicU64,
    /// The homes are `0..capacity`; the slots behind take what the last run pushes over the end, so that nothing
    /// wraps round and the order holds.
    pub(crate) capacity: usize,
    pub(crate) slots: Box<[Slot]>,
    pub(crate) side: Box<[AtomicU64]>,
}

impl Table {
    pub(crate) fn new(capacity: usize, slots: Box<[Slot]>, side: Box<[AtomicU64]>) -> Self {
        Self { seq: AtomicU64::new(0), capacity, slots, side }
    }

    /// The table of a shard without entries. It has no slot and is never written.
    pub(crate) fn empty() -> Self {
        Self::new(0, Box::default(), Box::default())
    }

    /// Bytes allocated for this table, the two counters of its `Arc` included; 0 for the one that all shards without
    /// entries share.
    pub(crate) fn bytes(&self) -> usize {
        if self.slots.is_empty() {
            return 0;
        }
        2 * size_of::<usize>() + size_of::<Self>() + size_of_val(&*self.slots) + size_of_val(&*self.side)
    }

    /// Looks `digest` up and decodes its value; `None` if it isn't there.
    ///
    /// `decode` may be called with torn words, must take them, and says `None` to what makes no sense.
    #[inline]
    pub(crate) fn probe<T>(&self, digest: Digest, decode: impl Fn(Value, &[AtomicU64]) -> Option<T>) -> Option<T> {
        let mut spins = 0;
        loop {
            let before = self.seq.load(Acquire);
            if before & 1 == 0 {
                let found = match self.value_of(digest) {
                    Some(value) => decode(value, &self.side),
                    None => None,
                };
                fence(Acquire);
                if self.seq.load(Relaxed) == before {
                    return found;
                }
            }
            spins += 1;
            if spins < SPINS_BEFORE_YIELD {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }

    #[inline]
    fn value_of(&self, digest: Digest) -> Option<Value> {
        for slot in self.slots.get(digest.home(self.capacity)..)? {
            let hi = slot.hi.load(Relaxed);
            if hi < digest.hi {
                continue;
            }
            if hi > digest.hi {
                return None;
            }
            let lo = slot.lo.load(Relaxed);
            if lo >= digest.lo {
                let value = slot.value();
                return (lo == digest.lo && !value.is_empty()).then_some(value);
            }
        }
        None
    }

    /// Asks memory for the digest's home, without waiting for it.
    #[inline]
    pub(crate) fn touch(&self, digest: Digest) {
        if let Some(slot) = self.slots.get(digest.home(self.capacity)) {
            hint::black_box(slot.hi.load(Relaxed));
        }
    }

    /// The writer's way to a digest: it alone changes words, so it needs no sequence number.
    pub(crate) fn place(&self, digest: Digest) -> Place {
        let home = digest.home(self.capacity);
        for (offset, slot) in self.slots[home..].iter().enumerate() {
            let found = slot.digest();
            if slot.value().is_empty() || found > digest {
                return Place::Vacant(home + offset);
            }
            if found == digest {
                return Place::Found(home + offset);
            }
        }
        Place::Vacant(self.slots.len())
    }

    /// Makes one change to the words as a whole. A panic within would leave the number odd and the shard's readers
    /// waiting: no answer, rather than one from a table half moved.
    pub(crate) fn change(&self, change: impl FnOnce()) {
        let even = self.seq.load(Relaxed);
        self.seq.store(even + 1, Relaxed);
        fence(Release);
        change();
        self.seq.store(even + 2, Release);
    }

    /// Every digest with its value, in ascending order. For the writer, or for a table that is no longer written.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = (Digest, Value)> {
        self.slots.iter().filter_map(|slot| {
            let value = slot.value();
            (!value.is_empty()).then(|| (slot.digest(), value))
        })
    }

    /// The side record of `value`. For the writer, or for a table that is no longer written.
    pub(crate) fn side_words(&self, value: Value) -> &[AtomicU64] {
        packed::side_words(value, &self.side).expect("a value of an unchanging table points at a whole side record")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// The stress tests catch a reader that doesn't look twice; one that reads within a single change, from its
    /// first word to its last, they would meet too seldom.
    #[test]
    fn a_reader_gets_no_answer_out_of_a_change_under_way() {
        let digest = Digest { hi: 1, lo: 1 };
        let slots = [Slot::new(digest, Value(1)), Slot::empty()];
        let table = Table::new(1, Box::new(slots), Box::default());
        let (asked, answered) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let mut reader = None;
            table.change(|| {
                table.slots[0].set_value(Value(3));
                reader = Some(scope.spawn(|| {
                    asked.store(true, SeqCst);
                    let seen = table.probe(digest, |value, _| Some(value));
                    answered.store(true, SeqCst);
                    seen
                }));
                while !asked.load(SeqCst) {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(20));
                assert!(!answered.load(SeqCst), "an answer out of the middle of a change");
                table.slots[0].set_value(Value(5));
            });
            assert_eq!(reader.unwrap().join().unwrap(), Some(Value(5)));
        });
    }
}
