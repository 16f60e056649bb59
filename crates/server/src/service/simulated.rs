//! A hub's side of replicas that is given its messages one by one, by whoever plays the network, the clock and the disk.
//!
//! What it decides is [`super::tell`] and [`crate::sync`], as in every hub; here is what [`super::follow`] does over connections, less
//! the connections. Nothing here waits for anybody, and the history goes on when it is told to.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use xinhub_api::reason::Failure;
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesIn;
use xinhub_api::v1::follow_changes_response::Message as ChangesOut;
use xinhub_api::v1::follow_lifts_request::Message as LiftsIn;
use xinhub_api::v1::follow_lifts_response::Message as LiftsOut;
use xinhub_domain::policy::permissions::Method;
use xinhub_domain::policy::{Moment, Policy, SyncAsk, SyncPermit, decide};
use xinhub_index::{Change, Entry, Key};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::keys::{Keyring, Purpose};
use xinhub_ledger::{CommandError, Ledger, Mark, Touched};
use xinhub_translog::note::Signer;

use super::sync::{feed_of, manifest, reach, terms};
use super::tell::{At, ChangeTeller, End, Follower, LiftTeller, missing_open, not_durable, resync};
use crate::config::CallLimits;
pub use crate::sync::{Fault, Line};
use crate::sync::{Feed, Replication, Snapshot, Subscriber};

/// Replicas that are a little behind already have to be led on from the journal.
const MAX_RING_BYTES: usize = 2_000;
/// One that is further behind begins anew.
const MAX_BEHIND_EVENTS: u64 = 60;

/// See the module.
#[derive(Debug)]
pub struct Hub {
    ledger: Ledger,
    sync: Arc<Replication>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    policy: Policy,
    /// Up to where the feeds are told, on each line.
    marks: [Mark; 2],
}

/// A stream has ended on the hub's side; what it says last, if anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended<M>(pub Option<M>);

impl From<End> for Ended<v1::FollowLiftsResponse> {
    fn from(end: End) -> Self {
        Ended(last(end).map(|last| v1::FollowLiftsResponse { message: Some(LiftsOut::Resync(last)) }))
    }
}

impl From<End> for Ended<v1::FollowChangesResponse> {
    fn from(end: End) -> Self {
        Ended(last(end).map(|last| v1::FollowChangesResponse { message: Some(ChangesOut::Resync(last)) }))
    }
}

fn last(end: End) -> Option<v1::Resync> {
    match end {
        End::Gone | End::Drain | End::Failure(_) => None,
        End::Resync(reason) => Some(resync(reason)),
    }
}

impl Hub {
    /// Opens what a hub keeps of its replicas in a directory, beside a ledger.
    ///
    /// # Errors
    /// What can't be read or made.
    pub fn open(
        dir: PathBuf,
        ledger: Ledger,
        keys: &Keyring,
        (clock, limits): (Arc<dyn Clock>, &CallLimits),
        policy: Policy,
        fault: Option<Fault>,
    ) -> io::Result<Hub> {
        let parent = keys.current(Purpose::Audience).clone();
        let sync = Replication::open(dir, parent, limits, Arc::clone(&clock))?
            .simulated((MAX_RING_BYTES, MAX_BEHIND_EVENTS), fault);
        let signer =
            Signer::from_seed("simulated.hub", keys.current(Purpose::Log).bytes()).map_err(io::Error::other)?;
        let mark = sync.begin(&ledger, &policy);
        Ok(Hub { ledger, sync: Arc::new(sync), signer, clock, policy, marks: [mark; 2] })
    }

