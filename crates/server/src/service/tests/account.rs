//! What the hub accounts for: the subject's view, its deferral, certificates, announcements and counts.

use tonic::Code;
use xinhub_api::reason::Reason;
use xinhub_api::v1::{self, Verdict};
use xinhub_translog::note::Verifier;

use super::bench::{Bench, content, head, subject};
use super::{ask, refused};

const DAY_MS: u64 = 86_400_000;

fn of(nth: u16) -> Option<v1::SubjectCheck> {
    Some(v1::SubjectCheck {
        identity: Some(subject(nth)),
        name: "测试甲".to_owned(),
        document: "居民身份证原件".to_owned(),
        actor: Some(v1::Actor { staff_id: "s-7".to_owned(), post: "clerk".to_owned() }),
    })
}

fn view(nth: u16) -> v1::ViewSubjectRequest {
    v1::ViewSubjectRequest { subject: of(nth), ..Default::default() }
}

async fn removed(bench: &Bench, listing: u64) {
    let request = v1::RemoveRequest { mutation: head_at(bench, "j"), listing, ground: "performed".to_owned() };
    bench.registry("court").remove(request).await.unwrap();
}

/// The head of a mutation at the bench's own time.
fn head_at(bench: &Bench, actor: &str) -> Option<v1::Mutation> {
    use xinhub_ledger::clock::Clock as _;
    let ms = u64::try_from(bench.clock.wall().0).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(ms, &xinhub_ledger::crypto::random()).into_uuid();
    head("", actor).map(|head| v1::Mutation { request_id: id.to_string(), ..head })
}

#[tokio::test]
async fn a_subject_sees_who_was_told_what_and_nobody_else_does() {
    let bench = Bench::new().await;
    let (listing, other) = (bench.list(1).await, bench.list(2).await);
    bench.lookup("bank").check(ask("credit.lending", "", 1)).await.unwrap();
    let hotel = bench.lookup("hotel").check(ask("consumption.hotel", "star_rated", 1)).await.unwrap().into_inner();
    bench.lookup("bank").check(ask("credit.lending", "", 2)).await.unwrap();

    let seen = bench.account("legal-aid").view_subject(view(1)).await.unwrap().into_inner();
    assert_eq!(seen.listings.len(), 1);
    let one = &seen.listings[0];
    assert_eq!((one.listing, one.state(), one.court.as_str()), (listing, v1::ListingState::Listed, "court-1"));
    assert_eq!(one.content.as_ref().unwrap().identities[0].number, subject(1).number, "in full: it is theirs");
    assert_eq!(one.relations[0].relation(), v1::Relation::Debtor);
    let mut told = one.told.clone();
    told.sort();
    assert_eq!(told, ["bank", "hotel"]);
    let told: Vec<(&str, &str, Verdict, u64)> = seen
        .inquiries
        .iter()
        .map(|one| (one.client.as_str(), one.measure.as_str(), one.verdict(), one.listing))
        .collect();
    let expected = [
        ("hotel", "consumption.hotel", Verdict::Restricted, listing),
        ("bank", "credit.lending", Verdict::Consider, listing),
    ];
    assert_eq!(told, expected, "newest first, and nothing of anybody else's");
    assert_eq!(seen.inquiries[0].reference, hotel.answer.unwrap().slip.unwrap().reference);
    assert_eq!(seen.inquiries[1].relation(), v1::Relation::Debtor);
    let page = async |page_token: &str| {
        let request = v1::ViewSubjectRequest { page_size: 1, page_token: page_token.to_owned(), ..view(1) };
        bench.account("court").view_subject(request).await
    };
    let first = page("").await.unwrap().into_inner();
    let second = page(&first.next_page_token).await.unwrap().into_inner();
    assert_eq!([first.inquiries, second.inquiries].concat(), seen.inquiries);
    assert_eq!((seen.next_page_token.as_str(), second.next_page_token.as_str()), ("", ""));
    refused(page("1.00").await, Code::InvalidArgument, Reason::InvalidField);

    let nobody = bench.account("legal-aid").view_subject(view(99)).await.unwrap().into_inner();
    assert!(nobody.listings.is_empty() && nobody.inquiries.is_empty());
    let misnamed = v1::ViewSubjectRequest {
        subject: of(2).map(|of| v1::SubjectCheck { name: "测试乙".into(), ..of }),
        ..view(2)
    };
    refused(bench.account("court").view_subject(misnamed).await, Code::InvalidArgument, Reason::InvalidField);
    let denied = Code::PermissionDenied;
    refused(bench.account("unit").view_subject(view(1)).await, denied, Reason::SubjectsNotGranted);
    refused(bench.account("bank").view_subject(view(1)).await, denied, Reason::MethodNotGranted);
    assert!(listing < other);
}

