//! What travels between the hub and its replicas, and what either does as it comes.
//!
//! Promise: nothing is decided here but when and whether a message comes: what the carriers of both crates do over connections.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use xinhub_client::ReplicaConfig;
use xinhub_client::simulated::{Ended, Replica};
use xinhub_ledger::Clock;
use xinhub_server::service::simulated::Line;
use xinhub_tests::v1;
use xinhub_tests::v1::follow_changes_request::Message as ChangesIn;

use super::network::{AHEAD, Connection, Down, HubEnd, KINDS, Kind, Up, Way, damage};
use super::world::{Damage, Event, GIVEN_UP_US, MS, World};

/// Where messages are damaged: single ones, and for how many it goes on where it does.
const DAMAGED_ONE_IN: u64 = 25;
const ALL_ONE_IN: u64 = 400;
const ALL_FOR: u64 = 12;

/// The network.
impl World {
    pub(crate) fn latency(&mut self) -> u64 {
        match self.random.random_range(0..30) {
            0 => self.random.random_range(20 * MS..300 * MS),
            _ => self.random.random_range(MS / 5..3 * MS),
        }
    }

    pub(crate) fn send_up(&mut self, connection: &mut Connection, id: u64, message: Up) {
        let ready = connection.up.last_us.max(self.now() + self.latency());
        if !connection.broken {
            connection.up.last_us = ready;
            connection.up.messages.push_back(message);
            self.at(ready, Event::Up(id));
        }
    }

    pub(crate) fn send_down(&mut self, connection: &mut Connection, id: u64, message: Down) {
        let ready = connection.down.last_us.max(self.now() + self.latency());
        if !connection.broken {
            connection.down.last_us = ready;
            connection.down.messages.push_back(message);
            self.at(ready, Event::Down(id));
        }
    }

    pub(crate) fn say(&mut self, at: usize, kind: Kind, message: Up) {
        let Some(id) = self.nodes[at].connections.map(|ids| ids[kind as usize]) else { return };
        if let Some(mut connection) = self.connections.remove(&id) {
            self.send_up(&mut connection, id, message);
            self.connections.insert(id, connection);
        }
    }

    /// Until when a connection is held up in a direction.
    pub(crate) fn blocked(&self, connection: &Connection, direction: usize) -> Option<u64> {
        let until = self.nodes[connection.replica].blocked_us[connection.kind as usize][direction];
        (until > self.now()).then_some(until)
    }

