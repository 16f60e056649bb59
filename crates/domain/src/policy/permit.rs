//! Permits, and the one function that makes them.
//!
//! A permit holds the grant that it was made from, so that what a call does can't drift from what was allowed: the
//! measure, the items, the court and the fields are read off the permit, never off the request again.

use std::sync::Arc;

use super::client::{Class, Client, Reach};
use super::permissions::{Demand, Method};
use super::{Audience, Policy, Release};
use crate::decision::FieldMask;
use crate::fault::nearest;
use crate::measure::{Catalogue, ItemId, Measure, MeasureId};
use crate::time::{Day, Timestamp};

/// When a call is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The hub's time.
    pub now: Timestamp,
    /// Whether the CRL that covers the client's certificate has run out: pinned courts may then lift, and no more.
    pub crl_expired: bool,
}

impl Moment {
    /// A moment with the CRL in order.
    pub fn at(now: Timestamp) -> Moment {
        Moment { now, crl_expired: false }
    }
}

/// Why a call is refused. Says what to do, and nothing of anybody else's grants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The certificate is good, but no grant bears its name.
    #[error("this certificate's client id is not in the hub's policy; ask the hub's operator for a grant")]
    UnknownClient,
    /// The grant has ended.
    #[error("this client's grant ended on {expired_on}; ask the hub's operator to renew it with its legal basis")]
    GrantExpired {
        /// Its last day.
        expired_on: Day,
    },
    /// The method isn't for this class.
    #[error("{method} is not open to clients of class {class}")]
    MethodNotGranted {
        /// The method.
        method: Method,
        /// The caller's class.
        class: Class,
    },
    /// The grant doesn't reach so far.
    #[error("this client is not granted the reach `{reach}`; ask the hub's operator for it, naming the purpose")]
    ReachNotGranted {
        /// The reach it takes.
        reach: Reach,
    },
    /// No such measure. `INVALID_ARGUMENT`.
    #[error("measure: is not in the catalogue; {hint}")]
    UnknownMeasure {
        /// What was probably meant.
        hint: String,
    },
    /// ASSIST, REPORT, NOT_OFFERED. `INVALID_ARGUMENT`.
    #[error("measure: {code} can't be asked: it is done on a court's order, reported, or not offered")]
    MeasureNotAskable {
        /// The measure.
        code: String,
    },
    /// Switched off here. `INVALID_ARGUMENT`.
    #[error("measure: {code} is switched off here; the hub's operator switches it on with its legal basis")]
    MeasureDisabled {
        /// The measure.
        code: String,
    },
    /// The purpose isn't granted.
    #[error(
        "measure: {code} is not granted to this client; ask the hub's operator for it through {units}, naming the legal basis"
    )]
    MeasureNotGranted {
        /// The measure.
        code: String,
        /// The units responsible for it.
        units: String,
    },
    /// The item isn't granted.
    #[error("item: {item} of {code} is not granted to this client; ask the hub's operator for it through {units}")]
    ItemNotGranted {
        /// The measure.
        code: String,
        /// The item.
        item: String,
        /// The units responsible for the measure.
        units: String,
    },
    /// Another court's listing.
    #[error("a court touches its own listings only; this one is another court's")]
    OtherCourt,
    /// The client acts for nobody.
    #[error("this client is not granted to act for subjects; ask the hub's operator for `acts_for_subjects`")]
    SubjectsNotGranted,
    /// The CRL has run out.
    #[error("the certificate revocation list has run out; until it is renewed only courts pinned for it may lift")]
    OnlyLifts,
}

impl Denial {
    /// Whether the request itself is wrong, so that no grant would help.
    pub fn is_invalid_argument(&self) -> bool {
        match self {
            Denial::UnknownMeasure { .. } | Denial::MeasureNotAskable { .. } | Denial::MeasureDisabled { .. } => true,
            Denial::UnknownClient
            | Denial::GrantExpired { .. }
            | Denial::MethodNotGranted { .. }
            | Denial::ReachNotGranted { .. }
            | Denial::MeasureNotGranted { .. }
            | Denial::ItemNotGranted { .. }
            | Denial::OtherCourt
            | Denial::SubjectsNotGranted
            | Denial::OnlyLifts => false,
        }
    }
}

