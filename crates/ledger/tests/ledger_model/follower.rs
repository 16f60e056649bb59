//! An audience's replica beside the ledger: told of changes alone, it must hold what a walk through everything finds, and what
//! the hub's own index holds of the audience's relations.

use std::collections::BTreeMap;

use xinhub_index::{Change, Entry, Index, IndexWriter, Key, Prf, Relations, StateDigest, encode_change, read_changes};
use xinhub_ledger::{Audience, KeyChange, Ledger, Mark};

use crate::life::Difference;
use crate::world::everybody;

const KEY: [u8; 32] = [7; 32];
/// Events per batch: few, so that stretches end everywhere.
const BATCH_EVENTS: usize = 3;

pub(crate) struct Follower {
    audience: Audience,
    relations: Relations,
    index: Index,
    writer: IndexWriter,
    digest: StateDigest,
    mark: Mark,
    /// The digest that follows from what the ledger says each key had before; none until it has been told everything once.
    told: Option<StateDigest>,
}

/// Takes away what was told before, and adds what is told now.
fn account(digest: &mut StateDigest, changes: &[KeyChange]) {
    for KeyChange { change: (key, entry), before, .. } in changes {
        before.iter().for_each(|before| digest.take(key, before));
        entry.iter().for_each(|entry| digest.add(key, entry));
    }
}

impl Follower {
    pub(crate) fn new() -> Follower {
        let relations = Relations::DEBTOR | Relations::LEGAL_REPRESENTATIVE | Relations::ACTUAL_CONTROLLER;
        let (index, writer) = Index::new();
        let audience = Audience::new(&KEY, relations);
        Follower { audience, relations, index, writer, digest: StateDigest::new(), mark: Mark::default(), told: None }
    }

    /// The ledger was opened anew: it keeps what it tells from here on.
    pub(crate) fn opened(&mut self, ledger: &Ledger) {
        ledger.begin_telling();
        self.told = None;
    }

    /// Applies what has come since, and compares.
    pub(crate) fn follow(&mut self, ledger: &Ledger) -> Result<(), Difference> {
        let audiences = [self.audience.clone()];
        let again = ledger.mark_at(self.mark.revision, self.mark.lift_seq).map_err(|error| error.to_string())?;
        let place = |mark: Mark| (mark.revision, mark.lift_seq);
        if again.map(place) != Some(place(self.mark)) {
            return Err(format!("the mark {:?} is found again as {again:?}", self.mark));
        }
        // One that was told of lifts ahead of the rest counts none of them twice.
        let ahead = ledger.mark_at(self.mark.revision, ledger.lift_seq()).map_err(|error| error.to_string())?;
        let led =
            ahead.map(|ahead| ledger.touched(ahead, usize::MAX)).transpose().map_err(|error| error.to_string())?;
        if led.is_none_or(|led| led.mark != ledger.mark()) {
            return Err("lifts that were told ahead are counted twice".to_owned());
        }
        loop {
            let touched = ledger.touched(self.mark, BATCH_EVENTS).map_err(|error| error.to_string())?;
            if touched.mark == self.mark {
                break;
            }
            let mut bytes = Vec::new();
            let told = ledger.tell(&touched, &audiences).map_err(|error| error.to_string())?;
            for changes in told.changes {
                self.told.iter_mut().for_each(|digest| account(digest, &changes));
                changes.iter().for_each(|one| encode_change(&one.change.0, one.change.1.as_ref(), &mut bytes));
            }
            // As it travels.
            read_changes(&bytes)?.into_iter().for_each(|change| self.apply(change));
            self.mark = touched.mark;
        }
        self.compare(ledger)?;
        if self.told.get_or_insert_with(|| self.digest.clone()).value() != self.digest.value() {
            return Err("the digest by what was told before is not that of the entries".to_owned());
        }
        Ok(())
    }

    fn apply(&mut self, (key, entry): Change) {
        if let Some(old) = self.index.probe(&key) {
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

    fn compare(&mut self, ledger: &Ledger) -> Result<(), Difference> {
        let mut walked: BTreeMap<Key, Option<Entry>> = BTreeMap::new();
        let each = |_, (key, entry)| drop(walked.insert(key, entry));
        let mark = ledger.walk(std::slice::from_ref(&self.audience), each, drop);
        let mark = mark.map_err(|error| error.to_string())?;
        let walked: Vec<(Key, Entry)> = walked.into_iter().filter_map(|(key, entry)| Some((key, entry?))).collect();
        let held: Vec<(Key, Entry)> = self.writer.freeze().entries().collect();
        if mark != self.mark || walked != held {
            let (walked, held) = (format!("{walked:?}"), format!("{held:?}"));
            return Err(format!("a walk finds {walked} entries at {mark:?}, the follower {held} at {:?}", self.mark));
        }
        if StateDigest::of(walked).value() != self.digest.value() {
            return Err("the digest is not that of the entries".to_owned());
        }
        self.beside_the_hub(ledger)
    }

    /// Entry by entry, over everybody that there is.
    fn beside_the_hub(&self, ledger: &Ledger) -> Result<(), Difference> {
        let prf = Prf::new(&KEY);
        for who in everybody() {
            let identity = who.identity();
            let inputs: Vec<[u8; 32]> = identity.keys().map(|input| *input.as_bytes()).collect();
            let hub: Vec<Option<Entry>> =
                ledger.inspect(|resident| resident.keys(identity).map(|key| resident.index().probe(&key)).collect());
            for (input, hub) in inputs.iter().zip(hub) {
                let told = self.index.probe(&Key(prf.digest(input)));
                let expected = hub.filter(|entry| !(entry.in_force() & self.relations).is_empty());
                let same = match (&told, &expected) {
                    (Some(told), Some(hub)) => {
                        let mask = self.relations;
                        let same = |at: usize| {
                            !mask.positions().any(|one| one == at) || told.relations[at] == hub.relations[at]
                        };
                        (0..Relations::COUNT).all(same) && told.flagged == hub.flagged & mask & told.in_force()
                    }
                    (None, None) => true,
                    (Some(_), None) | (None, Some(_)) => false,
                };
                if !same {
                    return Err(format!("{who:?}: the follower holds {told:?}, the hub {expected:?}"));
                }
            }
        }
        Ok(())
    }
}
