//! The ledger: one handle over journal, state in memory and detail store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot, watch};
use xinhub_domain::listing::State;
use xinhub_domain::policy::{DetailPermit, Rules};
use xinhub_domain::time::Timestamp;
use xinhub_index::Index;

use crate::background::yield_to_others;
use crate::clock::{Clock, ClockGuard};
use crate::command::{CommandError, Outcome, Request};
use crate::crypto::{self, Prf};
use crate::detail::{Detail, DetailError, DetailStore};
use crate::journal::Journal;
use crate::keys::{KeyError, Keyring, Purpose};
use crate::recovery::{self, RecoveryError};
use crate::resident::Resident;
use crate::resident::before::Before;
use crate::seglog::{LogConfig, LogError, LogPurpose, MAX_PAYLOAD_BYTES, SegmentedLog};
use crate::slots::SlotError;
use crate::storage::{FileStorage, OpenMode, Storage, StorageLock};
use crate::vault::{Slots, Vault};
use crate::writer::{Job, LULL, Published, Queue, Writer};
use xinhub_domain::position::{BadToken, Position};

mod complete;
mod importing;
mod probe;
mod remedy;
mod replication;
mod saver;
mod staged;
mod statistics;
mod subject;

pub use complete::{Named, Unnamed};
pub use importing::Importing;
pub use probe::{Found, Match};
pub use remedy::{DeadlineView, DutyView, PetitionFilter, PetitionStep, PetitionView};
pub use replication::{Audience, KeyChange, Mark, Told, Touched};
use saver::{Saver, Saving};
pub use staged::StagedView;
pub use statistics::{Announcement, Count, DutyCount};
pub use subject::{DeferralView, SubjectListing, SubjectView};

/// The format of the data directory.
const DIRECTORY_FORMAT: &str = "xinhub-data;format=1\n";
/// Status shows the bytes of the listing table in steps of this: who may not be shown an entry can't weigh it either.
const TABLE_BYTES_STEP: usize = 64 << 10;
/// How long a read waits for a revision.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);
/// Rows that are looked through in one go.
const SCAN_ROWS: usize = 16_384;
/// Tries of a consistent read before it holds the writer up.
const OPTIMISTIC_TRIES: usize = 3;

/// Where the ledger keeps its files, and how much.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The keys, apart from the data.
    pub keys_dir: PathBuf,
    /// Bytes of one journal segment.
    pub segment_bytes: u64,
    /// Bytes of details that stay decoded in memory.
    pub detail_cache_bytes: u64,
    /// A snapshot is written once so many events have come since the last.
    pub snapshot_every_events: u64,
    /// What deadlines are counted by, until [`Ledger::set_rules`].
    pub rules: Arc<Rules>,
    /// The largest entry that the journal takes; smaller only where a test's disk is small.
    #[doc(hidden)]
    pub max_payload_bytes: usize,
    /// For how long rows of imports wait behind a lift; shorter only where a test takes many steps.
    #[doc(hidden)]
    pub lull: Duration,
}

impl Settings {
    /// The defaults for two directories.
    pub fn new(data_dir: impl Into<PathBuf>, keys_dir: impl Into<PathBuf>) -> Settings {
        Settings {
            data_dir: data_dir.into(),
            keys_dir: keys_dir.into(),
            segment_bytes: 64 << 20,
            detail_cache_bytes: 64 << 20,
            snapshot_every_events: 500_000,
            rules: Arc::default(),
            max_payload_bytes: MAX_PAYLOAD_BYTES,
            lull: LULL,
        }
    }
}

