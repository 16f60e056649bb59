//! The services behind the door, without sockets: clients call the very service that the gate would.
#![allow(clippy::unwrap_used)]

mod account;
mod bench;
mod imports;
mod overtaken;
mod packed;

use std::time::Duration;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};
use xinhub_api::reason::{Reason, metadata_of, reason_of, retry_after};
use xinhub_api::v1::{self, Verdict};
use xinhub_domain::identity::synthetic;

use crate::audit;
use bench::{Bench, POLICY, content, head, inquiry, policy, subject};

/// Asserts that a call failed with this code and reason.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, tonic::Status>, code: Code, reason: Reason) -> tonic::Status {
    let status = result.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (code, Some(reason)), "{status:?}");
    status
}

fn ask(measure: &str, item: &str, nth: u16) -> v1::CheckRequest {
    v1::CheckRequest {
        inquiry: Some(inquiry(nth)),
        measure: measure.to_owned(),
        item: item.to_owned(),
        consistency: None,
    }
}

#[tokio::test]
async fn an_answer_is_shown_by_grant_and_recorded_in_full() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    let bank = bench.lookup("bank").check(ask("credit.lending", "", 1)).await.unwrap();
    assert!(bank.metadata().contains_key("x-request-id"));
    let answer = bank.into_inner().answer.unwrap();
    assert_eq!((answer.verdict(), answer.relation()), (Verdict::Consider, v1::Relation::Debtor));
    assert_eq!((answer.listings, answer.slip), (vec![listing], None));

    let hotel = bench.lookup("hotel").check(ask("consumption.hotel", "star_rated", 1)).await.unwrap().into_inner();
    let (answer, use_by) = (hotel.answer.unwrap(), hotel.use_by.unwrap());
    assert_eq!((answer.verdict(), answer.reason()), (Verdict::Restricted, v1::AnswerReason::CourtOrder));
    assert_eq!((answer.relation(), answer.effect()), (v1::Relation::Unspecified, v1::Effect::Unspecified));
    assert!(answer.listings.is_empty());
    assert_eq!(use_by.seconds - hotel.position.unwrap().time.unwrap().seconds, 10);
    let slip = answer.slip.unwrap();
    assert_eq!(slip.court, "测试法院");
    assert!(slip.text_zh.contains(&slip.reference) && slip.text_en.contains(&slip.reference));
    assert!(!slip.text_zh.contains("失信"));

    let calls = bench.calls();
    let of_hotel = calls.iter().find(|call| call.caller == "hotel").unwrap();
    assert_eq!(audit::AuditId::from_bytes(of_hotel.id).to_string(), slip.reference, "the slip names the record");
    assert_eq!(of_hotel.details[0].listings[0].listing, listing);
    let mut told = bench.hub.ledger.disclosed_to(listing);
    told.sort();
    assert_eq!(told, ["bank", "hotel"]);
}