/// Decides a call: who calls what, for what, when. The only maker of permits.
///
/// # Errors
/// A [`Denial`]; nothing was looked up and nothing may be.
pub fn decide<A: Ask>(
    policy: &Policy,
    client_id: &str,
    method: Method,
    ask: &A,
    moment: Moment,
) -> Result<A::Permit, Denial> {
    let client = policy.client(client_id).ok_or(Denial::UnknownClient)?;
    if client.has_expired(moment.now) {
        return Err(Denial::GrantExpired { expired_on: client.expires() });
    }
    let class = client.class();
    if !method.is_open_to(class) {
        return Err(Denial::MethodNotGranted { method, class });
    }
    if moment.crl_expired && !(method.row().is_lift && client.crl_expiry_exempt()) {
        return Err(Denial::OnlyLifts);
    }
    if let Some(reach) = method.reach(class).filter(|reach| !client.reach().contains(*reach)) {
        return Err(Denial::ReachNotGranted { reach });
    }
    // A handler that asks for another permit than its method's: refused like a method nobody is granted.
    if !ask.serves(method.row().demand) {
        return Err(Denial::MethodNotGranted { method, class });
    }
    ask.grant(policy, client)
}

/// What a call asks for. Implemented here alone.
pub trait Ask: sealed::Sealed {
    /// The permit that it leads to.
    type Permit;

    #[doc(hidden)]
    fn serves(&self, demand: Demand) -> bool;
    #[doc(hidden)]
    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<Self::Permit, Denial>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::SessionAsk {}
    impl Sealed for super::LookupAsk<'_> {}
    impl Sealed for super::DetailAsk {}
    impl Sealed for super::RegistryAsk<'_> {}
    impl Sealed for super::RemedyAsk {}
    impl Sealed for super::UnitAsk {}
    impl Sealed for super::SubjectAsk {}
    impl Sealed for super::SyncAsk {}
    impl Sealed for super::AdminAsk {}
}

/// To be heard at all: before a body is read, for quotas, health and reflection. Leads to no data.
#[derive(Clone, Copy, Debug)]
pub struct SessionAsk;

/// To look somebody up for a measure.
#[derive(Clone, Copy, Debug)]
pub struct LookupAsk<'a> {
    /// The measure's code: the purpose.
    pub measure: &'a str,
    /// The item, if one was named. Whether the measure needs one, or has it, is the decision's business.
    pub item: Option<&'a str>,
}

/// To read listings.
#[derive(Clone, Copy, Debug)]
pub struct DetailAsk;

/// To change a court's listings.
#[derive(Clone, Copy, Debug)]
pub struct RegistryAsk<'a> {
    /// The court whose listing is touched, where it is known beforehand; otherwise [`RegistryPermit::touches`] decides.
    pub court: Option<&'a str>,
}

/// To take in or decide what a party asks, or to see the clocks of it.
#[derive(Clone, Copy, Debug)]
pub struct RemedyAsk;

/// To report what was done with a listing, or to see one's own duties.
#[derive(Clone, Copy, Debug)]
pub struct UnitAsk;

/// To act for the person or organisation concerned, after an identity check.
#[derive(Clone, Copy, Debug)]
pub struct SubjectAsk;

/// To keep a replica of one's audience.
#[derive(Clone, Copy, Debug)]
pub struct SyncAsk;

/// To see the hub's state.
#[derive(Clone, Copy, Debug)]
pub struct AdminAsk;

/// The right to be heard.
#[derive(Debug)]
pub struct SessionPermit {
    client: Arc<Client>,
}

/// The right to look up one measure.
#[derive(Debug)]
pub struct LookupPermit {
    client: Arc<Client>,
    catalogue: Arc<Catalogue>,
    measure: MeasureId,
    item: Option<ItemId>,
    limit_fen: Option<u64>,
}

/// The right to read listings: a court its own, others those behind their answers.
#[derive(Debug)]
pub struct DetailPermit {
    client: Arc<Client>,
}

/// How many people it takes to restrict somebody, and who at a court may be the second of them.
#[derive(Clone, Debug)]
pub struct Signing {
    release: Release,
    signers: Arc<[String]>,
    additions_alone_percent: u8,
}

/// The right to change one court's listings.
#[derive(Debug)]
pub struct RegistryPermit {
    client: Arc<Client>,
    court: Arc<str>,
    signing: Signing,
    grace_max_days: u32,
}

