//! Who gets in, to what, for how long; and what a hub does while it reloads and stops.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use xinhub_cli::certs::ca::Authority;
use xinhub_domain::policy::{Class, Method};
use xinhub_tests::court::content;
use xinhub_tests::v1::{AnswerReason as Why, Verdict};
use xinhub_tests::wait::{until, within};
use xinhub_tests::{Ask, Code, Error, Hub, Reason, Setup, Subject, parties, raw, refused, shared, v1};

const LOAN: &str = "credit.lending";

/// Every method × every class, from the permit table itself. What isn't open is refused before the message is looked at;
/// what is open gets as far as the message, which is empty.
#[tokio::test]
async fn every_method_is_open_to_its_classes_and_to_nobody_else() {
    let hub = shared().await;
    let (mut open, mut shut) = (0, 0);
    for class in Class::ALL {
        let channel = raw::connect(&hub, parties::of_class(*class)).await.unwrap();
        for method in Method::ALL {
            let answered = within(raw::call(&channel, method.path(), Vec::new())).await;
            let denied = answered.as_ref().err().is_some_and(|status| status.code() == Code::PermissionDenied);
            assert_eq!(denied, !method.is_open_to(*class), "{} × {class}: {answered:?}", method.path());
            *if denied { &mut shut } else { &mut open } += 1;
        }
    }
    let stranger = raw::connect(&hub, parties::STRANGER).await.unwrap();
    for method in Method::ALL {
        let answered = raw::call(&stranger, method.path(), Vec::new()).await;
        assert_eq!(answered.unwrap_err().code(), Code::PermissionDenied, "{}", method.path());
    }
    assert_eq!(open + shut, Method::ALL.len() * Class::ALL.len());
    assert!(open > 60 && shut > 150, "{open} open, {shut} shut");
    let unknown = raw::call(&stranger, "/xinhub.v1.LookupService/Everything", Vec::new()).await;
    assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn another_authoritys_certificate_does_not_get_in() {
    let hub = shared().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(86_400);
    let ca = Authority::init(elsewhere.path(), "test.xinhub.invalid", day, day).unwrap();
    let issued = ca.issue_client(parties::BANK, day).unwrap();
    let mut config = hub.client_config(parties::BANK);
    (config.cert_path, config.key_path) = (issued.certificate_path, issued.key_path);
    let asked = match xinhub_client::Hub::connect(config).await {
        Ok(bank) => Ask::about(&Subject::person(), LOAN).response(&bank).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(matches!(asked, Err(Error::Connection(_))), "{asked:?}");
}

#[tokio::test]
async fn a_rate_and_a_daily_quota_say_when_to_come_again() {
    let hub = shared().await;
    let (slow, small) = (hub.client(parties::SLOW_BANK).await, hub.client(parties::SMALL_BANK).await);
    let subject = Subject::person();
    let ask = async |bank: &xinhub_client::Hub| Ask::about(&subject, LOAN).response(bank).await;
    // Three at once, two a second.
    let mut limited = None;
    for _ in 0..1_000 {
        limited = ask(&slow).await.err();
        if limited.is_some() {
            break;
        }
    }
    let error = limited.expect("a thousand calls, and no rate");
    let error = refused::<()>(Err(error), Code::ResourceExhausted, Reason::Rate);
    let wait = error.retry_after().unwrap();
    assert!(wait <= Duration::from_millis(500), "{wait:?}");
    tokio::time::sleep(wait).await;
    ask(&slow).await.unwrap();

    let inquiries = vec![Ask::about(&subject, LOAN).into_inquiry(); 4];
    let batch = v1::BatchCheckRequest { measure: LOAN.to_owned(), inquiries, ..Default::default() };
    small.lookup().batch_check(batch.clone()).await.unwrap();
    refused(small.lookup().batch_check(batch).await, Code::ResourceExhausted, Reason::DailyQuota);
    ask(&small).await.unwrap();
    let error = refused(ask(&small).await, Code::ResourceExhausted, Reason::DailyQuota);
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(86_400), "{wait:?}");
    // Of everyone else's quota nothing is gone.
    ask(&hub.client(parties::BANK).await).await.unwrap();
}

#[tokio::test]
async fn every_answer_carries_its_request_id() {
    let hub = shared().await;
    let channel = raw::connect(&hub, parties::OPERATOR).await.unwrap();
    let ask = async |path: &'static str, id: Option<&str>| {
        let mut request = tonic::Request::new(tokio_stream::once(Vec::new()));
        if let Some(id) = id {
            request.metadata_mut().insert("x-request-id", MetadataValue::try_from(id).unwrap());
        }
        let metadata = match raw::open_with(&channel, path, request).await {
            Ok(response) => response.metadata().clone(),
            Err(status) => status.metadata().clone(),
        };
        metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };
    let mine = "018f3b5c-2a4b-7c3d-8e4f-5a6b7c8d9e0f";
    for path in [Method::GetStatus.path(), Method::Publish.path()] {
        assert_eq!(ask(path, Some(mine)).await, mine, "{path}");
        let made = ask(path, None).await;
        assert_eq!(uuid::Uuid::try_parse(&made).unwrap().get_version_num(), 7);
        assert_ne!(ask(path, Some("110101199001010007")).await, "110101199001010007", "an id is a UUID");
    }
    assert!(hub.log().lines().any(|line| line.contains(mine) && line.contains("METHOD_NOT_GRANTED")), "{}", hub.log());
}

