//! Many who are looked up together, each by some keys.

use crate::entry::Key;
use crate::prf::Prf;

/// Whoever is to be looked up, in the order in which they came. Digests are worked on for all at once, and so may be what an index has
/// to fetch from memory.
#[derive(Default)]
pub struct Batch {
    inputs: Vec<[u8; 32]>,
    /// For each, where the next one's inputs begin.
    ends: Vec<usize>,
}

impl Batch {
    /// So many are best looked up together: enough for memory to be asked for many at a time, few enough for what is known of each to stay at hand.
    pub const TOGETHER: usize = 256;

    /// Nobody, and place for as many of one key.
    pub fn with_capacity(count: usize) -> Batch {
        Batch { inputs: Vec::with_capacity(count), ends: Vec::with_capacity(count) }
    }

    /// One more, by what their keys are digests of.
    pub fn push(&mut self, inputs: impl IntoIterator<Item = [u8; 32]>) {
        inputs.into_iter().for_each(|input| self.inputs.push(input));
        self.ends.push(self.inputs.len());
    }

    /// For each, whether none of their keys is there: `found` says of each key whether it is. Of somebody without a key nothing was
    /// asked, and nothing is said.
    pub fn missed(&self, prf: &Prf, found: impl FnOnce(&[Key]) -> Vec<bool>) -> impl Iterator<Item = bool> {
        let keys: Vec<Key> = prf.digest_many(self.inputs.iter()).into_iter().map(Key).collect();
        let found = found(&keys);
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let found = found.get(std::mem::replace(&mut begin, *end)..*end).unwrap_or_default();
            !found.is_empty() && !found.contains(&true)
        })
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The inputs are people's numbers.
        f.debug_struct("Batch").field("count", &self.ends.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_missed_by_all_of_their_keys_or_not_at_all() {
        let prf = Prf::new(&[1; 32]);
        let (here, gone) = ([1; 32], [2; 32]);
        let mut batch = Batch::with_capacity(2);
        for inputs in [vec![gone], vec![here], vec![], vec![gone, here], vec![here, gone], vec![gone, gone]] {
            batch.push(inputs);
        }
        let held = Key(prf.digest(&here));
        let missed = batch.missed(&prf, |keys| keys.iter().map(|key| *key == held).collect());
        assert_eq!(missed.collect::<Vec<_>>(), [true, false, false, false, false, true]);
        // Who is not told of is not taken for missing.
        assert_eq!(batch.missed(&prf, |_| Vec::new()).filter(|missed| *missed).count(), 0);
    }
}
