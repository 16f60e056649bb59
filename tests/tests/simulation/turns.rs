//! What the court does, and what goes wrong.

use std::sync::atomic::Ordering;

use rand::Rng;

use super::court::{Deed, Freed, Person};
use super::hub;
use super::network::START;
use super::world::{Event, MS, World};

/// The court.
impl World {
    pub(crate) fn act(&mut self) -> Result<(), String> {
        if !self.ending {
            let soon = self.random.random_range(20 * MS..500 * MS);
            self.after(soon, Event::Act);
        }
        if self.machine.hub.is_none() || self.now() < self.hub_paused_us || self.ending {
            return Ok(());
        }
        // Now and then many at once, so that a lift overtakes a stretch of listings.
        let deeds = if self.random.random_range(0..12) == 0 { self.random.random_range(5..40) } else { 1 };
        for _ in 0..deeds {
            let deed = self.deed();
            if self.random.random_range(0..150) == 0 {
                let operations = self.random.random_range(0..10);
                self.machine.power_off_after(operations);
                self.held.faults += 1;
                let request_id = self.request_id();
                let done = self.submit(deed, request_id);
                if done.is_err() {
                    self.unsure = Some((deed, request_id));
                }
                self.note("power", format!("{}", done.is_ok()).as_bytes());
                self.hub_down(hub::Down::PowerCut);
                return Ok(());
            }
            let request_id = self.request_id();
            self.submit(deed, request_id)?;
        }
        self.touch_soon();
        Ok(())
    }

    pub(crate) fn request_id(&mut self) -> [u8; 16] {
        let mut id: [u8; 16] = self.random.random();
        id[..6].copy_from_slice(&START.0.to_be_bytes()[2..]);
        id
    }

    pub(crate) fn deed(&mut self) -> Deed {
        let listed: Vec<usize> = (0..self.people.len()).filter(|at| !self.people[*at].listings.is_empty()).collect();
        if self.random.random_bool(0.5) && !listed.is_empty() {
            // The newest more often than others: their listing is still under way.
            let at = listed.len()
                - 1
                - self.random.random_range(0..listed.len()).min(self.random.random_range(0..listed.len()));
            let (person, how) = (listed[at], self.random.random_range(0..3));
            let listings = &self.people[person].listings;
            let listing = listings[self.random.random_range(0..listings.len())];
            return Deed::Lift { person, listing, how };
        }
        self.cases += 1;
        let is_known = !self.people.is_empty() && self.random.random_range(0..3) == 0;
        let person = if is_known { self.random.random_range(0..self.people.len()) } else { self.people.len() };
        if person == self.people.len() {
            self.people.push(Person::new(person));
        }
        Deed::List { person, case: self.cases }
    }

    pub(crate) fn submit(&mut self, deed: Deed, request_id: [u8; 16]) -> Result<(), String> {
        let policy = hub::policy(self.machine.wider);
        let outcome = self.machine.submit(deed.request(&policy, request_id));
        let outcome = outcome.map_err(|error| format!("{deed:?}: {error}"))?;
        self.note("done", format!("{deed:?} {} {}", outcome.listing, outcome.etag).as_bytes());
        let hub = self.machine.hub.as_ref().expect("it has just answered");
        match deed {
            Deed::List { person, .. } => {
                let person = &mut self.people[person];
                person.listings.push(outcome.listing);
                (person.revision, person.freed) = (outcome.etag, None);
            }
            Deed::Lift { person, listing, .. } => {
                self.held.lifts += 1;
                let token = outcome.position.token();
                let lift = hub.ledger().lift_at(&token).map_err(|error| error.to_string())?;
                let (_, lift_seq) = lift.ok_or("a lift is none")?;
                let known = &mut self.people[person];
                known.listings.retain(|one| *one != listing);
                known.revision = outcome.etag;
                if known.listings.is_empty() {
                    known.freed = Some(Freed { lift_seq, complete: false });
                    self.freed.push(person);
                }
            }
        }
        Ok(())
    }
}

