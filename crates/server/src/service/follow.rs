//! FollowLifts and FollowChanges: one audience's feed, to one replica each. What is told is decided in [`super::tell`].
//!
//! Promises: a beat goes out behind every lift that it names; the subscription is durable before the first; a stream ends when policy
//! no longer grants it, when its audience has become another one, and when the hub drains. A replica that doesn't read holds up
//! nothing but its own stream.

use std::hash::{DefaultHasher, Hasher};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Code, Status, Streaming};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesIn;
use xinhub_api::v1::follow_changes_response::Message as ChangesOut;
use xinhub_api::v1::follow_lifts_request::Message as LiftsIn;
use xinhub_api::v1::follow_lifts_response::Message as LiftsOut;
use xinhub_ledger::Mark;

use super::call::Call;
use super::door::catalogued;
use super::sync::{entitled, reach, subscriber, terms};
use super::tell::{
    self, At, CATCH_UP_EVENTS, ChangeTeller, End, Follower, LiftTeller, Terms, missing_open, not_durable,
};
use crate::sync::{GATHER, Line, Step};

pub(super) type Lifts = Made<v1::FollowLiftsResponse>;
pub(super) type Changes = Made<v1::FollowChangesResponse>;

/// Messages that wait for their reader; what comes behind them waits in the feed or the journal.
const AHEAD: usize = 4;
/// How long a stream waits for its first message, or for a reader of its last.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// One stream, and by what right it goes on.
struct Stream<T> {
    call: Arc<Call>,
    ends: watch::Receiver<Mark>,
    /// By which the replica decides, as it was told them.
    terms: Terms,
    out: mpsc::Sender<Result<T, Status>>,
}

impl<T> Stream<T> {
    /// Where a replica may be led on from.
    fn open(
        call: &Arc<Call>,
        out: mpsc::Sender<Result<T, Status>>,
        (line, instance, wanted): (Line, &[u8], i32),
        at: At<'_>,
    ) -> Result<(Stream<T>, Follower), End> {
        let (permit, feed) = entitled(call)?;
        let reach = reach(&permit, wanted)?;
        call.charge(permit.client())?;
        let who = subscriber(call, instance, "open.instance_id")?;
        let (hub, ends, terms) = (call.hub(), feed.ends(line), terms(&permit, &feed));
        let follower = Follower::open((&hub.ledger, &hub.sync), (feed, terms), (who, reach, line), at)?;
        Ok((Stream { call: Arc::clone(call), ends, terms, out }, follower))
    }

    /// The next stretch beyond where the replica is, if there is one and the stream may go on.
    async fn next(&self, follower: &Follower) -> Result<Option<Step>, End> {
        if !follower.is_behind() {
            return Ok(None);
        }
        let step = match follower.next() {
            Some(step) => step,
            None => self.lead_on(follower).await?,
        };
        if self.call.hub().draining.is_cancelled() {
            return Err(End::Drain);
        }
        self.still_entitled(follower)?;
        Ok(Some(step))
    }

    /// A stretch that is not in memory, from the journal.
    async fn lead_on(&self, follower: &Follower) -> Result<Step, End> {
        let (hub, follower) = (self.call.hub(), follower.clone());
        let again = follower.clone();
        let lead_on = move || follower.catch_up(CATCH_UP_EVENTS);
        if again.line() == Line::Lifts {
            return blocking(move || again.next().map_or_else(lead_on, Ok)).await;
        }
        tokio::select! {
            step = hub.sync.in_turn(move || again.next().map(Ok), lead_on) => step.ok_or_else(died)?,
            () = hub.draining.cancelled() => Err(End::Drain),
        }
    }

    /// Whether policy still grants the stream, and its audience is the one that it began with.
    fn still_entitled(&self, follower: &Follower) -> Result<(), End> {
        let (permit, feed) = entitled(&self.call)?;
        follower.stands(&permit, &feed)
    }

    /// Whether a new policy leaves the stream and what the replica decides by as they are. It takes them anew as it connects.
    fn under_new_policy(&self, follower: &Follower) -> Result<(), End> {
        let (permit, feed) = entitled(&self.call)?;
        follower.stands(&permit, &feed)?;
        if terms(&permit, &feed) == self.terms { Ok(()) } else { Err(End::Gone) }
    }

    async fn send(&self, message: T) -> Result<(), End> {
        self.out.send(Ok(message)).await.map_err(|_| End::Gone)
    }
}

fn draining() -> Failure {
    Failure::new(Reason::Draining, "this hub is stopping; connect again and follow on from here")
}

