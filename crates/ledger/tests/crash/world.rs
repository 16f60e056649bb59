//! A hub's disk life in small: a log and a slot file on a simulated disk, and a model of what was acknowledged.

use std::sync::Arc;

use xinhub_ledger::crypto::{RecordKey, sha256};
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::seglog::{LogConfig, LogError, LogPurpose, Position, SegmentedLog};
use xinhub_ledger::slots::{SlotError, SlotFile, SlotKey};
use xinhub_ledger::storage::Storage;
use xinhub_ledger::storage::sim::SimStorage;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the harness found wrong, or why a life could not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A broken promise.
    Violation(String),
    /// The simulated disk failed, as it was told to.
    Fault,
}

fn violation<T>(text: String) -> Result<T, Stop> {
    Err(Stop::Violation(text))
}

/// What was acknowledged, as the caller of the log knows it.
#[derive(Clone, Default)]
pub(crate) struct Model {
    /// Whether `create` of both files has returned.
    pub created: bool,
    /// Payloads in order of their sequence.
    pub acked: Vec<Vec<u8>>,
    /// The payload whose append has not returned, or failed: it may be there or not, but only whole.
    pub in_flight: Option<Vec<u8>>,
    /// Frames from this number on must not be removed.
    pub keep_from: u64,
    pub next_slot: u64,
}

pub(crate) fn config(reserve: bool) -> LogConfig {
    LogConfig { segment_bytes: 8 * 1024, max_payload_bytes: 3000, reserve, ..LogConfig::new(LogPurpose::Journal) }
}

pub(crate) struct World {
    pub log: SegmentedLog,
    pub slots: SlotFile,
}

fn entry(nonce: u64, first_slot: u64, count: u64, filler: usize, zeros: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    for number in [nonce, first_slot, count] {
        payload.extend_from_slice(&number.to_le_bytes());
    }
    let noise =
        |i: usize| if zeros { 0 } else { sha256(&[&nonce.to_le_bytes(), &(i as u64 / 32).to_le_bytes()])[i % 32] };
    payload.extend((0..filler).map(noise));
    payload
}

fn slot_key(nonce: u64, slot: u64) -> RecordKey {
    RecordKey::from_bytes(sha256(&[&nonce.to_le_bytes(), b"slot", &slot.to_le_bytes()]))
}

fn number(payload: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(payload[index * 8..index * 8 + 8].try_into().unwrap())
}

/// Whether an error comes from the disk (it was told to fail) rather than from what was found on it.
fn stop_of_log(error: LogError) -> Stop {
    match error {
        LogError::Io { .. } | LogError::Poisoned => Stop::Fault,
        other => Stop::Violation(other.to_string()),
    }
}

fn stop_of_slots(error: SlotError) -> Stop {
    match error {
        SlotError::Io { .. } | SlotError::Poisoned => Stop::Fault,
        other => Stop::Violation(other.to_string()),
    }
}

fn journal(sim: &SimStorage) -> Result<Arc<dyn Storage>, Stop> {
    sim.storage().dir("journal").map_err(|_| Stop::Fault)
}

impl World {
    /// Starts on what the disk holds, checks it against the model, and settles what was in flight.
    pub(crate) fn start(
        sim: &SimStorage,
        keyring: &Arc<Keyring>,
        reserve: bool,
        model: &mut Model,
    ) -> Result<Self, Stop> {
        let dir = journal(sim)?;
        let root = sim.storage();
        let exists = SegmentedLog::exists(&*dir).map_err(stop_of_log)?;
        if !exists && model.created {
            return violation("the log is gone".into());
        }
        let slots = if root.list().map_err(|_| Stop::Fault)?.iter().any(|name| name == "slots") {
            SlotFile::open(&*root, "slots", Arc::clone(keyring))
        } else if model.created {
            return violation("the slot file is gone".into());
        } else {
            SlotFile::create(&*root, "slots", Arc::clone(keyring))
        };
        let slots = slots.map_err(stop_of_slots)?;
        let log = match exists {
            false => SegmentedLog::create(dir, config(reserve), [7; 16]),
            true => SegmentedLog::open(dir, config(reserve)).map(|(log, _)| log),
        };
        let world = Self { log: log.map_err(stop_of_log)?, slots };
        world.check(model)?;
        model.created = true;
        Ok(world)
    }

