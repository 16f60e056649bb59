//! What courts do with their listings, and what they can't.

#![allow(clippy::unwrap_used)]

use xinhub_tests::court::{actor, clerk, content, decision, related};
use xinhub_tests::subject::{days_ago, identity, in_days};
use xinhub_tests::v1::{AnswerReason as Why, IdentityKind, ListingContent, ListingState as State, Relation, Verdict};
use xinhub_tests::{Ask, Code, Court, Hub, Reason, Setup, Subject, parties, refused, shared, v1};

const LOAN: &str = "credit.lending";

/// With this etag, under a new request id.
fn mutation(etag: &str) -> Option<v1::Mutation> {
    Some(xinhub_client::mutation(clerk(), Some(etag.to_owned())))
}

async fn is_listed(bank: &xinhub_client::Hub, subject: &Subject) -> bool {
    match Ask::about(subject, LOAN).answer(bank).await.verdict() {
        Verdict::Consider => true,
        Verdict::Clear => false,
        other => panic!("{other:?}"),
    }
}

/// A content whose decision is not served yet.
fn unserved(subject: &Subject) -> ListingContent {
    let decision = v1::Decision { served_on: String::new(), ..decision() };
    ListingContent { decision: Some(decision), ..content(subject) }
}

#[tokio::test]
async fn nobody_is_reached_before_service_and_grace() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (debtor, at_once) = (Subject::person(), Subject::person());
    let decided = court.publish(unserved(&debtor)).await.unwrap();
    assert_eq!((decided.state(), is_listed(&bank, &debtor).await), (State::Decided, false));
    let serve = async |etag: &str, day: String, grace| court.serve(decided.listing, etag, day, grace).await;
    let invalid = (Code::InvalidArgument, Reason::InvalidField);
    refused(serve(&decided.etag, in_days(1), 0).await, invalid.0, invalid.1);
    refused(serve(&decided.etag, days_ago(31), 0).await, invalid.0, invalid.1);
    refused(serve(&decided.etag, days_ago(0), 91).await, invalid.0, invalid.1);
    let served = serve(&decided.etag, days_ago(0), 30).await.unwrap();
    assert_eq!((served.state(), is_listed(&bank, &debtor).await), (State::Grace, false));
    hub.details_caught_up().await;
    assert_eq!(court.read(decided.listing).await.unwrap().grace_until, in_days(30));
    refused(serve(&served.etag, days_ago(0), 0).await, Code::FailedPrecondition, Reason::State);
    // Grace that is over, and none at all.
    let decided = court.publish(unserved(&at_once)).await.unwrap();
    let served = court.serve(decided.listing, &decided.etag, days_ago(20), 10).await.unwrap();
    assert_eq!((served.state(), is_listed(&bank, &at_once).await), (State::Listed, true));
}

#[tokio::test]
async fn a_listing_goes_its_way_and_never_comes_back() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let registry = court.client.registry();
    let debtor = Subject::organisation();
    let noticed = ListingContent { decision: None, ground: 0, ..content(&debtor) };
    let request = v1::NoticeRequest { mutation: mutation(""), content: Some(noticed.clone()), ..Default::default() };
    let notice = registry.notice(request).await.unwrap().outcome.unwrap();
    assert_eq!((notice.state(), is_listed(&bank, &debtor).await), (State::Noticed, false));
    let full = ListingContent { case_number: noticed.case_number, ..content(&debtor) };
    let publish = |listing, etag: &str| {
        let request =
            v1::PublishRequest { mutation: mutation(etag), listing, content: Some(full.clone()), application: 0 };
        registry.publish(request)
    };
    let listed = publish(notice.listing, &notice.etag).await.unwrap().outcome.unwrap();
    assert_eq!((listed.state(), listed.listing), (State::Listed, notice.listing));
    assert!(is_listed(&bank, &debtor).await);
    refused(publish(0, "").await, Code::AlreadyExists, Reason::ListingExists);

    let hidden = court.hide(listed.listing).await.unwrap();
    assert_eq!((hidden.state(), is_listed(&bank, &debtor).await), (State::Hidden, false));
    let restored = court.restore(listed.listing, &hidden.etag).await.unwrap();
    assert_eq!((restored.state(), is_listed(&bank, &debtor).await), (State::Listed, true));
    let extend = |months, etag: &str| {
        let ground = "serious_violence_or_threats".to_owned();
        let request = v1::ExtendRequest { mutation: mutation(etag), listing: listed.listing, months, ground };
        registry.extend(request)
    };
    hub.details_caught_up().await;
    let until = court.read(listed.listing).await.unwrap().until;
    let extended = extend(12, &restored.etag).await.unwrap().outcome.unwrap();
    hub.details_caught_up().await;
    assert!(court.read(listed.listing).await.unwrap().until > until);
    assert!(extend(36, &extended.etag).await.is_err(), "48 months in all");

    let removed = court.remove(listed.listing).await.unwrap();
    assert_eq!((removed.state(), is_listed(&bank, &debtor).await), (State::Removed, false));
    for again in [court.restore(listed.listing, &removed.etag).await, court.hide(listed.listing).await] {
        refused(again, Code::FailedPrecondition, Reason::State);
    }
    refused(publish(listed.listing, &removed.etag).await, Code::FailedPrecondition, Reason::State);
    // A new decision makes a new listing.
    let anew = publish(0, "").await.unwrap().outcome.unwrap();
    assert_ne!(anew.listing, listed.listing);
    court.remove(9_999_999).await.map_or_else(|error| assert_eq!(error.code(), Code::NotFound), |_| panic!());
}

