//! Snapshots of audiences' indices, and filters over their keys: made for all audiences in one pass over all listings, in bounded
//! memory, and kept on disk until replicas that began to fetch one have had the time to.
//!
//! The pass digests every identity under each audience's key, which orders them anew: entries go to files by the leading bits of
//! their key, and each is sorted by itself. What changes meanwhile comes behind, and of a key the last wins.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;
use xinhub_domain::policy::Reach;
use xinhub_domain::time::Timestamp;
use xinhub_index::{Change, FilterWriter, Heads, SectionWriter, StateDigest, encode_change, read_changes};
use xinhub_ledger::background::Pace;
use xinhub_ledger::{CommandError, Ledger};

use super::{Feed, write_whole};

/// How many files a pass sorts by, over all audiences, and for each at least and at most: of 15 million entries a 64th takes 6 MB.
const FILES: usize = 256;
const LEAST_PARTS: usize = 16;
const MOST_PARTS: usize = 64;
/// A snapshot that is this many events behind is not worth leading on from: a new one is made.
const MAX_BEHIND_EVENTS: u64 = 200_000;
/// How long one stays after a newer one was made: whoever began to fetch it can end.
const KEPT: Duration = Duration::from_secs(3_600);
const FORMAT: u16 = 4;
/// Where nobody waits for a snapshot: rests three times as long as it has worked.
const REST: u32 = 3;
/// Where somebody does, it rests only where those who answer wait for a processor, and so many times as long at most: a replica that
/// has no snapshot yet asks the hub.
const LONGEST_REST: u32 = 9;
/// Entries that are written between two rests: a millisecond's work.
const WRITTEN_AT_ONCE: usize = 1_000;

/// What a snapshot is, as it stands beside its file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Snapshot {
    #[n(0)]
    format: u16,
    #[n(1)]
    audience: String,
    /// The generation of the audience's key, and a digest of it: under another one no key is found.
    #[n(2)]
    key_epoch: u32,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    key_digest: [u8; 32],
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) epoch: [u8; 16],
    #[n(5)]
    pub(crate) revision: u64,
    #[n(6)]
    pub(crate) lift_seq: u64,
    #[n(7)]
    pub(crate) bytes: u64,
    #[n(8)]
    pub(crate) entries: u64,
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) sha256: [u8; 32],
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) state_digest: [u8; 32],
    #[n(11)]
    made: Timestamp,
    /// A filter over the keys, and not the index.
    #[n(12)]
    is_filter: bool,
    /// Of the history up to its revision.
    #[n(13)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) chain: [u8; 32],
}

impl Snapshot {
    /// Its name to those who fetch it, and of its file.
    pub(crate) fn id(&self) -> String {
        let hash = u32::from_be_bytes(first_four(&self.sha256));
        format!("{}-{:016x}-{hash:08x}{}", self.audience, self.revision, if self.is_filter { "-filter" } else { "" })
    }

    /// Which reach it is for.
    pub(crate) fn reach(&self) -> Reach {
        if self.is_filter { Reach::Filter } else { Reach::Exact }
    }

    fn is_of(&self, feed: &Feed, epoch: [u8; 16]) -> bool {
        let (_, key_epoch) = feed.key();
        self.format == FORMAT
            && self.epoch == epoch
            && self.audience == feed.id()
            && (self.key_epoch, self.key_digest) == (key_epoch, feed.key_digest())
    }
}

fn first_four(hash: &[u8; 32]) -> [u8; 4] {
    [hash[0], hash[1], hash[2], hash[3]]
}

