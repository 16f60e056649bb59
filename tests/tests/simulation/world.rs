//! What happens, in the order of a clock that only this moves.
//!
//! Promise: whatever happens follows from the seed and the plan. No map is gone through in an order of its own, no clock of the
//! machine's is read, and what the ledger's threads do is waited for before anything else happens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use xinhub_client::Fault;
use xinhub_client::simulated::Replica;
use xinhub_client::v1::ReplicaReach;
use xinhub_ledger::Touched;
use xinhub_server::service::simulated::{Fault as HubFault, Line};

use super::court::{Deed, Person};
use super::hub::{BANK, HOUSING, Machine};
use super::network::{Connection, Turned};

/// How long things go wrong, and how long all may take to be well again behind it.
const LIFE_US: u64 = 60_000_000;
const RECOVERY_US: u64 = 120_000_000;
pub(crate) const MS: u64 = 1_000;
/// How often it is looked whether all holds, beside after each message.
const LOOK_US: u64 = 50 * MS;
/// Connections that nothing comes over any more are given up after so long.
pub(crate) const GIVEN_UP_US: u64 = 15_000 * MS;

/// What a life is tried with, beside the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) fault: Option<Fault>,
    pub(crate) hub_fault: Option<HubFault>,
    /// How fast the replicas' clocks go, from and to, in thousandths.
    pub(crate) rates: (u64, u64),
    /// What the hub sends that can't be taken.
    pub(crate) damage: Damage,
}

/// What is damaged on its way from a hub to its replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Damage {
    #[default]
    Nothing,
    /// Single batches, and nothing else goes wrong.
    Batches,
    /// Lifts too, and at times everything for a while.
    All,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { fault: None, hub_fault: None, rates: (950, 1_050), damage: Damage::Nothing }
    }
}

/// What held, and through what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) faults: u64,
    pub(crate) lifts: u64,
    pub(crate) completed: u64,
    pub(crate) checks: u64,
    /// How often somebody was spoken against, rightly; and how many leases began.
    pub(crate) adverse: u64,
    pub(crate) leases: u64,
    /// How often the hub could not lead a replica on from where it was.
    pub(crate) sent_away: u64,
    /// How often what came was not taken: a batch, or what ended the session.
    pub(crate) refused: u64,
    pub(crate) broken: u64,
    /// How often a replica gave up what it held since it could not be led on from there.
    pub(crate) alarms: u64,
    /// Of everything that happened, in its order.
    pub(crate) trace: String,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { faults, lifts, completed, checks, adverse, leases, sent_away, refused, broken, alarms, trace } =
            self;
        write!(
            f,
            "{faults} faults, {lifts} lifts ({completed} seen complete) and {checks} checks; {adverse} adverse answers \
             under {leases} leases; {sent_away} sent away, {refused} batches refused, {broken} sessions broken, {alarms} alarms; trace {trace}"
        )
    }
}

#[derive(Debug)]
pub(crate) enum Event {
    Up(u64),
    Down(u64),
    Wake(u64),
    Beat(u64),
    HubLost(u64),
    Ping(usize, u64),
    ReplicaLost(usize, u64),
    GivenUp(usize, u64),
    Connect(usize),
    Follow(usize, u64),
    Record(usize),
    Start(usize),
    Touch(Line),
    Tell(Line),
    Keep,
    HubUp,
    Act,
    Disturb,
    Look,
}

