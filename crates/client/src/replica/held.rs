//! What a replica holds, and how changes are applied to it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use xinhub_index::{
    Change, Entry, Filter, Frozen, Index, IndexWriter, Key, Relations, StateDigest, Until, read_changes,
};

use super::Fault;

/// Places of which the digest is remembered, for a beat that names one of them.
const REMEMBERED: usize = 16;

/// Why what came was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// What is held stays as it was.
    #[error("what the hub sent does not follow on what is held: it skips a {0}")]
    Gap(&'static str),
    /// What is held stays as it was.
    #[error("what the hub sent can't be read: it {0}")]
    Damaged(&'static str),
    /// What is held is not what the hub has told.
    #[error("what is held is not what the hub says that it has told: the digests of one place differ")]
    Differs,
}

/// What look-ups read. Nobody waits for anybody.
pub(super) enum View {
    /// Every entry of the audience.
    Exact(Index),
    /// A filter, and what has come and gone since it was made.
    Filter(Box<Filter>, Index, Index),
}

impl View {
    /// Whether nobody has this key.
    pub(super) fn is_clear(&self, key: &Key) -> bool {
        let has = |index: &Index| index.probe_mask(key, Relations::ALL).is_some();
        match self {
            View::Exact(index) => !has(index),
            // In this order: what comes is put into the one before it is taken out of the other.
            View::Filter(filter, came, gone) => !has(came) && (has(gone) || !filter.may_hold(key)),
        }
    }

    /// Of each of many keys, whether anybody may have it, by one of `mask` if that is known.
    pub(super) fn has_many(&self, keys: &[Key], mask: Relations) -> Vec<bool> {
        match self {
            View::Exact(index) => index.has_many(keys, mask),
            View::Filter(..) => keys.iter().map(|key| !self.is_clear(key)).collect(),
        }
    }

    /// How many entries it has; of a filter those that have come since it was made.
    pub(super) fn entries(&self) -> u64 {
        match self {
            View::Exact(index) | View::Filter(_, index, _) => index.len() as u64,
        }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            View::Exact(index) => index.memory_bytes(),
            View::Filter(filter, came, gone) => filter.memory_bytes() + came.memory_bytes() + gone.memory_bytes(),
        }
    }
}

/// The side of a [`View`] that is written to.
pub(super) enum Writers {
    Exact(IndexWriter, Digest),
    Filter(IndexWriter, IndexWriter),
}

/// The digest of what is held. Summing up what was loaded takes ten times as long as loading it: it is done aside, while what is held
/// answers already, and until it is done only what has changed since is in the sum.
pub(super) struct Digest {
    sum: StateDigest,
    loaded: Loaded,
}

enum Loaded {
    /// Is in the sum.
    Summed,
    /// Is not yet: what it was, and what its digest has to be.
    Aside(Arc<Frozen>, [u8; 32]),
    /// Was something else than it had to be.
    Differs,
}

impl Digest {
    /// Of what has no entry.
    #[cfg(test)]
    pub(super) fn empty() -> Digest {
        Digest { sum: StateDigest::new(), loaded: Loaded::Summed }
    }

    /// Of what was just loaded, and has to be `digest`.
    pub(super) fn of(loaded: Frozen, digest: [u8; 32]) -> Digest {
        Digest { sum: StateDigest::new(), loaded: Loaded::Aside(Arc::new(loaded), digest) }
    }

    /// `None` while what was loaded is not in it.
    pub(super) fn value(&self) -> Option<[u8; 32]> {
        matches!(self.loaded, Loaded::Summed).then(|| self.sum.value())
    }
}

/// Where in the history it is, and how to go on.
pub(super) struct Held {
    pub(super) writers: Writers,
    pub(super) epoch: [u8; 16],
    pub(super) revision: u64,
    /// The chain hash over the history up to `revision`.
    pub(super) chain: [u8; 32],
    pub(super) lift_seq: u64,
    /// The lifts that are within `revision`.
    pub(super) changed_lift_seq: u64,
    /// What is done wrong, where a test asks whether it would notice.
    pub(super) fault: Option<Fault>,
    /// Keys that lifts have changed beyond `revision`: changes from before that must not undo it.
    lifted: HashMap<Key, u64>,
    /// Entries as new as this are held.
    pub(super) as_of: u64,
    /// The digests at the last places at which nothing newer was held.
    digests: VecDeque<(u64, [u8; 32])>,
    /// What the hub's was at a place that is not reached yet.
    expected: Option<(u64, [u8; 32])>,
    /// The last place at which it was the hub's.
    pub(super) compared: u64,
}

