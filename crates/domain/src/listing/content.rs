//! What a listing says, checked.
//!
//! A [`Draft`] is what a court sent; [`Content`] is what may be listed. [`Content::check`] is the only way from one to the
//! other and tells every fault at once. The fields are those of 法释〔2017〕7号 arts. 5 and 6.

use jiff::civil::Date;
use minicbor::{Decode, Encode};

use super::draft::{ContentFault, Draft, DraftDecision, RawIdentity, Stage};
use crate::case_number::CaseNumber;
use crate::identity::{Identities, Identity, Sex, Source, Subject};
use crate::name::Name;
use crate::time::{Day, Timestamp};

/// Longest free text of a listing, in characters.
pub(super) const MAX_TEXT_CHARS: usize = 4_000;
/// Longest number or short text, in characters.
pub(super) const MAX_SHORT_CHARS: usize = 200;
/// Longest grace period: three months (法发〔2019〕35号), in days.
pub const MAX_GRACE_DAYS: u32 = 92;
/// The fixed term of grounds ② to ⑥, in months (法释〔2017〕7号 art. 2).
pub const FIXED_TERM_MONTHS: u32 = 24;
/// What a fixed term may be extended by in all, in months (art. 2).
pub const MAX_EXTENSION_MONTHS: u32 = 36;

/// The ground of a listing (法释〔2017〕7号 art. 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum Ground {
    /// ① able to perform but refuses.
    #[n(1)]
    AbleButRefuses = 1,
    /// ② forged evidence, violence or threats to obstruct enforcement.
    #[n(2)]
    EvidenceOrViolence = 2,
    /// ③ sham suit or arbitration, hiding or moving assets.
    #[n(3)]
    HidingAssets = 3,
    /// ④ breach of the duty to report assets.
    #[n(4)]
    AssetReport = 4,
    /// ⑤ breach of a consumption restriction.
    #[n(5)]
    ConsumptionRestriction = 5,
    /// ⑥ refusing a settlement without good reason.
    #[n(6)]
    SettlementRefused = 6,
}

impl Ground {
    /// The ground with this number of art. 1.
    pub fn from_number(number: u8) -> Option<Ground> {
        match number {
            1 => Some(Ground::AbleButRefuses),
            2 => Some(Ground::EvidenceOrViolence),
            3 => Some(Ground::HidingAssets),
            4 => Some(Ground::AssetReport),
            5 => Some(Ground::ConsumptionRestriction),
            6 => Some(Ground::SettlementRefused),
            0 | 7..=u8::MAX => None,
        }
    }

    /// Whether the listing has a fixed term (art. 2: all but ①).
    pub fn has_fixed_term(self) -> bool {
        self != Ground::AbleButRefuses
    }
}

/// Who may be shown a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Visibility {
    /// Public: free to query.
    #[default]
    #[n(1)]
    Public,
    /// To units in their duties.
    #[n(2)]
    Departmental,
    /// To the subject's own unit alone; never enters the index.
    #[n(3)]
    OwnUnitOnly,
}

/// What bars ground ① (法释〔2017〕7号 art. 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Bar {
    /// Sufficient security was given.
    #[n(1)]
    SecurityGiven,
    /// What was seized or frozen covers the debt.
    #[n(2)]
    SeizedCoversDebt,
    /// Others have to perform first, and can still be enforced against.
    #[n(3)]
    LaterInOrder,
    /// For another reason not one who is able but refuses.
    #[n(4)]
    NotAbleButRefuses,
}

impl Bar {
    /// As in requests and files.
    pub fn code(self) -> &'static str {
        match self {
            Bar::SecurityGiven => "security_given",
            Bar::SeizedCoversDebt => "seized_covers_debt",
            Bar::LaterInOrder => "later_in_order",
            Bar::NotAbleButRefuses => "not_able_but_refuses",
        }
    }
}

/// Why a ground does not go with what was found, if it doesn't.
pub fn barred(ground: Option<Ground>, bars: &[Bar]) -> Option<ContentFault> {
    if ground != Some(Ground::AbleButRefuses) || bars.is_empty() {
        return None;
    }
    let bars: Vec<&str> = bars.iter().map(|bar| bar.code()).collect();
    let problem = format!(
        "1 is barred by what was found ({}): amend the notice if that no longer holds; who is listed already is taken off \
         (法释〔2017〕7号 art. 3)",
        bars.join(", ")
    );
    Some(ContentFault::new("ground", problem))
}

