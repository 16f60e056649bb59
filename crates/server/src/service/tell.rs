//! What a replica is told on its two streams, and what becomes of what it says: decided message by message, without waiting for
//! anybody.
//!
//! Promises: a beat names no lift that was not told before it, and the lease that it may give is noted first; a replica that the feed
//! can't lead on is told so, never skipped past anything. What carries the messages decides nothing: [`super::follow`] does it over
//! connections, and a simulation in any order that a network could.

use std::sync::Arc;

use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesIn;
use xinhub_api::v1::follow_changes_response::Message as ChangesOut;
use xinhub_api::v1::follow_lifts_request::Message as LiftsIn;
use xinhub_api::v1::follow_lifts_response::Message as LiftsOut;
use xinhub_domain::policy::{Reach, SyncPermit};
use xinhub_ledger::{Ledger, Mark};
use xinhub_translog::note::Signer;

use super::admin::hex;
use crate::sync::{Fault, Feed, Line, Replication, Step, Subscriber};

/// Bytes of changes that travel unacknowledged.
const WINDOW_BYTES: usize = 256 * 1024;
/// Within how long replicas begin anew, each by chance, so that they don't all come at once.
const RESYNC_WITHIN_MS: u32 = 5_000;
/// Within how long replicas come again to a hub that is stopping, or to the one that takes its place.
const DRAIN_WITHIN_MS: u32 = 1_000;
/// How often the same place may be refused: what can't be read after that won't be.
const MAX_REFUSALS: u32 = 3;
/// Events that a replica which is behind is led on by in one go.
pub(super) const CATCH_UP_EVENTS: usize = 1_000;

/// Why a stream ends.
#[derive(Debug)]
pub(super) enum End {
    /// The replica is gone or done.
    Gone,
    /// It has to begin anew.
    Resync(v1::ResyncReason),
    /// The hub is stopping.
    Drain,
    Failure(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failure(failure)
    }
}

/// What is said to a replica that has to begin anew.
pub(super) fn resync(reason: v1::ResyncReason) -> v1::Resync {
    v1::Resync { reason: reason as i32, within_ms: RESYNC_WITHIN_MS }
}

/// What is said to a replica before the hub stops.
pub(super) fn drain() -> v1::Drain {
    v1::Drain { within_ms: DRAIN_WITHIN_MS }
}

pub(super) fn missing_open() -> End {
    Failure::field(Reason::InvalidField, "open", "comes first, and once").into()
}

/// Another stream was opened in the replica's name, or it was forgotten: this one speaks for nobody.
fn superseded() -> End {
    Failure::new(
        Reason::Overloaded,
        "another connection follows in this replica's name; two replicas never share a directory",
    )
    .into()
}

/// The replica is not known to be one that lifts wait for: it has no beat.
pub(super) fn not_durable(error: &std::io::Error) -> End {
    tracing::error!(%error, "a subscriber can't be made durable");
    Failure::new(Reason::Storage, "the subscription can't be made durable just now; try again").into()
}

/// By which audience and rules a replica decides, in short.
pub(super) type Terms = [u8; 16];

/// Where a replica says that it is, and by which terms.
pub(super) struct At<'a> {
    pub(super) epoch: &'a [u8],
    pub(super) revision: u64,
    pub(super) lift_seq: u64,
    /// The chain hash over the history up to `revision`, as the replica was told it.
    pub(super) chain: &'a [u8],
    /// Empty where it is an older one, which doesn't say.
    pub(super) terms: &'a [u8],
}

/// One replica on one stream, and where it is.
#[derive(Clone)]
pub(super) struct Follower {
    ledger: Ledger,
    sync: Arc<Replication>,
    feed: Arc<Feed>,
    who: Subscriber,
    reach: Reach,
    line: Line,
    mark: Mark,
    /// Up to where what is told comes from the journal, also where it is in memory: as it was told it was refused.
    anew_to: u64,
}

impl Follower {
    /// Where a replica may be led on from. `terms` are those in force.
    pub(super) fn open(
        (ledger, sync): (&Ledger, &Arc<Replication>),
        (feed, terms): (Arc<Feed>, Terms),
        (who, reach, line): (Subscriber, Reach, Line),
        at: At<'_>,
    ) -> Result<Follower, End> {
        let At { epoch, revision, lift_seq, .. } = at;
        if !at.terms.is_empty() && at.terms != terms && !sync.has(Fault::TermsUnchecked) {
            // Since it took the manifest they have changed: under another key nothing that it is told would lift anybody. It comes again.
            return Err(End::Gone);
        }
        if epoch != ledger.position().epoch {
            return Err(End::Resync(v1::ResyncReason::Epoch));
        }
        let mark = ledger.mark_at(revision, lift_seq).map_err(super::status::command)?;
        // Nobody has applied a lift that has not been; and a history that was set back and went on is another one.
        let mark = mark.filter(|mark| lift_seq <= ledger.lift_seq() && mark.chain == *at.chain);
        let mark = mark.filter(|mark| ledger.position().revision - mark.revision <= sync.max_behind_events());
        let mark = mark.ok_or(End::Resync(v1::ResyncReason::Position))?;
        let anew_to = 0;
        Ok(Follower { ledger: ledger.clone(), sync: Arc::clone(sync), feed, who, reach, line, mark, anew_to })
    }

