//! One simulated file: what is durable, what the page cache shows, and every state in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

const SECTOR: u64 = 512;
const SECTORS_PER_PAGE: u64 = 8;
type Sector = [u8; SECTOR as usize];

/// A file's content. Sectors that are absent are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    cached: Content,
    durable: Content,
    /// For each sector written since the last sync, its state after each of the writes, with the write's number.
    dirty: BTreeMap<u64, Vec<(u64, Box<Sector>)>>,
    /// Lengths since the last sync, with the number of the write that led to each.
    dirty_lens: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    len: u64,
    sectors: BTreeMap<u64, Box<Sector>>,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.cached.len
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(buf.len() as u64) > self.cached.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (sector, within, part) in parts(offset, buf.len()) {
            let target = &mut buf[part.clone()];
            match self.cached.sectors.get(&sector) {
                Some(bytes) => target.copy_from_slice(&bytes[within..within + part.len()]),
                None => target.fill(0),
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, number: u64, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        for (sector, within, part) in parts(offset, bytes.len()) {
            let state = self.cached.sectors.entry(sector).or_insert_with(|| Box::new([0; SECTOR as usize]));
            state[within..within + part.len()].copy_from_slice(&bytes[part]);
            self.dirty.entry(sector).or_default().push((number, state.clone()));
        }
        self.grow(number, offset + bytes.len() as u64);
    }

    pub(super) fn grow(&mut self, number: u64, len: u64) {
        if len > self.cached.len {
            self.cached.len = len;
            self.dirty_lens.push((number, len));
        }
    }

    pub(super) fn sync(&mut self) {
        // Only what is dirty is written: a page that a failed sync has made clean stays lost.
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            if let Some((_, last)) = versions.into_iter().next_back() {
                self.durable.sectors.insert(sector, last);
            }
        }
        self.dirty_lens.clear();
        self.durable.len = self.cached.len;
    }

    pub(super) fn lose_dirty(&mut self, rng: &mut Rng) {
        self.settle_dirty(rng);
        self.dirty.clear();
    }

    pub(super) fn after_power_cut(&self, rng: &mut Rng) -> Self {
        let mut file = self.clone();
        file.settle_dirty(rng);
        file.dirty.clear();
        file.dirty_lens.clear();
        file.cached = file.durable.clone();
        file
    }

    /// Brings a part of what is dirty to the disk, as the seed chooses.
    fn settle_dirty(&mut self, rng: &mut Rng) {
        let mut numbers: Vec<u64> = self.dirty.values().flatten().map(|(number, _)| *number).collect();
        numbers.extend(self.dirty_lens.iter().map(|(number, _)| *number));
        numbers.sort_unstable();
        numbers.dedup();
        let choice = Choice::new(&numbers, self.dirty.len() as u64, rng);
        for (index, (sector, versions)) in self.dirty.iter().enumerate() {
            let kept = choice.version(versions.iter().map(|(number, _)| *number), index as u64, rng);
            if let Some(kept) = kept {
                self.durable.sectors.insert(*sector, versions[kept].1.clone());
            }
        }
        if let Some(kept) = choice.version(self.dirty_lens.iter().map(|(number, _)| *number), u64::MAX, rng) {
            self.durable.len = self.dirty_lens[kept].1;
        }
        let end = self.durable.len;
        self.durable.sectors.retain(|sector, _| sector * SECTOR < end);
        if let Some(last) = self.durable.sectors.get_mut(&(end / SECTOR)) {
            last[(end % SECTOR) as usize..].fill(0);
        }
    }

    /// After a failed sync the cache shows what the disk lacks; a clean page may be dropped and read anew.
    pub(super) fn drop_clean_pages(&mut self, rng: &mut Rng) {
        let pages: BTreeSet<u64> = self.cached.sectors.keys().map(|sector| sector / SECTORS_PER_PAGE).collect();
        for page in pages {
            let sectors = page * SECTORS_PER_PAGE..(page + 1) * SECTORS_PER_PAGE;
            if self.dirty.range(sectors.clone()).next().is_some() || rng.below(2) == 0 {
                continue;
            }
            for sector in sectors {
                match self.durable.sectors.get(&sector) {
                    Some(bytes) => self.cached.sectors.insert(sector, bytes.clone()),
                    None => self.cached.sectors.remove(&sector),
                };
            }
        }
    }
}

/// The sectors that `len` bytes from `offset` touch: sector, offset within it, range of the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % SECTOR) as usize;
        let step = (len - done).min(SECTOR as usize - within);
        let part = done..done + step;
        done += step;
        Some((at / SECTOR, within, part))
    })
}

/// Which of a file's unsynced writes a power cut keeps.
enum Choice {
    Nothing,
    All,
    /// All writes up to this number, none later.
    UpTo(u64),
    /// These writes whole, the others not.
    Writes(BTreeSet<u64>),
    /// Each sector at some point of its history.
    EachSector,
    /// Everything but one sector, or nothing but one.
    OneSector {
        index: u64,
        kept: bool,
    },
}

impl Choice {
    fn new(numbers: &[u64], sectors: u64, rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::Nothing,
            1 => Self::All,
            2 => Self::UpTo(numbers.get(rng.below(numbers.len() as u64 + 1) as usize).copied().unwrap_or(u64::MAX)),
            3 => Self::Writes(numbers.iter().copied().filter(|_| rng.below(2) == 0).collect()),
            4 | 5 => Self::EachSector,
            other => Self::OneSector { index: rng.below(sectors.max(1)), kept: other == 6 },
        }
    }

    /// Which of the versions stays, `None` for the durable one.
    fn version(&self, versions: impl Iterator<Item = u64>, index: u64, rng: &mut Rng) -> Option<usize> {
        let versions: Vec<u64> = versions.collect();
        let last = versions.len().checked_sub(1);
        match self {
            Self::Nothing => None,
            Self::All => last,
            Self::UpTo(number) => versions.iter().rposition(|at| at <= number),
            Self::Writes(kept) => versions.iter().rposition(|at| kept.contains(at)),
            Self::EachSector => (rng.below(versions.len() as u64 + 1) as usize).checked_sub(1),
            Self::OneSector { index: one, kept } => {
                if (index == *one) == *kept {
                    last
                } else {
                    None
                }
            }
        }
    }
}

/// SplitMix64: small, and the same everywhere, so that a seed always tells the same story.
#[derive(Clone, Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