#[tokio::test]
async fn nobody_is_answered_without_a_right_and_each_refusal_is_recorded() {
    let bench = Bench::new().await;
    let denied = Code::PermissionDenied;
    refused(bench.lookup("stranger").check(ask("credit.lending", "", 1)).await, denied, Reason::UnknownClient);
    refused(bench.lookup("hotel").check(ask("credit.lending", "", 1)).await, denied, Reason::MeasureNotGranted);
    refused(bench.lookup("ops").check(ask("credit.lending", "", 1)).await, denied, Reason::MethodNotGranted);
    refused(bench.lookup("old").check(ask("credit.lending", "", 1)).await, denied, Reason::GrantExpired);
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(1)), ..Default::default() };
    refused(bench.registry("bank").publish(publish).await, denied, Reason::MethodNotGranted);
    refused(bench.admin("bank").get_status(v1::GetStatusRequest {}).await, denied, Reason::MethodNotGranted);
    let status = bench.admin("ops").get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.epoch.len(), 32);
    let calls = bench.calls();
    let codes: Vec<(&str, &str, i32)> =
        calls.iter().map(|call| (call.caller.as_str(), call.class.as_str(), call.code)).collect();
    let denied = Code::PermissionDenied as i32;
    let expected = [
        ("stranger", "", denied),
        ("hotel", "hotel", denied),
        ("ops", "operator", denied),
        ("old", "bank", denied),
        ("bank", "bank", denied),
        ("bank", "bank", denied),
        ("ops", "operator", 0),
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn faults_of_a_request_are_told_at_once() {
    let bench = Bench::new().await;
    let mut request = ask("credit.landing", "", 1);
    request.inquiry.as_mut().unwrap().identity.as_mut().unwrap().kind = 0;
    let status = refused(bench.lookup("bank").check(request).await, Code::InvalidArgument, Reason::InvalidField);
    assert!(status.message().contains("inquiry.identity.kind") && status.message().contains("measure: "), "{status:?}");
    let needs = bench.lookup("hotel").check(ask("consumption.hotel", "", 1)).await;
    refused(needs, Code::InvalidArgument, Reason::ItemRequired);
    let mut request = ask("credit.lending", "", 1);
    request.consistency = Some(v1::Consistency { at_least: vec![1, 2, 3] });
    refused(bench.lookup("bank").check(request).await, Code::InvalidArgument, Reason::InvalidField);
    let mut request = ask("credit.lending", "", 1);
    request.consistency = Some(v1::Consistency { at_least: [vec![1], vec![7; 24]].concat() });
    refused(bench.lookup("bank").check(request).await, Code::FailedPrecondition, Reason::OtherEpoch);
}

#[tokio::test]
async fn a_batch_is_answered_at_one_revision_with_an_error_per_item() {
    let bench = Bench::new().await;
    bench.list(2).await;
    let mut inquiries: Vec<v1::Inquiry> = (1..=200).map(inquiry).collect();
    inquiries[4].identity = None;
    inquiries[5].reference = subject(9).number;
    let request = v1::BatchCheckRequest { measure: "credit.lending".into(), inquiries, ..Default::default() };
    let before = bench.hub.ledger.position();
    let response = bench.lookup("bank").batch_check(request).await.unwrap().into_inner();
    assert_eq!(response.results.len(), 200);
    let result = |at: usize| response.results[at].result.clone().unwrap();
    let verdict = |at: usize| match result(at) {
        v1::batch_check_result::Result::Answer(answer) => Ok(answer.verdict()),
        v1::batch_check_result::Result::Error(error) => Err(error.reason()),
    };
    assert_eq!(verdict(0), Ok(Verdict::Clear));
    assert_eq!(verdict(1), Ok(Verdict::Consider));
    assert_eq!(verdict(4), Err(Reason::InvalidIdentity));
    assert_eq!(verdict(5), Err(Reason::ReferenceHoldsIdentity));
    assert_eq!(response.position.unwrap().token, before.token());
    let call = bench.calls().pop().unwrap();
    assert_eq!((call.method.as_str(), call.verdicts.len()), ("BatchCheck", 200));

    let many = v1::BatchCheckRequest { measure: "credit.lending".into(), ..Default::default() };
    let empty = bench.lookup("bank").batch_check(many.clone()).await;
    refused(empty, Code::InvalidArgument, Reason::BatchTooLarge);
    let many = v1::BatchCheckRequest { inquiries: vec![v1::Inquiry::default(); 10_001], ..many };
    refused(bench.lookup("bank").batch_check(many).await, Code::InvalidArgument, Reason::BatchTooLarge);
}

#[tokio::test]
async fn a_message_too_large_is_an_entry_of_the_catalogue() {
    let bench = Bench::new().await;
    let mut request = ask("credit.lending", "", 1);
    request.inquiry.as_mut().unwrap().name = "长".repeat(400_000);
    refused(bench.lookup("bank").check(request).await, Code::InvalidArgument, Reason::BatchTooLarge);
}

#[tokio::test]
async fn a_full_audit_log_stops_answers_and_no_lift() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    // Until the records so far are written, each still gives a place back.
    bench.calls();
    let mut held = Vec::new();
    while let Ok(ticket) = bench.hub.audit.claim() {
        held.push(ticket);
    }
    let unavailable = bench.lookup("bank").check(ask("credit.lending", "", 1)).await;
    let status = refused(unavailable, Code::Unavailable, Reason::AuditUnavailable);
    assert!(retry_after(&status).is_some());
    let get = v1::GetListingRequest { listing, consistency: None };
    refused(bench.lookup("court").get_listing(get).await, Code::Unavailable, Reason::AuditUnavailable);
    let revoke = v1::RevokeRequest { mutation: head("", "a"), listing, ground: "wrongly_listed".into() };
    let outcome = bench.registry("court").revoke(revoke).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(outcome.state(), v1::ListingState::Revoked);
    drop(held);
    let clear = bench.lookup("bank").check(ask("credit.lending", "", 1)).await.unwrap().into_inner();
    assert_eq!(clear.answer.unwrap().verdict(), Verdict::Clear);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_a_record() {
    let bench = Bench::new().await;
    let mut request = ask("credit.lending", "", 1);
    let ahead = xinhub_ledger::Position { revision: u64::MAX / 2, ..bench.hub.ledger.position() };
    request.consistency = Some(v1::Consistency { at_least: ahead.token() });
    let mut bank = bench.lookup("bank");
    let waiting = bank.check(request);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    let call = bench.calls().pop().unwrap();
    assert_eq!((call.code, call.measure.as_deref()), (Code::Cancelled as i32, Some("credit.lending")));
}

#[tokio::test]
async fn a_mutation_is_repeated_refused_when_stale_and_kept_to_its_court() {
    let bench = Bench::new().await;
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(1)), ..Default::default() };
    let first = bench.registry("court").publish(publish.clone()).await.unwrap().into_inner().outcome.unwrap();
    let again = bench.registry("court").publish(publish.clone()).await.unwrap().into_inner().outcome.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!((again.listing, &again.etag), (first.listing, &first.etag));
    let mut other = publish.clone();
    other.content.as_mut().unwrap().area = "别处".into();
    refused(bench.registry("court").publish(other).await, Code::AlreadyExists, Reason::RequestIdReused);
    let listing = first.listing;
    let serve = |etag: &str| v1::ServeRequest {
        mutation: head(etag, "a"),
        listing,
        served_on: "2026-02-01".into(),
        grace_days: 0,
    };
    let stale = refused(bench.registry("court").serve(serve("1f")).await, Code::FailedPrecondition, Reason::StaleEtag);
    let current = metadata_of(&stale, "etag").unwrap();
    assert_eq!(current, first.etag, "the etag in force is told");
    bench.registry("court").serve(serve(&current)).await.unwrap();
    let hide = v1::HideRequest { mutation: head("", "a"), listing, ground: String::new() };
    refused(bench.registry("neighbour").hide(hide.clone()).await, Code::PermissionDenied, Reason::OtherCourt);
    let hidden = bench.registry("court").hide(v1::HideRequest { mutation: head("1", "a"), ..hide }).await.unwrap();
    let outcome = hidden.into_inner().outcome.unwrap();
    assert!(outcome.stale && outcome.reason_owed, "{outcome:?}");
}

