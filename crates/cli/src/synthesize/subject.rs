//! Who a row is about: an identity with valid check digits, a name, an age. Whether somebody holds such a number, nobody here knows:
//! it is drawn, and looked up nowhere.
//!
//! Numbers are drawn without repetition and without a memory of those drawn: a multiplication by a number coprime to the
//! size of the space visits each of its points once.

use jiff::civil::{Date, date};
use jiff::{Span, ToSpan};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use xinhub_domain::identity::{Kind, synthetic};

use super::names;

/// Registered places, by GB/T 2260; the last makes a residence permit.
const REGIONS: [&str; 96] = [
    "110101", "110105", "110108", "120101", "120103", "130102", "130203", "140105", "150102", "150203", "210102",
    "210202", "220102", "220204", "230102", "230103", "310101", "310104", "310115", "320102", "320106", "320505",
    "330102", "330106", "330203", "340102", "340104", "350102", "350203", "350582", "360102", "360111", "370102",
    "370202", "370203", "410102", "410105", "410305", "420102", "420106", "420111", "430102", "430104", "430121",
    "440103", "440104", "440106", "440303", "440304", "440305", "440402", "440507", "440604", "440605", "440606",
    "440703", "440802", "440803", "440804", "440811", "440823", "440825", "440881", "440882", "440883", "440902",
    "440981", "441202", "441302", "441402", "441900", "442000", "450102", "450103", "450302", "460105", "460106",
    "500103", "500112", "510104", "510105", "510107", "520102", "520103", "530102", "530103", "540102", "610102",
    "610113", "620102", "630102", "640104", "650102", "650103", "654002", "810000",
];
/// Born from here, for [`BIRTH_DAYS`] days: the youngest is 19 on the first day on which a row may have been published.
const FIRST_BIRTH: Date = date(1955, 1, 1);
/// Up to 2001-12-31.
const BIRTH_DAYS: u64 = 17_167;
/// Sequence numbers 1 to 995; 996 to 999 once marked centenarians.
const SEQUENCES: u64 = 995;
const PERSONS: u64 = 96 * BIRTH_DAYS * SEQUENCES;
/// A prime larger than either space, so coprime to both.
const STRIDE: u64 = 2_654_435_761;
/// 31⁶: the last six characters of an organisation code that begins with MA.
const ORGANISATIONS: u64 = 887_503_681;

/// Which people are drawn for what, so that no two uses meet: 100 million rows fit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Person {
    /// The debtor of a row.
    Debtor(u64),
    /// The related person of this place (below 4) for the organisation of a row.
    Related(u64, u64),
    /// Somebody who is on no list.
    Unlisted(u64),
}

impl Person {
    fn index(self) -> u64 {
        match self {
            Person::Debtor(row) => row,
            Person::Related(row, place) => 200_000_000 + row * 4 + place,
            Person::Unlisted(at) => 700_000_000 + at,
        }
    }
}

/// A subject of a row, or a person related to one.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) kind: Kind,
    pub(super) number: String,
    pub(super) name: String,
    /// `None` for organisations.
    pub(super) person: Option<Facts>,
}

/// What a row says of a person besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) birth: Date,
    pub(super) male: bool,
}

impl Facts {
    /// Full years on the day `on`.
    pub(super) fn age(self, on: Date) -> i16 {
        let years = on.year() - self.birth.year();
        if (on.month(), on.day()) < (self.birth.month(), self.birth.day()) { years - 1 } else { years }
    }
}

/// A natural person with an 18-digit number; `rng` chooses the name.
pub(super) fn person(seed: u64, who: Person, rng: &mut ChaCha8Rng) -> Subject {
    let drawn = spread(seed, who.index(), PERSONS);
    let region = REGIONS[usize::try_from(drawn % 96).unwrap_or(0)];
    let sequence = u16::try_from(drawn / 96 % SEQUENCES).unwrap_or(0) + 1;
    let days = i64::try_from(drawn / 96 / SEQUENCES).unwrap_or(0);
    let birth = FIRST_BIRTH.saturating_add(Span::new().days(days));
    let kind = if region == "810000" { Kind::ResidencePermit } else { Kind::ResidentId };
    Subject {
        kind,
        number: synthetic::resident_id(region, birth, sequence),
        name: names::person(rng, region),
        person: Some(Facts { birth, male: sequence % 2 == 1 }),
    }
}

/// The debtor of a row where it is a person: mostly an 18-digit number, sometimes what else is in use.
pub(super) fn debtor_person(seed: u64, row: u64, rng: &mut ChaCha8Rng) -> Subject {
    let mut subject = person(seed, Person::Debtor(row), rng);
    match rng.random_range(0..1000) {
        // A travel permit carries no birth date: the row's age stands for it.
        0..3 => {
            let letter = if rng.random_bool(0.8) { 'H' } else { 'M' };
            subject.kind = Kind::TravelPermitHkMo;
            subject.number =
                format!("{letter}{:08}{:02}", spread(seed, row, 100_000_000 - 11), rng.random_range(0..10));
        }
        3..8 if subject.kind == Kind::ResidentId => shorten(&mut subject),
        _ => {}
    }
    subject
}

/// The 15-digit form, in which old files still have people born before 2000.
fn shorten(subject: &mut Subject) {
    let Some(Facts { birth, .. }) = subject.person else { return };
    if birth.year() < 2000
        && let Some((region, Ok(sequence))) = subject.number.get(..6).zip(subject.number.get(14..17).map(str::parse))
    {
        subject.number = synthetic::resident_id_15(region, birth, sequence);
    }
}

/// The debtor of a row where it is an organisation.
pub(super) fn debtor_organisation(seed: u64, row: u64, rng: &mut ChaCha8Rng) -> Subject {
    let drawn = spread(seed, row, ORGANISATIONS);
    let region = REGIONS[rng.random_range(0..REGIONS.len() - 1)];
    let (category, form) = match rng.random_range(0..100) {
        0..88 => ("91", "有限公司"),
        88..92 => ("91", "股份有限公司"),
        92..96 => ("92", "经营部"),
        96..98 => ("93", "专业合作社"),
        _ => ("52", "服务中心"),
    };
    let old_code = rng.random_ratio(1, 50);
    let (kind, number) = if old_code {
        (Kind::OrganisationCode, synthetic::organisation_code(&format!("{:08}", spread(seed, row, 99_999_989))))
    } else {
        (Kind::Uscc, synthetic::uscc_of(category, region, &format!("MA{}", base_31(drawn))))
    };
    Subject { kind, number, name: names::organisation(rng, form), person: None }
}

/// Six characters of GB 32100's set.
fn base_31(mut value: u64) -> String {
    const CHARS: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    let mut places = ['0'; 6];
    for place in places.iter_mut().rev() {
        *place = char::from(CHARS[usize::try_from(value % 31).unwrap_or(0)]);
        value /= 31;
    }
    places.iter().collect()
}

/// The point of a space of `size` for `index`: another for each index below `size`.
fn spread(seed: u64, index: u64, size: u64) -> u64 {
    let offset = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % size;
    (index % size * (STRIDE % size) % size + offset) % size
}

/// `years` before `on`.
pub(super) fn years_before(on: Date, years: i64) -> Date {
    on.saturating_sub(years.years())
}

/// `days` before `on`.
pub(super) fn days_before(on: Date, days: i64) -> Date {
    on.saturating_sub(days.days())
}
