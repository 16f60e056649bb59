#![allow(clippy::unwrap_used)]
use super::super::draft::{DraftRelation, RawIdentity};
use super::super::relation::RelationContent;
use super::*;
use crate::identity::Kind;
use crate::listing::Standing;
use crate::measure::Relation;

fn now() -> Timestamp {
    Timestamp(Day::parse("2026-03-02").unwrap().end().0 - 3_600_000)
}

fn id(number: &str) -> RawIdentity {
    RawIdentity { kind: Kind::ResidentId, number: number.to_owned(), issuing_state: None }
}

fn draft() -> Draft {
    Draft {
        identities: vec![id("11010119900101004X")],
        name: "测试甲".to_owned(),
        decision: Some(DraftDecision {
            number: "(2026)粤0882执12号之一".to_owned(),
            date: "2026-02-01".to_owned(),
            reasons: "able to perform and refuses".to_owned(),
            signer: "p-1".to_owned(),
            served_on: "2026-02-03".to_owned(),
            ..DraftDecision::default()
        }),
        ground: 1,
        case_number: "(2026)粤0882执12号".to_owned(),
        basis_document: "(2025)粤0882民初1号".to_owned(),
        basis_issuer: "synthetic court".to_owned(),
        ..Draft::default()
    }
}

fn check(case: &str, change: impl FnOnce(&mut Draft), stage: Stage, faults: &[&str]) {
    let mut draft = draft();
    change(&mut draft);
    let got = match Content::check(&draft, stage, now()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.field).collect(),
    };
    assert_eq!(got, faults, "{case}");
}

fn decided(draft: &mut Draft) -> &mut DraftDecision {
    draft.decision.as_mut().unwrap()
}

#[test]
fn what_a_listing_needs() {
    use Stage::{Decision, Notice};
    check("all there", |_| {}, Decision, &[]);
    check("no decision", |d| d.decision = None, Decision, &["decision"]);
    check("no ground", |d| d.ground = 0, Decision, &["ground"]);
    check("no seventh ground", |d| d.ground = 7, Decision, &["ground"]);
    check("no case", |d| d.case_number.clear(), Decision, &["case_number"]);
    check("no basis", |d| d.basis_document.clear(), Decision, &["basis_document"]);
    check("no identity", |d| d.identities.clear(), Decision, &["identities"]);
    check(
        "wrong check digit",
        |d| d.identities[0].number = "110101199001010041".into(),
        Decision,
        &["identities[0].number"],
    );
    check("a minor", |d| d.identities[0].number = "110101201001010016".into(), Decision, &["identities[0].number"]);
    check("unsigned", |d| decided(d).signer.clear(), Decision, &["decision.signer"]);
    check("undated", |d| decided(d).date.clear(), Decision, &["decision.date"]);
    check("future", |d| decided(d).date = "2026-03-03".into(), Decision, &["decision.date"]);
    check("served before", |d| decided(d).served_on = "2026-01-31".into(), Decision, &["decision.served_on"]);
    check("long grace", |d| decided(d).grace_days = 93, Decision, &["decision.grace_days"]);
    check("ground 1 has no term", |d| decided(d).term_months = 24, Decision, &["decision.term_months"]);
    check("ground 2 has one", |d| d.ground = 2, Decision, &["decision.term_months"]);
    check(
        "a term that is over",
        |d| {
            d.ground = 2;
            decided(d).term_months = 24;
            decided(d).date = "2024-03-01".into();
        },
        Decision,
        &["decision.date"],
    );
    check(
        "a correction of what is over, or was extended",
        |d| {
            d.ground = 2;
            decided(d).term_months = 24;
            decided(d).date = "2023-03-01".into();
        },
        Stage::Correction,
        &[],
    );
    check("a correction without a decision", |d| d.decision = None, Stage::Correction, &["decision"]);
    check("a notice with a decision", |_| {}, Notice, &["decision"]);
    check(
        "a notice",
        |d| {
            d.decision = None;
            d.ground = 0;
        },
        Notice,
        &[],
    );
    check(
        "all at once",
        |d| {
            d.name.clear();
            d.case_number.clear();
            d.basis_issuer.clear();
        },
        Decision,
        &["name", "case_number", "basis_issuer"],
    );
}

#[test]
fn a_minor_is_refused_by_rule() {
    let mut draft = draft();
    let number = crate::identity::synthetic::resident_id("110101", jiff::civil::date(2008, 2, 2), 2);
    draft.identities = vec![id(&number)];
    let faults = Content::check(&draft, Stage::Decision, now()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.minor), "17 years old at the decision, 18 today");
}

#[test]
fn a_passport_needs_the_birth_date_told() {
    let mut draft = draft();
    draft.identities =
        vec![RawIdentity { kind: Kind::Passport, number: "E12345678".into(), issuing_state: Some("CHN".into()) }];
    let faults = Content::check(&draft, Stage::Decision, now()).unwrap_err();
    assert_eq!(faults[0].field, "birth_date");
    draft.birth_date = "1990-01-01".into();
    Content::check(&draft, Stage::Decision, now()).unwrap();
    draft.birth_date = "2010-01-01".into();
    assert!(Content::check(&draft, Stage::Decision, now()).unwrap_err()[0].minor);
}

#[test]
fn measures_wait_for_service_and_grace() {
    let (content, _) = Content::check(&draft(), Stage::Decision, now()).unwrap();
    let mut decision = content.decision.unwrap();
    assert_eq!(decision.standing(now()), Standing::InForce);
    decision.grace_days = 27;
    assert_eq!(decision.grace_until().unwrap().to_string(), "2026-03-02");
    assert_eq!(decision.standing(now()), Standing::InGrace);
    assert_eq!(decision.standing(Timestamp(now().0 + 3_600_000)), Standing::InForce);
    decision.served_on = None;
    assert_eq!(decision.standing(now()), Standing::Unserved);
}

#[test]
fn a_related_person_is_an_adult_and_no_debtor() {
    let draft = DraftRelation {
        relation: Relation::Debtor,
        identity: RawIdentity { kind: Kind::Uscc, number: "91110101000000019Y".into(), issuing_state: None },
        name: "测试乙".into(),
        basis_document: "doc".into(),
        from: "2026-01-01".into(),
        until: "2026-01-02".into(),
    };
    let fields = |draft: &DraftRelation| -> Vec<String> {
        let checked = RelationContent::check(draft, now());
        checked.err().unwrap_or_default().into_iter().map(|fault| fault.field).collect()
    };
    assert_eq!(fields(&draft), ["relation", "until", "identity.kind"]);
    let good = DraftRelation {
        relation: Relation::Principal,
        identity: id("11010119900101004X"),
        until: String::new(),
        ..draft
    };
    assert_eq!(fields(&good), Vec::<String>::new());
}

#[test]
fn content_survives_its_encoding() {
    let (content, _) = Content::check(&draft(), Stage::Decision, now()).unwrap();
    let bytes = minicbor::to_vec(&content).unwrap();
    assert!(minicbor::decode::<Content>(&bytes).unwrap() == content);
    assert_eq!(format!("{content:?}"), "Content(..)");
}
