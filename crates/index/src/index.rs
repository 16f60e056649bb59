//! The index as a whole: 4096 shards, a read side that anyone may clone, and the one writer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use arc_swap::ArcSwap;

use crate::entry::{Entry, Hit, Key, Relations};
use crate::packed::{self, Packed};
use crate::shard::{Change, Shard};
use crate::table::{Digest, SHARDS, Table};

/// Keys that [`Index::probe_many`] takes together: arc-swap lends a thread eight references at little cost, of which
/// the caller may hold one or two of its own.
const GROUP: usize = 6;

/// The read side; a clone is another reference to the same index.
#[derive(Clone)]
pub struct Index(Arc<Shared>);

struct Shared {
    /// By the leading bits of the digest. A reader holds a table for one probe; a replaced one is freed by
    /// whoever lets go of it last.
    tables: Box<[ArcSwap<Table>]>,
    len: AtomicUsize,
    /// Bytes of all current tables.
    table_bytes: AtomicUsize,
}

/// The write side, of which there is exactly one per index. Every change is visible to all readers when the method
/// that made it returns.
pub struct IndexWriter {
    shared: Arc<Shared>,
    shards: Box<[Shard]>,
    /// The table of all shards that have no entry.
    empty: Arc<Table>,
}

/// The index as it was at one moment, for a snapshot or a check. Holding one costs the memory of the shards that
/// have changed since; it neither stops nor slows the readers, and the writer copies each shard at most once for it.
pub struct Frozen {
    tables: Vec<Arc<Table>>,
    len: usize,
}

impl Index {
    /// An index without entries, and its writer.
    pub fn new() -> (Self, IndexWriter) {
        let empty = Arc::new(Table::empty());
        let tables = (0..SHARDS).map(|_| ArcSwap::from(Arc::clone(&empty)));
        let shared =
            Arc::new(Shared { tables: tables.collect(), len: AtomicUsize::new(0), table_bytes: AtomicUsize::new(0) });
        let writer = IndexWriter {
            shared: Arc::clone(&shared),
            shards: (0..SHARDS).map(|_| Shard::empty(&empty)).collect(),
            empty,
        };
        (Self(shared), writer)
    }

    /// The key's entry, whole.
    pub fn probe(&self, key: &Key) -> Option<Entry> {
        let digest = Digest::new(key);
        let table = self.0.tables[digest.shard()].load();
        table.probe(digest, packed::entry)
    }

    /// Which of `mask` restricts the key; `None` if none does. The hot path: no allocation, no lock.
    #[inline]
    pub fn probe_mask(&self, key: &Key, mask: Relations) -> Option<Hit> {
        let digest = Digest::new(key);
        let table = self.0.tables[digest.shard()].load();
        let hit = table.probe(digest, |value, side| packed::hit(value, mask, side));
        hit.flatten()
    }

    /// [`Index::probe_mask`] for each of `keys`, into the place of the same number in `out`; as far as the shorter of
    /// the two reaches. Entries may change between two probes, but no answer is from before the call.
    ///
    /// Keys go in groups: the first pass asks memory for the home slots of a whole group, so that their cache misses,
    /// which are what a probe costs, pass at the same time; the second finds them at hand.
    pub fn probe_many(&self, keys: &[Key], mask: Relations, out: &mut [Option<Hit>]) {
        debug_assert_eq!(keys.len(), out.len(), "one place per key");
        let pairs = keys.len().min(out.len());
        let (keys, rest) = keys[..pairs].as_chunks::<GROUP>();
        let (hits, rest_hits) = out[..pairs].as_chunks_mut::<GROUP>();
        for (keys, hits) in keys.iter().zip(hits) {
            let digests = keys.map(|key| Digest::new(&key));
            let tables = digests.map(|digest| self.0.tables[digest.shard()].load());
            for (table, digest) in tables.iter().zip(digests) {
                table.touch(digest);
            }
            for ((table, digest), hit) in tables.iter().zip(digests).zip(hits) {
                *hit = table.probe(digest, |value, side| packed::hit(value, mask, side)).flatten();
            }
        }
        for (key, hit) in rest.iter().zip(rest_hits) {
            *hit = self.probe_mask(key, mask);
        }
    }

