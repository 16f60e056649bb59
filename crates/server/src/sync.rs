//! What replicas are fed with: one feed per audience, its snapshots, and the subscribers that every lift waits for (decisions D5
//! and D6).
//!
//! Promises: what is told of a key is its current entry; a stretch of the history is worked out once for all replicas of an
//! audience, and whoever is slow never slows the writer nor grows memory: past what is kept in memory it is led on from the
//! journal; a subscriber is durable before its first beat, and a lift waits for its whole lease, also after a restart.

mod completed;
mod feed;
mod snapshot;
mod subscribers;
mod sum;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use arc_swap::ArcSwap;
use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xinhub_domain::policy::{Policy, Reach};
use xinhub_domain::time::Timestamp;
use xinhub_index::{Relations, StateDigest};
use xinhub_ledger::background::Pace;
use xinhub_ledger::clock::Clock;
use xinhub_ledger::crypto;
use xinhub_ledger::keys::Key;
use xinhub_ledger::{Audience, Ledger, Mark, Touched};

use crate::config::CallLimits;
use completed::Completed;
pub use feed::Line;
pub(crate) use feed::{Feed, Step};
pub(crate) use snapshot::Snapshot;
use snapshot::{SnapshotError, Snapshots};
use subscribers::LiftStanding;
pub(crate) use subscribers::{Subscriber, Subscribers};

/// How soon confirmations are durable. What a crash forgets makes a lift wait longer, never shorter.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Events that are worked out in one go. A lift behind an import waits no longer than these take.
const STEP_EVENTS: usize = 1_000;
/// From one step of changes to the next, for each is a message to every replica, and each piece of an import would be one. Lifts never wait
/// for it.
pub(crate) const GATHER: Duration = Duration::from_millis(100);
/// Steps of as many events, of an import for the most part, leave the processors to those who are told of a lift.
const LARGE_STEP_EVENTS: u64 = 100;
/// Steps with lifts of which the time is kept. Of an older lift the time of the oldest kept is an upper bound.
const REMEMBERED_LIFTS: usize = 4_096;
/// How long a replica that connects waits at most until its feed tells of what was acknowledged before: an import, or a fault, may keep it
/// behind.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait after a failure of the disk before it is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often it is looked whether a feed knows the digest of what it tells.
const ANCHOR_EVERY: Duration = Duration::from_secs(10);
/// The file of digests that are kept over a stop.
const DIGESTS: &str = "digests";

/// Everything that feeds replicas.
#[derive(Debug)]
pub struct Replication {
    /// The audiences that the policy names, as it is now.
    feeds: ArcSwap<Vec<Arc<Feed>>>,
    /// Replicas, and what they have confirmed.
    pub(crate) subscribers: Subscribers,
    /// Whose turn it is to make them durable.
    keeping: tokio::sync::Mutex<()>,
    /// Turns to be led on from the journal.
    leading: Semaphore,
    /// What a replica begins with.
    pub(crate) snapshots: Snapshots,
    dir: PathBuf,
    parent: Key,
    clock: Arc<dyn Clock>,
    /// By the boot clock: when the hub started, and since when lifts have been visible, oldest first.
    started_ms: u64,
    visible: Mutex<VecDeque<(u64, u64)>>,
    completed: Completed,
    /// Up to where every feed is told of changes, and the revision of the newest entry that was. Held while a step is told, so that a
    /// new feed begins between two.
    told: Mutex<(Mark, u64)>,
    /// The same of lifts, which changes don't hold up.
    lifted: Mutex<Mark>,
    /// The last lift that is told.
    told_lift: AtomicU64,
    /// The last step of a line could not be told: nobody is told that what they hold is all.
    stuck: [AtomicBool; 2],
    /// Bytes of steps that stay in memory, per audience; fewer only in simulations.
    max_ring_bytes: usize,
    /// What is done wrong, so that tests find out whether they would notice.
    fault: Option<Fault>,
}

/// What a hub can be made to do wrong to its replicas.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A beat gives a lease that lifts don't wait for.
    LeaseUnnoted,
    /// A replica is led on by another audience's feed than the one that it began with.
    TermsUnchecked,
}

/// Where a lift stands, and whether it is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiftStatus {
    pub(crate) standing: LiftStanding,
    /// Milliseconds until nobody is answered from before it any more.
    pub(crate) left_ms: u64,
    pub(crate) complete: bool,
    /// By when it was, to a second or so.
    pub(crate) completed: Option<Timestamp>,
}

