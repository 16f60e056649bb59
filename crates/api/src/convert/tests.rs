#![allow(clippy::unwrap_used)]
use xinhub_domain::decision::ConditionValue;
use xinhub_domain::identity::Kind;
use xinhub_domain::listing::State;
use xinhub_domain::measure::{Capacity, Relation};

use super::*;
use crate::reason::{Failure, Reason};
use crate::v1;

/// 2026-03-01T12:00:00+08:00.
const NOW: Timestamp = Timestamp(1_772_337_600_000);

fn id(kind: v1::IdentityKind, number: &str) -> v1::Identity {
    v1::Identity { kind: kind as i32, number: number.to_owned(), issuing_state: String::new() }
}

fn person() -> v1::Identity {
    id(v1::IdentityKind::ResidentId, "110101199001010007")
}

fn listing() -> v1::ListingContent {
    v1::ListingContent {
        identities: vec![person()],
        name: "测试甲".into(),
        decision: Some(v1::Decision {
            number: "(2026)粤0882执1号".into(),
            date: "2026-01-05".into(),
            reasons: "有履行能力而拒不履行".into(),
            signer: "p-1".into(),
            ..v1::Decision::default()
        }),
        ground: 1,
        case_number: "(2025)粤0882执1234号".into(),
        basis_document: "(2025)粤0882民初1号".into(),
        basis_issuer: "测试法院".into(),
        notice_served_on: "2025-12-20".into(),
        visibility: v1::Visibility::Public as i32,
        ..v1::ListingContent::default()
    }
}

#[test]
fn closed_lists_go_both_ways() {
    for kind in Kind::ALL {
        assert_eq!(kind_from(kind_to(kind) as i32), Some(kind));
    }
    for state in State::ALL {
        assert_eq!(state_from(state_to(state) as i32), Some(state));
    }
    for relation in Relation::ALL {
        assert_eq!(relation_from(relation_to(*relation) as i32), Some(*relation));
    }
    for capacity in Capacity::ALL {
        assert_eq!(capacity_from(capacity_to(*capacity) as i32), Some(*capacity));
    }
    assert_eq!((kind_from(0), kind_from(99), state_from(0), relation_from(-1)), (None, None, None, None));
}

#[test]
fn instants_go_both_ways() {
    for ms in [0, 1, 1_772_337_600_123, 253_402_300_799_999] {
        assert_eq!(timestamp_from(&timestamp_to(Timestamp(ms))), Some(Timestamp(ms)));
    }
    for (seconds, nanos) in [(i64::MIN, 0), (-1, 0), (253_402_300_800, 0), (i64::MAX, 0), (0, -1), (0, 1_000_000_000)] {
        assert_eq!(timestamp_from(&prost_types::Timestamp { seconds, nanos }), None, "{seconds} {nanos}");
    }
    assert_eq!(etag_from(&etag_to(4_711), "e").unwrap(), Some(4_711));
    assert_eq!(etag_from("", "e").unwrap(), None);
    assert!(etag_from("\"x\"", "e").is_err());
}

/// Checks the paths of all faults of an inquiry, and the reason that they lead to.
fn check_inquiry(message: v1::Inquiry, expected: &[&str], reason: Reason) {
    let faults = inquiry(Some(&message), "inquiry", NOW.date()).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path()).collect();
    assert_eq!(paths, expected);
    let number = message.identity.map(|identity| identity.number).unwrap_or_default();
    let failure = Failure::from(faults);
    assert_eq!(failure.reason(), reason, "{failure}");
    assert!(number.is_empty() || !failure.to_string().contains(&number));
}