    pub(crate) fn up(&mut self, id: u64) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&id) else { return Ok(()) };
        let waits = self.blocked(&connection, 0).max((self.now() < self.hub_paused_us).then_some(self.hub_paused_us));
        // The hub reads nothing while it waits for its reader.
        let waits = waits.or((connection.down.messages.len() >= AHEAD).then_some(self.now() + 5 * MS));
        if let Some(until) = waits.filter(|_| !connection.broken) {
            self.at(until, Event::Up(id));
        } else if let Some(message) = connection.up.messages.pop_front() {
            self.note("up", &message.bytes());
            self.hub_takes(&mut connection, id, message);
        }
        if !(connection.broken && matches!(connection.hub, HubEnd::Gone)) {
            self.connections.insert(id, connection);
        }
        Ok(())
    }

    pub(crate) fn down(&mut self, id: u64) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&id) else { return Ok(()) };
        let (at, session) = (connection.replica, connection.session);
        let paused = self.nodes[at].paused_us;
        let waits = self.blocked(&connection, 1).max((self.now() < paused).then_some(paused));
        if let Some(until) = waits.filter(|_| !connection.broken) {
            self.at(until, Event::Down(id));
            self.connections.insert(id, connection);
            return Ok(());
        }
        let message = connection.down.messages.pop_front();
        if std::mem::take(&mut connection.full) {
            self.after(MS, Event::Wake(id));
        }
        self.connections.insert(id, connection);
        match message {
            Some(mut message) if self.nodes[at].session == session => {
                self.damage(at, &mut message);
                self.note("down", &message.bytes());
                self.replica_takes(at, message)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What comes to a replica can't be taken, by the plan and by chance.
    fn damage(&mut self, at: usize, message: &mut Down) {
        let is_damaged = match self.plan.damage {
            Damage::Nothing => false,
            Damage::Batches => matches!(message, Down::Changes(_)) && self.random.random_range(0..DAMAGED_ONE_IN) == 0,
            Damage::All => {
                if self.random.random_range(0..ALL_ONE_IN) == 0 {
                    self.nodes[at].damaged = ALL_FOR;
                }
                self.nodes[at].damaged > 0 || self.random.random_range(0..DAMAGED_ONE_IN) == 0
            }
        };
        if is_damaged && !self.ending && damage(message, self.random.random()) {
            self.held.faults += 1;
            self.nodes[at].damaged = self.nodes[at].damaged.saturating_sub(1);
        }
    }

    /// A connection breaks. Whoever is to notice it does by and by.
    pub(crate) fn break_off(&mut self, id: u64, notices: [bool; 2]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.broken = true;
        connection.up.messages.clear();
        connection.down.messages.clear();
        let (at, session, kind) = (connection.replica, connection.session, connection.kind);
        let mut soon = |notices| {
            if notices {
                self.random.random_range(0..50 * MS)
            } else {
                self.random.random_range(GIVEN_UP_US / 2..GIVEN_UP_US)
            }
        };
        let (replica, hub) = (soon(notices[0]), soon(notices[1]));
        // On the lift stream the replica finds out by itself.
        if notices[0] || kind == Kind::Changes {
            self.after(replica, Event::ReplicaLost(at, session));
        }
        self.after(hub, Event::HubLost(id));
    }
}

/// The hub's end.
impl World {
    pub(crate) fn hub_takes(&mut self, connection: &mut Connection, id: u64, message: Up) {
        let Some(hub) = self.machine.hub.as_ref() else { return };
        let client = self.nodes[connection.replica].client;
        match (message, &mut connection.hub) {
            (Up::Manifest(request), _) => {
                let manifest = self.machine.block_on(hub.manifest(client, &request));
                let answer = manifest.map_or(Down::Closed, |manifest| Down::Manifest(Box::new(manifest)));
                self.send_down(connection, id, answer);
            }
            (Up::Fetch(mut request), _) => loop {
                let hub = self.machine.hub.as_ref().expect("it is up");
                let Some(chunk) = hub.chunk(client, &request, self.random.random_range(100..3_000)) else {
                    self.send_down(connection, id, Down::Closed);
                    break;
                };
                let length = chunk.data.len() as u64;
                if length == 0 {
                    break;
                }
                request.offset += length;
                self.send_down(connection, id, Down::Chunk(chunk));
            },
            (Up::Lifts(first), HubEnd::Idle) => match hub.lifts(client, first) {
                Ok(stream) => {
                    let opened = Down::Lifts(stream.opened());
                    connection.hub = HubEnd::Lifts(Box::new(stream));
                    self.send_down(connection, id, opened);
                    self.pump(connection, id);
                    self.after(0, Event::Beat(id));
                }
                Err(ended) => self.hub_ends(connection, id, ended.0.map(Down::Lifts)),
            },
            (Up::Changes(first), HubEnd::Idle) => match hub.changes(client, first) {
                Ok(stream) => {
                    connection.hub = HubEnd::Changes(Box::new(stream));
                    self.pump(connection, id);
                }
                Err(ended) => self.hub_ends(connection, id, ended.0.map(Down::Changes)),
            },
            (Up::Lifts(message), HubEnd::Lifts(_)) => {
                self.pump(connection, id);
                let HubEnd::Lifts(stream) = &mut connection.hub else { return };
                match stream.take(message) {
                    Ok(true) => {
                        self.pump(connection, id);
                        self.send_beat(connection, id);
                    }
                    Ok(false) => {}
                    Err(ended) => self.hub_ends(connection, id, ended.0.map(Down::Lifts)),
                }
            }
            (Up::Changes(message), HubEnd::Changes(stream)) => match stream.take(message) {
                Ok(()) => self.pump(connection, id),
                Err(ended) => self.hub_ends(connection, id, ended.0.map(Down::Changes)),
            },
            (Up::Closed, _) => (connection.hub, connection.broken) = (HubEnd::Gone, true),
            (Up::Lifts(_) | Up::Changes(_), _) => {}
        }
    }

    /// Tells what has come, as far as there is room.
    pub(crate) fn pump(&mut self, connection: &mut Connection, id: u64) {
        let Some(hub) = self.machine.hub.take() else { return };
        loop {
            if connection.down.messages.len() >= AHEAD {
                connection.full = true;
                break;
            }
            let events = self.random.random_range(1..12);
            let told = match &mut connection.hub {
                HubEnd::Lifts(stream) => stream
                    .tell(&hub, events)
                    .map(|told| told.map(Down::Lifts))
                    .map_err(|ended| ended.0.map(Down::Lifts)),
                HubEnd::Changes(stream) => stream
                    .tell(&hub, events)
                    .map(|told| told.map(Down::Changes))
                    .map_err(|ended| ended.0.map(Down::Changes)),
                HubEnd::Idle | HubEnd::Gone => break,
            };
            match told {
                Ok(Some(message)) => self.send_down(connection, id, message),
                Ok(None) => break,
                Err(last) => self.hub_ends(connection, id, last),
            }
        }
        self.machine.hub = Some(hub);
    }

    pub(crate) fn send_beat(&mut self, connection: &mut Connection, id: u64) {
        let Some(hub) = self.machine.hub.take() else { return };
        // Behind every lift that it names: where there was no room for those, there is none for it.
        if let HubEnd::Lifts(stream) = &mut connection.hub
            && !connection.full
        {
            match stream.beat(&hub) {
                Ok(beat) => self.send_down(connection, id, Down::Lifts(beat)),
                Err(ended) => self.hub_ends(connection, id, ended.0.map(Down::Lifts)),
            }
        }
        self.machine.hub = Some(hub);
    }

    pub(crate) fn hub_ends(&mut self, connection: &mut Connection, id: u64, last: Option<Down>) {
        connection.hub = HubEnd::Gone;
        if let Some(last) = last {
            self.send_down(connection, id, last);
        }
        self.send_down(connection, id, Down::Closed);
    }

    pub(crate) fn wake(&mut self, id: u64) {
        if let Some(mut connection) = self.connections.remove(&id) {
            self.pump(&mut connection, id);
            self.connections.insert(id, connection);
        }
    }

    pub(crate) fn beat(&mut self, id: u64) {
        let Some(mut connection) = self.connections.remove(&id) else { return };
        if let (HubEnd::Lifts(_), Some(hub)) = (&connection.hub, &self.machine.hub) {
            let next = self.machine.now_us(hub.beat_ms());
            self.pump(&mut connection, id);
            self.send_beat(&mut connection, id);
            self.after(next, Event::Beat(id));
        }
        self.connections.insert(id, connection);
    }

    pub(crate) fn touch_soon(&mut self) {
        for line in [Line::Lifts, Line::Changes] {
            if !std::mem::replace(&mut self.is_touching[line as usize], true) {
                let soon = self.random.random_range(0..20 * MS);
                self.after(soon, Event::Touch(line));
            }
        }
    }

    /// What has happened is found; it is told a little later, and what happens in between is told with it.
    pub(crate) fn touch(&mut self, line: Line) {
        let events = if self.random.random_bool(0.5) { self.random.random_range(1..6) } else { 1_000 };
        let touched = self.machine.hub.as_ref().and_then(|hub| hub.touched(line, events).unwrap());
        self.is_touching[line as usize] = touched.is_some();
        if touched.is_some() {
            let slow = self.random.random_range(0..20) == 0;
            let soon = self.random.random_range(0..if slow { 1_500 * MS } else { 10 * MS });
            self.telling[line as usize] = touched;
            self.after(soon, Event::Tell(line));
        }
    }

    pub(crate) fn tell(&mut self, line: Line) {
        let touched = self.telling[line as usize].take();
        let (Some(touched), Some(hub)) = (touched, self.machine.hub.as_mut()) else { return };
        assert!(hub.tell(line, &touched));
        self.is_touching[line as usize] = false;
        self.touch_soon();
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            let soon = if self.random.random_range(0..20) == 0 { 200 * MS } else { 3 * MS };
            let soon = self.random.random_range(0..soon);
            self.after(soon, Event::Wake(id));
        }
    }

    pub(crate) fn keep(&mut self) {
        if let Some(hub) = &self.machine.hub {
            hub.keep().unwrap();
        }
        let next = self.machine.now_us(1_000);
        self.after(next, Event::Keep);
    }
}

