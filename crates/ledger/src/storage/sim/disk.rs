//! The simulated disk's state: what is durable, what the page cache shows, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use super::{OpCounts, SyncCall};

pub(super) const SECTOR: u64 = 512;
const SECTORS_PER_PAGE: u64 = 8;
type Sector = [u8; SECTOR as usize];

#[derive(Clone, Debug)]
pub(super) struct Disk {
    rng: Rng,
    dirs: BTreeMap<String, Dir>,
    inodes: BTreeMap<u64, Inode>,
    writes_made: u64,
    pub(super) counts: OpCounts,
    pub(super) faults: Faults,
    pub(super) locks: BTreeSet<String>,
}

type Mute = Arc<dyn Fn(&SyncCall) -> bool + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Faults {
    pub(super) power_off_at: Option<u64>,
    pub(super) fail_write: Option<(u64, io::ErrorKind)>,
    pub(super) fail_sync: Option<(u64, io::ErrorKind)>,
    pub(super) mute: Option<Mute>,
    pub(super) limit_bytes: Option<u64>,
    pub(super) happened: bool,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

#[derive(Clone, Debug)]
pub(super) enum DirOp {
    Create { name: String, inode: u64 },
    Rename { from: String, to: String, inode: u64 },
    Remove { name: String, inode: u64 },
}

#[derive(Clone, Debug, Default)]
struct Dir {
    cached: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<DirOp>,
}

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

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng(seed),
            dirs: BTreeMap::from([(String::new(), Dir::default())]),
            inodes: BTreeMap::new(),
            writes_made: 0,
            counts: OpCounts::default(),
            faults: Faults::default(),
            locks: BTreeSet::new(),
        }
    }

    pub(super) fn is_powered(&self) -> bool {
        self.faults.power_off_at.is_none_or(|at| self.counts.ops < at)
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.is_powered() { Ok(()) } else { Err(io::Error::other("the simulated power is off")) }
    }

    pub(super) fn begin_write(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.counts.ops += 1;
        self.counts.writes += 1;
        match self.faults.fail_write {
            Some((at, kind)) if at == self.counts.writes => {
                self.faults.happened = true;
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    /// Counts a sync; `false` when it shall do nothing.
    pub(super) fn begin_sync(&mut self, call: &SyncCall) -> io::Result<bool> {
        self.check_power()?;
        self.counts.ops += 1;
        self.counts.syncs += 1;
        match self.faults.fail_sync {
            Some((at, kind)) if at == self.counts.syncs => {
                self.faults.happened = true;
                Err(kind.into())
            }
            _ => Ok(!self.faults.mute.as_ref().is_some_and(|mute| mute(call))),
        }
    }

    pub(super) fn claim(&mut self, growth: u64) -> io::Result<()> {
        match self.faults.limit_bytes {
            Some(limit) if growth > 0 && self.used_bytes() + growth > limit => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let linked = self.dirs.values().flat_map(|dir| dir.cached.values());
        linked.map(|inode| self.inode(*inode).len()).sum()
    }

    pub(super) fn coin(&mut self) -> bool {
        self.rng.below(2) == 0
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn dir(&mut self, path: &str) -> &mut Dir {
        self.dirs.entry(path.to_owned()).or_default()
    }

    pub(super) fn make_dir(&mut self, path: &str) {
        self.dir(path);
    }

    pub(super) fn lookup(&self, dir: &str, name: &str) -> Option<u64> {
        self.dirs.get(dir)?.cached.get(name).copied()
    }

    pub(super) fn names(&self, dir: &str) -> Vec<String> {
        self.dirs.get(dir).map(|dir| dir.cached.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn path_of(&self, dir: &str, inode: u64) -> String {
        let names = self.dirs.get(dir).map(|dir| &dir.cached);
        let name = names.and_then(|names| names.iter().find(|(_, at)| **at == inode)).map(|(name, _)| name.as_str());
        let name = name.unwrap_or("(removed)");
        if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
    }

    pub(super) fn change_dir(&mut self, path: &str, op: DirOp) {
        let dir = self.dir(path);
        apply(&mut dir.cached, &op);
        dir.pending.push(op);
    }

    pub(super) fn sync_dir(&mut self, path: &str) {
        let dir = self.dir(path);
        dir.durable = dir.cached.clone();
        dir.pending.clear();
    }

    pub(super) fn new_inode(&mut self) -> u64 {
        let inode = self.inodes.len() as u64 + 1;
        self.inodes.insert(inode, Inode::default());
        inode
    }

    pub(super) fn inode(&self, inode: u64) -> &Inode {
        &self.inodes[&inode]
    }

    fn inode_mut(&mut self, inode: u64) -> &mut Inode {
        self.inodes.entry(inode).or_default()
    }

    pub(super) fn write(&mut self, inode: u64, bytes: &[u8], offset: u64) {
        self.writes_made += 1;
        let number = self.writes_made;
        self.inode_mut(inode).write(number, bytes, offset);
    }

    pub(super) fn grow(&mut self, inode: u64, len: u64) {
        self.writes_made += 1;
        let number = self.writes_made;
        self.inode_mut(inode).grow(number, len);
    }

    pub(super) fn sync_file(&mut self, inode: u64) {
        let file = self.inode_mut(inode);
        // Only what is dirty is written: a page that a failed sync has made clean stays lost.
        for (sector, versions) in std::mem::take(&mut file.dirty) {
            if let Some((_, last)) = versions.into_iter().next_back() {
                file.durable.sectors.insert(sector, last);
            }
        }
        file.dirty_lens.clear();
        file.durable.len = file.cached.len;
    }

    /// A failed sync: of the dirty pages some reached the disk, all are called clean.
    pub(super) fn lose_dirty(&mut self, inode: u64) {
        let mut rng = self.rng.fork();
        let file = self.inode_mut(inode);
        file.settle_dirty(&mut rng);
        file.dirty.clear();
    }

    pub(super) fn power_cut(&self, seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut image = Self::new(rng.next());
        image.writes_made = self.writes_made;
        for (path, dir) in &self.dirs {
            let names = dir.after_power_cut(&mut rng);
            image.dirs.insert(path.clone(), Dir { cached: names.clone(), durable: names, pending: Vec::new() });
        }
        for (number, inode) in &self.inodes {
            let mut file = inode.clone();
            file.settle_dirty(&mut rng);
            file.dirty.clear();
            file.dirty_lens.clear();
            file.cached = file.durable.clone();
            image.inodes.insert(*number, file);
        }
        image
    }

    pub(super) fn process_kill(&self, seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut next = self.clone();
        next.rng = rng.fork();
        next.faults = Faults::default();
        next.counts = OpCounts::default();
        next.locks.clear();
        for inode in next.inodes.values_mut() {
            inode.drop_clean_pages(&mut rng);
        }
        next
    }
}

fn apply(names: &mut BTreeMap<String, u64>, op: &DirOp) {
    match op {
        DirOp::Create { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        DirOp::Rename { from, to, inode } => {
            names.retain(|name, at| !(name == from && at == inode));
            names.insert(to.clone(), *inode);
        }
        DirOp::Remove { name, inode } => names.retain(|known, at| !(known == name && at == inode)),
    }
}

impl Dir {
    fn after_power_cut(&self, rng: &mut Rng) -> BTreeMap<String, u64> {
        let mut names = self.durable.clone();
        let mode = rng.below(4);
        let kept_prefix = rng.below(self.pending.len() as u64 + 1) as usize;
        for (index, op) in self.pending.iter().enumerate() {
            let kept = match mode {
                0 => false,
                1 => true,
                2 => index < kept_prefix,
                _ => rng.below(2) == 0,
            };
            if kept {
                apply(&mut names, op);
            }
        }
        names
    }
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

    fn write(&mut self, number: u64, bytes: &[u8], offset: u64) {
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

    fn grow(&mut self, number: u64, len: u64) {
        if len > self.cached.len {
            self.cached.len = len;
            self.dirty_lens.push((number, len));
        }
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
    fn drop_clean_pages(&mut self, rng: &mut Rng) {
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
pub(super) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
