//! What has to hold, at any time and in the end.
//!
//! At any time: nobody is spoken against whose lift is complete, nor anybody whose lift a replica has applied; what was applied stays so,
//! whatever comes by the other stream; whoever is listed is found by every replica that is that far; and no replica has a lease that
//! the hub doesn't wait for. In the end: an exact replica holds what the hub's own index says, entry by entry, and a filter finds
//! everybody who is listed and has beside it nobody who is not.

use std::collections::BTreeSet;

use super::world::World;
use xinhub_api::convert;
use xinhub_client::Inquiry;
use xinhub_client::simulated::Replica;
use xinhub_client::v1::{BatchCheckRequest, Identity, PackedIdentities, ReplicaReach, Verdict};

/// Of those who were lifted last, and of those whose lifts were complete last, so many are asked about each time.
const NEWEST: usize = 10;
/// Lifts that are not complete yet are looked for among so many.
const PENDING: usize = 200;
/// Of all people, so many.
const SAMPLE: usize = 4;

/// What is said of somebody in a batch of one, packed.
pub(crate) fn in_batch(replica: &Replica, measure: &str, inquiry: &Inquiry) -> Option<Verdict> {
    let Identity { kind, number: numbers, issuing_state } = convert::identity_to(&inquiry.identity);
    let packed = vec![PackedIdentities { kind, numbers, issuing_state }];
    let request = BatchCheckRequest { measure: measure.to_owned(), packed, ..BatchCheckRequest::default() };
    let verdicts = replica.check_many(&request)?.packed?.verdicts;
    Verdict::try_from(i32::from(*verdicts.first()?)).ok()
}

pub(crate) fn speaks_against(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Restricted | Verdict::Consider)
}