fn finished(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("a snapshot for replicas: {0}")]
    Io(#[from] io::Error),
    #[error("a snapshot for replicas: {0}")]
    Ledger(#[from] CommandError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    known: Arc<Mutex<Vec<Arc<Snapshot>>>>,
    /// One is made at a time, also where whoever asked for it has gone.
    making: Arc<AsyncMutex<()>>,
    /// How many wait for one.
    wanted: Arc<AtomicUsize>,
    /// How many events one may be behind and still be given out; fewer only in simulations.
    pub(super) max_behind_events: u64,
}

impl Snapshots {
    pub(super) fn open(dir: PathBuf) -> io::Result<Snapshots> {
        let mut known = Vec::new();
        for file in fs::read_dir(&dir)? {
            let path = file?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                Some("about") => match minicbor::decode::<Snapshot>(&fs::read(&path)?) {
                    Ok(snapshot) if path.with_extension("snap").exists() => known.push(Arc::new(snapshot)),
                    // Half of one, or of another format: it is made anew.
                    Ok(_) | Err(_) => {
                        fs::remove_file(&path)?;
                        drop(fs::remove_file(path.with_extension("snap")));
                    }
                },
                // What a stop in the middle has left.
                Some("part" | "new") if !path.ends_with("subscribers.new") => fs::remove_file(&path)?,
                Some(_) | None => {}
            }
        }
        let (known, making, wanted) = (Arc::new(Mutex::new(known)), Arc::default(), Arc::default());
        Ok(Snapshots { dir, known, making, wanted, max_behind_events: MAX_BEHIND_EVENTS })
    }

    /// The snapshot that a replica of this audience begins with: one that is there, or a new one. Made anew, it is made for all of
    /// `feeds` that have none.
    pub(crate) async fn current(
        &self,
        feed: &Arc<Feed>,
        reach: Reach,
        feeds: &[Arc<Feed>],
        ledger: &Ledger,
    ) -> Result<Arc<Snapshot>, SnapshotError> {
        if let Some(known) = self.fresh(feed, reach, ledger) {
            return Ok(known);
        }
        let _wanted = Wanted::new(&self.wanted);
        let one_at_a_time = Arc::clone(&self.making).lock_owned().await;
        if let Some(known) = self.fresh(feed, reach, ledger) {
            return Ok(known);
        }
        let lacks = |one: &&Arc<Feed>| self.fresh(one, reach, ledger).is_none();
        let mut lacking: Vec<Arc<Feed>> = feeds.iter().filter(lacks).cloned().collect();
        if !lacking.iter().any(|one| Arc::ptr_eq(one, feed)) {
            lacking.push(Arc::clone(feed));
        }
        self.make(lacking, ledger, one_at_a_time).await?;
        let gone = || io::Error::other("the snapshot that was made is behind already");
        Ok(self.fresh(feed, reach, ledger).ok_or_else(gone)?)
    }

    /// Passes over those that the history doesn't lead to: it was set back, and went on otherwise. Reads the disk.
    pub(super) fn pass_over_others(&self, ledger: &Ledger) -> Result<(), CommandError> {
        let mut known = self.known.lock();
        let mut kept = Vec::with_capacity(known.len());
        for one in known.drain(..) {
            let mark = ledger.mark_at(one.revision, one.lift_seq)?;
            kept.extend(mark.is_some_and(|mark| mark.chain == one.chain).then_some(one));
        }
        *known = kept;
        Ok(())
    }

    /// Makes new ones, and so learns the digest of what there is. In no hurry: until somebody waits for one, it takes a quarter of a
    /// processor.
    pub(super) async fn renew(&self, feeds: Vec<Arc<Feed>>, ledger: &Ledger) -> Result<(), SnapshotError> {
        let one_at_a_time = Arc::clone(&self.making).lock_owned().await;
        self.make(feeds, ledger, one_at_a_time).await
    }

    async fn make(
        &self,
        feeds: Vec<Arc<Feed>>,
        ledger: &Ledger,
        one_at_a_time: OwnedMutexGuard<()>,
    ) -> Result<(), SnapshotError> {
        let (dir, known, ledger) = (self.dir.clone(), Arc::clone(&self.known), ledger.clone());
        let wanted = Arc::clone(&self.wanted);
        // It goes on without its caller: two passes would write over each other's files.
        let made = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = one_at_a_time;
            let mut pace = Pace::new();
            let rest = |worked: Duration| {
                let is_wanted = wanted.load(Ordering::Relaxed) > 0;
                let paced = pace.rest().min(worked * LONGEST_REST);
                std::thread::sleep(if is_wanted { paced } else { paced.max(worked * REST) });
            };
            for made in make(&dir, &feeds, &ledger, rest)? {
                let made = Arc::new(made);
                known.lock().push(Arc::clone(&made));
                forget_old(&dir, &known, &made);
            }
            Ok(())
        });
        made.await.map_err(io::Error::other)?
    }

    /// The snapshot of this name, if it is the audience's, of a reach that the caller may have.
    pub(crate) fn find(&self, feed: &Feed, id: &str, may_hold: impl Fn(Reach) -> bool) -> Option<Arc<Snapshot>> {
        let key_digest = feed.key_digest();
        let is_named = |known: &&Arc<Snapshot>| {
            (&*known.audience, known.key_digest) == (feed.id(), key_digest)
                && known.id() == id
                && may_hold(known.reach())
        };
        self.known.lock().iter().find(is_named).cloned()
    }

    /// Its bytes.
    pub(crate) fn file(&self, snapshot: &Snapshot) -> io::Result<File> {
        File::open(self.dir.join(snapshot.id()).with_extension("snap"))
    }

    fn fresh(&self, feed: &Feed, reach: Reach, ledger: &Ledger) -> Option<Arc<Snapshot>> {
        let position = ledger.position();
        let usable = |known: &&Arc<Snapshot>| {
            known.is_of(feed, position.epoch)
                && known.reach() == reach
                && known.revision <= position.revision
                && position.revision - known.revision <= self.max_behind_events
        };
        self.known.lock().iter().filter(usable).max_by_key(|known| known.revision).cloned()
    }
}

