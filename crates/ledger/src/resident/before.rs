//! What the index held of a key when audiences were last told of it.
//!
//! The digest of an audience's state is kept by taking away the entry that was told before and adding the one that is told now. What
//! was told before is what the index held then; so the first change of a key since keeps its entry, until it is told.

use std::collections::HashMap;

use parking_lot::Mutex;
use xinhub_index::{Entry, Key};

/// Nothing is kept until somebody tells: what nobody takes would grow for ever.
#[derive(Default)]
pub struct Before(Mutex<Option<HashMap<Key, Option<Entry>>>>);

impl Before {
    /// Keeps from here on.
    pub fn begin(&self) {
        *self.0.lock() = Some(HashMap::new());
    }

    /// A key is about to change.
    pub fn changes(&self, key: &Key, held: impl FnOnce() -> Option<Entry>) {
        if let Some(kept) = self.0.lock().as_mut() {
            kept.entry(*key).or_insert_with(held);
        }
    }

    /// A key is told of: its entry as it was told last. `None` where it has not changed since.
    pub fn told(&self, key: &Key) -> Option<Option<Entry>> {
        self.0.lock().as_mut()?.remove(key)
    }
}
