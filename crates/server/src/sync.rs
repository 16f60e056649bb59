//! What replicas are fed with: one feed per audience, its snapshots, and the subscribers that every lift waits for (decisions D5
//! and D6).
//!
//! Promises: what is told of a key is its current entry; a stretch of the history is worked out once for all replicas of an
//! audience, and whoever is slow never slows the writer nor grows memory: past what is kept in memory it is led on from the
//! journal; a subscriber is durable before its first beat, and a lift waits for its whole lease, also after a restart.

mod feed;
mod snapshot;
mod subscribers;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use xinhub_domain::policy::Policy;
use xinhub_index::Relations;
use xinhub_ledger::clock::Clock;
use xinhub_ledger::crypto;
use xinhub_ledger::keys::Key;
use xinhub_ledger::{Audience, Ledger, Mark};

pub(crate) use feed::{Feed, Step};
pub(crate) use snapshot::Snapshots;
pub(crate) use subscribers::{Subscriber, Subscribers};

/// Events that are worked out in one go. A lift behind an import waits no longer than these take.
const STEP_EVENTS: usize = 1_000;
/// How long to wait after a failure of the disk before it is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Everything that feeds replicas.
#[derive(Debug)]
pub struct Replication {
    /// The audiences that the policy names, as it is now.
    feeds: ArcSwap<Vec<Arc<Feed>>>,
    /// Replicas, and what they have confirmed.
    pub(crate) subscribers: Subscribers,
    /// What a replica begins with.
    pub(crate) snapshots: Snapshots,
    parent: Key,
}

impl Replication {
    /// Opens what is kept of replicas. `parent` is the key from which the audiences' own are derived.
    ///
    /// # Errors
    /// What can't be read or made.
    pub fn open(dir: PathBuf, parent: Key, lease: Duration, clock: Arc<dyn Clock>) -> io::Result<Replication> {
        std::fs::create_dir_all(&dir)?;
        Ok(Replication {
            feeds: ArcSwap::default(),
            subscribers: Subscribers::open(&dir, lease, clock)?,
            snapshots: Snapshots::open(dir)?,
            parent,
        })
    }

    /// The feed of an audience.
    pub(crate) fn feed(&self, audience: &str) -> Option<Arc<Feed>> {
        self.feeds.load().iter().find(|feed| feed.id() == audience).cloned()
    }

    /// Takes the audiences that a policy names. A feed whose audience has stayed the same goes on; the streams of one that has
    /// changed or gone find out that theirs is no longer the one in force.
    pub(crate) fn take(&self, policy: &Policy, mark: Mark) {
        let known = self.feeds.load_full();
        let feeds = policy.audiences().iter().map(|audience| {
            let same = known.iter().find(|feed| feed.audience() == audience);
            same.cloned().unwrap_or_else(|| {
                let key = crypto::derive(self.parent.bytes(), &[b"audience index", audience.id().as_bytes()]);
                let relations = Relations::from_bits(audience.relations().bits()).unwrap_or(Relations::NONE);
                let told = Audience::new(&key, relations);
                Arc::new(Feed::new(Arc::clone(audience), *key, self.parent.key_epoch(), told, mark))
            })
        });
        self.feeds.store(Arc::new(feeds.collect()));
    }

    /// Follows the history until `stop`, and tells every feed.
    pub(crate) async fn follow(self: Arc<Self>, ledger: Ledger, mut mark: Mark, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = ledger.beyond(mark) => {}
            }
            let (this, ledger) = (Arc::clone(&self), ledger.clone());
            // Opening and digesting are work, and not for a thread that answers calls.
            let step = tokio::task::spawn_blocking(move || this.step(&ledger, mark)).await;
            match step {
                Ok(Some(next)) => mark = next,
                // Told where it happened. Beats still name what was told last, so leases run out rather than lie.
                Ok(None) | Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
            }
        }
    }

    fn step(&self, ledger: &Ledger, mark: Mark) -> Option<Mark> {
        let feeds = self.feeds.load_full();
        let touched = ledger.touched(mark, STEP_EVENTS).ok()?;
        let audiences: Vec<Audience> = feeds.iter().map(|feed| feed.told().clone()).collect();
        let changes = ledger.current(&touched, &audiences).ok()?;
        for (feed, changes) in feeds.iter().zip(changes) {
            feed.tell(Step::new(mark, touched.mark, &changes));
        }
        Some(touched.mark)
    }
}
