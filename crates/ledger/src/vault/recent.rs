//! What an import has just written, still open, for those who follow the journal close behind.
//!
//! Promises: an event that is found here is what the journal has at its place, as it would open. Kept are entries of imports alone, in
//! memory, so many bytes at most, and only until all followers are past them; none of it is found behind the next entry of another kind,
//! which an erasure is. Whoever finds nothing reads the journal. Without it, each row of an import is read, decoded, and opened under an unwrapped
//! key twice more, which takes a third of what the import takes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use xinhub_domain::listing::Clear;

use crate::plan::pending::{Pending, Prepared};
use crate::table::Place;

/// Bytes in the journal of what is kept; open it takes some three times as many.
const MAX_BYTES: usize = 8 << 20;

/// Who follows the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Follower {
    /// The detail store.
    Detail,
    /// Those who tell replicas.
    Told,
}

/// An entry of an import.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Where it lies in the journal.
    pub(crate) frame: u64,
    /// Its number in the journal.
    pub(crate) sequence: u64,
    /// Its events, with their bodies.
    pub(crate) pending: Arc<Pending>,
    /// Their clear parts.
    pub(crate) clears: Vec<Clear>,
}

impl Recent {
    /// Its events, in their order.
    pub(crate) fn events(&self) -> impl Iterator<Item = (&Clear, &Prepared)> {
        self.clears.iter().zip(self.pending.events())
    }

    /// The event at a place within it.
    pub(crate) fn event(&self, place: Place) -> Option<(&Clear, &Prepared)> {
        self.clears.get(place.event()).zip(self.pending.events().get(place.event()))
    }
}

/// The entries that are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    entries: VecDeque<Arc<Recent>>,
    bytes: usize,
    /// How far each follower is.
    passed: [u64; 2],
}

impl State {
    fn drop_oldest(&mut self) -> Option<Arc<Recent>> {
        let oldest = self.entries.pop_front()?;
        self.bytes -= oldest.pending.bytes();
        Some(oldest)
    }
}

impl Kept {
    /// Keeps an entry; returns those that there is no room for any more.
    pub(crate) fn put(&self, recent: Arc<Recent>) -> Vec<Arc<Recent>> {
        let mut state = self.0.lock();
        state.bytes += recent.pending.bytes();
        state.entries.push_back(recent);
        let mut dropped = Vec::new();
        while state.bytes > MAX_BYTES {
            dropped.extend(state.drop_oldest());
        }
        dropped
    }

    /// A follower needs nothing up to here any more.
    pub(crate) fn passed(&self, follower: Follower, sequence: u64) {
        let mut dropped = Vec::new();
        let mut state = self.0.lock();
        state.passed[follower as usize] = sequence;
        let [detail, told] = state.passed;
        while state.entries.front().is_some_and(|oldest| oldest.sequence <= detail.min(told)) {
            dropped.extend(state.drop_oldest());
        }
        // Giving much memory back takes its time, and nobody waits for it.
        drop(state);
    }

    /// Forgets all, and gives it to whoever has the time to give its memory back.
    pub(crate) fn clear(&self) -> impl Iterator<Item = Arc<Recent>> + use<> {
        let mut state = self.0.lock();
        state.bytes = 0;
        std::mem::take(&mut state.entries).into_iter()
    }

    /// The entry of a number.
    pub(crate) fn entry(&self, sequence: u64) -> Option<Arc<Recent>> {
        self.find(sequence, |recent| recent.sequence)
    }

    /// The entry that holds a place.
    pub(crate) fn at(&self, place: Place) -> Option<Arc<Recent>> {
        self.find(place.frame(), |recent| recent.frame)
    }

    /// By what ascends from one entry to the next.
    fn find(&self, wanted: u64, of: impl Fn(&Recent) -> u64) -> Option<Arc<Recent>> {
        let state = self.0.lock();
        let at = state.entries.binary_search_by_key(&wanted, |recent| of(recent)).ok()?;
        state.entries.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::pending::testing::pending_of_bytes;

    fn entry(sequence: u64, bytes: usize) -> Arc<Recent> {
        let pending = Arc::new(pending_of_bytes(bytes));
        Arc::new(Recent { frame: sequence * 100, sequence, pending, clears: Vec::new() })
    }

    #[test]
    fn an_entry_is_kept_until_all_are_past_it_or_there_is_no_room() {
        let kept = Kept::default();
        let there = |range: std::ops::RangeInclusive<u64>| {
            range.map(|sequence| kept.entry(sequence).is_some()).collect::<Vec<_>>()
        };
        for sequence in 1..=4 {
            assert!(kept.put(entry(sequence, 1_000)).is_empty());
        }
        assert_eq!(there(0..=5), [false, true, true, true, true, false]);
        assert_eq!(kept.at(Place::new(300, 7)).map(|recent| recent.sequence), Some(3));
        assert!(kept.at(Place::new(301, 0)).is_none());
        kept.passed(Follower::Detail, 3);
        assert_eq!(there(1..=4), [true; 4], "the other may want them yet");
        kept.passed(Follower::Told, 2);
        assert_eq!(there(1..=4), [false, false, true, true]);
        kept.put(entry(5, MAX_BYTES - 1_500));
        assert_eq!(there(3..=5), [false, true, true]);
        assert_eq!(kept.clear().count(), 2);
        assert_eq!(there(3..=5), [false; 3]);
        assert_eq!(kept.put(entry(6, MAX_BYTES + 1)).len(), 1, "one that is too large is not kept at all");
        assert_eq!(kept.0.lock().bytes, 0);
    }
}
