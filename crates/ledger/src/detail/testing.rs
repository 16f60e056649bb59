//! A hub's files on a real disk, for tests of the detail store and of `fsck`: made through a ledger, then looked at alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;
use xinhub_domain::listing::{Exemption, RecordKind};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::Timestamp;

use super::store::Store;
use super::{Detail, DetailError, DetailStore};
use crate::clock::manual::ManualClock;
use crate::command::{Command, Outcome};
use crate::crypto::Prf;
use crate::journal::Journal;
use crate::keys::{Keyring, Purpose};
use crate::ledger::{Ledger, Settings};
use crate::recovery;
use crate::resident::Resident;
use crate::seglog::{LogConfig, LogPurpose, SegmentedLog};
use crate::slots::SlotFile;
use crate::storage::{FileStorage, Storage};
use crate::testing::*;
use crate::vault::{Slots, Vault};
use crate::writer::Published;
use xinhub_domain::position::Position;

/// A data directory.
pub(crate) struct Disk {
    pub(crate) _dir: tempfile::TempDir,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<ManualClock>,
}

impl Disk {
    /// With an empty ledger.
    pub(crate) fn new() -> Disk {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(dir.path().join("data"), "unused");
        settings.segment_bytes = 64 << 10;
        let keyring = Arc::new(Keyring::ephemeral());
        let disk = Disk { _dir: dir, keyring, settings, clock: Arc::new(ManualClock::at(start())) };
        Ledger::create_on(&*disk.storage(), &disk.keyring, &disk.settings).unwrap();
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        &self.settings.data_dir
    }

    pub(crate) fn detail_dir(&self) -> PathBuf {
        self.path().join("detail")
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        FileStorage::open_dir(self.path()).unwrap()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let clock = Arc::clone(&self.clock);
        Ledger::open_on(self.storage(), Arc::clone(&self.keyring), self.settings.clone(), clock).unwrap()
    }

    /// Runs a ledger on it, waits until its detail store has followed, and stops it.
    pub(crate) async fn run<F: Future<Output = Ledger>>(&self, work: impl FnOnce(Ledger) -> F) {
        let ledger = work(self.ledger()).await;
        let revision = ledger.position().revision;
        eventually("the store follows", || (ledger.status().detail_revision >= revision).then_some(()));
        ledger.shutdown();
    }

    /// The same files in another place.
    pub(crate) fn copy(&self) -> Disk {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.path(), &dir.path().join("data"));
        let settings = Settings { data_dir: dir.path().join("data"), ..self.settings.clone() };
        Disk { _dir: dir, keyring: Arc::clone(&self.keyring), settings, clock: Arc::clone(&self.clock) }
    }

    /// The same files but for the detail store, in another place.
    pub(crate) fn copy_without_detail(&self) -> Disk {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        for entry in fs::read_dir(self.path()).unwrap() {
            let name = entry.unwrap().file_name();
            let (from, to) = (self.path().join(&name), data_dir.join(&name));
            if name != "detail" && from.is_dir() {
                copy_dir(&from, &to);
            } else if name != "detail" {
                fs::create_dir_all(&data_dir).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        let settings = Settings { data_dir, ..self.settings.clone() };
        Disk { _dir: dir, keyring: Arc::clone(&self.keyring), settings, clock: Arc::clone(&self.clock) }
    }

    /// Puts another hub's detail store into the place of this one's.
    pub(crate) fn take_detail_of(&self, other: &Disk) {
        fs::remove_dir_all(self.detail_dir()).unwrap();
        copy_dir(&other.detail_dir(), &self.detail_dir());
    }

    /// Looks into the closed store, or changes it.
    pub(crate) fn with_store<T>(&self, work: impl FnOnce(&Store) -> T) -> T {
        let store = Store::open(&self.detail_dir()).unwrap();
        let done = work(&store);
        store.close();
        done
    }

    /// Destroys a record's key.
    pub(crate) fn erase(&self, kind: RecordKind, number: u64) {
        let name = match kind {
            RecordKind::Listing => "listing.slots",
            RecordKind::Relation => "relation.slots",
            RecordKind::Exemption => "exemption.slots",
            RecordKind::Petition => "petition.slots",
            RecordKind::Import => "import.slots",
            RecordKind::Hub => panic!("no slots"),
        };
        let storage = self.storage().dir("slots").unwrap();
        SlotFile::open(&*storage, name, Arc::clone(&self.keyring)).unwrap().erase(number).unwrap();
    }

    /// The files of a stopped hub, and the state that they come to.
    pub(crate) fn open(&self) -> Files {
        let storage = self.storage();
        let config = LogConfig { segment_bytes: self.settings.segment_bytes, ..LogConfig::new(LogPurpose::Journal) };
        let (journal, _) = SegmentedLog::open(storage.dir("journal").unwrap(), config).unwrap();
        let slots = Slots::open(&*storage.dir("slots").unwrap(), &self.keyring).unwrap();
        let vault = Vault::new(Journal::reader(&journal), &slots);
        let prf = Prf::new(self.keyring.current(Purpose::Index).bytes());
        let mut resident = Resident::new(journal.id(), prf);
        recovery::replay(&mut resident, &vault).unwrap();
        Files { dir: self.detail_dir(), vault, resident: Arc::new(RwLock::new(resident)) }
    }

    /// A detail store alone on the files of a stopped hub.
    pub(crate) fn alone(&self) -> Alone {
        self.open().follow()
    }
}

/// The files of a stopped hub.
pub(crate) struct Files {
    dir: PathBuf,
    pub(crate) vault: Vault,
    pub(crate) resident: Arc<RwLock<Resident>>,
}

impl Files {
    /// Starts a detail store over them.
    pub(crate) fn follow(self) -> Alone {
        let published = {
            let resident = self.resident.read();
            Published {
                position: Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at },
                sequence: resident.sequence,
                chain: resident.chain,
                lift_seq: resident.lift_seq,
                lull_until: None,
                clock_fault: None,
                agreed: (start(), 0),
                full: false,
                failed: false,
                stopped: false,
            }
        };
        let (writer, published) = watch::channel(published);
        let epoch = self.resident.read().epoch;
        let resident = Arc::clone(&self.resident);
        let detail = DetailStore::open(&self.dir, epoch, self.vault, resident, published, 1 << 20);
        Alone { detail, resident: self.resident, _writer: writer }
    }
}

