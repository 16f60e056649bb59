//! The log and the slot file are ours, so they are tested as a database's would be: thousands of power cuts, kills and
//! failing disks, each survived with every acknowledged entry there, nothing half-applied, and every slot that
//! an entry names readable. The harness is tested too: with any one class of sync taken out it must complain.
//!
//! Seeds are printed; `XINHUB_CRASH_SEED=n` runs one life alone, `XINHUB_CRASH_LIVES=n` that many (150 by default).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::io::ErrorKind;
use std::sync::Arc;

use rand::Rng;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::seglog::LogError;
use xinhub_ledger::slots::SlotError;
use xinhub_ledger::storage::sim::{SimStorage, SyncCall};

mod world;

use world::{Model, Stop, World, rng, run};

const GENERATIONS: usize = 6;
const COMMITS: usize = 40;
/// Lives of 18 images each.
const LIVES: u64 = 150;

/// One life: start, work, lose power somewhere (in recovery, too), and again. Returns the crash images opened.
fn live(seed: u64, mute: Option<fn(&SyncCall) -> bool>) -> Result<usize, String> {
    let mut rng = rng(seed);
    let keyring = Arc::new(Keyring::ephemeral());
    let mut sim = SimStorage::new(seed);
    let mut model = Model::default();
    let mut images = 0;
    for generation in 0..GENERATIONS {
        let tell = |text: String| format!("seed {seed}, generation {generation}: {text}");
        if let Some(mute) = mute {
            sim.mute_syncs(mute);
        }
        // Often within recovery, else somewhere in the work.
        let ops = if rng.random_bool(0.3) { rng.random_range(0..14) } else { rng.random_range(0..200) };
        sim.power_off_after(ops);
        match run(&sim, &keyring, &mut rng, &mut model, COMMITS) {
            Err(Stop::Violation(text)) => return Err(tell(text)),
            Ok(()) | Err(Stop::Fault) => {}
        }
        for _ in 0..2 {
            let image = sim.crash(rng.random());
            let reserve = rng.random_bool(0.5);
            match World::start(&image, &keyring, reserve, &mut model.clone()) {
                Err(Stop::Violation(text)) => return Err(tell(format!("image: {text}"))),
                Err(Stop::Fault) => return Err(tell("an image could not be opened".into())),
                Ok(_) => images += 1,
            }
        }
        sim = if rng.random_bool(0.25) { sim.restart(rng.random()) } else { sim.crash(rng.random()) };
        images += 1;
    }
    Ok(images)
}

#[test]
fn every_acknowledged_entry_survives_power_cuts_at_random_points() {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
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
    assert!(lives > 0 && images >= lives as usize * GENERATIONS * 3, "{lives} lives, {images} images");
}

/// Runs lives without the chosen syncs until the harness complains.
#[track_caller]
fn check_missed(name: &str, mute: fn(&SyncCall) -> bool) {
    let found = (0..400).find_map(|seed| live(seed, Some(mute)).err());
    match found {
        Some(text) => println!("without {name}: {text}"),
        None => panic!("without {name} nothing was noticed: the harness is blind"),
    }
}

fn is_segment(call: &SyncCall) -> bool {
    call.path.ends_with(".seg")
}

#[test]
fn the_harness_notices_each_class_of_sync_that_is_taken_out() {
    check_missed("the sync of a frame", |call| is_segment(call) && call.nth_of_handle > 1);
    check_missed("the sync of recovery", |call| is_segment(call) && call.nth_of_handle == 1);
    check_missed("the sync of a new segment", |call| call.path == "journal/next.new");
    check_missed("the sync of a reserve turned segment", |call| call.path == "journal/reserve.spare");
    check_missed("the syncs of the log's directory", |call| call.is_dir && call.path == "journal");
    check_missed("the sync of the root directory", |call| call.is_dir && call.path.is_empty());
    check_missed("the sync of slots", |call| call.path == "slots");
    check_missed("the sync of a new slot file", |call| call.path == "slots.new");
}

/// Which operations a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faulty {
    Write,
    Sync,
}

/// A workload whose `nth` write or sync fails; false when it has fewer.
fn fail_at(nth: u64, faulty: Faulty, kind: ErrorKind) -> Result<bool, String> {
    let tell = |text: String| format!("{faulty:?} {nth} fails with {kind:?}: {text}");
    let keyring = Arc::new(Keyring::ephemeral());
    let sim = SimStorage::new(nth);
    let mut model = Model::default();
    match faulty {
        Faulty::Write => sim.fail_write(nth, kind),
        Faulty::Sync => sim.fail_sync(nth, kind),
    }
    let mut workload = rng(1);
    if let Ok(mut world) = World::start(&sim, &keyring, true, &mut model) {
        for _ in 0..60 {
            let before = model.acked.len();
            let result = world.commit(&sim, &mut workload, &mut model);
            if let Err(Stop::Violation(text)) = result {
                return Err(tell(text));
            }
            if faulty == Faulty::Sync && sim.has_failed() && model.acked.len() > before {
                return Err(tell("acknowledged after a failed sync".into()));
            }
            if result.is_err() {
                // Slots and log stop for themselves; the writer that owns both stops with either.
                let stopped = match world.slots.is_poisoned() {
                    true => matches!(world.slots.put_many(1, &[]), Err(SlotError::Poisoned)),
                    false => matches!(world.log.append_urgent(b"more"), Err(LogError::Poisoned)),
                };
                if !stopped {
                    return Err(tell("neither log nor slots are poisoned".into()));
                }
                break;
            }
        }
    }
    let happened = sim.has_failed();
    // The same kernel goes on after the process: what the failed sync lost is still shown by the page cache.
    let next = sim.restart(nth);
    for disk in [sim.crash(nth), next.crash(nth)] {
        match World::start(&disk, &keyring, true, &mut model.clone()) {
            Ok(_) => {}
            Err(stop) => return Err(tell(format!("after a power cut: {stop:?}"))),
        }
    }
    match run(&next, &keyring, &mut workload, &mut model, 10) {
        Ok(()) => {}
        Err(stop) => return Err(tell(format!("after a restart: {stop:?}"))),
    }
    match World::start(&next.crash(nth + 1), &keyring, true, &mut model) {
        Ok(_) => Ok(happened),
        Err(stop) => Err(tell(format!("after a restart, work and a power cut: {stop:?}"))),
    }
}

#[track_caller]
fn check_each_fault(faulty: Faulty, kind: ErrorKind) {
    let mut tried = 0;
    while fail_at(tried + 1, faulty, kind).unwrap() {
        tried += 1;
    }
    println!("{faulty:?}, {kind:?}: {tried} faults");
    assert!(tried > 50, "the workload is too short");
}

#[test]
fn nothing_is_acknowledged_after_a_failed_sync() {
    check_each_fault(Faulty::Sync, ErrorKind::Other);
    check_each_fault(Faulty::Sync, ErrorKind::StorageFull);
}

#[test]
fn every_acknowledged_entry_survives_each_failed_write() {
    check_each_fault(Faulty::Write, ErrorKind::Other);
    check_each_fault(Faulty::Write, ErrorKind::StorageFull);
}