#[tokio::test]
async fn what_is_not_served_yet_can_be_taken_back() {
    let hub = shared().await;
    let court = hub.court().await;
    let registry = court.client.registry();
    let decided = court.publish(unserved(&Subject::person())).await.unwrap();
    let withdraw = |listing| v1::WithdrawRequest { mutation: mutation(""), listing, note: "settled".to_owned() };
    let withdrawn = registry.withdraw(withdraw(decided.listing)).await.unwrap().outcome.unwrap();
    assert_eq!(withdrawn.state(), State::Withdrawn);
    let listed = court.list(&Subject::person()).await;
    refused(registry.withdraw(withdraw(listed.listing)).await, Code::FailedPrecondition, Reason::State);
}

#[tokio::test]
async fn amending_keeps_identities_and_rectifying_frees_whom_it_no_longer_names() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (wrong, right) = (Subject::person(), Subject::person());
    let listed = court.list(&wrong).await;
    hub.details_caught_up().await;
    let was = court.read(listed.listing).await.unwrap().content.unwrap();
    let partly =
        ListingContent {
            performance: "部分履行".to_owned(), performed_part: "一万元".to_owned(), ..was.clone()
        };
    let amended = court.amend(listed.listing, &listed.etag, partly).await.unwrap();
    hub.details_caught_up().await;
    assert_eq!(court.read(listed.listing).await.unwrap().content.unwrap().performance, "部分履行");
    let other = ListingContent { identities: right.identities.clone(), name: right.name.clone(), ..was };
    let swapped = court.amend(listed.listing, &amended.etag, other.clone()).await.unwrap_err();
    assert_eq!(swapped.code(), Code::InvalidArgument, "{swapped}");
    let request = v1::RectifyRequest {
        mutation: mutation(&amended.etag),
        listing: listed.listing,
        content: Some(other),
        note: "mistaken identity".to_owned(),
    };
    let rectified = court.client.registry().rectify(request).await.unwrap().outcome.unwrap();
    assert_eq!(rectified.state(), State::Listed);
    assert!(!is_listed(&bank, &wrong).await && is_listed(&bank, &right).await);
}

#[tokio::test]
async fn a_lift_without_its_reason_goes_through_and_owes_one() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    let listed = court.list(&debtor).await;
    let lift =
        |ground: &str| v1::RemoveRequest { mutation: mutation(""), listing: listed.listing, ground: ground.to_owned() };
    let removed = court.client.registry().remove(lift("")).await.unwrap().outcome.unwrap();
    assert_eq!((removed.state(), removed.reason_owed), (State::Removed, true));
    assert!(!is_listed(&bank, &debtor).await);
}

#[tokio::test]
async fn a_stale_etag_stops_a_change_and_never_a_lift() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    let listed = court.list(&debtor).await;
    // Being asked about doesn't make a listing another.
    assert!(is_listed(&bank, &debtor).await);
    let was = content(&debtor);
    let amended = ListingContent { case_number: "(2025)粤0882执1号".to_owned(), ..was.clone() };
    assert!(court.amend(listed.listing, &listed.etag, amended).await.is_err(), "another case is another listing");
    hub.details_caught_up().await;
    let was = court.read(listed.listing).await.unwrap().content.unwrap();
    court.amend(listed.listing, &listed.etag, was.clone()).await.unwrap();
    let error = court.amend(listed.listing, &listed.etag, was.clone()).await;
    refused(error, Code::FailedPrecondition, Reason::StaleEtag);
    let error = court.amend(listed.listing, "", was.clone()).await;
    refused(error, Code::InvalidArgument, Reason::InvalidField);
    let error = court.amend(listed.listing, "\"nonsense\"", was).await;
    refused(error, Code::InvalidArgument, Reason::InvalidField);
    let request =
        v1::HideRequest { mutation: mutation(&listed.etag), listing: listed.listing, ground: "settlement".to_owned() };
    let hidden = court.client.registry().hide(request).await.unwrap().outcome.unwrap();
    assert_eq!((hidden.state(), hidden.stale), (State::Hidden, true), "it applies though stale, and says so");
}

