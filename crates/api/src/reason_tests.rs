#![allow(clippy::unwrap_used)]
use xinhub_domain::listing::ContentFault;

use super::*;

const ALL: std::ops::RangeInclusive<i32> = 1..=41;

#[test]
fn every_reason_has_a_code_and_survives_the_wire() {
    for number in ALL {
        let reason = Reason::try_from(number).unwrap();
        assert_ne!(code(reason), Code::Ok);
        assert_eq!(code(reason) == Code::Internal, reason == Reason::Internal, "{reason:?}");
        let status = Status::from(Failure::new(reason, "text"));
        assert_eq!(reason_of(&status), Some(reason));
        assert_eq!(retry_after(&status).is_some(), code(reason) == Code::Unavailable, "{reason:?}");
    }
    assert!(Reason::try_from(42).is_err(), "a new reason belongs into this range");
}

#[test]
fn a_stranger_s_status_has_no_reason() {
    assert_eq!(reason_of(&Status::unavailable("proxy")), None);
    let mut details = ErrorDetails::new();
    details.set_error_info("REASON_RATE", "elsewhere", HashMap::new());
    assert_eq!(reason_of(&Status::with_error_details(Code::Unavailable, "", details)), None);
}

fn check(fields: &[(Reason, &str)], expected: Reason) {
    let mut faults = FieldFaults::default();
    for (reason, path) in fields {
        faults.add_of(*reason, *path, "is wrong");
    }
    let failure = Failure::from(faults);
    assert_eq!(failure.reason(), expected);
    assert_eq!(failure.fields().len(), fields.len());
    let details = Status::from(failure).get_details_bad_request().unwrap();
    assert_eq!(details.field_violations.len(), fields.len().min(MAX_FIELDS));
}

#[test]
fn many_faults_have_one_reason() {
    use Reason as R;
    check(&[(R::InvalidIdentity, "a.number")], R::InvalidIdentity);
    check(&[(R::InvalidIdentity, "a.number"), (R::InvalidIdentity, "b.number")], R::InvalidIdentity);
    check(&[(R::InvalidIdentity, "a.number"), (R::InvalidField, "b")], R::InvalidField);
    check(&[(R::InvalidField, "a"), (R::Minor, "b")], R::Minor);
    check(&[(R::InvalidField, "a"); 60], R::InvalidField);
}

#[test]
fn details_fit_into_a_header_block() {
    let mut faults = FieldFaults::default();
    for at in 0..10_000 {
        faults.add(format!("content.identities[{at}].number"), "限".repeat(300));
    }
    let status = Status::from(Failure::from(faults));
    assert!(status.message().len() < 1_500);
    assert!(status.details().len() < 5_000, "{}", status.details().len());
}

#[test]
fn a_problem_doesn_t_repeat_its_field() {
    let fault = FieldFault::new("inquiry.name", "name: is empty");
    assert_eq!((fault.path(), fault.problem()), ("inquiry.name", "is empty"));
    let fault = FieldFault::from_content(ContentFault::new("identities[0].number", "number: is empty"), "content");
    assert_eq!((fault.path(), fault.problem()), ("content.identities[0].number", "is empty"));
    assert_eq!(Failure::from(FieldFaults(vec![fault])).reason(), Reason::InvalidIdentity);
}

#[test]
fn a_question_that_doesn_t_fit_names_its_field() {
    let refusal = decision::Refusal::ConditionTwice { position: 3 };
    let failure = Failure::from((refusal, "inquiry"));
    assert_eq!(failure.fields()[0].path(), "inquiry.conditions[3].condition");
    assert_eq!(failure.fields()[0].problem(), "is answered twice; keep one answer");
    let refusal = decision::Refusal::MissingItem { code: "a.b".into(), items: "x, y".into() };
    let failure = Failure::from((refusal, ""));
    assert_eq!((failure.reason(), failure.fields()[0].path()), (Reason::ItemRequired, "item"));
}