impl Held {
    /// What was loaded as a whole.
    pub(super) fn new(
        writers: Writers,
        (epoch, chain): ([u8; 16], [u8; 32]),
        (revision, as_of): (u64, u64),
        lift_seq: u64,
    ) -> Held {
        let mut held = Held {
            writers,
            epoch,
            revision,
            chain,
            lift_seq,
            changed_lift_seq: lift_seq,
            fault: None,
            lifted: HashMap::new(),
            as_of: as_of.max(revision),
            digests: VecDeque::new(),
            expected: None,
            compared: 0,
        };
        held.note_digest();
        held
    }

    /// What was loaded, to be summed up: for one who does, until that one lets go of it.
    pub(super) fn unsummed(&self) -> Option<Arc<Frozen>> {
        match &self.writers {
            Writers::Exact(_, Digest { loaded: Loaded::Aside(loaded, _), .. }) => {
                (Arc::strong_count(loaded) == 1).then(|| Arc::clone(loaded))
            }
            Writers::Exact(..) | Writers::Filter(..) => None,
        }
    }

    /// What was loaded is summed up. Of what is not held any more it changes nothing.
    pub(super) fn summed(&mut self, of: &Arc<Frozen>, sum: &StateDigest) -> Result<(), Broken> {
        let Writers::Exact(_, digest) = &mut self.writers else { return Ok(()) };
        let Loaded::Aside(loaded, expected) = &digest.loaded else { return Ok(()) };
        if !Arc::ptr_eq(loaded, of) {
            return Ok(());
        }
        digest.loaded = if sum.value() == *expected { Loaded::Summed } else { Loaded::Differs };
        digest.sum.plus(sum);
        self.note_digest();
        self.compare()
    }

    /// Applies some lifts; how many keys they concern.
    pub(super) fn lift(
        &mut self,
        (prev, seq): (u64, u64),
        (revision, as_of): (u64, u64),
        bytes: &[u8],
    ) -> Result<usize, Broken> {
        if prev > self.lift_seq {
            return Err(Broken::Gap("lift"));
        }
        let changes = read_changes(bytes).map_err(Broken::Damaged)?;
        let keys = changes.len();
        // Told by the other stream already, and perhaps changed since: nothing of it is put.
        if revision > self.revision {
            for (key, entry) in changes {
                let newest = self.lifted.entry(key).or_insert(revision);
                if *newest > revision {
                    continue;
                }
                *newest = revision;
                self.put((key, entry));
            }
            self.as_of = self.as_of.max(as_of);
        }
        self.lift_seq = self.lift_seq.max(seq);
        Ok(keys)
    }

    /// Applies a stretch of changes.
    pub(super) fn change(
        &mut self,
        prev: u64,
        (revision, lift_seq): (u64, u64),
        (as_of, chain): (u64, [u8; 32]),
        bytes: &[u8],
    ) -> Result<(), Broken> {
        if prev > self.revision {
            return Err(Broken::Gap("change"));
        }
        if revision <= self.revision {
            return Ok(());
        }
        let overlay = self.fault != Some(Fault::OverlayOff);
        for change in read_changes(bytes).map_err(Broken::Damaged)? {
            let newer = overlay && self.lifted.get(&change.0).is_some_and(|lifted| *lifted > revision);
            let is_lost = change.1.is_some() && self.fault.take_if(|fault| *fault == Fault::ChangeLost).is_some();
            if !newer && !is_lost {
                self.put(change);
            }
        }
        (self.revision, self.chain) = (revision, chain);
        self.as_of = self.as_of.max(as_of);
        // The lifts of the stretch came with it.
        self.changed_lift_seq = self.changed_lift_seq.max(lift_seq);
        self.lift_seq = self.lift_seq.max(lift_seq);
        self.lifted.retain(|_, lifted| *lifted > revision);
        self.note_digest();
        self.compare()
    }

    /// The hub says what its digest is at a place: here or behind it is compared at once, ahead once it is reached.
    pub(super) fn expect(&mut self, revision: u64, digest: [u8; 32]) -> Result<(), Broken> {
        self.expected = Some((revision, digest));
        self.compare()
    }

    fn note_digest(&mut self) {
        if let Writers::Exact(_, digest) = &self.writers
            && self.as_of <= self.revision
            && self.lifted.is_empty()
            && let Some(value) = digest.value()
        {
            self.digests.push_back((self.revision, value));
            if self.digests.len() > REMEMBERED {
                self.digests.pop_front();
            }
        }
    }

