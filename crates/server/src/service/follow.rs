//! FollowLifts and FollowChanges: one audience's feed, to one replica each.
//!
//! Promises: a beat goes out behind every lift that it names; the subscription is durable before the first; a replica that the
//! feed can't lead on is told so, never skipped past anything; a stream ends when policy no longer grants it, when its audience
//! has become another one, and when the hub drains. A replica that doesn't read holds up nothing but its own stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesIn;
use xinhub_api::v1::follow_changes_response::Message as ChangesOut;
use xinhub_api::v1::follow_lifts_request::Message as LiftsIn;
use xinhub_api::v1::follow_lifts_response::Message as LiftsOut;
use xinhub_domain::decision::FieldMask;
use xinhub_domain::policy::{Reach, ReplicaMeasure, SyncPermit};
use xinhub_ledger::Mark;

use super::admin::hex;
use super::call::Call;
use super::door::catalogued;
use super::sync::{beat_ms, entitled, reach, subscriber};
use crate::sync::{Feed, Step, Subscriber};

pub(super) type Lifts = ReceiverStream<Result<v1::FollowLiftsResponse, Status>>;
pub(super) type Changes = ReceiverStream<Result<v1::FollowChangesResponse, Status>>;

/// Messages that wait for their reader; what comes behind them waits in the feed or the journal.
const AHEAD: usize = 4;
/// Bytes of changes that travel unacknowledged.
const WINDOW_BYTES: usize = 256 * 1024;
/// Within how long replicas begin anew, each by chance, so that they don't all come at once.
const RESYNC_WITHIN_MS: u32 = 5_000;
/// How long a stream waits for its first message, or for a reader of its last.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// Events that a replica may be behind and still be led on.
const MAX_BEHIND_EVENTS: u64 = 400_000;

/// Why a stream ends.
enum End {
    /// The replica is gone or done.
    Gone,
    /// It has to begin anew.
    Resync(v1::ResyncReason),
    Failure(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failure(failure)
    }
}

/// One replica, and where it is.
struct Follower {
    call: Arc<Call>,
    feed: Arc<Feed>,
    ends: watch::Receiver<Mark>,
    who: Subscriber,
    reach: Reach,
    /// By which rules it answers, as it was told them.
    rules: Rules,
    mark: Mark,
}

/// What a replica decides by, beside what it holds.
type Rules = ((String, String), Vec<ReplicaMeasure>, FieldMask);

fn rules(permit: &SyncPermit) -> Rules {
    let excerpt = permit.catalogue().excerpt(permit.audience().measures());
    (excerpt, permit.measures().to_vec(), permit.client().fields())
}

impl Follower {
    /// Where a replica may be led on from.
    fn open(
        call: &Arc<Call>,
        instance: &[u8],
        (epoch, wanted): (&[u8], i32),
        (revision, lift_seq): (u64, u64),
    ) -> Result<Follower, End> {
        let (permit, feed) = entitled(call)?;
        let reach = reach(&permit, wanted)?;
        call.charge(permit.client())?;
        let who = subscriber(call, instance, "open.instance_id")?;
        let ledger = &call.hub().ledger;
        if epoch != ledger.position().epoch {
            return Err(End::Resync(v1::ResyncReason::Epoch));
        }
        let mark = ledger.mark_at(revision, lift_seq).map_err(super::status::command)?;
        // Nobody has applied a lift that has not been.
        let mark = mark.filter(|_| lift_seq <= ledger.lift_seq());
        // Further behind than this a snapshot is shorter, for either side.
        let mark = mark.filter(|mark| ledger.position().revision - mark.revision <= MAX_BEHIND_EVENTS);
        let mark = mark.ok_or(End::Resync(v1::ResyncReason::Position))?;
        Ok(Follower { call: Arc::clone(call), ends: feed.ends(), feed, who, reach, rules: rules(&permit), mark })
    }

