//! The index section of a snapshot: what hub and replica start from.
//!
//! A section is a run of *chunks* of at most 64 KiB, sorted by key, an end chunk last. All numbers are little-endian.
//!
//! ```text
//! chunk     payload length u32, CRC-32C of the length and the payload u32, payload
//! payload   format u16, key_epoch u32, number of the chunk u32 (from 0), kind u8, body
//! kind 0    entries, none of them split:
//!             key [u8; 16], relations u8, flagged u8, shape u8 (bits: 1 head, 2 an until per relation,
//!             4 exemptions), until u32 (once, per relation in force, or not at all if there is none),
//!             head u32 if shape says so,
//!             if shape says so: number of exemptions u16, then from_s u64, until_s u64, scope u64 each
//! kind 1    the end: number of entries u64
//! ```
//!
//! A *change* is an entry in the same encoding, or the bit 8 of `shape` alone where the key has none any more.
//!
//! Later formats keep the frame of a chunk, its bound and the place of `format`, so that an older program can tell
//! "newer" from "damaged". The checksum finds accidents; against a forger stands the log.
//!
//! Loading is all or nothing: entries are built into shards aside, and only when the end chunk has confirmed their
//! number do they take the place of what was there.

mod chunk;

use std::io::{self, Read, Write};

use crate::entry::{Entry, Exemption, Exemptions, Key, MAX_EXEMPTIONS, Relations, Until};
use crate::index::{Frozen, IndexWriter};
use crate::packed::Packed;
use crate::shard::Shard;
use crate::table::{Digest, SHARDS};
use chunk::{ChunkReader, ChunkWriter, Kind};

/// The format that is written, and the newest that is read.
pub const FORMAT: u16 = 1;
/// Bytes of the largest chunk, its frame included.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

const SHAPE_HEAD: u8 = 1;
const SHAPE_UNTIL_EACH: u8 = 2;
const SHAPE_EXEMPTIONS: u8 = 4;
/// In a change: the key has no entry any more.
const SHAPE_ABSENT: u8 = 8;

/// What a key has from now on: its current entry, or none. Applying it twice changes nothing, and of several the last wins.
pub type Change = (Key, Option<Entry>);

/// Whether the snapshot says where the listings of a key are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heads {
    /// The hub's own: its rows are those of the listing table in the same snapshot.
    Keep,
    /// A replica's: it has no listing table, and learns nothing about the hub's.
    Drop,
}

/// What was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// How many entries.
    pub entries: u64,
    /// How many bytes the section took.
    pub bytes: u64,
}

/// Why a section was not loaded. Nothing of it was applied. What to do is the same for all but `Io`, `NewerFormat`
/// and `KeyEpoch`: take an older snapshot or a fresh one; the journal rebuilds any.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The source failed.
    #[error("index snapshot, chunk {chunk}: reading failed: {source}")]
    Io {
        /// Number of the chunk, from 0.
        chunk: u32,
        /// What the source said.
        source: io::Error,
    },
    /// The source ended before the end chunk.
    #[error("index snapshot, chunk {chunk}: cut short; take another snapshot")]
    Truncated {
        /// Number of the chunk, from 0.
        chunk: u32,
    },
    /// Bits were changed, chunks are missing or exchanged, or it isn't an index section at all.
    #[error("index snapshot, chunk {chunk}: damaged: {what}; take another snapshot")]
    Damaged {
        /// Number of the chunk, from 0.
        chunk: u32,
        /// What doesn't fit.
        what: &'static str,
    },
    /// A whole section, written by a newer program.
    #[error("index snapshot: format {found} is newer than {FORMAT}, the newest this program reads; upgrade it")]
    NewerFormat {
        /// The section's format.
        found: u16,
    },
    /// A whole section of keys made with another key: with it every probe would miss.
    #[error("index snapshot: key_epoch {found} instead of {expected}; take a snapshot made with the current key")]
    KeyEpoch {
        /// The section's key epoch.
        found: u32,
        /// The caller's.
        expected: u32,
    },
}

/// Writes the section: `key_epoch` is the generation of the key that made the digests.
///
/// May run on any thread while the writer goes on. Ends with the end chunk; flushing and syncing are the caller's.
pub fn write_entries(frozen: &Frozen, key_epoch: u32, heads: Heads, out: &mut impl Write) -> io::Result<()> {
    let mut section = SectionWriter::new(key_epoch, heads, out);
    for (key, entry) in frozen.entries() {
        section.entry(&key, &entry)?;
    }
    section.end()
}

