//! Writes snapshots beside the writer, from copies that it freezes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::recovery;
use crate::storage::Storage;
use crate::writer::{Job, Published};

/// How often it is looked whether a snapshot is due, and how long to wait after one that failed.
const SAVE_POLL: Duration = Duration::from_secs(1);
const SAVE_RETRY: Duration = Duration::from_secs(60);
/// When fewer than [`QUIET_EVENTS`] came in so many looks, the disk is idle: then a snapshot is worth a part of the events that one is
/// worth while an import runs, so that a kill at rest costs the next start little.
const QUIET_POLLS: u32 = 10;
const QUIET_EVENTS: u64 = 1_000;
const QUIET_SHARE: u64 = 20;

/// What the thread of the snapshots is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saving {
    Regularly,
    OnceMore,
    NoMore,
}

/// Writes snapshots beside the writer.
pub(super) struct Saver {
    pub(super) published: watch::Receiver<Published>,
    pub(super) others: mpsc::Sender<Job>,
    pub(super) snapshots: Arc<dyn Storage>,
    pub(super) key_epoch: u32,
    pub(super) saved: u64,
    pub(super) every_events: u64,
}

impl Saver {
    pub(super) async fn run(mut self, mut stop: watch::Receiver<Saving>) {
        let mut pause = Duration::ZERO;
        let mut rate = Rate { polls: 0, before: self.saved };
        loop {
            let saving = tokio::select! {
                stopping = stop.wait_for(|saving| *saving != Saving::Regularly) => {
                    stopping.map_or(Saving::NoMore, |saving| *saving)
                }
                () = tokio::time::sleep(pause + SAVE_POLL) => Saving::Regularly,
            };
            let (revision, failed) = {
                let published = self.published.borrow();
                (published.position.revision, published.failed)
            };
            let events = rate.events_worth_one(revision, self.every_events);
            // After a failure the state is not to be trusted over the journal.
            let worth = !failed
                && match saving {
                    Saving::Regularly => revision >= self.saved.saturating_add(events),
                    Saving::OnceMore => revision > self.saved,
                    Saving::NoMore => false,
                };
            if worth {
                // One that failed was not for nothing: it has cost the disk and the writer something.
                pause = if self.save().await { Duration::ZERO } else { SAVE_RETRY };
            }
            if saving != Saving::Regularly {
                return;
            }
        }
    }

    async fn save(&mut self) -> bool {
        let (reply, frozen) = oneshot::channel();
        if self.others.send(Job::Freeze(reply)).await.is_err() {
            return false;
        }
        let Ok(frozen) = frozen.await else { return false };
        let revision = frozen.revision();
        match recovery::save_snapshot(&*self.snapshots, frozen, self.key_epoch) {
            Ok(()) => {
                self.saved = revision;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a snapshot was not written: the next start reads more of the journal");
                false
            }
        }
    }
}

/// How fast events come.
struct Rate {
    polls: u32,
    /// The revision so many looks ago.
    before: u64,
}

impl Rate {
    /// How many events are worth a snapshot at this look, of which `every_events` are while many come.
    fn events_worth_one(&mut self, revision: u64, every_events: u64) -> u64 {
        self.polls += 1;
        if self.polls < QUIET_POLLS {
            return every_events;
        }
        let is_quiet = revision - self.before < QUIET_EVENTS;
        *self = Rate { polls: 0, before: revision };
        if is_quiet { (every_events / QUIET_SHARE).max(1) } else { every_events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_events_are_worth_a_snapshot_once_it_is_quiet() {
        let mut rate = Rate { polls: 0, before: 0 };
        let mut looks = |revision: u64| -> Vec<u64> {
            (0..QUIET_POLLS).map(|_| rate.events_worth_one(revision, 500_000)).collect()
        };
        let busy = vec![500_000; QUIET_POLLS as usize];
        // An import of 30,000 rows, and then a disclosure here and there.
        assert_eq!(looks(30_000), busy);
        let quiet = looks(30_000 + QUIET_EVENTS - 1);
        assert_eq!((&quiet[..9], quiet[9]), (&busy[..9], 25_000));
        assert_eq!(looks(30_000 + 3 * QUIET_EVENTS), busy);
    }
}
