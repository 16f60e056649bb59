//! From files to state: what a start does, after a clean stop as after a kill.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use xinhub_domain::listing::Clear;

use crate::crypto::Prf;
use crate::entry::{Entry, EntryError, OutcomeRecord};
use crate::journal::{JournalError, JournalReader, JournalTail, Stored};
use crate::resident::snapshot::{Frozen, SnapshotError};
use crate::resident::{FoldError, Resident};
use crate::storage::{OpenMode, Storage, StorageFile};
use crate::table::Place;
use crate::vault::{Opened, Vault, VaultError};

const SNAPSHOT_NEW: &str = "snapshot.new";

/// Why the state can't be built from the journal.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry is damaged or newer.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A sealed part or its key is not there.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// An event does not fit.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The entry belongs elsewhere.
    #[error("entry {sequence}: {what}; the files of two ledgers are mixed")]
    Foreign {
        /// Which entry.
        sequence: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The index key that the journal was written with is missing.
    #[error("entry {sequence}: made under generation {found} of the index key, which is not in the keys directory")]
    KeyEpoch {
        /// Which entry.
        sequence: u64,
        /// The generation.
        found: u32,
    },
}

/// How many entries wait between the threads of a replay: enough that none idles, few enough to hold in memory.
const AHEAD: usize = 2;
/// Opening an event takes two to three times as long as folding it; more threads than this would wait for the fold.
const MAX_OPENERS: usize = 3;

/// An entry with every sealed part opened.
struct Unsealed {
    stored: Stored,
    events: Vec<(Clear, Opened)>,
    epoch: [u8; 16],
    outcomes: Vec<OutcomeRecord>,
}

/// Folds every entry after what `resident` holds already; returns how many events there were.
///
/// Entries are read and opened by threads of their own, one after the other in turn, and folded here in their order.
pub fn replay(resident: &mut Resident, vault: &Vault) -> Result<u64, RecoveryError> {
    let openers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, MAX_OPENERS);
    let after = resident.sequence;
    std::thread::scope(|scope| {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..openers {
            let (input, entries) = sync_channel::<Result<Stored, JournalError>>(AHEAD);
            let (opened, output) = sync_channel(AHEAD);
            inputs.push(input);
            outputs.push(output);
            scope.spawn(move || {
                for stored in entries {
                    let entry = stored.map_err(RecoveryError::from).and_then(|stored| unseal(stored, vault));
                    if opened.send(entry).is_err() {
                        break;
                    }
                }
            });
        }
        scope.spawn(move || {
            for (stored, input) in vault.journal().after(after).zip(inputs.iter().cycle()) {
                if input.send(stored).is_err() {
                    break;
                }
            }
        });
        let mut events = 0;
        for output in outputs.iter().cycle() {
            // Where the next in turn has none, there is no more.
            let Ok(entry) = output.recv() else { break };
            events += fold(resident, entry?)?;
        }
        Ok(events)
    })
}

fn unseal(stored: Stored, vault: &Vault) -> Result<Unsealed, RecoveryError> {
    let entry = Entry::decode(&stored.payload)?;
    let mut events = Vec::with_capacity(entry.events.len());
    for record in &entry.events {
        let clear = record.clear()?;
        let opened = vault.open(record, &clear)?;
        events.push((clear, opened));
    }
    Ok(Unsealed { stored, events, epoch: entry.epoch, outcomes: entry.outcomes })
}

fn fold(resident: &mut Resident, entry: Unsealed) -> Result<u64, RecoveryError> {
    let Unsealed { stored, events, epoch, outcomes } = entry;
    if epoch != resident.epoch {
        let what = "it belongs to another history";
        return Err(RecoveryError::Foreign { sequence: stored.sequence, what });
    }
    for (at, (clear, opened)) in events.iter().enumerate() {
        resident.apply(clear, opened, Place::new(stored.frame, at))?;
    }
    for outcome in outcomes {
        resident.note_outcome(&outcome);
    }
    (resident.sequence, resident.chain) = (stored.sequence, stored.chain);
    Ok(events.len() as u64)
}

