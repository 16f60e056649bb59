//! What a replica holds, and how changes are applied to it.

use std::collections::HashMap;

use xinhub_index::{Change, IndexWriter, Key, StateDigest, read_changes};

/// What came does not follow on what is held, or is damaged. Nothing of it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the hub sent {0}")]
pub(super) struct Broken(pub(super) &'static str);

/// The index, and where in the history it is.
pub(super) struct Held {
    pub(super) writer: IndexWriter,
    pub(super) digest: StateDigest,
    pub(super) epoch: [u8; 16],
    pub(super) revision: u64,
    pub(super) lift_seq: u64,
    /// The lifts that are within `revision`.
    pub(super) changed_lift_seq: u64,
    /// Keys that lifts have changed beyond `revision`: changes from before that must not undo it.
    lifted: HashMap<Key, u64>,
}

impl Held {
    pub(super) fn new(writer: IndexWriter) -> Held {
        let (digest, lifted) = (StateDigest::new(), HashMap::new());
        Held { writer, digest, epoch: [0; 16], revision: 0, lift_seq: 0, changed_lift_seq: 0, lifted }
    }

    /// The index was loaded anew as a whole.
    pub(super) fn loaded(&mut self, epoch: [u8; 16], revision: u64, lift_seq: u64, digest: StateDigest) {
        (self.epoch, self.revision, self.lift_seq, self.digest) = (epoch, revision, lift_seq, digest);
        self.changed_lift_seq = lift_seq;
        self.lifted.clear();
    }

    /// Applies some lifts; how many keys they concern.
    pub(super) fn lift(&mut self, (prev, seq): (u64, u64), revision: u64, bytes: &[u8]) -> Result<usize, Broken> {
        if prev > self.lift_seq {
            return Err(Broken("skips a lift"));
        }
        let changes = read_changes(bytes).map_err(Broken)?;
        let keys = changes.len();
        for (key, entry) in changes {
            if revision > self.revision {
                let newest = self.lifted.entry(key).or_insert(revision);
                if *newest > revision {
                    continue;
                }
                *newest = revision;
            } else {
                // Told by the other stream already, and perhaps changed since.
                continue;
            }
            self.put((key, entry));
        }
        self.lift_seq = self.lift_seq.max(seq);
        Ok(keys)
    }

    /// Applies a stretch of changes.
    pub(super) fn change(&mut self, prev: u64, (revision, lift_seq): (u64, u64), bytes: &[u8]) -> Result<(), Broken> {
        if prev > self.revision {
            return Err(Broken("skips a change"));
        }
        if revision <= self.revision {
            return Ok(());
        }
        for change in read_changes(bytes).map_err(Broken)? {
            let newer = self.lifted.get(&change.0).is_some_and(|lifted| *lifted > revision);
            if !newer {
                self.put(change);
            }
        }
        self.revision = revision;
        // The lifts of the stretch came with it.
        self.changed_lift_seq = self.changed_lift_seq.max(lift_seq);
        self.lift_seq = self.lift_seq.max(lift_seq);
        self.lifted.retain(|_, lifted| *lifted > revision);
        Ok(())
    }

    fn put(&mut self, (key, entry): Change) {
        if let Some(old) = self.writer.index().probe(&key) {
            self.digest.take(&key, &old);
        }
        match entry {
            Some(entry) => {
                self.digest.add(&key, &entry);
                self.writer.insert(key, &entry);
            }
            None => drop(self.writer.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use xinhub_index::{Entry, Index, Relations, Until, encode_change};

    const KEY: Key = Key([7; 16]);

    fn held() -> Held {
        Held::new(Index::new().1)
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

    fn is_listed(held: &Held) -> bool {
        held.writer.index().probe(&KEY).is_some()
    }

    #[test]
    fn bulk_does_not_bring_a_lifted_key_back_and_a_new_listing_does() {
        let mut held = held();
        let empty = held.digest.value();
        held.change(0, (5, 0), &listed()).unwrap();
        assert!(is_listed(&held));
        // The lift of revision 9 overtakes the change of revision 7.
        assert_eq!(held.lift((0, 1), 9, &absent()), Ok(1));
        assert!(!is_listed(&held));
        held.change(5, (7, 0), &listed()).unwrap();
        assert!(!is_listed(&held), "bulk brought a lifted key back");
        assert_eq!(held.digest.value(), empty);
        held.change(7, (9, 0), &absent()).unwrap();
        assert!(!is_listed(&held));
        // Listed anew by a later decision.
        held.change(9, (12, 0), &listed()).unwrap();
        assert!(is_listed(&held));
        // The same lift again, by a stream that was opened anew: it lies behind what is held.
        assert_eq!(held.lift((0, 1), 9, &absent()), Ok(1));
        assert!(is_listed(&held));
        assert_eq!((held.revision, held.lift_seq), (12, 1));
    }

    #[test]
    fn what_skips_or_is_damaged_changes_nothing() {
        let mut held = held();
        held.change(0, (5, 0), &listed()).unwrap();
        assert_eq!(held.change(6, (8, 0), &absent()), Err(Broken("skips a change")));
        assert_eq!(held.lift((1, 2), 8, &absent()), Err(Broken("skips a lift")));
        assert!(held.change(5, (8, 0), &absent()[..18]).is_err());
        assert!(held.lift((0, 1), 8, &absent()[..18]).is_err());
        assert!(is_listed(&held));
        assert_eq!((held.revision, held.lift_seq), (5, 0));
    }
}