#[tokio::test]
async fn two_people_release_where_policy_says_so() {
    let bench = Bench::with(&POLICY.replace("release = \"one\"", "release = \"two\"")).await;
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(1)), ..Default::default() };
    refused(bench.registry("court").publish(publish).await, Code::FailedPrecondition, Reason::Release);
    let propose = v1::ProposeRequest { mutation: head("", "a"), content: Some(content(1)), ..Default::default() };
    let proposed = bench.registry("court").propose(propose).await.unwrap().into_inner().outcome.unwrap();
    let (listing, etag) = (proposed.listing, proposed.etag);
    let approve = |actor| v1::ApproveRequest { mutation: head(&etag, actor), listing };
    let same = bench.registry("court").approve(approve("a")).await;
    refused(same, Code::PermissionDenied, Reason::SecondPersonRequired);
    let other = refused(
        bench.registry("court").approve(approve("c")).await,
        Code::PermissionDenied,
        Reason::SecondPersonRequired,
    );
    assert!(other.message().contains("`signers`"), "it says where: {other}");
    let approved = bench.registry("court").approve(approve("b")).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(approved.state(), v1::ListingState::Decided);
}

#[tokio::test]
async fn a_listing_is_read_in_full_by_its_court_and_masked_by_those_who_were_told() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    let get = || v1::GetListingRequest { listing, consistency: None };
    bench.detail_is_there(listing).await;
    refused(bench.lookup("bank").get_listing(get()).await, Code::NotFound, Reason::NotFound);
    refused(bench.lookup("neighbour").get_listing(get()).await, Code::NotFound, Reason::NotFound);
    bench.lookup("bank").check(ask("credit.lending", "", 1)).await.unwrap();
    let number = |listing: &v1::Listing| listing.content.as_ref().unwrap().identities[0].number.clone();
    let shown = bench.lookup("bank").get_listing(get()).await.unwrap().into_inner().listing.unwrap();
    assert!(number(&shown).contains("****"), "masked");
    let shown = bench.lookup("court").get_listing(get()).await.unwrap().into_inner().listing.unwrap();
    assert_eq!(number(&shown), subject(1).number);
    let page = v1::ListListingsRequest { page_size: 1, ..Default::default() };
    bench.list(2).await;
    let first = bench.lookup("court").list_listings(page.clone()).await.unwrap().into_inner();
    let page = v1::ListListingsRequest { page_token: first.next_page_token.clone(), ..page };
    let second = bench.lookup("court").list_listings(page).await.unwrap().into_inner();
    assert_eq!((first.listings.len(), second.listings.len()), (1, 1));
    assert_eq!(second.next_page_token, "");
    assert_ne!(first.listings[0].listing, second.listings[0].listing);
}

