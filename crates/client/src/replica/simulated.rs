//! A replica that is given its messages one by one, by whoever plays the network and the clock.
//!
//! What it decides is [`super::session`], as in every replica; here is what [`super::follow`] does over connections, less the
//! connections. Nothing here waits, has a thread or reads a clock of the machine's.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use xinhub_api::convert::{self, Inquiry};
use xinhub_api::v1;
use xinhub_domain::decision::Answer;
use xinhub_index::{Entry, Key};

use super::clock::{Clock, Turned};
use super::held::Writers;
use super::records::Gathered;
use super::session::{self, Changes, End, Fetch, Lifts, Opened, Tries};
use super::{ReplicaConfig, ReplicaState, Shared, store};
use crate::Error;

/// How many of its answers it reports at once.
const REPORT_ENTRIES: usize = 500;

/// See the module.
pub struct Replica {
    shared: Arc<Shared>,
    tries: Tries,
    began_ms: u64,
    fetch: Option<Fetch>,
    streams: Option<(Lifts, Changes)>,
    gathered: Mutex<Gathered>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shared.fmt(f)
    }
}

/// A session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Within how long the replica comes again, by a chance of its own.
    pub within: Duration,
    /// What the hub sent can't be: never between a replica and a hub that are both right.
    pub broken: Option<String>,
}

impl Replica {
    /// Opens a replica in its directory. `clock` shows boot and wall clock, in milliseconds.
    ///
    /// # Errors
    /// [`Error::Config`] where the directory can't be used.
    pub fn open(config: ReplicaConfig, clock: Arc<Turned>) -> Result<Replica, Error> {
        let shared = Shared::open(config, Clock::turned(clock))?;
        let (tries, gathered) = (Tries::new(), Mutex::default());
        Ok(Replica { shared, tries, began_ms: 0, fetch: None, streams: None, gathered })
    }

    fn end(&mut self, end: End) -> Ended {
        (self.fetch, self.streams) = (None, None);
        let broken = match &end {
            End::Broken(problem) | End::Parted(problem) => Some(problem.clone()),
            End::Stopped | End::Resync(_) | End::Lost(_) | End::Drained(_) => None,
        };
        let lasted = Duration::from_millis(self.shared.times.clock.boot_ms().saturating_sub(self.began_ms));
        let within = self.tries.after(&self.shared, lasted, end).unwrap_or_default();
        Ended { within, broken }
    }

    fn or_end<T>(&mut self, result: Result<T, End>) -> Result<T, Ended> {
        result.map_err(|end| self.end(end))
    }

    /// A connection was lost.
    pub fn lost(&mut self) -> Ended {
        self.end(End::ended())
    }

    /// Begins a session.
    pub fn connect(&mut self) -> v1::GetManifestRequest {
        self.began_ms = self.shared.times.clock.boot_ms();
        v1::GetManifestRequest { instance_id: self.shared.instance.to_vec(), reach: self.shared.reach as i32 }
    }

    /// Takes the manifest; says what has to be fetched, if anything has.
    ///
    /// # Errors
    /// The session is over.
    pub fn begin(&mut self, manifest: v1::GetManifestResponse) -> Result<Option<v1::FetchChunksRequest>, Ended> {
        let begun = session::begin(&self.shared, manifest).and_then(|fetch| self.proved(fetch));
        self.fetch = self.or_end(begun)?;
        Ok(self.fetch.as_ref().and_then(Fetch::request))
    }

    /// Sums up what was loaded, at once.
    fn proved<T>(&self, then: T) -> Result<T, End> {
        store::prove(&Arc::downgrade(&self.shared))?;
        Ok(then)
    }

    /// Takes a piece of the snapshot; says whether it is whole now.
    ///
    /// # Errors
    /// The session is over.
    pub fn fetched(&mut self, chunk: &v1::FetchChunksResponse) -> Result<bool, Ended> {
        let taken = self.fetch.as_mut().map_or(Err(End::ended()), |fetch| fetch.take(chunk));
        self.or_end(taken)?;
        Ok(self.fetch.as_ref().is_some_and(|fetch| fetch.request().is_none()))
    }

    /// Begins to follow, from what was fetched or is held; returns what the two streams say first.
    ///
    /// # Errors
    /// The session is over.
    pub fn follow(&mut self) -> Result<(v1::FollowLiftsRequest, v1::FollowChangesRequest), Ended> {
        let fetched = self.fetch.take().map_or(Ok(()), Fetch::end);
        let begun = fetched.and_then(|()| self.proved(())).and_then(|()| session::follow(&self.shared));
        let Opened { lifts, open_lifts, changes, open_changes } = self.or_end(begun)?;
        self.streams = Some((lifts, changes));
        Ok((open_lifts, open_changes))
    }

    /// Takes what came on the lift stream; returns what it says to it.
    ///
    /// # Errors
    /// The session is over.
    pub fn lifts(&mut self, message: v1::FollowLiftsResponse) -> Result<Option<v1::FollowLiftsRequest>, Ended> {
        let taken = self.streams.as_mut().map_or(Err(End::ended()), |(lifts, _)| {
            lifts.take(message)?;
            Ok(lifts.confirmation())
        });
        self.or_end(taken)
    }

