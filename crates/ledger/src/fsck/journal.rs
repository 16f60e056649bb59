//! The journal, from its first frame to its last, and the state that it folds to.

use std::collections::BTreeSet;

use xinhub_domain::listing::{About, Body, Clear, EventKind, RecordId, RecordKind, State};
use xinhub_domain::time::{Day, Timestamp};

use super::{Area, Report};
use crate::crypto::Prf;
use crate::detail::took_effect;
use crate::entry::{Entry, EventRecord};
use crate::resident::Resident;
use crate::seglog::{Frame, LogReader};
use crate::table::Place;
use crate::vault::{Opened, Vault, VaultError};

/// What the journal comes to.
pub(super) struct Fold {
    /// The state after the last event.
    pub(super) resident: Resident,
    /// By row.
    pub(super) times: Vec<Times>,
    /// The chain hash at the entry that the snapshot ends with.
    pub(super) chain_at_snapshot: Option<[u8; 32]>,
    /// Every event was folded.
    pub(super) whole: bool,
}

/// What the detail store keeps of a listing's events and the state in memory does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) updated_at: Timestamp,
    pub(super) listed_on: Option<Day>,
}

/// Verifies every frame, entry, event, slot and sealed part, and folds what is sound.
pub(super) fn verify(log: &LogReader, vault: &Vault, prf: &Prf, snapshot_at: u64, report: &mut Report) -> Fold {
    let resident = Resident::new(log.id(), prf.clone());
    let fold = Fold { resident, times: Vec::new(), chain_at_snapshot: None, whole: true };
    let mut pass = Pass { fold, vault, snapshot_at, erased: BTreeSet::new(), erasures: BTreeSet::new(), report };
    if log.first_sequence() != 1 {
        pass.fail(Area::Journal, format!("it begins with entry {}: older segments are missing", log.first_sequence()));
    }
    let mut next = log.first_sequence();
    while let Some(stopped_at) = pass.frames(log, next) {
        // The rest of a damaged segment can't be vouched for; what comes after it is still worth a look.
        let mut segments = log.segments().into_iter();
        let Some(segment) = segments.find(|segment| segment.first_sequence > stopped_at) else { break };
        pass.report.note(format!("journal: checked on from entry {}", segment.first_sequence));
        next = segment.first_sequence;
    }
    pass.finish()
}

struct Pass<'a> {
    fold: Fold,
    vault: &'a Vault,
    snapshot_at: u64,
    /// Records whose key is destroyed, and those for which an erasure is recorded.
    erased: BTreeSet<RecordId>,
    erasures: BTreeSet<RecordId>,
    report: &'a mut Report,
}