    /// Whether a right to a replica, and the feed that goes with it, leave the stream as it began.
    pub(super) fn stands(&self, permit: &SyncPermit, feed: &Arc<Feed>) -> Result<(), End> {
        if permit.may_hold(self.reach) && Arc::ptr_eq(feed, &self.feed) {
            Ok(())
        } else {
            Err(End::Resync(v1::ResyncReason::Audience))
        }
    }

    /// What it is told of.
    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// Whether there is a stretch beyond where the replica is.
    pub(super) fn is_behind(&self) -> bool {
        self.line.place(&self.feed.end(self.line)) > self.line.place(&self.mark)
    }

    /// The next stretch, if it is in memory.
    pub(super) fn next(&self) -> Option<Step> {
        if self.mark.revision < self.anew_to { None } else { self.feed.next(self.line, self.mark) }
    }

    /// The next stretch, of so many events or a few more, from the journal. Reads the disk.
    pub(super) fn catch_up(&self, events: usize) -> Result<Step, End> {
        Ok(self.feed.catch_up(self.line, &self.ledger, self.mark, events).map_err(super::status::command)?)
    }
}

/// The lift stream, as the hub has it.
pub(super) struct LiftTeller {
    pub(super) follower: Follower,
    /// By which number it speaks for the replica.
    generation: u64,
    /// The lift up to which all is told. The replica may have been told of lifts beyond where its changes are.
    told: u64,
    /// The lift up to which all is confirmed, and since when that is less than was told.
    confirmed: u64,
    behind_since_ms: u64,
    pings: Pings,
}

/// Whether any came, the last, the last that a beat has answered, and when the last beat went out.
struct Pings {
    any: bool,
    last: u64,
    answered: u64,
    beat_at_ms: u64,
}

impl LiftTeller {
    /// From here on every lift waits for this replica. That is to be durable before the first beat.
    pub(super) fn register(follower: Follower) -> Result<LiftTeller, End> {
        let (subscribers, told) = (&follower.sync.subscribers, follower.mark.lift_seq);
        let generation = match subscribers.register(&follower.who, follower.feed.id(), told) {
            Ok(generation) => generation,
            Err(error) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
                let text =
                    "this client keeps as many replicas as one may; end one, or come again once one has been silent";
                return Err(Failure::new(Reason::Overloaded, text).into());
            }
            Err(error) => return Err(not_durable(&error)),
        };
        let now_ms = follower.sync.now_ms();
        let pings = Pings { any: false, last: 0, answered: 0, beat_at_ms: now_ms };
        Ok(LiftTeller { follower, generation, told, confirmed: told, behind_since_ms: now_ms, pings })
    }

    /// What goes out first.
    pub(super) fn opened(&self) -> LiftsOut {
        LiftsOut::Opened(v1::FollowLiftsOpened { lift_seq: self.told })
    }

    /// What of the next stretch goes out: its lifts, if the replica has not been told of them.
    pub(super) fn tell(&mut self, step: &Step) -> Option<LiftsOut> {
        let (prev_lift_seq, lift_seq) = (self.told, step.mark.lift_seq);
        self.follower.mark = step.mark;
        self.follower.mark.lift_seq = lift_seq.max(prev_lift_seq);
        if lift_seq <= prev_lift_seq {
            return None;
        }
        if self.confirmed >= prev_lift_seq {
            self.behind_since_ms = self.follower.sync.now_ms();
        }
        self.told = lift_seq;
        let (revision, as_of) = (step.mark.revision, step.as_of);
        let changes = step.told(self.follower.reach).clone();
        Some(LiftsOut::Lift(v1::Lift { prev_lift_seq, lift_seq, revision, changes, as_of }))
    }

    /// Takes what the replica says; says whether it is to have a beat at once.
    pub(super) fn take(&mut self, message: v1::FollowLiftsRequest) -> Result<bool, End> {
        let Follower { sync, who, .. } = &self.follower;
        match message.message {
            Some(LiftsIn::Ack(ack)) => {
                // Nobody confirms what was not told.
                self.confirmed = self.confirmed.max(ack.lift_seq.min(self.told));
                let speaks = sync.subscribers.acknowledge(who, self.generation, self.confirmed);
                if speaks { Ok(false) } else { Err(superseded()) }
            }
            Some(LiftsIn::Ping(ping)) => {
                let is_first = !std::mem::replace(&mut self.pings.any, true);
                self.pings.last = ping.number;
                // Each costs a signature: who pings more often waits for the next beat. Before the first nothing was answered from there.
                Ok(is_first || sync.now_ms() - self.pings.beat_at_ms >= sync.beat_ms() / 2)
            }
            Some(LiftsIn::Open(_)) | None => Err(missing_open()),
        }
    }

    /// Says how far the replica has been told, signed. The lease that it may begin is noted first.
    pub(super) fn beat(&mut self, signer: &Signer) -> Result<LiftsOut, End> {
        let Follower { ledger, sync, feed, who, reach, .. } = &self.follower;
        // Of a filter no digest says anything.
        let digest = feed.digest().filter(|_| *reach == Reach::Exact);
        let digest =
            digest.map_or_else(String::new, |(revision, digest)| format!("digest {revision} {}\n", hex(&digest)));
        let place = format!(
            "xinhub beat 1\nepoch {:032x}\naudience {}\nrevision {}\nlift_seq {}\n",
            u128::from_be_bytes(ledger.position().epoch),
            feed.id(),
            feed.end(Line::Changes).revision,
            self.told,
        );
        let note = feed.beat(*reach, (place, digest), sync.wall(), |text| signer.sign(text));
        let note = note.map_err(|_| Failure::new(Reason::Internal, "the beat can't be signed; connect again"))?;
        // A lease counts from the sending of a ping that was not answered yet: other beats give none. None is given while a lift is
        // on its way to the feed, nor to a replica that was told of one a lease ago and has not confirmed it.
        let confirms = self.confirmed >= self.told || sync.now_ms() - self.behind_since_ms < sync.lease_ms();
        // Nor while the hub's clock is unsure, by which replicas end terms, or while its feed is stuck.
        let gives = ledger.is_clock_sure() && sync.goes_on();
        let pings = &mut self.pings;
        if pings.last > pings.answered && confirms && gives && self.told >= ledger.lift_seq() {
            if !sync.has(Fault::LeaseUnnoted) && !sync.subscribers.beat(who, self.generation) {
                return Err(superseded());
            }
            pings.answered = pings.last;
        }
        pings.beat_at_ms = sync.now_ms();
        Ok(LiftsOut::Beat(v1::Beat { note, ping: pings.answered }))
    }
}

