//! A replica: what the caller's audience may be told of, in the caller's own process.
//!
//! Promises: it follows by itself until it is dropped, through lost connections, renewed certificates and restarts on either side;
//! what it shows was checked whole before; a lift is applied and confirmed as it comes, and nothing that comes later by another
//! way brings a lifted entry back. It speaks against nobody whom it can't prove to be listed still: an adverse answer is given under
//! a lease alone, and has its place in the records ([`records`]) before it is given. Everything else it asks of the hub.

mod answer;
mod batch;
mod clock;
mod follow;
mod held;
mod records;
mod session;
#[cfg(feature = "faults")]
pub mod simulated;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use xinhub_api::convert::{self, Inquiry};
use xinhub_api::v1;
use xinhub_domain::decision::{Answer, FieldMask};
use xinhub_domain::measure::{Catalogue, Measure, MeasureId};
use xinhub_domain::position::Position;
use xinhub_domain::time::Timestamp;
use xinhub_index::Prf;

use crate::{Error, Hub};
use clock::Clock;
use held::{Held, View};
use records::Records;

use xinhub_api::v1::ReplicaReach;

/// Past this without a word from the hub nothing is answered from here.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// How long a replica that is closed waits for the hub to read what it has confirmed, and to take what it reports.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// A lease ends where wall and boot clock have parted by more than this since the ping that it rests on.
const MAX_PARTED_MS: i64 = 1_000;

/// How a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaState {
    /// It holds the list and may answer from it.
    pub synced: bool,
    /// The history that it follows.
    pub epoch: [u8; 16],
    /// How far it has applied all changes.
    pub revision: u64,
    /// How far it has applied lifts: at least as far.
    pub lift_seq: u64,
    /// How far the hub was by its last beat.
    pub hub_revision: u64,
    /// How far it is proved that what it holds is what the hub has told, by the digests of both; 0 of a filter, which has none.
    pub compared_revision: u64,
    /// How often it was not, or what the hub sent could not be taken again and again. Each time the list was fetched anew; each is a fault to
    /// be looked into, here or at the hub.
    pub alarms: u64,
    /// How many keys have an entry; of a filter, how many came since it was made.
    pub entries: u64,
    /// What it takes in memory, in bytes.
    pub memory_bytes: u64,
    /// Answers of its own that the hub does not have on record yet.
    pub unreported: u64,
    /// How much of the snapshot that it begins with is here, in bytes.
    pub fetched_bytes: u64,
    /// The size of that snapshot, in bytes; 0 where none was fetched, as the directory held the list.
    pub snapshot_bytes: u64,
    /// When the hub last said that this is all, in milliseconds of the boot clock.
    pub heard_ms: u64,
    /// Until when its lease lasts, in milliseconds of the boot clock: so long the hub waits for it at every lift.
    pub lease_until_ms: u64,
    /// Why it does not follow just now. It tries again by itself.
    pub trouble: Option<String>,
}

impl ReplicaState {
    /// How long ago the hub last said that this is all.
    pub fn age(&self) -> Duration {
        Duration::from_millis(Clock::default().boot_ms().saturating_sub(self.heard_ms))
    }

    /// How long its lease still lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_until_ms.saturating_sub(Clock::default().boot_ms()))
    }

    /// How many revisions it is behind where the hub was by its last beat.
    pub fn lag(&self) -> u64 {
        self.hub_revision.saturating_sub(self.revision)
    }

    /// Where in the history it is: a token to ask the hub for an answer at least as new ([`v1::CheckRequest`]).
    pub fn token(&self) -> Vec<u8> {
        Position { epoch: self.epoch, revision: self.revision, time: Timestamp(0) }.token()
    }

    /// Whether it may answer from what it holds.
    pub fn answers(&self) -> bool {
        self.synced && self.age() <= MAX_AGE
    }
}

/// Some keys that a lift has freed or changed. It names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The lift's number.
    pub lift_seq: u64,
    /// The revision at which it was told.
    pub revision: u64,
    /// How many keys it concerned, of this audience.
    pub keys: usize,
}