    /// State and history.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Puts another policy in force.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.sync.take(&self.policy);
    }

    /// What has happened beyond where the feeds are told on a line, of so many events or a few more; `None` where nothing has.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn touched(&self, line: Line, events: usize) -> Result<Option<Touched>, CommandError> {
        let mark = self.marks[line as usize];
        let touched = line.touched(&self.ledger, mark, events)?;
        Ok((touched.mark != mark).then_some(touched))
    }

    /// Tells the feeds of it; says whether it could.
    pub fn tell(&mut self, line: Line, touched: &Touched) -> bool {
        let mark = &mut self.marks[line as usize];
        let told = self.sync.tell(line, &self.ledger, *mark, touched);
        *mark = told.unwrap_or(*mark);
        told.is_some()
    }

    /// Makes durable what replicas have confirmed.
    ///
    /// # Errors
    /// What can't be written.
    pub fn keep(&self) -> io::Result<()> {
        self.sync.subscribers.save_changed()
    }

    /// Makes new snapshots.
    ///
    /// # Errors
    /// Where none can be made.
    pub async fn renew(&self) -> Result<(), String> {
        self.sync.renew(&self.ledger, |_| true).await.map_err(|error| error.to_string())
    }

    /// Ends as a hub does that is stopped.
    pub fn stop(&self) {
        // What is not kept is worked out anew.
        let _ = self.sync.remember(&self.ledger);
        self.ledger.shutdown();
    }

    fn entitled(&self, client: &str) -> Result<(SyncPermit, Arc<Feed>), Failure> {
        let moment = Moment { now: self.clock.wall(), crl_expired: false };
        let permit = decide(&self.policy, client, Method::FollowLifts, &SyncAsk, moment)?;
        let feed = feed_of(&self.sync, &permit)?;
        Ok((permit, feed))
    }

    fn who(client: &str, instance: &[u8]) -> Result<Subscriber, End> {
        let instance = instance.try_into().map_err(|_| missing_open())?;
        Ok(Subscriber { client: client.to_owned(), instance })
    }

    /// What a client's replica begins with; `None` where it is refused.
    pub async fn manifest(&self, client: &str, request: &v1::GetManifestRequest) -> Option<v1::GetManifestResponse> {
        let (permit, feed) = self.entitled(client).ok()?;
        let reach = reach(&permit, request.reach).ok()?;
        let who = Hub::who(client, &request.instance_id).ok()?;
        let snapshot = self.sync.snapshot(&feed, reach, &self.ledger).await.ok()?;
        Some(manifest(&self.sync, &self.signer, (&permit, &feed, reach), &who, &snapshot))
    }

    /// So many bytes of a snapshot; `None` where it is no longer there.
    pub fn chunk(&self, client: &str, request: &v1::FetchChunksRequest, bytes: u64) -> Option<v1::FetchChunksResponse> {
        let (permit, feed) = self.entitled(client).ok()?;
        let snapshot: Arc<Snapshot> =
            self.sync.snapshots.find(&feed, &request.snapshot, |reach| permit.may_hold(reach))?;
        let mut data = Vec::new();
        let mut from = self.sync.snapshots.file(&snapshot).ok()?;
        from.seek(SeekFrom::Start(request.offset)).ok()?;
        from.take(bytes).read_to_end(&mut data).ok()?;
        Some(v1::FetchChunksResponse { offset: request.offset, data: data.into() })
    }

    fn follower(
        &self,
        client: &str,
        (line, instance, wanted): (Line, &[u8], i32),
        at: At<'_>,
    ) -> Result<Follower, End> {
        let (permit, feed) = self.entitled(client)?;
        let (reach, terms) = (reach(&permit, wanted)?, terms(&permit, &feed));
        Follower::open((&self.ledger, &self.sync), (feed, terms), (Hub::who(client, instance)?, reach, line), at)
    }

    /// Begins a lift stream with the replica's first message.
    ///
    /// # Errors
    /// It has ended before it began.
    pub fn lifts(
        &self,
        client: &str,
        first: v1::FollowLiftsRequest,
    ) -> Result<LiftStream, Ended<v1::FollowLiftsResponse>> {
        let Some(LiftsIn::Open(open)) = first.message else { return Err(missing_open().into()) };
        let v1::FollowLiftsOpen { revision, lift_seq, .. } = open;
        let at = At { epoch: &open.epoch, revision, lift_seq, chain: &open.chain, terms: &open.terms };
        let follower = self.follower(client, (Line::Lifts, &open.instance_id, open.reach), at)?;
        let teller = LiftTeller::register(follower)?;
        self.sync.subscribers.save().map_err(|error| not_durable(&error))?;
        Ok(LiftStream { client: client.to_owned(), teller })
    }

    /// Begins a change stream with the replica's first message.
    ///
    /// # Errors
    /// It has ended before it began.
    pub fn changes(
        &self,
        client: &str,
        first: v1::FollowChangesRequest,
    ) -> Result<ChangeStream, Ended<v1::FollowChangesResponse>> {
        let Some(ChangesIn::Open(open)) = first.message else { return Err(missing_open().into()) };
        let v1::FollowChangesOpen { revision, lift_seq, .. } = open;
        let at = At { epoch: &open.epoch, revision, lift_seq, chain: &open.chain, terms: &open.terms };
        let follower = self.follower(client, (Line::Changes, &open.instance_id, open.reach), at)?;
        Ok(ChangeStream { client: client.to_owned(), teller: ChangeTeller::new(follower) })
    }

    /// How often beats go out, in milliseconds of the hub's clock.
    pub fn beat_ms(&self) -> u64 {
        self.sync.beat_ms()
    }

    /// Whether the lift is complete with this number in the count of lifts.
    pub fn is_complete(&self, lift_seq: u64) -> bool {
        self.sync.lift_status(lift_seq).complete
    }

    /// How long lifts still wait for a replica that has not confirmed them, by the hub's clock; `None` of an unknown one.
    pub fn lease_ms(&self, client: &str, instance: [u8; 16]) -> Option<u64> {
        let listed = self.sync.subscribers.list();
        listed
            .into_iter()
            .find(|one| (&*one.who.client, one.who.instance) == (client, instance))
            .map(|one| one.lease_ms)
    }

    /// The hub has what a replica has answered, up to this entry.
    ///
    /// # Errors
    /// What can't be written.
    pub fn reported(&self, client: &str, instance: [u8; 16], sequence: u64) -> io::Result<()> {
        self.sync.subscribers.set_reported(&Subscriber { client: client.to_owned(), instance }, sequence)
    }

    /// All that a client's audience is told of, by key: from the hub's own index, and not from what was told.
    ///
    /// # Errors
    /// Where the client has no audience, or a listing can't be opened.
    pub fn entries(&self, client: &str) -> Result<Vec<(Key, Entry)>, String> {
        let (_, feed) = self.entitled(client).map_err(|failure| format!("{:?}", failure.reason()))?;
        let mut held = std::collections::BTreeMap::new();
        let each = |_, (key, entry): Change| {
            match entry {
                Some(entry) => held.insert(key.0, entry),
                None => held.remove(&key.0),
            };
        };
        let walked = self.ledger.walk(std::slice::from_ref(feed.told()), each, drop);
        walked.map_err(|error| error.to_string())?;
        Ok(held.into_iter().map(|(key, entry)| (Key(key), entry)).collect())
    }
}

