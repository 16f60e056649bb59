//! Cuts, stalls, trickles and kills between replicas and their hub, while courts list and lift: nothing is missed or doubled, and at no
//! time is anything said against somebody whose lift is complete.
//!
//! The check is tested itself: with a fault seeded into the replicas it must fail.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::time::Instant;
use xinhub_client::v1::ReplicaReach;
use xinhub_client::{Fault, Inquiry};
use xinhub_tests::file::{Form, row, send_listings};
use xinhub_tests::following::{Following, connected, leased};
use xinhub_tests::v1::{self, Verdict};
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Court, Hub, Proxy, Subject, parties};

const LOAN: &str = "credit.lending";
/// How long a way is held up, in milliseconds: mostly, and where that outlasts a lease.
const SHORT_MS: std::ops::Range<u64> = 20..500;
const LONG_MS: std::ops::Range<u64> = 2_500..3_500;
const COMES_WITHIN: Duration = Duration::from_secs(120);
const KILL_EVERY: usize = 100;
/// Looks while changes are held up: twice a lease in all.
const HELD_UP_LOOKS: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const PAUSE_EVERY: usize = 57;

fn loan(subject: &Subject) -> Ask {
    Ask::about(subject, LOAN)
}

/// A replica behind a way of its own.
struct Behind {
    following: Following,
    way: Proxy,
    /// Until when its way is held up.
    until: Option<Instant>,
}

/// What does not hold.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// Somebody is spoken against who must not be.
    Spoken(String),
    /// A replica is not where the hub is.
    Parted(String),
}

/// Somebody who was lifted.
struct Freed {
    subject: Subject,
    position: Option<v1::Position>,
    /// Which of the lifts it was.
    lift_seq: u64,
    complete: bool,
    asked: Inquiry,
}

struct World {
    hub: Hub,
    court: Court,
    random: StdRng,
    replicas: Vec<Behind>,
    listed: Vec<(Subject, u64)>,
    freed: Vec<Freed>,
    /// What was done to them, and how often it was looked.
    faults: usize,
    looked: usize,
    completed: usize,
}

/// When lifts overtake for the first time: later replicas that were cut off again and again wait for up to half a minute, and what they
/// would do wrong may never be seen.
const EARLY: usize = 3;

const THREE: &[(&str, ReplicaReach)] = &[
    (parties::BANK, ReplicaReach::Exact),
    (parties::BUREAU, ReplicaReach::Exact),
    (parties::BANK, ReplicaReach::Filter),
];

impl World {
    async fn new(seed: u64, who: &[(&str, ReplicaReach)], fault: Option<Fault>) -> World {
        let hub = Hub::start_with(leased(1)).await;
        let mut replicas = Vec::new();
        for (client, reach) in who.iter().copied() {
            let way = Proxy::to(hub.grpc()).await;
            // What a replica asks of the hub goes by another way: here it is what it says by itself that counts.
            let through = connected(&hub, client, Some(&way)).await;
            let set_up = |config: xinhub_client::ReplicaConfig| config.reach(reach).with_fault(fault);
            let following = Following::at(&through, TempDir::new().unwrap(), set_up).await;
            replicas.push(Behind { following, way, until: None });
        }
        let court = hub.court().await;
        let random = StdRng::seed_from_u64(seed);
        let (listed, freed) = (Vec::new(), Vec::new());
        World { hub, court, random, replicas, listed, freed, faults: 0, looked: 0, completed: 0 }
    }

    async fn list(&mut self) {
        let subject = Subject::person();
        let outcome = self.court.list(&subject).await;
        self.listed.push((subject, outcome.listing));
    }

    async fn lift(&mut self, at: usize) {
        let (subject, listing) = self.listed.remove(at);
        let position = self.court.remove(listing).await.unwrap().position;
        let lift_seq = self.freed.len() as u64 + 1;
        let asked = self.replicas[0].following.replica.inquiry(&loan(&subject).into_inquiry()).unwrap();
        self.freed.push(Freed { subject, position, lift_seq, complete: false, asked });
    }

