//! What the tests of this crate share: permits, synthetic listings, and a ledger on a disk in memory.

use std::sync::Arc;

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
use crate::command::{Command, Request};
use crate::crypto;
use crate::keys::Keyring;
use crate::ledger::{Ledger, Settings};
use crate::storage::sim::SimStorage;

const POLICY: &str = r#"
format = 1
release = "one"

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

/// The policy of these tests.
pub(crate) fn policy() -> Policy {
    Policy::parse(POLICY, &Catalogue::shipped()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// 2026-03-02, 10:00 in Shanghai.
pub(crate) fn start() -> Timestamp {
    Timestamp(Day::parse("2026-03-01").unwrap().end().0 + 36_000_000)
}

fn moment() -> Moment {
    Moment { now: start(), crl_expired: false }
}

pub(crate) fn court(client: &str) -> RegistryPermit {
    decide(&policy(), client, Method::Publish, &RegistryAsk { court: None }, moment()).unwrap()
}

pub(crate) fn lookup(client: &str, measure: &str, item: Option<&str>) -> LookupPermit {
    decide(&policy(), client, Method::Check, &LookupAsk { measure, item }, moment()).unwrap()
}

pub(crate) fn actor(staff_id: &str) -> Actor {
    Actor::parse(staff_id, "judge").unwrap()
}

/// A person by number.
pub(crate) fn person(number: u16) -> RawIdentity {
    let born = date(1960 + (number / 1_000) as i16, 1 + (number % 12) as i8, 1 + (number % 28) as i8);
    RawIdentity {
        kind: Kind::ResidentId,
        number: synthetic::resident_id("440882", born, number % 990),
        issuing_state: None,
    }
}

/// An organisation by number.
pub(crate) fn organisation(number: u64) -> RawIdentity {
    RawIdentity { kind: Kind::Uscc, number: synthetic::uscc("91", "440882", number), issuing_state: None }
}

pub(crate) fn identity(raw: &RawIdentity) -> Identity {
    Identity::parse(raw.kind, &raw.number, None, Source::LookerUp, start().date()).unwrap()
}

/// A listing's draft: ground ①, decided and served the day before.
pub(crate) fn draft(subject: RawIdentity, case: u32) -> Draft {
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
        ..Draft::default()
    }
}

pub(crate) fn content(draft: &Draft) -> Box<Content> {
    Box::new(Content::check(draft, Stage::Decision, start()).unwrap().0)
}

pub(crate) fn relation(who: RawIdentity, relation: Relation, until: &str) -> Box<RelationContent> {
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

/// A ledger on a disk in memory, its clock in the test's hand.
pub(crate) struct Bench {
    pub sim: SimStorage,
    pub keyring: Arc<Keyring>,
    pub settings: Settings,
    pub clock: Arc<ManualClock>,
    pub _detail: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Bench {
        let detail = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(detail.path(), "unused");
        settings.segment_bytes = 1 << 20;
        let bench = Bench {
            sim: SimStorage::new(seed),
            keyring: Arc::new(Keyring::ephemeral()),
            settings,
            clock: Arc::new(ManualClock::at(start())),
            _detail: detail,
        };
        Ledger::create_on(&*bench.sim.storage(), &bench.keyring, &bench.settings).unwrap();
        bench
    }

    pub(crate) fn open(&self) -> Ledger {
        let clock = Arc::clone(&self.clock);
        Ledger::open_on(self.sim.storage(), Arc::clone(&self.keyring), self.settings.clone(), clock).unwrap()
    }
}

/// A UUIDv7 at this instant.
pub(crate) fn request_id(at: Timestamp) -> [u8; 16] {
    let mut id: [u8; 16] = crypto::random();
    id[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    id
}

pub(crate) fn request(client: &str, staff: &str, etag: Option<u64>, command: Command) -> Request {
    Request {
        permit: court(client),
        request_id: request_id(start()),
        body: format!("{command:?}").into_bytes(),
        etag,
        actor: actor(staff),
        command,
    }
}

/// Which relations a bank's lending check, looking at all of them, finds.
pub(crate) fn held(ledger: &Ledger, raw: &RawIdentity) -> RelationSet {
    let permit = lookup("bank", "credit.lending", None);
    let found = ledger.probe(&permit, &identity(raw), RelationSet::ALL);
    found.map_or(RelationSet::EMPTY, |found| found.hit.relations)
}
