//! What a probe costs, and what an entry weighs, next to a hashbrown map of the same keys in the same run:
//!
//! ```text
//! cargo run --release -p xinhub-index --example probe_cost -- 1000000 10000000
//! ```
//!
//! The map is what one would reach for without the index's promises: it has no concurrent writer, no exemptions and
//! no snapshot of one moment. Probes are timed in a random order, hits and misses apart, alone and in batches, and with a writer at work.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock; nothing is decided by it")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xinhub_index::{
    Entry, Exemption, Exemptions, Frozen, Heads, Index, IndexWriter, Key, Relations, StateDigest, Until, read_entries,
    write_entries,
};

const PROBES: usize = 2_000_000;

fn keys(seed: u64, count: usize) -> Vec<Key> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let random = |_| {
        let mut key = [0; 16];
        rng.fill_bytes(&mut key);
        Key(key)
    };
    (0..count).map(random).collect()
}

/// Of a hundred: 3 with two ends, 2 with an exemption, 95 with one end for all.
fn entry(n: usize) -> Entry {
    let until = Until::day(21_000 + (n % 700) as u32).unwrap_or(Until::FOREVER);
    let mut entry = Entry::uniform(Relations::DEBTOR, until);
    entry.head = n as u32 + 1;
    match n % 100 {
        0..3 => entry.relations[1] = Some(Until::FOREVER),
        3..5 => {
            let exemption = Exemption { from_s: 1, until_s: 2, scope: 3 };
            entry.exemptions = Exemptions::try_from(vec![exemption]).unwrap_or_default();
        }
        _ => {}
    }
    entry
}

fn sample(keys: &[Key], seed: u64) -> Vec<Key> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..PROBES).map(|_| keys[rng.random_range(0..keys.len())]).collect()
}

/// Nanoseconds per call of `work`, which is called once per item.
fn time<T>(what: &str, items: &[T], mut work: impl FnMut(&T)) {
    let start = Instant::now();
    items.iter().for_each(&mut work);
    println!("  {what:<44} {:>8.1} ns", start.elapsed().as_nanos() as f64 / items.len() as f64);
}

fn batches(what: &str, index: &Index, keys: &[Key]) {
    let start = Instant::now();
    let mut out = [None; 1_000];
    for batch in keys.chunks(out.len()) {
        index.probe_many(batch, Relations::ALL, &mut out[..batch.len()]);
        black_box(&out);
    }
    println!("  {what:<44} {:>8.1} ns", start.elapsed().as_nanos() as f64 / keys.len() as f64);
}

/// Each probe waits for the answer to the one before, as a call does that comes alone; otherwise the processor
/// works on several at a time.
fn one_after_another(what: &str, keys: &[Key], probe: impl Fn(&Key) -> bool) {
    let mut last = false;
    let mut turned = 0;
    time(&format!("{what}, one after another"), keys, |key| {
        let mut key = *key;
        key.0[0] ^= u8::from(black_box(last)) & turned;
        last = probe(&key);
        turned = black_box(0);
    });
}

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or(0) / 1_024
}

fn with_a_writer(index: &Index, writer: &mut IndexWriter, keys: &[Key], hits: &[Key]) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let mut changes = 0;
            while !stop.load(Relaxed) {
                let n = changes * 7_919 % keys.len();
                writer.insert(keys[n], &entry(n));
                changes += 1;
            }
            changes
        });
        time("index, hit, writer at full speed beside it", hits, |key| {
            black_box(index.probe_mask(key, Relations::ALL));
        });
        stop.store(true, Relaxed);
        println!("  ({} changes meanwhile)", changes.join().unwrap_or(0));
    });
}

/// The state digest, next to its vectors made by BLAKE3 alone.
fn digests(frozen: &Frozen) {
    let some: Vec<(Key, Entry)> = frozen.entries().take(100_000).collect();
    let mut digest = StateDigest::new();
    for _ in 0..2 {
        time("state digest, an entry", &some, |(key, entry)| digest.add(key, entry));
        time("its vector by BLAKE3 alone", &some, |(key, _)| {
            let mut vector = [0; 2_048];
            blake3::Hasher::new_keyed(&[7; 32]).update(&key.0).finalize_xof().fill(&mut vector);
            black_box(&vector);
        });
    }
}

fn measure(count: usize) {
    println!("{count} entries");
    let (keys, strangers) = (keys(1, count), keys(2, PROBES));
    let hits = sample(&keys, 3);

    let before = resident_mib();
    let (index, mut writer) = Index::new();
    let numbered: Vec<_> = keys.iter().enumerate().collect();
    time("index, insert in random order", &numbered, |(n, key)| writer.insert(**key, &entry(*n)));
    drop(numbered);
    let per_entry = index.memory_bytes() as f64 / index.len() as f64;
    println!("  index, bytes per entry (RSS grew by {} MiB) {per_entry:>11.1} B", resident_mib() - before);
    for _ in 0..2 {
        time("index, hit", &hits, |key| {
            black_box(index.probe_mask(key, Relations::ALL));
        });
        time("index, miss", &strangers, |key| {
            black_box(index.probe_mask(key, Relations::ALL));
        });
    }
    batches("index, hit, in batches of 1000", &index, &hits);
    batches("index, miss, in batches of 1000", &index, &strangers);
    one_after_another("index, hit", &hits, |key| index.probe_mask(key, Relations::ALL).is_some());
    one_after_another("index, miss", &strangers, |key| index.probe_mask(key, Relations::ALL).is_some());
    with_a_writer(&index, &mut writer, &keys, &hits);

    let start = Instant::now();
    let frozen = writer.freeze();
    println!("  freeze {:>46} us", start.elapsed().as_micros());
    digests(&frozen);
    let (start, mut section) = (Instant::now(), Vec::with_capacity(count * 32));
    if write_entries(&frozen, 1, Heads::Keep, &mut section).is_err() {
        return;
    }
    println!("  write snapshot, {} MiB {:>31} ms", section.len() >> 20, start.elapsed().as_millis());
    drop((frozen, index, writer));
    let (start, (loaded, mut writer)) = (Instant::now(), Index::new());
    if let Err(error) = read_entries(&mut section.as_slice(), 1, &mut writer) {
        println!("  {error}");
    }
    println!("  load snapshot {:>39} ms", start.elapsed().as_millis());
    let per_entry = loaded.memory_bytes() as f64 / loaded.len() as f64;
    println!("  loaded, bytes per entry {per_entry:>29.1} B");
    drop((loaded, writer, section));

    let before = resident_mib();
    let mut map = hashbrown::HashMap::new();
    let numbered: Vec<_> = keys.iter().enumerate().collect();
    time("hashbrown, insert in random order", &numbered, |(n, key)| {
        map.insert(**key, *n as u64);
    });
    drop(numbered);
    let per_entry = map.allocation_size() as f64 / map.len() as f64;
    println!("  hashbrown, bytes per entry (RSS grew by {} MiB) {per_entry:>7.1} B", resident_mib() - before);
    for _ in 0..2 {
        time("hashbrown, hit", &hits, |key| {
            black_box(map.get(key));
        });
        time("hashbrown, miss", &strangers, |key| {
            black_box(map.get(key));
        });
    }
    one_after_another("hashbrown, hit", &hits, |key| map.contains_key(key));
    one_after_another("hashbrown, miss", &strangers, |key| map.contains_key(key));
}

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|count| count.parse().ok()).collect();
    for count in if counts.is_empty() { vec![1_000_000] } else { counts } {
        measure(count);
    }
}