/// The clerk who stands behind a mutation.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Actor {
    /// The staff id at the court or unit.
    #[n(0)]
    pub staff_id: String,
    /// The post held.
    #[n(1)]
    pub post: String,
}

impl std::fmt::Debug for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Actor(..)")
    }
}

impl Actor {
    /// Longest staff id or post, in characters.
    pub const MAX_CHARS: usize = 64;

    /// A named clerk; both parts are required.
    pub fn parse(staff_id: &str, post: &str) -> Result<Actor, ContentFault> {
        for (field, text) in [("actor.staff_id", staff_id), ("actor.post", post)] {
            if text.trim().is_empty() || text.chars().count() > Self::MAX_CHARS {
                return Err(ContentFault::new(field, "is required, at most 64 characters"));
            }
        }
        Ok(Actor { staff_id: staff_id.trim().to_owned(), post: post.trim().to_owned() })
    }
}

/// The written decision to list (art. 5), and its service.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Decision {
    /// The decision's number.
    #[n(0)]
    pub number: String,
    /// Its date.
    #[n(1)]
    pub date: Day,
    /// Its reasons.
    #[n(2)]
    pub reasons: String,
    /// Its fixed term in months; `None` for ground ①.
    #[n(3)]
    pub term_months: Option<u32>,
    /// The staff id of the court's president who signed it.
    #[n(4)]
    pub signer: String,
    /// When it was served on the subject.
    #[n(5)]
    pub served_on: Option<Day>,
    /// Days of grace after service.
    #[n(6)]
    pub grace_days: u32,
    /// Decision and service were attested by the header of a migration import.
    #[n(7)]
    pub attested: bool,
    /// Months by which the term was extended in all.
    #[n(8)]
    pub extended_months: u32,
}

impl Decision {
    /// Checks a decision that comes alone, as a restoration's does. Whether its term fits the listing's ground is the
    /// ledger's to see: the request doesn't name the ground again.
    ///
    /// # Errors
    /// Every fault, by its path from `decision` on.
    pub fn check(draft: &DraftDecision, now: Timestamp) -> Result<Decision, Vec<ContentFault>> {
        let mut faults = Faults(Vec::new());
        let ground = if draft.term_months == 0 { Ground::AbleButRefuses } else { Ground::EvidenceOrViolence };
        match check_decision(draft, ground as u8, Stage::Decision, now.day(), &mut faults) {
            Some(decision) if faults.0.is_empty() => Ok(decision),
            Some(_) | None => Err(faults.0),
        }
    }

    /// The last day in force. Counted from the decision's own date, so that late service never lengthens a restriction.
    pub fn until(&self) -> Option<Day> {
        self.term_months.map(|months| self.date.plus_months(months + self.extended_months))
    }

    /// The last day of grace; `None` until served, or where no grace was given.
    pub fn grace_until(&self) -> Option<Day> {
        self.served_on.filter(|_| self.grace_days > 0).map(|day| day.plus_days(self.grace_days))
    }

    /// How far the decision has come at `now`.
    pub fn standing(&self, now: Timestamp) -> super::Standing {
        match (self.served_on, self.grace_until()) {
            (None, _) => super::Standing::Unserved,
            (Some(_), Some(last)) if now < last.end() => super::Standing::InGrace,
            (Some(_), _) => super::Standing::InForce,
        }
    }
}

