//! A filter over an audience's keys: who is certainly not listed, in a little over a byte per entry.
//!
//! Binary fuse filters (T. M. Graf and D. Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022), one for each of
//! [`PARTS`] parts of the keys by their leading bits, so that making one takes the memory of a part. One key in 256 that is not
//! among them hits all the same: a hit says nothing, and is asked of the hub.
//!
//! | bytes | field, little-endian |
//! |---|---|
//! | 0..8 | `XHFUSE`, zero, format |
//! | 8..12 | key_epoch of the audience's key |
//! | then, [`PARTS`] times, by leading bits | |
//! | 0..8 | seed |
//! | 8..12, 12..16 | segment length (a power of two), segments × segment length |
//! | 16..20 | CRC-32C of the 16 bytes before and of the fingerprints |
//! | 20.. | fingerprints, one byte each: segments × segment length + 2 × segment length |

use std::io::{self, Read, Write};

use xorf::{BinaryFuse8, Descriptor, Filter as _};

use crate::entry::Key;

/// How many filters there are: the leading bits of a key say which of them is its own.
const PARTS: usize = 64;
const MAGIC: [u8; 8] = *b"XHFUSE\0\x02";
/// Of one part: 2^30 keys would take more.
const MAX_PART_BYTES: u64 = 1 << 30;

/// See the module.
pub struct Filter {
    parts: Vec<BinaryFuse8>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("bytes", &self.memory_bytes()).finish()
    }
}

/// A file is no filter of this key, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It can't be read.
    #[error("the filter can't be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what it should be.
    #[error("the filter {0}")]
    Damaged(&'static str),
}

/// The part that a key belongs to.
fn part_of(key: &Key) -> usize {
    usize::from(key.0[0]) * PARTS / 256
}

/// What a part's filter is made of. Behind the leading bits, which all keys of a part share.
fn fingerprint(key: &Key) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = key.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Filter {
    /// Whether a key may be among those that it was made of. Never says no to one that is.
    pub fn may_hold(&self, key: &Key) -> bool {
        self.parts.get(part_of(key)).is_none_or(|part| part.contains(&fingerprint(key)))
    }

    /// What it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.fingerprints.len()).sum()
    }

    /// Reads what [`FilterWriter`] wrote.
    ///
    /// # Errors
    /// Where it is not whole, or was made under another generation of the key.
    pub fn read(from: &mut impl Read, key_epoch: u32) -> Result<Filter, FilterError> {
        let mut magic = [0; 8];
        from.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(FilterError::Damaged("is none, or of another format"));
        }
        if number(from)? != key_epoch {
            return Err(FilterError::Damaged("was made under another generation of the key"));
        }
        let parts = (0..PARTS).map(|_| read_part(from)).collect::<Result<Vec<_>, _>>()?;
        if from.read(&mut [0])? != 0 {
            return Err(FilterError::Damaged("goes on behind its end"));
        }
        Ok(Filter { parts })
    }
}

fn number(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn checksum(seed: &[u8; 8], segment_length: u32, segment_count_length: u32, fingerprints: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(seed);
    for number in [segment_length, segment_count_length] {
        crc = crc32c::crc32c_append(crc, &number.to_le_bytes());
    }
    crc32c::crc32c_append(crc, fingerprints)
}

fn read_part(from: &mut impl Read) -> Result<BinaryFuse8, FilterError> {
    let mut seed = [0; 8];
    from.read_exact(&mut seed)?;
    let (segment_length, segment_count_length, crc) = (number(from)?, number(from)?, number(from)?);
    // What a look-up reads lies within these bounds, and nowhere else.
    let fits = segment_length.is_power_of_two()
        && segment_count_length != 0
        && segment_count_length.is_multiple_of(segment_length);
    let length = u64::from(segment_count_length) + 2 * u64::from(segment_length);
    if !fits || length > MAX_PART_BYTES {
        return Err(FilterError::Damaged("has a part of no shape"));
    }
    let mut fingerprints = Vec::new();
    from.take(length).read_to_end(&mut fingerprints)?;
    if fingerprints.len() as u64 != length
        || checksum(&seed, segment_length, segment_count_length, &fingerprints) != crc
    {
        return Err(FilterError::Damaged("has a part that is damaged or cut short"));
    }
    let segment_length_mask = segment_length - 1;
    let descriptor =
        Descriptor { seed: u64::from_le_bytes(seed), segment_length, segment_length_mask, segment_count_length };
    Ok(BinaryFuse8 { descriptor, fingerprints: fingerprints.into_boxed_slice() })
}

/// Writes a filter, part by part.
#[derive(Debug)]
pub struct FilterWriter<'a, W> {
    out: &'a mut W,
    keys: Vec<u64>,
    part: usize,
}

