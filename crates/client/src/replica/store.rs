//! A replica's directory: who it is, and what it held when it was last written.
//!
//! `instance` is 16 random bytes in hex, made once. `index.snap` is a section as hubs write it, or beside a filter (`filter.snap`) what
//! has come since it was made, and `gone.snap` what has gone. `about` says of which history, where in it, and under which key they
//! were made; it is written last, so that what lacks it is passed over. `index.part` is a snapshot that is being fetched, beside
//! `part.about`, its name. The audience's key is kept nowhere: the hub gives it anew. `records` is in [`super::records`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Weak};

use aws_lc_rs::digest::{Context, SHA256};
use minicbor::{Decode, Encode};
use xinhub_api::v1;
use xinhub_index::{Filter, Frozen, Heads, Index, IndexWriter, StateDigest, read_entries, write_entries};

use super::held::{Broken, Digest, Held, View, Writers};
use super::{Audience, Shared};
use crate::Error;

const FORMAT: u16 = 6;
const INSTANCE: &str = "instance";
const INDEX: &str = "index.snap";
const FILTER: &str = "filter.snap";
const GONE: &str = "gone.snap";
const PART: &str = "index.part";
const ABOUT: &str = "about";

/// Entries that are summed up between two looks whether anybody wants the sum yet.
const LOOK_UP_EVERY: usize = 1 << 16;

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
    /// Of an index.
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) state_digest: [u8; 32],
    #[n(8)]
    pub(super) is_filter: bool,
    /// Entries as new as this are held.
    #[n(9)]
    pub(super) as_of: u64,
    /// The chain hash over the history up to `revision`.
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) chain: [u8; 32],
    /// SHA-256 over the files, one behind the other: they are those that this is about.
    #[n(11)]
    #[cbor(with = "minicbor::bytes")]
    sha256: [u8; 32],
}

impl About {
    pub(super) fn new(
        audience: &Audience,
        (epoch, chain): ([u8; 16], [u8; 32]),
        revision: u64,
        lift_seq: u64,
    ) -> About {
        About {
            format: FORMAT,
            audience: audience.id.clone(),
            key_epoch: audience.key_epoch,
            key_check: key_check(audience),
            epoch,
            revision,
            lift_seq,
            state_digest: [0; 32],
            is_filter: audience.reach == v1::ReplicaReach::Filter,
            as_of: revision,
            chain,
            sha256: [0; 32],
        }
    }

    /// The files that it is about.
    fn files(&self) -> &'static [&'static str] {
        if self.is_filter { &[FILTER, INDEX, GONE] } else { &[INDEX] }
    }
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

/// What is on disk is not led on from: it is fetched anew.
pub(super) fn discard(shared: &Shared) {
    let _one_at_a_time = shared.saving.lock();
    if let Err(error) = fs::remove_file(shared.dir.join(ABOUT)).or_else(absent) {
        tracing::error!(%error, "a replica that is no longer good stays on disk");
    }
}

/// Loads what was written last, if it is of this audience's key and reach, and whole; says whether it did.
pub(super) fn load(shared: &Shared, audience: &Arc<Audience>, epoch: &[u8]) -> bool {
    let about = fs::read(shared.dir.join(ABOUT)).ok().and_then(|bytes| minicbor::decode::<About>(&bytes).ok());
    let Some(about) = about.filter(|about| {
        about.format == FORMAT
            && about.epoch == epoch
            && about.audience == audience.id
            && about.is_filter == (audience.reach == v1::ReplicaReach::Filter)
            && (about.key_epoch, about.key_check) == (audience.key_epoch, key_check(audience))
    }) else {
        return false;
    };
    match load_files(&shared.dir, &about) {
        Ok((writers, view)) => {
            shared.hold(
                Held::new(writers, (about.epoch, about.chain), (about.revision, about.as_of), about.lift_seq),
                view,
                audience,
            );
            true
        }
        Err(problem) => {
            tracing::warn!(%problem, "the replica on disk is not used: it is fetched anew");
            false
        }
    }
}

fn section(dir: &Path, name: &str, key_epoch: u32) -> Result<(Index, IndexWriter), String> {
    let file = File::open(dir.join(name)).map_err(|error| error.to_string())?;
    let (index, mut writer) = Index::new();
    let mut from = BufReader::with_capacity(1 << 20, file);
    read_entries(&mut from, key_epoch, &mut writer).map_err(|error| error.to_string())?;
    Ok((index, writer))
}

fn load_files(dir: &Path, about: &About) -> Result<(Writers, View), String> {
    if hash(dir, about.files()).map_err(|error| error.to_string())? != about.sha256 {
        return Err("its files are not those that were written".to_owned());
    }
    if about.is_filter { load_filter(dir, about) } else { load_index(dir, INDEX, about) }
}

/// Aside: what is shown was found whole. That its entries are those that it was made of is found out while it answers ([`prove`]).
fn load_index(dir: &Path, name: &str, about: &About) -> Result<(Writers, View), String> {
    let (index, mut writer) = section(dir, name, about.key_epoch)?;
    let digest = Digest::of(writer.freeze(), about.state_digest);
    Ok((Writers::Exact(writer, digest), View::Exact(index)))
}

/// Sums up what was loaded, and finds out whether it is what it had to be: seconds, of ten million entries. Given up where the replica
/// has gone, or holds something else.
pub(super) fn prove(shared: &Weak<Shared>) -> Result<(), Broken> {
    let Some(loaded) = shared.upgrade().and_then(|shared| shared.held.lock().as_ref().and_then(Held::unsummed)) else {
        return Ok(());
    };
    let mut sum = StateDigest::new();
    for (number, (key, entry)) in loaded.entries().enumerate() {
        // Whoever has let go of it has no use for the sum.
        if number % LOOK_UP_EVERY == 0 && Arc::strong_count(&loaded) == 1 {
            return Ok(());
        }
        sum.add(&key, &entry);
    }
    let Some(shared) = shared.upgrade() else { return Ok(()) };
    let mut held = shared.held.lock();
    held.as_mut().map_or(Ok(()), |held| held.summed(&loaded, &sum))
}

