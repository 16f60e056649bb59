//! What one audience is told, step by step: the last of it in memory, encoded once.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use xinhub_domain::policy;
use xinhub_index::encode_change;
use xinhub_ledger::{Audience, CommandError, KeyChange, Ledger, Mark};

/// Bytes of steps that stay in memory, per audience. Whoever is behind is led on from the journal.
const MAX_RING_BYTES: usize = 4 << 20;
/// Events that a replica which is behind is led on by in one go.
const CATCH_UP_EVENTS: usize = 1_000;

/// A stretch of the history, as an audience is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What it follows on.
    pub(crate) after: Mark,
    /// Where it ends.
    pub(crate) mark: Mark,
    /// All changes, encoded.
    pub(crate) changes: Arc<[u8]>,
    /// Those that a lift has brought, encoded.
    pub(crate) lifted: Arc<[u8]>,
}

impl Step {
    /// Encodes what has changed.
    pub(crate) fn new(after: Mark, mark: Mark, changes: &[KeyChange]) -> Step {
        let encode = |lifts_alone: bool| -> Arc<[u8]> {
            let mut bytes = Vec::new();
            let told = changes.iter().filter(|one| one.lift || !lifts_alone);
            told.for_each(|one| encode_change(&one.change.0, one.change.1.as_ref(), &mut bytes));
            bytes.into()
        };
        Step { after, mark, changes: encode(false), lifted: encode(true) }
    }

    fn bytes(&self) -> usize {
        self.changes.len() + self.lifted.len() + size_of::<Step>()
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
    end: watch::Sender<Mark>,
}

#[derive(Debug, Default)]
struct Ring {
    steps: VecDeque<Step>,
    bytes: usize,
}

impl Feed {
    /// A feed that begins at a mark.
    pub(super) fn new(
        audience: Arc<policy::Audience>,
        key: [u8; 32],
        key_epoch: u32,
        told: Audience,
        mark: Mark,
    ) -> Feed {
        Feed { audience, key, key_epoch, told, ring: Mutex::default(), end: watch::channel(mark).0 }
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

    /// Whom it is told of.
    pub(crate) fn told(&self) -> &Audience {
        &self.told
    }

    /// Tells of each step as it comes.
    pub(crate) fn ends(&self) -> watch::Receiver<Mark> {
        self.end.subscribe()
    }

    pub(super) fn tell(&self, step: Step) {
        let mark = step.mark;
        {
            let mut ring = self.ring.lock();
            ring.bytes += step.bytes();
            ring.steps.push_back(step);
            while ring.bytes > MAX_RING_BYTES && ring.steps.len() > 1 {
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

    /// The step that leads a replica on which is further behind than memory reaches.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub(crate) fn catch_up(&self, ledger: &Ledger, after: Mark) -> Result<Step, CommandError> {
        let touched = ledger.touched(after, CATCH_UP_EVENTS)?;
        let changes = ledger.current(&touched, std::slice::from_ref(&self.told))?;
        let changes = changes.into_iter().next().unwrap_or_default();
        Ok(Step::new(after, touched.mark, &changes))
    }
}
