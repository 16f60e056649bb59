//! What a court sends, before it is checked.

use super::content::{Bar, Visibility};
use crate::identity::{Kind, Sex};
use crate::measure::Relation;

/// An identity as sent, not yet checked.
#[derive(Clone)]
pub struct RawIdentity {
    /// What it claims to be.
    pub kind: Kind,
    /// As printed.
    pub number: String,
    /// For passports.
    pub issuing_state: Option<String>,
}

/// A decision as sent.
#[derive(Clone, Default)]
pub struct DraftDecision {
    /// The decision's number.
    pub number: String,
    /// YYYY-MM-DD.
    pub date: String,
    /// Its reasons.
    pub reasons: String,
    /// 0: no fixed term.
    pub term_months: u32,
    /// Who signed it.
    pub signer: String,
    /// YYYY-MM-DD, or empty.
    pub served_on: String,
    /// Days of grace.
    pub grace_days: u32,
    /// From the header of a migration import.
    pub attested: bool,
}

/// A listing's content as sent, not yet checked. Texts are trimmed; empty is absent.
#[derive(Clone, Default)]
pub struct Draft {
    /// 1 to 4 identities.
    pub identities: Vec<RawIdentity>,
    /// The subject's name.
    pub name: String,
    /// The subject's sex.
    pub sex: Option<Sex>,
    /// YYYY-MM-DD.
    pub birth_date: String,
    /// In years, from a court's row.
    pub age: Option<u32>,
    /// Organisations: the legal representative.
    pub representative_name: String,
    /// The decision, if made.
    pub decision: Option<DraftDecision>,
    /// 1 to 6; 0: not given.
    pub ground: u8,
    /// 案号.
    pub case_number: String,
    /// Number of the basis document.
    pub basis_document: String,
    /// Who issued it.
    pub basis_issuer: String,
    /// YYYY-MM-DD.
    pub filed_on: String,
    /// YYYY-MM-DD.
    pub published_on: String,
    /// The court's own name.
    pub court_name: String,
    /// Province.
    pub area: String,
    /// What is owed.
    pub obligation: String,
    /// State of performance.
    pub performance: String,
    /// What was performed.
    pub performed_part: String,
    /// What was not.
    pub unperformed_part: String,
    /// The conduct.
    pub conduct: String,
    /// Who may be shown it.
    pub visibility: Visibility,
    /// YYYY-MM-DD: when the risk notice was served.
    pub notice_served_on: String,
    /// The client id of the subject's own unit, where only that may be shown it.
    pub own_unit: String,
    /// What was found that bars ground ①.
    pub bars: Vec<Bar>,
}

/// What a draft has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A risk notice: no decision yet.
    Notice,
    /// A listing: decision and ground are there, and the term is not over.
    Decision,
    /// A correction of one: as [`Stage::Decision`], but the term may have been extended, or be over. The right to correction
    /// has no end (个人信息保护法 art. 46), and the listing's own term stays what it is.
    Correction,
}

/// One fault: which field, what is wrong, and the way out. Never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ContentFault {
    /// The field's path, such as `identities[0].number`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
    /// The subject is a minor: refused by rule, whatever else is right.
    pub minor: bool,
}

impl ContentFault {
    /// A fault of one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        ContentFault { field: field.into(), problem: problem.into(), minor: false }
    }
}

/// A related person as sent.
#[derive(Clone)]
pub struct DraftRelation {
    /// How the person stands to the debtor.
    pub relation: Relation,
    /// Who it is.
    pub identity: RawIdentity,
    /// The person's name.
    pub name: String,
    /// The document that shows it.
    pub basis_document: String,
    /// YYYY-MM-DD.
    pub from: String,
    /// YYYY-MM-DD or empty.
    pub until: String,
}