/// Why a ledger can't be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is a ledger already.
    #[error("the data directory holds a ledger already: `init` never overwrites one")]
    Exists,
    /// There is none.
    #[error("the data directory holds no ledger: run `xinhubd init` first")]
    Missing,
    /// Another process has it.
    #[error("the data directory is in use: another xinhubd runs on it")]
    Locked,
    /// A newer hub has written it.
    #[error("the data directory was written by a newer format than this build knows: run the version that wrote it")]
    NewerFormat,
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The journal.
    #[error("journal: {0}")]
    Log(#[from] LogError),
    /// The slot files.
    #[error(transparent)]
    Slots(#[from] SlotError),
    /// The state can't be built.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// What was due could not be recorded.
    #[error("what the clock has brought could not be recorded: {0}")]
    Tick(CommandError),
}

fn io_error(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}

/// A point in time cannot be answered at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// The token is none.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// The token is of another history.
    #[error(
        "consistency.at_least: the token is of another epoch: the hub's history was rewound; start over without it"
    )]
    OtherEpoch,
    /// Not there within two seconds.
    #[error("the hub has not reached that state yet; try again in a moment")]
    NotYet,
}

/// What an operator sees.
#[derive(Clone, Debug)]
pub struct Status {
    /// The history.
    pub position: Position,
    /// The chain hash over all entries.
    pub chain: [u8; 32],
    /// How many lifts there were.
    pub lift_seq: u64,
    /// Keys in the index.
    pub index_keys: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Listings, ended ones included, without those that only the subject's own unit may be shown.
    pub listings: u64,
    /// Bytes of the listing table, in steps: one listing more or less doesn't show.
    pub table_bytes: u64,
    /// The revision that the detail store has reached.
    pub detail_revision: u64,
    /// Bytes of the details that lie decoded in memory; none of them is of a listing that only the subject's own unit may be shown.
    pub detail_cache_bytes: u64,
    /// Time events are frozen.
    pub clock_frozen: bool,
    /// What an operator must see to: name and text.
    pub alarms: Vec<(&'static str, String)>,
}

/// The ledger. Cheap to clone; every method may be called from any thread.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ledger").field(&self.position()).finish()
    }
}

struct Inner {
    vault: Vault,
    resident: Arc<RwLock<Resident>>,
    index: Index,
    before: Arc<Before>,
    prf: Prf,
    gate: Arc<RwLock<()>>,
    generation: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    lifts: mpsc::Sender<Job>,
    others: mpsc::Sender<Job>,
    published: watch::Receiver<Published>,
    detail: DetailStore,
    snapshots: Arc<dyn Storage>,
    key_epoch: u32,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop_snapshots: watch::Sender<Saving>,
    /// Given back by `shutdown`, when nothing can write any more.
    lock: Mutex<Option<StorageLock>>,
}

/// What a ledger is opened on.
struct Parts {
    storage: Arc<dyn Storage>,
    keyring: Arc<Keyring>,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl Ledger {
    /// Makes an empty ledger: `xinhubd init`. Keys must be there.
    pub fn create(settings: &Settings) -> Result<(), OpenError> {
        let storage = FileStorage::open_dir(&settings.data_dir).map_err(io_error("data directory"))?;
        let keyring = Arc::new(Keyring::load(&settings.keys_dir)?);
        Self::create_on(&*storage, &keyring, settings)
    }

    /// [`Ledger::create`] on any storage.
    #[doc(hidden)]
    pub fn create_on(storage: &dyn Storage, keyring: &Arc<Keyring>, settings: &Settings) -> Result<(), OpenError> {
        let _lock = lock(storage)?;
        if storage.open("FORMAT", OpenMode::ReadOnly).is_ok() {
            return Err(OpenError::Exists);
        }
        let dir = |name| storage.dir(name).map_err(io_error("data directory"));
        let journal = dir("journal")?;
        if !SegmentedLog::exists(&*journal)? {
            SegmentedLog::create(journal, log_config(settings), crypto::random())?;
        }
        // A crash between here and the end leaves a journal and slot files without a FORMAT: they are empty, and serve as well.
        Slots::create(&*dir("slots")?, keyring)?;
        dir("snapshots")?;
        dir("staging")?;
        write_format(storage).map_err(io_error("FORMAT"))
    }

    /// Opens a ledger after a clean stop or a kill. Answers are ready when this returns; detail may still be catching up.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Ledger, OpenError> {
        if !settings.data_dir.is_dir() {
            return Err(OpenError::Missing);
        }
        let storage = FileStorage::open_dir(&settings.data_dir).map_err(io_error("data directory"))?;
        let keyring = Arc::new(Keyring::load(&settings.keys_dir)?);
        Self::open_on(storage, keyring, settings, clock)
    }