/// Somebody waits for a snapshot, as long as this lasts.
struct Wanted<'a>(&'a AtomicUsize);

impl<'a> Wanted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes away what was superseded so long ago that whoever began to fetch it has ended.
fn forget_old(dir: &Path, known: &Mutex<Vec<Arc<Snapshot>>>, newest: &Snapshot) {
    let kept_ms = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let is_like = |one: &Snapshot| (&one.audience, one.is_filter) == (&newest.audience, newest.is_filter);
    let mut known = known.lock();
    let made: Vec<Timestamp> = known.iter().filter(|one| is_like(one)).map(|one| one.made).collect();
    let is_old = |one: &Arc<Snapshot>| {
        let successor = made.iter().filter(|made| **made > one.made).min();
        is_like(one) && successor.is_some_and(|made| newest.made.0 - made.0 > kept_ms)
    };
    let old: Vec<Arc<Snapshot>> = known.extract_if(.., |one| is_old(one)).collect();
    drop(known);
    for one in old {
        // The text first: a file without one is passed over.
        for extension in ["about", "snap"] {
            if let Err(error) = fs::remove_file(dir.join(one.id()).with_extension(extension)) {
                tracing::warn!(%error, "an old snapshot for replicas can't be taken away");
            }
        }
    }
}

fn make(
    dir: &Path,
    feeds: &[Arc<Feed>],
    ledger: &Ledger,
    mut rest: impl FnMut(Duration),
) -> Result<Vec<Snapshot>, SnapshotError> {
    let count = (FILES / feeds.len().max(1)).clamp(LEAST_PARTS, MOST_PARTS);
    let parts = feeds.iter().map(|feed| Parts::new(dir, feed.id(), count));
    let mut parts = parts.collect::<io::Result<Vec<_>>>()?;
    let mut failed = None;
    let told: Vec<_> = feeds.iter().map(|feed| feed.told().clone()).collect();
    let each = |at: usize, change| {
        if failed.is_none() {
            failed = parts[at].put(&change).err();
        }
    };
    let mark = ledger.walk(&told, each, &mut rest)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let position = ledger.position();
    let mut made = Vec::with_capacity(2 * feeds.len());
    for (feed, parts) in feeds.iter().zip(parts) {
        let (_, key_epoch) = feed.key();
        let mut index = Hashed::create(dir, &format!("{}.new", feed.id()))?;
        let mut filter = Hashed::create(dir, &format!("{}-filter.new", feed.id()))?;
        let (entries, digest) = write(parts, key_epoch, (&mut index, &mut filter), &mut rest)?;
        feed.sum().anchor(mark.revision, &digest);
        for (out, is_filter) in [(index, false), (filter, true)] {
            let snapshot = Snapshot {
                format: FORMAT,
                audience: feed.id().to_owned(),
                key_epoch,
                key_digest: feed.key_digest(),
                epoch: position.epoch,
                revision: mark.revision,
                lift_seq: mark.lift_seq,
                chain: mark.chain,
                bytes: out.bytes,
                entries,
                sha256: finished(out.context.clone()),
                state_digest: digest.value(),
                made: position.time,
                is_filter,
            };
            out.keep(dir, &snapshot)?;
            made.push(snapshot);
        }
    }
    Ok(made)
}

