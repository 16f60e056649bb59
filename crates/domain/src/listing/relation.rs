//! People related to a listed organisation, and what exempts one person for a time.

use minicbor::{Decode, Encode};

use super::content::{Actor, Faults, MAX_SHORT_CHARS, check_identities};
use super::draft::{ContentFault, DraftRelation};
use crate::identity::{Identity, Subject};
use crate::measure::Relation;
use crate::name::Name;
use crate::time::{Day, Timestamp};

/// A related person (法释〔2015〕17号): reached by some measures, never itself listed.
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct RelationContent {
    /// How the person stands to the debtor; never [`Relation::Debtor`].
    #[n(0)]
    #[cbor(with = "super::codec::relation_bit")]
    pub relation: Relation,
    /// Who it is.
    #[n(1)]
    pub identity: Identity,
    /// Confirms a hit.
    #[n(2)]
    pub name: Name,
    /// The document that shows it.
    #[n(3)]
    pub basis_document: String,
    /// First day.
    #[n(4)]
    pub from: Day,
    /// Last day; `None`: as long as the listing.
    #[n(5)]
    pub until: Option<Day>,
}

impl std::fmt::Debug for RelationContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelationContent(..)")
    }
}

impl RelationContent {
    /// Checks a related person, and returns it with its soft warnings.
    pub fn check(draft: &DraftRelation, now: Timestamp) -> Result<(RelationContent, Vec<String>), Vec<ContentFault>> {
        let today = now.day();
        let mut faults = Faults(Vec::new());
        if draft.relation == Relation::Debtor {
            faults.add("relation", "a debtor is listed, not related: publish a listing");
        }
        let raw = std::slice::from_ref(&draft.identity);
        let identity =
            check_identities(raw, today.date(), &mut faults).and_then(|identities| identities.iter().next().cloned());
        for fault in &mut faults.0 {
            fault.field = fault.field.replace("identities[0]", "identity");
        }
        let name = faults.name("name", &draft.name);
        let basis_document = faults.text("basis_document", &draft.basis_document, MAX_SHORT_CHARS, true);
        let from = faults.day("from", &draft.from, today);
        if draft.from.trim().is_empty() {
            faults.add("from", "is required");
        }
        let until = match draft.until.trim() {
            "" => None,
            text => Day::parse(text).map_err(|fault| faults.add("until", fault.to_string())).ok(),
        };
        if let (Some(from), Some(until)) = (from, until)
            && until < from.max(today)
        {
            faults.add("until", "lies before `from`, or is over already");
        }
        if let Some(identity) = &identity {
            check_related(identity, today, &mut faults);
        }
        match (identity, name, from, faults.0.is_empty()) {
            (Some(identity), Some(name), Some(from), true) => {
                let warnings =
                    identity.warnings().iter().map(|warning| format!("identity.number: {warning}")).collect();
                Ok((
                    RelationContent { relation: draft.relation, identity, name, basis_document, from, until },
                    warnings,
                ))
            }
            (_, _, _, _) => Err(faults.0),
        }
    }
}

fn check_related(identity: &Identity, today: Day, faults: &mut Faults) {
    if identity.subject() != Subject::Person {
        faults.add("identity.kind", "a related person is a natural person");
    }
    if identity.is_minor(today.date()) == Some(true) {
        let mut fault = ContentFault::new("identity", "is a minor's: no measure reaches a child");
        fault.minor = true;
        faults.0.push(fault);
    }
}

/// One person's exemption from measures of one listing (法释〔2015〕17号, 法发〔2019〕35号).
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct Exemption {
    /// Who is exempted: the debtor or a related person of the listing.
    #[n(0)]
    pub identity: Identity,
    /// Measure codes; empty: all.
    #[n(1)]
    pub measures: Vec<String>,
    /// Items of these measures; empty: all.
    #[n(2)]
    pub items: Vec<String>,
    /// From this instant,
    #[n(3)]
    pub from: Timestamp,
    /// until just before this one.
    #[n(4)]
    pub until: Timestamp,
    /// Why.
    #[n(5)]
    pub ground: String,
    /// The staff id of the court's president who approved it.
    #[n(6)]
    pub approver: String,
}

impl std::fmt::Debug for Exemption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exemption(..)")
    }
}

/// Longest exemption: one month.
const MAX_EXEMPTION_MS: i64 = 31 * 86_400_000;

impl Exemption {
    /// Checks an exemption's bounds; whether the person belongs to the listing is the ledger's to see.
    pub fn check(self, now: Timestamp) -> Result<Exemption, Vec<ContentFault>> {
        let mut faults = Faults(Vec::new());
        if self.until <= self.from || self.until <= now {
            faults.add("until", "lies before `from`, or is over already");
        } else if self.until.0.saturating_sub(self.from.0) > MAX_EXEMPTION_MS {
            faults.add("until", "is at most one month after `from`");
        }
        if self.measures.is_empty() && !self.items.is_empty() {
            faults.add("items", "belong to a measure: name it");
        }
        faults.text("ground", &self.ground, MAX_SHORT_CHARS, true);
        faults.text("approver", &self.approver, Actor::MAX_CHARS, true);
        if faults.0.is_empty() { Ok(self) } else { Err(faults.0) }
    }
}
