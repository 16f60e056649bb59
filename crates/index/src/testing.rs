//! Synthetic keys and entries for the tests.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Entry, Exemption, Exemptions, Key, Relations, Until};

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn key_from(hi: u64, lo: u64) -> Key {
    Key((u128::from(hi) << 64 | u128::from(lo)).to_be_bytes())
}

/// The `n`th of a fixed sequence of keys, spread as digests are (splitmix64).
pub(crate) fn nth_key(n: u64) -> Key {
    let mix = |seed: u64| {
        let x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    };
    key_from(mix(n * 2 + 1), mix(n * 2 + 2))
}

pub(crate) fn random_until(rng: &mut ChaCha8Rng) -> Until {
    match rng.random_range(0..4) {
        0 => Until::FOREVER,
        1 => Until::day(rng.random_range(0..=Until::MAX_DAY)).unwrap(),
        _ => Until::day(rng.random_range(20_000..22_000)).unwrap(),
    }
}

/// Any entry, all shapes about as often; flags only where a relation is in force, as the index keeps them.
pub(crate) fn random_entry(rng: &mut ChaCha8Rng) -> Entry {
    let relations = Relations::from_bits(rng.random_range(0..32)).unwrap();
    let mut entry = Entry::uniform(relations, random_until(rng));
    entry.head = rng.next_u32();
    entry.flagged = Relations::from_bits(rng.random_range(0..32)).unwrap() & relations;
    if rng.random_bool(0.4) {
        for until in entry.relations.iter_mut().flatten() {
            *until = random_until(rng);
        }
    }
    if rng.random_bool(0.3) {
        let count = rng.random_range(1..6);
        entry.exemptions = exemptions((0..count).map(|_| rng.next_u64()));
    }
    entry
}

pub(crate) fn exemptions(seeds: impl Iterator<Item = u64>) -> Exemptions {
    let exemption = |seed: u64| Exemption { from_s: seed, until_s: !seed, scope: seed.rotate_left(7) };
    Exemptions::try_from(seeds.map(exemption).collect::<Vec<_>>()).unwrap()
}

/// The mix that a national list has: 95 in 100 with one end for all relations, nearly always the debtor's alone.
pub(crate) fn usual_entry(n: u64) -> Entry {
    let debtor = Relations::DEBTOR;
    let until = Until::day(21_000 + (n % 700) as u32).unwrap();
    let mut entry = Entry::uniform(debtor, until);
    entry.head = n as u32 + 1;
    match n % 100 {
        0..3 => entry.relations[1] = Some(Until::FOREVER),
        3..5 => entry.exemptions = exemptions(std::iter::once(n)),
        5..20 => entry.relations[2] = Some(until),
        _ => {}
    }
    entry
}