/// Writes an audience's index and the filter over its keys; how many entries there are, and their digest.
fn write(
    mut parts: Parts,
    key_epoch: u32,
    (index, filter): (&mut Hashed, &mut Hashed),
    mut rest: impl FnMut(Duration),
) -> io::Result<(u64, StateDigest)> {
    let mut digest = StateDigest::new();
    let mut entries = 0;
    let mut index = SectionWriter::new(key_epoch, Heads::Drop, index);
    let mut filter = FilterWriter::new(key_epoch, filter)?;
    for part in 0..parts.files.len() {
        let began = Instant::now();
        let sorted = parts.sorted(part)?;
        rest(began.elapsed());
        for some in sorted.chunks(WRITTEN_AT_ONCE) {
            let began = Instant::now();
            for (key, entry) in some {
                index.entry(key, entry)?;
                filter.key(key)?;
                digest.add(key, entry);
                entries += 1;
            }
            rest(began.elapsed());
        }
    }
    index.end()?;
    filter.end()?;
    Ok((entries, digest))
}

/// Changes by the leading bits of their keys, on disk. They go with it.
struct Parts {
    files: Vec<(PathBuf, BufWriter<File>)>,
    encoded: Vec<u8>,
}

impl Parts {
    fn new(dir: &Path, audience: &str, count: usize) -> io::Result<Parts> {
        let file = |part| {
            let path = dir.join(format!("{audience}-{part}.part"));
            let options = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
            Ok((path, BufWriter::new(options)))
        };
        let files = (0..count).map(file).collect::<io::Result<_>>()?;
        Ok(Parts { files, encoded: Vec::new() })
    }

    fn put(&mut self, (key, entry): &Change) -> io::Result<()> {
        self.encoded.clear();
        encode_change(key, entry.as_ref(), &mut self.encoded);
        let part = usize::from(key.0[0]) * self.files.len() / 256;
        self.files[part].1.write_all(&self.encoded)
    }

    /// The entries of one part, by key; of each the last that was put.
    fn sorted(&mut self, part: usize) -> io::Result<Vec<(xinhub_index::Key, xinhub_index::Entry)>> {
        let file = &mut self.files[part].1;
        file.flush()?;
        let mut bytes = Vec::new();
        let mut file = file.get_ref();
        file.seek(SeekFrom::Start(0))?;
        BufReader::new(file).read_to_end(&mut bytes)?;
        let mut changes = read_changes(&bytes).map_err(io::Error::other)?;
        drop(bytes);
        // Stable: those of one key stay in their order.
        changes.sort_by_key(|change| change.0);
        changes.reverse();
        changes.dedup_by_key(|change| change.0);
        let held = changes.into_iter().rev().filter_map(|(key, entry)| Some((key, entry?)));
        Ok(held.collect())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for (path, _) in &self.files {
            // What stays is taken away at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// Hashes and counts what it writes.
struct Hashed {
    path: PathBuf,
    file: BufWriter<File>,
    context: Context,
    bytes: u64,
}

impl Hashed {
    fn create(dir: &Path, name: &str) -> io::Result<Hashed> {
        let path = dir.join(name);
        let file = BufWriter::new(File::create(&path)?);
        Ok(Hashed { path, file, context: Context::new(&SHA256), bytes: 0 })
    }

    /// Makes it durable under a snapshot's name.
    fn keep(self, dir: &Path, snapshot: &Snapshot) -> io::Result<()> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let path = dir.join(snapshot.id());
        fs::rename(self.path, path.with_extension("snap"))?;
        // Last: what has a text is whole.
        let text = minicbor::to_vec(snapshot).map_err(io::Error::other)?;
        write_whole(&path.with_extension("about"), &text)
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.context.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
