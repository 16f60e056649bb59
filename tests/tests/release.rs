//! The way in: two people, a risk notice, and what was decided before the court went live.

#![allow(clippy::unwrap_used)]

use xinhub_domain::import::Mode;
use xinhub_tests::court::{actor, clerk, content};
use xinhub_tests::file::{Form, Row, current_row, row, send_listings};
use xinhub_tests::subject::days_ago;
use xinhub_tests::v1::{ListingBar as Bar, ListingContent, ListingState as State, Verdict};
use xinhub_tests::{Ask, Code, Court, Hub, Reason, Setup, Subject, parties, refused, shared, v1};

const LOAN: &str = "credit.lending";

async fn is_listed(bank: &xinhub_client::Hub, subject: &Subject) -> bool {
    Ask::about(subject, LOAN).answer(bank).await.verdict() == Verdict::Consider
}

async fn propose(court: &Court, content: ListingContent) -> v1::MutationOutcome {
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let request = v1::ProposeRequest { mutation, content: Some(content), ..Default::default() };
    court.client.registry().propose(request).await.unwrap().outcome.unwrap()
}

async fn approve(court: &Court, staff_id: &str, proposed: &v1::MutationOutcome) -> Result<State, xinhub_client::Error> {
    let mutation = Some(xinhub_client::mutation(actor(staff_id, "judge"), Some(proposed.etag.clone())));
    let request = v1::ApproveRequest { mutation, listing: proposed.listing };
    let outcome = court.client.registry().approve(request).await?.outcome;
    Ok(outcome.unwrap().state())
}

#[tokio::test]
async fn a_proposal_waits_for_another_of_the_courts_signers() {
    let mut hub = Hub::start_with(Setup { release: "two", ..Setup::default() }).await;
    // As a policy that leaves it out.
    let policy = parties::policy("two").replace("release = \"two\"\n", "");
    hub.put_policy(&policy).await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    refused(court.publish(content(&debtor)).await, Code::FailedPrecondition, Reason::Release);
    let proposed = propose(&court, content(&debtor)).await;
    for staff_id in [clerk().staff_id.as_str(), "judge-0001"] {
        let asked = approve(&court, staff_id, &proposed).await;
        refused(asked, Code::PermissionDenied, Reason::SecondPersonRequired);
    }
    assert!(!is_listed(&bank, &debtor).await);
    hub.kill_and_restart().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    assert_eq!(approve(&court, parties::SIGNER, &proposed).await.unwrap(), State::Listed);
    assert!(is_listed(&bank, &debtor).await);
    // A signer is no second person to its own proposal.
    let policy = policy.replace("signers = [", &format!("signers = [\"{}\", ", clerk().staff_id));
    hub.put_policy(&policy).await;
    let second = propose(&court, content(&Subject::person())).await;
    let own = approve(&court, &clerk().staff_id, &second).await;
    refused(own, Code::PermissionDenied, Reason::SecondPersonRequired);
    assert_eq!(approve(&court, parties::SECOND_SIGNER, &second).await.unwrap(), State::Listed);
    // Whoever lifts needs nobody else.
    assert_eq!(court.remove(proposed.listing).await.unwrap().state(), State::Removed);
    assert!(!is_listed(&bank, &debtor).await);
}

fn without_notice(subject: &Subject) -> Row {
    let mut row = current_row(subject);
    row.remove("noticeServedDate");
    row
}

#[tokio::test]
async fn no_row_of_a_current_file_lists_without_a_notice() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let [given, none, late, noticed] = [(); 4].map(|()| Subject::person());
    let rows = [current_row(&given), without_notice(&none), current_row(&late), without_notice(&noticed)];
    let mut rows = rows.to_vec();
    rows[2].insert("noticeServedDate", days_ago(29));
    let case_number = rows[3]["caseCode"].clone();
    let content = ListingContent { decision: None, ground: 0, case_number, ..content(&noticed) };
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let notice = v1::NoticeRequest { mutation, content: Some(content), served_on: days_ago(60) };
    let notice = court.client.registry().notice(notice).await.unwrap().outcome.unwrap();
    let file = Form { mode: Mode::Current, ..Form::default() }.listings(&rows);
    let imported = send_listings(&court.client, &file).await.unwrap();
    assert_eq!(imported.counts(), (2, 0, 0, 2), "{:?}", imported.faults);
    let (column, reason) = ("noticeServedDate", Reason::InvalidField);
    assert_eq!(imported.places(), [(4, column, reason), (5, column, reason)]);
    for (subject, listed) in [(&given, true), (&none, false), (&late, false), (&noticed, true)] {
        assert_eq!(is_listed(&bank, subject).await, listed);
    }
    hub.details_caught_up().await;
    let listing = court.read(notice.listing).await.unwrap();
    assert_eq!((listing.state(), listing.attested), (State::Listed, false));
    assert_eq!(listing.content.unwrap().notice_served_on, days_ago(60), "as it was recorded");
    let again = send_listings(&court.client, &file).await.unwrap();
    assert_eq!(again.counts(), (0, 0, 2, 2), "{:?}", again.faults);
}