/// The right to take in or decide what parties ask. Of which listings and petitions, the ledger decides by court and client.
#[derive(Debug)]
pub struct RemedyPermit {
    client: Arc<Client>,
    court: Option<Arc<str>>,
    courts_below: Vec<Arc<str>>,
    signing: Signing,
}

/// The right to report what one did with a listing that one was told of.
#[derive(Debug)]
pub struct UnitPermit {
    client: Arc<Client>,
    catalogue: Arc<Catalogue>,
}

/// The right to see, for the person or organisation concerned, what the hub keeps of them. What only the subject's own unit may be
/// shown stays hidden from all but that unit, its court and the court above.
#[derive(Debug)]
pub struct SubjectPermit {
    client: Arc<Client>,
    court: Option<Arc<str>>,
    courts_below: Vec<Arc<str>>,
}

/// The right to keep a replica of one audience.
#[derive(Debug)]
pub struct SyncPermit {
    client: Arc<Client>,
    audience: Arc<Audience>,
    catalogue: Arc<Catalogue>,
    measures: Vec<ReplicaMeasure>,
}

/// A measure that a replica may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaMeasure {
    /// The measure, in the permit's catalogue.
    pub measure: MeasureId,
    /// Those of its items that are granted.
    pub items: Vec<Arc<str>>,
    /// The limit configured for it, in fen.
    pub limit_fen: Option<u64>,
}

/// The right to see the hub's state.
#[derive(Debug)]
pub struct AdminPermit {
    client: Arc<Client>,
}

macro_rules! client_of {
    ($($permit:ident),+) => {
        $(impl $permit {
            /// The client that was permitted, with its grant as it stood.
            pub fn client(&self) -> &Client {
                &self.client
            }
        })+
    };
}

client_of!(
    SessionPermit,
    LookupPermit,
    DetailPermit,
    RegistryPermit,
    RemedyPermit,
    UnitPermit,
    SubjectPermit,
    SyncPermit,
    AdminPermit
);

impl LookupPermit {
    /// The measure, in the catalogue in force when it was permitted.
    pub fn measure(&self) -> &Measure {
        // `LookupAsk::grant` found the measure in this very catalogue.
        &self.catalogue.measures()[self.measure.index()]
    }

    /// The item asked for; `None` where none was named, or none that the measure has.
    pub fn item(&self) -> Option<ItemId> {
        self.item
    }

    /// The limit configured for the measure, in fen.
    pub fn limit_fen(&self) -> Option<u64> {
        self.limit_fen
    }

    /// What the caller sees of an answer.
    pub fn fields(&self) -> FieldMask {
        self.client.fields()
    }
}

impl DetailPermit {
    /// Whether a listing of this court may be read.
    ///
    /// # Errors
    /// [`Denial::OtherCourt`] for a court that reads another's.
    pub fn reads(&self, court: &str) -> Result<(), Denial> {
        match self.own_court() {
            Some(own) if own != court => Err(Denial::OtherCourt),
            Some(_) | None => Ok(()),
        }
    }

    /// The court that reads its own listings; `None` for a reader with the reach `detail`.
    pub fn own_court(&self) -> Option<&str> {
        self.client.court()
    }
}

impl RegistryPermit {
    /// The court whose listings may be changed.
    pub fn court(&self) -> &str {
        &self.court
    }

    /// Whether a listing of this court may be changed.
    ///
    /// # Errors
    /// [`Denial::OtherCourt`] for any court but the client's.
    pub fn touches(&self, court: &str) -> Result<(), Denial> {
        if court == &*self.court { Ok(()) } else { Err(Denial::OtherCourt) }
    }

    /// The longest period of grace that may be granted, in days.
    pub fn grace_max_days(&self) -> u32 {
        self.grace_max_days
    }

    /// Who releases what another of the court's staff decided.
    pub fn signing(&self) -> &Signing {
        &self.signing
    }

    /// How many actors it takes to list somebody.
    pub fn release(&self) -> Release {
        self.signing.release
    }
}

impl Signing {
    fn of(policy: &Policy, court: Option<&str>) -> Signing {
        let signers = court.and_then(|court| policy.court(court)).map(|court| Arc::clone(&court.signers));
        let additions_alone_percent = policy.additions_alone_percent;
        Signing { release: policy.release(), signers: signers.unwrap_or_default(), additions_alone_percent }
    }

