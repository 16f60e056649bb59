//! Who acts, and who can be named: three courts of which one stands above the others, three clients, persons and organisations.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use xinhub_domain::identity::{Identity, Kind, Source, synthetic};
use xinhub_domain::listing::{Content, Draft, DraftDecision, RawIdentity, Stage, Visibility};
use xinhub_domain::measure::Catalogue;
use xinhub_domain::policy::permissions::Method;
use xinhub_domain::policy::{
    LookupAsk, LookupPermit, Moment, Policy, RegistryAsk, RegistryPermit, RemedyAsk, RemedyPermit, Rules, UnitAsk,
    UnitPermit, decide,
};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::testing::{draft, organisation, person, start};

/// Everybody who acts, by number: courts first, then clients.
pub(crate) const PARTIES: [&str; 6] = ["court-one", "court-two", "court-high", "bank", "hotel", "bureau"];
/// The courts behind the first of them.
pub(crate) const COURTS: [&str; 3] = ["c-one", "c-two", "c-high"];
/// The court above the other two.
pub(crate) const HIGH: usize = 2;
/// Clients, as numbers of [`PARTIES`].
pub(crate) const CLIENTS: [usize; 3] = [3, 4, 5];
/// The client that takes petitions in, and is the own unit of whoever has one.
pub(crate) const BUREAU: usize = 5;
/// Who may release a proposal, at every court.
pub(crate) const SIGNERS: [&str; 2] = ["j-1", "j-2"];

pub(crate) const PERSONS: u16 = 30;
pub(crate) const FIRMS: u64 = 16;

const CLIENT: &str = r#"
legal_basis = "synthetic"
expires = 2027-12-31
rate_per_second = 100
daily_quota = 1_000_000
"#;

const ASKER: &str = r#"
impact_assessment = "synthetic"
reach = ["online"]
"#;

/// `court-one` goes by the statute, `court-two` by the plan; both have `court-high` above them.
fn policy() -> &'static Policy {
    static PARSED: LazyLock<Policy> = LazyLock::new(|| parsed("two", ["spc-2017", "leizhou"]));
    &PARSED
}

fn parsed(release: &str, [one, two]: [&str; 2]) -> Policy {
    let mut text = format!("format = 1\nrelease = \"{release}\"\ngo_live = 2099-01-01\n");
    let courts = [
        format!("id = \"c-one\"\nname_zh = \"合成第一法院\"\nabove = \"c-high\"\nprofile = \"{one}\""),
        format!("id = \"c-two\"\nname_zh = \"合成第二法院\"\nabove = \"c-high\"\nprofile = \"{two}\""),
        "id = \"c-high\"\nname_zh = \"合成中级法院\"".to_owned(),
    ];
    for court in courts {
        text += &format!("\n[[court]]\n{court}\nsigners = [\"j-1\", \"j-2\"]\n");
    }
    for (client, court) in PARTIES.iter().zip(COURTS) {
        text += &format!("\n[[client]]\nid = \"{client}\"\nclass = \"court\"\ncourt = \"{court}\"{CLIENT}");
    }
    for client in [
        "id = \"bank\"\nclass = \"bank\"\nunit = \"central-bank\"\nmeasures = [{ code = \"credit.lending\" }]",
        "id = \"hotel\"\nclass = \"hotel\"\nunit = \"culture-tourism\"\n\
             measures = [{ code = \"consumption.hotel\", items = [\"star_rated\"] }]",
        "id = \"bureau\"\nclass = \"unit\"\nunit = \"housing-construction\"\n\
             measures = [{ code = \"licence.construction-qualification\" }]",
    ] {
        text += &format!("\n[[client]]\n{client}{CLIENT}{ASKER}");
    }
    Policy::parse(&text, Catalogue::shipped()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn moment() -> Moment {
    Moment { now: start(), crl_expired: false }
}

/// What the ledger counts by; the first two courts' profiles may be exchanged.
pub(crate) fn rules(exchanged: bool) -> Arc<Rules> {
    static EXCHANGED: LazyLock<Policy> = LazyLock::new(|| parsed("two", ["leizhou", "spc-2017"]));
    Arc::clone(if exchanged { &EXCHANGED } else { policy() }.rules())
}

pub(crate) fn registry(party: usize) -> RegistryPermit {
    decide(policy(), PARTIES[party], Method::Publish, &RegistryAsk { court: None }, moment()).unwrap()
}

/// For files, which are taken at once: who releases one that waits is not the model's to know.
pub(crate) fn importing(party: usize) -> RegistryPermit {
    static PARSED: LazyLock<Policy> = LazyLock::new(|| parsed("one", ["spc-2017", "leizhou"]));
    decide(&PARSED, PARTIES[party], Method::ImportListings, &RegistryAsk { court: None }, moment()).unwrap()
}

pub(crate) fn remedy(party: usize) -> RemedyPermit {
    decide(policy(), PARTIES[party], Method::DecidePetition, &RemedyAsk, moment()).unwrap()
}

pub(crate) fn unit(party: usize) -> UnitPermit {
    decide(policy(), PARTIES[party], Method::Report, &UnitAsk, moment()).unwrap()
}

/// The measures by which everybody is looked up.
pub(crate) const MEASURES: [(&str, Option<&str>); 2] =
    [("credit.lending", None), ("consumption.hotel", Some("star_rated"))];

pub(crate) fn lookups() -> &'static [LookupPermit; 2] {
    static PERMITS: LazyLock<[LookupPermit; 2]> = LazyLock::new(|| {
        let of = |client, (measure, item)| {
            decide(policy(), client, Method::Check, &LookupAsk { measure, item }, moment()).unwrap()
        };
        [of("bank", MEASURES[0]), of("hotel", MEASURES[1])]
    });
    &PERMITS
}

/// One identity of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    /// A person, by resident ID.
    Person(u16),
    /// A person, by a travel permit that nothing derives from an ID.
    Permit(u16),
    /// An organisation, by credit code.
    Firm(u64),
    /// An organisation, by the organisation code within the credit code.
    Code(u64),
    /// An organisation, by a credit code that breaks the standard: kept, flagged, and equal to nothing but itself.
    Odd(u64),
}

