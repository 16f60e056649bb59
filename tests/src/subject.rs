//! Synthetic persons and organisations, each one new.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jiff::ToSpan;
use jiff::civil::{Date, date};
use xinhub_api::v1::{self, IdentityKind};
use xinhub_domain::identity::synthetic;

/// Leizhou (GB/T 2260).
const REGION: &str = "440882";
const SURNAMES: [&str; 8] = ["欧阳", "慕容", "司徒", "上官", "诸葛", "皇甫", "尉迟", "公孙"];
/// Given names are two of these.
const GIVEN: &str = "瑾瑜琳琅璇玑珩璟蕴薇茗菡芷萱葶苓岚峥嵘崧汐沅泓澜煜烨焱灏昱晟晗曦";

/// Somebody, or some organisation.
#[derive(Clone, Debug)]
pub struct Subject {
    /// 1 to 4, the first of which is asked for.
    pub identities: Vec<v1::Identity>,
    /// Four characters or more, so that no chance bytes look like it.
    pub name: String,
}

/// A number that no other call gets.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// An identity as it goes over the wire.
pub fn identity(kind: IdentityKind, number: impl Into<String>) -> v1::Identity {
    v1::Identity { kind: kind.into(), number: number.into(), issuing_state: String::new() }
}

impl Subject {
    /// A person of full age.
    pub fn person() -> Subject {
        let (birth, sequence) = born(unique(), date(1950, 1, 1));
        let number = synthetic::resident_id(REGION, birth, sequence);
        Subject { identities: vec![identity(IdentityKind::ResidentId, number)], name: person_name() }
    }

    /// A person with an ID of 15 digits, and the 18 digits that it stands for.
    pub fn with_old_id() -> (Subject, v1::Identity) {
        let (birth, sequence) = born(unique(), date(1950, 1, 1));
        let long = identity(IdentityKind::ResidentId, synthetic::resident_id(REGION, birth, sequence));
        let short = synthetic::resident_id_15(REGION, birth, sequence);
        (Subject { identities: vec![identity(IdentityKind::ResidentId, short)], name: person_name() }, long)
    }

    /// A person of less than 18 years.
    pub fn minor() -> Subject {
        let birth = today().saturating_sub(12.years());
        let number = synthetic::resident_id(REGION, birth, u16::try_from(unique() % 900).unwrap());
        Subject { identities: vec![identity(IdentityKind::ResidentId, number)], name: person_name() }
    }

    /// An organisation with a credit code.
    pub fn organisation() -> Subject {
        let at = unique();
        let number = synthetic::uscc("91", REGION, 0x4000_0000 + at);
        Subject { identities: vec![identity(IdentityKind::Uscc, number)], name: organisation_name(at) }
    }

    /// An organisation whose credit code has a wrong check character, as some from before 2016 have.
    pub fn flagged_organisation() -> Subject {
        let mut organisation = Subject::organisation();
        let number = &mut organisation.identities[0].number;
        let last = if number.ends_with('0') { '1' } else { '0' };
        number.pop();
        number.push(last);
        organisation
    }

    /// The identity that is asked for.
    pub fn identity(&self) -> v1::Identity {
        self.identities[0].clone()
    }

    /// Its number.
    pub fn number(&self) -> &str {
        &self.identities[0].number
    }

    /// Adds an organisation code or another identity of the same subject.
    #[must_use]
    pub fn and(mut self, identity: v1::Identity) -> Subject {
        self.identities.push(identity);
        self
    }
}

/// Some 20,000 days times 900 sequence numbers.
fn born(at: u64, first: Date) -> (Date, u16) {
    let (day, sequence) = (i32::try_from(at % 18_000).unwrap(), u16::try_from(at / 18_000 % 900).unwrap());
    (first.saturating_add(day.days()), sequence)
}

fn person_name() -> String {
    let at = usize::try_from(unique()).unwrap();
    let given: Vec<char> = GIVEN.chars().collect();
    let surname = SURNAMES[at % SURNAMES.len()];
    let at = at / SURNAMES.len();
    format!("{surname}{}{}", given[at % given.len()], given[at / given.len() % given.len()])
}

fn organisation_name(at: u64) -> String {
    format!("雷州{}试验商贸有限公司", at)
}

/// Today where the courts are.
pub fn today() -> Date {
    jiff::tz::Offset::constant(8).to_datetime(jiff::Timestamp::now()).date()
}

/// So many days ago, as `YYYY-MM-DD`.
pub fn days_ago(days: i32) -> String {
    today().saturating_sub(days.days()).to_string()
}

/// So many days ahead, as `YYYY-MM-DD`.
pub fn in_days(days: i32) -> String {
    days_ago(-days)
}
