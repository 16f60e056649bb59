//! The index against a map, over random histories; its layout; its memory.

use std::collections::HashMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::table::{Digest, SHARDS, Table};
use crate::testing::{key_from, nth_key, random_entry, rng, usual_entry};
use crate::{Entry, Exemption, Exemptions, Hit, Index, IndexWriter, Key, MAX_EXEMPTIONS, Relations, Until};

/// What `probe_mask` must say, told from the whole entry.
fn expected_hit(entry: &Entry, mask: Relations) -> Option<Hit> {
    let relations = entry.in_force() & mask;
    let untils = relations.positions().filter_map(|position| entry.relations[position]);
    Some(Hit {
        relations,
        flagged: entry.flagged & relations,
        nearest_until: untils.min()?,
        head: entry.head,
        exemptions: !entry.exemptions.is_empty(),
    })
}

struct Model {
    index: Index,
    writer: IndexWriter,
    map: HashMap<Key, Entry>,
}

impl Model {
    fn new() -> Self {
        let (index, writer) = Index::new();
        Self { index, writer, map: HashMap::new() }
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        self.writer.insert(key, &entry);
        self.map.insert(key, entry);
        self.check(&key);
    }

    fn remove(&mut self, key: &Key) {
        let removed = self.writer.remove(key);
        assert_eq!(removed, self.map.remove(key).is_some());
        self.check(key);
    }

    fn check(&self, key: &Key) {
        let expected = self.map.get(key);
        assert_eq!(self.index.probe(key).as_ref(), expected);
        for mask in [Relations::DEBTOR, Relations::LEGAL_REPRESENTATIVE | Relations::PRINCIPAL, Relations::ALL] {
            let hit = expected.and_then(|entry| expected_hit(entry, mask));
            assert_eq!(self.index.probe_mask(key, mask), hit);
        }
        assert_eq!(self.index.len(), self.map.len());
    }

    fn check_all(&mut self, keys: impl Iterator<Item = Key>) {
        for key in keys {
            self.check(&key);
        }
        let frozen = self.writer.freeze();
        let mut expected: Vec<_> = self.map.clone().into_iter().collect();
        expected.sort_by_key(|(key, _)| *key);
        assert!(frozen.entries().eq(expected), "the frozen index has the map's entries in order");
        let tables: Vec<_> = self.index.0.tables.iter().map(|table| table.load_full()).collect();
        tables.iter().for_each(|table| check_layout(table));
        let bytes: usize = tables.iter().map(|table| table.bytes()).sum();
        assert_eq!(self.index.0.table_bytes.load(std::sync::atomic::Ordering::Relaxed), bytes);
    }
}

/// Sorted, and every digest at its home or as little behind it as those before allow.
fn check_layout(table: &Table) {
    let mut free = 0;
    let mut last: Option<Digest> = None;
    for (at, slot) in table.slots.iter().enumerate() {
        if slot.value().is_empty() {
            assert!(slot.digest() == Digest { hi: u64::MAX, lo: u64::MAX }, "an empty slot stops every scan");
            continue;
        }
        let digest = slot.digest();
        assert!(last.is_none_or(|last| last < digest), "slots are sorted");
        assert_eq!(at, digest.home(table.capacity).max(free), "no slot is skipped and none taken early");
        last = Some(digest);
        free = at + 1;
    }
}

/// `operations` random inserts, replacements and removals over `keys`; every key is compared now and then.
fn check_history(seed: u64, operations: usize, keys: &[Key]) {
    let mut rng = rng(seed);
    let mut model = Model::new();
    // The share of removals drifts, so that tables grow and shrink again.
    let mut removals = 0.2;
    for operation in 0..operations {
        if operation % 5_000 == 0 {
            removals = rng.random_range(0.1..0.8);
        }
        let key = keys[rng.random_range(0..keys.len())];
        if rng.random_bool(removals) {
            model.remove(&key);
        } else {
            model.insert(key, random_entry(&mut rng));
        }
        model.check(&keys[rng.random_range(0..keys.len())]);
        if rng.random_ratio(1, 4_000) {
            model.check_all(keys.iter().copied());
        }
    }
    for key in keys {
        model.remove(key);
    }
    model.check_all(keys.iter().copied());
    assert_eq!(model.index.memory_bytes(), Index::new().0.memory_bytes(), "an emptied index frees its tables");
}

#[test]
fn agrees_with_a_map_when_keys_are_spread() {
    let keys: Vec<_> = (0..20_000).map(nth_key).collect();
    check_history(1, 150_000, &keys);
}

#[test]
fn agrees_with_a_map_when_shards_are_large() {
    let mut rng = rng(2);
    // Five shards, the first and the last among them.
    let shards = [0, 1, 2_047, 2_048, 4_095_u64];
    let keys: Vec<_> = (0..8_000)
        .map(|n| key_from(shards[n % shards.len()] << 52 | rng.random::<u64>() >> 12, rng.random()))
        .collect();
    check_history(3, 150_000, &keys);
}

#[test]
fn agrees_with_a_map_when_keys_collide() {
    // Keys that no PRF would make: runs with the same home, pushed over the end of the table.
    let colliding = |hi: u64| (0..60).map(move |n| key_from(hi, n));
    let at_the_end = (0..60).map(|n| key_from(u64::MAX, u64::MAX - n));
    let keys: Vec<_> =
        [0, 1, 1 << 52, 0x8000_0000_0000_0000].into_iter().flat_map(colliding).chain(at_the_end).collect();
    check_history(4, 60_000, &keys);
}