fn load_filter(dir: &Path, about: &About) -> Result<(Writers, View), String> {
    let filter = read_filter(&dir.join(FILTER), about.key_epoch)?;
    let (came, came_writer) = section(dir, INDEX, about.key_epoch)?;
    let (gone, gone_writer) = section(dir, GONE, about.key_epoch)?;
    Ok((Writers::Filter(came_writer, gone_writer), View::Filter(filter, came, gone)))
}

fn read_filter(path: &Path, key_epoch: u32) -> Result<Box<Filter>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let filter = Filter::read(&mut BufReader::with_capacity(1 << 20, file), key_epoch);
    filter.map(Box::new).map_err(|error| error.to_string())
}

/// Takes a snapshot that was fetched: shows it once it is found whole, and keeps it for the next start.
pub(super) fn take_part(shared: &Shared, audience: &Arc<Audience>, about: About, sha256: &[u8]) -> Result<(), String> {
    // A save that is under way would put its own beside this one's.
    let _one_at_a_time = shared.saving.lock();
    let text = |error: io::Error| error.to_string();
    let part = shared.dir.join(PART);
    let found = hash(&shared.dir, &[PART]).map_err(text)?;
    if found != sha256 {
        return Err("the snapshot is not what the hub has made".to_owned());
    }
    let mut about = About { sha256: found, ..about };
    // What was kept before is none of this one's.
    fs::remove_file(shared.dir.join(ABOUT)).or_else(absent).map_err(text)?;
    let (writers, view) = if about.is_filter {
        let filter = read_filter(&part, about.key_epoch)?;
        let ((came, came_writer), (gone, gone_writer)) = (Index::new(), Index::new());
        fs::rename(&part, shared.dir.join(FILTER)).map_err(text)?;
        for name in [INDEX, GONE] {
            write_frozen(&shared.dir, name, about.key_epoch, &Index::new().1.freeze()).map_err(text)?;
        }
        about.sha256 = hash(&shared.dir, about.files()).map_err(text)?;
        (Writers::Filter(came_writer, gone_writer), View::Filter(filter, came, gone))
    } else {
        let loaded = load_index(&shared.dir, PART, &about)?;
        fs::rename(&part, shared.dir.join(INDEX)).map_err(text)?;
        loaded
    };
    write_whole(&shared.dir, ABOUT, &minicbor::to_vec(&about).map_err(|error| error.to_string())?).map_err(text)?;
    shared.hold(
        Held::new(writers, (about.epoch, about.chain), (about.revision, about.as_of), about.lift_seq),
        view,
        audience,
    );
    Ok(())
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// SHA-256 over files of a directory, one behind the other.
fn hash(dir: &Path, names: &[&str]) -> io::Result<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    for name in names {
        let mut file = File::open(dir.join(name))?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => context.update(&buffer[..read]),
            }
        }
    }
    context.finish().as_ref().try_into().map_err(io::Error::other)
}

fn write_frozen(dir: &Path, name: &str, key_epoch: u32, frozen: &Frozen) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut out = BufWriter::with_capacity(1 << 20, create(&new)?);
    write_entries(frozen, key_epoch, Heads::Drop, &mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(new, dir.join(name))
}

/// Writes what is held. A crash in the middle leaves nothing that could be taken for a whole: it is fetched anew then.
pub(super) fn save(shared: &Shared) -> Result<(), Error> {
    // One at a time: two would write over each other's files.
    let _one_at_a_time = shared.saving.lock();
    let Some(audience) = shared.audience() else { return Ok(()) };
    let (sections, mut about) = {
        let mut held = shared.held.lock();
        let Some(held) = held.as_mut() else { return Ok(()) };
        // Lifts told ahead are told again: what is told here can't keep bulk from undoing them.
        let mut about = About::new(&audience, (held.epoch, held.chain), held.revision, held.changed_lift_seq);
        about.as_of = held.as_of;
        let sections = match &mut held.writers {
            Writers::Exact(writer, digest) => {
                // What was just loaded is on disk as it was.
                let Some(value) = digest.value() else { return Ok(()) };
                about.state_digest = value;
                vec![(INDEX, writer.freeze())]
            }
            Writers::Filter(came, gone) => vec![(INDEX, came.freeze()), (GONE, gone.freeze())],
        };
        (sections, about)
    };
    let mut write = || {
        fs::remove_file(shared.dir.join(ABOUT)).or_else(absent)?;
        for (name, frozen) in &sections {
            write_frozen(&shared.dir, name, about.key_epoch, frozen)?;
        }
        about.sha256 = hash(&shared.dir, about.files())?;
        write_whole(&shared.dir, ABOUT, &minicbor::to_vec(&about).map_err(io::Error::other)?)
    };
    write().map_err(cannot(&shared.dir, "can't be written"))
}

/// A snapshot that is being fetched: its file, and how much of it is there. Another one begins anew.
pub(super) fn part(shared: &Shared, id: &str) -> io::Result<(File, u64)> {
    let name = shared.dir.join("part.about");
    let path = shared.dir.join(PART);
    if fs::read_to_string(&name).is_ok_and(|known| known == id) {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
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
    let _ = fs::remove_file(shared.dir.join(PART));
}