/// Reads or writes the disk, which no thread that carries messages waits for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, End> + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(died()))
}

fn died() -> End {
    Failure::new(Reason::Internal, "a thread of the hub died; follow on from here").into()
}

/// What a replica sent, or how its side ended.
fn came<T>(message: Result<Option<T>, Status>) -> Result<T, End> {
    match message {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(End::Gone),
        Err(status) => Err(catalogued(status.code()).map_or(End::Gone, End::Failure)),
    }
}

/// The first message, which is not waited for for ever.
async fn first<T: Default>(call: &Call, incoming: &mut Streaming<T>) -> Result<T, End> {
    tokio::select! {
        () = call.hub().draining.cancelled() => Err(End::Drain),
        message = tokio::time::timeout(OPEN_WITHIN, incoming.message()) => {
            message.map_err(|_| missing_open()).and_then(came)
        }
    }
}

/// A stream whose messages are made by whatever reads it: what many replicas are told at once passes from no task to another on its
/// way, and nothing goes on for a reader that is gone.
pub(super) struct Made<T> {
    /// Until it has ended.
    making: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    made: mpsc::Receiver<Result<T, Status>>,
}

impl<T> Made<T> {
    fn by<F>(make: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> F) -> Made<T>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (out, made) = mpsc::channel(AHEAD);
        Made { making: Some(Box::pin(make(out))), made }
    }
}

impl<T> tokio_stream::Stream for Made<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let made = this.made.poll_recv(context);
        if made.is_ready() {
            return made;
        }
        if this.making.as_mut().is_some_and(|making| making.as_mut().poll(context).is_ready()) {
            this.making = None;
        }
        this.made.poll_recv(context)
    }
}

/// Begins to tell of lifts.
pub(super) fn lifts(call: Arc<Call>, incoming: Streaming<v1::FollowLiftsRequest>) -> Lifts {
    call.defer();
    Made::by(|out| async move {
        let end = follow_lifts(&call, incoming, out.clone()).await.err().unwrap_or(End::Gone);
        let last = match &end {
            End::Resync(reason) => Some(LiftsOut::Resync(tell::resync(*reason))),
            End::Drain => Some(LiftsOut::Drain(tell::drain())),
            End::Gone | End::Failure(_) => None,
        };
        finish(&call, &out, end, last.map(|last| v1::FollowLiftsResponse { message: Some(last) })).await;
    })
}

/// Begins to tell of changes.
pub(super) fn changes(call: Arc<Call>, incoming: Streaming<v1::FollowChangesRequest>) -> Changes {
    call.defer();
    Made::by(|out| async move {
        let end = follow_changes(&call, incoming, out.clone()).await.err().unwrap_or(End::Gone);
        let last = match &end {
            End::Resync(reason) => Some(ChangesOut::Resync(tell::resync(*reason))),
            End::Gone | End::Drain | End::Failure(_) => None,
        };
        finish(&call, &out, end, last.map(|last| v1::FollowChangesResponse { message: Some(last) })).await;
    })
}

/// Ends a stream with its last message, or with what went wrong.
async fn finish<T>(call: &Call, out: &mpsc::Sender<Result<T, Status>>, end: End, last: Option<T>) {
    let failure = match end {
        End::Gone | End::Resync(_) => None,
        End::Drain => Some(draining()),
        End::Failure(failure) => Some(failure),
    };
    let (code, reason) = failure.as_ref().map_or((Code::Ok, None), |failure| (failure.code(), Some(failure.reason())));
    call.close_with(code, reason);
    if let Some(last) = last.map(Ok).or_else(|| failure.map(|failure| Err(failure.into()))) {
        // Who doesn't read has no use for it.
        let _ = tokio::time::timeout(OPEN_WITHIN, out.send(last)).await;
    }
}

async fn follow_lifts(
    call: &Arc<Call>,
    mut incoming: Streaming<v1::FollowLiftsRequest>,
    out: mpsc::Sender<Result<v1::FollowLiftsResponse, Status>>,
) -> Result<(), End> {
    let Some(LiftsIn::Open(open)) = first(call, &mut incoming).await?.message else { return Err(missing_open()) };
    let v1::FollowLiftsOpen { revision, lift_seq, .. } = open;
    let at = At { epoch: &open.epoch, revision, lift_seq, chain: &open.chain, terms: &open.terms };
    let (stream, follower) = Stream::open(call, out, (Line::Lifts, &open.instance_id, open.reach), at)?;
    let teller = LiftTeller::register(follower)?;
    call.hub().sync.keep_subscribers().await.map_err(|error| not_durable(&error))?;
    // On record as it begins: a stream lasts for days, and a record waits for nobody.
    call.close_with(Code::Ok, None);
    LiftStream { stream, teller }.run(incoming).await
}

