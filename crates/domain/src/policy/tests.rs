#![allow(clippy::unwrap_used, clippy::panic)]

use super::permissions::{Demand, TABLE};
use super::*;
use crate::decision::Field;
use crate::time::Day;

const SAMPLE: &str = include_str!("../../../server/config-example/policy.toml");

fn sample() -> Policy {
    parse(SAMPLE)
}

fn parse(text: &str) -> Policy {
    Policy::parse(text, Catalogue::shipped()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn noon(day: &str) -> Timestamp {
    Timestamp(Day::parse(day).unwrap().end().0 - 12 * 3_600_000)
}

fn now() -> Moment {
    Moment::at(noon("2026-03-02"))
}

/// A policy with one court and these lines for one client.
fn with_client(lines: &str) -> String {
    format!("format = 1\nrelease = \"one\"\n[[court]]\nid = \"a\"\nname_zh = \"甲法院\"\n\n[[client]]\n{lines}\n")
}

const COURT_CLIENT: &str = "[[client]]\nid = \"c\"\nclass = \"court\"\ncourt = \"a\"\nlegal_basis = \"x\"\n\
    expires = 2027-01-01\nrate_per_second = 1\ndaily_quota = 1\n";
const BANK: &str = "id = \"b\"\nclass = \"bank\"\nunit = \"central-bank\"\nlegal_basis = \"x\"\nimpact_assessment = \"y\"\n\
    expires = 2027-01-01\nreach = [\"online\"]\nmeasures = [{ code = \"credit.lending\" }]\nrate_per_second = 1\ndaily_quota = 1\n";

#[test]
fn the_sample_is_sound() {
    let policy = sample();
    assert!(policy.warnings(now().now).is_empty(), "{:?}", policy.warnings(now().now));
    assert_eq!(policy.release(), Release::Two);
    assert_eq!(policy.court("leizhou").unwrap().signers(), ["lz-0001", "lz-0002"]);
    assert_eq!(policy.rules().go_live(), Some(Day::parse("2026-07-01").unwrap()));
    assert_eq!(policy.court("leizhou").unwrap().above(), Some("zhanjiang-intermediate"));
    let bank = policy.client("bank-demo").unwrap();
    assert!(bank.fields().contains(Field::Officers) && bank.reach().contains(Reach::Detail));
    assert_eq!(&**bank.audit_class(), "bank");
    let hotel = policy.client("hotel-demo").unwrap();
    assert!(hotel.fields().is_one_bit());
    let lodging = policy.catalogue().measure("consumption.hotel").unwrap();
    assert_eq!(hotel.items(lodging.id, policy.catalogue()), ["star_rated", "other_high_consumption"]);
    let resort = policy.catalogue().measure("consumption.resort-limit").unwrap();
    assert_eq!(policy.limit_fen(resort.id), Some(100_000));
    assert_eq!(policy.limit_fen(lodging.id), None);
    let procurement = policy.client("procurement-demo").unwrap();
    assert_eq!(procurement.quota(), Quota { rate_per_second: 200, burst: 200, daily: 200_000 });
    assert!(policy.may_lift_past_crl_expiry("court-leizhou") && !policy.may_lift_past_crl_expiry("bank-demo"));
    assert_eq!(policy.grace_max_days(), 90);
}

/// A text, and the faults that it must bring, each by a part of its line. No more and no fewer.
fn check_faults(text: &str, expected: &[&str]) {
    let faults = match Policy::parse(text, Catalogue::shipped()) {
        Ok(_) => panic!("was taken, without\n{}", expected.join("\n")),
        Err(faults) => faults,
    };
    for part in expected {
        assert!(faults.iter().any(|fault| fault.to_string().contains(part)), "no fault with {part} in\n{faults}");
    }
    assert_eq!(faults.len(), expected.len(), "{faults}");
}

#[test]
fn the_bank_of_the_fault_tests_is_sound() {
    parse(&with_client(BANK));
}

#[test]
fn names_every_fault_of_a_client_at_once() {
    check_faults(
        &with_client(
            "id = \"Bad Id\"\nclass = \"bank\"\nunit = \"central-bnak\"\nexpires = \"2027-13-01\"\nreach = [\"onlin\"]\n\
             measures = [{ code = \"credit.landing\" }, { code = \"assist.query-seize\" }, { code = \"office.military-service\" }]\n\
             rate_per_second = 0\nburst = 10_000_001\ndaily_quota = \"many\"\ncolour = 1\n",
        ),
        &[
            "policy.toml:8:6: client[0].id: `Bad Id` is no id",
            "policy.toml:10:8: client[0].unit: unit `central-bnak` is not in the catalogue; did you mean `central-bank`?",
            "client[0].expires: is no day; write a day such as 2027-12-31",
            "client[0].reach[0]: `onlin` is not known; did you mean `online`?",
            "client[0].measures[0].code: measure `credit.landing` is not in the catalogue; did you mean `credit.lending`?",
            "client[0].measures[1].code: `assist.query-seize` is ASSIST: no lookup",
            "client[0].measures[2].code: `office.military-service` is switched off",
            "client[0].legal_basis: is missing",
            "client[0].impact_assessment: is missing",
            "client[0].rate_per_second: is out of range",
            "client[0].burst: is out of range",
            "client[0].daily_quota: is a string, not a whole number",
            "client[0].colour: is not a key of this table",
        ],
    );
}

#[test]
fn refuses_grants_that_do_not_fit_their_class() {
    let hotel = |more: &str| {
        with_client(&format!(
            "id = \"h\"\nclass = \"hotel\"\nunit = \"culture-tourism\"\nlegal_basis = \"x\"\nimpact_assessment = \"y\"\n\
             expires = 2027-01-01\nrate_per_second = 1\ndaily_quota = 1\n{more}\n"
        ))
    };
    let lodging = "measures = [{ code = \"consumption.hotel\", items = [\"star_rated\"] }]";
    for (more, expected) in [
        (
            format!("reach = [\"online\", \"detail\"]\n{lodging}"),
            vec!["reach[1]: a client of class hotel gets one bit"],
        ),
        (
            format!("reach = [\"online\", \"exact\"]\n{lodging}"),
            vec!["audience: is missing", "reach[1]: a client of class hotel gets one bit"],
        ),
        (
            format!("reach = [\"online\"]\nfields = [\"relation\", \"effect\"]\n{lodging}"),
            vec!["fields[0]: a client of class hotel gets one bit", "fields[1]: a client"],
        ),
        (
            "reach = [\"online\"]\nmeasures = [{ code = \"consumption.hotel\" }]".to_owned(),
            vec!["measures[0].items: is missing; list those of star_rated, other_high_consumption"],
        ),
        (
            "reach = [\"online\"]\nmeasures = [{ code = \"consumption.hotel\", items = [\"star\"] }]".to_owned(),
            vec!["measures[0].items[0]: `consumption.hotel` has no item `star`"],
        ),
        (
            "reach = [\"online\"]\nmeasures = [{ code = \"consumption.entertainment\", items = [\"x\"] }]".to_owned(),
            vec!["measures[0].items[0]: `consumption.entertainment` has no items"],
        ),
        (format!("reach = [\"online\"]\ncourt = \"a\"\n{lodging}"), vec!["court: is for clients of class court"]),
        (
            format!("reach = [\"online\"]\ncrl_expiry_exempt = true\n{lodging}"),
            vec!["crl_expiry_exempt: is for courts"],
        ),
        (lodging.to_owned(), vec!["reach: is missing"]),
        ("reach = [\"online\"]".to_owned(), vec!["measures: is missing"]),
        (
            format!(
                "reach = [\"online\"]\n{}",
                lodging.replace("}]", "}, { code = \"consumption.hotel\", items = [\"star_rated\"] }]")
            ),
            vec!["measures[1].code: `consumption.hotel` is granted twice"],
        ),
    ] {
        check_faults(&hotel(&more), &expected);
    }
    check_faults(
        &with_client(&BANK.replace("\"bank\"", "\"court\"").replace("unit = \"central-bank\"", "court = \"aa\"")),
        &["client[0].court: court `aa` is not in this file; did you mean `a`?"],
    );
    check_faults(
        &with_client(&BANK.replace("\"bank\"", "\"court\"")),
        &["client[0].court: is missing; name the court it acts for"],
    );
    check_faults(&with_client(&BANK.replace("unit = \"central-bank\"\n", "")), &["client[0].unit: is missing"]);
    check_faults(
        &with_client(&BANK.replace("\"bank\"", "\"operator\"")),
        &["reach[0]: a client of class operator asks about nobody", "client[0].measures: a client of class operator"],
    );
    check_faults(
        &with_client(&format!("{BANK}fields = [\"detail\", \"detail\"]\n")),
        &["fields[0]: numbers of listings are of no use without", "fields[1]: `detail` stands twice"],
    );
    check_faults(&with_client(&format!("{BANK}\n[[client]]\n{BANK}")), &["client[1].id: client `b` stands twice"]);
}

#[test]
fn two_release_unless_the_policy_says_otherwise_and_signers_are_named() {
    let court = |more: &str| format!("format = 1\n{more}[[court]]\nid = \"a\"\nname_zh = \"甲法院\"\n");
    let by_default = parse(&court(""));
    assert_eq!(by_default.release(), Release::Two);
    let keys = |policy: &Policy| -> Vec<String> { policy.warnings(now().now).into_iter().map(|one| one.key).collect() };
    assert_eq!(keys(&by_default), ["court[0].signers"]);
    assert!(keys(&parse(&court("release = \"one\"\n"))).is_empty(), "one needs no signers");
    assert_eq!(keys(&parse(&court("release = \"one\"\ngo_live = 2027-03-04\n"))), ["go_live"]);
    assert!(keys(&parse(&court("release = \"one\"\ngo_live = 2027-03-01\n"))).is_empty());
    let waits = |more: &str, additions, in_force| {
        let policy = parse(&format!("{}{COURT_CLIENT}", court(more)));
        let permit = decide(&policy, "c", Method::ConfirmImport, &RegistryAsk { court: None }, now()).unwrap();
        permit.signing().additions_wait(additions, in_force)
    };
    assert!(!waits("", 5, 100) && waits("", 6, 100) && waits("", 1, 0) && !waits("", 0, 0));
    assert!(!waits("additions_alone_percent = 10\n", 10, 100) && waits("additions_alone_percent = 0\n", 1, 1_000));
    assert!(!waits("release = \"one\"\n", 100, 0), "one releases all");
    check_faults(&court("additions_alone_percent = 101\n"), &["additions_alone_percent: is out of range"]);
    let signers = |list: &str| format!("{}signers = [{list}]\n", court(""));
    assert_eq!(parse(&signers("\"s-1\", \"s-2\"")).court("a").unwrap().signers(), ["s-1", "s-2"]);
    check_faults(&signers("\"s-1\", \" \", \"s-1\""), &["court[0].signers[1]: is no staff id", "`s-1` stands twice"]);
}

#[test]
fn names_faults_of_the_rest_of_the_file() {
    check_faults("format = ", &["policy.toml:1:"]);
    check_faults("", &["format: is missing"]);
    check_faults("format = 2\nrelease = \"three\"\n", &["format: is out of range", "release: `three` is not known"]);
    let head = "format = 1\nrelease = \"one\"\n";
    for (text, expected) in [
        ("[[enable]]\nmeasure = \"office.military-service\"\n", vec!["enable[0].legal_basis: is missing"]),
        ("[[enable]]\nmeasure = \"credit.lending\"\nlegal_basis = \"x\"\n", vec!["is switched on already"]),
        ("[[enable]]\nmeasure = \"criminal.refusal\"\nlegal_basis = \"x\"\n", vec!["is NOT_OFFERED: no lookup"]),
        ("[limits]\n\"credit.lending\" = 5\n", vec!["limits.\"credit.lending\": `credit.lending` has no amount"]),
        ("[limits]\n\"consumption.resort-limits\" = 5\n", vec!["did you mean `consumption.resort-limit`?"]),
        ("[limits]\n\"consumption.resort-limit\" = -5\n", vec!["is no whole number of at least 0"]),
        ("[grace]\nmax_days = 93\n", vec!["grace.max_days: is out of range; write a number from 0 to 92"]),
        ("[grounds]\n\"x\" = 7\n", vec!["is no ground; write 1 to 6"]),
        ("[audiences]\n", vec!["audiences: is not a key of this table"]),
        ("[audience]\n", vec!["audience: is"]),
        ("client = 5\n", vec!["client: is a integer, not a list of tables"]),
        (
            "[[court]]\nid = \"a\"\nname_zh = \"甲\"\nabove = \"b\"\n[[court]]\nid = \"b\"\nname_zh = \"甲\"\nabove = \"a\"\nregion = \"44\"\n",
            vec![
                "court[1].name_zh: is another court's name too",
                "court[1].above: makes the court stand above itself",
                "court[1].region: is no region code",
            ],
        ),
        (
            "[[court]]\nid = \"a\"\nname_zh = \"甲\"\nabove = \"zzz\"\n",
            vec!["court[0].above: court `zzz` is not in this file"],
        ),
    ] {
        check_faults(&format!("{head}{text}"), &expected);
    }
}

#[test]
fn warns_of_grants_that_end_and_of_foreign_purposes() {
    let policy = parse(&with_client(&BANK.replace("credit.lending", "procurement.supplier")));
    let told = |day: &str| policy.warnings(noon(day)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told("2026-03-02").len(), 1);
    assert!(told("2026-03-02")[0].contains("`central-bank` is not among the units responsible for"));
    assert!(told("2026-12-15").iter().any(|text| text.contains("the grant of b ends on 2027-01-01")));
    assert!(told("2027-01-02").iter().any(|text| text.contains("the grant of b ended on 2027-01-01")));
}

#[test]
fn switches_rows_on_with_their_legal_basis() {
    let text = format!(
        "{}\n[[enable]]\nmeasure = \"office.military-service\"\nlegal_basis = \"兵役法\"\n",
        with_client(&BANK.replace("credit.lending", "office.military-service"))
    );
    let policy = parse(&text);
    let row = policy.catalogue().measure("office.military-service").unwrap();
    assert_eq!((row.enabled, row.enabled_on.as_deref()), (true, Some("兵役法")));
    let ask = LookupAsk { measure: "office.military-service", item: None };
    assert!(decide(&policy, "b", Method::Check, &ask, now()).is_ok());
}

#[test]
fn knows_the_grounds_of_conduct_texts() {
    let policy = sample();
    for (conduct, expected) in [
        ("有履行能力而拒不履行生效法律文书确定义务的", Some(Ground::AbleButRefuses)),
        (" 有履行能力而拒不履行生效法律文书确定义务。", Some(Ground::AbleButRefuses)),
        ("有能力履行而拒不履行", Some(Ground::AbleButRefuses)),
        ("违反财产报告制度的", Some(Ground::AssetReport)),
        ("违反财产报告制度，违反财产报告制度的", Some(Ground::AssetReport)),
        ("违反限制高消费令的", Some(Ground::ConsumptionRestriction)),
        ("以隐匿、转移财产规避执行", Some(Ground::HidingAssets)),
        ("无正当理由拒不履行执行和解协议的", Some(Ground::SettlementRefused)),
        // Several grounds decide different terms: reported, never guessed.
        ("有履行能力而拒不履行生效法律文书确定义务,违反财产报告制度", None),
        ("其他", None),
        ("", None),
    ] {
        assert_eq!(policy.ground(conduct), expected, "{conduct}");
    }
}

#[test]
fn every_method_has_its_row() {
    assert_eq!(TABLE.len(), Method::ALL.len());
    for (row, method) in TABLE.iter().zip(Method::ALL) {
        assert_eq!(row.method, *method);
        assert_eq!(method.row().method, *method);
        assert_eq!(Method::from_path(method.path()), Some(*method));
        assert!(!row.classes.is_empty(), "{method} is open to nobody");
        assert!(!row.is_lift || row.demand == Demand::Registry);
    }
    assert_eq!(Method::from_path("/xinhub.v1.LookupService/check"), None);
}

/// One client of every class, granted all that the class may be granted, against every method: what the table says is
/// what `decide` does, and a handler that asks for another permit than its method's gets none.
#[test]
fn the_matrix_of_methods_and_classes() {
    for class in Class::ALL {
        let mut lines = format!(
            "id = \"x\"\nclass = \"{class}\"\nlegal_basis = \"x\"\nexpires = 2027-01-01\nrate_per_second = 1\ndaily_quota = 1\n"
        );
        if *class == Class::Court {
            lines.push_str("court = \"a\"\n");
        }
        if class.asks() {
            lines.push_str(
                "unit = \"finance-office\"\nimpact_assessment = \"y\"\nmeasures = [{ code = \"credit.lending\" }]\n",
            );
            let reach = if class.is_one_bit() {
                "[\"online\", \"filter\"]\naudience = \"lenders\""
            } else if *class == Class::Court {
                "[\"online\", \"detail\"]"
            } else {
                "[\"online\", \"detail\", \"exact\"]\naudience = \"lenders\""
            };
            lines.push_str(&format!("reach = {reach}\n"));
        }
        let audience = "[[audience]]\nid = \"lenders\"\nmeasures = [\"credit.lending\"]\n";
        let policy = parse(&format!("{}{audience}", with_client(&lines)));
        for method in Method::ALL {
            let open = method.is_open_to(*class);
            let demand = method.row().demand;
            let outcomes = [
                (Demand::Session, decide(&policy, "x", *method, &SessionAsk, now()).is_ok()),
                (Demand::Lookup, decide(&policy, "x", *method, &lending(), now()).is_ok()),
                (Demand::Detail, decide(&policy, "x", *method, &DetailAsk, now()).is_ok()),
                (Demand::Registry, decide(&policy, "x", *method, &RegistryAsk { court: Some("a") }, now()).is_ok()),
                (Demand::Sync, decide(&policy, "x", *method, &SyncAsk, now()).is_ok()),
                (Demand::Admin, decide(&policy, "x", *method, &AdminAsk, now()).is_ok()),
            ];
            for (asked, permitted) in outcomes {
                let expected = open && (asked == demand || asked == Demand::Session);
                assert_eq!(permitted, expected, "{class} asks {method} for a {asked:?} permit");
            }
        }
    }
}

fn lending() -> LookupAsk<'static> {
    LookupAsk { measure: "credit.lending", item: None }
}

#[test]
fn permits_hold_what_was_granted() {
    let policy = sample();
    let permit = decide(&policy, "bank-demo", Method::BatchCheck, &lending(), now()).unwrap();
    assert_eq!(&*permit.measure().code, "credit.lending");
    assert_eq!((permit.item(), permit.client().id()), (None, "bank-demo"));

    let ask = LookupAsk { measure: "consumption.hotel", item: Some("star_rated") };
    let permit = decide(&policy, "hotel-demo", Method::Check, &ask, now()).unwrap();
    assert!(permit.item().is_some() && permit.fields().is_one_bit());
    // An item that the measure doesn't have is the decision's business: out of scope.
    let ask = LookupAsk { measure: "consumption.hotel", item: Some("hostel") };
    assert_eq!(decide(&policy, "hotel-demo", Method::Check, &ask, now()).unwrap().item(), None);

    let permit = decide(&policy, "court-leizhou", Method::Hide, &RegistryAsk { court: None }, now()).unwrap();
    assert_eq!((permit.court(), permit.release(), permit.grace_max_days()), ("leizhou", Release::Two, 90));
    assert_eq!(permit.touches("xuwen"), Err(Denial::OtherCourt));
    let permit = decide(&policy, "court-leizhou", Method::GetListing, &DetailAsk, now()).unwrap();
    assert_eq!((permit.reads("leizhou"), permit.reads("xuwen")), (Ok(()), Err(Denial::OtherCourt)));
    let permit = decide(&policy, "bank-demo", Method::GetListing, &DetailAsk, now()).unwrap();
    assert_eq!((permit.own_court(), permit.reads("xuwen")), (None, Ok(())));
}

#[test]
fn denials_say_what_to_do_and_nothing_of_others() {
    let policy = sample();
    let lookup = |client: &str, measure: &'static str, item: Option<&'static str>, moment: Moment| {
        decide(&policy, client, Method::Check, &LookupAsk { measure, item }, moment).map(|_| ()).unwrap_err()
    };
    let expired = Moment::at(noon("2027-07-01"));
    for (denial, expected, is_argument) in [
        (lookup("nobody", "credit.lending", None, now()), "not in the hub's policy", false),
        (lookup("bank-demo", "credit.lending", None, expired), "grant ended on 2027-06-30", false),
        (lookup("ops-demo", "credit.lending", None, now()), "is not open to clients of class operator", false),
        (lookup("bank-demo", "consumption.hotel", None, now()), "for it through 市文广旅体局、", false),
        (lookup("bank-demo", "credit.lendin", None, now()), "did you mean `credit.lending`?", true),
        (lookup("bank-demo", "110101199001010007", None, now()), "is not in the catalogue; the codes are", true),
        (lookup("bank-demo", "report.cppcc-members", None, now()), "can't be asked", true),
        (lookup("bank-demo", "office.military-service", None, now()), "is switched off here", true),
    ] {
        let text = denial.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("hotel-demo") && !text.contains("110101199001010007"), "{text}");
        assert_eq!(denial.is_invalid_argument(), is_argument, "{text}");
    }
    // The last day is granted whole.
    let last = Moment::at(Timestamp(Day::parse("2027-06-30").unwrap().end().0 - 1));
    assert!(decide(&policy, "bank-demo", Method::Check, &lending(), last).is_ok());
    let first_after = Moment::at(Day::parse("2027-06-30").unwrap().end());
    assert!(decide(&policy, "bank-demo", Method::Check, &lending(), first_after).is_err());

    let one_item =
        parse(&SAMPLE.replace("[\"star_rated\", \"other_high_consumption\"]", "[\"other_high_consumption\"]"));
    let ask = LookupAsk { measure: "consumption.hotel", item: Some("star_rated") };
    let denial = decide(&one_item, "hotel-demo", Method::Check, &ask, now()).map(|_| ()).unwrap_err();
    assert!(denial.to_string().starts_with("item: star_rated of consumption.hotel is not granted"), "{denial}");
    let denial = decide(&policy, "procurement-demo", Method::GetListing, &DetailAsk, now()).map(|_| ()).unwrap_err();
    assert_eq!(denial, Denial::ReachNotGranted { reach: Reach::Detail });
}

