//! Checks a stopped hub's data directory from the ground up, and says what differs.
//!
//! The journal is the ground truth: every frame, chain hash, leaf and commitment of it is verified, every slot that it names
//! looked up, every sealed part opened. From it alone the state is built anew, and what a start would load (the newest
//! snapshot and the journal's tail) is compared with that, row by row and index entry by index entry; then the detail store,
//! value by value.
//!
//! Promises: nothing in the data directory is changed; a finding names numbers and fields, never a person; memory is bounded
//! by the state of the hub. The detail store is read from a copy among the system's temporary files (`TMPDIR`), because
//! its files can't be opened without being written to.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::crypto::Prf;
use crate::keys::{Keyring, Purpose};
use crate::ledger::{OpenError, check_format, lock};
use crate::recovery::{load_one, replay, snapshot_names};
use crate::resident::Resident;
use crate::resident::snapshot::SnapshotError;
use crate::seglog::{LogPurpose, LogReader, SegmentedLog};
use crate::storage::{FileStorage, Storage};
use crate::vault::{Slots, Vault};

mod compare;
mod detail;
mod journal;

pub use compare::compare;

use journal::Fold;

/// At most this many findings are listed; the rest are counted.
const MAX_LISTED: usize = 500;

/// Which part of the data directory a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// The journal's segments, entries and events: the ground truth. Restore it from a backup.
    Journal,
    /// The slot files with the records' keys. Restore them from their own backup.
    Slots,
    /// The snapshot of the state in memory. Derived: delete it, and the next start reads the whole journal.
    Snapshot,
    /// The detail store. Derived: delete it, and it is built anew.
    Detail,
    /// The audit log.
    Audit,
}

impl Area {
    /// The name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Area::Journal => "journal",
            Area::Slots => "slots",
            Area::Snapshot => "snapshot",
            Area::Detail => "detail",
            Area::Audit => "audit",
        }
    }

    /// What to do about a finding there.
    fn advice(self) -> &'static str {
        match self {
            Area::Journal => "restore journal/ from a backup or a peer; keep the damaged files for the inquiry",
            Area::Slots => "restore slots/ from its own backup",
            Area::Snapshot => "delete the files in snapshots/: the next start builds the state from the journal",
            Area::Detail => "delete detail/: it is built anew after the next start",
            Area::Audit => "restore audit/ from a backup; keep the damaged files for the inquiry",
        }
    }
}

/// One difference, in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub area: Area,
    /// What.
    pub text: String,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries of the journal.
    pub entries: u64,
    /// Events in them, all verified.
    pub events: u64,
    /// Listings, ended ones included.
    pub listings: u64,
    /// Keys in the index.
    pub index_keys: u64,
    /// Records whose key was destroyed.
    pub erased: u64,
    /// The revision of the snapshot that was compared.
    pub snapshot_revision: Option<u64>,
    /// The revision that the detail store has reached.
    pub detail_revision: Option<u64>,
    /// Values of the detail store.
    pub detail_values: u64,
    /// Frames of the audit log.
    pub audit_frames: u64,
    /// Why nothing, or not all, was checked.
    refused: Option<String>,
    notes: Vec<String>,
    findings: Vec<Finding>,
    /// Findings beyond those listed.
    unlisted: u64,
}

