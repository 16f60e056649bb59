//! The hub's long-lived keys, from files that the service alone can read.
//!
//! Promises: a key file that anyone else could read or replace is refused, with the fix in the error; a key
//! is never overwritten, shown by `Debug`, or quoted in an error; loaded keys are wiped when dropped.
//!
//! One directory holds `kek.key`, `index.key`, `audience.key`, `audit.key`, `tombstone.key` and `log.key`, each one
//! line of text: `xinhub-key;format=1;purpose=kek;epoch=1;hex=<64 digits>`. Each key counts its own generations
//! (`key_epoch`). An older generation that data still needs lies beside it as `kek.1.key`; the highest
//! generation of a purpose is the current one. A systemd credentials directory (`LoadCredential=`) serves alike.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto;

const FORMAT: u16 = 1;
/// A key line is some 110 bytes; a longer file is none.
const MAX_FILE_BYTES: u64 = 1024;

/// What a key is for. Each purpose has its own key, so that the leak of one tells nothing about the others' data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Wraps the record keys in the slot file. Rotated at least every 30 days; the old one is destroyed.
    Kek,
    /// Digests identities for the hub's own index.
    Index,
    /// Parent of the audiences' index keys.
    Audience,
    /// Seals and digests audit records.
    Audit,
    /// Digests of ended cases that no import may revive (kept 5 years).
    Tombstone,
    /// Ed25519 seed (RFC 8032, section 5.1.5) that signs the log's checkpoints.
    Log,
}

impl Purpose {
    /// Every purpose, in the order in which files are made.
    pub const ALL: [Self; 6] = [Self::Kek, Self::Index, Self::Audience, Self::Audit, Self::Tombstone, Self::Log];

    /// The name in file names and key lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kek => "kek",
            Self::Index => "index",
            Self::Audience => "audience",
            Self::Audit => "audit",
            Self::Tombstone => "tombstone",
            Self::Log => "log",
        }
    }
}

/// One generation of one key: 32 bytes.
#[derive(Clone)]
pub struct Key {
    purpose: Purpose,
    key_epoch: u32,
    bytes: Zeroizing<[u8; 32]>,
}

impl Key {
    /// What the key is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The key's generation, from 1. Everything made with the key carries it.
    pub fn key_epoch(&self) -> u32 {
        self.key_epoch
    }

    /// The raw key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn random(purpose: Purpose) -> Self {
        Self { purpose, key_epoch: 1, bytes: Zeroizing::new(crypto::random()) }
    }

    fn to_line(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(160));
        line.push_str("xinhub-key;format=1;purpose=");
        line.push_str(self.purpose.name());
        line.push_str(&format!(";epoch={};hex=", self.key_epoch));
        for byte in self.bytes.iter() {
            line.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            line.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        line.push('\n');
        line
    }

    /// Reads a key line. The error says which field is wrong and its shape, never its content.
    fn from_line(line: &str) -> Result<Self, LineFault> {
        let mut fields = line.strip_suffix('\n').unwrap_or(line).split(';');
        if fields.next() != Some("xinhub-key") {
            return Err(LineFault::Bad("it must begin with `xinhub-key;`"));
        }
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let format = field("format").and_then(|text| text.parse::<u16>().ok());
        match format.ok_or(LineFault::Bad("second field must be `format=` and a number"))? {
            FORMAT => {}
            newer => return Err(LineFault::Format(newer)),
        }
        let purpose = field("purpose").and_then(|text| Purpose::ALL.into_iter().find(|known| known.name() == text));
        let purpose = purpose.ok_or(LineFault::Bad(
            "third field must be `purpose=` and one of kek, index, audience, audit, tombstone, log",
        ))?;
        let key_epoch = field("epoch").and_then(|text| text.parse().ok()).filter(|&epoch| epoch > 0);
        let key_epoch = key_epoch.ok_or(LineFault::Bad("fourth field must be `epoch=` and a number from 1"))?;
        let bytes = field("hex").and_then(parse_hex);
        let bytes = bytes.ok_or(LineFault::Bad("fifth field must be `hex=` and 64 digits of 0-9, a-f"))?;
        match fields.next() {
            None => Ok(Self { purpose, key_epoch, bytes }),
            Some(_) => Err(LineFault::Bad("nothing may follow the fifth field")),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} generation {})", self.purpose.name(), self.key_epoch)
    }
}

fn parse_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

enum LineFault {
    Bad(&'static str),
    Format(u16),
}

/// Why keys can't be made or loaded. Each text names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or directory can't be read, made or synced.
    #[error("key file {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key already lies where one should be made.
    #[error(
        "key file {}: exists already, and a key is never overwritten; use another directory, or move this one away \
         if no data was ever made with it",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No key of this purpose is in the directory.
    #[error(
        "key directory {}: no {}.key in it; restore it from the key backup, or run `xinhubd init` for a new ledger",
        dir.display(), purpose.name()
    )]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// Which key.
        purpose: Purpose,
    },
    /// Somebody else could read or replace the file.
    #[error("key file {}: {fault}; run `chown {owner} {0} && chmod 0600 {0}`, and make a new key if others may have read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
        /// The user id it must belong to.
        owner: u32,
    },
    /// The line is not a key.
    #[error("key file {}: {what}; restore it from the key backup", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which field is wrong, and its shape.
        what: String,
    },
    /// Written by a newer version.
    #[error("key file {}: format {found}, but this version knows up to {FORMAT}; use the version that wrote it", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u16,
    },
}