    /// Of each of `keys`, whether any of `mask` restricts it.
    pub fn has_many(&self, keys: &[Key], mask: Relations) -> Vec<bool> {
        let mut hits = vec![None; keys.len()];
        self.probe_many(keys, mask, &mut hits);
        hits.iter().map(Option::is_some).collect()
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.0.len.load(Relaxed)
    }

    /// Whether no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated for the index, the writer's part included; not those of tables that only a [`Frozen`] or a
    /// reader still holds.
    pub fn memory_bytes(&self) -> usize {
        let fixed = size_of::<Shared>() + size_of_val(&*self.0.tables) + SHARDS * size_of::<Shard>();
        fixed + self.0.table_bytes.load(Relaxed)
    }
}

impl IndexWriter {
    /// The read side.
    pub fn index(&self) -> Index {
        Index(Arc::clone(&self.shared))
    }

    /// Stores the key's entry, in place of the one it had, if any.
    pub fn insert(&mut self, key: Key, entry: &Entry) {
        let digest = Digest::new(&key);
        let packed = Packed::new(entry);
        self.update(digest, |shard, _| shard.insert(digest, &packed));
    }

    /// Removes the key's entry; says whether there was one. When it returns, no probe finds the entry any more.
    pub fn remove(&mut self, key: &Key) -> bool {
        let digest = Digest::new(key);
        self.update(digest, |shard, empty| shard.remove(digest, empty))
    }

    /// The index as it is now. Takes some 100 µs, whatever the size; see [`Frozen`] for what it costs later.
    pub fn freeze(&mut self) -> Frozen {
        Frozen { tables: self.shards.iter_mut().map(Shard::freeze).collect(), len: self.shared.len.load(Relaxed) }
    }

    /// Puts whole shards, one per place, into the place of all that there was. A reader sees each key as it was
    /// before or as it is after.
    pub(crate) fn replace_all(&mut self, shards: Vec<Option<Shard>>) {
        debug_assert_eq!(shards.len(), SHARDS, "every shard is replaced");
        for (number, new) in shards.into_iter().enumerate() {
            self.update_shard(number, |shard, empty| {
                *shard = new.unwrap_or_else(|| Shard::empty(empty));
                Change { replaced: true, counted: true }
            });
        }
    }

    fn update(&mut self, digest: Digest, change: impl FnOnce(&mut Shard, &Arc<Table>) -> Change) -> bool {
        self.update_shard(digest.shard(), change)
    }

    /// Changes a shard, and points the readers at its table if that is another one now.
    fn update_shard(&mut self, number: usize, change: impl FnOnce(&mut Shard, &Arc<Table>) -> Change) -> bool {
        let shard = &mut self.shards[number];
        let (old_len, old_bytes) = (shard.len, shard.table.bytes());
        let change = change(shard, &self.empty);
        // Both counters only ever wrap back to what they were before: the sum of the shards is never negative.
        let more = shard.len.wrapping_sub(old_len);
        self.shared.len.fetch_add(more, Relaxed);
        if change.replaced {
            self.shared.tables[number].store(Arc::clone(&shard.table));
            let more = shard.table.bytes().wrapping_sub(old_bytes);
            self.shared.table_bytes.fetch_add(more, Relaxed);
        }
        change.counted
    }
}

impl Frozen {
    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every key with its entry, in ascending order of the keys.
    pub fn entries(&self) -> impl Iterator<Item = (Key, Entry)> {
        entries(&self.tables)
    }
}

fn entries(tables: &[Arc<Table>]) -> impl Iterator<Item = (Key, Entry)> {
    tables.iter().flat_map(|table| {
        table.occupied().map(|(digest, value)| {
            let entry =
                packed::entry(value, &table.side).expect("a table that is no longer written holds whole entries");
            (digest.key(), entry)
        })
    })
}

#[cfg(test)]
mod stress;
#[cfg(test)]
mod tests;
