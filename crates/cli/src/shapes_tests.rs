//! OUTPUT.md promises these shapes: its examples have exactly the fields that are written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

const OUTPUT_MD: &str = include_str!("../OUTPUT.md");

/// The examples under one label.
fn examples(wanted: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut label = None;
    for line in OUTPUT_MD.lines() {
        match (line.strip_prefix("```"), label) {
            (Some(info), None) => label = Some(info.strip_prefix("json ").unwrap_or("other")),
            (Some(_), Some(_)) => label = None,
            (None, Some(label)) if label == wanted => found.push(serde_json::from_str(line).unwrap()),
            (None, _) => {}
        }
    }
    assert!(!found.is_empty(), "OUTPUT.md has no example {wanted}");
    found
}

/// Every path of a value; list members as one.
fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                into.insert(at.clone());
                paths(value, &at, into);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| paths(member, at, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check(label: &str, written: &impl Serialize) {
    let mut expected = BTreeSet::new();
    paths(&serde_json::to_value(written).unwrap(), "", &mut expected);
    let mut documented = BTreeSet::new();
    for example in examples(label) {
        paths(&example, "", &mut documented);
    }
    assert_eq!(documented, expected, "{label}");
}

fn identity() -> v1::Identity {
    v1::Identity { kind: 1, number: "110101199001010007".to_owned(), issuing_state: String::new() }
}

fn listing() -> v1::Listing {
    let relation = v1::RelationContent { identity: Some(identity()), ..Default::default() };
    let exemption = v1::ExemptionContent { identity: Some(identity()), ..Default::default() };
    v1::Listing {
        content: Some(v1::ListingContent {
            identities: vec![identity()],
            decision: Some(v1::Decision::default()),
            ..Default::default()
        }),
        relations: vec![v1::ListedRelation { content: Some(relation), ..Default::default() }],
        exemptions: vec![v1::ListedExemption { content: Some(exemption), ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn output_md_documents_every_field() {
    let position = || Some(v1::Position::default());
    let answer = || v1::Answer { slip: Some(v1::Slip::default()), ..Default::default() };
    let answered = || Check { answer: answer().into(), position: position().map(Position::from), use_by: None };
    check("check", &answered());
    let without_slip = Check { answer: v1::Answer::default().into(), ..answered() };
    check("replica-check", &ReplicaCheck { check: without_slip, by: "replica" });
    let error = v1::ItemError::default();
    let without_slip = v1::Answer::default().into();
    check("batch", &BatchRow { line: 1, reference: None, answer: Some(without_slip), error: Some(error.into()) });
    let list = Some(v1::ListCounts::default());
    let staged = || v1::StagedImport { sender: Some(v1::Actor::default()), list, ..Default::default() };
    let summary = v1::ImportSummary { position: position(), list, ..Default::default() };
    check("import", &Import::from(summary));
    check("staged-import", &StagedImport::from(staged()));
    check("difference", &Difference::from(v1::ListDifference::default()));
    check("rejected-import", &Rejected { import: 3 });
    check("outcome", &Outcome::from(v1::MutationOutcome { position: position(), ..Default::default() }));
    check("listing", &Listing::from(listing()));
    let alarms = vec![v1::Alarm::default()];
    check("sync", &crate::replica::samples::state());
    check("watch", &crate::replica::samples::lift());
    check("lifts", &crate::replica::samples::standing());
    check("subscribers", &crate::subscribers::Subscriber::of(v1::ReplicaSubscriber::default(), 0));
    check("ended-subscriber", &crate::subscribers::Ended { client: String::new(), instance: String::new() });
    check("status", &Status::from(v1::GetStatusResponse { position: position(), alarms, ..Default::default() }));
    check("synthesize", &crate::synthesize::Summary::default());
}

#[test]
fn output_md_documents_every_field_of_due_process() {
    let position = || Some(v1::Position::default());
    let becomes = Becomes { state: None, until: None, grace_until: None };
    check("approval", &Approval { becomes, listing: Listing::from(listing()) });
    let content = v1::PetitionContent { party: Some(identity()), debtor: Some(identity()), ..Default::default() };
    check(
        "petition",
        &Petition::from(v1::Petition {
            content: Some(content),
            steps: vec![v1::PetitionStep::default()],
            deadline: Some(v1::Deadline::default()),
            ..Default::default()
        }),
    );
    check(
        "petition-outcome",
        &PetitionOutcome::from(v1::PetitionOutcome { position: position(), ..Default::default() }),
    );
    check("deadline", &Deadline::from(v1::Deadline::default()));
    check("board", &crate::deadlines::board::Row::default());
    let (imposed, own_retention) = (vec![v1::ImposedReport::default()], vec![v1::RetainedReport::default()]);
    check("duty", &Duty::from(v1::Duty { imposed, own_retention, ..Default::default() }));
    check("report", &Report::from(v1::ReportResponse { position: position(), ..Default::default() }));
    check("measure", &Measure::from(v1::MeasureRow::default()));
}

#[test]
fn output_md_documents_every_field_of_what_is_accounted_for() {
    let position = || Some(v1::Position::default());
    let one = listing();
    let about = v1::SubjectListing {
        relations: vec![v1::SubjectRelation::default()],
        content: one.content,
        exemptions: one.exemptions,
        deadlines: vec![v1::Deadline::default()],
        duties: vec![v1::UnitDuty::default()],
        measures: vec![v1::UnitMeasure::default()],
        deferrals: vec![v1::Deferral::default()],
        ..Default::default()
    };
    let content = v1::PetitionContent { party: Some(identity()), ..Default::default() };
    let petition =
        v1::Petition { content: Some(content), steps: vec![v1::PetitionStep::default()], ..Default::default() };
    let view = v1::ViewSubjectResponse {
        listings: vec![about],
        petitions: vec![petition],
        inquiries: vec![v1::AdverseInquiry::default()],
        next_page_token: String::new(),
        position: position(),
    };
    check("subject", &SubjectView::from(view));
    check("deferral", &Deferral::from(v1::DeferViewResponse { position: position(), ..Default::default() }));
    let issued = v1::IssueCertificateResponse { position: position(), ..Default::default() };
    check("certificate", &Certificate::from(issued));
    check("certificate-check", &crate::certificate::sample());
    check("listing-counts", &ListingCounts::of(v1::ListingStatistics::default(), 0));
    check("deadline-counts", &DeadlineCounts::of(v1::DeadlineStatistics::default(), 0));
    check("duty-counts", &DutyCounts::of(v1::DutyStatistics::default(), 0));
    check("announcement", &Announcement::from(v1::Announcement::default()));
}

/// The columns of CSV are the fields of JSON, in the same order.
#[test]
fn csv_has_the_columns_that_output_md_names() {
    let header = |row: &dyn Fn(&mut csv::Writer<Vec<u8>>)| {
        let mut csv = csv::Writer::from_writer(Vec::new());
        row(&mut csv);
        let text = String::from_utf8(csv.into_inner().unwrap()).unwrap();
        text.lines().next().unwrap().replace(',', ", ")
    };
    let documented = OUTPUT_MD.split_whitespace().collect::<Vec<_>>().join(" ");
    let deadline = header(&|csv| csv.serialize(Deadline::from(v1::Deadline::default())).unwrap());
    let board = header(&|csv| csv.serialize(crate::deadlines::board::Row::default()).unwrap());
    let listings = header(&|csv| csv.serialize(ListingCounts::of(v1::ListingStatistics::default(), 0)).unwrap());
    let deadlines = header(&|csv| csv.serialize(DeadlineCounts::of(v1::DeadlineStatistics::default(), 0)).unwrap());
    let duties = header(&|csv| csv.serialize(DutyCounts::of(v1::DutyStatistics::default(), 0)).unwrap());
    for columns in [deadline, board, listings, deadlines, duties] {
        assert!(documented.contains(&format!("`{columns}`")), "OUTPUT.md lacks {columns}");
    }
}

#[test]
fn every_code_in_the_examples_exists() {
    use crate::codes::Code;
    let has = |label: &str, known: Vec<&str>| assert!(known.contains(&label), "{label}");
    for example in examples("check") {
        has(example["verdict"].as_str().unwrap(), v1::Verdict::all().into_iter().map(Code::label).collect());
        has(example["reason"].as_str().unwrap(), v1::AnswerReason::all().into_iter().map(Code::label).collect());
    }
    for (example, field) in [("petition", "state"), ("petition-outcome", "state")] {
        for example in examples(example) {
            has(example[field].as_str().unwrap(), v1::PetitionState::all().into_iter().map(Code::label).collect());
        }
    }
    for example in examples("deadline") {
        has(example["status"].as_str().unwrap(), v1::DeadlineStatus::all().into_iter().map(Code::label).collect());
        assert!(xinhub_domain::deadline::Clock::from_code(example["clock"].as_str().unwrap()).is_some(), "{example}");
    }
    for example in examples("duty") {
        has(example["state"].as_str().unwrap(), v1::DutyState::all().into_iter().map(Code::label).collect());
    }
    for example in examples("error") {
        has(example["error"]["reason"].as_str().unwrap(), v1::Reason::all().into_iter().map(Code::label).collect());
    }
}

#[test]
fn what_a_newer_hub_says_is_told_as_such() {
    let answer = Answer::from(v1::Answer { verdict: 99, reason: 1, ..Default::default() });
    assert_eq!((answer.verdict, answer.reason, answer.effect), (Some("UNRECOGNISED"), Some("NOT_LISTED"), None));
}

#[test]
fn a_limit_is_told_where_there_is_one() {
    let limit = |effect: v1::Effect| Answer::from(v1::Answer { effect: effect.into(), ..Default::default() }).limit_fen;
    assert_eq!(limit(v1::Effect::Limit), Some(0));
    assert_eq!(limit(v1::Effect::Prohibit), None);
}
