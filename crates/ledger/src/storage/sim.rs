//! A disk in memory that behaves as badly as a real one may.
//!
//! Promises: what was synced stays; everything else may survive a power cut or not. Each 512-byte sector of an
//! unsynced file independently holds the state after some prefix of the writes that touched it: so writes are
//! kept, lost, torn and reordered. Unsynced creations, renames and removals are each kept or lost. After a failed
//! sync the data is lost though the page cache goes on showing it, and a later sync of it "succeeds".
//!
//! Faults are set by number, so that a test can try each of them in turn; and chosen syncs can be made to do nothing,
//! so that a test can prove that it would notice a missing one. Everything follows from the seeds given.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::{Mutex, MutexGuard};

use super::{OpenMode, Storage, StorageFile, StorageLock};

mod disk;
mod inode;

use disk::{DirOp, Disk};

/// The simulated machine: one disk, its page cache, and the faults that will befall it.
#[derive(Clone, Debug)]
pub struct SimStorage {
    disk: Arc<Mutex<Disk>>,
}

/// How many operations have been tried so far; fault numbers count in these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCounts {
    /// Everything that changes something, syncs included.
    pub ops: u64,
    /// Writes, growths, creations, renames, removals.
    pub writes: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
}

/// One sync, as [`SimStorage::mute_syncs`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncCall {
    /// Directory path and current name of the file, `/`-separated; for a directory its path, empty for the root.
    pub path: String,
    /// Whether a directory is synced.
    pub is_dir: bool,
    /// Which sync of this open handle it is, from 1.
    pub nth_of_handle: u64,
}

impl SimStorage {
    /// An empty disk. The seed decides what partial failures leave.
    pub fn new(seed: u64) -> Self {
        Self::from_disk(Disk::new(seed))
    }

    fn from_disk(disk: Disk) -> Self {
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// The root directory.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(SimDir { disk: Arc::clone(&self.disk), path: String::new() })
    }

    /// Operations so far.
    pub fn counts(&self) -> OpCounts {
        self.disk.lock().counts
    }

    /// Cuts the power when `ops` more operations have been done: all later ones fail and change nothing.
    pub fn power_off_after(&self, ops: u64) {
        let mut disk = self.disk.lock();
        disk.faults.power_off_at = Some(disk.counts.ops + ops);
    }

    /// Fails the `nth` write from now on (1 is the next), once, with an error of this kind. A failed write may be done
    /// in part.
    pub fn fail_write(&self, nth: u64, kind: io::ErrorKind) {
        let mut disk = self.disk.lock();
        disk.faults.fail_write = Some((disk.counts.writes + nth, kind));
    }

    /// Fails the `nth` sync from now on (1 is the next), once, with an error of this kind.
    pub fn fail_sync(&self, nth: u64, kind: io::ErrorKind) {
        let mut disk = self.disk.lock();
        disk.faults.fail_sync = Some((disk.counts.syncs + nth, kind));
    }

    /// Whether the fault set by [`SimStorage::fail_write`] or [`SimStorage::fail_sync`] has happened.
    pub fn has_failed(&self) -> bool {
        self.disk.lock().faults.happened
    }

    /// Makes every sync that `chosen` picks report success without doing anything.
    pub fn mute_syncs(&self, chosen: impl Fn(&SyncCall) -> bool + Send + Sync + 'static) {
        self.disk.lock().faults.mute = Some(Arc::new(chosen));
    }

    /// From here on every sync waits, and behind it whatever else touches the disk, in place of what
    /// [`SimStorage::mute_syncs`] chose. The first end says that a sync has begun; once the other is dropped, all go on.
    pub fn hold_syncs(&self) -> (Receiver<()>, SyncSender<()>) {
        let (begun, syncing) = sync_channel(1);
        let (go_on, may_go_on) = sync_channel::<()>(1);
        let may_go_on = Mutex::new(may_go_on);
        self.mute_syncs(move |_| {
            let _ = begun.try_send(());
            let _ = may_go_on.lock().recv();
            false
        });
        (syncing, go_on)
    }

    /// Lets files grow only to this many bytes in all; `None` lifts the bound.
    pub fn limit_bytes(&self, limit: Option<u64>) {
        self.disk.lock().faults.limit_bytes = limit;
    }