impl Report {
    /// Whether everything was checked and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.refused.is_none() && self.findings.is_empty()
    }

    /// Why the directory was not checked, if it was not.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// What differs: the first 500.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How much differs.
    pub fn finding_count(&self) -> u64 {
        self.findings.len() as u64 + self.unlisted
    }

    /// What is worth knowing and no difference.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn find(&mut self, area: Area, text: impl Into<String>) {
        if self.findings.len() < MAX_LISTED {
            self.findings.push(Finding { area, text: text.into() });
        } else {
            self.unlisted += 1;
        }
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(refused) = &self.refused {
            return writeln!(f, "not checked: {refused}");
        }
        let or_none = |revision: Option<u64>| revision.map_or("none".to_owned(), |revision| revision.to_string());
        writeln!(f, "journal    {} entries, {} events, {} erased records", self.entries, self.events, self.erased)?;
        writeln!(f, "state      {} listings, {} index keys", self.listings, self.index_keys)?;
        writeln!(f, "snapshot   revision {}", or_none(self.snapshot_revision))?;
        writeln!(f, "detail     revision {}, {} values", or_none(self.detail_revision), self.detail_values)?;
        writeln!(f, "audit      {} frames", self.audit_frames)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.is_clean() {
            return writeln!(f, "clean: journal, state and detail agree");
        }
        for finding in &self.findings {
            writeln!(f, "{}: {}", finding.area.name(), finding.text)?;
        }
        if self.unlisted > 0 {
            writeln!(f, "and {} more", self.unlisted)?;
        }
        let mut areas: Vec<Area> = self.findings.iter().map(|finding| finding.area).collect();
        areas.sort_unstable();
        areas.dedup();
        for area in areas {
            writeln!(f, "what to do about {}: {}", area.name(), area.advice())?;
        }
        writeln!(f, "{} differences", self.finding_count())
    }
}

/// Checks the data directory of a hub that is not running. Holds its lock meanwhile.
pub fn run(data_dir: &Path, keyring: Arc<Keyring>) -> Report {
    let mut report = Report::default();
    match check(data_dir, &keyring, &mut report) {
        Ok(()) => {}
        Err(error) => report.refused = Some(error.to_string()),
    }
    report
}

/// An error means that there is nothing to check, or no leave to do it.
fn check(data_dir: &Path, keyring: &Arc<Keyring>, report: &mut Report) -> Result<(), OpenError> {
    if !data_dir.is_dir() {
        return Err(OpenError::Missing);
    }
    let fault = |what| move |source| OpenError::Io { what, source };
    let storage = FileStorage::open_dir(data_dir).map_err(fault("data directory"))?;
    check_format(&*storage)?;
    let _lock = lock(&*storage)?;
    check_audit(data_dir, report);
    let Some(slots) = open_slots(data_dir, keyring, report) else { return Ok(()) };
    let Some(log) = open_log(data_dir, "journal", LogPurpose::Journal, Area::Journal, report) else { return Ok(()) };
    let vault = Vault::new(Arc::new(log.clone()), &slots);
    let index_key = keyring.current(Purpose::Index);
    let prf = Prf::new(index_key.bytes());
    let snapshot = load_snapshot(data_dir, log.id(), index_key.key_epoch(), &prf, report);
    let at = snapshot.as_ref().map_or(0, |(_, resident)| resident.sequence);
    let fold = journal::verify(&log, &vault, &prf, at, report);
    report.listings = fold.resident.table.len() as u64;
    report.index_keys = fold.resident.index().len() as u64;
    if !fold.whole {
        report.note("snapshot and detail store were not compared: the journal does not fold to its end");
        return Ok(());
    }
    if let Some((name, resident)) = snapshot {
        check_snapshot(&name, resident, &fold, &vault, report);
    }
    detail::check(&data_dir.join(crate::detail::store::DIR), &fold, &vault, report);
    Ok(())
}

/// A sub-directory that is there; [`Storage::dir`] would make one.
fn existing(data_dir: &Path, name: &str) -> io::Result<Option<Arc<dyn Storage>>> {
    let path = data_dir.join(name);
    if path.is_dir() { FileStorage::open_dir(&path).map(Some) } else { Ok(None) }
}

fn open_slots(data_dir: &Path, keyring: &Arc<Keyring>, report: &mut Report) -> Option<Slots> {
    let opened = match existing(data_dir, "slots") {
        Ok(Some(storage)) => Slots::inspect(&*storage, keyring).map_err(|error| error.to_string()),
        Ok(None) => Err("the directory slots/ is missing".to_owned()),
        Err(error) => Err(format!("slots/ can't be opened: {error}")),
    };
    opened.map_err(|what| report.find(Area::Slots, what)).ok()
}