#[test]
fn keeps_extreme_entries_whole() {
    let mut model = Model::new();
    let many: Vec<_> =
        (0..MAX_EXEMPTIONS as u64).map(|n| Exemption { from_s: n, until_s: u64::MAX, scope: u64::MAX - n }).collect();
    let nothing = Entry::default();
    let everything = Entry {
        head: u32::MAX,
        relations: [
            Some(Until::FOREVER),
            Until::day(0),
            Until::day(Until::MAX_DAY),
            Until::day(1),
            Some(Until::FOREVER),
        ],
        flagged: Relations::ALL,
        exemptions: Exemptions::try_from(many.clone()).unwrap(),
    };
    let only_exempt = Entry { exemptions: everything.exemptions.clone(), ..Entry::default() };
    for entry in [nothing, everything, only_exempt] {
        for key in [key_from(0, 0), key_from(u64::MAX, u64::MAX), nth_key(1)] {
            model.insert(key, entry.clone());
        }
        model.check_all([nth_key(2)].into_iter());
    }
    let too_many = [many, vec![Exemption { from_s: 0, until_s: 0, scope: 0 }]].concat();
    assert_eq!(Exemptions::try_from(too_many).unwrap_err().count, MAX_EXEMPTIONS + 1);
}

#[test]
fn drops_flags_of_relations_that_are_not_in_force() {
    let (index, mut writer) = Index::new();
    let mut entry = Entry::uniform(Relations::DEBTOR, Until::FOREVER);
    entry.flagged = Relations::DEBTOR | Relations::PRINCIPAL;
    writer.insert(nth_key(1), &entry);
    assert_eq!(index.probe(&nth_key(1)).unwrap().flagged, Relations::DEBTOR);
}

#[test]
fn probes_many_as_one_by_one() {
    let (index, mut writer) = Index::new();
    for n in (0..100).step_by(2) {
        writer.insert(nth_key(n), &usual_entry(n));
    }
    let keys: Vec<_> = (0..100).map(nth_key).collect();
    let mut hits = vec![None; keys.len()];
    index.probe_many(&keys, Relations::DEBTOR, &mut hits);
    let one_by_one: Vec<_> = keys.iter().map(|key| index.probe_mask(key, Relations::DEBTOR)).collect();
    assert_eq!(hits, one_by_one);
    assert_eq!(hits.iter().flatten().count(), 50);
    // Every remainder of the groups that it works in.
    for len in 0..20 {
        let mut hits = vec![None; len];
        index.probe_many(&keys[..len], Relations::DEBTOR, &mut hits);
        assert_eq!(hits, one_by_one[..len]);
    }
}

#[test]
fn a_frozen_index_stays_as_it_was() {
    let mut rng: ChaCha8Rng = rng(5);
    let mut model = Model::new();
    for n in 0..5_000 {
        model.insert(nth_key(n), random_entry(&mut rng));
    }
    let before = model.map.clone();
    let frozen = model.writer.freeze();
    for n in 0..10_000 {
        match n % 3 {
            0 => model.remove(&nth_key(n)),
            _ => model.insert(nth_key(n), random_entry(&mut rng)),
        }
    }
    assert_eq!(frozen.len(), before.len());
    assert!(frozen.entries().all(|(key, entry)| before[&key] == entry));
    assert_eq!(frozen.entries().count(), before.len());
    model.check_all((0..10_000).map(nth_key));
}

#[test]
fn a_million_entries_take_at_most_40_bytes_each() {
    let (index, mut writer) = Index::new();
    let mut most = 0.0_f64;
    for n in 0..1_300_000 {
        writer.insert(nth_key(n), &usual_entry(n));
        // Past a million on every step of growth, not only where the tables happen to be full.
        if n >= 999_999 && n % 10_000 == 9_999 {
            most = most.max(index.memory_bytes() as f64 / index.len() as f64);
        }
    }
    assert!((24.0..=40.0).contains(&most), "{most:.1} bytes per entry");
    // With every tenth removed and its neighbours moved up, nothing else is.
    (0..1_300_000).step_by(10).for_each(|n| assert!(writer.remove(&nth_key(n))));
    let per_entry = index.memory_bytes() as f64 / index.len() as f64;
    assert!(per_entry <= 40.0, "{per_entry:.1} bytes per entry after removals");
    assert!((0..1_300_000).all(|n| index.probe(&nth_key(n)).is_some() == (n % 10 != 0)));
}

#[test]
fn an_empty_index_is_small() {
    let (index, _writer) = Index::new();
    assert!(index.is_empty());
    assert!(index.memory_bytes() <= SHARDS * 48 + 1_024);
}

#[test]
fn until_ends_at_midnight_in_shanghai() {
    // 2026-01-01 is day 20,454; it ends at 2026-01-01T16:00:00Z.
    assert_eq!(Until::day(20_454).unwrap().ends_at_s(), Some(1_767_283_200));
    assert_eq!(Until::FOREVER.ends_at_s(), None);
    assert!(Until::day(Until::MAX_DAY).unwrap() < Until::FOREVER);
    assert_eq!(Until::day(Until::MAX_DAY + 1), None);
}

#[test]
fn a_key_prints_nothing_of_itself() {
    assert_eq!(format!("{:?}", nth_key(1)), "Key(..)");
}
