//! Who takes part: courts and clients, and the policy that grants them what they may do.

use std::fmt::Write;

use xinhub_domain::policy::Class;

/// What `courtName` says of [`LEIZHOU`].
pub const LEIZHOU_NAME: &str = "广东省雷州市人民法院";
/// The courts' ids.
pub const LEIZHOU: &str = "leizhou";
/// Who may release what another of its staff proposed.
pub const SIGNER: &str = "judge-0007";
/// Another of them.
pub const SECOND_SIGNER: &str = "judge-0008";
/// Who may release at the court above.
pub const SIGNER_ABOVE: &str = "judge-0011";
/// See [`LEIZHOU`].
pub const XUWEN: &str = "xuwen";
/// The court above both.
pub const ZHANJIANG: &str = "zhanjiang";

/// The clients' ids, as in their certificates.
pub const COURT: &str = "court-leizhou";
/// Another court.
pub const OTHER_COURT: &str = "court-xuwen";
/// The court above both.
pub const COURT_ABOVE: &str = "court-zhanjiang";
/// Lending, with every field and the reach `detail`.
pub const BANK: &str = "bank";
/// Lending, without a field: it sees one bit, though its class may see more.
pub const PLAIN_BANK: &str = "plain-bank";
/// `consumption.hotel` for star-rated rooms alone.
pub const HOTEL: &str = "hotel";
/// Suppliers.
pub const PROCUREMENT: &str = "procurement";
/// Insurances with cash value.
pub const INSURER: &str = "insurer";
/// Rail and air.
pub const TICKETING: &str = "ticketing";
/// Outbound tours and resorts.
pub const TRAVEL: &str = "travel-agency";
/// Housing and offices.
pub const UNIT: &str = "housing-bureau";
/// Another unit, with nothing but inspections: the own unit of its staff.
pub const OTHER_UNIT: &str = "education-bureau";
/// Lending.
pub const BUREAU: &str = "credit-bureau";
/// Sees what the hub did.
pub const AUDITOR: &str = "auditor";
/// Sees the hub's state.
pub const OPERATOR: &str = "operator";
/// A bank with 2 checks per second, 3 at once.
pub const SLOW_BANK: &str = "slow-bank";
/// A bank with 5 checks per day.
pub const SMALL_BANK: &str = "small-bank";
/// A bank whose grant has ended.
pub const FORMER_BANK: &str = "former-bank";
/// A good certificate without a grant.
pub const STRANGER: &str = "stranger";

/// The audience of [`BANK`] and [`BUREAU`].
pub const LENDERS: &str = "lenders";
/// That of [`HOTEL`].
pub const HOTELS: &str = "hotels";

/// Every client with a certificate.
pub const ALL: &[&str] = &[
    COURT,
    OTHER_COURT,
    COURT_ABOVE,
    BANK,
    PLAIN_BANK,
    HOTEL,
    PROCUREMENT,
    INSURER,
    TICKETING,
    TRAVEL,
    UNIT,
    OTHER_UNIT,
    BUREAU,
    AUDITOR,
    OPERATOR,
    SLOW_BANK,
    SMALL_BANK,
    FORMER_BANK,
    STRANGER,
];

/// The client that stands for its class, granted whatever its class can be.
pub fn of_class(class: Class) -> &'static str {
    match class {
        Class::Court => COURT,
        Class::Unit => UNIT,
        Class::Bank => BANK,
        Class::Insurer => INSURER,
        Class::Hotel => HOTEL,
        Class::TravelAgency => TRAVEL,
        Class::Ticketing => TICKETING,
        Class::ProcurementPlatform => PROCUREMENT,
        Class::CreditBureau => BUREAU,
        Class::Auditor => AUDITOR,
        Class::Operator => OPERATOR,
    }
}

/// A grant as it stands in the policy.
struct Grant {
    id: &'static str,
    class: Class,
    unit: &'static str,
    reach: &'static str,
    fields: &'static str,
    /// Codes with items: `code` or `code:item,item`.
    measures: &'static [&'static str],
}