#[test]
fn every_fault_of_an_inquiry_is_told_at_once() {
    let inquiry = v1::Inquiry::default;
    check_inquiry(inquiry(), &["inquiry.identity"], Reason::InvalidIdentity);
    check_inquiry(
        v1::Inquiry { identity: Some(id(v1::IdentityKind::ResidentId, "110101199001010008")), ..inquiry() },
        &["inquiry.identity.number"],
        Reason::InvalidIdentity,
    );
    check_inquiry(
        v1::Inquiry { identity: Some(id(v1::IdentityKind::Unspecified, "110101199001010007")), ..inquiry() },
        &["inquiry.identity.kind"],
        Reason::InvalidIdentity,
    );
    check_inquiry(
        v1::Inquiry { identity: Some(person()), reference: "order 110101199001010007".into(), ..inquiry() },
        &["inquiry.reference"],
        Reason::ReferenceHoldsIdentity,
    );
    check_inquiry(
        v1::Inquiry {
            identity: Some(id(v1::IdentityKind::Passport, "AB123456")),
            name: "\u{7}".into(),
            officers: vec![v1::Officer { capacity: 0, identity: Some(person()) }],
            conditions: vec![
                v1::ConditionAnswer { condition: "a".into(), answer: None },
                v1::ConditionAnswer {
                    condition: "a".into(),
                    answer: Some(v1::condition_answer::Answer::AmountFen(-1)),
                },
                v1::ConditionAnswer {
                    condition: "a".into(),
                    answer: Some(v1::condition_answer::Answer::Date("x".into())),
                },
            ],
            reference: "r".repeat(65),
        },
        &[
            "inquiry.identity.issuing_state",
            "inquiry.name",
            "inquiry.officers[0].capacity",
            "inquiry.conditions[0].answer",
            "inquiry.conditions[1].amount_fen",
            "inquiry.conditions[2].date",
            "inquiry.reference",
        ],
        Reason::InvalidField,
    );
    let many = vec![v1::Officer::default(); 31];
    let message = v1::Inquiry { identity: Some(person()), officers: many, ..inquiry() };
    check_inquiry(message, &["inquiry.officers"], Reason::InvalidField);
}

#[test]
fn a_looker_up_s_credit_code_with_a_wrong_check_is_flagged_and_no_error() {
    let wrong = id(v1::IdentityKind::Uscc, "91110101000000019X");
    let message = v1::Inquiry { identity: Some(wrong), ..v1::Inquiry::default() };
    assert!(inquiry(Some(&message), "inquiry", NOW.date()).unwrap().identity.is_flagged());
}

#[test]
fn a_sound_inquiry_keeps_what_it_says() {
    let message = v1::Inquiry {
        identity: Some(person()),
        name: "测试甲".into(),
        officers: vec![v1::Officer { capacity: v1::Capacity::Director as i32, identity: Some(person()) }],
        conditions: vec![v1::ConditionAnswer {
            condition: "in_post".into(),
            answer: Some(v1::condition_answer::Answer::Met(false)),
        }],
        reference: "loan 2026-17".into(),
    };
    let inquiry = inquiry(Some(&message), "inquiry", NOW.date()).unwrap();
    assert_eq!(inquiry.officers[0].capacity, Capacity::Director);
    assert_eq!(inquiry.conditions()[0].value, ConditionValue::NotMet);
    assert_eq!(inquiry.reference, "loan 2026-17");
    assert_eq!(identity_to(&inquiry.identity), person());
    assert_eq!(identity_to_masked(&inquiry.identity).number, "1101011990****0007");
}

fn uuid7(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap();
    uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid().to_string()
}

#[test]
fn request_ids_are_fresh_uuids_of_version_7() {
    let check = |text: &str, ok: bool| assert_eq!(request_id(text, "r", NOW).is_ok(), ok, "{text}");
    check(&uuid7(NOW.0), true);
    check(&uuid7(NOW.0 - MAX_REQUEST_AGE_MS), true);
    check(&uuid7(NOW.0 - MAX_REQUEST_AGE_MS - 1), false);
    check(&uuid7(NOW.0 + MAX_REQUEST_LEAD_MS), true);
    check(&uuid7(NOW.0 + MAX_REQUEST_LEAD_MS + 1), false);
    check("", false);
    check("0190b6c0-0000-4000-8000-000000000000", false);
    let approver = Some(v1::Actor { post: "judge".into(), ..v1::Actor::default() });
    let faults = mutation(Some(&v1::Mutation { etag: "?".into(), approver, ..v1::Mutation::default() })).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path()).collect();
    assert_eq!(
        paths,
        ["mutation.request_id", "mutation.etag", "mutation.actor.staff_id", "mutation.approver.staff_id"]
    );
    let actor = Some(v1::Actor { staff_id: "a".into(), post: "judge".into() });
    let head = v1::Mutation { request_id: uuid7(0), actor, ..v1::Mutation::default() };
    assert!(mutation(Some(&head)).is_ok(), "the time of a mutation's id is the ledger's to judge");
}

/// Checks the paths of all faults of a listing's content.
fn check_content(change: impl FnOnce(&mut v1::ListingContent), form: Form, expected: &[&str], reason: Reason) {
    let mut message = listing();
    change(&mut message);
    let faults = content(Some(&message), form, NOW).map(|_| ()).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path()).collect();
    assert_eq!(paths, expected);
    assert_eq!(Failure::from(faults).reason(), reason);
}