impl Who {
    pub(crate) fn raw(self) -> RawIdentity {
        match self {
            Who::Person(number) => person(number),
            Who::Permit(number) => RawIdentity {
                kind: Kind::TravelPermitTaiwan,
                number: format!("{:08}", 10_000_000 + u32::from(number)),
                issuing_state: None,
            },
            Who::Firm(number) => organisation(number),
            Who::Code(number) => {
                let credit = synthetic::uscc("91", "440882", number);
                RawIdentity { kind: Kind::OrganisationCode, number: credit[8..17].to_owned(), issuing_state: None }
            }
            Who::Odd(number) => {
                let mut credit = synthetic::uscc("91", "440882", number);
                let check = if credit.pop() == Some('0') { '1' } else { '0' };
                credit.push(check);
                RawIdentity { kind: Kind::Uscc, number: credit, issuing_state: None }
            }
        }
    }

    /// As the ledger knows it.
    pub(crate) fn identity(self) -> &'static Identity {
        static ALL: LazyLock<HashMap<Who, Identity>> =
            LazyLock::new(|| everybody().map(|who| (who, parsed_identity(&who.raw()))).collect());
        &ALL[&self]
    }

    pub(crate) fn is_organisation(self) -> bool {
        matches!(self, Who::Firm(_) | Who::Code(_) | Who::Odd(_))
    }

    /// Whether both name the same subject: the organisation code is in the credit code.
    pub(crate) fn meets(self, other: Who) -> bool {
        match (self, other) {
            (Who::Firm(one) | Who::Code(one), Who::Firm(other) | Who::Code(other)) => one == other,
            (one, other) => one == other,
        }
    }
}

/// As a court gives it: of what is flagged it may ask too.
fn parsed_identity(raw: &RawIdentity) -> Identity {
    Identity::parse(raw.kind, &raw.number, None, Source::Court, start().date()).unwrap()
}

/// Whether two subjects have an identity in common.
pub(crate) fn meet(one: &[Who], other: &[Who]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.meets(*other)))
}

/// Everybody who can be named.
pub(crate) fn everybody() -> impl Iterator<Item = Who> {
    let persons = (0..PERSONS).flat_map(|number| [Who::Person(number), Who::Permit(number)]);
    persons.chain((0..FIRMS).flat_map(|number| [Who::Firm(number), Who::Code(number), Who::Odd(number)]))
}

/// A decision, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) date: Day,
    pub(crate) served: Option<Day>,
    pub(crate) grace: u32,
    pub(crate) attested: bool,
    /// Months by which its term was extended.
    pub(crate) extended: u32,
}

/// What a listing says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) who: Vec<Who>,
    pub(crate) case: u32,
    /// On ground ②, with a term of two years; or else on ground ①, without one.
    pub(crate) fixed: bool,
    pub(crate) decision: Option<Decided>,
    /// The service of the risk notice is recorded.
    pub(crate) noticed: bool,
    /// Only the bureau may be shown it.
    pub(crate) own_unit: bool,
    pub(crate) conduct: u32,
}

impl Facts {
    pub(crate) fn is_organisation(&self) -> bool {
        self.who.iter().any(|who| who.is_organisation())
    }

    pub(crate) fn until(&self) -> Option<Day> {
        let decision = self.decision.filter(|_| self.fixed)?;
        Some(decision.date.plus_months(24 + decision.extended))
    }

    pub(crate) fn draft(&self) -> Draft {
        // Where no identity tells the age, the court has to.
        let ageless = self.who.iter().all(|who| matches!(who, Who::Permit(_)));
        Draft {
            identities: self.who.iter().map(|who| who.raw()).collect(),
            birth_date: if ageless { "1980-01-01".to_owned() } else { String::new() },
            ground: if self.fixed { 2 } else { 1 },
            decision: self.decision.map(|decision| decision.draft(self.fixed)),
            notice_served_on: if self.noticed { "2020-01-06".to_owned() } else { String::new() },
            visibility: if self.own_unit { Visibility::OwnUnitOnly } else { Visibility::Public },
            own_unit: if self.own_unit { PARTIES[BUREAU].to_owned() } else { String::new() },
            conduct: format!("合成{}", self.conduct),
            ..draft(person(0), self.case)
        }
    }

    /// Checked as for this stage; `None`: it doesn't reach the ledger.
    pub(crate) fn content(&self, stage: Stage, now: Timestamp) -> Option<Box<Content>> {
        Content::check(&self.draft(), stage, now).ok().map(|(content, _)| Box::new(content))
    }

    /// The stage of a correction.
    pub(crate) fn correction(&self) -> Stage {
        if self.decision.is_some() { Stage::Correction } else { Stage::Notice }
    }
}

impl Decided {
    pub(crate) fn draft(&self, fixed: bool) -> DraftDecision {
        DraftDecision {
            number: "d-1".to_owned(),
            date: self.date.to_string(),
            reasons: "synthetic".to_owned(),
            term_months: if fixed { 24 } else { 0 },
            signer: "president".to_owned(),
            served_on: self.served.map(|day| day.to_string()).unwrap_or_default(),
            grace_days: self.grace,
            attested: self.attested,
        }
    }

    pub(crate) fn grace_end(&self) -> Option<Day> {
        self.served.filter(|_| self.grace > 0).map(|day| day.plus_days(self.grace))
    }
}
