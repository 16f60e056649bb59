#![allow(clippy::unwrap_used)]
use xinhub_api::convert::timestamp_to;

use super::*;

/// 2026-03-01T12:00:00+08:00.
const NOW: Timestamp = Timestamp(1_772_337_600_000);

fn terms() -> Terms<'static> {
    Terms { now: NOW, grace_max_days: 30, catalogue: Catalogue::shipped() }
}

/// Checks the paths of all faults of a mutation.
fn check(message: &impl Mutation, expected: &[&str]) {
    let faults = message.convert(&terms()).map(|_| ()).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path()).collect();
    assert_eq!(paths, expected);
}

fn command(message: &impl Mutation) -> Command {
    message.convert(&terms()).map_err(|faults| format!("{faults:?}")).unwrap().command
}

fn person() -> v1::Identity {
    v1::Identity {
        kind: v1::IdentityKind::ResidentId as i32,
        number: "110101199001010007".into(),
        issuing_state: String::new(),
    }
}

fn content() -> v1::ListingContent {
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
        ..v1::ListingContent::default()
    }
}

#[test]
fn what_is_missing_is_told_for_each_method() {
    check(&v1::NoticeRequest::default(), &["content"]);
    check(&v1::ProposeRequest::default(), &["content"]);
    check(&v1::PublishRequest::default(), &["content"]);
    check(&v1::ApproveRequest::default(), &["listing"]);
    check(&v1::RejectRequest::default(), &["listing"]);
    check(&v1::WithdrawRequest::default(), &["listing"]);
    check(&v1::ServeRequest::default(), &["listing", "served_on"]);
    check(&v1::AmendRequest::default(), &["listing", "content"]);
    check(&v1::RectifyRequest::default(), &["listing", "content"]);
    check(&v1::HideRequest::default(), &["listing"]);
    check(&v1::RestoreRequest::default(), &["listing", "decision"]);
    check(&v1::RevokeRequest::default(), &["listing"]);
    check(&v1::RemoveRequest::default(), &["listing"]);
    check(&v1::ExtendRequest::default(), &["listing"]);
    check(&v1::ExemptRequest::default(), &["listing", "content"]);
    check(&v1::EndExemptionRequest::default(), &["listing", "exemption"]);
    check(&v1::SetRelationRequest::default(), &["listing", "content"]);
    check(&v1::EndRelationRequest::default(), &["listing", "relation"]);
}

#[test]
fn bounds_are_policy_s_and_the_law_s() {
    let served_on = "2026-02-01".to_owned();
    check(&v1::ServeRequest { listing: 1, served_on, grace_days: 31, ..Default::default() }, &["grace_days"]);
    check(&v1::ExtendRequest { listing: 1, months: 37, ..Default::default() }, &["months"]);
    check(&v1::HideRequest { listing: 1, ground: "x".repeat(201), ..Default::default() }, &["ground"]);
    check(&v1::RejectRequest { listing: 1, note: "\u{0}".into(), ..Default::default() }, &["note"]);
    let mut long = content();
    long.decision.as_mut().unwrap().grace_days = 31;
    check(&v1::PublishRequest { content: Some(long), ..Default::default() }, &["content.decision.grace_days"]);
    let late = v1::NoticeRequest { served_on: "2027-01-01".into(), ..Default::default() };
    check(&late, &["content", "served_on"]);
}

#[test]
fn an_exemption_names_measures_and_items_of_the_catalogue() {
    let exempt = |measures: &[&str], items: &[&str]| v1::ExemptRequest {
        listing: 1,
        content: Some(v1::ExemptionContent {
            identity: Some(person()),
            measures: measures.iter().map(ToString::to_string).collect(),
            items: items.iter().map(ToString::to_string).collect(),
            from: Some(timestamp_to(NOW)),
            until: Some(timestamp_to(Timestamp(NOW.0 + 86_400_000))),
            ground: "就医".into(),
            approver: "p-1".into(),
        }),
        ..Default::default()
    };
    assert!(matches!(command(&exempt(&["consumption.rail-air"], &["flight"])), Command::Exempt { listing: 1, .. }));
    check(
        &exempt(&["consumption.rail-air", "no.such"], &["flight", "sauna"]),
        &["content.measures[1]", "content.items[1]"],
    );
    assert!(matches!(command(&exempt(&["consumption.rail-air", "consumption.hotel"], &[])), Command::Exempt { .. }));
    check(&exempt(&["consumption.rail-air", "consumption.hotel"], &["flight"]), &["content.measures[1]"]);
    let both = exempt(&["consumption.rail-air", "consumption.hotel"], &["flight", "star_rated"]);
    assert!(matches!(command(&both), Command::Exempt { .. }));
}

#[test]
fn a_lift_needs_no_ground_and_0_is_a_new_listing() {
    let hide = v1::HideRequest { listing: 7, ..Default::default() };
    assert!(matches!(command(&hide), Command::Hide { listing: 7, ground } if ground.is_empty()));
    let publish = |listing| v1::PublishRequest { listing, content: Some(content()), ..Default::default() };
    assert!(matches!(command(&publish(0)), Command::Publish { listing: None, .. }));
    assert!(matches!(command(&publish(3)), Command::Publish { listing: Some(3), .. }));
}

#[test]
fn warnings_of_the_data_are_kept() {
    let mut flagged = content();
    flagged.identities[0] = v1::Identity {
        kind: v1::IdentityKind::Uscc as i32,
        number: "91110101000000019X".into(),
        issuing_state: String::new(),
    };
    let publish = v1::PublishRequest { content: Some(flagged), ..Default::default() };
    let warnings = publish.convert(&terms()).map_err(|faults| format!("{faults:?}")).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("content.identities[0].number: ")), "{warnings:?}");
}
