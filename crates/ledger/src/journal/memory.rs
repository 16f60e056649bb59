//! A journal in memory that fails on demand: for tests of what stands above it.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{Journal, JournalError, JournalReader, JournalTail, Stored};
use crate::crypto;

/// What the next append does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no space; only urgent entries are taken.
    Full,
    /// It fails, and the entry is lost.
    LoseEntry,
    /// It fails, and the entry is there all the same.
    KeepEntry,
}

#[derive(Debug, Default)]
struct Shared {
    entries: RwLock<Vec<Stored>>,
    fault: Mutex<Option<Fault>>,
}

/// The journal.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    shared: Arc<Shared>,
    poisoned: bool,
}

/// Turns faults on and off from outside.
#[derive(Clone, Debug)]
pub struct FaultSwitch(Arc<Shared>);

impl FaultSwitch {
    /// Sets what every append does from now on.
    pub fn set(&self, fault: Option<Fault>) {
        *self.0.fault.lock() = fault;
    }
}

impl MemoryJournal {
    /// The switch for its faults.
    pub fn switch(&self) -> FaultSwitch {
        FaultSwitch(Arc::clone(&self.shared))
    }

    /// The same history opened anew, as after a restart.
    pub fn reopen(&self) -> MemoryJournal {
        MemoryJournal { shared: Arc::clone(&self.shared), poisoned: false }
    }

    fn push(&self, payload: &[u8]) -> u64 {
        let mut entries = self.shared.entries.write();
        let before = entries.last().map_or([0; 32], |stored| stored.chain);
        let sequence = entries.len() as u64 + 1;
        let chain = crypto::sha256(&[&before, &sequence.to_le_bytes(), payload]);
        entries.push(Stored { frame: sequence, sequence, chain, payload: payload.to_vec() });
        sequence
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, payload: &[u8], urgent: bool) -> Result<u64, JournalError> {
        if self.poisoned {
            return Err(JournalError::Failed("it failed before".to_owned()));
        }
        let fault = *self.shared.fault.lock();
        match fault {
            None => Ok(self.push(payload)),
            Some(Fault::Full) if urgent => Ok(self.push(payload)),
            Some(Fault::Full) => Err(JournalError::Full),
            Some(fault @ (Fault::LoseEntry | Fault::KeepEntry)) => {
                self.poisoned = true;
                if fault == Fault::KeepEntry {
                    self.push(payload);
                }
                Err(JournalError::Failed("as told".to_owned()))
            }
        }
    }

    fn tail(&self) -> JournalTail {
        let entries = self.shared.entries.read();
        let chain = entries.last().map_or([0; 32], |stored| stored.chain);
        JournalTail { sequence: entries.len() as u64, chain }
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        Arc::new(MemoryReader(Arc::clone(&self.shared)))
    }
}

#[derive(Debug)]
struct MemoryReader(Arc<Shared>);

impl JournalReader for MemoryReader {
    fn read(&self, frame: u64) -> Result<Vec<u8>, JournalError> {
        let entries = self.0.entries.read();
        let stored = usize::try_from(frame).ok().and_then(|frame| entries.get(frame.checked_sub(1)?));
        stored.map(|stored| stored.payload.clone()).ok_or_else(|| JournalError::Failed(format!("no frame at {frame}")))
    }

    fn read_part(&self, frame: u64, part: Range<usize>) -> Result<Vec<u8>, JournalError> {
        let payload = self.read(frame)?;
        payload.get(part).map(<[u8]>::to_vec).ok_or_else(|| JournalError::Failed("no such part".to_owned()))
    }

    fn found_at_once(&self) -> Vec<u64> {
        self.0.entries.read().iter().map(|stored| stored.sequence).collect()
    }

    fn after(&self, sequence: u64) -> Box<dyn Iterator<Item = Result<Stored, JournalError>> + '_> {
        let entries = self.0.entries.read();
        let from = usize::try_from(sequence).unwrap_or(usize::MAX).min(entries.len());
        let copied: Vec<Stored> = entries[from..].to_vec();
        Box::new(copied.into_iter().map(Ok))
    }
}
