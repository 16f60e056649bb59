//! Replicas that every lift waits for, and what they have confirmed.
//!
//! A subscriber is a client and the id that its replica has chosen. It is kept in one small file, written anew as a whole:
//! before its first beat, and when it has confirmed more. What a crash forgets of confirmations makes a lift wait longer, never
//! shorter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::clock::Clock;

use super::write_whole;

const FILE: &str = "subscribers";
/// Followed by the longest lease that may stand, in milliseconds.
const HEADER: &str = "xinhub-subscribers;format=3;lease_ms=";
/// Without the lease, and without what was reported.
const HEADERS_BEFORE: [&str; 2] = ["xinhub-subscribers;format=2", "xinhub-subscribers;format=1"];
/// A subscriber that was silent for so long is gone.
const SILENCE_MS: i64 = 30 * 86_400_000;
/// The longest lease that a hub ever gives.
const MAX_LEASE_MS: u64 = 30_000;

/// Reports that are taken at a time, at most.
const REPORTING: usize = 64;

/// Who a replica is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscriber {
    /// The client.
    pub(crate) client: String,
    /// What its replica calls itself.
    pub(crate) instance: [u8; 16],
}

#[derive(Clone, Debug)]
struct Standing {
    audience: String,
    /// Every lift up to this one is applied there.
    acknowledged: u64,
    /// When it last said something.
    heard: Timestamp,
    /// By the boot clock: when the last beat went out that its lease may rest on.
    beat_ms: u64,
    /// Which stream speaks for it: the one opened last.
    generation: u64,
    /// What the stream before had confirmed, and until when its lease may last: two replicas may go by one name.
    before: (u64, u64),
    /// Its own answers are on record up to this one.
    reported: u64,
    /// It was ended: no beat goes out to it, and it is forgotten once its lease is over.
    ended: bool,
}

/// A subscriber, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) who: Subscriber,
    pub(crate) audience: String,
    pub(crate) acknowledged: u64,
    pub(crate) heard: Timestamp,
    pub(crate) lease_ms: u64,
    pub(crate) reported: u64,
}

/// Where a lift stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LiftStanding {
    pub(crate) subscribers: u32,
    pub(crate) acknowledged: u32,
    pub(crate) lease_run_out: u32,
    pub(crate) pending: u32,
    /// Milliseconds until the last lease that may still stand has run out.
    pub(crate) pending_ms: u64,
}

impl Standing {
    /// A replica that has confirmed nothing yet.
    fn new(audience: &str, heard: Timestamp, beat_ms: u64) -> Standing {
        let (audience, before) = (audience.to_owned(), (u64::MAX, 0));
        Standing { audience, acknowledged: 0, heard, beat_ms, generation: 0, before, reported: 0, ended: false }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Subscribers {
    path: PathBuf,
    lease: Duration,
    /// The longest lease that was given before the start, and by the boot clock when it is over: it may have been configured otherwise.
    before: (u64, u64),
    /// Of one client. Whoever makes more has made them in directories that are gone: the one silent for longest makes room.
    most: usize,
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<Subscriber, Standing>>,
    /// Something was confirmed that is not durable yet.
    changed: AtomicBool,
    /// How often something was to become durable, and how much of that is. One writes at a time, for all that came before it, so
    /// that the file is never older than what was said to be durable.
    wanted: AtomicU64,
    writing: Mutex<u64>,
    /// Of one replica one report is taken at a time: what the one before it has put on record is known by then. By the last byte of
    /// its name, which is random.
    reporting: [tokio::sync::Mutex<()>; REPORTING],
}

impl Subscribers {
    pub(super) fn open(dir: &Path, lease: Duration, most: usize, clock: Arc<dyn Clock>) -> io::Result<Subscribers> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let (lease_ms, now_ms) = (u64::try_from(lease.as_millis()).unwrap_or(u64::MAX), clock.boot_ms());
        let lease_before_ms = lease_before(&text)?;
        let before = (lease_before_ms, now_ms + lease_before_ms);
        // Whenever the last beat went out before the stop, it was before now.
        let known = Mutex::new(parse(&text, before.1.saturating_sub(lease_ms))?);
        let (changed, wanted, writing) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::default());
        let reporting = std::array::from_fn(|_| tokio::sync::Mutex::default());
        let subscribers = Subscribers { path, lease, before, most, clock, known, changed, wanted, writing, reporting };
        if lease_ms > lease_before_ms {
            // Durable before anything is answered that may be used for so long.
            subscribers.save()?;
        }
        Ok(subscribers)
    }