/// The replicas' end.
impl World {
    pub(crate) fn start(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        let clock = Arc::clone(&node.clock);
        let clock = Arc::new(move || (clock.boot_ms(), clock.wall().0));
        let config = ReplicaConfig::new(node.dir.path()).reach(node.reach).with_fault(self.plan.fault);
        node.replica = Some(Replica::open(config, clock).map_err(|error| error.to_string())?);
        self.after(0, Event::Connect(at));
        Ok(())
    }

    pub(crate) fn connect(&mut self, at: usize) -> Result<(), String> {
        if self.nodes[at].connections.is_some() {
            return Ok(());
        }
        let node = &mut self.nodes[at];
        let Some(replica) = node.replica.as_mut() else { return Ok(()) };
        let request = replica.connect();
        node.session += 1;
        let session = node.session;
        if self.machine.hub.is_none() {
            node.connections = Some([0, 0]);
            let soon = self.latency();
            self.after(soon, Event::ReplicaLost(at, session));
            return Ok(());
        }
        let mut ids = [0; 2];
        for kind in KINDS {
            self.opened += 1;
            ids[kind as usize] = self.opened;
            let (up, down) = (Way::default(), Way::default());
            let (broken, full) = (false, false);
            let connection = Connection { replica: at, session, kind, up, down, hub: HubEnd::Idle, broken, full };
            self.connections.insert(self.opened, connection);
        }
        self.nodes[at].connections = Some(ids);
        self.say(at, Kind::Changes, Up::Manifest(request));
        self.after(GIVEN_UP_US, Event::GivenUp(at, session));
        Ok(())
    }