#[tokio::test]
async fn a_request_id_gets_its_outcome_again_and_no_other_body() {
    let hub = shared().await;
    let court = hub.court().await;
    let registry = court.client.registry();
    let debtor = Subject::person();
    let request = v1::PublishRequest { mutation: mutation(""), content: Some(content(&debtor)), ..Default::default() };
    let first = registry.publish(request.clone()).await.unwrap().outcome.unwrap();
    let again = registry.publish(request.clone()).await.unwrap().outcome.unwrap();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!((first.listing, &first.etag, first.state), (again.listing, &again.etag, again.state));
    let other = v1::PublishRequest { content: Some(content(&Subject::person())), ..request.clone() };
    refused(registry.publish(other).await, Code::AlreadyExists, Reason::RequestIdReused);
    let removal =
        v1::RemoveRequest { mutation: request.mutation.clone(), listing: first.listing, ground: String::new() };
    refused(registry.remove(removal).await, Code::AlreadyExists, Reason::RequestIdReused);
    // Ids are a caller's own.
    let theirs = v1::PublishRequest { content: Some(content(&Subject::person())), ..request };
    let theirs = hub.other_court().await.client.registry().publish(theirs).await.unwrap().outcome.unwrap();
    assert!(!theirs.replayed);
    // An outcome is what became of that request, whatever came after it.
    court.remove(first.listing).await.unwrap();
}

#[tokio::test]
async fn a_request_id_has_to_be_a_recent_uuidv7() {
    let hub = shared().await;
    let court = hub.court().await;
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let at = |ms: u64| uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid().to_string();
    const DAY_MS: u64 = 86_400_000;
    let check = async |request_id: String, accepted: bool| {
        let mutation = Some(v1::Mutation { request_id, etag: String::new(), actor: Some(clerk()), approver: None });
        let request = v1::PublishRequest { mutation, content: Some(content(&Subject::person())), ..Default::default() };
        let result = court.client.registry().publish(request).await;
        if accepted {
            result.unwrap();
            return;
        }
        let error = refused(result, Code::InvalidArgument, Reason::RequestIdInvalid);
        assert_eq!(error.fields()[0].field, "mutation.request_id");
    };
    check(at(now_ms - 7 * DAY_MS + 60_000), true).await;
    check(at(now_ms + 5 * 60_000), true).await;
    check(at(now_ms - 7 * DAY_MS - 60_000), false).await;
    check(at(now_ms + 11 * 60_000), false).await;
    check(String::new(), false).await;
    check("not-a-uuid".to_owned(), false).await;
    check("c232ab00-9414-41ec-b3c8-9e6bdeced846".to_owned(), false).await;
}

#[tokio::test]
async fn a_mutation_names_its_actor() {
    let hub = shared().await;
    let court = hub.court().await;
    for actor in [None, Some(actor("", "judge")), Some(actor("j-1", "")), Some(actor(&"x".repeat(65), "judge"))] {
        let mutation = Some(v1::Mutation { actor, ..xinhub_client::mutation(clerk(), None) });
        let request = v1::PublishRequest { mutation, content: Some(content(&Subject::person())), ..Default::default() };
        let result = court.client.registry().publish(request).await;
        refused(result, Code::InvalidArgument, Reason::InvalidField);
    }
}

#[tokio::test]
async fn a_court_touches_its_own_listings_only() {
    let hub = shared().await;
    let (court, other) = (hub.court().await, hub.other_court().await);
    let debtor = Subject::organisation();
    let listed = court.list(&debtor).await;
    let (listing, etag) = (listed.listing, listed.etag.as_str());
    let head = related(Relation::LegalRepresentative, &Subject::person());
    let attempts = [
        ("remove", other.remove(listing).await),
        ("revoke", other.revoke(listing).await),
        ("hide", other.hide(listing).await),
        ("restore", other.restore(listing, etag).await),
        ("amend", other.amend(listing, etag, content(&debtor)).await),
        ("serve", other.serve(listing, etag, days_ago(0), 0).await),
        ("relate", other.relate(listing, etag, head).await),
        ("end relation", other.end_relation(listing, 1).await),
    ];
    for (what, attempt) in attempts {
        let error = attempt.expect_err(what);
        assert_eq!(
            (error.code(), error.reason()),
            (Code::PermissionDenied, Some(Reason::OtherCourt)),
            "{what}: {error}"
        );
    }
    hub.details_caught_up().await;
    assert_eq!(court.read(listing).await.unwrap().etag, listed.etag, "nothing has changed");
}