    /// Whether what is held is, as far as it can be told here, what the hub has told.
    pub(super) fn compare(&mut self) -> Result<(), Broken> {
        if matches!(&self.writers, Writers::Exact(_, Digest { loaded: Loaded::Differs, .. })) {
            return Err(Broken::Differs);
        }
        let Some((revision, digest)) = self.expected.filter(|(revision, _)| *revision <= self.revision) else {
            return Ok(());
        };
        self.expected = None;
        // Of a place that was passed in one step, or with newer entries, nothing can be said.
        match self.digests.iter().find(|(at, _)| *at == revision) {
            Some((_, own)) if *own != digest => return Err(Broken::Differs),
            Some(_) => self.compared = self.compared.max(revision),
            None => {}
        }
        Ok(())
    }

    fn put(&mut self, (key, entry): Change) {
        match (&mut self.writers, entry) {
            (Writers::Exact(writer, digest), entry) => {
                if let Some(old) = writer.index().probe(&key) {
                    digest.sum.take(&key, &old);
                }
                match entry {
                    Some(entry) => {
                        digest.sum.add(&key, &entry);
                        writer.insert(key, &entry);
                    }
                    None => drop(writer.remove(&key)),
                }
            }
            // In this order, so that a look-up between the two errs towards asking the hub.
            (Writers::Filter(came, gone), Some(entry)) => {
                came.insert(key, &entry);
                gone.remove(&key);
            }
            (Writers::Filter(came, gone), None) => {
                gone.insert(key, &Entry::uniform(Relations::DEBTOR, Until::FOREVER));
                came.remove(&key);
            }
        }
    }