    /// Something goes wrong with one of the ways, or with the hub.
    async fn fault(&mut self, round: usize) {
        self.faults += 1;
        if round % PAUSE_EVERY == PAUSE_EVERY - 1 {
            let length = Duration::from_millis(self.random.random_range(100..1_500));
            return self.hub.pause(length).await;
        }
        if round % KILL_EVERY == KILL_EVERY - 1 {
            self.hub.kill_and_restart().await;
            self.court = self.hub.court().await;
            self.replicas.iter().for_each(|one| one.way.lead_to(self.hub.grpc()));
            return;
        }
        let (one, what) = (self.random.random_range(0..self.replicas.len()), self.random.random_range(0..14));
        let (short, long) = (self.random.random_range(SHORT_MS), self.random.random_range(LONG_MS));
        let one = &mut self.replicas[one];
        let lasts_ms = match what {
            _ if one.until.is_some() => return one.way.cut(),
            0..=5 => {
                one.way.stall(true);
                if what == 0 { long } else { short }
            }
            6..=8 => {
                one.way.stall_newest();
                if what == 6 { long } else { short }
            }
            9 => {
                one.way.trickle_newest();
                short
            }
            _ => return one.way.cut(),
        };
        one.until = Some(Instant::now() + Duration::from_millis(lasts_ms));
    }

    /// Ways that were held up for long enough are open again, or all.
    fn open_ways(&mut self, all: bool) {
        for one in &mut self.replicas {
            if all || one.until.is_some_and(|until| until <= Instant::now()) {
                one.way.stall(false);
                one.until = None;
            }
        }
    }