/// What a listing says: checked, complete for its stage.
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct Content {
    /// Whom it is about: 1 to 4 identities of one subject.
    #[n(0)]
    pub identities: Identities,
    /// The subject's name.
    #[n(1)]
    pub name: Name,
    /// For persons.
    #[n(2)]
    #[cbor(with = "super::codec::sex_code")]
    pub sex: Option<Sex>,
    /// Where no identity carries one.
    #[n(3)]
    pub birth_date: Option<Day>,
    /// As the court's row gives it, in years; it ages, and is shown as given.
    #[n(4)]
    pub age: Option<u32>,
    /// Organisations: the legal representative's name. Stored, never indexed.
    #[n(5)]
    pub representative_name: Option<Name>,
    /// The decision; absent only while noticed.
    #[n(6)]
    pub decision: Option<Decision>,
    /// The ground; absent only while noticed.
    #[n(7)]
    pub ground: Option<Ground>,
    /// The enforcement case.
    #[n(8)]
    pub case_number: CaseNumber,
    /// The number of the document that gives the debt.
    #[n(9)]
    pub basis_document: String,
    /// Who issued it.
    #[n(10)]
    pub basis_issuer: String,
    /// When the enforcement case was filed.
    #[n(11)]
    pub filed_on: Option<Day>,
    /// When the court published the entry.
    #[n(12)]
    pub published_on: Option<Day>,
    /// The court's name and province, as the court writes them.
    #[n(13)]
    pub court_name: String,
    /// The province.
    #[n(14)]
    pub area: String,
    /// What is owed.
    #[n(15)]
    pub obligation: String,
    /// State of performance.
    #[n(16)]
    pub performance: String,
    /// What was performed.
    #[n(17)]
    pub performed_part: String,
    /// What was not.
    #[n(18)]
    pub unperformed_part: String,
    /// The conduct, in the court's words.
    #[n(19)]
    pub conduct: String,
    /// Who may be shown it.
    #[n(20)]
    pub visibility: Visibility,
    /// When the risk notice that must come before the decision was served; `None` only while noticed, or where the header of a
    /// migration attests the decision.
    #[n(21)]
    pub notice_served_on: Option<Day>,
    /// For [`Visibility::OwnUnitOnly`]: the client that is the subject's own unit.
    #[n(22)]
    pub own_unit: Option<String>,
    /// What was found that bars ground ①.
    #[n(23)]
    #[cbor(default)]
    pub bars: Vec<Bar>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(..)")
    }
}

/// Whether a byte of UTF-8 may belong to a control character: those of ASCII are themselves, all others begin with C2. Rows of an
/// import come by the million, and hardly one has any.
fn may_be_control(byte: u8) -> bool {
    byte.is_ascii_control() || byte == 0xC2
}

/// Collects faults while fields are taken from a draft.
pub(super) struct Faults(pub(super) Vec<ContentFault>);

impl Faults {
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(ContentFault::new(field, problem));
    }

    pub(super) fn text(&mut self, field: &str, text: &str, max_chars: usize, required: bool) -> String {
        let text = text.trim();
        if required && text.is_empty() {
            self.add(field, "is required");
        } else if text.len() > max_chars && text.chars().count() > max_chars {
            self.add(field, format!("has more than {max_chars} characters"));
        } else if text.bytes().any(may_be_control) && text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.add(field, "holds control characters");
        }
        text.to_owned()
    }

    pub(super) fn day(&mut self, field: &str, text: &str, today: Day) -> Option<Day> {
        if text.trim().is_empty() {
            return None;
        }
        match Day::parse(text) {
            Ok(day) if day > today => self.add(field, "lies in the future"),
            Ok(day) => return Some(day),
            Err(fault) => self.add(field, fault.to_string()),
        }
        None
    }

    pub(super) fn name(&mut self, field: &str, text: &str) -> Option<Name> {
        Name::parse(text).map_err(|fault| self.add(field, fault.to_string())).ok()
    }
}

impl Content {
    /// Checks a draft against everything a listing must hold, and returns the content with its soft warnings.
    ///
    /// `now` decides what lies in the future and who is a minor.
    pub fn check(draft: &Draft, stage: Stage, now: Timestamp) -> Result<(Content, Vec<String>), Vec<ContentFault>> {
        let today = now.day();
        let mut faults = Faults(Vec::new());
        let identities = check_identities(&draft.identities, today.date(), &mut faults);
        let name = faults.name("name", &draft.name);
        let representative_name = (!draft.representative_name.trim().is_empty())
            .then(|| faults.name("representative_name", &draft.representative_name))
            .flatten();
        let case_number =
            CaseNumber::parse(&draft.case_number).map_err(|fault| faults.add("case_number", fault.to_string())).ok();
        let birth_date = faults.day("birth_date", &draft.birth_date, today);
        let decision = draft
            .decision
            .as_ref()
            .and_then(|decision| check_decision(decision, draft.ground, stage, today, &mut faults));
        let ground = Ground::from_number(draft.ground);
        check_stage(draft, stage, ground, &mut faults);
        if let Some(identities) = &identities {
            // A decision taken on a minor was unlawful when it was taken: art. 4.
            let on = decision.as_ref().map_or(today, |decision| decision.date);
            check_age(identities, birth_date, draft.age, on, &mut faults);
        }
        let notice_served_on = faults.day("notice_served_on", &draft.notice_served_on, today);
        let own_unit = own_unit(draft, &mut faults);
        let required = stage != Stage::Notice;
        let rest = Rest::take(draft, today, required, &mut faults);
        let (Some(identities), Some(name), Some(case_number), true) =
            (identities, name, case_number, faults.0.is_empty())
        else {
            return Err(faults.0);
        };
        let warnings = soft_faults(&identities, &case_number);
        let content = Content {
            identities,
            name,
            sex: draft.sex,
            birth_date,
            age: draft.age,
            representative_name,
            decision,
            ground,
            case_number,
            basis_document: rest.basis_document,
            basis_issuer: rest.basis_issuer,
            filed_on: rest.filed_on,
            published_on: rest.published_on,
            court_name: rest.texts.0,
            area: rest.texts.1,
            obligation: rest.obligation,
            performance: rest.performance,
            performed_part: rest.parts.0,
            unperformed_part: rest.parts.1,
            conduct: rest.conduct,
            visibility: draft.visibility,
            notice_served_on,
            own_unit,
            bars: draft.bars.clone(),
        };
        Ok((content, warnings))
    }