    /// The next stretch beyond where the replica is, if there is one.
    async fn next(&self) -> Result<Option<Step>, End> {
        let end = *self.ends.borrow();
        if end.revision <= self.mark.revision {
            return Ok(None);
        }
        if let Some(step) = self.feed.next(self.mark) {
            return Ok(Some(step));
        }
        let (feed, ledger, mark) = (Arc::clone(&self.feed), self.call.hub().ledger.clone(), self.mark);
        let step = tokio::task::spawn_blocking(move || feed.catch_up(&ledger, mark)).await;
        let step = step.map_err(|_| Failure::new(Reason::Internal, "a thread of the hub died; follow on from here"))?;
        Ok(Some(step.map_err(super::status::command)?))
    }

    /// Whether the stream may go on.
    fn go_on<T>(&self, out: &mpsc::Sender<T>) -> Result<(), End> {
        if out.is_closed() {
            return Err(End::Gone);
        }
        if self.call.hub().draining.is_cancelled() { Err(Follower::draining()) } else { self.still_entitled() }
    }

    /// Whether policy still grants the stream, and its audience is the one that it began with.
    fn still_entitled(&self) -> Result<(), End> {
        let (permit, feed) = entitled(&self.call)?;
        if !permit.may_hold(self.reach) {
            return Err(End::Resync(v1::ResyncReason::Audience));
        }
        if Arc::ptr_eq(&feed, &self.feed) { Ok(()) } else { Err(End::Resync(v1::ResyncReason::Audience)) }
    }

    /// Whether a new policy leaves the stream and what the replica decides by as they are. It takes the rules anew as it connects.
    fn under_new_policy(&self) -> Result<(), End> {
        self.still_entitled()?;
        let (permit, _) = entitled(&self.call)?;
        if rules(&permit) == self.rules { Ok(()) } else { Err(End::Gone) }
    }

    fn draining() -> End {
        Failure::new(Reason::Draining, "this hub is stopping; connect again and follow on from here").into()
    }
}

/// What a replica sent, or how its side ended.
fn came<T>(message: Result<Option<T>, Status>) -> Result<T, End> {
    match message {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(End::Gone),
        Err(status) => Err(catalogued(status.code()).map_or(End::Gone, End::Failure)),
    }
}

fn missing_open() -> End {
    Failure::field(Reason::InvalidField, "open", "comes first, and once").into()
}

/// The first message, which is not waited for for ever.
async fn first<T: Default>(call: &Call, incoming: &mut Streaming<T>) -> Result<T, End> {
    tokio::select! {
        () = call.hub().draining.cancelled() => Err(Follower::draining()),
        message = tokio::time::timeout(OPEN_WITHIN, incoming.message()) => {
            message.map_err(|_| missing_open()).and_then(came)
        }
    }
}

/// Begins to tell of lifts.
pub(super) fn lifts(call: Arc<Call>, incoming: Streaming<v1::FollowLiftsRequest>) -> Lifts {
    let (out, stream) = mpsc::channel(AHEAD);
    call.defer();
    tokio::spawn(async move {
        let end = follow_lifts(&call, incoming, &out).await;
        let resync = |resync| v1::FollowLiftsResponse { message: Some(LiftsOut::Resync(resync)) };
        finish(&call, &out, end, resync).await;
    });
    ReceiverStream::new(stream)
}

/// Begins to tell of changes.
pub(super) fn changes(call: Arc<Call>, incoming: Streaming<v1::FollowChangesRequest>) -> Changes {
    let (out, stream) = mpsc::channel(AHEAD);
    call.defer();
    tokio::spawn(async move {
        let end = follow_changes(&call, incoming, &out).await;
        let resync = |resync| v1::FollowChangesResponse { message: Some(ChangesOut::Resync(resync)) };
        finish(&call, &out, end, resync).await;
    });
    ReceiverStream::new(stream)
}