struct LiftStream {
    stream: Stream<v1::FollowLiftsResponse>,
    teller: LiftTeller,
}

impl LiftStream {
    async fn run(mut self, mut incoming: Streaming<v1::FollowLiftsRequest>) -> Result<(), End> {
        let call = Arc::clone(&self.stream.call);
        let hub = call.hub();
        let mut policy = hub.authority.changes();
        let mut drains = pin!(hub.draining.cancelled());
        let mut beats = interval(Duration::from_millis(hub.sync.beat_ms()));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.send(self.teller.opened()).await?;
        loop {
            // What has come goes out before any beat that would name it.
            self.tell().await?;
            tokio::select! {
                biased;
                () = drains.as_mut() => return Err(End::Drain),
                changed = policy.changed() => {
                    changed.map_err(|_| End::Gone)?;
                    self.stream.under_new_policy(&self.teller.follower)?;
                }
                message = incoming.message() => {
                    if self.teller.take(came(message)?)? {
                        self.tell().await?;
                        self.beat().await?;
                    }
                }
                changed = self.stream.ends.changed() => changed.map_err(|_| End::Gone)?,
                _ = beats.tick() => self.beat().await?,
            }
        }
    }

    /// Tells every lift up to the feed's end.
    async fn tell(&mut self) -> Result<(), End> {
        self.stream.ends.borrow_and_update();
        while let Some(step) = self.stream.next(&self.teller.follower).await? {
            if let Some(lift) = self.teller.tell(&step) {
                self.send(lift).await?;
            }
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), End> {
        // A grant can end, and a revocation list can, without a word.
        self.stream.still_entitled(&self.teller.follower)?;
        let beat = self.teller.beat(&self.stream.call.hub().signer)?;
        self.send(beat).await
    }

    async fn send(&self, message: LiftsOut) -> Result<(), End> {
        self.stream.send(v1::FollowLiftsResponse { message: Some(message) }).await
    }
}

async fn follow_changes(
    call: &Arc<Call>,
    mut incoming: Streaming<v1::FollowChangesRequest>,
    out: mpsc::Sender<Result<v1::FollowChangesResponse, Status>>,
) -> Result<(), End> {
    let Some(ChangesIn::Open(open)) = first(call, &mut incoming).await?.message else { return Err(missing_open()) };
    let v1::FollowChangesOpen { revision, lift_seq, .. } = open;
    let at = At { epoch: &open.epoch, revision, lift_seq, chain: &open.chain, terms: &open.terms };
    let (mut stream, follower) = Stream::open(call, out, (Line::Changes, &open.instance_id, open.reach), at)?;
    call.close_with(Code::Ok, None);
    let (hub, mut teller) = (call.hub(), ChangeTeller::new(follower));
    let turn = turn(&open.instance_id);
    let mut policy = hub.authority.changes();
    let mut drains = pin!(hub.draining.cancelled());
    loop {
        if teller.has_room() {
            stream.ends.borrow_and_update();
            if let Some(step) = stream.next(&teller.follower).await? {
                let message = Some(teller.tell(&step));
                stream.send(v1::FollowChangesResponse { message }).await?;
                continue;
            }
        }
        tokio::select! {
            biased;
            () = drains.as_mut() => return Err(End::Drain),
            changed = policy.changed() => {
                changed.map_err(|_| End::Gone)?;
                stream.under_new_policy(&teller.follower)?;
            }
            message = incoming.message() => teller.take(came(message)?)?,
            changed = changed(&mut stream.ends, turn), if teller.has_room() => changed?,
        }
    }
}

/// How long after a step a replica's turn comes: another time for each, so that who asks waits for one to be told, and not for all. Its turns
/// are as far apart as the steps.
fn turn(instance_id: &[u8]) -> Duration {
    let mut hasher = DefaultHasher::new();
    hasher.write(instance_id);
    GATHER * u32::from(hasher.finish() as u8) / 256
}

/// Waits for changes, and then for the turn. Whoever gives this up for something else meanwhile tells what there is at once.
async fn changed(ends: &mut watch::Receiver<Mark>, turn: Duration) -> Result<(), End> {
    ends.changed().await.map_err(|_| End::Gone)?;
    tokio::time::sleep(turn).await;
    Ok(())
}