/// What goes wrong.
impl World {
    pub(crate) fn hub_down(&mut self, how: hub::Down) {
        if self.machine.hub.is_none() {
            return;
        }
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            let notices = self.random.random_bool(0.7);
            self.break_off(id, [notices, true]);
            self.connections.remove(&id);
        }
        (self.telling, self.is_touching) = ([None, None], [false; 2]);
        self.machine.down(how, self.random.random());
        let back = self.random.random_range(20 * MS..4_000 * MS);
        self.after(back, Event::HubUp);
    }

    pub(crate) fn hub_up(&mut self) -> Result<(), String> {
        self.machine.up();
        if let Some((deed, request_id)) = self.unsure.take() {
            // Nobody told the court: it asks for the same again, and is answered as it would have been.
            self.submit(deed, request_id)?;
        }
        self.touch_soon();
        Ok(())
    }

    pub(crate) fn disturb(&mut self) -> Result<(), String> {
        if self.ending {
            return Ok(());
        }
        let next = self.random.random_range(50 * MS..600 * MS);
        self.after(next, Event::Disturb);
        self.held.faults += 1;
        let at = self.random.random_range(0..self.nodes.len());
        let long = self.random.random_range(0..4) == 0;
        let until = self.now() + self.random.random_range(20 * MS..if long { 5_000 * MS } else { 800 * MS });
        let ids = self.nodes[at].connections;
        let kind = self.random.random_range(0..2);
        match self.random.random_range(0..40) {
            0..=5 => self.nodes[at].blocked_us = [[until; 2]; 2],
            6..=9 => self.nodes[at].blocked_us[kind] = [until; 2],
            10..=12 => self.nodes[at].blocked_us[kind][0] = until,
            13..=17 => self.nodes[at].blocked_us[kind][1] = until,
            18..=20 => ids.iter().flatten().for_each(|id| self.break_off(*id, [true; 2])),
            21..=24 => {
                let notices = [self.random.random_bool(0.3), self.random.random_bool(0.3)];
                ids.iter().for_each(|ids| self.break_off(ids[kind], notices));
            }
            25..=27 => self.nodes[at].paused_us = until,
            28..=29 => self.hub_paused_us = self.now() + (until - self.now()) / 2,
            30..=31 => {
                let how = [hub::Down::Stop, hub::Down::Kill, hub::Down::PowerCut][self.random.random_range(0..3)];
                self.hub_down(how);
            }
            32..=34 => self.restart(at)?,
            35 => {
                let by = self.random.random_range(-20_000..20_000);
                self.nodes[at].clock.set_ms.fetch_add(by, Ordering::SeqCst);
            }
            36 => {
                self.machine.wider ^= true;
                let policy = hub::policy(self.machine.wider);
                if let Some(hub) = &mut self.machine.hub {
                    hub.set_policy(policy);
                }
            }
            37 => {
                if let Some(hub) = &self.machine.hub {
                    self.machine.block_on(hub.renew())?;
                }
            }
            _ => self.save(at)?,
        }
        Ok(())
    }

    pub(crate) fn save(&mut self, at: usize) -> Result<(), String> {
        let replica = self.nodes[at].replica.as_ref();
        replica.map_or(Ok(()), |replica| replica.save().map_err(|error| error.to_string()))
    }

    /// A replica's process ends, at times as it should, and comes again.
    pub(crate) fn restart(&mut self, at: usize) -> Result<(), String> {
        if self.nodes[at].replica.is_none() {
            return Ok(());
        }
        if self.random.random_bool(0.5) {
            self.save(at)?;
        }
        self.close(at);
        let node = &mut self.nodes[at];
        node.replica = None;
        node.seen_clear.clear();
        let back = self.random.random_range(20 * MS..3_000 * MS);
        self.after(back, Event::Start(at));
        Ok(())
    }
}