/// A replica's process, its machine's clock, and its way to the hub.
pub(crate) struct Node {
    pub(crate) client: &'static str,
    pub(crate) measure: &'static str,
    pub(crate) reach: ReplicaReach,
    pub(crate) clock: Arc<Turned>,
    pub(crate) dir: TempDir,
    pub(crate) replica: Option<Replica>,
    pub(crate) session: u64,
    /// Its connections, while a session lasts.
    pub(crate) connections: Option<[u64; 2]>,
    pub(crate) follows: bool,
    /// Until when nothing moves: by connection, up and down.
    pub(crate) blocked_us: [[u64; 2]; 2],
    pub(crate) paused_us: u64,
    /// Whom it was seen to hold clear since their lift, by person.
    pub(crate) seen_clear: BTreeMap<usize, u64>,
    pub(crate) lease_until_ms: u64,
    /// So many messages more that come to it can't be taken.
    pub(crate) damaged: u64,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: StdRng,
    pub(crate) now_us: Arc<AtomicU64>,
    queue: BinaryHeap<Reverse<(u64, u64, Slot)>>,
    queued: u64,
    pub(crate) machine: Machine,
    pub(crate) hub_paused_us: u64,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) opened: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) people: Vec<Person>,
    /// Whoever was lifted last, the newest last.
    pub(crate) freed: Vec<usize>,
    /// Whoever's lift was seen complete last.
    pub(crate) completed: Vec<usize>,
    pub(crate) cases: u64,
    /// What the court does not know whether it was done.
    pub(crate) unsure: Option<(Deed, [u8; 16])>,
    /// On each line.
    pub(crate) telling: [Option<Touched>; 2],
    pub(crate) is_touching: [bool; 2],
    pub(crate) held: Held,
    trace: blake3::Hasher,
    pub(crate) ending: bool,
}

/// An event in the queue, which orders by time and number alone.
pub(crate) struct Slot(Event);