    /// How many actors it takes to restrict somebody.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Whether so many additions of a complete list, beside so many listings in force, take a second person.
    pub fn additions_wait(&self, additions: u64, in_force: u64) -> bool {
        let (share, allowed) =
            (u128::from(additions) * 100, u128::from(in_force) * u128::from(self.additions_alone_percent));
        self.release == Release::Two && share > allowed
    }

    /// Whether this member of the court's staff may release what another proposed: everybody where one actor lists, and else
    /// the court's authorised signers.
    pub fn is_signer(&self, staff_id: &str) -> bool {
        match self.release {
            Release::One => true,
            Release::Two => self.signers.iter().any(|signer| signer == staff_id),
        }
    }
}

impl RemedyPermit {
    /// Who releases what another of the acting court's staff decided, own court or the court above; a unit has nobody.
    pub fn signing(&self) -> &Signing {
        &self.signing
    }

    /// The court that acts; `None` for a unit.
    pub fn court(&self) -> Option<&str> {
        self.court.as_deref()
    }

    /// Whether the client's court is this one.
    pub fn is_court(&self, court: &str) -> bool {
        self.court() == Some(court)
    }

    /// Whether the client's court hears this court's reconsiderations.
    pub fn is_above(&self, court: &str) -> bool {
        self.courts_below.iter().any(|below| **below == *court)
    }
}

impl SubjectPermit {
    /// Whether a listing that only its own unit may be shown is shown to this client all the same.
    pub fn sees_own_unit_only(&self, court: &str, own_unit: Option<&str>) -> bool {
        let own_court = self.court.as_deref() == Some(court);
        own_court || self.courts_below.iter().any(|below| **below == *court) || own_unit == Some(self.client.id())
    }
}

impl SyncPermit {
    /// The audience.
    pub fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// The catalogue in force.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What the replica may be asked for.
    pub fn measures(&self) -> &[ReplicaMeasure] {
        &self.measures
    }

    /// Whether the replica may have this reach.
    pub fn may_hold(&self, reach: Reach) -> bool {
        self.client.reach().contains(reach)
    }
}

impl UnitPermit {
    /// The catalogue in force.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}

impl Ask for SessionAsk {
    type Permit = SessionPermit;

    fn serves(&self, demand: Demand) -> bool {
        match demand {
            Demand::Session
            | Demand::Lookup
            | Demand::Detail
            | Demand::Registry
            | Demand::Remedy
            | Demand::Unit
            | Demand::Subject
            | Demand::Sync
            | Demand::Admin => true,
        }
    }

    fn grant(&self, _policy: &Policy, client: &Arc<Client>) -> Result<SessionPermit, Denial> {
        Ok(SessionPermit { client: Arc::clone(client) })
    }
}

impl Ask for LookupAsk<'_> {
    type Permit = LookupPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Lookup
    }

    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<LookupPermit, Denial> {
        let catalogue = policy.catalogue();
        let measure = catalogue.measure(self.measure).ok_or_else(|| self.unknown_measure(catalogue))?;
        let code = || measure.code.to_string();
        if !measure.is_askable() {
            return Err(Denial::MeasureNotAskable { code: code() });
        }
        if !measure.enabled {
            return Err(Denial::MeasureDisabled { code: code() });
        }
        let grant = client
            .grant(measure.id)
            .ok_or_else(|| Denial::MeasureNotGranted { code: code(), units: units(measure, catalogue) })?;
        let item = self.item.and_then(|item| measure.item(item));
        if let Some(id) = item.filter(|item| !grant.covers(*item)) {
            let item = measure.items[id.index()].to_string();
            return Err(Denial::ItemNotGranted { code: code(), item, units: units(measure, catalogue) });
        }
        Ok(LookupPermit {
            client: Arc::clone(client),
            catalogue: Arc::clone(catalogue),
            measure: measure.id,
            item,
            limit_fen: policy.limit_fen(measure.id),
        })
    }
}

impl LookupAsk<'_> {
    /// The code given is not repeated: somebody's number may have been put into the wrong field.
    fn unknown_measure(&self, catalogue: &Catalogue) -> Denial {
        let hint = match nearest(self.measure, catalogue.measures().iter().map(|measure| &*measure.code)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the codes are those of the hub's catalogue, such as `credit.lending`".to_owned(),
        };
        Denial::UnknownMeasure { hint }
    }
}