async fn finish<T>(call: &Call, out: &mpsc::Sender<Result<T, Status>>, end: End, resync: impl FnOnce(v1::Resync) -> T) {
    let (last, code, reason) = match end {
        End::Gone => (None, Code::Ok, None),
        End::Resync(reason) => {
            let message = v1::Resync { reason: reason as i32, within_ms: RESYNC_WITHIN_MS };
            (Some(Ok(resync(message))), Code::Ok, None)
        }
        End::Failure(failure) => {
            let (code, reason) = (failure.code(), Some(failure.reason()));
            (Some(Err(failure.into())), code, reason)
        }
    };
    call.close_with(code, reason);
    if let Some(last) = last {
        // Who doesn't read has no use for it.
        let _ = tokio::time::timeout(OPEN_WITHIN, out.send(last)).await;
    }
}

async fn follow_lifts(
    call: &Arc<Call>,
    mut incoming: Streaming<v1::FollowLiftsRequest>,
    out: &mpsc::Sender<Result<v1::FollowLiftsResponse, Status>>,
) -> End {
    let opened = async {
        let Some(LiftsIn::Open(open)) = first(call, &mut incoming).await?.message else { return Err(missing_open()) };
        let follower =
            Follower::open(call, &open.instance_id, (&open.epoch, open.reach), (open.revision, open.lift_seq))?;
        let generation = register(&follower, open.lift_seq).await?;
        Ok((follower, generation))
    };
    match opened.await {
        Ok((follower, generation)) => {
            // On record as it begins: a stream lasts for days, and a record waits for nobody.
            call.close_with(Code::Ok, None);
            let told = follower.mark.lift_seq;
            let now = Instant::now();
            let pings = Pings { last: 0, answered: 0, beat_at: now };
            LiftStream { follower, out, generation, told, confirmed: told, behind_since: now, pings }
                .run(incoming)
                .await
        }
        Err(end) => end,
    }
}

/// Durable before the first beat: from here on every lift waits for this replica.
async fn register(follower: &Follower, lift_seq: u64) -> Result<u64, End> {
    let (hub, who, audience) = (Arc::clone(follower.call.hub()), follower.who.clone(), follower.feed.id().to_owned());
    let registered =
        tokio::task::spawn_blocking(move || hub.sync.subscribers.register(&who, &audience, lift_seq)).await;
    match registered {
        Ok(Ok(generation)) => Ok(generation),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
            let text = "this client keeps as many replicas as one may; end one, or come again once one has been silent";
            Err(Failure::new(Reason::Overloaded, text).into())
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a subscriber can't be made durable");
            Err(Failure::new(Reason::Storage, "the subscription can't be made durable just now; try again").into())
        }
        Err(_) => Err(Failure::new(Reason::Internal, "a thread of the hub died; connect again").into()),
    }
}

struct LiftStream<'a> {
    follower: Follower,
    out: &'a mpsc::Sender<Result<v1::FollowLiftsResponse, Status>>,
    /// By which number it speaks for the replica.
    generation: u64,
    /// The lift up to which all is told. The replica may have been told of lifts beyond where its changes are.
    told: u64,
    /// The lift up to which all is confirmed, and since when that is less than was told.
    confirmed: u64,
    behind_since: Instant,
    pings: Pings,
}

/// The last ping that came, the last that a beat has answered, and when the last beat went out.
struct Pings {
    last: u64,
    answered: u64,
    beat_at: Instant,
}