impl World {
    /// Looks at all replicas, and at how far the lifts are.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        if let Some(hub) = &self.machine.hub {
            for person in self.freed.iter().rev().take(PENDING) {
                if let Some(freed) = &mut self.people[*person].freed
                    && !freed.complete
                    && hub.is_complete(freed.lift_seq)
                {
                    freed.complete = true;
                    self.held.completed += 1;
                    self.completed.push(*person);
                }
            }
        }
        (0..self.nodes.len()).try_for_each(|at| self.look_at(at, NEWEST))
    }

    /// Looks at one replica.
    pub(crate) fn look_at(&mut self, at: usize, newest: usize) -> Result<(), String> {
        if self.nodes[at].replica.is_none() {
            return Ok(());
        }
        self.look_at_lease(at)?;
        let of = |people: &[usize]| people.iter().rev().take(newest).copied().collect::<Vec<usize>>();
        for person in [of(&self.freed), of(&self.completed)].concat() {
            self.look_at_freed(at, person)?;
        }
        for _ in 0..SAMPLE.min(self.people.len()) {
            let person = rand::Rng::random_range(&mut self.random, 0..self.people.len());
            self.look_at_freed(at, person)?;
            self.look_at_listed(at, person)?;
        }
        Ok(())
    }

    /// No lease outlives what the hub believes.
    fn look_at_lease(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        let Some(replica) = &node.replica else { return Ok(()) };
        let state = replica.state();
        self.held.checks += 1;
        if state.lease_until_ms > node.lease_until_ms {
            node.lease_until_ms = state.lease_until_ms;
            self.held.leases += 1;
        }
        if let (true, Some(hub)) = (replica.is_leased(), &self.machine.hub) {
            let waits_ms = hub.lease_ms(node.client, replica.instance());
            if waits_ms.is_none_or(|waits_ms| waits_ms == 0) {
                return Err(format!("replica {at} has a lease, and the hub waits {waits_ms:?} ms for it"));
            }
        }
        Ok(())
    }

    fn look_at_freed(&mut self, at: usize, person: usize) -> Result<(), String> {
        let (known, node) = (&self.people[person], &mut self.nodes[at]);
        let (Some(freed), Some(replica)) = (known.freed, &node.replica) else { return Ok(()) };
        self.held.checks += 1;
        let state = replica.state();
        let answer = replica.answer(node.measure, &known.inquiry);
        let is_adverse = answer.is_some_and(|answer| answer.verdict().is_adverse());
        self.held.adverse += u64::from(is_adverse);
        if is_adverse && freed.complete {
            return Err(format!("replica {at} speaks against somebody whose lift {} is complete", freed.lift_seq));
        }
        let in_batch = in_batch(replica, node.measure, &known.inquiry);
        if freed.complete && in_batch.is_some_and(speaks_against) {
            return Err(format!(
                "replica {at} speaks in a batch against somebody whose lift {} is complete",
                freed.lift_seq
            ));
        }
        let is_applied = state.lift_seq >= freed.lift_seq;
        let Some(is_clear) = replica.is_clear(&known.inquiry).filter(|_| is_applied) else {
            node.seen_clear.remove(&person);
            return Ok(());
        };
        // A filter has one in 256 asked of the hub from the beginning: what it has once said it says again.
        let before = node.seen_clear.get(&person) == Some(&freed.lift_seq);
        if !is_clear && (before || node.reach == ReplicaReach::Exact) {
            return Err(format!("replica {at} has undone lift {}, which it has applied", freed.lift_seq));
        }
        if is_clear {
            node.seen_clear.insert(person, freed.lift_seq);
        }
        Ok(())
    }

    fn look_at_listed(&mut self, at: usize, person: usize) -> Result<(), String> {
        let (known, node) = (&self.people[person], &self.nodes[at]);
        let Some(replica) = &node.replica else { return Ok(()) };
        self.held.checks += 1;
        if known.listings.is_empty() || replica.state().revision < known.revision {
            return Ok(());
        }
        if replica.is_clear(&known.inquiry) == Some(true) {
            return Err(format!(
                "replica {at} is at or beyond revision {}, and misses who is listed there",
                known.revision
            ));
        }
        Ok(())
    }

    /// Whether every replica holds what the hub does.
    pub(crate) fn compare(&mut self) -> Result<(), String> {
        let hub = self.machine.hub.as_ref().ok_or("the hub is down")?;
        for (at, node) in self.nodes.iter().enumerate() {
            let replica = node.replica.as_ref().ok_or("a replica is down")?;
            let entries = hub.entries(node.client)?;
            self.held.checks += entries.len() as u64;
            if let Some(held) = replica.entries() {
                let parted = entries.iter().zip(&held).find(|(own, held)| own != held);
                if held.len() != entries.len() || parted.is_some() {
                    let (held, entries) = (held.len(), entries.len());
                    return Err(format!("replica {at} holds {held} entries and the hub {entries}: first {parted:?}"));
                }
                for person in &self.people {
                    let answer = replica.answer(node.measure, &person.inquiry);
                    let is_adverse = answer.as_ref().is_some_and(|answer| answer.verdict().is_adverse());
                    if answer.is_none() || is_adverse == person.listings.is_empty() {
                        return Err(format!("replica {at} answers {answer:?} about who has {:?}", person.listings));
                    }
                    let many = in_batch(replica, node.measure, &person.inquiry);
                    if many.map(speaks_against) != Some(is_adverse) {
                        return Err(format!("replica {at} answers {many:?} in a batch, and {answer:?} alone"));
                    }
                }
            }
            if let Some((came, gone)) = replica.beside_filter() {
                let listed: BTreeSet<[u8; 16]> = entries.iter().map(|(key, _)| key.0).collect();
                if entries.iter().any(|(key, _)| replica.is_clear_key(key) != Some(false)) {
                    return Err(format!("filter {at} misses somebody who is listed"));
                }
                if came.iter().any(|key| !listed.contains(&key.0)) || gone.iter().any(|key| listed.contains(&key.0)) {
                    return Err(format!("filter {at} has beside it what the hub has not"));
                }
                let free = self.people.iter().filter(|person| person.listings.is_empty());
                let by_chance = free.clone().filter(|person| replica.is_clear(&person.inquiry) == Some(false)).count();
                // One in 256 by chance; each who was lifted and is missing beside the filter comes to it.
                if by_chance > 8 + free.count() / 64 {
                    return Err(format!("filter {at} has {by_chance} asked of the hub who are free"));
                }
            }
        }
        Ok(())
    }
}