/// Audiences, with the measures of each.
const AUDIENCES: &[(&str, &[&str])] = &[
    (LENDERS, &["credit.lending"]),
    ("platforms", &["procurement.supplier", "procurement.public-project"]),
    ("insurers", &["consumption.insurance"]),
    ("housing", &["transaction.real-estate"]),
    (HOTELS, &["consumption.hotel"]),
    ("ticket-desks", &["consumption.rail-air"]),
    ("tours", &["consumption.outbound-tour", "consumption.resort-limit"]),
];
/// Whoever may keep a replica, and of which audience.
const MEMBERS: &[(&str, &str)] = &[
    (BANK, LENDERS),
    (BUREAU, LENDERS),
    (PROCUREMENT, "platforms"),
    (INSURER, "insurers"),
    (UNIT, "housing"),
    (HOTEL, HOTELS),
    (TICKETING, "ticket-desks"),
    (TRAVEL, "tours"),
];

const ONLINE: &str = r#"["online"]"#;
const ONLINE_DETAIL: &str = r#"["online", "detail"]"#;
const EVERY_FIELD: &str = r#"["relation", "effect", "officers", "detail"]"#;
const NO_FIELD: &str = "[]";

const fn grant(
    id: &'static str,
    class: Class,
    unit: &'static str,
    reach: &'static str,
    fields: &'static str,
    measures: &'static [&'static str],
) -> Grant {
    Grant { id, class, unit, reach, fields, measures }
}

const GRANTS: &[Grant] = &[
    grant(BANK, Class::Bank, "central-bank", ONLINE_DETAIL, EVERY_FIELD, &["credit.lending"]),
    grant(PLAIN_BANK, Class::Bank, "central-bank", ONLINE, NO_FIELD, &["credit.lending"]),
    grant(SLOW_BANK, Class::Bank, "central-bank", ONLINE, EVERY_FIELD_BUT_DETAIL, &["credit.lending"]),
    grant(SMALL_BANK, Class::Bank, "central-bank", ONLINE, EVERY_FIELD_BUT_DETAIL, &["credit.lending"]),
    grant(FORMER_BANK, Class::Bank, "central-bank", ONLINE, EVERY_FIELD_BUT_DETAIL, &["credit.lending"]),
    grant(HOTEL, Class::Hotel, "culture-tourism", ONLINE, NO_FIELD, &["consumption.hotel:star_rated"]),
    grant(
        PROCUREMENT,
        Class::ProcurementPlatform,
        "finance-bureau",
        ONLINE_DETAIL,
        EVERY_FIELD,
        &["procurement.supplier", "procurement.public-project"],
    ),
    grant(INSURER, Class::Insurer, "finance-office", ONLINE_DETAIL, EVERY_FIELD, &["consumption.insurance"]),
    grant(
        TICKETING,
        Class::Ticketing,
        "court",
        ONLINE,
        NO_FIELD,
        &["consumption.rail-air:soft_sleeper,g_train,emu_first_class_up,flight"],
    ),
    grant(
        TRAVEL,
        Class::TravelAgency,
        "culture-tourism",
        ONLINE,
        NO_FIELD,
        &["consumption.outbound-tour:group_outbound,related_service", "consumption.resort-limit"],
    ),
    grant(
        UNIT,
        Class::Unit,
        "housing-construction",
        ONLINE_DETAIL,
        EVERY_FIELD,
        &[
            "licence.construction-qualification",
            "transaction.real-estate",
            "consumption.building",
            "office.state-enterprise-executive",
            "honour.withdraw-person",
            "consumption.resort-limit",
        ],
    ),
    grant(OTHER_UNIT, Class::Unit, "education", ONLINE_DETAIL, EVERY_FIELD, &["supervision.inspection"]),
    grant(BUREAU, Class::CreditBureau, "central-bank", ONLINE_DETAIL, EVERY_FIELD, &["credit.lending"]),
];
const EVERY_FIELD_BUT_DETAIL: &str = r#"["relation", "effect", "officers"]"#;

