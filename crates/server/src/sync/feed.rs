//! What one audience is told, step by step: the last of it in memory, encoded once.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use prost::bytes::Bytes;
use tokio::sync::watch;
use xinhub_domain::policy::{self, Reach};
use xinhub_index::{Entry, Relations, Until, encode_change};
use xinhub_ledger::{Audience, CommandError, KeyChange, Ledger, Mark};

use super::sum::Sum;

/// Bytes of steps that stay in memory, per audience. Whoever is behind is led on from the journal.
pub(super) const MAX_RING_BYTES: usize = 4 << 20;

/// A stretch of the history, as an audience is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What it follows on.
    pub(crate) after: Mark,
    /// Where it ends.
    pub(crate) mark: Mark,
    /// Its entries are those of this revision: of its end, or beyond it.
    pub(crate) as_of: u64,
    exact: Encoded,
    filter: Encoded,
}

/// Encoded once for every replica that is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    /// All changes.
    pub(crate) changes: Bytes,
    /// Those that a lift has brought.
    pub(crate) lifted: Bytes,
}

impl Encoded {
    fn new(changes: &[KeyChange], entry: impl Fn(&Entry) -> Entry) -> Encoded {
        let encode = |lifts_alone: bool| -> Bytes {
            let mut bytes = Vec::new();
            for one in changes.iter().filter(|one| one.lift || !lifts_alone) {
                encode_change(&one.change.0, one.change.1.as_ref().map(&entry).as_ref(), &mut bytes);
            }
            bytes.into()
        };
        Encoded { changes: encode(false), lifted: encode(true) }
    }

    fn bytes(&self) -> usize {
        self.changes.len() + self.lifted.len()
    }
}

impl Step {
    /// Encodes what has changed.
    pub(crate) fn new(after: Mark, mark: Mark, as_of: u64, changes: &[KeyChange]) -> Step {
        // Beside a filter it matters that there is an entry, and nothing of it is told.
        let some = Entry::uniform(Relations::DEBTOR, Until::FOREVER);
        let (exact, filter) = (Encoded::new(changes, Entry::clone), Encoded::new(changes, |_| some.clone()));
        Step { after, mark, as_of, exact, filter }
    }

    /// As a replica of this reach is told.
    pub(crate) fn told(&self, reach: Reach) -> &Encoded {
        if reach == Reach::Exact { &self.exact } else { &self.filter }
    }

    fn bytes(&self) -> usize {
        self.exact.bytes() + self.filter.bytes() + size_of::<Step>()
    }
}

/// One audience's feed.
#[derive(Debug)]
pub(crate) struct Feed {
    audience: Arc<policy::Audience>,
    key: [u8; 32],
    key_epoch: u32,
    told: Audience,
    ring: Mutex<Ring>,
    max_ring_bytes: usize,
    sum: Mutex<Sum>,
    end: watch::Sender<Mark>,
}

#[derive(Debug, Default)]
struct Ring {
    steps: VecDeque<Step>,
    bytes: usize,
}

impl Feed {
    /// A feed that begins at a mark; `as_of` is the revision of what keys had when it begins.
    pub(super) fn new(
        audience: Arc<policy::Audience>,
        (key, key_epoch): ([u8; 32], u32),
        told: Audience,
        (mark, as_of): (Mark, u64),
        max_ring_bytes: usize,
    ) -> Feed {
        let sum = Mutex::new(Sum::begin(mark.revision, as_of));
        let (ring, end) = (Mutex::default(), watch::channel(mark).0);
        Feed { audience, key, key_epoch, told, ring, max_ring_bytes, sum, end }
    }

    /// The audience's id.
    pub(crate) fn id(&self) -> &str {
        self.audience.id()
    }

    /// The audience as the policy names it.
    pub(crate) fn audience(&self) -> &Arc<policy::Audience> {
        &self.audience
    }

    /// The audience's index key, and its generation.
    pub(crate) fn key(&self) -> (&[u8; 32], u32) {
        (&self.key, self.key_epoch)
    }

    /// Binds what is kept on disk to the key that made it, and to the relations that it was cut to.
    pub(crate) fn key_digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(b"xinhub audience key digest v1");
        context.update(&self.key);
        context.update(&[self.audience.relations().bits()]);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Whom it is told of.
    pub(crate) fn told(&self) -> &Audience {
        &self.told
    }

    /// Up to where it is told.
    pub(crate) fn end(&self) -> Mark {
        *self.end.borrow()
    }

    /// Tells of each step as it comes.
    pub(crate) fn ends(&self) -> watch::Receiver<Mark> {
        self.end.subscribe()
    }

    /// The digest of what a replica holds that has been told everything up to a revision, and the revision; the newest that is known.
    pub(crate) fn digest(&self) -> Option<(u64, [u8; 32])> {
        self.sum.lock().known()
    }

    pub(super) fn sum(&self) -> parking_lot::MutexGuard<'_, Sum> {
        self.sum.lock()
    }

    pub(super) fn tell(&self, after: Mark, mark: Mark, as_of: u64, changes: &[KeyChange]) {
        let step = Step::new(after, mark, as_of, changes);
        self.sum.lock().tell(mark.revision, as_of, changes);
        {
            let mut ring = self.ring.lock();
            ring.bytes += step.bytes();
            ring.steps.push_back(step);
            while ring.bytes > self.max_ring_bytes && ring.steps.len() > 1 {
                let gone = ring.steps.pop_front().map_or(0, |gone| gone.bytes());
                ring.bytes -= gone;
            }
        }
        self.end.send_replace(mark);
    }

    /// The step that leads on from a mark; `None` where there is nothing new, or nothing of it in memory.
    pub(crate) fn next(&self, after: Mark) -> Option<Step> {
        let ring = self.ring.lock();
        if ring.steps.front().is_none_or(|first| first.after.revision > after.revision) {
            return None;
        }
        let at = ring.steps.partition_point(|step| step.mark.revision <= after.revision);
        // Entries are current ones: of a step that the mark lies within, the rest can be told as the whole.
        ring.steps.get(at).map(|step| Step { after, ..step.clone() })
    }

    /// The step of so many events, or a few more, that leads a replica on which is further behind than memory reaches.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub(crate) fn catch_up(&self, ledger: &Ledger, after: Mark, events: usize) -> Result<Step, CommandError> {
        let touched = ledger.touched(after, events)?;
        let told = ledger.current(&touched, std::slice::from_ref(&self.told))?;
        let changes = told.changes.into_iter().next().unwrap_or_default();
        Ok(Step::new(after, touched.mark, told.as_of, &changes))
    }
}