    /// Every acknowledged frame there, nothing half-applied, every slot that a frame names readable.
    fn check(&self, model: &mut Model) -> Result<(), Stop> {
        let reader = self.log.reader();
        let first = reader.first_sequence();
        if first > model.keep_from.max(1) {
            return violation(format!("frames from {} on were to be kept, the log begins at {first}", model.keep_from));
        }
        let mut found = model.acked[..first as usize - 1].to_vec();
        for frame in reader.iter_from(Position::START).map_err(stop_of_log)? {
            let frame = frame.map_err(stop_of_log)?;
            if frame.sequence != found.len() as u64 + 1 {
                return violation(format!("frame {} where {} belongs", frame.sequence, found.len() + 1));
            }
            if reader.read(frame.position).map_err(stop_of_log)? != frame.payload {
                return violation(format!("frame {} reads differently by position", frame.sequence));
            }
            self.check_slots(&frame.payload)?;
            found.push(frame.payload);
        }
        reader.verify().map_err(stop_of_log)?;
        let (known, more) = found.split_at(model.acked.len().min(found.len()));
        if known != model.acked {
            return violation(format!("{} acknowledged, {} found, or not the same", model.acked.len(), found.len()));
        }
        match (more, &model.in_flight) {
            ([], _) => {}
            ([one], Some(in_flight)) if one == in_flight => {}
            _ => return violation(format!("{} frames that nobody appended", more.len())),
        }
        model.acked = found;
        model.in_flight = None;
        if let Some(last) = model.acked.last() {
            model.next_slot = number(last, 1) + number(last, 2);
        }
        Ok(())
    }

    fn check_slots(&self, payload: &[u8]) -> Result<(), Stop> {
        let (nonce, first, count) = (number(payload, 0), number(payload, 1), number(payload, 2));
        for slot in first..first + count {
            match self.slots.key(slot).map_err(stop_of_slots)? {
                SlotKey::Live(key) if key == slot_key(nonce, slot) => {}
                other => return violation(format!("slot {slot} of an entry in the log holds {other:?}")),
            }
        }
        Ok(())
    }

    /// One commit as the writer makes it: slots first, then the entry that names them.
    pub(crate) fn commit(&mut self, sim: &SimStorage, rng: &mut ChaCha8Rng, model: &mut Model) -> Result<(), Stop> {
        model.next_slot = model.next_slot.max(1);
        let (nonce, count) = (rng.random(), rng.random_range(0..4));
        let keys: Vec<RecordKey> = (0..count).map(|i| slot_key(nonce, model.next_slot + i)).collect();
        if !keys.is_empty() {
            match self.slots.put_many(model.next_slot, &keys) {
                Err(SlotError::Full { .. }) => return Ok(()),
                put => put.map_err(stop_of_slots)?,
            }
        }
        let filler = if rng.random_bool(0.5) { rng.random_range(0..200) } else { rng.random_range(0..2900) };
        let payload = entry(nonce, model.next_slot, count, filler, rng.random_bool(0.05));
        model.in_flight = Some(payload.clone());
        let appended = match self.log.append(&payload) {
            Err(LogError::Full { .. }) => self.log.append_urgent(&payload),
            appended => appended,
        };
        match appended {
            Ok(_) => {
                model.acked.push(payload);
                model.next_slot += count;
            }
            // Even the reserve is used up: the operator makes room.
            Err(LogError::Full { .. }) => sim.limit_bytes(None),
            Err(error) => return Err(stop_of_log(error)),
        }
        model.in_flight = None;
        Ok(())
    }

    /// Now and then something other than a commit.
    pub(crate) fn chore(&mut self, sim: &SimStorage, rng: &mut ChaCha8Rng, model: &mut Model) -> Result<(), Stop> {
        match rng.random_range(0..60) {
            0 => {
                model.keep_from = model.keep_from.max(rng.random_range(0..=model.acked.len() as u64));
                self.log.remove_segments_before(model.keep_from).map_err(stop_of_log)?;
            }
            1 => sim.limit_bytes(Some(sim.used_bytes() + rng.random_range(0..20_000))),
            2 => sim.limit_bytes(None),
            _ => {}
        }
        Ok(())
    }
}

/// Starts, commits up to `commits` times, and stops at the first fault.
pub(crate) fn run(
    sim: &SimStorage,
    keyring: &Arc<Keyring>,
    rng: &mut ChaCha8Rng,
    model: &mut Model,
    commits: usize,
) -> Result<(), Stop> {
    let mut world = World::start(sim, keyring, rng.random_bool(0.7), model)?;
    for _ in 0..commits {
        world.chore(sim, rng, model)?;
        world.commit(sim, rng, model)?;
    }
    Ok(())
}

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
