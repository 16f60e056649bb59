//! Decoded details in memory (moka), bounded by their number. Plaintext lives here and nowhere else.

use std::sync::Arc;

use super::Detail;

/// The cache. What it returns is as of the revision that was asked for, never of an older one.
pub(super) struct Cache(moka::sync::Cache<u64, Arc<Detail>>);

impl Cache {
    /// For at most `entries` listings.
    pub(super) fn new(entries: u64) -> Cache {
        Cache(moka::sync::Cache::builder().max_capacity(entries).build())
    }

    /// The listing's detail, if it is the one of this revision.
    pub(super) fn at(&self, listing: u64, revision: u64) -> Option<Arc<Detail>> {
        self.0.get(&listing).filter(|detail| detail.revision == revision)
    }

    /// Keeps a detail.
    pub(super) fn put(&self, detail: &Arc<Detail>) {
        self.0.insert(detail.listing, Arc::clone(detail));
    }

    /// Lets go of a listing: one of its records was erased.
    pub(super) fn forget(&self, listing: u64) {
        self.0.invalidate(&listing);
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}
