//! What a replica has answered by itself, kept until the hub has it on record.
//!
//! Promises: an adverse answer has its place here before it is given, or is not given; it is durable within 100 ms, and while one has waited
//! for longer none is given; and it is kept until the hub has confirmed it, through restarts on either side. A process that ends without a word leaves a gap of
//! a tenth of a second, which is told to the hub too.
//!
//! The file `records`: 16 bytes of head (`XHRECS`, zero, format; the number before the first entry, u64), CRC-32C of it, four zeros;
//! then entry by entry its length and CRC-32C (u32 each), its number (u64), and the entry as it is reported, sealed with AES-256-GCM under the key
//! that the hub gives this replica, its number as associated data. All numbers little-endian. `alive` holds the time at
//! which the process last lived, in milliseconds, and goes when it ends as it should.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use xinhub_api::convert::timestamp_to;
use xinhub_api::v1;
use xinhub_api::v1::replica_entry::Entry;
use xinhub_domain::time::Timestamp;

use super::clock::Clock;
use crate::Error;

const FILE: &str = "records";
const ALIVE: &str = "alive";
const MAGIC: [u8; 8] = *b"XHRECS\0\x01";
const HEAD_BYTES: u64 = 24;
const FRAME_HEAD_BYTES: usize = 16;
/// An entry is a few hundred bytes.
const MAX_ENTRY_BYTES: usize = 16 * 1024;
const NONCE_BYTES: usize = 12;

/// Entries that the hub has not confirmed: past it the hub is asked instead.
const MAX_UNREPORTED: usize = 65_536;
/// Entries that wait for the disk.
const MAX_WAITING: usize = 4_096;
/// How long one waits for others: with a sync of up to as long again it is durable within 100 ms.
const GATHER: Duration = Duration::from_millis(50);
/// Where one waits for longer than that none is given any more, until the disk has caught up: so much is lost in a crash, and no more.
const MAX_LATE_MS: u64 = 100;
/// How often it is noted that the process lives, and questions that were answered clear are gathered.
const LOOK_EVERY_MS: u64 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(LOOK_EVERY_MS);
/// A file of which this much is reported is written anew.
const MAX_REPORTED_BYTES: u64 = 1 << 20;
const HOUR_MS: i64 = 3_600_000;

struct Waiting {
    entry: Entry,
    durable: Option<oneshot::Sender<()>>,
}

/// See the module.
pub(super) struct Records {
    waiting: ArrayQueue<Waiting>,
    /// Places taken: waiting, or not reported.
    taken: AtomicUsize,
    /// By the boot clock, since when the oldest waits: of those in `waiting`, and of those that are being written; 0 for none.
    waiting_since: AtomicU64,
    writing_since: AtomicU64,
    failed: AtomicBool,
    stop: AtomicBool,
    clock: Clock,
    kept: Mutex<Kept>,
    /// How many were answered clear since they were last gathered, by measure.
    clears: Mutex<HashMap<String, Arc<AtomicU64>>>,
    /// The number of the newest durable entry.
    durable: watch::Sender<u64>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// To wake it without a lock.
    writer: std::sync::OnceLock<Thread>,
}

/// Counts of what was answered clear, by measure and hour, that are not on record yet; and when they were last looked at.
#[derive(Default)]
pub(super) struct Gathered {
    looked_ms: u64,
    clears: BTreeMap<(String, i64), u64>,
}

/// The file, and what of it is not reported.
struct Kept {
    dir: PathBuf,
    key: RandomizedNonceKey,
    file: File,
    bytes: u64,
    reported_bytes: u64,
    /// The number of the last entry.
    last: u64,
    unreported: VecDeque<(v1::ReplicaEntry, u64)>,
}

fn cannot(dir: &Path) -> impl Fn(io::Error) -> Error {
    let text = format!("replica directory {}: the records of its answers", dir.display());
    move |error| Error::Config(format!("{text}: {error}"))
}

