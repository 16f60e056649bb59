//! One row with all that belongs to it, drawn from its number alone: no row needs another in memory.

use std::borrow::Cow;

use jiff::civil::Date;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::case::Case;
use super::layout::{ORGANISATION, PERSON};
use super::subject::{self, Person, Subject};
use super::{Mode, Settings};

/// How far back a row looks for the subject it repeats.
const REPEAT_WINDOW: u64 = 50_000;

/// A row and its related people.
pub(super) struct Drawn {
    pub(super) subject: Subject,
    pub(super) related: Vec<Related>,
    case: Case,
    /// Organisations: the legal representative's name.
    representative: String,
}

/// A person related to the organisation of a row.
pub(super) struct Related {
    pub(super) role: &'static str,
    pub(super) person: Subject,
    basis_document: String,
    from: Date,
}

/// Independent sequences for one seed and row.
fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// The row whose subject row `at` is about: itself, or, for one in 25, an earlier one with a subject of its own. Such rows
/// are further cases of one debtor.
fn subject_row(seed: u64, at: u64) -> u64 {
    let mut own = rng(seed, at * 3);
    if at == 0 || !own.random_ratio(1, 25) {
        return at;
    }
    let earlier = at - 1 - own.random_range(0..at.min(REPEAT_WINDOW));
    let is_itself_a_repeat = earlier > 0 && rng(seed, earlier * 3).random_ratio(1, 25);
    if is_itself_a_repeat { at } else { earlier }
}

/// The row whose case row `at` belongs to: itself, or, for one in 30, the one before, of which it then is a co-debtor.
fn case_row(seed: u64, at: u64, subject_row: u64) -> u64 {
    let shares = |at: u64| rng(seed, at * 3 + 1).random_ratio(1, 30);
    let may_share = at > 0 && subject_row == at && shares(at) && !shares(at - 1);
    if may_share { at - 1 } else { at }
}

impl Drawn {
    pub(super) fn draw(settings: &Settings, at: u64) -> Self {
        let seed = settings.seed;
        let of = subject_row(seed, at);
        let mut case_rng = rng(seed, case_row(seed, at, of) * 3 + 2);
        let serial = case_row(seed, at, of) + 1;
        let case = Case::draw(&mut case_rng, serial, &settings.court_code, settings.as_of_day());
        // Past what `subject_row` draws of the same stream, so that a repeated subject is drawn alike.
        let mut subject_rng = rng(seed, of * 3);
        subject_rng.set_word_pos(64);
        if subject_rng.random_ratio(3, 4) {
            let subject = subject::debtor_person(seed, of, &mut subject_rng);
            return Self { subject, related: Vec::new(), case, representative: String::new() };
        }
        let subject = subject::debtor_organisation(seed, of, &mut subject_rng);
        let related = related(seed, of, &mut subject_rng, case.filed);
        let representative = related.first().map(|one| one.person.name.clone()).unwrap_or_default();
        Self { subject, related, case, representative }
    }

    pub(super) fn is_person(&self) -> bool {
        self.subject.person.is_some()
    }

    /// The fields in the order of the columns.
    pub(super) fn listing(&self, settings: &Settings) -> Vec<Cow<'_, str>> {
        let (case, person) = (&self.case, self.subject.person);
        let sex = person.map_or("", |facts| if facts.male { "男" } else { "女" });
        let age = person.map(|facts| facts.age(case.published).to_string()).unwrap_or_default();
        let mut fields: Vec<Cow<'_, str>> = vec![
            (&*self.subject.name).into(),
            sex.into(),
            age.into(),
            (&*self.subject.number).into(),
            (&*case.number).into(),
            settings.court_name.clone().into(),
            "广东".into(),
            (&*case.basis_document).into(),
            case.basis_issuer.into(),
            (&*case.obligation).into(),
            case.performance.into(),
            (&*case.performed).into(),
            (&*case.unperformed).into(),
            case.conduct.into(),
            case.published.to_string().into(),
            case.filed.to_string().into(),
            (&*self.representative).into(),
            if self.is_person() { PERSON.into() } else { ORGANISATION.into() },
        ];
        if settings.mode != Mode::Migration {
            fields.extend([
                (&*case.decision_number).into(),
                case.decided.to_string().into(),
                case.served.to_string().into(),
                case.term_months().into(),
                settings.signer.clone().into(),
                case.ground.to_string().into(),
                case.noticed.to_string().into(),
            ]);
        }
        fields
    }

    /// The related people, fields in the order of the columns.
    pub(super) fn relations(&self) -> impl Iterator<Item = [Cow<'_, str>; 10]> {
        self.related.iter().map(|related| {
            [
                "".into(),
                (&*self.case.number).into(),
                (&*self.subject.number).into(),
                related.person.kind.code().into(),
                (&*related.person.number).into(),
                (&*related.person.name).into(),
                related.role.into(),
                (&*related.basis_document).into(),
                related.from.to_string().into(),
                "".into(),
            ]
        })
    }
}

/// A legal representative always; others for some.
fn related(seed: u64, row: u64, rng: &mut ChaCha8Rng, filed: Date) -> Vec<Related> {
    let roles: [(&str, u32); 4] =
        [("legal_representative", 100), ("principal", 10), ("actual_controller", 15), ("directly_responsible", 10)];
    let mut related = Vec::new();
    for (place, (role, percent)) in (0_u64..).zip(roles) {
        // Drawn whether taken or not, so that each place stays its own.
        let person = subject::person(seed, Person::Related(row, place), rng);
        let (taken, years, serial) =
            (rng.random_ratio(percent, 100), rng.random_range(1..9), rng.random_range(1000..9999));
        if taken {
            let from = subject::years_before(filed, years);
            let basis_document = format!("（合成）企业登记档案第{serial}号");
            related.push(Related { role, person, basis_document, from });
        }
    }
    related
}