/// The policy that tests begin with. Tests change its text and reload it.
pub fn policy(release: &str) -> String {
    let mut text = format!(
        r#"format = 1
release = "{release}"
go_live = 2099-01-01

[[court]]
id = "{ZHANJIANG}"
name_zh = "广东省湛江市中级人民法院"
signers = ["{SIGNER_ABOVE}"]

[[court]]
id = "{LEIZHOU}"
name_zh = "{LEIZHOU_NAME}"
signers = ["{SIGNER}", "{SECOND_SIGNER}"]
region = "440882"
above = "{ZHANJIANG}"

[[court]]
id = "{XUWEN}"
name_zh = "广东省徐闻县人民法院"
above = "{ZHANJIANG}"

[limits]
"consumption.resort-limit" = 100000

[grace]
max_days = 90
"#
    );
    for (id, measures) in AUDIENCES {
        let _ = write!(text, "\n[[audience]]\nid = \"{id}\"\nmeasures = {measures:?}\n");
    }
    for (id, court) in [(COURT, LEIZHOU), (OTHER_COURT, XUWEN), (COURT_ABOVE, ZHANJIANG)] {
        // A court asks too, for purposes of its own.
        let keys = format!(
            "class = \"court\"\ncourt = \"{court}\"\nimpact_assessment = \"PIA-T\"\nreach = {ONLINE}\n\
             fields = {EVERY_FIELD}\nmeasures = [{{ code = \"supervision.inspection\" }}]\ncrl_expiry_exempt = true\n"
        );
        client(&mut text, id, &keys);
    }
    for grant in GRANTS {
        let Grant { id, class, unit, reach, fields, measures } = grant;
        let measures: Vec<String> = measures.iter().map(|measure| granted(measure)).collect();
        let member = MEMBERS.iter().find(|(member, _)| member == id);
        // Whoever gets one bit never holds the list itself.
        let replica = if class.is_one_bit() { ", \"filter\"]" } else { ", \"filter\", \"exact\"]" };
        let (reach, audience) = match member {
            Some((_, audience)) => (reach.replace(']', replica), format!("audience = \"{audience}\"\n")),
            None => ((*reach).to_owned(), String::new()),
        };
        let keys = format!(
            "class = \"{}\"\nunit = \"{unit}\"\nimpact_assessment = \"PIA-T\"\nreach = {reach}\n{audience}measures = [{}]\n{}{}",
            class.as_str(),
            measures.join(", "),
            if *fields == NO_FIELD { String::new() } else { format!("fields = {fields}\n") },
            if *id == UNIT { "acts_for_subjects = true\n" } else { "" },
        );
        client(&mut text, id, &keys);
    }
    for (id, class) in [(AUDITOR, "auditor"), (OPERATOR, "operator")] {
        client(&mut text, id, &format!("class = \"{class}\"\n"));
    }
    text
}

fn granted(measure: &str) -> String {
    match measure.split_once(':') {
        None => format!("{{ code = \"{measure}\" }}"),
        Some((code, items)) => {
            let items: Vec<String> = items.split(',').map(|item| format!("\"{item}\"")).collect();
            format!("{{ code = \"{code}\", items = [{}] }}", items.join(", "))
        }
    }
}

fn client(text: &mut String, id: &str, keys: &str) {
    let (rate, daily) = match id {
        SLOW_BANK => ("2\nburst = 3", "1_000_000"),
        SMALL_BANK => ("1_000_000", "5"),
        _ => ("1_000_000", "1_000_000_000"),
    };
    let expires = if id == FORMER_BANK { "2026-01-01" } else { "2099-12-31" };
    let _ = write!(
        text,
        "\n[[client]]\nid = \"{id}\"\nlegal_basis = \"test\"\nexpires = {expires}\n\
         rate_per_second = {rate}\ndaily_quota = {daily}\n{keys}"
    );
}