#[tokio::test]
async fn a_migration_brings_what_was_decided_before_going_live_alone() {
    let hub = Hub::start().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (before, since) = (Subject::person(), Subject::person());
    let mut rows = [row(&before), row(&since)];
    rows[0].insert("publishDate", days_ago(51));
    rows[1].insert("publishDate", days_ago(50));
    let file = Form::default().listings(&rows);
    let go_live = |line: &str| parties::policy("one").replace("go_live = 2099-01-01\n", line);
    hub.put_policy(&go_live("")).await;
    refused(send_listings(&court.client, &file).await, Code::InvalidArgument, Reason::ImportFile);
    assert!(!is_listed(&bank, &before).await);
    hub.put_policy(&go_live(&format!("go_live = {}\n", days_ago(50)))).await;
    let imported = send_listings(&court.client, &file).await.unwrap();
    assert_eq!(imported.counts(), (1, 0, 0, 1), "{:?}", imported.faults);
    assert_eq!(imported.places(), [(4, "publishDate", Reason::InvalidField)]);
    assert_eq!((is_listed(&bank, &before).await, is_listed(&bank, &since).await), (true, false));
    hub.details_caught_up().await;
    let answer = Ask::about(&before, LOAN).answer(&bank).await;
    assert!(court.read(answer.listings[0]).await.unwrap().attested, "marked as what it is");
}

/// What is wrong with a content: in words, as done to it, and as refused.
type Wrong = (&'static str, fn(&mut ListingContent), Reason);

fn on_ground_1(subject: &Subject, bars: &[Bar]) -> ListingContent {
    let mut content = ListingContent { ground: 1, ..content(subject) };
    content.decision.as_mut().unwrap().term_months = 0;
    content.bars = bars.iter().map(|bar| i32::from(*bar)).collect();
    content
}

#[tokio::test]
async fn what_the_law_refuses_is_refused_under_both_profiles() {
    let hub = Hub::start().await;
    let changes: [Wrong; 6] = [
        ("no notice", |c| c.notice_served_on.clear(), Reason::InvalidField),
        ("a notice after the decision", |c| c.notice_served_on = days_ago(29), Reason::InvalidField),
        ("no decision", |c| c.decision = None, Reason::InvalidField),
        ("no reasons", |c| c.decision.as_mut().unwrap().reasons.clear(), Reason::InvalidField),
        ("no basis document", |c| c.basis_document.clear(), Reason::InvalidField),
        ("a minor", |c| *c = content(&Subject::minor()), Reason::Minor),
    ];
    for profile in ["leizhou", "spc-2017"] {
        let policy = parties::policy("one").replace("go_live", &format!("profile = \"{profile}\"\ngo_live"));
        hub.put_policy(&policy).await;
        let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
        for (what, change, reason) in changes {
            let mut content = content(&Subject::person());
            change(&mut content);
            let refusal = court.publish(content).await.expect_err(what);
            assert_eq!(refusal.reason(), Some(reason), "{profile}: {what}: {refusal}");
        }
        for bar in [Bar::SecurityGiven, Bar::SeizedCoversDebt, Bar::LaterInOrder, Bar::NotAbleButRefuses] {
            let barred = court.publish(on_ground_1(&Subject::person(), &[bar])).await;
            refused(barred, Code::InvalidArgument, Reason::InvalidField);
        }
        // What was found when the notice was given stands against the decision, also where the decision is silent on it.
        let debtor = Subject::person();
        let found = ListingContent { decision: None, ground: 0, ..on_ground_1(&debtor, &[Bar::SecurityGiven]) };
        let mutation = || Some(xinhub_client::mutation(clerk(), None));
        let request = v1::NoticeRequest { mutation: mutation(), content: Some(found.clone()), served_on: days_ago(60) };
        let notice = court.client.registry().notice(request).await.unwrap().outcome.unwrap();
        let publish = async |etag: &str| {
            let mutation = Some(xinhub_client::mutation(clerk(), Some(etag.to_owned())));
            let content = Some(ListingContent { case_number: found.case_number.clone(), ..on_ground_1(&debtor, &[]) });
            let request = v1::PublishRequest { mutation, listing: notice.listing, content, ..Default::default() };
            court.client.registry().publish(request).await
        };
        refused(publish(&notice.etag).await, Code::InvalidArgument, Reason::InvalidField);
        assert!(!is_listed(&bank, &debtor).await);
        let gone = ListingContent { bars: Vec::new(), ..found.clone() };
        let amended = court.amend(notice.listing, &notice.etag, gone).await.unwrap();
        publish(&amended.etag).await.unwrap();
        assert!(is_listed(&bank, &debtor).await);
    }
}