/// Where a replica keeps itself, and what it does as lifts come.
pub struct ReplicaConfig {
    dir: PathBuf,
    reach: ReplicaReach,
    on_lift: Option<Box<dyn Fn(Lifted) + Send + Sync>>,
    fault: Option<Fault>,
}

/// What a replica can be made to do wrong, so that tests find out whether they would notice.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A lease lasts for ever.
    LeaseOff,
    /// What a lift has freed, bulk brings back.
    OverlayOff,
    /// Lifts are confirmed as they come, and applied when bulk brings them.
    LiftsInBulk,
    /// Somebody who is listed is lost on the way from the stream into the index, once.
    ChangeLost,
}

impl std::fmt::Debug for ReplicaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaConfig").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl ReplicaConfig {
    /// A replica of its own directory, which is made where it is missing. Two replicas never share one.
    pub fn new(dir: impl Into<PathBuf>) -> ReplicaConfig {
        ReplicaConfig { dir: dir.into(), reach: ReplicaReach::Unspecified, on_lift: None, fault: None }
    }

    /// Does this wrong.
    #[cfg(feature = "faults")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(mut self, fault: Option<Fault>) -> ReplicaConfig {
        self.fault = fault;
        self
    }

    /// Which reach it is to have. A filter where nothing is said, which tells its holder less; `exact` where that alone is granted.
    #[must_use]
    pub fn reach(mut self, reach: ReplicaReach) -> ReplicaConfig {
        self.reach = reach;
        self
    }

    /// Calls this once a lift is applied, and its confirmation on the way. Of new listings nothing is told: what was bought stays bought.
    #[must_use]
    pub fn on_lift(mut self, call: impl Fn(Lifted) + Send + Sync + 'static) -> ReplicaConfig {
        self.on_lift = Some(Box::new(call));
        self
    }
}

/// A replica. It follows the hub until it is dropped.
#[derive(Debug)]
pub struct Replica {
    shared: Arc<Shared>,
    hub: Hub,
    following: JoinHandle<()>,
}

struct Shared {
    dir: PathBuf,
    reach: ReplicaReach,
    on_lift: Option<Box<dyn Fn(Lifted) + Send + Sync>>,
    instance: [u8; 16],
    /// No other replica has the directory while this is held.
    _lock: std::fs::File,
    /// What look-ups read; none while nothing may be answered.
    standing: ArcSwapOption<Standing>,
    /// Where it is written to, and where in the history that is.
    held: Mutex<Option<Held>>,
    times: Times,
    /// None until the hub has given the key for it.
    records: ArcSwapOption<Records>,
    saving: Mutex<()>,
    state: watch::Sender<ReplicaState>,
    stop: watch::Sender<bool>,
    fault: Option<Fault>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What is held, and by which rules it is read.
struct Standing {
    epoch: [u8; 16],
    audience: Arc<Audience>,
    view: Arc<View>,
}

/// What changes from beat to beat. By the boot clock, in milliseconds.
struct Times {
    clock: Clock,
    /// When the hub last said that what is held is all; 0: never.
    heard: AtomicU64,
    /// What the last answered beat named, while less is held: epoch and revision, and when its ping was sent.
    named: Mutex<Option<([u8; 16], u64, u64)>>,
    /// Until when the lease lasts.
    lease_until: AtomicU64,
    /// Wall minus boot clock when the ping was sent that the lease rests on.
    parted: AtomicI64,
    /// Hub time minus boot clock.
    hub_ahead: AtomicI64,
    revision: AtomicU64,
}

impl Times {
    fn new(clock: Clock) -> Times {
        let (heard, named, lease_until, revision) = Default::default();
        let (parted, hub_ahead) = Default::default();
        Times { clock, heard, named, lease_until, parted, hub_ahead, revision }
    }

    /// By how much the wall clock is ahead of the boot clock, which was just read.
    fn parted_ms(&self, boot_ms: u64) -> i64 {
        self.clock.wall_ms() - signed(boot_ms)
    }

    /// Whether what is held is fresh enough to be answered from.
    fn answers(&self) -> bool {
        self.answers_at().is_some()
    }