impl Records {
    /// Opens what is kept. What comes is kept once [`Records::keep`] was called.
    /// `reported` is up to where the hub has this replica's answers on record: no number is used twice, also where the file was lost.
    pub(super) fn open(dir: &Path, key: &[u8; 32], reported: u64, clock: Clock) -> Result<Arc<Records>, Error> {
        let now = Timestamp(clock.wall_ms());
        let (mut kept, unreadable) = Kept::open(dir, key).map_err(cannot(dir))?;
        let unreadable = unreadable || kept.last < reported;
        kept.unreported.retain(|(entry, _)| entry.sequence > reported);
        kept.last = kept.last.max(reported);
        kept.rewrite().map_err(cannot(dir))?;
        let alive = fs::read_to_string(dir.join(ALIVE)).ok();
        let lived = alive.as_ref().map(|text| text.trim().parse().map_or(now, Timestamp));
        if let Some(from) = lived.or(unreadable.then_some(now)) {
            let gap = v1::ReplicaGap { from: Some(timestamp_to(from)), to: Some(timestamp_to(now.max(from))) };
            kept.append(vec![Entry::Gap(gap)]).map_err(cannot(dir))?;
        }
        note_alive(dir, now).and_then(|()| sync_alive(dir)).map_err(cannot(dir))?;
        Ok(Arc::new(Records {
            waiting: ArrayQueue::new(MAX_WAITING),
            taken: AtomicUsize::new(kept.unreported.len()),
            waiting_since: AtomicU64::new(0),
            writing_since: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            durable: watch::channel(kept.last).0,
            clock,
            kept: Mutex::new(kept),
            clears: Mutex::default(),
            thread: Mutex::new(None),
            writer: std::sync::OnceLock::new(),
        }))
    }

    /// Begins to keep what comes, on a thread of its own.
    pub(super) fn keep(self: &Arc<Self>) -> Result<(), Error> {
        let mut running = self.thread.lock();
        if running.is_none() && self.writer.get().is_none() {
            let this = Arc::clone(self);
            let thread = std::thread::Builder::new().name("xinhub-records".to_owned()).spawn(move || this.run());
            let thread = thread.map_err(cannot(&self.kept.lock().dir))?;
            let _ = self.writer.set(thread.thread().clone());
            *running = Some(thread);
        }
        Ok(())
    }