/// The newest snapshot that loads and belongs to this journal; the state before the first event where there is none.
pub fn load_snapshot(
    snapshots: &dyn Storage,
    journal: &dyn JournalReader,
    tail: JournalTail,
    epoch: [u8; 16],
    key_epoch: u32,
    prf: &Prf,
) -> io::Result<Resident> {
    let mut names = snapshot_names(snapshots)?;
    while let Some(name) = names.pop() {
        match load_one(snapshots, &name, epoch, key_epoch, prf) {
            Ok(resident) if belongs(&resident, journal, tail) => return Ok(resident),
            Ok(_) => tracing::warn!(file = name, "a snapshot is not of this journal: passed over"),
            Err(error) => tracing::warn!(file = name, %error, "a snapshot was not loaded: passed over"),
        }
    }
    Ok(Resident::new(epoch, prf.clone()))
}

pub(crate) fn load_one(
    snapshots: &dyn Storage,
    name: &str,
    epoch: [u8; 16],
    key_epoch: u32,
    prf: &Prf,
) -> Result<Resident, SnapshotError> {
    let file = snapshots.open(name, OpenMode::ReadOnly)?;
    let mut from = BufReader::with_capacity(1 << 20, Stream { len: file.len()?, file, at: 0 });
    Resident::load(&mut from, epoch, key_epoch, prf.clone())
}

/// Whether the journal, at the snapshot's entry, had the snapshot's chain hash.
fn belongs(resident: &Resident, journal: &dyn JournalReader, tail: JournalTail) -> bool {
    if resident.sequence == tail.sequence {
        return resident.chain == tail.chain;
    }
    if resident.sequence > tail.sequence || resident.sequence == 0 {
        return resident.sequence == 0;
    }
    let stored = journal.after(resident.sequence - 1).next();
    stored.is_some_and(|stored| stored.is_ok_and(|stored| stored.chain == resident.chain))
}

/// Snapshots by ascending revision.
pub fn snapshot_names(snapshots: &dyn Storage) -> io::Result<Vec<String>> {
    let mut names = snapshots.list()?;
    names.retain(|name| name.starts_with("resident-") && name.ends_with(".snap"));
    names.sort();
    Ok(names)
}

/// Writes a snapshot durably, then removes the older ones. One that fails leaves nothing: where the disk is full, its space
/// is the journal's.
pub fn save_snapshot(snapshots: &dyn Storage, frozen: Frozen, key_epoch: u32) -> io::Result<()> {
    // In place of one under the same name, too: that one may have been found damaged.
    let name = format!("resident-{:016x}.snap", frozen.revision());
    remove_if_there(snapshots, SNAPSHOT_NEW)?;
    let written = write_snapshot(snapshots, frozen, key_epoch).and_then(|()| snapshots.rename(SNAPSHOT_NEW, &name));
    if let Err(error) = written {
        let _ = remove_if_there(snapshots, SNAPSHOT_NEW);
        return Err(error);
    }
    snapshots.sync_dir()?;
    for old in snapshot_names(snapshots)?.into_iter().filter(|old| *old < name) {
        snapshots.remove(&old)?;
    }
    Ok(())
}

fn write_snapshot(snapshots: &dyn Storage, frozen: Frozen, key_epoch: u32) -> io::Result<()> {
    let file = snapshots.open(SNAPSHOT_NEW, OpenMode::CreateNew)?;
    let mut out = BufWriter::with_capacity(1 << 20, Stream { len: u64::MAX, file: Arc::clone(&file), at: 0 });
    frozen.write(key_epoch, &mut out)?;
    out.flush()?;
    // The bytes before the name: a named snapshot is whole.
    file.sync_data()
}

fn remove_if_there(snapshots: &dyn Storage, name: &str) -> io::Result<()> {
    match snapshots.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A file as a stream.
struct Stream {
    file: Arc<dyn StorageFile>,
    len: u64,
    at: u64,
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len - self.at).unwrap_or(usize::MAX);
        let count = buf.len().min(left);
        self.file.read_at(&mut buf[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write_at(buf, self.at)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