    /// Waits until no report of this replica is being taken, and keeps others off.
    pub(crate) async fn one_report(&self, who: &Subscriber) -> tokio::sync::MutexGuard<'_, ()> {
        let [.., last] = who.instance;
        self.reporting[usize::from(last) % REPORTING].lock().await
    }

    pub(super) fn lease_ms(&self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds until no lease and no answer from before the start may be used any more.
    pub(super) fn before_ms(&self) -> u64 {
        self.before.1.saturating_sub(self.clock.boot_ms())
    }

    /// Registers a replica that has applied every lift up to `lift_seq`; returns the number by which its stream speaks for it. Lifts wait
    /// for it from here on, and after a restart once it is durable ([`Self::save`]).
    pub(crate) fn register(&self, who: &Subscriber, audience: &str, lift_seq: u64) -> io::Result<u64> {
        let (now, now_ms, lease_ms) = (self.clock.wall(), self.clock.boot_ms(), self.lease_ms());
        // One that may still answer is never forgotten: a lift would be called complete too early.
        let is_over = |standing: &Standing| standing.beat_ms.saturating_add(lease_ms) <= now_ms;
        let mut known = self.known.lock();
        let is_gone = |standing: &Standing| standing.ended || now.0 - standing.heard.0 >= SILENCE_MS;
        known.retain(|other, standing| other == who || !is_gone(standing) || !is_over(standing));
        let is_new = !known.contains_key(who);
        let of_client = known.iter().filter(|(other, _)| other.client == who.client);
        if is_new && of_client.clone().count() >= self.most {
            let silent = of_client.min_by_key(|(_, standing)| standing.heard).map(|(other, _)| other.clone());
            let gone = silent.filter(|other| known.get(other).is_some_and(is_over));
            let gone = gone.ok_or_else(|| io::Error::from(io::ErrorKind::QuotaExceeded))?;
            known.remove(&gone);
        }
        let beat_ms = now_ms.saturating_sub(lease_ms);
        let standing = known.entry(who.clone()).or_insert_with(|| Standing::new(audience, now, beat_ms));
        standing.ended = false;
        audience.clone_into(&mut standing.audience);
        // A replica that began anew has applied what its snapshot holds, and no more than it says.
        let until_ms = standing.beat_ms.saturating_add(lease_ms);
        let (before, before_ms) = standing.before;
        // More than one may go by the name: as long as any may answer, the least that one has confirmed counts.
        standing.before = if before_ms > now_ms {
            (before.min(standing.acknowledged), before_ms.max(until_ms))
        } else {
            (standing.acknowledged, until_ms)
        };
        (standing.acknowledged, standing.heard) = (lift_seq, now);
        standing.generation += 1;
        Ok(standing.generation)
    }

    /// Ends a subscription, durably; says whether there was one. Its lease is waited for all the same.
    pub(crate) fn end(&self, who: &Subscriber) -> io::Result<bool> {
        let (now_ms, lease_ms) = (self.clock.boot_ms(), self.lease_ms());
        let was_there = {
            let mut known = self.known.lock();
            let standing = known.get_mut(who).filter(|standing| !standing.ended);
            let was_there = standing.is_some();
            if let Some(standing) = standing {
                // Whichever stream spoke for it speaks for nobody now.
                (standing.ended, standing.generation) = (true, standing.generation + 1);
            }
            known.retain(|_, standing| !standing.ended || standing.beat_ms.saturating_add(lease_ms) > now_ms);
            was_there
        };
        self.save().map(|()| was_there)
    }

    /// Every replica that lifts wait for.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let (now_ms, lease_ms) = (self.clock.boot_ms(), self.lease_ms());
        let known = self.known.lock();
        let listed = known.iter().map(|(who, standing)| Listed {
            who: who.clone(),
            audience: standing.audience.clone(),
            acknowledged: standing.acknowledged,
            heard: standing.heard,
            lease_ms: standing.beat_ms.saturating_add(lease_ms).saturating_sub(now_ms),
            reported: standing.reported,
        });
        listed.filter(|one| one.lease_ms > 0 || !known.get(&one.who).is_some_and(|standing| standing.ended)).collect()
    }

    /// Up to which of its own answers a replica has reported.
    pub(crate) fn reported(&self, who: &Subscriber) -> u64 {
        self.known.lock().get(who).map_or(0, |standing| standing.reported)
    }

    /// Whether the replica has subscribed, and was not ended since.
    pub(crate) fn is_known(&self, who: &Subscriber) -> bool {
        self.known.lock().get(who).is_some_and(|standing| !standing.ended)
    }

    /// Notes that a replica's own answers are on record up to this one; durable when it returns.
    pub(crate) fn set_reported(&self, who: &Subscriber, reported: u64) -> io::Result<()> {
        if let Some(standing) = self.known.lock().get_mut(who) {
            standing.reported = standing.reported.max(reported);
        }
        self.save()
    }

    /// Notes that a beat goes out now that answers a ping: from here the replica may answer for a lease.
    ///
    /// Says whether the stream still speaks for the replica: if not, no beat may go out on it.
    pub(crate) fn beat(&self, who: &Subscriber, generation: u64) -> bool {
        let now_ms = self.clock.boot_ms();
        let mut known = self.known.lock();
        let Some(standing) = known.get_mut(who).filter(|standing| standing.generation == generation) else {
            return false;
        };
        standing.beat_ms = now_ms;
        true
    }

    /// Notes what a replica has confirmed. What it confirmed once stays confirmed.
    ///
    /// Says whether the stream still speaks for the replica.
    pub(crate) fn acknowledge(&self, who: &Subscriber, generation: u64, lift_seq: u64) -> bool {
        let now = self.clock.wall();
        let mut known = self.known.lock();
        let Some(standing) = known.get_mut(who).filter(|standing| standing.generation == generation) else {
            return false;
        };
        if lift_seq > standing.acknowledged {
            standing.acknowledged = lift_seq;
            self.changed.store(true, Ordering::Relaxed);
        }
        standing.heard = now;
        true
    }

    /// Makes what was confirmed durable, if anything was.
    pub(crate) fn save_changed(&self) -> io::Result<()> {
        if self.changed.swap(false, Ordering::Relaxed) { self.save() } else { Ok(()) }
    }

    /// Where a lift stands.
    pub(crate) fn standing(&self, lift_seq: u64) -> LiftStanding {
        let (now_ms, lease_ms) = (self.clock.boot_ms(), self.lease_ms());
        let mut found = LiftStanding::default();
        for standing in self.known.lock().values() {
            let confirmed = standing.acknowledged >= lift_seq;
            let (before, until_ms) = standing.before;
            let before_ms = if before >= lift_seq { 0 } else { until_ms.saturating_sub(now_ms) };
            let own_ms = standing.beat_ms.saturating_add(lease_ms).saturating_sub(now_ms);
            let left_ms = if confirmed { before_ms } else { before_ms.max(own_ms) };
            found.subscribers += 1;
            if confirmed && left_ms == 0 {
                found.acknowledged += 1;
            } else if left_ms == 0 {
                found.lease_run_out += 1;
            } else {
                found.pending += 1;
                found.pending_ms = found.pending_ms.max(left_ms);
            }
        }
        found
    }

    /// Makes what is known durable.
    pub(crate) fn save(&self) -> io::Result<()> {
        self.save_for(self.want())
    }

    /// What is known by now is to become durable, by [`Self::save_for`].
    pub(super) fn want(&self) -> u64 {
        self.wanted.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether it is, for all that one knows without waiting.
    pub(super) fn is_saved(&self, wanted: u64) -> bool {
        self.writing.try_lock().is_some_and(|saved| *saved >= wanted)
    }

    /// Makes durable what was known when this was wanted, unless somebody has done it meanwhile.
    pub(super) fn save_for(&self, wanted: u64) -> io::Result<()> {
        let mut saved = self.writing.lock();
        if *saved >= wanted {
            return Ok(());
        }
        let all = self.wanted.load(Ordering::Acquire);
        let lease_ms = if self.before_ms() > 0 { self.lease_ms().max(self.before.0) } else { self.lease_ms() };
        let mut text = format!("{HEADER}{lease_ms}\n");
        for (who, standing) in self.known.lock().iter() {
            let instance = u128::from_be_bytes(who.instance);
            let Standing { audience, acknowledged, heard, reported, ended, .. } = standing;
            if *ended {
                // After a start every lift waits as long as its lease may last.
                continue;
            }
            let line = format!("{instance:032x}\t{audience}\t{acknowledged}\t{}\t{reported}", heard.0);
            // Writing to a string can't fail.
            let _ = writeln!(text, "{}\t{line}", who.client);
        }
        write_whole(&self.path, text.as_bytes())?;
        *saved = all;
        Ok(())
    }
}