    /// Keeps an adverse answer; says whether there was a place for it. `durable` is told once it is on the disk.
    pub(super) fn take(&self, answer: v1::ReplicaAnswer, durable: Option<oneshot::Sender<()>>) -> bool {
        let now_ms = self.clock.boot_ms();
        if self.failed.load(Ordering::Acquire) || self.stop.load(Ordering::Acquire) || self.is_late(now_ms) {
            return false;
        }
        if self.taken.fetch_add(1, Ordering::AcqRel) >= MAX_UNREPORTED {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        self.waits_since(now_ms);
        if self.waiting.push(Waiting { entry: Entry::Answer(answer), durable }).is_err() {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        // Those before it may have been taken up meanwhile, and their time with them.
        self.waits_since(now_ms);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
        true
    }

    /// One waits since then, unless another does for longer. Too early a time is put right by the next turn.
    fn waits_since(&self, now_ms: u64) {
        let _ = self.waiting_since.compare_exchange(0, now_ms, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the disk is so far behind that a crash would lose more than it may.
    fn is_late(&self, now_ms: u64) -> bool {
        let since = [&self.waiting_since, &self.writing_since].map(|since| since.load(Ordering::Acquire));
        since.into_iter().any(|since| since != 0 && now_ms.saturating_sub(since) > MAX_LATE_MS)
    }

    /// How many places there are just now.
    pub(super) fn free(&self) -> usize {
        if self.is_late(self.clock.boot_ms()) {
            return 0;
        }
        let unreported = MAX_UNREPORTED.saturating_sub(self.taken.load(Ordering::Acquire));
        unreported.min(MAX_WAITING - self.waiting.len().min(MAX_WAITING))
    }

    /// Counts what is answered clear for a measure.
    pub(super) fn counter(&self, measure: &str) -> Arc<AtomicU64> {
        Arc::clone(self.clears.lock().entry(measure.to_owned()).or_default())
    }

    /// What is durable and not reported, the oldest first.
    pub(super) fn unreported(&self, most: usize) -> Vec<v1::ReplicaEntry> {
        self.kept.lock().unreported.iter().take(most).map(|(entry, _)| entry.clone()).collect()
    }

    /// How many are not reported.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire) as u64
    }

    /// The number of the newest entry to report.
    pub(super) fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// The hub has everything up to this entry on record.
    pub(super) fn reported(&self, sequence: u64) {
        let mut kept = self.kept.lock();
        let before = kept.unreported.len();
        while kept.unreported.front().is_some_and(|(entry, _)| entry.sequence <= sequence) {
            kept.reported_bytes += kept.unreported.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        self.taken.fetch_sub(before - kept.unreported.len(), Ordering::AcqRel);
        let is_done = kept.unreported.is_empty() && kept.bytes > HEAD_BYTES;
        if (is_done || kept.reported_bytes > MAX_REPORTED_BYTES)
            && let Err(error) = kept.rewrite()
        {
            // What it holds is reported once more, and recorded once.
            tracing::warn!(%error, "records that were reported stay on disk");
        }
    }

    /// Makes durable what waits, and notes that the process ends as it should.
    pub(super) fn close(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }

    fn run(&self) {
        let mut gathered = Gathered::default();
        loop {
            let stops = self.stop.load(Ordering::Acquire);
            let is_kept = self.turn(&mut gathered, stops);
            if stops && !is_kept {
                // The next start reports the gap.
                return;
            }
            if stops {
                let dir = self.kept.lock().dir.clone();
                if let Err(error) = fs::remove_file(dir.join(ALIVE)) {
                    tracing::warn!(%error, "the end of the replica is not noted: the next start reports a gap");
                }
                return;
            }
            let is_idle = self.waiting.is_empty() && self.waiting_since.load(Ordering::Acquire) == 0;
            std::thread::park_timeout(if is_idle { LOOK_EVERY } else { Duration::ZERO });
            if !self.waiting.is_empty() && !self.is_late(self.clock.boot_ms()) && !self.stop.load(Ordering::Acquire) {
                std::thread::sleep(GATHER);
            }
        }
    }

    /// Makes durable what waits, and now and then, or at the end, what was counted; says whether it is.
    pub(super) fn turn(&self, gathered: &mut Gathered, stops: bool) -> bool {
        let mut entries = Vec::new();
        let mut durable = Vec::new();
        // In this order: at no time is neither known.
        let since = self.waiting_since.load(Ordering::Acquire);
        self.writing_since.store(since, Ordering::Release);
        let _ = self.waiting_since.compare_exchange(since, 0, Ordering::AcqRel, Ordering::Acquire);
        while let Some(one) = self.waiting.pop() {
            entries.push(one.entry);
            durable.extend(one.durable);
        }
        let now_ms = self.clock.boot_ms();
        if stops || now_ms - gathered.looked_ms >= LOOK_EVERY_MS {
            gathered.looked_ms = now_ms;
            let counted = self.gather(&mut gathered.clears, stops);
            self.taken.fetch_add(counted.len(), Ordering::AcqRel);
            entries.extend(counted);
        }
        let is_kept = entries.is_empty() || self.write(entries);
        if is_kept {
            self.writing_since.store(0, Ordering::Release);
            for one in durable {
                // Whoever waited may have gone.
                let _ = one.send(());
            }
        }
        is_kept
    }

    /// Until it is durable, whatever it takes: answers are not given from here meanwhile. Says whether it is, where the end came first.
    fn write(&self, entries: Vec<Entry>) -> bool {
        loop {
            let mut kept = self.kept.lock();
            match kept.append(entries.clone()) {
                Ok(()) => {
                    self.durable.send_replace(kept.last);
                    self.failed.store(false, Ordering::Release);
                    return true;
                }
                Err(error) => {
                    self.failed.store(true, Ordering::Release);
                    tracing::error!(%error, "the replica's answers can't be kept: it asks the hub instead");
                    if self.stop.load(Ordering::Acquire) {
                        return false;
                    }
                }
            }
            drop(kept);
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Notes that the process lives, and gathers counts; those of hours that are over, or all, go on record.
    fn gather(&self, clears: &mut BTreeMap<(String, i64), u64>, all: bool) -> Vec<Entry> {
        let now = self.clock.wall_ms();
        let dir = self.kept.lock().dir.clone();
        if let Err(error) = note_alive(&dir, Timestamp(now)) {
            tracing::warn!(%error, "that the replica lives can't be noted");
        }
        let hour = now.div_euclid(HOUR_MS);
        for (measure, count) in self.clears.lock().iter() {
            let count = count.swap(0, Ordering::Relaxed);
            if count > 0 {
                *clears.entry((measure.clone(), hour)).or_default() += count;
            }
        }
        let over: Vec<_> = clears.extract_if(.., |(_, of), _| all || *of < hour).collect();
        let entry = |((measure, hour), count)| {
            let hour = Some(timestamp_to(Timestamp(hour * HOUR_MS)));
            Entry::Clears(v1::ReplicaClears { measure, hour, count })
        };
        over.into_iter().map(entry).collect()
    }
}

fn note_alive(dir: &Path, now: Timestamp) -> io::Result<()> {
    fs::write(dir.join(ALIVE), now.0.to_string())
}

/// Makes durable that it was noted: without the file, a start behind a power cut would know of no gap.
fn sync_alive(dir: &Path) -> io::Result<()> {
    File::open(dir.join(ALIVE))?.sync_all()?;
    File::open(dir)?.sync_all()
}

impl Kept {
    /// What is there; and whether some of it can't be read.
    fn open(dir: &Path, key: &[u8; 32]) -> io::Result<(Kept, bool)> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| io::Error::other("the key is none"))?;
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let (base, entries, whole) = read_all(&bytes, &key);
        let last = entries.last().map_or(base, |(entry, _)| entry.sequence);
        let file = File::open(dir)?;
        let mut kept =
            Kept { dir: dir.to_owned(), key, file, bytes: 0, reported_bytes: 0, last, unreported: entries.into() };
        // Written anew: what was torn at its end is gone, and nothing is appended behind it.
        kept.rewrite()?;
        Ok((kept, !whole))
    }

    fn append(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut numbered = Vec::with_capacity(entries.len());
        for (sequence, entry) in (self.last + 1..).zip(entries) {
            let entry = v1::ReplicaEntry { sequence, entry: Some(entry) };
            let before = bytes.len();
            seal(&self.key, &entry, &mut bytes)?;
            numbered.push((entry, (bytes.len() - before) as u64));
        }
        // Where an earlier try has left something it is written over.
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.bytes += bytes.len() as u64;
        self.last += numbered.len() as u64;
        self.unreported.extend(numbered);
        Ok(())
    }

    /// The file anew, with what is not reported.
    fn rewrite(&mut self) -> io::Result<()> {
        let base = self.unreported.front().map_or(self.last, |(entry, _)| entry.sequence - 1);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&base.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for (entry, _) in &self.unreported {
            seal(&self.key, entry, &mut bytes)?;
        }
        let new = self.dir.join("records.new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(new, self.dir.join(FILE))?;
        // From here on it is the file by its name, whatever comes.
        (self.file, self.bytes, self.reported_bytes) = (file, bytes.len() as u64, 0);
        File::open(&self.dir)?.sync_all()
    }
}

fn seal(key: &RandomizedNonceKey, entry: &v1::ReplicaEntry, out: &mut Vec<u8>) -> io::Result<()> {
    let mut sealed = prost::Message::encode_to_vec(entry);
    let nonce = key.seal_in_place_append_tag(Aad::from(entry.sequence.to_le_bytes()), &mut sealed);
    let nonce = nonce.map_err(|_| io::Error::other("an answer can't be sealed"))?;
    let nonce: &[u8] = nonce.as_ref();
    let whole = [nonce, &sealed].concat();
    out.extend_from_slice(&u32::try_from(whole.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&whole).to_le_bytes());
    out.extend_from_slice(&entry.sequence.to_le_bytes());
    out.extend_from_slice(&whole);
    Ok(())
}

/// The number before the first entry, the entries, and whether all that was whole could be opened.
fn read_all(bytes: &[u8], key: &RandomizedNonceKey) -> (u64, Vec<(v1::ReplicaEntry, u64)>, bool) {
    let number = |bytes: &[u8]| u32::from_le_bytes(std::array::from_fn(|at| bytes[at]));
    let Some((head, mut rest)) = bytes.split_at_checked(HEAD_BYTES as usize) else {
        return (0, Vec::new(), bytes.is_empty());
    };
    if head[..8] != MAGIC || number(&head[16..20]) != crc32c::crc32c(&head[..16]) {
        return (0, Vec::new(), false);
    }
    let long = |bytes: &[u8]| u64::from_le_bytes(std::array::from_fn(|at| bytes[at]));
    let base = long(&head[8..]);
    let mut entries = Vec::new();
    let mut sequence = base;
    let mut whole = true;
    while let Some((head, behind)) = rest.split_at_checked(FRAME_HEAD_BYTES) {
        let length = number(&head[..4]) as usize;
        let Some((sealed, next)) = behind.split_at_checked(length).filter(|_| length <= MAX_ENTRY_BYTES) else { break };
        if number(&head[4..]) != crc32c::crc32c(sealed) || long(&head[8..]) <= sequence {
            // Torn: it was never said to be durable.
            break;
        }
        rest = next;
        sequence = long(&head[8..]);
        match open(key, sequence, sealed) {
            Some(entry) => entries.push((entry, (FRAME_HEAD_BYTES + length) as u64)),
            None => whole = false,
        }
    }
    (if entries.is_empty() { sequence } else { base }, entries, whole)
}

fn open(key: &RandomizedNonceKey, sequence: u64, sealed: &[u8]) -> Option<v1::ReplicaEntry> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut sealed = sealed.to_vec();
    let aad = Aad::from(sequence.to_le_bytes());
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed).ok()?;
    let entry: v1::ReplicaEntry = prost::Message::decode(&*opened).ok()?;
    (entry.sequence == sequence).then_some(entry)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: [u8; 32] = [9; 32];

    fn open_kept(dir: &Path, key: &[u8; 32], reported: u64) -> Result<Arc<Records>, Error> {
        let records = Records::open(dir, key, reported, Clock::default())?;
        records.keep().map(|()| records)
    }

    fn answer(reference: &str) -> v1::ReplicaAnswer {
        v1::ReplicaAnswer { reference: reference.to_owned(), ..v1::ReplicaAnswer::default() }
    }

    fn references(records: &Records) -> Vec<String> {
        let of = |entry: v1::ReplicaEntry| match entry.entry {
            Some(Entry::Answer(answer)) => answer.reference,
            Some(Entry::Gap(_)) => "gap".to_owned(),
            Some(Entry::Clears(clears)) => format!("{} clear", clears.count),
            None => "nothing".to_owned(),
        };
        records.unreported(usize::MAX).into_iter().map(of).collect()
    }

    fn keep(records: &Records, reference: &str) {
        let (done, durable) = oneshot::channel();
        assert!(records.take(answer(reference), Some(done)));
        durable.blocking_recv().unwrap();
    }

    /// As a kill leaves it: the thread goes on in the test, and its directory is another's.
    fn killed(records: &Records, dir: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in [FILE, ALIVE] {
            fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
        records.close();
        copy
    }

    #[test]
    fn what_was_kept_is_there_after_a_kill_and_the_kill_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let records = open_kept(dir.path(), &KEY, 0).unwrap();
        keep(&records, "one");
        keep(&records, "two");
        let dir = killed(&records, dir.path());
        let text = fs::read(dir.path().join(FILE)).unwrap();
        assert!(!text.windows(3).any(|window| window == b"one"), "an answer lies in clear");
        let records = open_kept(dir.path(), &KEY, 0).unwrap();
        assert_eq!(references(&records), ["one", "two", "gap"]);
        records.reported(2);
        assert_eq!(references(&records), ["gap"]);
        records.reported(3);
        records.counter("credit.lending").fetch_add(5, Ordering::Relaxed);
        keep(&records, "four");
        records.close();
        assert!(!records.take(answer("late"), None), "a closed one takes nothing");
        // Nothing is told of an end as it should be, and no number is used twice.
        let records = open_kept(dir.path(), &KEY, 0).unwrap();
        assert_eq!(references(&records), ["four", "5 clear"]);
        assert_eq!(records.unreported(1)[0].sequence, 4);
        records.reported(5);
        records.close();
        let records = open_kept(dir.path(), &KEY, 0).unwrap();
        keep(&records, "six");
        assert_eq!(records.unreported(1)[0].sequence, 6);
        records.close();
        // A file that was lost, or an older one: what comes is numbered behind what the hub has.
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let records = open_kept(dir.path(), &KEY, 9).unwrap();
        keep(&records, "eleven");
        assert_eq!(references(&records), ["gap", "eleven"]);
        assert_eq!(records.unreported(2)[1].sequence, 11);
        records.close();
    }

    #[test]
    fn what_is_torn_goes_and_what_another_key_sealed_is_told_as_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let records = open_kept(dir.path(), &KEY, 0).unwrap();
        keep(&records, "one");
        keep(&records, "two");
        records.close();
        let whole = fs::read(dir.path().join(FILE)).unwrap();
        for cut in HEAD_BYTES as usize..whole.len() {
            let key = RandomizedNonceKey::new(&AES_256_GCM, &KEY).unwrap();
            let (base, entries, _) = read_all(&whole[..cut], &key);
            assert!(base + entries.len() as u64 <= 2 && entries.len() < 2, "cut at {cut}");
        }
        let records = open_kept(dir.path(), &[8; 32], 0).unwrap();
        assert_eq!(references(&records), ["gap"]);
        assert_eq!(records.unreported(1)[0].sequence, 3);
        records.close();
    }

    /// A disk that takes its time: what a crash would lose does not grow meanwhile.
    #[test]
    fn while_the_disk_is_behind_nothing_more_is_taken() {
        let (dir, now_ms) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(1_000)));
        let clock = Arc::clone(&now_ms);
        let clock = Clock::turned(Arc::new(move || (clock.load(Ordering::Relaxed), 0)));
        let records = Records::open(dir.path(), &KEY, 0, clock).unwrap();
        let mut gathered = Gathered::default();
        let takes = || records.take(answer("x"), None);
        assert!(takes());
        now_ms.fetch_add(MAX_LATE_MS, Ordering::Relaxed);
        assert!(takes());
        now_ms.fetch_add(1, Ordering::Relaxed);
        assert!(!takes() && records.free() == 0);
        assert!(records.turn(&mut gathered, false));
        assert!(takes() && records.free() > 0);
        // It counts from the oldest that waits.
        now_ms.fetch_add(MAX_LATE_MS, Ordering::Relaxed);
        assert!(takes());
        now_ms.fetch_add(1, Ordering::Relaxed);
        assert!(!takes());
        assert!(records.turn(&mut gathered, false));
        assert_eq!(records.unreported(usize::MAX).len(), 4);
        now_ms.fetch_add(10 * MAX_LATE_MS, Ordering::Relaxed);
        assert!(takes(), "nothing waits");
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        // However long the disk takes.
        let records = Records::open(dir.path(), &KEY, 0, Clock::turned(Arc::new(|| (1_000, 0)))).unwrap();
        records.keep().unwrap();
        let mut taken = 0;
        while taken <= MAX_UNREPORTED + MAX_WAITING && records.take(answer("x"), None) {
            taken += 1;
        }
        assert!((MAX_WAITING..=MAX_UNREPORTED).contains(&taken), "{taken}");
        records.close();
        let unreported = records.unreported(usize::MAX).len();
        assert_eq!(unreported, taken);
        records.reported(u64::MAX);
        assert_eq!(records.taken.load(Ordering::Relaxed), 0);
    }
}
