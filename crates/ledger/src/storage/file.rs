//! [`Storage`] on a real directory (Linux).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::{OpenMode, Storage, StorageFile, StorageLock};

/// A directory on disk. Files are made 0600, sub-directories 0700: everything in them is the service's own.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    directory: File,
}

impl FileStorage {
    /// Opens the directory `path`, making it (and syncing its parent) when missing.
    pub fn open_dir(path: &Path) -> io::Result<Arc<dyn Storage>> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => sync_parent(path)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let directory = File::open(path)?;
        if !directory.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Arc::new(Self { path: path.to_owned(), directory }))
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Storage for FileStorage {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::ReadWrite => options.write(true),
            OpenMode::ReadOnly => &mut options,
        };
        Ok(Arc::new(DiskFile(options.open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that isn't UTF-8 is none of ours; it is shown lossily and matches nothing.
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn dir(&self, name: &str) -> io::Result<Arc<dyn Storage>> {
        Self::open_dir(&self.path.join(name))
    }

    fn lock(&self, name: &str) -> io::Result<StorageLock> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(StorageLock(Box::new(file)))
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl StorageFile for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let from = self.len()?;
        if len <= from {
            return Ok(());
        }
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), from, len - from) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                // A file system without fallocate: writing the zeros reserves the space as well.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(&self.0, from, len),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn write_zeros(file: &File, from: u64, len: u64) -> io::Result<()> {
    static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = from;
    while at < len {
        let step = (len - at).min(CHUNK.len() as u64);
        // `step` is at most the chunk's length, so the cast is exact.
        file.write_all_at(&CHUNK[..step as usize], at)?;
        at += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_directory_is_made_listed_and_locked_once() {
        let temp = tempfile::tempdir().unwrap();
        let storage = FileStorage::open_dir(&temp.path().join("data")).unwrap();
        let lock = storage.lock("LOCK").unwrap();
        assert_eq!(storage.lock("LOCK").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        storage.lock("LOCK").unwrap();

        let file = storage.dir("sub").unwrap().open("a", OpenMode::CreateNew).unwrap();
        file.preallocate(1 << 16).unwrap();
        file.preallocate(1).unwrap();
        assert_eq!(file.len().unwrap(), 1 << 16);
        file.write_at(b"xy", 5).unwrap();
        file.sync_data().unwrap();
        let mut read = [1; 4];
        file.read_at(&mut read, 4).unwrap();
        assert_eq!(&read, b"\0xy\0");
        assert_eq!(file.read_at(&mut read, (1 << 16) - 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

        let sub = storage.dir("sub").unwrap();
        assert_eq!(sub.open("a", OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(sub.open("b", OpenMode::ReadWrite).unwrap_err().kind(), io::ErrorKind::NotFound);
        sub.rename("a", "b").unwrap();
        sub.sync_dir().unwrap();
        assert_eq!(sub.list().unwrap(), ["b"]);
        sub.remove("b").unwrap();
        assert_eq!(storage.list().unwrap(), ["LOCK"]);
    }
}