    /// Takes what came on the change stream; returns what it says to it.
    ///
    /// # Errors
    /// The session is over.
    pub fn changes(&mut self, message: v1::FollowChangesResponse) -> Result<Option<v1::FollowChangesRequest>, Ended> {
        let taken = self.streams.as_mut().map_or(Err(End::ended()), |(_, changes)| {
            changes.take(message)?;
            Ok(changes.confirmation())
        });
        self.or_end(taken)
    }

    /// The time of a ping has come: what goes out.
    ///
    /// # Errors
    /// The session is over: nothing has come for too long.
    pub fn ping(&mut self) -> Result<v1::FollowLiftsRequest, Ended> {
        let pinged = self.streams.as_mut().map_or(Err(End::ended()), |(lifts, _)| {
            lifts.is_alive()?;
            Ok(lifts.ping())
        });
        self.or_end(pinged)
    }

    /// How often pings go out, while it follows.
    pub fn beat_ms(&self) -> Option<u64> {
        self.streams.as_ref().map(|(lifts, _)| lifts.beat_ms())
    }

    /// Writes what it holds to its directory.
    ///
    /// # Errors
    /// [`Error::Config`] where it can't be written.
    pub fn save(&self) -> Result<(), Error> {
        store::save(&self.shared)
    }

    /// Makes durable what it has answered.
    pub fn record(&self) {
        if let Some(records) = self.shared.records.load_full() {
            records.turn(&mut self.gathered.lock(), false);
        }
    }

    /// What it has answered and the hub does not have yet.
    pub fn unreported(&self) -> Vec<v1::ReplicaEntry> {
        self.shared.records.load().as_ref().map_or_else(Vec::new, |records| records.unreported(REPORT_ENTRIES))
    }

    /// The hub has what it has answered, up to this one.
    pub fn reported(&self, sequence: u64) {
        if let Some(records) = self.shared.records.load_full() {
            records.reported(sequence);
        }
    }

    /// Who it is to the hub.
    pub fn instance(&self) -> [u8; 16] {
        self.shared.instance
    }

    /// How it is.
    pub fn state(&self) -> ReplicaState {
        self.shared.state.borrow().clone()
    }

    /// Whether it would speak against anybody now, for all it knows of its lease.
    pub fn is_leased(&self) -> bool {
        self.shared.leased()
    }

    /// See [`crate::Replica::inquiry`].
    pub fn inquiry(&self, inquiry: &v1::Inquiry) -> Option<Inquiry> {
        convert::inquiry(Some(inquiry), "inquiry", self.shared.times.hub_now().date()).ok()
    }

    /// See [`crate::Replica::answer`]. The disk takes no time.
    pub fn answer(&self, measure: &str, inquiry: &Inquiry) -> Option<Answer> {
        let answer = self.shared.answer(measure, None, inquiry, None);
        if answer.as_ref().is_some_and(|answer| answer.verdict().is_adverse()) {
            self.record();
        }
        answer
    }

    /// See [`crate::Replica::check_many`]; `None` where the hub would be asked. The disk takes no time.
    pub fn check_many(&self, request: &v1::BatchCheckRequest) -> Option<v1::BatchCheckResponse> {
        let response = self.shared.many(request);
        self.record();
        response
    }

    /// Whether what it holds says that nobody has this identity's keys; `None` while it holds nothing.
    pub fn is_clear(&self, inquiry: &Inquiry) -> Option<bool> {
        self.shared.standing.load().as_ref().map(|standing| standing.is_clear(&inquiry.identity))
    }

    /// All that an exact one holds, by key.
    pub fn entries(&self) -> Option<Vec<(Key, Entry)>> {
        match &mut self.shared.held.lock().as_mut()?.writers {
            Writers::Exact(writer, _) => Some(sorted(writer.freeze().entries())),
            Writers::Filter(..) => None,
        }
    }

    /// The keys that have come since a filter was made, and those that have gone.
    pub fn beside_filter(&self) -> Option<(Vec<Key>, Vec<Key>)> {
        let keys = |entries: Vec<(Key, Entry)>| entries.into_iter().map(|(key, _)| key).collect();
        match &mut self.shared.held.lock().as_mut()?.writers {
            Writers::Exact(..) => None,
            Writers::Filter(came, gone) => {
                Some((keys(sorted(came.freeze().entries())), keys(sorted(gone.freeze().entries()))))
            }
        }
    }

    /// Whether what it holds says that nobody has this key.
    pub fn is_clear_key(&self, key: &Key) -> Option<bool> {
        self.shared.standing.load().as_ref().map(|standing| standing.view.is_clear(key))
    }
}

fn sorted(entries: impl Iterator<Item = (Key, Entry)>) -> Vec<(Key, Entry)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|(key, _)| key.0);
    entries
}