impl LiftStream<'_> {
    async fn run(mut self, mut incoming: Streaming<v1::FollowLiftsRequest>) -> End {
        let call = Arc::clone(&self.follower.call);
        let hub = call.hub();
        let mut policy = hub.authority.changes();
        let mut beats = interval(Duration::from_millis(u64::from(beat_ms(hub))));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let opened = v1::FollowLiftsOpened { lift_seq: self.told };
        let mut result = self.send(LiftsOut::Opened(opened)).await;
        while result.is_ok() {
            // What has come goes out before any beat that would name it.
            result = self.tell().await;
            if result.is_err() {
                break;
            }
            result = tokio::select! {
                biased;
                () = hub.draining.cancelled() => Err(Follower::draining()),
                () = self.out.closed() => Err(End::Gone),
                changed = policy.changed() => {
                    changed.map_err(|_| End::Gone).and_then(|()| self.follower.under_new_policy())
                }
                message = incoming.message() => match came(message) {
                    Ok(message) => self.take(message).await,
                    Err(end) => Err(end),
                },
                changed = self.follower.ends.changed() => changed.map_err(|_| End::Gone),
                _ = beats.tick() => self.beat().await,
            };
        }
        result.err().unwrap_or(End::Gone)
    }

    /// Tells every lift up to the feed's end.
    async fn tell(&mut self) -> Result<(), End> {
        self.follower.ends.borrow_and_update();
        while let Some(step) = self.follower.next().await? {
            self.follower.go_on(self.out)?;
            self.follower.mark = step.mark;
            let (prev_lift_seq, lift_seq) = (self.told, step.mark.lift_seq);
            if lift_seq > prev_lift_seq {
                let (revision, as_of) = (step.mark.revision, step.as_of);
                let changes = step.told(self.follower.reach).lifted.clone();
                self.send(LiftsOut::Lift(v1::Lift { prev_lift_seq, lift_seq, revision, changes, as_of })).await?;
                if self.confirmed >= prev_lift_seq {
                    self.behind_since = Instant::now();
                }
                self.told = lift_seq;
            }
        }
        Ok(())
    }

    async fn take(&mut self, message: v1::FollowLiftsRequest) -> Result<(), End> {
        let subscribers = &self.follower.call.hub().sync.subscribers;
        match message.message {
            Some(LiftsIn::Ack(ack)) => {
                // Nobody confirms what was not told.
                self.confirmed = self.confirmed.max(ack.lift_seq.min(self.told));
                let speaks = subscribers.acknowledge(&self.follower.who, self.generation, self.confirmed);
                if speaks { Ok(()) } else { Err(superseded()) }
            }
            Some(LiftsIn::Ping(ping)) => {
                self.pings.last = ping.number;
                // Each costs a signature: who pings more often waits for the next beat.
                if self.pings.beat_at.elapsed().as_millis() < u128::from(beat_ms(self.follower.call.hub()) / 2) {
                    return Ok(());
                }
                self.tell().await?;
                self.beat().await
            }
            Some(LiftsIn::Open(_)) | None => Err(missing_open()),
        }
    }

    /// Says how far the replica has been told, signed. The lease that it may begin is noted first.
    async fn beat(&mut self) -> Result<(), End> {
        // A grant can end, and a revocation list can, without a word.
        self.follower.still_entitled()?;
        let hub = self.follower.call.hub();
        let (mark, epoch) = (self.follower.mark, hub.ledger.position().epoch);
        // Of a filter no digest says anything.
        let digest = self.follower.feed.digest().filter(|_| self.follower.reach == Reach::Exact);
        let digest =
            digest.map_or_else(String::new, |(revision, digest)| format!("digest {revision} {}\n", hex(&digest)));
        let text = format!(
            "xinhub beat 1\nepoch {:032x}\naudience {}\nrevision {}\nlift_seq {}\ntime_ms {}\n{digest}",
            u128::from_be_bytes(epoch),
            self.follower.feed.id(),
            mark.revision,
            self.told,
            hub.clock.wall().0,
        );
        let note = hub.signer.sign(&text);
        let note = note.map_err(|_| Failure::new(Reason::Internal, "the beat can't be signed; connect again"))?;
        // A lease counts from the sending of a ping that was not answered yet: other beats give none. None is given while a lift is
        // on its way to the feed, nor to a replica that was told of one a lease ago and has not confirmed it.
        let (lease, pings) = (hub.limits.lease, &mut self.pings);
        let confirms = self.confirmed >= self.told || self.behind_since.elapsed() < lease;
        // Nor while the hub's clock is unsure, by which replicas end terms, or while its feed is stuck.
        let gives = hub.ledger.is_clock_sure() && hub.sync.goes_on();
        if pings.last > pings.answered && confirms && gives && self.told >= hub.ledger.lift_seq() {
            if !hub.sync.subscribers.beat(&self.follower.who, self.generation) {
                return Err(superseded());
            }
            pings.answered = pings.last;
        }
        pings.beat_at = Instant::now();
        let ping = pings.answered;
        self.send(LiftsOut::Beat(v1::Beat { note, ping })).await
    }

    async fn send(&self, message: LiftsOut) -> Result<(), End> {
        let sent = self.out.send(Ok(v1::FollowLiftsResponse { message: Some(message) })).await;
        sent.map_err(|_| End::Gone)
    }
}