impl PartialEq for Slot {
    fn eq(&self, _: &Slot) -> bool {
        true
    }
}
impl Eq for Slot {}
impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Slot) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Slot {
    fn cmp(&self, _: &Slot) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

const FIVE: [((&str, &str), ReplicaReach); 5] = [
    (BANK, ReplicaReach::Exact),
    (HOUSING, ReplicaReach::Exact),
    (BANK, ReplicaReach::Filter),
    (BANK, ReplicaReach::Exact),
    (HOUSING, ReplicaReach::Filter),
];

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> World {
        let mut random = StdRng::seed_from_u64(seed);
        let now_us = Arc::new(AtomicU64::new(0));
        let mut clock = |(from, to): (u64, u64)| {
            let permille = random.random_range(from..=to);
            Arc::new(Turned { now_us: Arc::clone(&now_us), permille, set_ms: AtomicI64::new(0) })
        };
        let machine = Machine::new(seed, clock((950, 1_050)), plan.hub_fault);
        let nodes = (0..).zip(FIVE).map(|(at, ((client, measure), reach))| {
            let dir = TempDir::new().unwrap();
            let instance = uuid::Uuid::from_u128(u128::from(seed) << 8 | at);
            std::fs::write(dir.path().join("instance"), instance.to_string()).unwrap();
            Node {
                client,
                measure,
                reach,
                clock: clock(plan.rates),
                dir,
                replica: None,
                session: 0,
                connections: None,
                follows: false,
                blocked_us: [[0; 2]; 2],
                paused_us: 0,
                seen_clear: BTreeMap::new(),
                lease_until_ms: 0,
                damaged: 0,
            }
        });
        let nodes = nodes.collect();
        let mut world = World {
            plan,
            random,
            now_us,
            queue: BinaryHeap::new(),
            queued: 0,
            machine,
            hub_paused_us: 0,
            connections: BTreeMap::new(),
            opened: 0,
            nodes,
            people: Vec::new(),
            freed: Vec::new(),
            completed: Vec::new(),
            cases: 0,
            unsure: None,
            telling: [None, None],
            is_touching: [false; 2],
            held: Held::default(),
            trace: blake3::Hasher::new(),
            ending: false,
        };
        for at in 0..world.nodes.len() {
            world.after(at as u64 * 10 * MS, Event::Start(at));
            world.after(1_000 * MS, Event::Record(at));
        }
        for event in [Event::Act, Event::Look, Event::Keep] {
            world.after(MS, event);
        }
        if world.plan.damage != Damage::Batches {
            world.after(3_000 * MS, Event::Disturb);
        }
        world
    }

    pub(crate) fn now(&self) -> u64 {
        self.now_us.load(Ordering::SeqCst)
    }

    pub(crate) fn at(&mut self, us: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((us, self.queued, Slot(event))));
    }

    pub(crate) fn after(&mut self, us: u64, event: Event) {
        self.at(self.now() + us, event);
    }

    pub(crate) fn note(&mut self, what: &str, bytes: &[u8]) {
        let (now, length) = (self.now(), bytes.len() as u64);
        self.trace.update(&now.to_le_bytes()).update(what.as_bytes()).update(&length.to_le_bytes()).update(bytes);
    }

    /// A life, to its end.
    pub(crate) fn live(self) -> Result<Held, String> {
        self.lived().map(|world| world.held)
    }

    /// A life to its end, and the world as it is then.
    pub(crate) fn lived(mut self) -> Result<World, String> {
        let fail =
            |world: &World, problem: String| Err(format!("after {} ms, {}: {problem}", world.now() / MS, world.held));
        while let Some(Reverse((us, _, Slot(event)))) = self.queue.pop() {
            self.now_us.store(us, Ordering::SeqCst);
            self.note(&format!("{event:?}"), &[]);
            if let Err(problem) = self.happen(event) {
                return fail(&self, problem);
            }
            if us > LIFE_US && !self.ending {
                self.end();
            }
            if self.ending && self.is_quiet() {
                if let Err(problem) = self.compare() {
                    return fail(&self, problem);
                }
                let states = self.nodes.iter().filter_map(|node| node.replica.as_ref()).map(Replica::state);
                self.held.alarms = states.map(|state| state.alarms).sum();
                self.held.trace = self.trace.finalize().to_hex()[..16].to_owned();
                return Ok(self);
            }
            if us > LIFE_US + RECOVERY_US {
                let states: Vec<_> = self.nodes.iter().map(|node| node.replica.as_ref().map(Replica::state)).collect();
                return fail(&self, format!("not all came where the hub is: {states:?}"));
            }
        }
        unreachable!("it is always looked again");
    }

    /// From here on nothing goes wrong any more.
    fn end(&mut self) {
        self.ending = true;
        self.nodes.iter_mut().for_each(|node| node.blocked_us = [[0; 2]; 2]);
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Up(id) => self.up(id),
            Event::Down(id) => self.down(id),
            Event::Wake(id) => self.of_hub(Event::Wake(id), |world| world.wake(id)),
            Event::Beat(id) => self.of_hub(Event::Beat(id), |world| world.beat(id)),
            Event::HubLost(id) => self.of_hub(Event::HubLost(id), |world| drop(world.connections.remove(&id))),
            Event::Ping(at, session) => self.ping(at, session),
            Event::ReplicaLost(at, session) => self.lost(at, session, true),
            Event::GivenUp(at, session) => self.lost(at, session, !self.nodes[at].follows),
            Event::Connect(at) => self.connect(at),
            Event::Follow(at, session) => self.follow(at, session),
            Event::Record(at) => self.record(at),
            Event::Start(at) => self.start(at),
            Event::Touch(line) => self.of_hub(Event::Touch(line), |world| world.touch(line)),
            Event::Tell(line) => self.of_hub(Event::Tell(line), |world| world.tell(line)),
            Event::Keep => self.of_hub(Event::Keep, World::keep),
            Event::HubUp => self.hub_up(),
            Event::Act => self.act(),
            Event::Disturb => self.disturb(),
            Event::Look => {
                self.after(LOOK_US, Event::Look);
                self.look()
            }
        }
    }

    /// Something that the hub's process does, once it moves.
    fn of_hub(&mut self, event: Event, act: impl FnOnce(&mut World)) -> Result<(), String> {
        if self.now() < self.hub_paused_us {
            self.at(self.hub_paused_us, event);
        } else {
            act(self);
        }
        Ok(())
    }

    /// Whether all are where the hub is.
    fn is_quiet(&self) -> bool {
        let Some(hub) = &self.machine.hub else { return false };
        let (revision, lift_seq) = (hub.ledger().position().revision, hub.ledger().lift_seq());
        let is_there = |node: &Node| {
            let state = node.replica.as_ref().map(Replica::state);
            let is_there = |state: xinhub_client::ReplicaState| {
                state.synced && (state.revision, state.lift_seq) == (revision, lift_seq)
            };
            node.follows && state.is_some_and(is_there) && node.replica.as_ref().is_some_and(Replica::is_leased)
        };
        self.is_touching == [false; 2] && self.unsure.is_none() && self.nodes.iter().all(is_there)
    }
}
