//! The hub's detail store in a process of its own, on the hub's allocator: neither the store nor the system tells how much of a hub's memory
//! is the store's.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xinhub_ledger::detail::StoreAlone;

use crate::Result;
use crate::process::Usage;

/// Of listings that are read: what the store keeps in memory is full by then.
const READ: u64 = 2_000;

/// Resident memory, beyond what the process has without the store.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Alone {
    pub(crate) opened_mib: f64,
    /// Once listings from everywhere in it have been read.
    pub(crate) read_mib: f64,
}

/// Which are read of so many, there and in the hub that is looked at. One behind the other they would share pages.
pub(crate) fn read(listings: u64) -> impl Iterator<Item = u64> {
    let count = READ.min(listings);
    (0..count).map(move |at| 1 + at * listings / count)
}

/// Opens it, reads, and prints what it takes.
pub(crate) fn measure(data_dir: &Path, listings: u64) -> Result<()> {
    let before = Usage::own()?.rss_mib;
    let store = StoreAlone::open(data_dir)?;
    let opened_mib = Usage::own()?.rss_mib - before;
    for listing in read(listings) {
        if !store.has(listing)? {
            return Err(format!("the detail store has no listing {listing}").into());
        }
    }
    let read_mib = Usage::own()?.rss_mib - before;
    store.close();
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&Alone { opened_mib, read_mib })?)?;
    Ok(())
}
