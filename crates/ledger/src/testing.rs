//! What tests share, of this crate and above it: permits, synthetic listings, and a ledger on a disk in memory.
//!
//! Promise: nothing here reads the machine's clock or a real person's data, so a seed says it all.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::civil::date;
use xinhub_domain::identity::{Identity, Kind, Source, synthetic};
use xinhub_domain::listing::{
    Actor, Content, Draft, DraftDecision, DraftRelation, RawIdentity, RelationContent, Stage,
};
use xinhub_domain::measure::{Catalogue, Relation, RelationSet};
use xinhub_domain::policy::permissions::Method;
use xinhub_domain::policy::{LookupAsk, LookupPermit, Moment, Policy, RegistryAsk, RegistryPermit, decide};
use xinhub_domain::time::{Day, Timestamp};

use crate::clock::manual::ManualClock;
use crate::command::{Act, Command, ImportBatch, ImportRow, Request};
use crate::crypto;
use crate::crypto::Prf;
use crate::keys::{Keyring, Purpose};
use crate::ledger::{Ledger, OpenError, Settings};
use crate::recovery;
use crate::resident::Resident;
use crate::seglog::{LogPurpose, SegmentedLog};
use crate::storage::sim::SimStorage;
use crate::vault::{Slots, Vault};

const POLICY: &str = r#"
format = 1
release = "one"
go_live = 2099-01-01

[[court]]
id = "c-one"
name_zh = "合成第一法院"

[[court]]
id = "c-two"
name_zh = "合成第二法院"

[[client]]
id = "court-one"
class = "court"
court = "c-one"
legal_basis = "synthetic"
expires = 2027-12-31
rate_per_second = 100
daily_quota = 1_000_000

[[client]]
id = "court-two"
class = "court"
court = "c-two"
legal_basis = "synthetic"
expires = 2027-12-31
rate_per_second = 100
daily_quota = 1_000_000

[[client]]
id = "bank"
class = "bank"
unit = "central-bank"
legal_basis = "synthetic"
expires = 2027-12-31
rate_per_second = 100
daily_quota = 1_000_000
impact_assessment = "synthetic"
reach = ["online"]
measures = [{ code = "credit.lending" }]

[[client]]
id = "hotel"
class = "hotel"
unit = "culture-tourism"
legal_basis = "synthetic"
expires = 2027-12-31
rate_per_second = 100
daily_quota = 1_000_000
impact_assessment = "synthetic"
reach = ["online"]
measures = [{ code = "consumption.hotel", items = ["star_rated"] }]
"#;

/// The policy of these tests: courts `court-one` and `court-two`, a bank, a hotel.
pub fn policy() -> &'static Policy {
    static PARSED: LazyLock<Policy> =
        LazyLock::new(|| Policy::parse(POLICY, Catalogue::shipped()).unwrap_or_else(|faults| panic!("{faults}")));
    &PARSED
}

/// 2026-03-02, 10:00 in Shanghai.
pub fn start() -> Timestamp {
    Timestamp(Day::parse("2026-03-01").unwrap().end().0 + 36_000_000)
}

fn moment() -> Moment {
    Moment { now: start(), crl_expired: false }
}

/// A court's right to act, by its client id.
pub fn court(client: &str) -> RegistryPermit {
    decide(policy(), client, Method::Publish, &RegistryAsk { court: None }, moment()).unwrap()
}

/// A client's right to look up.
pub fn lookup(client: &str, measure: &str, item: Option<&str>) -> LookupPermit {
    decide(policy(), client, Method::Check, &LookupAsk { measure, item }, moment()).unwrap()
}

/// A judge.
pub fn actor(staff_id: &str) -> Actor {
    Actor::parse(staff_id, "judge").unwrap()
}

/// A person by number.
pub fn person(number: u16) -> RawIdentity {
    let born = date(1960 + (number / 1_000) as i16, 1 + (number % 12) as i8, 1 + (number % 28) as i8);
    RawIdentity {
        kind: Kind::ResidentId,
        number: synthetic::resident_id("440882", born, number % 990),
        issuing_state: None,
    }
}

/// An organisation by number.
pub fn organisation(number: u64) -> RawIdentity {
    RawIdentity { kind: Kind::Uscc, number: synthetic::uscc("91", "440882", number), issuing_state: None }
}

/// As somebody who asks gives it.
pub fn identity(raw: &RawIdentity) -> Identity {
    Identity::parse(raw.kind, &raw.number, None, Source::LookerUp, start().date()).unwrap()
}

/// A listing's draft: ground ①, decided and served the day before.
pub fn draft(subject: RawIdentity, case: u32) -> Draft {
    Draft {
        identities: vec![subject],
        name: "合成甲".to_owned(),
        decision: Some(DraftDecision {
            number: "d-1".to_owned(),
            date: "2026-02-27".to_owned(),
            reasons: "synthetic".to_owned(),
            signer: "president".to_owned(),
            served_on: "2026-02-28".to_owned(),
            ..DraftDecision::default()
        }),
        ground: 1,
        case_number: format!("(2026)粤0882执{case}号"),
        basis_document: "(2025)粤0882民初1号".to_owned(),
        basis_issuer: "合成法院".to_owned(),
        obligation: "合成数据".to_owned(),
        notice_served_on: "2020-01-06".to_owned(),
        ..Draft::default()
    }
}