fn bad(line: usize) -> io::Error {
    let problem = format!("line {line} of {FILE} is not as the hub writes it; restore the file from a backup");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// The longest lease that may stand by what a file says.
fn lease_before(text: &str) -> io::Result<u64> {
    let Some(header) = text.lines().next() else { return Ok(0) };
    if HEADERS_BEFORE.contains(&header) {
        return Ok(MAX_LEASE_MS);
    }
    let lease_ms = header.strip_prefix(HEADER).and_then(|lease| lease.parse().ok());
    lease_ms.filter(|lease_ms| *lease_ms <= MAX_LEASE_MS).ok_or_else(|| bad(1))
}

/// `boot_ms` is when the last beats count as sent. The header was read before.
fn parse(text: &str, boot_ms: u64) -> io::Result<BTreeMap<Subscriber, Standing>> {
    let lines = text.lines().zip(1..).skip(1);
    let mut known = BTreeMap::new();
    for (line, number) in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let (client, instance, audience, acknowledged, heard, reported) = match fields[..] {
            [client, instance, audience, acknowledged, heard] => (client, instance, audience, acknowledged, heard, "0"),
            [client, instance, audience, acknowledged, heard, reported] => {
                (client, instance, audience, acknowledged, heard, reported)
            }
            _ => return Err(bad(number)),
        };
        let instance = u128::from_str_radix(instance, 16).map_err(|_| bad(number))?.to_be_bytes();
        let heard = Timestamp(heard.parse().map_err(|_| bad(number))?);
        let standing = Standing {
            acknowledged: acknowledged.parse().map_err(|_| bad(number))?,
            reported: reported.parse().map_err(|_| bad(number))?,
            ..Standing::new(audience, heard, boot_ms)
        };
        known.insert(Subscriber { client: client.to_owned(), instance }, standing);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use xinhub_ledger::clock::manual::ManualClock;

    const LEASE: Duration = Duration::from_secs(10);
    const MOST: usize = 64;

    fn who(client: &str) -> Subscriber {
        Subscriber { client: client.to_owned(), instance: [3; 16] }
    }

    #[test]
    fn a_lift_waits_for_every_subscriber_or_its_whole_lease_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_772_337_600_000)));
        let open = || Subscribers::open(dir.path(), LEASE, 64, clock.clone()).unwrap();
        let subscribers = open();
        for client in ["bank", "platform"] {
            assert_eq!(subscribers.register(&who(client), "audience", 4).unwrap(), 1);
            assert!(subscribers.beat(&who(client), 1) && !subscribers.beat(&who(client), 2));
        }
        let standing = |one: &Subscribers, seq| {
            let LiftStanding { acknowledged, lease_run_out, pending, .. } = one.standing(seq);
            (acknowledged, lease_run_out, pending)
        };
        assert_eq!(standing(&subscribers, 4), (2, 0, 0));
        assert_eq!(standing(&subscribers, 5), (0, 0, 2));
        assert!(subscribers.acknowledge(&who("bank"), 1, 5));
        // What is confirmed stays so.
        assert!(subscribers.acknowledge(&who("bank"), 1, 3));
        clock.advance_ms(9_999);
        assert_eq!(standing(&subscribers, 5), (1, 0, 1));
        clock.advance_ms(1);
        assert_eq!(standing(&subscribers, 5), (1, 1, 0));
        // A beat begins another lease, and a restart does: nobody knows when the last one went out.
        assert!(subscribers.beat(&who("platform"), 1));
        assert_eq!(standing(&subscribers, 5), (1, 0, 1));
        clock.advance_ms(10_000);
        subscribers.save_changed().unwrap();
        let subscribers = open();
        assert_eq!(standing(&subscribers, 5), (1, 0, 1));
        clock.advance_ms(9_999);
        assert_eq!(standing(&subscribers, 5), (1, 0, 1));
        clock.advance_ms(1);
        assert_eq!(standing(&subscribers, 5), (1, 1, 0));
        // Another stream in its name: the one before speaks for nobody any more, and its lease is waited for.
        assert_eq!(subscribers.register(&who("platform"), "audience", 4).unwrap(), 1);
        assert!(subscribers.beat(&who("platform"), 1));
        clock.advance_ms(4_000);
        assert_eq!(subscribers.register(&who("platform"), "audience", 5).unwrap(), 2);
        assert!(!subscribers.beat(&who("platform"), 1) && !subscribers.acknowledge(&who("platform"), 1, 9));
        assert_eq!(standing(&subscribers, 5), (1, 0, 1));
        clock.advance_ms(6_000);
        assert_eq!(standing(&subscribers, 5), (2, 0, 0));
        // Silent for thirty days, and another comes.
        clock.advance_ms(30 * 86_400_000);
        subscribers.register(&who("hotel"), "audience", 5).unwrap();
        assert_eq!(standing(&subscribers, 5), (1, 0, 0));
    }

    #[test]
    fn those_who_come_together_share_one_writing() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_772_337_600_000)));
        let subscribers = Subscribers::open(dir.path(), LEASE, MOST, clock.clone()).unwrap();
        let register = |client| {
            subscribers.register(&who(client), "audience", 1).unwrap();
            subscribers.want()
        };
        let (first, second) = (register("bank"), register("hotel"));
        assert!(!subscribers.is_saved(first));
        // Nothing is said to be durable that is not.
        fs::create_dir(dir.path().join("subscribers.new")).unwrap();
        assert!(subscribers.save_for(first).is_err());
        assert!(!subscribers.is_saved(first) && !subscribers.is_saved(second));
        fs::remove_dir(dir.path().join("subscribers.new")).unwrap();
        subscribers.save_for(first).unwrap();
        assert!(subscribers.is_saved(first) && subscribers.is_saved(second));
        let third = register("platform");
        assert!(!subscribers.is_saved(third), "it came behind the writing");
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(text.contains("bank") && text.contains("hotel") && !text.contains("platform"), "{text}");
    }

    #[test]
    fn a_lease_from_before_a_restart_is_waited_for_however_it_is_configured_now() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_772_337_600_000)));
        let open = |seconds| Subscribers::open(dir.path(), Duration::from_secs(seconds), MOST, clock.clone()).unwrap();
        let first = open(20);
        assert_eq!(first.before_ms(), 0, "there was nothing before");
        for client in ["bank", "platform"] {
            let generation = first.register(&who(client), "audience", 4).unwrap();
            assert!(first.beat(&who(client), generation));
        }
        // Ended: its lease lasts all the same.
        assert!(first.end(&who("platform")).unwrap());
        drop(first);
        // Restarted twice with a shorter lease, the second time at once.
        for _ in 0..2 {
            let second = open(2);
            assert_eq!((second.before_ms(), second.standing(5).pending_ms), (20_000, 20_000));
            second.register(&who("hotel"), "audience", 4).unwrap();
            second.save().unwrap();
        }
        let third = open(2);
        clock.advance_ms(19_999);
        assert_eq!((third.before_ms(), third.standing(5).pending), (1, 2));
        clock.advance_ms(1);
        assert_eq!((third.before_ms(), third.standing(5).pending), (0, 0));
        third.save().unwrap();
        assert_eq!(open(2).before_ms(), 2_000);
    }

    #[test]
    fn a_client_has_so_many_replicas_and_none_that_may_still_answer_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_772_337_600_000)));
        let subscribers = Subscribers::open(dir.path(), LEASE, MOST, clock.clone()).unwrap();
        let nth =
            |number: usize| Subscriber { client: "bank".to_owned(), instance: [u8::try_from(number).unwrap(); 16] };
        for number in 0..MOST {
            let generation = subscribers.register(&nth(number), "audience", 1).unwrap();
            assert!(subscribers.beat(&nth(number), generation));
            clock.advance_ms(1);
        }
        let refused = subscribers.register(&nth(99), "audience", 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
        // Another client's are its own, and one that is known comes again as it likes.
        subscribers.register(&who("hotel"), "audience", 1).unwrap();
        let generation = subscribers.register(&nth(0), "audience", 1).unwrap();
        clock.advance_ms(10_000);
        assert!(subscribers.acknowledge(&nth(0), generation, 1));
        subscribers.register(&nth(99), "audience", 1).unwrap();
        let known = subscribers.known.lock();
        assert!(known.contains_key(&nth(0)) && known.contains_key(&nth(99)) && !known.contains_key(&nth(1)));
    }

    #[test]
    fn a_file_that_is_not_the_hubs_is_refused() {
        let open = |text: &str| lease_before(text).and_then(|_| parse(text, 0));
        for text in [
            "xinhub-subscribers;format=4\n",
            "xinhub-subscribers;format=3;lease_ms=30001\n",
            "other\n",
            "xinhub-subscribers;format=1\na\tb\n",
        ] {
            assert_eq!(open(text).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        }
        assert!(open("").unwrap().is_empty());
        // As releases before wrote it.
        assert_eq!(lease_before("xinhub-subscribers;format=2\n").unwrap(), MAX_LEASE_MS);
    }
}
