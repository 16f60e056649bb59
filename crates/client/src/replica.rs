//! A replica: what the caller's audience may be told of, in the caller's own process.
//!
//! Promises: it follows by itself until it is dropped, through lost connections, renewed certificates and restarts on either side;
//! what it shows was checked whole before; a lift is applied and confirmed as it comes, and nothing that comes later by another
//! way brings a lifted entry back; and it speaks against nobody: it says `CLEAR` where nobody in the question is listed, and asks
//! the hub for everything else, so that every adverse answer is the hub's own, on record there.

mod follow;
mod held;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use xinhub_api::convert;
use xinhub_api::v1;
use xinhub_domain::identity::Identity;
use xinhub_domain::time::Timestamp;
use xinhub_index::{Index, Key, Prf};

use crate::{Error, Hub};
use held::Held;

/// Past this without a word from the hub nothing is answered from here.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// How long a replica that is closed waits for the hub to read what it has confirmed.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

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
    /// How many keys have an entry.
    pub entries: u64,
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
        Duration::from_millis(boot_ms().saturating_sub(self.heard_ms))
    }

    /// How long its lease still lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_until_ms.saturating_sub(boot_ms()))
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
    on_lift: Option<Box<dyn Fn(Lifted) + Send + Sync>>,
}

impl std::fmt::Debug for ReplicaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaConfig").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl ReplicaConfig {
    /// A replica of its own directory, which is made where it is missing. Two replicas never share one.
    pub fn new(dir: impl Into<PathBuf>) -> ReplicaConfig {
        ReplicaConfig { dir: dir.into(), on_lift: None }
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
    on_lift: Option<Box<dyn Fn(Lifted) + Send + Sync>>,
    instance: [u8; 16],
    /// No other replica has the directory while this is held.
    _lock: std::fs::File,
    index: Index,
    held: Mutex<Held>,
    /// Under which key identities are looked up, and for which measures; none until the hub has told.
    audience: arc_swap::ArcSwapOption<Audience>,
    state: watch::Sender<ReplicaState>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).finish_non_exhaustive()
    }
}

struct Audience {
    id: String,
    key: [u8; 32],
    key_epoch: u32,
    prf: Prf,
    measures: Vec<String>,
    lease_ms: u64,
    beat_ms: u64,
    verifier: xinhub_translog::note::Verifier,
}

/// What a replica answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Replied {
    /// Nobody in the question is listed for any measure of the audience: `CLEAR`, found here, at this revision.
    Clear {
        /// The history.
        epoch: [u8; 16],
        /// Where in it the replica stands.
        revision: u64,
    },
    /// The hub's own answer.
    Asked(Box<v1::CheckResponse>),
}

impl Replied {
    /// The verdict.
    pub fn verdict(&self) -> v1::Verdict {
        match self {
            Replied::Clear { .. } => v1::Verdict::Clear,
            Replied::Asked(response) => response.answer.as_ref().map_or(v1::Verdict::Unspecified, v1::Answer::verdict),
        }
    }

    /// Whether the purchase, booking or award must be refused: `RESTRICTED` by a prohibition, and nothing else.
    pub fn must_refuse(&self) -> bool {
        match self {
            Replied::Clear { .. } => false,
            Replied::Asked(response) => response.answer.as_ref().is_some_and(|answer| {
                answer.verdict() == v1::Verdict::Restricted && answer.effect() == v1::Effect::Prohibit
            }),
        }
    }
}

impl Replica {
    /// Opens a replica in its directory, and follows the hub from then on. What the directory holds is shown at once; an empty one
    /// is filled first. Returns at once: [`Replica::synced`] waits.
    ///
    /// # Errors
    /// [`Error::Config`] where the directory can't be used.
    pub fn open(hub: &Hub, config: ReplicaConfig) -> Result<Replica, Error> {
        let (instance, lock) = store::prepare(&config.dir)?;
        let (index, writer) = Index::new();
        let shared = Arc::new(Shared {
            dir: config.dir,
            on_lift: config.on_lift,
            instance,
            _lock: lock,
            index,
            held: Mutex::new(Held::new(writer)),
            audience: arc_swap::ArcSwapOption::empty(),
            state: watch::channel(ReplicaState::default()).0,
            stop: watch::channel(false).0,
        });
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

    /// Whether none of these is listed for any measure of the audience. `None` where that can't be said from here: the hub can.
    ///
    /// Allocates nothing, and waits for nobody but a moment for the state's own lock.
    pub fn is_clear<'a>(&self, identities: impl IntoIterator<Item = &'a Identity>) -> Option<bool> {
        let audience = self.shared.audience.load();
        let audience = audience.as_ref()?;
        if !self.shared.state.borrow().answers() {
            return None;
        }
        for identity in identities {
            // One that may mean somebody else is for the hub to judge.
            if identity.is_flagged() {
                return None;
            }
            let mut keys = identity.keys().map(|input| Key(audience.prf.digest(input.as_bytes())));
            if keys.any(|key| self.shared.index.probe_mask(&key, xinhub_index::Relations::ALL).is_some()) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Answers a question: here where nobody in it is listed, and else by asking the hub.
    ///
    /// # Errors
    /// As of a check by the hub. Without an answer nobody is restricted.
    pub async fn check(&self, request: v1::CheckRequest) -> Result<Replied, Error> {
        match self.clear(&request) {
            Some(clear) => Ok(clear),
            None => self.hub.lookup().check(request).await.map(|response| Replied::Asked(Box::new(response))),
        }
    }

    /// What can be said here. What is wrong with a question the hub tells.
    fn clear(&self, request: &v1::CheckRequest) -> Option<Replied> {
        let audience = self.shared.audience.load();
        if !audience.as_ref()?.measures.contains(&request.measure) || request.consistency.is_some() {
            return None;
        }
        let today = now()?.date();
        let inquiry = convert::inquiry(request.inquiry.as_ref(), "inquiry", today).ok()?;
        let identities = std::iter::once(&inquiry.identity).chain(inquiry.officers.iter().map(|one| &one.identity));
        let (epoch, revision) = {
            let state = self.shared.state.borrow();
            (state.epoch, state.revision)
        };
        (self.is_clear(identities) == Some(true)).then_some(Replied::Clear { epoch, revision })
    }

    /// Stops following, once the hub has what was confirmed, and writes what it holds to its directory.
    ///
    /// # Errors
    /// [`Error::Config`] where it can't be written; the directory keeps what it had.
    pub async fn close(mut self) -> Result<(), Error> {
        self.shared.stop.send_replace(true);
        // A hub that isn't reached is not waited for.
        if tokio::time::timeout(CLOSE_WITHIN, &mut self.following).await.is_err() {
            self.following.abort();
        }
        let shared = Arc::clone(&self.shared);
        let saved = tokio::task::spawn_blocking(move || store::save(&shared)).await;
        saved.unwrap_or_else(|error| Err(Error::Config(error.to_string())))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// The clock that goes on in suspension and is set by nobody.
fn boot_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The wall clock, for what depends on a day alone.
fn now() -> Option<Timestamp> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Some(Timestamp(time.tv_sec.checked_mul(1_000)?))
}
