//! A client and its grant, as checked.

use std::sync::Arc;

use super::POLICY_FILE;
use crate::closed::closed;
use crate::decision::FieldMask;
use crate::fault::Fault;
use crate::measure::{Catalogue, ItemId, MeasureId};
use crate::time::{Day, Timestamp};

closed! {
    /// The asker class of a client: the role of the permit table.
    Class {
        /// A court: lists, lifts, and reads its own listings.
        Court = "court",
        /// A responsible unit (责任单位).
        Unit = "unit",
        /// A bank.
        Bank = "bank",
        /// An insurer.
        Insurer = "insurer",
        /// A hotel or another place of lodging. One bit.
        Hotel = "hotel",
        /// A travel agency. One bit.
        TravelAgency = "travel_agency",
        /// A ticket desk for rail or air. One bit.
        Ticketing = "ticketing",
        /// A procurement or public-resource platform.
        ProcurementPlatform = "procurement_platform",
        /// A credit bureau.
        CreditBureau = "credit_bureau",
        /// An auditor: sees what the hub did, and nobody's data.
        Auditor = "auditor",
        /// An operator of the hub: sees its state, and nobody's data.
        Operator = "operator",
    }
}

impl Class {
    /// Whether the class gets one bit and the slip, whatever is granted: hotels and travel.
    pub fn is_one_bit(self) -> bool {
        match self {
            Class::Hotel | Class::TravelAgency | Class::Ticketing => true,
            Class::Court
            | Class::Unit
            | Class::Bank
            | Class::Insurer
            | Class::ProcurementPlatform
            | Class::CreditBureau
            | Class::Auditor
            | Class::Operator => false,
        }
    }

    /// Whether the class may be granted measures at all.
    pub fn asks(self) -> bool {
        match self {
            Class::Auditor | Class::Operator => false,
            Class::Court
            | Class::Unit
            | Class::Bank
            | Class::Insurer
            | Class::Hotel
            | Class::TravelAgency
            | Class::Ticketing
            | Class::ProcurementPlatform
            | Class::CreditBureau => true,
        }
    }

    /// Whether a supervising unit must be named: everyone who asks and is no court.
    pub fn needs_unit(self) -> bool {
        self.asks() && self != Class::Court
    }
}

closed! {
    /// A way of asking. None implies another.
    Reach {
        /// Calls to the hub.
        Online = "online",
        /// A local filter: says "certainly not listed" or "ask".
        Filter = "filter",
        /// A local copy of the audience's list, which its holder can enumerate.
        Exact = "exact",
        /// Reading listings.
        Detail = "detail",
    }
}

/// The reaches of a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReachSet(u8);

impl ReachSet {
    /// Whether the reach is granted.
    pub fn contains(self, reach: Reach) -> bool {
        self.0 & Self::bit(reach) != 0
    }

    /// Whether nothing is granted.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn bit(reach: Reach) -> u8 {
        match reach {
            Reach::Online => 1,
            Reach::Filter => 2,
            Reach::Exact => 4,
            Reach::Detail => 8,
        }
    }
}

impl FromIterator<Reach> for ReachSet {
    fn from_iter<I: IntoIterator<Item = Reach>>(reaches: I) -> Self {
        ReachSet(reaches.into_iter().fold(0, |bits, reach| bits | ReachSet::bit(reach)))
    }
}

/// What a client may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Checks per second, sustained. An inquiry of a batch counts as a check.
    pub rate_per_second: u32,
    /// Checks at once.
    pub burst: u32,
    /// Checks per day in Asia/Shanghai.
    pub daily: u64,
}

/// One granted measure, with its items as bits by `ItemId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) measure: MeasureId,
    pub(super) items: u32,
}

impl Grant {
    pub(super) fn covers(self, item: ItemId) -> bool {
        self.items & (1 << item.index()) != 0
    }
}

