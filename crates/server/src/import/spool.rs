//! An upload on the disk, sealed under a key that is in memory alone.
//!
//! Promises that no byte of an upload is on the disk in clear, and that the file goes with its owner, unless it is kept for a
//! second person: then its key is the ledger's to keep, sealed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;
use xinhub_ledger::crypto::{self, RecordKey, SEAL_OVERHEAD_BYTES};

/// Plain bytes of one sealed block.
const BLOCK_BYTES: usize = 256 << 10;
/// The disk's free space is looked at once in so many blocks (16 MiB).
const BLOCKS_BETWEEN_CHECKS: u64 = 64;
const SUFFIX: &str = ".upload";
/// Of the copy of a file that waits for its release.
const KEPT_SUFFIX: &str = ".staged";

/// Makes the directory, or removes what a crash left in it.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.ends_with(SUFFIX)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes the kept copies that no import waits for any more.
pub(super) fn sweep(dir: &Path, waiting: &[[u8; 16]]) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(KEPT_SUFFIX));
        let Some(copy) = name.and_then(|name| Uuid::try_parse(name).ok()) else { continue };
        if !waiting.contains(copy.as_bytes()) {
            remove(dir, *copy.as_bytes());
        }
    }
    Ok(())
}

/// Removes a kept copy.
pub(super) fn remove(dir: &Path, copy: [u8; 16]) {
    match fs::remove_file(kept_path(dir, copy)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "import: the copy of a file that waited could not be removed");
        }
        Ok(()) | Err(_) => {}
    }
}

fn kept_path(dir: &Path, copy: [u8; 16]) -> PathBuf {
    dir.join(format!("{}{KEPT_SUFFIX}", Uuid::from_bytes(copy).simple()))
}

/// How a kept copy is found and opened again.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) copy: [u8; 16],
    pub(super) key: [u8; 32],
    pub(super) bytes: u64,
}

/// An upload being written, and then read.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    key: RecordKey,
    /// What does not fill a block yet.
    open: Vec<u8>,
    blocks: u64,
    min_free_bytes: u64,
    /// Others know its name: it doesn't go with its owner.
    is_kept: bool,
}

impl Spool {
    pub(super) fn create(dir: &Path, min_free_bytes: u64) -> io::Result<Spool> {
        let path = dir.join(format!("{}{SUFFIX}", Uuid::now_v7().simple()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let (key, open) = (RecordKey::random(), Vec::with_capacity(BLOCK_BYTES));
        Ok(Spool { path, file, key, open, blocks: 0, min_free_bytes, is_kept: false })
    }

    /// Makes it last, synced with its name, beyond its owner and this process.
    pub(super) fn keep(mut self) -> io::Result<Kept> {
        if !self.open.is_empty() {
            let sealed = crypto::seal(&self.key, &self.blocks.to_le_bytes(), &self.open);
            self.file.write_all_at(&sealed, self.blocks * sealed_bytes(BLOCK_BYTES))?;
        }
        self.file.sync_all()?;
        let dir = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let copy = Uuid::now_v7().into_bytes();
        let path = kept_path(&dir, copy);
        fs::rename(&self.path, &path)?;
        // From here on a failure still removes it.
        self.path = path;
        File::open(&dir)?.sync_all()?;
        self.is_kept = true;
        Ok(Kept { copy, key: *self.key.bytes(), bytes: self.len() })
    }

    /// Opens a kept one again, to read it.
    pub(super) fn reopen(dir: &Path, kept: &Kept) -> io::Result<Spool> {
        let path = kept_path(dir, kept.copy);
        let file = File::open(&path)?;
        let (blocks, rest) = (kept.bytes / BLOCK_BYTES as u64, (kept.bytes % BLOCK_BYTES as u64) as usize);
        let key = RecordKey::from_bytes(kept.key);
        let mut spool = Spool { path, file, key, open: Vec::new(), blocks, min_free_bytes: 0, is_kept: true };
        if rest > 0 {
            spool.open = spool.unseal(blocks, rest)?;
        }
        Ok(spool)
    }

    /// Plain bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.blocks * BLOCK_BYTES as u64 + self.open.len() as u64
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.open.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            if self.open.len() == BLOCK_BYTES {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        if self.blocks.is_multiple_of(BLOCKS_BETWEEN_CHECKS) {
            let disk = rustix::fs::fstatvfs(&self.file)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < self.min_free_bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let sealed = crypto::seal(&self.key, &self.blocks.to_le_bytes(), &self.open);
        self.file.write_all_at(&sealed, self.blocks * sealed_bytes(BLOCK_BYTES))?;
        self.blocks += 1;
        self.open.clear();
        Ok(())
    }

    /// The plain bytes from the beginning. The last, open block is read from memory.
    pub(super) fn reader(&self) -> SpoolReader<'_> {
        SpoolReader { spool: self, next: 0, block: Vec::new(), at: 0 }
    }

    fn block(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        if index == self.blocks {
            return Ok((!self.open.is_empty()).then(|| self.open.clone()));
        }
        if index > self.blocks {
            return Ok(None);
        }
        self.unseal(index, BLOCK_BYTES).map(Some)
    }

    fn unseal(&self, index: u64, plain_bytes: usize) -> io::Result<Vec<u8>> {
        let mut sealed = vec![0; plain_bytes + SEAL_OVERHEAD_BYTES];
        self.file.read_exact_at(&mut sealed, index * sealed_bytes(BLOCK_BYTES))?;
        let plain = crypto::open(&self.key, &index.to_le_bytes(), &sealed);
        plain.map_err(|_| io::Error::other("a spooled block was changed on the disk"))
    }
}

fn sealed_bytes(plain: usize) -> u64 {
    (plain + SEAL_OVERHEAD_BYTES) as u64
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            // It can't be read by anybody; the next start removes it.
            tracing::warn!(%error, "import: a spooled upload could not be removed");
        }
    }
}

/// Reads a spool from its beginning.
#[derive(Debug)]
pub(super) struct SpoolReader<'a> {
    spool: &'a Spool,
    next: u64,
    block: Vec<u8>,
    at: usize,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            match self.spool.block(self.next)? {
                Some(block) => (self.block, self.at, self.next) = (block, 0, self.next + 1),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