/// A detail store without its hub.
pub(crate) struct Alone {
    pub(crate) detail: DetailStore,
    pub(crate) resident: Arc<RwLock<Resident>>,
    _writer: watch::Sender<Published>,
}

impl Alone {
    /// The listing's detail, once the store has it.
    pub(crate) fn listing(&self, number: u64) -> Option<Arc<Detail>> {
        eventually("the listing is there", || match self.detail.listing(number) {
            Ok(found) => Some(found),
            Err(DetailError::CatchingUp) => None,
            Err(error) => panic!("{error}"),
        })
    }

    /// All listings.
    pub(crate) fn all(&self) -> Vec<Option<Arc<Detail>>> {
        let count = self.resident.read().table.len() as u64;
        (1..=count).map(|number| self.listing(number)).collect()
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Submits a command of court one, with the etag of the moment.
pub(crate) async fn submit(ledger: &Ledger, command: Command) -> Outcome {
    let etag = command.listing().and_then(|number| {
        ledger.inspect(|resident| Some(resident.table.row(resident.table.row_of(number)?).revision()))
    });
    ledger.submit(request("court-one", "j-1", etag, command)).await.unwrap()
}

pub(crate) async fn publish(ledger: &Ledger, content: Box<xinhub_domain::listing::Content>) -> u64 {
    submit(ledger, Command::Publish { listing: None, content, application: None }).await.listing
}

pub(crate) fn exemption(who: u16) -> Box<Exemption> {
    Box::new(Exemption {
        identity: identity(&person(who)),
        measures: vec!["consumption.hotel".to_owned()],
        items: Vec::new(),
        from: start(),
        until: Timestamp(start().0 + 86_400_000),
        ground: "illness".to_owned(),
        approver: "president".to_owned(),
    })
}

/// Four listings: a person in force with an ended and a running exemption; an organisation with an ended and a running
/// relation; a person in grace; a person removed.
pub(crate) async fn history(ledger: Ledger) -> Ledger {
    let first = publish(&ledger, content(&draft(person(1), 1))).await;
    let second = publish(&ledger, content(&draft(organisation(1), 2))).await;
    let mut in_grace = draft(person(2), 3);
    in_grace.decision.as_mut().unwrap().grace_days = 30;
    publish(&ledger, content(&in_grace)).await;
    let fourth = publish(&ledger, content(&draft(person(3), 4))).await;
    for _ in 0..2 {
        submit(&ledger, Command::Exempt { listing: first, exemption: exemption(1) }).await;
    }
    submit(&ledger, Command::EndExemption { listing: first, exemption: 1 }).await;
    for (who, how) in [(5, Relation::LegalRepresentative), (6, Relation::ActualController)] {
        let relation = relation(person(who), how, "");
        submit(&ledger, Command::SetRelation { listing: second, relation }).await;
    }
    let end = Command::EndRelation { listing: second, relation: 1, basis_document: "doc".to_owned() };
    submit(&ledger, end).await;
    submit(&ledger, Command::Remove { listing: fourth, ground: "performed".to_owned() }).await;
    ledger.configure("catalogue", "synthetic").await.unwrap();
    ledger.disclose(&"bank".into(), &[first, second]).await.unwrap();
    ledger
}