impl<'a, W: Write> FilterWriter<'a, W> {
    /// Begins one.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(key_epoch: u32, out: &'a mut W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&key_epoch.to_le_bytes())?;
        Ok(Self { out, keys: Vec::new(), part: 0 })
    }

    /// Takes a key, by ascending order.
    ///
    /// # Errors
    /// What the writer says.
    pub fn key(&mut self, key: &Key) -> io::Result<()> {
        while self.part < part_of(key) {
            self.end_part()?;
        }
        self.keys.push(fingerprint(key));
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn end(mut self) -> io::Result<()> {
        while self.part < PARTS {
            self.end_part()?;
        }
        Ok(())
    }

    fn end_part(&mut self) -> io::Result<()> {
        // Two keys that share their last 64 bits are as one to it.
        self.keys.sort_unstable();
        self.keys.dedup();
        let filter = BinaryFuse8::try_from(&self.keys).map_err(io::Error::other)?;
        let Descriptor { seed, segment_length, segment_count_length, .. } = filter.descriptor;
        let seed = seed.to_le_bytes();
        let crc = checksum(&seed, segment_length, segment_count_length, &filter.fingerprints);
        self.out.write_all(&seed)?;
        for number in [segment_length, segment_count_length, crc] {
            self.out.write_all(&number.to_le_bytes())?;
        }
        self.out.write_all(&filter.fingerprints)?;
        self.keys.clear();
        self.part += 1;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::nth_key;

    fn keys(count: usize) -> Vec<Key> {
        (0..count as u64).map(nth_key).collect()
    }

    fn written(keys: &[Key]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = FilterWriter::new(3, &mut bytes).unwrap();
        keys.iter().for_each(|key| writer.key(key).unwrap());
        writer.end().unwrap();
        bytes
    }

    #[test]
    fn it_never_says_no_to_one_of_its_own_and_seldom_yes_to_another() {
        for count in [0, 1, 2, 3, 70, 50_000] {
            let all = keys(count + 50_000);
            let (mut own, others) = (all[..count].to_vec(), &all[count..]);
            own.sort_unstable();
            let bytes = written(&own);
            let filter = Filter::read(&mut &*bytes, 3).unwrap();
            assert!(own.iter().all(|key| filter.may_hold(key)), "{count}");
            let hits = others.iter().filter(|key| filter.may_hold(key)).count();
            assert!(hits < 50_000 / 128, "{hits} of {} hit a filter of {count}", others.len());
        }
        let of_many = Filter::read(
            &mut &*written(&{
                let mut all = keys(200_000);
                all.sort_unstable();
                all
            }),
            3,
        )
        .unwrap();
        assert!(of_many.memory_bytes() < 200_000 * 3 / 2, "{} bytes", of_many.memory_bytes());
    }

    #[test]
    fn what_is_damaged_is_refused_and_nothing_panics() {
        let mut own = keys(300);
        own.sort_unstable();
        let bytes = written(&own);
        assert!(Filter::read(&mut &*bytes, 4).is_err(), "another generation");
        assert!(Filter::read(&mut &*[&*bytes, &[0]].concat(), 3).is_err(), "a byte too many");
        for at in 0..bytes.len() {
            assert!(Filter::read(&mut &bytes[..at], 3).is_err(), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(Filter::read(&mut &*damaged, 3).is_err(), "byte {at}");
        }
    }
}
