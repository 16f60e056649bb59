#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn the_shipped_catalogue_is_the_plan() {
    let catalogue = Catalogue::shipped();
    assert_eq!(catalogue.measures().len(), 51);
    assert_eq!(catalogue.units().len(), 36);
    let off: Vec<&str> = catalogue.measures().iter().filter(|m| !m.enabled).map(|m| &*m.code).collect();
    assert_eq!(
        off,
        [
            "office.party-membership",
            "office.deputy-candidate",
            "office.military-service",
            "assist.locate-control",
            "assist.query-seize",
            "assist.exit-restriction",
            "criminal.refusal",
            "report.public-bodies",
            "report.congress-deputies",
            "report.cppcc-members",
        ]
    );
    for measure in catalogue.measures() {
        assert_eq!(catalogue.measure(&measure.code).unwrap().id, measure.id);
        assert_eq!(measure.is_askable(), measure.on_unknown.is_some(), "{}", measure.code);
        assert_eq!(measure.is_askable(), !measure.mask().is_empty() && measure.effect != Effect::Assist);
        assert_eq!(measure.also_check.is_empty(), measure.also_effect.is_none(), "{}", measure.code);
    }
}

#[test]
fn reads_what_a_row_says() {
    let catalogue = Catalogue::shipped();
    let rail = catalogue.measure("consumption.rail-air").unwrap();
    assert_eq!(rail.restricted.sort, SubjectSort::Person);
    assert_eq!(rail.mask(), RelationSet::ALL);
    assert_eq!(rail.items.len(), 4);
    assert_eq!(rail.item("flight").map(ItemId::index), Some(3));
    assert_eq!(rail.item("coach"), None);
    assert_eq!(rail.on_unknown, Some(OnUnknown::Proceed));

    let lending = catalogue.measure("credit.lending").unwrap();
    assert_eq!(lending.mask(), RelationSet::DEBTOR);
    assert_eq!(lending.also_check.len(), 6);
    assert_eq!(lending.also_effect, Some(Effect::Inform));

    let executive = catalogue.measure("office.state-enterprise-executive").unwrap();
    assert_eq!(executive.condition, Condition::InPost(Procedure::RemovalByProcedure));
    let report = catalogue.measure("report.cppcc-members").unwrap();
    assert!(report.restricted.all_enforcement_debtors && report.mask().is_empty());
    assert_eq!(report.condition, Condition::Recipient("cppcc-committee".into()));
}

const HEADER: &str =
    "code\tsection\ttitle_zh\teffect\trestricted\talso_check\talso_effect\tcondition\ton_unknown\tenabled\tunits";
const UNITS: &str = "code\tname_zh\ncourt\t市人民法院\n";

#[test]
fn tells_every_fault_with_line_column_and_fix() {
    let measures = format!(
        "{HEADER}\n\
         a.good\t1\tx\tPROHIBIT\tdebtor\t-\t-\t-\tproceed\tyes\tcourt\n\
         a.good\t1\tx\tPROHIBITT\tdebtor\t-\t-\t-\tproceed\tyes\tcourt\n\
         a.b\t1\tx\tLIMIT\tdebtor,director\t-\tINFORM\tin_post:x\t-\tmaybe\tcuort\n\
         a.c\t1\n\
         a.d\t1\tx\tASSIST\t-\t-\t-\t-\t-\tyes\tcourt\n\
         a.e\t1\tx\tLIMIT\tenforcement_debtor\tdirector\t-\titem:a,a\tproceed\tyes\tcourt\n"
    );
    let faults = Catalogue::parse(&measures, UNITS).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        ":3:1: code: is the code of line 2 too",
        ":3:4: effect: `PROHIBITT` is not known; did you mean `PROHIBIT`?",
        ":4:5: restricted: `director` is not known",
        ":4:7: also_effect: is given, but no officers",
        ":4:8: condition: `x` is not known",
        ":4:9: on_unknown: is missing",
        ":4:10: enabled: is neither yes nor no",
        ":4:11: units: unit `cuort` is not known; did you mean `court`?",
        ":5: row: has 2 cells, expected 11",
        ":6:10: enabled: is yes, but the effect is no lookup",
        ":7:5: restricted: only who is listed",
        ":7:7: also_effect: is missing",
        ":7:8: condition: names item `a` twice",
    ];
    for text in expected {
        assert!(told.iter().any(|fault| fault.contains(text)), "no fault with {text} in\n{faults}");
    }
    assert_eq!(told.len(), expected.len(), "{faults}");
}

#[test]
fn a_wrong_header_is_one_fault() {
    let faults = Catalogue::parse("code\n", "name\n").unwrap_err();
    assert_eq!(faults.len(), 2, "{faults}");
}
