//! What goes into the next entry, and who waits for it.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::command::{CommandError, Outcome};
use crate::crypto::RecordKey;
use crate::entry::{MAX_EVENTS, OutcomeRecord};
use crate::plan::pending::Pending;
use crate::plan::{Numbers, Plan, Planned, Touch};

pub(super) type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

/// Whoever waits for an entry to be durable and visible.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A command, for what became of it.
    Outcome(Reply<Outcome>, Outcome),
    /// Anything else.
    Done(Reply<()>),
}

/// The next entry.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) pending: Pending,
    pub(super) outcomes: Vec<OutcomeRecord>,
    pub(super) waiting: Vec<Waiting>,
    /// What its plans rest on.
    pub(super) touched: HashSet<Touch>,
    /// Disclosures in it.
    pub(super) told: HashSet<(u64, Arc<str>)>,
    /// Lifts only: may use the reserve.
    pub(super) urgent: bool,
    /// A lift is among what it holds.
    pub(super) lifts: bool,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.pending.events().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no further plan, of one event or two, goes into one entry with these, of which the bodies may come to `max_bytes`.
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.len() >= MAX_EVENTS - 1 || self.pending.bytes() >= max_bytes
    }

    /// Whether no further row of an import, of one event, goes into one entry with these.
    pub(super) fn is_full_of_rows(&self, max_bytes: usize) -> bool {
        self.len() >= MAX_EVENTS || self.pending.bytes() >= max_bytes
    }

    /// Whether a plan was made on what this entry will change, or goes another way on a full disk.
    pub(super) fn conflicts(&self, plan: &Plan) -> bool {
        !self.is_empty()
            && (self.urgent != plan.is_lift() || plan.touches.iter().any(|touch| self.touched.contains(touch)))
    }

    /// Adds a plan's events, with the keys of their records.
    pub(super) fn add_plan(&mut self, plan: Plan, numbers: Numbers, keys: [Option<RecordKey>; 2]) {
        self.urgent = plan.is_lift() && (self.is_empty() || self.urgent);
        self.lifts |= plan.is_lift();
        self.touched.extend(plan.touches);
        for (event, key) in std::iter::once(plan.event).chain(plan.also).zip(keys) {
            self.pending.add(event, numbers, key);
        }
    }

    pub(super) fn add(&mut self, event: Planned, numbers: Numbers, key: Option<RecordKey>, touches: &[Touch]) {
        self.urgent = event.lift && (self.is_empty() || self.urgent);
        self.lifts |= event.lift;
        self.touched.extend(touches);
        self.pending.add(event, numbers, key);
    }
}
