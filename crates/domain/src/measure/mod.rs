//! The catalogue of measures: what a unit may restrict, whom it catches, what else must hold, and what an answer
//! `UNKNOWN` means for it.
//!
//! A [`Catalogue`] that exists is consistent: every code is unique, every unit exists, every row that can be asked says
//! what to do with `UNKNOWN`, and everything a row can express is understood. The shipped one is the implementation plan
//! of Leizhou as 51 measures; another may be configured.

mod parse;
mod relation;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use hashbrown::HashMap;

use crate::closed::closed;
use crate::decision::Verdict;
use crate::fault::Faults;

pub use relation::{Relation, RelationSet};

/// The shipped table of measures, as `catalogue/measures.tsv`.
pub const SHIPPED_MEASURES_TSV: &str = include_str!("../../catalogue/measures.tsv");
/// The shipped table of responsible units, as `catalogue/units.tsv`.
pub const SHIPPED_UNITS_TSV: &str = include_str!("../../catalogue/units.tsv");

closed! {
    /// What a measure does to whom it catches.
    Effect {
        /// Must be refused.
        Prohibit = "PROHIBIT",
        /// Something granted is stopped for now.
        Suspend = "SUSPEND",
        /// Something granted is ended.
        Terminate = "TERMINATE",
        /// Something granted is taken back.
        Withdraw = "WITHDRAW",
        /// Allowed up to an amount.
        Limit = "LIMIT",
        /// One fact among others; a person decides.
        Reference = "REFERENCE",
        /// Look harder; a person decides.
        StrictReview = "STRICT_REVIEW",
        /// Inspect more often.
        Supervise = "SUPERVISE",
        /// An officer is listed; the organisation itself is not.
        Inform = "INFORM",
        /// Done on a court's order, never looked up.
        Assist = "ASSIST",
        /// A report from the court, never looked up.
        Report = "REPORT",
        /// Not offered by the hub at all.
        NotOffered = "NOT_OFFERED",
    }
}

impl Effect {
    /// The verdict that this effect leads to on a hit; `None` for what is no lookup.
    ///
    /// 个人信息保护法 art. 24: where the effect isn't a restriction that the plan orders, a person decides.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Effect::Prohibit | Effect::Suspend | Effect::Terminate | Effect::Withdraw | Effect::Limit => {
                Some(Verdict::Restricted)
            }
            Effect::Reference | Effect::StrictReview | Effect::Supervise | Effect::Inform => Some(Verdict::Consider),
            Effect::Assist | Effect::Report | Effect::NotOffered => None,
        }
    }
}

closed! {
    /// In what capacity an officer serves the organisation that is asked about.
    Capacity {
        /// 法定代表人.
        LegalRepresentative = "legal_representative",
        /// 主要负责人.
        Principal = "principal",
        /// 实际控制人.
        ActualController = "actual_controller",
        /// 董事.
        Director = "director",
        /// 监事.
        Supervisor = "supervisor",
        /// 高级管理人员.
        SeniorManager = "senior_manager",
    }
}

closed! {
    /// What a caller does with `UNKNOWN`. Never a refusal.
    OnUnknown {
        /// Go on as if clear (consumption).
        Proceed = "proceed",
        /// Ask again, then let a person decide (lending, licences, offices).
        AskAgainThenPerson = "ask_again_then_person",
        /// Ask again until the cut-off and keep the evidence (procurement).
        RetryUntilCutoff = "retry_until_cutoff",
    }
}

closed! {
    /// Which kind of subject a measure restricts. The wrong kind answers `CLEAR(OUT_OF_SCOPE)` without a probe.
    SubjectSort {
        /// Persons and organisations.
        Either = "debtor",
        /// Natural persons: who is asked about is the person, never a corporate payer.
        Person = "debtor_person",
        /// Organisations.
        Organisation = "debtor_organisation",
    }
}

/// Whom a measure catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restricted {
    /// The relations to a listing that the measure reaches: the mask of a lookup. Empty for what is no lookup.
    pub relations: RelationSet,
    /// The kind of subject that it is asked about.
    pub sort: SubjectSort,
    /// Whether it concerns every debtor under enforcement, listed or not (reports to public bodies; never looked up).
    pub all_enforcement_debtors: bool,
}

closed! {
    /// How a measure reaches someone who is already in post.
    Procedure {
        /// 按照有关程序依法免去其职务.
        RemovalByProcedure = "removal_by_procedure",
        /// 按规定程序要求予以变更.
        ChangeByProcedure = "change_by_procedure",
    }
}

/// What else must hold before a hit has the row's effect. Answered by the caller or left open, never guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing else.
    None,
    /// `in_post`: a manner, not a gate. A candidate is refused; who is in post goes by the procedure.
    InPost(Procedure),
    /// The thing was acquired after the listing took effect. Answered with a date.
    AcquiredAfterListing,
    /// Spending above the configured limit. Answered with an amount in fen.
    AmountRequired,
    /// A fact that the caller knows, by its code. Answered met or not met.
    Fact(Arc<str>),
    /// Only on a court's order (rows that are no lookup).
    CourtOrder,
    /// Reported to this unit (rows that are no lookup).
    Recipient(Arc<str>),
}

impl Condition {
    /// The name under which a caller answers it; `None` where there is nothing to answer.
    pub fn name(&self) -> Option<&str> {
        match self {
            Condition::InPost(_) => Some("in_post"),
            Condition::AcquiredAfterListing => Some("acquired_after_listing"),
            Condition::AmountRequired => Some("amount_required"),
            Condition::Fact(code) => Some(code),
            Condition::None | Condition::CourtOrder | Condition::Recipient(_) => None,
        }
    }