    pub(crate) fn replica_takes(&mut self, at: usize, message: Down) -> Result<(), String> {
        self.held.sent_away += u64::from(message.sends_away());
        let Some(replica) = self.nodes[at].replica.as_mut() else { return Ok(()) };
        let said: Result<Option<(Kind, Up)>, Ended> = match message {
            Down::Manifest(manifest) => match replica.begin(*manifest) {
                Ok(Some(request)) => {
                    // What it holds from here on is another list.
                    self.nodes[at].seen_clear.clear();
                    Ok(Some((Kind::Changes, Up::Fetch(request))))
                }
                Ok(None) => return self.load(at),
                Err(ended) => Err(ended),
            },
            Down::Chunk(chunk) => match replica.fetched(&chunk) {
                Ok(true) => return self.load(at),
                Ok(false) => Ok(None),
                Err(ended) => Err(ended),
            },
            Down::Lifts(message) => replica.lifts(message).map(|said| said.map(|said| (Kind::Lifts, Up::Lifts(said)))),
            Down::Changes(message) => {
                let said = replica.changes(message);
                if let Ok(Some(v1::FollowChangesRequest { message: Some(ChangesIn::Nack(nack)) })) = &said {
                    self.held.refused += 1;
                    if self.plan.damage == Damage::Nothing {
                        return Err(format!("replica {at} refuses what a hub that is right has sent: {nack:?}"));
                    }
                }
                said.map(|said| said.map(|said| (Kind::Changes, Up::Changes(said))))
            }
            Down::Closed => Err(replica.lost()),
        };
        match said {
            Ok(said) => {
                if let Some((kind, message)) = said {
                    self.say(at, kind, message);
                }
                self.look_at(at, 8)
            }
            Err(ended) => self.ended(at, ended),
        }
    }