#[tokio::test]
async fn a_relation_needs_a_person_a_basis_and_dates() {
    let hub = shared().await;
    let court = hub.court().await;
    let listed = court.list(&Subject::organisation()).await;
    let head = Subject::person();
    let sound = || related(Relation::Principal, &head);
    let check = async |content: v1::RelationContent, field: &str| {
        let error = court.relate(listed.listing, &listed.etag, content).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{field}: {error}");
        assert!(error.fields().iter().any(|fault| fault.field == field), "{field}: {:?}", error.fields());
    };
    check(v1::RelationContent { basis_document: String::new(), ..sound() }, "content.basis_document").await;
    check(v1::RelationContent { from: String::new(), ..sound() }, "content.from").await;
    check(v1::RelationContent { until: days_ago(3), ..sound() }, "content.until").await;
    check(v1::RelationContent { relation: Relation::Debtor.into(), ..sound() }, "content.relation").await;
    check(related(Relation::Principal, &Subject::organisation()), "content.identity.kind").await;
    court.relate(listed.listing, &listed.etag, sound()).await.unwrap();
    let person = court.list(&Subject::person()).await;
    let of_a_person = court.relate(person.listing, &person.etag, sound()).await.unwrap_err();
    assert_eq!(of_a_person.code(), Code::InvalidArgument, "{of_a_person}");
}

#[tokio::test]
async fn a_listing_needs_decision_ground_basis_and_case() {
    let hub = shared().await;
    let court = hub.court().await;
    let check = async |change: fn(&mut ListingContent), fields: &[&str]| {
        let mut content = content(&Subject::person());
        change(&mut content);
        let error = refused(court.publish(content).await, Code::InvalidArgument, Reason::InvalidField);
        let found: Vec<&str> = error.fields().iter().map(|fault| fault.field.as_str()).collect();
        assert!(fields.iter().all(|field| found.contains(field)), "{fields:?} in {found:?}");
    };
    fn decision(content: &mut ListingContent) -> &mut v1::Decision {
        content.decision.as_mut().unwrap()
    }
    check(|content| content.decision = None, &["content.decision"]).await;
    check(|content| content.ground = 0, &["content.ground"]).await;
    check(|content| content.ground = 7, &["content.ground"]).await;
    check(|content| content.case_number = "2023粤0882执1234号".to_owned(), &["content.case_number"]).await;
    check(|content| content.name = String::new(), &["content.name"]).await;
    check(|content| content.filed_on = in_days(2), &["content.filed_on"]).await;
    check(|content| decision(content).term_months = 12, &["content.decision.term_months"]).await;
    check(|content| decision(content).grace_days = 91, &["content.decision.grace_days"]).await;
    check(|content| decision(content).date = days_ago(800), &["content.decision.date"]).await;
    let several: &[&str] =
        &["content.basis_document", "content.basis_issuer", "content.decision.number", "content.decision.signer"];
    let empty = |content: &mut ListingContent| {
        content.basis_document.clear();
        content.basis_issuer.clear();
        decision(content).number.clear();
        decision(content).signer.clear();
    };
    check(empty, several).await;
}

