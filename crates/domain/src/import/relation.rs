//! Rows of related people.

use csv::StringRecord;
use jiff::civil::Date;

use super::listing::{identity, normal_day};
use super::{Layout, MarkFault, Problems, RowFault, RowReason};
use crate::case_number::CaseNumber;
use crate::closed::closed;
use crate::fault::choose;
use crate::identity::{Identity, Kind, Source, Subject};
use crate::listing::{DraftRelation, RawIdentity, RelationContent};
use crate::measure::Relation;
use crate::time::Timestamp;

closed! {
    /// The columns of a file of relations. A row names its listing by number, or by case and subject; a file needs the
    /// columns of one of the two.
    RelationColumn {
        /// The hub's number of the listing.
        Listing = "listing",
        /// Or the case number of the listing,
        CaseCode = "caseCode",
        /// and the ID or code of its subject.
        CardNum = "cardNum",
        /// The kind of the related person's number, such as `resident_id`.
        Kind = "kind",
        /// The number.
        Number = "number",
        /// For passports: three letters. A file may do without the column.
        IssuingState = "issuingState",
        /// The related person's name.
        Name = "name",
        /// How the person stands to the subject, such as `legal_representative`.
        Role = "role",
        /// The document that shows it.
        BasisDocument = "basisDocument",
        /// First day.
        From = "from",
        /// Last day, or empty.
        Until = "until",
    }
}

/// Which listing a row belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingName {
    /// The hub's number.
    Number(u64),
    /// The court's own names for it.
    Case {
        /// The enforcement case.
        case_number: CaseNumber,
        /// The listed organisation.
        subject: Identity,
    },
}

/// One row: a related person of one listing.
#[derive(Clone, Debug)]
pub struct RelationRow {
    /// The listing.
    pub listing: ListingName,
    /// The related person.
    pub content: RelationContent,
    /// Soft faults, such as an unknown region code.
    pub warnings: Vec<String>,
}

/// Turns the rows of one file of relations into contents.
#[derive(Debug)]
pub struct RelationRows {
    layout: Layout,
}

impl RelationRows {
    /// For a file with this column row.
    ///
    /// # Errors
    ///
    /// Names every column that is unknown, missing or there twice.
    pub fn new(columns: &StringRecord) -> Result<RelationRows, MarkFault> {
        use RelationColumn as C;
        let known: Vec<&'static str> = C::ALL.iter().map(|column| column.as_str()).collect();
        let by_number = columns.iter().any(|name| name.trim() == C::Listing.as_str());
        let named_by: &[C] = if by_number { &[C::Listing] } else { &[C::CaseCode, C::CardNum] };
        let always = [C::Kind, C::Number, C::Name, C::Role, C::BasisDocument, C::From, C::Until];
        let required: Vec<&'static str> = named_by.iter().chain(&always).map(|column| column.as_str()).collect();
        Ok(RelationRows { layout: Layout::parse(columns, &known, &required)? })
    }

    /// The related person of one row; `now` decides what lies in the future and who is a minor.
    ///
    /// # Errors
    ///
    /// Every fault of the row at once.
    pub fn relation(&self, row: &StringRecord, now: Timestamp) -> Result<RelationRow, RowFault> {
        use RelationColumn as C;
        self.layout.check_width(row)?;
        let mut problems = Problems::default();
        let text = |column: C| self.layout.text(row, column as usize);
        let listing = self.listing(row, now.date(), &mut problems);
        let role = role(text(C::Role)).map_err(|hint| problems.add(C::Role.as_str(), RowReason::Field, hint)).ok();
        let kind = Kind::from_code(text(C::Kind));
        if kind.is_none() {
            let hint = choose(text(C::Kind), Kind::ALL.iter().map(|kind| kind.code()));
            problems.add(C::Kind.as_str(), RowReason::Field, format!("is unknown; {hint}"));
        }
        let (Some(kind), Some(relation)) = (kind, role) else {
            return Err(problems.into_fault());
        };
        let state = text(C::IssuingState);
        let draft = DraftRelation {
            relation,
            identity: RawIdentity {
                kind,
                number: text(C::Number).to_owned(),
                issuing_state: (!state.is_empty()).then(|| state.to_owned()),
            },
            name: text(C::Name).to_owned(),
            basis_document: text(C::BasisDocument).to_owned(),
            from: normal_day(text(C::From)).into_owned(),
            until: normal_day(text(C::Until)).into_owned(),
        };
        match (RelationContent::check(&draft, now), listing, problems.0.is_empty()) {
            (Ok((content, warnings)), Some(listing), true) => Ok(RelationRow { listing, content, warnings }),
            (Ok(_), _, _) => Err(problems.into_fault()),
            (Err(faults), _, _) => {
                problems.extend(faults, |field| column_of(field).as_str());
                Err(problems.into_fault())
            }
        }
    }

    fn listing(&self, row: &StringRecord, today: Date, problems: &mut Problems) -> Option<ListingName> {
        use RelationColumn as C;
        let text = |column: C| self.layout.text(row, column as usize);
        let (number, case_number, card) = (text(C::Listing), text(C::CaseCode), text(C::CardNum));
        if !number.is_empty() {
            return match number.parse() {
                Ok(number @ 1..) => Some(ListingName::Number(number)),
                Ok(0) | Err(_) => {
                    problems.add(C::Listing.as_str(), RowReason::Field, "must be the hub's number of the listing");
                    None
                }
            };
        }
        if case_number.is_empty() && card.is_empty() {
            let problem = "is empty; name the listing by its number, or by caseCode and cardNum";
            problems.add(C::Listing.as_str(), RowReason::Field, problem);
            return None;
        }
        let case_number = CaseNumber::parse(case_number)
            .map_err(|fault| {
                let text = fault.to_string();
                problems.add(C::CaseCode.as_str(), RowReason::Field, super::without_field(&text));
            })
            .ok();
        // Only organisations have related people (法释〔2015〕17号).
        let subject = identity(card, Subject::Organisation, today)
            .and_then(|raw| {
                Identity::parse(raw.kind, &raw.number, None, Source::Court, today)
                    .map_err(|violations| super::without_field(&violations.to_string()).to_owned())
            })
            .map_err(|problem| problems.add(C::CardNum.as_str(), RowReason::Identity, problem))
            .ok();
        Some(ListingName::Case { case_number: case_number?, subject: subject? })
    }
}

/// The relation by its code, or as the law calls it.
fn role(text: &str) -> Result<Relation, String> {
    let by_law = match text {
        "法定代表人" => Some(Relation::LegalRepresentative),
        "主要负责人" => Some(Relation::Principal),
        "实际控制人" => Some(Relation::ActualController),
        "直接责任人员" | "影响债务履行的直接责任人员" => Some(Relation::DirectlyResponsible),
        _ => None,
    };
    by_law.or_else(|| Relation::parse(text).filter(|relation| *relation != Relation::Debtor)).ok_or_else(|| {
        let codes = Relation::ALL.iter().filter(|relation| **relation != Relation::Debtor).map(|role| role.as_str());
        format!("is no role of a related person; {}", choose(text, codes))
    })
}

/// The column that a field of the content was taken from.
fn column_of(field: &str) -> RelationColumn {
    use RelationColumn as C;
    match field {
        "relation" => C::Role,
        "identity.kind" => C::Kind,
        "name" => C::Name,
        "basis_document" => C::BasisDocument,
        "from" => C::From,
        "until" => C::Until,
        // `identity` and what stands under it.
        _ => C::Number,
    }
}