    /// A long list takes its time to load.
    pub(crate) fn load(&mut self, at: usize) -> Result<(), String> {
        let long = if self.random.random_range(0..4) == 0 { 2_000 * MS } else { 100 * MS };
        let (session, loads) = (self.nodes[at].session, self.random.random_range(0..long));
        self.after(loads, Event::Follow(at, session));
        Ok(())
    }

    pub(crate) fn follow(&mut self, at: usize, session: u64) -> Result<(), String> {
        if self.nodes[at].session != session || self.nodes[at].follows {
            return Ok(());
        }
        let Some(replica) = self.nodes[at].replica.as_mut() else { return Ok(()) };
        match replica.follow() {
            Ok((lifts, changes)) => {
                self.nodes[at].follows = true;
                self.say(at, Kind::Lifts, Up::Lifts(lifts));
                self.say(at, Kind::Changes, Up::Changes(changes));
                let session = self.nodes[at].session;
                self.after(0, Event::Ping(at, session));
                self.look_at(at, 8)
            }
            Err(ended) => self.ended(at, ended),
        }
    }

    pub(crate) fn ping(&mut self, at: usize, session: u64) -> Result<(), String> {
        let (now, node) = (self.now(), &mut self.nodes[at]);
        if node.session != session || !node.follows {
            return Ok(());
        }
        if now < node.paused_us {
            let until = node.paused_us;
            self.at(until, Event::Ping(at, session));
            return Ok(());
        }
        let Some(replica) = node.replica.as_mut() else { return Ok(()) };
        match replica.ping() {
            Ok(ping) => {
                let next = node.clock.us(replica.beat_ms().unwrap_or(1_000));
                self.say(at, Kind::Lifts, Up::Lifts(ping));
                self.after(next, Event::Ping(at, session));
                Ok(())
            }
            Err(ended) => self.ended(at, ended),
        }
    }

    pub(crate) fn lost(&mut self, at: usize, session: u64, is_lost: bool) -> Result<(), String> {
        let node = &mut self.nodes[at];
        if node.session != session || node.connections.is_none() || !is_lost {
            return Ok(());
        }
        let Some(replica) = node.replica.as_mut() else { return Ok(()) };
        let ended = replica.lost();
        self.ended(at, ended)
    }

    /// A session is over: both connections go, and the next begins within the time that the replica says.
    pub(crate) fn ended(&mut self, at: usize, ended: Ended) -> Result<(), String> {
        self.note("ended", format!("{at} {ended:?}").as_bytes());
        self.held.broken += u64::from(ended.broken.is_some());
        if let Some(problem) = ended.broken.filter(|_| self.plan.damage == Damage::Nothing) {
            return Err(format!("replica {at} and the hub, which are both right, have parted: {problem}"));
        }
        self.close(at);
        let most = u64::try_from(ended.within.max(Duration::from_millis(2)).as_micros()).unwrap();
        let within = self.random.random_range(most / 2..=most);
        // A life is short: nobody waits for half of it.
        self.after(within.min(3_000 * MS), Event::Connect(at));
        Ok(())
    }

    pub(crate) fn close(&mut self, at: usize) {
        for kind in KINDS {
            self.say(at, kind, Up::Closed);
        }
        let node = &mut self.nodes[at];
        node.session += 1;
        (node.connections, node.follows) = (None, false);
    }

    /// What it has answered becomes durable, and is reported where the hub is reached.
    pub(crate) fn record(&mut self, at: usize) -> Result<(), String> {
        self.after(2_000 * MS, Event::Record(at));
        let (is_reached, client, now) = (self.nodes[at].follows, self.nodes[at].client, self.now());
        let Some(replica) = self.nodes[at].replica.as_mut() else { return Ok(()) };
        replica.record();
        let entries = replica.unreported();
        if let (Some(last), Some(hub), true) =
            (entries.last(), &self.machine.hub, is_reached && now >= self.hub_paused_us)
        {
            hub.reported(client, replica.instance(), last.sequence).unwrap();
            replica.reported(last.sequence);
        }
        Ok(())
    }
}