    /// The soft faults of what it says, as [`Content::check`] told them.
    pub fn warnings(&self) -> Vec<String> {
        soft_faults(&self.identities, &self.case_number)
    }

    /// Whether both are about the same subject: an identity in common.
    pub fn same_subject(&self, other: &Content) -> bool {
        self.identities.iter().any(|mine| {
            other.identities.iter().any(|theirs| mine.keys().any(|key| theirs.keys().any(|other| key == other)))
        })
    }
}

/// Who handles an entry that nobody else may be shown (the plan, section 三(一); 法释〔2017〕7号 art. 8).
fn own_unit(draft: &Draft, faults: &mut Faults) -> Option<String> {
    let unit = faults.text("own_unit", &draft.own_unit, MAX_SHORT_CHARS, false);
    if (draft.visibility == Visibility::OwnUnitOnly) == unit.is_empty() {
        faults
            .add("own_unit", "names the subject's own unit: for a listing that only it may be shown, and for no other");
    }
    Some(unit).filter(|unit| !unit.is_empty())
}

/// The free texts and days of a draft.
struct Rest {
    basis_document: String,
    basis_issuer: String,
    filed_on: Option<Day>,
    published_on: Option<Day>,
    texts: (String, String),
    obligation: String,
    performance: String,
    parts: (String, String),
    conduct: String,
}

impl Rest {
    fn take(draft: &Draft, today: Day, required: bool, faults: &mut Faults) -> Rest {
        Rest {
            basis_document: faults.text("basis_document", &draft.basis_document, MAX_SHORT_CHARS, required),
            basis_issuer: faults.text("basis_issuer", &draft.basis_issuer, MAX_SHORT_CHARS, required),
            filed_on: faults.day("filed_on", &draft.filed_on, today),
            published_on: faults.day("published_on", &draft.published_on, today),
            texts: (
                faults.text("court_name", &draft.court_name, MAX_SHORT_CHARS, false),
                faults.text("area", &draft.area, MAX_SHORT_CHARS, false),
            ),
            obligation: faults.text("obligation", &draft.obligation, MAX_TEXT_CHARS, false),
            performance: faults.text("performance", &draft.performance, MAX_SHORT_CHARS, false),
            parts: (
                faults.text("performed_part", &draft.performed_part, MAX_TEXT_CHARS, false),
                faults.text("unperformed_part", &draft.unperformed_part, MAX_TEXT_CHARS, false),
            ),
            conduct: faults.text("conduct", &draft.conduct, MAX_TEXT_CHARS, false),
        }
    }
}

fn check_stage(draft: &Draft, stage: Stage, ground: Option<Ground>, faults: &mut Faults) {
    match stage {
        Stage::Notice => {
            if draft.decision.is_some() {
                faults.add("decision", "comes after the notice: leave it out, then propose or publish");
            }
        }
        Stage::Decision | Stage::Correction => {
            if draft.decision.is_none() {
                faults.add("decision", "is required: number, date, reasons, term and signer (法释〔2017〕7号 art. 5)");
            }
            if ground.is_none() {
                faults.add("ground", "is required: 1 to 6 (法释〔2017〕7号 art. 1)");
            }
            faults.0.extend(barred(ground, &draft.bars));
        }
    }
    if stage == Stage::Notice && draft.ground != 0 && ground.is_none() {
        faults.add("ground", "is 1 to 6 (法释〔2017〕7号 art. 1)");
    }
}