    /// Hub time, where what is held is fresh enough to be answered from: one reading of the clock for both.
    fn answers_at(&self) -> Option<Timestamp> {
        let (heard, now_ms) = (self.heard.load(Ordering::Acquire), self.clock.boot_ms());
        let is_fresh = heard != 0 && Duration::from_millis(now_ms.saturating_sub(heard)) <= MAX_AGE;
        is_fresh.then(|| self.hub_time(now_ms))
    }

    /// Whether the lease lasts.
    fn leased(&self) -> bool {
        let boot_ms = self.clock.boot_ms();
        let parted = self.parted_ms(boot_ms).abs_diff(self.parted.load(Ordering::Acquire));
        boot_ms < self.lease_until.load(Ordering::Acquire) && parted <= MAX_PARTED_MS.unsigned_abs()
    }

    /// Hub time, by its last beat and the boot clock since.
    fn hub_now(&self) -> Timestamp {
        self.hub_time(self.clock.boot_ms())
    }

    fn hub_time(&self, boot_ms: u64) -> Timestamp {
        Timestamp(self.hub_ahead.load(Ordering::Acquire).saturating_add(signed(boot_ms)))
    }
}

struct Audience {
    id: String,
    key: [u8; 32],
    key_epoch: u32,
    reach: ReplicaReach,
    prf: Prf,
    catalogue: Catalogue,
    /// What may be asked, by code.
    measures: HashMap<String, Granted>,
    fields: FieldMask,
    lease_ms: u64,
    beat_ms: u64,
    verifier: xinhub_translog::note::Verifier,
    /// Stands for all of this, to the hub.
    terms: Vec<u8>,
}

/// What is granted of a measure.
struct Granted {
    measure: MeasureId,
    items: Vec<String>,
    limit_fen: Option<u64>,
    clears: Arc<AtomicU64>,
}

impl Audience {
    fn granted(&self, code: &str) -> Option<(&Measure, &Granted)> {
        let granted = self.measures.get(code)?;
        self.catalogue.by_id(granted.measure).zip(Some(granted))
    }
}

impl Shared {
    fn open(config: ReplicaConfig, clock: Clock) -> Result<Arc<Shared>, Error> {
        let (instance, lock) = store::prepare(&config.dir)?;
        Ok(Arc::new(Shared {
            dir: config.dir,
            reach: config.reach,
            on_lift: config.on_lift,
            instance,
            _lock: lock,
            standing: ArcSwapOption::empty(),
            held: Mutex::new(None),
            times: Times::new(clock),
            records: ArcSwapOption::empty(),
            saving: Mutex::default(),
            state: watch::channel(ReplicaState::default()).0,
            stop: watch::channel(false).0,
            fault: config.fault,
        }))
    }

    /// Whether anything may be said against anybody.
    fn leased(&self) -> bool {
        self.times.leased() || (self.fault == Some(Fault::LeaseOff) && self.times.answers())
    }

    /// Shows what was loaded, under what it was made for.
    fn hold(&self, mut held: Held, view: View, audience: &Arc<Audience>) {
        let (epoch, audience) = (held.epoch, Arc::clone(audience));
        // Lost once, and not again in what is fetched anew.
        held.fault = self.fault.filter(|fault| *fault != Fault::ChangeLost || self.state.borrow().alarms == 0);
        let standing = Arc::new(Standing { epoch, audience, view: Arc::new(view) });
        // Together: a batch takes its place from the one and its answers from the other.
        let mut place = self.held.lock();
        *place = Some(held);
        self.standing.store(Some(standing));
    }

    /// What is held goes on under other rules.
    fn set_audience(&self, audience: &Arc<Audience>) {
        self.standing.rcu(|standing| {
            standing.as_ref().map(|standing| {
                let (view, audience) = (Arc::clone(&standing.view), Arc::clone(audience));
                Arc::new(Standing { epoch: standing.epoch, audience, view })
            })
        });
    }

    /// Says nothing against anybody until a beat gives another lease.
    fn end_lease(&self) {
        self.times.lease_until.store(0, Ordering::Release);
        self.state.send_modify(|state| state.lease_until_ms = 0);
    }