/// Writes a section entry by entry, for whoever has them sorted already.
pub struct SectionWriter<'a, W> {
    chunks: ChunkWriter<'a, W>,
    heads: Heads,
    last: Option<Key>,
    entries: u64,
    encoded: Vec<u8>,
}

impl<'a, W: Write> SectionWriter<'a, W> {
    /// Begins a section. `key_epoch` is the generation of the key that made the digests.
    pub fn new(key_epoch: u32, heads: Heads, out: &'a mut W) -> Self {
        let chunks = ChunkWriter::new(key_epoch, out);
        Self { chunks, heads, last: None, entries: 0, encoded: Vec::new() }
    }

    /// Adds an entry; keys ascend.
    ///
    /// # Errors
    /// What writing failed with; `InvalidInput` for a key out of order, which no reader would take.
    pub fn entry(&mut self, key: &Key, entry: &Entry) -> io::Result<()> {
        if self.last.is_some_and(|last| last >= *key) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the keys of a section ascend"));
        }
        self.last = Some(*key);
        self.entries += 1;
        self.encoded.clear();
        encode(key, entry, self.heads, &mut self.encoded);
        self.chunks.entry(&self.encoded)
    }

    /// Ends the section. Flushing and syncing are the caller's.
    ///
    /// # Errors
    /// What writing failed with.
    pub fn end(self) -> io::Result<()> {
        self.chunks.end(self.entries)
    }
}

/// Encodes a change behind those that `out` holds already. Heads stay with the hub.
pub fn encode_change(key: &Key, entry: Option<&Entry>, out: &mut Vec<u8>) {
    match entry {
        Some(entry) => encode(key, entry, Heads::Drop, out),
        None => {
            out.extend(key.0);
            out.extend([0, 0, SHAPE_ABSENT]);
        }
    }
}

/// Reads what [`encode_change`] has written, whole or not at all.
///
/// # Errors
/// What doesn't fit, without a key; nothing of it may be applied.
pub fn read_changes(bytes: &[u8]) -> Result<Vec<Change>, &'static str> {
    let mut fields = Fields(bytes);
    let mut changes = Vec::new();
    while !fields.0.is_empty() {
        changes.push(fields.change()?);
    }
    Ok(changes)
}

/// Reads a section to its end chunk and no further, and puts it into the place of all that the index holds.
///
/// `from` should be buffered: it is read in two pieces per chunk. `key_epoch` is the generation of the key that the
/// caller will probe with.
///
/// # Errors
/// See [`LoadError`]; the index is as it was before.
pub fn read_entries(from: &mut impl Read, key_epoch: u32, writer: &mut IndexWriter) -> Result<Loaded, LoadError> {
    let mut chunks = ChunkReader::new(key_epoch, from);
    let mut staging = Staging::new();
    let mut payload = Vec::with_capacity(MAX_CHUNK_BYTES);
    loop {
        let (kind, body) = chunks.next(&mut payload)?;
        let taken = match kind {
            Kind::Entries => staging.add_all(body),
            Kind::End if body == staging.entries.to_le_bytes() => break,
            Kind::End => Err("the number of entries differs from the one at the end"),
        };
        taken.map_err(|what| chunks.damaged(what))?;
    }
    let loaded = Loaded { entries: staging.entries, bytes: chunks.bytes };
    writer.replace_all(staging.finish());
    Ok(loaded)
}