/// Another stream was opened in the replica's name, or it was forgotten: this one speaks for nobody.
fn superseded() -> End {
    Failure::new(
        Reason::Overloaded,
        "another connection follows in this replica's name; two replicas never share a directory",
    )
    .into()
}

async fn follow_changes(
    call: &Arc<Call>,
    mut incoming: Streaming<v1::FollowChangesRequest>,
    out: &mpsc::Sender<Result<v1::FollowChangesResponse, Status>>,
) -> End {
    let opened = async {
        let Some(ChangesIn::Open(open)) = first(call, &mut incoming).await?.message else { return Err(missing_open()) };
        Follower::open(call, &open.instance_id, (&open.epoch, open.reach), (open.revision, open.lift_seq))
    };
    match opened.await {
        Ok(follower) => {
            call.close_with(Code::Ok, None);
            tell_changes(follower, incoming, out).await.err().unwrap_or(End::Gone)
        }
        Err(end) => end,
    }
}

async fn tell_changes(
    mut follower: Follower,
    mut incoming: Streaming<v1::FollowChangesRequest>,
    out: &mpsc::Sender<Result<v1::FollowChangesResponse, Status>>,
) -> Result<(), End> {
    let call = Arc::clone(&follower.call);
    let mut policy = call.hub().authority.changes();
    // What travels: where each batch ends, and its bytes.
    let mut travelling: Vec<(u64, usize)> = Vec::new();
    loop {
        let bytes: usize = travelling.iter().map(|(_, bytes)| bytes).sum();
        if bytes < WINDOW_BYTES {
            follower.go_on(out)?;
            follower.ends.borrow_and_update();
            if let Some(step) = follower.next().await? {
                let (revision, lift_seq) = (step.mark.revision, step.mark.lift_seq);
                let (prev_revision, as_of) = (follower.mark.revision, step.as_of);
                let changes = step.told(follower.reach).changes.clone();
                travelling.push((revision, changes.len()));
                follower.mark = step.mark;
                let batch = v1::ChangeBatch { prev_revision, revision, lift_seq, changes, as_of };
                let message = Some(ChangesOut::Batch(batch));
                out.send(Ok(v1::FollowChangesResponse { message })).await.map_err(|_| End::Gone)?;
                continue;
            }
        }
        tokio::select! {
            biased;
            () = call.hub().draining.cancelled() => return Err(Follower::draining()),
            () = out.closed() => return Err(End::Gone),
            changed = policy.changed() => {
                changed.map_err(|_| End::Gone)?;
                follower.under_new_policy()?;
            }
            message = incoming.message() => match came(message)?.message {
                Some(ChangesIn::Ack(ack)) => travelling.retain(|(revision, _)| *revision > ack.revision),
                Some(ChangesIn::Open(_)) | None => return Err(missing_open()),
            },
            changed = follower.ends.changed(), if bytes < WINDOW_BYTES => changed.map_err(|_| End::Gone)?,
        }
    }
}