impl Pass<'_> {
    /// Something that keeps the fold from being the hub's state.
    fn fail(&mut self, area: Area, text: impl Into<String>) {
        self.fold.whole = false;
        self.report.find(area, text);
    }

    /// Goes through frames from number `from` on; returns where it was stopped by damage.
    fn frames(&mut self, log: &LogReader, from: u64) -> Option<u64> {
        let mut at = from;
        let frames = match log.iter_from_sequence(from) {
            Ok(frames) => frames,
            Err(error) => {
                self.fail(Area::Journal, error.to_string());
                return Some(at);
            }
        };
        for frame in frames {
            match frame {
                Ok(frame) => {
                    at = frame.sequence;
                    self.frame(&frame);
                }
                Err(error) => {
                    self.fail(Area::Journal, error.to_string());
                    return Some(at);
                }
            }
        }
        None
    }

    fn frame(&mut self, frame: &Frame) {
        self.report.entries += 1;
        if frame.sequence == self.snapshot_at {
            self.fold.chain_at_snapshot = Some(frame.chain);
        }
        let sequence = frame.sequence;
        let entry = match Entry::decode(&frame.payload) {
            Ok(entry) => entry,
            Err(error) => return self.fail(Area::Journal, format!("entry {sequence}: {error}")),
        };
        if entry.epoch != self.fold.resident.epoch {
            self.fail(Area::Journal, format!("entry {sequence}: belongs to another history"));
        }
        if self.fold.whole && entry.first_revision != self.fold.resident.revision + 1 {
            let (found, last) = (entry.first_revision, self.fold.resident.revision);
            self.fail(
                Area::Journal,
                format!("entry {sequence}: begins with revision {found}, the one before ended with {last}"),
            );
        }
        for (at, event) in entry.events.iter().enumerate() {
            self.report.events += 1;
            match event.clear() {
                Ok(clear) => self.event(&clear, event, Place::new(frame.position.to_u64(), at)),
                Err(error) => self.fail(Area::Journal, format!("entry {sequence}, event {}: {error}", at + 1)),
            }
        }
        if self.fold.whole {
            for outcome in entry.outcomes {
                self.fold.resident.note_outcome(&outcome);
            }
            (self.fold.resident.sequence, self.fold.resident.chain) = (frame.sequence, frame.chain);
        }
    }

    fn event(&mut self, clear: &Clear, event: &EventRecord, place: Place) {
        if let Err(error) = event.verify(clear) {
            self.fail(Area::Journal, error.to_string());
        }
        if clear.kind == EventKind::Erase {
            self.erasures.insert(clear.record);
        }
        let Some(opened) = self.open(clear, event) else { return };
        if !self.fold.whole {
            return;
        }
        if let Err(error) = self.fold.resident.apply(clear, &opened, place) {
            return self.fail(Area::Journal, error.to_string());
        }
        self.keep_times(clear, &opened);
    }

    /// Looks up the record's key, whether the event has a sealed part or not, and opens the part.
    fn open(&mut self, clear: &Clear, event: &EventRecord) -> Option<Opened> {
        let revision = clear.revision;
        if clear.record.kind != RecordKind::Hub {
            match self.vault.key(clear.record) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.erased.insert(clear.record);
                }
                Err(error) => {
                    self.fail(Area::Slots, format!("revision {revision}: {error}"));
                    return None;
                }
            }
        }
        match self.vault.open(event, clear) {
            Ok(opened) => Some(opened),
            Err(error @ (VaultError::Slot(_) | VaultError::MissingSlot { .. })) => {
                self.fail(Area::Slots, format!("revision {revision}: {error}"));
                None
            }
            Err(VaultError::Sealed { .. }) => {
                let number = clear.record.number;
                let kind = clear.record.kind;
                let text =
                    format!("revision {revision}: its sealed part does not open under the key of {kind:?} {number}");
                self.fail(Area::Journal, text);
                None
            }
            Err(error @ (VaultError::Journal(_) | VaultError::Entry(_))) => {
                self.fail(Area::Journal, format!("revision {revision}: {error}"));
                None
            }
        }
    }

    fn keep_times(&mut self, clear: &Clear, opened: &Opened) {
        // As the detail store has it: what happens beside a listing, or to a petition about it, is no event of its own.
        let changes = clear.kind.about() == About::Listing;
        let Some(row) = clear.listing.checked_sub(1).and_then(|row| usize::try_from(row).ok()).filter(|_| changes)
        else {
            return;
        };
        if row == self.fold.times.len() {
            self.fold.times.push(Times { updated_at: clear.at, listed_on: None });
        }
        let Some(times) = self.fold.times.get_mut(row) else { return };
        times.updated_at = clear.at;
        if clear.state == Some(State::Listed) && times.listed_on.is_none() {
            let day = clear.at.day();
            times.listed_on = Some(match opened {
                Opened::Body(body) if let Body::Content { content, .. } = &**body => took_effect(content, day),
                // What comes into force by the clock or a second actor was decided here: nothing of it is attested.
                Opened::Body(_) | Opened::Nothing | Opened::Erased => day,
            });
        }
    }

    fn finish(self) -> Fold {
        let Pass { fold, erased, erasures, report, .. } = self;
        report.erased = erased.len() as u64;
        for RecordId { kind, number } in erased.difference(&erasures) {
            report.find(Area::Slots, format!("{kind:?} {number}: its key was destroyed, and no erasure is recorded"));
        }
        for RecordId { kind, number } in erasures.difference(&erased) {
            report.find(Area::Slots, format!("{kind:?} {number}: its erasure is recorded, and its key is there"));
        }
        fold
    }
}