/// A client: one system with one certificate, and what it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub(super) id: Arc<str>,
    pub(super) class: Class,
    pub(super) court: Option<Arc<str>>,
    pub(super) unit: Option<Arc<str>>,
    pub(super) legal_basis: String,
    pub(super) impact_assessment: Option<String>,
    pub(super) expires: Day,
    pub(super) reach: ReachSet,
    pub(super) audience: Option<Arc<str>>,
    pub(super) grants: Vec<Grant>,
    pub(super) fields: FieldMask,
    pub(super) quota: Quota,
    pub(super) crl_expiry_exempt: bool,
    pub(super) acts_for_subjects: bool,
    pub(super) audit_class: Arc<str>,
    /// Where it stands in the file, for warnings.
    pub(super) line: usize,
    pub(super) key: String,
}

impl Client {
    /// Its id, the last part of the certificate's URI SAN.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its asker class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The court it acts for, for class `court`.
    pub fn court(&self) -> Option<&str> {
        self.court.as_deref()
    }

    /// The unit that supervises it.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The legal basis of the grant.
    pub fn legal_basis(&self) -> &str {
        &self.legal_basis
    }

    /// The number of the impact assessment (个人信息保护法 arts. 55–56).
    pub fn impact_assessment(&self) -> Option<&str> {
        self.impact_assessment.as_deref()
    }

    /// The last day of the grant, until 24:00 Asia/Shanghai.
    pub fn expires(&self) -> Day {
        self.expires
    }

    /// How it may ask.
    pub fn reach(&self) -> ReachSet {
        self.reach
    }

    /// The audience whose replica it may keep.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// What it sees of an answer.
    pub fn fields(&self) -> FieldMask {
        self.fields
    }

    /// What it may spend.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Whether it may still lift after its CRL has run out.
    pub fn crl_expiry_exempt(&self) -> bool {
        self.crl_expiry_exempt
    }

    /// Whether it acts for subjects after an identity check. Courts do by right.
    pub fn acts_for_subjects(&self) -> bool {
        self.acts_for_subjects || self.court.is_some()
    }

    /// The class under whose key the audit digests this client's subjects, so that records of two classes don't join.
    pub fn audit_class(&self) -> &Arc<str> {
        &self.audit_class
    }

    /// The granted measures.
    pub fn measures(&self) -> impl Iterator<Item = MeasureId> {
        self.grants.iter().map(|grant| grant.measure)
    }

    /// The items granted of a measure, as its catalogue spells them; empty where it has none or isn't granted.
    pub fn items<'c>(&self, measure: MeasureId, catalogue: &'c Catalogue) -> Vec<&'c str> {
        let (Some(grant), Some(row)) = (self.grant(measure), catalogue.by_id(measure)) else {
            return Vec::new();
        };
        let granted = |code: &&Arc<str>| row.item(code).is_some_and(|item| grant.covers(item));
        row.items.iter().filter(granted).map(|code| &**code).collect()
    }

    /// Whether the measure is granted to it.
    pub fn is_granted(&self, measure: MeasureId) -> bool {
        self.grant(measure).is_some()
    }

    pub(super) fn grant(&self, measure: MeasureId) -> Option<Grant> {
        self.grants.iter().copied().find(|grant| grant.measure == measure)
    }

    /// Whether the grant has run out at this instant.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.expires.end()
    }

    pub(super) fn expiry_warning(&self, now: Timestamp, days: u32) -> Option<Fault> {
        let problem = if self.has_expired(now) {
            format!("the grant of {} ended on {}; every call is refused", self.id, self.expires)
        } else if now.day().plus_days(days) >= self.expires {
            format!("the grant of {} ends on {}", self.id, self.expires)
        } else {
            return None;
        };
        Some(Fault {
            file: POLICY_FILE.to_owned(),
            line: Some(self.line),
            column: None,
            key: format!("{}.expires", self.key),
            problem,
            fix: "renew it with its legal basis, or take the client out".to_owned(),
        })
    }
}