    /// [`Ledger::open`] on any storage; the detail store lies under `settings.data_dir` in any case.
    #[doc(hidden)]
    pub fn open_on(
        storage: Arc<dyn Storage>,
        keyring: Arc<Keyring>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Ledger, OpenError> {
        let lock = lock(&*storage)?;
        check_format(&*storage)?;
        // An `init` that was killed, or whose last sync failed, may have left a name that only the page cache knows.
        storage.sync_dir().map_err(io_error("data directory"))?;
        let dir = |name| storage.dir(name).map_err(io_error("data directory"));
        let (log, recovery) = SegmentedLog::open(dir("journal")?, log_config(&settings))?;
        if let Some(cut) = &recovery.cut {
            tracing::warn!(?cut, "a torn tail was cut from the journal: nothing of it was ever acknowledged");
        }
        let epoch = log.id();
        let parts = Parts { storage, keyring, settings, clock };
        Self::start(parts, lock, Box::new(log), epoch)
    }

    fn start(parts: Parts, lock: StorageLock, journal: Box<dyn Journal>, epoch: [u8; 16]) -> Result<Ledger, OpenError> {
        let Parts { storage, keyring, settings, clock } = parts;
        let dir = |name| storage.dir(name).map_err(io_error("data directory"));
        let slots = Slots::open(&*dir("slots")?, &keyring)?;
        let vault = Vault::new(journal.reader(), &slots);
        let index_key = keyring.current(Purpose::Index);
        let (prf, key_epoch) = (Prf::new(index_key.bytes()), index_key.key_epoch());
        let (snapshots, reader) = (dir("snapshots")?, journal.reader());
        let mut resident = recovery::load_snapshot(&*snapshots, &*reader, journal.tail(), epoch, key_epoch, &prf)
            .map_err(io_error("snapshots"))?;
        let snapshot_revision = resident.revision;
        let replayed = recovery::replay(&mut resident, &vault)?;
        tracing::info!(revision = resident.revision, replayed, "the state is loaded");
        let (index, before) = (resident.index(), resident.before());
        let (published_tx, published) = watch::channel(Published::of(&resident, &*clock));
        let resident = Arc::new(RwLock::new(resident));
        let (gate, generation) = (Arc::new(RwLock::new(())), Arc::new(AtomicU64::new(0)));
        let (lifts, others, queue) = Queue::new();
        let mut writer = Writer {
            journal: Some(journal),
            flight: None,
            spent: Vec::new(),
            landing: Arc::default(),
            payload: Vec::new(),
            slots,
            vault: vault.clone(),
            resident: Arc::clone(&resident),
            gate: Arc::clone(&gate),
            generation: Arc::clone(&generation),
            guard: ClockGuard::new(&*clock),
            ticked: Timestamp(0),
            clock: Arc::clone(&clock),
            rules: Arc::clone(&settings.rules),
            request_key: *crypto::derive(index_key.bytes(), &[b"request body"]),
            key_epoch,
            // A quarter is left for what stands beside the bodies.
            max_entry_bytes: settings.max_payload_bytes / 4 * 3,
            published: published_tx,
            queue,
            lull: settings.lull,
        };
        // What fell due while the hub was down is recorded before anything is answered.
        writer.first_tick().map_err(|_| OpenError::Tick(CommandError::Storage))?;
        let detail = DetailStore::open(
            &settings.data_dir.join(crate::detail::store::DIR),
            epoch,
            vault.clone(),
            Arc::clone(&resident),
            published.clone(),
            settings.detail_cache_bytes,
        );
        let (stop_snapshots, stop) = watch::channel(Saving::Regularly);
        let ledger = Ledger(Arc::new(Inner {
            vault: vault.clone(),
            resident,
            index,
            before,
            prf,
            gate,
            generation,
            clock,
            lifts,
            others,
            published,
            detail,
            snapshots,
            key_epoch,
            threads: Mutex::new(Vec::new()),
            stop_snapshots,
            lock: Mutex::new(Some(lock)),
        }));
        ledger.spawn(writer, stop, snapshot_revision, settings.snapshot_every_events)?;
        Ok(ledger)
    }

    fn spawn(
        &self,
        writer: Writer,
        stop: watch::Receiver<Saving>,
        snapshot_revision: u64,
        every_events: u64,
    ) -> Result<(), OpenError> {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        let (writing, saving) = (runtime().map_err(io_error("runtime"))?, runtime().map_err(io_error("runtime"))?);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let write = thread("ledger-writer").spawn(move || drop(writing.block_on(writer.run())));
        let saver = Saver {
            published: self.0.published.clone(),
            others: self.0.others.clone(),
            snapshots: Arc::clone(&self.0.snapshots),
            key_epoch: self.0.key_epoch,
            saved: snapshot_revision,
            every_events,
        };
        let save = thread("ledger-snapshot").spawn(move || {
            yield_to_others();
            saving.block_on(saver.run(stop));
        });
        let mut threads = self.0.threads.lock();
        // The order in which `shutdown` joins them: the last snapshot needs the writer.
        threads.push(save.map_err(io_error("thread"))?);
        threads.push(write.map_err(io_error("thread"))?);
        Ok(())
    }

    /// Where the history stands.
    pub fn position(&self) -> Position {
        self.0.published.borrow().position
    }

    /// How many lifts there were. A lift counts here before its court is told that it is done: an answer read before and
    /// given while this number stands is from before no acknowledged lift.
    pub fn lift_seq(&self) -> u64 {
        self.0.published.borrow().lift_seq
    }

    /// Waits, at most 2 s, until the state is at least as new as a token.
    pub async fn reached(&self, token: &[u8]) -> Result<(), ReachError> {
        let (epoch, revision) = Position::parse_token(token)?;
        let mut published = self.0.published.clone();
        if published.borrow().position.epoch != epoch {
            return Err(ReachError::OtherEpoch);
        }
        let there = published.wait_for(|published| published.position.revision >= revision);
        match tokio::time::timeout(REACH_TIMEOUT, there).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReachError::NotYet),
        }
    }

    /// Reads at one revision: again if a commit came between, and after three tries between two commits.
    pub fn consistent<T>(&self, mut read: impl FnMut() -> T) -> (T, Position) {
        for _ in 0..OPTIMISTIC_TRIES {
            let before = self.0.generation.load(Ordering::Acquire);
            if !before.is_multiple_of(2) {
                // An entry is becoming visible: wait for it.
                break;
            }
            let position = self.position();
            let out = read();
            // What was read before is not read after this.
            fence(Ordering::Acquire);
            if self.0.generation.load(Ordering::Relaxed) == before {
                return (out, position);
            }
        }
        let _open = self.0.gate.read();
        let position = self.position();
        (read(), position)
    }

    /// A listing in detail, for confirming a name on a hit.
    ///
    /// Reading it for a caller needs [`Ledger::listing`] and its permit.
    pub fn detail(&self, listing: u64) -> Result<Option<Arc<Detail>>, DetailError> {
        self.0.detail.listing(listing)
    }

    /// A listing in detail, for a caller. A court sees its own only; another's is as if it were not there.
    pub fn listing(&self, permit: &DetailPermit, listing: u64) -> Result<Option<Arc<Detail>>, DetailError> {
        let detail = self.0.detail.listing(listing)?;
        Ok(detail.filter(|detail| permit.reads(&detail.court).is_ok()))
    }

    /// Listings of the permit's own court after a number, by number.
    pub fn listings_of_court(
        &self,
        court: &str,
        after: u64,
        limit: usize,
        states: &[State],
    ) -> Result<Vec<Arc<Detail>>, DetailError> {
        let mut numbers = Vec::with_capacity(limit.min(SCAN_ROWS));
        let mut from = u32::try_from(after).unwrap_or(u32::MAX);
        // Part by part, so that neither the writer nor, behind it, those who ask wait for a long list to be looked through.
        while numbers.len() < limit {
            let resident = self.0.resident.read();
            let Some(court) = resident.courts.find(court) else { break };
            let len = resident.table.len() as u32;
            if from >= len {
                break;
            }
            let to = len.min(from.saturating_add(SCAN_ROWS as u32));
            let rows = (from..to).filter(|row| {
                let listing = resident.table.row(*row);
                let state = listing.state();
                u32::from(listing.court) == court
                    && state.is_some_and(|state| states.is_empty() || states.contains(&state))
            });
            numbers.extend(rows.take(limit - numbers.len()).map(|row| u64::from(row) + 1));
            from = to;
        }
        let details = numbers.into_iter().map(|number| self.0.detail.listing(number));
        details.filter_map(Result::transpose).collect()
    }

    /// The court that a listing belongs to.
    pub fn court_of(&self, listing: u64) -> Option<String> {
        let resident = self.0.resident.read();
        let row = resident.table.row_of(listing)?;
        Some(resident.courts.name(resident.table.row(row).court).to_owned())
    }

    /// The clients that were answered adversely on a listing.
    pub fn disclosed_to(&self, listing: u64) -> Vec<String> {
        let resident = self.0.resident.read();
        let extra = resident.table.row_of(listing).and_then(|row| resident.table.extra(row));
        let clients = extra.map_or(&[][..], |extra| &extra.rest.disclosed_to);
        clients.iter().map(|client| resident.clients.name(*client).to_owned()).collect()
    }

    /// A mutation; returns once it is durable and visible.
    pub async fn submit(&self, request: Request) -> Result<Outcome, CommandError> {
        let lift = request.act.is_lift();
        let (reply, answer) = oneshot::channel();
        let job = Job::Command(Box::new(request), reply);
        if lift {
            // A lift is never turned away because others wait.
            self.0.lifts.send(job).await.map_err(|_| self.stopped())?;
        } else {
            self.0.others.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => CommandError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => self.stopped(),
            })?;
        }
        answer.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    /// Records that a client was answered adversely on these listings; returns once it is durable.
    pub async fn disclose(&self, client: &Arc<str>, listings: &[u64]) -> Result<(), CommandError> {
        if self.is_disclosed(client, listings) {
            return Ok(());
        }
        let (client, listings) = (Arc::clone(client), listings.to_vec());
        self.queued(|reply| Job::Disclose { client, listings, reply }).await
    }

    fn is_disclosed(&self, client: &str, listings: &[u64]) -> bool {
        let resident = self.0.resident.read();
        let Some(client) = resident.clients.find(client) else { return listings.is_empty() };
        listings.iter().all(|listing| {
            let extra = resident.table.row_of(*listing).and_then(|row| resident.table.extra(row));
            extra.is_some_and(|extra| extra.rest.disclosed_to.contains(&client))
        })
    }

    /// Records a configuration text that came into force, unless it is in force already.
    pub async fn configure(&self, name: &str, text: &str) -> Result<(), CommandError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.queued(|reply| Job::Configure { name, text, reply }).await
    }

    /// Counts deadlines that begin from now on by these rules; those that run keep their day.
    pub async fn set_rules(&self, rules: Arc<Rules>) {
        let _ = self.0.others.send(Job::Rules(rules)).await;
    }

    async fn queued<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, CommandError>>) -> Job,
    ) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.0.others.send(job(reply)).await.map_err(|_| self.stopped())?;
        answer.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn stopped(&self) -> CommandError {
        if self.0.published.borrow().failed { CommandError::Storage } else { CommandError::Stopping }
    }

    /// An operator accepts the wall clock as it is.
    pub async fn accept_clock(&self) {
        let _ = self.0.others.send(Job::AcceptClock).await;
    }

    /// What an operator sees.
    pub fn status(&self) -> Status {
        let published = self.0.published.borrow().clone();
        let mut alarms = Vec::new();
        if let Some(fault) = published.clock_fault {
            alarms.push(("clock_unsure", fault.to_string()));
        }
        if published.full {
            alarms.push(("journal_full", CommandError::Full.to_string()));
        }
        if published.failed {
            alarms.push(("journal_failed", CommandError::Storage.to_string()));
        }
        // It has work of its own, for which nobody who waits for the state should wait.
        let detail_cache_bytes = self.0.detail.cache_bytes();
        let resident = self.0.resident.read();
        Status {
            position: published.position,
            chain: published.chain,
            lift_seq: published.lift_seq,
            index_keys: self.0.index.len() as u64,
            index_bytes: self.0.index.memory_bytes() as u64,
            listings: resident.table.len_shown() as u64,
            table_bytes: resident.table.shown_bytes().next_multiple_of(TABLE_BYTES_STEP) as u64,
            detail_revision: self.0.detail.applied_revision(),
            detail_cache_bytes,
            clock_frozen: published.clock_fault.is_some(),
            alarms,
        }
    }

    /// Resolves when the journal has failed, or the writer has ended otherwise than by [`Ledger::shutdown`]: the process has to
    /// exit, and the next start recovers.
    pub async fn failed(&self) {
        let mut published = self.0.published.clone();
        let gone = published.wait_for(|published| published.failed).await.is_err();
        if gone && published.borrow().stopped {
            std::future::pending::<()>().await;
        }
    }

    /// Stops after what is queued, but for rows of imports that wait behind a lift; writes a snapshot and joins the threads. Blocks.
    ///
    /// The last handle that goes without this does the same, but for the snapshot: the next start reads more of the journal.
    pub fn shutdown(&self) {
        self.0.stop(Saving::OnceMore);
    }

    /// Looks at the state in memory, for checks.
    #[doc(hidden)]
    pub fn inspect<T>(&self, look: impl FnOnce(&Resident) -> T) -> T {
        look(&self.0.resident.read())
    }
}

