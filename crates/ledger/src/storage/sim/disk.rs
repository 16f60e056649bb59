//! The simulated disk's state: what is durable, what the page cache shows, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use super::inode::{Inode, Rng};
use super::{OpCounts, SyncCall};

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
        self.inode_mut(inode).sync();
    }

    /// A failed sync: of the dirty pages some reached the disk, all are called clean.
    pub(super) fn lose_dirty(&mut self, inode: u64) {
        let mut rng = self.rng.fork();
        self.inode_mut(inode).lose_dirty(&mut rng);
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
            image.inodes.insert(*number, inode.after_power_cut(&mut rng));
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