fn encode(key: &Key, entry: &Entry, heads: Heads, out: &mut Vec<u8>) {
    let relations = entry.in_force();
    let mut untils = entry.relations.iter().flatten();
    let first = untils.next();
    let until_each = untils.any(|until| Some(until) != first);
    let head = match heads {
        Heads::Keep => entry.head,
        Heads::Drop => 0,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let shape = flag(head != 0, SHAPE_HEAD)
        | flag(until_each, SHAPE_UNTIL_EACH)
        | flag(!entry.exemptions.is_empty(), SHAPE_EXEMPTIONS);
    out.extend(key.0);
    out.extend([relations.bits(), entry.flagged.bits(), shape]);
    let times = if until_each { Relations::COUNT } else { 1 };
    for until in entry.relations.iter().flatten().take(times) {
        out.extend(until.code().to_le_bytes());
    }
    if head != 0 {
        out.extend(head.to_le_bytes());
    }
    if !entry.exemptions.is_empty() {
        out.extend((entry.exemptions.len() as u16).to_le_bytes());
        for exemption in entry.exemptions.iter() {
            for number in [exemption.from_s, exemption.until_s, exemption.scope] {
                out.extend(number.to_le_bytes());
            }
        }
    }
}

/// What is left of a chunk's body; whatever `encode` could not have meant is refused.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn change(&mut self) -> Result<Change, &'static str> {
        // Key, relations, flagged, shape: those of an absent entry are all zero but for its bit.
        if let Some((head, rest)) = self.0.split_first_chunk::<19>()
            && head[18] == SHAPE_ABSENT
        {
            if head[16..18] != [0, 0] {
                return Err("a relation of a key that has no entry");
            }
            self.0 = rest;
            return head.first_chunk().map(|key| (Key(*key), None)).ok_or("a change that ends early");
        }
        self.entry().map(|(key, entry)| (key, Some(entry)))
    }

    fn entry(&mut self) -> Result<(Key, Entry), &'static str> {
        let key = Key(self.bytes()?);
        let [relations, flagged, shape] = self.bytes()?;
        let relations = Relations::from_bits(relations).ok_or("an unknown relation")?;
        let flagged = Relations::from_bits(flagged).ok_or("an unknown flagged relation")?;
        if !relations.contains(flagged) {
            return Err("a flagged relation that is not in force");
        }
        if shape & !(SHAPE_HEAD | SHAPE_UNTIL_EACH | SHAPE_EXEMPTIONS) != 0 {
            return Err("an unknown shape of entry");
        }
        let mut entry = Entry { flagged, ..Entry::default() };
        let mut until = None;
        for position in relations.positions() {
            if until.is_none() || shape & SHAPE_UNTIL_EACH != 0 {
                until = Some(self.until()?);
            }
            entry.relations[position] = until;
        }
        if shape & SHAPE_HEAD != 0 {
            entry.head = u32::from_le_bytes(self.bytes()?);
        }
        if shape & SHAPE_EXEMPTIONS != 0 {
            entry.exemptions = self.exemptions()?;
        }
        Ok((key, entry))
    }

    fn until(&mut self) -> Result<Until, &'static str> {
        let code = u32::from_le_bytes(self.bytes()?);
        if code == Until::FOREVER.code() {
            return Ok(Until::FOREVER);
        }
        Until::day(code).ok_or("a day out of range")
    }

    fn exemptions(&mut self) -> Result<Exemptions, &'static str> {
        let count = usize::from(u16::from_le_bytes(self.bytes()?));
        if count > MAX_EXEMPTIONS {
            return Err("too many exemptions in one entry");
        }
        let mut exemptions = Vec::with_capacity(count);
        for _ in 0..count {
            exemptions.push(Exemption {
                from_s: u64::from_le_bytes(self.bytes()?),
                until_s: u64::from_le_bytes(self.bytes()?),
                scope: u64::from_le_bytes(self.bytes()?),
            });
        }
        Exemptions::try_from(exemptions).map_err(|_| "too many exemptions in one entry")
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("an entry that ends early")?;
        self.0 = rest;
        Ok(*bytes)
    }
}

/// Shards in the making; keys come in ascending order, so one is built at a time.
struct Staging {
    shards: Vec<Option<Shard>>,
    current: Vec<(Digest, Packed)>,
    last: Option<Digest>,
    entries: u64,
}

impl Staging {
    fn new() -> Self {
        Self { shards: vec![None; SHARDS], current: Vec::new(), last: None, entries: 0 }
    }

    fn add_all(&mut self, body: &[u8]) -> Result<(), &'static str> {
        let mut fields = Fields(body);
        while !fields.0.is_empty() {
            let (key, entry) = fields.entry()?;
            self.add(key, &entry)?;
        }
        Ok(())
    }

    fn add(&mut self, key: Key, entry: &Entry) -> Result<(), &'static str> {
        let digest = Digest::new(&key);
        if let Some(last) = self.last {
            if digest <= last {
                return Err("keys out of order");
            }
            if digest.shard() != last.shard() {
                self.close_shard(last.shard());
            }
        }
        self.last = Some(digest);
        self.entries += 1;
        self.current.push((digest, Packed::new(entry)));
        Ok(())
    }

    fn close_shard(&mut self, number: usize) {
        self.shards[number] = Some(Shard::from_sorted(&self.current));
        self.current.clear();
    }

    fn finish(mut self) -> Vec<Option<Shard>> {
        if let Some(last) = self.last {
            self.close_shard(last.shard());
        }
        self.shards
    }
}

#[cfg(test)]
mod tests;
