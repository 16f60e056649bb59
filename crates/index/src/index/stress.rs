//! What readers on other threads see while the writer is at work.

use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread;

use rand::Rng;

use crate::testing::{exemptions, key_from, nth_key, rng};
use crate::{Entry, Index, Key, Relations, Until};

const READERS: u64 = 3;

/// Keys of two shards only, so that readers and writer meet all the time.
fn close_key(n: u64) -> Key {
    let spread = u64::from_be_bytes(nth_key(n).0[..8].try_into().unwrap());
    key_from((n & 1) << 52 | spread >> 12, n)
}

/// The two states between which a key is flipped; every word of either tells which key and which state it is of.
fn state(n: u64, second: bool) -> Entry {
    let day = |n: u64| Until::day(n as u32).unwrap();
    let mut entry = Entry::uniform(Relations::DEBTOR | Relations::PRINCIPAL, day(n));
    entry.head = n as u32;
    if second {
        entry = Entry::uniform(Relations::ALL, day(n + 500_000));
        entry.head = !(n as u32);
        entry.relations[4] = Some(day(n + 500_001));
        entry.flagged = Relations::PRINCIPAL;
        entry.exemptions = exemptions((0..n % 4).map(|i| n << 8 | i));
    }
    entry
}

fn assert_whole(index: &Index, n: u64) {
    let key = close_key(n);
    let seen = index.probe(&key).expect("the key is there all the time");
    let second = seen.head != n as u32;
    assert!(seen == state(n, second), "a torn entry");
    let hit = index.probe_mask(&key, Relations::PRINCIPAL).expect("the key is hit all the time");
    let second = hit.head != n as u32;
    let whole = state(n, second);
    let as_one = hit.head == whole.head
        && Some(hit.nearest_until) == whole.relations[2]
        && hit.flagged == whole.flagged
        && hit.exemptions != whole.exemptions.is_empty();
    assert!(as_one, "a torn hit");
}

/// Stops the readers even if the writer's part panics; the test would hang instead of failing.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn no_reader_sees_a_torn_entry_or_misses_one_that_stays() {
    const STAYING: u64 = 400;
    let (index, mut writer) = Index::new();
    for n in 0..STAYING {
        writer.insert(close_key(n), &state(n, false));
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (index, stop) = (index.clone(), &stop);
            scope.spawn(move || {
                let mut rng = rng(reader);
                while !stop.load(Relaxed) {
                    assert_whole(&index, rng.random_range(0..STAYING));
                }
            });
        }
        let _stop = StopAtEnd(&stop);
        let mut rng = rng(99);
        for round in 0..300_000_u64 {
            let n = rng.random_range(0..STAYING);
            writer.insert(close_key(n), &state(n, rng.random()));
            // Neighbours come and go, so that those who stay are moved, and the shards grow and shrink.
            let passing = STAYING + rng.random_range(0..4_000);
            if round / 30_000 % 2 == 0 {
                writer.insert(close_key(passing), &state(passing, rng.random()));
            } else {
                writer.remove(&close_key(passing));
            }
            if round % 10_000 == 0 {
                drop(writer.freeze());
            }
        }
    });
}

/// One key's history: version `v` is an entry with head `v` if even, its absence if odd. The writer notes a version
/// before it begins to write it, and again when the write has returned.
#[derive(Default)]
struct History {
    begun: AtomicU32,
    done: AtomicU32,
}

#[test]
fn no_reader_answers_from_before_a_change_that_has_returned() {
    const KEYS: u64 = 600;
    let (index, mut writer) = Index::new();
    let histories: Vec<_> = (0..KEYS).map(|_| History::default()).collect();
    for n in 0..KEYS {
        writer.insert(close_key(n), &Entry::uniform(Relations::DEBTOR, Until::FOREVER));
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (index, stop, histories) = (index.clone(), &stop, &histories);
            scope.spawn(move || {
                let mut rng = rng(reader);
                while !stop.load(Relaxed) {
                    let n = rng.random_range(0..KEYS);
                    let history = &histories[n as usize];
                    let done = history.done.load(Acquire);
                    let seen = index.probe_mask(&close_key(n), Relations::DEBTOR).map(|hit| hit.head);
                    let begun = history.begun.load(Acquire);
                    match seen {
                        Some(version) => assert!((done..=begun).contains(&version), "an entry from the past"),
                        None => assert!(done != begun || done % 2 == 1, "an entry was missed"),
                    }
                }
            });
        }
        let _stop = StopAtEnd(&stop);
        let mut rng = rng(98);
        for _ in 0..400_000 {
            let n = rng.random_range(0..KEYS);
            let history = &histories[n as usize];
            let version = history.done.load(Relaxed) + 1;
            history.begun.store(version, Release);
            if version % 2 == 1 {
                assert!(writer.remove(&close_key(n)));
            } else {
                let mut entry = Entry::uniform(Relations::DEBTOR, Until::FOREVER);
                entry.head = version;
                writer.insert(close_key(n), &entry);
            }
            history.done.store(version, Release);
        }
    });
}

#[test]
fn no_reader_misses_a_key_while_the_index_grows() {
    let (index, mut writer) = Index::new();
    let inserted = AtomicU32::new(0);
    let total = 400_000;
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (index, inserted) = (index.clone(), &inserted);
            scope.spawn(move || {
                let mut rng = rng(reader);
                loop {
                    let so_far = inserted.load(Acquire);
                    if so_far > 0 {
                        let n = u64::from(rng.random_range(0..so_far));
                        let hit = index.probe_mask(&nth_key(n), Relations::ALL).expect("inserted before");
                        assert_eq!(hit.head, n as u32);
                    }
                    if so_far == total {
                        return;
                    }
                }
            });
        }
        for n in 0..total {
            let mut entry = Entry::uniform(Relations::DEBTOR, Until::FOREVER);
            entry.head = n;
            writer.insert(nth_key(u64::from(n)), &entry);
            inserted.store(n + 1, Release);
        }
    });
}