#[tokio::test]
async fn metrics_are_served_on_loopback_and_name_nobody() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    court.list(&debtor).await;
    Ask::about(&debtor, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    assert!(hub.metrics().ip().is_loopback());
    let text = hub.metrics_text().await;
    assert!(text.contains("xinhub_") && text.contains("# EOF"), "{text}");
    assert!(text.contains("Check") && text.to_lowercase().contains("consider"), "{text}");
    assert!(!text.contains(debtor.number()) && !text.contains(&debtor.name));
}

#[tokio::test]
async fn an_oversized_batch_or_message_is_refused_with_its_way_out() {
    let hub = shared().await;
    let bank = hub.client(parties::BANK).await;
    let inquiry = Ask::about(&Subject::person(), LOAN).into_inquiry();
    let batch = |count| v1::BatchCheckRequest {
        measure: LOAN.to_owned(),
        inquiries: vec![inquiry.clone(); count],
        ..Default::default()
    };
    bank.lookup().batch_check(batch(10_000)).await.unwrap();
    let error = refused(bank.lookup().batch_check(batch(10_001)).await, Code::InvalidArgument, Reason::BatchTooLarge);
    assert_eq!(error.fields()[0].field, "inquiries");
    let check = async |client: &str, path: &'static str, bytes: usize| {
        let channel = raw::connect(&hub, client).await.unwrap();
        // One unknown field of so many bytes: lawful protobuf, and larger than anything that is asked.
        let mut message = vec![0xFA, 0x7F];
        prost::encoding::encode_varint(bytes as u64, &mut message);
        message.resize(message.len() + bytes, 0);
        let status = raw::call(&channel, path, message).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{path}: {status:?}");
        assert!(status.message().contains("larger"), "{path}: {}", status.message());
        // The connection lives on.
        raw::call(&channel, Method::HealthCheck.path(), Vec::new()).await.unwrap();
    };
    check(parties::BANK, Method::BatchCheck.path(), 9 << 20).await;
    check(parties::BANK, Method::Check.path(), 9 << 20).await;
    check(parties::COURT, Method::Publish.path(), 3 << 20).await;
    check(parties::COURT, Method::ImportListings.path(), 3 << 20).await;
}