/// A draft, checked.
pub fn content(draft: &Draft) -> Box<Content> {
    Box::new(Content::check(draft, Stage::Decision, start()).unwrap().0)
}

/// A related person since New Year; an empty `until` is as long as the listing.
pub fn relation(who: RawIdentity, relation: Relation, until: &str) -> Box<RelationContent> {
    let draft = DraftRelation {
        relation,
        identity: who,
        name: "合成乙".to_owned(),
        basis_document: "synthetic".to_owned(),
        from: "2026-01-01".to_owned(),
        until: until.to_owned(),
    };
    Box::new(RelationContent::check(&draft, start()).unwrap().0)
}

/// Rows as a clerk's import brings them.
pub fn batch(rows: Vec<ImportRow>) -> ImportBatch {
    let actor = actor("clerk");
    ImportBatch { actor, dry_run: false, amend: false, as_of: start(), released: None, complete: None, rows }
}

/// A ledger on a disk in memory, its clock in the test's hand.
#[derive(Debug)]
pub struct Bench {
    /// The disk.
    pub sim: SimStorage,
    /// Its keys.
    pub keyring: Arc<Keyring>,
    /// Its settings; the data directory holds the detail store alone.
    pub settings: Settings,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    _detail: tempfile::TempDir,
}

impl Bench {
    /// An empty ledger.
    pub fn new(seed: u64) -> Bench {
        let mut bench = Bench::blank(SimStorage::new(seed), Arc::new(Keyring::ephemeral()));
        bench.settings.segment_bytes = 1 << 20;
        bench.create().unwrap();
        bench
    }

    /// A disk, whatever is on it, and an empty detail store.
    pub fn blank(sim: SimStorage, keyring: Arc<Keyring>) -> Bench {
        let detail = tempfile::tempdir().unwrap();
        // A model takes a hundred thousand steps.
        let settings = Settings { lull: Duration::from_millis(1), ..Settings::new(detail.path(), "unused") };
        Bench { sim, keyring, settings, clock: Arc::new(ManualClock::at(start())), _detail: detail }
    }

    /// The same ledger on another disk, with an empty detail store; one clock for both.
    pub fn on(&self, sim: SimStorage) -> Bench {
        let blank = Bench::blank(sim, Arc::clone(&self.keyring));
        let settings = Settings { data_dir: blank.settings.data_dir.clone(), ..self.settings.clone() };
        Bench { settings, clock: Arc::clone(&self.clock), ..blank }
    }

    /// Makes an empty ledger on the disk.
    pub fn create(&self) -> Result<(), OpenError> {
        Ledger::create_on(&*self.sim.storage(), &self.keyring, &self.settings)
    }

    /// Opens the ledger.
    pub fn try_open(&self) -> Result<Ledger, OpenError> {
        let clock = Arc::clone(&self.clock);
        Ledger::open_on(self.sim.storage(), Arc::clone(&self.keyring), self.settings.clone(), clock)
    }

    /// Opens the ledger, which can't fail.
    pub fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }

    /// The state that the journal and the slot files give, folded from the first entry on without a snapshot.
    pub fn fold(&self) -> Result<Resident, String> {
        // From a copy, so that looking uses up no fault that was meant for the ledger.
        let copy = self.sim.restart(0).storage();
        let dir = |name| copy.dir(name).map_err(|error| error.to_string());
        let (log, _) =
            SegmentedLog::inspect(dir("journal")?, LogPurpose::Journal).map_err(|error| error.to_string())?;
        let slots = Slots::open(&*dir("slots")?, &self.keyring).map_err(|error| error.to_string())?;
        let epoch = log.id();
        let vault = Vault::new(Arc::new(log), &slots);
        let prf = Prf::new(self.keyring.current(Purpose::Index).bytes());
        let mut resident = Resident::new(epoch, prf);
        recovery::replay(&mut resident, &vault).map_err(|error| error.to_string())?;
        Ok(resident)
    }
}

/// A UUIDv7 at this instant.
pub fn request_id(at: Timestamp) -> [u8; 16] {
    let mut id: [u8; 16] = crypto::random();
    id[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    id
}

/// A request at the start of the test's time.
pub fn request(client: &str, staff: &str, etag: Option<u64>, command: Command) -> Request {
    request_at(start(), client, staff, etag, command)
}

/// A request whose id begins with this instant.
pub fn request_at(at: Timestamp, client: &str, staff: &str, etag: Option<u64>, command: Command) -> Request {
    Request {
        request_id: request_id(at),
        body: format!("{command:?}").into_bytes(),
        etag,
        actor: Some(actor(staff)),
        approver: None,
        act: Act::Registry(court(client), command),
    }
}

/// Asks again and again, for two minutes: other work may hold the machine up.
///
/// # Panics
/// Where nothing is answered.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..12_000 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not in time: {what}");
}

/// Which relations a bank's lending check, looking at all of them, finds.
pub fn held(ledger: &Ledger, raw: &RawIdentity) -> RelationSet {
    let permit = lookup("bank", "credit.lending", None);
    let found = ledger.probe(&permit, &identity(raw), RelationSet::ALL);
    found.map_or(RelationSet::EMPTY, |found| found.hit.relations)
}