    /// Answers nothing from what was held any more.
    fn forget(&self) {
        self.end_lease();
        *self.times.named.lock() = None;
        self.times.heard.store(0, Ordering::Release);
        self.standing.store(None);
        *self.held.lock() = None;
        self.state.send_modify(|state| {
            // What is fetched next may be older: nobody is to take it for what was held before.
            (state.synced, state.heard_ms) = (false, 0);
            (state.revision, state.lift_seq) = (0, 0);
            (state.hub_revision, state.compared_revision) = (0, 0);
            (state.entries, state.memory_bytes) = (0, 0);
        });
    }

    /// Of what is held.
    fn audience(&self) -> Option<Arc<Audience>> {
        self.standing.load().as_ref().map(|standing| Arc::clone(&standing.audience))
    }
}

/// Who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The replica, in this process.
    Replica,
    /// The hub.
    Hub,
    /// Nobody could: the answer is `UNKNOWN`, and restricts nobody.
    Nobody,
}

/// What a replica answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Replied {
    /// The answer, with the place in the history that it was read at.
    pub response: v1::CheckResponse,
    /// Who has given it.
    pub by: By,
}

impl Replied {
    /// The verdict.
    pub fn verdict(&self) -> v1::Verdict {
        self.response.answer.as_ref().map_or(v1::Verdict::Unspecified, v1::Answer::verdict)
    }

    /// Whether the purchase, booking or award must be refused: `RESTRICTED` by a prohibition, and nothing else.
    pub fn must_refuse(&self) -> bool {
        self.response.must_refuse()
    }
}

impl Replica {
    /// Opens a replica in its directory, and follows the hub from then on. What the directory holds is shown once the hub is
    /// reached; an empty one is filled first. Returns at once: [`Replica::synced`] waits.
    ///
    /// # Errors
    /// [`Error::Config`] where the directory can't be used.
    pub fn open(hub: &Hub, config: ReplicaConfig) -> Result<Replica, Error> {
        let shared = Shared::open(config, Clock::default())?;
        let following = tokio::spawn(follow::run(Arc::clone(&shared), hub.config().clone()));
        Ok(Replica { shared, hub: hub.clone(), following })
    }

    /// How it is, as it changes.
    pub fn watch(&self) -> watch::Receiver<ReplicaState> {
        self.shared.state.subscribe()
    }

    /// How it is now.
    pub fn state(&self) -> ReplicaState {
        self.shared.state.borrow().clone()
    }

    /// Waits until it holds the list.
    pub async fn synced(&self) {
        let mut state = self.shared.state.subscribe();
        // The sender lives as long as this does.
        let _ = state.wait_for(|state| state.synced).await;
    }

    /// An inquiry, checked, for [`Replica::answer`]. `None` where something is wrong with it: [`Replica::check`] says what.
    pub fn inquiry(&self, inquiry: &v1::Inquiry) -> Option<Inquiry> {
        convert::inquiry(Some(inquiry), "inquiry", self.shared.times.hub_now().date()).ok()
    }

    /// Answers here, or not at all: `None` where only the hub can say. Whoever may not be answered from here is not.
    ///
    /// A question about nobody who is listed allocates nothing, but a thread's first, and no question waits for anybody. An adverse answer is
    /// on its way to the disk when it is returned, and there within 100 ms: while the disk takes longer there is none.
    pub fn answer(&self, measure: &str, item: Option<&str>, inquiry: &Inquiry) -> Option<Answer> {
        self.shared.answer(measure, item, inquiry, None)
    }

    /// Answers a question: here where that can be said from here, and else by asking the hub. Where the hub is not reached either, the
    /// answer is `UNKNOWN` with what the measure's row says to do then.
    ///
    /// Of a stream of questions, ask one after the other: `requests.then(|request| replica.check(request))`. An answer that waited for
    /// those before it could outlive a lift that this replica has confirmed.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) and the like: what is wrong with the question. Without an answer nobody is restricted.
    pub async fn check(&self, request: v1::CheckRequest) -> Result<Replied, Error> {
        match self.here(&request, None) {
            Some(response) => Ok(Replied { response, by: By::Replica }),
            None => self.ask(request).await,
        }
    }