impl Inner {
    /// Joins every thread before the directory is unlocked: until then one of them may be writing to it.
    fn stop(&self, saving: Saving) {
        let _ = self.stop_snapshots.send(saving);
        // Held to the end, so that whoever comes second does not return before it.
        let mut threads = self.threads.lock();
        let mut running = std::mem::take(&mut *threads).into_iter();
        if let Some(saver) = running.next() {
            let _ = saver.join();
        }
        // A full queue only means that the writer is busy.
        let mut stop = Job::Stop;
        while let Err(mpsc::error::TrySendError::Full(job)) = self.others.try_send(stop) {
            stop = job;
            std::thread::sleep(Duration::from_millis(5));
        }
        for thread in running {
            let _ = thread.join();
        }
        self.detail.stop();
        self.lock.lock().take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop(Saving::NoMore);
    }
}

pub(crate) fn lock(storage: &dyn Storage) -> Result<StorageLock, OpenError> {
    storage.lock("LOCK").map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked,
        _ => OpenError::Io { what: "LOCK", source: error },
    })
}

/// Last, and with its bytes before its name: a directory with a FORMAT is complete.
fn write_format(storage: &dyn Storage) -> io::Result<()> {
    const NEW: &str = "FORMAT.new";
    match storage.remove(NEW) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = storage.open(NEW, OpenMode::CreateNew)?;
    file.write_at(DIRECTORY_FORMAT.as_bytes(), 0)?;
    file.sync_data()?;
    storage.rename(NEW, "FORMAT")?;
    storage.sync_dir()
}

pub(crate) fn check_format(storage: &dyn Storage) -> Result<(), OpenError> {
    let file = match storage.open("FORMAT", OpenMode::ReadOnly) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing),
        opened => opened.map_err(io_error("FORMAT"))?,
    };
    let length = usize::try_from(file.len().map_err(io_error("FORMAT"))?).unwrap_or(usize::MAX).min(256);
    let mut text = vec![0; length];
    file.read_at(&mut text, 0).map_err(io_error("FORMAT"))?;
    if text == DIRECTORY_FORMAT.as_bytes() { Ok(()) } else { Err(OpenError::NewerFormat) }
}

fn log_config(settings: &Settings) -> LogConfig {
    let (segment_bytes, max_payload_bytes) = (settings.segment_bytes, settings.max_payload_bytes);
    LogConfig { segment_bytes, max_payload_bytes, ..LogConfig::new(LogPurpose::Journal) }
}