#[test]
fn past_its_crl_a_pinned_court_lifts_and_does_nothing_else() {
    let unpinned = SAMPLE.replace("crl_expiry_exempt = true", "crl_expiry_exempt = false");
    let moment = Moment { crl_expired: true, ..now() };
    for (text, pinned) in [(SAMPLE, true), (unpinned.as_str(), false)] {
        let policy = parse(text);
        for method in Method::ALL.iter().filter(|method| method.row().demand == Demand::Registry) {
            let permit = decide(&policy, "court-leizhou", *method, &RegistryAsk { court: None }, moment);
            assert_eq!(permit.is_ok(), pinned && method.row().is_lift, "{method}");
        }
        assert!(decide(&policy, "bank-demo", Method::Check, &lending(), moment).is_err());
    }
    let lifts: Vec<&str> = TABLE.iter().filter(|row| row.is_lift).map(|row| row.method.path()).collect();
    assert_eq!(lifts.len(), 6, "{lifts:?}");
}

proptest::proptest! {
    /// Whatever an editor leaves behind: a policy or faults with a place, never a panic.
    #[test]
    fn a_mangled_file_brings_faults_and_no_panic(at in 0..SAMPLE.len(), len in 0_usize..40, put in "[\"\\[\\]{}=,\\n#a1。]{0,4}") {
        let floor = |mut index: usize| {
            while !SAMPLE.is_char_boundary(index) {
                index -= 1;
            }
            index
        };
        let (from, to) = (floor(at), floor((at + len).min(SAMPLE.len())));
        let text = format!("{}{put}{}", &SAMPLE[..from], &SAMPLE[to..]);
        if let Err(faults) = Policy::parse(&text, Catalogue::shipped()) {
            proptest::prop_assert!(!faults.is_empty());
            proptest::prop_assert!(faults.iter().all(|fault| fault.line.is_some() && !fault.fix.is_empty()));
        }
    }
}