    /// As [`Replica::check`], and returns once what was answered against somebody is durable.
    ///
    /// # Errors
    /// As [`Replica::check`].
    pub async fn check_recorded(&self, request: v1::CheckRequest) -> Result<Replied, Error> {
        let (done, durable) = oneshot::channel();
        let Some(response) = self.here(&request, Some(done)) else { return self.ask(request).await };
        let reply = Replied { response, by: By::Replica };
        if !matches!(reply.verdict(), v1::Verdict::Restricted | v1::Verdict::Consider) {
            return Ok(reply);
        }
        // The disk may take its time, and a lift may come meanwhile: it wins. Nobody waits beyond the lease.
        let is_durable = tokio::time::timeout(self.state().lease(), durable).await.is_ok_and(|told| told.is_ok());
        if is_durable && self.shared.stands(&request, &reply.response) { Ok(reply) } else { self.ask(request).await }
    }

    /// Answers many questions for one measure, with a message for each or packed, all at one place in the history: here where all of them can be,
    /// and else all by the hub, to which a filter leaves nearly every batch of hundreds.
    ///
    /// # Errors
    /// As a batch by the hub.
    pub async fn check_many(&self, request: v1::BatchCheckRequest) -> Result<v1::BatchCheckResponse, Error> {
        match self.shared.many(&request) {
            Some(response) => Ok(response),
            None => self.hub.lookup().batch_check(request).await,
        }
    }

    fn here(&self, request: &v1::CheckRequest, durable: Option<oneshot::Sender<()>>) -> Option<v1::CheckResponse> {
        if request.consistency.is_some() {
            return None;
        }
        let shared = &self.shared;
        let today = shared.times.hub_now().date();
        // What is wrong with a question the hub tells.
        let inquiry = convert::inquiry(request.inquiry.as_ref(), "inquiry", today).ok()?;
        let place = shared.place()?;
        let answer = shared.answer(&request.measure, convert::item(&request.item), &inquiry, durable)?;
        shared.response(&place, &answer)
    }

    async fn ask(&self, request: v1::CheckRequest) -> Result<Replied, Error> {
        let measure = request.measure.clone();
        match self.hub.lookup().check(request).await {
            Ok(response) => Ok(Replied { response, by: By::Hub }),
            Err(error) if error.is_unanswered() => {
                let unsure = self.shared.not_fresh(&measure).ok_or(error)?;
                Ok(Replied { response: unsure, by: By::Nobody })
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the subscription: no lift waits for this replica any more. It answers nothing from then on, and its directory can go.
    ///
    /// # Errors
    /// As any call; the subscription goes on then until the hub has heard nothing of it for 30 days.
    pub async fn unsubscribe(self) -> Result<(), Error> {
        let (hub, instance_id) = (self.hub.clone(), self.shared.instance.to_vec());
        self.shared.forget();
        self.close().await?;
        hub.sync().unsubscribe(v1::UnsubscribeRequest { instance_id }).await.map(drop)
    }

    /// Stops following, once the hub has what was confirmed and reported, and writes what it holds to its directory.
    ///
    /// # Errors
    /// [`Error::Config`] where it can't be written; the directory keeps what it had.
    pub async fn close(mut self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let records = shared.records.load_full();
        // Nothing is answered from here on; what was is durable before it is reported.
        shared.times.lease_until.store(0, Ordering::Release);
        let closed = tokio::task::spawn_blocking(move || records.iter().for_each(|records| records.close())).await;
        self.shared.stop.send_replace(true);
        // A hub that isn't reached is not waited for.
        if tokio::time::timeout(CLOSE_WITHIN, &mut self.following).await.is_err() {
            self.following.abort();
        }
        let saved = tokio::task::spawn_blocking(move || store::save(&shared)).await;
        closed.map_err(|error| Error::Config(error.to_string()))?;
        saved.unwrap_or_else(|error| Err(Error::Config(error.to_string())))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.following.abort();
        // What was answered is made durable; the hub is told at the next start.
        if let Some(records) = self.shared.records.load_full() {
            records.close();
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