    /// Length of all files in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.disk.lock().used_bytes()
    }

    /// What a power cut right now leaves on the disk, after the seed's choice. This disk isn't touched: many
    /// images can be taken of one moment.
    pub fn crash(&self, seed: u64) -> Self {
        Self::from_disk(self.disk.lock().power_cut(seed))
    }

    /// The same machine after the process was killed and nothing else: the page cache lives on, except for pages that
    /// a failed sync has made clean, which may have been dropped since. Faults and locks are gone.
    pub fn restart(&self, seed: u64) -> Self {
        Self::from_disk(self.disk.lock().process_kill(seed))
    }
}

#[derive(Debug)]
struct SimDir {
    disk: Arc<Mutex<Disk>>,
    path: String,
}

impl SimDir {
    fn powered(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock();
        disk.check_power()?;
        Ok(disk)
    }
}

impl Storage for SimDir {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.powered()?;
        let inode = match (disk.lookup(&self.path, name), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, OpenMode::CreateNew) => {
                disk.begin_write()?;
                let inode = disk.new_inode();
                disk.change_dir(&self.path, DirOp::Create { name: name.to_owned(), inode });
                inode
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        let handle = Mutex::new(0);
        Ok(Arc::new(SimFile { disk: Arc::clone(&self.disk), dir: self.path.clone(), inode, mode, syncs: handle }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.powered()?;
        let inode = disk.lookup(&self.path, from).ok_or(io::ErrorKind::NotFound)?;
        let op = DirOp::Rename { from: from.to_owned(), to: to.to_owned(), inode };
        if let Err(error) = disk.begin_write() {
            // An error tells nothing about whether it was done.
            if disk.is_powered() && disk.coin() {
                disk.change_dir(&self.path, op);
            }
            return Err(error);
        }
        disk.change_dir(&self.path, op);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.powered()?;
        let inode = disk.lookup(&self.path, name).ok_or(io::ErrorKind::NotFound)?;
        disk.begin_write()?;
        disk.change_dir(&self.path, DirOp::Remove { name: name.to_owned(), inode });
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.powered()?.names(&self.path))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.powered()?;
        let call = SyncCall { path: self.path.clone(), is_dir: true, nth_of_handle: 0 };
        // A failed sync of a directory keeps its changes pending: they are in the file system's journal, which a
        // failure stops as a whole rather than forgetting one entry.
        if disk.begin_sync(&call)? {
            disk.sync_dir(&self.path);
        }
        Ok(())
    }

    fn dir(&self, name: &str) -> io::Result<Arc<dyn Storage>> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        self.powered()?.make_dir(&path);
        Ok(Arc::new(Self { disk: Arc::clone(&self.disk), path }))
    }

    fn lock(&self, name: &str) -> io::Result<StorageLock> {
        let path = format!("{}/{name}", self.path);
        if !self.powered()?.locks.insert(path.clone()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(StorageLock(Box::new(SimLock { disk: Arc::clone(&self.disk), path })))
    }
}

struct SimLock {
    disk: Arc<Mutex<Disk>>,
    path: String,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<Mutex<Disk>>,
    dir: String,
    inode: u64,
    mode: OpenMode,
    syncs: Mutex<u64>,
}

impl SimFile {
    fn writable(&self) -> io::Result<MutexGuard<'_, Disk>> {
        if self.mode == OpenMode::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let disk = self.disk.lock();
        disk.check_power()?;
        Ok(disk)
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let disk = self.disk.lock();
        disk.check_power()?;
        disk.inode(self.inode).read(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.writable()?;
        let growth = (offset + buf.len() as u64).saturating_sub(disk.inode(self.inode).len());
        if let Err(error) = disk.begin_write().and_then(|()| disk.claim(growth)) {
            if disk.is_powered() {
                let done = disk.below(buf.len() as u64 + 1) as usize;
                disk.write(self.inode, &buf[..done], offset);
            }
            return Err(error);
        }
        disk.write(self.inode, buf, offset);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.writable()?;
        let mut syncs = self.syncs.lock();
        *syncs += 1;
        let path = disk.path_of(&self.dir, self.inode);
        match disk.begin_sync(&SyncCall { path, is_dir: false, nth_of_handle: *syncs }) {
            Ok(true) => disk.sync_file(self.inode),
            Ok(false) => {}
            Err(error) => {
                if disk.is_powered() {
                    disk.lose_dirty(self.inode);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let disk = self.disk.lock();
        disk.check_power()?;
        Ok(disk.inode(self.inode).len())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.writable()?;
        disk.begin_write()?;
        let growth = len.saturating_sub(disk.inode(self.inode).len());
        disk.claim(growth)?;
        disk.grow(self.inode, len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