#[tokio::test]
async fn a_message_that_is_none_is_refused() {
    let hub = shared().await;
    let channel = raw::connect(&hub, parties::BANK).await.unwrap();
    for path in [Method::Check.path(), Method::BatchCheck.path()] {
        let status = raw::call(&channel, path, b"\xFF\xFF\xFF nonsense 110101199001010007".to_vec()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(!status.message().contains("110101199001010007"));
    }
}

#[tokio::test]
async fn a_narrowed_grant_holds_at_once_and_a_faulty_policy_changes_nothing() {
    let hub = Hub::start().await;
    let (court, hotel) = (hub.court().await, hub.client(parties::HOTEL).await);
    let bank = hub.client(parties::BANK).await;
    let debtor = Subject::person();
    court.list(&debtor).await;
    let ask = || Ask::about(&debtor, LOAN);
    ask().expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    let (questions, asked) = tokio::sync::mpsc::channel(4);
    let mut stream = bank.lookup().check_stream(ReceiverStream::new(asked)).await.unwrap();
    let question = v1::CheckStreamRequest { correlation_id: 1, check: Some(ask().request()) };
    questions.send(question).await.unwrap();
    within(stream.next()).await.unwrap().unwrap();

    let policy = parties::policy("one");
    let narrowed = policy.replace("\"credit.lending\"", "\"finance.establish-institution\"");
    hub.put_policy(&narrowed).await;
    refused(ask().response(&bank).await, Code::PermissionDenied, Reason::MeasureNotGranted);
    let without_bank = policy.replace("id = \"bank\"\n", "id = \"another-bank\"\n");
    hub.put_policy(&without_bank).await;
    refused(ask().response(&bank).await, Code::PermissionDenied, Reason::UnknownClient);
    let ended = within(stream.next()).await;
    assert_eq!(ended.unwrap_err().code(), Code::PermissionDenied, "a stream asks again when policy changes");
    hub.put_policy(&policy).await;
    ask().expect(&bank, Verdict::Consider, Why::ListedDebtor).await;

    for (fault, key) in [
        (policy.replace("legal_basis = \"test\"", "legal_bases = \"test\""), "legal_bas"),
        (policy.replace("credit.lending", "credit.lendign"), "credit.lending"),
        (policy.replace("format = 1", "format = ["), "policy.toml"),
    ] {
        std::fs::write(hub.policy_path(), fault).unwrap();
        let log = hub.reload().await;
        assert!(log.contains("what is in force stays") && log.contains(key), "{key}: {log}");
        ask().expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
        Ask::about(&debtor, "consumption.hotel").item("star_rated").answer(&hotel).await;
        let checked = hub.daemon("check-config");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.code() == Some(1) && said.contains(key), "{key}: {said}");
    }
    std::fs::write(hub.policy_path(), policy).unwrap();
    assert!(hub.daemon("check-config").status.success());
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_dropping_anyone() {
    let hub = Hub::start().await;
    let channel = raw::connect(&hub, parties::OPERATOR).await.unwrap();
    let first = raw::certificate_of(&hub).await;
    hub.renew_own_certificate();
    hub.reload().await;
    assert_ne!(raw::certificate_of(&hub).await, first);
    raw::call(&channel, Method::GetStatus.path(), Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_revoked_certificate_is_cut_off_at_once_and_for_good() {
    let hub = Hub::start().await;
    let bank = raw::connect(&hub, parties::BANK).await.unwrap();
    let hotel = raw::connect(&hub, parties::HOTEL).await.unwrap();
    let health = Method::HealthCheck.path();
    raw::call(&bank, health, Vec::new()).await.unwrap();
    hub.revoke(parties::BANK);
    hub.reload().await;
    let cut = until("the connection is cut", || {
        let bank = bank.clone();
        async move { raw::call(&bank, health, Vec::new()).await.err() }
    });
    assert_ne!(cut.await.code(), Code::PermissionDenied, "the connection itself ends");
    raw::call(&hotel, health, Vec::new()).await.unwrap();
    let again = match xinhub_client::Hub::connect(hub.client_config(parties::BANK)).await {
        Ok(bank) => Ask::about(&Subject::person(), LOAN).response(&bank).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(matches!(again, Err(Error::Connection(_))), "{again:?}");
}

#[tokio::test]
async fn past_the_revocation_lists_end_pinned_courts_lift_and_nobody_does_more() {
    let hub = Hub::start().await;
    let listed = hub.court().await.list(&Subject::person()).await;
    hub.let_crl_end(Duration::from_secs(1));
    hub.reload().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let court = hub.court().await;
    let publish = court.publish(content(&Subject::person())).await;
    refused(publish, Code::PermissionDenied, Reason::OnlyLifts);
    refused(court.read(listed.listing).await, Code::PermissionDenied, Reason::OnlyLifts);
    let removed = court.remove(listed.listing).await.unwrap();
    assert_eq!(removed.state(), v1::ListingState::Removed);
    let bank = xinhub_client::Hub::connect_lazy(hub.client_config(parties::BANK)).unwrap();
    let asked = Ask::about(&Subject::person(), LOAN).response(&bank).await;
    assert!(matches!(asked, Err(Error::Connection(_))), "{asked:?}");
    // A fresh list, and all is as before.
    hub.let_crl_end(Duration::from_secs(86_400));
    hub.reload().await;
    hub.court().await.list(&Subject::person()).await;
}

/// The longest call there is: it waits two seconds for a state that never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_hub_says_so_and_lets_calls_finish() {
    let mut hub = Hub::start_with(Setup { limits: "drain_seconds = 10".to_owned(), ..Setup::default() }).await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    let mut ahead = court.list(&debtor).await.position.unwrap();
    let at = ahead.token.len() - 3;
    ahead.token[at] ^= 0xFF;
    let channel = raw::connect(&hub, parties::OPERATOR).await.unwrap();
    let request = HealthCheckRequest { service: "xinhub.v1.LookupService".to_owned() };
    let mut health = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
    assert_eq!(within(health.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);

    hub.until_records_wait(0).await;
    let call = tokio::spawn(async move { Ask::about(&debtor, LOAN).at_least(&ahead).response(&bank).await });
    hub.until_records_wait(1).await;
    hub.terminate();
    assert_eq!(within(health.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(health);
    let late = xinhub_client::Hub::connect(hub.client_config(parties::HOTEL)).await;
    let late = match late {
        Ok(late) => Ask::about(&Subject::person(), LOAN).response(&late).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert_eq!(late.unwrap_err().code(), Code::Unavailable);
    refused(within(call).await.unwrap(), Code::Unavailable, Reason::NotYetReached);
    assert!(hub.ended().await.success());
    hub.serve().await;
}