/// Every number here is synthetic; most are the vectors of the project's rules.
#[tokio::test]
async fn invalid_identities_are_refused_by_kind_with_their_field() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let check = async |kind: IdentityKind, number: &str, why: &str| {
        let error = Ask::of(identity(kind, number), LOAN).response(&bank).await;
        let asked = refused(error, Code::InvalidArgument, Reason::InvalidIdentity);
        let subject = Subject { identities: vec![identity(kind, number)], name: Subject::person().name };
        let published = refused(court.publish(content(&subject)).await, Code::InvalidArgument, Reason::InvalidIdentity);
        for (error, field) in [(asked, "inquiry.identity.number"), (published, "content.identities[0].number")] {
            let fault = error.fields().iter().find(|fault| fault.field == field);
            let fault = fault.unwrap_or_else(|| panic!("{why}: {field} in {:?}", error.fields()));
            assert!(fault.description.contains(why), "{why}: {}", fault.description);
            assert!(!format!("{error:?}").contains(number) || number.len() < 6, "the text holds the number: {why}");
        }
    };
    use IdentityKind as K;
    check(K::ResidentId, "110101199001010008", "check").await;
    check(K::ResidentId, "110101190002290011", "date").await;
    check(K::ResidentId, "110101209912319992", "future").await;
    check(K::ResidentId, "11010119900101000", "17").await;
    check(K::ResidentId, "110101000229001", "date").await;
    check(K::ResidencePermit, "110101199001010007", "8").await;
    check(K::Uscc, "91110101MA0000007I", "").await;
    check(K::OrganisationCode, "00000001X", "check").await;
    check(K::OrganisationCode, "12345678-9", "check").await;
    check(K::OrganisationCode, "PDY00001X", "").await;
    check(K::TravelPermitHkMo, "Z12345678", "").await;
    check(K::TravelPermitTaiwan, "1234567", "").await;
    check(K::PermanentResident, "110101199001010007", "9").await;
    check(K::PermanentResidentOld, "AB1234567890123", "").await;
}

#[tokio::test]
async fn an_identity_without_kind_number_or_issuing_state_is_refused() {
    let hub = shared().await;
    let bank = hub.client(parties::BANK).await;
    let check = async |kind: IdentityKind, number: &str, issuing_state: &str, field: &str| {
        let identity =
            v1::Identity { kind: kind.into(), number: number.to_owned(), issuing_state: issuing_state.to_owned() };
        let error = Ask::of(identity, LOAN).response(&bank).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.fields().iter().any(|fault| fault.field.starts_with(field)), "{field} in {:?}", error.fields());
    };
    check(IdentityKind::Unspecified, "110101199001010007", "", "inquiry.identity.kind").await;
    check(IdentityKind::ResidentId, "", "", "inquiry.identity.number").await;
    check(IdentityKind::Passport, "E12345678", "", "inquiry.identity.issuing_state").await;
    check(IdentityKind::Passport, "X1", "CHN", "inquiry.identity.number").await;
    let nobody = v1::CheckRequest { measure: LOAN.to_owned(), ..Default::default() };
    let error = bank.lookup().check(nobody).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_wrong_credit_code_from_a_looker_up_is_unknown_and_not_unlisted() {
    let hub = shared().await;
    let platform = hub.client(parties::PROCUREMENT).await;
    for number in ["91110101000000019X", "91110101MA0000008X"] {
        let ask = Ask::of(identity(IdentityKind::Uscc, number), "procurement.supplier");
        ask.expect(&platform, Verdict::Unknown, Why::IdentityNotConfirmed).await;
    }
}

#[tokio::test]
async fn release_by_two_takes_another_actor() {
    let hub = Hub::start_with(Setup { release: "two", ..Setup::default() }).await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let registry = court.client.registry();
    let debtor = Subject::person();
    refused(court.publish(content(&debtor)).await, Code::FailedPrecondition, Reason::Release);
    let propose = async |court: &Court, subject: &Subject| {
        let request =
            v1::ProposeRequest { mutation: mutation(""), content: Some(content(subject)), ..Default::default() };
        court.client.registry().propose(request).await.unwrap().outcome.unwrap()
    };
    let proposed = propose(&court, &debtor).await;
    assert_eq!((proposed.state(), is_listed(&bank, &debtor).await), (State::Proposed, false));
    let approve = |staff_id: &str| {
        let mutation = Some(xinhub_client::mutation(actor(staff_id, "judge"), Some(proposed.etag.clone())));
        registry.approve(v1::ApproveRequest { mutation, listing: proposed.listing })
    };
    refused(approve(&clerk().staff_id).await, Code::PermissionDenied, Reason::SecondPersonRequired);
    refused(approve("judge-0001").await, Code::PermissionDenied, Reason::SecondPersonRequired);
    assert!(!is_listed(&bank, &debtor).await);
    let approved = approve(parties::SIGNER).await.unwrap().outcome.unwrap();
    assert_eq!((approved.state(), is_listed(&bank, &debtor).await), (State::Listed, true));
    let second = propose(&court, &Subject::person()).await;
    let mutation = Some(xinhub_client::mutation(actor(parties::SIGNER, "judge"), Some(second.etag)));
    let request = v1::RejectRequest { mutation, listing: second.listing, note: "not proven".to_owned() };
    assert_eq!(registry.reject(request).await.unwrap().outcome.unwrap().state(), State::Rejected);
    // Whoever lifts needs nobody else.
    assert_eq!(court.remove(approved.listing).await.unwrap().state(), State::Removed);
}
