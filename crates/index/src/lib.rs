//! The resident index (D4): from the keyed digest of an identity to what restricts it, at memory speed.
//!
//! What it promises, with one writer and any number of reading threads:
//!
//! - A reader never sees a torn entry: what it gets is exactly one entry that the writer put there.
//! - A reader never misses a key that is present throughout its probe, whatever moves around it.
//! - Once [`IndexWriter::remove`] or [`IndexWriter::insert`] has returned, no probe that begins afterwards
//!   answers from before it. A lift that is acknowledged is never answered from the past.
//! - A reader never waits for bulk work: growing, copying for a snapshot and loading build new tables aside.
//!   It repeats a probe only if the writer changed one entry in the same 4096th part of the index meanwhile.
//! - At most 40 bytes per entry, side table included, from a million entries up.
//!
//! Hub and replica hold the same index and load it with the same code ([`read_entries`]), which is why it is a
//! crate of its own: the replica must not pull in the journal and the detail store with it. What travels between them is here too:
//! changes in the encoding of the snapshot ([`read_changes`]), and the digest by which they compare what they hold
//! ([`StateDigest`]).
//!
//! It knows no clock, no policy and no identity: a key is opaque, a measure is a mask over [`Relations`], and
//! whether an [`Until`] has passed is for the caller to say.

#![warn(missing_docs)]

mod batch;
mod digest;
mod entry;
mod filter;
mod index;
mod packed;
mod prf;
mod shard;
mod snapshot;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub use batch::Batch;
pub use digest::StateDigest;
pub use entry::{Entry, Exemption, Exemptions, Hit, Key, MAX_EXEMPTIONS, Relations, TooManyExemptions, Until};
pub use filter::{Filter, FilterError, FilterWriter};
pub use index::{Frozen, Index, IndexWriter};
pub use prf::Prf;
pub use snapshot::{
    Change, FORMAT, Heads, LoadError, Loaded, MAX_CHUNK_BYTES, SectionWriter, encode_change, read_changes,
    read_entries, write_entries,
};