#[test]
fn every_fault_of_a_listing_is_told_at_once() {
    let (decision, field) = (Form::Decision, Reason::InvalidField);
    check_content(|c| c.decision = None, decision, &["content.decision"], field);
    check_content(|_| (), Form::Notice, &["content.decision"], field);
    check_content(|c| c.ground = -1, decision, &["content.ground", "content.ground"], field);
    let barred = |c: &mut v1::ListingContent| {
        c.bars = vec![v1::ListingBar::SecurityGiven as i32, v1::ListingBar::Unspecified as i32];
        (c.ground, c.decision.as_mut().unwrap().term_months) = (1, 0);
    };
    check_content(barred, decision, &["content.bars[1]", "content.ground"], field);
    check_content(|c| c.identities[0].kind = 0, decision, &["content.identities[0].kind"], Reason::InvalidIdentity);
    check_content(|c| c.identities = vec![person(); 5], decision, &["content.identities"], Reason::InvalidIdentity);
    check_content(
        |c| c.identities[0].number = "110101201501010000".into(),
        decision,
        &["content.identities[0].number"],
        Reason::InvalidIdentity,
    );
    let minor = xinhub_domain::identity::synthetic::resident_id("110101", jiff::civil::date(2015, 1, 1), 7);
    check_content(|c| c.identities[0].number = minor, decision, &["content.identities"], Reason::Minor);
    check_content(
        |c| {
            c.name.clear();
            c.filed_on = "yesterday".into();
            c.sex = 9;
        },
        decision,
        &["content.sex", "content.name", "content.filed_on"],
        field,
    );
}

#[test]
fn a_listing_goes_both_ways() {
    let message = listing();
    let (checked, warnings) = content(Some(&message), Form::Decision, NOW).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(content_to(&checked), message);
    let published = content_to_published(&checked);
    assert_eq!(published.identities[0].number, "1101011990****0007");
    assert_eq!(published.decision.unwrap().reasons, "");
}

#[test]
fn an_attested_decision_comes_back_without_number_and_reasons() {
    let mut message = listing();
    message.decision = message.decision.map(|d| v1::Decision { number: String::new(), reasons: String::new(), ..d });
    assert!(content(Some(&message), Form::Decision, NOW).is_err());
    let (checked, _) = content(Some(&message), Form::Correction, NOW).unwrap();
    assert!(checked.decision.unwrap().attested);
    assert!(!content(Some(&listing()), Form::Correction, NOW).unwrap().0.decision.unwrap().attested);
}

#[test]
fn related_people_and_exemptions_are_checked() {
    let message = v1::RelationContent {
        relation: v1::Relation::LegalRepresentative as i32,
        identity: Some(person()),
        name: "测试乙".into(),
        basis_document: "证明1".into(),
        from: "2026-01-01".into(),
        until: String::new(),
    };
    assert_eq!(relation_content_to(&relation(Some(&message), NOW).unwrap().0), message);
    let debtor = v1::RelationContent { relation: v1::Relation::Debtor as i32, ..message };
    assert_eq!(relation(Some(&debtor), NOW).unwrap_err().iter().next().unwrap().path(), "content.relation");

    let message = v1::ExemptionContent {
        identity: Some(person()),
        measures: vec!["consumption.rail-air".into()],
        items: Vec::new(),
        from: Some(timestamp_to(NOW)),
        until: Some(timestamp_to(Timestamp(NOW.0 + 86_400_000))),
        ground: "就医".into(),
        approver: "p-1".into(),
    };
    assert_eq!(exemption_to(&exemption(Some(&message), NOW).unwrap()), message);
    let until = Some(timestamp_to(Timestamp(NOW.0 + 40 * 86_400_000)));
    let long = v1::ExemptionContent { until, ..message.clone() };
    assert_eq!(exemption(Some(&long), NOW).unwrap_err().iter().next().unwrap().path(), "content.until");
    let instant = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let hostile = v1::ExemptionContent {
        from: instant(-9_223_372_036_854_775),
        until: instant(9_223_372_036_854_775),
        ..message
    };
    let faults = exemption(Some(&hostile), NOW).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path()).collect();
    assert_eq!(paths, ["content.from", "content.until"], "a span that would overflow is refused");
}