fn open_log(data_dir: &Path, name: &str, purpose: LogPurpose, area: Area, report: &mut Report) -> Option<LogReader> {
    let opened = match existing(data_dir, name) {
        Ok(Some(storage)) => SegmentedLog::inspect(storage, purpose).map_err(|error| error.to_string()),
        Ok(None) => Err(format!("the directory {name}/ is missing")),
        Err(error) => Err(format!("{name}/ can't be opened: {error}")),
    };
    match opened {
        Ok((reader, recovery)) => {
            if let Some(cut) = recovery.cut {
                report.note(format!(
                    "{name}: a torn tail of {} bytes in {}; nothing of it was acknowledged, the next start cuts it",
                    cut.bytes, cut.file
                ));
            }
            Some(reader)
        }
        Err(what) => {
            report.find(area, what);
            None
        }
    }
}

/// The audit log stands for itself: only its own chain is checked. A hub that never served has none.
fn check_audit(data_dir: &Path, report: &mut Report) {
    let there = match existing(data_dir, "audit") {
        Ok(Some(storage)) => SegmentedLog::exists(&*storage).unwrap_or(true),
        Ok(None) | Err(_) => false,
    };
    if !there {
        return;
    }
    let Some(log) = open_log(data_dir, "audit", LogPurpose::Audit, Area::Audit, report) else { return };
    match log.verify() {
        Ok(tail) => report.audit_frames = tail.sequence + 1 - log.first_sequence(),
        Err(error) => report.find(Area::Audit, error.to_string()),
    }
}

/// The newest snapshot that loads, by name.
fn load_snapshot(
    data_dir: &Path,
    epoch: [u8; 16],
    key_epoch: u32,
    prf: &Prf,
    report: &mut Report,
) -> Option<(String, Resident)> {
    let listed = existing(data_dir, "snapshots").and_then(|found| match found {
        Some(storage) => {
            snapshot_names(&*storage).map(|names| names.into_iter().map(|name| (name, storage.clone())).collect())
        }
        None => Ok(Vec::new()),
    });
    let snapshots = match listed {
        Ok(snapshots) => snapshots,
        Err(error) => {
            report.find(Area::Snapshot, format!("snapshots/ can't be read: {error}"));
            return None;
        }
    };
    for (name, storage) in snapshots.into_iter().rev() {
        match load_one(&*storage, &name, epoch, key_epoch, prf) {
            Ok(resident) => {
                report.snapshot_revision = Some(resident.revision);
                return Some((name, resident));
            }
            // Left by another version: a start passes it over, and nothing is wrong with it.
            Err(error @ SnapshotError::Format(_)) => report.note(format!("{name}: {error}: it is passed over")),
            Err(error) => report.find(Area::Snapshot, format!("{name}: {error}")),
        }
    }
    report.note("there is no snapshot: the next start reads the whole journal");
    None
}

/// Brings a snapshot to the journal's end, as a start does, and compares.
fn check_snapshot(name: &str, mut resident: Resident, fold: &Fold, vault: &Vault, report: &mut Report) {
    if resident.sequence > fold.resident.sequence {
        let text = format!("{name}: is ahead of the journal: an older journal was put back");
        return report.find(Area::Snapshot, text);
    }
    if resident.sequence > 0 && fold.chain_at_snapshot != Some(resident.chain) {
        return report.find(Area::Snapshot, format!("{name}: was made from another journal"));
    }
    if let Err(error) = replay(&mut resident, vault) {
        return report.find(Area::Snapshot, format!("{name}: the journal's tail does not fold onto it: {error}"));
    }
    for difference in compare(&fold.resident, &resident) {
        report.find(Area::Snapshot, format!("{name}: {difference}"));
    }
}

#[cfg(test)]
mod tests;