#[tokio::test]
async fn a_deferral_hides_who_asked_for_a_while_and_is_told_afterwards() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    bench.lookup("bank").check(ask("credit.lending", "", 1)).await.unwrap();
    let defer = |actor: &str, ground: &str, until: &str| v1::DeferViewRequest {
        mutation: head_at(&bench, actor),
        listing,
        ground: ground.to_owned(),
        until: until.to_owned(),
    };
    let mut court = bench.account("court");
    let today = bench.today();
    let in_days = |days: u32| today.plus_days(days).to_string();
    refused(court.defer_view(defer("j", "curiosity", &in_days(3))).await, Code::InvalidArgument, Reason::InvalidField);
    let long = court.defer_view(defer("j", "impedes_duty", &in_days(31))).await;
    refused(long, Code::InvalidArgument, Reason::InvalidField);
    let neighbour = bench.account("neighbour").defer_view(defer("j", "impedes_duty", &in_days(3))).await;
    refused(neighbour, Code::PermissionDenied, Reason::OtherCourt);
    court.defer_view(defer("j", "impedes_duty", &in_days(3))).await.unwrap();
    let again = court.defer_view(defer("j", "impedes_duty", &in_days(9))).await;
    refused(again, Code::PermissionDenied, Reason::SecondPersonRequired);
    court.defer_view(defer("k", "confidential_by_law", &in_days(9))).await.unwrap();
    let third = court.defer_view(defer("l", "impedes_duty", &in_days(9))).await;
    refused(third, Code::InvalidArgument, Reason::InvalidField);

    let deferred = bench.account("legal-aid").view_subject(view(1)).await.unwrap().into_inner();
    assert_eq!(deferred.listings[0].listing, listing, "that they are listed is theirs to know");
    assert!(deferred.inquiries.is_empty() && deferred.listings[0].deferrals.is_empty());
    assert_eq!(deferred.listings[0].told, Vec::<String>::new(), "nor by the names of those who were told");
    removed(&bench, listing).await;
    let deferred = bench.account("legal-aid").view_subject(view(1)).await.unwrap().into_inner();
    assert_eq!(deferred.listings[0].duties, [], "nor by what they owe");
    bench.clock.advance_ms(10 * DAY_MS);
    let told = bench.account("legal-aid").view_subject(view(1)).await.unwrap().into_inner();
    let grounds: Vec<&str> = told.listings[0].deferrals.iter().map(|one| one.ground.as_str()).collect();
    assert_eq!((told.inquiries.len(), grounds), (1, vec!["impedes_duty", "confidential_by_law"]));
    assert_eq!((&*told.listings[0].told, &*told.listings[0].duties[0].client), (&["bank".to_owned()][..], "bank"));
}