/// The change stream, as the hub has it.
pub(super) struct ChangeTeller {
    pub(super) follower: Follower,
    /// Up to where all is applied.
    applied: Mark,
    /// What travels: where each batch ends, and its bytes.
    travelling: Vec<(Mark, usize)>,
    /// How often what follows on `applied` was refused.
    refusals: u32,
}

impl ChangeTeller {
    pub(super) fn new(follower: Follower) -> ChangeTeller {
        let applied = follower.mark;
        ChangeTeller { follower, applied, travelling: Vec::new(), refusals: 0 }
    }

    /// Whether more may travel.
    pub(super) fn has_room(&self) -> bool {
        self.travelling.iter().map(|(_, bytes)| bytes).sum::<usize>() < WINDOW_BYTES
    }

    /// What of the next stretch goes out.
    pub(super) fn tell(&mut self, step: &Step) -> ChangesOut {
        let (revision, lift_seq) = (step.mark.revision, step.mark.lift_seq);
        let (prev_revision, as_of, chain) = (self.follower.mark.revision, step.as_of, step.mark.chain.to_vec());
        let changes = step.told(self.follower.reach).clone();
        self.travelling.push((step.mark, changes.len()));
        self.follower.mark = step.mark;
        ChangesOut::Batch(v1::ChangeBatch { prev_revision, revision, lift_seq, changes, as_of, chain })
    }

    /// Takes what the replica says.
    pub(super) fn take(&mut self, message: v1::FollowChangesRequest) -> Result<(), End> {
        match message.message {
            Some(ChangesIn::Ack(ack)) => {
                self.applied(ack.revision);
                Ok(())
            }
            Some(ChangesIn::Nack(nack)) => self.again(&nack),
            Some(ChangesIn::Open(_)) | None => Err(missing_open()),
        }
    }

    fn applied(&mut self, revision: u64) {
        let applied = self.travelling.iter().rfind(|(mark, _)| mark.revision <= revision);
        if let Some((mark, _)) = applied {
            (self.applied, self.refusals) = (*mark, 0);
        }
        self.travelling.retain(|(mark, _)| mark.revision > revision);
    }

    /// What was refused goes out again.
    fn again(&mut self, nack: &v1::ChangesNack) -> Result<(), End> {
        self.applied(nack.revision);
        self.refusals += 1;
        let (client, reason) = (&self.follower.who.client, nack.reason());
        tracing::error!(%client, ?reason, revision = nack.revision, times = self.refusals, "a replica refuses changes");
        if nack.revision != self.applied.revision || self.refusals > MAX_REFUSALS {
            return Err(End::Resync(v1::ResyncReason::Position));
        }
        self.follower.anew_to = self.follower.mark.revision.max(self.follower.anew_to);
        self.follower.mark = self.applied;
        self.travelling.clear();
        Ok(())
    }
}