    /// While the changes of all replicas are held up somebody is listed and lifted, so that the lift overtakes the listing; and somebody is lifted whom they hold.
    async fn overtake(&mut self) -> Result<(), Wrong> {
        self.open_ways(true);
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.replicas.iter().for_each(|one| one.way.stall_newest());
        self.faults += self.replicas.len();
        let at = self.listed.len();
        for _ in 0..12 {
            self.list().await;
        }
        self.lift(at).await;
        if at > 0 {
            self.lift(0).await;
        }
        // Held up for longer than it takes the lift to be complete: whoever has confirmed it without applying it is found out.
        for _ in 0..HELD_UP_LOOKS {
            self.look().await?;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        self.replicas.iter().for_each(|one| one.way.trickle_newest());
        self.faults += self.replicas.len();
        for _ in 0..40 {
            self.look().await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.open_ways(true);
        Ok(())
    }

    /// Whether anybody is spoken against whose lift is complete, or was applied.
    async fn look(&mut self) -> Result<(), Wrong> {
        let from = self.freed.len().saturating_sub(40);
        for freed in self.freed.iter_mut().filter(|freed| !freed.complete).take(3) {
            let request = v1::GetLiftStatusRequest { position: freed.position.clone() };
            freed.complete = self.court.client.sync().get_lift_status(request).await.is_ok_and(|seen| seen.complete);
            self.completed += usize::from(freed.complete);
        }
        for (at, one) in self.replicas.iter().enumerate() {
            let replica = &one.following.replica;
            for freed in self.freed.iter().skip(from) {
                let is_applied = || replica.state().lift_seq >= freed.lift_seq;
                let before = is_applied();
                let told = replica.answer(LOAN, None, &freed.asked).map(|answer| answer.verdict().is_adverse());
                self.looked += 1;
                if told == Some(true) && freed.complete {
                    let lift = freed.lift_seq;
                    return Err(Wrong::Spoken(format!(
                        "by replica {at}, against whom lift {lift} has freed, completely"
                    )));
                }
                if told == Some(true) && before && is_applied() {
                    return Err(Wrong::Spoken(format!("replica {at} has undone lift {}", freed.lift_seq)));
                }
            }
        }
        Ok(())
    }

    /// So many faults; whether everything held, all the time and in the end.
    async fn run(&mut self, faults: usize) -> Result<(), Wrong> {
        let mut round = 0;
        while self.faults < faults {
            round += 1;
            self.open_ways(false);
            self.list().await;
            if round % 3 != 0 {
                let at = self.random.random_range(0..self.listed.len());
                self.lift(at).await;
            }
            self.fault(round).await;
            if round == EARLY || round % 50 == 0 {
                self.overtake().await?;
            }
            self.look().await?;
            tokio::time::sleep(Duration::from_millis(self.random.random_range(5..40))).await;
        }
        self.open_ways(true);
        let fresh = Following::of(&self.hub, parties::BUREAU).await;
        // Who was refused again and again comes again by and by: half a minute apart, at most.
        let there = fresh.replica.state().revision;
        for one in &self.replicas {
            let mut states = one.following.replica.watch();
            let is_exact = !one.following.path().join("filter.snap").exists();
            // An exact one is the fold of the journal, entry by entry, or its digest would not be the hub's.
            let comes = states.wait_for(|state| {
                state.synced && state.revision >= there && (!is_exact || state.compared_revision >= there)
            });
            let came = tokio::time::timeout(COMES_WITHIN, comes).await.is_ok_and(|state| state.is_ok());
            let state = one.following.replica.state();
            if !came || state.alarms > 0 {
                return Err(Wrong::Parted(format!("{state:?}, and not at {there}")));
            }
        }
        for one in self.replicas.iter().map(|one| &one.following).chain([&fresh]) {
            for (subject, _) in &self.listed {
                one.until_clear(&loan(subject), false).await;
            }
            for freed in &self.freed {
                // A filter has one in 256 asked of the hub: that is no less clear.
                until("whoever was lifted is clear", || async {
                    (one.check(loan(&freed.subject)).await.verdict() == Verdict::Clear).then_some(())
                })
                .await;
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_through_a_thousand_faults() {
    let seed = rand::random();
    let mut world = World::new(seed, THREE, None).await;
    let held = world.run(1_000).await;
    let (faults, looked, completed) = (world.faults, world.looked, world.completed);
    println!("seed {seed}: {faults} faults, {looked} looks, {completed} of {} lifts seen complete", world.freed.len());
    assert_eq!(held, Ok(()), "seed {seed}");
    assert!(faults >= 1_000 && completed > 100 && looked > 10_000);
    let connections: u64 = world.replicas.iter().map(|one| one.way.connections()).sum();
    assert!(connections > 40, "{connections} connections");
    // Who is listed is spoken against, or nothing was tried.
    let (listed, _) = &world.listed[0];
    assert_eq!(world.replicas[0].following.check(loan(listed)).await.verdict(), Verdict::Consider);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seeded_fault_is_noticed() {
    for fault in [Fault::LeaseOff, Fault::OverlayOff, Fault::LiftsInBulk] {
        let mut world = World::new(7, THREE, Some(fault)).await;
        let noticed = world.run(400).await;
        println!("{fault:?}: {noticed:?} after {} faults", world.faults);
        // By what it says of somebody, and not by whatever else could go wrong.
        assert!(matches!(noticed, Err(Wrong::Spoken(_))), "{fault:?}: {noticed:?}");
    }
}

/// The hub leads nobody on who is further behind than this.
const BEYOND: usize = 400_001;

/// Whoever was away for too much of the history is told so, and begins anew: no gap stays, and nobody who was lifted meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_far_behind_to_be_led_on_begins_anew() {
    let mut world = World::new(11, THREE, None).await;
    for _ in 0..3 {
        world.list().await;
    }
    let snapshots: Vec<u64> = world.replicas.iter().map(|one| one.following.replica.state().snapshot_bytes).collect();
    world.replicas.iter().for_each(|one| one.way.stall(true));
    world.lift(0).await;
    let rows: Vec<_> = (0..BEYOND).map(|_| row(&Subject::person())).collect();
    let file = Form::default().listings(&rows);
    let sent = send_listings(&world.hub.client(parties::COURT).await, &file).await.unwrap();
    assert_eq!(sent.counts().0, BEYOND as u64);
    world.open_ways(true);
    let held = world.run(60).await;
    assert_eq!(held, Ok(()));
    for (one, before) in world.replicas.iter().zip(snapshots) {
        let state = one.following.replica.state();
        assert!(state.snapshot_bytes > before.max(BEYOND as u64), "it was led on: {before} bytes, and {state:?}");
    }
}