/// A digest that is kept over a stop.
#[derive(Encode, Decode)]
struct KeptDigest {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    key_digest: [u8; 32],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    epoch: [u8; 16],
    #[n(2)]
    revision: u64,
    /// Field 3 were lanes of the digest's first form.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    lanes: Vec<u8>,
    /// Of the history up to where it was when the hub stopped.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    chain: [u8; 32],
}

impl Replication {
    /// Opens what is kept of replicas. `parent` is the key from which the audiences' own are derived.
    ///
    /// # Errors
    /// What can't be read or made.
    pub fn open(dir: PathBuf, parent: Key, limits: &CallLimits, clock: Arc<dyn Clock>) -> io::Result<Replication> {
        std::fs::create_dir_all(&dir)?;
        Ok(Replication {
            feeds: ArcSwap::default(),
            subscribers: Subscribers::open(&dir, limits.lease, limits.max_replicas_per_client, Arc::clone(&clock))?,
            keeping: tokio::sync::Mutex::default(),
            leading: Semaphore::new(available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))),
            snapshots: Snapshots::open(dir.clone())?,
            completed: Completed::new(dir.clone()),
            dir,
            parent,
            started_ms: clock.boot_ms(),
            clock,
            visible: Mutex::default(),
            told: Mutex::default(),
            lifted: Mutex::default(),
            told_lift: AtomicU64::new(0),
            stuck: Default::default(),
            max_ring_bytes: feed::MAX_RING_BYTES,
            fault: None,
        })
    }

    /// Keeps so little in memory, has replicas that are so far behind begin anew, and does this wrong.
    #[cfg(feature = "faults")]
    #[must_use]
    pub(crate) fn simulated(
        mut self,
        (max_ring_bytes, max_behind_events): (usize, u64),
        fault: Option<Fault>,
    ) -> Replication {
        self.snapshots.max_behind_events = max_behind_events / 2;
        Replication { max_ring_bytes, fault, ..self }
    }

    /// Events that a replica may be behind and still be led on: further a snapshot is shorter, for either side.
    pub(crate) fn max_behind_events(&self) -> u64 {
        2 * self.snapshots.max_behind_events
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// How long a lease lasts.
    pub(crate) fn lease_ms(&self) -> u64 {
        self.subscribers.lease_ms()
    }

    /// How often beats go out: four of them within a lease, and one a second at least.
    pub(crate) fn beat_ms(&self) -> u64 {
        (self.lease_ms() / 4).min(1_000)
    }

    /// The boot clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.boot_ms()
    }

    /// Hub time.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Begins to tell, from where the history stands.
    pub(crate) fn begin(&self, ledger: &Ledger, policy: &Policy) -> Mark {
        let mark = ledger.begin_telling();
        *self.told.lock() = (mark, mark.revision);
        *self.lifted.lock() = mark;
        self.told_lift.store(mark.lift_seq, Ordering::Release);
        self.take(policy);
        if let Err(error) = self.snapshots.pass_over_others(ledger) {
            tracing::warn!(%error, "snapshots for replicas are made anew");
        }
        if let Err(error) = self.completed.recall(ledger.position().epoch, mark.lift_seq) {
            tracing::warn!(%error, "when lifts were complete is not known any more: they count as complete from now on");
        }
        if mark.lift_seq > self.completed.last() {
            self.visible.lock().push_back((mark.lift_seq, self.started_ms));
        }
        if let Err(error) = self.recall(ledger) {
            tracing::warn!(%error, "digests of what audiences hold are worked out anew");
        }
        mark
    }

    /// The feed of an audience.
    pub(crate) fn feed(&self, audience: &str) -> Option<Arc<Feed>> {
        self.feeds.load().iter().find(|feed| feed.id() == audience).cloned()
    }

    /// The snapshot that a replica begins with.
    ///
    /// # Errors
    /// Where none is there and none can be made.
    pub(crate) async fn snapshot(
        &self,
        feed: &Arc<Feed>,
        reach: Reach,
        ledger: &Ledger,
    ) -> Result<Arc<Snapshot>, SnapshotError> {
        let feeds = self.feeds.load_full();
        self.snapshots.current(feed, reach, &feeds, ledger).await
    }

    /// Under which a replica seals what it has answered, until it has reported it. It stays the replica's own whatever becomes of
    /// its audience.
    pub(crate) fn record_key(&self, who: &Subscriber) -> [u8; 32] {
        let parts: [&[u8]; 3] = [b"replica records", who.client.as_bytes(), &who.instance];
        *crypto::derive(self.parent.bytes(), &parts)
    }

    /// Whether the feeds are where the history is, or will be in a moment.
    pub(crate) fn goes_on(&self) -> bool {
        !self.stuck.iter().any(|stuck| stuck.load(Ordering::Acquire))
    }

    /// Where a lift stands. It is over once no replica's lease from before it may last, and what was answered online just before it was
    /// visible, which may be used for a lease, is over too; of both also what is from before a restart. By the boot clock: the wall may be set.
    pub(crate) fn lift_status(&self, lift_seq: u64) -> LiftStatus {
        let status = self.lift_status_now(lift_seq);
        if status.complete {
            self.note_complete();
        }
        // What was complete stays so.
        match self.completed.time(lift_seq) {
            None => status,
            completed => LiftStatus { left_ms: 0, complete: true, completed, ..status },
        }
    }

    /// Notes which lifts are complete by now.
    fn note_complete(&self) {
        let last = self.completed.last();
        let since: Vec<u64> = self.visible.lock().iter().map(|(seq, _)| *seq).filter(|seq| *seq > last).collect();
        let over = since.into_iter().take_while(|seq| self.lift_status_now(*seq).complete).last();
        if let Some(lift_seq) = over {
            self.completed.note(lift_seq, self.clock.wall());
        }
    }

    fn lift_status_now(&self, lift_seq: u64) -> LiftStatus {
        let standing = self.subscribers.standing(lift_seq);
        let visible_ms = self.visible_for_ms(lift_seq);
        let online_ms = self.lease_ms().saturating_sub(visible_ms.unwrap_or(0));
        let left_ms = online_ms.max(standing.pending_ms).max(self.subscribers.before_ms());
        let complete = standing.pending == 0 && visible_ms.is_some() && left_ms == 0;
        LiftStatus { standing, left_ms, complete, completed: None }
    }

    /// For how long a lift has been visible at least; `None` while it is on its way. A lift from before the start counts from there:
    /// what was answered just before may be used as long as one just after it.
    fn visible_for_ms(&self, lift_seq: u64) -> Option<u64> {
        if lift_seq > self.told_lift.load(Ordering::Acquire) {
            return None;
        }
        let visible = self.visible.lock();
        let at = visible.iter().find(|(seq, _)| *seq >= lift_seq).map_or(self.started_ms, |(_, at)| *at);
        Some(self.clock.boot_ms().saturating_sub(at))
    }

    /// Takes the audiences that a policy names. A feed whose audience has stayed the same goes on; the streams of one that has
    /// changed or gone find out that theirs is no longer the one in force.
    pub(crate) fn take(&self, policy: &Policy) {
        let (told, lifted) = (self.told.lock(), self.lifted.lock());
        let known = self.feeds.load_full();
        let feeds = policy.audiences().iter().map(|audience| {
            let same = known.iter().find(|feed| feed.audience() == audience);
            same.cloned().unwrap_or_else(|| {
                let relations = Relations::from_bits(audience.relations().bits()).unwrap_or(Relations::NONE);
                // Told of more or of fewer, it is another audience: what replicas hold under the old key is fetched anew.
                let parts: [&[u8]; 3] = [b"audience index", audience.id().as_bytes(), &[relations.bits()]];
                let key = crypto::derive(self.parent.bytes(), &parts);
                let whom = Audience::new(&key, relations);
                let key = (*key, self.parent.key_epoch());
                Arc::new(Feed::new(Arc::clone(audience), key, whom, (*lifted, *told), self.max_ring_bytes))
            })
        });
        self.feeds.store(Arc::new(feeds.collect()));
    }

    /// Makes what replicas confirm, and which lifts are complete, durable soon after they do and are, until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, ledger: Ledger, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SAVE_EVERY) => {}
            }
            let (this, epoch) = (Arc::clone(&self), ledger.position().epoch);
            let save = move || {
                this.note_complete();
                this.subscribers.save_changed().and_then(|()| this.completed.save_changed(epoch))
            };
            if let Ok(Err(error)) = tokio::task::spawn_blocking(save).await {
                tracing::error!(%error, "what replicas have confirmed, and when lifts were complete, can't be made durable");
            }
        }
    }

    /// Follows the history until `stop`, and tells every feed of it on one line.
    pub(crate) async fn follow(self: Arc<Self>, line: Line, ledger: Ledger, mut mark: Mark, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                // Before a stop too: the digests are of where the history ends then.
                () = ledger.beyond(mark) => {}
                () = stop.cancelled() => {
                    if line == Line::Changes
                        && let Err(error) = self.remember(&ledger)
                    {
                        tracing::warn!(%error, "the digests of what audiences hold are not kept");
                    }
                    return;
                }
            }
            let is_large = line == Line::Changes && ledger.mark().revision - mark.revision >= LARGE_STEP_EVENTS;
            if is_large {
                tokio::time::sleep(ledger.lull()).await;
            }
            let mut pace = Pace::new();
            let (this, history) = (Arc::clone(&self), ledger.clone());
            // Opening and digesting are work, and not for a thread that answers calls.
            let step = tokio::task::spawn_blocking(move || {
                let touched = line.touched(&history, mark, STEP_EVENTS).ok()?;
                this.tell(line, &history, mark, &touched)
            });
            let step = step.await;
            self.stuck[line as usize].store(!matches!(step, Ok(Some(_))), Ordering::Release);
            match step {
                Ok(Some(next)) => {
                    mark = next;
                    if is_large {
                        pace.pause().await;
                    }
                    if line == Line::Changes && ledger.mark().revision - mark.revision < STEP_EVENTS as u64 {
                        // A stop goes on with what is left.
                        let _ = timeout(GATHER, stop.cancelled()).await;
                    }
                }
                Ok(None) | Err(_) if stop.is_cancelled() => return,
                // Told where it happened. Beats answer no ping while a lift is not told, so leases run out.
                Ok(None) | Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
            }
        }
    }

    /// Tells every feed of a stretch behind a mark; returns where it ends. What happens meanwhile may be told with it.
    pub(crate) fn tell(&self, line: Line, ledger: &Ledger, mark: Mark, touched: &Touched) -> Option<Mark> {
        match line {
            Line::Lifts => self.tell_lifts(ledger, mark, touched),
            Line::Changes => self.tell_changes(ledger, mark, touched),
        }
    }

    fn tell_changes(&self, ledger: &Ledger, mark: Mark, touched: &Touched) -> Option<Mark> {
        let mut told_to = self.told.lock();
        let feeds = self.feeds.load_full();
        let told = ledger.tell(touched, &audiences(&feeds)).ok()?;
        for (feed, changes) in feeds.iter().zip(told.changes) {
            feed.tell(Line::Changes, (mark, touched.mark), told.as_of, &changes);
        }
        *told_to = (touched.mark, told_to.1.max(told.as_of));
        Some(touched.mark)
    }

    fn tell_lifts(&self, ledger: &Ledger, mark: Mark, touched: &Touched) -> Option<Mark> {
        let mut lifted = self.lifted.lock();
        if touched.mark.lift_seq > mark.lift_seq {
            let feeds = self.feeds.load_full();
            let told = ledger.current(touched, &audiences(&feeds)).ok()?;
            for (feed, changes) in feeds.iter().zip(told.changes) {
                feed.tell(Line::Lifts, (mark, touched.mark), told.as_of, &changes);
            }
            let mut visible = self.visible.lock();
            visible.push_back((touched.mark.lift_seq, self.clock.boot_ms()));
            if visible.len() > REMEMBERED_LIFTS {
                visible.pop_front();
            }
        }
        *lifted = touched.mark;
        self.told_lift.store(touched.mark.lift_seq, Ordering::Release);
        Some(touched.mark)
    }

    /// Does what leads a replica on from the journal, unless it is `there` when the turn comes: after a restart all want it at once, and half
    /// of the processors are for others. `None` where its thread died. A turn ends by itself: a stream that its reader lets rest would keep
    /// the others waiting.
    pub(crate) async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        there: impl FnOnce() -> Option<T> + Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (this, (done, outcome)) = (Arc::clone(self), oneshot::channel());
        tokio::spawn(async move {
            // It is never closed.
            let _turn = this.leading.acquire().await;
            if done.is_closed() {
                return;
            }
            if let Some(there) = there() {
                let _ = done.send(there);
                return;
            }
            let mut pace = Pace::new();
            if let Ok(made) = tokio::task::spawn_blocking(work).await {
                let _ = done.send(made);
                pace.pause().await;
            }
        });
        outcome.await.ok()
    }

    /// Waits until a feed tells of all that has been acknowledged by now: a replica that connects then is not level before it knows that.
    pub(crate) async fn up_to_now(&self, feed: &Feed, ledger: &Ledger) {
        let (mut told, now) = (feed.ends(Line::Changes), ledger.mark().revision);
        let _ = timeout(TOLD_WITHIN, told.wait_for(|mark| mark.revision >= now)).await;
    }

    /// Makes durable who has subscribed. Whoever comes while that is written shares the next writing, and holds no thread up: after a
    /// restart a thousand come at once. It goes on by itself: a stream that its reader lets rest would keep the others waiting.
    pub(crate) async fn keep_subscribers(self: &Arc<Self>) -> io::Result<()> {
        let (this, wanted) = (Arc::clone(self), self.subscribers.want());
        let kept = tokio::spawn(async move {
            let _turn = this.keeping.lock().await;
            if this.subscribers.is_saved(wanted) {
                return Ok(());
            }
            let writing = Arc::clone(&this);
            let saved = tokio::task::spawn_blocking(move || writing.subscribers.save_for(wanted)).await;
            saved.unwrap_or_else(|error| Err(io::Error::other(error)))
        });
        kept.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Finds out the digests of feeds that don't know theirs, when nothing else goes on: after a crash, or for a new audience.
    pub(crate) async fn anchor(self: Arc<Self>, ledger: Ledger, stop: CancellationToken) {
        let mut before = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ANCHOR_EVERY) => {}
            }
            let is_quiet = before.replace(ledger.mark()) == Some(ledger.mark());
            if is_quiet && let Err(error) = self.renew(&ledger, |feed| !feed.sum().is_anchored()).await {
                tracing::warn!(%error, "the digests of what audiences hold are not known yet");
            }
        }
    }

    /// Makes new snapshots of some feeds, which so learn the digest of what they tell.
    pub(crate) async fn renew(&self, ledger: &Ledger, of: impl Fn(&Feed) -> bool) -> Result<(), SnapshotError> {
        let feeds: Vec<Arc<Feed>> = self.feeds.load().iter().filter(|feed| of(feed)).cloned().collect();
        if feeds.is_empty() { Ok(()) } else { self.snapshots.renew(feeds, ledger).await }
    }

    /// Keeps what digests are known, for a start that finds the history where it is now.
    pub(crate) fn remember(&self, ledger: &Ledger) -> io::Result<()> {
        let (epoch, Mark { chain, .. }) = (ledger.position().epoch, ledger.mark());
        let kept = |feed: &Arc<Feed>| {
            let (revision, total) = feed.sum().keep()?;
            Some(KeptDigest { key_digest: feed.key_digest(), epoch, revision, lanes: total.to_bytes(), chain })
        };
        let kept: Vec<KeptDigest> = self.feeds.load().iter().filter_map(kept).collect();
        write_whole(&self.dir.join(DIGESTS), &minicbor::to_vec(&kept).map_err(io::Error::other)?)
    }

    fn recall(&self, ledger: &Ledger) -> io::Result<()> {
        let here = (ledger.position().epoch, ledger.mark().chain);
        let bytes = match std::fs::read(self.dir.join(DIGESTS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let kept: Vec<KeptDigest> = minicbor::decode(&bytes).map_err(io::Error::other)?;
        for feed in self.feeds.load().iter() {
            let own = kept.iter().find(|kept| kept.key_digest == feed.key_digest() && (kept.epoch, kept.chain) == here);
            if let Some((kept, total)) = own.and_then(|kept| Some((kept, StateDigest::from_bytes(&kept.lanes)?))) {
                // Of another place in the history it says nothing.
                feed.sum().anchor(kept.revision, &total);
            }
        }
        Ok(())
    }
}

/// Writes a small file, whole or not at all. Durable when it returns.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn audiences(feeds: &[Arc<Feed>]) -> Vec<Audience> {
    feeds.iter().map(|feed| feed.told().clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use xinhub_ledger::clock::SystemClock;
    use xinhub_ledger::keys::{Keyring, Purpose};

    use super::*;

    #[tokio::test]
    async fn a_turn_that_is_let_rest_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let limits = CallLimits::small();
        let parent = Keyring::ephemeral().current(Purpose::Audience).clone();
        let sync = Replication::open(dir.path().join("replicas"), parent, &limits, Arc::new(SystemClock)).unwrap();
        let sync = Arc::new(sync);
        // Each is begun, and then nobody asks for it any more: as many as there are turns, and as many who wait for one.
        let mut left: Vec<_> =
            (0..2 * sync.leading.available_permits()).map(|_| Box::pin(sync.in_turn(|| None, || ()))).collect();
        for one in &mut left {
            drop(tokio::time::timeout(Duration::ZERO, one.as_mut()).await);
        }
        let last = tokio::time::timeout(Duration::from_secs(60), sync.in_turn(|| None, || 7)).await;
        assert_eq!(last, Ok(Some(7)));
        assert_eq!(sync.in_turn(|| Some(8), || 7).await, Some(8), "it was made for another");
        assert_eq!(sync.in_turn(|| None, || -> u8 { panic!("in a test") }).await, None);
        drop(left);
    }
}