/// The names of the units responsible for a measure.
fn units(measure: &Measure, catalogue: &Catalogue) -> String {
    let names = measure.units.iter().filter_map(|code| catalogue.unit(code)).map(|unit| unit.name_zh.as_str());
    names.collect::<Vec<_>>().join("、")
}

impl Ask for DetailAsk {
    type Permit = DetailPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Detail
    }

    fn grant(&self, _policy: &Policy, client: &Arc<Client>) -> Result<DetailPermit, Denial> {
        Ok(DetailPermit { client: Arc::clone(client) })
    }
}

impl Ask for RegistryAsk<'_> {
    type Permit = RegistryPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Registry
    }

    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<RegistryPermit, Denial> {
        // The table opens registry methods to courts alone, and a client of class court has one.
        let court = client.court.as_ref().ok_or(Denial::OtherCourt)?;
        let permit = RegistryPermit {
            client: Arc::clone(client),
            court: Arc::clone(court),
            signing: Signing::of(policy, Some(court)),
            grace_max_days: policy.grace_max_days(),
        };
        match self.court {
            Some(touched) => permit.touches(touched).map(|()| permit),
            None => Ok(permit),
        }
    }
}

impl Ask for RemedyAsk {
    type Permit = RemedyPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Remedy
    }

    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<RemedyPermit, Denial> {
        let (court, courts_below) = (client.court.clone(), courts_below(policy, client));
        let signing = Signing::of(policy, court.as_deref());
        Ok(RemedyPermit { client: Arc::clone(client), court, courts_below, signing })
    }
}

/// The courts whose reconsiderations this client's court hears.
fn courts_below(policy: &Policy, client: &Client) -> Vec<Arc<str>> {
    let Some(court) = &client.court else { return Vec::new() };
    let below = policy.courts().iter().filter(|one| one.above() == Some(court));
    below.map(|one| Arc::clone(&one.id)).collect()
}

impl Ask for SubjectAsk {
    type Permit = SubjectPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Subject
    }

    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<SubjectPermit, Denial> {
        if client.court.is_none() && !client.acts_for_subjects {
            return Err(Denial::SubjectsNotGranted);
        }
        let (court, courts_below) = (client.court.clone(), courts_below(policy, client));
        Ok(SubjectPermit { client: Arc::clone(client), court, courts_below })
    }
}

impl Ask for UnitAsk {
    type Permit = UnitPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Unit
    }

    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<UnitPermit, Denial> {
        Ok(UnitPermit { client: Arc::clone(client), catalogue: Arc::clone(policy.catalogue()) })
    }
}

impl Ask for SyncAsk {
    type Permit = SyncPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Sync
    }

    fn grant(&self, policy: &Policy, client: &Arc<Client>) -> Result<SyncPermit, Denial> {
        let granted = client.reach();
        let denied = || Denial::ReachNotGranted { reach: Reach::Filter };
        if !granted.contains(Reach::Filter) && !granted.contains(Reach::Exact) {
            return Err(denied());
        }
        // A policy that exists names an audience of its own wherever it grants a replica.
        let audience = policy.audiences().iter().find(|audience| Some(audience.id()) == client.audience());
        let audience = Arc::clone(audience.ok_or_else(denied)?);
        let catalogue = policy.catalogue();
        let rows = audience.measures().iter().filter_map(|measure| catalogue.by_id(*measure));
        let measures = rows.map(|row| {
            let covered = |item: &&Arc<str>| {
                row.item(item).is_some_and(|item| client.grant(row.id).is_some_and(|grant| grant.covers(item)))
            };
            ReplicaMeasure {
                items: row.items.iter().filter(covered).cloned().collect(),
                limit_fen: policy.limit_fen(row.id),
                measure: row.id,
            }
        });
        let measures = measures.collect();
        Ok(SyncPermit { client: Arc::clone(client), audience, catalogue: Arc::clone(catalogue), measures })
    }
}

impl Ask for AdminAsk {
    type Permit = AdminPermit;

    fn serves(&self, demand: Demand) -> bool {
        demand == Demand::Admin
    }

    fn grant(&self, _policy: &Policy, client: &Arc<Client>) -> Result<AdminPermit, Denial> {
        Ok(AdminPermit { client: Arc::clone(client) })
    }
}