/// All keys of one hub: for each purpose the current generation, and older ones that data still needs.
#[derive(Clone)]
pub struct Keyring {
    /// Ascending by (purpose, generation); at least one of each purpose.
    keys: Vec<Key>,
}

impl Keyring {
    /// Makes a first generation of every key in `dir` (made 0700 when missing), durably. Refuses when any is there.
    pub fn create(dir: &Path) -> Result<Self, KeyError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        if let Some((path, _)) = key_files(dir)?.into_iter().next() {
            return Err(KeyError::Exists { path });
        }
        let keyring = Self::ephemeral();
        for key in &keyring.keys {
            let path = dir.join(format!("{}.key", key.purpose.name()));
            let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(KeyError::Exists { path }),
                opened => opened.map_err(at(&path))?,
            };
            file.write_all(key.to_line().as_bytes()).and_then(|()| file.sync_all()).map_err(at(&path))?;
        }
        File::open(dir).and_then(|directory| directory.sync_all()).map_err(at(dir))?;
        Ok(keyring)
    }

    /// Loads every key file of `dir`; each must be the service's own and closed to all others.
    ///
    /// In the directory that systemd names in `$CREDENTIALS_DIRECTORY` a file may also be root's, readable through
    /// the group bits: that is how systemd shows the access list with which it grants the service alone.
    pub fn load(dir: &Path) -> Result<Self, KeyError> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|named| Path::new(&named) == dir);
        Self::load_from(dir, credentials)
    }

    fn load_from(dir: &Path, credentials: bool) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (path, purpose) in key_files(dir)? {
            let key = read_key(&path, credentials)?;
            if key.purpose != purpose {
                let what = format!("its purpose field says {}, its name {}", key.purpose.name(), purpose.name());
                return Err(KeyError::Malformed { path, what });
            }
            keys.push((key, path));
        }
        keys.sort_by_key(|(key, _)| (key.purpose, key.key_epoch));
        for pair in keys.windows(2) {
            let ((first, _), (second, path)) = (&pair[0], &pair[1]);
            if (first.purpose, first.key_epoch) == (second.purpose, second.key_epoch) {
                let what = format!("generation {} is in two files", second.key_epoch);
                return Err(KeyError::Malformed { path: path.clone(), what });
            }
        }
        let keys: Vec<Key> = keys.into_iter().map(|(key, _)| key).collect();
        for purpose in Purpose::ALL {
            if !keys.iter().any(|key| key.purpose == purpose) {
                return Err(KeyError::Missing { dir: dir.to_owned(), purpose });
            }
        }
        Ok(Self { keys })
    }

    /// Fresh keys that are nowhere on disk: for tests and dry runs.
    pub fn ephemeral() -> Self {
        Self { keys: Purpose::ALL.into_iter().map(Key::random).collect() }
    }

    /// The generation that new data is made with.
    pub fn current(&self, purpose: Purpose) -> &Key {
        let newest = self.keys.iter().rev().find(|key| key.purpose == purpose);
        newest.expect("every constructor checks that each purpose has a key")
    }

    /// One generation, for data that carries its number.
    pub fn generation(&self, purpose: Purpose, key_epoch: u32) -> Option<&Key> {
        self.keys.iter().find(|key| (key.purpose, key.key_epoch) == (purpose, key_epoch))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

/// The files named `<purpose>.key` or `<purpose>.<number>.key`; others (a TLS key, say) are left alone.
fn key_files(dir: &Path) -> Result<Vec<(PathBuf, Purpose)>, KeyError> {
    let fault = |source| KeyError::Io { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".key")) else { continue };
        let (purpose, generation) = stem.split_once('.').unwrap_or((stem, "0"));
        let purpose = Purpose::ALL.into_iter().find(|known| known.name() == purpose);
        if let (Some(purpose), Ok(_)) = (purpose, generation.parse::<u32>()) {
            files.push((dir.join(name), purpose));
        }
    }
    files.sort();
    Ok(files)
}

fn read_key(path: &Path, credentials: bool) -> Result<Key, KeyError> {
    let fault = |source| KeyError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(fault)?;
    // The open file is judged, not the name, so that nothing can be put in its place in between.
    let metadata = file.metadata().map_err(fault)?;
    let us = rustix::process::geteuid().as_raw();
    let exposed = |fault| KeyError::Exposed { path: path.to_owned(), fault, owner: us };
    let malformed = |what: &str| KeyError::Malformed { path: path.to_owned(), what: what.to_owned() };
    if !metadata.is_file() {
        return Err(malformed("not a regular file"));
    }
    if metadata.uid() != us && !(credentials && metadata.uid() == 0) {
        return Err(exposed(format!("belongs to user {}, not to the service's user {us}", metadata.uid())));
    }
    let mode = metadata.mode() & 0o7777;
    let is_closed = matches!(mode, 0o600 | 0o400) || (credentials && mode == 0o440);
    if !is_closed {
        return Err(exposed(format!("has mode {mode:04o}, must be 0600 or 0400")));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize));
    match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(malformed("not text")),
        Err(error) => return Err(fault(error)),
    }
    Key::from_line(&text).map_err(|line_fault| match line_fault {
        LineFault::Bad(what) => malformed(what),
        LineFault::Format(found) => KeyError::NewerFormat { path: path.to_owned(), found },
    })
}

#[cfg(test)]
mod tests;