pub(super) fn check_identities(raw: &[RawIdentity], today: Date, faults: &mut Faults) -> Option<Identities> {
    let mut parsed = Vec::with_capacity(raw.len());
    for (at, identity) in raw.iter().enumerate() {
        match Identity::parse(identity.kind, &identity.number, identity.issuing_state.as_deref(), Source::Court, today)
        {
            Ok(identity) => parsed.push(identity),
            Err(violations) => faults.add(format!("identities[{at}].number"), violations.to_string()),
        }
    }
    if parsed.len() < raw.len() {
        return None;
    }
    Identities::parse(parsed).map_err(|fault| faults.add("identities", fault.to_string())).ok()
}

fn check_decision(
    draft: &DraftDecision,
    ground: u8,
    stage: Stage,
    today: Day,
    faults: &mut Faults,
) -> Option<Decision> {
    let before = faults.0.len();
    let number = faults.text("decision.number", &draft.number, MAX_SHORT_CHARS, !draft.attested);
    let reasons = faults.text("decision.reasons", &draft.reasons, MAX_TEXT_CHARS, !draft.attested);
    let signer = faults.text("decision.signer", &draft.signer, MAX_SHORT_CHARS, true);
    let date = faults.day("decision.date", &draft.date, today);
    if date.is_none() && draft.date.trim().is_empty() {
        faults.add("decision.date", "is required");
    }
    let served_on = faults.day("decision.served_on", &draft.served_on, today);
    if let (Some(date), Some(served)) = (date, served_on)
        && served < date
    {
        faults.add("decision.served_on", "lies before the decision's date");
    }
    if draft.grace_days > MAX_GRACE_DAYS {
        faults.add("decision.grace_days", format!("is at most {MAX_GRACE_DAYS}: three months (法发〔2019〕35号)"));
    }
    match Ground::from_number(ground).map(Ground::has_fixed_term) {
        Some(true) if draft.term_months != FIXED_TERM_MONTHS => {
            faults.add(
                "decision.term_months",
                "is 24 for grounds 2 to 6; extend it on its lawful grounds (法释〔2017〕7号 art. 2)",
            );
        }
        Some(false) if draft.term_months != 0 => {
            faults.add("decision.term_months", "is 0: ground 1 has no fixed term (法释〔2017〕7号 art. 2)")
        }
        Some(_) | None => {}
    }
    let date = date.filter(|_| faults.0.len() == before)?;
    let decision = Decision {
        number,
        date,
        reasons,
        term_months: (draft.term_months > 0).then_some(draft.term_months),
        signer,
        served_on,
        grace_days: draft.grace_days,
        attested: draft.attested,
        extended_months: 0,
    };
    if stage != Stage::Correction && decision.until().is_some_and(|until| until < today) {
        faults.add("decision.date", "lies so far back that the term is over: nothing can be listed on it");
        return None;
    }
    Some(decision)
}

/// Art. 4: a minor is never listed. Where no identity tells the age, the court has to.
fn check_age(identities: &Identities, birth_date: Option<Day>, age: Option<u32>, on: Day, faults: &mut Faults) {
    if identities.subject() != Subject::Person {
        return;
    }
    let told: Vec<bool> = identities
        .iter()
        .filter_map(|identity| identity.is_minor(on.date()))
        .chain(birth_date.map(|born| born.plus_months(18 * 12) > on))
        .chain(age.map(|years| years < 18))
        .collect();
    if told.iter().any(|minor| *minor) {
        let mut fault = ContentFault::new(
            "identities",
            "the subject was a minor when the decision was taken: minors are never listed (法释〔2017〕7号 art. 4)",
        );
        fault.minor = true;
        faults.0.push(fault);
    } else if told.is_empty() {
        faults.add("birth_date", "is required where no identity carries it: minors are never listed");
    }
}

fn soft_faults(identities: &Identities, case_number: &CaseNumber) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for (at, identity) in identities.iter().enumerate() {
        warnings.extend(identity.warnings().iter().map(|warning| format!("identities[{at}].number: {warning}")));
        if identity.is_flagged() {
            warnings.push(format!(
                "identities[{at}].number: is kept and flagged; lookups that rest on it alone answer UNKNOWN"
            ));
        }
    }
    if case_number.is_flagged() {
        warnings.push("case_number: has a form from before 2016; kept as it is".to_owned());
    }
    warnings
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