#[tokio::test]
async fn quotas_refuse_with_the_time_to_wait_and_never_a_lift() {
    let bench = Bench::with(&POLICY.replace("rate_per_second = 1000", "rate_per_second = 1")).await;
    let listing = bench.list_only(1).await;
    let bank = || bench.lookup("bank");
    bank().check(ask("credit.lending", "", 2)).await.unwrap();
    let over = refused(bank().check(ask("credit.lending", "", 2)).await, Code::ResourceExhausted, Reason::Rate);
    assert_eq!(retry_after(&over), Some(Duration::from_secs(1)));
    bench.clock.advance_ms(1_000);
    bank().check(ask("credit.lending", "", 2)).await.unwrap();
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(3)), ..Default::default() };
    bench.registry("court").publish(publish).await.unwrap();
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(4)), ..Default::default() };
    refused(bench.registry("court").publish(publish).await, Code::ResourceExhausted, Reason::Rate);
    let revoke = v1::RevokeRequest { mutation: head("", "a"), listing, ground: "wrongly_listed".into() };
    bench.registry("court").revoke(revoke).await.unwrap();
}

#[tokio::test]
async fn each_officer_is_paid_for_as_the_subject_is() {
    let bench = Bench::with(&POLICY.replace("rate_per_second = 1000", "rate_per_second = 4")).await;
    let with_officers = |officers: u16| {
        let officer = |nth| v1::Officer { capacity: v1::Capacity::Director as i32, identity: Some(subject(nth)) };
        let number = synthetic::uscc("91", "110101", 1);
        let organisation = v1::Identity { kind: v1::IdentityKind::Uscc as i32, number, ..Default::default() };
        let officers = (1..=officers).map(officer).collect();
        v1::Inquiry { identity: Some(organisation), officers, ..Default::default() }
    };
    let bank = || bench.lookup("bank");
    let one = |officers| v1::CheckRequest { inquiry: Some(with_officers(officers)), ..ask("credit.lending", "", 1) };
    bank().check(one(2)).await.unwrap();
    refused(bank().check(one(1)).await, Code::ResourceExhausted, Reason::Rate);
    bank().check(one(0)).await.unwrap();
    bench.clock.advance_ms(1_000);
    let batch = || v1::BatchCheckRequest {
        measure: "credit.lending".into(),
        inquiries: vec![with_officers(1), with_officers(0)],
        ..Default::default()
    };
    bank().batch_check(batch()).await.unwrap();
    refused(bank().check(one(1)).await, Code::ResourceExhausted, Reason::Rate);
    bank().check(one(0)).await.unwrap();
}

/// While the wall clock has stepped, the time in a request id is compared with nothing: a lift goes through.
#[tokio::test]
async fn a_stepped_clock_stops_listing_and_no_lift() {
    const DAY_MS: i64 = 86_400_000;
    for step_ms in [30 * DAY_MS, -DAY_MS] {
        let bench = Bench::new().await;
        let listing = bench.list(1).await;
        bench.clock.step_ms(step_ms);
        let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(2)), ..Default::default() };
        refused(bench.registry("court").publish(publish).await, Code::Unavailable, Reason::Clock);
        let remove = v1::RemoveRequest { mutation: head("", "a"), listing, ground: "performed".into() };
        let outcome = bench.registry("court").remove(remove).await.unwrap().into_inner().outcome.unwrap();
        assert_eq!(outcome.state(), v1::ListingState::Removed);
    }
}

