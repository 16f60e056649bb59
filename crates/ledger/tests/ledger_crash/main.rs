//! A whole ledger on disks that lose power, fail and fill up, under several courts writing at once.
//!
//! After every start: each acknowledged outcome is found again, nothing is half-applied, every slot that an entry names can
//! be read, nobody is restricted whose lift was acknowledged, and the state is what the journal alone gives.
//! The harness is tested too: with the sync of the journal, of the slots or of `FORMAT` taken out it must complain.
//!
//! Seeds are printed; `XINHUB_CRASH_SEED=n` runs one life alone, `XINHUB_CRASH_LIVES=n` that many. Threads race, so a seed
//! repeats the workload and the disk's choices, and may need a few runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::storage::sim::{SimStorage, SyncCall};
use xinhub_ledger::testing::Bench;
use xinhub_ledger::{CommandError, Ledger};

mod faults;
mod workload;
mod world;

use workload::{Model, Submitter};

const GENERATIONS: usize = 5;
const SUBMITTERS: usize = 4;
const STEPS: usize = 14;
/// Lives of some 20 images each.
const LIVES: u64 = 27;

fn bench(sim: SimStorage) -> Bench {
    let mut bench = Bench::blank(sim, Arc::new(Keyring::ephemeral()));
    // Several segments in a life.
    bench.settings.segment_bytes = 32 << 10;
    bench.settings.max_payload_bytes = 32 << 10;
    bench
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Several submitters at once, until they are done or the hub fails; which must then be told.
fn work(ledger: &Ledger, bench: &Bench, model: &mut Model, seed: u64) -> Result<(), String> {
    let shared = Arc::new(Mutex::new(std::mem::take(model)));
    let failed = runtime().block_on(async {
        let tasks: Vec<_> = (0..SUBMITTERS as u64)
            .map(|at| Submitter::new(ledger, &bench.clock, &shared, seed ^ at).run(STEPS))
            .map(tokio::spawn)
            .collect();
        let mut failed = false;
        for task in tasks {
            failed |= task.await.unwrap() == Some(CommandError::Storage);
        }
        if failed && tokio::time::timeout(Duration::from_secs(10), ledger.failed()).await.is_err() {
            return Err("the journal failed, and `failed` does not tell".to_owned());
        }
        Ok(())
    });
    *model = shared.lock().clone();
    failed
}

/// One life: start, work, lose power somewhere (in recovery, or in stopping, too), and again. Returns the images opened.
fn live(seed: u64, mute: Option<fn(&SyncCall) -> bool>) -> Result<usize, String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bench = bench(SimStorage::new(seed));
    let mut model = Model::default();
    let mut images = 0;
    for generation in 0..GENERATIONS {
        let tell = |text: String| format!("seed {seed}, generation {generation}: {text}");
        if let Some(mute) = mute {
            bench.sim.mute_syncs(mute);
        }
        // Often within recovery, else somewhere in the work.
        let ops = if rng.random_bool(0.25) { rng.random_range(0..40) } else { rng.random_range(0..160) };
        bench.sim.power_off_after(ops);
        match world::start(&bench, &mut model) {
            Err(Some(text)) => return Err(tell(text)),
            Err(None) => {}
            Ok(ledger) => {
                work(&ledger, &bench, &mut model, rng.random()).map_err(tell)?;
                if rng.random_bool(0.3) {
                    ledger.shutdown();
                }
            }
        }
        for _ in 0..3 {
            let image = bench.on(bench.sim.crash(rng.random()));
            match world::start(&image, &mut model.clone()) {
                Ok(_) => images += 1,
                Err(found) => return Err(tell(found.unwrap_or_else(|| "an image could not be opened".to_owned()))),
            }
        }
        let next = if rng.random_bool(0.25) { bench.sim.restart(rng.random()) } else { bench.sim.crash(rng.random()) };
        bench = bench.on(next);
        images += 1;
    }
    Ok(images)
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_acknowledged_outcome_survives_power_cuts_under_concurrent_writers() {
    if let Some(seed) = from_env("XINHUB_CRASH_SEED") {
        println!("seed {seed}: {} images", live(seed, None).unwrap());
        return;
    }
    let base: u64 = rand::random_range(0..1 << 40);
    let lives = from_env("XINHUB_CRASH_LIVES").unwrap_or(LIVES);
    println!("seeds from {base}");
    let mut images = 0;
    for seed in base..base + lives {
        images += live(seed, None).unwrap_or_else(|text| panic!("{text}"));
    }
    println!("{images} crash images opened");
    assert!(lives > 0 && images >= lives as usize * GENERATIONS * 4, "{lives} lives, {images} images");
}

/// Runs lives without the chosen syncs until the harness complains.
#[track_caller]
fn check_missed(name: &str, mute: fn(&SyncCall) -> bool) {
    let found = (0..60).find_map(|seed| live(seed, Some(mute)).err());
    match found {
        Some(text) => println!("without {name}: {text}"),
        None => panic!("without {name} nothing was noticed: the harness is blind"),
    }
}

#[test]
fn the_harness_notices_a_journal_that_is_not_synced() {
    check_missed("the sync of a frame", |call| call.path.ends_with(".seg") && call.nth_of_handle > 1);
}

#[test]
fn the_harness_notices_slots_that_are_not_synced() {
    check_missed("the sync of slots", |call| call.path.ends_with(".slots"));
}

#[test]
fn the_harness_notices_a_format_that_is_not_synced() {
    check_missed("the sync of FORMAT", |call| call.path == "FORMAT.new");
    check_missed("the sync of the directory that FORMAT is in", |call| call.is_dir && call.path.is_empty());
}

#[test]
fn nothing_is_acknowledged_after_a_failed_sync() {
    faults::check_each(faults::Faulty::Sync, ErrorKind::Other);
    faults::check_each(faults::Faulty::Sync, ErrorKind::StorageFull);
}

#[test]
fn every_acknowledged_outcome_survives_each_failed_write() {
    faults::check_each(faults::Faulty::Write, ErrorKind::Other);
    faults::check_each(faults::Faulty::Write, ErrorKind::StorageFull);
}

#[test]
fn a_full_disk_takes_lifts_and_nothing_else_until_there_is_space() {
    faults::check_full();
}