#[test]
fn a_replica_belongs_to_an_audience_whose_measures_are_all_granted() {
    let audience = |id: &str, measures: &str| format!("[[audience]]\nid = \"{id}\"\nmeasures = [{measures}]\n");
    let bank = |reach: &str, more: &str| {
        with_client(&format!("{}{more}\n", BANK.replace("\"online\"", &format!("\"online\", {reach}"))))
    };
    let lenders = audience("lenders", "\"credit.lending\"");
    let exact = bank("\"exact\"", "audience = \"lenders\"");
    let policy = parse(&format!("{exact}{lenders}"));
    let [only] = policy.audiences() else { panic!("{:?}", policy.audiences()) };
    let lending = policy.catalogue().measure("credit.lending").unwrap();
    assert_eq!((only.id(), only.measures()), ("lenders", &[lending.id][..]));
    // A company's officers are looked up as debtors themselves.
    assert_eq!(only.relations(), lending.mask().or(RelationSet::DEBTOR));
    let permit = decide(&policy, "b", Method::GetManifest, &SyncAsk, now()).unwrap();
    assert_eq!(permit.audience(), only);
    let filter = parse(&format!("{}{lenders}", bank("\"filter\"", "audience = \"lenders\"")));
    let held = decide(&filter, "b", Method::GetManifest, &SyncAsk, now()).unwrap();
    assert!(held.may_hold(Reach::Filter) && !held.may_hold(Reach::Exact) && !permit.may_hold(Reach::Filter));
    // What a replica decides by, cut to what it may be asked for, reads as the whole does.
    let (measures, units) = held.catalogue().excerpt(only.measures());
    let excerpt = Catalogue::parse(&measures, &units).unwrap();
    assert_eq!(excerpt.measures().len(), 1);
    let cut = excerpt.measure("credit.lending").unwrap();
    assert_eq!(
        (&cut.restricted, &cut.also_check, cut.on_unknown),
        (&lending.restricted, &lending.also_check, lending.on_unknown)
    );
    let online = parse(&with_client(BANK));
    let denied = decide(&online, "b", Method::GetManifest, &SyncAsk, now()).unwrap_err();
    assert_eq!(denied, Denial::ReachNotGranted { reach: Reach::Filter });

    check_faults(&bank("\"exact\"", ""), &["client[0].audience: is missing"]);
    check_faults(&exact, &["client[0].audience: audience `lenders` is not in this file"]);
    let online = with_client(&format!("{BANK}audience = \"lenders\"\n"));
    check_faults(&format!("{online}{lenders}"), &["client[0].audience: is for clients that keep a replica"]);
    let more = audience("lenders", "\"credit.lending\", \"procurement.supplier\"");
    let expected = "client[0].audience: has measures that are not granted to this client: procurement.supplier";
    check_faults(&format!("{exact}{more}"), &[expected]);
    let head = "format = 1\nrelease = \"one\"\n";
    for (measures, expected) in [
        ("\"credit.lending\", \"credit.lending\"", "audience[0].measures[1]: `credit.lending` stands twice"),
        ("\"criminal.refusal\"", "audience[0].measures[0]: `criminal.refusal` can't be asked here"),
        ("\"credit.landing\"", "did you mean `credit.lending`?"),
    ] {
        check_faults(&format!("{head}{}", audience("a", measures)), &[expected]);
    }
    check_faults(&format!("{head}[[audience]]\nid = \"a\"\n"), &["audience[0].measures: is missing"]);
    let twice = format!("{head}{}{}", audience("a", ""), audience("a", ""));
    check_faults(&twice, &["audience[1].id: audience `a` stands twice"]);
    let many: String = (0..17).map(|number| audience(&format!("a-{number}"), "")).collect();
    check_faults(&format!("{head}{many}"), &["audience[16].id: is one audience more than the 16"]);
}