#[tokio::test]
async fn a_request_id_out_of_its_window_is_refused() {
    let bench = Bench::new().await;
    bench.clock.advance_ms(8 * 86_400_000);
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(1)), ..Default::default() };
    refused(bench.registry("court").publish(publish).await, Code::InvalidArgument, Reason::RequestIdInvalid);
}

/// Whether a decision was attested is nothing that another court learns.
#[tokio::test]
async fn another_court_s_listing_is_not_read_for_a_correction() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    let mut content = content(1);
    let decision = content.decision.as_mut().unwrap();
    (decision.number, decision.reasons) = (String::new(), String::new());
    let amend = || v1::AmendRequest { mutation: head("", "a"), listing, content: Some(content.clone()) };
    refused(bench.registry("neighbour").amend(amend()).await, Code::PermissionDenied, Reason::OtherCourt);
    refused(bench.registry("court").amend(amend()).await, Code::InvalidArgument, Reason::InvalidField);
}

#[tokio::test]
async fn a_stream_answers_each_check_and_ends_when_policy_no_longer_lets_the_client_in() {
    let bench = Bench::new().await;
    bench.list(1).await;
    let (requests, incoming) = tokio::sync::mpsc::channel(8);
    let mut bank = bench.lookup("bank");
    let mut answers = bank.check_stream(Request::new(ReceiverStream::new(incoming))).await.unwrap().into_inner();
    for (correlation_id, measure) in [(7, "credit.lending"), (8, "no.such")] {
        let check = Some(ask(measure, "", 1));
        requests.send(v1::CheckStreamRequest { correlation_id, check }).await.unwrap();
    }
    let mut got = Vec::new();
    for _ in 0..2 {
        let answer = answers.message().await.unwrap().unwrap();
        let result = match answer.result.unwrap() {
            v1::check_stream_response::Result::Response(response) => Ok(response.answer.unwrap().verdict()),
            v1::check_stream_response::Result::Error(error) => Err(error.reason()),
        };
        got.push((answer.correlation_id, result));
    }
    got.sort_by_key(|(id, _)| *id);
    assert_eq!(got, [(7, Ok(Verdict::Consider)), (8, Err(Reason::UnknownMeasure))]);
    bench.hub.authority.replace(policy(&POLICY.replace("id = \"bank\"", "id = \"other-bank\"")));
    refused(answers.message().await, Code::PermissionDenied, Reason::UnknownClient);
    let of_bank = bench.calls().into_iter().filter(|call| call.caller == "bank").map(|call| call.code);
    assert_eq!(of_bank.collect::<Vec<_>>().len(), 3, "the stream, and each check");
}

#[tokio::test]
async fn a_draining_hub_says_so_and_still_lifts() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    bench.hub.draining.cancel();
    refused(bench.lookup("bank").check(ask("credit.lending", "", 1)).await, Code::Unavailable, Reason::Draining);
    let status = bench.admin("ops").get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert!(status.draining);
    let remove = v1::RemoveRequest { mutation: head("", "a"), listing, ground: "performed".into() };
    bench.registry("court").remove(remove).await.unwrap();
}

#[tokio::test]
async fn past_its_revocation_list_a_pinned_court_lifts_and_nothing_else() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    let court = || bench.registry_of(&bench.peer("court", true));
    let publish = v1::PublishRequest { mutation: head("", "a"), content: Some(content(2)), ..Default::default() };
    refused(court().publish(publish).await, Code::PermissionDenied, Reason::OnlyLifts);
    let revoke = v1::RevokeRequest { mutation: head("", "a"), listing, ground: "wrongly_listed".into() };
    court().revoke(revoke).await.unwrap();
}

#[tokio::test]
async fn a_path_that_nobody_serves_is_unimplemented() {
    use tower::ServiceExt;
    let bench = Bench::new().await;
    let mut request = http::Request::new(tonic::body::Body::empty());
    *request.uri_mut() = "/xinhub.v1.LookupService/Guess".parse().unwrap();
    request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    let answer = bench.caller("bank").oneshot(request).await.unwrap();
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(status.code(), Code::Unimplemented);
}
