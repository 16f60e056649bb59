//! Who may do what (decision D8): courts, clients and their grants, deny by default.
//!
//! It promises that a [`Policy`] that exists is checked whole against its catalogue, that [`decide`] is the only way to a
//! permit, and that every method × class is a row of one table ([`permissions`]). Index probes, ledger reads and
//! mutations demand a permit by type, so that forgetting authorisation does not compile.

mod client;
mod grounds;
mod parse;
pub mod permissions;
mod permit;
pub(crate) mod read;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::closed::closed;
use crate::deadline::{Calendar, Profiles};
use crate::fault::{Fault, Faults};
use crate::listing::Ground;
use crate::measure::{Catalogue, MeasureId, RelationSet};
use crate::time::Timestamp;

pub use client::{Class, Client, Quota, Reach, ReachSet};
pub use permissions::Method;
pub use permit::{
    AdminAsk, AdminPermit, Ask, Denial, DetailAsk, DetailPermit, LookupAsk, LookupPermit, Moment, RegistryAsk,
    RegistryPermit, RemedyAsk, RemedyPermit, ReplicaMeasure, SessionAsk, SessionPermit, Signing, SubjectAsk,
    SubjectPermit, SyncAsk, SyncPermit, UnitAsk, UnitPermit, decide,
};
pub use rules::Rules;

use grounds::Grounds;

/// The file's name in faults.
const POLICY_FILE: &str = "policy.toml";
/// Days ahead at which a day of going live looks like a mistake: until then files may skip the notice.
const GO_LIVE_WARNING_DAYS: u32 = 366;
/// Days before a grant's end at which `check-config` begins to warn.
const EXPIRY_WARNING_DAYS: u32 = 30;

closed! {
    /// How many actors it takes to list somebody.
    Release {
        /// One actor publishes.
        One = "one",
        /// One proposes, another approves.
        Two = "two",
    }
}

/// A court that lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Court {
    id: Arc<str>,
    name_zh: String,
    region: Option<String>,
    above: Option<Arc<str>>,
    signers: Arc<[String]>,
}

impl Court {
    /// Its id, as in listings and import headers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name, as in the column `courtName`.
    pub fn name_zh(&self) -> &str {
        &self.name_zh
    }

    /// Its region, six digits (GB/T 2260).
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The id of the court above, which hears reconsiderations.
    pub fn above(&self) -> Option<&str> {
        self.above.as_deref()
    }

    /// The staff ids of who may release what another actor proposed.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }
}

/// Courts, in the order of the file, and found by their ids.
#[derive(Clone, Debug, Default)]
struct Courts {
    all: Vec<Court>,
    /// The first of each id, which a checked policy has once.
    by_id: HashMap<Arc<str>, usize>,
}

impl Courts {
    fn push(&mut self, court: Court) {
        self.by_id.entry(Arc::clone(&court.id)).or_insert(self.all.len());
        self.all.push(court);
    }

    fn get(&self, id: &str) -> Option<&Court> {
        self.by_id.get(id).map(|index| &self.all[*index])
    }
}

/// A group of clients that keep replicas of the same list: one index key, one set of measures (decision D5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    id: Arc<str>,
    measures: Vec<MeasureId>,
    relations: RelationSet,
}

impl Audience {
    /// The most audiences of one hub.
    pub const MAX: usize = 16;

    /// Its id, from which its index key is derived: a new id is a new key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The measures that its members ask for.
    pub fn measures(&self) -> &[MeasureId] {
        &self.measures
    }

    /// The relations that any of its measures can reach. Whoever has none of them is not told of.
    pub fn relations(&self) -> RelationSet {
        self.relations
    }
}

