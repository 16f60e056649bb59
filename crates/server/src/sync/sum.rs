//! The digest of what an audience has been told, kept change by change.
//!
//! What a key had when it was told last is taken away, what it has now is added. So a feed knows by how much the digest has changed
//! since it began, and a snapshot of which it knows the place says what it changed from. The digest is that of the state at a
//! revision only where nothing newer was told with it: where a stretch ended at the revision that its entries were read at.

use std::collections::VecDeque;

use xinhub_index::StateDigest;
use xinhub_ledger::KeyChange;

/// Places that a snapshot may end at and be recognised.
const REMEMBERED: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sum {
    /// By how much the digest differs from that at the beginning.
    since: StateDigest,
    /// The digest at the beginning.
    base: Option<StateDigest>,
    /// `since` at the last revisions of which it is known exactly.
    marks: VecDeque<(u64, StateDigest)>,
    /// Entries as new as this were told.
    as_of: u64,
    /// The newest digest that is exact.
    known: Option<(u64, [u8; 32])>,
}

impl Sum {
    pub(super) fn begin(revision: u64, as_of: u64) -> Sum {
        let mut sum = Sum { since: StateDigest::new(), base: None, marks: VecDeque::new(), as_of, known: None };
        sum.note(revision);
        sum
    }

    pub(super) fn tell(&mut self, revision: u64, as_of: u64, changes: &[KeyChange]) {
        for KeyChange { change: (key, entry), before, .. } in changes {
            if entry == before {
                continue;
            }
            before.iter().for_each(|before| self.since.take(key, before));
            entry.iter().for_each(|entry| self.since.add(key, entry));
        }
        self.as_of = self.as_of.max(as_of);
        self.note(revision);
    }

    /// The digest of all that there is at a revision: from now on it is known beyond it.
    pub(super) fn anchor(&mut self, revision: u64, total: &StateDigest) {
        let Some((_, since)) = self.marks.iter().find(|(at, _)| *at == revision) else { return };
        let mut base = total.clone();
        base.minus(since);
        self.base = Some(base);
        if let Some((at, since)) = self.marks.back() {
            self.known = self.total(since).map(|total| (*at, total.value()));
        }
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.base.is_some()
    }

    pub(super) fn known(&self) -> Option<(u64, [u8; 32])> {
        self.known
    }

    /// The newest digest that is exact, whole.
    pub(super) fn keep(&self) -> Option<(u64, StateDigest)> {
        let (at, since) = self.marks.back()?;
        Some((*at, self.total(since)?))
    }

    fn total(&self, since: &StateDigest) -> Option<StateDigest> {
        let mut total = self.base.clone()?;
        total.plus(since);
        Some(total)
    }

    fn note(&mut self, revision: u64) {
        if self.as_of > revision {
            return;
        }
        self.marks.push_back((revision, self.since.clone()));
        if self.marks.len() > REMEMBERED {
            self.marks.pop_front();
        }
        self.known = self.total(&self.since).map(|total| (revision, total.value()));
    }
}