/// The hub's side of a lift stream.
pub struct LiftStream {
    client: String,
    teller: LiftTeller,
}

/// The hub's side of a change stream.
pub struct ChangeStream {
    client: String,
    teller: ChangeTeller,
}

macro_rules! debug {
    ($($stream:ident),+) => {
        $(impl std::fmt::Debug for $stream {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($stream)).field("client", &self.client).finish_non_exhaustive()
            }
        })+
    };
}

debug!(LiftStream, ChangeStream);

impl LiftStream {
    /// What goes out first.
    pub fn opened(&self) -> v1::FollowLiftsResponse {
        v1::FollowLiftsResponse { message: Some(self.teller.opened()) }
    }

    /// The next of what goes out before anything else is done: lifts, up to the feed's end. A stretch that is not in memory is read from
    /// the journal, of so many events.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn tell(
        &mut self,
        hub: &Hub,
        events: usize,
    ) -> Result<Option<v1::FollowLiftsResponse>, Ended<v1::FollowLiftsResponse>> {
        while let Some(step) = hub.next(&self.client, &self.teller.follower, events)? {
            if let Some(lift) = self.teller.tell(&step) {
                return Ok(Some(v1::FollowLiftsResponse { message: Some(lift) }));
            }
        }
        Ok(None)
    }

    /// Takes what the replica says; says whether it is to have a beat at once.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn take(&mut self, message: v1::FollowLiftsRequest) -> Result<bool, Ended<v1::FollowLiftsResponse>> {
        Ok(self.teller.take(message)?)
    }

    /// The time of a beat has come: what goes out.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn beat(&mut self, hub: &Hub) -> Result<v1::FollowLiftsResponse, Ended<v1::FollowLiftsResponse>> {
        hub.stands(&self.client, &self.teller.follower)?;
        Ok(v1::FollowLiftsResponse { message: Some(self.teller.beat(&hub.signer)?) })
    }
}

impl ChangeStream {
    /// The next of what goes out, while there is room for it.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn tell(
        &mut self,
        hub: &Hub,
        events: usize,
    ) -> Result<Option<v1::FollowChangesResponse>, Ended<v1::FollowChangesResponse>> {
        if !self.teller.has_room() {
            return Ok(None);
        }
        let step = hub.next(&self.client, &self.teller.follower, events)?;
        Ok(step.map(|step| v1::FollowChangesResponse { message: Some(self.teller.tell(&step)) }))
    }

    /// Takes what the replica says.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn take(&mut self, message: v1::FollowChangesRequest) -> Result<(), Ended<v1::FollowChangesResponse>> {
        Ok(self.teller.take(message)?)
    }
}

impl Hub {
    fn stands(&self, client: &str, follower: &Follower) -> Result<(), End> {
        let (permit, feed) = self.entitled(client)?;
        follower.stands(&permit, &feed)
    }

    fn next(&self, client: &str, follower: &Follower, events: usize) -> Result<Option<crate::sync::Step>, End> {
        if !follower.is_behind() {
            return Ok(None);
        }
        let step = match follower.next() {
            Some(step) => step,
            None => follower.catch_up(events)?,
        };
        self.stands(client, follower)?;
        Ok(Some(step))
    }
}