/// A checked policy. Replaced whole on reload; permits keep what they were given for their call.
#[derive(Clone, Debug)]
pub struct Policy {
    catalogue: Arc<Catalogue>,
    release: Release,
    additions_alone_percent: u8,
    courts: Courts,
    audiences: Vec<Arc<Audience>>,
    clients: HashMap<Arc<str>, Arc<Client>>,
    /// By `MeasureId`, in fen.
    limits_fen: Vec<Option<u64>>,
    grace_max_days: u32,
    grounds: Grounds,
    report_floor: u32,
    rules: Arc<Rules>,
    warnings: Vec<Fault>,
}

impl Policy {
    /// Reads and checks `policy.toml` against a catalogue.
    ///
    /// Keys that aren't known are faults, as with serde's `deny_unknown_fields`; the document is walked by hand because
    /// serde stops at its first fault, and who mends a policy needs them all.
    ///
    /// # Errors
    /// Every fault at once, each with line, key path and fix. Of a file that is no TOML: its syntax faults.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Policy, Faults> {
        Policy::parse_with(text, catalogue, Profiles::shipped(), &Calendar::shipped())
    }

    /// [`Policy::parse`] with profiles and a calendar of one's own.
    ///
    /// # Errors
    /// As for [`Policy::parse`].
    pub fn parse_with(
        text: &str,
        catalogue: &Catalogue,
        profiles: &Profiles,
        calendar: &Arc<Calendar>,
    ) -> Result<Policy, Faults> {
        parse::policy(text, catalogue, profiles, calendar)
    }

    /// The rules of due process: deadlines by court, the hierarchy of courts, the day of going live.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// The catalogue in force: the one given, with the rows that the policy switches on.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// How many actors it takes to list somebody.
    pub fn release(&self) -> Release {
        self.release
    }

    /// The longest period of grace that a court may grant, in days.
    pub fn grace_max_days(&self) -> u32 {
        self.grace_max_days
    }

    /// Every court, in the order of the file.
    pub fn courts(&self) -> &[Court] {
        &self.courts.all
    }

    /// The court of this id.
    pub fn court(&self, id: &str) -> Option<&Court> {
        self.courts.get(id)
    }

    /// Every audience, in the order of the file.
    pub fn audiences(&self) -> &[Arc<Audience>] {
        &self.audiences
    }

    /// The client of this id (the last part of the certificate's URI SAN).
    pub fn client(&self, id: &str) -> Option<&Arc<Client>> {
        self.clients.get(id)
    }

    /// Every client, in no order.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.clients.values()
    }

    /// Whether this client may still lift after its CRL has run out. Courts alone can be pinned so.
    pub fn may_lift_past_crl_expiry(&self, client_id: &str) -> bool {
        self.client(client_id).is_some_and(|client| client.crl_expiry_exempt())
    }

    /// The configured limit of a measure with `amount_required`, in fen.
    pub fn limit_fen(&self, measure: MeasureId) -> Option<u64> {
        self.limits_fen.get(measure.index()).copied().flatten()
    }

    /// The ground that a conduct text (`disruptTypeName`) of a migration import stands for; `None` where it isn't in the
    /// table, or names several grounds.
    pub fn ground(&self, conduct: &str) -> Option<Ground> {
        self.grounds.ground(conduct)
    }

    /// Counts below it are left out of statistics where they could single somebody out.
    pub fn report_floor(&self) -> u32 {
        self.report_floor
    }

    /// What is lawful but deserves a look: grants that have ended or soon will, measures outside the supervising unit's, courts
    /// without a signer, a day of going live that lies far ahead.
    pub fn warnings(&self, now: Timestamp) -> Vec<Fault> {
        let ending = self.clients.values().filter_map(|client| client.expiry_warning(now, EXPIRY_WARNING_DAYS));
        let calendar = self.rules.calendar_warning(now.day().plus_days(EXPIRY_WARNING_DAYS));
        let go_live = self.rules.go_live_warning(now.day().plus_days(GO_LIVE_WARNING_DAYS));
        let mut all: Vec<Fault> = self.warnings.iter().cloned().chain(ending).chain(calendar).chain(go_live).collect();
        all.sort_by_key(|fault| fault.line);
        all
    }
}
