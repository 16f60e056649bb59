//! A replica's directory: who it is, and what it held when it was last written.
//!
//! `instance` is 16 random bytes in hex, made once. `index.snap` is a section as hubs write it, and `about` says of which history,
//! where in it, and under which key it was made; it is written last, so that a section without it is passed over. `index.part` is
//! a snapshot that is being fetched, beside `part.about`, its name. The audience's key is kept nowhere: the hub gives it anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use minicbor::{Decode, Encode};
use xinhub_index::{Heads, StateDigest, read_entries, write_entries};

use super::{Audience, Shared};
use crate::Error;

const FORMAT: u16 = 1;
const INSTANCE: &str = "instance";
const INDEX: &str = "index.snap";
const ABOUT: &str = "about";

/// What `about` says.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct About {
    #[n(0)]
    pub(super) format: u16,
    #[n(1)]
    pub(super) audience: String,
    #[n(2)]
    pub(super) key_epoch: u32,
    /// A digest of the key: under another one no identity would be found.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) key_check: [u8; 16],
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) epoch: [u8; 16],
    #[n(5)]
    pub(super) revision: u64,
    #[n(6)]
    pub(super) lift_seq: u64,
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) state_digest: [u8; 32],
}

fn cannot(dir: &Path, what: &str) -> impl Fn(io::Error) -> Error {
    let text = format!("replica directory {}: {what}", dir.display());
    move |error| Error::Config(format!("{text}: {error}"))
}

/// Makes the directory where it is missing, and takes it for this replica alone, as long as the file is held; returns what the
/// replica calls itself.
pub(super) fn prepare(dir: &Path) -> Result<([u8; 16], File), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(cannot(dir, "can't be made"))?;
    let lock = create(&dir.join("lock")).map_err(cannot(dir, "can't be written"))?;
    if lock.try_lock().is_err() {
        return Err(Error::Config(format!("replica directory {}: another replica has it", dir.display())));
    }
    instance(dir).map(|instance| (instance, lock))
}

fn instance(dir: &Path) -> Result<[u8; 16], Error> {
    let path = dir.join(INSTANCE);
    match fs::read_to_string(&path) {
        Ok(text) => uuid::Uuid::try_parse(text.trim()).map(uuid::Uuid::into_bytes).map_err(|_| {
            Error::Config(format!("{}: is no instance id; empty the directory to begin anew", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let instance = uuid::Uuid::now_v7();
            write_whole(dir, INSTANCE, instance.to_string().as_bytes()).map_err(cannot(dir, "can't be written"))?;
            Ok(instance.into_bytes())
        }
        Err(error) => Err(cannot(dir, "can't be read")(error)),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// A small file, whole or not at all.
fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Tells keys apart without telling them.
pub(super) fn key_check(audience: &Audience) -> [u8; 16] {
    // 255 is no key space: no identity has this digest.
    audience.prf.digest(&[255; 32])
}

/// Loads what was written last, if it is of this audience's key and whole; says whether it did.
pub(super) fn load(shared: &Shared, audience: &Audience) -> bool {
    let about = fs::read(shared.dir.join(ABOUT)).ok().and_then(|bytes| minicbor::decode::<About>(&bytes).ok());
    let Some(about) = about.filter(|about| {
        about.format == FORMAT
            && about.audience == audience.id
            && (about.key_epoch, about.key_check) == (audience.key_epoch, key_check(audience))
    }) else {
        return false;
    };
    match load_section(shared, &shared.dir.join(INDEX), &about) {
        Ok(()) => true,
        Err(problem) => {
            tracing::warn!(%problem, "the replica on disk is not used: it is fetched anew");
            false
        }
    }
}

/// Loads a section, and shows it if it is what it should be.
pub(super) fn load_section(shared: &Shared, path: &Path, about: &About) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    // Aside first: what is shown was found whole.
    let (_, mut aside) = xinhub_index::Index::new();
    let mut from = BufReader::with_capacity(1 << 20, file);
    read_entries(&mut from, about.key_epoch, &mut aside).map_err(|error| error.to_string())?;
    let mut digest = StateDigest::new();
    for (key, entry) in aside.freeze().entries() {
        digest.add(&key, &entry);
    }
    if digest.value() != about.state_digest {
        return Err("its entries are not those that it was made of".to_owned());
    }
    let mut from = BufReader::with_capacity(1 << 20, File::open(path).map_err(|error| error.to_string())?);
    let mut held = shared.held.lock();
    read_entries(&mut from, about.key_epoch, &mut held.writer).map_err(|error| error.to_string())?;
    held.loaded(about.epoch, about.revision, about.lift_seq, digest);
    Ok(())
}

/// Writes what is held. The directory keeps what it had until all of it is written.
pub(super) fn save(shared: &Shared) -> Result<(), Error> {
    let Some(audience) = shared.audience.load_full() else { return Ok(()) };
    let (frozen, about) = {
        let mut held = shared.held.lock();
        if held.epoch == [0; 16] {
            return Ok(());
        }
        let about = About {
            format: FORMAT,
            audience: audience.id.clone(),
            key_epoch: audience.key_epoch,
            key_check: key_check(&audience),
            epoch: held.epoch,
            revision: held.revision,
            // Those told ahead are told again: what is told here can't keep bulk from undoing them.
            lift_seq: held.changed_lift_seq,
            state_digest: held.digest.value(),
        };
        (held.writer.freeze(), about)
    };
    let write = || {
        let new = shared.dir.join("index.new");
        let mut out = BufWriter::with_capacity(1 << 20, create(&new)?);
        write_entries(&frozen, about.key_epoch, Heads::Drop, &mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        // Between the two names lies a section without a text that fits it: its digest says so, and it is fetched anew.
        fs::rename(new, shared.dir.join(INDEX))?;
        write_whole(&shared.dir, ABOUT, &minicbor::to_vec(&about).map_err(io::Error::other)?)
    };
    write().map_err(cannot(&shared.dir, "can't be written"))
}

/// A snapshot that is being fetched: its file, and how much of it is there. Another one begins anew.
pub(super) fn part(shared: &Shared, id: &str) -> io::Result<(File, u64)> {
    let name = shared.dir.join("part.about");
    let path = shared.dir.join("index.part");
    if fs::read_to_string(&name).is_ok_and(|known| known == id) {
        let file = OpenOptions::new().append(true).open(&path)?;
        let length = file.metadata()?.len();
        return Ok((file, length));
    }
    let file = create(&path)?;
    write_whole(&shared.dir, "part.about", id.as_bytes())?;
    Ok((file, 0))
}

/// Takes a fetched snapshot away.
pub(super) fn drop_part(shared: &Shared) {
    // What stays is written over by the next.
    let _ = fs::remove_file(shared.dir.join("part.about"));
    let _ = fs::remove_file(shared.dir.join("index.part"));
}
