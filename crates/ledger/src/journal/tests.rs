#![allow(clippy::unwrap_used)]
//! What every journal keeps: one suite, two implementations.

use super::memory::{Fault, MemoryJournal};
use super::*;
use crate::seglog::{LogConfig, LogPurpose};
use crate::storage::sim::SimStorage;

/// Makes journals over one lasting history.
trait Maker {
    fn open(&mut self) -> Box<dyn Journal>;
    /// From now on appends find no space, or find it again.
    fn fill(&mut self, full: bool);
    /// The next append fails with an unknown outcome.
    fn fail_next(&mut self);
}

struct Log {
    sim: SimStorage,
}

impl Log {
    fn config() -> LogConfig {
        LogConfig { segment_bytes: 4096, max_payload_bytes: 1024, ..LogConfig::new(LogPurpose::Journal) }
    }
}

impl Maker for Log {
    fn open(&mut self) -> Box<dyn Journal> {
        self.sim = self.sim.restart(1);
        let storage = self.sim.storage();
        if SegmentedLog::exists(&*storage).unwrap() {
            Box::new(SegmentedLog::open(storage, Self::config()).unwrap().0)
        } else {
            Box::new(SegmentedLog::create(storage, Self::config(), [1; 16]).unwrap())
        }
    }
    fn fill(&mut self, full: bool) {
        self.sim.limit_bytes(full.then(|| self.sim.used_bytes()));
    }
    fn fail_next(&mut self) {
        self.sim.fail_sync(1, std::io::ErrorKind::Other);
    }
}

struct Memory {
    journal: MemoryJournal,
}

impl Maker for Memory {
    fn open(&mut self) -> Box<dyn Journal> {
        self.journal.switch().set(None);
        Box::new(self.journal.reopen())
    }
    fn fill(&mut self, full: bool) {
        self.journal.switch().set(full.then_some(Fault::Full));
    }
    fn fail_next(&mut self) {
        self.journal.switch().set(Some(Fault::LoseEntry));
    }
}

fn check(mut maker: impl Maker) {
    let mut journal = maker.open();
    let reader = journal.reader();
    assert_eq!(journal.tail().sequence, 0);
    let mut frames = Vec::new();
    for number in 0..20_u8 {
        frames.push(journal.append(&[number; 300], false).unwrap());
        assert_eq!(reader.read(frames[usize::from(number)]).unwrap(), [number; 300], "seen as soon as it is durable");
    }
    assert!(frames.is_sorted());
    let stored: Vec<Stored> = reader.after(0).map(Result::unwrap).collect();
    assert_eq!(stored.iter().map(|one| one.sequence).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert_eq!(stored.iter().map(|one| one.frame).collect::<Vec<_>>(), frames);
    assert_eq!(stored[19].chain, journal.tail().chain);
    assert_eq!(reader.after(20).count(), 0);
    let at_once = reader.found_at_once();
    assert!(at_once.is_sorted() && at_once[0] == 1 && at_once[1..].iter().all(|sequence| *sequence <= 20));
    assert!(reader.read(frames[19] + 1_000_000).is_err());

    let tail = journal.tail();
    drop(journal);
    let mut journal = maker.open();
    assert_eq!(journal.tail(), tail, "a restart changes nothing");

    maker.fill(true);
    let refused = (0..40).find_map(|_| journal.append(&[7; 900], false).err());
    assert!(matches!(refused, Some(JournalError::Full)), "a full disk is told");
    journal.append(&[8; 900], true).unwrap();
    maker.fill(false);
    journal.append(&[9; 900], false).unwrap();

    let count = journal.tail().sequence;
    maker.fail_next();
    assert!(matches!(journal.append(&[1], false), Err(JournalError::Failed(_))));
    assert!(journal.append(&[2], false).is_err(), "nothing is taken after an unknown outcome");
    drop(journal);
    let journal = maker.open();
    let now = journal.tail().sequence;
    assert!(now == count || now == count + 1, "the open entry is there or not, nothing else");
}

#[test]
fn the_segmented_log_keeps_the_promise() {
    check(Log { sim: SimStorage::new(1) });
}

#[test]
fn the_journal_in_memory_keeps_the_promise() {
    check(Memory { journal: MemoryJournal::default() });
}