    /// What an answer to it looks like, in words.
    pub fn expects(&self) -> &'static str {
        match self {
            Condition::AcquiredAfterListing => "a date (YYYY-MM-DD)",
            Condition::AmountRequired => "an amount in fen",
            Condition::InPost(_) | Condition::Fact(_) => "met or not met",
            Condition::None | Condition::CourtOrder | Condition::Recipient(_) => "nothing",
        }
    }
}

/// A measure's place in its catalogue: stable for the life of that catalogue, and nowhere beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeasureId(u16);

impl MeasureId {
    /// As an index into tables made for the same catalogue.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// An item's place in its measure's list, such as `flight` in `consumption.rail-air`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(u8);

impl ItemId {
    /// As an index, below [`MAX_ITEMS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Items that one measure may have.
pub const MAX_ITEMS: usize = 32;

/// One row of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Where it stands in its catalogue.
    pub id: MeasureId,
    /// Its code: the purpose that a caller names.
    pub code: Arc<str>,
    /// The section of the plan that orders it, such as `2.7.2`.
    pub section: String,
    /// Its title in the plan's words.
    pub title_zh: String,
    /// What it does.
    pub effect: Effect,
    /// Whom it catches.
    pub restricted: Restricted,
    /// Officers who are looked at when their organisation is asked about. Empty: officers are not looked at.
    pub also_check: Vec<Capacity>,
    /// What an officer's own listing then does. Set exactly when `also_check` is not empty.
    pub also_effect: Option<Effect>,
    /// The items it is asked for. Empty: it is asked without an item.
    pub items: Vec<Arc<str>>,
    /// What else must hold.
    pub condition: Condition,
    /// What a caller does with `UNKNOWN`. Set for every measure that can be asked.
    pub on_unknown: Option<OnUnknown>,
    /// Whether it can be asked now. Rows that ship switched off are switched on with their legal basis.
    pub enabled: bool,
    /// The legal basis on which it was switched on, for rows that ship switched off.
    pub enabled_on: Option<String>,
    /// Codes of the units responsible for it.
    pub units: Vec<Arc<str>>,
}

impl Measure {
    /// Whether it is a lookup at all: ASSIST, REPORT and NOT_OFFERED are not.
    pub fn is_askable(&self) -> bool {
        self.effect.verdict().is_some()
    }

    /// The item of this code.
    pub fn item(&self, code: &str) -> Option<ItemId> {
        let index = self.items.iter().position(|item| &**item == code)?;
        u8::try_from(index).ok().map(ItemId)
    }

    /// Whether its condition names the unit.
    fn names_unit(&self, code: &str) -> bool {
        matches!(&self.condition, Condition::Recipient(unit) if **unit == *code)
    }

    /// The relations that a probe for the asked subject is made for.
    pub fn mask(&self) -> RelationSet {
        self.restricted.relations
    }
}

/// A responsible unit (责任单位).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its code.
    pub code: Arc<str>,
    /// Its name in the plan.
    pub name_zh: String,
}

/// Every measure and unit in force. Cheap to clone behind an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    measures: Vec<Measure>,
    units: Vec<Unit>,
    by_code: HashMap<Arc<str>, MeasureId>,
    /// The lines that they were read from, in their order.
    rows: Rows,
}

/// The lines of the two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows {
    measures: Vec<String>,
    units: Vec<String>,
}

static SHIPPED: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::parse(SHIPPED_MEASURES_TSV, SHIPPED_UNITS_TSV)
        .expect("the shipped tables are compiled in, and a test parses them")
});

impl Catalogue {
    /// Reads the two tables (tab-separated, a header row, `-` for nothing).
    ///
    /// # Errors
    /// Every fault of both files at once, with line and column.
    pub fn parse(measures_tsv: &str, units_tsv: &str) -> Result<Catalogue, Faults> {
        parse::catalogue(measures_tsv, units_tsv)
    }

    /// The catalogue that ships with the hub: 51 measures, 36 units.
    pub fn shipped() -> &'static Catalogue {
        &SHIPPED
    }

    /// The measure of this code.
    pub fn measure(&self, code: &str) -> Option<&Measure> {
        self.by_code.get(code).map(|id| &self.measures[id.index()])
    }

    /// The measure of this place, which must come from this catalogue or one switched on from it.
    pub fn by_id(&self, id: MeasureId) -> Option<&Measure> {
        self.measures.get(id.index())
    }

    /// Every measure, in the order of the file.
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Every unit, in the order of the file.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The unit of this code.
    pub fn unit(&self, code: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| &*unit.code == code)
    }

    /// The two tables once more, cut to these measures and the units that they name: what a replica decides by.
    pub fn excerpt(&self, measures: &[MeasureId]) -> (String, String) {
        let rows: Vec<&Measure> = measures.iter().filter_map(|id| self.by_id(*id)).collect();
        let is_named =
            |unit: &Unit| rows.iter().any(|row| row.units.contains(&unit.code) || row.names_unit(&unit.code));
        let of_measures = rows.iter().map(|row| &*self.rows.measures[row.id.index()]);
        let of_units =
            self.units.iter().zip(&self.rows.units).filter(|(unit, _)| is_named(unit)).map(|(_, row)| &**row);
        (parse::measures_table(of_measures), parse::units_table(of_units))
    }

    /// Switches on a row that ships switched off. Places and codes stay.
    pub fn switch_on(&mut self, id: MeasureId, legal_basis: String) {
        if let Some(measure) = self.measures.get_mut(id.index()) {
            measure.enabled = true;
            measure.enabled_on = Some(legal_basis);
        }
    }

    fn new(measures: Vec<Measure>, units: Vec<Unit>, rows: Rows) -> Catalogue {
        let by_code = measures.iter().map(|measure| (Arc::clone(&measure.code), measure.id)).collect();
        Catalogue { measures, units, by_code, rows }
    }
}
