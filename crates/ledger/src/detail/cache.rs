//! Decoded details in memory (moka), bounded by their bytes. Plaintext lives here and nowhere else.

use std::convert::Infallible;
use std::sync::Arc;

use xinhub_domain::listing::Visibility;

use super::Detail;

/// What the cache itself takes for each: its key, its place in the order of use, counters.
const ENTRY_BYTES: usize = 256;

/// The cache. What it returns is as of the revision that was asked for, never of an older one.
pub(super) struct Cache(moka::sync::Cache<u64, Arc<Detail>>);

impl Cache {
    /// For details of so many bytes.
    pub(super) fn new(bytes: u64) -> Cache {
        let weigher = |_: &u64, detail: &Arc<Detail>| u32::try_from(bytes_of(detail)).unwrap_or(u32::MAX);
        Cache(moka::sync::Cache::builder().max_capacity(bytes).weigher(weigher).build())
    }

    /// The listing's detail, if it is the one of this revision.
    pub(super) fn at(&self, listing: u64, revision: u64) -> Option<Arc<Detail>> {
        self.0.get(&listing).filter(|detail| detail.revision == revision)
    }

    /// Keeps a detail, unless only the subject's own unit may be shown it: how much is kept would tell that it is there.
    pub(super) fn put(&self, detail: &Arc<Detail>) {
        match detail.content.visibility {
            Visibility::OwnUnitOnly => self.forget(detail.listing),
            Visibility::Public | Visibility::Departmental => self.0.insert(detail.listing, Arc::clone(detail)),
        }
    }

    /// Lets go of a listing: one of its records was erased.
    pub(super) fn forget(&self, listing: u64) {
        self.0.invalidate(&listing);
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Bytes of what is kept, changes under way included.
    pub(super) fn bytes(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }
}

/// What a detail takes, about: its structure, and its texts by their length.
fn bytes_of(detail: &Detail) -> usize {
    let mut texts = Length(detail.court.len());
    texts.add(&detail.content);
    for relation in &detail.relations {
        texts.add(&relation.content);
    }
    for exemption in &detail.exemptions {
        texts.add(&exemption.content);
    }
    ENTRY_BYTES
        + size_of::<Detail>()
        + size_of_val(detail.relations.as_slice())
        + size_of_val(detail.exemptions.as_slice())
        + texts.0
}

/// How long something is once it is encoded, without a copy of it.
struct Length(usize);

impl Length {
    fn add(&mut self, content: &impl minicbor::Encode<()>) {
        // Counting can't fail.
        let _ = minicbor::encode(content, self);
    }
}

impl minicbor::encode::Write for Length {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use xinhub_domain::listing::State;
    use xinhub_domain::time::Timestamp;

    use super::*;
    use crate::testing::{content, draft, person};

    fn detail(listing: u64) -> Arc<Detail> {
        Arc::new(Detail {
            listing,
            state: State::Listed,
            revision: 7,
            court: "leizhou".to_owned(),
            content: *content(&draft(person(1), 1)),
            relations: Vec::new(),
            exemptions: Vec::new(),
            until: None,
            grace_until: None,
            listed_on: None,
            updated_at: Timestamp(0),
        })
    }

    #[test]
    fn what_is_kept_stays_within_its_bytes() {
        let most = 100 * bytes_of(&detail(0)) as u64;
        let cache = Cache::new(most);
        for listing in 0..10 {
            cache.put(&detail(listing));
        }
        assert_eq!(cache.bytes(), most / 10);
        for listing in 10..1_000 {
            cache.put(&detail(listing));
        }
        let kept = cache.bytes();
        assert!(kept <= most && kept > most / 2, "{kept} of {most}");
        cache.clear();
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn what_only_the_own_unit_may_be_shown_is_not_kept() {
        let (cache, mut hidden) = (Cache::new(1 << 20), detail(1));
        cache.put(&hidden);
        assert!(cache.bytes() > 0, "a public one is");
        Arc::make_mut(&mut hidden).content.visibility = Visibility::OwnUnitOnly;
        cache.put(&hidden);
        assert_eq!(cache.bytes(), 0);
        assert!(cache.at(1, hidden.revision).is_none());
    }

    #[test]
    fn longer_texts_take_more() {
        let (short, mut long) = (detail(1), detail(1));
        Arc::make_mut(&mut long).content.basis_document.push_str(&"拒".repeat(1_000));
        let more = bytes_of(&long) - bytes_of(&short);
        assert!((3_000..3_010).contains(&more), "{more}");
    }
}