    /// How many keys have changed since the filter was made.
    pub(super) fn beside_filter(&self) -> usize {
        match &self.writers {
            Writers::Exact(..) => 0,
            Writers::Filter(came, gone) => came.index().len() + gone.index().len(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use xinhub_index::{FilterWriter, encode_change};

    const KEY: Key = Key([7; 16]);

    /// Both reaches, without an entry.
    fn both() -> [(Held, View); 2] {
        let (index, writer) = Index::new();
        let exact =
            (Held::new(Writers::Exact(writer, Digest::empty()), ([1; 16], [0; 32]), (0, 0), 0), View::Exact(index));
        [exact, filter_of(&[])]
    }

    fn filter_of(keys: &[Key]) -> (Held, View) {
        let mut bytes = Vec::new();
        let mut writer = FilterWriter::new(1, &mut bytes).unwrap();
        keys.iter().for_each(|key| writer.key(key).unwrap());
        writer.end().unwrap();
        let filter = Box::new(Filter::read(&mut &*bytes, 1).unwrap());
        let ((came, came_writer), (gone, gone_writer)) = (Index::new(), Index::new());
        let held = Held::new(Writers::Filter(came_writer, gone_writer), ([1; 16], [0; 32]), (0, 0), 0);
        (held, View::Filter(filter, came, gone))
    }

    fn listed() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_change(&KEY, Some(&Entry::uniform(Relations::DEBTOR, Until::FOREVER)), &mut bytes);
        bytes
    }

    fn absent() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_change(&KEY, None, &mut bytes);
        bytes
    }

    #[test]
    fn bulk_does_not_bring_a_lifted_key_back_and_a_new_listing_does() {
        for (mut held, view) in both() {
            let is_listed = || {
                let (other, is_clear) = (Key([9; 16]), view.is_clear(&KEY));
                assert_eq!(view.has_many(&[other, KEY], Relations::ALL), [!view.is_clear(&other), !is_clear]);
                !is_clear
            };
            held.change(0, (5, 0), (5, [0; 32]), &listed()).unwrap();
            assert!(is_listed());
            // The lift of revision 9 overtakes the change of revision 7.
            assert_eq!(held.lift((0, 1), (9, 9), &absent()), Ok(1));
            assert!(!is_listed());
            held.change(5, (7, 0), (7, [0; 32]), &listed()).unwrap();
            assert!(!is_listed(), "bulk brought a lifted key back");
            held.change(7, (9, 0), (9, [0; 32]), &absent()).unwrap();
            assert!(!is_listed());
            // Listed anew by a later decision.
            held.change(9, (12, 0), (12, [0; 32]), &listed()).unwrap();
            assert!(is_listed());
            // The same lift again, by a stream that was opened anew: it lies behind what is held.
            assert_eq!(held.lift((0, 1), (9, 9), &absent()), Ok(1));
            assert!(is_listed());
            assert_eq!((held.revision, held.lift_seq), (12, 1));
        }
    }

    #[test]
    fn what_skips_or_is_damaged_changes_nothing() {
        for (mut held, view) in both() {
            held.change(0, (5, 0), (5, [0; 32]), &listed()).unwrap();
            assert_eq!(held.change(6, (8, 0), (8, [0; 32]), &absent()), Err(Broken::Gap("change")));
            assert_eq!(held.lift((1, 2), (8, 8), &absent()), Err(Broken::Gap("lift")));
            let cut = &absent()[..18];
            assert!(matches!(held.change(5, (8, 0), (8, [0; 32]), cut), Err(Broken::Damaged(_))));
            assert!(matches!(held.lift((0, 1), (8, 8), cut), Err(Broken::Damaged(_))));
            assert!(!view.is_clear(&KEY));
            assert_eq!((held.revision, held.lift_seq), (5, 0));
        }
    }

    #[test]
    fn what_a_filter_was_made_of_can_go_and_come_back() {
        let (mut held, view) = filter_of(&[KEY]);
        assert!(!view.is_clear(&KEY));
        held.lift((0, 1), (3, 3), &absent()).unwrap();
        assert!(view.is_clear(&KEY));
        held.change(0, (3, 1), (3, [0; 32]), &absent()).unwrap();
        held.change(3, (4, 1), (4, [0; 32]), &listed()).unwrap();
        assert!(!view.is_clear(&KEY));
        assert_eq!(held.beside_filter(), 1);
    }

    #[test]
    fn another_digest_at_the_same_place_is_an_alarm_and_at_no_other() {
        let [(mut held, _), _] = both();
        held.change(0, (5, 0), (5, [0; 32]), &listed()).unwrap();
        let Writers::Exact(_, digest) = &held.writers else { panic!("an exact one") };
        let own = digest.value().unwrap();
        assert_eq!(held.expect(5, own), Ok(()));
        assert_eq!(held.compared, 5);
        assert_eq!(held.expect(5, [0; 32]), Err(Broken::Differs));
        // A place that is not reached yet is compared there.
        assert_eq!(held.expect(9, [0; 32]), Ok(()));
        assert_eq!(held.change(5, (9, 0), (9, [0; 32]), &[]), Err(Broken::Differs));
        // Where something newer is held, or the place was stepped over, nothing can be said.
        assert_eq!(held.expect(10, [0; 32]), Ok(()));
        assert_eq!(held.change(9, (12, 0), (14, [0; 32]), &absent()), Ok(()));
        assert_eq!(held.expect(12, [0; 32]), Ok(()));
        assert_eq!(held.change(12, (14, 0), (14, [0; 32]), &[]), Ok(()));
        assert_eq!(held.expect(14, [0; 32]), Err(Broken::Differs));
    }

    /// One that was loaded with [`KEY`] listed at revision 5, what it was loaded from, and the digest that it should have.
    fn loaded(expected: Option<[u8; 32]>) -> (Held, Arc<Frozen>, StateDigest) {
        let (_, mut writer) = Index::new();
        writer.insert(KEY, &Entry::uniform(Relations::DEBTOR, Until::FOREVER));
        let frozen = writer.freeze();
        let sum = StateDigest::of(frozen.entries());
        let digest = Digest::of(frozen, expected.unwrap_or(sum.value()));
        let held = Held::new(Writers::Exact(writer, digest), ([1; 16], [0; 32]), (5, 5), 0);
        let frozen = held.unsummed().unwrap();
        (held, frozen, sum)
    }

    #[test]
    fn what_was_loaded_is_summed_up_while_it_changes() {
        let (mut held, frozen, sum) = loaded(None);
        assert_eq!(held.expect(5, sum.value()), Ok(()));
        assert_eq!(held.compared, 0, "nothing can be said yet");
        held.change(5, (7, 0), (7, [0; 32]), &absent()).unwrap();
        let (other, another, _) = loaded(None);
        drop(other);
        held.summed(&another, &sum).unwrap();
        assert_eq!(held.expect(7, StateDigest::new().value()), Ok(()));
        assert_eq!(held.compared, 0, "the sum was of something else");
        assert!(held.unsummed().is_none(), "one sums it up already");
        held.summed(&frozen, &sum).unwrap();
        assert_eq!(held.expect(7, StateDigest::new().value()), Ok(()));
        assert_eq!(held.compared, 7);
    }

    #[test]
    fn what_was_loaded_and_is_something_else_is_an_alarm() {
        let (mut held, frozen, sum) = loaded(Some([9; 32]));
        assert_eq!(held.change(5, (6, 0), (6, [0; 32]), &[]), Ok(()));
        assert_eq!(held.summed(&frozen, &sum), Err(Broken::Differs));
        assert_eq!(held.compare(), Err(Broken::Differs), "whoever comes next is told as well");
        assert_eq!(held.change(6, (7, 0), (7, [0; 32]), &[]), Err(Broken::Differs));
    }
}
