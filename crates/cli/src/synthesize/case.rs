//! What a row says of its case: numbers, dates, the obligation, the ground.

use jiff::civil::Date;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::layout::CONDUCTS;
use super::names::pick;
use super::subject::{days_before, years_before};

/// No row was published before this day: the youngest debtor of a row is 19 then.
pub(super) const FIRST_PUBLISHED: Date = jiff::civil::date(2021, 1, 1);

/// One enforcement case as a row tells it.
pub(super) struct Case {
    /// 1 to 6.
    pub(super) ground: usize,
    pub(super) conduct: &'static str,
    pub(super) number: String,
    pub(super) basis_document: String,
    pub(super) basis_issuer: &'static str,
    pub(super) obligation: String,
    pub(super) performance: &'static str,
    pub(super) performed: String,
    pub(super) unperformed: String,
    pub(super) filed: Date,
    pub(super) noticed: Date,
    pub(super) decided: Date,
    pub(super) served: Date,
    pub(super) published: Date,
    pub(super) decision_number: String,
}

impl Case {
    /// The case with this serial number, at the court with `court_code`, as of the day `as_of`.
    pub(super) fn draw(rng: &mut ChaCha8Rng, serial: u64, court_code: &str, as_of: Date) -> Self {
        let ground = ground(rng);
        let conduct = pick(rng, CONDUCTS[ground - 1]);
        let published = published(rng, ground, as_of);
        let decided = days_before(published, rng.random_range(4..20));
        let served = days_before(published, rng.random_range(0..4));
        let filed = days_before(decided, rng.random_range(40..700));
        // Between filing and decision (法释〔2017〕7号 art. 5). Not drawn: what else a seed gives stays as it was.
        let noticed = days_before(decided, 20);
        let kind = if rng.random_ratio(1, 9) { "执恢" } else { "执" };
        let number = format!("({}){court_code}{kind}{serial}号", filed.year());
        let basis_year = years_before(filed, 1).year();
        let (basis, basis_issuer) = basis(rng, court_code, basis_year);
        let owed_yuan = 10_000 + rng.random_range(0_u64..=2_000).pow(2);
        let performed_yuan = if rng.random_ratio(1, 6) { owed_yuan / rng.random_range(3..20) } else { 0 };
        Self {
            ground,
            conduct,
            basis_document: format!("（合成）{basis}"),
            basis_issuer,
            obligation: obligation(rng, owed_yuan),
            performance: if performed_yuan > 0 { "部分未履行" } else { "全部未履行" },
            performed: if performed_yuan > 0 { format!("{performed_yuan}元") } else { String::new() },
            unperformed: if performed_yuan > 0 {
                format!("{}元及利息", owed_yuan - performed_yuan)
            } else {
                "全部".to_owned()
            },
            filed,
            noticed,
            decided,
            served,
            published,
            decision_number: format!("{number}之一"),
            number,
        }
    }

    /// Months: none for ground ①, two years for the others (法释〔2017〕7号 art. 2).
    pub(super) fn term_months(&self) -> &'static str {
        if self.ground == 1 { "" } else { "24" }
    }
}

/// Most are on ground ① or ④, as published lists have them.
fn ground(rng: &mut ChaCha8Rng) -> usize {
    match rng.random_range(0..100) {
        0..46 => 1,
        46..48 => 2,
        48..54 => 3,
        54..92 => 4,
        92..98 => 5,
        _ => 6,
    }
}

/// Ground ①: within five years. Fixed terms: so late that two years from the decision end at least a month from now.
fn published(rng: &mut ChaCha8Rng, ground: usize, as_of: Date) -> Date {
    let days_back = if ground == 1 { rng.random_range(1..1_820) } else { rng.random_range(1..670) };
    days_before(as_of, days_back).max(FIRST_PUBLISHED)
}

fn basis(rng: &mut ChaCha8Rng, court_code: &str, year: i16) -> (String, &'static str) {
    let serial = rng.random_range(1..9_999);
    match rng.random_range(0..20) {
        0..14 => (format!("({year}){court_code}民初{serial}号"), "合成基层人民法院"),
        14..17 => (format!("({year})粤08民终{serial}号"), "合成中级人民法院"),
        17 => (format!("({year}){court_code}刑初{serial}号"), "合成基层人民法院"),
        18 => (format!("雷劳人仲案字〔{year}〕{serial}号"), "合成劳动人事争议仲裁委员会"),
        _ => (format!("({year})粤湛雷州证字第{serial}号"), "合成公证处"),
    }
}

/// The mark that a row is synthetic stands first, where every reader of a listing sees it.
fn obligation(rng: &mut ChaCha8Rng, owed_yuan: u64) -> String {
    let what = [
        "偿还借款本金",
        "支付货款",
        "支付工程款",
        "支付劳动报酬",
        "赔偿医疗费、误工费等损失",
        "返还购房款",
        "支付租金",
        "履行担保责任，清偿",
    ];
    let interest = ["及利息", "及逾期付款违约金", "，并负担案件受理费", ""];
    let (what, interest) = (pick(rng, &what), pick(rng, &interest));
    format!("合成数据：被执行人应向申请执行人{what}人民币{owed_yuan}元{interest}。")
}