#[tokio::test]
async fn a_certificate_verifies_and_is_given_to_nobody_whom_a_listing_reaches() {
    let bench = Bench::new().await;
    let listing = bench.list(1).await;
    let request = |nth| v1::IssueCertificateRequest { subject: of(nth) };
    let mut court = bench.account("court");
    refused(court.issue_certificate(request(1)).await, Code::FailedPrecondition, Reason::InForce);
    removed(&bench, listing).await;
    let issued = court.issue_certificate(request(1)).await.unwrap().into_inner();
    let verifier = Verifier::parse(&issued.verifier_key).unwrap();
    assert_eq!(verifier.name(), "hub.test");
    let text = verifier.verify(&issued.certificate).unwrap();
    let number = subject(1).number;
    assert!(text.contains(&format!("identity: resident_id {number}\nname: 测试甲\n")), "{text}");
    let forged = issued.certificate.replace(&number, &subject(2).number);
    assert!(verifier.verify(&forged).is_err());
    refused(
        bench.account("unit").issue_certificate(request(1)).await,
        Code::PermissionDenied,
        Reason::SubjectsNotGranted,
    );
    assert!(bench.calls().iter().any(|call| call.method == "IssueCertificate" && call.digest(0).is_some()));
}

#[tokio::test]
async fn lifts_are_announced_by_case_for_a_while() {
    let bench = Bench::new().await;
    let (first, second, third) = (bench.list(1).await, bench.list(2).await, bench.list(3).await);
    let mut lookup = bench.lookup("hotel");
    let none = lookup.list_announcements(v1::ListAnnouncementsRequest::default()).await.unwrap().into_inner();
    assert!(none.announcements.is_empty());
    removed(&bench, first).await;
    bench.clock.advance_ms(DAY_MS);
    removed(&bench, second).await;
    let page = v1::ListAnnouncementsRequest { page_size: 1, ..Default::default() };
    let newest = lookup.list_announcements(page.clone()).await.unwrap().into_inner();
    assert_eq!(newest.announcements[0].case_number, content(2).case_number);
    assert_eq!(newest.announcements[0].lifted_on, bench.today().to_string());
    let next = v1::ListAnnouncementsRequest { page_token: newest.next_page_token, ..page };
    let oldest = lookup.list_announcements(next).await.unwrap().into_inner();
    assert_eq!(oldest.announcements[0].case_number, content(1).case_number);
    assert!(oldest.next_page_token.is_empty());
    let elsewhere = v1::ListAnnouncementsRequest { court: "court-2".to_owned(), ..Default::default() };
    assert!(lookup.list_announcements(elsewhere).await.unwrap().into_inner().announcements.is_empty());
    // Thirty days, as the profile says; and what was never lifted is never announced.
    bench.clock.advance_ms(30 * DAY_MS);
    let left = lookup.list_announcements(v1::ListAnnouncementsRequest::default()).await.unwrap().into_inner();
    let cases: Vec<&str> = left.announcements.iter().map(|one| one.case_number.as_str()).collect();
    assert_eq!(cases, [content(2).case_number]);
    assert!(third > second);
}

#[tokio::test]
async fn counts_follow_the_list_and_single_nobody_out() {
    let bench = Bench::new().await;
    for nth in 1..=6 {
        bench.list(nth).await;
    }
    removed(&bench, 1).await;
    let request = v1::GetStatisticsRequest { kind: v1::StatisticsKind::Listings as i32, ..Default::default() };
    let own = bench.account("court").get_statistics(request.clone()).await.unwrap().into_inner();
    let row = &own.listings[0];
    assert_eq!((own.floor, row.ground, row.listed, row.removed, row.in_force), (0, 1, 6, 1, 5));
    let watched = bench.account("ops").get_statistics(request.clone()).await.unwrap().into_inner();
    let row = &watched.listings[0];
    assert_eq!((watched.floor, row.listed, row.removed, row.in_force, row.suppressed), (5, 0, 0, 5, true));
    let neighbour = bench.account("neighbour").get_statistics(request.clone()).await.unwrap().into_inner();
    assert!(neighbour.listings.is_empty(), "another court's numbers are its own");
    let bad = v1::GetStatisticsRequest { from_month: "2026-13".into(), kind: 0, ..request };
    refused(bench.account("ops").get_statistics(bad).await, Code::InvalidArgument, Reason::InvalidField);
}
